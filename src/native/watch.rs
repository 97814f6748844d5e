//! What a connection is doing and since when, so that one sweep a tick can find the ones that take too long.
//!
//! A timer for each request would cost more than the rest of our part of the request. This costs two stores.
//! Everything here is written and read on the worker's own thread; the atomics are for the type system.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::Waker;
use std::time::Duration;

use super::config::Timeouts;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing of a request has come yet.
    Idle,
    /// A head is arriving.
    Head,
    /// A body is arriving.
    Body,
    /// A handler is at work, for as long as it takes.
    Handler,
    /// A response is being sent.
    Response,
}

const PHASES: [Phase; 5] = [Phase::Idle, Phase::Head, Phase::Body, Phase::Handler, Phase::Response];

#[derive(Default)]
pub struct Watch {
    phase: AtomicU8,
    since_ms: AtomicU64,
    expired: AtomicBool,
    /// At least one response was sent.
    used: AtomicBool,
    /// The connection's task. It stays the same for the connection's life.
    waker: OnceLock<Waker>,
}

impl Watch {
    pub fn phase(&self) -> Phase {
        PHASES[self.phase.load(Relaxed) as usize]
    }

    pub fn enter(&self, phase: Phase, now_ms: u64) {
        if phase == Phase::Idle {
            self.used.store(true, Relaxed);
        }
        self.phase.store(phase as u8, Relaxed);
        self.progress(now_ms);
    }

    /// The phase goes on, but its time starts anew.
    pub fn progress(&self, now_ms: u64) {
        self.since_ms.store(now_ms, Relaxed);
        self.expired.store(false, Relaxed);
    }

    pub fn expired(&self) -> bool {
        self.expired.load(Relaxed)
    }

    pub fn set_waker(&self, waker: &Waker) {
        self.waker.get_or_init(|| waker.clone());
    }

    /// Tells the connection's task when its phase has lasted too long. `hurry` is set while connections are
    /// wanted back: then an idle one is only left the grace that a next request may need on its way.
    pub fn check(&self, now_ms: u64, timeouts: &Timeouts, hurry: bool) {
        let limit = match self.phase() {
            Phase::Idle if hurry => GRACE.min(timeouts.idle),
            Phase::Idle if self.used.load(Relaxed) => timeouts.idle,
            Phase::Idle | Phase::Head => timeouts.header,
            Phase::Body => timeouts.body,
            Phase::Handler => return,
            Phase::Response => timeouts.write,
        };
        let lasted = now_ms.saturating_sub(self.since_ms.load(Relaxed));
        if lasted > limit.as_millis() as u64 {
            self.expired.store(true, Relaxed);
            if let Some(waker) = self.waker.get() {
                waker.wake_by_ref();
            }
        }
    }
}

/// How long an idle connection is kept when it is to be closed: a request may be on its way already.
pub const GRACE: Duration = Duration::from_secs(1);

/// How often connections are looked at: a quarter of the shortest timeout, but never a busy loop.
pub fn tick(timeouts: &Timeouts) -> Duration {
    let Timeouts { header, body, write, idle, .. } = *timeouts;
    let shortest = header.min(body).min(write).min(idle);
    (shortest / 4).clamp(Duration::from_millis(5), Duration::from_millis(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts() -> Timeouts {
        let s = Duration::from_secs;
        Timeouts { header: s(1), body: s(2), write: s(3), idle: s(4), drain_delay: s(0), shutdown: s(0) }
    }

    /// The first whole second at which a fresh look finds the phase to have lasted too long.
    fn expires(watch: &Watch, hurry: bool) -> Option<u64> {
        (0..10_000).find(|now_ms| {
            watch.check(*now_ms, &timeouts(), hurry);
            watch.expired()
        })
    }

    #[test]
    fn each_phase_has_its_own_limit() {
        for (phase, expected) in [
            (Phase::Head, Some(1001)),
            (Phase::Body, Some(2001)),
            (Phase::Response, Some(3001)),
            (Phase::Idle, Some(4001)),
            (Phase::Handler, None),
        ] {
            let watch = Watch::default();
            watch.enter(phase, 0);
            assert_eq!(expires(&watch, false), expected, "{phase:?}");
        }
    }

    #[test]
    fn a_new_connection_has_the_head_timeout_and_hurry_shortens_idleness_alone() {
        assert_eq!(expires(&Watch::default(), false), Some(1001));
        let watch = Watch::default();
        watch.enter(Phase::Idle, 0);
        assert_eq!(expires(&watch, true), Some(1001));
        let watch = Watch::default();
        watch.enter(Phase::Response, 0);
        assert_eq!(expires(&watch, true), Some(3001));
    }

    #[test]
    fn progress_starts_the_time_anew() {
        let watch = Watch::default();
        watch.enter(Phase::Response, 0);
        watch.progress(9000);
        assert_eq!(expires(&watch, false), None);
    }
}
