//! Waking an open loop in time. `epoll_wait` knows milliseconds alone (`epoll_pwait2` wants Linux 5.11), so requests
//! would be sent half a millisecond late on average, and pay for it in their latency.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// What the event of an alarm carries instead of the number of a connection.
pub(super) const ALARM: u64 = u64::MAX;

/// A timer that ends the wait for events.
pub(super) struct Alarm {
    timer: OwnedFd,
    at: u64,
}

impl Alarm {
    pub(super) fn new(epoll: &OwnedFd) -> io::Result<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // Edge-triggered, so that it need not be read.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(epoll, &timer, epoll::EventData::new_u64(ALARM), flags)?;
        Ok(Self { timer, at: 0 })
    }

    /// Rings at a time after `now`, and no more at an earlier one.
    pub(super) fn set(&mut self, at: u64, now: u64) -> io::Result<()> {
        if self.at != at {
            let once = Timespec { tv_sec: 0, tv_nsec: 0 };
            let left = Timespec::try_from(Duration::from_nanos(at - now)).map_err(io::Error::other)?;
            let time = Itimerspec { it_interval: once, it_value: left };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &time)?;
            self.at = at;
        }
        Ok(())
    }
}
