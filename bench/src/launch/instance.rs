//! Launchers: one for each kind of target; what they return is an [`Instance`], whatever isolates it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::docker::DockerLauncher;
use super::error::LaunchError;
use super::existing::ExistingLauncher;
use super::local::LocalLauncher;
use super::microvm::MicrovmLauncher;
use super::ready::{PageCache, Start, free_port};
use super::unikraft::UnikraftLauncher;
use super::words::target_error;
use crate::interrupt::Interrupt;
use crate::placement::Placement;
use crate::target::{Kind, Lack, Target};
use crate::weigh::Scope;

/// What a launch needs beside the target.
pub struct Context<'a> {
    pub placement: &'a Placement,
    pub interrupt: &'a Interrupt,
    /// Placeholders beside the usual ones, by name.
    pub values: BTreeMap<String, String>,
    /// Where to serve; a free port when it does not matter.
    pub address: Option<SocketAddr>,
    /// A file to which everything that the instance prints is appended.
    pub log: Option<PathBuf>,
    /// What the kernel remembers of files when the target starts.
    pub page_cache: PageCache,
}

impl<'a> Context<'a> {
    /// A launch on a free port, for a measurement.
    pub fn new(placement: &'a Placement, interrupt: &'a Interrupt) -> Self {
        let (values, page_cache) = (BTreeMap::new(), PageCache::Warm);
        Self { placement, interrupt, values, address: None, log: None, page_cache }
    }

    pub(super) fn address(&self, target: &Target) -> Result<SocketAddr, LaunchError> {
        let failed = |error| target_error(target, format!("no free port: {error}"));
        self.address.map_or_else(|| free_port().map_err(failed), Ok)
    }
}

/// Starts targets of one kind.
pub trait Launcher {
    /// What this kind of target needs and is not here, beside what the target's file requires.
    fn missing(&self, _target: &Target) -> Vec<Lack> {
        Vec::new()
    }

    /// The size of what is shipped, in bytes.
    fn artefact_bytes(&self, target: &Target) -> Option<u64> {
        file_bytes(target, target.artefact.as_ref()?)
    }

    /// Starts the target, of which nothing is missing, and returns when it is ready.
    ///
    /// # Errors
    /// [`LaunchError`] says what to do; nothing is left running.
    fn launch(&self, target: &Target, context: &Context<'_>) -> Result<Box<dyn Instance>, LaunchError>;
}

/// A running, ready service. Dropping it ends it.
pub trait Instance {
    fn address(&self) -> SocketAddr;

    /// What is weighed. It may differ from moment to moment.
    fn scope(&self) -> Scope;

    /// The phases up to the first 200; nothing for what the scale did not start.
    fn start(&self) -> Option<Start>;

    /// Whether a guest's instructions are emulated, so that its speed says nothing about the packaging.
    fn emulated(&self) -> bool {
        false
    }

    /// Whether it is reached through a port that QEMU forwards, for want of a network device.
    fn forwarded(&self) -> bool {
        false
    }

    /// # Errors
    /// When the instance is no longer running, with its last words.
    fn check_alive(&mut self) -> Result<(), LaunchError>;

    /// Ends the instance: politely, then by force.
    ///
    /// # Errors
    /// When it had to be killed or did not end well; it is gone all the same.
    fn stop(&mut self) -> Result<(), LaunchError>;
}

/// Starts a target and returns when it is ready.
///
/// # Errors
/// [`LaunchError`] says what to do; nothing is left running.
pub fn launch(target: &Target, context: &Context<'_>) -> Result<Box<dyn Instance>, LaunchError> {
    if let Some(Lack { what, hint }) = missing(target).into_iter().next() {
        return Err(LaunchError::Missing { target: target.name.clone(), what, hint });
    }
    launcher(target.kind).launch(target, context)
}

/// What a target needs and is not here, each with the command that gets it.
pub fn missing(target: &Target) -> Vec<Lack> {
    let mut missing = target.missing();
    missing.extend(launcher(target.kind).missing(target));
    missing
}

/// The size of what is shipped, in bytes.
pub fn artefact_bytes(target: &Target) -> Option<u64> {
    launcher(target.kind).artefact_bytes(target)
}

fn launcher(kind: Kind) -> &'static dyn Launcher {
    match kind {
        Kind::Process | Kind::Wasmtime | Kind::Spin => &LocalLauncher,
        Kind::Docker => &DockerLauncher,
        Kind::Microvm => &MicrovmLauncher,
        Kind::Unikraft => &UnikraftLauncher,
        Kind::Url => &ExistingLauncher,
    }
}

pub(super) fn file_bytes(target: &Target, file: &std::path::Path) -> Option<u64> {
    Some(fs::metadata(target.path(file)).ok()?.len())
}
