//! What a load found out.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::Plan;
use super::little::{Flow, Little, littles_law};
use crate::stats::ratio;

/// Requests that went wrong, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// No connection: refused, or not within the request timeout.
    pub connect: u64,
    /// The connection was reset while a request was in flight.
    pub reset: u64,
    /// No complete response within the request timeout.
    pub timeout: u64,
    /// Another status than the workload expects.
    pub status: u64,
    /// A body of other length or content than the reference response.
    pub body: u64,
    /// The connection was closed before the response was complete.
    pub closed: u64,
    /// Not an HTTP/1 response.
    pub malformed: u64,
    /// Open loop: due, but no connection became free in time.
    pub unsent: u64,
}

/// The kinds that there were, with their counts.
impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.by_kind().into_iter().filter(|(_, count)| *count > 0);
        let kinds: Vec<String> = kinds.map(|(kind, count)| format!("{kind} {count}")).collect();
        f.write_str(&if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") })
    }
}

impl Errors {
    /// The kinds with their counts, in a fixed order.
    pub fn by_kind(&self) -> [(&'static str, u64); 8] {
        [
            ("connect", self.connect),
            ("reset", self.reset),
            ("timeout", self.timeout),
            ("status", self.status),
            ("body", self.body),
            ("closed", self.closed),
            ("malformed", self.malformed),
            ("unsent", self.unsent),
        ]
    }

    pub fn total(&self) -> u64 {
        self.by_kind().iter().map(|(_, count)| count).sum()
    }

    fn add(&mut self, other: Self) {
        self.connect += other.connect;
        self.reset += other.reset;
        self.timeout += other.timeout;
        self.status += other.status;
        self.body += other.body;
        self.closed += other.closed;
        self.malformed += other.malformed;
        self.unsent += other.unsent;
    }
}

/// The figures of one load, summed over the generator's threads.
pub struct Outcome {
    /// Right responses within the window.
    pub requests: u64,
    /// Right responses to requests that were in flight at the end of the window.
    pub drained: u64,
    pub errors: Errors,
    /// Connections opened again because the server closed them between requests, as HTTP allows.
    pub reconnects: u64,
    /// Nanoseconds of every right response, from the intended send time.
    pub latency: Histogram<u64>,
    /// Mean latency of right responses from the moment that the request was really sent.
    pub sent_mean: Duration,
    /// Requests in flight, on average over `wall`.
    pub in_flight: f64,
    /// Right responses, drained ones included, by kind of request in the order of the workload.
    pub kinds: Vec<u64>,
    /// The window; shorter than planned when the load was stopped.
    pub window: Duration,
    /// CPU time of the busiest generator thread, and of all, within the whole load.
    pub busiest_cpu: Duration,
    pub cpu: Duration,
    /// From the first connect to the last response.
    pub wall: Duration,
    pub threads: usize,
}

/// A histogram for 1 µs to 60 s in nanoseconds, exact to three digits.
pub(super) fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).context("cannot make the latency histogram")
}

impl Outcome {
    /// Right responses a second within the window.
    pub fn per_second(&self) -> f64 {
        if self.window.is_zero() { 0.0 } else { self.requests as f64 / self.window.as_secs_f64() }
    }

    /// The share of its CPU that the busiest generator thread used.
    pub fn busy(&self) -> f64 {
        if self.wall.is_zero() { 0.0 } else { self.busiest_cpu.as_secs_f64() / self.wall.as_secs_f64() }
    }

    /// Whether the figures fit together, see [`littles_law`].
    pub fn littles_law(&self, plan: &Plan) -> Little {
        littles_law(&Flow {
            schedule: plan.schedule,
            connections: plan.connections,
            requests: self.requests,
            drained: self.drained,
            errors: self.errors,
            reconnects: self.reconnects,
            sent_mean_s: self.sent_mean.as_secs_f64(),
            in_flight: self.in_flight,
            window_s: self.window.as_secs_f64(),
            wall_s: self.wall.as_secs_f64(),
        })
    }

    fn sent_total(&self) -> f64 {
        self.sent_mean.as_secs_f64() * self.latency.len() as f64
    }

    fn in_flight_total(&self) -> f64 {
        self.in_flight * self.wall.as_secs_f64()
    }

    pub(super) fn add(&mut self, other: Self) -> Result<()> {
        let sent = self.sent_total() + other.sent_total();
        let in_flight = self.in_flight_total() + other.in_flight_total();
        self.requests += other.requests;
        self.drained += other.drained;
        self.errors.add(other.errors);
        self.reconnects += other.reconnects;
        self.latency.add(other.latency).context("cannot add latency histograms")?;
        self.kinds.iter_mut().zip(other.kinds).for_each(|(kind, other)| *kind += other);
        self.window = self.window.max(other.window);
        self.busiest_cpu = self.busiest_cpu.max(other.busiest_cpu);
        self.cpu += other.cpu;
        self.wall = self.wall.max(other.wall);
        self.threads += other.threads;
        self.sent_mean = Duration::from_secs_f64(ratio(sent, self.latency.len() as f64).unwrap_or(0.0));
        self.in_flight = ratio(in_flight, self.wall.as_secs_f64()).unwrap_or(0.0);
        Ok(())
    }
}
