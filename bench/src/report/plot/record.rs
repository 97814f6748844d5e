//! What of a record each plot shows.

use super::bars::Bar;
use super::latency::Curve;
use super::palette::{Family, Palette};
use super::scatter::Spot;
use super::starts::Starts;
use super::timeline::Course;
use crate::launch::{PageCache, Start};
use crate::record::{Cell, Load, Record};
use crate::report::figure::mb;
use crate::report::render::is_marked;
use crate::report::{Class, Figure, Growth, Row};
use crate::stats::median;

/// A quantile is shown when at least this many requests of all rounds are beyond it.
const BEYOND: f64 = 10.0;
/// Points of a latency line: as many for each further nine.
const STEPS: u32 = 24;

const EMULATED: &str = "emulated: not ranked";
const GENERATOR: &str = "the generator was the limit: a lower bound, not ranked";
const INVALID: &str = "the load breaks Little's law: not ranked";

/// The inks of a record's targets, and of those that were weighed elsewhere.
pub fn palette(record: &Record, growth: &[Growth]) -> Palette {
    let of_record = record.targets.iter().map(|target| {
        let target = &target.definition;
        (target.name.as_str(), Family::of(target.kind, target.peer))
    });
    let of_growth =
        growth.iter().map(|growth| (growth.target.as_str(), Family::of(growth.kind, growth.peer)));
    Palette::of(of_record.chain(of_growth))
}

fn drawn(row: &Row) -> bool {
    matches!(row.class(), Class::Ranked | Class::Apart)
}

/// Requests/s per MB, in the order of the rows; what is not ranked comes by its reason.
pub fn bars(rows: &[&Row], palette: &Palette) -> Vec<Bar> {
    let bar = |row: &Row| {
        Some(Bar {
            name: if row.peer { format!("{} (peer)", row.target) } else { row.target.clone() },
            ink: palette.ink(&row.target),
            estimate: *row.get(Figure::ReqPerSPerMb)?,
            marked: row.is_ranked() && is_marked(row),
            apart: match row {
                row if row.is_ranked() => None,
                row if row.emulated => Some(EMULATED),
                row if row.invalid => Some(INVALID),
                _ => Some(GENERATOR),
            },
        })
    };
    let mut bars: Vec<Bar> = rows.iter().filter(|row| drawn(row)).filter_map(|row| bar(row)).collect();
    bars.sort_by_key(|bar| bar.apart);
    bars
}

pub fn spots(rows: &[&Row], palette: &Palette) -> Vec<Spot> {
    let spot = |row: &Row| {
        Some(Spot {
            name: row.target.clone(),
            ink: palette.ink(&row.target),
            apart: !row.is_ranked(),
            mb: *row.get(Figure::PssLoadedMb)?,
            req_per_s: *row.get(Figure::ReqPerS)?,
        })
    };
    rows.iter().filter(|row| drawn(row)).filter_map(|row| spot(row)).collect()
}

fn cells<'a>(record: &'a Record, row: &'a Row) -> impl Iterator<Item = &'a Cell> {
    record.cells.iter().filter(|cell| cell.target == row.target && cell.workload == row.workload)
}

/// The median over the rounds at each quantile.
pub fn curves(record: &Record, rows: &[&Row], palette: &Palette) -> Vec<Curve> {
    let curve = |row: &Row| Curve {
        name: row.target.clone(),
        ink: palette.ink(&row.target),
        emulated: row.emulated,
        points: quantiles(&cells(record, row).filter_map(|cell| cell.load.as_ref()).collect::<Vec<_>>()),
    };
    let curves = rows.iter().filter(|row| drawn(row)).map(|row| curve(row));
    curves.filter(|curve| !curve.points.is_empty()).collect()
}

fn quantiles(loads: &[&Load]) -> Vec<(f64, f64)> {
    let answers: u64 = loads.iter().map(|load| load.requests + load.drained).sum();
    let steps = (0..=4 * STEPS).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / f64::from(STEPS)));
    let from_median = [0.5].into_iter().chain(steps.filter(|quantile| *quantile > 0.5));
    let shown = from_median.filter(|quantile| answers as f64 * (1.0 - quantile) >= BEYOND);
    let at = |quantile: f64| {
        let rounds: Vec<f64> =
            loads.iter().filter_map(|load| latency_at(&load.latency.quantiles, quantile)).collect();
        Some((quantile, median(&rounds)?))
    };
    shown.filter_map(at).collect()
}

/// The time within which this part of the requests was answered.
fn latency_at(quantiles: &[(f64, f64)], quantile: f64) -> Option<f64> {
    let found = quantiles.iter().find(|(at, _)| *at >= quantile).or(quantiles.last());
    found.map(|(_, ms)| *ms)
}

/// One round of each target: the first that was weighed at rest, too, or else the first.
pub fn courses(record: &Record, rows: &[&Row], palette: &Palette) -> Vec<Course> {
    let course = |row: &Row| {
        let weighed = || cells(record, row).filter(|cell| !cell.samples.is_empty());
        let cell = weighed().find(|cell| cell.rest.is_some()).or_else(|| weighed().next())?;
        Some(Course {
            name: row.target.clone(),
            ink: Some(palette.ink(&row.target)),
            emulated: row.emulated,
            idle_mb: cell.idle.as_ref().map(|weight| mb(weight.total.pss)),
            loaded: cell.samples.iter().map(|sample| (sample.at_ms / 1e3, mb(sample.memory.pss))).collect(),
            after_mb: cell.after.as_ref().map(|weight| mb(weight.total.pss)),
            rest: cell.rest.as_ref().map(|rest| (rest.after_s, mb(rest.weight.total.pss))),
        })
    };
    rows.iter().filter(|row| drawn(row)).filter_map(|row| course(row)).collect()
}

/// Every start of the record, the fastest target first.
pub fn starts(record: &Record, palette: &Palette) -> Vec<Starts> {
    let mut all: Vec<Starts> = record
        .targets
        .iter()
        .map(|target| starts_of(record, &target.definition.name, palette))
        .filter(|starts| !starts.warm.is_empty() || !starts.dropped.is_empty())
        .collect();
    let worth = |starts: &Starts| median(&starts.warm).or(median(&starts.dropped)).unwrap_or(f64::MAX);
    all.sort_by(|a, b| worth(a).total_cmp(&worth(b)));
    all
}

fn starts_of(record: &Record, target: &str, palette: &Palette) -> Starts {
    let cells = || record.cells.iter().filter(|cell| cell.target == target);
    let of_state = |state: PageCache| {
        cells().flat_map(|cell| &cell.starts).filter(move |start| start.page_cache == state)
    };
    let ready = |state| of_state(state).map(|start| start.ready_ms).collect();
    let phase = |time: fn(&Start) -> Option<f64>| {
        median(&of_state(PageCache::Warm).filter_map(time).collect::<Vec<_>>())
    };
    Starts {
        name: target.to_owned(),
        ink: palette.ink(target),
        emulated: cells().any(|cell| cell.emulated),
        warm: ready(PageCache::Warm),
        dropped: ready(PageCache::Dropped),
        first_output: phase(|start| start.first_output_ms),
        listening: phase(|start| start.listening_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixture::{record, with_rounds};
    use crate::report::rows;

    #[test]
    fn a_line_of_latencies_is_the_median_of_its_rounds() {
        let mut record = with_rounds(&[1000, 1000, 1000]);
        for (cell, factor) in record.cells.iter_mut().zip([1.0, 2.0, 100.0]) {
            cell.load.as_mut().unwrap().latency.quantiles = vec![(0.5, factor), (0.99, 3.0 * factor)];
        }
        let (rows, palette) = (rows(&record), palette(&record, &[]));
        let curves = curves(&record, &rows.iter().collect::<Vec<_>>(), &palette);
        let points = &curves[0].points;
        assert_eq!((points[0], points.last().unwrap().1), ((0.5, 2.0), 6.0));
        // 3,030 answers: ten are beyond the quantile 0.9967, and no line goes farther.
        assert!(points.last().unwrap().0 < 0.9968, "{:?}", points.last());
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
    }

    #[test]
    fn what_is_not_ranked_is_set_apart_and_what_failed_is_not_drawn() {
        let mut rows: Vec<Row> = (0..4).map(|_| rows(&record(2.0, 0.5, 0.0)).remove(0)).collect();
        rows[0].generator_bound = true;
        rows[1].emulated = true;
        rows[2].error = Some("it died".into());
        let bars = bars(&rows.iter().collect::<Vec<_>>(), &Palette::of([]));
        let apart: Vec<_> = bars.iter().map(|bar| bar.apart).collect();
        assert_eq!(apart, [None, Some(EMULATED), Some(GENERATOR)]);
    }

    #[test]
    fn starts_are_those_of_all_cells_by_the_state_of_the_page_cache() {
        let mut record = record(2.0, 0.5, 0.0);
        record.cells[0].starts[0].page_cache = PageCache::Dropped;
        record.cells[0].starts[1].listening_ms = Some(0.5);
        let all = starts(&record, &palette(&record, &[]));
        assert_eq!((all.len(), &all[0].warm[..], &all[0].dropped[..]), (1, &[1.0, 6.0][..], &[5.0][..]));
        assert_eq!((all[0].listening, all[0].first_output), (Some(0.5), None));
    }
}
