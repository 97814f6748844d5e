//! Known truths through the whole scale: a service that behaves in a known way, and the record of a run that must say
//! so. What is known of memory is in `weigh.rs`, what the generator alone must see in `generator.rs`.
//!
//! Bounds are one-sided where a busy machine could break the other side. Where both sides matter a run may be
//! repeated: noise only ever adds, so one run of several within both bounds shows that the scale itself does not.

mod common;

use std::fs;
use std::hint::black_box;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::behaviour::{burn, stall};
use common::{Act, alive, ok, scale, scratch, serve_on, wait_until};
use rustix::process::{Signal, getpid, kill_process};
use serde_json::Value;

/// How long the exact server takes for each answer.
const EXACT: Duration = Duration::from_millis(5);
/// How much CPU time the burning server uses for each answer.
const BURNT: Duration = Duration::from_millis(2);
/// How long a slow starter takes before it listens.
const START: Duration = Duration::from_millis(200);
/// Bytes that a server asks for and never touches.
const RESERVED: usize = 512 << 20;
const STALL: Duration = Duration::from_secs(1);
/// For how long the dying server serves: longer than a warm-up.
const LIFE: Duration = Duration::from_millis(1500);
const CONNECTIONS: u64 = 4;

/// Not a test: the server that the runs below measure, in this same executable.
#[test]
fn stub() {
    let (Ok(address), Ok(mode)) = (std::env::var("STUB_LISTEN"), std::env::var("STUB_MODE")) else { return };
    let listen = || TcpListener::bind(&address).unwrap();
    let hello = || Act::Answer(ok("hello"));
    let (word, number) = mode.split_once(' ').unwrap_or((&mode, "0"));
    match word {
        "slow-start" => {
            thread::sleep(START);
            serve_on(listen(), move |_| hello());
        }
        "reserve" => {
            let reserved: Vec<u8> = black_box(Vec::with_capacity(RESERVED));
            serve_on(listen(), move |_| {
                black_box(&reserved);
                hello()
            });
        }
        "exact" => serve_on(listen(), move |_| {
            thread::sleep(EXACT);
            hello()
        }),
        "burn" => serve_on(listen(), move |_| {
            burn(BURNT);
            hello()
        }),
        "stall" => {
            let (start, period) = (Instant::now(), Duration::from_secs(number.parse().unwrap()));
            serve_on(listen(), move |_| {
                stall(start, STALL, period);
                hello()
            });
        }
        "err" => serve_on(listen(), move |n| match n % 100 {
            99 => Act::Answer(b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nhello".to_vec()),
            _ => hello(),
        }),
        "die" => die(listen(), number),
        "never" => {
            serve_on(listen(), |_| Act::Answer(b"HTTP/1.1 503 Not yet\r\nContent-Length: 0\r\n\r\n".to_vec()))
        }
        _ => panic!("no mode {mode}"),
    }
}

/// Answers for a while under load, then ends with last words, as it is told: by exit or by a signal. A child of it would
/// live on.
#[expect(clippy::zombie_processes, reason = "it is the scale that must end the child")]
fn die(listener: TcpListener, how: &str) {
    let child = Command::new("sleep").arg("600").spawn().unwrap();
    fs::write(std::env::var("STUB_CHILD").unwrap(), child.id().to_string()).unwrap();
    let (loaded, how) = (OnceLock::new(), how.to_owned());
    serve_on(listener, move |n| {
        // The first requests are the scale's questions before the load.
        if n > 20 && loaded.get_or_init(Instant::now).elapsed() > LIFE {
            eprintln!("out of paper");
            if how == "signal" {
                kill_process(getpid(), Signal::KILL).unwrap();
            }
            std::process::exit(7);
        }
        Act::Answer(ok("hello"))
    });
}

/// A target file for the stub in one mode, and the directory of a test.
struct Bench {
    dir: PathBuf,
    target: String,
}

impl Bench {
    fn new(name: &str, mode: &str) -> Self {
        Self::of(&std::env::current_exe().unwrap(), name, mode)
    }

    fn of(exe: &Path, name: &str, mode: &str) -> Self {
        let dir = scratch(&format!("truths-{name}"));
        let child = dir.join("child");
        let text = format!(
            "name = \"{name}\"\nkind = \"process\"\ncommand = [{exe:?}, \"stub\", \"--exact\", \"--nocapture\"]\n\
             [ready]\ntimeout_s = 1\n[env]\nSTUB_LISTEN = \"{{address}}\"\nSTUB_MODE = \"{mode}\"\nSTUB_CHILD = {child:?}\n"
        );
        let target = dir.join(format!("{name}.toml"));
        fs::write(&target, text).unwrap();
        let workload = format!(
            "[[workload]]\nname = \"hello\"\nsummary = \"\"\npath = \"/\"\nconnections = {CONNECTIONS}\n"
        );
        fs::write(dir.join("workloads.toml"), workload).unwrap();
        Self { dir, target: target.to_string_lossy().into_owned() }
    }

    /// The exit code, what was printed, and the cell of one run.
    fn run(&self, seconds: &str, more: &[&str]) -> (i32, String, Value) {
        let records = self.dir.join("records");
        let _ = fs::remove_dir_all(&records);
        let workloads = self.dir.join("workloads.toml");
        let mut words = vec!["run", "--target", &self.target];
        words.extend(["--workloads-file", workloads.to_str().unwrap(), "--workload", "hello"]);
        words.extend(["--records-dir", records.to_str().unwrap(), "--duration", seconds]);
        words.extend(["--rounds", "1", "--starts", "1"]);
        words.extend(more);
        let (code, stdout, _) = scale(&words);
        (code, stdout, cell(&records))
    }

    /// The load of a run that must succeed.
    fn load(&self, seconds: &str, more: &[&str]) -> Value {
        let (code, stdout, cell) = self.run(seconds, more);
        assert_eq!((code, &cell["error"]), (0, &Value::Null), "{stdout}");
        cell["load"].clone()
    }
}

/// The first cell of the only record.
fn cell(records: &Path) -> Value {
    let files: Vec<_> = fs::read_dir(records).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let mut record: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    record["cells"][0].take()
}

fn number(value: &Value, path: &str) -> f64 {
    let found = path.split('.').fold(value, |value, key| &value[key]);
    found.as_f64().unwrap_or_else(|| panic!("{path} is {found} in {value}"))
}

/// Tests whose upper bounds need the server's CPU take turns.
fn alone<T>(body: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    body()
}

/// Runs until a figure is below `limit`, at most eight times. The figure may never be below `truth`.
fn at_best(truth: f64, limit: f64, mut figure: impl FnMut() -> f64) {
    let mut seen = Vec::new();
    while seen.len() < 8 {
        let value = figure();
        assert!(value >= truth, "{value} is less than the truth, {truth}");
        if value < limit {
            return;
        }
        seen.push(value);
    }
    panic!("never below {limit}: {seen:?}");
}

#[test]
fn five_milliseconds_are_five_milliseconds() {
    let bench = Bench::new("exact", "exact");
    let truth_ms = EXACT.as_secs_f64() * 1e3;
    // Little's law: each connection is answered once in five milliseconds, at the most.
    let most = CONNECTIONS as f64 / EXACT.as_secs_f64();
    alone(|| {
        at_best(1.0, 1.2, || {
            let load = bench.load("1", &[]);
            let rate = number(&load, "requests") / number(&load, "window_s");
            let p50_ms = number(&load, "latency.p50_ms");
            assert!(rate <= most && p50_ms >= truth_ms, "{rate} requests/s, p50 {p50_ms} ms");
            (most / rate).max(p50_ms / truth_ms)
        });
    });
}

#[test]
fn two_milliseconds_of_cpu_are_two_milliseconds_of_cpu() {
    let bench = Bench::new("burn", "burn");
    let truth = BURNT.as_secs_f64() * 1e6;
    alone(|| {
        // The kernel counts CPU time in ticks of 10 ms, of which two may be missing.
        at_best(truth * 0.97, truth * 1.15, || {
            let load = bench.load("1", &[]);
            let answered = number(&load, "requests") + number(&load, "drained");
            number(&load, "server_cpu_s") * 1e6 / answered
        });
    });
}

#[test]
fn a_start_of_two_hundred_milliseconds_takes_hardly_longer() {
    let bench = Bench::new("slow-start", "slow-start");
    let truth_ms = START.as_secs_f64() * 1e3;
    // The program itself has to be loaded, in a build that is not optimised.
    at_best(truth_ms, truth_ms * 1.4, || {
        let (_, _, cell) = bench.run("0.1", &[]);
        number(&cell["starts"][0], "ready_ms")
    });
}

#[test]
fn memory_that_is_reserved_and_not_touched_weighs_nothing() {
    let (_, _, cell) = Bench::new("reserve", "reserve").run("0.2", &[]);
    let pss = number(&cell, "idle.total.pss");
    assert!(pss > 0.0 && pss < RESERVED as f64 / 8.0, "{pss} bytes");
}

#[test]
fn a_neighbour_with_the_same_program_is_said_to_share_its_pages() {
    // The program of this very test, and a copy, which is another file.
    let exe = std::env::current_exe().unwrap();
    let copy = scratch("truths-copy").join("stub");
    fs::copy(&exe, &copy).unwrap();
    let shared = |exe: &Path, name: &str| Bench::of(exe, name, "exact").run("0.1", &[]).2["shared"].clone();
    assert_eq!((shared(&exe, "neighbour"), shared(&copy, "lonely")), (true.into(), false.into()));
}

#[test]
fn sampling_is_frequent_and_its_cost_is_told() {
    let (_, _, cell) = Bench::new("sampled", "exact").run("1", &[]);
    let at: Vec<f64> =
        cell["samples"].as_array().unwrap().iter().map(|sample| number(sample, "at_ms")).collect();
    // Ten a second, of which a busy machine may lose some.
    assert!(at.len() >= 5 && at.is_sorted() && at[at.len() - 1] > 500.0, "{at:?}");
    let cost = number(&cell, "sampler_cpu_s");
    assert!(cost > 0.0 && cost < 0.5, "{cost} CPU-seconds for {} samples", at.len());
}

#[test]
fn a_stall_is_in_the_tail_of_an_open_loop() {
    // However the window lies, one whole stall is in it: 1 s of every 3 s, in 4 s.
    let load = Bench::new("stall-open", "stall 3").load("4", &["--rate", "100", "--connections", "2"]);
    let (p99, max) = (number(&load, "latency.p99_ms"), number(&load, "latency.max_ms"));
    // A request was due within 10 ms of the stall's beginning, and one in a hundred of all within 40 ms. Counted from
    // the actual time of sending, two would have waited, one for each connection, and p99 would not tell.
    assert!(max >= 985.0 && p99 >= 940.0, "p99 {p99} ms, max {max} ms");
    assert_eq!((number(&load, "requests") + number(&load, "drained"), total(&load)), (400.0, 0.0), "{load}");
}

#[test]
fn a_stall_is_the_maximum_of_a_closed_loop() {
    let load = Bench::new("stall-closed", "stall 3").load("4", &[]);
    let max = number(&load, "latency.max_ms");
    assert!(max >= 900.0, "max {max} ms");
}

#[test]
#[ignore = "half a minute: make test-long"]
fn a_stall_of_a_second_in_ten_is_a_tenth_of_all_requests() {
    // Three whole periods, wherever the window begins.
    let load = Bench::new("stall-long", "stall 10").load("30", &["--rate", "100"]);
    let at = |name: &str| number(&load, &format!("latency.{name}"));
    let (p90, p99, max) = (at("p90_ms"), at("p99_ms"), at("max_ms"));
    println!("stall of 1 s in 10 s, open loop: p90 {p90:.1} ms, p99 {p99:.1} ms, max {max:.1} ms");
    // One request in ten is due in a stall, and one in a hundred in the first 100 ms of one.
    assert!(p99 >= 890.0 && max >= 985.0, "p99 {p99} ms, max {max} ms");
    assert!(p90 <= 200.0, "nine in ten met no stall, but p90 is {p90} ms");
}

fn total(load: &Value) -> f64 {
    load["errors"].as_object().unwrap().values().map(|count| count.as_f64().unwrap()).sum()
}

#[test]
fn one_error_in_a_hundred_is_one_in_a_hundred() {
    let load = Bench::new("err", "err").load("1", &[]);
    let (wrong, all) = (number(&load, "errors.status"), total(&load));
    let answered = number(&load, "requests") + number(&load, "drained") + all;
    // Of any hundred requests in a row one fails; where the first hundred begins is not known.
    assert!(wrong == all && (wrong * 100.0 - answered).abs() < 100.0, "{wrong} of {answered}: {load}");
    assert!(wrong > 0.0 && number(&load, "reconnects") == 0.0, "{load}");
}

/// A run whose server dies half a second into the load. Returns what the row says.
fn death(how: &str) -> String {
    let bench = Bench::new(&format!("die-{how}"), &format!("die {how}"));
    let (code, stdout, cell) = bench.run("3", &[]);
    let child: i32 = fs::read_to_string(bench.dir.join("child")).unwrap().parse().unwrap();
    wait_until("nothing is left running", || !alive(child));
    assert_eq!(code, 1, "a run without any figure fails");
    let error = cell["error"].as_str().expect("the row says what happened");
    assert!(stdout.contains("failed, see below") && stdout.contains("out of paper"), "{stdout}");
    error.to_owned()
}

#[test]
fn a_server_that_exits_under_load_is_a_row_that_says_so() {
    let error = death("exit");
    assert!(error.contains("exit status: 7") && error.contains("out of paper"), "{error}");
    assert!(!error.contains("ready"), "it had been ready: {error}");
}

#[test]
fn a_server_that_is_killed_under_load_is_a_row_that_says_so() {
    let error = death("signal");
    assert!(error.contains("signal: 9") && error.contains("out of paper"), "{error}");
}

#[test]
fn a_server_that_is_never_ready_is_a_row_that_says_so_in_time() {
    let started = Instant::now();
    let (code, stdout, cell) = Bench::new("never", "never").run("60", &[]);
    assert!(started.elapsed() < Duration::from_secs(20), "the deadline of 1 s took {:?}", started.elapsed());
    let error = cell["error"].as_str().expect("the row says what happened");
    for part in ["did not answer 200", "within 1s", "status 503"] {
        assert!(error.contains(part) && stdout.contains(part), "{part:?} is not in: {stdout}");
    }
    assert_eq!((code, &cell["load"]), (1, &Value::Null));
}
