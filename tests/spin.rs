//! The Spin application: its manifest, what its component asks of a host, and its settings. Without Spin the
//! component runs on wasmtime, with a stand-in for Spin's variables; with Spin, by `spin up`.

mod common;
#[path = "spin/stand_in.rs"]
mod stand_in;

use std::path::Path;
use std::time::Duration;
use std::{fs, process};

use common::jobs::submit;
use common::spin::{Spin, Temporary, spin_up};
use common::{Answer, Client, DEADLINE, Server, component_imports, dist, eventually};
use ounce_bench::launch::{Process, Signal, Spawn, free_port, until_ready};
use stand_in::{PROVIDER, UNDEFINED, Variable, with_variables};
use toml::{Table, Value};

/// What Spin from 3.1 to 4.0 gives a component with an HTTP trigger: world `platform` in `wit/world.wit` of its
/// repository, at v3.1.0 and v4.0.2, with the worlds that it includes. The version 0.2 of WASI stands for every
/// 0.2.x: hosts match those by compatibility.
const SPIN_PROVIDES: &[&str] = &[
    "fermyon:spin/key-value@2.0.0",
    "fermyon:spin/llm@2.0.0",
    "fermyon:spin/mqtt@2.0.0",
    "fermyon:spin/mysql@2.0.0",
    "fermyon:spin/postgres@2.0.0",
    "fermyon:spin/rdbms-types@2.0.0",
    "fermyon:spin/redis@2.0.0",
    "fermyon:spin/sqlite@2.0.0",
    "fermyon:spin/variables@2.0.0",
    "spin:postgres/postgres@3.0.0",
    "wasi:cli/environment@0.2",
    "wasi:cli/exit@0.2",
    "wasi:cli/stderr@0.2",
    "wasi:cli/stdin@0.2",
    "wasi:cli/stdout@0.2",
    "wasi:cli/terminal-input@0.2",
    "wasi:cli/terminal-output@0.2",
    "wasi:cli/terminal-stderr@0.2",
    "wasi:cli/terminal-stdin@0.2",
    "wasi:cli/terminal-stdout@0.2",
    "wasi:clocks/monotonic-clock@0.2",
    "wasi:clocks/wall-clock@0.2",
    "wasi:config/store@0.2.0-draft-2024-09-27",
    "wasi:filesystem/preopens@0.2",
    "wasi:filesystem/types@0.2",
    "wasi:http/outgoing-handler@0.2",
    "wasi:http/types@0.2",
    "wasi:io/error@0.2",
    "wasi:io/poll@0.2",
    "wasi:io/streams@0.2",
    "wasi:keyvalue/atomics@0.2.0-draft2",
    "wasi:keyvalue/batch@0.2.0-draft2",
    "wasi:keyvalue/store@0.2.0-draft2",
    "wasi:random/insecure-seed@0.2",
    "wasi:random/insecure@0.2",
    "wasi:random/random@0.2",
    "wasi:sockets/instance-network@0.2",
    "wasi:sockets/ip-name-lookup@0.2",
    "wasi:sockets/network@0.2",
    "wasi:sockets/tcp-create-socket@0.2",
    "wasi:sockets/tcp@0.2",
    "wasi:sockets/udp-create-socket@0.2",
    "wasi:sockets/udp@0.2",
];

#[test]
fn spin_provides_what_the_component_imports() {
    let imports = component_imports("ounce-spin.wasm");
    let provided = |import: &String| {
        let track = import.rsplit_once('.').map(|(track, _)| track).filter(|track| track.ends_with("@0.2"));
        SPIN_PROVIDES.iter().any(|name| name == import || Some(*name) == track)
    };
    let foreign: Vec<_> = imports.iter().filter(|import| !provided(import)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    for used in ["variables", "sqlite", "redis"] {
        let interface = format!("fermyon:spin/{used}@");
        assert!(imports.iter().any(|import| import.starts_with(&interface)), "{used}: {imports:?}");
    }
}

// ---- the manifest ----

fn manifest() -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("spin.toml");
    fs::read_to_string(path).expect("spin.toml is there").parse().expect("spin.toml is TOML")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("{key} is missing in {value:?}"))
}

fn table<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let entries = value.get(key).and_then(Value::as_table).into_iter().flatten();
    entries.map(|(name, value)| (name.as_str(), value))
}

#[test]
fn the_manifest_is_complete() {
    let manifest = Value::Table(manifest());
    assert_eq!(manifest["spin_manifest_version"].as_integer(), Some(2));
    let application = &manifest["application"];
    assert_eq!(
        (text(application, "name"), text(application, "version")),
        (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    );
    let triggers = manifest["trigger"]["http"].as_array().expect("an HTTP trigger");
    for trigger in triggers {
        assert!(manifest["component"].get(text(trigger, "component")).is_some(), "{trigger:?}");
    }
    // The router knows the routes, and its 404 is a problem document.
    assert!(triggers.iter().any(|trigger| text(trigger, "route") == "/..."));
}

#[test]
fn the_manifest_builds_what_it_runs_and_lets_out_nothing_but_jobs() {
    for (name, component) in table(&Value::Table(manifest()), "component") {
        let (source, command) = (text(component, "source"), text(&component["build"], "command"));
        let made = command.split_whitespace().last();
        assert_eq!(made, Some(source), "{name}: the build's last word is the file that it leaves");
        for word in ["--locked", "--target wasm32-wasip2", "--features spin"] {
            assert!(command.contains(word), "{name}: {word} is missing in {command}");
        }
        let hosts = component["allowed_outbound_hosts"].as_array().expect("a list");
        let redis = |host: &Value| host.as_str().is_some_and(|host| host.starts_with("redis"));
        assert!(hosts.iter().all(redis), "{name}: {hosts:?}");
    }
}

/// The names and defaults are those of the native settings, but for the variant, which names the packaging.
#[test]
fn the_manifests_variables_are_declared_and_are_settings() {
    let manifest = Value::Table(manifest());
    let declared: Vec<_> = table(&manifest, "variables").collect();
    let help = process::Command::new(env!("CARGO_BIN_EXE_ounce")).arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    // Where Redis is to be reached is for the manifest alone.
    for (name, variable) in declared.iter().filter(|(name, _)| *name != "redis_host") {
        let flag = format!("--{} ", name.replace('_', "-"));
        let line = help.lines().find(|line| line.trim_start().starts_with(&flag)).expect("a setting");
        let default = match text(variable, "default") {
            "" => "(default none)".to_owned(),
            default => format!("(default {default})"),
        };
        assert!(*name == "variant" || line.ends_with(&default), "{name}: {default}, but {line}");
    }
    for (_, component) in table(&manifest, "component") {
        for (name, value) in table(component, "variables") {
            let value = value.as_str().expect("a template");
            let variable = value.strip_prefix("{{ ").and_then(|rest| rest.strip_suffix(" }}"));
            assert_eq!(variable, Some(name), "a variable keeps its name");
            assert!(declared.iter().any(|(declared, _)| *declared == name), "{name} is not declared");
        }
    }
}

// ---- the settings, on both hosts ----

impl Spin {
    fn post(&self, bytes: usize) -> u16 {
        Client::connect(self.server.address).request("POST", "/api/light", &[], &vec![b'x'; bytes]).status
    }

    /// Announces a body and does not send it: who is turned away before may find the connection reset.
    fn announce(&self, bytes: usize) -> Answer {
        let mut client = Client::connect(self.server.address);
        let head = format!("POST /api/light HTTP/1.1\r\nhost: test\r\ncontent-length: {bytes}\r\n\r\n");
        client.send(head.as_bytes()).expect("the head is taken");
        client.answer().expect("an answer")
    }

    fn uses_its_variables(&self) {
        assert_eq!(self.get("/").json()["variant"], "pod-7");
        assert_eq!(self.get("/health").json()["variant"], "pod-7");
        assert!(self.get("/metrics").text().contains("variant=\"pod-7\""));
        assert_eq!((self.post(1024), self.announce(1025).status), (405, 413));
        assert!(self.announce(1025).text().contains("larger than 1024 bytes"));
    }

    fn serves_with_defaults_but_is_not_ready(&self, said: &str) {
        let ready = self.get("/readyz");
        assert_eq!((ready.status, &ready.json()["detail"]), (503, &"misconfigured".into()));
        let health = self.get("/health");
        assert_eq!((health.status, &health.json()["status"]), (200, &"misconfigured".into()));
        assert_eq!((self.post(2048), self.announce(1024 * 1024 + 1).status), (405, 413));
        eventually(&format!("the log says {said:?}: {}", self.log()), || self.log().contains(said));
    }
}

// ---- on wasmtime ----

fn on_wasmtime(variant: Variable<'_>, max_body: Variable<'_>) -> Spin {
    let address = free_port().expect("a free port");
    let file = Temporary::new(address);
    let component = fs::read(dist("ounce-spin.wasm")).expect("it can be read");
    fs::write(&file.0, with_variables(&component, variant, max_body)).expect("it can be written");
    let command = ["wasmtime", "serve", "-Scli", "--addr", &address.to_string(), file.path()];
    let process = Process::spawn(&Spawn::new(command));
    let mut process = process.expect("wasmtime is missing: make setup, then eval \"$(bench/setup.sh env)\"");
    until_ready(&mut process, address, "/livez", DEADLINE, &Default::default()).expect("it gets ready");
    Spin { server: Server::at(process, address), files: file }
}

#[test]
fn variables_are_settings() {
    on_wasmtime(Ok("pod-7"), Ok("1k")).uses_its_variables();
}

#[test]
fn an_unset_variable_has_a_default() {
    for unset in [Err((UNDEFINED, "")), Ok("")] {
        let spin = on_wasmtime(unset, unset);
        assert_eq!(
            (spin.get("/").json()["variant"].as_str(), spin.get("/readyz").status),
            (Some("spin"), 200)
        );
        assert_eq!((spin.post(1024 * 1024), spin.announce(1024 * 1024 + 1).status), (405, 413));
        assert!(!spin.log().contains("variable"), "{}", spin.log());
    }
}

#[test]
fn a_mistake_is_logged_and_keeps_the_instance_from_being_ready() {
    let spin = on_wasmtime(Ok("a name"), Ok("1x"));
    let size =
        "variable max_body: '1x' is not a size in bytes of at least 0, such as 4096, 16k or 1m; using 1m";
    spin.serves_with_defaults_but_is_not_ready(size);
    assert_eq!(spin.get("/").json()["variant"], "spin");
    assert!(spin.log().contains("variable variant: 'a name' is not a name"), "{}", spin.log());
    on_wasmtime(Ok("spin"), Err((PROVIDER, "vault is sealed")))
        .serves_with_defaults_but_is_not_ready("vault is sealed");
}

/// Spin says in a header what comes after the mount of a route such as `/shop/...`.
#[test]
fn below_a_mount_it_answers_as_at_the_root() {
    let spin = on_wasmtime(Ok("spin"), Ok("1m"));
    let status = |path: &str, below: &str| {
        let headers = [("spin-path-info", below)];
        Client::connect(spin.server.address).request("GET", path, &headers, b"").status
    };
    assert_eq!((status("/shop/livez", "/livez"), status("/shop/livez?x=/y", "/livez")), (200, 200));
    assert_eq!((status("/livez", "/livez"), status("/livez", "")), (200, 200));
    // What a client makes up cannot lead elsewhere.
    assert_eq!((status("/shop", "/livez"), status("/shop/livez", "livez")), (404, 404));
}

/// A fresh instance serves each request, so what it does not need would cost every time.
#[test]
fn light_requests_ask_for_no_variable() {
    let spin = on_wasmtime(Ok("a name"), Ok("1x"));
    assert_eq!((spin.get("/api/light").status, spin.get("/livez").status), (200, 200));
    assert!(!spin.log().contains("variable"), "{}", spin.log());
}

/// The manifest gives it no database, here.
#[test]
fn without_a_database_jobs_are_refused() {
    let spin = on_wasmtime(Ok("spin"), Ok("1m"));
    let refused = submit(&mut spin.server.connect(), "uppercase", "x", None);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert!(spin.log().contains("sqlite_databases"), "{}", spin.log());
    assert!(spin.get("/metrics").text().contains("ounce_build_info"));
    assert_eq!((spin.get("/readyz").status, spin.get("/jobs").status), (200, 503));
}

// ---- on Spin itself ----

#[test]
fn spin_runs_it() {
    let Some(spin) = spin_up(&[]) else { return };
    assert_eq!((spin.get("/").json()["variant"].as_str(), spin.get("/readyz").status), (Some("spin"), 200));
    assert_eq!(spin.get("/nowhere").header("content-type"), Some("application/problem+json"));
    drop(spin);
    let spin_up = |variables: &[(&str, &str)]| spin_up(variables).expect("it is there");
    spin_up(&[("VARIANT", "pod-7"), ("MAX_BODY", "1k")]).uses_its_variables();
    spin_up(&[("MAX_BODY", "1x")]).serves_with_defaults_but_is_not_ready("'1x' is not a size");
    let mut spin = spin_up(&[]);
    spin.server.process.signal(Signal::TERM).expect("it runs");
    assert!(
        spin.server.process.wait(Duration::from_secs(10)).expect("waiting works").is_some(),
        "it ends by itself"
    );
}
