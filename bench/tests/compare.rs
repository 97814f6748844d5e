//! Comparing as a user does: runs of real services, a leak and a slowdown that must be seen, and the same build
//! against itself, where nothing may be seen.

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use common::bench::Bench;
use common::{Act, ok, serve_on};
use ounce_bench::data::bench_dir;
use ounce_bench::host::Host;
use ounce_bench::record::{self, SCHEMA, Writer};
use serde_json::{Value, json};

/// The requests with which the leaking service leaks: not the ready check, and none later, so that the leak has a size.
const LEAKS: std::ops::Range<u64> = 4..20;

/// Not a test: a service that works STUB_WORK rounds for each request, and leaks STUB_LEAK bytes in all.
#[test]
fn stub() {
    let Ok(address) = std::env::var("STUB_LISTEN") else { return };
    let number = |name: &str| std::env::var(name).map_or(0, |value| value.parse::<u64>().unwrap());
    let (work, leak) = (number("STUB_WORK"), number("STUB_LEAK"));
    serve_on(TcpListener::bind(address).unwrap(), move |request| {
        if LEAKS.contains(&request) {
            Vec::leak(vec![1_u8; usize::try_from(leak / (LEAKS.end - LEAKS.start)).unwrap()]);
        }
        let worked = (0..work).fold(request, |sum, i| std::hint::black_box(sum.wrapping_mul(31) ^ i));
        std::hint::black_box(worked);
        Act::Answer(ok("hello"))
    });
}

fn target(bench: &Bench, name: &str, env: &str) -> String {
    let exe = std::env::current_exe().unwrap();
    let command = format!("kind = \"process\"\ncommand = [{exe:?}, \"stub\", \"--exact\"]\n");
    bench.target(name, &format!("{command}[env]\nSTUB_LISTEN = \"{{address}}\"\n{env}"))
}

/// Runs the scale to its end: exit code, what it printed.
fn scale(words: &[&str]) -> (i32, String) {
    let (code, stdout, stderr) = common::scale(words);
    (code, stdout + &stderr)
}

/// Measures targets in one run; returns the record's path.
fn run(bench: &Bench, targets: &[&str], more: &[&str]) -> String {
    let workloads = bench.0.join("workloads.toml");
    let text = "[[workload]]\nname = \"hello\"\nsummary = \"\"\npath = \"/\"\nconnections = 4\n";
    fs::write(&workloads, text).unwrap();
    let (workloads, records) = (workloads.to_string_lossy(), bench.0.join("records"));
    let mut words =
        vec!["run", "--workloads-file", &workloads, "--workload", "hello", "--starts", "1", "--json"];
    let records = records.to_string_lossy();
    words.extend(["--records-dir", &records]);
    words.extend(targets.iter().flat_map(|target| ["--target", target]));
    words.extend(more);
    let (code, output) = scale(&words);
    assert_eq!(code, 0, "{output}");
    serde_json::from_str::<Value>(&output).unwrap()["record"].as_str().unwrap().to_owned()
}

/// Compares; exit code, and the comparison.
fn compare(base: &str, new: &str, more: &[&str]) -> (i32, Value) {
    let (code, output) = scale(&[&["compare", base, new, "--json"], more].concat());
    (code, serde_json::from_str(&output).unwrap_or_else(|_| panic!("no comparison: {output}")))
}

fn line<'a>(found: &'a Value, figure: &str) -> &'a Value {
    found["lines"].as_array().unwrap().iter().find(|line| line["figure"] == figure).unwrap()
}

#[test]
fn a_leak_of_a_megabyte_is_caught() {
    let bench = Bench::new("compare-leak");
    let (sound, leaking) =
        (target(&bench, "sound", ""), target(&bench, "leaking", "STUB_LEAK = \"1000000\"\n"));
    // Three rounds would tell nothing of one whose pages were mapped otherwise: of 9 % more or less.
    let record = run(&bench, &[&sound, &leaking], &["--rounds", "5", "--duration", "0.3"]);
    let sides = [format!("{record}:sound"), format!("{record}:leaking")];
    let (code, found) = compare(&sides[0], &sides[1], &["--fail-on", "pss_loaded_mb>+5%"]);
    let loaded = line(&found, "pss_loaded_mb");
    assert_eq!((code, loaded["verdict"].as_str()), (1, Some("worse")), "{loaded}");
    let grown = loaded["new"].as_f64().unwrap() - loaded["base"].as_f64().unwrap();
    assert!((0.7..1.4).contains(&grown), "{grown} MB more: {loaded}");
    assert_eq!(line(&found, "pss_idle_mb")["verdict"], "same", "it leaks under load");
    let (code, _) = compare(&sides[1], &sides[0], &["--fail-on", "pss_loaded_mb>+5%"]);
    assert_eq!(code, 0, "the other way round it is better");
}

#[test]
fn what_cannot_be_compared_says_why() {
    let record = bench_dir().join("records/2026-11-21T180817-xeon-2cpu.json");
    let record = record.to_string_lossy();
    let cases = [
        (vec![&*record, &*record], "compared with itself"),
        (vec!["nonesuch.json", &record], "nonesuch.json"),
        (vec![&record, &record, "--fail-on", "speed<-5%"], "no figure; there are: req_per_s"),
    ];
    for (words, message) in cases {
        let (code, output) = scale(&[&["compare"], &words[..]].concat());
        assert!(code != 0 && output.contains(message), "{words:?}: {output}");
    }
    let (code, output) = scale(&["compare", &format!("{record}:static"), &format!("{record}:balloon")]);
    assert!(code == 1 && output.contains("no target \"balloon\"; it has:"), "{output}");
}

/// Two targets that are one build in one run, twenty times, and each run against the next: no figure may be called
/// better or worse. Then 10 % more work for each request, which must be.
#[test]
#[ignore = "takes 15 minutes of a quiet machine: make test-long"]
fn the_same_build_raises_no_alarm_and_a_tenth_more_work_does() {
    let bench = Bench::new("compare-same");
    let service = bench_dir().join("../dist/ounce");
    assert!(service.is_file(), "dist/ounce is missing: make build");
    let same = |name: &str| {
        let command = format!("kind = \"process\"\ncommand = [{service:?}, \"--listen\", \"{{address}}\"]\n");
        bench.target(name, &(command + "[ready]\npath = \"/readyz\"\n"))
    };
    let targets = [same("a"), same("b")];
    let light = ["--rounds", "5", "--duration", "2", "--connections", "64"];
    let records: Vec<String> = (0..20).map(|_| run(&bench, &[&targets[0], &targets[1]], &light)).collect();
    let within: Vec<Value> =
        records.iter().map(|record| compare(&format!("{record}:a"), &format!("{record}:b"), &[]).1).collect();
    let between: Vec<Value> = records
        .windows(2)
        .map(|pair| compare(&format!("{}:a", pair[0]), &format!("{}:a", pair[1]), &[]).1)
        .collect();

    let work = |name: &str, rounds: u64| target(&bench, name, &format!("STUB_WORK = \"{rounds}\"\n"));
    let slowed = run(&bench, &[&work("sound", 1_000_000), &work("slowed", 1_100_000)], &light);
    let slower = compare(&format!("{slowed}:sound"), &format!("{slowed}:slowed"), &[]).1;

    let path = keep(&within, &between, &slower);
    println!("recorded in {}", path.display());
    let alarms = |found: &[Value]| found.iter().flat_map(changes).collect::<Vec<_>>();
    assert_eq!(alarms(&within), Vec::<String>::new(), "alarms within a run");
    assert_eq!(alarms(&between), Vec::<String>::new(), "alarms between runs");
    assert_eq!(line(&slower, "req_per_cpu_s")["verdict"], "worse", "{slower}");
}

/// The figures that are called better or worse.
fn changes(found: &Value) -> Vec<String> {
    let lines = found["lines"].as_array().unwrap().iter();
    let changed = lines.filter(|line| line["verdict"] != "same");
    changed.map(|line| format!("{} {} {}", line["figure"], line["verdict"], line["ratio"])).collect()
}

/// The record of the experiment, beside those of runs.
fn keep(within: &[Value], between: &[Value], slower: &Value) -> PathBuf {
    let label = std::env::var("OUNCE_HOST_LABEL").ok();
    let (host, started) = (Host::here(label.as_deref()), record::now());
    let writer = Writer::create(&bench_dir().join("records"), &started, &host.label, "-same-build").unwrap();
    let report = json!({"schema": SCHEMA, "kind": "same-build", "started": started, "host": host,
        "within_a_run": within, "between_runs": between, "a_tenth_more_work": slower});
    writer.write(&report).unwrap();
    writer.path().to_owned()
}
