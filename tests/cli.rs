//! The command line, as scripts and people use it.

mod common;

use std::process::{Command, Output};

use common::{Client, Server};

fn ounce(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ounce"));
    command.args(args).env_remove("OUNCE_LISTEN").output().expect("the binary runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_and_version_exit_0() {
    let help = ounce(&["--help"]);
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert_eq!(help.status.code(), Some(0));
    assert!(text.contains("--max-body BYTES") && text.contains("OUNCE_MAX_BODY"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 120), "{text}");
    let version = ounce(&["--version"]);
    assert!(
        String::from_utf8_lossy(&version.stdout).starts_with(concat!("ounce ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn all_mistakes_are_reported_together_with_exit_64() {
    let output = Command::new(env!("CARGO_BIN_EXE_ounce"))
        .args(["--workers", "0", "--frobnicate"])
        .env("OUNCE_LISTEN", "here")
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(64));
    let text = stderr(&output);
    for mistake in ["--workers: '0' ", "--frobnicate: ", "OUNCE_LISTEN: 'here' "] {
        assert!(text.contains(mistake), "{mistake} in {text}");
    }
}

#[test]
fn an_output_that_cannot_be_written_to_changes_no_exit_code() {
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("it is there");
    let code = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ounce"));
        command.args(args).stdout(full()).stderr(full()).status().expect("the binary runs").code()
    };
    assert_eq!(code(&["--bogus"]), Some(64));
    assert_eq!(code(&["health", "http://127.0.0.1:1"]), Some(1));
    assert_eq!(code(&["--help"]), Some(0));
}

#[test]
fn help_is_found_anywhere_and_stray_arguments_are_mistakes() {
    assert_eq!(ounce(&["serve", "--workers", "2", "--help"]).status.code(), Some(0));
    assert_eq!(ounce(&["health", "-h"]).status.code(), Some(0));
    assert_eq!(ounce(&["health", "http://127.0.0.1:1", "--bogus"]).status.code(), Some(64));
    assert_eq!(ounce(&["health", "nonsense"]).status.code(), Some(64));
    assert_eq!(ounce(&["serve", "here"]).status.code(), Some(64));
}

#[test]
fn an_address_in_use_is_named() {
    let server = Server::start(&[]);
    let output = ounce(&["--listen", &server.address.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains(&server.address.to_string()) && text.contains("--listen"), "{text}");
}

#[test]
fn health_asks_a_running_instance() {
    let mut server = Server::start(&["--drain-delay", "1m"]);
    let address = server.address.to_string();
    assert_eq!(ounce(&["health", "--listen", &address]).status.code(), Some(0));
    assert_eq!(ounce(&["health", &format!("http://{address}")]).status.code(), Some(0));
    assert_eq!(ounce(&["health", &format!("http://{address}/healthz")]).status.code(), Some(0));
    let missing = ounce(&["health", &format!("http://{address}/nowhere")]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("404"), "{}", stderr(&missing));
    server.terminate();
    common::eventually("health says no", || {
        ounce(&["health", "--listen", &address]).status.code() == Some(1)
    });
    server.terminate();
    server.exit_code();
    let gone = ounce(&["health", "--listen", &address]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(stderr(&gone).contains(&address));
}

#[test]
fn both_families_are_served() {
    let start = |listen| Server::spawn([env!("CARGO_BIN_EXE_ounce"), "--listen", listen].into_iter());
    assert_eq!(start("[::1]:0").get("/livez").status, 200);
    // The unspecified IPv6 address takes IPv4 too.
    let both = start("[::]:0");
    for loopback in ["127.0.0.1", "[::1]"] {
        let address = format!("{loopback}:{}", both.address.port()).parse().unwrap();
        assert_eq!(Client::connect(address).get("/livez").status, 200);
    }
}

#[test]
fn the_access_log_has_a_line_for_each_request() {
    let mut server = Server::start(&["--access-log", "on", "--log", "json"]);
    server.get("/api/light?x=1");
    server.get("/nowhere");
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    assert!(server.process.stderr().wait_closed(common::DEADLINE));
    let text = server.process.stderr().text();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
    assert_eq!(requests.len(), 2, "{text}");
    assert_eq!((&requests[0]["path"], &requests[0]["status"]), (&"/api/light?x=1".into(), &200.into()));
    assert_eq!((&requests[1]["path"], &requests[1]["status"]), (&"/nowhere".into(), &404.into()));
}

#[test]
fn several_workers_share_the_connections() {
    let server = Server::start(&["--workers", "4", "--worker", "off"]);
    let threads =
        || std::fs::read_dir(format!("/proc/{}/task", server.process.pid())).expect("it runs").count();
    let mut clients: Vec<_> = (0..40).map(|_| server.connect()).collect();
    assert!(clients.iter_mut().all(|client| client.get("/api/light").status == 200));
    assert_eq!(threads(), 4);
}
