//! Readiness: a free port before the start, and the first 200 after it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::error::LaunchError;
use super::process::Process;
use crate::interrupt::Interrupt;

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
    let client = client(timeout.min(Duration::from_secs(5)));
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
