//! Firecracker: the guest of [`super::microvm`] with a network device of its own on the host (tap), which needs
//! root, and KVM, for which there is no substitute.

use std::fs;

use serde_json::{Value, json};

use super::error::LaunchError;
use super::group::Group;
use super::guest::{End, Guest, kvm_is_there};
use super::instance::{Context, Instance};
use super::local::Local;
use super::microvm::{INTERRUPT, ram_mib, variables};
use super::network::{Network, Tap};
use super::process::{Process, Spawn};
use super::scratch::Scratch;
use super::words::{Words, target_error};
use crate::target::{Lack, Target, find_program};

pub(super) fn missing() -> Vec<Lack> {
    let lack = |what: &str, hint: &str| Some(Lack { what: what.into(), hint: hint.into() });
    let program = find_program("firecracker").is_none().then(|| {
        lack("the program firecracker", "see https://github.com/firecracker-microvm/firecracker/releases")
    });
    let kvm = (!kvm_is_there()).then(|| {
        lack("KVM (/dev/kvm, readable and writable)", "enable virtualisation; usermod -aG kvm $USER")
    });
    let root = (!rustix::process::geteuid().is_root())
        .then(|| lack("root, to make a network device", "run as root"));
    let ip = find_program("ip").is_none().then(|| lack("the program ip", "apt install iproute2"));
    [program, kvm, root, ip].into_iter().flatten().flatten().collect()
}

pub(super) fn launch(target: &Target, context: &Context<'_>) -> Result<Box<dyn Instance>, LaunchError> {
    let failed = |what: String| target_error(target, what);
    let tap = Tap::new().map_err(|error| failed(format!("no network device: {error}")))?;
    let (address, name, mac, network) = (tap.address(), tap.name.clone(), tap.mac(), Network::Tap(tap));
    let scratch = Scratch::new().map_err(|error| failed(format!("no scratch directory: {error}")))?;
    let file = scratch.path().join("machine.json");
    let mut machine = machine(target, &network).map_err(failed)?;
    machine["network-interfaces"][0]["host_dev_name"] = json!(name);
    machine["network-interfaces"][0]["guest_mac"] = json!(mac);
    fs::write(&file, machine.to_string())
        .map_err(|error| failed(format!("cannot write {}: {error}", file.display())))?;
    let words = ["firecracker", "--no-api", "--config-file", &file.to_string_lossy()].map(String::from);
    let spawn = Words::new(target, context, address)?.spawn(&words, context)?;
    let group = Group::new(target)?;
    let process = Process::spawn(&Spawn { console: true, group: group.as_ref().map(Group::door), ..spawn })?;

    let local = Local::ready(process, target, address, context, Some(scratch), group)?;
    let (emulated, end, ram_mib) = (false, End::Console(INTERRUPT), ram_mib(target));
    Ok(Box::new(Guest { local, emulated, end, ram_mib, elsewhere: None, network }))
}

/// The configuration of the target's file with this launch's files, sizes and addresses.
fn machine(target: &Target, network: &Network) -> Result<Value, String> {
    let path = target.path(target.config.as_deref().unwrap_or("".as_ref()));
    let text =
        fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut machine: Value =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let file = |file: &Option<std::path::PathBuf>| target.path(file.as_deref().unwrap_or("".as_ref()));
    let line = machine["boot-source"]["boot_args"].as_str().unwrap_or_default();
    let kept = line.split_whitespace().filter(|word| !word.starts_with("ip=")).collect::<Vec<_>>().join(" ");
    machine["boot-source"]["kernel_image_path"] = json!(file(&target.kernel));
    machine["boot-source"]["initrd_path"] = json!(file(&target.initrd));
    machine["boot-source"]["boot_args"] = json!(format!("{kept} {}{}", network.linux(), variables(target)));
    machine["machine-config"]["mem_size_mib"] = json!(ram_mib(target));
    machine["machine-config"]["vcpu_count"] = json!(target.limits.cpus.unwrap_or(1.0).ceil() as u64);
    Ok(machine)
}
