//! Sizing: how many instances serve a rate under an objective, what they weigh, and the requests and limits that
//! follow. Everything comes from records; nothing is launched.
//!
//! # The arithmetic
//! Asked are `rps` requests a second, a p99, and a margin `m`. For each target:
//!
//! 1. **Points.** Every load in the records is a point: its rate at the lower end of the 95 % interval over the rounds,
//!    its p99 at the upper end (below three rounds the worst round), medians of CPU time and memory, the largest peak.
//! 2. **Capacity** of an instance: the highest measured rate with p99 ≤ the objective and no errors. An open loop that
//!    missed the objective rules out every rate from there on, also those that a closed loop seemed to keep, unless the
//!    generator may have caused it, or other programs that left the higher point alone. When no point counts, there is no
//!    plan.
//! 3. **Instances** = ⌈rps ÷ (capacity × (1 − m))⌉, each with `each = rps ÷ instances`.
//! 4. **CPU.** At `each`, an instance uses what the straight line between the measured points on both sides says (below
//!    all points: the line to no use at no rate, and the plan says that this is a lower bound). In all: instances × that.
//! 5. **CPU request** = that ÷ t, in millicores, rounded up, where `t` = ⌊100 × (1 − m)⌋ %. **CPU limit**: none. A quota
//!    stops the instance for the rest of each 100 ms once it is used up, also on an idle node, which is what p99 shows; a
//!    request alone guarantees the share.
//! 6. **HPA target** = t % of the request. So an instance reaches it at `each`, below the capacity, and
//!    instances × t × request ÷ CPU per request ≥ rps.
//! 7. **Memory request** = loaded footprint × (1 + m) in MiB, rounded up, from the measured point at or next above `each`.
//!    **Memory limit** = the largest of: the highest peak × (1 + m) under any load that was answered rightly, also beyond
//!    the capacity; the smallest limit that held × (1 + m); 12 MiB. Both are of the control group's charge where the
//!    record has it, as Kubernetes counts, else of PSS.
//! 8. **Total MB** = base + (PSS loaded − base) × instances, over whole process trees, shims and virtual machines included.
//!    `base` is what instances on one host share, from a record of the marginal footprint; without one it is 0, and the
//!    total an upper bound.
//!
//! Plans are ordered by total MB, then by CPU. What is an extrapolation is a note on the plan ([`notes`]).

pub mod evidence;
pub mod k8s;
pub mod notes;
pub mod plan;
pub mod records;
pub mod runs;
pub mod searches;

mod page;

use std::cmp::Ordering;

use serde::Serialize;

use crate::host::Host;
use crate::workload::Workload;
use evidence::{Evidence, Mark};
use notes::Note;
use plan::Plan;
use records::Known;

/// What is asked.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    /// Requests a second, in all.
    pub rps: f64,
    pub p99_ms: f64,
    /// The part of the capacity that is kept free, and by which memory is more than measured.
    pub margin: f64,
}

/// The answer for every target.
#[derive(Clone, Debug, Serialize)]
pub struct Sizing {
    pub asked: Asked,
    pub workload: Workload,
    pub host: Host,
    /// The files.
    pub records: Vec<String>,
    pub warnings: Vec<String>,
    /// Cheapest first; then peers, those without a total, the emulated, and those without a plan.
    pub answers: Vec<Answer>,
}

/// The answer for one target: a plan, or why there is none.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    #[serde(flatten)]
    pub evidence: Evidence,
    pub plan: Option<Plan>,
    pub why_not: Option<String>,
    /// What of the plan was not measured.
    pub notes: Vec<Note>,
}

impl Sizing {
    pub fn new(known: Known, asked: Asked, records: Vec<String>) -> Self {
        let Known { evidence, workload, host, warnings } = known;
        let answer = |evidence| Answer::new(evidence, &asked);
        let mut answers: Vec<Answer> = evidence.into_iter().map(answer).collect();
        answers.sort_by(Answer::compare);
        Self { asked, workload, host, records, warnings, answers }
    }

    /// The plans that may be compared, cheapest first.
    pub fn ranked(&self) -> impl Iterator<Item = (&Answer, &Plan)> {
        let ranked = self.answers.iter().filter(|answer| answer.standing() == Standing::Ranked);
        ranked.filter_map(|answer| Some((answer, answer.plan.as_ref()?)))
    }
}

impl Answer {
    fn new(evidence: Evidence, asked: &Asked) -> Self {
        let (plan, why_not) = match plan::plan(&evidence, asked) {
            Ok(plan) => (Some(plan), None),
            // That it could not run explains more than that nothing was measured.
            Err(why) if evidence.points.is_empty() => (None, Some(evidence.failure.clone().unwrap_or(why))),
            Err(why) => (None, Some(why + &excuse(&evidence))),
        };
        let notes = plan.as_ref().map(|plan| notes::notes(&evidence, plan)).unwrap_or_default();
        Self { evidence, plan, why_not, notes }
    }

    fn standing(&self) -> Standing {
        match &self.plan {
            None => Standing::None,
            Some(_) if self.evidence.is_emulated() => Standing::Emulated,
            Some(_) if self.evidence.is_peer() => Standing::Peer,
            Some(plan) if plan.total_mb.is_none() => Standing::Unweighed,
            Some(_) => Standing::Ranked,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let cost = |answer: &Self| {
            let plan = answer.plan.as_ref();
            let cores = plan.and_then(|plan| plan.cpu).map_or(0.0, |cpu| cpu.total_cores);
            (plan.and_then(|plan| plan.total_mb).unwrap_or(0.0), cores)
        };
        let ((mb, cores), (other_mb, other_cores)) = (cost(self), cost(other));
        let costs = || mb.total_cmp(&other_mb).then(cores.total_cmp(&other_cores));
        self.standing().cmp(&other.standing()).then_with(costs)
    }
}

/// What may explain that an objective was missed.
fn excuse(evidence: &Evidence) -> String {
    let limit = evidence.cpu_limit;
    let limit =
        limit.map(|limit| format!("; a CPU limit of {limit} was in force, which stalls it once used up"));
    let emulated = evidence.is_emulated().then(|| "; it was emulated".to_owned());
    let disturbed = evidence.marks.contains(&Mark::Disturbed);
    let disturbed = disturbed.then(|| "; other programs took CPU time from it".to_owned());
    limit.into_iter().chain(emulated).chain(disturbed).collect()
}

/// Where an answer stands in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Ranked,
    Peer,
    Unweighed,
    Emulated,
    None,
}
