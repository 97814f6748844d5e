//! The contract, replayed on every packaging that runs here.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::redis::Redis;
use common::{Answer, Client, DEADLINE, Server, dist};
use ounce_bench::interrupt::Interrupt;
use ounce_bench::launch::{self, Context, Instance};
use ounce_bench::placement::Placement;
use ounce_bench::target::{Lack, Target};
use ounce_bench::{cell, data};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Contract {
    case: Vec<Case>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    request: String,
    #[serde(default)]
    body: String,
    body_bytes: Option<usize>,
    /// A JSON body whose text has so many characters, all of two bytes.
    body_text: Option<usize>,
    #[serde(default)]
    send: BTreeMap<String, String>,
    workload: Option<String>,
    /// The case is for builds with the page, or for those without; for all, if it does not say.
    page: Option<bool>,
    status: u16,
    content_type: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<String>,
    text: Option<String>,
    bytes: Option<usize>,
    at_least_ms: Option<u64>,
}

impl Case {
    fn body(&self) -> Vec<u8> {
        match (self.body_bytes, self.body_text) {
            (Some(length), _) => vec![b'x'; length],
            (_, Some(length)) => format!(r#"{{"text":"{}"}}"#, "é".repeat(length)).into_bytes(),
            _ => self.body.clone().into_bytes(),
        }
    }

    /// The case, or what it becomes where its workload is left out, or has nowhere to keep what it needs.
    fn there(self, links: &[String]) -> Case {
        let left_out = self.workload.as_ref().filter(|name| !links.contains(&format!("/{name}")));
        let Some(name) = left_out else { return self };
        let problem =
            r#"{"type":"about:blank","title":"Not Implemented","status":501,"detail":"<any>"}"#.to_owned();
        let said = format!("the workload {name}; ");
        let Case { name, request, body, body_bytes, body_text, send, .. } = self;
        Case {
            name,
            request,
            body,
            body_bytes,
            body_text,
            send,
            status: 501,
            json: Some(problem),
            text: Some(said),
            ..Case::default()
        }
    }

    /// What is wrong, if anything.
    fn replay(&self, address: SocketAddr) -> Result<(), String> {
        let (method, path) = self.request.split_once(' ').ok_or("the request has no path")?;
        let start = Instant::now();
        let answer = exchange(address, method, path, &self.send, &self.body())?;
        let expect = |what: &str, expected: &str, found: &str| match expected == found {
            true => Ok(()),
            false => Err(format!("{what} is {found:?}, not {expected:?}")),
        };
        expect("status", &self.status.to_string(), &answer.status.to_string())?;
        let content_type = self.content_type.iter().map(|value| ("content-type", value));
        for (name, value) in
            self.headers.iter().map(|(name, value)| (name.as_str(), value)).chain(content_type)
        {
            expect(name, value, answer.header(name).unwrap_or("absent"))?;
        }
        if let Some(bytes) = self.bytes {
            expect("length of the body", &bytes.to_string(), &answer.body.len().to_string())?;
        }
        if let Some(text) = &self.text {
            let found = String::from_utf8_lossy(&answer.body);
            found.contains(text).then_some(()).ok_or(format!("the body has no {text:?}: {found:?}"))?;
        }
        if let Some(json) = &self.json {
            let expected = serde_json::from_str(&json.replace("<version>", env!("CARGO_PKG_VERSION")));
            let expected: Value = expected.map_err(|error| format!("the case's json: {error}"))?;
            let found = serde_json::from_slice(&answer.body).map_err(|error| format!("not JSON: {error}"))?;
            matches(&expected, &found)?;
        }
        match self.at_least_ms.map(Duration::from_millis) {
            Some(least) if start.elapsed() < least => Err(format!("took {:?}", start.elapsed())),
            _ => Ok(()),
        }
    }
}

/// A job that is accepted is done, in time.
fn a_job_is_done(address: SocketAddr) {
    let headers = [("content-type", "application/json")];
    let accepted =
        Client::connect(address).request("POST", "/jobs", &headers, "{\"text\": \"straße, été\"}".as_bytes());
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let place = accepted.header("location").expect("where it can be seen").to_owned();
    let id = accepted.json()["job_id"].as_str().expect("an id").to_owned();
    assert_eq!(place, format!("/jobs/{id}"));
    let deadline = Instant::now() + DEADLINE;
    let job = loop {
        let job = Client::connect(address).get(&place).json();
        if job["status"] == "done" {
            break job;
        }
        assert!(Instant::now() < deadline, "it is not done: {job}");
        std::thread::yield_now();
    };
    assert_eq!(job["result"], "STRASSE, ÉTÉ", "{job}");
    let late = Client::connect(address).request("DELETE", &place, &[], b"");
    assert_eq!(late.status, 409, "{}", late.text());
    let listed = Client::connect(address).get("/jobs?status=done&limit=100").json();
    assert!(
        listed["jobs"].as_array().expect("a list").iter().any(|job| job["job_id"] == id.as_str()),
        "{listed}"
    );
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &BTreeMap<String, String>,
    body: &[u8],
) -> Result<Answer, String> {
    let failed = |error| format!("no answer: {error}");
    let mut client = Client::try_connect(address).map_err(failed)?;
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{headers}{length}\r\n");
    client.send(head.as_bytes()).map_err(failed)?;
    // A server may turn the request away before it has taken the whole body: then the answer counts.
    let _ = client.send(body);
    client.answer_to(method).map_err(failed)
}

/// Compares JSON, where the string "<any>" stands for any value.
fn matches(expected: &Value, found: &Value) -> Result<(), String> {
    match (expected, found) {
        (Value::String(any), _) if any == "<any>" => Ok(()),
        (Value::Object(expected), Value::Object(found)) => {
            let keys = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            if keys(expected) != keys(found) {
                return Err(format!("keys are {:?}, not {:?}", keys(found), keys(expected)));
            }
            expected.iter().try_for_each(|(key, value)| matches(value, &found[key]))
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            expected.iter().zip(found).try_for_each(|(expected, found)| matches(expected, found))
        }
        _ if expected == found => Ok(()),
        _ => Err(format!("found {found}, not {expected}")),
    }
}

fn replay(address: SocketAddr) {
    let contract: Contract =
        toml::from_str(include_str!("contract.toml")).expect("tests/contract.toml is valid");
    let (welcome, cases) = (Client::connect(address).get("/").json(), contract.case.len());
    let links: Vec<String> = serde_json::from_value(welcome["links"].clone()).expect("links are paths");
    // Of the builds that are made, one is without.
    let paged = welcome["variant"] != "minimal";
    let cases_here = contract.case.into_iter().filter(|case| case.page.is_none_or(|page| page == paged));
    let cases_here = cases_here.map(|case| case.there(&links));
    let wrong: Vec<String> = cases_here
        .filter_map(|case| Some(format!("{} ({}): {}", case.name, case.request, case.replay(address).err()?)))
        .collect();
    if links.iter().any(|link| link == "/jobs") {
        a_job_is_done(address);
    }
    assert!(wrong.is_empty(), "{} of {} cases fail:\n{}", wrong.len(), cases, wrong.join("\n"));
}

fn replay_on_binary(name: &str, flags: &[&str]) {
    let path = dist(name);
    let command = [path.to_str().expect("an UTF-8 path"), "--listen", "127.0.0.1:0"];
    replay(Server::spawn(command.into_iter().chain(flags.iter().copied())).address);
}

#[test]
fn native() {
    replay(Server::start(&[]).address);
}

#[test]
fn static_binary() {
    replay_on_binary("ounce", &[]);
}

#[test]
fn static_binary_with_redis() {
    let Some(redis) = Redis::start(&[]) else { return };
    replay_on_binary("ounce", &["--redis-url", &redis.url()]);
}

#[test]
fn minimal_binary() {
    replay_on_binary("ounce-minimal", &[]);
}

/// Launches a target of the scale, whatever isolates it; says so when something is missing for that.
fn start(name: &str, log: &Path, skip: fn(&str, &str)) -> Option<Box<dyn Instance>> {
    let target = Target::read(&data::bench_dir().join("targets").join(name).with_extension("toml"));
    let target = target.expect("shipped targets are valid");
    if let Some(Lack { what, hint }) = launch::missing(&target).into_iter().next() {
        skip(&format!("the contract on {name}"), &format!("needs {what}: {hint}"));
        return None;
    }
    cell::build(&target, &Interrupt::new()).expect("its artefact is made");
    let (placement, interrupt) = (Placement::default(), Interrupt::new());
    let context = Context { log: Some(log.to_owned()), ..Context::new(&placement, &interrupt) };
    Some(launch::launch(&target, &context).expect("it gets ready"))
}

/// Replays on a target. Returns what it printed, unless it was skipped.
fn replay_on_target(name: &str, skip: fn(&str, &str)) -> Option<String> {
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("contract-{name}.log"));
    let _ = fs::remove_file(&log);
    let mut instance = start(name, &log, skip)?;
    replay(instance.address());
    instance.stop().expect("it ends");
    // Dropped, so that all that it printed has been written.
    drop(instance);
    Some(fs::read_to_string(log).expect("what it printed"))
}

/// What every machine can have must be there where nothing may be skipped.
fn replay_on(name: &str) -> Option<String> {
    replay_on_target(name, common::skip)
}

/// Few machines have this.
fn replay_where_possible(name: &str) -> Option<String> {
    replay_on_target(name, common::skip_absent)
}

/// A guest ends because its service did, and not by a failure of its kernel.
fn ended_well(console: &str) {
    assert!(console.contains("init: ounce ended with exit code 0; powering off"), "{console}");
    for word in ["panic", "Oops", "BUG", "Out of memory", "WARNING"] {
        assert!(!console.contains(word), "{word}: {console}");
    }
}

#[test]
fn component() {
    let _ = replay_on("wasmtime");
}

#[test]
fn component_with_instance_reuse() {
    let _ = replay_on("wasmtime-reuse");
}

#[test]
fn precompiled_component() {
    let _ = replay_on("wasmtime-aot");
}

#[test]
fn spin() {
    let _ = replay_where_possible("spin");
}

#[test]
fn standard_container() {
    let _ = replay_on("docker-standard");
}

#[test]
fn microvm_container() {
    let _ = replay_on("docker-microvm");
}

#[test]
fn minimal_container() {
    let _ = replay_on("docker-minimal");
}

#[test]
fn microvm() {
    replay_on("microvm").inspect(|console| ended_well(console));
}

#[test]
fn microvm_with_two_cpus() {
    replay_on("microvm-smp").inspect(|console| ended_well(console));
}

#[test]
fn firecracker() {
    // It has no emulation to fall back to, as QEMU has.
    let machine = start("microvm", Path::new("/dev/null"), common::skip);
    if machine.is_some_and(|machine| machine.emulated()) {
        return common::skip_absent("the contract on firecracker", "KVM does not run guests here");
    }
    replay_where_possible("firecracker").inspect(|console| ended_well(console));
}

#[test]
fn unikraft() {
    let _ = replay_where_possible("unikraft");
}
