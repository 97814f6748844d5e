//! What Prometheus sees.

mod common;

use common::{Server, eventually};

/// The value of a line of the text format, by its full name with labels.
fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn requests_are_counted_by_method_template_and_status() {
    let server = Server::start(&["--workers", "3"]);
    for _ in 0..5 {
        assert_eq!(server.get("/api/light").status, 200);
    }
    server.connect().request("HEAD", "/api/heavy", &[], b"");
    server.connect().request("POST", "/api/light", &[], b"four");
    let metrics = server.get("/metrics");
    let metrics = metrics.text();
    let expect = |series: &str, expected: f64| {
        assert_eq!(value(metrics, series), Some(expected), "{series}\n{metrics}")
    };
    expect(r#"http_requests_total{method="GET",route="/api/light",status="200"}"#, 5.0);
    expect(r#"http_requests_total{method="HEAD",route="/api/heavy",status="200"}"#, 1.0);
    expect(r#"http_requests_total{method="POST",route="/api/light",status="405"}"#, 1.0);
    expect(r#"http_request_duration_seconds_count{method="GET",route="/api/light"}"#, 5.0);
    expect(r#"http_request_duration_seconds_bucket{method="GET",route="/api/light",le="+Inf"}"#, 5.0);
    expect(r#"http_request_size_bytes_sum{method="POST",route="/api/light"}"#, 4.0);
    expect(r#"http_response_size_bytes_sum{method="GET",route="/api/light"}"#, 5.0 * 19.0);
    expect(r#"http_response_size_bytes_sum{method="HEAD",route="/api/heavy"}"#, 0.0);
    expect("http_requests_inprogress", 1.0);
    // Some histograms have no labels.
    let counts = metrics.matches("_count{").count() + metrics.matches("_count ").count();
    assert_eq!(metrics.matches("le=\"+Inf\"").count(), counts);
}

#[test]
fn the_slow_route_takes_its_second() {
    let server = Server::start(&[]);
    server.get("/api/slow");
    let metrics = server.get("/api/metrics");
    let took = value(metrics.text(), r#"http_request_duration_seconds_sum{method="GET",route="/api/slow"}"#)
        .unwrap();
    assert!((1.0..10.0).contains(&took), "{took}");
    let below = r#"http_request_duration_seconds_bucket{method="GET",route="/api/slow",le="0.5"}"#;
    assert_eq!(value(metrics.text(), below), Some(0.0));
}

#[test]
fn clients_cannot_grow_the_label_set() {
    let server = Server::start(&[]);
    let series = || server.get("/metrics").text().lines().filter(|line| line.contains("route=")).count();
    server.get("/not/here");
    server.connect().request("BREW", "/pot", &[], b"");
    server.get("/metrics"); // which is a series of its own
    let before = series();
    for index in 0..50 {
        server.get(&format!("/not/here/{index}"));
        server.connect().request(&format!("BREW{index}"), "/pot", &[], b"");
    }
    assert_eq!(series(), before);
}

#[test]
fn the_process_and_the_build_are_described() {
    let server = Server::start(&["--variant", "canary"]);
    let metrics = server.get("/metrics");
    let get =
        |name| value(metrics.text(), name).unwrap_or_else(|| panic!("{name} is missing: {}", metrics.text()));
    assert!(get("process_resident_memory_bytes") > 100e3);
    assert!(get("process_open_fds") >= 5.0 && get("process_max_fds") > get("process_open_fds"));
    assert!(get("process_start_time_seconds") > 1.7e9);
    assert!(get("process_cpu_seconds_total") >= 0.0);
    let build = format!(r#"ounce_build_info{{variant="canary",version="{}"}}"#, env!("CARGO_PKG_VERSION"));
    assert_eq!(get(&build), 1.0);
}

#[test]
fn metrics_can_have_a_port_of_their_own() {
    let server = Server::start(&["--metrics-listen", "127.0.0.1:0"]);
    let line = server.process.stdout().text();
    let address =
        line.split("metrics on http://").nth(1).and_then(|rest| rest.split('/').next()).expect("its address");
    let metrics = || common::Client::connect(address.parse().expect("an address")).get("/metrics");
    assert_eq!(server.get("/metrics").status, 404);
    assert_eq!(server.get("/api/light").status, 200);
    assert_eq!(common::Client::connect(address.parse().unwrap()).get("/api/light").status, 404);
    let lights = r#"http_requests_total{method="GET",route="/api/light",status="200"}"#;
    assert_eq!(value(metrics().text(), lights), Some(1.0));
    // They are still there while the service drains.
    let mut slow = server.connect();
    slow.send(b"GET /api/slow HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    eventually("it is in flight", || metrics().text().contains("http_requests_inprogress 2"));
    server.terminate();
    assert_eq!(metrics().status, 200);
    assert_eq!(slow.answer().unwrap().status, 200);
}

#[test]
fn idle_scrapers_do_not_keep_others_from_the_metrics_port() {
    let server = Server::start(&["--metrics-listen", "127.0.0.1:0"]);
    let line = server.process.stdout().text();
    let address =
        line.split("metrics on http://").nth(1).and_then(|rest| rest.split('/').next()).expect("its address");
    let mut scrapers: Vec<_> = (0..100).map(|_| common::Client::connect(address.parse().unwrap())).collect();
    assert!(scrapers.iter_mut().all(|scraper| scraper.get("/metrics").status == 200));
}

#[test]
fn metrics_can_be_switched_off() {
    let server = Server::start(&["--metrics", "off"]);
    server.get("/api/light");
    let metrics = server.get("/metrics");
    assert!(!metrics.text().contains("http_requests_total") && metrics.text().contains("ounce_build_info"));
}

#[test]
fn a_body_that_breaks_off_is_counted() {
    let server = Server::start(&["--shutdown-timeout", "60s"]);
    let mut client = server.connect();
    client.send(b"POST /api/light HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabc").unwrap();
    drop(client);
    eventually("the request is counted", || {
        let metrics = server.get("/metrics");
        let broken = r#"http_requests_total{method="POST",route="/api/light",status="400"}"#;
        value(metrics.text(), broken) == Some(1.0) && metrics.text().contains("http_requests_inprogress 1\n")
    });
}
