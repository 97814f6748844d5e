//! Programs of this machine: the service itself, a WASM runtime, a virtual machine.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::error::LaunchError;
use super::group::{self, Group};
use super::instance::{Context, Instance, Launcher};
use super::process::{Process, Spawn};
use super::ready::{Start, until_listening, until_ready};
use super::scratch::Scratch;
use super::words::{Words, target_error};
use crate::target::{Kind, Lack, Target};
use crate::weigh::Scope;

/// The kinds differ in how the command line comes about.
pub(super) struct LocalLauncher;

impl Launcher for LocalLauncher {
    fn missing(&self, target: &Target) -> Vec<Lack> {
        group::missing(target).into_iter().collect()
    }

    fn launch(&self, target: &Target, context: &Context<'_>) -> Result<Box<dyn Instance>, LaunchError> {
        let address = context.address(target)?;
        let words = Words::new(target, context, address)?;
        let group = Group::new(target)?;
        let spawn =
            Spawn { group: group.as_ref().map(Group::door), ..words.spawn(&command(target), context)? };
        let process = Process::spawn(&spawn)?;
        Ok(Box::new(Local::ready(process, target, address, context, words.scratch, group)?))
    }
}

fn command(target: &Target) -> Vec<String> {
    let path = |path: &Option<std::path::PathBuf>| {
        path.as_deref().unwrap_or(Path::new("")).to_string_lossy().into_owned()
    };
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    match target.kind {
        Kind::Wasmtime => {
            let head = words(&["wasmtime", "serve", "-S", "cli", "--addr", "{address}"]);
            [head, target.args.clone(), vec![path(&target.component)]].concat()
        }
        Kind::Spin => {
            let head = words(&["spin", "up", "--listen", "{address}", "--from"]);
            [head, vec![path(&target.manifest)], target.args.clone()].concat()
        }
        _ => target.command.clone(),
    }
}

/// An instance that is a process of this machine, with all that it starts.
pub(super) struct Local {
    process: Process,
    address: SocketAddr,
    start: Start,
    stop_timeout: Duration,
    kind: Kind,
    /// After the process: a group in use cannot be removed.
    group: Option<Group>,
    _scratch: Option<Scratch>,
}

impl Local {
    /// Waits until a started program serves.
    pub(super) fn ready(
        mut process: Process,
        target: &Target,
        address: SocketAddr,
        context: &Context<'_>,
        scratch: Option<Scratch>,
        mut group: Option<Group>,
    ) -> Result<Self, LaunchError> {
        // Refused where the nearest group around both is somebody else's.
        if !process.entered() && group.take().is_some_and(|group| group.is_limit()) {
            let what = "it may not enter the control group that limits its memory: run as root".to_owned();
            return Err(target_error(target, what));
        }
        let ready = phases(&mut process, target, address, context);
        let (address, start) = ready.map_err(|error| told(group.as_ref(), &process, error))?;
        let stop_timeout = Duration::from_secs(target.stop_timeout_s);
        Ok(Self { process, address, start, stop_timeout, kind: target.kind, group, _scratch: scratch })
    }

    /// SIGTERM, and SIGKILL when that takes too long. Returns the program's status.
    pub(super) fn end(&mut self) -> io::Result<ExitStatus> {
        self.process.stop(self.stop_timeout)
    }

    /// Types on the console and waits for the end, as long as the target may take for it.
    pub(super) fn type_and_wait(&mut self, bytes: &[u8]) {
        if self.process.type_in(bytes).is_ok() {
            let _ = self.process.ended(self.stop_timeout);
        }
    }
}

impl Instance for Local {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn scope(&self) -> Scope {
        let cgroup = self.group.as_ref().map(|group| group.cgroup().clone());
        Scope { roots: vec![self.process.pid()], cgroup, kind: Some(self.kind), guest_ram: None }
    }

    fn start(&self) -> Option<Start> {
        Some(self.start.clone())
    }

    fn check_alive(&mut self) -> Result<(), LaunchError> {
        let alive = self.process.check_alive();
        match self.group.as_ref().and_then(|group| group.killed(&self.process)) {
            Some(killed) => Err(killed),
            None => alive,
        }
    }

    fn stop(&mut self) -> Result<(), LaunchError> {
        let command = self.process.command().to_owned();
        match self.end() {
            Ok(_) => Ok(()),
            Err(error) => Err(LaunchError::Spawn { command, error }),
        }
    }
}

/// The address, and the phases up to the first 200.
fn phases(
    process: &mut Process,
    target: &Target,
    address: SocketAddr,
    context: &Context<'_>,
) -> Result<(SocketAddr, Start), LaunchError> {
    let (timeout, interrupt) = (Duration::from_secs(target.ready.timeout_s), context.interrupt);
    if let Some(words) = &target.ready.console {
        process.says(words, timeout, interrupt)?;
    }
    let address = match &target.address_after {
        Some(marker) => process.address_after(marker, timeout)?,
        None => address,
    };
    let listening =
        if is_direct(target) { until_listening(process, address, timeout, interrupt)? } else { None };
    let ready = until_ready(process, address, &target.ready.path, timeout, interrupt)?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let output = process.first_output().map(|first| first.saturating_duration_since(process.spawned()));
    let start = Start {
        page_cache: context.page_cache,
        first_output_ms: output.map(ms),
        listening_ms: listening.map(ms),
        ready_ms: ms(ready),
    };
    Ok((address, start))
}

/// Whether nothing else takes connections before the service does: before a container's or a guest's there may be a
/// proxy, and who asks a guest too early waits for a second.
fn is_direct(target: &Target) -> bool {
    target.ready.console.is_none() && matches!(target.kind, Kind::Process | Kind::Wasmtime | Kind::Spin)
}

/// That the kernel has killed something explains more than what followed from it.
fn told(group: Option<&Group>, process: &Process, error: LaunchError) -> LaunchError {
    match error {
        LaunchError::Interrupted => error,
        _ => group.and_then(|group| group.killed(process)).unwrap_or(error),
    }
}
