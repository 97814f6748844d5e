//! Little's law, L = λ·W: on average as many requests are in flight as arrive while one of them is answered.
//!
//! It holds for every stable system, whatever its distributions. Here L is known (closed loop: every connection
//! has a request in flight at any time) or counted (open loop: the integral of a counter over time), and λ and W
//! come from the answers. Where the two sides differ, the figures do not describe the load that the report names:
//! connections were held and not served, requests were lost, or the generator did not keep its connections busy.
//!
//! A generator that was stopped for a while is not seen here, because latency counts the time: it shows as
//! CPU that others took.

use super::outcome::Errors;
use super::schedule::Schedule;

/// Connecting at the beginning, and a mean that stands for all.
const TOLERANCE: f64 = 0.1;
/// Requests in flight below which a difference of counted ones means nothing.
const SLACK: f64 = 0.1;
/// The share of requests after which a connection was opened again, above which a closed loop's connections were
/// not always busy: connecting takes time in which nothing is in flight.
const REOPENED: f64 = 0.01;

/// What the law is about, of one load.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub schedule: Schedule,
    pub connections: usize,
    pub requests: u64,
    pub drained: u64,
    pub errors: Errors,
    pub reconnects: u64,
    /// Mean latency of right responses from the moment that the request was really sent, in seconds.
    pub sent_mean_s: f64,
    /// Requests in flight on average over `wall_s`.
    pub in_flight: f64,
    pub window_s: f64,
    pub wall_s: f64,
}

/// Both sides of the law, in requests in flight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Little {
    /// L.
    pub expected: f64,
    /// λ·W.
    pub found: f64,
    /// How far the two may be apart.
    pub tolerance: f64,
}

impl Little {
    pub fn holds(&self) -> bool {
        (self.found - self.expected).abs() <= self.tolerance
    }
}

/// Compares what was in flight with rate × mean latency.
///
/// Requests that ended as timeouts are left out of λ: how long they held their connection is not in W, and that
/// they held it is what the law is to show. Every other end takes as long as a right answer, on average.
///
/// A closed loop sends until the window's end, and each connection then waits for its last answer. These answers
/// count with their whole latency, so λ·W may be above L by the share of that wait, and only above.
pub fn littles_law(flow: &Flow) -> Little {
    let Errors { reset, timeout, status, body, closed, malformed, connect: _, unsent: _ } = flow.errors;
    let ended = (flow.requests + flow.drained + reset + status + body + closed + malformed) as f64;
    let reopened = (flow.reconnects + reset + timeout + closed + malformed) as f64;
    let all_busy = flow.schedule == Schedule::Closed && reopened <= REOPENED * ended;
    let (expected, seconds) =
        if all_busy { (flow.connections as f64, flow.window_s) } else { (flow.in_flight, flow.wall_s) };
    let share = |time: f64| if seconds > 0.0 { time / seconds } else { 0.0 };
    let found = share(ended * flow.sent_mean_s);
    let wait = if found > expected { share(flow.wall_s - seconds) } else { 0.0 };
    let slack = if all_busy { 0.0 } else { SLACK };
    Little { expected, found, tolerance: expected * (TOLERANCE + wait) + slack }
}

#[cfg(test)]
mod tests;
