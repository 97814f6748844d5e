//! From records of searches to evidence: what saturation adds are points, what the smallest memory and the marginal
//! footprint add are bounds.

use super::evidence::{Evidence, Footprint, Mark, Point, Sharing};
use crate::load::Schedule;
use crate::report::DISTURBED;
use crate::search::marginal::{self, Unit};
use crate::search::saturation::{self, Attempt};
use crate::search::{Entry, Probe, smallest};

/// Adds the points of a search for saturation.
pub fn saturation(all: &mut Vec<Evidence>, record: &saturation::Record, file: &str) {
    for entry in &record.searches {
        let known = all.iter().position(|evidence| evidence.target == entry.name());
        let index = known.unwrap_or_else(|| {
            all.push(Evidence::of(&entry.target.definition, &record.placement));
            all.len() - 1
        });
        let evidence = &mut all[index];
        let marks = [
            (entry.emulated, Mark::Emulated),
            (entry.forwarded, Mark::Forwarded),
            (entry.shared, Mark::Shared),
        ];
        evidence.marks.extend(marks.into_iter().filter(|(set, _)| *set).map(|(_, mark)| mark));
        evidence.failure = evidence.failure.take().or_else(|| entry.error.clone());
        evidence.points.extend(entry.found.closed.iter().map(|probe| point(probe, file)));
        evidence.points.extend(last_tries(&entry.found.attempts).map(|attempt| tried(attempt, file)));
        let disturbed = evidence.points.iter().any(|point| point.source == file && point.disturbed);
        evidence.marks.extend(disturbed.then_some(Mark::Disturbed));
    }
}

/// The search tries a rate again when it fails, because a hiccup says nothing about the rate: the last try decides.
fn last_tries(attempts: &[Attempt]) -> impl Iterator<Item = &Attempt> {
    attempts.iter().enumerate().filter_map(|(index, attempt)| {
        let again = attempts[index + 1..].iter().any(|later| later.rate == attempt.rate);
        (!again).then_some(attempt)
    })
}

/// Adds the smallest limits to targets that are known.
pub fn smallest(all: &mut [Evidence], record: &smallest::Record) {
    for evidence in all {
        let found = record.searches.iter().find(|entry| entry.name() == evidence.target);
        evidence.smallest_mib = found.and_then(|entry| entry.found.smallest_mib).or(evidence.smallest_mib);
    }
}

/// Adds to targets that are known what their instances share.
pub fn marginal(all: &mut [Evidence], record: &marginal::Record) {
    for evidence in all {
        // Components of one host are no instances.
        let is_it = |entry: &&Entry<marginal::Found>| {
            entry.name() == evidence.target && entry.found.unit == Unit::Instances
        };
        let found = record.searches.iter().find(is_it).map(|entry| &entry.found);
        evidence.sharing = found.and_then(sharing).or(evidence.sharing);
    }
}

fn sharing(found: &marginal::Found) -> Option<Sharing> {
    let base_mb = found.loaded.or(found.idle)?.base_bytes / 1e6;
    let measured_to = found.points.iter().map(|point| point.instances).max()?;
    Some(Sharing { base_mb, measured_to })
}

fn tried(attempt: &Attempt, file: &str) -> Point {
    let schedule = Schedule::Open { rate: attempt.rate };
    match &attempt.probe {
        Some(probe) => Point { schedule, ..point(probe, file) },
        None => {
            let broken = attempt.why.clone().unwrap_or_else(|| "it could not be loaded".into());
            Point { schedule, ..Point::broken(file, broken) }
        }
    }
}

fn point(probe: &Probe, file: &str) -> Point {
    let footprint = |loaded: Option<u64>, peak: Option<u64>| {
        Some(Footprint { loaded_mb: loaded? as f64 / 1e6, peak_mb: peak? as f64 / 1e6 })
    };
    let queued =
        || probe.rate_missed().then(|| "requests were due faster than they could be sent".to_owned());
    Point {
        source: file.into(),
        schedule: probe.schedule,
        connections: probe.connections,
        rounds: 1,
        rate: probe.req_per_s,
        p99_ms: (probe.requests + probe.drained > 0).then_some(probe.p99_ms),
        errors: probe.errors.total(),
        broken: probe.ended.clone().or_else(queued),
        cpu_us_per_req: probe.cpu_us_per_req(),
        server_cpus: probe.server_cpus,
        pss: footprint(probe.pss_bytes, probe.pss_peak_bytes),
        charge: footprint(probe.cgroup_bytes, probe.cgroup_peak_bytes),
        generator_bound: probe.generator_bound(),
        disturbed: probe.others_share > DISTURBED,
    }
}
