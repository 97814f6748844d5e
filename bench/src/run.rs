//! A run: every target under every workload, with the record flushed after each cell.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::cell::{self, Settings};
use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::launch::{self, PageCache};
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
    /// Whether to start also with the page cache dropped, which slows down the whole machine for a while.
    pub drop_caches: bool,
    pub records_dir: &'a Path,
}

/// Measures every cell in every round. Rows of a table are neighbours in time, and each round begins with another
/// target (A B C, B C A, …), so that what drifts meets all alike.
///
/// # Errors
/// When the record cannot be written; a target that fails is a cell with an error.
pub fn run(run: &Run<'_>, interrupt: &Interrupt) -> Result<(Record, PathBuf)> {
    ensure!(
        cells(run, 0).next().is_some(),
        "none of the targets serves any of the workloads: see `workloads` in their files"
    );
    ensure!(
        !run.drop_caches || launch::may_drop_caches(),
        "--drop-caches: this user may not drop the page cache; run as root, outside of an unprivileged container"
    );
    run.placement.pin_scale()?;
    let mut record = begin(run);
    let writer = Writer::create(run.records_dir, &record.started, &record.host.label, "")?;
    writer.write(&record)?;
    let progress = Progress::new(run.profile.rounds * cells(run, 0).count());
    let built: Vec<Option<String>> =
        run.targets.iter().map(|target| failure(build(target, interrupt, &progress))).collect();
    record.targets = run.targets.iter().map(TargetRecord::of).collect();
    for round in 0..run.profile.rounds {
        for (workload, index) in cells(run, round) {
            if interrupt.is_set() {
                return Ok((record, writer.path().to_owned()));
            }
            let target = &run.targets[index];
            let cell = match &built[index] {
                Some(error) => unbuilt(target, workload, round, error),
                None => {
                    let settings = settings(run, target, workload, round, interrupt, &progress);
                    cell::measure(target, workload, &settings)
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

/// Every workload with the index of every target that serves it; each round begins with another target.
fn cells<'a>(run: &'a Run<'_>, round: usize) -> impl Iterator<Item = (&'a Workload, usize)> {
    let count = run.targets.len();
    run.workloads.iter().flat_map(move |workload| {
        let turn = (0..count).map(move |index| (index + round) % count);
        let serving = turn.filter(|&index| run.targets[index].serves(&workload.name));
        serving.map(move |index| (workload, index))
    })
}

fn begin(run: &Run<'_>) -> Record {
    Record {
        schema: SCHEMA,
        kind: "run".into(),
        started: record::now(),
        ended: None,
        complete: false,
        profile: run.profile.name.into(),
        rounds: run.profile.rounds,
        host: run.host.clone(),
        placement: run.placement.clone(),
        targets: run.targets.iter().map(TargetRecord::of).collect(),
        workloads: run.workloads.to_vec(),
        cells: Vec::new(),
    }
}

fn settings<'a>(
    run: &'a Run<'_>,
    target: &Target,
    workload: &Workload,
    round: usize,
    interrupt: &'a Interrupt,
    progress: &'a Progress,
) -> Settings<'a> {
    let mut served = run.workloads.iter().filter(|workload| target.serves(&workload.name));
    let first = served.next().is_some_and(|first| first.name == workload.name);
    Settings {
        placement: run.placement,
        interrupt,
        progress,
        round,
        starts: if first { starts(run, served.count()) } else { vec![PageCache::Warm] },
        warm_up: run.profile.warm_up,
        duration: run.profile.duration,
        connections: run.profile.connections.unwrap_or(workload.connections),
        schedule: run.profile.schedule,
        rest: run.profile.rest.filter(|_| first && round == 0),
    }
}

/// The starts of one target in one round for the first of its workloads, since they do not depend on it; `others`
/// come with a start each. One with the page cache dropped reads the files for the warm ones, which therefore follow.
fn starts(run: &Run<'_>, others: usize) -> Vec<PageCache> {
    let warm = run.profile.starts.div_ceil(run.profile.rounds).saturating_sub(others).max(1);
    let dropped = if run.drop_caches { run.profile.starts.div_ceil(run.profile.rounds) } else { 0 };
    [vec![PageCache::Dropped; dropped], vec![PageCache::Warm; warm]].concat()
}

fn build(target: &Target, interrupt: &Interrupt, progress: &Progress) -> Result<()> {
    if !target.build.is_empty() {
        progress.say(&format!("{}: {}", target.name, target.build.join(" ")));
    }
    cell::build(target, interrupt)
}

fn failure(result: Result<()>) -> Option<String> {
    result.err().map(|error| format!("{error:#}"))
}

fn unbuilt(target: &Target, workload: &Workload, round: usize, error: &str) -> Cell {
    Cell {
        target: target.name.clone(),
        workload: workload.name.clone(),
        round,
        started: record::now(),
        error: Some(error.to_owned()),
        ..Cell::default()
    }
}
