//! Records: everything that a run measured, as one JSON file that is never overwritten.
//!
//! # Schema, version 1
//! The types below are the schema; their fields carry the units in their names (`_s` seconds, `_ms`
//! milliseconds, `_us` microseconds, `_bytes` and all of [`Memory`](crate::proc::Memory) bytes). Times are UTC,
//! RFC 3339. A record holds samples and counts, and no derived figure but the quantiles of latency: reports
//! derive the rest, so that a better formula also serves old records.
//!
//! A file is `{"schema": 1, "kind": "run", ...}`; `gate` writes `"kind": "gate"`, see [`crate::gate`]. While a
//! run goes on the file is rewritten after each cell with `"complete": false`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::load::{Errors, Schedule};
use crate::placement::Placement;
use crate::target::Target;
use crate::weigh::{Sample, Weight};
use crate::workload::Workload;

/// The version of the schema that this program writes and reads.
pub const SCHEMA: u32 = 1;

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

/// One target under one workload. What could not be measured is absent, and `error` says why.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cell {
    pub target: String,
    pub workload: String,
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
    /// From the spawn to the first 200, of every start.
    pub cold_starts_ms: Vec<f64>,
    /// What the service says about itself.
    pub about: Option<serde_json::Value>,
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
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read the record {}", path.display()))?;
        let shown = path.display();
        let value: serde_json::Value =
            serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))?;
        match value.get("schema").and_then(serde_json::Value::as_u64) {
            Some(schema) if schema == u64::from(SCHEMA) => {}
            Some(schema) if schema < u64::from(SCHEMA) => {
                bail!("{shown} has schema {schema}, which is older than {SCHEMA}: run the measurement again")
            }
            Some(schema) => {
                bail!("{shown} has schema {schema}; this ounce-bench reads {SCHEMA}: use a newer one")
            }
            None => bail!("{shown} is not a record of ounce-bench: it has no schema number"),
        }
        match value.get("kind").and_then(serde_json::Value::as_str) {
            Some("run") => {}
            kind => {
                bail!("{shown} is a record of kind {:?}; a report needs kind \"run\"", kind.unwrap_or("none"))
            }
        }
        serde_json::from_value(value).with_context(|| format!("{shown} does not follow schema {SCHEMA}"))
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
