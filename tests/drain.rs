//! Stopping: nothing that was accepted is lost, and the exit code tells.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, Server, eventually};
use ounce_bench::launch::Signal;

/// What one connection of the load saw until the server was gone.
#[derive(Default)]
struct Seen {
    served: usize,
    failed: Vec<String>,
}

/// Makes requests on keep-alive connections until the server no longer takes new ones. A connection is only ever
/// given up after an answer that announced it, so every other end is a lost request.
fn load(address: std::net::SocketAddr, connections: usize) -> Seen {
    let mut seen = Seen::default();
    let mut clients: Vec<Client> = (0..connections).map(|_| Client::connect(address)).collect();
    let mut refused = false;
    while !clients.is_empty() {
        for client in &mut clients {
            if let Err(error) = client.send(b"GET /api/light HTTP/1.1\r\nhost: test\r\n\r\n") {
                seen.failed.push(format!("sending: {error}"));
            }
        }
        clients.retain_mut(|client| match client.answer() {
            Ok(answer) if answer.status == 200 => {
                seen.served += 1;
                if answer.closes() && !refused {
                    match Client::try_connect(address) {
                        Ok(fresh) => *client = fresh,
                        Err(_) => refused = true,
                    }
                }
                !answer.closes() || !refused
            }
            Ok(answer) => {
                seen.failed.push(format!("status {}", answer.status));
                false
            }
            Err(error) => {
                seen.failed.push(format!("receiving: {error}"));
                false
            }
        });
        // An announced close ends the connection, and there is no other to go on with.
        if refused {
            break;
        }
    }
    seen
}

#[test]
fn five_hundred_busy_connections_lose_nothing() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(&["--workers", "2"]);
        let address = server.address;
        let threads: Vec<_> = (0..10).map(|_| thread::spawn(move || load(address, 50))).collect();
        let mut probe = server.connect();
        eventually("the load is under way", || {
            let metrics = probe.get("/metrics");
            let line = metrics
                .text()
                .lines()
                .find(|line| line.starts_with("http_requests_total{method=\"GET\",route=\"/api/light\""));
            line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .is_some_and(|count| count > 2000.0)
        });
        server.process.signal(signal).unwrap();
        let seen: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("the load does not panic")).collect();
        let failed: Vec<_> = seen.iter().flat_map(|seen| &seen.failed).collect();
        assert!(failed.is_empty(), "{} requests failed: {:?}", failed.len(), &failed[..failed.len().min(5)]);
        assert!(seen.iter().map(|seen| seen.served).sum::<usize>() >= 2000);
        assert_eq!(server.exit_code(), Some(0));
    }
}

#[test]
fn requests_in_flight_finish_and_idle_connections_close() {
    let mut server = Server::start(&[]);
    let (mut slow, mut idle) = (server.connect(), server.connect());
    assert_eq!(idle.get("/livez").status, 200);
    slow.send(b"GET /api/slow HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    let mut probe = server.connect();
    eventually("the slow request is in flight", || {
        probe.get("/metrics").text().contains("http_requests_inprogress 2")
    });
    server.terminate();
    let answer = slow.answer().expect("the slow request is answered");
    assert_eq!((answer.status, answer.closes()), (200, true));
    assert!(idle.closed());
    assert_eq!(server.exit_code(), Some(0));
    assert!(Client::try_connect(server.address).is_err());
}

#[test]
fn readiness_falls_at_once_and_serving_goes_on_for_the_drain_delay() {
    let mut server = Server::start(&["--drain-delay", "1s"]);
    let mut kept = server.connect();
    assert_eq!(kept.get("/readyz").status, 200);
    let start = Instant::now();
    server.terminate();
    eventually("/readyz says 503", || server.get("/readyz").status == 503);
    assert!(start.elapsed() < Duration::from_secs(1));
    let health = server.get("/healthz");
    assert_eq!((health.status, &health.json()["status"]), (200, &"draining".into()));
    let answer = kept.get("/api/light");
    assert_eq!((answer.status, answer.closes()), (200, false));
    assert_eq!(server.exit_code(), Some(0));
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn what_takes_longer_than_the_shutdown_timeout_is_cut_off_and_the_exit_code_says_so() {
    let mut server = Server::start(&["--shutdown-timeout", "100ms"]);
    let mut slow = server.connect();
    slow.send(b"GET /api/slow HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    let mut probe = server.connect();
    eventually("the slow request is in flight", || {
        probe.get("/metrics").text().contains("http_requests_inprogress 2")
    });
    server.terminate();
    assert_eq!(server.exit_code(), Some(1));
    assert!(slow.answer().is_err());
}

#[test]
fn an_idle_connection_is_not_a_request_cut_off() {
    let mut server = Server::start(&["--shutdown-timeout", "0s"]);
    let mut idle = server.connect();
    assert_eq!(idle.get("/livez").status, 200);
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn a_log_that_nobody_reads_stops_neither_the_service_nor_its_end() {
    let flags = ["--listen", "127.0.0.1:0", "--access-log", "on"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_ounce"));
    let mut child =
        command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is captured"))
        .read_line(&mut line)
        .expect("the ready line");
    let address =
        line.trim().strip_prefix("ounce listening on http://").expect("the ready line").parse().unwrap();
    let mut client = Client::connect(address);
    // Some 2 MB of log: a pipe holds 64 KiB, and our queue holds some more.
    let path = format!("/{}", "x".repeat(1000));
    assert!((0..2000).all(|_| client.get(&path).status == 404));
    assert!(Command::new("kill").arg(child.id().to_string()).status().expect("kill runs").success());
    let mut status = None;
    eventually("it ends", || {
        status = child.try_wait().expect("waiting works");
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start(&["--drain-delay", "1m"]);
    server.terminate();
    eventually("it drains", || server.get("/readyz").status == 503);
    let mut slow = server.connect();
    slow.send(b"GET /api/slow HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    eventually("the slow request is in flight", || {
        server.get("/metrics").text().contains("http_requests_inprogress 2")
    });
    server.terminate();
    assert_eq!(server.exit_code(), Some(1));
    assert!(slow.answer().is_err());
}
