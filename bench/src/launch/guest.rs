//! Guests in QEMU: by KVM where it really runs them, emulated where not.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::error::LaunchError;
use super::instance::Instance;
use super::local::Local;
use super::network::Network;
use super::process::{Process, Spawn};
use super::ready::Start;
use crate::proc;
use crate::weigh::Scope;

/// The only architecture whose guests are launched.
pub(super) const QEMU: &str = "qemu-system-x86_64";

/// A guest that has printed nothing by then is not being run, whatever `/dev/kvm` promises: hypervisors within
/// hypervisors exist that need minutes for the first instructions.
const FIRST_LINE: Duration = Duration::from_secs(3);

/// Whether KVM has failed in this process; once is enough.
static KVM_FAILED: AtomicBool = AtomicBool::new(false);

/// Starts a guest with the accelerator that works. Returns also whether it is emulated.
pub(super) fn boot(
    spawn: impl Fn(&str) -> Result<Spawn, LaunchError>,
) -> Result<(Process, bool), LaunchError> {
    let try_kvm = kvm_is_there() && !KVM_FAILED.load(Ordering::Relaxed);
    if try_kvm {
        let process = Process::spawn(&spawn("kvm")?)?;
        if process.stdout().wait_for(FIRST_LINE, |_| Some(())).is_some() {
            return Ok((process, false));
        }
    }
    let process = Process::spawn(&spawn("tcg")?)?;
    // A guest that fails both ways says nothing about KVM.
    if try_kvm && process.stdout().wait_for(10 * FIRST_LINE, |_| Some(())).is_some() {
        KVM_FAILED.store(true, Ordering::Relaxed);
    }
    Ok((process, true))
}

/// Whether this user may use KVM.
pub(super) fn kvm_is_there() -> bool {
    OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok()
}

/// How a guest is asked to end.
pub(super) enum End {
    /// By bytes on its console; its machine ends by itself then.
    Console(&'static [u8]),
    /// The guest cannot be asked: its machine is ended.
    Machine,
}

/// A guest and its machine.
pub(super) struct Guest {
    pub(super) local: Local,
    pub(super) emulated: bool,
    pub(super) end: End,
    /// The RAM that it was given, in MiB.
    pub(super) ram_mib: u64,
    /// Machines that are not below the process that was started: found by a word of their command line.
    pub(super) elsewhere: Option<String>,
    /// After the machine: a device in use cannot be removed cleanly.
    pub(super) network: Network,
}

impl Guest {
    fn elsewhere(&self) -> Vec<i32> {
        let Some(word) = &self.elsewhere else { return Vec::new() };
        let is_machine = |pid: &i32| {
            let words = proc::command_line(*pid);
            words.first().is_some_and(|program| program.contains("qemu-system"))
                && words.iter().any(|part| part.contains(word.as_str()))
        };
        proc::all().filter(is_machine).collect()
    }
}

impl Instance for Guest {
    fn address(&self) -> SocketAddr {
        self.local.address()
    }

    fn scope(&self) -> Scope {
        let mut scope = self.local.scope();
        scope.roots.extend(self.elsewhere());
        scope.guest_ram = Some(self.ram_mib << 20);
        scope
    }

    fn start(&self) -> Option<Start> {
        self.local.start()
    }

    fn emulated(&self) -> bool {
        self.emulated
    }

    fn forwarded(&self) -> bool {
        matches!(self.network, Network::User(_))
    }

    fn check_alive(&mut self) -> Result<(), LaunchError> {
        self.local.check_alive()
    }

    fn stop(&mut self) -> Result<(), LaunchError> {
        if let End::Console(bytes) = self.end {
            self.local.type_and_wait(bytes);
        }
        let machines = self.elsewhere();
        let stopped = self.local.stop();
        machines.into_iter().for_each(proc::kill);
        stopped
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // The process below `local` ends with it; what is elsewhere does not.
        self.elsewhere().into_iter().for_each(proc::kill);
    }
}
