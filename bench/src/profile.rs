//! Profiles: how long, how often, and what a run measures.

use std::time::Duration;

use clap::ValueEnum;

use crate::load::Schedule;
use crate::workload::Workload;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// 5 rounds of 2 s a cell, over light and heavy: a table in minutes.
    Quick,
    /// 5 rounds of 12 s a cell, over every workload.
    Full,
    /// 200 connections, open loop at 500 requests/s, 5 rounds of 30 s on light.
    Stress,
}

/// A profile, after what the command line overrides.
#[derive(Clone, Debug)]
pub struct Profile {
    pub name: &'static str,
    /// How often every cell is measured, taking turns with the others.
    pub rounds: usize,
    /// Of one cell in one round.
    pub duration: Duration,
    pub warm_up: Duration,
    /// Cold starts of each target, in all rounds together.
    pub starts: usize,
    /// How long after the load to weigh once more; once for each target.
    pub rest: Option<Duration>,
    /// Names of workloads; empty means every one.
    pub workloads: &'static [&'static str],
    /// Instead of what the workloads say.
    pub connections: Option<usize>,
    pub schedule: Schedule,
}

impl Profile {
    pub fn named(name: Name) -> Self {
        match name {
            Name::Quick => Self {
                name: "quick",
                rounds: 5,
                duration: Duration::from_secs(2),
                warm_up: Duration::from_millis(500),
                starts: 10,
                rest: None,
                workloads: &["light", "heavy"],
                connections: None,
                schedule: Schedule::Closed,
            },
            Name::Full => Self {
                name: "full",
                rounds: 5,
                duration: Duration::from_secs(12),
                warm_up: Duration::from_secs(1),
                starts: 20,
                rest: Some(Duration::from_secs(30)),
                workloads: &[],
                connections: None,
                schedule: Schedule::Closed,
            },
            Name::Stress => Self {
                name: "stress",
                rounds: 5,
                duration: Duration::from_secs(30),
                warm_up: Duration::from_secs(2),
                starts: 10,
                rest: Some(Duration::from_secs(30)),
                workloads: &["light"],
                connections: Some(200),
                schedule: Schedule::Open { rate: 500.0 },
            },
        }
    }

    /// The workloads of a run: those asked for, else the profile's.
    ///
    /// # Errors
    /// When one is unknown.
    pub fn choose(&self, all: &[Workload], asked: &[String]) -> anyhow::Result<Vec<Workload>> {
        let names: Vec<String> = match (asked, self.workloads) {
            ([], []) => return Ok(all.to_vec()),
            ([], names) => names.iter().map(ToString::to_string).collect(),
            (asked, _) => asked.to_vec(),
        };
        crate::workload::select(all, &names)
    }
}
