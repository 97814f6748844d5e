//! The load generator against servers whose behaviour is known exactly.

mod common;

use std::net::{SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Act, ok, serve};
use ounce_bench::load::{Expected, Outcome, Plan, Schedule, run};
use ounce_bench::workload::{Request, Workload};

fn workload() -> Workload {
    Workload::of("test", 4, Request::get("/"))
}

fn plan(address: SocketAddr, schedule: Schedule) -> Plan {
    Plan {
        address,
        expected: Expected::new(&workload(), address, b"hello"),
        connections: 4,
        schedule,
        duration: Duration::from_millis(500),
        timeout: Duration::from_secs(5),
        cpus: Vec::new(),
    }
}

fn load(plan: &Plan) -> Outcome {
    run(plan, &AtomicBool::new(false)).unwrap()
}

fn closed(act: impl Fn(u64) -> Act + Send + Sync + 'static) -> (Outcome, u64) {
    let (address, requests) = serve(act);
    let outcome = load(&plan(address, Schedule::Closed));
    (outcome, requests.load(Ordering::SeqCst))
}

fn quantile(outcome: &Outcome, quantile: f64) -> f64 {
    outcome.latency.value_at_quantile(quantile) as f64 / 1e6
}

#[test]
fn every_answer_is_counted_once() {
    let (outcome, served) = closed(|_| Act::Answer(ok("hello")));
    assert_eq!(outcome.requests + outcome.drained, served);
    assert_eq!(outcome.latency.len(), served);
    assert_eq!((outcome.errors.total(), outcome.reconnects), (0, 0));
    assert!(outcome.drained <= 4 && served > 100, "{served} requests, {} drained", outcome.drained);
}

#[test]
fn a_server_that_takes_20_ms_is_seen_to_take_20_ms() {
    let (outcome, _) = closed(|_| {
        thread::sleep(Duration::from_millis(20));
        Act::Answer(ok("hello"))
    });
    let p50 = quantile(&outcome, 0.5);
    assert!((20.0..30.0).contains(&p50), "p50 {p50} ms");
    // Little's law: four connections, each busy all the time.
    let rate = outcome.per_second();
    assert!((100.0..=201.0).contains(&rate), "{rate} requests/s");
    assert!(outcome.busy() < 0.5, "waiting must not cost CPU: {}", outcome.busy());
}

#[test]
fn one_wrong_status_in_a_hundred_is_counted_exactly() {
    let (outcome, served) = closed(|n| match n % 100 {
        99 => Act::Answer(b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nhello".to_vec()),
        _ => Act::Answer(ok("hello")),
    });
    assert_eq!(outcome.errors.status, served / 100);
    assert_eq!((outcome.errors.total(), outcome.reconnects), (outcome.errors.status, 0));
    assert_eq!(outcome.latency.len(), served - served / 100);
}

#[test]
fn wrong_content_of_the_right_length_is_counted_exactly() {
    let (outcome, served) = closed(|n| Act::Answer(ok(if n % 50 == 49 { "hellO" } else { "hello" })));
    assert_eq!(outcome.errors.body, served / 50);
    assert_eq!(outcome.errors.total(), outcome.errors.body);
}

#[test]
fn a_header_that_changes_is_no_error() {
    let (outcome, _) = closed(|n| {
        Act::Answer(
            format!("HTTP/1.1 200 OK\r\nX-Request: {n}\r\nContent-Length: 5\r\n\r\nhello").into_bytes(),
        )
    });
    assert!(outcome.requests > 100 && outcome.errors.total() == 0, "{:?}", outcome.errors);
}

#[test]
fn a_polite_close_is_honoured_and_is_no_error() {
    let closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let (outcome, served) = closed(|n| match n % 10 {
        9 => Act::AnswerAndClose(closing.to_vec()),
        _ => Act::Answer(ok("hello")),
    });
    assert_eq!(outcome.errors.total(), 0, "{:?}", outcome.errors);
    assert_eq!(outcome.requests + outcome.drained, served);
    assert_eq!(outcome.reconnects, served / 10);
}

#[test]
fn a_close_between_requests_is_no_error() {
    let (address, _) = serve(|_| Act::AnswerAndClose(ok("hello")));
    // One request at a time leaves the connection idle when the server closes it. A busy machine may stop the server
    // between its answer and its close, so there is a quarter of a second for that.
    let plan = Plan {
        connections: 1,
        duration: Duration::from_millis(2500),
        ..plan(address, Schedule::Open { rate: 4.0 })
    };
    let outcome = load(&plan);
    assert_eq!((outcome.requests, outcome.errors.total()), (10, 0), "{:?}", outcome.errors);
    assert!(outcome.reconnects >= 9);
}

#[test]
fn closing_instead_of_answering_is_an_error() {
    let (outcome, served) = closed(|n| if n % 10 == 9 { Act::Close } else { Act::Answer(ok("hello")) });
    assert_eq!(outcome.errors.closed, served / 10);
    assert_eq!(outcome.errors.total(), outcome.errors.closed);
}

#[test]
fn a_reset_is_an_error_of_its_own() {
    let (outcome, served) = closed(|n| if n % 10 == 9 { Act::Reset } else { Act::Answer(ok("hello")) });
    assert_eq!(outcome.errors.reset, served / 10);
    assert_eq!(outcome.errors.total(), outcome.errors.reset);
}

#[test]
fn garbage_is_malformed() {
    let (outcome, served) =
        closed(|n| Act::Answer(if n % 10 == 9 { b"SSH-2.0-x\r\n\r\n".to_vec() } else { ok("hello") }));
    assert_eq!(outcome.errors.malformed, served / 10);
}

#[test]
fn chunked_bodies_in_any_number_of_writes_are_right() {
    let (outcome, served) = closed(|n| {
        let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        Act::Pieces(whole.chunks(1 + n as usize % whole.len()).map(<[u8]>::to_vec).collect())
    });
    assert_eq!(outcome.errors.total(), 0, "{:?}", outcome.errors);
    assert_eq!(outcome.requests + outcome.drained, served);
}

#[test]
fn a_big_body_is_read_to_its_end() {
    let body = "x".repeat(512_000);
    let expected = body.clone();
    let (address, served) = serve(move |_| Act::Answer(ok(&body)));
    let mut plan = plan(address, Schedule::Closed);
    plan.expected = Expected::new(&workload(), address, expected.as_bytes());
    let outcome = load(&plan);
    assert_eq!(outcome.errors.total(), 0, "{:?}", outcome.errors);
    assert_eq!(outcome.requests + outcome.drained, served.load(Ordering::SeqCst));
}

#[test]
fn a_server_that_stops_answering_ends_as_timeouts_and_not_as_silence() {
    let (address, _) = serve(|n| if n < 20 { Act::Answer(ok("hello")) } else { Act::Hang });
    let mut plan = plan(address, Schedule::Closed);
    plan.timeout = Duration::from_millis(700); // beyond the window: the requests are waited for all the same
    let started = Instant::now();
    let outcome = load(&plan);
    assert_eq!((outcome.requests, outcome.errors.timeout, outcome.errors.total()), (20, 4, 4));
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn nobody_listening_is_counted_and_does_not_spin() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = load(&plan(address, Schedule::Closed));
    assert_eq!((outcome.requests, outcome.errors.connect), (0, outcome.errors.total()));
    assert!((4..=250).contains(&outcome.errors.connect), "{} attempts", outcome.errors.connect);
    assert!(outcome.busy() < 0.5);
}

#[test]
fn the_stop_flag_ends_a_load_early() {
    let (address, _) = serve(|_| Act::Hang);
    let mut plan = plan(address, Schedule::Closed);
    plan.duration = Duration::from_secs(60);
    let started = Instant::now();
    let outcome = run(&plan, &AtomicBool::new(true)).unwrap();
    assert!(started.elapsed() < Duration::from_secs(5) && outcome.window < Duration::from_secs(5));
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let (address, _) = serve(|_| Act::Answer(ok("hello")));
    let outcome = load(&plan(address, Schedule::Open { rate: 400.0 }));
    assert_eq!(outcome.requests + outcome.drained, 200);
    assert_eq!(outcome.errors.total(), 0);
}

#[test]
fn two_threads_keep_the_rate_together() {
    let (address, served) = serve(|_| Act::Answer(ok("hello")));
    for schedule in [Schedule::Open { rate: 400.0 }, Schedule::Poisson { rate: 400.0, seed: 1 }] {
        let before = served.load(Ordering::SeqCst);
        let outcome = load(&Plan { cpus: vec![0, 0], ..plan(address, schedule) });
        assert_eq!((outcome.threads, outcome.errors.total()), (2, 0), "{:?}", outcome.errors);
        let asked = served.load(Ordering::SeqCst) - before;
        assert_eq!(outcome.requests + outcome.drained, asked);
        // At random times, 200 ± 3 standard deviations.
        let expected = if schedule == (Schedule::Open { rate: 400.0 }) { 200..=200 } else { 158..=242 };
        assert!(expected.contains(&asked), "{asked} requests, {schedule}");
    }
}

#[test]
fn random_arrivals_are_the_same_for_the_same_seed() {
    let (address, _) = serve(|_| Act::Answer(ok("hello")));
    let requests = |seed| load(&plan(address, Schedule::Poisson { rate: 400.0, seed })).latency.len();
    let (first, others) = (requests(1), [2, 3, 4].map(requests));
    assert_eq!(first, requests(1));
    assert!(others.iter().any(|other| *other != first), "{first} requests for every seed");
}

#[test]
fn an_open_loop_is_not_late_by_itself() {
    let (address, _) = serve(|_| Act::Answer(ok("hello")));
    // With connections to spare, what a request waits before it is sent is the generator's doing, or that of other
    // programs, which leave some requests of some tries alone.
    let quick = || quantile(&load(&plan(address, Schedule::Poisson { rate: 200.0, seed: 1 })), 0.25);
    let mut tries = vec![quick()];
    while tries.len() < 10 && tries.iter().all(|p25| *p25 > 0.22) {
        tries.push(quick());
    }
    assert!(tries.iter().any(|p25| *p25 <= 0.22), "p25 of {tries:?} ms");
}

/// A load of 200 requests a second on a server that stalls as a whole for 200 ms.
fn stalled(schedule: Schedule) -> Outcome {
    // One lock, held by the 20th request.
    let lock = Mutex::new(());
    let (address, _) = serve(move |n| {
        let _held = lock.lock().unwrap();
        if n == 20 {
            thread::sleep(Duration::from_millis(200));
        }
        Act::Answer(ok("hello"))
    });
    let outcome = load(&plan(address, schedule));
    assert_eq!(outcome.errors.total(), 0, "{:?}", outcome.errors);
    outcome
}

/// How many requests waited 50 ms or more, and the longest wait in milliseconds.
fn waits(outcome: &Outcome) -> (u64, f64) {
    (outcome.latency.count_between(50_000_000, 60_000_000_000), outcome.latency.max() as f64 / 1e6)
}

/// Loads until as many requests waited as are expected to: other programs may hold up more of them in some tries.
fn stall_delays(schedule: Schedule, expected: RangeInclusive<u64>) -> Outcome {
    let mut tries = Vec::new();
    while tries.len() < 5 {
        let outcome = stalled(schedule);
        let (late, max) = waits(&outcome);
        if expected.contains(&late) && (195.0..1000.0).contains(&max) {
            return outcome;
        }
        tries.push((late, max));
    }
    panic!(
        "requests that waited 50 ms or more, and the longest wait in ms: {tries:?}, expected {expected:?}"
    );
}

#[test]
fn an_open_loop_shows_a_stall_to_every_request_that_waited() {
    // 40 of 100 requests were due during the stall, and waited 100 ms on average.
    let outcome = stall_delays(Schedule::Open { rate: 200.0 }, 25..=60);
    assert_eq!(outcome.requests + outcome.drained, 100);
}

#[test]
fn random_arrivals_show_a_stall_as_well() {
    // 30 of them within the first 150 ms of the stall, ± 3 standard deviations, and some more on a slow machine.
    stall_delays(Schedule::Poisson { rate: 200.0, seed: 1 }, 14..=70);
}

#[test]
fn a_closed_loop_shows_a_stall_in_its_maximum_and_not_in_its_median() {
    let outcome = stalled(Schedule::Closed);
    let (late, max) = waits(&outcome);
    assert!(late >= 1 && max >= 195.0, "{late} requests waited 50 ms or more, max {max} ms");
    assert!(quantile(&outcome, 0.5) < 50.0);
}

#[test]
fn requests_that_never_got_a_connection_are_errors_of_an_open_loop() {
    let (address, _) = serve(|_| Act::Hang);
    let mut plan = plan(address, Schedule::Open { rate: 100.0 });
    plan.timeout = Duration::from_millis(300);
    let outcome = load(&plan);
    assert_eq!(outcome.requests, 0);
    assert_eq!(outcome.errors.total(), 50, "{:?}", outcome.errors);
    assert!(outcome.errors.unsent > 0 && outcome.errors.timeout > 0, "{:?}", outcome.errors);
}

/// A server that answers after some time, but on its first two connections alone.
fn two_served(time: Duration) -> SocketAddr {
    let served = Mutex::new(Vec::new());
    let act = move |_| {
        let mut served = served.lock().unwrap();
        // Each connection has a thread.
        let me = thread::current().id();
        if served.len() < 2 && !served.contains(&me) {
            served.push(me);
        }
        let serve = served.contains(&me);
        drop(served);
        if !serve {
            return Act::Hang;
        }
        thread::sleep(time);
        Act::Answer(ok("hello"))
    };
    serve(act).0
}

#[test]
fn healthy_loads_keep_littles_law() {
    for schedule in
        [Schedule::Closed, Schedule::Open { rate: 300.0 }, Schedule::Poisson { rate: 300.0, seed: 1 }]
    {
        for (time, connections, cpus) in
            [(0, 4, vec![]), (5, 4, vec![]), (5, 4, vec![0, 0]), (300, 100, vec![])]
        {
            let (address, _) = serve(move |_| {
                thread::sleep(Duration::from_millis(time));
                Act::Answer(ok("hello"))
            });
            let plan = Plan { connections, cpus, ..plan(address, schedule) };
            let outcome = load(&plan);
            let law = outcome.littles_law(&plan);
            assert!(law.holds() && outcome.errors.total() == 0, "{schedule}, {time} ms: {law:?}");
            let sent = outcome.sent_mean.as_secs_f64() * 1e3;
            assert!(sent >= time as f64 && sent <= outcome.latency.mean() / 1e6 * 1.002, "{sent} ms");
            assert!(
                outcome.in_flight > 0.0 && outcome.in_flight <= connections as f64,
                "{}",
                outcome.in_flight
            );
        }
    }
}

#[test]
fn connections_that_are_held_and_not_served_break_littles_law() {
    for schedule in [Schedule::Closed, Schedule::Open { rate: 300.0 }] {
        let timeout = Duration::from_millis(700);
        let plan = Plan { timeout, ..plan(two_served(Duration::from_millis(2)), schedule) };
        let outcome = load(&plan);
        assert!(outcome.errors.timeout >= 2 && outcome.requests > 20, "{:?}", outcome.errors);
        let law = outcome.littles_law(&plan);
        assert!(!law.holds() && law.found < law.expected, "{schedule}: {law:?}");
    }
}

#[test]
fn a_server_that_closes_after_each_answer_keeps_littles_law() {
    let closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let (address, _) = serve(|_| Act::AnswerAndClose(closing.to_vec()));
    let plan = plan(address, Schedule::Closed);
    let outcome = load(&plan);
    let law = outcome.littles_law(&plan);
    assert!(outcome.reconnects > 20 && law.holds(), "{law:?}");
}
