//! Weighing: the memory and CPU time of an instance's whole process tree, at rest and under load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::cgroup::{Cgroup, Charge};
use crate::interrupt::Interrupt;
use crate::placement::Placement;
use crate::proc::{self, Memory};

/// Between two samples under load: 10 Hz.
const PERIOD: Duration = Duration::from_millis(100);
/// At rest: readings this far apart that are equal mean that the instance has settled.
const REST: Duration = Duration::from_millis(100);
/// It is weighed as it is when it has not settled by then.
const REST_DEADLINE: Duration = Duration::from_secs(2);

/// What is weighed of an instance.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The topmost processes that this instance needs; with everything below them they are its footprint. Empty when
    /// it cannot be weighed.
    pub roots: Vec<i32>,
    /// Its control group, where it has one of its own.
    pub cgroup: Option<Cgroup>,
}

impl Scope {
    pub fn of(roots: Vec<i32>) -> Self {
        Self { roots, cgroup: None }
    }

    fn charge(&self) -> Option<Charge> {
        self.cgroup.as_ref()?.read().ok()
    }
}

/// An instance at rest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Weight {
    /// The sum over all processes.
    pub total: Memory,
    /// Whether two readings in a row were equal; if not, the last one before the deadline counts.
    pub settled: bool,
    pub processes: Vec<ProcessWeight>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Charge>,
}

/// One process of the tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessWeight {
    pub pid: i32,
    pub name: String,
    pub memory: Memory,
}

/// One reading under load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Milliseconds since the load began.
    pub at_ms: f64,
    pub processes: usize,
    pub memory: Memory,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Charge>,
}

/// Everything weighed while a load ran.
#[derive(Default)]
pub struct Loaded {
    pub samples: Vec<Sample>,
    /// Why samples are missing, when some are.
    pub error: Option<String>,
    /// CPU time of the tree over the load, in seconds.
    pub server_cpu_s: f64,
    /// CPU time on the CPUs of the run that neither the tree nor the scale used: other programs, the hypervisor.
    pub others_cpu_s: f64,
    /// All the time that those CPUs had to give.
    pub available_cpu_s: f64,
    /// What the sampling itself cost, in CPU seconds on a generator CPU.
    pub sampler_cpu_s: f64,
}

/// Weighs an instance once it has come to rest.
///
/// # Errors
/// When it cannot be weighed: no permission, or it has ended.
pub fn at_rest(scope: &Scope, interrupt: &Interrupt) -> Result<Weight> {
    let until = Instant::now() + REST_DEADLINE;
    let mut last: Option<Memory> = None;
    loop {
        let pids = proc::tree(&scope.roots);
        let total = proc::memory_of(&pids).context("cannot weigh the instance")?;
        let settled = last == Some(total);
        if settled || Instant::now() >= until || interrupt.wait(REST) {
            let weigh = |&pid: &i32| {
                Some(ProcessWeight { pid, name: proc::name(pid)?, memory: proc::memory(pid).ok()? })
            };
            let processes = pids.iter().filter_map(weigh).collect();
            return Ok(Weight { total, settled, processes, cgroup: scope.charge() });
        }
        last = Some(total);
    }
}

/// Runs `load` while a thread samples the tree. The flag that `load` gets is set when the instance has ended or
/// the scale is interrupted.
pub fn while_loaded<T>(
    what: &Scope,
    placement: &Placement,
    interrupt: &Interrupt,
    load: impl FnOnce(&AtomicBool) -> T,
) -> (T, Loaded) {
    let (stop, finished) = (AtomicBool::new(false), Interrupt::new());
    let cpus = placement.cpus();
    thread::scope(|scope| {
        let sampler = scope.spawn(|| sample(what, interrupt, &stop, &finished));
        let read = || {
            let server = proc::cpu_seconds(&proc::tree(&what.roots));
            (server, proc::busy_seconds(&cpus) - server - seconds(ClockId::ProcessCPUTime))
        };
        let (start, before) = (Instant::now(), read());
        let result = load(&stop);
        let after = read();
        finished.trigger();
        let mut loaded = sampler.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        loaded.server_cpu_s = (after.0 - before.0).max(0.0);
        loaded.others_cpu_s = (after.1 - before.1).max(0.0);
        loaded.available_cpu_s = start.elapsed().as_secs_f64() * cpus.len() as f64;
        (result, loaded)
    })
}

fn sample(scope: &Scope, interrupt: &Interrupt, stop: &AtomicBool, finished: &Interrupt) -> Loaded {
    let mut loaded = Loaded::default();
    let start = Instant::now();
    let mut next = PERIOD;
    while !finished.wait(next.saturating_sub(start.elapsed())) {
        next = (next + PERIOD).max(start.elapsed());
        let pids = proc::tree(&scope.roots);
        let at_ms = start.elapsed().as_secs_f64() * 1e3;
        match proc::memory_of(&pids) {
            Ok(memory) => {
                let cgroup = scope.charge();
                loaded.samples.push(Sample { at_ms, processes: pids.len(), memory, cgroup });
            }
            // Nobody said what to weigh.
            Err(_) if scope.roots.is_empty() => {}
            Err(error) => {
                loaded.error.get_or_insert_with(|| error.to_string());
            }
        }
        if interrupt.is_set() || !scope.roots.iter().all(|&root| proc::is_running(root)) {
            stop.store(true, Ordering::Relaxed);
        }
    }
    loaded.sampler_cpu_s = seconds(ClockId::ThreadCPUTime);
    loaded
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
