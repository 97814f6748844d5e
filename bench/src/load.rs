//! The load generator: keep-alive connections without pipelining, one epoll loop on each generator CPU.
//!
//! Schedule, duration and deadline are values of the one loop in `engine`; every response is checked in
//! `response`. A request on the hot path is one `write`, one `read` and one comparison, and allocates nothing.

mod connection;
mod engine;
mod outcome;
mod reference;
mod response;
mod schedule;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

pub use outcome::{Errors, Outcome};
pub use reference::{Expected, reference};
pub use response::COMPARED;
pub use schedule::Schedule;

use crate::placement;

/// How long a request may take before it counts as a timeout: long enough for every workload, short enough
/// that a dead server cannot hang a run.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// One load: what to send where, how fast, how long.
#[derive(Clone)]
pub struct Plan {
    pub address: SocketAddr,
    pub expected: Expected,
    pub connections: usize,
    pub schedule: Schedule,
    /// The measured window. Requests in flight at its end are waited for (up to `timeout`) and checked, but
    /// count for latency and errors only.
    pub duration: Duration,
    pub timeout: Duration,
    /// One thread is pinned to each of these; empty means one thread, not pinned.
    pub cpus: Vec<usize>,
}

/// Runs the load to its end, or until `stop` is set.
///
/// # Errors
/// When the loop cannot be set up (no descriptors left); what the server does wrong is counted instead.
pub fn run(plan: &Plan, stop: &AtomicBool) -> Result<Outcome> {
    let threads = plan.cpus.len().clamp(1, plan.connections.max(1));
    let shares = (0..threads).map(|index| share(plan, index, threads));
    let outcomes: Vec<Result<Outcome>> = thread::scope(|scope| {
        let workers: Vec<_> = shares.map(|share| scope.spawn(move || engine::run(&share, stop))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut sum: Option<Outcome> = None;
    for outcome in outcomes {
        let outcome = outcome?;
        match &mut sum {
            Some(sum) => sum.add(outcome)?,
            None => sum = Some(outcome),
        }
    }
    sum.context("no generator thread ran")
}

/// The part of the plan that one thread does.
fn share(plan: &Plan, index: usize, threads: usize) -> Plan {
    let connections = plan.connections / threads + usize::from(index < plan.connections % threads);
    let schedule = match plan.schedule {
        Schedule::Open { rate } => Schedule::Open { rate: rate / threads as f64 },
        Schedule::Closed => Schedule::Closed,
    };
    let cpus = plan.cpus.get(index).copied().into_iter().collect();
    Plan { connections, schedule, cpus, ..plan.clone() }
}

fn pin(plan: &Plan) -> Result<()> {
    placement::pin(&plan.cpus).context("cannot pin a generator thread to its CPU")
}
