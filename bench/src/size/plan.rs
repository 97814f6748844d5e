//! The arithmetic: from evidence of one target to a plan. Pure; the formulas are in the documentation of
//! [`size`](super).

use serde::Serialize;

use super::Asked;
use super::evidence::{Evidence, Footprint, Point};
use crate::report::{SERVER_BUSY, number};

/// No container gets less: CRI-O refuses a limit below 12 MiB and Docker one below 6 MiB, because the runtime itself
/// starts in the container's control group.
pub const LEAST_LIMIT_MIB: u64 = 12;

/// An autoscaler leaves alone what is within this part of its target.
pub const TOLERANCE: f64 = 0.1;

/// A rate this near to a measured one is the measured one.
const NEAR: f64 = 0.01;
/// A measured rate that is higher than the planned one by no more than this still tells its CPU time.
const FAR: f64 = 1.25;
/// What a division leaves behind must not cost an instance.
const ROUNDING: f64 = 1e-9;

/// What serves the rate.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Where the capacity of one instance was measured.
    pub capacity: Point,
    /// Nothing says that it cannot do more.
    pub at_least: bool,
    pub instances: u64,
    /// Requests a second for each instance.
    pub each: f64,
    /// The measured rate whose footprint and CPU time are taken for it.
    pub footprint: Point,
    /// `each` is below anything measured.
    pub below_measured: bool,
    /// An open loop kept the objective at about `each`.
    pub confirmed: bool,
    /// An open loop that missed the objective below the capacity, while something else than the server was the limit.
    pub doubtful: Option<Point>,
    /// What the autoscaler aims at, in percent of the CPU request.
    pub target_percent: u64,
    pub cpu: Option<Cpu>,
    pub memory: Option<Memory>,
    /// PSS of all instances; absent when they were not weighed.
    pub total_mb: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cpu {
    pub us_per_req: f64,
    /// What all instances use at the rate asked for.
    pub total_cores: f64,
    /// Of one instance, in thousandths of a CPU.
    pub request_millicores: u64,
}

/// Of one instance, in MiB (2²⁰ bytes).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    pub scope: Scope,
    pub loaded_mb: f64,
    pub peak_mb: f64,
    pub request_mib: u64,
    pub limit_mib: u64,
    pub limit_from: LimitFrom,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Of the whole process tree.
    Pss,
    /// What the kernel charged to the control group: what Kubernetes counts.
    Cgroup,
}

/// Which bound decides the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitFrom {
    Peak,
    Smallest,
    Runtime,
}

/// Makes a plan from evidence.
///
/// # Errors
/// Why there is none: never a number that was not measured.
pub fn plan(evidence: &Evidence, asked: &Asked) -> Result<Plan, String> {
    let points = &evidence.points[..];
    let kept = kept(points, asked.p99_ms);
    let capacity = *kept.last().ok_or_else(|| missed(points, asked.p99_ms))?;
    let instances = instances(asked.rps, capacity.rate, asked.margin);
    let each = asked.rps / instances as f64;
    // What an instance used at a rate it used, also when it was too slow.
    let mut served: Vec<&Point> = points.iter().filter(|point| point.serves()).collect();
    served.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let (below, above): (Vec<&Point>, Vec<&Point>) =
        served.iter().partition(|point| point.rate < each * (1.0 - NEAR));
    let (below, footprint) = (below.last().copied(), above.first().copied().unwrap_or(capacity));
    let target_percent = (((1.0 - asked.margin) * 100.0 + ROUNDING).floor() as u64).max(1);
    let near = each * (1.0 - NEAR)..=each * FAR;
    Ok(Plan {
        at_least: at_least(points, capacity, asked.p99_ms),
        instances,
        each,
        below_measured: below.is_none() && footprint.rate > *near.end(),
        confirmed: kept.iter().any(|point| point.is_open() && near.contains(&point.rate)),
        doubtful: doubtful(points, capacity, asked.p99_ms).cloned(),
        target_percent,
        cpu: cpu(asked.rps, each, target_percent, footprint, below),
        memory: memory(evidence, &served, footprint, asked.margin),
        total_mb: footprint.pss.map(|pss| total_mb(evidence, instances, pss.loaded_mb)),
        capacity: capacity.clone(),
        footprint: footprint.clone(),
    })
}

/// The points that served as they should, by rate. A closed loop waits with its requests while the server stalls, so a
/// point counts only below the lowest rate that an open loop has shown to be too high. What other programs may have caused
/// shows nothing, but against a point that they disturbed as well.
fn kept(points: &[Point], p99_ms: f64) -> Vec<&Point> {
    let missed = |miss: &&Point| miss.is_open() && !miss.keeps(p99_ms) && !miss.generator_bound;
    let too_high = |point: &Point| {
        let misses = points.iter().filter(missed).filter(|miss| !miss.disturbed || point.disturbed);
        misses.map(Point::offered).fold(f64::INFINITY, f64::min)
    };
    let counts = |point: &&Point| point.keeps(p99_ms) && point.offered() < too_high(point);
    let mut kept: Vec<&Point> = points.iter().filter(counts).collect();
    kept.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    kept
}

/// The lowest rate at which an open loop missed the objective, though not clearly for the server's sake, when it lies
/// below the capacity.
fn doubtful<'a>(points: &'a [Point], capacity: &Point, p99_ms: f64) -> Option<&'a Point> {
    let doubtful = |point: &&Point| point.is_open() && !point.keeps(p99_ms) && point.is_excused();
    let below = points.iter().filter(doubtful).filter(|point| point.offered() <= capacity.rate);
    below.min_by(|a, b| a.offered().total_cmp(&b.offered()))
}

/// Why no point counts, with the nearest miss.
fn missed(points: &[Point], p99_ms: f64) -> String {
    let objective = format!("p99 {} ms", plain(p99_ms));
    if let Some(refuted) = refuted(points, p99_ms) {
        return format!("{objective} {refuted}");
    }
    let clean =
        points.iter().filter(|point| point.serves()).filter_map(|point| Some((point.rate, point.p99_ms?)));
    match clean.min_by(|(_, a), (_, b)| a.total_cmp(b)) {
        Some((rate, p99)) => format!(
            "{objective} was not met at any measured load; lowest measured {} ms at {} req/s",
            number(p99),
            number(rate)
        ),
        None => without_errors(points),
    }
}

/// What kept the objective, and the open loop that it does not count for.
fn refuted(points: &[Point], p99_ms: f64) -> Option<String> {
    let met = points.iter().find(|point| point.keeps(p99_ms))?;
    let misses =
        points.iter().filter(|point| point.is_open() && !point.keeps(p99_ms) && !point.generator_bound);
    let lowest = misses.min_by(|a, b| a.offered().total_cmp(&b.offered()))?;
    let how = match lowest.p99_ms.filter(|_| lowest.serves()) {
        Some(p99) => format!("with {} ms", number(p99)),
        None => "which was not served".into(),
    };
    let (met_at, missed_at) = (number(met.rate), number(lowest.offered()));
    Some(format!(
        "was met at {met_at} req/s ({}), but missed in an open loop at {missed_at} req/s, {how}",
        met.conditions()
    ))
}

fn without_errors(points: &[Point]) -> String {
    let Some(point) = points.iter().min_by_key(|point| (point.broken.is_some(), point.errors)) else {
        return "no load was measured".into();
    };
    let rate = number(point.offered());
    match &point.broken {
        Some(why) => format!("no measured load was served; at {rate} req/s: {why}"),
        None => {
            format!("no measured load was served without errors; fewest {} at {rate} req/s", point.errors)
        }
    }
}

/// ⌈rps ÷ (capacity × (1 − margin))⌉
fn instances(rps: f64, capacity: f64, margin: f64) -> u64 {
    ((rps / (capacity * (1.0 - margin)) - ROUNDING).ceil() as u64).max(1)
}

/// Whether nothing above the capacity was seen to fail, and the server still had CPU time to spare.
fn at_least(points: &[Point], capacity: &Point, p99_ms: f64) -> bool {
    let fails = |point: &Point| !point.keeps(p99_ms) && point.offered() > capacity.rate;
    !points.iter().any(fails) && capacity.busy().is_none_or(|busy| busy < SERVER_BUSY)
}

/// CPU use between two measured rates is taken from the straight line through them, below all of them from the one
/// through no use at no rate. A request costs the more CPU the fewer there are, so that the truth lies above the line,
/// and an autoscaler that believes it acts too early rather than too late.
fn cpu(rps: f64, each: f64, percent: u64, at: &Point, below: Option<&Point>) -> Option<Cpu> {
    let used = |point: &Point| Some((point.rate, point.rate * point.cpu_us_per_req?));
    let (high, high_us) = used(at)?;
    let (low, low_us) = below.and_then(used).unwrap_or_default();
    let line = low_us + (high_us - low_us) * (each - low) / (high - low);
    let us_per_req = if each < high { line / each } else { at.cpu_us_per_req? };
    let request = each * us_per_req / 1e6 / (percent as f64 / 100.0);
    Some(Cpu {
        us_per_req,
        total_cores: rps * us_per_req / 1e6,
        request_millicores: ((request * 1e3 - ROUNDING).ceil() as u64).max(1),
    })
}

fn memory(evidence: &Evidence, served: &[&Point], at: &Point, margin: f64) -> Option<Memory> {
    let scope = if at.charge.is_some() { Scope::Cgroup } else { Scope::Pss };
    let of = |point: &Point| match scope {
        Scope::Cgroup => point.charge,
        Scope::Pss => point.pss,
    };
    let Footprint { loaded_mb, .. } = of(at)?;
    // To be asked for too much must not end an instance.
    let peak_mb = served.iter().filter_map(|point| of(point)).map(|footprint| footprint.peak_mb);
    let peak_mb = peak_mb.fold(loaded_mb, f64::max);
    let request_mib = mib(loaded_mb * 1e6 * (1.0 + margin));
    // A guest's is the size of its RAM, which is not all that it needs.
    let smallest = evidence.smallest_mib.filter(|_| !evidence.is_guest());
    let smallest = smallest.map_or(0, |mib| self::mib(mib as f64 * MIB * (1.0 + margin)));
    let bounds = [
        (mib(peak_mb * 1e6 * (1.0 + margin)), LimitFrom::Peak),
        (smallest, LimitFrom::Smallest),
        (LEAST_LIMIT_MIB, LimitFrom::Runtime),
    ];
    let (limit_mib, limit_from) = bounds.into_iter().rev().max_by_key(|(mib, _)| *mib)?;
    Some(Memory { scope, loaded_mb, peak_mb, request_mib, limit_mib, limit_from })
}

const MIB: f64 = 1_048_576.0;

fn mib(bytes: f64) -> u64 {
    (bytes / MIB - ROUNDING).ceil() as u64
}

/// base + (loaded − base) × instances; without anything known to be shared, loaded × instances.
fn total_mb(evidence: &Evidence, instances: u64, loaded_mb: f64) -> f64 {
    let base = evidence.sharing.map_or(0.0, |sharing| sharing.base_mb.clamp(0.0, loaded_mb));
    base + (loaded_mb - base) * instances as f64
}

/// An objective as it was given.
pub fn plain(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl Plan {
    /// The rate at which an instance uses what the autoscaler aims at.
    pub fn scales_at(&self) -> Option<f64> {
        let cpu = self.cpu?;
        let target = cpu.request_millicores as f64 / 1e3 * self.target_percent as f64 / 100.0;
        Some(target * 1e6 / cpu.us_per_req)
    }

    /// Whether the autoscaler may let an instance do more than was measured before it acts.
    pub fn scales_late(&self) -> bool {
        self.scales_at().is_some_and(|rate| rate * (1.0 + TOLERANCE) > self.capacity.rate)
    }
}

#[cfg(test)]
mod tests;
