//! Agreement with independent tools: wrk, oha, smem, GNU time and `/proc/PID/smaps`, in alternating rounds, written to a
//! record of kind `agreement`. Minutes long: `make test-long`. A tool that is not installed is a skip that names it.
//!
//! Generators are compared where the server is the limit: where they are the limit themselves, they differ rightly.

mod common;
#[path = "agreement/report.rs"]
mod report;

use std::fs::{self, File};
use std::hint::black_box;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::behaviour::{burn, stall};
use common::{Act, ended, ok, scratch, serve_on, skip_absent};
use ounce_bench::interrupt::Interrupt;
use ounce_bench::launch::{self, Context, Instance, Process, Spawn};
use ounce_bench::placement::Placement;
use ounce_bench::target::{Target, find_program};
use ounce_bench::{data, proc};
use report::{Pair, begin, conclude};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::process::{Pid, Signal, kill_process};

const ROUNDS: usize = 5;
const SECONDS: u64 = 5;
const CONNECTIONS: &str = "64";
/// So few that a stall of the server takes them all, and requests have to wait before they are sent.
const FEW: &str = "8";
/// What the server with a fixed cost burns for each answer, beside what its system calls cost. Its queue of 64 is then
/// longer than a generator may be kept from its CPU.
const COST: Duration = Duration::from_millis(1);
/// How long the server that waits does so.
const WAIT: Duration = Duration::from_millis(20);
/// Of the server with a known distribution of latency: the shortest, of which every other is a multiple.
const SHORTEST_MS: f64 = 5.0;
const STALL: Duration = Duration::from_secs(1);
const STALL_PERIOD: Duration = Duration::from_secs(10);
const MIB: usize = 1 << 20;
const HELD: usize = 256 * MIB;

// ---- the servers, in this same executable ----

/// Not a test: what the tests below measure.
#[test]
fn stub() {
    let Ok(mode) = std::env::var("STUB_MODE") else { return };
    let hello = || Act::Answer(ok("hello"));
    if let Some(file) = mode.strip_prefix("hold") {
        hold(file.trim());
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("stub listening on http://{}", listener.local_addr().unwrap());
    let start = Instant::now();
    match mode.as_str() {
        "cost" => serve_on(listener, move |_| {
            burn(COST);
            hello()
        }),
        "wait" => serve_on(listener, move |_| {
            thread::sleep(WAIT);
            hello()
        }),
        "pareto" => serve_on(listener, move |number| {
            thread::sleep(pareto(number));
            hello()
        }),
        "stall" => serve_on(listener, move |_| {
            stall(start, STALL, STALL_PERIOD);
            hello()
        }),
        _ => panic!("no mode {mode}"),
    }
}

/// A Pareto distribution with shape 2, spread evenly over any stretch of requests: one in a hundred takes ten times the
/// shortest time or longer, and around there a tenth of latency is a fifth of the requests beyond it.
fn pareto(number: u64) -> Duration {
    let golden = 0.618_033_988_749_895;
    let uniform = (number as f64 * golden).fract();
    Duration::from_secs_f64(SHORTEST_MS / 1e3 / (1.0 - uniform).sqrt())
}

/// Touches memory, its own or that of a file which others map as well, and holds it.
fn hold(file: &str) -> ! {
    let own = if file.is_empty() { vec![1_u8; HELD] } else { Vec::new() };
    if !file.is_empty() {
        let file = File::options().read(true).write(true).open(file).unwrap();
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, which lives as long as the process.
        let memory = unsafe { mmap(std::ptr::null_mut(), HELD, access, MapFlags::SHARED, file.as_fd(), 0) };
        for offset in (0..HELD).step_by(4096) {
            // SAFETY: within the mapping.
            unsafe { memory.unwrap().cast::<u8>().add(offset).write_volatile(1) };
        }
    }
    println!("holding");
    loop {
        thread::park();
        black_box(&own);
    }
}

fn spawn(words: &[&str], mode: &str, cpus: &[usize]) -> Process {
    let exe = std::env::current_exe().unwrap().to_string_lossy().into_owned();
    let stub = [exe.as_str(), "stub", "--exact", "--nocapture"];
    let spawn = Spawn::new([words, &stub].concat()).env("STUB_MODE", mode);
    Process::spawn(&Spawn { cpus: cpus.to_vec(), ..spawn }).unwrap()
}

// ---- what is compared ----

/// Each side's figures; who begins alternates.
fn in_turns(mut scale: impl FnMut() -> f64, mut other: impl FnMut() -> f64) -> (Vec<f64>, Vec<f64>) {
    let mut figures = (Vec::new(), Vec::new());
    for round in 0..2 * ROUNDS {
        match round % 4 {
            0 | 3 => figures.0.push(scale()),
            _ => figures.1.push(other()),
        }
    }
    figures
}

/// The path of a tool; without it the comparison is a skip that says how to get it.
fn tool(name: &str, hint: &str) -> Option<String> {
    let found = find_program(name).map(|path| path.to_string_lossy().into_owned());
    if found.is_none() {
        skip_absent(&format!("agreement with {name}"), &format!("it is not installed: {hint}"));
    }
    found
}

/// Runs a tool to its end on the generator's CPUs. Both output streams together.
fn output(words: &[&str]) -> String {
    let cpus = Placement::here(None).unwrap().generator_cpus;
    let process = Process::spawn(&Spawn { cpus, ..Spawn::new(words.to_vec()) }).unwrap();
    let (code, stdout, stderr) = ended(process, Duration::from_secs(120));
    let text = stdout + &stderr;
    assert_eq!(code, 0, "{words:?}: {text}");
    text
}

/// The first line of what a command says, whatever its exit code.
fn version(words: &[&str]) -> String {
    let said = Command::new(words[0]).args(&words[1..]).output();
    let text = said.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown").trim().to_owned()
}

/// The number that follows `words`.
fn number_after(text: &str, words: &str) -> f64 {
    let rest = text.split_once(words).unwrap_or_else(|| panic!("no {words:?} in:\n{text}")).1.trim_start();
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    digits.parse().unwrap_or_else(|_| panic!("no number after {words:?} in:\n{text}"))
}

/// The scale's generator as a user runs it.
fn own_load(address: SocketAddr, path: &str, seconds: u64, connections: &str, more: &[&str]) -> String {
    let (url, seconds) = (format!("http://{address}{path}"), seconds.to_string());
    let words = [env!("CARGO_BIN_EXE_ounce-bench"), "load", &url, "--duration", &seconds];
    let text = output(&[&words[..], &["--connections", connections], more].concat());
    assert_eq!(number_after(&text, "errors"), 0.0, "{text}");
    text
}

// ---- requests per second ----

fn wrk(address: SocketAddr, path: &str) -> f64 {
    let (url, seconds) = (format!("http://{address}{path}"), format!("{SECONDS}s"));
    let text = output(&["wrk", "-t", "1", "-c", CONNECTIONS, "-d", &seconds, &url]);
    assert!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
    number_after(&text, "Requests/sec:")
}

fn rates(what: &str, address: SocketAddr, path: &str) -> Pair {
    let own = || number_after(&own_load(address, path, SECONDS, CONNECTIONS, &[]), "requests/s");
    own(); // both find a warm server
    let figures = in_turns(own, || wrk(address, path));
    Pair::new(&format!("closed loop, {what}"), "requests/s", "wrk", figures, 0.05)
}

/// A peer, built and ready; nothing where it cannot run.
fn peer(name: &str, interrupt: &Interrupt, placement: &Placement) -> Option<Box<dyn Instance>> {
    let target = Target::read(&data::bench_dir().join(format!("peers/{name}.toml"))).unwrap();
    if let Some(lack) = launch::missing(&target).first() {
        skip_absent(&format!("agreement on {name}"), &format!("it needs {}: {}", lack.what, lack.hint));
        return None;
    }
    Some(launch::launch(&target, &Context::new(placement, interrupt)).unwrap())
}

#[test]
#[ignore = "minutes: make test-long"]
fn requests_per_second_agree_with_wrk() {
    if tool("wrk", "apt install wrk").is_none() {
        return;
    }
    begin();
    let (placement, interrupt) = (Placement::here(None).unwrap(), Interrupt::new());
    let mut pairs = Vec::new();
    for (mode, what) in [("cost", "a server of fixed cost"), ("wait", "a server that waits 20 ms")] {
        let mut server = spawn(&[], mode, &placement.server_cpus);
        let address = server.address_after("listening on http://", Duration::from_secs(10)).unwrap();
        pairs.push(rates(what, address, "/"));
    }
    // Real ones that cost several times what a request costs either generator.
    for name in ["node", "fastapi"] {
        if let Some(instance) = peer(name, &interrupt, &placement) {
            pairs.push(rates(name, instance.address(), "/api/light"));
        }
    }
    conclude(&[("wrk", version(&["wrk", "-v"]))], pairs);
}

// ---- latency at a fixed rate ----

/// A whole number of requests, all of them answered: at the end of a duration oha drops those that wait.
fn oha(address: SocketAddr, rate: &str, requests: &str, connections: &str) -> f64 {
    let url = format!("http://{address}/");
    let words = ["oha", "--no-tui", "--latency-correction", "--output-format", "json", "-q", rate];
    let text = output(&[&words[..], &["-n", requests, "-c", connections, &url]].concat());
    let json: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(json["summary"]["successRate"], 1.0, "{text}");
    json["latencyPercentiles"]["p99"].as_f64().expect("a p99") * 1e3
}

/// p99 of ten seconds at `rate`, against oha and, where it is known, against the truth.
fn tails(what: &str, mode: &str, rate: u64, connections: &str, truth_ms: f64) -> Vec<Pair> {
    let placement = Placement::here(None).unwrap();
    let mut server = spawn(&[], mode, &placement.server_cpus);
    let address = server.address_after("listening on http://", Duration::from_secs(10)).unwrap();
    let (rate_word, requests) = (rate.to_string(), (rate * 10).to_string());
    let own = || number_after(&own_load(address, "/", 10, connections, &["--rate", &rate_word]), "p99");
    let (scale, other) = in_turns(own, || oha(address, &rate_word, &requests, connections));
    let what = format!("p99 at {rate} requests/s on {connections} connections, {what}");
    vec![
        Pair::new(&what, "ms", "arithmetic", (scale.clone(), vec![truth_ms]), 0.1),
        Pair::new(&what, "ms", "oha", (scale, other), 0.1),
    ]
}

#[test]
#[ignore = "minutes: make test-long"]
fn p99_at_a_fixed_rate_agrees_with_oha() {
    if tool("oha", "cargo install oha --locked").is_none() {
        return;
    }
    begin();
    let mut pairs =
        tails("latencies of a Pareto distribution", "pareto", 500, CONNECTIONS, SHORTEST_MS * 10.0);
    // One request in ten is due in a stall, one in a hundred in the first tenth of one, wherever the ten seconds begin.
    pairs.extend(tails("a server that stalls 1 s every 10 s", "stall", 200, FEW, 900.0));
    conclude(&[("oha", version(&["oha", "--version"]))], pairs);
}

// ---- memory ----

fn own_pss(pids: &[i32]) -> f64 {
    proc::memory_of(pids).unwrap().pss as f64 / 1e6
}

/// In MB: the sum over every mapping of `/proc/PID/smaps`, which the kernel rounds one by one.
fn smaps_pss(pids: &[i32]) -> f64 {
    let of = |pid: &i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
        text.lines()
            .filter_map(|line| line.strip_prefix("Pss:"))
            .map(|rest| number_after(rest, ""))
            .sum::<f64>()
    };
    pids.iter().map(of).sum::<f64>() * 1024.0 / 1e6
}

fn smem_pss(pids: &[i32]) -> f64 {
    let text = output(&["smem", "-H", "-c", "pid pss", "-P", "stub"]);
    let numbers =
        |line: &str| line.split_whitespace().map(|word| word.parse().unwrap()).collect::<Vec<f64>>();
    let rows: Vec<Vec<f64>> = text.lines().map(numbers).collect();
    let of = |pid: &i32| {
        rows.iter().find(|row| row[0] == f64::from(*pid)).unwrap_or_else(|| panic!("{pid}: {text}"))[1]
    };
    pids.iter().map(of).sum::<f64>() * 1024.0 / 1e6
}

fn held(process: &Process) {
    let said =
        process.stdout().wait_for(Duration::from_secs(30), |line| line.contains("holding").then_some(()));
    assert!(said.is_some(), "{}", process.last_words());
}

fn sizes(what: &str, pids: &[i32], smem: bool) -> Vec<Pair> {
    let pair = |other: &str, read: fn(&[i32]) -> f64| {
        Pair::new(what, "MB", other, in_turns(|| own_pss(pids), || read(pids)), 0.02)
    };
    let mut pairs = vec![pair("the sum over smaps", smaps_pss)];
    if smem {
        pairs.push(pair("smem", smem_pss));
    }
    pairs
}

/// What GNU time says of a process when it has ended, and what the scale said while it ran.
fn peaks(report: &PathBuf) -> (f64, f64) {
    let process = spawn(&["/usr/bin/time", "-v", "-o", &report.to_string_lossy()], "hold", &[]);
    held(&process);
    let tree = proc::tree(&[process.pid()]);
    let [_, child] = tree[..] else { panic!("{tree:?}") };
    let pss = own_pss(&[child]);
    kill_process(Pid::from_raw(child).unwrap(), Signal::TERM).unwrap();
    assert!(process.ended(Duration::from_secs(10)).unwrap());
    let text = fs::read_to_string(report).unwrap();
    (pss, number_after(&text, "Maximum resident set size (kbytes):") * 1024.0 / 1e6)
}

#[test]
#[ignore = "together with the others: make test-long"]
fn memory_agrees_with_smem_smaps_and_time() {
    begin();
    let dir = scratch("agreement");
    let shared = dir.join("shared");
    File::create(&shared).unwrap().set_len(HELD as u64).unwrap();
    let smem = tool("smem", "apt install smem").is_some();
    let mut pairs = Vec::new();
    {
        let alone = spawn(&[], "hold", &[]);
        held(&alone);
        pairs.extend(sizes("PSS, 256 MiB of one process", &[alone.pid()], smem));
    }
    {
        let mode = format!("hold {}", shared.display());
        let both = [spawn(&[], &mode, &[]), spawn(&[], &mode, &[])];
        both.iter().for_each(held);
        let pids = both.each_ref().map(Process::pid);
        pairs.extend(sizes("PSS, 256 MiB that two processes share", &pids, smem));
    }
    // It has no option to tell its version.
    let package = || version(&["dpkg-query", "-W", "smem"]);
    let mut tools: Vec<_> = smem.then(|| ("smem", package())).into_iter().collect();
    if Command::new("/usr/bin/time").arg("--version").output().is_ok() {
        let figures = (0..ROUNDS).map(|_| peaks(&dir.join("time"))).unzip();
        pairs.push(Pair::new("PSS and largest RSS, 256 MiB of one process", "MB", "GNU time", figures, 0.02));
        tools.push(("time", version(&["/usr/bin/time", "--version"])));
    } else {
        skip_absent("agreement with GNU time", "it is not installed: apt install time");
    }
    conclude(&tools, pairs);
}
