//! Targets in the background: up, status, logs, down.

mod common;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use common::bench::{Bench, get};
use common::{alive, wait_until};
use ounce_bench::background::Phase;
use ounce_bench::launch::{Signal, free_port, owner};
use ounce_bench::proc;

/// Not a test: the service that the tests below start, in this same executable.
#[test]
fn stub() {
    common::bench::serve_stub();
}

#[test]
fn a_target_is_started_seen_and_stopped() {
    let bench = Bench::new("whole");
    let port = free_port().unwrap().port();
    let target = bench.stub("whole", &format!("port = {port}\n"));
    let (code, stdout, stderr) = bench.scale(&["up", "--target", &target]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.starts_with(&format!("whole  http://127.0.0.1:{port}  ready in ")), "{stdout}");
    let state = bench.state("whole").unwrap();
    let keeper = state.pid().unwrap();
    assert!(get(&state).ends_with("hello"));
    assert_eq!(rustix::process::getsid(rustix::process::Pid::from_raw(keeper)).unwrap().as_raw_pid(), keeper);

    let status = bench.status();
    assert_eq!((&status["target"], &status["state"]), (&"whole".into(), &"ready".into()));
    assert_eq!(status["url"], format!("http://127.0.0.1:{port}"));
    assert!(status["pss_bytes"].as_u64().unwrap() > 50_000 && status["keeper"] == keeper, "{status}");
    let (_, table, _) = bench.scale(&["status"]);
    assert!(table.contains("whole") && table.contains("ready") && table.lines().count() == 2, "{table}");
    let (code, log, _) = bench.scale(&["logs", "--target", &target]);
    assert!(code == 0 && log.contains(&format!("stub listening on http://127.0.0.1:{port}")), "{log}");
    let (_, doctor, _) = bench.scale(&["doctor", "--targets-dir", &bench.0.to_string_lossy()]);
    assert!(doctor.contains(&format!("up       whole on http://127.0.0.1:{port}")), "{doctor}");

    let (code, stdout, _) = bench.scale(&["up", "--target", &target]);
    assert!(code == 0 && stdout.contains(&format!("is already up (keeper {keeper})")), "{stdout}");
    let (code, stdout, _) = bench.scale(&["down", "--target", "whole"]);
    assert_eq!((code, stdout.as_str()), (0, "whole  stopped\n"));
    assert!(!state.roots.iter().any(|&pid| alive(pid)) && !alive(keeper));
    assert!(TcpStream::connect(state.address).is_err());
    assert_eq!(bench.scale(&["status"]).1, "nothing is up\n");
    assert_eq!(bench.scale(&["down", "--target", "whole"]), (0, "nothing to stop\n".into(), String::new()));
    // The log of its last life is still there.
    assert_eq!(bench.scale(&["logs", "--target", "whole"]).1, log);
}

#[test]
fn what_ends_by_itself_says_so_and_can_be_started_again() {
    let bench = Bench::new("dies");
    let target = bench.stub("dies", "");
    let state = bench.up(&target);
    proc::kill(state.roots[0]);
    wait_until("the keeper has seen it", || !bench.state("dies").unwrap().is_kept());
    let status = bench.status();
    assert_eq!(status["state"], "ended");
    assert!(status["why"].as_str().unwrap().contains("signal: 9"), "{status}");
    assert!(status["last_words"].as_str().unwrap().contains("stub listening on"), "{status}");
    assert!(status["keeper"].is_null() && status["pss_bytes"].is_null(), "{status}");
    assert!(bench.scale(&["status"]).1.contains("signal: 9"));
    let again = bench.up(&target);
    assert!(get(&again).ends_with("hello") && again.phase == Phase::Ready);
}

#[test]
fn a_keeper_that_is_killed_takes_its_instance_with_it_and_leaves_stale_state() {
    let bench = Bench::new("killed");
    let target = bench.stub("killed", "");
    let state = bench.up(&target);
    proc::kill(state.pid().unwrap());
    wait_until("the instance is gone", || !state.roots.iter().any(|&pid| alive(pid)));
    assert_eq!(bench.status()["state"], "stale");
    let (_, doctor, _) = bench.scale(&["doctor", "--targets-dir", &bench.0.to_string_lossy()]);
    assert!(doctor.contains("left     the state of killed, whose keeper was killed"), "{doctor}");
    assert!(doctor.contains("ounce-bench down") && !doctor.contains("up       killed"), "{doctor}");
    let (code, stdout, _) = bench.scale(&["down", "--target", "killed"]);
    assert!(code == 0 && stdout.starts_with("killed  was stale"), "{stdout}");
    assert!(bench.state("killed").is_none());
    bench.up(&target);
}

#[test]
fn a_keeper_that_has_lost_its_file_ends() {
    let bench = Bench::new("lost");
    let state = bench.up(&bench.stub("lost", ""));
    fs::remove_file(bench.0.join("state/lost.json")).unwrap();
    wait_until("the keeper has ended", || !state.is_kept());
    assert!(!state.roots.iter().any(|&pid| alive(pid)));
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let bench = Bench::new("port");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let target = bench.stub("port", "");
    let (code, _, stderr) = bench.scale(&["up", "--target", &target, "--port", &port]);
    assert_eq!(code, 1);
    for part in [&format!("port {port} of 127.0.0.1 is in use"), "ounce-bench up --target port --port N"] {
        assert!(stderr.contains(part), "{part:?} is not in: {stderr}");
    }
    assert!(bench.state("port").is_none());

    let state = bench.up(&target);
    let (other, port) = (bench.stub("other", ""), state.address.port().to_string());
    let (code, _, stderr) = bench.scale(&["up", "--target", &other, "--port", &port]);
    assert!(code == 1 && stderr.contains("ounce-bench down --target port"), "{stderr}");
    let (code, _, stderr) = bench.scale(&["up", "--target", &target, "--port", "9"]);
    assert!(code == 1 && stderr.contains(&format!("it is up on port {port}, not on 9")), "{stderr}");
    assert_eq!(bench.scale(&["up", "--port", &port]).0, 1, "a port for every target");
}

#[test]
fn the_others_are_started_when_some_cannot_be() {
    let bench = Bench::new("some");
    let broken = bench
        .target("broken", "kind = \"process\"\ncommand = [\"sh\", \"-c\", \"echo it broke >&2; exit 3\"]\n");
    let missing = bench.target(
        "missing",
        "kind = \"process\"\ncommand = [\"x\"]\n[[requires]]\nfile = \"no/file\"\nhint = \"make it\"\n",
    );
    let elsewhere = bench.target("elsewhere", "kind = \"url\"\nurl = \"http://127.0.0.1:9\"\n");
    let good = bench.stub("good", "");
    let words = ["up", "--target", &broken, "--target", &missing, "--target", &elsewhere, "--target", &good];
    let (code, stdout, stderr) = bench.scale(&words);
    assert_eq!((code, stdout.lines().count()), (1, 1));
    assert!(stdout.starts_with("good  http://"), "{stdout}");
    for part in ["broken: it ended (exit status: 3)", "it broke", "no/file", "make it", "elsewhere: "] {
        assert!(stderr.contains(part), "{part:?} is not in: {stderr}");
    }
    assert!(bench.state("broken").is_some_and(|state| matches!(state.phase, Phase::Ended { .. })));
    // Everything: what can be.
    bench.scale(&["down", "--target", "good"]);
    fs::remove_file(broken).unwrap();
    let (code, stdout, stderr) = bench.scale(&["up", "--targets-dir", &bench.0.to_string_lossy()]);
    assert!(code == 0 && stdout.starts_with("good  http://"), "{stdout}{stderr}");
    assert!(stderr.contains("missing is left out: it needs the file no/file: make it"), "{stderr}");
}

#[test]
fn of_two_commands_at_once_one_starts_it() {
    let bench = Bench::new("twice");
    let target = bench.stub("twice", "");
    let mut commands = [0; 3].map(|_| bench.start(&["up", "--target", &target]));
    let mut started = 0;
    for command in &mut commands {
        let status = command.wait(Duration::from_secs(60)).unwrap().unwrap();
        assert!(command.stdout().wait_closed(Duration::from_secs(10)));
        assert_eq!(status.code(), Some(0), "{}", command.last_words());
        started += usize::from(command.stdout().text().contains("ready in"));
    }
    assert_eq!(started, 1);
    let state = bench.state("twice").unwrap();
    let mark = |pid: &i32| proc::variable(*pid, owner::VARIABLE).as_ref() == Some(&state.keeper);
    assert_eq!(proc::all().filter(mark).count(), 1);
}

#[test]
fn ctrl_c_while_it_starts_leaves_nothing() {
    let bench = Bench::new("ctrl-c");
    let script = "echo $$ > pid.part; mv pid.part pid; exec sleep 600";
    let target = bench.target(
        "slow",
        &format!("kind = \"process\"\ncommand = [\"sh\", \"-c\", {script:?}]\n[ready]\ntimeout_s = 600\n"),
    );
    let (mut up, file) = (bench.start(&["up", "--target", &target]), bench.0.join("pid"));
    wait_until("the target runs", || file.exists());
    let pid = fs::read_to_string(file).unwrap().trim().parse().unwrap();
    assert_eq!(bench.status()["state"], "starting");
    up.signal(Signal::INT).unwrap();
    assert_eq!(up.wait(Duration::from_secs(20)).unwrap().unwrap().code(), Some(130));
    assert!(!alive(pid) && bench.state("slow").is_none());
}
