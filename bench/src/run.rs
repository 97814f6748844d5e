//! A run: every target under every workload, with the record flushed after each cell.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cell::{self, Settings};
use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::launch;
use crate::placement::Placement;
use crate::profile::Profile;
use crate::progress::Progress;
use crate::record::{self, Cell, Record, SCHEMA, TargetRecord, Writer};
use crate::target::Target;
use crate::workload::Workload;

/// What to run.
pub struct Run<'a> {
    pub targets: &'a [Target],
    pub workloads: &'a [Workload],
    pub profile: &'a Profile,
    pub placement: &'a Placement,
    pub host: Host,
    pub records_dir: &'a Path,
}

/// Measures every cell. Targets are interleaved within workloads, so that neighbours in a table are neighbours
/// in time.
///
/// # Errors
/// When the record cannot be written; a target that fails is a cell with an error.
pub fn run(run: &Run<'_>, interrupt: &Interrupt) -> Result<(Record, PathBuf)> {
    run.placement.pin_scale()?;
    let mut record = begin(run);
    let writer = Writer::create(run.records_dir, &record.started, &record.host.label, "")?;
    writer.write(&record)?;
    let progress = Progress::new(run.targets.len() * run.workloads.len());
    let built: Vec<Option<String>> =
        run.targets.iter().map(|target| failure(build(target, interrupt))).collect();
    record.targets = run.targets.iter().map(described).collect();
    for (round, workload) in run.workloads.iter().enumerate() {
        for (target, failed) in run.targets.iter().zip(&built) {
            if interrupt.is_set() {
                return Ok((record, writer.path().to_owned()));
            }
            let cell = match failed {
                Some(error) => unbuilt(target, workload, error),
                None => {
                    cell::measure(target, workload, &settings(run, workload, round, interrupt, &progress))
                }
            };
            record.cells.push(cell);
            writer.write(&record)?;
            progress.step();
        }
    }
    record.complete = !interrupt.is_set();
    record.ended = Some(record::now());
    writer.write(&record)?;
    Ok((record, writer.path().to_owned()))
}

fn begin(run: &Run<'_>) -> Record {
    Record {
        schema: SCHEMA,
        kind: "run".into(),
        started: record::now(),
        ended: None,
        complete: false,
        profile: run.profile.name.into(),
        host: run.host.clone(),
        placement: run.placement.clone(),
        targets: run.targets.iter().map(described).collect(),
        workloads: run.workloads.to_vec(),
        cells: Vec::new(),
    }
}

fn settings<'a>(
    run: &'a Run<'_>,
    workload: &Workload,
    round: usize,
    interrupt: &'a Interrupt,
    progress: &'a Progress,
) -> Settings<'a> {
    Settings {
        placement: run.placement,
        interrupt,
        progress,
        // The starts of a target do not depend on the workload: measured once, with the first.
        starts: if round == 0 { run.profile.starts } else { 1 },
        warm_up: run.profile.warm_up,
        duration: run.profile.duration,
        connections: run.profile.connections.unwrap_or(workload.connections),
        schedule: run.profile.schedule,
    }
}

fn described(target: &Target) -> TargetRecord {
    TargetRecord { artefact_bytes: launch::artefact_bytes(target), definition: target.clone() }
}

/// Makes the artefact; a launch says what is missing for that.
fn build(target: &Target, interrupt: &Interrupt) -> Result<()> {
    if launch::missing(target).is_empty() { cell::build(target, interrupt) } else { Ok(()) }
}

fn failure(result: Result<()>) -> Option<String> {
    result.err().map(|error| format!("{error:#}"))
}

fn unbuilt(target: &Target, workload: &Workload, error: &str) -> Cell {
    Cell {
        target: target.name.clone(),
        workload: workload.name.clone(),
        started: record::now(),
        error: Some(error.to_owned()),
        ..Cell::default()
    }
}
