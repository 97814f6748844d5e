//! Jobs on Spin itself: in its SQLite, where the component does them after its response, and in Redis, where native
//! workers do them.

mod common;

use std::time::{Duration, Instant};

use common::jobs::{becomes, id, job, stored, submit};
use common::redis::Redis;
use common::spin::{Spin, spin_up};
use common::{Server, eventually};
use ounce_bench::launch::{Process, Spawn};

/// Whether the scrape has this line.
fn shows(spin: &Spin, line: &str) -> bool {
    spin.get("/metrics").text().lines().any(|shown| shown == line)
}

#[test]
fn a_job_is_done_after_the_response() {
    let Some(spin) = spin_up(&[]) else { return };
    assert_eq!(spin.get("/jobs").json()["jobs"], serde_json::json!([]));
    let mut client = spin.server.connect();
    let first = id(&submit(&mut client, "uppercase", "straße", Some("key")));
    let done = becomes(&spin.server, &first, "done");
    assert_eq!((&done["result"], &done["attempts"]), (&"STRASSE".into(), &1.into()), "{done}");
    let again = submit(&mut client, "uppercase", "straße", Some("key"));
    assert_eq!((id(&again), &again.json()["status"]), (first.clone(), &"done".into()));
    assert_eq!(submit(&mut client, "sleep", "1ms", Some("key")).status, 422);
    assert!(
        becomes(&spin.server, &stored(&spin.server, "analyze", "idiot"), "done")["result"]["score"]
            .is_number()
    );
    assert_eq!(spin.get("/jobs?limit=1&status=done").json()["jobs"].as_array().expect("a list").len(), 1);
    assert_eq!(client.request("DELETE", &format!("/jobs/{first}"), &[], b"").status, 409);
    assert!(shows(&spin, "jobs_completed_total{status=\"done\"} 2") && shows(&spin, "jobs_queue_depth 0"));
}

/// The client has its answer long before the job is done, and others are served meanwhile.
#[test]
fn nobody_waits_for_a_job() {
    let Some(spin) = spin_up(&[("JOB_LEASE", "1s")]) else { return };
    let begun = Instant::now();
    let mut client = spin.server.connect();
    let slow = id(&submit(&mut client, "sleep", "3s", None));
    assert_eq!(client.get("/livez").status, 200);
    let quick = stored(&spin.server, "uppercase", "x");
    becomes(&spin.server, &quick, "done");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // The others look for jobs, too, and its lease is shorter than it is.
    assert_eq!(becomes(&spin.server, &slow, "done")["attempts"], 1);
}

#[test]
fn what_a_dead_instance_held_is_done_by_another() {
    let variables = [("JOB_LEASE", "2s")];
    let Some(spin) = spin_up(&variables) else { return };
    let held = stored(&spin.server, "sleep", "1s");
    becomes(&spin.server, &held, "processing");
    let spin = spin.restart(&variables);
    assert_eq!(job(&spin.server, &held)["attempts"], 1);
    assert_eq!(becomes(&spin.server, &held, "done")["attempts"], 2);
}

#[test]
fn without_a_worker_the_queue_fills() {
    let off = ("WORKER", "off");
    let Some(spin) = spin_up(&[off, ("QUEUE_LIMIT", "2")]) else { return };
    let mut client = spin.server.connect();
    let first = id(&submit(&mut client, "uppercase", "1", Some("key")));
    let second = stored(&spin.server, "uppercase", "2");
    let refused = submit(&mut client, "uppercase", "3", None);
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(id(&submit(&mut client, "uppercase", "1", Some("key"))), first);
    assert!(shows(&spin, "jobs_queue_depth 2"));
    let list = spin.get("/jobs?limit=1").json();
    assert_eq!(list["jobs"][0]["job_id"], second.as_str());
    let next = spin.get(&format!("/jobs?cursor={}", list["next"].as_str().expect("a cursor"))).json();
    assert_eq!((&next["jobs"][0]["job_id"], next["next"].is_null()), (&first.as_str().into(), true));
    assert_eq!(client.request("DELETE", &format!("/jobs/{first}"), &[], b"").status, 200);
    assert_eq!(client.get(&format!("/jobs/{first}")).status, 404);
    // Whoever asks for jobs gets done what others have left.
    let spin = spin.restart(&[("JOB_KEEP", "1s")]);
    becomes(&spin.server, &second, "done");
    eventually("it expires", || spin.get(&format!("/jobs/{second}")).status == 404);
}

/// Several at once make the tables, and several work.
#[test]
fn jobs_that_come_at_once_are_all_done() {
    let Some(spin) = spin_up(&[]) else { return };
    let ids: Vec<_> = std::thread::scope(|scope| {
        let some = |from: usize| {
            (0..20).map(|i| stored(&spin.server, "uppercase", &format!("j{}", from + i))).collect()
        };
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || -> Vec<String> { some(n * 20) })).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("all are accepted")).collect()
    });
    for (i, id) in ids.iter().enumerate() {
        let done = becomes(&spin.server, id, "done");
        assert_eq!((&done["result"], &done["attempts"]), (&format!("J{i}").into(), &1.into()), "{done}");
    }
    assert!(shows(&spin, "jobs_completed_total{status=\"done\"} 160") && shows(&spin, "jobs_queue_depth 0"));
}

/// A front end on Spin, a worker of the native binary, one queue.
#[test]
fn a_native_worker_serves_a_front_end_on_spin() {
    let Some(mut redis) = Redis::start(&[]) else { return };
    let Some(spin) = spin_up(&[("REDIS_URL", &redis.url()), ("REDIS_HOST", &redis.address.to_string())])
    else {
        return;
    };
    let mut client = spin.server.connect();
    let waiting = id(&submit(&mut client, "uppercase", "été", Some("key")));
    assert_eq!(job(&spin.server, &waiting)["status"], "queued");
    assert!(shows(&spin, "jobs_queue_depth 1"));
    assert_eq!(redis.ask(&["XLEN", "{ounce}:jobs"]), ":1\r\n");
    let cancelled = stored(&spin.server, "sleep", "5m");
    assert_eq!(client.request("DELETE", &format!("/jobs/{cancelled}"), &[], b"").status, 200);

    let command = [env!("CARGO_BIN_EXE_ounce"), "worker", "--redis-url", &redis.url()];
    let _worker = Process::spawn(&Spawn::new(command)).expect("it starts");
    let done = becomes(&spin.server, &waiting, "done");
    assert_eq!((&done["result"], &done["attempts"]), (&"ÉTÉ".into(), &1.into()), "{done}");
    assert_eq!(id(&submit(&mut client, "uppercase", "été", Some("key"))), waiting);
    // The native front end shows the same.
    let native = Server::start(&["--redis-url", &redis.url(), "--worker", "off"]);
    assert_eq!(job(&native, &waiting), done);
    assert_eq!(native.get("/jobs?status=done").json(), spin.get("/jobs?status=done").json());

    redis.kill();
    let away = submit(&mut client, "uppercase", "x", None);
    assert_eq!((away.status, away.header("retry-after")), (503, Some("1")));
    redis.restart();
    becomes(&spin.server, &stored(&spin.server, "uppercase", "again"), "done");
}

/// Jobs are not kept elsewhere than was meant, and what may hold a password is not shown.
#[test]
fn a_wrong_url_of_redis_refuses_jobs() {
    let Some(spin) = spin_up(&[("REDIS_URL", "http://:wr0ng-secret@host")]) else { return };
    assert_eq!((spin.get("/readyz").status, spin.get("/api/light").status), (503, 200));
    assert_eq!(submit(&mut spin.server.connect(), "uppercase", "x", None).status, 503);
    eventually("the log says why", || spin.log().contains("variable redis_url"));
    assert!(!spin.log().contains("wr0ng"), "{}", spin.log());

    let elsewhere = [("REDIS_URL", "redis://127.0.0.1:1"), ("REDIS_HOST", "queue.internal:6379")];
    let spin = spin_up(&elsewhere).expect("it is there");
    assert_eq!(submit(&mut spin.server.connect(), "uppercase", "x", None).status, 503);
    eventually("the log says why", || spin.log().contains("allowed_outbound_hosts"));
}
