//! Workload *jobs* over sockets, in a file: what is accepted is done, whatever happens to the process.

mod common;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::{env, fs, process, thread};

use common::{Answer, Client, Server, eventually};
use ounce_bench::launch::Signal;
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// A directory of its own, removed on drop.
struct Data(PathBuf);

impl Data {
    fn new(name: &str) -> Data {
        let path = env::temp_dir().join(format!("ounce-jobs-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory can be made");
        Data(path)
    }

    fn serve(&self, flags: &[&str]) -> Server {
        Server::start(&[&["--data-dir", self.0.to_str().expect("text")], flags].concat())
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it can be read");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn post(client: &mut Client, body: &Value, key: Option<&str>) -> Answer {
    let headers: Vec<_> = JSON.into_iter().chain(key.map(|key| ("idempotency-key", key))).collect();
    client.request("POST", "/jobs", &headers, body.to_string().as_bytes())
}

/// The id of a job that was accepted.
fn submit(server: &Server, body: &Value) -> String {
    let answer = post(&mut server.connect(), body, None);
    assert_eq!(answer.status, 202, "{}", answer.text());
    id(&answer)
}

fn id(answer: &Answer) -> String {
    answer.json()["job_id"].as_str().expect("an id").to_owned()
}

fn job(server: &Server, id: &str) -> Value {
    server.get(&format!("/jobs/{id}")).json()
}

fn until(server: &Server, id: &str, status: &str) -> Value {
    let mut seen = Value::Null;
    eventually(&format!("{id} is {status}"), || {
        seen = job(server, id);
        seen["status"] == status
    });
    seen
}

fn kill(server: &mut Server) {
    server.process.signal(Signal::KILL).expect("it can be killed");
    assert_eq!(server.exit_code(), None);
}

#[test]
fn a_job_is_accepted_and_done() {
    let data = Data::new("done");
    let mut server = data.serve(&[]);
    assert_eq!(server.get("/jobs").json(), json!({"jobs": [], "next": null}));
    assert_eq!(data.files(), [""; 0], "it is made when it is needed");
    let done = until(&server, &submit(&server, &json!({"text": "straße\u{0}"})), "done");
    assert_eq!((&done["result"], &done["attempts"]), (&"STRASSE\u{0}".into(), &1.into()), "{done}");
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    assert_eq!(data.files(), ["ounce.db"], "it was closed");
    assert_eq!(job(&data.serve(&[]), done["job_id"].as_str().unwrap()), done);
}

#[test]
fn what_waits_and_what_was_begun_survives_a_kill() {
    let data = Data::new("kill");
    let flags = ["--worker-concurrency", "1", "--job-lease", "1s"];
    let mut server = data.serve(&flags);
    let begun = submit(&server, &json!({"text": "200ms", "kind": "sleep"}));
    let waits = submit(&server, &json!({"text": "x"}));
    until(&server, &begun, "processing");
    kill(&mut server);
    let server = data.serve(&flags);
    assert_eq!(until(&server, &waits, "done")["attempts"], 1);
    assert_eq!(until(&server, &begun, "done")["attempts"], 2);
}

#[test]
fn a_stop_gives_back_what_it_cannot_finish() {
    let data = Data::new("stop");
    let mut server = data.serve(&["--shutdown-timeout", "50ms"]);
    let long = submit(&server, &json!({"text": "60m", "kind": "sleep"}));
    // Before the worker has it, there is nothing that it cannot finish.
    eventually("it is begun", || server.get("/metrics").text().contains("jobs_inflight 1\n"));
    server.terminate();
    assert_eq!(server.exit_code(), Some(1));
    assert_eq!(data.files(), ["ounce.db"]);
    let server = data.serve(&["--worker", "off"]);
    let job = job(&server, &long);
    assert_eq!((&job["status"], &job["attempts"]), (&"queued".into(), &0.into()), "{job}");
}

#[test]
fn memory_leaves_no_file() {
    let data = Data::new("memory");
    let mut spawn = vec![env!("CARGO_BIN_EXE_ounce"), "--listen", "127.0.0.1:0", "--workers", "1"];
    spawn.extend(["--data-dir", ":memory:"]);
    let server = Server::spawn(spawn.into_iter());
    let done = until(&server, &submit(&server, &json!({"text": "x"})), "done");
    assert_eq!(done["result"], "X");
    assert_eq!(data.files(), [""; 0]);
    assert!(!Path::new(":memory:").exists());
}

/// The one has no worker, the other no clients: neither looks into the file without a reason.
#[test]
fn processes_share_a_file() {
    let data = Data::new("share");
    let (worker, front) = (data.serve(&[]), data.serve(&["--worker", "off"]));
    for text in ["a", "b", "c"] {
        until(&front, &submit(&front, &json!({ "text": text })), "done");
    }
    let completed = worker.get("/metrics");
    let line = "jobs_completed_total{status=\"done\"} 3";
    assert!(completed.text().lines().any(|found| found == line), "{}", completed.text());
}

#[test]
fn a_file_of_another_program_ends_the_start_with_one_line() {
    let data = Data::new("foreign");
    let path = data.0.join("ounce.db");
    fs::write(&path, "no database").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ounce"));
    command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(&data.0);
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.lines().count() == 1 && line.contains(path.to_str().unwrap()), "{line}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "no database");
}

/// Jobs that were answered 202, by id, with their text; and how many were sent under a key without an answer.
type Accepted = HashMap<String, String>;

/// Submits until the server is gone.
fn load(address: SocketAddr, thread: usize, round: usize, total: &AtomicUsize) -> Accepted {
    let mut accepted = Accepted::new();
    let Ok(mut client) = Client::try_connect(address) else { return accepted };
    for number in 0.. {
        let text = format!("r{round}t{thread}n{number}");
        let body = json!({ "text": text }).to_string();
        let head = format!(
            "POST /jobs HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\nidempotency-key: {text}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let sent = client.send(head.as_bytes()).and_then(|()| client.send(body.as_bytes()));
        let Ok(answer) = sent.and_then(|()| client.answer()) else { break };
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert!(accepted.insert(id(&answer), text).is_none(), "an id was given twice");
        total.fetch_add(1, Relaxed);
    }
    accepted
}

/// Everything in the store: id to (status, attempts).
fn everything(server: &Server) -> HashMap<String, (String, u64)> {
    let (mut all, mut client, mut next) = (HashMap::new(), server.connect(), String::new());
    loop {
        let page = client.get(&format!("/jobs?limit=100&cursor={next}")).json();
        for job in page["jobs"].as_array().expect("jobs") {
            let (id, status) = (job["job_id"].as_str().unwrap(), job["status"].as_str().unwrap());
            let seen = (status.to_owned(), job["attempts"].as_u64().unwrap());
            assert!(all.insert(id.to_owned(), seen).is_none(), "{id} is there twice");
        }
        match page["next"].as_str() {
            Some(cursor) => next = cursor.to_owned(),
            None => return all,
        }
    }
}

/// Killed at moments that differ from round to round, under load.
fn rounds(count: usize) {
    let data = Data::new(&format!("rounds-{count}"));
    let flags = ["--job-lease", "100ms", "--worker-concurrency", "16"];
    let mut accepted = Accepted::new();
    for round in 0..count {
        let mut server = data.serve(&flags);
        let (address, total) = (server.address, Arc::new(AtomicUsize::new(0)));
        let clients: Vec<_> = (0..4)
            .map(|thread| {
                let total = total.clone();
                thread::spawn(move || load(address, thread, round, &total))
            })
            .collect();
        // From the first job on to some hundred: in the middle of everything.
        let enough = 1 + (round * 7919) % 211;
        eventually("the load is under way", || total.load(Relaxed) >= enough);
        kill(&mut server);
        for client in clients {
            accepted.extend(client.join().expect("the load does not panic"));
        }
    }
    let mut server = data.serve(&flags);
    let mut all = HashMap::new();
    eventually("all is done", || {
        all = everything(&server);
        all.values().all(|(status, _)| status == "done")
    });
    let lost: Vec<_> = accepted.keys().filter(|id| !all.contains_key(*id)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} were lost: {:?}",
        lost.len(),
        accepted.len(),
        &lost[..lost.len().min(3)]
    );
    // What was stored but not answered may be there as well: one for each client and round, at most.
    assert!(all.len() - accepted.len() <= 4 * count, "{} for {}", all.len(), accepted.len());
    let texts: HashSet<_> = accepted.values().collect();
    assert_eq!(texts.len(), accepted.len());
    for (id, text) in accepted.iter().step_by(accepted.len().div_ceil(200)) {
        assert_eq!(job(&server, id)["result"], text.to_uppercase(), "{id}");
    }
    let again = all.values().filter(|(_, attempts)| *attempts > 1).count();
    println!("{count} rounds: {} accepted, {} stored, {again} begun again", accepted.len(), all.len());
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn every_job_that_was_accepted_is_done_though_the_process_is_killed_under_load() {
    let count = env::var("OUNCE_ROUNDS").ok().and_then(|text| text.parse().ok());
    rounds(count.unwrap_or(5));
}

#[test]
#[ignore = "takes minutes"]
fn the_same_two_hundred_times() {
    rounds(200);
}
