//! Jobs in Redis while it, the API and its workers come and go: no job that was accepted is lost, none is done twice.

mod common;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::jobs::{becomes, stored, submit, try_submit};
use common::redis::{DURABLE, Redis};
use common::{Client, Server, eventually};
use ounce_bench::launch::Signal;

fn server(redis: &Redis, flags: &[&str]) -> Server {
    let url = redis.url();
    Server::start(&[&["--redis-url", &url, "--job-lease", "1s"], flags].concat())
}

/// Clients that submit, each job with a key and until it is accepted, until they are told to stop.
struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    address: Mutex<SocketAddr>,
    stop: AtomicBool,
    refused: AtomicUsize,
    /// Text by id.
    accepted: Mutex<HashMap<String, String>>,
}

impl Load {
    fn start(address: SocketAddr) -> Load {
        let shared = Arc::new(Shared {
            address: Mutex::new(address),
            stop: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
            accepted: Mutex::default(),
        });
        let client = |number| {
            let shared = shared.clone();
            thread::spawn(move || shared.submit(number))
        };
        let clients = (0..8).map(client).collect();
        Load { shared, clients }
    }

    fn accepted(&self) -> usize {
        self.shared.accepted.lock().unwrap().len()
    }

    /// Waits until some more have been accepted.
    fn goes_on(&self) {
        let before = self.accepted();
        eventually("jobs are accepted", || self.accepted() > before + 100);
    }

    fn turn_to(&self, server: &Server) {
        *self.shared.address.lock().unwrap() = server.address;
    }

    /// What was accepted.
    fn stop(self) -> HashMap<String, String> {
        self.shared.stop.store(true, Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        std::mem::take(&mut *self.shared.accepted.lock().unwrap())
    }
}

impl Shared {
    fn submit(&self, number: usize) {
        let mut client = None;
        let mut count = 0;
        while !self.stop.load(Relaxed) {
            let text = format!("job {number} {count}");
            match self.once(&mut client, &text) {
                Some(id) => {
                    self.accepted.lock().unwrap().insert(id, text);
                    count += 1;
                }
                None => thread::yield_now(),
            }
        }
    }

    fn once(&self, client: &mut Option<Client>, text: &str) -> Option<String> {
        let address = *self.address.lock().unwrap();
        if client.is_none() {
            *client = Client::try_connect(address).ok();
        }
        let answer = try_submit(client.as_mut()?, "uppercase", text, Some(text));
        match answer {
            Ok(answer) if answer.status == 202 => Some(answer.json()["job_id"].as_str().unwrap().to_owned()),
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{}", answer.text());
                self.refused.fetch_add(1, Relaxed);
                None
            }
            Err(_) => {
                *client = None;
                None
            }
        }
    }
}

/// Every job has its own text's result; each text made one job.
fn all_done(server: &Server, accepted: &HashMap<String, String>) {
    let mut client = server.connect();
    for (id, text) in accepted {
        let mut last = serde_json::Value::Null;
        eventually("it is done", || {
            last = client.get(&format!("/jobs/{id}")).json();
            last["status"] == "done" || last["status"] == 404
        });
        assert_eq!(last["result"], text.to_uppercase(), "{last}");
    }
}

fn settled(redis: &Redis, jobs: usize) {
    for (set, count) in [("queued", 0), ("processing", 0), ("failed", 0), ("done", jobs)] {
        assert_eq!(redis.ask(&["ZCARD", &format!("{{ounce}}:{set}")]), format!(":{count}\r\n"), "{set}");
    }
    assert_eq!(redis.ask(&["XLEN", "{ounce}:jobs"]), ":0\r\n");
}

#[test]
fn jobs_outlive_a_redis_that_is_killed_under_load() {
    let Some(mut redis) = Redis::start(DURABLE) else { return };
    let server = server(&redis, &[]);
    let load = Load::start(server.address);
    for seconds in [10, 0] {
        load.goes_on();
        redis.kill();
        let (down, refused) = (Instant::now(), load.shared.refused.load(Relaxed));
        eventually("clients are refused", || load.shared.refused.load(Relaxed) > refused + 10);
        let accepted = load.accepted();
        eventually("it was away for long", || down.elapsed() >= Duration::from_secs(seconds));
        assert_eq!(load.accepted(), accepted, "nothing can have been stored");
        redis.restart();
        load.goes_on();
    }
    let accepted = load.stop();
    all_done(&server, &accepted);
    eventually("it is settled", || redis.ask(&["XLEN", "{ounce}:jobs"]) == ":0\r\n");
    assert!(server.process.stderr().text().contains("the store of jobs is back"));
}

/// A process that was given a wrong address is not to replace one that works; but that its Redis is away for a while
/// does not make it useless.
#[test]
fn it_is_ready_once_redis_was_reached() {
    let Some(mut redis) = Redis::start(&[]) else { return };
    redis.kill();
    let server = server(&redis, &["--worker", "off"]);
    let answer = server.get("/readyz");
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("the store of jobs was not reached yet: see the log"),
        "{}",
        answer.text()
    );
    eventually("the log says why", || server.process.stderr().text().contains("Connection refused"));
    assert_eq!(server.get("/api/light").status, 200);
    redis.restart();
    eventually("it is ready", || server.get("/readyz").status == 200);
    redis.kill();
    assert_eq!(submit(&mut server.connect(), "uppercase", "x", None).status, 503);
    assert_eq!(server.get("/readyz").status, 200);
}

/// The log has each reason once, and a scrape waits for none of them.
#[test]
fn what_keeps_redis_away_is_said_also_when_it_changes() {
    let Some(mut redis) = Redis::start(&[]) else { return };
    let server = server(&redis, &[]);
    becomes(&server, &stored(&server, "uppercase", "before"), "done");
    assert!(server.get("/metrics").text().contains("\njobs_queue_depth 0\n"));
    let says = |why: &str| server.process.stderr().text().contains(why);
    redis.kill();
    eventually("it is refused", || says("Connection refused"));
    redis.restart();
    eventually("it is back", || submit(&mut server.connect(), "uppercase", "after", None).status == 202);
    redis.kill();
    redis.restart_with(&["--requirepass", "secret"]);
    eventually("it wants a password", || says("user and password belong in the URL"));
    assert!(server.get("/metrics").text().contains("\njobs_queue_depth NaN\n"));
    let words = server.process.stderr().text();
    let mut times = HashMap::new();
    for line in words.lines().filter(|line| line.contains("is away")) {
        *times.entry(line.split_once(' ').unwrap().1).or_insert(0) += 1;
    }
    assert!(times.values().all(|times| *times <= 2), "once in each of two outages: {words}");
}

/// It accepts connections and says nothing.
#[test]
fn a_redis_that_hangs_is_answered_for_in_time() {
    let Some(redis) = Redis::start(&[]) else { return };
    let server = server(&redis, &[]);
    let before = stored(&server, "uppercase", "before");
    becomes(&server, &before, "done");
    redis.signal(Signal::STOP);
    let hung = Instant::now();
    let mut client = server.connect();
    while hung.elapsed() < Duration::from_secs(10) {
        let asked = Instant::now();
        assert_eq!(submit(&mut client, "uppercase", "x", None).status, 503);
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
        assert_eq!(client.get(&format!("/jobs/{before}")).status, 503);
        assert_eq!(client.get("/livez").status, 200);
    }
    redis.signal(Signal::CONT);
    eventually("it is back", || submit(&mut client, "uppercase", "y", None).status == 202);
    let after = stored(&server, "uppercase", "after");
    becomes(&server, &after, "done");
}

/// Its data are gone, and with them the workers' group and the scripts.
#[test]
fn a_redis_that_comes_back_empty_is_used_again() {
    let Some(mut redis) = Redis::start(&[]) else { return };
    let server = server(&redis, &[]);
    becomes(&server, &stored(&server, "uppercase", "before"), "done");
    redis.kill();
    assert_eq!(submit(&mut server.connect(), "uppercase", "x", None).status, 503);
    redis.restart();
    let mut last = None;
    eventually("it is back", || {
        let answer = submit(&mut server.connect(), "uppercase", "after", None);
        last = (answer.status == 202).then(|| common::jobs::id(&answer));
        last.is_some()
    });
    becomes(&server, &last.unwrap(), "done");
    redis.ask(&["FLUSHALL"]);
    redis.ask(&["SCRIPT", "FLUSH"]);
    becomes(&server, &stored(&server, "uppercase", "once more"), "done");
}

/// The API and a worker are killed in turn; nothing of what was accepted is lost, or done under two ids.
fn killed(rounds: usize) {
    let Some(redis) = Redis::start(&[]) else { return };
    let mut front = server(&redis, &["--worker", "off"]);
    let mut workers = vec![server(&redis, &[]), server(&redis, &[])];
    let load = Load::start(front.address);
    for round in 0..rounds {
        load.goes_on();
        if round % 2 == 0 {
            workers.remove(0).process.signal(Signal::KILL).unwrap();
            workers.push(server(&redis, &[]));
        } else {
            front.process.signal(Signal::KILL).unwrap();
            front = server(&redis, &["--worker", "off"]);
            load.turn_to(&front);
        }
    }
    load.goes_on();
    let accepted = load.stop();
    all_done(&front, &accepted);
    // A job may have been stored whose answer did not come: its key found it again, so that is none more; but for the
    // last ones, whose clients were told to stop.
    let mut texts: Vec<_> = accepted.values().collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), accepted.len());
    eventually("it is settled", || redis.ask(&["XLEN", "{ounce}:jobs"]) == ":0\r\n");
    settled(&redis, accepted.len());
}

#[test]
fn jobs_outlive_their_workers_and_the_api() {
    let rounds = std::env::var("OUNCE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    killed(rounds.unwrap_or(6));
}

#[test]
#[ignore = "takes minutes"]
fn jobs_outlive_two_hundred_kills() {
    killed(200);
}
