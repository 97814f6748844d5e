//! Workloads of any method, payload and mix, against a server that reads requests to their end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ounce_bench::load::{Expected, Outcome, Plan, Schedule, reference, run};
use ounce_bench::workload::{Body, Request, Workload};

/// A request as the server got it.
#[derive(Clone, Debug, Default)]
struct Asked {
    /// Method and path.
    what: String,
    /// The lines of the head after the first, in lower case.
    headers: Vec<String>,
    payload: Vec<u8>,
}

impl Asked {
    fn read(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut lines = stream.by_ref().lines().map_while(Result::ok);
        let first = lines.next()?;
        let headers = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase());
        let headers: Vec<String> = headers.collect();
        let length = headers.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut payload = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut payload).ok()?;
        Some(Self { what: first.strip_suffix(" HTTP/1.1")?.to_owned(), headers, payload })
    }
}

/// All that a server was asked.
type Log = Arc<Mutex<Vec<Asked>>>;

/// Serves until the test ends.
fn serve(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> (SocketAddr, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (answer, log) = (Arc::new(answer), Log::default());
    let shared = log.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, log) = (answer.clone(), shared.clone());
            thread::spawn(move || connection(stream, &*answer, &log));
        }
    });
    (address, log)
}

fn connection(stream: TcpStream, answer: &dyn Fn(&Asked) -> String, log: &Log) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(asked) = Asked::read(&mut reader) {
        let answer = answer(&asked);
        log.lock().unwrap().push(asked);
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn of(what: &str) -> Request {
    let (method, path) = what.split_once(' ').unwrap();
    Request { method: method.into(), ..Request::get(path) }
}

fn mix(requests: &[(u32, Request)]) -> Workload {
    let requests = requests.iter().map(|(weight, request)| Request { weight: *weight, ..request.clone() });
    Workload { requests: requests.collect(), ..Workload::of("test", 4, Request::get("/")) }
}

fn load(address: SocketAddr, expected: Expected, schedule: Schedule) -> Outcome {
    let plan = Plan {
        address,
        expected,
        connections: 4,
        schedule,
        duration: Duration::from_millis(500),
        timeout: Duration::from_secs(5),
        cpus: Vec::new(),
    };
    run(&plan, &AtomicBool::new(false)).unwrap()
}

fn measured(address: SocketAddr, workload: &Workload) -> Outcome {
    load(address, reference(address, workload, Duration::from_secs(5)).unwrap(), Schedule::Closed)
}

/// How often the server was asked this.
fn count(log: &Log, what: &str) -> u64 {
    log.lock().unwrap().iter().filter(|asked| asked.what == what).count() as u64
}

#[test]
fn a_payload_arrives_whole_with_its_headers_every_time() {
    // More than the kernel takes at once.
    let payload = "0123456789".repeat(200_000);
    let sent = payload.clone();
    let (address, log) = serve(|asked| answer("201 Created", &format!("{} bytes", asked.payload.len())));
    let headers = [("content-type", "text/plain"), ("X-Key", "a b")];
    let request = Request {
        headers: headers.map(|(name, value)| (name.into(), value.into())).into(),
        payload: Some(payload),
        status: 201,
        ..of("POST /orders?now")
    };
    let outcome = measured(address, &mix(&[(1, request)]));
    assert_eq!((outcome.errors.total(), outcome.reconnects), (0, 0), "{:?}", outcome.errors);
    let log = log.lock().unwrap();
    assert_eq!(log.len() as u64, outcome.requests + outcome.drained + 2);
    assert!(outcome.requests > 0 && log.iter().all(|asked| asked.payload == sent.as_bytes()));
    for asked in &log[..] {
        assert_eq!(asked.what, "POST /orders?now");
        for line in
            ["content-type: text/plain", "content-length: 2000000", "x-key: a b", &format!("host: {address}")]
        {
            assert!(asked.headers.iter().any(|has| has == line), "{line}: {asked:?}");
        }
    }
}

#[test]
fn every_method_is_framed_as_it_must_be() {
    let (address, log) = serve(|asked| match asked.what.split(' ').next() {
        Some("HEAD") => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".into(),
        Some("DELETE") => "HTTP/1.1 204 No Content\r\n\r\n".into(),
        _ => answer("200 OK", &asked.what),
    });
    let delete = Request { status: 204, ..of("DELETE /d") };
    let methods = ["HEAD /h", "PUT /p", "POST /p", "PATCH /p", "PURGE /x"].map(of);
    let mut requests: Vec<(u32, Request)> = methods.into_iter().map(|request| (1, request)).collect();
    requests.push((1, delete));
    requests.push((1, Request { payload: Some("{}".into()), ..of("GET /with-payload") }));
    let outcome = measured(address, &mix(&requests));
    assert_eq!((outcome.errors.total(), outcome.reconnects), (0, 0), "{:?}", outcome.errors);
    assert!(outcome.kinds.iter().all(|right| *right > 0), "{:?}", outcome.kinds);
    for asked in &log.lock().unwrap()[..] {
        let length = asked.headers.iter().find_map(|line| line.strip_prefix("content-length: "));
        let expected = match asked.what.as_str() {
            "PUT /p" | "POST /p" | "PATCH /p" => Some("0"),
            "GET /with-payload" => Some("2"),
            _ => None,
        };
        assert_eq!(length, expected, "{asked:?}");
    }
}

#[test]
fn kinds_are_asked_by_their_weights() {
    let (address, log) = serve(|asked| answer("200 OK", &asked.what));
    let workload = mix(&[(90, of("GET /a")), (9, of("GET /b")), (1, of("PUT /c"))]);
    let outcome = measured(address, &workload);
    assert_eq!(outcome.errors.total(), 0, "{:?}", outcome.errors);
    let kinds = ["GET /a", "GET /b", "PUT /c"].map(|what| count(&log, what) - 2);
    assert_eq!(outcome.kinds, kinds);
    let all = outcome.requests + outcome.drained;
    assert_eq!(kinds.iter().sum::<u64>(), all);
    // Exact in every hundred, but for the last one, which the window's end has cut.
    let hundreds = all / 100;
    assert!(hundreds >= 1, "only {all} requests");
    for (kind, weight) in kinds.iter().zip([90, 9, 1]) {
        assert!((hundreds * weight..=(hundreds + 1) * weight).contains(kind), "{kinds:?} of {all}");
    }
}

#[test]
fn wrong_answers_are_counted_by_what_their_own_kind_expects() {
    let (address, log) = serve(|asked| match (asked.what.as_str(), asked.payload.len()) {
        ("GET /a", _) => answer("200 OK", "a"),
        // The answer that would be right for the other kind.
        ("GET /b", _) => answer("200 OK", "a"),
        _ => answer("500 Oops", "a"),
    });
    let requests = [(1, of("GET /a")), (1, of("GET /b")), (1, of("DELETE /c"))];
    let mut expected = Expected::new(&mix(&requests), address, b"a");
    let mut exchanges = expected.exchanges.to_vec();
    exchanges[1].content = b"b".into();
    expected.exchanges = exchanges.into();
    let outcome = load(address, expected, Schedule::Closed);
    let asked = ["GET /a", "GET /b", "DELETE /c"].map(|what| count(&log, what));
    assert!(asked.iter().all(|asked| *asked > 10), "{asked:?}");
    assert_eq!((outcome.errors.body, outcome.errors.status), (asked[1], asked[2]));
    assert_eq!(outcome.kinds, [asked[0], 0, 0]);
    assert_eq!(outcome.errors.total(), asked[1] + asked[2]);
}

#[test]
fn a_reference_is_asked_for_once_or_twice_and_no_redirect_followed() {
    let (address, log) = serve(|asked| match asked.what.as_str() {
        "GET /moved" => "HTTP/1.1 302 Found\r\nLocation: /same\r\nContent-Length: 0\r\n\r\n".into(),
        _ => answer("200 OK", "x"),
    });
    let any = |what| Request { body: Body::Any, ..of(what) };
    let moved = Request { status: 302, ..any("GET /moved") };
    let requests = [any("POST /any"), any("GET /any"), of("POST /same"), of("GET /same"), moved];
    let workload = mix(&requests.map(|request| (1, request)));
    reference(address, &workload, Duration::from_secs(5)).unwrap();
    for (what, times) in
        [("POST /any", 1), ("GET /any", 1), ("POST /same", 2), ("GET /same", 2), ("GET /moved", 1)]
    {
        assert_eq!(count(&log, what), times, "{what}");
    }
}

#[test]
fn a_reference_that_is_not_as_expected_says_which_request_and_why() {
    let n = Mutex::new(0);
    let (address, _) = serve(move |_| {
        *n.lock().unwrap() += 1;
        answer("200 OK", &n.lock().unwrap().to_string())
    });
    let error = |request| {
        let workload = mix(&[(1, request)]);
        format!("{:#}", reference(address, &workload, Duration::from_secs(5)).unwrap_err())
    };
    let changing = error(of("POST /n"));
    assert!(changing.contains("POST /n") && changing.contains("body = \"any\""), "{changing}");
    let status = error(Request { status: 201, ..of("GET /n") });
    assert!(status.contains("GET /n") && status.contains("answered 200; expected is 201"), "{status}");
}

#[test]
fn an_answer_before_the_end_of_the_payload_ends_the_connection() {
    // A server that refuses what it has not read, and holds the connection.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answered = Arc::new(Mutex::new(Vec::new()));
    let shared = answered.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer("413 Content Too Large", "").as_bytes());
            shared.lock().unwrap().push(stream);
        }
    });
    let payload = Some("x".repeat(32_000_000));
    let request = Request { payload, status: 413, ..of("POST /") };
    let expected = Expected::new(&mix(&[(1, request)]), address, b"");
    let outcome = load(address, expected, Schedule::Open { rate: 20.0 });
    assert_eq!((outcome.requests + outcome.drained, outcome.errors.total()), (10, 0), "{:?}", outcome.errors);
    assert_eq!((outcome.reconnects, outcome.kinds[0]), (10, 10));
    let connections = answered.lock().unwrap().len();
    assert!((10..=14).contains(&connections), "{connections} connections");
}
