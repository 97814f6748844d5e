//! `ounce-bench size` on the committed records, and on records made from them.

mod common;
#[path = "size/search.rs"]
mod search;

use std::fs;
use std::path::Path;

use common::bench::Bench;
use ounce_bench::data::bench_dir;
use ounce_bench::load::Schedule;
use ounce_bench::record::Record;
use saphyr::{LoadableYamlNode, Yaml};
use search::{attempt, probe, search};
use serde_json::{Value, json};

fn committed(name: &str) -> String {
    bench_dir().join("records").join(name).to_string_lossy().into_owned()
}

/// A full run, of schema 1.
fn full() -> String {
    committed("2026-11-21T180817-xeon-2cpu.json")
}

fn size(bench: &Bench, words: &[&str]) -> (i32, String, String) {
    bench.scale(&[&["size"], words].concat())
}

/// The answers to a question, as JSON.
fn answers(bench: &Bench, records: &[&str], words: &[&str]) -> Value {
    let records = records.iter().flat_map(|record| ["--record", record]);
    let words: Vec<&str> = words.iter().copied().chain(records).chain(["--json"]).collect();
    let (_, stdout, stderr) = size(bench, &words);
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"))
}

fn of<'a>(sizing: &'a Value, target: &str) -> &'a Value {
    let mut answers = sizing["answers"].as_array().unwrap().iter();
    answers.find(|answer| answer["target"] == target).unwrap()
}

fn abouts(answer: &Value) -> Vec<&str> {
    answer["notes"].as_array().unwrap().iter().map(|note| note["about"].as_str().unwrap()).collect()
}

const QUESTION: [&str; 4] = ["--rps", "2000", "--p99", "20ms"];

#[test]
fn a_full_run_is_answered_cheapest_first() {
    let bench = Bench::new("size-full");
    let record = full();
    let sizing = answers(&bench, &[&record], &QUESTION);
    let answers = sizing["answers"].as_array().unwrap();
    let names: Vec<&str> = answers.iter().map(|answer| answer["target"].as_str().unwrap()).collect();
    assert_eq!(names[..4], ["minimal", "static", "native", "docker-minimal"]);
    // Emulated with a plan, then those without one.
    assert_eq!(names[10..], ["microvm", "firecracker", "microvm-smp", "unikraft"]);
    let total = |answer: &Value| answer["plan"]["total_mb"].as_f64().unwrap();
    assert!(answers[..10].windows(2).all(|pair| total(&pair[0]) <= total(&pair[1])));

    let plan = &of(&sizing, "docker-minimal")["plan"];
    assert_eq!(
        (plan["instances"].as_u64(), plan["capacity"]["rate"].as_f64().unwrap().round()),
        (Some(1), 65867.0)
    );
    assert_eq!(plan["memory"]["scope"], "cgroup");
    let outside = of(&sizing, "docker-minimal")["outside_mb"]["containerd-shim"].as_f64().unwrap();
    assert!((12.0..13.0).contains(&outside));
    assert!(
        of(&sizing, "unikraft")["why_not"]
            .as_str()
            .unwrap()
            .contains("lowest measured 22.4 ms at 9,771 req/s")
    );
    assert!(
        of(&sizing, "firecracker")["why_not"].as_str().unwrap().contains("needs the program firecracker")
    );
    assert_eq!(sizing["records"], json!(["bench/records/2026-11-21T180817-xeon-2cpu.json"]));
}

#[test]
fn what_was_not_measured_stands_beneath_the_table() {
    let bench = Bench::new("size-text");
    let record = full();
    let words = [&QUESTION[..], &["--record", &record]].concat();
    let (code, stdout, _) = size(&bench, &words);
    assert_eq!(code, 0);
    for text in [
        "2,000 req/s of light (GET /api/light) with p99 ≤ 20 ms and no errors, margin 30 %",
        "microvm-smp: p99 20 ms was not met at any measured load; lowest measured 50.1 ms at 5,854 req/s; it was emulated",
        "all: fewer requests to an instance than under any measured load",
        "all: the capacity is that of a closed loop (64 connections",
        "docker-minimal (0.5 CPU): measured under a CPU limit",
        "the figures are of xeon-2cpu",
        "`ounce-bench run --workload light --target minimal --rate 2000`",
        "instances: ⌈2,000 ÷ (166,736 × 0.70)⌉ = 1",
    ] {
        assert!(stdout.contains(text), "{text}: {stdout}");
    }
    let (_, markdown, _) = size(&bench, &[&words[..], &["--markdown"]].concat());
    assert!(markdown.contains("| minimal | 1 | 1.81 | ≥ 0.012 | 2,000 | 166,736 |"), "{markdown}");
    let (code, none, _) = size(&bench, &["--rps", "1", "--p99", "10us", "--record", &record]);
    assert!(code == 1 && none.contains("static: p99 0.01 ms was not met") && !none.contains('│'), "{none}");
}

#[test]
fn manifests_are_yaml_that_serves_the_rate() {
    let bench = Bench::new("size-k8s");
    let record = full();
    let words = ["--rps", "200000", "--p99", "20ms", "--record", &record];
    let (code, stdout, stderr) = size(&bench, &[&words[..], &["--k8s"]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    let documents = Yaml::load_from_str(&stdout).unwrap();
    let [deployment, autoscaler] = &documents[..] else { panic!("{stdout}") };
    assert_eq!(deployment["metadata"]["name"].as_str(), Some("docker-standard"), "the cheapest container");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let resources = &container["resources"];
    assert_eq!(resources["requests"]["memory"].as_str(), Some("4Mi"));
    assert_eq!(resources["limits"]["memory"].as_str(), Some("12Mi"));
    assert!(resources["limits"].as_mapping_get("cpu").is_none(), "no CPU limit");

    let spec = &autoscaler["spec"];
    assert_eq!(autoscaler["apiVersion"].as_str(), Some("autoscaling/v2"));
    assert_eq!(spec["scaleTargetRef"]["name"].as_str(), Some("docker-standard"));
    let replicas = spec["minReplicas"].as_integer().unwrap();
    assert!(replicas == 2 && spec["maxReplicas"].as_integer().unwrap() > replicas);
    let target = &spec["metrics"][0]["resource"]["target"];
    assert_eq!(target["type"].as_str(), Some("Utilization"));
    let percent = target["averageUtilization"].as_integer().unwrap();
    let request = resources["requests"]["cpu"].as_str().unwrap().strip_suffix('m').unwrap();
    let request: f64 = request.parse().unwrap();
    let sizing = answers(&bench, &[&record], &words[..4]);
    let us = of(&sizing, "docker-standard")["plan"]["cpu"]["us_per_req"].as_f64().unwrap();
    let served = replicas as f64 * percent as f64 / 100.0 * request * 1e3 / us;
    assert!((200_000.0..205_000.0).contains(&served), "{served}");
}

#[test]
fn no_manifest_is_made_up() {
    let bench = Bench::new("size-refused");
    let record = full();
    let refused = |words: &[&str], message: &str| {
        let record = ["--k8s", "--record", &record];
        let (code, stdout, stderr) = size(&bench, &[words, &record].concat());
        assert!(code == 1 && stdout.is_empty() && stderr.contains(message), "{words:?}: {stderr}");
    };
    let with = |target| [&QUESTION[..], &["--target", target]].concat();
    refused(&with("microvm"), "it was emulated");
    refused(&with("unikraft"), "was not met at any measured load");
    refused(&with("firecracker"), "needs the program firecracker");
    refused(&with("nonesuch"), "they have: minimal, static, native, docker-minimal");
    refused(&["--rps", "1", "--p99", "10us"], "no target that could be a container has a plan");
}

/// The committed record with another label and start, of these targets, after a change.
fn made(bench: &Bench, name: &str, targets: &[&str], change: impl FnOnce(&mut Record)) -> String {
    let mut record = Record::read(Path::new(&full())).unwrap();
    record.cells.retain(|cell| cell.workload == "light" && targets.contains(&cell.target.as_str()));
    change(&mut record);
    write(bench, name, &serde_json::to_value(&record).unwrap())
}

fn write(bench: &Bench, name: &str, record: &Value) -> String {
    let path = bench.0.join(name);
    fs::write(&path, record.to_string()).unwrap();
    path.to_string_lossy().into_owned()
}

/// As many rounds as there are pairs of requests/s and p99.
fn rounds(record: &mut Record, figures: &[(f64, f64)]) {
    let first = record.cells.remove(0);
    record.rounds = figures.len();
    record.cells = figures.iter().map(|_| first.clone()).collect();
    for (round, (cell, (rate, p99_ms))) in record.cells.iter_mut().zip(figures).enumerate() {
        cell.round = round;
        let load = cell.load.as_mut().unwrap();
        load.requests = (rate * load.window_s) as u64;
        load.latency.p99_ms = *p99_ms;
    }
}

/// One round of an open loop at this rate.
fn open(record: &mut Record, rate: f64, p99_ms: f64, us_per_req: f64) {
    for cell in &mut record.cells {
        let load = cell.load.as_mut().unwrap();
        load.schedule = Schedule::Open { rate };
        load.requests = (rate * load.window_s) as u64;
        load.drained = 0;
        load.latency.p99_ms = p99_ms;
        load.server_cpu_s = load.requests as f64 * us_per_req / 1e6;
    }
}

const FIVE: [(f64, f64); 5] = [(1000.0, 9.0), (1040.0, 5.0), (960.0, 5.0), (1010.0, 6.0), (990.0, 7.0)];

#[test]
fn rounds_count_at_their_cautious_end() {
    let bench = Bench::new("size-rounds");
    let five = made(&bench, "five.json", &["static"], |record| rounds(record, &FIVE));
    let two = made(&bench, "two.json", &["static"], |record| rounds(record, &FIVE[..2]));
    let point = |record: &str| {
        let sizing = answers(&bench, &[record], &["--rps", "10", "--p99", "9ms"]);
        let capacity = &of(&sizing, "static")["plan"]["capacity"];
        ["rate", "p99_ms", "rounds"].map(|field| capacity[field].as_f64().unwrap().round())
    };
    assert_eq!(point(&five), [960.0, 9.0, 5.0]);
    assert_eq!(point(&two), [1000.0, 9.0, 2.0]);
    let sizing = answers(&bench, &[&five], &["--rps", "10", "--p99", "8ms"]);
    assert!(
        of(&sizing, "static")["why_not"].as_str().unwrap().contains("lowest measured 9.00 ms at 960 req/s")
    );
    let wrong = made(&bench, "wrong.json", &["static"], |record| {
        rounds(record, &FIVE);
        record.cells[3].load.as_mut().unwrap().errors.reset = 1;
    });
    let sizing = answers(&bench, &[&wrong], &["--rps", "10", "--p99", "9ms"]);
    assert!(of(&sizing, "static")["why_not"].as_str().unwrap().contains("fewest 1 at 960 req/s"));
    let invalid = made(&bench, "invalid.json", &["static"], |record| {
        let load = record.cells[0].load.as_mut().unwrap();
        (load.sent_mean_ms, load.in_flight) = (Some(1.0), Some(1e6));
    });
    let sizing = answers(&bench, &[&invalid], &QUESTION);
    assert!(of(&sizing, "static")["why_not"].as_str().unwrap().contains("Little's law"));
    let died = made(&bench, "died.json", &["static"], |record| {
        rounds(record, &FIVE);
        record.cells[3].error = Some("it died".into());
    });
    let sizing = answers(&bench, &[&died], &["--rps", "10", "--p99", "9ms"]);
    assert_eq!(of(&sizing, "static")["why_not"], "in round 4: it died");
}

#[test]
fn an_open_loop_at_the_planned_rate_replaces_what_was_extrapolated() {
    let bench = Bench::new("size-open");
    let closed = made(&bench, "closed.json", &["static"], |_| {});
    let kept = made(&bench, "kept.json", &["static"], |record| open(record, 2000.0, 5.0, 36.0));
    let missed = made(&bench, "missed.json", &["static"], |record| open(record, 1500.0, 31.0, 36.0));
    let ask = |records: &[&str]| of(&answers(&bench, records, &QUESTION), "static").clone();
    let alone = ask(&[&closed]);
    assert!(alone["plan"]["below_measured"] == true && abouts(&alone).contains(&"closed-loop"));
    let both = ask(&[&closed, &kept]);
    assert_eq!(
        (both["plan"]["cpu"]["us_per_req"].as_f64(), &both["plan"]["instances"]),
        (Some(36.0), &1.into())
    );
    // 2,000 × 36 µs ÷ 70 % = 102.9 thousandths.
    assert_eq!(both["plan"]["cpu"]["request_millicores"], 103);
    assert_eq!(abouts(&both), ["one-round", "pss", "least-limit"]);
    let refuted = ask(&[&closed, &missed]);
    assert!(
        refuted["why_not"].as_str().unwrap().contains("missed in an open loop at 1,500 req/s, with 31.0 ms")
    );
}

#[test]
fn searches_bound_what_a_run_says() {
    let bench = Bench::new("size-searches");
    let run = made(&bench, "run.json", &["docker-standard"], |_| {});
    let attempts = json!([
        attempt(90_000.0, 400.0),
        attempt(90_000.0, 300.0),
        attempt(60_000.0, 500.0),
        attempt(60_000.0, 8.0),
        attempt(73_000.0, 15.0),
        {"rate": 80_000.0, "why": "it ended", "probe": null},
    ]);
    let slo =
        json!({"slo": {"percentile": 99.0, "latency_ms": 10.0, "errors_percent": 0.0}, "resolution": 1.05});
    let found = json!({"highest": 60_000.0, "at_least": false, "attempts": attempts,
        "closed": probe(100_000.0, 2.0, json!("closed"))});
    let saturation = write(&bench, "saturation.json", &search("saturation", slo.clone(), found));
    let ended = json!({"highest": null, "at_least": false, "closed": null,
        "attempts": [{"rate": 80_000.0, "why": "it ended", "probe": null}]});
    let ended = write(&bench, "ended.json", &search("saturation", slo.clone(), ended));
    let sizing = answers(&bench, &[&ended], &QUESTION);
    let why = &of(&sizing, "docker-standard")["why_not"];
    assert_eq!(why, "no measured load was served; at 80,000 req/s: it ended");
    let smallest = search("smallest", json!({}), json!({"smallest_mib": 20, "attempts": []}));
    let smallest = write(&bench, "smallest.json", &smallest);
    let count = |instances| json!({"instances": instances, "processes": 1, "pss_idle_bytes": 1});
    let line = json!({"base_bytes": 2e6, "slope_bytes": 14e6, "r2": 1.0});
    let found = json!({"unit": "instances", "points": [count(1), count(2)], "idle": line});
    let marginal =
        write(&bench, "marginal.json", &search("marginal", json!({"instances": 2, "load": null}), found));

    let all = [run.as_str(), &saturation, &smallest, &marginal];
    let ask = |rps, p99| answers(&bench, &all, &["--rps", rps, "--p99", p99]);
    let sizing = ask("100000", "10ms");
    let answer = of(&sizing, "docker-standard");
    let plan = &answer["plan"];
    assert_eq!(
        answer["points"].as_array().unwrap().len(),
        6,
        "the run, the closed loop, a point for each rate"
    );
    // The second try of 60,000 held; closed loops say nothing above what an open one missed.
    assert_eq!((&plan["capacity"]["rate"], &plan["instances"]), (&json!(60_000.0), &json!(3)));
    assert_eq!(
        (&plan["memory"]["limit_mib"], &plan["memory"]["limit_from"]),
        (&json!(26), &json!("smallest"))
    );
    assert_eq!(plan["total_mb"], json!(2.0 + 3.0 * 15.0));
    assert!(abouts(answer).contains(&"beyond-marginal"), "{:?}", abouts(answer));
    // The same attempts under another objective, which the search was not for.
    let sizing = ask("100000", "20ms");
    assert_eq!(of(&sizing, "docker-standard")["plan"]["capacity"]["rate"], json!(73_000.0));
    let warnings = sizing["warnings"].to_string();
    assert!(warnings.contains("saturation.json searched for p99 <= 10.0 ms"), "{warnings}");
}

#[test]
fn without_a_name_the_newest_records_of_one_machine_are_used() {
    let bench = Bench::new("size-newest");
    let dir = bench.0.to_string_lossy().into_owned();
    let ask = |workload| {
        size(&bench, &[&QUESTION[..], &["--workload", workload, "--records-dir", &dir, "--json"]].concat())
    };
    let used = || -> Vec<String> {
        let (code, stdout, stderr) = ask("light");
        assert_eq!(code, 0, "{stderr}");
        let sizing: Value = serde_json::from_str(&stdout).unwrap();
        let files = sizing["records"].as_array().unwrap().iter();
        files
            .map(|file| Path::new(file.as_str().unwrap()).file_name().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    let (code, _, stderr) = ask("light");
    assert!(
        code == 1 && stderr.contains("no complete record of a run") && stderr.contains("ounce-bench run"),
        "{stderr}"
    );

    let at = |name: &str, started: &str, change: &dyn Fn(&mut Record)| {
        made(&bench, name, &["static"], |record| {
            record.started = started.into();
            change(record);
        })
    };
    at("old.json", "2026-11-20T00:00:00Z", &|_| {});
    at("closed.json", "2026-11-21T00:00:00Z", &|_| {});
    at("open.json", "2026-11-19T00:00:00Z", &|record| open(record, 2000.0, 5.0, 36.0));
    at("other.json", "2026-11-20T12:00:00Z", &|record| {
        record.host.label = "other".into();
        open(record, 2000.0, 5.0, 36.0);
    });
    at("broken.json", "2026-11-23T00:00:00Z", &|record| record.complete = false);
    fs::write(bench.0.join("gate.json"), "{\"schema\": 2, \"kind\": \"gate\"}").unwrap();
    fs::write(bench.0.join("README.json"), "no JSON").unwrap();
    write(
        &bench,
        "smallest.json",
        &search("smallest", json!({}), json!({"smallest_mib": 20, "attempts": []})),
    );
    assert_eq!(used(), ["closed.json", "open.json", "smallest.json"]);

    at("newest.json", "2026-11-24T00:00:00Z", &|record| open(record, 2000.0, 5.0, 36.0));
    assert_eq!(used(), ["newest.json", "closed.json", "smallest.json"]);
    let (code, _, stderr) = ask("jobs");
    assert!(code == 1 && stderr.contains("\"jobs\"") && stderr.contains("heavy, light"), "{stderr}");
}

#[test]
fn mistakes_are_named() {
    let bench = Bench::new("size-mistakes");
    let record = full();
    let fails = |words: &[&str], messages: &[&str]| {
        let (code, _, stderr) = size(&bench, words);
        let said = messages.iter().all(|message| stderr.contains(message));
        assert!(code != 0 && said, "{words:?}: {stderr}");
    };
    fails(&["--rps", "0", "--p99", "20ms"], &["--rps", "give requests a second"]);
    fails(&["--rps", "1", "--p99", "abc"], &["--p99", "give a time with its unit"]);
    fails(&["--rps", "1", "--p99", "1s", "--margin", "0.3"], &["--margin", "give a percentage"]);
    fails(&["--rps", "1", "--p99", "1s", "--target", "static"], &["--k8s"]);
    fails(
        &["--rps", "1", "--p99", "1s", "--workload", "jobs", "--record", &record],
        &["\"jobs\"", "heavy, light"],
    );
    fails(&["--rps", "1", "--p99", "1s", "--record", "/no/file.json"], &["cannot read", "/no/file.json"]);
    fails(&["--rps", "1", "--p99", "1s", "--records-dir", "/no/dir"], &["/no/dir"]);
    let gate = committed("2026-11-21T151652-epyc-2cpu-gate.json");
    fails(&["--rps", "1", "--p99", "1s", "--record", &gate], &["kind \"gate\"", "run, saturation"]);
    let epyc = committed("2026-11-21T151450-epyc-2cpu.json");
    let both = ["--rps", "1", "--p99", "1s", "--record", &record, "--record", &epyc];
    fails(&both, &["xeon-2cpu", "epyc-2cpu", "different machines"]);
}
