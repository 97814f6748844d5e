//! Jobs in a real Redis: what its store does beside what all stores do.

mod common;

use std::time::{Duration, Instant};

use common::jobs::{becomes, id, job, stored, submit};
use common::redis::Redis;
use common::{DEADLINE, Server, eventually};
use ounce_bench::launch::{Process, Signal, Spawn};

const STREAM: &str = "{ounce}:jobs";

/// A server that keeps its jobs there.
fn server(redis: &Redis, flags: &[&str]) -> Server {
    let url = redis.url();
    Server::start(&[&["--redis-url", &url], flags].concat())
}

fn ids(list: &serde_json::Value) -> Vec<&str> {
    list["jobs"].as_array().unwrap().iter().map(|job| job["job_id"].as_str().unwrap()).collect()
}

#[test]
fn a_job_waits_for_the_worker_of_another_process() {
    let Some(redis) = Redis::start(&[]) else { return };
    let front = server(&redis, &["--worker", "off"]);
    let waiting = stored(&front, "uppercase", "straße");
    assert_eq!(job(&front, &waiting)["status"], "queued");
    assert_eq!(redis.ask(&["XLEN", STREAM]), ":1\r\n");

    let _worker = server(&redis, &[]);
    let done = becomes(&front, &waiting, "done");
    assert_eq!((&done["result"], &done["attempts"]), (&"STRASSE".into(), &1.into()));
    for left in ["{ounce}:queued", "{ounce}:processing"] {
        assert_eq!(redis.ask(&["ZCARD", left]), ":0\r\n", "{left}");
    }
    assert_eq!(redis.ask(&["XLEN", STREAM]), ":0\r\n");
    assert!(redis.ask(&["XPENDING", STREAM, "workers"]).starts_with("*4\r\n:0\r\n"));
}

#[test]
fn a_key_names_one_job() {
    let Some(redis) = Redis::start(&[]) else { return };
    let server = server(&redis, &["--job-keep", "2s"]);
    let mut client = server.connect();
    let first = id(&submit(&mut client, "uppercase", "one", Some("a key: of \"mine\"")));
    becomes(&server, &first, "done");
    let again = submit(&mut client, "uppercase", "one", Some("a key: of \"mine\""));
    assert_eq!((id(&again), &again.json()["status"]), (first.clone(), &"done".into()));
    for (kind, text) in [("uppercase", "two"), ("sleep", "1ms")] {
        assert_eq!(submit(&mut client, kind, text, Some("a key: of \"mine\"")).status, 422);
    }
    eventually("it expires", || server.get(&format!("/jobs/{first}")).status == 404);
    assert_ne!(id(&submit(&mut client, "uppercase", "two", Some("a key: of \"mine\""))), first);
}

#[test]
fn what_waits_can_be_cancelled() {
    let Some(redis) = Redis::start(&[]) else { return };
    let front = server(&redis, &["--worker", "off"]);
    let mut client = front.connect();
    let first = id(&submit(&mut client, "sleep", "5m", Some("key")));
    assert_eq!(client.request("DELETE", &format!("/jobs/{first}"), &[], b"").status, 200);
    assert_eq!(client.get(&format!("/jobs/{first}")).status, 404);
    assert_eq!(redis.ask(&["XLEN", STREAM]), ":0\r\n");
    assert_eq!(redis.ask(&["KEYS", "*[^r]"]), format!("*1\r\n${}\r\n{STREAM}\r\n", STREAM.len()));

    let second = id(&submit(&mut client, "sleep", "5m", Some("key")));
    let _worker = server(&redis, &[]);
    becomes(&front, &second, "processing");
    assert_eq!(client.request("DELETE", &format!("/jobs/{second}"), &[], b"").status, 409);
}

#[test]
fn a_full_queue_refuses() {
    let Some(redis) = Redis::start(&[]) else { return };
    let server = server(&redis, &["--worker", "off", "--queue-limit", "2"]);
    let mut client = server.connect();
    let first = id(&submit(&mut client, "uppercase", "1", Some("key")));
    stored(&server, "uppercase", "2");
    let refused = submit(&mut client, "uppercase", "3", None);
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(id(&submit(&mut client, "uppercase", "1", Some("key"))), first);
    client.request("DELETE", &format!("/jobs/{first}"), &[], b"");
    stored(&server, "uppercase", "3");
}

#[test]
fn a_job_that_kills_its_workers_is_given_up() {
    let Some(redis) = Redis::start(&[]) else { return };
    let front = server(&redis, &["--worker", "off"]);
    let deadly = stored(&front, "sleep", "5m");
    for attempt in 1..=5 {
        let worker = server(&redis, &["--job-lease", "300ms"]);
        eventually("it is begun", || job(&front, &deadly)["attempts"] == attempt);
        worker.process.signal(Signal::KILL).unwrap();
    }
    let _worker = server(&redis, &["--job-lease", "300ms"]);
    let failed = becomes(&front, &deadly, "failed");
    assert_eq!(failed["attempts"], 5);
    assert!(failed["error"].as_str().unwrap().starts_with("given up"), "{failed}");
    assert_eq!(ids(&front.get("/jobs?status=failed").json()), [deadly.as_str()]);
    assert_eq!(redis.ask(&["XLEN", STREAM]), ":0\r\n");
}

/// Two workers, and a job that takes several leases: whoever has it keeps it.
#[test]
fn a_lease_is_kept_while_its_worker_lives() {
    let Some(redis) = Redis::start(&[]) else { return };
    let workers = [(); 2].map(|()| server(&redis, &["--job-lease", "300ms"]));
    let long = stored(&workers[0], "sleep", "1500ms");
    assert_eq!(becomes(&workers[1], &long, "done")["attempts"], 1);
}

/// A worker sleeps through its lease, and wakes up with its job at its end, which another has begun again.
#[test]
fn the_end_of_a_lost_lease_does_not_count() {
    let Some(redis) = Redis::start(&[]) else { return };
    let late = server(&redis, &["--job-lease", "500ms"]);
    let job_id = stored(&late, "sleep", "1500ms");
    becomes(&late, &job_id, "processing");
    late.process.signal(Signal::STOP).unwrap();
    let next = server(&redis, &["--job-lease", "500ms"]);
    eventually("another begins it", || job(&next, &job_id)["attempts"] == 2);
    // By then it is at its end for the one that sleeps; so that one says so before the other can.
    late.process.signal(Signal::CONT).unwrap();
    let stale = |server: &Server| server.get("/metrics").text().contains("jobs_stale_total 1\n");
    eventually("its end is refused", || stale(&late));
    assert_eq!(becomes(&next, &job_id, "done")["attempts"], 2);
    assert!(!stale(&next));
}

#[test]
fn a_worker_that_stops_gives_its_jobs_back_at_once() {
    let Some(redis) = Redis::start(&[]) else { return };
    let front = server(&redis, &["--worker", "off"]);
    let flags = ["--job-lease", "10m", "--shutdown-timeout", "100ms", "--worker-concurrency", "1"];
    let mut worker = server(&redis, &flags);
    let held = stored(&front, "sleep", "5m");
    becomes(&front, &held, "processing");
    worker.terminate();
    assert_eq!(worker.exit_code(), Some(1), "a job was cut off");
    let back = job(&front, &held);
    assert_eq!((&back["status"], &back["attempts"]), (&"queued".into(), &0.into()), "{back}");
    assert_eq!(redis.ask(&["XINFO", "CONSUMERS", STREAM, "workers"]), "*0\r\n");
    let _next = server(&redis, &flags);
    assert_eq!(becomes(&front, &held, "processing")["attempts"], 1);
}

/// One that waits is told to stop: it leaves nothing behind, and is quick.
#[test]
fn an_idle_worker_leaves_at_once() {
    let Some(redis) = Redis::start(&[]) else { return };
    let mut worker = server(&redis, &[]);
    becomes(&worker, &stored(&worker, "uppercase", "by which Redis knows it"), "done");
    let blocked = || redis.ask(&["INFO", "clients"]).contains("blocked_clients:1");
    eventually("it waits in Redis", blocked);
    let began = Instant::now();
    worker.terminate();
    assert_eq!(worker.exit_code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(redis.ask(&["XINFO", "CONSUMERS", STREAM, "workers"]), "*0\r\n");
}

#[test]
fn a_list_goes_from_late_to_early() {
    let Some(redis) = Redis::start(&[]) else { return };
    let server = server(&redis, &["--worker", "off"]);
    let mut made: Vec<_> = (0..25).map(|i| stored(&server, "uppercase", &i.to_string())).collect();
    made.reverse();
    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = server.get(&format!("/jobs?limit=10&status=queued&cursor={cursor}")).json();
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!((pages, seen), (3, made));
    // Numbers, but none that this store gave; and a list of nothing.
    for odd in ["cursor=1-1", "cursor=9999999999999999999", "status=done"] {
        let page = server.get(&format!("/jobs?{odd}")).json();
        assert!(ids(&page).is_empty() && page["next"].is_null(), "{odd}: {page}");
    }
    for wrong in ["x-1", "99999999999999999999999"] {
        let answer = server.get(&format!("/jobs?cursor={wrong}"));
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(
            answer.text().contains("the query's cursor must be what next was in the list before"),
            "{wrong}"
        );
    }
}

/// Jobs of several states make one list; what has expired is in none, and leaves nothing.
#[test]
fn what_expires_leaves_the_list() {
    let Some(redis) = Redis::start(&[]) else { return };
    let server = server(&redis, &["--job-keep", "500ms"]);
    let held = stored(&server, "sleep", "5m");
    let done: Vec<_> = (0..30).map(|i| stored(&server, "uppercase", &i.to_string())).collect();
    for id in &done {
        eventually("it expires", || server.get(&format!("/jobs/{id}")).status == 404);
    }
    let mut last = Vec::new();
    eventually("the list is without them", || {
        let page = server.get("/jobs?limit=5").json();
        last = ids(&page).into_iter().map(str::to_owned).collect();
        page["next"].is_null()
    });
    assert_eq!(last, [held]);
    let after = stored(&server, "uppercase", "x");
    becomes(&server, &after, "done");
    assert_eq!(redis.ask(&["ZCARD", "{ounce}:done"]), ":1\r\n");
}

#[test]
fn a_wrong_password_is_said_and_not_shown() {
    let Some(redis) = Redis::start(&["--requirepass", "right"]) else { return };
    let url = format!("redis://:wr0ng-secret@{}", redis.address);
    let spawn = Spawn::new([env!("CARGO_BIN_EXE_ounce"), "--listen", "127.0.0.1:0", "--workers", "1"]);
    let server = Server::of(Process::spawn(&spawn.env("OUNCE_REDIS_URL", url)).unwrap());
    let refused = submit(&mut server.connect(), "uppercase", "x", None);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    eventually("it is logged", || server.process.stderr().text().contains("authentication failed"));
    let shown = server.process.stderr().text() + refused.text() + server.get("/metrics").text();
    assert!(!shown.contains("wr0ng"), "{shown}");
}

#[test]
fn a_url_that_is_none_is_not_shown() {
    let spawn = Spawn::new([env!("CARGO_BIN_EXE_ounce"), "--listen", "127.0.0.1:0"]);
    let url = "redis://:wr0ng-secret@host:port:0/x/y";
    let mut process = Process::spawn(&spawn.env("OUNCE_REDIS_URL", url)).unwrap();
    let status = process.wait(DEADLINE).unwrap().expect("it ends");
    assert_eq!(status.code(), Some(64));
    process.stderr().wait_closed(DEADLINE);
    let words = process.stderr().text();
    assert!(
        words.contains("OUNCE_REDIS_URL: its value cannot be used: ") && !words.contains("wr0ng"),
        "{words}"
    );
}
