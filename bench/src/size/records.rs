//! Which records are used, and reading them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::evidence::Evidence;
use super::runs::{self, Run};
use super::searches;
use crate::host::Host;
use crate::load::Schedule;
use crate::record::Record;
use crate::report::number;
use crate::search::{marginal, saturation, smallest};
use crate::slo::Slo;
use crate::workload::Workload;

/// The kinds that say something about a size.
const KINDS: [&str; 4] = ["run", "saturation", "smallest", "marginal"];

/// What the records say together.
pub struct Known {
    pub evidence: Vec<Evidence>,
    pub workload: Workload,
    pub host: Host,
    /// What a reader should know of them.
    pub warnings: Vec<String>,
}

/// The beginning of every record.
#[derive(Deserialize)]
struct Head {
    kind: String,
    started: String,
    #[serde(default)]
    complete: bool,
    host: Host,
    /// Of a search.
    workload: Option<Workload>,
    /// Of a run.
    #[serde(default)]
    workloads: Vec<Workload>,
    #[serde(default)]
    cells: Vec<CellHead>,
    /// Of a search for saturation.
    slo: Option<Slo>,
}

#[derive(Deserialize)]
struct CellHead {
    workload: String,
    load: Option<LoadHead>,
}

#[derive(Deserialize)]
struct LoadHead {
    schedule: Schedule,
}

impl Head {
    fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read the record {shown}"))?;
        let value: Value = serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))?;
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or("none");
        ensure!(
            KINDS.contains(&kind),
            "{shown} is a record of kind {kind:?}; sizes come from those of kind {}",
            KINDS.join(", ")
        );
        serde_json::from_value(value).with_context(|| format!("{shown} does not follow its schema"))
    }

    fn workloads(&self) -> impl Iterator<Item = &Workload> {
        self.workloads.iter().chain(&self.workload)
    }

    fn has(&self, workload: &str) -> bool {
        self.workloads().any(|known| known.name == workload)
    }

    /// Whether it has a load of this workload, in a closed or in an open loop.
    fn has_loop(&self, workload: &str, open: bool) -> bool {
        let loads =
            self.cells.iter().filter(|cell| cell.workload == workload).filter_map(|cell| cell.load.as_ref());
        loads.into_iter().any(|load| (load.schedule != Schedule::Closed) == open)
    }
}

/// The newest complete run in a directory; beside it, from the same machine and for the same workload, the newest run
/// in the other kind of loop and the newest search of each kind.
///
/// # Errors
/// When there is no complete run.
pub fn newest(dir: &Path, workload: &str) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(dir).with_context(|| format!("cannot read the records in {}", dir.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let json = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    // Others lie there, too: gates, comparisons, what a run is still writing.
    let mut all: Vec<(PathBuf, Head)> =
        json.filter_map(|path| Some((path.clone(), Head::read(&path).ok()?))).collect();
    all.retain(|(_, head)| head.complete);
    all.sort_by(|(_, a), (_, b)| b.started.cmp(&a.started));
    let Some((path, run)) = all.iter().find(|(_, head)| head.kind == "run") else {
        bail!(
            "no complete record of a run in {}: make one with `ounce-bench run`, or name one with --record",
            dir.display()
        )
    };
    let open = !run.has_loop(workload, false);
    let beside = |kind: &str| {
        let fits = |head: &Head| head.kind == kind && head.host.label == run.host.label && head.has(workload);
        let other = |head: &Head| kind != "run" || head.has_loop(workload, !open);
        all.iter().find(|(_, head)| fits(head) && other(head)).map(|(path, _)| path.clone())
    };
    let mut paths = vec![path.clone()];
    paths.extend(KINDS.iter().filter_map(|kind| beside(kind)));
    Ok(paths)
}

/// Reads what records say of a workload under an objective.
///
/// # Errors
/// When one cannot be read or is of another kind, when they are of different machines, or when none has the workload.
pub fn read(paths: &[PathBuf], workload: &str, p99_ms: f64) -> Result<Known> {
    let heads = paths.iter().map(|path| Ok((path.as_path(), Head::read(path)?)));
    let heads: Vec<(&Path, Head)> = heads.collect::<Result<_>>()?;
    let host = one_host(&heads)?;
    let found = heads.iter().flat_map(|(_, head)| head.workloads()).find(|known| known.name == workload);
    let Some(found) = found.cloned() else {
        let known: BTreeSet<&str> =
            heads.iter().flat_map(|(_, head)| head.workloads()).map(|known| known.name.as_str()).collect();
        bail!(
            "no workload {workload:?} was measured, and no other says anything about it; these records have: {}",
            known.into_iter().collect::<Vec<_>>().join(", ")
        )
    };
    let mut runs = Vec::new();
    for (path, _) in of_kind(&heads, "run", workload) {
        runs.push(Run { record: Record::read(path)?, file: file(path) });
    }
    let mut evidence = runs::evidence(&runs, workload);
    for (path, _) in of_kind(&heads, "saturation", workload) {
        searches::saturation(&mut evidence, &saturation::Record::read(path)?, &file(path));
    }
    for (path, _) in of_kind(&heads, "smallest", workload) {
        searches::smallest(&mut evidence, &smallest::Record::read(path)?);
    }
    for (path, _) in of_kind(&heads, "marginal", workload) {
        searches::marginal(&mut evidence, &marginal::Record::read(path)?);
    }
    let warnings = warnings(&heads, workload, p99_ms);
    Ok(Known { evidence, workload: found, host, warnings })
}

fn of_kind<'a>(
    heads: &'a [(&'a Path, Head)],
    kind: &'a str,
    workload: &'a str,
) -> impl Iterator<Item = &'a (&'a Path, Head)> {
    heads.iter().filter(move |(_, head)| head.kind == kind && head.has(workload))
}

fn one_host(heads: &[(&Path, Head)]) -> Result<Host> {
    let (first, head) = heads.first().context("no record is given")?;
    for (path, other) in heads {
        ensure!(
            other.host.label == head.host.label,
            "{} is of the machine {:?} and {} of {:?}: figures of different machines do not add up to one plan",
            first.display(),
            head.host.label,
            path.display(),
            other.host.label
        );
    }
    Ok(head.host.clone())
}

fn file(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn warnings(heads: &[(&Path, Head)], workload: &str, p99_ms: f64) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some((_, first)) = heads.first() else { return warnings };
    let here = Host::here(None);
    if !same_machine(&first.host, &here) {
        warnings.push(format!(
            "the figures are of {} ({}, {} CPUs), not of this machine ({}, {} CPUs)",
            first.host.label, first.host.cpu, first.host.cpus, here.cpu, here.cpus
        ));
    }
    for (path, head) in heads {
        let file = file(path);
        if !head.complete {
            warnings.push(format!("{file} is incomplete"));
        }
        if !head.has(workload) {
            warnings.push(format!("{file} has no {workload} and is not used"));
        }
        if let Some(slo) = head.slo.as_ref().filter(|slo| slo.percentile != 99.0 || slo.latency_ms != p99_ms)
        {
            warnings.push(format!(
                "{file} searched for p{} <= {} ms: a search for p99 <= {} ms would find the capacity more exactly",
                slo.percentile,
                number(slo.latency_ms),
                number(p99_ms)
            ));
        }
    }
    let commits: BTreeSet<&str> =
        heads.iter().filter_map(|(_, head)| Some(head.host.git.as_ref()?.commit.as_str())).collect();
    if commits.len() > 1 {
        warnings.push("the records are of different states of the sources".into());
    }
    warnings
}

/// Labels can be given, and names of machines taken over: what is alike is the hardware.
fn same_machine(one: &Host, other: &Host) -> bool {
    let hardware = |host: &Host| (host.cpu.clone(), host.cpus, host.memory_bytes >> 28);
    hardware(one) == hardware(other)
}
