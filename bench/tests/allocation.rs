//! The generator's hot path allocates nothing: as many requests as you like cost as many allocations as few.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ounce_bench::load::{Expected, Plan, Schedule, run};
use ounce_bench::workload::{Request, Workload};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Answers without allocating; every other answer differs in a header, so that it must be parsed.
fn connection(mut stream: TcpStream) {
    let answers = ["a", "b"].map(|x| format!("HTTP/1.1 200 OK\r\nX: {x}\r\nContent-Length: 5\r\n\r\nhello"));
    let mut request = [0; 4096];
    for answer in answers.iter().cycle() {
        let read = stream.read(&mut request);
        if !read.is_ok_and(|n| n > 0) || stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        listener.incoming().flatten().for_each(|stream| drop(thread::spawn(|| connection(stream))))
    });
    address
}

/// The allocations of a load, and its requests.
fn allocations(schedule: Schedule, duration: Duration) -> (u64, u64) {
    let address = serve();
    let kinds = [(3, "/a"), (1, "/b")].map(|(weight, path)| Request { weight, ..Request::get(path) });
    let workload = Workload { requests: kinds.into(), ..Workload::of("test", 4, Request::get("/")) };
    let plan = Plan {
        address,
        expected: Expected::new(&workload, address, b"hello"),
        connections: 4,
        schedule,
        duration,
        timeout: Duration::from_secs(5),
        cpus: Vec::new(),
    };
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let outcome = run(&plan, &AtomicBool::new(false)).unwrap();
    assert_eq!(outcome.errors.total(), 0, "{:?}", outcome.errors);
    (ALLOCATIONS.load(Ordering::Relaxed) - before, outcome.requests)
}

#[test]
fn more_requests_do_not_mean_more_allocations() {
    for schedule in [Schedule::Closed, Schedule::Poisson { rate: 1000.0, seed: 1 }] {
        let (few, _) = allocations(schedule, Duration::from_millis(20));
        let (many, requests) = allocations(schedule, Duration::from_secs(1));
        assert!(
            requests > 500 && many <= few + 10,
            "{schedule}: {many} for {requests} requests, {few} for few"
        );
    }
}
