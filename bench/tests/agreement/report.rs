//! What was compared, and the record of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ounce_bench::data;
use ounce_bench::host::Host;
use ounce_bench::noise::{self, Reading};
use ounce_bench::placement::Placement;
use ounce_bench::record::{self, SCHEMA, Writer};
use ounce_bench::stats::{Ratio, median};
use serde::Serialize;

use super::ROUNDS;

/// The same quantity, measured in turns by the scale and by another tool.
#[derive(Serialize)]
pub struct Pair {
    what: String,
    unit: &'static str,
    other: String,
    scale_figures: Vec<f64>,
    other_figures: Vec<f64>,
    /// The median of the scale's figures over that of the others', with its 95 % interval.
    ratio: Ratio,
    /// How far the ratio may be from 1.
    tolerance: f64,
    agrees: bool,
}

impl Pair {
    pub fn new(
        what: &str,
        unit: &'static str,
        other: &str,
        figures: (Vec<f64>, Vec<f64>),
        tolerance: f64,
    ) -> Self {
        let (scale_figures, other_figures) = figures;
        let ratio = Ratio::of(&other_figures, &scale_figures, 0.05).expect("figures");
        let agrees = (ratio.ratio - 1.0).abs() <= tolerance;
        let (what, other) = (what.to_owned(), other.to_owned());
        Self { what, unit, other, scale_figures, other_figures, ratio, tolerance, agrees }
    }

    fn line(&self) -> String {
        let Self { what, unit, other, ratio, tolerance, .. } = self;
        let middle = |figures: &[f64]| median(figures).unwrap_or(f64::NAN);
        let (scale, theirs) = (middle(&self.scale_figures), middle(&self.other_figures));
        let interval =
            ratio.interval.map_or_else(String::new, |(low, high)| format!(" ({low:.4} to {high:.4})"));
        let (percent, verdict) = (tolerance * 100.0, if self.agrees { "yes" } else { "NO" });
        format!(
            "{what}: scale {scale:.3} {unit}, {other} {theirs:.3} {unit}, ratio {:.4}{interval}, within {percent:.0} %: {verdict}",
            ratio.ratio
        )
    }
}

#[derive(Serialize)]
struct Report {
    schema: u32,
    kind: &'static str,
    started: String,
    ended: Option<String>,
    host: Host,
    placement: Placement,
    rounds: usize,
    /// What else was used, in the words of each about its version.
    tools: BTreeMap<String, String>,
    /// How the machine was, before and after each group of pairs.
    noise: Vec<Reading>,
    pairs: Vec<Pair>,
}

/// The record of this run of tests: one file, which the first test creates.
fn report(write: impl FnOnce(&mut Report)) {
    static REPORT: Mutex<Option<(Writer, Report)>> = Mutex::new(None);
    let mut report = REPORT.lock().unwrap_or_else(PoisonError::into_inner);
    let (writer, report) = report.get_or_insert_with(|| {
        let label = std::env::var("OUNCE_HOST_LABEL").ok();
        let report = Report {
            schema: SCHEMA,
            kind: "agreement",
            started: record::now(),
            ended: None,
            host: Host::here(label.as_deref()),
            placement: Placement::here(None).unwrap(),
            rounds: ROUNDS,
            tools: BTreeMap::new(),
            noise: Vec::new(),
            pairs: Vec::new(),
        };
        let records = data::bench_dir().join("records");
        let writer = Writer::create(&records, &report.started, &report.host.label, "-agreement").unwrap();
        println!("record: {}", writer.path().display());
        (writer, report)
    });
    report.noise.push(noise::read(&report.placement));
    write(report);
    writer.write(report).unwrap();
}

/// Before the first measurement of a group.
pub fn begin() {
    report(|_| {});
}

/// Keeps a group of pairs, and judges it.
pub fn conclude(tools: &[(&str, String)], pairs: Vec<Pair>) {
    let lines: Vec<(bool, String)> = pairs.iter().map(|pair| (pair.agrees, pair.line())).collect();
    lines.iter().for_each(|(_, line)| println!("{line}"));
    report(|report| {
        report.tools.extend(tools.iter().map(|(name, version)| ((*name).to_owned(), version.clone())));
        report.pairs.extend(pairs);
        report.ended = Some(record::now());
    });
    let apart: String =
        lines.into_iter().filter(|(agrees, _)| !agrees).map(|(_, line)| format!("\n{line}")).collect();
    assert!(apart.is_empty(), "{apart}");
}
