//! Weighing: the memory, CPU time and energy of an instance's whole process tree, at rest and under load.

mod role;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

pub use self::role::Role;
use crate::cgroup::{Cgroup, Charge};
use crate::energy::Meter;
use crate::interrupt::Interrupt;
use crate::placement::Placement;
use crate::proc::{self, Memory};
use crate::target::Kind;

/// Between two samples under load: 10 Hz. A sample takes 0.1 ms for a process of 1 MB and 0.6 ms for one of 40 MB or a
/// virtual machine, in which the process cannot change its mappings: that is why there are not more of them.
pub const PERIOD: Duration = Duration::from_millis(100);
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
    /// What isolates it, from which the roles of its processes follow.
    pub kind: Option<Kind>,
    /// How much RAM its guest is given, in bytes, where it has one.
    pub guest_ram: Option<u64>,
}

impl Scope {
    pub fn of(roots: Vec<i32>) -> Self {
        Self { roots, ..Self::default() }
    }

    /// Everything below the roots, and whatever left their tree and is still in their control group: a process that is
    /// started twice removed becomes a child of process 1, and weighs all the same.
    pub fn processes(&self) -> Vec<i32> {
        let mut all = proc::tree(&self.roots);
        if !all.is_empty() {
            let members = self.cgroup.iter().flat_map(Cgroup::members);
            let escaped: Vec<i32> = members.filter(|pid| !all.contains(pid)).collect();
            all.extend(escaped);
        }
        all
    }

    fn weigh(&self, pid: i32) -> Option<ProcessWeight> {
        let name = proc::name(pid)?;
        let topmost = self.roots.contains(&pid);
        let role = self.kind.map(|kind| Role::of(kind, &name, topmost)).unwrap_or_default();
        let ram = self.guest_ram.filter(|_| role == Role::Vmm);
        let guest_ram = ram.and_then(|ram| proc::guest_ram(pid, ram));
        Some(ProcessWeight { pid, name, role, memory: proc::memory(pid).ok()?, guest_ram })
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

impl Weight {
    /// PSS in bytes by role, of those that there are. A virtual machine whose guest's RAM was found in it is two: the
    /// machine without it, and the RAM.
    pub fn by_role(&self) -> Vec<(Role, u64)> {
        let mut sums = BTreeMap::new();
        for process in &self.processes {
            let ram = process.guest_ram.unwrap_or(0);
            *sums.entry(process.role).or_default() += process.memory.pss.saturating_sub(ram);
            if ram > 0 {
                *sums.entry(Role::GuestRam).or_default() += ram;
            }
        }
        sums.into_iter().collect()
    }
}

/// One process of the tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessWeight {
    pub pid: i32,
    pub name: String,
    /// Records from before there were roles call everything the service.
    #[serde(default)]
    pub role: Role,
    pub memory: Memory,
    /// Of a virtual machine: the part of its PSS that is its guest's RAM, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_ram: Option<u64>,
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
    /// The part of it that the hypervisor gave to others while those CPUs had work.
    pub steal_s: f64,
    /// What the processor packages used over the load, with all that runs on them; nothing where that cannot be read.
    pub energy_j: Option<f64>,
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
        let pids = scope.processes();
        let total = proc::memory_of(&pids).context("cannot weigh the instance")?;
        let settled = last == Some(total);
        if settled || Instant::now() >= until || interrupt.wait(REST) {
            let processes = pids.iter().filter_map(|&pid| scope.weigh(pid)).collect();
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
    let (cpus, meter) = (placement.cpus(), Meter::here());
    thread::scope(|scope| {
        let sampler = scope.spawn(|| sample(what, interrupt, &stop, &finished));
        let read = || {
            let server = proc::cpu_seconds(&what.processes());
            (server, proc::busy_seconds(&cpus) - server - seconds(ClockId::ProcessCPUTime))
        };
        let (start, steal) = (Instant::now(), proc::steal_seconds(&cpus));
        let (before, energy) = (read(), meter.as_ref().and_then(Meter::read));
        let result = load(&stop);
        let (after, energy_j) = (read(), energy.and_then(|before| meter.as_ref()?.joules_since(&before)));
        finished.trigger();
        let mut loaded = sampler.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        loaded.server_cpu_s = (after.0 - before.0).max(0.0);
        loaded.others_cpu_s = (after.1 - before.1).max(0.0);
        loaded.available_cpu_s = start.elapsed().as_secs_f64() * cpus.len() as f64;
        loaded.steal_s = proc::steal_seconds(&cpus) - steal;
        loaded.energy_j = energy_j;
        (result, loaded)
    })
}

fn sample(scope: &Scope, interrupt: &Interrupt, stop: &AtomicBool, finished: &Interrupt) -> Loaded {
    let mut loaded = Loaded::default();
    let start = Instant::now();
    let mut next = PERIOD;
    while !finished.wait(next.saturating_sub(start.elapsed())) {
        next = (next + PERIOD).max(start.elapsed());
        let pids = scope.processes();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn process(role: Role, pss: u64, guest_ram: Option<u64>) -> ProcessWeight {
        let memory = Memory { pss, ..Memory::default() };
        ProcessWeight { pid: 1, name: "x".into(), role, memory, guest_ram }
    }

    #[test]
    fn roles_are_added_and_guest_ram_is_a_line_of_its_own() {
        let processes = vec![
            process(Role::Vmm, 90, Some(20)),
            process(Role::Supervisor, 7, None),
            process(Role::Service, 1, None),
            process(Role::Service, 2, None),
        ];
        let weight = Weight { total: Memory::default(), settled: true, processes, cgroup: None };
        let expected = [(Role::Service, 3), (Role::Supervisor, 7), (Role::Vmm, 70), (Role::GuestRam, 20)];
        assert_eq!(weight.by_role(), expected);
    }

    #[test]
    fn a_process_of_an_old_record_is_the_service() {
        let text =
            r#"{"pid": 1, "name": "x", "memory": {"pss": 5, "pss_anon": 0, "pss_file": 0, "pss_shmem": 0}}"#;
        let process: ProcessWeight = serde_json::from_str(text).unwrap();
        assert_eq!((process.role, process.guest_ram), (Role::Service, None));
    }
}
