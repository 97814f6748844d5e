//! `process_*` metrics, from `/proc`. Where there is none (a unikernel) they are absent.
//!
//! Crate `prometheus` has a collector for this, but it counts CPU time in whole seconds.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};

use crate::metrics::{counter, descs, family, gauge};

/// Linux reports times to user space in hundredths of a second on every architecture.
const TICKS_PER_SECOND: u64 = 100;

const CPU: (&str, &str) = ("process_cpu_seconds_total", "User and system CPU time, in seconds.");
const RESIDENT: (&str, &str) = ("process_resident_memory_bytes", "Resident memory, in bytes.");
const VIRTUAL: (&str, &str) = ("process_virtual_memory_bytes", "Virtual memory, in bytes.");
const START: (&str, &str) = ("process_start_time_seconds", "Start time, in seconds since the Unix epoch.");
const OPEN_FDS: (&str, &str) = ("process_open_fds", "Open file descriptors.");
const MAX_FDS: (&str, &str) = ("process_max_fds", "Most file descriptors that may be open.");

pub struct Process {
    descs: Vec<Desc>,
    /// Does not change, so it is read once.
    started: Option<u64>,
}

impl Process {
    pub fn new() -> Self {
        let names = [CPU, RESIDENT, VIRTUAL, START, OPEN_FDS, MAX_FDS];
        Process { descs: descs(&names.map(|name| (name, [].as_slice()))), started: started() }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (stat, status) = (Stat::read(), fs::read_to_string("/proc/self/status").unwrap_or_default());
        let gauges = [
            (RESIDENT, kilobytes(&status, "VmRSS:")),
            (VIRTUAL, kilobytes(&status, "VmSize:")),
            (START, self.started),
            (OPEN_FDS, open_fds()),
            (MAX_FDS, max_fds()),
        ];
        let cpu = stat.and_then(|stat| Some(stat.field(14)? + stat.field(15)?));
        let cpu = cpu.map(|ticks| ticks as f64 / TICKS_PER_SECOND as f64);
        let cpu = cpu.map(|seconds| family(CPU, MetricType::COUNTER, vec![counter(vec![], seconds)]));
        let gauges = gauges
            .into_iter()
            .filter_map(|(name, value)| Some(family(name, MetricType::GAUGE, vec![gauge(value? as f64)])));
        cpu.into_iter().chain(gauges).collect()
    }
}

/// `/proc/self/stat`, see proc(5).
struct Stat(String);

impl Stat {
    fn read() -> Option<Stat> {
        fs::read_to_string("/proc/self/stat").ok().map(Stat)
    }

    /// Numbered as in the manual page, from 1. The second field, the name, may hold spaces: count after it.
    fn field(&self, number: usize) -> Option<u64> {
        let (_, rest) = self.0.rsplit_once(") ")?;
        rest.split(' ').nth(number - 3)?.parse().ok()
    }
}

fn started() -> Option<u64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
    Some(boot + Stat::read()?.field(22)? / TICKS_PER_SECOND)
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

fn open_fds() -> Option<u64> {
    // One of them is the directory being read.
    fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64 - 1)
}

fn max_fds() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_every_metric() {
        let families = Process::new().collect();
        let value = |wanted: (&str, &str)| {
            let family = families.iter().find(|family| family.name() == wanted.0);
            let metric = &family.unwrap_or_else(|| panic!("{} is missing", wanted.0)).get_metric()[0];
            metric.get_gauge().get_value()
        };
        assert!(value(RESIDENT) > 100e3 && value(VIRTUAL) > value(RESIDENT));
        assert!(value(OPEN_FDS) >= 3.0 && value(MAX_FDS) >= value(OPEN_FDS));
        assert!(value(START) > 1.6e9);
        assert!(families.iter().any(|family| family.name() == CPU.0));
    }

    #[test]
    fn a_name_with_spaces_does_not_shift_the_fields() {
        let stat = Stat("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 110 120 13".into());
        assert_eq!((stat.field(14), stat.field(15)), (Some(110), Some(120)));
    }
}
