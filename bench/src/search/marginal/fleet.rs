//! A fleet: so many instances at once, weighed and loaded as one.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::super::{Entry, Subject, probe::open, processes, shared};
use super::room::Room;
use super::{Asked, Found, Light, Point, Unit, components};
use crate::launch::{Instance, client};
use crate::load::{self, Outcome, Plan, REQUEST_TIMEOUT};
use crate::stats::{max, median};
use crate::weigh::{self, Scope};
use crate::workload::Workload;

/// Between two readings of the control groups under load.
const PERIOD: Duration = Duration::from_millis(100);

/// Dropping it ends every instance.
pub(super) struct Fleet<'a> {
    subject: &'a Subject<'a>,
    instances: Vec<Box<dyn Instance>>,
    /// Where requests go: one door for each of what there is one more of.
    doors: Vec<(SocketAddr, Workload)>,
}

impl<'a> Fleet<'a> {
    pub(super) fn launch(
        asked: &Asked,
        subject: &'a Subject<'a>,
        entry: &mut Entry<Found>,
        count: usize,
    ) -> Result<Self> {
        let mut fleet = Self { subject, instances: Vec::new(), doors: Vec::new() };
        match entry.found.unit {
            Unit::Instances => fleet.instances(asked, entry, count)?,
            Unit::Components => fleet.components(asked, entry, count)?,
        }
        entry.shared |= shared(&fleet.instances);
        Ok(fleet)
    }

    fn instances(&mut self, asked: &Asked, entry: &mut Entry<Found>, count: usize) -> Result<()> {
        for number in 1..=count {
            self.subject.say(&format!("start {number} of {count}"));
            // What was projected may be wrong.
            if let Some(why) = Room::here().short_of(0.0) {
                bail!("instance {number} of {count} was not started: {why}");
            }
            let started = self.subject.launch(self.subject.target, entry);
            let instance = match started {
                // The first says best what is missing.
                Err(error) if number == 1 => return Err(error.into()),
                started => started.with_context(|| format!("instance {number} of {count} did not start"))?,
            };
            self.doors.push((instance.address(), asked.workload.clone()));
            self.instances.push(instance);
        }
        Ok(())
    }

    fn components(&mut self, asked: &Asked, entry: &mut Entry<Found>, count: usize) -> Result<()> {
        self.subject.say(&format!("start of one host with {count}"));
        let target = components::target(self.subject.target, count)?;
        let instance = self.subject.launch(&target, entry)?;
        for number in 1..=count {
            let (address, mount) = (instance.address(), components::mount(number));
            let url = format!("http://{address}{mount}{}", self.subject.target.ready.path);
            let status = client(REQUEST_TIMEOUT).get(&url).call().map(|response| response.status().as_u16());
            ensure!(
                matches!(status, Ok(200)),
                "component {number} of {count} is not ready: {url}: {status:?}"
            );
            let mut workload = asked.workload.clone();
            for request in &mut workload.requests {
                request.path.insert_str(0, &mount);
            }
            self.doors.push((address, workload));
        }
        self.instances.push(instance);
        Ok(())
    }

    /// All process trees as one; a process that belongs to several instances is in it once.
    fn scope(&self) -> Scope {
        Scope::of(processes(&self.instances))
    }

    /// What is charged to the instances' control groups, if each has one.
    fn charge(&self) -> Option<u64> {
        let charge = |instance: &dyn Instance| Some(instance.scope().cgroup?.read().ok()?.current);
        self.instances.iter().map(|instance| charge(&**instance)).sum()
    }

    pub(super) fn at_rest(&self, point: &mut Point) -> Result<()> {
        let weight = weigh::at_rest(&self.scope(), self.subject.options.interrupt)?;
        point.processes = weight.processes.len();
        point.pss_idle_bytes = weight.total.pss;
        point.cgroup_idle_bytes = self.charge();
        Ok(())
    }

    pub(super) fn under_load(&self, light: &Light, point: &mut Point) -> Result<()> {
        let (placement, interrupt) = (self.subject.options.placement, self.subject.options.interrupt);
        let plan = |(address, workload): &(SocketAddr, Workload)| {
            let duration = Duration::from_secs_f64(light.duration_s);
            self.subject.plan(*address, workload, open(light.rate), duration)
        };
        let plans = self.doors.iter().map(plan).collect::<Result<Vec<_>>>()?;
        let mut charges = Some(Vec::new());
        let load = |stop: &AtomicBool| {
            all(&plans, stop, || match (&mut charges, self.charge()) {
                (Some(charges), Some(charge)) => charges.push(charge as f64),
                (charges, _) => *charges = None,
            })
        };
        let (outcomes, loaded) = weigh::while_loaded(&self.scope(), placement, interrupt, load);
        let outcomes = outcomes?;
        if let Some(error) = loaded.error {
            bail!(error);
        }
        let pss: Vec<f64> = loaded.samples.iter().map(|sample| sample.memory.pss as f64).collect();
        let bytes = |value: Option<f64>| value.map(|value| value as u64);
        point.pss_loaded_bytes = bytes(median(&pss));
        point.pss_loaded_peak_bytes = bytes(max(&pss));
        point.cgroup_loaded_bytes = bytes(charges.and_then(|charges| median(&charges)));
        point.requests = Some(outcomes.iter().map(|outcome| outcome.requests + outcome.drained).sum());
        point.errors = Some(outcomes.iter().map(|outcome| outcome.errors.total()).sum());
        Ok(())
    }

    /// # Errors
    /// When one has ended meanwhile: then it was not weighed.
    pub(super) fn stop(mut self) -> Result<()> {
        for instance in &mut self.instances {
            instance.check_alive()?;
        }
        for instance in &mut self.instances {
            instance.stop()?;
        }
        Ok(())
    }
}

/// Runs every plan at the same time, and `meanwhile` now and then until the last has ended.
fn all(plans: &[Plan], stop: &AtomicBool, mut meanwhile: impl FnMut()) -> Result<Vec<Outcome>> {
    thread::scope(|scope| {
        let loads: Vec<_> = plans.iter().map(|plan| scope.spawn(|| load::run(plan, stop))).collect();
        while loads.iter().any(|load| !load.is_finished()) {
            meanwhile();
            thread::sleep(PERIOD);
        }
        loads
            .into_iter()
            .map(|load| load.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
