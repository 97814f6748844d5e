//! Saturation: the highest rate at which a target still keeps an objective, by bisection with an open loop.
//!
//! The search starts at what a closed loop gets, which is about the most that the service can do. A rate *holds* when
//! everything due was sent in time and the objective was kept; it *fails* only when it fails twice, because a hiccup of
//! the machine says nothing about the rate. The result is a rate that holds, with one that fails at most
//! [`RESOLUTION`] times above it.
//!
//! One instance serves all loads of a target; when it dies it is launched again. A load that lasts as long as it does
//! cannot see a queue that grows more slowly than the objective over that time.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::page::{DISTURBED_MARK, GENERATOR_BOUND, Page, mb, shown};
use super::probe::open;
use super::{Entry, Options, Probe, Question, Subject, shared};
use crate::launch::{Instance, LaunchError};
use crate::load::Schedule;
use crate::report::{Table, number};
use crate::slo::Slo;
use crate::workload::Workload;

/// The lowest rate that fails over the highest that holds, at most.
pub const RESOLUTION: f64 = 1.05;

/// Tries of a rate before it counts as too high.
const TRIES: usize = 2;
/// Above a rate that holds while none is known to fail.
const STEP: f64 = 1.25;
/// Requests a second beyond which nobody needs to look.
const CEILING: f64 = 1e7;
/// A rate this many times smaller than a closed loop's is no part of a capacity any more.
const SPAN: f64 = 100.0;
/// A closed loop before the first figure.
const WARM_UP: Duration = Duration::from_secs(1);

/// `{"schema": 2, "kind": "saturation", …}`.
pub type Record = super::Record<Asked>;

/// What was asked of every target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asked {
    pub workload: Workload,
    pub connections: usize,
    /// Of each load.
    pub duration_s: f64,
    pub slo: Slo,
    /// [`RESOLUTION`].
    pub resolution: f64,
}

/// What was found of a target.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Found {
    /// The highest rate that holds, in requests a second.
    pub highest: Option<f64>,
    /// The generator was the limit, not the service: it holds at least that rate.
    pub at_least: bool,
    /// The closed loop that the search started from.
    pub closed: Option<Probe>,
    pub attempts: Vec<Attempt>,
}

/// One load at one rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// Requests a second that were due.
    pub rate: f64,
    /// Why the rate did not hold; absent when it did.
    pub why: Option<String>,
    /// Absent when the instance could not be loaded.
    pub probe: Option<Probe>,
}

impl Question for Asked {
    const KIND: &'static str = "saturation";
    type Found = Found;

    fn page(record: &Record) -> Page {
        page(record)
    }
}

/// Searches target by target.
///
/// # Errors
/// When the record cannot be written; a target that fails is an entry with an error.
pub fn run(options: &Options<'_>, slo: Slo) -> Result<(Record, PathBuf)> {
    let asked = Asked {
        workload: options.workload.clone(),
        connections: options.connections,
        duration_s: options.duration.as_secs_f64(),
        slo,
        resolution: RESOLUTION,
    };
    super::run(options, asked, find)
}

fn find(asked: &Asked, subject: &Subject<'_>, entry: &mut Entry<Found>) -> Result<()> {
    let mut instance = subject.launch(subject.target, entry)?;
    entry.shared = shared(std::slice::from_ref(&instance));
    let duration = subject.options.duration;
    subject.say("closed loop");
    subject.probe(&mut *instance, Schedule::Closed, duration.min(WARM_UP))?;
    revive(subject, entry, &mut instance)?;
    let (outcome, closed) = subject.probe(&mut *instance, Schedule::Closed, duration)?;
    ensure!(outcome.requests > 0, "no request of a closed loop was answered rightly: {}", outcome.errors);
    let start = closed.req_per_s;
    entry.found.closed = Some(closed);
    let (mut holds, mut fails) = (None, None);
    while let Some(rate) = next(start, holds, fails) {
        let held = tried(asked.slo, subject, entry, &mut instance, rate)?;
        *if held { &mut holds } else { &mut fails } = Some(rate);
    }
    let found = &mut entry.found;
    found.highest = holds;
    // Of the rate that bounds the result from above the service's part is not known.
    found.at_least = fails.is_none_or(|rate| {
        found.attempts.iter().any(|attempt| attempt.rate == rate && attempt.generator_bound())
    });
    if found.highest.is_none() {
        let last = found.attempts.last();
        let why = last.and_then(|attempt| attempt.why.as_deref()).unwrap_or_default();
        bail!("not even {} req/s hold: {why}", number(last.map_or(start, |attempt| attempt.rate)));
    }
    instance.stop()?;
    Ok(())
}

/// The rate to try, when the lowest that failed and the highest that held are known; nothing when they are near
/// enough, or when there is no rate to be found.
fn next(start: f64, holds: Option<f64>, fails: Option<f64>) -> Option<f64> {
    let floor = (start / SPAN).max(1.0);
    match (holds, fails) {
        (None, None) => Some(start),
        (Some(low), None) => (low < CEILING).then_some(low * STEP),
        (Some(low), Some(high)) => (high > low * RESOLUTION).then(|| (low * high).sqrt()),
        (None, Some(high)) if high <= floor => None,
        (None, Some(high)) if high >= start => Some((high / 2.0).max(floor)),
        (None, Some(_)) => Some(floor),
    }
}

/// Launches the target again when it has died.
fn revive(
    subject: &Subject<'_>,
    entry: &mut Entry<Found>,
    instance: &mut Box<dyn Instance>,
) -> Result<(), LaunchError> {
    if instance.check_alive().is_err() {
        *instance = subject.launch(subject.target, entry)?;
    }
    Ok(())
}

/// Whether a rate holds.
fn tried(
    slo: Slo,
    subject: &Subject<'_>,
    entry: &mut Entry<Found>,
    instance: &mut Box<dyn Instance>,
    rate: f64,
) -> Result<bool> {
    for _ in 0..TRIES {
        subject.say(&format!("{} req/s", number(rate)));
        revive(subject, entry, instance)?;
        let attempt = match subject.probe(&mut **instance, open(rate), subject.options.duration) {
            Ok((outcome, probe)) => {
                Attempt { rate, why: probe.violation(&slo, &outcome), probe: Some(probe) }
            }
            Err(error) if subject.options.interrupt.is_set() => return Err(error),
            Err(error) => Attempt { rate, why: Some(format!("{error:#}")), probe: None },
        };
        let held = attempt.why.is_none();
        entry.found.attempts.push(attempt);
        if held {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Attempt {
    fn generator_bound(&self) -> bool {
        self.probe.as_ref().is_some_and(Probe::generator_bound)
    }
}

impl Found {
    /// What was measured at the highest rate that holds.
    pub fn there(&self) -> Option<&Probe> {
        let highest = self.highest?;
        let held = |attempt: &&Attempt| attempt.rate == highest && attempt.why.is_none();
        self.attempts.iter().find(held)?.probe.as_ref()
    }

    /// Whether most of the loads were: those that failed decide as much as the one that held.
    fn disturbed(&self) -> bool {
        let probes: Vec<&Probe> = self.attempts.iter().filter_map(|attempt| attempt.probe.as_ref()).collect();
        probes.iter().filter(|probe| probe.disturbed()).count() * 2 > probes.len()
    }
}

const HEADINGS: [&str; 8] = [
    "target",
    "highest rate (req/s)",
    "p99 there (ms)",
    "PSS loaded there (MB)",
    "req/s per MB (loaded PSS) there",
    "CPU there (µs/req)",
    "loads",
    "marks",
];

fn page(record: &Record) -> Page {
    let Asked { workload, connections, duration_s, slo, resolution } = &record.asked;
    let percent = (resolution - 1.0) * 100.0;
    let title = format!(
        "The highest rate at which {} keeps {slo}: open loop, {connections} connections, {duration_s} s a load, \
         found to within {percent:.0} %; a rate counts as too high when it fails twice.",
        workload.asked(),
    );
    let mut searches: Vec<&Entry<Found>> = record.searches.iter().collect();
    let rate = |entry: &Entry<Found>| entry.found.highest.unwrap_or(0.0);
    // What is emulated is not ranked.
    searches.sort_by(|a, b| a.emulated.cmp(&b.emulated).then(rate(b).total_cmp(&rate(a))));
    let rows = searches.into_iter().map(row).collect();
    let table = Table { headings: HEADINGS.map(String::from).to_vec(), rows };
    Page { title, table, notes: Vec::new() }
}

fn row(entry: &Entry<Found>) -> Vec<String> {
    let (found, there) = (&entry.found, entry.found.there());
    let at_least = if found.at_least { "≥ " } else { "" };
    let own = [(found.at_least, GENERATOR_BOUND), (found.disturbed(), DISTURBED_MARK)];
    let own: Vec<&str> = own.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark).collect();
    vec![
        entry.name().to_owned(),
        found.highest.map_or("–".to_owned(), |rate| format!("{at_least}{}", number(rate))),
        shown(there.map(|there| there.p99_ms)),
        mb(there.and_then(|there| there.pss_bytes)),
        shown(there.and_then(Probe::req_per_s_per_mb)),
        shown(there.and_then(Probe::cpu_us_per_req)),
        found.attempts.len().to_string(),
        entry.marks(&own),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches a service of a known capacity: the result, and how many rates were tried.
    fn search(start: f64, capacity: f64) -> (Option<f64>, Option<f64>, usize) {
        let (mut holds, mut fails, mut tried) = (None, None, 0);
        while let Some(rate) = next(start, holds, fails) {
            *if rate <= capacity { &mut holds } else { &mut fails } = Some(rate);
            tried += 1;
            assert!(tried < 100, "no end at {rate} req/s");
        }
        (holds, fails, tried)
    }

    proptest! {
        #[test]
        fn the_capacity_is_found_to_within_the_resolution(
            start in 2.0..200_000f64,
            share in 0.011..5.0f64,
        ) {
            let capacity = (start * share).max(1.0);
            let (holds, fails, tried) = search(start, capacity);
            let (low, high) = (holds.unwrap(), fails.unwrap());
            prop_assert!(low <= capacity && capacity < high && high <= low * RESOLUTION, "{low} {high}");
            prop_assert!(tried <= 15, "{tried} rates were tried");
        }

        #[test]
        fn what_holds_no_rate_is_given_up_soon(start in 0.1..200_000f64) {
            let (holds, _, tried) = search(start, 0.0);
            prop_assert!(holds.is_none() && tried <= 3);
        }
    }

    #[test]
    fn what_holds_every_rate_is_given_up_at_the_ceiling() {
        let (holds, fails, tried) = search(1000.0, f64::INFINITY);
        assert!(holds.is_some_and(|rate| rate >= CEILING) && fails.is_none() && tried < 50);
    }
}
