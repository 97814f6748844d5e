//! How a guest is reached: over a network device of its own on this machine (tap), which takes root, or through
//! QEMU's user networking, which everybody may use.
//!
//! The device is preferred: it is what a guest has in production, and QEMU's forwarded port takes new connections
//! so slowly (its backlog is 1) that of a burst some wait for seconds.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::LaunchError;
use super::guard::Place;
use super::instance::Context;
use crate::target::{Target, find_program};

/// The port that the service listens on inside.
const INSIDE: u16 = 8080;

/// The way to one guest.
pub(super) enum Network {
    Tap(Tap),
    User(SocketAddr),
}

impl Network {
    /// A known address can only be forwarded to.
    pub(super) fn new(target: &Target, context: &Context<'_>) -> Result<Self, LaunchError> {
        if context.address.is_none()
            && let Ok(tap) = Tap::new()
        {
            return Ok(Network::Tap(tap));
        }
        Ok(Network::User(context.address(target)?))
    }

    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Network::Tap(tap) => tap.address(),
            Network::User(address) => *address,
        }
    }

    /// For QEMU's `-netdev`, with the id `net`.
    pub(super) fn netdev(&self) -> String {
        match self {
            Network::Tap(tap) => format!("tap,id=net,ifname={},script=no,downscript=no", tap.name),
            Network::User(address) => format!("user,id=net,hostfwd=tcp:{address}-:{INSIDE}"),
        }
    }

    /// More for QEMU's `-device`.
    pub(super) fn mac(&self) -> String {
        match self {
            Network::Tap(tap) => format!(",mac={}", tap.mac()),
            Network::User(_) => String::new(),
        }
    }

    /// The guest's address and its gateway; the network has 30 bits for a device, 24 in QEMU.
    fn addresses(&self) -> (Ipv4Addr, Ipv4Addr) {
        match self {
            Network::Tap(tap) => (tap.guest, tap.host),
            Network::User(_) => (Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(10, 0, 2, 2)),
        }
    }

    /// A word for Linux's command line.
    pub(super) fn linux(&self) -> String {
        let (guest, gateway) = self.addresses();
        let mask = if matches!(self, Network::Tap(_)) { "255.255.255.252" } else { "255.255.255.0" };
        format!("ip={guest}::{gateway}:{mask}::eth0:off")
    }

    /// A word for Unikraft's command line.
    pub(super) fn unikraft(&self) -> String {
        let (guest, gateway) = self.addresses();
        let bits = if matches!(self, Network::Tap(_)) { 30 } else { 24 };
        format!("netdev.ip={guest}/{bits}:{gateway}")
    }
}

/// A network device that ends at the guest, with an address on either side. Dropping it removes it.
pub(super) struct Tap {
    pub(super) name: String,
    host: Ipv4Addr,
    guest: Ipv4Addr,
    _place: Place,
}

/// Devices of the scale are called this, its process id, and a number.
const PREFIX: &str = "ounce";

impl Tap {
    pub(super) fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (pid, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed) % 16);
        // A /30 of the networks that are reserved for benchmarks (RFC 2544); by the process id, so that two scales
        // do not meet.
        let net = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + (pid % (1 << 11) * 16 + number) * 4;
        let (host, guest) = (Ipv4Addr::from(net + 1), Ipv4Addr::from(net + 2));
        let name = format!("{PREFIX}{pid}-{number}");
        let place = Place::held(&format!("ip link delete {name}"))?;
        ip(&["tuntap", "add", "dev", &name, "mode", "tap"])?;
        let tap = Self { name, host, guest, _place: place };
        ip(&["address", "add", &format!("{host}/30"), "dev", &tap.name])?;
        ip(&["link", "set", &tap.name, "up"])?;
        // So that nobody asks for it while the guest boots, and then waits a second before asking again.
        ip(&["neighbour", "add", &guest.to_string(), "lladdr", &tap.mac(), "dev", &tap.name])?;
        Ok(tap)
    }

    pub(super) fn address(&self) -> SocketAddr {
        (self.guest, INSIDE).into()
    }

    /// The guest's, locally administered.
    pub(super) fn mac(&self) -> String {
        let [a, b, c, d] = self.guest.octets();
        format!("06:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = ip(&["link", "delete", &self.name]);
    }
}

/// The process id in the name of a device of the scale.
pub(crate) fn tap_owner(name: &str) -> Option<i32> {
    name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}

pub(crate) fn ip(words: &[&str]) -> io::Result<()> {
    let program = find_program("ip").ok_or_else(|| io::Error::other("the program ip is missing"))?;
    let output = Command::new(program).args(words).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("`ip {}`: {complaint}", words.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::tap_owner;

    #[test]
    fn a_device_names_its_owner() {
        assert_eq!(tap_owner("ounce4194304-15"), Some(4_194_304));
        for other in ["ounce0", "ounce-1", "eth0", "tap7-1"] {
            assert_eq!(tap_owner(other), None, "{other}");
        }
    }
}
