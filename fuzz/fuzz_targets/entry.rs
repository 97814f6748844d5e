//! Any bytes as the body of `POST /analyze` and of a batch: always an answer, and the right kind of answer.
#![no_main]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use ounce::host::Host;
use ounce::jobs::Nowhere;
use ounce::router::{Surface, Target};
use ounce::service;
use serde_json::Value;

struct Quiet;

impl Host for Quiet {
    type Exchange<'a> = ();

    fn surface(&self) -> Surface {
        Surface::Everything
    }

    fn variant(&self) -> &str {
        "fuzz"
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }

    fn ready(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn max_body(&self) -> usize {
        1 << 20
    }

    async fn give_way(&self) {}

    async fn sleep(&self, _: Duration) {}

    type Jobs = Nowhere;

    async fn metrics(&self) -> String {
        String::new()
    }

    fn begin(&self, _: &Parts, _: &Target) {}
}

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing to wait for"),
    }
}

fn post(path: &'static str, body: &[u8]) -> (StatusCode, Value) {
    let request = Request::post(path).body(Full::new(Bytes::copy_from_slice(body))).unwrap();
    let response = now(service::handle(request, &Quiet));
    let status = response.status();
    let body = now(response.into_body().collect()).unwrap().to_bytes();
    (status, serde_json::from_slice(&body).expect("every answer is JSON"))
}

fuzz_target!(|body: &[u8]| {
    for path in ["/analyze", "/analyze?explain=1", "/analyze/batch"] {
        let (status, answer) = post(path, body);
        match status.as_u16() {
            200 => assert!(answer["score"].as_u64().is_some_and(|score| score <= 100) || answer["results"].is_array()),
            400 | 413 | 422 => assert_eq!(answer["status"], status.as_u16()),
            other => panic!("{other}: {answer}"),
        }
    }
    // What a strict reader takes as a text of the right length is scored.
    if let Ok(Value::Object(object)) = serde_json::from_slice::<Value>(body)
        && let Some(text) = object.get("text").and_then(Value::as_str)
        && (1..=ounce_model::MAX_CHARS).contains(&text.chars().count())
        && object.len() == 1
        && body.windows(6).filter(|window| window == b"\"text\"").count() == 1
        // Or the key could stand there twice, once in disguise.
        && !body.windows(2).any(|window| window == b"\\u")
    {
        let (status, answer) = post("/analyze", body);
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["score"], u64::from(ounce_model::score(text).score()));
    }
});
