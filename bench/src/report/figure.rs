//! Figures: what is derived from a cell, each declared once with its unit; tables, exports and comparisons are made
//! from this list.

use serde::{Deserialize, Serialize};

use crate::launch::PageCache;
use crate::record::{Cell, Load};
use crate::stats::{max, median, ratio};

/// A quantity with its unit in its name. MB is 10⁶ bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Right answers within the window.
    ReqPerS,
    /// The headline, and the only composite: requests/s over the loaded footprint.
    ReqPerSPerMb,
    /// Right answers for each second of the server's CPU time.
    ReqPerCpuS,
    CpuUsPerReq,
    PssIdleMb,
    /// The loaded footprint: median PSS of the whole process tree under load.
    PssLoadedMb,
    PssPeakMb,
    PssAfterMb,
    /// After a pause.
    PssRestMb,
    P50Ms,
    P90Ms,
    P99Ms,
    #[serde(rename = "p99_9_ms")]
    P999Ms,
    MaxMs,
    /// From the spawn to the first 200.
    ColdStartMs,
    /// The same with the page cache dropped before.
    ColdStartDroppedMs,
    /// What the processor packages used, the generator's part included.
    EnergyMjPerReq,
    /// Jobs that were done while others were accepted.
    JobsPerS,
    /// From a job's arrival to its start, on average.
    JobWaitMs,
}

impl Figure {
    pub const ALL: [Self; 19] = [
        Self::ReqPerS,
        Self::ReqPerSPerMb,
        Self::ReqPerCpuS,
        Self::CpuUsPerReq,
        Self::PssIdleMb,
        Self::PssLoadedMb,
        Self::PssPeakMb,
        Self::PssAfterMb,
        Self::PssRestMb,
        Self::P50Ms,
        Self::P90Ms,
        Self::P99Ms,
        Self::P999Ms,
        Self::MaxMs,
        Self::ColdStartMs,
        Self::ColdStartDroppedMs,
        Self::EnergyMjPerReq,
        Self::JobsPerS,
        Self::JobWaitMs,
    ];

    /// As in JSON, in CSV, and in `--fail-on`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReqPerS => "req_per_s",
            Self::ReqPerSPerMb => "req_per_s_per_mb",
            Self::ReqPerCpuS => "req_per_cpu_s",
            Self::CpuUsPerReq => "cpu_us_per_req",
            Self::PssIdleMb => "pss_idle_mb",
            Self::PssLoadedMb => "pss_loaded_mb",
            Self::PssPeakMb => "pss_peak_mb",
            Self::PssAfterMb => "pss_after_mb",
            Self::PssRestMb => "pss_rest_mb",
            Self::P50Ms => "p50_ms",
            Self::P90Ms => "p90_ms",
            Self::P99Ms => "p99_ms",
            Self::P999Ms => "p99_9_ms",
            Self::MaxMs => "max_ms",
            Self::ColdStartMs => "cold_start_ms",
            Self::ColdStartDroppedMs => "cold_start_dropped_ms",
            Self::EnergyMjPerReq => "energy_mj_per_req",
            Self::JobsPerS => "jobs_per_s",
            Self::JobWaitMs => "job_wait_ms",
        }
    }

    /// As in a table, with unit and scope.
    pub fn heading(self) -> &'static str {
        match self {
            Self::ReqPerS => "req/s",
            Self::ReqPerSPerMb => "req/s per MB (loaded PSS)",
            Self::ReqPerCpuS => "requests per server CPU-second",
            Self::CpuUsPerReq => "server CPU (µs/req)",
            Self::PssIdleMb => "PSS idle (MB)",
            Self::PssLoadedMb => "PSS loaded (MB)",
            Self::PssPeakMb => "PSS peak (MB)",
            Self::PssAfterMb => "PSS after (MB)",
            Self::PssRestMb => "PSS at rest (MB)",
            Self::P50Ms => "p50 (ms)",
            Self::P90Ms => "p90 (ms)",
            Self::P99Ms => "p99 (ms)",
            Self::P999Ms => "p99.9 (ms)",
            Self::MaxMs => "max (ms)",
            Self::ColdStartMs => "cold start (ms)",
            Self::ColdStartDroppedMs => "cold start, page cache dropped (ms)",
            Self::EnergyMjPerReq => "energy (mJ/req, whole packages)",
            Self::JobsPerS => "jobs done/s",
            Self::JobWaitMs => "mean wait of a job (ms)",
        }
    }

    /// Whether it is memory, which a slower machine does not change.
    pub fn is_memory(self) -> bool {
        matches!(
            self,
            Self::PssIdleMb | Self::PssLoadedMb | Self::PssPeakMb | Self::PssAfterMb | Self::PssRestMb
        )
    }

    pub fn more_is_better(self) -> bool {
        matches!(self, Self::ReqPerS | Self::ReqPerSPerMb | Self::ReqPerCpuS | Self::JobsPerS)
    }

    /// What a cell says of it: one value, as many as there were starts, or none.
    pub fn values(self, cell: &Cell) -> Vec<f64> {
        let starts = |state: PageCache| {
            let of_state = cell.starts.iter().filter(move |start| start.page_cache == state);
            of_state.map(|start| start.ready_ms).collect()
        };
        match self {
            Self::ColdStartMs => starts(PageCache::Warm),
            Self::ColdStartDroppedMs => starts(PageCache::Dropped),
            _ => self.value(cell).into_iter().collect(),
        }
    }

    fn value(self, cell: &Cell) -> Option<f64> {
        let load = cell.load.as_ref();
        let answered = load.filter(|load| answers(load) > 0.0);
        let weighed = load.filter(|_| is_weighed(cell));
        match self {
            Self::ReqPerS => req_per_s(load?),
            Self::ReqPerSPerMb => ratio(req_per_s(load?)?, Self::PssLoadedMb.value(cell)?),
            Self::ReqPerCpuS => ratio(answers(weighed?), weighed?.server_cpu_s),
            Self::CpuUsPerReq => ratio(weighed?.server_cpu_s * 1e6, answers(weighed?)),
            Self::PssIdleMb => Some(mb(cell.idle.as_ref()?.total.pss)),
            Self::PssLoadedMb => median(&samples_mb(cell)),
            Self::PssPeakMb => max(&samples_mb(cell)),
            Self::PssAfterMb => Some(mb(cell.after.as_ref()?.total.pss)),
            Self::PssRestMb => Some(mb(cell.rest.as_ref()?.weight.total.pss)),
            Self::P50Ms => Some(answered?.latency.p50_ms),
            Self::P90Ms => Some(answered?.latency.p90_ms),
            Self::P99Ms => Some(answered?.latency.p99_ms),
            Self::P999Ms => Some(answered?.latency.p99_9_ms),
            Self::MaxMs => Some(answered?.latency.max_ms),
            Self::EnergyMjPerReq => ratio(load?.energy_j? * 1e3, answers(load?)),
            Self::JobsPerS => ratio(*load?.counted.get("jobs_completed_total")?, load?.wall_s),
            Self::JobWaitMs => {
                let counted = |name: &str| load?.counted.get(name).copied();
                ratio(counted("job_wait_seconds_sum")? * 1e3, counted("job_wait_seconds_count")?)
            }
            Self::ColdStartMs | Self::ColdStartDroppedMs => None,
        }
    }
}

fn req_per_s(load: &Load) -> Option<f64> {
    ratio(load.requests as f64, load.window_s)
}

/// All right answers, also those after the window: what CPU time and energy were spent on.
fn answers(load: &Load) -> f64 {
    load.requests as f64 + load.drained as f64
}

/// Without a weight nothing is known of the server's side.
pub(super) fn is_weighed(cell: &Cell) -> bool {
    !cell.samples.is_empty() || cell.idle.is_some()
}

fn samples_mb(cell: &Cell) -> Vec<f64> {
    cell.samples.iter().map(|sample| mb(sample.memory.pss)).collect()
}

pub(super) fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_serialised_form() {
        for figure in Figure::ALL {
            assert_eq!(serde_json::to_value(figure).unwrap(), figure.name());
        }
    }
}
