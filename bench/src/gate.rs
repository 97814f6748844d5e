//! The gate: a benchmark with pass/fail limits, side by side with peers, for the project's maintainers.
//!
//! Limits, subjects and rounds are data (`bench/gate.toml`). The load comes from wrk, so that the gate does not
//! rest on the scale's own generator; a check compares the two.

mod check;
mod definition;
mod subject;
mod wrk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

pub use check::Verdict;
pub use definition::{Check, Definition, Metric, Subject};
pub use subject::Measurement;

use crate::cell;
use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::launch;
use crate::placement::Placement;
use crate::progress::Progress;
use crate::record::{self, SCHEMA, Writer};
use crate::report::{DISTURBED, Format, Table, number};
use crate::stats::median;
use crate::target::{Lack, Target, find_program};
use crate::workload::{self, Workload};
use subject::Bench;

/// What a gate needs to know.
pub struct Options<'a> {
    pub file: &'a Path,
    pub records_dir: &'a Path,
    pub host: Host,
    pub placement: Placement,
    /// Instead of what the file says.
    pub rounds: Option<usize>,
    pub duration: Option<Duration>,
}

/// The gate's record: `{"schema": 1, "kind": "gate", ...}`.
#[derive(Serialize)]
pub struct Report {
    pub schema: u32,
    pub kind: &'static str,
    pub started: String,
    pub ended: Option<String>,
    pub complete: bool,
    pub host: Host,
    pub placement: Placement,
    pub definition: Definition,
    pub measurements: Vec<Measurement>,
    pub verdicts: Vec<Verdict>,
}

/// Runs every round, then judges.
///
/// # Errors
/// When a program or an artefact is missing (one line that names it), or nothing can be written.
pub fn run(options: Options<'_>, interrupt: &Interrupt) -> Result<(Report, PathBuf)> {
    let mut definition = Definition::read(options.file)?;
    definition.rounds = options.rounds.unwrap_or(definition.rounds);
    definition.duration_s = options.duration.map_or(definition.duration_s, |duration| duration.as_secs_f64());
    let targets = targets(&definition, options.file)?;
    let named = definition.subjects.iter().any(|subject| subject.workload.is_some());
    let workloads = options.file.with_file_name("workloads.toml");
    let workloads = if named { workload::read(&workloads)? } else { Vec::new() };
    demand(&targets)?;
    options.placement.pin_scale()?;
    let mut report = Report {
        schema: SCHEMA,
        kind: "gate",
        started: record::now(),
        ended: None,
        complete: false,
        host: options.host,
        placement: options.placement,
        definition,
        measurements: Vec::new(),
        verdicts: Vec::new(),
    };
    let writer = Writer::create(options.records_dir, &report.started, &report.host.label, "-gate")?;
    writer.write(&report)?;
    measure(&mut report, &targets, workloads, &writer, interrupt)?;
    report.complete = !interrupt.is_set();
    report.ended = Some(record::now());
    report.verdicts = check::judge(&report.definition, &report.measurements);
    writer.write(&report)?;
    Ok((report, writer.path().to_owned()))
}

fn measure(
    report: &mut Report,
    targets: &[Target],
    workloads: Vec<Workload>,
    writer: &Writer,
    interrupt: &Interrupt,
) -> Result<()> {
    for target in targets {
        cell::build(target, interrupt)?;
    }
    let definition = report.definition.clone();
    let progress = Progress::new(definition.rounds * targets.len());
    let placement = report.placement.clone();
    let mut bench = Bench {
        definition: &definition,
        placement: &placement,
        interrupt,
        values: BTreeMap::new(),
        workloads,
    };
    let body_of = definition.subjects.iter().position(|subject| subject.name == definition.body_of);
    bench.values = bench.body_and_type(&targets[body_of.unwrap_or(0)])?;
    for round in 0..definition.rounds {
        for (subject, target) in definition.subjects.iter().zip(targets) {
            if interrupt.is_set() {
                return Ok(());
            }
            progress.say(&format!("round {} of {}: {}", round + 1, definition.rounds, subject.name));
            report.measurements.push(bench.measure(subject, target, round));
            writer.write(report)?;
            progress.step();
        }
    }
    Ok(())
}

fn targets(definition: &Definition, file: &Path) -> Result<Vec<Target>> {
    let dir = file.parent().unwrap_or(Path::new("."));
    let read = |subject: &Subject| {
        let mut target = Target::read(&dir.join(&subject.target))?;
        target.command.extend(subject.args.iter().cloned());
        Ok(target)
    };
    definition.subjects.iter().map(read).collect()
}

/// Everything that is missing, in one line.
fn demand(targets: &[Target]) -> Result<()> {
    let mut missing: Vec<String> = Vec::new();
    if find_program("wrk").is_none() {
        missing.push("the program wrk (apt install wrk)".into());
    }
    for Lack { what, hint } in targets.iter().flat_map(launch::missing) {
        missing.push(format!("{what} ({hint})"));
    }
    missing.sort();
    missing.dedup();
    if missing.is_empty() { Ok(()) } else { bail!("the gate needs {}", missing.join(", ")) }
}

impl Report {
    pub fn passed(&self) -> bool {
        self.complete && self.verdicts.iter().all(|verdict| verdict.ok)
    }

    /// Both tables for a terminal: what was measured, and what that means.
    pub fn text(&self) -> String {
        let subjects = self.subjects().render(Format::Terminal);
        let checks = self.checks().render(Format::Terminal);
        let failures: String = self.failures();
        let outcome = match (self.complete, self.passed()) {
            (false, _) => "INCOMPLETE: the gate was interrupted",
            (true, true) => "every limit is kept",
            (true, false) => "A LIMIT IS MISSED",
        };
        format!(
            "{subjects}\nMedians of {} rounds, {} connections on {}. MB = 10⁶ bytes.\n{}{failures}\n{checks}\n{outcome}\n",
            self.definition.rounds,
            self.definition.connections,
            self.definition.path,
            self.disturbance()
        )
    }

    /// A warning when the machine was not the gate's alone.
    fn disturbance(&self) -> String {
        let shares: Vec<f64> = self.measurements.iter().filter_map(|m| m.others_share).collect();
        match median(&shares) {
            Some(share) if share > DISTURBED => {
                let percent = share * 100.0;
                format!(
                    "DISTURBED: other programs took {percent:.0} % of the CPUs: run again on a quiet machine.\n"
                )
            }
            _ => String::new(),
        }
    }

    fn failures(&self) -> String {
        let failed = self.measurements.iter().filter_map(|m| Some((m, m.error.as_ref()?)));
        failed.map(|(m, error)| format!("{} (round {}): {error}\n", m.subject, m.round + 1)).collect()
    }

    fn subjects(&self) -> Table {
        let headings = [
            "subject",
            "req/s",
            "req/s per MB (loaded PSS)",
            "CPU (µs/req)",
            "PSS idle (MB)",
            "PSS loaded (MB)",
            "generator CPU (µs/req)",
        ];
        let row = |subject: &Subject| {
            let of = |value: fn(&Measurement) -> Option<f64>| {
                let values = self.measurements.iter().filter(|m| m.subject == subject.name).filter_map(value);
                median(&values.collect::<Vec<_>>()).map_or("–".to_owned(), number)
            };
            vec![
                subject.name.clone(),
                of(|m| m.get(Metric::ReqPerS)),
                of(|m| m.get(Metric::ReqPerSPerMb)),
                of(|m| m.get(Metric::CpuUsPerReq)),
                of(|m| m.get(Metric::PssIdleMb)),
                of(|m| m.get(Metric::PssLoadedMb)),
                of(|m| m.get(Metric::GeneratorCpuUsPerReq)),
            ]
        };
        let rows = self.definition.subjects.iter().map(row).collect();
        Table { headings: headings.map(String::from).to_vec(), rows }
    }

    fn checks(&self) -> Table {
        let row = |verdict: &Verdict| {
            vec![
                verdict.sentence.clone(),
                verdict.measured.map_or("–".to_owned(), |value| format!("{value:.3}")),
                verdict.limit.clone(),
                if verdict.ok { "ok" } else { "MISSED" }.to_owned(),
            ]
        };
        let headings = ["check", "measured", "limit", "ok"].map(String::from).to_vec();
        Table { headings, rows: self.verdicts.iter().map(row).collect() }
    }
}

/// A body that can stand in the peers' configuration as it is.
fn plain(body: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(body).context("the body is not UTF-8, so the peers cannot copy it")?;
    if text.contains(['\'', '$', '\\', '\0']) {
        bail!(
            "the body holds a quote, dollar or backslash, which nginx's configuration would change: {text}"
        );
    }
    Ok(text.to_owned())
}
