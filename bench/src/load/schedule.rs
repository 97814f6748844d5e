//! When requests are due: at once after the last answer (closed loop) or at fixed times (open loop).

use serde::{Deserialize, Serialize};

/// The schedule of a load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Each connection sends as soon as its last request was answered: throughput at saturation.
    Closed,
    /// `rate` requests a second whatever the server does. Latency counts from the intended send time, so a
    /// stall is paid by every request that it delays (no coordinated omission).
    Open { rate: f64 },
}

/// The intended send times of one thread, in nanoseconds since its start.
pub(super) struct Arrivals {
    /// Nanoseconds between two requests; `None` for the closed loop.
    interval: Option<f64>,
    issued: u64,
    end: u64,
}

impl Arrivals {
    pub(super) fn new(schedule: Schedule, end: u64) -> Self {
        let interval = match schedule {
            Schedule::Closed => None,
            Schedule::Open { rate } => Some(1e9 / rate),
        };
        Self { interval, issued: 0, end }
    }

    /// The intended time of the next request, if it is due.
    pub(super) fn due(&self, now: u64) -> Option<u64> {
        let intended = self.next().unwrap_or(now);
        (intended <= now && intended < self.end).then_some(intended)
    }

    /// The intended time of the next request; `None` when it depends on an answer alone.
    pub(super) fn next(&self) -> Option<u64> {
        Some((self.issued as f64 * self.interval?) as u64)
    }

    /// The next request has been sent.
    pub(super) fn advance(&mut self) {
        self.issued += 1;
    }

    /// Requests that were due before the end and have not been sent.
    pub(super) fn backlog(&self) -> u64 {
        let Some(interval) = self.interval else { return 0 };
        ((self.end as f64 / interval).ceil() as u64).saturating_sub(self.issued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_issues_its_rate_and_no_more() {
        let mut arrivals = Arrivals::new(Schedule::Open { rate: 1000.0 }, 10_000_000);
        assert_eq!(arrivals.backlog(), 10);
        let mut times = Vec::new();
        while let Some(intended) = arrivals.due(u64::MAX) {
            times.push(intended);
            arrivals.advance();
        }
        assert_eq!((times.len(), times[9], arrivals.backlog()), (10, 9_000_000, 0));
    }

    #[test]
    fn a_closed_loop_is_always_due_until_the_end() {
        let arrivals = Arrivals::new(Schedule::Closed, 100);
        assert_eq!((arrivals.due(99), arrivals.due(100), arrivals.backlog()), (Some(99), None, 0));
    }
}
