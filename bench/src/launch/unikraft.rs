//! The service on Unikraft's base runtime: by `kraft`, or in QEMU with the runtime's kernel.
//!
//! A unikernel has no signals: it cannot be asked to end, so its machine is ended.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::error::LaunchError;
use super::group::Group;
use super::guest::{End, Guest, QEMU, boot};
use super::instance::{Context, Instance, Launcher, file_bytes};
use super::local::Local;
use super::microvm::ram_mib;
use super::network::Network;
use super::process::{Process, Spawn};
use super::words::Words;
use crate::target::{Lack, Target, find_program};

/// Names the kernel image of the base runtime, for QEMU.
const KERNEL: &str = "OUNCE_UNIKRAFT_KERNEL";

pub(super) struct UnikraftLauncher;

impl Launcher for UnikraftLauncher {
    fn missing(&self, target: &Target) -> Vec<Lack> {
        let lack = |what: &str, hint: &str| vec![Lack { what: what.into(), hint: hint.into() }];
        match kernel() {
            Some(kernel) if !kernel.is_file() => lack(
                &format!("the kernel {}", kernel.display()),
                &format!("set {KERNEL} to the image of the base runtime"),
            ),
            Some(_) if find_program(QEMU).is_none() => {
                lack(&format!("the program {QEMU}"), "apt install qemu-system-x86")
            }
            Some(_) => {
                let initrd = target.initrd.as_ref().filter(|file| !target.path(file).exists());
                initrd
                    .map_or_else(Vec::new, |file| lack(&format!("the file {}", file.display()), "make guest"))
            }
            None if find_program("kraft").is_none() => lack(
                "the program kraft",
                &format!(
                    "see https://unikraft.org/docs/cli/install, or set {KERNEL} to a kernel of the base runtime"
                ),
            ),
            None => Vec::new(),
        }
    }

    /// The root file system, and the kernel where it is known.
    fn artefact_bytes(&self, target: &Target) -> Option<u64> {
        let kernel = kernel().and_then(|kernel| Some(kernel.metadata().ok()?.len()));
        Some(file_bytes(target, target.initrd.as_ref()?)? + kernel.unwrap_or(0))
    }

    fn launch(&self, target: &Target, context: &Context<'_>) -> Result<Box<dyn Instance>, LaunchError> {
        let (group, ram_mib) = (Group::new(target)?, ram_mib(target));
        let door = group.as_ref().map(Group::door);
        let Some(kernel) = kernel() else {
            let address = context.address(target)?;
            let words = Words::new(target, context, address)?;
            let spawn = words.spawn(&kraft(target, address), context)?;
            let process = Process::spawn(&Spawn { group: door, ..spawn })?;
            let local = Local::ready(process, target, address, context, words.scratch, group)?;
            // The machine that kraft starts is not its child; its forwarded port is nobody else's.
            let (elsewhere, network) = (Some(format!("hostfwd=tcp:{address}-")), Network::User(address));
            let (emulated, end) = (false, End::Machine);
            return Ok(Box::new(Guest { local, emulated, end, ram_mib, elsewhere, network }));
        };
        let network = Network::new(target, context)?;
        let address = network.address();
        let words = Words::new(target, context, address)?;
        let (process, emulated) = boot(|accelerator| {
            let spawn = words.spawn(&qemu(target, &kernel, &network, accelerator), context)?;
            Ok(Spawn { console: true, group: door.clone(), ..spawn })
        })?;
        let local = Local::ready(process, target, address, context, words.scratch, group)?;
        Ok(Box::new(Guest { local, emulated, end: End::Machine, ram_mib, elsewhere: None, network }))
    }
}

fn kernel() -> Option<PathBuf> {
    env::var_os(KERNEL).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn kraft(target: &Target, address: SocketAddr) -> Vec<String> {
    let directory =
        target.path(target.kraftfile.as_deref().unwrap_or(Path::new("."))).to_string_lossy().into_owned();
    let (publish, ram) = (format!("{address}:8080"), format!("{}Mi", ram_mib(target)));
    let words = [
        "kraft", "run", "--rm", "--plat", "qemu", "--arch", "x86_64", "-p", &publish, "-M", &ram, &directory,
    ];
    words.map(String::from).to_vec()
}

fn qemu(target: &Target, kernel: &Path, network: &Network, accelerator: &str) -> Vec<String> {
    let initrd = target.initrd.as_deref().unwrap_or(Path::new(""));
    let line = format!(
        "{} vfs.fstab=[\"initrd0:/:extract:::\"] -- /ounce {}",
        network.unikraft(),
        target.args.join(" ")
    );
    let ram = format!("{}M", ram_mib(target));
    [
        // The kernel wants RDRAND and 1 GiB pages.
        [QEMU, "-cpu", "max", "-accel", accelerator, "-m", &ram, "-nodefaults", "-no-user-config"].as_slice(),
        &["-display", "none", "-no-reboot", "-serial", "stdio"],
        &["-kernel", &kernel.to_string_lossy(), "-initrd", &initrd.to_string_lossy(), "-append", &line],
        &["-netdev", &network.netdev()],
        // With event_idx its network hangs under load.
        &["-device", &format!("virtio-net-pci,netdev=net,event_idx=off{}", network.mac())],
    ]
    .concat()
    .into_iter()
    .map(String::from)
    .collect()
}
