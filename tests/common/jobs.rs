//! A client of workload *jobs*.

use std::io;

use serde_json::{Value, json};

use super::{Answer, Client, Server, eventually};

pub fn submit(client: &mut Client, kind: &str, text: &str, key: Option<&str>) -> Answer {
    try_submit(client, kind, text, key).expect("an answer")
}

/// Fails when the server goes away.
pub fn try_submit(client: &mut Client, kind: &str, text: &str, key: Option<&str>) -> io::Result<Answer> {
    let body = json!({"text": text, "kind": kind}).to_string();
    let key = key.map(|key| format!("idempotency-key: {key}\r\n")).unwrap_or_default();
    let head = format!(
        "POST /jobs HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n{key}content-length: {}\r\n\r\n",
        body.len()
    );
    client.send((head + &body).as_bytes())?;
    client.answer()
}

/// The id of a job that was accepted.
pub fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["job_id"].as_str().expect("an id").to_owned()
}

/// The id of a new job.
pub fn stored(server: &Server, kind: &str, text: &str) -> String {
    id(&submit(&mut server.connect(), kind, text, None))
}

pub fn job(server: &Server, id: &str) -> Value {
    server.get(&format!("/jobs/{id}")).json()
}

pub fn becomes(server: &Server, id: &str, status: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("{id} is {status}"), || {
        last = job(server, id);
        last["status"] == status
    });
    last
}
