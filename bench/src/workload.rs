//! Workloads: what is asked of a service, from `bench/workloads.toml`.

use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::data;

/// One kind of request and the answer that is right.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    pub name: String,
    pub summary: String,
    #[serde(default = "get")]
    pub method: String,
    pub path: String,
    /// Connections of the closed loop; `--connections` overrides it.
    #[serde(default = "connections")]
    pub connections: usize,
    #[serde(default = "ok")]
    pub status: u16,
    #[serde(default)]
    pub body: Body,
}

/// What of a response's body is compared with that of the reference response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// Its length, and its bytes as far as [`crate::load::COMPARED`].
    #[default]
    Same,
    /// Nothing: it changes from one response to the next (an uptime, a counter). Framing is still checked.
    Any,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    workload: Vec<Workload>,
}

fn get() -> String {
    "GET".into()
}

fn connections() -> usize {
    64
}

fn ok() -> u16 {
    200
}

/// Reads and checks the workloads file.
///
/// # Errors
/// `FILE:LINE: what is wrong`.
pub fn read(path: &Path) -> Result<Vec<Workload>> {
    let file: File = data::read_toml(path)?;
    for workload in &file.workload {
        let wrong =
            |key, what: &str| Err(data::invalid(path, key, &format!("workload {:?}: {what}", workload.name)));
        if !workload.path.starts_with('/') || workload.path.contains(char::is_whitespace) {
            return wrong("path", "the path must start with / and hold no white space");
        }
        if workload.connections == 0 {
            return wrong("connections", "at least one connection is needed");
        }
        if workload.method != "GET" {
            return wrong("method", "only GET is known yet");
        }
    }
    Ok(file.workload)
}

/// The workloads with these names, in the order of the file.
///
/// # Errors
/// When one is unknown, with the list of those known.
pub fn select(all: &[Workload], names: &[String]) -> Result<Vec<Workload>> {
    if let Some(name) = names.iter().find(|name| !all.iter().any(|workload| workload.name == **name)) {
        let known: Vec<&str> = all.iter().map(|workload| workload.name.as_str()).collect();
        bail!("no workload {name:?}; there are: {}", known.join(", "));
    }
    Ok(all.iter().filter(|workload| names.contains(&workload.name)).cloned().collect())
}
