//! Rows: the figures of one target under one workload, over all rounds of a record.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figure::{Figure, is_weighed, mb};
use crate::cgroup::Charge;
use crate::load::{Errors, Flow, Schedule, littles_law};
use crate::record::{Cell, Load, Record};
use crate::stats::{Estimate, drift, ratio};

/// A generator that uses this much of its CPU…
pub(crate) const GENERATOR_BUSY: f64 = 0.95;
/// …while the server uses less than this of its own is what limits the figure.
pub(crate) const SERVER_BUSY: f64 = 0.9;

/// When both sides use less than this of their CPUs, neither is the limit.
const UNUSED: f64 = 0.5;

/// Others that take more than this share of the CPUs of the run make its figures doubtful.
pub const DISTURBED: f64 = 0.05;

/// An interval that is wider than this part of its median says little…
const UNSTABLE: f64 = 0.1;
/// …and so does a figure that changes by this part of it, round by round in one direction.
const DRIFTING: f64 = 0.05;

/// A footprint that rises by this part of it under one load has not come to its end.
const GROWING: f64 = 0.1;

/// When more than this part of the requests went wrong, those that did not say little.
const TOLERATED: f64 = 0.01;

/// One target under one workload, over all rounds. What could not be measured is absent.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub target: String,
    pub workload: String,
    #[serde(flatten)]
    pub figures: BTreeMap<Figure, Estimate>,
    pub artefact_mb: Option<f64>,
    /// In all rounds together.
    pub errors: Option<u64>,
    /// The generator, not the server, was the limit: requests/s must not be ranked.
    pub generator_bound: bool,
    /// Closed loop, and neither side used its CPU: the figure is the service's waiting, not its capacity.
    pub unsaturated: bool,
    /// Open loop, and requests that were due within the window had not been sent at its end.
    pub rate_missed: bool,
    /// Other programs, or the hypervisor, took CPU time from the run.
    pub disturbed: bool,
    /// The part of all requests that went wrong.
    pub error_share: f64,
    /// The footprint rose while the load went on: it depends on how long that was.
    pub growing: bool,
    /// Connections and rate × mean latency do not agree: the load was not what it is called.
    pub invalid: bool,
    /// Requests/s or the loaded footprint differ from round to round by too much, or drift.
    pub unstable: bool,
    /// The guest's instructions were emulated: the figures show that it works, not how fast.
    pub emulated: bool,
    /// The guest was reached through a port that QEMU forwards.
    pub forwarded: bool,
    /// Another process ran the same program, and so had a part of its pages.
    pub shared: bool,
    /// Something else than the service, measured for context.
    pub peer: bool,
    /// Nobody said which process to weigh.
    pub unweighed: bool,
    /// What the kernel charges to its control group: median under load.
    pub cgroup_loaded: Option<Charge>,
    /// Nothing was tried; `error` says what is missing.
    pub missing: bool,
    /// Of the first round that failed.
    pub error: Option<String>,
}

/// Every target under every workload that the record names as a row, in the order of the record.
pub fn rows(record: &Record) -> Vec<Row> {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let shown = |name: &str| {
        record.workloads.is_empty() || record.workloads.iter().any(|workload| workload.name == name)
    };
    for cell in record.cells.iter().filter(|cell| shown(&cell.workload)) {
        let key = (cell.target.as_str(), cell.workload.as_str());
        if !seen.contains(&key) {
            seen.push(key);
        }
    }
    seen.into_iter().map(|(target, workload)| row(record, target, workload)).collect()
}

/// Rows in the order of a table: ranked by the headline, the packagings before the peers; then what is not to be compared,
/// then what failed, then what could not be tried.
pub fn ranked(mut rows: Vec<Row>) -> Vec<Row> {
    let worth = |row: &Row| row.median(Figure::ReqPerSPerMb).unwrap_or(0.0);
    let place = |row: &Row| (row.class(), row.peer);
    rows.sort_by(|a, b| place(a).cmp(&place(b)).then(worth(b).total_cmp(&worth(a))));
    rows
}

fn row(record: &Record, target: &str, workload: &str) -> Row {
    let of_target = || record.cells.iter().filter(|cell| cell.target == target);
    let cells: Vec<&Cell> = of_target().filter(|cell| cell.workload == workload).collect();
    let estimate = |figure: Figure| {
        let values = |cells: &mut dyn Iterator<Item = &Cell>| {
            Estimate::of(&cells.flat_map(|cell| figure.values(cell)).collect::<Vec<_>>())
        };
        match figure {
            // The starts of a target do not depend on the workload.
            Figure::ColdStartMs | Figure::ColdStartDroppedMs => values(&mut of_target()),
            _ => values(&mut cells.iter().copied()),
        }
    };
    let any = |mark: fn(&Cell) -> bool| cells.iter().any(|cell| mark(cell));
    let loads: Vec<&Load> = cells.iter().filter_map(|cell| cell.load.as_ref()).collect();
    let most = |mark: fn(&Load) -> bool| {
        !loads.is_empty() && 2 * loads.iter().filter(|load| mark(load)).count() >= loads.len()
    };
    let weighed = any(is_weighed);
    let samples = cells.iter().flat_map(|cell| &cell.samples);
    let definition = record.targets.iter().find(|known| known.definition.name == target);
    Row {
        target: target.to_owned(),
        workload: workload.to_owned(),
        figures: Figure::ALL.into_iter().filter_map(|figure| Some((figure, estimate(figure)?))).collect(),
        artefact_mb: definition.and_then(|target| target.artefact_bytes).map(mb),
        errors: (!loads.is_empty()).then(|| loads.iter().map(|load| load.errors.total()).sum()),
        generator_bound: most(generator_bound),
        // What others starved does not wait.
        unsaturated: weighed && most(|load| unsaturated(load) && load.others_share <= DISTURBED),
        rate_missed: most(rate_missed),
        disturbed: weighed && most(|load| load.others_share > DISTURBED),
        error_share: error_share(&loads),
        growing: !loads.is_empty() && 2 * cells.iter().filter(|cell| growing(cell)).count() > loads.len(),
        invalid: loads.iter().any(|load| invalid(load)),
        unstable: [Figure::ReqPerS, Figure::PssLoadedMb].into_iter().any(|figure| unstable(&cells, figure)),
        emulated: any(|cell| cell.emulated),
        forwarded: any(|cell| cell.forwarded),
        shared: any(|cell| cell.shared),
        peer: definition.is_some_and(|target| target.definition.peer),
        unweighed: !loads.is_empty() && !weighed,
        cgroup_loaded: middle(samples.filter_map(|sample| sample.cgroup).collect()),
        missing: any(|cell| cell.missing),
        error: cells.iter().find_map(|cell| error(record, cell)),
    }
}

pub(crate) fn error_share(loads: &[&Load]) -> f64 {
    let sum = |of: fn(&Load) -> f64| loads.iter().map(|load| of(load)).sum::<f64>();
    let wrong = sum(|load| load.errors.total() as f64);
    ratio(wrong, wrong + sum(|load| load.requests as f64 + load.drained as f64)).unwrap_or(0.0)
}

/// Steadily, by more than chance and more than a tenth.
fn growing(cell: &Cell) -> bool {
    let samples: Vec<f64> = cell.samples.iter().map(|sample| sample.memory.pss as f64).collect();
    drift(&samples).is_some_and(|change| change > GROWING)
}

fn error(record: &Record, cell: &Cell) -> Option<String> {
    let error = cell.error.as_ref().or(cell.samples_error.as_ref())?;
    let round = cell.round + 1;
    Some(if record.rounds > 1 && !cell.missing {
        format!("in round {round}: {error}")
    } else {
        error.clone()
    })
}

fn unstable(cells: &[&Cell], figure: Figure) -> bool {
    let values: Vec<f64> = cells.iter().flat_map(|cell| figure.values(cell)).collect();
    let wide =
        Estimate::of(&values).and_then(|estimate| estimate.spread()).is_some_and(|spread| spread > UNSTABLE);
    wide || drift(&values).is_some_and(|change| change.abs() > DRIFTING)
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

pub(crate) fn generator_bound(load: &Load) -> bool {
    is_generator_bound(load.generator_busy, server_busy(load))
}

/// Whether the generator, not the server, was the limit, from the parts of their CPUs that they used.
pub(crate) fn is_generator_bound(generator_busy: f64, server_busy: f64) -> bool {
    generator_busy >= GENERATOR_BUSY && server_busy < SERVER_BUSY
}

fn unsaturated(load: &Load) -> bool {
    load.schedule == Schedule::Closed && load.generator_busy < UNUSED && server_busy(load) < UNUSED
}

/// Records of schema 1 do not have what it takes.
pub(crate) fn invalid(load: &Load) -> bool {
    let (Some(sent_mean_ms), Some(in_flight)) = (load.sent_mean_ms, load.in_flight) else { return false };
    let flow = Flow {
        schedule: load.schedule,
        connections: load.connections,
        requests: load.requests,
        drained: load.drained,
        errors: load.errors,
        reconnects: load.reconnects,
        sent_mean_s: sent_mean_ms / 1e3,
        in_flight,
        window_s: load.window_s,
        wall_s: load.wall_s,
    };
    !littles_law(&flow).holds()
}

pub(crate) fn rate_missed(load: &Load) -> bool {
    is_rate_missed(load.schedule, load.connections, load.drained, &load.errors)
}

/// Whether requests of an open loop were due within the window and not sent at its end. At most one request a connection
/// is in flight then; more answers after it were a queue.
pub(crate) fn is_rate_missed(schedule: Schedule, connections: usize, drained: u64, errors: &Errors) -> bool {
    schedule != Schedule::Closed && (drained > connections as u64 || errors.unsent > 0)
}

impl Row {
    pub fn get(&self, figure: Figure) -> Option<&Estimate> {
        self.figures.get(&figure)
    }

    pub fn median(&self, figure: Figure) -> Option<f64> {
        self.get(figure).map(|estimate| estimate.median)
    }

    /// Whether it was measured to its end.
    pub fn measured(&self) -> bool {
        self.get(Figure::ReqPerS).is_some() && self.error.is_none()
    }

    /// Whether its headline may be compared with that of other rows.
    pub fn is_ranked(&self) -> bool {
        self.class() == Class::Ranked
    }

    pub fn class(&self) -> Class {
        let wrong = self.error_share > TOLERATED;
        let apart = self.emulated || self.generator_bound || self.invalid || wrong;
        let comparable = !apart && self.get(Figure::ReqPerSPerMb).is_some();
        match (self.missing, &self.error) {
            (true, _) => Class::Missing,
            (_, Some(_)) => Class::Failed,
            _ if comparable => Class::Ranked,
            _ => Class::Apart,
        }
    }
}

/// Where a row stands in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Class {
    Ranked,
    /// Measured, and not to be compared: emulated, unweighed, invalid, full of errors, or the generator was the limit.
    Apart,
    Failed,
    Missing,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixture::{record, with_rounds};

    #[test]
    fn figures_follow_from_the_samples() {
        let row = rows(&record(2.01, 0.5, 0.0)).remove(0);
        let of = |figures: [Figure; 3]| figures.map(|figure| row.median(figure).map(f64::round));
        assert_eq!(
            of([Figure::ReqPerS, Figure::PssLoadedMb, Figure::ReqPerSPerMb]),
            [Some(200.0), Some(2.0), Some(100.0)]
        );
        assert_eq!(
            of([Figure::PssIdleMb, Figure::PssPeakMb, Figure::PssAfterMb]),
            [Some(1.0), Some(9.0), None]
        );
        // CPU counts for every answered request, cold starts for every cell of the target.
        assert_eq!(
            of([Figure::CpuUsPerReq, Figure::ReqPerCpuS, Figure::ColdStartMs]),
            [Some(1000.0), Some(1000.0), Some(5.0)]
        );
        assert_eq!(of([Figure::P50Ms, Figure::P99Ms, Figure::EnergyMjPerReq]), [Some(3.0), Some(4.0), None]);
        assert_eq!((row.errors, row.artefact_mb), (Some(3), Some(1.5)));
        assert!(!row.generator_bound && !row.disturbed && row.measured());
    }

    #[test]
    fn rounds_become_a_median_with_an_interval() {
        let rows = rows(&with_rounds(&[2000, 2040, 1960, 2010, 1990]));
        let estimate = *rows[0].get(Figure::ReqPerS).unwrap();
        assert_eq!((rows.len(), estimate.median, estimate.interval), (1, 200.0, Some((196.0, 204.0))));
        assert_eq!((rows[0].errors, rows[0].unstable), (Some(15), false));
    }

    #[test]
    fn errors_are_marked_and_many_are_not_ranked() {
        let class = |errors: u64| {
            let mut record = with_rounds(&[2000; 3]);
            for load in record.cells.iter_mut().filter_map(|cell| cell.load.as_mut()) {
                (load.errors, load.errors.status) = (Errors::default(), errors);
            }
            let row = rows(&record).remove(0);
            (row.error_share > 0.0, row.class())
        };
        assert_eq!(
            [class(0), class(20), class(30)],
            [(false, Class::Ranked), (true, Class::Ranked), (true, Class::Apart)]
        );
    }

    #[test]
    fn a_footprint_that_rises_under_load_is_growing() {
        let is_growing = |step: u64| {
            let mut record = with_rounds(&[2000; 3]);
            for cell in &mut record.cells {
                let first = cell.samples[0].clone();
                cell.samples = (0..10).map(|_| first.clone()).collect();
                for (index, sample) in (0_u64..).zip(&mut cell.samples) {
                    sample.memory.pss = 10_000_000 + step * index;
                }
            }
            rows(&record).remove(0).growing
        };
        assert!(is_growing(200_000) && !is_growing(50_000) && !is_growing(0));
    }

    #[test]
    fn a_load_that_breaks_littles_law_is_invalid_and_not_ranked() {
        let class = |mean_ms: f64| {
            let mut record = with_rounds(&[2000, 2000, 2000]);
            for load in record.cells.iter_mut().filter_map(|cell| cell.load.as_mut()) {
                (load.sent_mean_ms, load.in_flight) = (Some(mean_ms), Some(1.0));
            }
            let row = rows(&record).remove(0);
            (row.invalid, row.class())
        };
        // One connection, 200 requests/s: they take 5 ms each, or half of the time nothing was in flight.
        assert_eq!((class(5.0), class(2.5)), ((false, Class::Ranked), (true, Class::Apart)));
    }

    #[test]
    fn rounds_that_differ_too_much_or_drift_are_unstable() {
        let is_unstable = |requests: &[u64]| rows(&with_rounds(requests)).remove(0).unstable;
        assert!(is_unstable(&[2000, 2200, 1900, 2010, 1990]));
        assert!(is_unstable(&[2000, 2030, 2060, 2090, 2120]));
        assert!(!is_unstable(&[2000, 2010, 2020, 2030, 2040]));
    }

    #[test]
    fn one_failed_round_is_a_failure_that_names_it() {
        let mut record = with_rounds(&[2000, 2000, 2000]);
        record.cells[1].error = Some("it died".into());
        let row = rows(&record).remove(0);
        assert_eq!(row.error.as_deref(), Some("in round 2: it died"));
        assert_eq!((row.class(), row.measured()), (Class::Failed, false));
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

    fn headline(row: &mut Row) -> &mut f64 {
        &mut row.figures.get_mut(&Figure::ReqPerSPerMb).unwrap().median
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
            row("peer", |row| (row.peer, *headline(row)) = (true, 1e10)),
            row("emulated", |row| (row.emulated, *headline(row)) = (true, 1e9)),
            row("generator", |row| (row.generator_bound, *headline(row)) = (true, 1e8)),
            row("slow", |row| *headline(row) = 1.0),
            row("failed", |row| row.error = Some("no".into())),
            row("fast", |row| *headline(row) = 9.0),
        ];
        let order: Vec<String> = ranked(rows).into_iter().map(|row| row.target).collect();
        assert_eq!(order, ["fast", "slow", "peer", "emulated", "generator", "failed", "missing"]);
    }

    #[test]
    fn what_is_not_weighed_says_nothing_of_the_server() {
        let mut record = record(0.0, 0.4, 0.9);
        (record.cells[0].samples, record.cells[0].idle) = (Vec::new(), None);
        let row = rows(&record).remove(0);
        assert!(row.unweighed && !row.unsaturated && !row.disturbed && row.measured());
        assert_eq!((row.get(Figure::CpuUsPerReq), row.get(Figure::ReqPerSPerMb)), (None, None));
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
