//! What is left when the scale is killed: nothing, or what `doctor` names and `down` removes.

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::bench::{Bench, get, machine};
use common::{alive, skip, skip_absent, wait_until};
use ounce_bench::cgroup::{self, Cgroup};
use ounce_bench::launch::{self, Process, Signal, Spawn, owner};
use ounce_bench::target::Target;
use ounce_bench::{leftover, proc};

/// Not a test: the service that the tests below start, in this same executable.
#[test]
fn stub() {
    common::bench::serve_stub();
}

/// The mark of a process that runs now.
fn mark_of(pid: i32) -> String {
    let (mine, (_, started)) = (owner::mark(), proc::identity(pid).unwrap());
    let place = mine.rsplit(':').next().unwrap();
    format!("{pid}:{started}:{place}")
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
    let group = directory.file_name().unwrap().to_str().unwrap();
    let group = cgroup::places().iter().find_map(|place| Cgroup::make(place, group, None).ok());
    let group = group.map(|group| group.directory().to_owned());
    let elsewhere = format!("{}:elsewhere", mark.rsplit_once(':').unwrap().0);
    let (mut orphan, live) = (Marked::new(&mark), [owner::mark(), elsewhere, "nonsense".into()]);
    let mut others = live.map(|mark| Marked::new(&mark));

    let dir = bench.0.to_string_lossy().into_owned();
    let (_, doctor, _) = bench.scale(&["doctor", "--targets-dir", &dir]);
    let (pid, path) = (orphan.0.id(), directory.display().to_string());
    assert!(doctor.contains(&format!("left     process {pid} (sleep 600)")), "{doctor}");
    assert!(doctor.contains(&path), "{doctor}");
    match &group {
        Some(group) => assert!(doctor.contains(&format!("control group {}", group.display())), "{doctor}"),
        None => skip_absent("a control group that is left behind", "none can be made"),
    }
    // A name says that this is about that target alone.
    bench.scale(&["down", "--target", "nonesuch"]);
    assert!(orphan.lives() && directory.exists());
    let (code, stdout, stderr) = bench.scale(&["down"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains(&format!("removed process {pid} (sleep 600)")), "{stdout}");
    assert!(stdout.contains(&path) && !directory.exists(), "{stdout}");
    assert!(!orphan.lives() && !group.is_some_and(|group| group.exists()));
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
        // The guard removes its control group when all have left it.
        wait_until("its group is gone", || leftover::of(&mark).is_empty());
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

/// A guest has a network device of its own beside its machine.
#[test]
fn a_scale_that_is_killed_at_any_moment_leaves_no_guest() {
    let file = ounce_bench::data::bench_dir().join("targets/microvm.toml");
    let target = Target::read(&file).unwrap();
    if let Some(lack) = launch::missing(&target).first() {
        return skip("guests of a scale that is killed", &lack.what);
    }
    let _machine = machine();
    let bench = Bench::new("guests");
    // Before the machine's start, while KVM is tried, while it boots, under load.
    for (moment, signal) in [5, 60, 1500, 3300, 4000, 6000].into_iter().zip(SIGNALS.into_iter().cycle()) {
        let mark = killed_at(&bench, &file.to_string_lossy(), moment, signal);
        wait_until("its devices are gone", || leftover::of(&mark).is_empty());
    }
}
