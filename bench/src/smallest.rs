//! The smallest memory limit with which a target still serves: bisection over the RAM of guests and the limit of
//! containers.
//!
//! A limit *holds* when the target starts with it, answers every request of a closed loop rightly, and still runs
//! afterwards. Only a failure that repeats counts, because a lost packet says nothing about memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::launch;
use crate::load::{self, Plan, REQUEST_TIMEOUT, Schedule};
use crate::placement::Placement;
use crate::progress::Progress;
use crate::record::{self, SCHEMA, TargetRecord, Writer};
use crate::report::{Format, Table, number};
use crate::target::Target;
use crate::workload::Workload;

/// Tries of a limit before it counts as too small.
const TRIES: usize = 2;

/// What to search, and how.
pub struct Options<'a> {
    pub targets: &'a [Target],
    pub workload: &'a Workload,
    pub connections: usize,
    pub duration: Duration,
    pub placement: &'a Placement,
    pub host: Host,
    pub records_dir: &'a Path,
}

/// The record of a search: `{"schema": 1, "kind": "smallest", ...}`.
#[derive(Serialize)]
pub struct Report {
    pub schema: u32,
    pub kind: &'static str,
    pub started: String,
    pub ended: Option<String>,
    pub complete: bool,
    pub host: Host,
    pub placement: Placement,
    pub workload: Workload,
    pub connections: usize,
    pub duration_s: f64,
    pub searches: Vec<Search>,
}

/// One target's search.
#[derive(Serialize)]
pub struct Search {
    pub target: TargetRecord,
    /// In MiB (2^20 bytes). Absent when not even the configured limit holds, or none is configured: see `error`.
    pub smallest_mib: Option<u64>,
    pub error: Option<String>,
    pub attempts: Vec<Attempt>,
}

/// One launch with one limit.
#[derive(Serialize)]
pub struct Attempt {
    pub mib: u64,
    pub emulated: bool,
    pub req_per_s: Option<f64>,
    /// Why the limit did not hold.
    pub error: Option<String>,
}

/// Searches target by target; the record is flushed after each.
///
/// # Errors
/// When the record cannot be written; a target that fails is an entry with an error.
pub fn run(options: &Options<'_>, interrupt: &Interrupt) -> Result<(Report, PathBuf)> {
    options.placement.pin_scale()?;
    let mut report = Report {
        schema: SCHEMA,
        kind: "smallest",
        started: record::now(),
        ended: None,
        complete: false,
        host: options.host.clone(),
        placement: options.placement.clone(),
        workload: options.workload.clone(),
        connections: options.connections,
        duration_s: options.duration.as_secs_f64(),
        searches: Vec::new(),
    };
    let writer = Writer::create(options.records_dir, &report.started, &report.host.label, "-smallest")?;
    let progress = Progress::new(options.targets.len());
    for target in options.targets.iter().take_while(|_| !interrupt.is_set()) {
        report.searches.push(search(options, target, interrupt, &progress));
        writer.write(&report)?;
        progress.step();
    }
    report.complete = !interrupt.is_set();
    report.ended = Some(record::now());
    writer.write(&report)?;
    Ok((report, writer.path().to_owned()))
}

fn search(options: &Options<'_>, target: &Target, interrupt: &Interrupt, progress: &Progress) -> Search {
    let mut attempts = Vec::new();
    let mut holds = |mib: u64| {
        progress.say(&format!("{}: {mib} MiB", target.name));
        for _ in 0..TRIES {
            let attempt = attempt(options, target, mib, interrupt);
            let held = attempt.error.is_none();
            attempts.push(attempt);
            if held {
                return true;
            }
            if interrupt.is_set() {
                break;
            }
        }
        false
    };
    let smallest = match (launch::missing(target).first(), target.limits.memory_mib) {
        (Some(lack), _) => Err(format!("needs {}: {}", lack.what, lack.hint)),
        (_, None) => Err("the target sets no limits.memory_mib to start from".into()),
        (_, Some(configured)) if !holds(configured) => {
            Err(format!("not even {configured} MiB, as configured, hold"))
        }
        (_, Some(configured)) => Ok(bisect(configured, holds)),
    };
    let smallest =
        smallest.and_then(|mib| if interrupt.is_set() { Err("interrupted".into()) } else { Ok(mib) });
    Search {
        target: TargetRecord { definition: target.clone(), artefact_bytes: launch::artefact_bytes(target) },
        smallest_mib: smallest.as_ref().ok().copied(),
        error: smallest.err(),
        attempts,
    }
}

/// The smallest number that holds, when `high` does and 0 does not.
fn bisect(mut high: u64, mut holds: impl FnMut(u64) -> bool) -> u64 {
    let mut low = 0;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

fn attempt(options: &Options<'_>, target: &Target, mib: u64, interrupt: &Interrupt) -> Attempt {
    let mut attempt = Attempt { mib, emulated: false, req_per_s: None, error: None };
    if let Err(error) = serve(&mut attempt, options, target, interrupt) {
        attempt.error = Some(format!("{error:#}"));
    }
    attempt
}

fn serve(attempt: &mut Attempt, options: &Options<'_>, target: &Target, interrupt: &Interrupt) -> Result<()> {
    let mut target = target.clone();
    target.limits.memory_mib = Some(attempt.mib);
    let mut instance = launch::launch(&target, &launch::Context::new(options.placement, interrupt))?;
    attempt.emulated = instance.emulated();
    let plan = Plan {
        address: instance.address(),
        expected: load::reference(instance.address(), options.workload, REQUEST_TIMEOUT)?,
        connections: options.connections,
        schedule: Schedule::Closed,
        duration: options.duration,
        timeout: REQUEST_TIMEOUT,
        cpus: options.placement.generator_cpus.clone(),
    };
    let outcome = load::run(&plan, &AtomicBool::new(false))?;
    attempt.req_per_s = Some(outcome.per_second());
    instance.check_alive()?;
    let errors: BTreeMap<_, _> =
        outcome.errors.by_kind().into_iter().filter(|(_, count)| *count > 0).collect();
    ensure!(errors.is_empty(), "requests went wrong: {errors:?}");
    if interrupt.is_set() {
        bail!("interrupted");
    }
    instance.stop().context("cannot stop it")
}

impl Report {
    pub fn text(&self, format: Format) -> String {
        let headings = ["target", "smallest (MiB)", "req/s there", "configured (MiB)", "launches"];
        let rows = self.searches.iter().map(row).collect();
        let table = Table { headings: headings.map(String::from).to_vec(), rows }.render(format);
        let (workload, connections, seconds) = (&self.workload, self.connections, self.duration_s);
        let failures: String = self
            .searches
            .iter()
            .filter_map(|search| {
                Some(format!("{}: {}\n\n", search.target.definition.name, search.error.as_ref()?))
            })
            .collect();
        let incomplete = if self.complete { "" } else { " INCOMPLETE: the search was interrupted." };
        format!(
            "The smallest memory with which {} {} is answered without an error to {connections} connections for \
             {seconds} s: all the RAM of a guest, the limit of a container.{incomplete}\n\n{table}\n{failures}Machine {}; {}.\n",
            workload.method,
            workload.path,
            self.host.line(),
            self.started,
        )
    }

    /// Whether every search came to a result.
    pub fn found(&self) -> bool {
        self.complete && self.searches.iter().all(|search| search.smallest_mib.is_some())
    }
}

fn row(search: &Search) -> Vec<String> {
    let show = |value: Option<u64>| value.map_or("–".to_owned(), |value| value.to_string());
    let held = |attempt: &&Attempt| Some(attempt.mib) == search.smallest_mib && attempt.error.is_none();
    let held = search.attempts.iter().find(held);
    let rate = held.and_then(|attempt| attempt.req_per_s).map_or("–".to_owned(), number);
    let emulated = if held.is_some_and(|attempt| attempt.emulated) { " (emulated)" } else { "" };
    vec![
        search.target.definition.name.clone(),
        show(search.smallest_mib),
        rate + emulated,
        show(search.target.definition.limits.memory_mib),
        search.attempts.len().to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::bisect;

    #[test]
    fn the_smallest_that_holds_is_found() {
        for smallest in 1..=64 {
            assert_eq!(bisect(64, |mib| mib >= smallest), smallest);
        }
        assert_eq!(bisect(1, |_| panic!("nothing to try")), 1);
    }
}
