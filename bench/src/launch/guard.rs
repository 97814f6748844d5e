//! The guard: kills every launched process group when the scale dies without a chance to do it (SIGKILL).
//!
//! PR_SET_PDEATHSIG reaches only direct children; a server's workers would live on. The guard is a shell in a
//! process group of its own that reads the groups from a pipe whose only writer is the scale: when the scale
//! is gone the pipe ends, and the guard kills what is left on its list.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

const SCRIPT: &str = r#"
trap '' HUP INT TERM
groups=
while read -r op group; do
  if [ "$op" = + ]; then groups="$groups $group"; continue; fi
  left=
  for g in $groups; do [ "$g" = "$group" ] || left="$left $g"; done
  groups=$left
done
for g in $groups; do kill -KILL -- "-$g"; done 2>/dev/null
"#;

/// One guard serves the whole program; it is started with the first launch.
static GUARD: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// Starts the guard, so that its own start does not disturb a cold start that is being measured.
pub(super) fn start() -> io::Result<()> {
    with(|_| Ok(()))
}

/// From now on the group dies with the scale.
pub(super) fn watch(group: i32) -> io::Result<()> {
    with(|pipe| writeln!(pipe, "+ {group}"))
}

/// The group is gone, and its number may be used again by somebody else.
pub(super) fn release(group: i32) -> io::Result<()> {
    with(|pipe| writeln!(pipe, "- {group}"))
}

fn with(act: impl FnOnce(&mut ChildStdin) -> io::Result<()>) -> io::Result<()> {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    let pipe = match guard.as_mut() {
        Some(pipe) => pipe,
        None => guard.insert(spawn()?),
    };
    act(pipe)
}

fn spawn() -> io::Result<ChildStdin> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    child.stdin.take().ok_or_else(|| io::Error::other("the guard has no standard input"))
}
