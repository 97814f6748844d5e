//! Rows: the figures that are derived from one cell of a record.

use serde::Serialize;

use crate::cgroup::Charge;
use crate::load::Schedule;
use crate::record::{Cell, Load, Record};
use crate::stats::{max, median, ratio};

/// A generator that uses this much of its CPU…
const GENERATOR_BUSY: f64 = 0.95;
/// …while the server uses less than this of its own is what limits the figure.
const SERVER_BUSY: f64 = 0.9;

/// When both sides use less than this of their CPUs, neither is the limit.
const UNUSED: f64 = 0.5;

/// Others that take more than this share of the CPUs of the run make its figures doubtful.
pub const DISTURBED: f64 = 0.05;

/// One target under one workload. What could not be measured is `null`.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub target: String,
    pub workload: String,
    pub req_per_s: Option<f64>,
    /// The headline: requests/s over the loaded footprint.
    pub req_per_s_per_mb: Option<f64>,
    pub pss_idle_mb: Option<f64>,
    /// The loaded footprint: median PSS of the whole process tree under load.
    pub pss_loaded_mb: Option<f64>,
    pub pss_peak_mb: Option<f64>,
    pub pss_after_mb: Option<f64>,
    pub cpu_us_per_req: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Median over the target's starts in the whole record.
    pub cold_start_ms: Option<f64>,
    pub artefact_mb: Option<f64>,
    pub errors: Option<u64>,
    /// The generator, not the server, was the limit: requests/s must not be ranked.
    pub generator_bound: bool,
    /// Closed loop, and neither side used its CPU: the figure is the service's waiting, not its capacity.
    pub unsaturated: bool,
    /// Open loop, and requests that were due within the window had not been sent at its end.
    pub rate_missed: bool,
    /// Other programs, or the hypervisor, took CPU time from the run.
    pub disturbed: bool,
    /// The guest's instructions were emulated: the figures show that it works, not how fast.
    pub emulated: bool,
    /// The guest was reached through a port that QEMU forwards.
    pub forwarded: bool,
    /// Another process ran the same program, and so had a part of its pages.
    pub shared: bool,
    /// Nobody said which process to weigh.
    pub unweighed: bool,
    /// What the kernel charges to its control group: median under load.
    pub cgroup_loaded: Option<Charge>,
    /// Nothing was tried; `error` says what is missing.
    pub missing: bool,
    pub error: Option<String>,
}

/// Every cell of a record as a row, in the order of the record.
pub fn rows(record: &Record) -> Vec<Row> {
    record.cells.iter().map(|cell| row(record, cell)).collect()
}

/// Rows in the order of a table: ranked by the headline, then what is not to be compared, then what failed, then
/// what could not be tried.
pub fn ranked(mut rows: Vec<Row>) -> Vec<Row> {
    let class = |row: &Row| match (row.missing, &row.error, row.emulated || row.req_per_s_per_mb.is_none()) {
        (true, ..) => 3,
        (_, Some(_), _) => 2,
        (.., true) => 1,
        _ => 0,
    };
    let worth = |row: &Row| row.req_per_s_per_mb.unwrap_or(0.0);
    rows.sort_by(|a, b| class(a).cmp(&class(b)).then(worth(b).total_cmp(&worth(a))));
    rows
}

fn row(record: &Record, cell: &Cell) -> Row {
    let load = cell.load.as_ref();
    let loaded: Vec<f64> = cell.samples.iter().map(|sample| mb(sample.memory.pss)).collect();
    let req_per_s = load.and_then(|load| ratio(load.requests as f64, load.window_s));
    let pss_loaded_mb = median(&loaded);
    // Without a weight nothing is known of the server's side.
    let weighed = load.filter(|_| !cell.samples.is_empty() || cell.idle.is_some());
    let answered = load.map(|load| (load.requests + load.drained, load.latency.p50_ms, load.latency.p99_ms));
    let starts: Vec<f64> = record
        .cells
        .iter()
        .filter(|other| other.target == cell.target)
        .flat_map(|other| &other.cold_starts_ms)
        .copied()
        .collect();
    let target = record.targets.iter().find(|target| target.definition.name == cell.target);
    Row {
        target: cell.target.clone(),
        workload: cell.workload.clone(),
        req_per_s,
        req_per_s_per_mb: req_per_s.zip(pss_loaded_mb).and_then(|(rate, mb)| ratio(rate, mb)),
        pss_idle_mb: cell.idle.as_ref().map(|weight| mb(weight.total.pss)),
        pss_loaded_mb,
        pss_peak_mb: max(&loaded),
        pss_after_mb: cell.after.as_ref().map(|weight| mb(weight.total.pss)),
        cpu_us_per_req: weighed
            .and_then(|load| ratio(load.server_cpu_s * 1e6, (load.requests + load.drained) as f64)),
        p50_ms: answered.filter(|answered| answered.0 > 0).map(|answered| answered.1),
        p99_ms: answered.filter(|answered| answered.0 > 0).map(|answered| answered.2),
        cold_start_ms: median(&starts),
        artefact_mb: target.and_then(|target| target.artefact_bytes).map(mb),
        errors: load.map(|load| load.errors.total()),
        generator_bound: load.is_some_and(generator_bound),
        unsaturated: weighed.is_some_and(unsaturated),
        rate_missed: load.is_some_and(rate_missed),
        disturbed: weighed.is_some_and(|load| load.others_share > DISTURBED),
        emulated: cell.emulated,
        forwarded: cell.forwarded,
        shared: cell.shared,
        unweighed: load.is_some() && weighed.is_none(),
        cgroup_loaded: middle(cell.samples.iter().filter_map(|sample| sample.cgroup).collect()),
        missing: cell.missing,
        error: cell.error.clone().or_else(|| cell.samples_error.clone()),
    }
}

/// The charge whose sum is the median.
fn middle(mut charges: Vec<Charge>) -> Option<Charge> {
    charges.sort_by_key(|charge| charge.current);
    charges.get(charges.len() / 2).copied()
}

/// The part of its CPUs' time that the server used.
fn server_busy(load: &Load) -> f64 {
    ratio(load.server_cpu_s, load.wall_s * load.server_cpus).unwrap_or(0.0)
}

fn generator_bound(load: &Load) -> bool {
    load.generator_busy >= GENERATOR_BUSY && server_busy(load) < SERVER_BUSY
}

fn unsaturated(load: &Load) -> bool {
    load.schedule == Schedule::Closed && load.generator_busy < UNUSED && server_busy(load) < UNUSED
}

/// At most one request a connection is in flight at the end of the window; more answers after it were a queue.
fn rate_missed(load: &Load) -> bool {
    load.schedule != Schedule::Closed && (load.drained > load.connections as u64 || load.errors.unsent > 0)
}

pub(super) fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

impl Row {
    /// Whether the cell was measured to its end.
    pub fn measured(&self) -> bool {
        self.req_per_s.is_some() && self.error.is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2,000 requests in 10 s and 10 drained ones at a median of 2 MB, on one server and one generator CPU.
    fn record(server_cpu_s: f64, generator_busy: f64, others_share: f64) -> Record {
        let memory = |mb: u64| json!({"pss": mb * 1_000_000, "pss_anon": 0, "pss_file": 0, "pss_shmem": 0});
        let sample = |mb| json!({"at_ms": 0.0, "processes": 1, "memory": memory(mb)});
        let latency = json!({"mean_ms": 1.0, "p50_ms": 3.0, "p90_ms": 1.0, "p99_ms": 4.0, "p99_9_ms": 1.0, "max_ms": 1.0,
            "quantiles": []});
        let errors = json!({"connect": 1, "reset": 0, "timeout": 2, "status": 0, "body": 0, "closed": 0, "malformed": 0,
            "unsent": 0});
        let load = json!({"schedule": "closed", "connections": 1, "threads": 1, "window_s": 10.0, "requests": 2000,
            "drained": 10, "errors": errors, "reconnects": 0, "latency": latency, "wall_s": 10.0,
            "server_cpu_s": server_cpu_s, "others_share": others_share, "server_cpus": 1, "generator_cpu_s": 1.0,
            "generator_busy": generator_busy});
        let cell = |starts: &[f64]| {
            json!({"target": "t", "workload": "w", "started": "", "error": null,
            "cold_starts_ms": starts, "about": null, "idle": {"total": memory(1), "settled": true, "processes": []},
            "warm_up_s": 1.0, "load": load, "samples": [sample(2), sample(9), sample(1)], "samples_error": null,
            "sampler_cpu_s": 0.0, "after": null})
        };
        let record = json!({"schema": 1, "kind": "run", "started": "", "ended": null, "complete": true, "profile": "quick",
            "host": {"label": "h", "cpu": "c", "cpus": 2, "memory_bytes": 1, "os": "o", "kernel": "k", "architecture": "a",
                "virtualisation": "none", "tools": {}, "git": null},
            "placement": {"server_cpus": [1], "generator_cpus": [0], "warning": null},
            "targets": [{"definition": {"name": "t", "kind": "process"}, "artefact_bytes": 1_500_000}], "workloads": [],
            "cells": [cell(&[5.0, 1.0]), cell(&[6.0])]});
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn figures_follow_from_the_samples() {
        let row = rows(&record(2.01, 0.5, 0.0)).remove(0);
        assert_eq!(
            (row.req_per_s, row.pss_loaded_mb, row.req_per_s_per_mb),
            (Some(200.0), Some(2.0), Some(100.0))
        );
        assert_eq!((row.pss_idle_mb, row.pss_peak_mb, row.pss_after_mb), (Some(1.0), Some(9.0), None));
        assert_eq!((row.p50_ms, row.p99_ms, row.errors), (Some(3.0), Some(4.0), Some(3)));
        // CPU counts for every answered request, cold starts for every cell of the target.
        assert_eq!((row.cpu_us_per_req.map(f64::round), row.cold_start_ms), (Some(1000.0), Some(5.0)));
        assert_eq!((row.artefact_mb, row.generator_bound, row.disturbed), (Some(1.5), false, false));
        assert!(row.measured());
    }

    #[test]
    fn marks_say_what_the_limit_was() {
        let mark = |server, generator, others| {
            let row = rows(&record(server, generator, others)).remove(0);
            (row.generator_bound, row.unsaturated, row.disturbed)
        };
        assert_eq!(mark(8.9, 0.96, 0.04), (true, false, false));
        assert_eq!(mark(9.1, 0.96, 0.0), (false, false, false));
        assert_eq!(mark(5.0, 0.5, 0.06), (false, false, true));
        assert_eq!(mark(4.9, 0.4, 0.0), (false, true, false));
    }

    #[test]
    fn what_cannot_be_compared_comes_after_what_can() {
        let row = |name: &str, change: fn(&mut Row)| {
            let mut row = rows(&record(2.0, 0.5, 0.0)).remove(0);
            row.target = name.into();
            change(&mut row);
            row
        };
        let rows = vec![
            row("missing", |row| (row.missing, row.error) = (true, Some("no".into()))),
            row("emulated", |row| (row.emulated, row.req_per_s_per_mb) = (true, Some(1e9))),
            row("slow", |row| row.req_per_s_per_mb = Some(1.0)),
            row("failed", |row| row.error = Some("no".into())),
            row("fast", |row| row.req_per_s_per_mb = Some(9.0)),
        ];
        let order: Vec<String> = ranked(rows).into_iter().map(|row| row.target).collect();
        assert_eq!(order, ["fast", "slow", "emulated", "failed", "missing"]);
    }

    #[test]
    fn what_is_not_weighed_says_nothing_of_the_server() {
        let mut record = record(0.0, 0.4, 0.9);
        (record.cells[0].samples, record.cells[0].idle) = (Vec::new(), None);
        let row = rows(&record).remove(0);
        assert!(row.unweighed && !row.unsaturated && !row.disturbed && row.measured());
        assert_eq!((row.cpu_us_per_req, row.req_per_s_per_mb), (None, None));
    }

    #[test]
    fn an_open_loop_that_fell_behind_is_marked() {
        let mark = |drained: u64, unsent: u64| {
            let mut record = record(1.0, 0.1, 0.0);
            let load = record.cells[0].load.as_mut().unwrap();
            load.schedule = Schedule::Open { rate: 300.0 };
            (load.drained, load.errors.unsent) = (drained, unsent);
            let row = rows(&record).remove(0);
            (row.rate_missed, row.unsaturated)
        };
        assert_eq!(mark(1, 0), (false, false));
        assert_eq!(mark(2, 0), (true, false));
        assert_eq!(mark(0, 1), (true, false));
    }
}
