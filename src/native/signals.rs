//! The signals that ask the process to stop.

use std::future;
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use tokio::net::UnixStream;

/// SIGTERM and SIGINT, where the platform has signals.
///
/// Not tokio's: it keeps a channel for each of 64 signals, 30 KB that would show in the idle footprint.
pub struct Signals(Option<UnixStream>);

impl Signals {
    /// Registers them: from here on they no longer end the process.
    pub fn new() -> Self {
        Signals(Self::register().ok())
    }

    fn register() -> io::Result<UnixStream> {
        let (ours, handlers) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        pipe::register(SIGTERM, handlers.try_clone()?)?;
        pipe::register(SIGINT, handlers)?;
        UnixStream::from_std(ours)
    }

    /// The next signal.
    pub async fn next(&self) {
        let Some(stream) = &self.0 else { return future::pending().await };
        // The handler writes one byte a signal.
        while stream.readable().await.is_ok() {
            if matches!(stream.try_read(&mut [0]), Ok(1)) {
                return;
            }
        }
    }
}
