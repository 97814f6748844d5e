//! Readiness: a free port before the start, and the phases up to the first 200 after it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::LaunchError;
use super::process::Process;
use crate::interrupt::Interrupt;

/// One cold start by its phases, in milliseconds since the spawn. A phase that cannot be seen is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Start {
    pub page_cache: PageCache,
    /// The first byte on standard output or error; of a guest, on its console.
    pub first_output_ms: Option<f64>,
    /// The first connection that was taken, where nothing else than the service can take it.
    pub listening_ms: Option<f64>,
    /// The first 200.
    pub ready_ms: f64,
}

/// What the kernel remembers of files when a program starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PageCache {
    /// As it was left: what was started before is read from memory.
    #[default]
    Warm,
    /// Emptied right before the start: everything is read from the disk.
    Dropped,
}

/// How long one attempt to connect or to be answered may take.
const PATIENCE: Duration = Duration::from_secs(5);

const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// Whether starts with [`PageCache::Dropped`] are possible: that takes root, and not every root may.
pub fn may_drop_caches() -> bool {
    OpenOptions::new().write(true).open(DROP_CACHES).is_ok()
}

impl PageCache {
    /// Brings the page cache into this state.
    pub(super) fn prepare(self) -> Result<(), LaunchError> {
        if self == PageCache::Warm {
            return Ok(());
        }
        // What is not yet on the disk cannot be dropped.
        rustix::fs::sync();
        let dropped =
            OpenOptions::new().write(true).open(DROP_CACHES).and_then(|mut file| file.write_all(b"3"));
        dropped.map_err(LaunchError::PageCache)
    }
}

/// A port of the loopback address that nobody listens on right now.
///
/// # Errors
/// When the system has none.
pub fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

/// An HTTP client that keeps no connection open and asks no proxy.
pub(crate) fn client(timeout: Duration) -> ureq::Agent {
    // No global timeout: with one ureq resolves names on a thread of its own, which a cold start would feel.
    ureq::Agent::config_builder()
        .timeout_connect(Some(timeout))
        .timeout_recv_response(Some(timeout))
        .timeout_recv_body(Some(timeout))
        .max_idle_connections(0)
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into()
}

/// Connects again and again, back to back, until somebody listens. Returns the time since the spawn, or nothing when
/// `timeout` passes first.
///
/// # Errors
/// [`LaunchError`] when the program ends first or the scale is interrupted.
pub(super) fn until_listening(
    process: &mut Process,
    address: SocketAddr,
    timeout: Duration,
    interrupt: &Interrupt,
) -> Result<Option<Duration>, LaunchError> {
    loop {
        let connected = TcpStream::connect_timeout(&address, PATIENCE);
        let waited = process.spawned().elapsed();
        // Of two ends that both look for a port one can meet itself.
        if connected.is_ok_and(|stream| stream.local_addr().ok() != stream.peer_addr().ok()) {
            return Ok(Some(waited));
        }
        process.check_alive()?;
        if interrupt.is_set() {
            return Err(LaunchError::Interrupted);
        }
        if waited > timeout {
            return Ok(None);
        }
        std::thread::yield_now();
    }
}

/// Asks `path` again and again, back to back, until it answers 200. Returns the time since the spawn.
///
/// # Errors
/// [`LaunchError`] when the program ends first, `timeout` passes first, or the scale is interrupted.
pub fn until_ready(
    process: &mut Process,
    address: SocketAddr,
    path: &str,
    timeout: Duration,
    interrupt: &Interrupt,
) -> Result<Duration, LaunchError> {
    let url = format!("http://{address}{path}");
    let client = client(timeout.min(PATIENCE));
    loop {
        let answer = client.get(&url).call();
        let waited = process.spawned().elapsed();
        let last = match answer {
            Ok(response) if response.status() == 200 => {
                // Somebody else on this port would answer, too: the program itself must be alive.
                process.check_alive()?;
                return Ok(waited);
            }
            Ok(response) => format!("status {}", response.status()),
            Err(error) => error.to_string(),
        };
        process.check_alive()?;
        if interrupt.is_set() {
            return Err(LaunchError::Interrupted);
        }
        if waited > timeout {
            let (command, output) = (process.command().to_owned(), process.last_words());
            return Err(LaunchError::NotReady { command, url, waited: timeout, last, output });
        }
        // With one CPU the server needs this one.
        std::thread::yield_now();
    }
}
