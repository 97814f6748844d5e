//! A process held by a file descriptor: whoever gets its number after its end is not mistaken for it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::proc;

/// Somebody else's process.
pub struct Held(OwnedFd);

impl Held {
    /// The process of this identity (see [`proc::identity`]), unless it has ended.
    pub fn open(identity: (i32, u64)) -> Option<Self> {
        let fd = pidfd_open(Pid::from_raw(identity.0)?, PidfdFlags::empty()).ok()?;
        // Compared when the number can no longer change hands.
        (proc::identity(identity.0) == Some(identity)).then_some(Self(fd))
    }

    /// # Errors
    /// When the signal may not be sent; a process that has ended is none.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.0, signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Whether the process ended within `timeout`.
    pub fn ended(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(left) = Timespec::try_from(left) else { return false };
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&left)) {
                Err(rustix::io::Errno::INTR) => {}
                result => return result.is_ok_and(|count| count > 0),
            }
        }
    }
}
