//! Records: everything that a run measured, as one JSON file that is never overwritten.
//!
//! # Schema, version 2
//! The types below are the schema; their fields carry the units in their names (`_s` seconds, `_ms`
//! milliseconds, `_us` microseconds, `_j` joules, `_bytes` and all of [`Memory`](crate::proc::Memory) bytes). Times are
//! UTC, RFC 3339. A record holds samples and counts, and no derived figure but the quantiles of latency: reports
//! derive the rest, so that a better formula also serves old records.
//!
//! A file is `{"schema": 2, "kind": "run", ...}`; other commands write records of other kinds, see their modules.
//! While a run goes on the file is rewritten after each cell with `"complete": false`.
//!
//! Version 1 had one round, and of a start only the time to the first 200 (`cold_starts_ms`). It is still read.

#[cfg(test)]
pub(crate) mod fixture;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::host::Host;
use crate::launch::{self, Start};
use crate::load::{Errors, Schedule};
use crate::noise::Reading;
use crate::placement::Placement;
use crate::target::Target;
use crate::weigh::{Sample, Weight};
use crate::workload::Workload;

/// The version of the schema that this program writes; it reads older ones, too.
pub const SCHEMA: u32 = 2;

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    /// `run`.
    pub kind: String,
    pub started: String,
    pub ended: Option<String>,
    /// False while the run goes on, and for ever when it was interrupted.
    pub complete: bool,
    pub profile: String,
    /// How often every cell was to be measured.
    pub rounds: usize,
    pub host: Host,
    pub placement: Placement,
    pub targets: Vec<TargetRecord>,
    pub workloads: Vec<Workload>,
    pub cells: Vec<Cell>,
}

/// A target as it was defined and as it was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetRecord {
    pub definition: Target,
    /// The size of the artefact.
    pub artefact_bytes: Option<u64>,
}

impl TargetRecord {
    pub fn of(target: &Target) -> Self {
        Self { artefact_bytes: launch::artefact_bytes(target), definition: target.clone() }
    }
}

/// One target under one workload in one round. What could not be measured is absent, and `error` says why.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cell {
    pub target: String,
    pub workload: String,
    /// Counted from 0.
    pub round: usize,
    pub started: String,
    pub error: Option<String>,
    /// Nothing was tried, because something is not installed; `error` says what.
    #[serde(default)]
    pub missing: bool,
    /// The guest's instructions were emulated: its speed says nothing about the packaging.
    #[serde(default)]
    pub emulated: bool,
    /// The guest was reached through a port that QEMU forwards.
    #[serde(default)]
    pub forwarded: bool,
    /// Another process ran the same program, and so had a part of its pages.
    #[serde(default)]
    pub shared: bool,
    /// The last one is the instance that was measured.
    pub starts: Vec<Start>,
    /// What the service says about itself.
    pub about: Option<Value>,
    /// After the start, before the first request beyond the ready check.
    pub idle: Option<Weight>,
    pub warm_up_s: f64,
    pub load: Option<Load>,
    /// Under load, at 10 Hz; their median is the loaded footprint.
    pub samples: Vec<Sample>,
    /// Why samples are missing.
    pub samples_error: Option<String>,
    pub sampler_cpu_s: f64,
    /// After the load, at rest again.
    pub after: Option<Weight>,
    /// The same after a pause.
    #[serde(default)]
    pub rest: Option<Rest>,
    /// How the machine was at that time.
    #[serde(default)]
    pub noise: Option<Noise>,
}

/// An instance that nobody has asked for a while.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rest {
    /// Since the end of the load.
    pub after_s: f64,
    pub weight: Weight,
}

/// What the machine does to a measurement: the same small tasks right before and right after a cell, and the time
/// that the hypervisor took from the run's CPUs while the load ran.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Noise {
    pub before: Reading,
    pub after: Reading,
    pub steal_share: f64,
}

/// What the generator did and saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    pub schedule: Schedule,
    pub connections: usize,
    pub threads: usize,
    /// The window in which `requests` were answered rightly.
    pub window_s: f64,
    pub requests: u64,
    /// In flight at the window's end and answered rightly after it.
    pub drained: u64,
    pub errors: Errors,
    pub reconnects: u64,
    pub latency: Latency,
    /// Mean latency of right responses from the moment that the request was really sent.
    #[serde(default)]
    pub sent_mean_ms: Option<f64>,
    /// Requests in flight, on average over `wall_s`.
    #[serde(default)]
    pub in_flight: Option<f64>,
    /// Energy that the processor packages used over the load, where it can be read. It is the whole machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_j: Option<f64>,
    /// From the first connect to the last response; the CPU times are over this.
    pub wall_s: f64,
    pub server_cpu_s: f64,
    /// The share of the time of the run's CPUs that others took, the hypervisor included.
    pub others_share: f64,
    /// CPUs that the server may use; a quota may be a fraction.
    pub server_cpus: f64,
    pub generator_cpu_s: f64,
    /// The share of its CPU that the busiest generator thread used.
    pub generator_busy: f64,
    /// What the workload's counters grew by over `wall_s`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counted: BTreeMap<String, f64>,
}

/// Milliseconds from the intended send time to the end of the response, of right responses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p99_9_ms: f64,
    pub max_ms: f64,
    /// Pairs of quantile and milliseconds, denser towards the tail.
    pub quantiles: Vec<(f64, f64)>,
}

impl Record {
    /// Reads a run's record.
    ///
    /// # Errors
    /// When the file is not a record, another kind of record, or of a schema that this version does not read.
    pub fn read(path: &Path) -> Result<Self> {
        let record: Self = read(path, "run")?;
        let mut seen = HashSet::new();
        let key = |cell: &Cell| (cell.target.clone(), cell.workload.clone(), cell.round);
        if let Some(cell) = record.cells.iter().find(|cell| !seen.insert(key(cell))) {
            let Cell { target, workload, round, .. } = cell;
            bail!("{}: {target} under {workload} is there twice in round {}", path.display(), round + 1);
        }
        Ok(record)
    }
}

/// Reads a record of a kind, of this or an older schema.
///
/// # Errors
/// When the file is not a record, another kind of record, or of a schema that this version does not read.
pub fn read<T: DeserializeOwned>(path: &Path, kind: &str) -> Result<T> {
    let mut value = json_of(path)?;
    let shown = path.display();
    let schema = value.get("schema").and_then(Value::as_u64);
    match schema {
        Some(1) => upgrade(&mut value),
        Some(schema) if schema == u64::from(SCHEMA) => {}
        Some(schema) if schema > u64::from(SCHEMA) => {
            bail!("{shown} has schema {schema}; this ounce-bench reads {SCHEMA}: use a newer one")
        }
        _ => bail!("{shown} is not a record of ounce-bench: it has no schema number that is known"),
    }
    let found = kind_of(&value);
    if found != kind {
        bail!("{shown} is a record of kind {found:?}, and one of kind {kind:?} is needed");
    }
    let schema = schema.unwrap_or_default();
    serde_json::from_value(value).with_context(|| format!("{shown} does not follow schema {schema}"))
}

/// What a file says it is the record of.
///
/// # Errors
/// When it cannot be read, or is not JSON.
pub fn kind(path: &Path) -> Result<String> {
    json_of(path).map(|value| kind_of(&value).to_owned())
}

fn kind_of(record: &Value) -> &str {
    record.get("kind").and_then(Value::as_str).unwrap_or("none")
}

fn json_of(path: &Path) -> Result<Value> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read the record {shown}"))?;
    serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))
}

/// From schema 1.
fn upgrade(record: &mut Value) {
    let Some(fields) = record.as_object_mut() else { return };
    fields.insert("schema".into(), SCHEMA.into());
    fields.insert("rounds".into(), 1.into());
    for cell in fields.get_mut("cells").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(cell) = cell.as_object_mut() else { continue };
        let times = cell.remove("cold_starts_ms").unwrap_or_default();
        let times = times.as_array().map(Vec::as_slice).unwrap_or_default();
        let starts = times.iter().map(|time| json!({"page_cache": "warm", "ready_ms": time}));
        cell.insert("starts".into(), starts.collect());
        cell.insert("round".into(), 0.into());
    }
}

/// The present time in UTC, RFC 3339, to the second.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// A record's file, held from the beginning of a run so that nothing is overwritten and nothing lost.
pub struct Writer {
    path: PathBuf,
}

impl Writer {
    /// Creates `DIR/<date>T<time>-<host><suffix>.json`, with a number if that exists.
    ///
    /// # Errors
    /// When the directory cannot be made or written.
    pub fn create(dir: &Path, started: &str, host: &str, suffix: &str) -> Result<Self> {
        fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the records directory {}", dir.display()))?;
        let time = started.replace([':', 'Z'], "");
        for number in 1.. {
            let again = if number == 1 { String::new() } else { format!("-{number}") };
            let path = dir.join(format!("{time}-{host}{suffix}{again}.json"));
            match File::create_new(&path) {
                Ok(_) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot write the record {}", path.display()));
                }
            }
        }
        bail!("no free name for a record in {}", dir.display())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file's content as a whole: a reader never sees half a record.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, record: &impl Serialize) -> Result<()> {
        let beside = self.path.with_extension("json.part");
        let written = (|| {
            let mut file = File::create(&beside)?;
            serde_json::to_writer(&mut file, record)?;
            file.write_all(b"\n")?;
            fs::rename(&beside, &self.path)
        })();
        written.with_context(|| format!("cannot write the record {}", self.path.display()))
    }
}
