//! How a guest is reached: over a network device of its own on this machine (tap), which takes root, or through
//! QEMU's user networking, which everybody may use.
//!
//! The device is preferred: it is what a guest has in production, and QEMU's forwarded port takes new connections
//! so slowly (its backlog is 1) that of a burst some wait for seconds.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::LaunchError;
use super::guard::Place;
use super::instance::Context;
use super::owner;
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

/// Devices of the scale are called this, its process id, and a number; their alias is its mark.
const PREFIX: &str = "ounce";

/// How many networks of 4 addresses there are in 198.18.0.0/15, which is reserved for benchmarks (RFC 2544).
const NETS: u32 = 1 << 15;

impl Tap {
    pub(super) fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..NETS {
            match Self::numbered(NEXT.fetch_add(1, Ordering::Relaxed)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                result => return result,
            }
        }
        Err(last)
    }

    fn numbered(number: u32) -> io::Result<Self> {
        let pid = std::process::id();
        // By the process id, so that two scales seldom ask for the same.
        let net = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + (pid % (1 << 11) * 16 + number) % NETS * 4;
        let (host, guest) = (Ipv4Addr::from(net + 1), Ipv4Addr::from(net + 2));
        let name = format!("{PREFIX}{pid}-{}", number % 100);
        // Another scale's: the number of its process is the same in another namespace, or its net.
        if Path::new("/sys/class/net").join(&name).exists() || TcpListener::bind((host, 0)).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let place = Place::held(&format!("ip link delete {name}"))?;
        ip(&["tuntap", "add", "dev", &name, "mode", "tap"])?;
        let tap = Self { name, host, guest, _place: place };
        ip(&["link", "set", &tap.name, "alias", &owner::mark()])?;
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

pub(crate) fn ip(words: &[&str]) -> io::Result<()> {
    let program = find_program("ip").ok_or_else(|| io::Error::other("the program ip is missing"))?;
    let output = Command::new(program).args(words).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("`ip {}`: {complaint}", words.join(" "))))
}
