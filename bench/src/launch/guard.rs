//! The guard: ends what was launched when the scale dies without a chance to do it (SIGKILL).
//!
//! PR_SET_PDEATHSIG reaches only direct children; a server's workers would live on, and so would a container. The
//! guard is a shell in a process group of its own that reads from a pipe, whose only writer is the scale, how each
//! thing is ended: when the scale is gone the pipe ends, and the guard does what is left on its list.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

const SCRIPT: &str = r#"
trap '' HUP INT TERM
end=0
while read -r op number undo; do
  if [ "$op" = + ]; then eval "undo_$number=\$undo"; else unset "undo_$number"; fi
  [ "$number" -lt "$end" ] || end=$((number + 1))
done
number=0
while [ "$number" -lt "$end" ]; do
  eval "undo=\${undo_$number:-}"
  case $undo in
    # Again when it names nothing: the daemon may have been busy making it. Nothing else waits for the daemon.
    docker*) for pause in 1 2 0; do [ -z "$($undo)" ] || break; sleep $pause; done & ;;
    # Again as long as somebody in the group is dying.
    rmdir*) for pause in 0 0 0 1 1 2 4; do
        for pid in $(cat "${undo#rmdir }/cgroup.procs"); do kill -s KILL "$pid"; done
        $undo; [ -d "${undo#rmdir }" ] || break; sleep $pause
      done & ;;
    ?*) $undo ;;
  esac
  number=$((number + 1))
done >/dev/null 2>&1
wait
"#;

/// One guard serves the whole program; it is started with the first launch.
static GUARD: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// A place on the guard's list, given up on drop: by then the group is gone, and its number may be used again
/// by somebody else.
pub(super) struct Place(u32);

impl Place {
    /// Starts the guard if need be, so that its own start does not disturb a cold start that is being measured.
    /// Returns also the pipe for [`Place::enter`].
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let pipe = with(|pipe| pipe.as_fd().try_clone_to_owned())?;
        Ok((Self(NEXT.fetch_add(1, Ordering::Relaxed)), pipe))
    }

    /// A place for something other than a process: `undo` is the command that ends it, words without quotes.
    pub(super) fn held(undo: &str) -> io::Result<Self> {
        let (place, pipe) = Self::new()?;
        rustix::io::write(pipe, format!("+ {} {undo}\n", place.0).as_bytes())?;
        Ok(place)
    }

    /// Puts a group on the list. Called between fork and exec, so that not even the first instruction of the
    /// program runs unwatched: allocates nothing.
    pub(super) fn enter(number: u32, pipe: &OwnedFd, group: i32) -> io::Result<()> {
        let mut line = [0; 64];
        let room = line.len();
        let mut rest = &mut line[..];
        writeln!(rest, "+ {number} kill -s KILL -- -{group}")?;
        let length = room - rest.len();
        rustix::io::write(pipe, &line[..length])?;
        Ok(())
    }

    pub(super) fn number(&self) -> u32 {
        self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // In one write, because others write to the pipe, too.
        let _ = with(|pipe| pipe.write_all(format!("- {}\n", self.0).as_bytes()));
    }
}

fn with<T>(act: impl FnOnce(&mut ChildStdin) -> io::Result<T>) -> io::Result<T> {
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
