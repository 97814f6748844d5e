//! Searches against services whose capacity and memory are known.

mod common;

use std::fs;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::{Act, alive, ended, ok, scratch, serve_on, skip, wait_until};
use ounce_bench::launch::{Process, Signal, Spawn};
use ounce_bench::proc;
use ounce_bench::search::marginal::Unit;
use ounce_bench::search::{Question, Record, marginal, saturation, smallest};
use ounce_bench::slo::Slo;

const MIB: usize = 1 << 20;
const PAGE: usize = 4096;

/// Not a test: the service that the tests below search, in this same executable. What it does is in its environment.
#[test]
fn stub() {
    let Ok(address) = std::env::var("STUB_LISTEN") else { return };
    let set = |name: &str| std::env::var(name).ok().map(|value| value.parse().unwrap());
    let touched: Option<usize> = set("STUB_TOUCH_MIB");
    let memory = touched.map(|mib| touch(mib * MIB));
    let listener = TcpListener::bind(address).unwrap();
    if let Some(mounts) = set("STUB_MOUNTS") {
        serve_mounts(&listener, mounts);
    }
    let delay = Duration::from_millis(set("STUB_DELAY_MS").unwrap_or(0) as u64);
    let (worker, waiting, bearable) = (Mutex::new(()), AtomicU64::new(0), set("STUB_DIES_OF"));
    serve_on(listener, move |number| {
        let before = waiting.fetch_add(1, Ordering::SeqCst) as usize;
        if number > 30 && bearable.is_some_and(|bearable| before >= bearable) {
            eprintln!("stub has too much to do");
            exit(3);
        }
        // One worker for all connections.
        let held = worker.lock().unwrap();
        thread::sleep(delay);
        drop(held);
        waiting.fetch_sub(1, Ordering::SeqCst);
        Act::Answer(ok("hello"))
    });
    drop(black_box(memory));
}

fn touch(bytes: usize) -> Vec<u8> {
    let mut memory = vec![0; bytes];
    memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    black_box(memory)
}

/// Answers below `/c1` to `/cN`, and nowhere else; one request a connection.
fn serve_mounts(listener: &TcpListener, mounts: usize) -> ! {
    let known: Vec<String> = (1..=mounts).map(|number| format!("/c{number}/")).collect();
    loop {
        let Ok((mut stream, _)) = listener.accept() else { continue };
        let mut head = [0; 4096];
        let Ok(length) = stream.read(&mut head) else { continue };
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        let found = head.split(' ').nth(1).is_some_and(|path| known.iter().any(|known| path == known));
        let status = if found { "200 OK" } else { "404 Not Found" };
        let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
        let _ = stream.write_all(answer.as_bytes());
    }
}

/// Target files, a workload and records of one test.
struct Bench(PathBuf);

impl Bench {
    fn new(name: &str) -> Self {
        let dir = scratch(&format!("search-{name}"));
        let workloads = "[[workload]]\nname = \"hello\"\nsummary = \"\"\npath = \"/\"\nconnections = 4\n";
        fs::write(dir.join("workloads.toml"), workloads).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    fn target(&self, name: &str, rest: &str) {
        fs::write(self.0.join(format!("{name}.toml")), format!("name = \"{name}\"\n{rest}")).unwrap();
    }

    fn stub(&self, env: &str) {
        let exe = std::env::current_exe().unwrap();
        let command = format!("command = [{exe:?}, \"stub\", \"--exact\", \"--nocapture\"]");
        let env = format!("[env]\nSTUB_LISTEN = \"{{address}}\"\n{env}");
        self.target("stub", &format!("kind = \"process\"\n{command}\n{env}"));
    }

    fn start(&self, words: &[&str], env: &[(&str, &str)]) -> Process {
        let (targets, workloads, records) =
            (self.path("stub.toml"), self.path("workloads.toml"), self.path("records"));
        let mut all = vec![env!("CARGO_BIN_EXE_ounce-bench")];
        all.extend(words);
        all.extend(["--target", &targets, "--workload", "hello", "--workloads-file", &workloads]);
        all.extend(["--records-dir", &records, "--host-label", "test"]);
        let spawn = env.iter().fold(Spawn::new(all), |spawn, (name, value)| spawn.env(*name, *value));
        Process::spawn(&spawn).unwrap()
    }

    /// Runs a search of the target `stub` to its end: exit code, what it printed.
    fn search(&self, words: &[&str], env: &[(&str, &str)]) -> (i32, String) {
        let (code, stdout, stderr) = ended(self.start(words, env), Duration::from_secs(180));
        (code, stdout + &stderr)
    }

    /// The record that a search has written.
    fn record<Q: Question>(&self) -> Record<Q> {
        let entries = fs::read_dir(self.0.join("records")).unwrap();
        let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        let [path] = &paths[..] else { panic!("{paths:?}") };
        assert!(path.to_string_lossy().ends_with(&format!("-test-{}.json", Q::KIND)), "{path:?}");
        Record::read(path).unwrap()
    }
}

/// One worker that takes 5 ms for an answer can do no more than 200 in a second, whatever else the machine does.
#[test]
fn saturation_finds_the_capacity_of_a_server_that_waits() {
    let bench = Bench::new("capacity");
    bench.stub("STUB_DELAY_MS = \"5\"\n");
    // A queue that grows by a tenth of the rate for a second makes the last answers 100 ms late.
    let (code, text) =
        bench.search(&["saturation", "--slo", "p90<=60ms", "--duration", "1", "--errors", "0%"], &[]);
    assert_eq!(code, 0, "{text}");
    let record: saturation::Record = bench.record();
    assert!(record.complete && record.asked.slo == Slo::from_str("p90<=60ms").unwrap());
    let found = &record.searches[0].found;
    let highest = found.highest.unwrap();
    assert!((120.0..=225.0).contains(&highest), "{highest} req/s; {text}");
    assert!(!found.at_least, "the server waits, and the generator, too: {text}");
    let there = found.there().unwrap();
    assert!((there.req_per_s / highest - 1.0).abs() < 0.1 && there.p50_ms >= 5.0, "{there:?}");
    assert!(there.pss_bytes.unwrap() > 50_000 && there.pss_peak_bytes >= there.pss_bytes);
    let lowest_failed = found.attempts.iter().filter(|attempt| attempt.rate > highest);
    let lowest_failed = lowest_failed.map(|attempt| attempt.rate).fold(f64::INFINITY, f64::min);
    assert!(lowest_failed <= highest * saturation::RESOLUTION, "{lowest_failed} {highest}");
    let failed = found.attempts.iter().filter(|attempt| attempt.rate == lowest_failed);
    assert!(failed.clone().all(|attempt| attempt.why.is_some()) && failed.count() == 2);
    assert!(text.contains("The highest rate at which GET / keeps p90<=60ms,errors<=0"), "{text}");
}

#[test]
fn what_dies_at_saturation_is_started_again_below_it() {
    let bench = Bench::new("dies");
    bench.stub("STUB_DELAY_MS = \"5\"\nSTUB_DIES_OF = \"3\"\n");
    let (code, text) = bench.search(&["saturation", "--slo", "p90<=60ms", "--duration", "0.5"], &[]);
    assert_eq!(code, 0, "{text}");
    let found = &bench.record::<saturation::Asked>().searches[0].found;
    let said = |why: &Option<String>| why.as_ref().is_some_and(|why| why.contains("too much to do"));
    assert!(said(&found.closed.as_ref().unwrap().ended), "{found:?}");
    assert!(found.attempts.iter().any(|attempt| said(&attempt.why)), "{found:?}");
    assert!(found.highest.is_some_and(|rate| (1.0..=225.0).contains(&rate)), "{found:?}");
}

#[test]
fn an_objective_that_no_rate_keeps_is_said() {
    let bench = Bench::new("hopeless");
    bench.stub("STUB_DELAY_MS = \"5\"\n");
    let (code, text) = bench.search(&["saturation", "--slo", "p50<=1ms", "--duration", "0.5"], &[]);
    let record: saturation::Record = bench.record();
    let found = &record.searches[0].found;
    assert!(code == 1 && found.highest.is_none() && found.attempts.len() == 6, "{text}");
    let error = record.searches[0].error.as_ref().unwrap();
    assert!(error.starts_with("not even ") && error.contains("p50 was "), "{error}");
    assert!(text.contains("failed, see below") && text.contains(error), "{text}");
}

#[test]
fn mistakes_are_refused_before_anything_is_launched() {
    let bench = Bench::new("mistakes");
    bench.stub("");
    for (words, what) in [
        (&["saturation", "--slo", "10ms"][..], "p99<=10ms"),
        (&["saturation", "--errors", "1"], "0.1%"),
        (&["smallest", "--slo", "p99<=10ms"], "--rate"),
        (&["marginal", "--rate", "5"], "--load"),
    ] {
        let (code, text) = bench.search(words, &[]);
        assert!(code == 2 && text.contains(what), "{words:?}: {text}");
    }
    assert!(!bench.0.join("records").exists());
}

/// 64 MiB that are touched, and what the program needs beside them.
#[test]
fn smallest_finds_the_memory_that_a_process_touches() {
    let bench = Bench::new("smallest");
    bench.stub("STUB_TOUCH_MIB = \"64\"\n");
    let (code, text) =
        bench.search(&["smallest", "--rate", "50", "--slo", "p50<=1s", "--duration", "0.5"], &[]);
    let record: smallest::Record = bench.record();
    let entry = &record.searches[0];
    if let Some(error) = entry.error.as_ref().filter(|error| error.contains("control group")) {
        return skip("the smallest memory of a process", error);
    }
    assert_eq!(code, 0, "{text}");
    let unlimited = entry.found.unlimited.as_ref().unwrap();
    assert!(unlimited.pss_peak_bytes.unwrap() as usize > 64 * MIB, "{unlimited:?}");
    let smallest = entry.found.smallest_mib.unwrap();
    assert!((64..=80).contains(&smallest), "{smallest} MiB; {text}");
    let failed = entry.found.attempts.iter().filter(|attempt| attempt.mib == smallest - 1);
    assert!(failed.clone().all(|attempt| attempt.error.is_some()) && failed.count() == 2, "{text}");
    assert!(text.contains("keeps p50<=1000ms,errors<=0 in an open loop of 50 req/s"), "{text}");
}

#[test]
fn what_cannot_be_limited_says_why() {
    let bench = Bench::new("unlimited");
    bench.target("stub", "kind = \"url\"\nurl = \"http://127.0.0.1:9\"\n");
    for (search, why) in [("smallest", "its memory cannot be limited"), ("marginal", "no second instance")] {
        let (code, text) = bench.search(&[search], &[]);
        assert!(code == 1 && text.contains("stub: it runs already: ") && text.contains(why), "{text}");
    }
}

#[test]
fn searches_of_the_first_schema_can_be_read() {
    let path = ounce_bench::data::bench_dir().join("records/2026-11-21T181606-xeon-2cpu-smallest.json");
    let record = smallest::Record::read(&path).unwrap();
    assert!(record.complete && record.asked.objective.is_none());
    let found = &record.searches[0].found;
    assert_eq!((record.searches[0].name(), found.smallest_mib), ("microvm", Some(11)));
    assert!(found.unlimited.is_none() && found.attempts.iter().all(|attempt| attempt.probe.is_none()));
    let error = saturation::Record::read(&path).unwrap_err().to_string();
    assert!(error.contains("kind \"smallest\"") && error.contains("\"saturation\" is needed"), "{error}");
}

#[test]
fn records_of_a_schema_that_is_unknown_are_refused() {
    let path = scratch("search-schema").join("record.json");
    for (text, what) in [
        ("{\"schema\": 1, \"kind\": \"marginal\"}", "does not follow schema 1"),
        ("{\"schema\": 3, \"kind\": \"marginal\"}", "schema 3"),
        ("{\"schema\": 2, \"kind\": \"marginal\"}", "does not follow schema 2"),
        ("{\"kind\": \"marginal\"}", "no schema number"),
        ("{\"schema\": 2}", "kind \"none\""),
        ("x", "is not JSON"),
    ] {
        fs::write(&path, text).unwrap();
        let error = format!("{:#}", marginal::Record::read(&path).unwrap_err());
        assert!(error.contains(what) && error.contains("record.json"), "{text}: {error}");
    }
}

/// The program is shared, the 8 MiB that each touches are not.
#[test]
fn the_marginal_footprint_is_what_an_instance_does_not_share() {
    let bench = Bench::new("marginal");
    bench.stub("STUB_TOUCH_MIB = \"8\"\n");
    let (code, text) =
        bench.search(&["marginal", "--instances", "4", "--load", "--rate", "50", "--duration", "1"], &[]);
    assert_eq!(code, 0, "{text}");
    let record: marginal::Record = bench.record();
    let found = &record.searches[0].found;
    let mib = MIB as f64;
    for line in [found.idle.unwrap(), found.loaded.unwrap()] {
        assert!((8.0 * mib..9.6 * mib).contains(&line.slope_bytes), "{line:?}; {text}");
        assert!(line.r2.unwrap() > 0.99 && line.base_bytes > -0.5 * mib, "{line:?}");
    }
    let instances: Vec<_> = found.points.iter().map(|point| (point.instances, point.processes)).collect();
    assert_eq!(instances, [(1, 1), (2, 2), (4, 4)]);
    for point in &found.points {
        let due = point.instances as u64 * 50;
        assert_eq!((point.requests, point.errors), (Some(due), Some(0)), "{point:?}");
        assert!(point.pss_loaded_peak_bytes >= point.pss_loaded_bytes && point.pss_loaded_bytes.is_some());
    }
    assert!(found.stopped.is_none(), "{found:?}");
}

#[test]
fn without_a_load_instances_are_weighed_at_rest_alone() {
    let bench = Bench::new("rest");
    bench.stub("");
    let (code, text) = bench.search(&["marginal", "--instances", "2", "--markdown"], &[]);
    let found = &bench.record::<marginal::Asked>().searches[0].found;
    assert!(code == 0 && found.idle.is_some() && found.loaded.is_none(), "{text}");
    assert!(text.contains("| one alone, idle (MB of PSS) |") && !text.contains("loaded"), "{text}");
}

/// The instances of a test's stub, by a variable of theirs.
fn stubs(mark: &str) -> Vec<i32> {
    proc::all().filter(|&pid| proc::variable(pid, "STUB_MARK").as_deref() == Some(mark)).collect()
}

#[test]
fn ctrl_c_ends_every_instance_and_keeps_what_was_weighed() {
    let bench = Bench::new("interrupt");
    let mark = bench.path("");
    bench.stub(&format!("STUB_MARK = {mark:?}\n"));
    let mut scale = bench.start(&["marginal", "--instances", "200"], &[]);
    wait_until("some run", || stubs(&mark).len() >= 2);
    let pids = stubs(&mark);
    scale.signal(Signal::INT).unwrap();
    assert_eq!(scale.wait(Duration::from_secs(30)).unwrap().unwrap().code(), Some(130));
    assert!(stubs(&mark).is_empty() && !pids.into_iter().any(alive));
    let record: marginal::Record = bench.record();
    let found = &record.searches[0].found;
    assert!(!record.complete && found.points.iter().any(|point| point.instances == 1), "{found:?}");
    assert!(found.stopped.as_ref().is_some_and(|why| why.contains("interrupted")), "{found:?}");
}

/// A program in place of Spin: keeps the manifest that it is given, and serves what that mounts.
fn stand_in_for_spin(bench: &Bench) -> String {
    let (bin, exe) = (bench.0.join("bin"), std::env::current_exe().unwrap());
    fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2 $4\" = 'up --listen --from' ] || exit 9\n\
         STUB_LISTEN=$3; export STUB_LISTEN\n\
         STUB_MOUNTS=$(grep -c '^route = \"/c' \"$5\"); export STUB_MOUNTS\n\
         if [ \"$STUB_MOUNTS\" = 0 ]; then unset STUB_MOUNTS; else cp \"$5\" '{}'; fi\n\
         exec {exe:?} stub --exact\n",
        bench.path("seen.toml"),
    );
    let spin = bin.join("spin");
    fs::write(&spin, script).unwrap();
    fs::set_permissions(&spin, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

#[test]
fn a_spin_application_is_weighed_as_hosts_and_as_components_of_one() {
    let bench = Bench::new("spin");
    let path = stand_in_for_spin(&bench);
    let manifest = "spin_manifest_version = 2\n[[trigger.http]]\nroute = \"/...\"\ncomponent = \"it\"\n\
                    [component.it]\nsource = \"it.wasm\"\n";
    fs::write(bench.0.join("app.toml"), manifest).unwrap();
    bench.target("stub", "kind = \"spin\"\nmanifest = \"app.toml\"\n");
    let words = ["marginal", "--instances", "3", "--load", "--duration", "0.5"];
    let (code, text) = bench.search(&words, &[("PATH", &path)]);
    assert_eq!(code, 0, "{text}");
    let record: marginal::Record = bench.record();
    let [hosts, components] = &record.searches[..] else { panic!("{record:?}") };
    assert_eq!((hosts.found.unit, components.found.unit), (Unit::Instances, Unit::Components));
    let processes = |found: &marginal::Found| -> Vec<(usize, usize, Option<u64>, Option<u64>)> {
        let point =
            |point: &marginal::Point| (point.instances, point.processes, point.requests, point.errors);
        found.points.iter().map(point).collect()
    };
    let loaded = |instances, processes| (instances, processes, Some(instances as u64 * 10), Some(0));
    assert_eq!(processes(&hosts.found), [loaded(1, 1), loaded(2, 2), loaded(3, 3)]);
    assert_eq!(processes(&components.found), [loaded(1, 1), loaded(2, 1), loaded(3, 1)]);
    assert!(text.contains("stub, components of one host"), "{text}");
    let seen: toml::Table = fs::read_to_string(bench.0.join("seen.toml")).unwrap().parse().unwrap();
    let source = seen["component"]["c3"]["source"].as_str().unwrap();
    assert_eq!(Path::new(source), fs::canonicalize(&bench.0).unwrap().join("it.wasm"));
}
