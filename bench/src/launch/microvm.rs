//! Linux guests with the service as their only program: in QEMU's `microvm` machine, or in Firecracker.
//!
//! The kernel configures the network from its command line, and hands words that it does not know (`NAME=value`)
//! to the service as variables. Ctrl-C on the console ends the service, and with it the machine.

use std::path::Path;

use super::error::LaunchError;
use super::firecracker;
use super::group::Group;
use super::guest::{End, Guest, QEMU, boot};
use super::instance::{Context, Instance, Launcher, file_bytes};
use super::local::Local;
use super::network::Network;
use super::process::Spawn;
use super::words::Words;
use crate::target::{Lack, Target, Vmm, find_program};

/// Ctrl-C.
pub(super) const INTERRUPT: &[u8] = b"\x03";

/// A guest that says nothing about it has this much RAM, in MiB.
pub(super) const RAM_MIB: u64 = 64;

pub(super) struct MicrovmLauncher;

impl Launcher for MicrovmLauncher {
    fn missing(&self, target: &Target) -> Vec<Lack> {
        let mut missing = Vec::new();
        if target.vmm == Some(Vmm::Firecracker) {
            missing.extend(firecracker::missing());
        } else if find_program(QEMU).is_none() {
            missing.push(Lack {
                what: format!("the program {QEMU}"),
                hint: "apt install qemu-system-x86 (dnf install qemu-system-x86-core)".into(),
            });
        }
        for file in target.kernel.iter().chain(&target.initrd).filter(|file| !target.path(file).exists()) {
            let ours = file.starts_with("dist");
            let hint =
                if ours { "make guest".into() } else { format!("named by {}", target.source.display()) };
            missing.push(Lack { what: format!("the file {}", file.display()), hint });
        }
        missing
    }

    /// Kernel and root file system.
    fn artefact_bytes(&self, target: &Target) -> Option<u64> {
        Some(file_bytes(target, target.kernel.as_ref()?)? + file_bytes(target, target.initrd.as_ref()?)?)
    }

    fn launch(&self, target: &Target, context: &Context<'_>) -> Result<Box<dyn Instance>, LaunchError> {
        if target.vmm == Some(Vmm::Firecracker) {
            return firecracker::launch(target, context);
        }
        let network = Network::new(target, context)?;
        let address = network.address();
        let words = Words::new(target, context, address)?;
        let group = Group::new(target)?;
        let (process, emulated) = boot(|accelerator| {
            let spawn = words.spawn(&command(target, &network, accelerator), context)?;
            Ok(Spawn { console: true, group: group.as_ref().map(Group::door), ..spawn })
        })?;
        let local = Local::ready(process, target, address, context, words.scratch, group)?;
        let (end, ram_mib) = (End::Console(INTERRUPT), ram_mib(target));
        Ok(Box::new(Guest { local, emulated, end, ram_mib, elsewhere: None, network }))
    }
}

fn command(target: &Target, network: &Network, accelerator: &str) -> Vec<String> {
    // Relative to the directory in which it runs.
    let path = |path: &Option<std::path::PathBuf>| {
        path.as_deref().unwrap_or(Path::new("")).to_string_lossy().into_owned()
    };
    let (ram, cpus) = (ram_mib(target), target.limits.cpus.unwrap_or(1.0).ceil());
    // A reset (by a triple fault) ends the machine. QEMU adds where the network device is.
    let line = format!("console=ttyS0 quiet panic=-1 reboot=t {}{}", network.linux(), variables(target));
    [
        [QEMU, "-M", "microvm,acpi=off,rtc=on", "-cpu", "max", "-accel", accelerator].as_slice(),
        &["-m", &format!("{ram}M"), "-smp", &cpus.to_string()],
        &["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"],
        &["-kernel", &path(&target.kernel), "-initrd", &path(&target.initrd), "-append", &line],
        &["-netdev", &network.netdev()],
        &["-device", &format!("virtio-net-device,netdev=net{}", network.mac())],
    ]
    .concat()
    .into_iter()
    .map(String::from)
    .collect()
}

pub(super) fn ram_mib(target: &Target) -> u64 {
    target.limits.memory_mib.unwrap_or(RAM_MIB)
}

/// The target's variables as words of the kernel's line.
pub(super) fn variables(target: &Target) -> String {
    target.env.iter().map(|(name, value)| format!(" {name}={value}")).collect()
}
