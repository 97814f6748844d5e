//! Roles: what each process of an instance is there for.

use serde::{Deserialize, Serialize};

use crate::target::Kind;

/// Why a process is part of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The service's own program, and what it starts.
    #[default]
    Service,
    /// What executes the service's code, which cannot be told apart from it: wasmtime, Spin's trigger.
    Runtime,
    /// What started the rest and waits for it: `spin up`, `kraft run`.
    Supervisor,
    /// What stands between a container and its engine.
    Shim,
    /// What copies the bytes of a published port.
    Proxy,
    /// A virtual machine's program, without its guest's RAM where that can be told apart.
    Vmm,
    /// The part of a virtual machine that is its guest's RAM, as far as it was touched. Never a process of its own.
    GuestRam,
}

impl Role {
    /// The word for it in a record.
    pub fn name(self) -> &'static str {
        match self {
            Role::Service => "service",
            Role::Runtime => "runtime",
            Role::Supervisor => "supervisor",
            Role::Shim => "shim",
            Role::Proxy => "proxy",
            Role::Vmm => "vmm",
            Role::GuestRam => "guest-ram",
        }
    }

    /// The role of a process in an instance of this kind; `topmost` when what started it is no part of it.
    pub(super) fn of(kind: Kind, process: &str, topmost: bool) -> Self {
        match kind {
            Kind::Process | Kind::Url => Role::Service,
            Kind::Wasmtime => Role::Runtime,
            Kind::Spin if topmost => Role::Supervisor,
            Kind::Spin => Role::Runtime,
            Kind::Docker if !topmost => Role::Service,
            Kind::Docker if process == "docker-proxy" => Role::Proxy,
            Kind::Docker => Role::Shim,
            Kind::Microvm | Kind::Unikraft if process == "kraft" => Role::Supervisor,
            Kind::Microvm | Kind::Unikraft => Role::Vmm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_its_role_by_kind_name_and_place() {
        let cases = [
            (Kind::Process, "nginx", true, Role::Service),
            (Kind::Process, "docker-proxy", false, Role::Service),
            (Kind::Url, "kraft", true, Role::Service),
            (Kind::Wasmtime, "wasmtime", true, Role::Runtime),
            (Kind::Spin, "spin", true, Role::Supervisor),
            (Kind::Spin, "spin", false, Role::Runtime),
            (Kind::Docker, "containerd-shim", true, Role::Shim),
            (Kind::Docker, "docker-proxy", true, Role::Proxy),
            (Kind::Docker, "docker-proxy", false, Role::Service),
            (Kind::Microvm, "qemu-system-x86", true, Role::Vmm),
            (Kind::Microvm, "firecracker", true, Role::Vmm),
            (Kind::Unikraft, "kraft", true, Role::Supervisor),
            (Kind::Unikraft, "qemu-system-x86", false, Role::Vmm),
        ];
        for (kind, process, topmost, role) in cases {
            assert_eq!(Role::of(kind, process, topmost), role, "{kind:?} {process} {topmost}");
        }
    }

    #[test]
    fn a_record_calls_a_role_by_its_name() {
        use Role::{GuestRam, Proxy, Runtime, Service, Shim, Supervisor, Vmm};
        for role in [Service, Runtime, Supervisor, Shim, Proxy, Vmm, GuestRam] {
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{}\"", role.name()));
        }
    }
}
