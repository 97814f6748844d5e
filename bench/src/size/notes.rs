//! Notes: what of a plan was not measured, and what was measured under other circumstances.

use serde::Serialize;

use super::evidence::{Evidence, Point};
use super::plan::{LEAST_LIMIT_MIB, LimitFrom, Plan, Scope, TOLERANCE};
use crate::report::number;
use crate::workload::Workload;

/// A server that uses less of its CPUs than this at its capacity waits for something else.
const WAITING: f64 = 0.5;

/// One caution.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Note {
    /// A short name, for programs.
    pub about: &'static str,
    /// The same for every target that it is about.
    pub text: String,
    /// What differs from target to target.
    pub detail: Option<String>,
}

/// Everything to be said of a plan.
pub fn notes(evidence: &Evidence, plan: &Plan) -> Vec<Note> {
    let all = [
        doubtful(plan),
        below_measured(plan),
        at_least(plan),
        closed_loop(plan),
        one_round(&plan.capacity),
        one_instance(plan),
        sum(evidence, plan),
        scope(plan),
        outside(evidence),
        quota(evidence),
        least_limit(plan),
        guest(evidence),
        waiting(&plan.capacity),
        late(plan),
    ];
    all.into_iter().flatten().collect()
}

/// The command that measures what a plan extrapolates: an open loop at the planned rate.
pub fn next_step(evidence: &Evidence, plan: &Plan, workload: &Workload) -> Option<String> {
    let (workload, target, each) = (&workload.name, &evidence.target, plan.each.ceil());
    let command = format!("ounce-bench run --workload {workload} --target {target} --rate {each}");
    (!plan.confirmed).then_some(command)
}

fn note(about: &'static str, text: &str) -> Option<Note> {
    Some(Note { about, text: text.into(), detail: None })
}

fn doubtful(plan: &Plan) -> Option<Note> {
    let point = plan.doubtful.as_ref()?;
    let text = "an open loop below the capacity missed the objective; it was not counted, because other programs or the \
                generator may have caused it: measure again on a quiet machine";
    let p99 = point.p99_ms.map_or_else(String::new, |p99| format!("p99 {} ms ", number(p99)));
    Some(Note {
        detail: Some(format!("{p99}at {} req/s", number(point.offered()))),
        ..note("doubtful", text)?
    })
}

fn below_measured(plan: &Plan) -> Option<Note> {
    let text = "fewer requests to an instance than under any measured load: its memory is an upper bound, its CPU a lower one \
                (≥), because the fewer requests there are, the more CPU each costs, up to several times as much; an \
                autoscaler that goes by it starts more instances than needed";
    plan.below_measured.then(|| note("below-measured", text)).flatten()
}

fn at_least(plan: &Plan) -> Option<Note> {
    let text = "the service was not at its limit at the capacity shown (≥): it may do more, which a higher rate would show";
    plan.at_least.then(|| note("at-least", text)).flatten()
}

fn closed_loop(plan: &Plan) -> Option<Note> {
    let text = format!(
        "the capacity is that of a closed loop ({} connections, each of which waits for its answer), where no queue \
         grows: the margin is all that there is for traffic that does not wait (`ounce-bench saturation` asks in an open \
         loop)",
        plan.capacity.connections
    );
    (!plan.capacity.is_open() && !plan.confirmed).then(|| note("closed-loop", &text)).flatten()
}

fn one_round(capacity: &Point) -> Option<Note> {
    let text = "the capacity was measured in one round, so nothing is known of its spread";
    (capacity.rounds == 1).then(|| note("one-round", text)).flatten()
}

fn one_instance(plan: &Plan) -> Option<Note> {
    let text = "extrapolated: one instance was measured; that n of them serve n times as much, on n times the CPUs, is assumed";
    (plan.instances > 1).then(|| note("one-instance", text)).flatten()
}

fn sum(evidence: &Evidence, plan: &Plan) -> Option<Note> {
    if plan.instances == 1 {
        return None;
    }
    match evidence.sharing {
        None => note(
            "sum",
            "total PSS is the footprint of one times their number: an upper bound, because instances on one host share \
             pages, which `ounce-bench marginal` weighs",
        ),
        Some(sharing) if sharing.measured_to < plan.instances as usize => Some(Note {
            detail: Some(format!("up to {}", sharing.measured_to)),
            ..note(
                "beyond-marginal",
                "total PSS is extrapolated beyond the number of instances that were weighed at once",
            )?
        }),
        Some(_) => None,
    }
}

fn scope(plan: &Plan) -> Option<Note> {
    let text = "memory request and limit are from PSS, without the kernel's part (sockets, page tables), which Kubernetes counts";
    plan.memory.filter(|memory| memory.scope == Scope::Pss).and_then(|_| note("pss", text))
}

fn outside(evidence: &Evidence) -> Option<Note> {
    let (_, mb) = evidence.outside_mb.iter().find(|(name, _)| name.starts_with("containerd-shim"))?;
    let text = "total PSS has the container's shim, which its request and limit do not count: keep room for it on the node, or \
                as overhead of the RuntimeClass (docker-proxy is in it, too, and is Docker's alone)";
    Some(Note { detail: Some(format!("{} MB", number(*mb))), ..note("outside", text)? })
}

fn quota(evidence: &Evidence) -> Option<Note> {
    let detail = Some(format!("{} CPU", evidence.cpu_limit?));
    Some(Note { detail, ..note("quota", "measured under a CPU limit, without which it may do more")? })
}

fn least_limit(plan: &Plan) -> Option<Note> {
    let text = format!(
        "the memory limit is not what the service needs but the least that container runtimes take (CRI-O refuses less \
         than {LEAST_LIMIT_MIB} MiB)"
    );
    plan.memory
        .filter(|memory| memory.limit_from == LimitFrom::Runtime)
        .and_then(|_| note("least-limit", &text))
}

fn guest(evidence: &Evidence) -> Option<Note> {
    let text = "memory is that of the virtual machine's process; its guest keeps every page that it has touched, so a limit \
                must have room for all of the guest's RAM";
    evidence.is_guest().then(|| note("guest", text)).flatten()
}

fn waiting(capacity: &Point) -> Option<Note> {
    let text = "at its capacity it used less than half of its CPU, so it waits for something else, and CPU utilisation does not \
                tell an autoscaler when it is full: scale on requests a second";
    // Who had no CPU could not use it.
    capacity.busy().filter(|busy| *busy < WAITING && !capacity.disturbed).and_then(|_| note("waiting", text))
}

fn late(plan: &Plan) -> Option<Note> {
    let text = format!(
        "an autoscaler acts only when its target is exceeded by {:.0} %, which is beyond the measured capacity: give a \
         margin of 10 % or more",
        TOLERANCE * 100.0
    );
    plan.scales_late().then(|| note("late", &text)).flatten()
}

impl Note {
    /// In one sentence.
    pub fn sentence(&self) -> String {
        let detail = self.detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
        format!("{}{detail}", self.text)
    }
}
