//! A probe: one load on a running instance, weighed. The figures of an attempt.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Subject;
use crate::cell;
use crate::launch::{Instance, LaunchError};
use crate::load::{self, Errors, Outcome, Plan, REQUEST_TIMEOUT, Schedule};
use crate::report::{is_generator_bound, is_rate_missed};
use crate::slo::Slo;
use crate::stats::{max, median, ratio};
use crate::weigh::{self, Loaded};
use crate::workload::Workload;

/// What was asked of an instance in one load, what came of it, and what the instance weighed meanwhile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    pub schedule: Schedule,
    pub connections: usize,
    /// The window in which `requests` were answered rightly.
    pub window_s: f64,
    pub requests: u64,
    /// In flight at the window's end and answered rightly after it.
    pub drained: u64,
    /// `requests` over `window_s`.
    pub req_per_s: f64,
    pub errors: Errors,
    /// Of right responses, from the intended send time.
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p99_9_ms: f64,
    pub max_ms: f64,
    /// From the first connect to the last response; the CPU times are over this.
    pub wall_s: f64,
    pub server_cpu_s: f64,
    /// CPUs that the server may use; a quota may be a fraction.
    pub server_cpus: f64,
    pub generator_cpu_s: f64,
    /// The share of its CPU that the busiest generator thread used.
    pub generator_busy: f64,
    /// The share of the time of the run's CPUs that others took, the hypervisor included.
    pub others_share: f64,
    /// Of the whole process tree under load: median and peak at 10 Hz. Absent when nobody said what to weigh.
    pub pss_bytes: Option<u64>,
    pub pss_peak_bytes: Option<u64>,
    /// What the kernel charges to the instance's control group, all of it, where it has one of its own.
    pub cgroup_bytes: Option<u64>,
    pub cgroup_peak_bytes: Option<u64>,
    /// Why the instance ended under the load, if it did: its last words.
    pub ended: Option<String>,
}

impl Probe {
    fn new(plan: &Plan, outcome: &Outcome, loaded: &Loaded, server_cpus: f64) -> Self {
        let ms = |nanos: u64| nanos as f64 / 1e6;
        let at = |quantile| ms(outcome.latency.value_at_quantile(quantile));
        let pss: Vec<f64> = loaded.samples.iter().map(|sample| sample.memory.pss as f64).collect();
        let charges = loaded.samples.iter().filter_map(|sample| sample.cgroup);
        let charges: Vec<f64> = charges.map(|charge| charge.current as f64).collect();
        let bytes = |value: Option<f64>| value.map(|value| value as u64);
        Self {
            schedule: plan.schedule,
            connections: plan.connections,
            window_s: outcome.window.as_secs_f64(),
            requests: outcome.requests,
            drained: outcome.drained,
            req_per_s: outcome.per_second(),
            errors: outcome.errors,
            mean_ms: outcome.latency.mean() / 1e6,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p99_9_ms: at(0.999),
            max_ms: ms(outcome.latency.max()),
            wall_s: outcome.wall.as_secs_f64(),
            server_cpu_s: loaded.server_cpu_s,
            server_cpus,
            generator_cpu_s: outcome.cpu.as_secs_f64(),
            generator_busy: outcome.busy(),
            others_share: ratio(loaded.others_cpu_s, loaded.available_cpu_s).unwrap_or(0.0),
            pss_bytes: bytes(median(&pss)),
            pss_peak_bytes: bytes(max(&pss)),
            cgroup_bytes: bytes(median(&charges)),
            cgroup_peak_bytes: bytes(max(&charges)),
            ended: None,
        }
    }

    /// Requests/s over the loaded footprint.
    pub fn req_per_s_per_mb(&self) -> Option<f64> {
        ratio(self.req_per_s, self.pss_bytes? as f64 / 1e6)
    }

    /// Server CPU time of an answer, in microseconds.
    pub fn cpu_us_per_req(&self) -> Option<f64> {
        // Without a weight nothing is known of the server's side.
        self.pss_bytes?;
        ratio(self.server_cpu_s * 1e6, (self.requests + self.drained) as f64)
    }

    /// Why the load did not keep an objective: the service or the generator fell behind, or was gone.
    pub(super) fn violation(&self, slo: &Slo, outcome: &Outcome) -> Option<String> {
        let missed = || self.rate_missed().then(|| "the rate could not be sent".to_owned());
        self.ended.clone().or_else(|| slo.violation(outcome)).or_else(missed)
    }

    /// Whether the generator, not the server, was the limit.
    pub fn generator_bound(&self) -> bool {
        let server = ratio(self.server_cpu_s, self.wall_s * self.server_cpus).unwrap_or(0.0);
        is_generator_bound(self.generator_busy, server)
    }

    /// Open loop: requests that were due within the window had not been sent at its end.
    pub fn rate_missed(&self) -> bool {
        is_rate_missed(self.schedule, self.connections, self.drained, &self.errors)
    }
}

impl Subject<'_> {
    pub(super) fn plan(
        &self,
        address: SocketAddr,
        workload: &Workload,
        schedule: Schedule,
        duration: Duration,
    ) -> Result<Plan> {
        Ok(Plan {
            address,
            expected: load::reference(address, workload, REQUEST_TIMEOUT)?,
            connections: self.options.connections,
            schedule,
            duration,
            timeout: REQUEST_TIMEOUT,
            cpus: self.options.placement.generator_cpus.clone(),
        })
    }

    /// Loads an instance and weighs it meanwhile.
    ///
    /// # Errors
    /// When the instance could not be loaded at all, or on an interrupt.
    pub(super) fn probe(
        &self,
        instance: &mut dyn Instance,
        schedule: Schedule,
        duration: Duration,
    ) -> Result<(Outcome, Probe)> {
        let probed = self.load(instance, schedule, duration);
        if self.options.interrupt.is_set() {
            return Err(LaunchError::Interrupted.into());
        }
        let alive = instance.check_alive();
        match probed {
            Ok((outcome, probe)) => {
                Ok((outcome, Probe { ended: alive.err().map(|error| error.to_string()), ..probe }))
            }
            // That it died explains more than the connection that broke.
            Err(error) => Err(alive.err().map_or(error, Into::into)),
        }
    }

    fn load(
        &self,
        instance: &dyn Instance,
        schedule: Schedule,
        duration: Duration,
    ) -> Result<(Outcome, Probe)> {
        let (placement, interrupt) = (self.options.placement, self.options.interrupt);
        let plan = self.plan(instance.address(), self.options.workload, schedule, duration)?;
        let (outcome, loaded) =
            weigh::while_loaded(&instance.scope(), placement, interrupt, |stop| load::run(&plan, stop));
        let outcome = outcome?;
        let probe = Probe::new(&plan, &outcome, &loaded, cell::cpus(self.target, placement));
        Ok((outcome, probe))
    }
}

/// Requests at fixed times.
pub(super) fn open(rate: f64) -> Schedule {
    Schedule::Open { rate }
}
