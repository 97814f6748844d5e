//! Workload *analyze* over sockets: what the contract cannot hold, because it needs several requests or their counts.

mod common;

use common::{Answer, Client, DEADLINE, Server, eventually};
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn post(client: &mut Client, path: &str, body: &Value) -> Answer {
    client.request("POST", path, &JSON, body.to_string().as_bytes())
}

/// The value of a line of the text format, by its full name with labels.
fn value(server: &Server, series: &str) -> Option<f64> {
    let metrics = server.get("/metrics");
    metrics.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn the_strongest_ngrams_stand_where_they_are_said_to() {
    let server = Server::start(&[]);
    let text = "é😀 what a Stupid, stuuupid 1d10t you are \u{0000}e\u{301}";
    let answer = post(&mut server.connect(), "/analyze?explain=1", &json!({"text": text})).json();
    let explanation = answer["explanation"].as_array().unwrap();
    assert!(!explanation.is_empty(), "{answer}");
    for ngram in explanation {
        let range = |name: &str| {
            let [start, end] = [0, 1].map(|index| ngram[name][index].as_u64().unwrap() as usize);
            start..end
        };
        let by_characters: String =
            text.chars().skip(range("characters").start).take(range("characters").len()).collect();
        assert_eq!(&text[range("bytes")], ngram["ngram"], "{ngram}");
        assert_eq!(by_characters, ngram["ngram"], "{ngram}");
    }
    let weights: Vec<f64> = explanation.iter().map(|ngram| ngram["weight"].as_f64().unwrap().abs()).collect();
    assert!(weights.is_sorted_by(|one, next| one >= next), "{weights:?}");
    assert!(explanation.iter().any(|ngram| ngram["ngram"] == "1d10t"), "{answer}");
}

#[test]
fn a_full_batch_is_answered_as_its_texts_are_alone() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let texts: Vec<String> = (0..256).map(|i| format!("you idiot number {i} {}", "la ".repeat(i))).collect();
    let batch = post(&mut client, "/analyze/batch", &json!({"texts": texts})).json();
    let results = batch["results"].as_array().unwrap();
    assert_eq!(results.len(), texts.len());
    for (text, result) in texts.iter().zip(results).step_by(17) {
        let alone = post(&mut client, "/analyze", &json!({"text": text})).json();
        assert_eq!((&alone["score"], &alone["language"]), (&result["score"], &result["language"]), "{text}");
    }
    let longer = [texts, vec!["one more".into()]].concat();
    let refused = post(&mut client, "/analyze/batch", &json!({"texts": longer}));
    assert_eq!(refused.status, 422, "{}", refused.text());
}

#[test]
fn requests_scores_and_times_are_counted() {
    let server = Server::start(&["--workers", "2"]);
    for _ in 0..3 {
        post(&mut server.connect(), "/analyze", &json!({"text": "good morning"}));
    }
    post(&mut server.connect(), "/analyze/batch", &json!({"texts": ["shut up, fucking idiot", "hello"]}));
    post(&mut server.connect(), "/analyze", &json!({"text": ""}));
    post(&mut server.connect(), "/analyze", &json!({"text": "hello", "model": "oracle"}));
    server.connect().request("POST", "/analyze", &JSON, b"{");
    let expect = |series: &str, expected: f64| assert_eq!(value(&server, series), Some(expected), "{series}");
    expect(r#"toxicity_api_requests_total{model_type="simple",status="200"}"#, 4.0);
    expect(r#"toxicity_api_requests_total{model_type="simple",status="422"}"#, 1.0);
    expect(r#"toxicity_api_requests_total{model_type="unknown",status="422"}"#, 1.0);
    expect(r#"toxicity_api_requests_total{model_type="unknown",status="400"}"#, 1.0);
    expect("toxicity_score_distribution_count", 5.0);
    expect(r#"toxicity_score_distribution_bucket{le="100"}"#, 5.0);
    expect(r#"toxicity_score_distribution_bucket{le="60"}"#, 4.0);
    expect(r#"toxicity_processing_seconds_count{model_type="simple"}"#, 5.0);
    expect(r#"model_load_seconds{model_type="simple"}"#, 0.0);
    expect("toxicity_api_active_users", 0.0);
}

#[test]
fn a_request_is_active_from_its_head_to_its_answer() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let body = br#"{"text":"hello"}"#;
    let head = format!("POST /analyze HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
    client.send(head.as_bytes()).unwrap();
    eventually("it is active", || value(&server, "toxicity_api_active_users") == Some(1.0));
    client.send(body).unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    assert_eq!(value(&server, "toxicity_api_active_users"), Some(0.0));
}

/// One worker, and a batch of as much text as a body may hold: others are served before its end.
#[test]
fn a_large_batch_lets_others_go_first() {
    let server = Server::start(&["--max-body", "4m"]);
    let mut busy = server.connect();
    let texts = vec!["you are a bunch of idiots, ".repeat(370); 256];
    let body = json!({ "texts": texts }).to_string();
    let head =
        format!("POST /analyze/batch HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
    busy.send(head.as_bytes()).unwrap();
    busy.send(body.as_bytes()).unwrap();
    let series = r#"toxicity_processing_seconds_count{model_type="simple"}"#;
    let mut seen = 0.0;
    eventually("it is seen at work", || {
        seen = value(&server, series).unwrap_or_default();
        seen > 0.0
    });
    assert!(seen < 256.0, "the scrape had to wait until all was scored");
    let answer = busy.answer().unwrap();
    assert_eq!(
        (answer.status, answer.json()["results"].as_array().unwrap().len()),
        (200, 256),
        "{DEADLINE:?}"
    );
}
