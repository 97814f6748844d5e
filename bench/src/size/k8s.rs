//! Kubernetes: a plan as the `resources` of a Deployment's container and a HorizontalPodAutoscaler, in YAML.

use std::fmt::Write;

use anyhow::{Result, bail};

use super::plan::{Cpu, LimitFrom, Memory, Plan, Scope, plain};
use super::{Answer, Sizing, notes};
use crate::report::number;
use crate::target::Kind;

/// Two documents for the target of this name, or for the cheapest container.
///
/// # Errors
/// When there is no such target, or no plan for it.
pub fn manifests(sizing: &Sizing, target: Option<&str>) -> Result<String> {
    let answer = match target {
        Some(name) => named(sizing, name)?,
        None => cheapest(sizing)?,
    };
    let name = &answer.evidence.target;
    let Some(plan) = &answer.plan else {
        bail!("no plan for {name}: {}", answer.why_not.as_deref().unwrap_or("it was not measured"))
    };
    if answer.evidence.is_emulated() {
        bail!("no plan for {name}: it was emulated, and its figures say nothing of what it would need")
    }
    if answer.evidence.is_guest() {
        bail!("{name} is a virtual machine: a container's resources do not describe it")
    }
    let (Some(cpu), Some(memory)) = (plan.cpu, plan.memory) else {
        bail!("no plan for {name}: it was not weighed")
    };
    Ok(format!(
        "{}{}---\n{}",
        comments(sizing, answer, plan),
        resources(&label(name), plan, cpu, memory, sizing.asked.margin),
        autoscaler(&label(name), plan, cpu)
    ))
}

fn named<'a>(sizing: &'a Sizing, name: &str) -> Result<&'a Answer> {
    if let Some(answer) = sizing.answers.iter().find(|answer| answer.evidence.target == name) {
        return Ok(answer);
    }
    let known: Vec<&str> = sizing.answers.iter().map(|answer| answer.evidence.target.as_str()).collect();
    bail!("no target {name:?} in these records; they have: {}", known.join(", "))
}

/// A container that was measured as one, else whatever can be put into one.
fn cheapest(sizing: &Sizing) -> Result<&Answer> {
    let of = |fits: fn(Kind) -> bool| {
        sizing.ranked().map(|(answer, _)| answer).find(|answer| fits(answer.evidence.kind))
    };
    let other = |kind| matches!(kind, Kind::Process | Kind::Wasmtime | Kind::Spin | Kind::Url);
    match of(|kind| kind == Kind::Docker).or_else(|| of(other)) {
        Some(answer) => Ok(answer),
        None => bail!("no target that could be a container has a plan; without --k8s each says why"),
    }
}

fn comments(sizing: &Sizing, answer: &Answer, plan: &Plan) -> String {
    let Answer { evidence, notes, .. } = answer;
    let (asked, workload) = (&sizing.asked, &sizing.workload);
    let mut lines = vec![
        format!(
            "{} req/s of {} ({}) with p99 <= {} ms, margin {:.0} %: {} x {}.",
            number(asked.rps),
            workload.name,
            workload.asked(),
            plain(asked.p99_ms),
            asked.margin * 100.0,
            plan.instances,
            evidence.target
        ),
        format!("By ounce-bench size, from {} ({}).", sizing.records.join(", "), sizing.host.label),
        "Put your names. Merge it into the Deployment: kubectl apply --server-side -f FILE".into(),
        String::new(),
    ];
    if evidence.kind != Kind::Docker {
        lines.push(format!("- {} was measured outside a container, runtime included.", evidence.target));
    }
    lines.extend(sizing.warnings.iter().map(|warning| format!("- {warning}.")));
    lines.extend(evidence.marks.iter().map(|mark| format!("- {}: {}.", mark.name(), mark.meaning())));
    // Of the sum there is nothing in the manifests.
    let said = notes.iter().filter(|note| !["sum", "beyond-marginal"].contains(&note.about));
    lines.extend(said.map(|note| format!("- {}.", note.sentence())));
    let command = notes::next_step(evidence, plan, workload);
    lines.extend(command.map(|command| format!("- To measure what is not: {command}")));
    lines.iter().flat_map(|line| wrapped(line)).fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", format!("# {line}").trim_end());
        text
    })
}

/// Lines of at most this many characters.
const WIDTH: usize = 110;

fn wrapped(text: &str) -> Vec<String> {
    let indent = if text.starts_with("- ") { "  " } else { "" };
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().filter(|line| line.chars().count() + word.chars().count() < WIDTH);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(format!("{indent}{word}")),
        }
    }
    lines
}

fn resources(name: &str, plan: &Plan, cpu: Cpu, memory: Memory, margin: f64) -> String {
    let (each, us) = (number(plan.each), number(cpu.us_per_req));
    let percent = plan.target_percent;
    let scope = match memory.scope {
        Scope::Cgroup => "cgroup",
        Scope::Pss => "PSS",
    };
    let (loaded, peak, more) = (number(memory.loaded_mb), number(memory.peak_mb), 1.0 + margin);
    let limit = match memory.limit_from {
        LimitFrom::Peak => format!("{peak} MB at the peak ({scope}) x {more:.2}"),
        LimitFrom::Smallest => format!("the smallest limit that held x {more:.2}"),
        LimitFrom::Runtime => {
            format!("the least that a runtime starts with; {peak} MB at the peak ({scope})")
        }
    };
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  template:
    spec:
      containers:
        - name: {name}
          resources:
            requests:
              cpu: {}m # {each} req/s x {us} us / {percent} %
              memory: {}Mi # {loaded} MB under load ({scope}) x {more:.2}
            limits:
              # No CPU limit: its quota, once used up, stalls the service for the rest of 100 ms, even on an idle node.
              memory: {}Mi # {limit}
",
        cpu.request_millicores, memory.request_mib, memory.limit_mib
    )
}

fn autoscaler(name: &str, plan: &Plan, cpu: Cpu) -> String {
    let (instances, percent) = (plan.instances, plan.target_percent);
    let each = number(plan.each);
    format!(
        "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {name}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {name}
  # {instances} x {each} req/s without waiting for the autoscaler.
  # {}
  minReplicas: {instances}
  maxReplicas: {} # twice the rate; beyond what was measured
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          # {percent} % of {}m is {each} req/s x {} us; an instance was measured up to {} req/s.
          averageUtilization: {percent}
",
        loss(plan),
        instances * 2,
        cpu.request_millicores,
        number(cpu.us_per_req),
        number(plan.capacity.rate),
    )
}

/// What is left when one instance is lost.
fn loss(plan: &Plan) -> String {
    let left = plan.instances - 1;
    if left == 0 {
        return "None is left when it is lost: 2 for availability.".into();
    }
    let each = plan.each * plan.instances as f64 / left as f64;
    let within = if each <= plan.capacity.rate { "within" } else { "MORE than" };
    format!(
        "When one is lost, the others get {} each, {within} the {} measured.",
        number(each),
        number(plan.capacity.rate)
    )
}

/// A name that Kubernetes takes: RFC 1123, at most 63 characters.
fn label(name: &str) -> String {
    let lower = name.to_lowercase();
    let safe: String =
        lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let trimmed = safe.trim_matches('-');
    if trimmed.is_empty() { "service".into() } else { trimmed.into() }
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn a_name_is_one_for_kubernetes() {
        assert_eq!(label("docker-minimal"), "docker-minimal");
        assert_eq!(label("My_Service.v2"), "my-service-v2");
        assert_eq!(label("_"), "service");
        assert_eq!(label(&"a".repeat(80)).len(), 63);
    }
}
