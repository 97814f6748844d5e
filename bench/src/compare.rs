//! Comparing two records, or two targets of one record: each figure's ratio with its interval, and a verdict.
//!
//! A figure is *better* or *worse* when all of the ratio's interval lies beyond a margin around 1; else it is the *same*,
//! as far as can be told. The intervals (Student's t on logarithms) hold for all figures of a cell at once with 95 %: the
//! more is looked at, the more would be found by chance. Two targets of one record are compared round by round, so that what disturbed
//! a round disturbed both. Two records were taken at different times: there the medians are compared, and the
//! interval of everything that takes time is widened by as much as the machine's own readings (`noise`) differ.

use serde::Serialize;

mod limit;
mod text;

pub use limit::Limit;

use crate::record::{Cell, Record};
use crate::report::{Figure, error_share};
use crate::stats::{Ratio, median, ratio};

/// The chance that any of a cell's intervals misses.
const ERROR: f64 = 0.05;

/// Percent of all requests by which errors may grow unsaid.
const MORE_ERRORS: f64 = 0.1;

/// What is compared; `--fail-on` adds what it names.
const FIGURES: [Figure; 8] = [
    Figure::ReqPerSPerMb,
    Figure::ReqPerS,
    Figure::ReqPerCpuS,
    Figure::PssIdleMb,
    Figure::PssLoadedMb,
    Figure::P50Ms,
    Figure::P99Ms,
    Figure::ColdStartMs,
];

/// One side: a record, and which of its targets, or all.
pub struct Side<'a> {
    pub record: &'a Record,
    pub name: String,
    pub target: Option<String>,
}

/// How to judge.
pub struct Options<'a> {
    /// A change must be larger than this part to count, such as 0.03.
    pub margin: f64,
    pub limits: &'a [Limit],
    /// Whether both sides are of one record, so that rounds correspond.
    pub paired: bool,
}

/// What was found.
#[derive(Serialize)]
pub struct Comparison {
    pub base: String,
    pub new: String,
    pub margin: f64,
    pub paired: bool,
    /// By which factor the machine's own readings differ between the sides, at least 1; absent where a record has none.
    pub machine_change: Option<f64>,
    /// The records name different machines.
    pub machines_differ: bool,
    pub lines: Vec<Line>,
    /// Measured in the base, and not in the new one, or not so that it could be compared.
    pub lost: Vec<Lost>,
    /// Which limits are missed, and by what.
    pub missed: Vec<String>,
}

/// One figure of one cell.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub target: String,
    pub workload: String,
    pub figure: Figure,
    pub base: f64,
    pub new: f64,
    /// New over base.
    pub ratio: Ratio,
    pub verdict: Verdict,
}

/// A cell that failed, or was left out.
#[derive(Clone, Debug, Serialize)]
pub struct Lost {
    pub target: String,
    pub workload: String,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Better,
    Worse,
    /// As far as can be told.
    Same,
    /// Fewer than three rounds.
    Unknown,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same => "same",
            Self::Unknown => "unknown",
        }
    }

    fn of(figure: Figure, ratio: &Ratio, margin: f64) -> Self {
        let Some((low, high)) = ratio.interval else { return Self::Unknown };
        let (more, less) = (low > 1.0 + margin, high < 1.0 - margin);
        match (more, less, figure.more_is_better()) {
            (true, _, true) | (_, true, false) => Self::Better,
            (true, _, false) | (_, true, true) => Self::Worse,
            _ => Self::Same,
        }
    }
}

/// Compares every cell that both sides have.
pub fn compare(base: &Side<'_>, new: &Side<'_>, options: &Options<'_>) -> Comparison {
    let machine_change = if options.paired { Some(1.0) } else { machine_change(base.record, new.record) };
    let (mut lines, mut lost) = (Vec::new(), Vec::new());
    for pair in pairs(base, new) {
        match pair.lost(options.limits).or_else(|| pair.difference()) {
            Some(why) => {
                lost.push(Lost { target: pair.target.to_owned(), workload: pair.workload.to_owned(), why })
            }
            None => lines.extend(figures(options).filter_map(|figure| {
                let ratio = pair.ratio(figure, options.paired)?;
                let widened = widened(figure, ratio, machine_change.unwrap_or(1.0));
                pair.line(figure, widened, options.margin)
            })),
        }
    }
    let mut missed = limit::missed(options.limits, &lines, &lost);
    for side in [base, new].into_iter().filter(|side| !side.record.complete && !options.limits.is_empty()) {
        missed.push(format!("{} is incomplete: the run was interrupted", side.name));
    }
    Comparison {
        base: base.name.clone(),
        new: new.name.clone(),
        margin: options.margin,
        paired: options.paired,
        machine_change,
        machines_differ: base.record.host.label != new.record.host.label,
        lines,
        lost,
        missed,
    }
}

fn figures(options: &Options<'_>) -> impl Iterator<Item = Figure> {
    let paired = options.paired;
    let asked: Vec<Figure> = options.limits.iter().filter_map(Limit::figure).collect();
    // A start is over before the machine is up to speed: from one run to the next the same build has taken three times as
    // long. Between records it is compared only when it is asked for.
    let usual = move |figure: &Figure| FIGURES.contains(figure) && (paired || *figure != Figure::ColdStartMs);
    Figure::ALL.into_iter().filter(move |figure| usual(figure) || asked.contains(figure))
}

/// The cells of both sides that belong together.
struct Pair<'a> {
    target: &'a str,
    workload: &'a str,
    base: Vec<&'a Cell>,
    new: Vec<&'a Cell>,
}

fn pairs<'a>(base: &Side<'a>, new: &Side<'a>) -> Vec<Pair<'a>> {
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    for cell in &base.record.cells {
        let known = pairs.iter().any(|pair| pair.target == cell.target && pair.workload == cell.workload);
        if known || base.target.as_ref().is_some_and(|target| *target != cell.target) {
            continue;
        }
        let cells = |record: &'a Record, target: &str| {
            let of = |other: &&Cell| other.target == target && other.workload == cell.workload;
            record.cells.iter().filter(of).collect()
        };
        pairs.push(Pair {
            target: &cell.target,
            workload: &cell.workload,
            base: cells(base.record, &cell.target),
            new: cells(new.record, new.target.as_ref().unwrap_or(&cell.target)),
        });
    }
    // What the base could not measure cannot be lost.
    pairs.retain(|pair| pair.base.iter().any(|cell| cell.load.is_some()));
    pairs
}

impl Pair<'_> {
    /// What the new side lacks.
    fn lost(&self, limits: &[Limit]) -> Option<String> {
        let failed = |cell: &&Cell| cell.error.clone().or_else(|| cell.samples_error.clone());
        let share =
            |cells: &[&Cell]| ratio(cells.iter().filter_map(failed).count() as f64, cells.len() as f64);
        let wrong = |cells: &[&Cell]| {
            error_share(&cells.iter().filter_map(|cell| cell.load.as_ref()).collect::<Vec<_>>()) * 100.0
        };
        let (wrong_before, wrong_now) = (wrong(&self.base), wrong(&self.new));
        let gone = |figure: &Figure| {
            !values(&self.base, *figure).is_empty() && values(&self.new, *figure).is_empty()
        };
        if self.new.is_empty() {
            return Some("it is not in the new record".into());
        }
        if share(&self.new) > share(&self.base) {
            return self.new.iter().find_map(failed);
        }
        if wrong_now > wrong_before + MORE_ERRORS {
            return Some(format!("{wrong_now:.2} % of its requests went wrong, {wrong_before:.2} % before"));
        }
        let gone = limits.iter().filter_map(Limit::figure).find(gone);
        gone.map(|figure| format!("{} is not in the new record", figure.name()))
    }

    /// What makes the two sides different experiments.
    fn difference(&self) -> Option<String> {
        let of = |cells: &[&Cell]| -> Option<String> {
            let cell = cells.iter().find(|cell| cell.load.is_some())?;
            let load = cell.load.as_ref()?;
            let emulated = if cell.emulated { ", emulated" } else { "" };
            Some(format!(
                "{}, {} connections, {} CPUs{emulated}",
                load.schedule, load.connections, load.server_cpus
            ))
        };
        let (base, new) = (of(&self.base)?, of(&self.new)?);
        (base != new).then(|| format!("measured differently: {base}; and now {new}"))
    }

    fn ratio(&self, figure: Figure, paired: bool) -> Option<Ratio> {
        let error = ERROR / FIGURES.len() as f64;
        if paired {
            return Ratio::of_pairs(&self.ratios(figure), error);
        }
        Ratio::of(&values(&self.base, figure), &values(&self.new, figure), error)
    }

    fn ratios(&self, figure: Figure) -> Vec<f64> {
        // Starts of one round are several.
        let value = |cell: &Cell| median(&figure.values(cell));
        let partner = |cell: &Cell| self.new.iter().find(|other| other.round == cell.round).copied();
        self.base.iter().filter_map(|cell| ratio(value(partner(cell)?)?, value(cell)?)).collect()
    }

    fn line(&self, figure: Figure, ratio: Ratio, margin: f64) -> Option<Line> {
        Some(Line {
            target: self.target.to_owned(),
            workload: self.workload.to_owned(),
            figure,
            base: median(&values(&self.base, figure))?,
            new: median(&values(&self.new, figure))?,
            ratio,
            verdict: Verdict::of(figure, &ratio, margin),
        })
    }
}

fn values(cells: &[&Cell], figure: Figure) -> Vec<f64> {
    cells.iter().flat_map(|cell| figure.values(cell)).collect()
}

/// The interval with the machine's own change on both sides; memory does not depend on it.
fn widened(figure: Figure, ratio: Ratio, change: f64) -> Ratio {
    let factor = if figure.is_memory() { 1.0 } else { change };
    Ratio { interval: ratio.interval.map(|(low, high)| (low / factor, high * factor)), ..ratio }
}

/// The factor by which the readings of two records differ, whichever reading and direction differs more.
fn machine_change(base: &Record, new: &Record) -> Option<f64> {
    let readings = |record: &Record, of: fn(&crate::noise::Reading) -> f64| {
        let noise = record.cells.iter().filter_map(|cell| cell.noise);
        median(&noise.flat_map(|noise| [of(&noise.before), of(&noise.after)]).collect::<Vec<_>>())
    };
    let change = |of: fn(&crate::noise::Reading) -> f64| {
        let change = ratio(readings(new, of)?, readings(base, of)?)?;
        Some(change.max(1.0 / change))
    };
    Some(change(|reading| reading.spin_ms)?.max(change(|reading| reading.loopback_us)?))
}

#[cfg(test)]
mod tests;
