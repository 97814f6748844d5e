//! `bench/gate.toml`: subjects, rounds and limits.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::data;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    pub rounds: usize,
    pub warm_up_s: f64,
    pub duration_s: f64,
    pub connections: usize,
    pub path: String,
    /// The subject whose answer on `path` the peers copy.
    pub body_of: String,
    #[serde(rename = "subject")]
    pub subjects: Vec<Subject>,
    #[serde(rename = "check")]
    pub checks: Vec<Check>,
}

/// What is measured side by side.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    pub name: String,
    /// A target file, relative to the gate's file.
    pub target: PathBuf,
    /// Words after the target's command line.
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub generator: Generator,
    /// Of `workloads.toml` beside the gate's file, for the scale's own generator; otherwise GETs of `path`.
    pub workload: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Generator {
    #[default]
    Wrk,
    /// The scale's own.
    Own,
}

/// A limit on a value, or on its ratio to another subject's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub name: String,
    /// What the check promises.
    pub sentence: String,
    pub metric: Metric,
    pub subject: String,
    pub over: Option<String>,
    pub at_most: Option<f64>,
    pub at_least: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    ReqPerS,
    /// What the first of the workload's counters grows by in a second.
    CountedPerS,
    ReqPerSPerMb,
    CpuUsPerReq,
    GeneratorCpuUsPerReq,
    PssIdleMb,
    PssLoadedMb,
    ArtefactMb,
}

impl Definition {
    /// # Errors
    /// `FILE:LINE: what is wrong`.
    pub fn read(path: &Path) -> Result<Self> {
        let definition: Self = data::read_toml(path)?;
        let known = |name: &str| definition.subjects.iter().any(|subject| subject.name == name);
        if !known(&definition.body_of) {
            return Err(data::invalid(path, "body_of", &format!("no subject {:?}", definition.body_of)));
        }
        if definition.rounds == 0 || definition.connections == 0 || definition.duration_s <= 0.0 {
            return Err(data::invalid(path, "rounds", "rounds, connections and duration_s must be above 0"));
        }
        for subject in &definition.subjects {
            if subject.workload.is_some() && subject.generator != Generator::Own {
                let what = format!("subject {:?}: a workload wants generator = \"own\"", subject.name);
                return Err(data::invalid(path, "workload", &what));
            }
        }
        for check in &definition.checks {
            let wrong =
                |what: String| Err(data::invalid(path, "metric", &format!("check {:?}: {what}", check.name)));
            if let Some(name) =
                [Some(&check.subject), check.over.as_ref()].into_iter().flatten().find(|name| !known(name))
            {
                return wrong(format!("no subject {name:?}"));
            }
            if check.at_most.is_none() && check.at_least.is_none() {
                return wrong("give at_most, at_least or both".into());
            }
        }
        Ok(definition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_that_is_shipped_is_right() {
        let definition = Definition::read(&data::bench_dir().join("gate.toml")).unwrap();
        let cost =
            definition.checks.iter().find(|check| check.metric == Metric::GeneratorCpuUsPerReq).unwrap();
        let own = definition.subjects.iter().find(|subject| subject.name == cost.subject).unwrap();
        assert_eq!(
            (own.generator, cost.over.as_deref(), cost.at_most),
            (Generator::Own, Some("floor"), Some(0.8))
        );
    }
}
