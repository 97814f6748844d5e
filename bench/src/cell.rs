//! One cell: one target under one workload, from the first start to the last weight.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::interrupt::Interrupt;
use crate::launch::{self, Instance, LaunchError, PageCache, Process, Spawn, client};
use crate::load::{self, Outcome, Plan, REQUEST_TIMEOUT, Schedule};
use crate::noise::{self, Reading};
use crate::placement::Placement;
use crate::proc;
use crate::progress::Progress;
use crate::record::{self, Cell, Latency, Load, Noise, Rest};
use crate::stats::ratio;
use crate::target::{Target, find_program};
use crate::weigh::{self, Loaded, Scope};
use crate::workload::Workload;

/// How to measure one cell.
pub struct Settings<'a> {
    pub placement: &'a Placement,
    pub interrupt: &'a Interrupt,
    pub progress: &'a Progress,
    pub round: usize,
    /// What the page cache holds at each start; the instance of the last one is measured.
    pub starts: Vec<PageCache>,
    pub warm_up: Duration,
    pub duration: Duration,
    /// How long after the load to weigh once more.
    pub rest: Option<Duration>,
    pub connections: usize,
    pub schedule: Schedule,
}

/// Measures one cell. A failure is part of the cell.
pub fn measure(target: &Target, workload: &Workload, settings: &Settings<'_>) -> Cell {
    let mut cell = Cell {
        target: target.name.clone(),
        workload: workload.name.clone(),
        round: settings.round,
        started: record::now(),
        warm_up_s: settings.warm_up.as_secs_f64(),
        ..Cell::default()
    };
    let before = noise::read(settings.placement);
    if let Err(error) = fill(&mut cell, target, workload, settings) {
        cell.missing = matches!(error.downcast_ref(), Some(LaunchError::Missing { .. }));
        cell.error = Some(format!("{error:#}"));
    }
    if let Some(noise) = &mut cell.noise {
        (noise.before, noise.after) = (before, noise::read(settings.placement));
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
    let mut starts = settings.starts.iter().enumerate();
    loop {
        let (index, page_cache) = starts.next().context("no start was asked for")?;
        let (number, of) = (index + 1, settings.starts.len());
        say(cell, settings, &format!("start {number} of {of}"));
        let context = launch::Context {
            page_cache: *page_cache,
            ..launch::Context::new(settings.placement, settings.interrupt)
        };
        let mut instance = launch::launch(target, &context)?;
        cell.emulated = instance.emulated();
        cell.forwarded = instance.forwarded();
        let Some(start) = instance.start() else { return Ok(instance) };
        cell.starts.push(start);
        if number == of {
            return Ok(instance);
        }
        instance.stop()?;
    }
}

fn say(cell: &Cell, settings: &Settings<'_>, what: &str) {
    let (round, workload, target) = (settings.round + 1, &cell.workload, &cell.target);
    settings.progress.say(&format!("round {round} · {workload} · {target}: {what}"));
}

fn with_instance(
    cell: &mut Cell,
    instance: &mut dyn Instance,
    target: &Target,
    workload: &Workload,
    settings: &Settings<'_>,
) -> Result<()> {
    let scope = instance.scope();
    say(cell, settings, "weighing at rest");
    match weigh::at_rest(&scope, settings.interrupt) {
        Ok(weight) => cell.idle = Some(weight),
        Err(_) if scope.roots.is_empty() => {}
        Err(error) => cell.samples_error = Some(format!("{error:#}")),
    }
    cell.shared = proc::sharer(&scope.processes()).is_some();
    cell.about = target.about.as_deref().and_then(|path| about(instance, path));
    let mut plan = Plan {
        address: instance.address(),
        expected: load::reference(instance.address(), workload, REQUEST_TIMEOUT)?,
        connections: settings.connections,
        schedule: settings.schedule,
        duration: settings.warm_up,
        timeout: REQUEST_TIMEOUT,
        cpus: settings.placement.generator_cpus.clone(),
    };
    say(cell, settings, "warming up");
    let (warm, _) =
        weigh::while_loaded(&scope, settings.placement, settings.interrupt, |stop| load::run(&plan, stop));
    warm?;
    check(instance, settings.interrupt)?;
    plan.duration = settings.duration;
    say(cell, settings, &format!("load for {:?}", settings.duration));
    let counters = Counters::new(instance.address(), &workload.counters)?;
    loaded(cell, &plan, &scope, target, settings)?;
    if let Some(load) = &mut cell.load {
        load.counted = counters.growth()?;
    }
    check(instance, settings.interrupt)?;
    say(cell, settings, "weighing after the load");
    cell.after = weigh::at_rest(&scope, settings.interrupt).ok();
    if let Some(rest) = settings.rest {
        say(cell, settings, &format!("at rest for {rest:?}"));
        settings.interrupt.wait(rest);
        let weight = weigh::at_rest(&scope, settings.interrupt).ok();
        cell.rest = weight.map(|weight| Rest { after_s: rest.as_secs_f64(), weight });
    }
    check(instance, settings.interrupt)
}

fn loaded(
    cell: &mut Cell,
    plan: &Plan,
    scope: &Scope,
    target: &Target,
    settings: &Settings<'_>,
) -> Result<()> {
    let (outcome, loaded) =
        weigh::while_loaded(scope, settings.placement, settings.interrupt, |stop| load::run(plan, stop));
    cell.sampler_cpu_s = loaded.sampler_cpu_s;
    let steal_share = ratio(loaded.steal_s, loaded.available_cpu_s).unwrap_or(0.0);
    cell.noise = Some(Noise { before: Reading::default(), after: Reading::default(), steal_share });
    cell.load = outcome
        .as_ref()
        .ok()
        .map(|outcome| summary(outcome, plan, &loaded, cpus(target, settings.placement)));
    cell.samples = loaded.samples;
    cell.samples_error = cell.samples_error.take().or(loaded.error);
    let outcome = outcome?;
    if settings.interrupt.is_set() {
        return Err(LaunchError::Interrupted.into());
    }
    if outcome.requests + outcome.drained == 0 {
        bail!("no request was answered rightly: {}", outcome.errors);
    }
    Ok(())
}

fn check(instance: &mut dyn Instance, interrupt: &Interrupt) -> Result<()> {
    if interrupt.is_set() {
        return Err(LaunchError::Interrupted.into());
    }
    Ok(instance.check_alive()?)
}

/// Counters of the service, as they were before the load.
pub(crate) struct Counters<'a> {
    address: SocketAddr,
    names: &'a [String],
    before: Vec<f64>,
}

impl<'a> Counters<'a> {
    pub(crate) fn new(address: SocketAddr, names: &'a [String]) -> Result<Self> {
        let before = Self::read(address, names)?;
        Ok(Self { address, names, before })
    }

    pub(crate) fn growth(&self) -> Result<BTreeMap<String, f64>> {
        let after = Self::read(self.address, self.names)?;
        let growth = after.iter().zip(&self.before).map(|(after, before)| after - before);
        Ok(self.names.iter().cloned().zip(growth).collect())
    }

    /// Each counter summed over its labels; 0 for one that has not counted yet.
    fn read(address: SocketAddr, names: &[String]) -> Result<Vec<f64>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let url = format!("http://{address}/metrics");
        let page =
            client(REQUEST_TIMEOUT).get(&url).call().and_then(|mut page| page.body_mut().read_to_string());
        let page = page.with_context(|| format!("the workload's counters cannot be read from {url}"))?;
        Ok(names.iter().map(|name| total(&page, name)).collect())
    }
}

/// The sum of a metric's series on a page in Prometheus' text format.
fn total(page: &str, name: &str) -> f64 {
    let series = page.lines().filter_map(|line| line.strip_prefix(name));
    let values =
        series.filter(|rest| rest.starts_with(['{', ' '])).filter_map(|rest| rest.rsplit(' ').next());
    values.filter_map(|value| value.parse::<f64>().ok()).sum()
}

/// What the service says about itself; a service need not say anything.
fn about(instance: &dyn Instance, path: &str) -> Option<Value> {
    let url = format!("http://{}{path}", instance.address());
    let text = client(REQUEST_TIMEOUT).get(url).call().ok()?.body_mut().read_to_string().ok()?;
    serde_json::from_str(&text).ok()
}

/// How many CPUs the server may use: those of its place, within its own limit.
pub(crate) fn cpus(target: &Target, placement: &Placement) -> f64 {
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
        sent_mean_ms: Some(outcome.sent_mean.as_secs_f64() * 1e3),
        in_flight: Some(outcome.in_flight),
        energy_j: loaded.energy_j,
        wall_s: outcome.wall.as_secs_f64(),
        server_cpu_s: loaded.server_cpu_s,
        others_share: ratio(loaded.others_cpu_s, loaded.available_cpu_s).unwrap_or(0.0),
        server_cpus,
        generator_cpu_s: outcome.cpu.as_secs_f64(),
        generator_busy: outcome.busy(),
        counted: BTreeMap::new(),
    }
}

/// Runs the command that makes a target's artefact, if it has one and nothing is missing for it, which a launch says.
///
/// # Errors
/// With the command and the end of what it printed.
pub fn build(target: &Target, interrupt: &Interrupt) -> Result<()> {
    if target.build.is_empty() || !launch::missing(target).is_empty() {
        return Ok(());
    }
    if let Some(dir) = target.artefact.as_ref().and_then(|artefact| artefact.parent()) {
        fs::create_dir_all(target.path(dir)).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let shown = target.build.join(" ");
    let mut words = target.build.clone();
    if let Some(program) = find_program(&words[0]) {
        words[0] = program.to_string_lossy().into_owned();
    }
    let spawn = Spawn { workdir: Some(target.directory()), ..Spawn::new(words) };
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

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn a_counter_is_summed_over_its_labels() {
        let page = "# HELP jobs_total Jobs.\njobs_total{status=\"done\"} 3\njobs_total{status=\"a b\"} 4.5\njobs_total_x 9\nother 1\n";
        assert_eq!((total(page, "jobs_total"), total(page, "other"), total(page, "none")), (7.5, 1.0, 0.0));
    }
}
