//! The marginal footprint: what one more instance weighs, when some run already and share pages with it.
//!
//! 1, 2, 4 … instances are launched at once, and the union of their process trees is weighed, each process once. The
//! slope of a line through the sums is the marginal footprint, what the line has at no instance is what all share. Each
//! number is launched anew, weighed at rest, and, if asked for, under a light open loop on all of them.
//!
//! A Spin application is taken in two ways: as more hosts, and as more components in one host.

mod components;
mod fleet;
mod line;
mod room;

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use line::Line;

use super::page::{ERRORS, Page, mb, shown};
use super::{Entry, Options, Question, Subject};
use crate::launch::LaunchError;
use crate::report::{Growth, Table, Weighed};
use crate::stats::Estimate;
use crate::target::{Kind, Target};
use crate::workload::Workload;
use fleet::Fleet;
use room::Room;

/// What is launched may weigh this many times what the line through what was launched says.
const CAUTION: f64 = 1.5;

/// `{"schema": 2, "kind": "marginal", …}`.
pub type Record = super::Record<Asked>;

/// What was asked of every target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asked {
    pub workload: Workload,
    /// The most instances at once.
    pub instances: usize,
    /// The load on each instance; absent: they were weighed at rest alone.
    pub load: Option<Light>,
}

/// A light load: an open loop on every instance at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Light {
    /// Requests a second to each instance.
    pub rate: f64,
    pub connections: usize,
    pub duration_s: f64,
}

/// What there is one more of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    #[default]
    Instances,
    /// Components of one Spin application.
    Components,
}

/// What was found of a target. The lines are absent with fewer than two points.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Found {
    pub unit: Unit,
    pub points: Vec<Point>,
    /// Through the sums of PSS.
    pub idle: Option<Line>,
    pub loaded: Option<Line>,
    /// Through the sums of what the kernel charges to control groups.
    pub cgroup_idle: Option<Line>,
    pub cgroup_loaded: Option<Line>,
    /// Why there were not as many instances as asked for.
    pub stopped: Option<String>,
}

/// A number of instances at once. Bytes are sums over all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    pub instances: usize,
    /// Of the union of the process trees: each process counts once.
    pub processes: usize,
    pub pss_idle_bytes: u64,
    /// Median and peak under load, at 10 Hz.
    pub pss_loaded_bytes: Option<u64>,
    pub pss_loaded_peak_bytes: Option<u64>,
    /// What the kernel charges to their control groups, when each instance has one of its own.
    pub cgroup_idle_bytes: Option<u64>,
    pub cgroup_loaded_bytes: Option<u64>,
    /// Right answers under the load, and requests that went wrong.
    pub requests: Option<u64>,
    pub errors: Option<u64>,
}

impl Question for Asked {
    const KIND: &'static str = "marginal";
    type Found = Found;

    fn variants(&self, target: &Target) -> Vec<Found> {
        let units = match target.kind {
            Kind::Spin => vec![Unit::Instances, Unit::Components],
            _ => vec![Unit::Instances],
        };
        units.into_iter().map(|unit| Found { unit, ..Found::default() }).collect()
    }

    fn page(record: &Record) -> Page {
        record.page()
    }
}

/// Weighs target by target. Of the options' connections and duration the load makes use.
///
/// # Errors
/// When the record cannot be written; a target that fails is an entry with an error.
pub fn run(options: &Options<'_>, instances: usize, rate: Option<f64>) -> Result<(Record, PathBuf)> {
    let light =
        |rate| Light { rate, connections: options.connections, duration_s: options.duration.as_secs_f64() };
    let asked = Asked { workload: options.workload.clone(), instances, load: rate.map(light) };
    super::run(options, asked, find)
}

fn find(asked: &Asked, subject: &Subject<'_>, entry: &mut Entry<Found>) -> Result<()> {
    if subject.target.kind == Kind::Url {
        anyhow::bail!("it runs already: no second instance of it can be started");
    }
    let mut result = Ok(());
    for count in counts(asked.instances) {
        let need = entry.found.projected(count) * CAUTION;
        if let Some(why) = Room::here().short_of(need) {
            entry.found.stopped = Some(format!("{count} at once were not started: {why}"));
            break;
        }
        match point(asked, subject, entry, count) {
            Ok(point) => entry.found.points.push(point),
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    entry.found.fit();
    match result {
        Err(error) if !entry.found.points.is_empty() => {
            entry.found.stopped = Some(format!("{error:#}"));
            Ok(())
        }
        result => result,
    }
}

/// 1, 2, 4 … up to the most, which need not be a power of two.
fn counts(most: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1), move |&count| (count < most).then(|| (count * 2).min(most)))
}

fn point(asked: &Asked, subject: &Subject<'_>, entry: &mut Entry<Found>, count: usize) -> Result<Point> {
    let fleet = Fleet::launch(asked, subject, entry, count)?;
    let mut point = Point { instances: count, ..Point::default() };
    subject.say(&format!("weighing {count} at rest"));
    fleet.at_rest(&mut point)?;
    if let Some(light) = &asked.load {
        subject.say(&format!("weighing {count} under load"));
        fleet.under_load(light, &mut point)?;
    }
    if subject.options.interrupt.is_set() {
        return Err(LaunchError::Interrupted.into());
    }
    fleet.stop()?;
    Ok(point)
}

impl Found {
    fn fit(&mut self) {
        let through = |bytes: fn(&Point) -> Option<u64>| {
            let values = self.points.iter().map(|point| Some((point.instances as f64, bytes(point)? as f64)));
            Line::through(&values.collect::<Option<Vec<_>>>()?)
        };
        let idle = through(|point| Some(point.pss_idle_bytes));
        let loaded = through(|point| point.pss_loaded_bytes);
        let cgroup_idle = through(|point| point.cgroup_idle_bytes);
        let cgroup_loaded = through(|point| point.cgroup_loaded_bytes);
        (self.idle, self.loaded) = (idle, loaded);
        (self.cgroup_idle, self.cgroup_loaded) = (cgroup_idle, cgroup_loaded);
    }

    /// What so many instances will weigh, in bytes, as far as the points tell: nothing without one.
    fn projected(&mut self, count: usize) -> f64 {
        self.fit();
        let lines = [self.idle, self.loaded, self.cgroup_idle, self.cgroup_loaded];
        match &self.points[..] {
            [] => 0.0,
            // Through one point there is no line: as if nothing were shared.
            [one] => one.most() as f64 / one.instances as f64 * count as f64,
            _ => lines.iter().flatten().map(|line| line.at(count as f64)).fold(0.0, f64::max),
        }
    }
}

impl Point {
    /// The greatest of what was weighed.
    fn most(&self) -> u64 {
        let others = [self.pss_loaded_peak_bytes, self.cgroup_idle_bytes, self.cgroup_loaded_bytes];
        others.into_iter().flatten().fold(self.pss_idle_bytes, u64::max)
    }
}

const IDLE: [&str; 4] = [
    "each more, idle (MB of PSS)",
    "shared by all, idle (MB of PSS)",
    "one alone, idle (MB of PSS)",
    "r² idle",
];
const LOADED: [&str; 4] = [
    "each more, loaded (MB of PSS)",
    "shared by all, loaded (MB of PSS)",
    "one alone, loaded (MB of PSS)",
    "r² loaded",
];
const CGROUP: &str = "each more, idle (MB of cgroup charge)";

impl Record {
    fn page(&self) -> Page {
        let mut searches: Vec<&Entry<Found>> = self.searches.iter().collect();
        let slope = |entry: &Entry<Found>| {
            let found = &entry.found;
            found.loaded.or(found.idle).map_or(f64::INFINITY, |line| line.slope_bytes)
        };
        searches.sort_by(|a, b| slope(a).total_cmp(&slope(b)));
        let grouped = self.searches.iter().any(|entry| entry.found.cgroup_idle.is_some());
        let mut headings = vec!["target"];
        headings.extend(IDLE);
        headings.extend(self.asked.load.iter().flat_map(|_| LOADED));
        headings.extend(grouped.then_some(CGROUP));
        headings.extend(["most at once", "marks"]);
        let row = |entry: &&Entry<Found>| self.row(entry, grouped);
        let rows = searches.iter().map(row).collect();
        let table = Table { headings: headings.into_iter().map(String::from).collect(), rows };
        let stopped = |entry: &Entry<Found>| Some((entry.label(), entry.found.stopped.clone()?));
        let notes = self.searches.iter().filter_map(stopped).collect();
        Page { title: self.title(), table, notes }
    }

    fn title(&self) -> String {
        let Asked { workload, instances, load } = &self.asked;
        let numbers: Vec<String> = counts(*instances).map(|count| count.to_string()).collect();
        let numbers = numbers.join(", ");
        let loaded = match load {
            Some(Light { rate, connections, duration_s }) => format!(
                "; loaded is the median of {duration_s} s under an open loop of {rate} req/s of {} on {connections} \
                 connections to each",
                workload.asked(),
            ),
            None => String::new(),
        };
        format!(
            "What one more instance weighs: the slope of a line through the PSS of {numbers} at once{loaded}. \
             Shared by all is the line's value at none. Ordered by the slope."
        )
    }

    fn row(&self, entry: &Entry<Found>, grouped: bool) -> Vec<String> {
        let found = &entry.found;
        let first = found.points.first();
        let bytes = |value: Option<f64>| shown(value.map(|bytes| bytes / 1e6));
        let line = |line: Option<Line>, alone: Option<u64>| {
            let r2 = line.and_then(|line| line.r2).map_or("–".to_owned(), |r2| format!("{r2:.3}"));
            let (slope, base) = (line.map(|line| line.slope_bytes), line.map(|line| line.base_bytes));
            [bytes(slope), bytes(base), mb(alone), r2]
        };
        let mut row = vec![entry.label()];
        row.extend(line(found.idle, first.map(|point| point.pss_idle_bytes)));
        if self.asked.load.is_some() {
            row.extend(line(found.loaded, first.and_then(|point| point.pss_loaded_bytes)));
        }
        row.extend(grouped.then(|| bytes(found.cgroup_idle.map(|line| line.slope_bytes))));
        row.push(found.points.last().map_or("–".to_owned(), |point| point.instances.to_string()));
        let wrong = found.points.iter().any(|point| point.errors.is_some_and(|errors| errors > 0));
        row.push(entry.marks(if wrong { &[ERRORS] } else { &[] }));
        row
    }
}

impl Record {
    /// For plots.
    pub fn growth(&self) -> Vec<Growth> {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let each = |line: Line| Estimate { median: line.slope_bytes / 1e6, interval: None, n: 1 };
        let weighed = |point: &Point| Weighed {
            instances: point.instances,
            idle_mb: Some(mb(point.pss_idle_bytes)),
            loaded_mb: point.pss_loaded_bytes.map(mb),
        };
        let growth = |entry: &Entry<Found>| Growth {
            target: entry.label(),
            kind: entry.target.definition.kind,
            peer: entry.target.definition.peer,
            emulated: entry.emulated,
            points: entry.found.points.iter().map(weighed).collect(),
            idle_each_mb: entry.found.idle.map(each),
            loaded_each_mb: entry.found.loaded.map(each),
        };
        self.searches.iter().map(growth).collect()
    }
}

impl Entry<Found> {
    /// The target, and what there is one more of if that is no instance of it.
    fn label(&self) -> String {
        match self.found.unit {
            Unit::Instances => self.name().to_owned(),
            Unit::Components => format!("{}, components of one host", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(points: &[(usize, u64)]) -> Found {
        let point = |&(instances, bytes)| Point { instances, pss_idle_bytes: bytes, ..Point::default() };
        Found { points: points.iter().map(point).collect(), ..Found::default() }
    }

    #[test]
    fn numbers_are_doubled_up_to_the_most() {
        let of = |most| counts(most).collect::<Vec<_>>();
        assert_eq!((of(1), of(2), of(8)), (vec![1], vec![1, 2], vec![1, 2, 4, 8]));
        assert_eq!(of(12), [1, 2, 4, 8, 12]);
    }

    #[test]
    fn the_next_number_is_projected_from_what_was_weighed() {
        assert_eq!(found(&[]).projected(1), 0.0);
        assert_eq!(found(&[(1, 100)]).projected(2), 200.0);
        // 20 that all share, 80 each.
        assert!((found(&[(1, 100), (2, 180)]).projected(4) - 340.0).abs() < 1e-6);
    }

    #[test]
    fn a_line_is_drawn_only_through_what_every_point_has() {
        let mut found = found(&[(1, 100), (2, 180), (4, 340)]);
        (found.points[0].pss_loaded_bytes, found.points[1].pss_loaded_bytes) = (Some(1), Some(2));
        found.fit();
        assert!(found.idle.is_some() && found.loaded.is_none());
    }
}
