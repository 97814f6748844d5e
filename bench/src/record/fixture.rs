//! Small records for tests.

use serde_json::json;

use super::Record;

/// 2,000 requests in 10 s and 10 drained ones at a median of 2 MB, on one server and one generator CPU.
pub(crate) fn record(server_cpu_s: f64, generator_busy: f64, others_share: f64) -> Record {
    let memory = |mb: u64| json!({"pss": mb * 1_000_000, "pss_anon": 0, "pss_file": 0, "pss_shmem": 0});
    let sample = |mb| json!({"at_ms": 0.0, "processes": 1, "memory": memory(mb)});
    let latency = json!({"mean_ms": 1.0, "p50_ms": 3.0, "p90_ms": 1.0, "p99_ms": 4.0, "p99_9_ms": 1.0, "max_ms": 1.0,
        "quantiles": []});
    let errors = json!({"connect": 1, "reset": 0, "timeout": 2, "status": 0, "body": 0, "closed": 0, "malformed": 0,
        "unsent": 0});
    let load = json!({"schedule": "closed", "connections": 1, "threads": 1, "window_s": 10.0, "requests": 2000,
        "drained": 10, "errors": errors, "reconnects": 0, "latency": latency, "wall_s": 10.0,
        "server_cpu_s": server_cpu_s, "others_share": others_share, "server_cpus": 1, "generator_cpu_s": 1.0,
        "generator_busy": generator_busy});
    let cell = |workload, round, starts: &[f64]| {
        let starts: Vec<_> = starts.iter().map(|ms| json!({"page_cache": "warm", "ready_ms": ms})).collect();
        json!({"target": "t", "workload": workload, "round": round, "started": "", "error": null,
        "starts": starts, "about": null, "idle": {"total": memory(1), "settled": true, "processes": []},
        "warm_up_s": 1.0, "load": load, "samples": [sample(2), sample(9), sample(1)], "samples_error": null,
        "sampler_cpu_s": 0.0, "after": null})
    };
    let record = json!({"schema": 2, "kind": "run", "started": "", "ended": null, "complete": true, "profile": "quick", "rounds": 2,
        "host": {"label": "h", "cpu": "c", "cpus": 2, "memory_bytes": 1, "os": "o", "kernel": "k", "architecture": "a",
            "virtualisation": "none", "tools": {}, "git": null},
        "placement": {"server_cpus": [1], "generator_cpus": [0], "warning": null},
        "targets": [{"definition": {"name": "t", "kind": "process"}, "artefact_bytes": 1_500_000}], "workloads": [],
        "cells": [cell("w", 0, &[5.0, 1.0]), cell("v", 0, &[6.0])]});
    serde_json::from_value(record).unwrap()
}

/// A record with as many rounds as there are numbers of requests.
pub(crate) fn with_rounds(requests: &[u64]) -> Record {
    let mut record = record(2.01, 0.5, 0.0);
    let cell = record.cells.remove(0);
    record.cells = requests.iter().map(|_| cell.clone()).collect();
    for (round, (cell, requests)) in record.cells.iter_mut().zip(requests).enumerate() {
        cell.round = round;
        cell.load.as_mut().unwrap().requests = *requests;
    }
    record
}
