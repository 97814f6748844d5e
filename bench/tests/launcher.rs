//! Launching: readiness, failures that explain themselves, and nothing left behind.

mod common;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{Act, alive, ok, scratch, serve_on, wait_until};
use ounce_bench::interrupt::Interrupt;
use ounce_bench::launch::{Context, Instance, LaunchError, Process, Signal, Spawn};
use ounce_bench::placement::Placement;
use ounce_bench::target::Target;
use ounce_bench::{proc, weigh};

/// Not a test: the server that other tests launch, in this same executable. Listens where STUB_LISTEN says.
#[test]
fn stub() {
    let Ok(address) = std::env::var("STUB_LISTEN") else { return };
    let listener = std::net::TcpListener::bind(address).unwrap();
    println!("stub listening on http://{}", listener.local_addr().unwrap());
    serve_on(listener, |_| Act::Answer(ok("hello")));
}

fn stub_command() -> String {
    std::env::current_exe().unwrap().to_string_lossy().into_owned()
}

/// A target file in a directory of its own.
fn target(name: &str, rest: &str) -> Target {
    let path = scratch(&format!("target-{name}")).join(format!("{name}.toml"));
    fs::write(&path, format!("name = \"{name}\"\nkind = \"process\"\n{rest}")).unwrap();
    Target::read(&path).unwrap()
}

fn stub_target(name: &str, rest: &str) -> Target {
    let exe = stub_command();
    target(name, &format!("command = [{exe:?}, \"stub\", \"--exact\", \"--nocapture\"]\n{rest}"))
}

fn launch(target: &Target) -> Result<Box<dyn Instance>, LaunchError> {
    let (placement, interrupt) = (Placement::here(None).unwrap(), Interrupt::new());
    ounce_bench::launch::launch(target, &Context::new(&placement, &interrupt))
}

fn failure(target: &Target) -> LaunchError {
    match launch(target) {
        Ok(_) => panic!("{} was launched", target.name),
        Err(error) => error,
    }
}

#[test]
fn a_server_on_a_picked_port_is_ready_pinned_weighed_and_stopped() {
    let mut instance = launch(&stub_target("picked", "[env]\nSTUB_LISTEN = \"{address}\"\n")).unwrap();
    let start = instance.start().unwrap();
    assert!(start.ready_ms > 0.0 && start.ready_ms < 10_000.0, "{start:?}");
    let pid = instance.scope().roots[0];
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let cpus = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let placement = Placement::here(None).unwrap();
    if let [cpu] = placement.server_cpus[..] {
        assert_eq!(cpus, cpu.to_string());
    }
    let weight = weigh::at_rest(&instance.scope(), &Interrupt::new()).unwrap();
    assert!(weight.total.pss > 50_000 && weight.total.pss >= weight.total.pss_anon);
    let address = instance.address();
    instance.stop().unwrap();
    assert!(!alive(pid));
    assert!(TcpStream::connect(address).is_err());
    assert!(instance.check_alive().is_err());
}

#[test]
fn a_server_on_port_0_tells_its_address() {
    let rest = "address_after = \"listening on http://\"\n[env]\nSTUB_LISTEN = \"127.0.0.1:0\"\n";
    let instance = launch(&stub_target("port0", rest)).unwrap();
    assert_ne!(instance.address().port(), 0);
    TcpStream::connect(instance.address()).unwrap();
}

#[test]
fn a_server_that_never_gets_ready_fails_at_its_deadline_with_its_output() {
    let target = target(
        "never",
        "command = [\"sh\", \"-c\", \"echo still thinking >&2; exec sleep 60\"]\n[ready]\ntimeout_s = 1\n",
    );
    let started = Instant::now();
    let message = failure(&target).to_string();
    assert!(started.elapsed() >= Duration::from_secs(1) && started.elapsed() < Duration::from_secs(8));
    for part in ["did not answer 200", "within 1s", "still thinking", "http://127.0.0.1:"] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn a_server_that_exits_early_fails_at_once_with_its_last_words() {
    for rest in ["", "address_after = \"on http://\"\n"] {
        let command = "command = [\"sh\", \"-c\", \"echo no such option: --frob >&2; exit 3\"]\n";
        let target = target("early", &format!("{command}{rest}[ready]\ntimeout_s = 60\n"));
        let started = Instant::now();
        let error = failure(&target);
        assert!(
            matches!(&error, LaunchError::ExitedEarly { status, .. } if status.code() == Some(3)),
            "{error}"
        );
        assert!(error.to_string().contains("no such option: --frob"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn what_cannot_start_says_what_and_where() {
    let message = failure(&target("absent", "command = [\"no-such-program\"]\n")).to_string();
    assert!(message.contains("cannot start `no-such-program`"), "{message}");
    let rest = "command = [\"sh\"]\n[[requires]]\nfile = \"dist/none\"\nhint = \"make build\"\n";
    let message = failure(&target("missing", rest)).to_string();
    assert!(message.contains("dist/none") && message.contains("make build"), "{message}");
    let message = failure(&target("typo", "command = [\"sh\", \"{prot}\"]\n")).to_string();
    assert!(
        message.contains("typo.toml") && message.contains("{prot}") && message.contains("{port}"),
        "{message}"
    );
}

#[test]
fn a_program_that_ignores_sigterm_is_killed_with_its_children() {
    let script = "trap '' TERM; sleep 600 & echo pids $$ $!; while :; do wait; done";
    let mut process = Process::spawn(&Spawn::new(["sh", "-c", script])).unwrap();
    let pids = pids(&process);
    assert!(pids.iter().all(|&pid| alive(pid)) && proc::tree(&[process.pid()]) == pids);
    let status = process.stop(Duration::from_millis(200)).unwrap();
    assert_eq!(status.signal(), Some(9));
    wait_until("the whole group is gone", || !pids.iter().any(|&pid| alive(pid)));
}

#[test]
fn a_polite_program_ends_by_sigterm_and_its_children_with_it() {
    let script = "trap 'exit 7' TERM; sleep 600 & echo pids $$ $!; wait";
    let mut process = Process::spawn(&Spawn::new(["sh", "-c", script])).unwrap();
    let pids = pids(&process);
    let status = process.stop(Duration::from_secs(10)).unwrap();
    assert_eq!(status.code(), Some(7));
    wait_until("the child is gone", || !pids.iter().any(|&pid| alive(pid)));
}

#[test]
fn a_child_in_a_session_of_its_own_is_stopped_too() {
    let script = "setsid sleep 600 & echo pids $$ $!; wait";
    let mut process = Process::spawn(&Spawn::new(["sh", "-c", script])).unwrap();
    let pids = pids(&process);
    process.stop(Duration::from_secs(10)).unwrap();
    wait_until("the stray is gone", || !pids.iter().any(|&pid| alive(pid)));
}

#[test]
fn dropping_kills_the_group() {
    let process = Process::spawn(&Spawn::new(["sh", "-c", "sleep 600 & echo pids $$ $!; wait"])).unwrap();
    let pids = pids(&process);
    drop(process);
    wait_until("the group is gone", || !pids.iter().any(|&pid| alive(pid)));
}

#[test]
fn signals_exit_status_and_output_can_be_asked_for() {
    let script =
        "trap 'echo got usr1; exit 5' USR1; echo \"hello $NAME\"; echo ready; while :; do sleep 0.01; done";
    let mut process = Process::spawn(&Spawn::new(["sh", "-c", script]).env("NAME", "you")).unwrap();
    let ready = |line: &str| (line == "ready\n").then_some(());
    assert!(process.stdout().wait_for(Duration::from_secs(10), ready).is_some());
    assert!(process.wait(Duration::ZERO).unwrap().is_none());
    process.signal(Signal::USR1).unwrap();
    let status = process.wait(Duration::from_secs(10)).unwrap().unwrap();
    assert!(process.stdout().wait_closed(Duration::from_secs(10)));
    assert_eq!((status.code(), process.stdout().text().as_str()), (Some(5), "hello you\nready\ngot usr1\n"));
    assert!(process.signal(Signal::USR1).is_err());
}

/// What a program writes to in order to enter a control group.
fn entering(door: impl Into<OwnedFd>) -> Process {
    let group = Some(Arc::new(File::from(door.into())));
    Process::spawn(&Spawn { group, ..Spawn::new(["sh", "-c", "echo runs"]) }).unwrap()
}

#[test]
fn a_program_that_may_not_enter_its_group_runs_outside() {
    let open = |path: &str| File::options().write(true).open(path).unwrap();
    for (door, entered) in [("/dev/null", true), ("/dev/full", false)] {
        let mut process = entering(open(door));
        assert_eq!(process.entered(), entered, "{door}");
        assert!(process.wait(Duration::from_secs(10)).unwrap().unwrap().success());
        assert!(process.stdout().wait_closed(Duration::from_secs(10)));
        assert_eq!(process.stdout().text(), "runs\n");
    }
}

#[test]
fn the_wait_for_a_group_is_no_part_of_a_cold_start() {
    // A pipe that is full makes its writer wait until somebody reads.
    let (mut reader, mut writer) = io::pipe().unwrap();
    let pause = Duration::from_millis(200);
    let full = rustix::pipe::fcntl_getpipe_size(&writer).unwrap();
    writer.write_all(&vec![0; full]).unwrap();
    let opener = thread::spawn(move || {
        thread::sleep(pause);
        reader.read_exact(&mut vec![0; full]).unwrap();
        reader
    });
    let before = Instant::now();
    let process = entering(writer);
    let after = Instant::now();
    assert!(process.entered() && after - before > pause / 2);
    assert!(after - process.spawned() < (after - before) / 2, "the wait counts");
    drop(opener.join().unwrap());
}

/// The process ids of a `pids 1 2` line.
fn pids(process: &Process) -> Vec<i32> {
    let numbers = |line: &str| {
        let rest = line.strip_prefix("pids ")?;
        Some(rest.split_whitespace().map(|word| word.parse().unwrap()).collect::<Vec<i32>>())
    };
    process.stdout().wait_for(Duration::from_secs(10), numbers).unwrap()
}

/// The scale itself, launching a server that never gets ready and has a child that ignores SIGTERM.
fn scale(dir: &Path) -> (Process, Vec<i32>) {
    let script = "trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 600; done' & echo $$ $! > pids.part; mv pids.part pids; wait";
    let toml = format!(
        "name = \"stuck\"\nkind = \"process\"\ncommand = [\"sh\", \"-c\", {script:?}]\nstop_timeout_s = 1\n\
         [ready]\ntimeout_s = 120\n"
    );
    fs::write(dir.join("stuck.toml"), toml).unwrap();
    let scale = Process::spawn(&Spawn::new([
        env!("CARGO_BIN_EXE_ounce-bench"),
        "run",
        "--target",
        &dir.join("stuck.toml").to_string_lossy(),
        "--workload",
        "light",
        "--records-dir",
        &dir.join("records").to_string_lossy(),
    ]));
    let (scale, file) = (scale.unwrap(), dir.join("pids"));
    wait_until("the target runs", || file.exists());
    let pids: Vec<i32> =
        fs::read_to_string(file).unwrap().split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert!(pids.iter().all(|&pid| alive(pid)));
    (scale, pids)
}

fn records(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir.join("records")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn nothing_is_left_when_the_scale_is_killed() {
    let dir = scratch("killed");
    let (mut scale, pids) = scale(&dir);
    scale.signal(Signal::KILL).unwrap();
    assert!(scale.ended(Duration::from_secs(10)).unwrap());
    // Not `stop`: that would kill what it finds, and hide an orphan.
    wait_until("the target and its child are gone", || !pids.iter().any(|&pid| alive(pid)));
    scale.wait(Duration::from_secs(10)).unwrap();
}

#[test]
fn ctrl_c_stops_the_target_and_keeps_an_incomplete_record() {
    for signal in [Signal::INT, Signal::TERM] {
        let dir = scratch("interrupted");
        let (mut scale, pids) = scale(&dir);
        scale.signal(signal).unwrap();
        let status = scale.wait(Duration::from_secs(20)).unwrap().unwrap();
        assert_eq!(status.code(), Some(130));
        wait_until("the target and its child are gone", || !pids.iter().any(|&pid| alive(pid)));
        let files = records(&dir);
        assert_eq!(files.len(), 1, "{files:?}");
        let record = ounce_bench::record::Record::read(&files[0]).unwrap();
        assert!(!record.complete && record.cells.len() == 1);
        assert_eq!(record.cells[0].error.as_deref(), Some("interrupted"));
    }
}

#[test]
fn a_second_signal_ends_the_scale_at_once_and_the_guard_cleans_up() {
    let dir = scratch("twice");
    let (scale, pids) = scale(&dir);
    scale.signal(Signal::INT).unwrap();
    // The target ignores SIGTERM for a second; the second signal does not wait for that.
    wait_until("the scale has ended", || {
        let _ = scale.signal(Signal::INT);
        scale.ended(Duration::ZERO).unwrap()
    });
    wait_until("the target and its child are gone", || !pids.iter().any(|&pid| alive(pid)));
}
