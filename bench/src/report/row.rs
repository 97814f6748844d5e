//! Rows: the figures that are derived from one cell of a record.

use serde::Serialize;

use crate::placement::Placement;
use crate::record::{Cell, Load, Record};
use crate::stats::{max, median, ratio};

/// A generator that uses this much of its CPU…
const GENERATOR_BUSY: f64 = 0.95;
/// …while the server uses less than this of its own is what limits the figure.
const SERVER_BUSY: f64 = 0.9;

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
    /// Other programs, or the hypervisor, took CPU time from the run.
    pub disturbed: bool,
    pub error: Option<String>,
}

/// Every cell of a record as a row.
pub fn rows(record: &Record) -> Vec<Row> {
    record.cells.iter().map(|cell| row(record, cell)).collect()
}

fn row(record: &Record, cell: &Cell) -> Row {
    let load = cell.load.as_ref();
    let loaded: Vec<f64> = cell.samples.iter().map(|sample| mb(sample.memory.pss)).collect();
    let req_per_s = load.and_then(|load| ratio(load.requests as f64, load.window_s));
    let pss_loaded_mb = median(&loaded);
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
        cpu_us_per_req: load
            .and_then(|load| ratio(load.server_cpu_s * 1e6, (load.requests + load.drained) as f64)),
        p50_ms: answered.filter(|answered| answered.0 > 0).map(|answered| answered.1),
        p99_ms: answered.filter(|answered| answered.0 > 0).map(|answered| answered.2),
        cold_start_ms: median(&starts),
        artefact_mb: target.and_then(|target| target.artefact_bytes).map(mb),
        errors: load.map(|load| load.errors.total()),
        generator_bound: load.is_some_and(generator_bound),
        disturbed: load.is_some_and(|load| disturbed(load, &record.placement, record.host.cpus)),
        error: cell.error.clone().or_else(|| cell.samples_error.clone()),
    }
}

fn generator_bound(load: &Load) -> bool {
    let server = ratio(load.server_cpu_s, load.wall_s * load.server_cpus as f64).unwrap_or(0.0);
    load.generator_busy >= GENERATOR_BUSY && server < SERVER_BUSY
}

fn disturbed(load: &Load, placement: &Placement, online: usize) -> bool {
    let pinned = placement.server_cpus.len() + placement.generator_cpus.len();
    let cpus = if pinned > 0 { pinned } else { online };
    ratio(load.others_cpu_s, load.wall_s * cpus as f64).is_some_and(|share| share > DISTURBED)
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

impl Row {
    /// Whether the cell was measured to its end.
    pub fn measured(&self) -> bool {
        self.req_per_s.is_some() && self.error.is_none()
    }
}
