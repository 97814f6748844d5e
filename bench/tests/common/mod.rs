//! A small HTTP server with known behaviour, and waiting for conditions with a deadline.
#![allow(dead_code, unused_imports)] // each test file uses its part

pub mod behaviour;
pub mod bench;
pub mod browser;
#[path = "../../../tests/common/skip.rs"]
mod skip;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ounce_bench::launch::{Process, Spawn};
pub use skip::{skip, skip_absent};

/// Waits until a program and both of its streams have ended: exit code, standard output, standard error.
pub fn ended(mut process: Process, limit: Duration) -> (i32, String, String) {
    let status = process.wait(limit).unwrap().expect("the program did not end");
    // What it said last may come after its end.
    let limit = Duration::from_secs(10);
    assert!(process.stdout().wait_closed(limit) && process.stderr().wait_closed(limit));
    (status.code().unwrap_or(-1), process.stdout().text(), process.stderr().text())
}

/// Runs the scale to its end.
pub fn scale(words: &[&str]) -> (i32, String, String) {
    let all = [&[env!("CARGO_BIN_EXE_ounce-bench")], words].concat();
    ended(Process::spawn(&Spawn::new(all)).unwrap(), Duration::from_secs(600))
}

/// What the server does with a request.
pub enum Act {
    Answer(Vec<u8>),
    /// Each piece is a write of its own.
    Pieces(Vec<Vec<u8>>),
    AnswerAndClose(Vec<u8>),
    Close,
    /// Closes with the request unread, which resets the connection.
    Reset,
    /// Never answers, and holds the connection.
    Hang,
}

/// A 200 with this body.
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Serves on a free port until the test ends; `act` gets the number of the request, counted from 0.
pub fn serve(act: impl Fn(u64) -> Act + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicU64::new(0));
    let counter = requests.clone();
    thread::spawn(move || accept(&listener, &Arc::new(act), &counter));
    (address, requests)
}

/// Serves for ever.
pub fn serve_on(listener: TcpListener, act: impl Fn(u64) -> Act + Send + Sync + 'static) {
    accept(&listener, &Arc::new(act), &Arc::default());
}

fn accept(
    listener: &TcpListener,
    act: &Arc<impl Fn(u64) -> Act + Send + Sync + 'static>,
    counter: &Arc<AtomicU64>,
) {
    for stream in listener.incoming().flatten() {
        let (act, counter) = (act.clone(), counter.clone());
        thread::spawn(move || connection(stream, &*act, &counter));
    }
}

fn connection(mut stream: TcpStream, act: &dyn Fn(u64) -> Act, counter: &AtomicU64) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 4096];
    while stream.peek(&mut buffer).is_ok_and(|n| n > 0) {
        let act = act(counter.fetch_add(1, Ordering::SeqCst));
        if matches!(act, Act::Reset) {
            return;
        }
        let n = stream.read(&mut buffer).unwrap();
        assert!(buffer[..n].ends_with(b"\r\n\r\n"), "a request came in more than one piece");
        let pieces = match act {
            Act::Answer(bytes) => vec![bytes],
            Act::Pieces(pieces) => pieces,
            Act::AnswerAndClose(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Act::Hang => {
                while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
                return;
            }
            Act::Close | Act::Reset => return,
        };
        for piece in pieces {
            if stream.write_all(&piece).is_err() {
                return;
            }
        }
    }
}

/// Looks at a condition until it holds; panics with `what` after ten seconds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < until, "not within ten seconds: {what}");
        thread::yield_now();
    }
}

/// Whether a process exists and is no zombie.
pub fn alive(pid: i32) -> bool {
    ounce_bench::proc::is_running(pid)
}

/// A fresh directory for one test, under cargo's own.
pub fn scratch(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}
