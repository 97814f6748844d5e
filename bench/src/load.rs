//! The load generator: keep-alive connections without pipelining, one epoll loop on each generator CPU.
//!
//! Schedule, duration and deadline are values of the one loop in `engine`; every response is checked in
//! `response`. A request on the hot path is one `write`, one `read` and one comparison, and allocates nothing.

mod alarm;
mod connection;
mod engine;
mod flight;
mod little;
mod mix;
mod outcome;
mod reference;
mod response;
mod schedule;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

pub use little::{Flow, Little, littles_law};
pub use outcome::{Errors, Outcome};
pub use reference::{Exchange, Expected, reference};
pub use response::COMPARED;
use schedule::Part;
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
    let of = plan.cpus.len().clamp(1, plan.connections.max(1));
    let parts = (0..of).map(|index| Part { index, of });
    let outcomes: Vec<Result<Outcome>> = thread::scope(|scope| {
        let work = |part| scope.spawn(move || engine::run(&share(plan, part), part, stop));
        let workers: Vec<_> = parts.map(work).collect();
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

/// What of the plan one thread does; its part of the schedule is the schedule's affair.
fn share(plan: &Plan, Part { index, of }: Part) -> Plan {
    let connections = plan.connections / of + usize::from(index < plan.connections % of);
    let cpus = plan.cpus.get(index).copied().into_iter().collect();
    Plan { connections, cpus, ..plan.clone() }
}

fn pin(plan: &Plan) -> Result<()> {
    placement::pin(&plan.cpus).context("cannot pin a generator thread to its CPU")
}
