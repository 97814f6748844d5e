//! Programs of this machine: the service itself, a WASM runtime, a virtual machine.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::error::LaunchError;
use super::instance::{Context, Instance, Launcher};
use super::process::Process;
use super::ready::until_ready;
use super::scratch::Scratch;
use super::words::Words;
use crate::target::{Kind, Target};
use crate::weigh::Scope;

/// The kinds differ in how the command line comes about.
pub(super) struct LocalLauncher;

impl Launcher for LocalLauncher {
    fn launch(&self, target: &Target, context: &Context<'_>) -> Result<Box<dyn Instance>, LaunchError> {
        let address = context.address(target)?;
        let words = Words::new(target, context, address)?;
        let spawn = words.spawn(&command(target), context)?;
        let process = Process::spawn(&spawn)?;
        Ok(Box::new(Local::ready(process, target, address, context, words.scratch)?))
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
    cold_start: Duration,
    stop_timeout: Duration,
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
    ) -> Result<Self, LaunchError> {
        let timeout = Duration::from_secs(target.ready.timeout_s);
        if let Some(words) = &target.ready.console {
            process.says(words, timeout, context.interrupt)?;
        }
        let address = match &target.address_after {
            Some(marker) => process.address_after(marker, timeout)?,
            None => address,
        };
        let cold_start = until_ready(&mut process, address, &target.ready.path, timeout, context.interrupt)?;
        let stop_timeout = Duration::from_secs(target.stop_timeout_s);
        Ok(Self { process, address, cold_start, stop_timeout, _scratch: scratch })
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
        Scope::of(vec![self.process.pid()])
    }

    fn cold_start(&self) -> Option<Duration> {
        Some(self.cold_start)
    }

    fn check_alive(&mut self) -> Result<(), LaunchError> {
        self.process.check_alive()
    }

    fn stop(&mut self) -> Result<(), LaunchError> {
        let command = self.process.command().to_owned();
        match self.end() {
            Ok(_) => Ok(()),
            Err(error) => Err(LaunchError::Spawn { command, error }),
        }
    }
}
