//! Records of searches as they would be of the machine and targets of the committed run.

use std::fs;

use ounce_bench::data::bench_dir;
use serde_json::{Value, json};

/// A record of a search, in the shape of its schema: the same host and target as the committed run.
pub fn search(kind: &str, more: Value, found: Value) -> Value {
    let run = bench_dir().join("records/2026-11-21T180817-xeon-2cpu.json");
    let run: Value = serde_json::from_str(&fs::read_to_string(run).unwrap()).unwrap();
    let mut targets = run["targets"].as_array().unwrap().iter();
    let target = targets.find(|target| target["definition"]["name"] == "docker-standard").unwrap();
    let mut search =
        json!({"target": target, "error": null, "emulated": false, "forwarded": false, "shared": false});
    search.as_object_mut().unwrap().extend(found.as_object().unwrap().clone());
    let mut record = json!({"schema": 2, "kind": kind, "started": "2026-11-22T00:00:00Z", "ended": null, "complete": true,
        "host": run["host"], "placement": run["placement"], "workload": run["workloads"][0], "connections": 64,
        "duration_s": 5.0, "searches": [search]});
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    record
}

pub fn probe(rate: f64, p99_ms: f64, schedule: Value) -> Value {
    let errors = json!({"connect": 0, "reset": 0, "timeout": 0, "status": 0, "body": 0, "closed": 0, "malformed": 0,
        "unsent": 0});
    json!({"schedule": schedule, "connections": 64, "window_s": 1.0, "requests": rate as u64, "drained": 0,
        "req_per_s": rate, "errors": errors, "mean_ms": 1.0, "p50_ms": 1.0, "p90_ms": 1.0, "p99_ms": p99_ms,
        "p99_9_ms": 1.0, "max_ms": 1.0, "wall_s": 1.0, "server_cpu_s": rate / 1e5, "server_cpus": 1.0,
        "generator_cpu_s": 0.1, "generator_busy": 0.1, "others_share": 0.0, "pss_bytes": 17_000_000,
        "pss_peak_bytes": 18_000_000, "cgroup_bytes": 3_000_000, "cgroup_peak_bytes": 4_000_000})
}

pub fn attempt(rate: f64, p99_ms: f64) -> Value {
    let why = if p99_ms > 10.0 { json!("p99 was too long") } else { Value::Null };
    json!({"rate": rate, "why": why, "probe": probe(rate, p99_ms, json!({"open": {"rate": rate}}))})
}
