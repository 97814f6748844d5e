//! Rude, slow and too many clients: each gets its answer, and a well-behaved client beside them sees no error.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::{Answer, Client, Server, eventually};

/// A well-behaved client, which makes requests for as long as it lives. Dropping it fails the test if any of them
/// failed.
struct Witness {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    fn of(server: &Server) -> Witness {
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (address, stopped, count) = (server.address, stop.clone(), served.clone());
        let thread = thread::spawn(move || {
            let mut client = Client::connect(address);
            while !stopped.load(Relaxed) {
                let answer = client.get("/api/light");
                assert_eq!(answer.status, 200);
                count.fetch_add(1, Relaxed);
                if answer.closes() {
                    client = Client::connect(address);
                }
            }
        });
        let witness = Witness { stop, served, thread: Some(thread) };
        witness.sees_progress();
        witness
    }

    /// Waits until it has been served once more.
    fn sees_progress(&self) {
        let before = self.served.load(Relaxed);
        eventually("the well-behaved client is served", || {
            self.served.load(Relaxed) > before || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
        });
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the well-behaved client saw an error");
    }
}

fn is_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["status"], status);
    assert!(answer.header("date").is_some());
}

/// Sends `request` and expects `status`, a problem document, and the end of the connection.
fn is_turned_away(server: &Server, request: &[u8], status: u16) {
    let witness = Witness::of(server);
    let mut client = server.connect();
    // The server may answer and close before it has taken everything.
    let _ = client.send(request);
    let answer = client.answer().expect("an answer");
    is_problem(&answer, status);
    assert!(answer.closes());
    assert!(client.closed());
    witness.sees_progress();
}

#[test]
fn slow_headers_time_out() {
    let server = Server::start(&["--header-timeout", "200ms"]);
    is_turned_away(&server, b"GET /api/light HTTP/1.1\r\nhost: te", 408);
}

#[test]
fn a_slow_header_may_not_trickle_in_for_ever() {
    let server = Server::start(&["--header-timeout", "200ms"]);
    let witness = Witness::of(&server);
    let mut client = server.connect();
    client.send(b"GET /api/light HTTP/1.1\r\n").unwrap();
    let start = Instant::now();
    // One header line after the other, until the server has had enough.
    eventually("the server gives up", || {
        thread::sleep(Duration::from_millis(20)); // the client's own slowness, not a wait for anything
        client.send(b"x-more: y\r\n").is_err() || start.elapsed() > Duration::from_millis(400)
    });
    is_problem(&client.answer().expect("an answer"), 408);
    witness.sees_progress();
}

#[test]
fn a_connection_that_never_says_anything_is_closed() {
    let server = Server::start(&["--header-timeout", "200ms"]);
    assert!(server.connect().closed());
}

#[test]
fn slow_bodies_time_out() {
    let server = Server::start(&["--body-timeout", "200ms"]);
    is_turned_away(&server, b"POST /api/light HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabc", 408);
    let chunked = b"POST /api/light HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    is_turned_away(&server, chunked, 408);
}

#[test]
fn large_headers_are_turned_away() {
    let server = Server::start(&[]);
    let request = format!("GET /api/light HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    is_turned_away(&server, request.as_bytes(), 431);
    let request = format!("GET /api/light HTTP/1.1\r\nhost: test\r\n{}\r\n", "x: y\r\n".repeat(200));
    is_turned_away(&server, request.as_bytes(), 431);
}

#[test]
fn the_header_limit_can_be_set() {
    let server = Server::start(&["--max-header", "1k"]);
    let request = |length| format!("GET /livez HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "x".repeat(length));
    is_turned_away(&server, request(1024).as_bytes(), 431);
    let mut client = server.connect();
    client.send(request(512).as_bytes()).unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
}

#[test]
fn a_large_body_is_turned_away_whether_its_length_is_announced_or_not() {
    let server = Server::start(&["--max-body", "1k"]);
    let body = "x".repeat(1025);
    let announced = format!("POST /api/light HTTP/1.1\r\nhost: test\r\ncontent-length: 1025\r\n\r\n{body}");
    is_turned_away(&server, announced.as_bytes(), 413);
    let chunked = format!(
        "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n401\r\n{body}\r\n0\r\n\r\n"
    );
    is_turned_away(&server, chunked.as_bytes(), 413);
    // Much more than the sockets' buffers hold: the server takes it all, so that no reset can overtake the answer.
    let mut client = server.connect();
    let huge = format!(
        "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 50000000\r\n\r\n{}",
        "x".repeat(50_000_000)
    );
    client.send(huge.as_bytes()).expect("the body is taken");
    is_problem(&client.answer().expect("an answer"), 413);
}

#[test]
fn a_client_that_asks_first_is_told_before_it_sends_the_body() {
    let server = Server::start(&["--max-body", "1k"]);
    let ask = |length: usize| {
        let mut client = server.connect();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        );
        client.send(head.as_bytes()).unwrap();
        let answer = client.answer().expect("an answer");
        (client, answer.status)
    };
    assert_eq!(ask(1025).1, 413);
    let (mut client, status) = ask(4);
    assert_eq!(status, 100);
    client.send(b"body").unwrap();
    assert_eq!(client.answer().unwrap().status, 405);
}

#[test]
fn garbage_is_turned_away() {
    let server = Server::start(&[]);
    let garbage: [&[u8]; 9] = [
        b"GET /api/light HTTP/1.1\r\nhost: a b/c@\r\n\r\n",
        b"GET /api/light HTTP/1.1\r\n\r\n",
        b"GET /api/light HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /api/light HTTP/1.1\r\nhost : space before colon\r\n\r\n",
        b"GET /\xff\x00 HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    ];
    for request in garbage {
        is_turned_away(&server, request, 400);
    }
    is_turned_away(
        &server,
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnot a size\r\n",
        400,
    );
    let metrics = server.get("/metrics");
    let rejected = r#"http_requests_total{method="other",route="unmatched",status="400"} 9"#;
    assert!(metrics.text().contains(rejected), "{}", metrics.text());
}

#[test]
fn a_long_target_is_turned_away() {
    let server = Server::start(&["--max-header", "128k"]);
    is_turned_away(&server, format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)).as_bytes(), 414);
}

#[test]
fn idle_connections_are_closed() {
    let server = Server::start(&["--idle-timeout", "200ms"]);
    let mut client = server.connect();
    assert_eq!(client.get("/livez").status, 200);
    assert!(client.closed());
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let server = Server::start(&["--write-timeout", "300ms"]);
    let witness = Witness::of(&server);
    let mut client = server.connect();
    // More than the buffers on both sides hold.
    let requests = "GET /api/heavy HTTP/1.1\r\nhost: test\r\n\r\n".repeat(40);
    client.send(requests.as_bytes()).unwrap();
    eventually("both connections are open", || open_connections(&server) == 2);
    eventually("the server closes the one that is stuck", || open_connections(&server) == 1);
    witness.sees_progress();
}

/// As the kernel sees it: sockets of the server's process, less the listener and what the runtime needs.
fn open_connections(server: &Server) -> usize {
    let fds = std::fs::read_dir(format!("/proc/{}/fd", server.process.pid())).expect("it runs");
    let sockets = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    sockets
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .count()
        .saturating_sub(SOCKETS_OF_OUR_OWN)
}

/// The listener and both ends of the signal pipe (of which one is there twice).
const SOCKETS_OF_OUR_OWN: usize = 4;

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send(b"GET /api/slow HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    client.finish();
    assert_eq!(client.answer().expect("an answer").status, 200);
}

#[test]
fn what_comes_after_the_last_request_does_not_destroy_its_answer() {
    let server = Server::start(&[]);
    for _ in 0..20 {
        let mut client = server.connect();
        client.send(b"GET /api/heavy HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        let _ = client.send(b"GET /api/light HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(client.answer().expect("the whole answer").body.len(), 512_000);
    }
}

#[test]
fn a_body_in_tiny_pieces_takes_no_more_memory_than_its_size() {
    let server = Server::start(&["--workers", "1"]);
    let resident = || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", server.process.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("proc(5)");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    };
    server.get("/livez");
    let before = resident();
    let pieces = "1\r\nx\r\n".repeat(500_000);
    let request =
        format!("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{pieces}0\r\n\r\n");
    let mut client = server.connect();
    client.send(request.as_bytes()).unwrap();
    assert_eq!(client.answer().expect("an answer").status, 405);
    let grown = resident() - before;
    assert!(grown < 4_000_000, "grew by {grown} bytes for a body of 500000");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let request = |path| format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    client.send((request("/api/slow") + &request("/api/light") + &request("/nowhere")).as_bytes()).unwrap();
    let statuses: Vec<_> = (0..3).map(|_| client.answer().expect("an answer")).collect();
    assert_eq!(statuses[0].json()["message"], "slow");
    assert_eq!(statuses[1].json()["message"], "light");
    assert_eq!(statuses[2].status, 404);
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send(b"GET /api/light HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(client.answer().expect("an answer").status, 200);
    assert!(client.closed());
}

#[test]
fn connections_over_the_limit_wait_and_are_served() {
    const OVER: usize = 2000;
    let server = Server::start(&["--max-connections", "20"]);
    let witness = Witness::of(&server);
    // All of them are open before the first is served; none closes of its own accord.
    let mut clients: Vec<_> = (0..20 + OVER).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(b"GET /api/light HTTP/1.1\r\nhost: test\r\n\r\n").expect("the kernel takes it");
    }
    let served =
        clients.iter_mut().filter_map(|client| client.answer().ok()).filter(|answer| answer.status == 200);
    assert_eq!(served.count(), 20 + OVER);
    witness.sees_progress();
    assert!(open_connections(&server) <= 21);
}

#[test]
fn idle_connections_give_way_when_others_wait() {
    let server = Server::start(&["--max-connections", "5"]);
    let mut idle: Vec<_> = (0..5).map(|_| server.connect()).collect();
    assert!(idle.iter_mut().all(|client| client.get("/livez").status == 200));
    assert_eq!(server.get("/livez").status, 200);
}

#[test]
fn without_file_descriptors_it_waits_and_does_not_spin() {
    let limited = "ulimit -n 40; exec \"$0\" --listen 127.0.0.1:0 --workers 1 --header-timeout 60s";
    let server = Server::spawn(["sh", "-c", limited, env!("CARGO_BIN_EXE_ounce")].into_iter());
    let witness = Witness::of(&server);
    // These never send anything, so they keep their places.
    let mut silent: Vec<_> = (0..100).map(|_| server.connect()).collect();
    eventually("it says that it cannot accept", || {
        server.process.stderr().text().contains("cannot accept connections for now")
    });
    witness.sees_progress();
    drop(witness);
    let (start, before) = (Instant::now(), server.cpu());
    eventually("half a second has passed", || {
        thread::sleep(Duration::from_millis(50)); // leave the CPU to the server, should it want it
        start.elapsed() > Duration::from_millis(500)
    });
    let used = server.cpu() - before;
    assert!(
        used < start.elapsed() / 4,
        "used {used:?} of CPU in {:?} without anything to do",
        start.elapsed()
    );
    silent.clear();
    assert_eq!(server.get("/livez").status, 200);
}
