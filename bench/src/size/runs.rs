//! From records of runs to evidence: the cells of one load, in all rounds of all records, become one point.

use std::collections::BTreeMap;

use crate::cgroup::Charge;
use crate::load::Schedule;
use crate::record::{Cell, Load, Record};
use crate::report::{self, DISTURBED, Figure, Row, generator_bound, invalid, rate_missed};
use crate::stats::{Estimate, max, median};
use crate::target::Kind;
use crate::weigh::Weight;

use super::evidence::{Evidence, Footprint, Mark, Point};

/// A record and its file, as shown.
pub struct Run {
    pub record: Record,
    pub file: String,
}

/// Every target of the runs that was asked for this workload, in their order.
pub fn evidence(runs: &[Run], workload: &str) -> Vec<Evidence> {
    let mut all: Vec<Evidence> = Vec::new();
    for run in runs {
        for row in report::rows(&run.record).iter().filter(|row| row.workload == workload) {
            let known = all.iter().position(|evidence| evidence.target == row.target);
            let index = known.unwrap_or_else(|| {
                all.push(found(run, row));
                all.len() - 1
            });
            doubts(&mut all[index], row);
        }
    }
    for evidence in &mut all {
        let cells = cells(runs, &evidence.target, workload);
        evidence.points = points(&cells);
        let mut weights = cells.iter().filter_map(|(_, cell)| cell.after.as_ref().or(cell.idle.as_ref()));
        if let Some(weight) = weights.next_back().filter(|_| evidence.kind == Kind::Docker) {
            evidence.outside_mb = outside(weight);
        }
    }
    all
}

fn found(run: &Run, row: &Row) -> Evidence {
    let mut targets = run.record.targets.iter().map(|target| &target.definition);
    let known = targets
        .find(|target| target.name == row.target)
        .map(|target| Evidence::of(target, &run.record.placement));
    known.unwrap_or_else(|| Evidence::named(&row.target, Kind::Process))
}

fn doubts(evidence: &mut Evidence, row: &Row) {
    let marks = [
        (row.emulated, Mark::Emulated),
        (row.forwarded, Mark::Forwarded),
        (row.shared, Mark::Shared),
        (row.disturbed, Mark::Disturbed),
        (row.unstable, Mark::Unstable),
        (row.unweighed, Mark::Unweighed),
    ];
    evidence.marks.extend(marks.into_iter().filter(|(set, _)| *set).map(|(_, mark)| mark));
    if let Some(error) = &row.error {
        evidence.failure.get_or_insert_with(|| error.clone());
    }
}

/// The cells of a target that were measured to their end. One round that failed makes a record's others doubtful.
fn cells<'a>(runs: &'a [Run], target: &str, workload: &str) -> Vec<(&'a Run, &'a Cell)> {
    let of = |cell: &Cell| cell.target == target && cell.workload == workload;
    let mut all = Vec::new();
    for run in runs {
        let cells: Vec<&Cell> = run.record.cells.iter().filter(|cell| of(cell)).collect();
        if cells.iter().all(|cell| cell.error.is_none()) {
            all.extend(cells.into_iter().map(|cell| (run, cell)));
        }
    }
    all
}

/// What was the same in two rounds of one load.
fn key(load: &Load) -> (Schedule, usize, f64) {
    (load.schedule, load.connections, load.server_cpus)
}

fn points(cells: &[(&Run, &Cell)]) -> Vec<Point> {
    let loads: Vec<(&Run, &Cell, &Load)> =
        cells.iter().filter_map(|(run, cell)| Some((*run, *cell, cell.load.as_ref()?))).collect();
    let mut keys: Vec<_> = Vec::new();
    for (_, _, load) in &loads {
        if !keys.contains(&key(load)) {
            keys.push(key(load));
        }
    }
    let of = |asked| loads.iter().filter(move |(_, _, load)| key(load) == asked).copied().collect();
    keys.into_iter().filter_map(|key| point(of(key))).collect()
}

fn point(rounds: Vec<(&Run, &Cell, &Load)>) -> Option<Point> {
    let (_, _, first) = *rounds.first()?;
    let values =
        |figure: Figure| -> Vec<f64> { rounds.iter().flat_map(|(_, cell, _)| figure.values(cell)).collect() };
    let middle = |figure| median(&values(figure));
    let most = |mark: &dyn Fn(&Load) -> bool| {
        2 * rounds.iter().filter(|(_, _, load)| mark(load)).count() >= rounds.len()
    };
    let mut sources: Vec<&str> = rounds.iter().map(|(run, ..)| run.file.as_str()).collect();
    sources.dedup();
    Some(Point {
        source: sources.join(", "),
        schedule: first.schedule,
        connections: first.connections,
        rounds: rounds.len(),
        rate: low(&values(Figure::ReqPerS))?,
        p99_ms: high(&values(Figure::P99Ms)),
        errors: rounds.iter().map(|(_, _, load)| load.errors.total()).sum(),
        broken: broken(&rounds),
        cpu_us_per_req: middle(Figure::CpuUsPerReq),
        server_cpus: first.server_cpus,
        pss: footprint(middle(Figure::PssLoadedMb), &values(Figure::PssPeakMb)),
        charge: charge(&rounds),
        generator_bound: most(&generator_bound),
        disturbed: most(&|load| load.others_share > DISTURBED),
    })
}

fn broken(rounds: &[(&Run, &Cell, &Load)]) -> Option<String> {
    let loads = || rounds.iter().map(|(_, _, load)| *load);
    if loads().any(invalid) {
        return Some("Little's law does not hold, so it was not measured rightly".into());
    }
    let missed = 2 * loads().filter(|load| rate_missed(load)).count() >= rounds.len();
    missed.then(|| "requests were due faster than they could be sent".into())
}

/// The lower end of the interval, or the least.
fn low(values: &[f64]) -> Option<f64> {
    let least = values.iter().copied().reduce(f64::min);
    Estimate::of(values)?.interval.map(|(low, _)| low).or(least)
}

/// The upper end of the interval, or the most.
fn high(values: &[f64]) -> Option<f64> {
    Estimate::of(values)?.interval.map(|(_, high)| high).or(max(values))
}

fn footprint(loaded_mb: Option<f64>, peaks: &[f64]) -> Option<Footprint> {
    Some(Footprint { loaded_mb: loaded_mb?, peak_mb: max(peaks)? })
}

fn charge(rounds: &[(&Run, &Cell, &Load)]) -> Option<Footprint> {
    let of = |cell: &Cell| -> Vec<f64> {
        cell.samples.iter().filter_map(|sample| Some(charged_mb(&sample.cgroup?))).collect()
    };
    let charges: Vec<Vec<f64>> = rounds.iter().map(|(_, cell, _)| of(cell)).collect();
    let medians: Vec<f64> = charges.iter().filter_map(|round| median(round)).collect();
    let peaks: Vec<f64> = charges.iter().filter_map(|round| max(round)).collect();
    footprint(median(&medians), &peaks)
}

/// All that version 2 of the control groups charges, which is what a limit bounds; version 1 has the socket buffers in
/// an account of their own.
fn charged_mb(charge: &Charge) -> f64 {
    let apart = if charge.version == 1 { charge.sock.unwrap_or(0) } else { 0 };
    (charge.current + apart) as f64 / 1e6
}

/// The processes that Docker starts beside the container's own.
fn outside(weight: &Weight) -> BTreeMap<String, f64> {
    let mut outside = BTreeMap::new();
    for process in &weight.processes {
        if ["containerd-shim", "docker-proxy"].iter().any(|name| process.name.starts_with(name)) {
            *outside.entry(process.name.clone()).or_default() += process.memory.pss as f64 / 1e6;
        }
    }
    outside
}
