//! Evidence: what records say of each target, in the form that the arithmetic needs.
//!
//! This is the seam: `runs` and `searches` turn records into evidence, `plan` reads nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::load::Schedule;
use crate::placement::Placement;
use crate::stats::ratio;
use crate::target::{Kind, Target};

/// One load under which a target was measured. Of several rounds a point has medians, but rate and p99 are at the
/// cautious ends of their 95 % intervals; with fewer than three rounds there is no interval, and the worst one counts.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// The record's file.
    pub source: String,
    pub schedule: Schedule,
    pub connections: usize,
    pub rounds: usize,
    /// Requests a second that were answered rightly: the lower end.
    pub rate: f64,
    /// The upper end. Absent when nothing was answered.
    pub p99_ms: Option<f64>,
    /// In all rounds together.
    pub errors: u64,
    /// Why it cannot count as served, beside errors: the queue grew, or the instance ended.
    pub broken: Option<String>,
    /// CPU time of the server.
    pub cpu_us_per_req: Option<f64>,
    /// CPUs that the server could use; a quota may be a fraction.
    pub server_cpus: f64,
    /// PSS of the whole process tree.
    pub pss: Option<Footprint>,
    /// What the kernel charged to the control group.
    pub charge: Option<Footprint>,
    /// The generator, not the server, was the limit.
    pub generator_bound: bool,
    /// Others took CPU time from it.
    pub disturbed: bool,
}

/// Memory under load, in MB (10⁶ bytes).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Footprint {
    /// The median.
    pub loaded_mb: f64,
    /// The largest reading of all rounds.
    pub peak_mb: f64,
}

/// Everything known of one target under the workload.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    pub target: String,
    pub kind: Kind,
    /// The CPU limit in the target's file, when it was less than the CPUs of its place.
    pub cpu_limit: Option<f64>,
    pub points: Vec<Point>,
    /// The smallest memory limit that held, in MiB.
    pub smallest_mib: Option<u64>,
    pub sharing: Option<Sharing>,
    /// PSS in MB of the processes that an instance needs outside its container, by name.
    pub outside_mb: BTreeMap<String, f64>,
    pub marks: BTreeSet<Mark>,
    /// Why there is no point, as far as a record says.
    pub failure: Option<String>,
}

/// What instances on one host have in common.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sharing {
    /// The part of the footprint that is there once, whatever the number of instances.
    pub base_mb: f64,
    /// The most instances that were weighed at once.
    pub measured_to: usize,
}

/// A reason to doubt what was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    Peer,
    Emulated,
    Forwarded,
    Shared,
    Disturbed,
    Unstable,
    Unweighed,
}

impl Mark {
    pub fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Emulated => "emulated",
            Self::Forwarded => "forwarded",
            Self::Shared => "shared",
            Self::Disturbed => "disturbed",
            Self::Unstable => "unstable",
            Self::Unweighed => "unweighed",
        }
    }

    pub fn meaning(self) -> &'static str {
        match self {
            Self::Peer => "something else than the service, for context",
            Self::Emulated => {
                "the guest's instructions were emulated, which makes it slower and larger than it is: not ranked, and \
                 nothing to plan with"
            }
            Self::Forwarded => "reached through QEMU's forwarded port, which is slower than a network device",
            Self::Shared => {
                "another process ran the same program and had a part of its pages: the memory figures are too small"
            }
            Self::Disturbed => "other programs took more than 5 % of the CPUs while it was measured",
            Self::Unstable => {
                "requests/s or the loaded footprint differ or drift between the rounds by too much"
            }
            Self::Unweighed => "the target names no process or container to weigh, so only its rate is known",
        }
    }
}

impl Point {
    /// A load that came to nothing.
    pub fn broken(source: &str, why: String) -> Self {
        Self {
            source: source.into(),
            schedule: Schedule::Closed,
            connections: 0,
            rounds: 1,
            rate: 0.0,
            p99_ms: None,
            errors: 0,
            broken: Some(why),
            cpu_us_per_req: None,
            server_cpus: 0.0,
            pss: None,
            charge: None,
            generator_bound: false,
            disturbed: false,
        }
    }

    /// The requests a second that were due; a closed loop has none but those it got.
    pub fn offered(&self) -> f64 {
        self.schedule.rate().unwrap_or(self.rate)
    }

    pub fn is_open(&self) -> bool {
        self.schedule.rate().is_some()
    }

    /// The part of its CPUs that the server used at this rate.
    pub fn busy(&self) -> Option<f64> {
        ratio(self.rate * self.cpu_us_per_req? / 1e6, self.server_cpus)
    }

    /// Everything was answered rightly.
    pub fn serves(&self) -> bool {
        self.errors == 0 && self.broken.is_none()
    }

    /// Everything was answered rightly, and in time.
    pub fn keeps(&self, p99_ms: f64) -> bool {
        self.serves() && self.p99_ms.is_some_and(|p99| p99 <= p99_ms)
    }

    /// The generator or other programs may have caused what went wrong, so that it says nothing against the server.
    pub fn is_excused(&self) -> bool {
        self.generator_bound || self.disturbed
    }

    /// How it was loaded, in words.
    pub fn conditions(&self) -> String {
        let rounds = if self.rounds == 1 { String::new() } else { format!(", {} rounds", self.rounds) };
        format!("{}, {} connections{rounds}", self.schedule, self.connections)
    }
}

impl Evidence {
    pub fn of(target: &Target, placement: &Placement) -> Self {
        let cpu_limit = target.limits.cpus.filter(|limit| *limit < placement.server_count() as f64);
        let marks = target.peer.then_some(Mark::Peer).into_iter().collect();
        Self { cpu_limit, marks, ..Self::named(&target.name, target.kind) }
    }

    pub fn named(target: &str, kind: Kind) -> Self {
        Self {
            target: target.into(),
            kind,
            cpu_limit: None,
            points: Vec::new(),
            smallest_mib: None,
            sharing: None,
            outside_mb: BTreeMap::new(),
            marks: BTreeSet::new(),
            failure: None,
        }
    }

    pub fn is_peer(&self) -> bool {
        self.marks.contains(&Mark::Peer)
    }

    pub fn is_emulated(&self) -> bool {
        self.marks.contains(&Mark::Emulated)
    }

    /// A machine of its own inside, whose memory is no container's.
    pub fn is_guest(&self) -> bool {
        matches!(self.kind, Kind::Microvm | Kind::Unikraft)
    }
}
