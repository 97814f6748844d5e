//! The doctor: what can be weighed on this machine, what is missing, and how to get it; what is up, and what was
//! left behind.

use std::fmt::Write;
use std::fs;

use crate::background::{Phase, State};
use crate::host::Host;
use crate::launch;
use crate::leftover::Found;
use crate::placement::Placement;
use crate::proc;
use crate::target::{Lack, Target};

/// The report: one line for each target, then the facts of the machine that figures depend on.
pub fn report(
    targets: &[Target],
    host: &Host,
    placement: &Placement,
    states: &[State],
    found: &Found,
) -> String {
    let mut text = String::from("Targets\n");
    let width = targets.iter().map(|target| target.name.chars().count()).max().unwrap_or(0);
    for target in targets {
        let missing = launch::missing(target);
        let name = &target.name;
        if missing.is_empty() {
            let _ = writeln!(text, "  ok       {name:<width$}  {}", target.summary);
        }
        for Lack { what, hint } in missing {
            let _ = writeln!(text, "  missing  {name:<width$}  {what}: {hint}");
        }
    }
    let _ = writeln!(text, "\nMachine\n  {}", host.line());
    for (tool, version) in &host.tools {
        let _ = writeln!(text, "  {tool}: {version}");
    }
    section(&mut text, "What figures depend on", facts(placement));
    section(&mut text, "In the background", background(states));
    section(&mut text, "Left behind", left_behind(states, found));
    text
}

fn section(text: &mut String, title: &str, lines: Vec<String>) {
    let _ = writeln!(text, "\n{title}");
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

/// What is up takes part in every figure.
fn background(states: &[State]) -> Vec<String> {
    let line = |state: &State| {
        let word = match state.phase {
            _ if !state.is_kept() => return None,
            Phase::Starting => "starting",
            _ => "up      ",
        };
        Some(format!(
            "{word} {} on http://{}; stop it with: ounce-bench down --target {0}",
            state.target, state.address
        ))
    };
    let lines: Vec<String> = states.iter().filter_map(line).collect();
    if lines.is_empty() { vec!["ok       nothing is up".into()] } else { lines }
}

fn left_behind(states: &[State], found: &Found) -> Vec<String> {
    let stale = states.iter().filter(|state| state.is_stale());
    let mut left: Vec<String> =
        stale.map(|state| format!("the state of {}, whose keeper was killed", state.target)).collect();
    left.extend(found.things.iter().map(ToString::to_string));
    let mut lines: Vec<String> =
        left.iter().map(|thing| format!("left     {thing}; remove it with: ounce-bench down")).collect();
    if lines.is_empty() {
        lines.push("ok       nothing was left behind".into());
    }
    lines.extend(found.unseen.iter().map(|why| format!("warning  {why}")));
    lines
}

fn facts(placement: &Placement) -> Vec<String> {
    let mut facts = Vec::new();
    facts.push(match &placement.warning {
        Some(warning) => format!("warning  {warning}"),
        None => format!(
            "ok       server on CPU {:?}, generator on {:?}",
            placement.server_cpus, placement.generator_cpus
        ),
    });
    facts.push(match proc::memory(std::process::id().cast_signed()) {
        Ok(memory) if memory.pss_anon > 0 => {
            "ok       memory can be weighed (smaps_rollup with breakdown)".into()
        }
        Ok(_) => "warning  memory can be weighed, but this kernel (before 5.11) tells no breakdown".into(),
        Err(error) => format!("warning  memory cannot be weighed: {error}"),
    });
    facts.push(descriptors());
    facts.push(governor());
    facts.extend(steal());
    facts
}

/// A load of 500 connections needs as many descriptors, on both sides.
fn descriptors() -> String {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    match line.and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok()) {
        Some(limit) if limit < 1024 => format!("warning  only {limit} open files allowed: ulimit -n 4096"),
        Some(limit) => format!("ok       {limit} open files allowed"),
        None => "ok       no limit on open files".into(),
    }
}

fn governor() -> String {
    match fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") {
        Ok(name) if name.trim() == "performance" => "ok       CPU governor performance".into(),
        Ok(name) => format!(
            "warning  CPU governor {}: clocks change with load; for steadier figures: cpupower frequency-set -g performance",
            name.trim()
        ),
        Err(_) => "ok       no CPU governor to be seen (usual in a virtual machine)".into(),
    }
}

/// CPU time that the hypervisor gave to others, since boot.
fn steal() -> Option<String> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> =
        stat.lines().next()?.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    let percent = 100.0 * ticks.get(7)? / ticks.iter().take(8).sum::<f64>();
    let level = if percent > 1.0 { "warning  " } else { "ok       " };
    Some(format!("{level}{percent:.1} % of CPU time since boot was stolen by the hypervisor"))
}
