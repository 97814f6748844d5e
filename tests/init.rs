//! The service as process 1, in a PID namespace: what can be tried without a virtual machine.
#![cfg(feature = "init")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use common::{DEADLINE, Server};
use rustix::process::{Pid, Signal, kill_process};

const UNSHARE: [&str; 6] = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];

/// The binary under the name by which the kernel calls it.
fn init(test: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory");
    symlink(env!("CARGO_BIN_EXE_ounce"), directory.join("init")).expect("a link");
    directory.join("init")
}

fn namespaces() -> bool {
    let works = Command::new(UNSHARE[0]).args(&UNSHARE[1..]).arg("true").output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        common::skip("init", "no PID namespaces for this user");
    }
    works
}

fn start(test: &str) -> Server {
    let path = init(test);
    let program = path.to_str().expect("UTF-8");
    let command = UNSHARE.iter().copied().chain([program, "--listen", "127.0.0.1:0", "--workers", "1"]);
    Server::spawn(command)
}

fn child_of(pid: i32) -> i32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it runs");
    children.split(' ').next().and_then(|pid| pid.parse().ok()).expect("it has a child")
}

fn send(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a process"), signal).expect("it can be signalled");
}

/// What the console shows when the machine, or here the namespace, has ended.
fn last_words(server: &mut Server) -> String {
    server.process.wait(DEADLINE).expect("waiting works").expect("the namespace ends before the deadline");
    assert!(server.process.stderr().wait_closed(DEADLINE), "nothing is left running");
    server.process.stderr().text()
}

#[test]
fn a_signal_to_init_drains_the_service_and_ends_the_machine() {
    if !namespaces() {
        return;
    }
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = start("drains");
        assert_eq!(server.get("/api/light").status, 200);
        send(child_of(server.process.pid()), signal);
        let console = last_words(&mut server);
        assert!(console.contains(r#"stopped drained="yes""#), "{console}");
        assert!(console.contains("init: ounce ended with exit code 0; powering off"), "{console}");
    }
}

#[test]
fn the_machine_ends_with_a_service_that_is_killed() {
    if !namespaces() {
        return;
    }
    let mut server = start("killed");
    send(child_of(child_of(server.process.pid())), Signal::ABORT);
    let console = last_words(&mut server);
    assert!(console.contains("init: ounce was ended by signal 6; powering off"), "{console}");
}

#[test]
fn a_mistake_in_the_arguments_ends_the_machine_with_their_exit_code() {
    if !namespaces() {
        return;
    }
    let output =
        Command::new(UNSHARE[0]).args(&UNSHARE[1..]).arg(init("mistake")).arg("--no-such-flag").output();
    let console = String::from_utf8(output.expect("unshare runs").stderr).expect("text");
    assert!(console.contains("init: ounce ended with exit code 64; powering off"), "{console}");
}
