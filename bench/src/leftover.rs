//! What was left behind: processes, containers, control groups, network devices and directories of scales that are
//! gone.
//!
//! A scale that is killed has a guard, which may be killed, too. Nothing here is found by a name that somebody else
//! might use: a mark tells whose it is (see [`owner`]), and its owner must have ended.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cgroup::Cgroup;
use crate::launch::{self, end_group, ip, owner};
use crate::pidfd::Held;
use crate::proc;
use crate::target::find_program;

/// How long an engine may take to answer, and something to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// One thing that its owner has left.
#[derive(Debug)]
pub enum Leftover {
    Process {
        identity: (i32, u64),
        command: String,
        mark: String,
    },
    Container {
        id: String,
        name: String,
    },
    /// A network device.
    Tap {
        name: String,
    },
    Directory {
        path: PathBuf,
    },
    /// A control group.
    Group {
        cgroup: Cgroup,
    },
}

/// Everything left behind that can be seen from here.
#[derive(Default)]
pub struct Found {
    pub things: Vec<Leftover>,
    /// Where nobody could look, and why.
    pub unseen: Option<io::Error>,
}

/// What scales that are gone have left.
pub fn find() -> Found {
    let (containers, unseen) = match containers(owner::is_gone) {
        Ok(containers) => (containers, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let mut things = processes(owner::is_gone);
    things.extend(containers);
    things.extend(taps(owner::is_gone));
    things.extend(directories(owner::is_gone));
    things.extend(groups(owner::is_gone));
    Found { things, unseen }
}

/// What one owner, who is gone, has left.
pub fn of(mark: &str) -> Vec<Leftover> {
    if !owner::is_gone(mark) {
        return Vec::new();
    }
    let is_its = |found: &str| found == mark;

    let mut things = processes(is_its);
    things.extend(containers(is_its).unwrap_or_default());
    things.extend(taps(is_its));
    things.extend(directories(is_its));
    things.extend(groups(is_its));
    things
}

/// Processes whose environment has the mark. Those of other users cannot be read, and are theirs.
fn processes(is_left: impl Fn(&str) -> bool) -> Vec<Leftover> {
    // Whoever asks is not left behind, whatever it was started by.
    let mut near = vec![std::process::id().cast_signed()];
    while let Some(parent) = near.last().and_then(|&pid| proc::parent(pid)).filter(|&parent| parent > 0) {
        near.push(parent);
    }
    let left = |pid| {
        let identity = proc::identity(pid)?;
        let mark = proc::variable(pid, owner::VARIABLE).filter(|mark| is_left(mark))?;
        let command = proc::command_line(pid).join(" ");
        Some(Leftover::Process { identity, command, mark })
    };
    proc::all().filter(|pid| !near.contains(pid) && proc::is_running(*pid)).filter_map(left).collect()
}

/// Containers with the mark. Without an engine there are none; one that does not answer is an error.
fn containers(is_left: impl Fn(&str) -> bool) -> io::Result<Vec<Leftover>> {
    let filter = format!("label={}", owner::LABEL);
    let format = format!("{{{{.ID}}}} {{{{.Names}}}} {{{{.Label \"{}\"}}}}", owner::LABEL);
    let words = ["ps", "--all", "--no-trunc", "--filter", &filter, "--format", &format];
    let listed = match docker(&words) {
        Ok(Some(listed)) => listed,
        Ok(None) => return Ok(Vec::new()),
        Err(error) => {
            return Err(io::Error::new(error.kind(), format!("containers were not looked at: {error}")));
        }
    };
    let container = |line: &str| {
        let mut words = line.split(' ');
        let (id, name, mark) = (words.next()?, words.next()?, words.next()?);
        is_left(mark).then(|| Leftover::Container { id: id.into(), name: name.into() })
    };
    Ok(listed.lines().filter_map(container).collect())
}

/// What a command of Docker's prints; nothing where there is no Docker.
fn docker(words: &[&str]) -> io::Result<Option<String>> {
    if find_program("docker").is_none() {
        return Ok(None);
    }
    launch::docker(words).map(Some)
}

/// Network devices have the mark as their alias.
fn taps(is_left: impl Fn(&str) -> bool) -> Vec<Leftover> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mark = |entry: &fs::DirEntry| fs::read_to_string(entry.path().join("ifalias")).unwrap_or_default();
    let left = entries.filter(|entry| is_left(mark(entry).trim()));
    left.filter_map(|entry| Some(Leftover::Tap { name: entry.file_name().into_string().ok()? })).collect()
}

/// Scratch directories of this user.
fn directories(is_left: impl Fn(&str) -> bool) -> Vec<Leftover> {
    let user = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.metadata().is_ok_and(|data| data.is_dir() && data.uid() == user))
        .filter(|entry| {
            entry.file_name().to_str().and_then(owner::mark_in).is_some_and(|mark| is_left(&mark))
        })
        .map(|entry| Leftover::Directory { path: entry.path() })
        .collect()
}

/// Control groups are named after their owners.
fn groups(is_left: impl Fn(&str) -> bool) -> Vec<Leftover> {
    let found = Cgroup::named(|name| owner::mark_in(name).is_some_and(|mark| is_left(&mark)));
    found.into_iter().map(|cgroup| Leftover::Group { cgroup }).collect()
}

impl Leftover {
    /// Ends or deletes it, and makes sure.
    ///
    /// # Errors
    /// When it is still there, or somebody uses it.
    pub fn remove(&self) -> io::Result<()> {
        match self {
            Leftover::Process { identity, mark, .. } => end(*identity, mark),
            Leftover::Container { id, .. } => remove_container(id),
            Leftover::Tap { name } => remove_tap(name),
            Leftover::Group { cgroup } => end_group(cgroup),
            Leftover::Directory { path } => match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }
}

fn end(identity: (i32, u64), mark: &str) -> io::Result<()> {
    let Some(held) = Held::open(identity) else { return Ok(()) };
    // Looked at again now that it is held: a program can have replaced itself.
    if proc::variable(identity.0, owner::VARIABLE).as_deref() != Some(mark) {
        return match held.ended(Duration::ZERO) {
            true => Ok(()),
            false => Err(io::Error::other("it no longer bears the mark")),
        };
    }
    held.signal(Signal::KILL)?;
    if held.ended(PATIENCE) { Ok(()) } else { Err(io::Error::other("it does not end by SIGKILL")) }
}

fn remove_container(id: &str) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    let (by_id, words) = (format!("id={id}"), ["rm", "--force", "--volumes", id]);
    loop {
        // It fails when the guard of a scale that was just killed is at it, too.
        if let Err(error) = docker(&words)
            && error.kind() == io::ErrorKind::TimedOut
        {
            return Err(error);
        }
        let left = docker(&["ps", "--all", "--quiet", "--filter", &by_id])?;
        if left.is_some_and(|left| left.trim().is_empty()) {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(io::Error::other(format!("docker rm --force {id} does not remove it")));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn remove_tap(name: &str) -> io::Result<()> {
    let device = PathBuf::from("/sys/class/net").join(name);
    // There is a carrier as long as a program has the other end.
    if fs::read_to_string(device.join("carrier")).is_ok_and(|text| text.trim() == "1") {
        return Err(io::Error::other("somebody uses it"));
    }
    match ip(&["link", "delete", name]) {
        Err(_) if !device.exists() => Ok(()),
        result => result,
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leftover::Process { identity: (pid, _), command, .. } => {
                let short: String =
                    command.chars().map(|c| if c.is_control() { ' ' } else { c }).take(60).collect();
                write!(f, "process {pid} ({short})")
            }
            Leftover::Container { id, name } => {
                write!(f, "container {name} ({})", id.get(..12).unwrap_or(id))
            }
            Leftover::Tap { name } => write!(f, "network device {name}"),
            Leftover::Group { cgroup } => write!(f, "control group {}", cgroup.directory().display()),
            Leftover::Directory { path } => write!(f, "directory {}", path.display()),
        }
    }
}
