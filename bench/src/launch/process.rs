//! One started program with everything that it starts: spawn, output, signals, exit, and certain death.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, getppid, kill_process, kill_process_group,
    pidfd_open, set_parent_process_death_signal, waitid,
};
use rustix::thread::CpuSet;

use super::error::LaunchError;
use super::group::{self, Way};
use super::guard::Place;
use super::output::Output;
use super::owner;
use super::ready::PageCache;
use crate::interrupt::Interrupt;
use crate::proc;

/// How long a program may take to end after SIGTERM before it is killed, unless its target says otherwise.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What to start: the words of the command line, variables on top of the inherited ones, where, on which CPUs.
#[derive(Clone, Default)]
pub struct Spawn {
    pub command: Vec<String>,
    /// What messages call it, if not by its command line.
    pub shown: Option<String>,
    pub env: BTreeMap<String, String>,
    pub workdir: Option<PathBuf>,
    /// The CPUs that the program may use; empty means all.
    pub cpus: Vec<usize>,
    /// A file to which its output is appended as well.
    pub log: Option<PathBuf>,
    /// Whether its standard input is a pipe for [`Process::type_in`]; otherwise it is empty.
    pub console: bool,
    /// The file by which the program enters a control group before its first instruction, see
    /// [`Cgroup::door`](crate::cgroup::Cgroup::door).
    pub group: Option<Arc<File>>,
    /// What the kernel remembers of files when the program starts.
    pub page_cache: PageCache,
}

impl Spawn {
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        Self { command: command.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }
}

/// A running program in a process group of its own. Dropping it kills the group.
///
/// It dies with the thread that spawned it (PR_SET_PDEATHSIG counts threads), so spawn it on a thread that
/// lives as long as the program should.
pub struct Process {
    child: Child,
    pid: Pid,
    pidfd: OwnedFd,
    command: String,
    spawned: Instant,
    stdout: Output,
    stderr: Output,
    status: Option<ExitStatus>,
    entered: bool,
    /// On the guard's list, until the group is gone.
    place: Option<Place>,
}

impl Process {
    /// Starts the program with its output captured.
    ///
    /// # Errors
    /// [`LaunchError::Spawn`] when the program cannot be started.
    pub fn spawn(spawn: &Spawn) -> Result<Self, LaunchError> {
        let shown = spawn.shown.clone().unwrap_or_else(|| spawn.command.join(" "));
        let failed = |error| LaunchError::Spawn { command: shown.clone(), error };
        let (place, pipe) = Place::new().map_err(failed)?;
        let way = spawn.group.clone().map(Way::new).transpose().map_err(failed)?;
        let (way, told) = way.unzip();
        let mut command = command(spawn, place.number(), pipe, way).map_err(failed)?;
        spawn.page_cache.prepare()?;
        let spawned = Instant::now();
        let mut child = command.spawn().map_err(failed)?;
        drop(command);
        let entering = told.and_then(group::took);
        let streams = (child.stdout.take(), child.stderr.take());
        let (Some(stdout), Some(stderr)) = streams else {
            return Err(failed(io::Error::other("its output was not captured")));
        };
        let log =
            || spawn.log.as_ref().and_then(|path| File::options().append(true).create(true).open(path).ok());
        let (stdout, stderr) = (Output::capture(stdout, log()), Output::capture(stderr, log()));
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = child.wait();
            failed(error.into())
        })?;
        Ok(Self {
            child,
            pid,
            pidfd,
            command: shown,
            spawned: spawned + entering.unwrap_or_default(),
            stdout,
            stderr,
            status: None,
            entered: entering.is_some(),
            place: Some(place),
        })
    }

    /// The process id of the program itself (not of what it starts).
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// The moment before the program was started, later by what it took to enter its control group.
    pub fn spawned(&self) -> Instant {
        self.spawned
    }

    /// Whether it runs in the control group that it was to enter.
    pub fn entered(&self) -> bool {
        self.entered
    }

    /// When it printed its first byte, if it has.
    pub fn first_output(&self) -> Option<Instant> {
        self.stdout.first().into_iter().chain(self.stderr.first()).min()
    }

    pub fn command(&self) -> &str {
        &self.command
    }

    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    pub fn stderr(&self) -> &Output {
        &self.stderr
    }

    /// Waits for the address (`host:port`) that follows `marker` in a line on standard output, or else error.
    ///
    /// # Errors
    /// When the program ends or `timeout` passes before such a line; the error holds the end of its stderr.
    pub fn address_after(&mut self, marker: &str, timeout: Duration) -> Result<SocketAddr, LaunchError> {
        self.line(marker, timeout, &Interrupt::new(), |line| address_in(line, marker))
    }

    /// Waits for a line with `words`.
    ///
    /// # Errors
    /// When the program ends or `timeout` passes before such a line; the error holds the end of its stderr.
    pub fn says(&mut self, words: &str, timeout: Duration, interrupt: &Interrupt) -> Result<(), LaunchError> {
        self.line(words, timeout, interrupt, |line| line.contains(words).then_some(()))
    }

    fn line<T>(
        &mut self,
        marker: &str,
        timeout: Duration,
        interrupt: &Interrupt,
        find: impl Fn(&str) -> Option<T> + Copy,
    ) -> Result<T, LaunchError> {
        let until = Instant::now() + timeout;
        // Two streams and one condition: look at each in short turns, until the deadline or an early exit.
        loop {
            let turn = Duration::from_millis(1);
            let found = self.stdout.wait_for(turn, find).or_else(|| self.stderr.wait_for(turn, find));
            if let Some(found) = found {
                return Ok(found);
            }
            self.check_alive()?;
            if interrupt.is_set() {
                return Err(LaunchError::Interrupted);
            }
            if Instant::now() >= until {
                let marker = marker.to_owned();
                return Err(LaunchError::NotSaid {
                    command: self.command.clone(),
                    marker,
                    output: self.last_words(),
                });
            }
        }
    }

    /// Writes to the program's standard input.
    ///
    /// # Errors
    /// When it has none, or has closed it.
    pub fn type_in(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.child.stdin.as_mut().ok_or(io::ErrorKind::NotConnected)?.write_all(bytes)
    }

    /// Sends a signal to the program itself.
    ///
    /// # Errors
    /// When the signal cannot be delivered.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.status.is_some() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("`{}` has ended", self.command)));
        }
        Ok(kill_process(self.pid, signal)?)
    }

    /// Waits for the program to end. `None` when it still runs after `timeout`.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        if self.ended(timeout)? {
            self.reap()?;
        }
        Ok(self.status)
    }

    /// # Errors
    /// [`LaunchError::ExitedEarly`] when the program has ended.
    pub fn check_alive(&mut self) -> Result<(), LaunchError> {
        match self.wait(Duration::ZERO) {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                self.stderr.wait_closed(Duration::from_millis(500));
                let output = self.last_words();
                Err(LaunchError::ExitedEarly { command: self.command.clone(), status, output })
            }
            Err(error) => Err(LaunchError::Spawn { command: self.command.clone(), error }),
        }
    }

    /// SIGTERM to the program; SIGKILL to its whole group when it ended or `timeout` passed. Returns its status.
    ///
    /// # Errors
    /// When the system refuses to signal or to wait.
    pub fn stop(&mut self, timeout: Duration) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        // A member may have left the group (setsid); it is found by its parent while that still lives.
        let strays: Vec<_> = proc::tree(&[self.pid()]).into_iter().filter_map(proc::identity).collect();
        let _ = self.signal(Signal::TERM);
        self.ended(timeout)?;
        let status = self.reap()?;
        for (pid, started) in strays {
            if proc::identity(pid) == Some((pid, started))
                && let Some(pid) = Pid::from_raw(pid)
            {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        Ok(status)
    }

    /// The end of what the program printed, for an error message.
    pub fn last_words(&self) -> String {
        // Of a machine one is its guest's console, the other its own complaints.
        let words = [self.stdout.tail(20), self.stderr.tail(20)];
        words.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// Whether the program ended within `timeout`. It stays a zombie, so that `/proc` still tells its CPU time.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn ended(&self, timeout: Duration) -> io::Result<bool> {
        if self.status.is_some() {
            return Ok(true);
        }
        let until = Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = left.try_into().map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&left)) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Kills the group while the program is at most a zombie (so that its number cannot belong to another
    /// group), then reaps it.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let _ = kill_process_group(self.pid, Signal::KILL);
        let exited = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(self.pid), exited) {}
        self.place = None;
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.stop(Duration::ZERO);
    }
}

fn command(spawn: &Spawn, place: u32, guard: OwnedFd, way: Option<Way>) -> io::Result<Command> {
    let (program, arguments) = spawn
        .command
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    let mut command = Command::new(program);
    command.args(arguments).envs(&spawn.env).process_group(0);
    command.env(owner::VARIABLE, owner::mark());
    command.stdin(if spawn.console { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(workdir) = &spawn.workdir {
        command.current_dir(workdir);
    }
    let cpus = (!spawn.cpus.is_empty()).then(|| cpu_set(&spawn.cpus));
    let parent = getpid();
    // SAFETY: between fork and exec the closure makes a few system calls and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            if getppid() != Some(parent) {
                return Err(rustix::io::Errno::SRCH.into());
            }
            Place::enter(place, &guard, getpid().as_raw_pid())?;
            if let Some(way) = &way {
                way.enter();
            }
            if let Some(cpus) = &cpus {
                rustix::thread::sched_setaffinity(None, cpus)?;
            }
            Ok(())
        });
    }
    Ok(command)
}

pub(crate) fn cpu_set(cpus: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for &cpu in cpus.iter().filter(|&&cpu| cpu < CpuSet::MAX_CPU) {
        set.set(cpu);
    }
    set
}

fn address_in(line: &str, marker: &str) -> Option<SocketAddr> {
    let rest = &line[line.find(marker)? + marker.len()..];
    let end = rest.find(|c: char| c.is_whitespace() || c == '/' || c == ',').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::address_in;

    #[test]
    fn the_address_ends_where_the_path_or_the_line_does() {
        let find = |line| address_in(line, "on http://").map(|address| address.to_string());
        assert_eq!(find("up on http://127.0.0.1:4711/ now\n").as_deref(), Some("127.0.0.1:4711"));
        assert_eq!(find("up on http://[::1]:80\n").as_deref(), Some("[::1]:80"));
        assert_eq!(find("up on http://nowhere\n"), None);
        assert_eq!(find("nothing\n"), None);
    }
}
