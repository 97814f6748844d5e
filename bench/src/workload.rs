//! Workloads: what is asked of a service, from `bench/workloads.toml`.
//!
//! A workload that asks one kind of request names it on the spot; a mix of several has a `[[workload.request]]`
//! for each, with weights. In memory and in records both are a list of requests:
//!
//! ```toml
//! [[workload]]
//! name = "orders"
//! summary = "nine looks for every order"
//! connections = 64
//!
//! [[workload.request]]
//! weight = 9
//! path = "/orders"
//!
//! [[workload.request]]
//! method = "POST"
//! path = "/orders"
//! headers = { content-type = "application/json" }
//! payload = '{"book": 7}'
//! status = 201
//! body = "any"
//! ```

mod field;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::data;

/// The most that the weights of a workload's requests may sum up to.
pub const WEIGHTS: u32 = 10_000;

/// A payload may have this many bytes.
const LARGEST: u64 = 64 << 20;

/// What is asked of a service while it is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Form")]
pub struct Workload {
    pub name: String,
    pub summary: String,
    /// Connections of the closed loop; `--connections` overrides it.
    pub connections: usize,
    /// Counters on the service's `/metrics` whose growth under load is recorded, for work that answers do not show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<String>,
    /// The kinds of request, at least one.
    #[serde(rename = "request")]
    pub requests: Vec<Request>,
}

/// One kind of request and the answer that is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// How many requests of this kind are sent for every so many of the others.
    #[serde(default = "one", deserialize_with = "field::weight")]
    pub weight: u32,
    #[serde(default = "get", deserialize_with = "field::method")]
    pub method: String,
    #[serde(deserialize_with = "field::path")]
    pub path: String,
    #[serde(default, deserialize_with = "field::headers", skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The text that is sent as the request's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The same from a file, whose path is relative to the workloads file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_file: Option<PathBuf>,
    #[serde(default = "ok")]
    pub status: u16,
    #[serde(default)]
    pub body: Body,
    /// What `payload_file` held.
    #[serde(skip)]
    pub file: Vec<u8>,
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
    workload: Vec<Form>,
}

/// A workload as it is written: with a list of requests, or as one request on the spot.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    name: String,
    #[serde(default)]
    summary: String,
    #[serde(default = "connections", deserialize_with = "field::connections")]
    connections: usize,
    #[serde(default)]
    counters: Vec<String>,
    #[serde(default)]
    request: Vec<Request>,
    #[serde(default, deserialize_with = "field::method")]
    method: Option<String>,
    #[serde(default, deserialize_with = "field::path")]
    path: Option<String>,
    #[serde(default, deserialize_with = "field::headers")]
    headers: Option<BTreeMap<String, String>>,
    payload: Option<String>,
    payload_file: Option<PathBuf>,
    status: Option<u16>,
    body: Option<Body>,
}

impl TryFrom<Form> for Workload {
    type Error = String;

    fn try_from(mut form: Form) -> Result<Self, String> {
        let Form { name, summary, connections, counters, .. } = &mut form;
        let (name, summary, connections) = (mem::take(name), mem::take(summary), *connections);
        let counters = mem::take(counters);
        let requests = form.requests().map_err(|what| format!("workload {name:?}: {what}"))?;
        Ok(Self { name, summary, connections, counters, requests })
    }
}

impl Form {
    fn requests(self) -> Result<Vec<Request>, String> {
        let beside = self.method.is_some()
            || self.headers.is_some()
            || self.payload.is_some()
            || self.payload_file.is_some()
            || self.status.is_some()
            || self.body.is_some();
        let requests = match self.path {
            Some(path) if self.request.is_empty() => vec![Request {
                method: self.method.unwrap_or_else(get),
                headers: self.headers.unwrap_or_default(),
                payload: self.payload,
                payload_file: self.payload_file,
                status: self.status.unwrap_or_else(ok),
                body: self.body.unwrap_or_default(),
                ..Request::get(&path)
            }],
            None if self.request.is_empty() => return Err("missing field `path`, or a list `request`".into()),
            None if !beside => self.request,
            _ => return Err("what is asked stands in the list `request` or beside it, not in both".into()),
        };
        requests.iter().try_for_each(Request::check)?;
        let weights: u64 = requests.iter().map(|request| u64::from(request.weight)).sum();
        if weights > u64::from(WEIGHTS) {
            return Err(format!("the weights sum up to {weights}; the most is {WEIGHTS}"));
        }
        Ok(requests)
    }
}

impl Workload {
    /// One kind of request.
    pub fn of(name: &str, connections: usize, request: Request) -> Self {
        Self {
            name: name.into(),
            summary: String::new(),
            connections,
            counters: Vec::new(),
            requests: vec![request],
        }
    }

    /// What is asked, such as `GET /a` or `9 × GET /a, 1 × POST /b`.
    pub fn asked(&self) -> String {
        match &self.requests[..] {
            [request] => request.to_string(),
            requests => {
                let kinds = requests.iter().map(|request| format!("{} × {request}", request.weight));
                kinds.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

impl Request {
    /// A GET that is answered 200, with the same body every time.
    pub fn get(path: &str) -> Self {
        Self {
            weight: one(),
            method: get(),
            path: path.into(),
            headers: BTreeMap::new(),
            payload: None,
            payload_file: None,
            status: ok(),
            body: Body::Same,
            file: Vec::new(),
        }
    }

    /// What no field tells alone.
    fn check(&self) -> Result<(), String> {
        if self.payload.is_some() && self.payload_file.is_some() {
            return Err(format!("{self} has `payload` and `payload_file`: give one"));
        }
        if self.payload().is_some() && self.method == "HEAD" {
            return Err(format!("{self} takes no payload"));
        }
        Ok(())
    }

    /// The body to send; `None` is no body at all.
    pub fn payload(&self) -> Option<&[u8]> {
        let file = self.payload_file.as_ref().map(|_| &self.file[..]);
        self.payload.as_ref().map(String::as_bytes).or(file)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

fn one() -> u32 {
    1
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

/// Reads and checks the workloads file, and the payloads that it names.
///
/// # Errors
/// `FILE:LINE: what is wrong`.
pub fn read(path: &Path) -> Result<Vec<Workload>> {
    let file: File = data::read_toml(path)?;
    let workload = |form: Form| {
        let name = format!("{:?}", form.name);
        Workload::try_from(form).map_err(|what| data::invalid_value(path, "name", &name, &what))
    };
    let mut workloads: Vec<Workload> = file.workload.into_iter().map(workload).collect::<Result<_>>()?;
    for request in workloads.iter_mut().flat_map(|workload| &mut workload.requests) {
        if let Some(name) = &request.payload_file {
            let file = path.parent().unwrap_or(Path::new("")).join(name);
            request.file = payload(&file).map_err(|error| {
                let what = format!("cannot read {}: {error}", file.display());
                data::invalid_value(path, "payload_file", &name.to_string_lossy(), &what)
            })?;
        }
    }
    Ok(workloads)
}

/// A device or a pipe has no end.
fn payload(file: &Path) -> io::Result<Vec<u8>> {
    match fs::metadata(file)? {
        found if !found.is_file() => Err(io::Error::other("it is no regular file")),
        found if found.len() > LARGEST => Err(io::Error::other(format!("it has more than {LARGEST} bytes"))),
        _ => fs::read(file),
    }
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

#[cfg(test)]
mod tests;
