//! One subject in one round: launched alone, weighed, loaded, weighed, stopped.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::definition::{Definition, Generator, Metric, Subject};
use super::{plain, wrk};
use crate::cell::Counters;
use crate::interrupt::Interrupt;
use crate::launch::{self, Instance};
use crate::load::{self, Plan, REQUEST_TIMEOUT, Schedule};
use crate::placement::Placement;
use crate::stats::{median, ratio};
use crate::target::Target;
use crate::weigh;
use crate::workload::{Request, Workload};

/// What was measured of a subject in a round; absent where it could not be, and `error` says why.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measurement {
    pub subject: String,
    pub round: usize,
    pub error: Option<String>,
    pub req_per_s: Option<f64>,
    pub counted_per_s: Option<f64>,
    pub cpu_us_per_req: Option<f64>,
    pub generator_cpu_us_per_req: Option<f64>,
    pub pss_idle_mb: Option<f64>,
    /// Under load, at 10 Hz.
    pub pss_samples_mb: Vec<f64>,
    pub artefact_mb: Option<f64>,
    /// The share of the CPUs' time that other programs took while the load ran.
    pub others_share: Option<f64>,
}

impl Measurement {
    pub fn get(&self, metric: Metric) -> Option<f64> {
        let loaded = || median(&self.pss_samples_mb);
        match metric {
            Metric::ReqPerS => self.req_per_s,
            Metric::CountedPerS => self.counted_per_s,
            Metric::ReqPerSPerMb => ratio(self.req_per_s?, loaded()?),
            Metric::CpuUsPerReq => self.cpu_us_per_req,
            Metric::GeneratorCpuUsPerReq => self.generator_cpu_us_per_req,
            Metric::PssIdleMb => self.pss_idle_mb,
            Metric::PssLoadedMb => loaded(),
            Metric::ArtefactMb => self.artefact_mb,
        }
    }
}

/// What both generators tell of a load.
pub(super) struct Rate {
    pub(super) requests: f64,
    pub(super) per_second: f64,
    pub(super) generator_cpu_s: f64,
}

/// The circumstances that all subjects share.
pub(super) struct Bench<'a> {
    pub(super) definition: &'a Definition,
    pub(super) placement: &'a Placement,
    pub(super) interrupt: &'a Interrupt,
    /// Placeholders for the peers: `body` and `content_type`.
    pub(super) values: BTreeMap<String, String>,
    /// Those that subjects may name.
    pub(super) workloads: Vec<Workload>,
}

impl Bench<'_> {
    /// Asks a target for what the peers are to answer.
    pub(super) fn body_and_type(&self, target: &Target) -> Result<BTreeMap<String, String>> {
        let mut instance = self.launch(target)?;
        let expected = load::reference(instance.address(), &self.gets(), REQUEST_TIMEOUT)?;
        instance.stop()?;
        let answer = &expected.exchanges[0];
        let content_type =
            answer.content_type.clone().context("the answer to be copied has no content type")?;
        Ok(BTreeMap::from([("body".into(), plain(&answer.content)?), ("content_type".into(), content_type)]))
    }

    pub(super) fn measure(&self, subject: &Subject, target: &Target, round: usize) -> Measurement {
        let mut measurement = Measurement { subject: subject.name.clone(), round, ..Measurement::default() };
        measurement.artefact_mb = launch::artefact_bytes(target).map(|bytes| bytes as f64 / 1e6);
        if let Err(error) = self.fill(&mut measurement, subject, target) {
            measurement.error = Some(format!("{error:#}"));
        }
        measurement
    }

    fn fill(&self, measurement: &mut Measurement, subject: &Subject, target: &Target) -> Result<()> {
        let mut instance = self.launch(target)?;
        let scope = instance.scope();
        let idle = weigh::at_rest(&scope, self.interrupt)?;
        measurement.pss_idle_mb = Some(idle.total.pss as f64 / 1e6);
        let seconds = Duration::from_secs_f64;
        let load = |duration: Duration| {
            let generate = |stop: &AtomicBool| self.load(subject, &*instance, duration, stop);
            weigh::while_loaded(&scope, self.placement, self.interrupt, generate)
        };
        load(seconds(self.definition.warm_up_s)).0?;
        let names = self.workload(subject).map_or(&[][..], |workload| &workload.counters);
        let counters = Counters::new(instance.address(), names)?;
        let (rate, loaded) = load(seconds(self.definition.duration_s));
        instance.check_alive()?;
        let counted = counters.growth()?;
        measurement.counted_per_s = names.first().map(|name| counted[name] / self.definition.duration_s);
        let rate = rate?;
        measurement.req_per_s = Some(rate.per_second);
        measurement.cpu_us_per_req = ratio(loaded.server_cpu_s * 1e6, rate.requests);
        measurement.generator_cpu_us_per_req = ratio(rate.generator_cpu_s * 1e6, rate.requests);
        // wrk is a program of its own, and yet not one of the others.
        let wrk = if subject.generator == Generator::Wrk { rate.generator_cpu_s } else { 0.0 };
        measurement.others_share = ratio((loaded.others_cpu_s - wrk).max(0.0), loaded.available_cpu_s);
        measurement.pss_samples_mb =
            loaded.samples.iter().map(|sample| sample.memory.pss as f64 / 1e6).collect();
        Ok(instance.stop()?)
    }

    fn launch(&self, target: &Target) -> Result<Box<dyn Instance>> {
        let context = launch::Context {
            values: self.values.clone(),
            ..launch::Context::new(self.placement, self.interrupt)
        };
        Ok(launch::launch(target, &context)?)
    }

    fn load(
        &self,
        subject: &Subject,
        instance: &dyn Instance,
        duration: Duration,
        stop: &AtomicBool,
    ) -> Result<Rate> {
        let (address, connections) = (instance.address(), self.definition.connections);
        if subject.generator == Generator::Wrk {
            let url = format!("http://{address}{}", self.definition.path);
            return wrk::run(&url, connections, duration, &self.placement.generator_cpus, stop);
        }
        let workload = match &subject.workload {
            Some(_) => self.workload(subject),
            None => Some(&self.gets()),
        };
        let workload = workload.with_context(|| format!("no workload {:?}", subject.workload))?;
        let plan = Plan {
            address,
            expected: load::reference(address, workload, REQUEST_TIMEOUT)?,
            connections,
            schedule: Schedule::Closed,
            duration,
            timeout: REQUEST_TIMEOUT,
            cpus: self.placement.generator_cpus.clone(),
        };
        let outcome = load::run(&plan, stop)?;
        anyhow::ensure!(outcome.errors.total() == 0, "the generator saw errors: {}", outcome.errors);
        Ok(Rate {
            requests: (outcome.requests + outcome.drained) as f64,
            per_second: outcome.per_second(),
            generator_cpu_s: outcome.cpu.as_secs_f64(),
        })
    }

    /// The one that it names.
    fn workload(&self, subject: &Subject) -> Option<&Workload> {
        let name = subject.workload.as_ref()?;
        self.workloads.iter().find(|workload| workload.name == *name)
    }

    fn gets(&self) -> Workload {
        Workload::of("gate", self.definition.connections, Request::get(&self.definition.path))
    }
}
