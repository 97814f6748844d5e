//! One cell: one target under one workload, from the first start to the last weight.

use std::fs;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::interrupt::Interrupt;
use crate::launch::{self, Instance, LaunchError, Process, Spawn, client};
use crate::load::{self, Outcome, Plan, REQUEST_TIMEOUT, Schedule};
use crate::placement::Placement;
use crate::proc;
use crate::progress::Progress;
use crate::record::{self, Cell, Latency, Load};
use crate::stats::ratio;
use crate::target::Target;
use crate::weigh::{self, Loaded};
use crate::workload::Workload;

/// How to measure one cell.
pub struct Settings<'a> {
    pub placement: &'a Placement,
    pub interrupt: &'a Interrupt,
    pub progress: &'a Progress,
    pub starts: usize,
    pub warm_up: Duration,
    pub duration: Duration,
    pub connections: usize,
    pub schedule: Schedule,
}

/// Measures one cell. A failure is part of the cell.
pub fn measure(target: &Target, workload: &Workload, settings: &Settings<'_>) -> Cell {
    let mut cell = Cell {
        target: target.name.clone(),
        workload: workload.name.clone(),
        started: record::now(),
        warm_up_s: settings.warm_up.as_secs_f64(),
        ..Cell::default()
    };
    if let Err(error) = fill(&mut cell, target, workload, settings) {
        cell.missing = matches!(error.downcast_ref(), Some(LaunchError::Missing { .. }));
        cell.error = Some(format!("{error:#}"));
    }
    cell
}

fn fill(cell: &mut Cell, target: &Target, workload: &Workload, settings: &Settings<'_>) -> Result<()> {
    let mut instance = start(cell, target, settings)?;
    let measured = with_instance(cell, &mut *instance, target, workload, settings);
    if measured.is_err() && !settings.interrupt.is_set() {
        // That it died explains more than the connection that broke.
        instance.check_alive()?;
    }
    measured?;
    instance.stop()?;
    Ok(())
}

/// Starts the target as often as asked; the last instance stays.
fn start(cell: &mut Cell, target: &Target, settings: &Settings<'_>) -> Result<Box<dyn Instance>> {
    let context = launch::Context::new(settings.placement, settings.interrupt);
    loop {
        let number = cell.cold_starts_ms.len() + 1;
        settings
            .progress
            .say(&format!("{} · {}: start {number} of {}", cell.workload, target.name, settings.starts));
        let mut instance = launch::launch(target, &context)?;
        cell.emulated = instance.emulated();
        cell.forwarded = instance.forwarded();
        let Some(cold_start) = instance.cold_start() else { return Ok(instance) };
        cell.cold_starts_ms.push(cold_start.as_secs_f64() * 1e3);
        if number >= settings.starts {
            return Ok(instance);
        }
        instance.stop()?;
    }
}

fn with_instance(
    cell: &mut Cell,
    instance: &mut dyn Instance,
    target: &Target,
    workload: &Workload,
    settings: &Settings<'_>,
) -> Result<()> {
    let scope = instance.scope();
    let say = |what: &str| settings.progress.say(&format!("{} · {}: {what}", workload.name, target.name));
    say("weighing at rest");
    match weigh::at_rest(&scope, settings.interrupt) {
        Ok(weight) => cell.idle = Some(weight),
        Err(_) if scope.roots.is_empty() => {}
        Err(error) => cell.samples_error = Some(format!("{error:#}")),
    }
    cell.shared = proc::sharer(&proc::tree(&scope.roots)).is_some();
    cell.about = target.about.as_deref().and_then(|path| about(instance, path));
    let expected = load::reference(instance.address(), workload, REQUEST_TIMEOUT)?;
    let mut plan = Plan {
        address: instance.address(),
        expected,
        connections: settings.connections,
        schedule: settings.schedule,
        duration: settings.warm_up,
        timeout: REQUEST_TIMEOUT,
        cpus: settings.placement.generator_cpus.clone(),
    };
    say("warming up");
    let (warm, _) =
        weigh::while_loaded(&scope, settings.placement, settings.interrupt, |stop| load::run(&plan, stop));
    warm?;
    check(instance, settings.interrupt)?;
    plan.duration = settings.duration;
    say(&format!("load for {:?}", settings.duration));
    let (outcome, loaded) =
        weigh::while_loaded(&scope, settings.placement, settings.interrupt, |stop| load::run(&plan, stop));
    cell.sampler_cpu_s = loaded.sampler_cpu_s;
    cell.load = outcome
        .as_ref()
        .ok()
        .map(|outcome| summary(outcome, &plan, &loaded, cpus(target, settings.placement)));
    cell.samples = loaded.samples;
    cell.samples_error = cell.samples_error.take().or(loaded.error);
    let outcome = outcome?;
    check(instance, settings.interrupt)?;
    if outcome.requests + outcome.drained == 0 {
        bail!("no request was answered rightly: {:?}", outcome.errors);
    }
    say("weighing after the load");
    cell.after = weigh::at_rest(&scope, settings.interrupt).ok();
    check(instance, settings.interrupt)
}

fn check(instance: &mut dyn Instance, interrupt: &Interrupt) -> Result<()> {
    if interrupt.is_set() {
        return Err(LaunchError::Interrupted.into());
    }
    Ok(instance.check_alive()?)
}

/// What the service says about itself; a service need not say anything.
fn about(instance: &dyn Instance, path: &str) -> Option<Value> {
    let url = format!("http://{}{path}", instance.address());
    let text = client(REQUEST_TIMEOUT).get(url).call().ok()?.body_mut().read_to_string().ok()?;
    serde_json::from_str(&text).ok()
}

/// How many CPUs the server may use: those of its place, within its own limit.
fn cpus(target: &Target, placement: &Placement) -> f64 {
    let place = placement.server_count() as f64;
    target.limits.cpus.map_or(place, |limit| limit.min(place))
}

fn summary(outcome: &Outcome, plan: &Plan, loaded: &Loaded, server_cpus: f64) -> Load {
    let latency = &outcome.latency;
    let ms = |nanos: u64| nanos as f64 / 1e6;
    let at = |quantile: f64| ms(latency.value_at_quantile(quantile));
    let quantiles = latency.iter_quantiles(5).map(|step| (step.quantile(), ms(step.value_iterated_to())));
    Load {
        schedule: plan.schedule,
        connections: plan.connections,
        threads: outcome.threads,
        window_s: outcome.window.as_secs_f64(),
        requests: outcome.requests,
        drained: outcome.drained,
        errors: outcome.errors,
        reconnects: outcome.reconnects,
        latency: Latency {
            mean_ms: latency.mean() / 1e6,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p99_9_ms: at(0.999),
            max_ms: ms(latency.max()),
            quantiles: quantiles.collect(),
        },
        wall_s: outcome.wall.as_secs_f64(),
        server_cpu_s: loaded.server_cpu_s,
        others_share: ratio(loaded.others_cpu_s, loaded.available_cpu_s).unwrap_or(0.0),
        server_cpus,
        generator_cpu_s: outcome.cpu.as_secs_f64(),
        generator_busy: outcome.busy(),
    }
}

/// Runs the command that makes a target's artefact, if it has one.
///
/// # Errors
/// With the command and the end of what it printed.
pub fn build(target: &Target, interrupt: &Interrupt) -> Result<()> {
    if target.build.is_empty() {
        return Ok(());
    }
    if let Some(dir) = target.artefact.as_ref().and_then(|artefact| artefact.parent()) {
        fs::create_dir_all(target.path(dir)).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let shown = target.build.join(" ");
    let spawn = Spawn { workdir: Some(target.directory()), ..Spawn::new(target.build.iter().cloned()) };
    let mut process = Process::spawn(&spawn)?;
    loop {
        match process
            .wait(Duration::from_millis(100))
            .with_context(|| format!("cannot wait for `{shown}`"))?
        {
            Some(status) if status.success() => return Ok(()),
            Some(status) => {
                process.stderr().wait_closed(Duration::from_secs(1));
                bail!("`{shown}` failed ({status}):\n{}", process.last_words());
            }
            None if interrupt.is_set() => return Err(LaunchError::Interrupted.into()),
            None => {}
        }
    }
}
