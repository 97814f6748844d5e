//! The smallest memory limit with which a target still serves: bisection over the RAM of guests and the limit of
//! containers and processes.
//!
//! A limit *holds* when the target starts with it, keeps an objective under an open loop (or, when none is given,
//! answers every request of a closed loop rightly), and still runs afterwards. Only a failure that repeats counts,
//! because a lost packet says nothing about memory.
//!
//! The search starts at the limit in the target's file. Where there is none the target is loaded without one, and the
//! search starts at the power of two above twice what it weighed then, or above that if that fails.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::page::{DISTURBED_MARK, Page, mb, shown};
use super::probe::open;
use super::{Entry, Options, Probe, Question, Subject};
use crate::launch::{Instance, LaunchError};
use crate::load::{Outcome, Schedule};
use crate::report::Table;
use crate::slo::Slo;
use crate::target::{Kind, Target};
use crate::workload::Workload;

/// Tries of a limit before it counts as too small.
const TRIES: usize = 2;
/// What the kernel charges is more than what a process maps: sockets, page tables, files that were read.
const MARGIN: u64 = 2;
/// How many limits are tried that were guessed from a weight, each twice the one before.
const GUESSES: usize = 6;

/// `{"schema": 2, "kind": "smallest", …}`; those of schema 1 are searches without an objective.
pub type Record = super::Record<Asked>;

/// What was asked of every target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asked {
    pub workload: Workload,
    pub connections: usize,
    /// Of each load.
    pub duration_s: f64,
    /// An open loop with its objective; absent: a closed loop, and no request may fail.
    #[serde(default)]
    pub objective: Option<Objective>,
}

/// A rate at which something must be kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Requests a second.
    pub rate: f64,
    pub slo: Slo,
}

/// What was found of a target.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Found {
    /// In MiB (2^20 bytes). Absent when no limit holds: see `error`.
    pub smallest_mib: Option<u64>,
    /// The load without a limit, where the target's file sets none.
    #[serde(default)]
    pub unlimited: Option<Probe>,
    pub attempts: Vec<Attempt>,
}

/// One launch with one limit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempt {
    pub mib: u64,
    pub emulated: bool,
    pub req_per_s: Option<f64>,
    /// Why the limit did not hold.
    pub error: Option<String>,
    /// Since schema 2; absent when the instance could not be loaded.
    #[serde(default)]
    pub probe: Option<Probe>,
}

impl Question for Asked {
    const KIND: &'static str = "smallest";
    type Found = Found;

    fn page(record: &Record) -> Page {
        page(record)
    }
}

/// Searches target by target.
///
/// # Errors
/// When the record cannot be written; a target that fails is an entry with an error.
pub fn run(options: &Options<'_>, objective: Option<Objective>) -> Result<(Record, PathBuf)> {
    let asked = Asked {
        workload: options.workload.clone(),
        connections: options.connections,
        duration_s: options.duration.as_secs_f64(),
        objective,
    };
    super::run(options, asked, find)
}

fn find(asked: &Asked, subject: &Subject<'_>, entry: &mut Entry<Found>) -> Result<()> {
    if subject.target.kind == Kind::Url {
        bail!("it runs already: its memory cannot be limited from here");
    }
    let (fails, holds) = match subject.target.limits.memory_mib {
        Some(configured) => match tried(asked, subject, entry, configured)? {
            Ok(()) => (0, configured),
            Err(why) => bail!("not even {configured} MiB, as configured, hold: {why}"),
        },
        None => guessed(asked, subject, entry)?,
    };
    let smallest = bisect(fails, holds, |mib| Ok(tried(asked, subject, entry, mib)?.is_ok()))?;
    entry.found.smallest_mib = Some(smallest);
    Ok(())
}

/// A limit that fails and one that holds, from what the target weighs without one.
fn guessed(asked: &Asked, subject: &Subject<'_>, entry: &mut Entry<Found>) -> Result<(u64, u64)> {
    subject.say("without a limit");
    let mut instance = subject.launch(subject.target, entry)?;
    let (outcome, probe) = asked.probe(subject, &mut *instance)?;
    instance.stop()?;
    let peak = probe.pss_peak_bytes.max(probe.cgroup_peak_bytes);
    let peak = peak.context("it cannot be weighed, so there is nothing to start from")?;
    if let Some(why) = asked.violation(&outcome, &probe) {
        bail!("it does not hold even without a limit: {why}");
    }
    entry.found.unlimited = Some(probe);
    let (mut fails, mut mib) = (0, first(peak));
    for _ in 0..GUESSES {
        if tried(asked, subject, entry, mib)?.is_ok() {
            return Ok((fails, mib));
        }
        (fails, mib) = (mib, mib * 2);
    }
    let why = entry.found.attempts.last().and_then(|attempt| attempt.error.clone()).unwrap_or_default();
    bail!("without a limit it weighs {} MB, and yet {fails} MiB do not hold: {why}", peak / 1_000_000);
}

/// The limit to start from, in MiB.
fn first(peak_bytes: u64) -> u64 {
    (MARGIN * peak_bytes).div_ceil(1 << 20).next_power_of_two()
}

/// Whether a limit holds; if not, why.
fn tried(
    asked: &Asked,
    subject: &Subject<'_>,
    entry: &mut Entry<Found>,
    mib: u64,
) -> Result<Result<(), String>> {
    let mut why = String::new();
    for _ in 0..TRIES {
        subject.say(&format!("{mib} MiB"));
        let mut attempt = Attempt { mib, emulated: false, req_per_s: None, error: None, probe: None };
        let served = serve(asked, subject, entry, &mut attempt);
        if subject.options.interrupt.is_set() {
            return Err(LaunchError::Interrupted.into());
        }
        attempt.error = served.as_ref().err().map(|error| format!("{error:#}"));
        why = attempt.error.clone().unwrap_or_default();
        entry.found.attempts.push(attempt);
        match served {
            Ok(()) => return Ok(Ok(())),
            Err(error) if impossible(subject.target, &error) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(Err(why))
}

/// Whether a failure is no matter of how much memory there is.
fn impossible(target: &Target, error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(LaunchError::Missing { .. }) => true,
        // A container's and a guest's launch may fail in many a way for want of memory.
        Some(LaunchError::Target { .. }) => {
            matches!(target.kind, Kind::Process | Kind::Wasmtime | Kind::Spin)
        }
        _ => false,
    }
}

fn serve(
    asked: &Asked,
    subject: &Subject<'_>,
    entry: &mut Entry<Found>,
    attempt: &mut Attempt,
) -> Result<()> {
    let mut target = subject.target.clone();
    target.limits.memory_mib = Some(attempt.mib);
    let mut instance = subject.launch(&target, entry)?;
    attempt.emulated = instance.emulated();
    in_force(&target, &*instance, attempt.mib)?;
    let (outcome, probe) = asked.probe(subject, &mut *instance)?;
    attempt.req_per_s = Some(probe.req_per_s);
    let violation = asked.violation(&outcome, &probe);
    attempt.probe = Some(probe);
    if let Some(why) = violation {
        bail!(why);
    }
    instance.stop().context("cannot stop it")
}

/// A limit that nobody enforces would always hold. A guest has no other memory than its RAM, and Docker's word is taken
/// where the container's group cannot be seen.
fn in_force(target: &Target, instance: &dyn Instance, mib: u64) -> Result<(), LaunchError> {
    let failed = |what: String| LaunchError::Target { target: target.name.clone(), what };
    let limit = instance.scope().cgroup.map(|group| group.read().ok().and_then(|charge| charge.limit));
    match (target.kind, limit) {
        (Kind::Microvm | Kind::Unikraft, _) | (Kind::Docker, None) => Ok(()),
        (_, Some(Some(bytes))) if bytes <= mib << 20 => Ok(()),
        (_, Some(found)) => Err(failed(format!("its control group has the limit {found:?}, not {mib} MiB"))),
        (_, None) => Err(failed("it has no control group of its own, so nothing limits it".into())),
    }
}

impl Asked {
    fn probe(&self, subject: &Subject<'_>, instance: &mut dyn Instance) -> Result<(Outcome, Probe)> {
        let schedule = self.objective.map_or(Schedule::Closed, |objective| open(objective.rate));
        subject.probe(instance, schedule, subject.options.duration)
    }

    /// Why a load does not count as served.
    fn violation(&self, outcome: &Outcome, probe: &Probe) -> Option<String> {
        // Of a closed loop any latency will do.
        let any = Slo { latency_ms: f64::INFINITY, ..Slo::default() };
        probe.violation(&self.objective.map_or(any, |objective| objective.slo), outcome)
    }
}

/// The smallest number that holds, when `high` does and `low` does not.
fn bisect(mut low: u64, mut high: u64, mut holds: impl FnMut(u64) -> Result<bool>) -> Result<u64> {
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle)? { high = middle } else { low = middle }
    }
    Ok(high)
}

const HEADINGS: [&str; 8] = [
    "target",
    "smallest (MiB)",
    "req/s there",
    "p99 there (ms)",
    "PSS loaded there (MB)",
    "configured (MiB)",
    "launches",
    "marks",
];

fn page(record: &Record) -> Page {
    let Asked { workload, connections, duration_s, objective } = &record.asked;
    let held = match objective {
        Some(Objective { rate, slo }) => format!(
            "keeps {slo} in an open loop of {rate} req/s on {connections} connections for {duration_s} s"
        ),
        None => {
            format!("is answered without an error to {connections} connections for {duration_s} s")
        }
    };
    let title = format!(
        "The smallest memory with which {} {held}: all the RAM of a guest, the limit of a container or a control \
         group.",
        workload.asked(),
    );
    let rows = record.searches.iter().map(row).collect();
    let table = Table { headings: HEADINGS.map(String::from).to_vec(), rows };
    Page { title, table, notes: Vec::new() }
}

fn row(entry: &Entry<Found>) -> Vec<String> {
    let found = &entry.found;
    let whole = |value: Option<u64>| value.map_or("–".to_owned(), |value| value.to_string());
    let held = |attempt: &&Attempt| Some(attempt.mib) == found.smallest_mib && attempt.error.is_none();
    let held = found.attempts.iter().find(held);
    let probe = held.and_then(|attempt| attempt.probe.as_ref());
    let own = if probe.is_some_and(Probe::disturbed) { &[DISTURBED_MARK][..] } else { &[] };
    vec![
        entry.name().to_owned(),
        whole(found.smallest_mib),
        shown(held.and_then(|attempt| attempt.req_per_s)),
        shown(probe.map(|probe| probe.p99_ms)),
        mb(probe.and_then(|probe| probe.pss_bytes)),
        whole(entry.target.definition.limits.memory_mib),
        found.attempts.len().to_string(),
        entry.marks(own),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_holds_is_found() {
        for smallest in 1..=64 {
            assert_eq!(bisect(0, 64, |mib| Ok(mib >= smallest)).unwrap(), smallest);
        }
        assert_eq!(bisect(0, 1, |_| panic!("nothing to try")).unwrap(), 1);
        let between = |mib| {
            assert!(mib > 64 && mib < 128, "what is known need not be tried: {mib}");
            Ok(mib >= 100)
        };
        assert_eq!(bisect(64, 128, between).unwrap(), 100);
    }

    #[test]
    fn the_first_limit_is_twice_the_weight_and_a_power_of_two() {
        let mib = 1 << 20;
        assert_eq!([1, mib, 33 * mib, 64 * mib].map(first), [1, 2, 128, 128]);
    }
}
