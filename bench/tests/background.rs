//! Targets in the background, and what is left when the scale is killed: nothing, or what `doctor` names and
//! `down` removes.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{Act, alive, ok, scratch, serve_on, skip, wait_until};
use ounce_bench::background::{Phase, State, Store};
use ounce_bench::launch::{Process, Signal, Spawn, free_port, owner};
use ounce_bench::{leftover, proc};
use serde_json::Value;

/// Not a test: the service that the tests below start, in this same executable.
#[test]
fn stub() {
    let Ok(address) = std::env::var("STUB_LISTEN") else { return };
    let listener = TcpListener::bind(address).unwrap();
    println!("stub listening on http://{}", listener.local_addr().unwrap());
    serve_on(listener, |_| Act::Answer(ok("hello")));
}

/// What was left behind is the whole machine's: tests that leave something, or remove it, take turns.
fn machine() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Target files and a state directory of one test, whose targets end with it.
struct Bench(PathBuf);

impl Bench {
    fn new(name: &str) -> Self {
        Self(scratch(&format!("background-{name}")))
    }

    fn target(&self, name: &str, rest: &str) -> String {
        let path = self.0.join(format!("{name}.toml"));
        fs::write(&path, format!("name = \"{name}\"\n{rest}")).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn stub(&self, name: &str, rest: &str) -> String {
        let exe = std::env::current_exe().unwrap();
        let command =
            format!("kind = \"process\"\ncommand = [{exe:?}, \"stub\", \"--exact\", \"--nocapture\"]\n");
        self.target(name, &format!("{command}{rest}[env]\nSTUB_LISTEN = \"{{address}}\"\n"))
    }

    fn start(&self, words: &[&str]) -> Process {
        let all = [&[env!("CARGO_BIN_EXE_ounce-bench")], words].concat();
        let spawn = Spawn::new(all).env("OUNCE_STATE", self.0.join("state").to_string_lossy());
        Process::spawn(&spawn).unwrap()
    }

    /// Exit code, standard output, standard error.
    fn scale(&self, words: &[&str]) -> (i32, String, String) {
        let mut process = self.start(words);
        let status = process.wait(Duration::from_secs(60)).unwrap().expect("the scale did not end");
        let limit = Duration::from_secs(10);
        assert!(process.stdout().wait_closed(limit) && process.stderr().wait_closed(limit));
        (status.code().unwrap_or(-1), process.stdout().text(), process.stderr().text())
    }

    fn up(&self, target: &str) -> State {
        let (code, stdout, stderr) = self.scale(&["up", "--target", target]);
        assert_eq!(code, 0, "{stdout}{stderr}");
        let name = Path::new(target).file_stem().unwrap().to_str().unwrap();
        self.state(name).unwrap()
    }

    fn state(&self, name: &str) -> Option<State> {
        Store::at(&self.0.join("state")).read(name)
    }

    /// The JSON of the only target.
    fn status(&self) -> Value {
        let (code, stdout, _) = self.scale(&["status", "--json"]);
        assert_eq!(code, 0);
        let mut all: Vec<Value> = serde_json::from_str(&stdout).unwrap();
        assert_eq!(all.len(), 1, "{stdout}");
        all.remove(0)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for state in Store::at(&self.0.join("state")).all(&[]) {
            let _ = state.held().map(|keeper| keeper.signal(Signal::TERM));
        }
    }
}

/// The mark of a process that runs now.
fn mark_of(pid: i32) -> String {
    let (mine, (_, started)) = (owner::mark(), proc::identity(pid).unwrap());
    let place = mine.rsplit(':').next().unwrap();
    format!("{pid}:{started}:{place}")
}

fn get(state: &State) -> String {
    let mut stream = TcpStream::connect(state.address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 512];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
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

/// A process that bears a mark, and ends with the test.
struct Marked(Child);

impl Marked {
    fn new(mark: &str) -> Self {
        let mut command = Command::new("sleep");
        command.arg("600").env(owner::VARIABLE, mark).process_group(0);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_the_dead_have_left_is_named_and_removed_and_nothing_else() {
    let _machine = machine();
    let bench = Bench::new("orphans");
    let dead = Marked::new("");
    let mark = mark_of(dead.0.id().cast_signed());
    drop(dead);
    let directory = std::env::temp_dir().join(format!("ounce-bench-{}-0", mark.replace(':', ".")));
    fs::create_dir(&directory).unwrap();
    let elsewhere = format!("{}:elsewhere", mark.rsplit_once(':').unwrap().0);
    let (mut orphan, live) = (Marked::new(&mark), [owner::mark(), elsewhere, "nonsense".into()]);
    let mut others = live.map(|mark| Marked::new(&mark));

    let dir = bench.0.to_string_lossy().into_owned();
    let (_, doctor, _) = bench.scale(&["doctor", "--targets-dir", &dir]);
    let (pid, path) = (orphan.0.id(), directory.display().to_string());
    assert!(doctor.contains(&format!("left     process {pid} (sleep 600)")), "{doctor}");
    assert!(doctor.contains(&path), "{doctor}");
    // A name says that this is about that target alone.
    bench.scale(&["down", "--target", "nonesuch"]);
    assert!(orphan.lives() && directory.exists());
    let (code, stdout, stderr) = bench.scale(&["down"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains(&format!("removed process {pid} (sleep 600)")), "{stdout}");
    assert!(stdout.contains(&path) && !directory.exists(), "{stdout}");
    assert!(!orphan.lives());
    let (_, doctor, _) = bench.scale(&["doctor", "--targets-dir", &dir]);
    for other in &mut others {
        assert!(!doctor.contains(&format!("process {}", other.0.id())), "{doctor}");
        assert!(other.lives(), "killed by mistake");
    }
}

/// How long after its start a scale is killed, in milliseconds: launch, rest, warm-up, load.
const MOMENTS: [u64; 12] = [3, 15, 40, 80, 150, 250, 400, 600, 900, 1300, 1700, 2200];
const SIGNALS: [Signal; 4] = [Signal::KILL, Signal::INT, Signal::KILL, Signal::TERM];

/// Starts a run, kills it, and waits until nothing with its environment lives. Returns its mark.
fn killed_at(bench: &Bench, target: &str, moment: u64, signal: Signal) -> String {
    let workloads = bench.0.join("workloads");
    let text = "[[workload]]\nname = \"w\"\nsummary = \"\"\npath = \"/\"\nconnections = 2\n";
    fs::write(&workloads, text).unwrap();
    let (id, records) = (format!("{target}-{moment}-{signal:?}"), bench.0.join("records"));
    let program = env!("CARGO_BIN_EXE_ounce-bench");
    let words = [program, "run", "--target", target, "--workload", "w", "--duration", "30"];
    let files =
        ["--workloads-file", &*workloads.to_string_lossy(), "--records-dir", &*records.to_string_lossy()]
            .map(String::from);
    let mut spawn = Spawn::new(words).env("OUNCE_TEST_RUN", &id);
    spawn.command.extend(files);
    let mut scale = Process::spawn(&spawn).unwrap();
    let mark = mark_of(scale.pid());
    assert!(!scale.ended(Duration::from_millis(moment)).unwrap(), "{}", scale.last_words());
    scale.signal(signal).unwrap();
    // Not `stop`: that would kill what it finds, and hide an orphan.
    assert!(scale.ended(Duration::from_secs(30)).unwrap(), "{signal:?} after {moment} ms is not heeded");
    let lives = |pid: &i32| proc::variable(*pid, "OUNCE_TEST_RUN").as_ref() == Some(&id);
    wait_until(&format!("nothing is left of {signal:?} after {moment} ms"), || {
        !proc::all().any(|pid| lives(&pid))
    });
    scale.wait(Duration::from_secs(10)).unwrap();
    mark
}

#[test]
fn a_scale_that_is_killed_at_any_moment_leaves_no_process() {
    let _machine = machine();
    let bench = Bench::new("moments");
    // With a child, which only the guard can end when the scale cannot.
    let exe = std::env::current_exe().unwrap();
    let script = format!("sleep 600 & exec '{}' stub --exact --nocapture", exe.display());
    let command = format!("kind = \"process\"\ncommand = [\"sh\", \"-c\", {script:?}]\n");
    let target = bench.target("moments", &format!("{command}[env]\nSTUB_LISTEN = \"{{address}}\"\n"));
    for (moment, signal) in MOMENTS.into_iter().zip(SIGNALS.into_iter().cycle()) {
        let mark = killed_at(&bench, &target, moment, signal);
        assert!(leftover::of(&mark).is_empty(), "{:?}", leftover::of(&mark));
    }
}

/// An image with nothing but the service, which ends with the test.
struct Image(String);

impl Image {
    /// Nothing where there is no engine or no service to put into it.
    fn new(test: &str) -> Result<Self, String> {
        let dist = ounce_bench::data::bench_dir().join("../dist");
        let image = Self(format!("ounce-bench-test:{test}-{}", std::process::id()));
        if !dist.join("ounce-minimal").is_file() {
            return Err("there is no dist/ounce-minimal (make build)".into());
        }
        let (version, answers) = shell("docker version --format '{{.Server.Version}}'");
        if !answers {
            return Err(format!("no Docker Engine answers: {version}"));
        }
        let import = "docker import --change 'ENTRYPOINT [\"/ounce-minimal\"]' --change 'USER 65532' -";
        let (output, imported) =
            shell(&format!("tar -C '{}' -c ounce-minimal | {import} {}", dist.display(), image.0));
        assert!(imported, "{output}");
        Ok(image)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        shell(&format!("docker rmi --force {}", self.0));
    }
}

/// What a line of shell prints, and whether it succeeds.
fn shell(line: &str) -> (String, bool) {
    let output = Command::new("sh").args(["-c", line]).stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).trim().to_owned(), output.status.success())
}

fn containers(mark: &str) -> String {
    shell(&format!("docker ps --all --format '{{{{.Names}}}}' --filter label={}={mark}", owner::LABEL)).0
}

fn docker_target(bench: &Bench, image: &Image) -> String {
    let rest = format!("kind = \"docker\"\nimage = \"{}\"\n[ready]\ntimeout_s = 60\n", image.0);
    bench.target("boxed", &rest)
}

#[test]
fn a_container_is_up_until_down_and_does_not_outlive_its_keeper() {
    let image = match Image::new("up") {
        Ok(image) => image,
        Err(why) => return skip("containers in the background", &why),
    };
    let _machine = machine();
    let bench = Bench::new("container");
    let target = docker_target(&bench, &image);
    let state = bench.up(&target);
    assert!(get(&state).contains("200 OK"));
    assert!(bench.status()["pss_bytes"].as_u64().unwrap() > 100_000);
    assert!(bench.scale(&["logs", "--target", "boxed"]).1.contains("listening on"));
    assert_eq!(containers(&state.keeper).lines().count(), 1);
    assert_eq!(bench.scale(&["down", "--target", "boxed"]).1, "boxed  stopped\n");
    assert_eq!(containers(&state.keeper), "");

    // The guard does it: nobody asks the scale.
    let state = bench.up(&target);
    proc::kill(state.pid().unwrap());
    wait_until("the container is gone", || containers(&state.keeper).is_empty());

    // Without a guard it stays until somebody says `down`, or `up` again.
    for again in [false, true] {
        let state = bench.up(&target);
        let keeper = state.pid().unwrap();
        let is_guard = |pid: &i32| proc::command_line(*pid).iter().any(|word| word.contains("trap '' HUP"));
        proc::tree(&[keeper]).into_iter().filter(is_guard).for_each(proc::kill);
        proc::kill(keeper);
        wait_until("the keeper is gone", || !alive(keeper));
        let (_, doctor, _) = bench.scale(&["doctor", "--targets-dir", &bench.0.to_string_lossy()]);
        let name = containers(&state.keeper);
        assert!(doctor.contains(&format!("left     container {name}")), "{doctor}");
        if again {
            assert!(get(&bench.up(&target)).contains("200 OK"));
        } else {
            let (code, stdout, _) = bench.scale(&["down", "--target", "boxed"]);
            assert!(code == 0 && stdout.contains(&format!("removed container {name}")), "{stdout}");
        }
        assert_eq!(containers(&state.keeper), "");
    }
    assert_eq!(bench.scale(&["down", "--target", "boxed"]).0, 0);
}

#[test]
fn a_scale_that_is_killed_at_any_moment_leaves_no_container_that_down_does_not_remove() {
    let image = match Image::new("moments") {
        Ok(image) => image,
        Err(why) => return skip("containers of a scale that is killed", &why),
    };
    let _machine = machine();
    let bench = Bench::new("boxes");
    let target = docker_target(&bench, &image);
    let mut marks = Vec::new();
    for (moment, signal) in MOMENTS.into_iter().zip(SIGNALS.into_iter().cycle()) {
        let mark = killed_at(&bench, &target, moment, signal);
        // The engine may have been making it when the guard looked.
        let left = containers(&mark);
        let (_, doctor, _) = bench.scale(&["doctor", "--targets-dir", &bench.0.to_string_lossy()]);
        for name in left.lines().filter(|name| containers(&mark).contains(name)) {
            assert!(doctor.contains(&format!("left     container {name}")), "{name}: {doctor}");
        }
        marks.push(mark);
    }
    let (code, stdout, stderr) = bench.scale(&["down"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    for mark in marks {
        assert_eq!(containers(&mark), "");
        assert!(leftover::of(&mark).is_empty());
    }
}
