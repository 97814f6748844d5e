//! A control group for each program that the scale starts on this machine, where one can be made: so that the kernel
//! tells what it charges to the instance, and holds it to its limit.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use super::error::LaunchError;
use super::guard::Place;
use super::owner;
use super::process::Process;
use crate::cgroup::{self, Cgroup};
use crate::pidfd::Held;
use crate::proc;
use crate::target::{Kind, Lack, Target};

/// How long what was killed may take to leave the group.
const PATIENCE: Duration = Duration::from_secs(5);

/// A group with the duty to remove it, and whoever is in it.
pub(super) struct Group {
    cgroup: Cgroup,
    door: Arc<File>,
    limit_mib: Option<u64>,
    /// The guard removes the group when the scale is killed.
    _place: Place,
}

impl Group {
    /// A group for an instance of the target. Nothing where none can be made and the target does without.
    ///
    /// # Errors
    /// When the target has a limit and none can be set.
    pub(super) fn new(target: &Target) -> Result<Option<Self>, LaunchError> {
        let limit = limit(target);
        match Self::make(limit) {
            Ok(group) => Ok(Some(group)),
            Err(_) if limit.is_none() => Ok(None),
            Err(error) => {
                let Lack { what, hint } = lack(&error);
                Err(LaunchError::Missing { target: target.name.clone(), what, hint })
            }
        }
    }

    fn make(limit_mib: Option<u64>) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = owner::name(NEXT.fetch_add(1, Ordering::Relaxed));
        let mut last = io::Error::other("no memory controller is mounted");
        for parent in cgroup::places() {
            let path = parent.directory().join(&name);
            // The guard splits its list into words.
            let Some(path) = path.to_str().filter(|path| !path.contains(char::is_whitespace)) else {
                continue;
            };
            let place = Place::held(&format!("rmdir {path}"))?;
            let made = Cgroup::make(&parent, &name, limit_mib.map(|mib| mib.saturating_mul(1 << 20)));
            match made.and_then(|cgroup| Ok((Arc::new(cgroup.door()?), cgroup))) {
                Ok((door, cgroup)) => return Ok(Self { cgroup, door, limit_mib, _place: place }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// For [`super::process::Spawn`].
    pub(super) fn door(&self) -> Arc<File> {
        self.door.clone()
    }

    pub(super) fn is_limit(&self) -> bool {
        self.limit_mib.is_some()
    }

    pub(super) fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// What became of a program in this group, when the kernel has killed it or a part of it: such an instance is not
    /// what was to be measured, even if the rest goes on.
    pub(super) fn killed(&self, process: &Process) -> Option<LaunchError> {
        (self.cgroup.oom_kills() > 0).then(|| LaunchError::OutOfMemory {
            command: process.command().to_owned(),
            limit_mib: self.limit_mib,
            output: process.last_words(),
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = end_group(&self.cgroup);
    }
}

/// Removes a group of the scale's, with whoever is left in it.
pub(crate) fn end_group(cgroup: &Cgroup) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        // At first as it is: most have ended, and some may only just be leaving.
        match cgroup.remove() {
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => kill_members(cgroup),
            Ok(()) => return Ok(()),
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn kill_members(cgroup: &Cgroup) {
    for pid in cgroup.members() {
        let held = proc::identity(pid).and_then(Held::open);
        // Looked at again now that its number cannot change hands.
        if let Some(held) = held.filter(|_| cgroup.members().contains(&pid)) {
            let _ = held.signal(Signal::KILL);
        }
    }
}

/// What a target with a limit needs and is not here.
pub(super) fn missing(target: &Target) -> Option<Lack> {
    let limit = limit(target)?;
    Group::make(Some(limit)).err().map(|error| lack(&error))
}

fn lack(error: &io::Error) -> Lack {
    Lack {
        what: format!("a control group of its own, to limit its memory ({error})"),
        hint: "run as root, or where systemd is: systemd-run --user --scope -p Delegate=yes ounce-bench ..."
            .into(),
    }
}

/// The limit that the group is to hold; of a guest that is its RAM, and its machine needs more.
fn limit(target: &Target) -> Option<u64> {
    let kinds = [Kind::Process, Kind::Wasmtime, Kind::Spin];
    target.limits.memory_mib.filter(|_| kinds.contains(&target.kind))
}

/// How a child goes into a group between fork and exec, and tells how long that took: version 2 may make it wait
/// some milliseconds for the other CPUs, which is no part of the program's cold start.
pub(super) struct Way {
    door: Arc<File>,
    told: PipeWriter,
}

impl Way {
    pub(super) fn new(door: Arc<File>) -> io::Result<(Self, PipeReader)> {
        let (reader, told) = io::pipe()?;
        Ok((Self { door, told }, reader))
    }

    /// Between fork and exec: allocates nothing. A program that may not enter runs outside.
    pub(super) fn enter(&self) {
        let before = nanoseconds();
        if (&*self.door).write_all(b"0").is_ok() {
            let _ = (&self.told).write_all(&(nanoseconds() - before).to_ne_bytes());
        }
    }
}

/// How long the child took to enter; nothing when it could not. To be asked after the exec, when nobody else can write.
pub(super) fn took(mut reader: PipeReader) -> Option<Duration> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes).ok()?;
    Some(Duration::from_nanos(u64::from_ne_bytes(bytes)))
}

fn nanoseconds() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
