//! The hot path allocates nothing of ours: counted from a request's head to its response, on this thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use ounce::host::{Exchange, Host};
use ounce::metrics::Counts;
use ounce::router::{Surface, Target};
use ounce::service;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Measures requests as the native host does.
#[derive(Default)]
struct Measuring(Counts);

struct Measured<'a>(&'a Counts, Target, Instant);

impl Exchange for Measured<'_> {
    fn end(self, status: StatusCode, request_bytes: usize, response_bytes: usize) {
        self.0.end(&self.1, status, self.2.elapsed(), request_bytes, response_bytes);
    }
}

impl Host for Measuring {
    type Exchange<'a> = Measured<'a>;
    type Jobs = ounce::jobs::Nowhere;

    fn surface(&self) -> Surface {
        Surface::Everything
    }

    fn variant(&self) -> &str {
        "test"
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }

    async fn ready(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn max_body(&self) -> usize {
        0
    }

    async fn give_way(&self) {}

    async fn sleep(&self, _: Duration) {}

    async fn metrics(&self) -> String {
        String::new()
    }

    fn begin<'a>(&'a self, _: &Parts, target: &Target) -> Measured<'a> {
        self.0.begin(target);
        Measured(&self.0, *target, Instant::now())
    }
}

/// Answers one request whose headers are parsed into `headers`, as hyper does with a connection's last response.
fn answer(host: &Measuring, path: &'static str, mut headers: HeaderMap) -> Response<Full<Bytes>> {
    headers.clear();
    headers.insert(HOST, HeaderValue::from_static("test"));
    headers.insert(USER_AGENT, HeaderValue::from_static("test"));
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = http::Uri::from_static(path);
    *request.headers_mut() = headers;
    match pin!(service::handle(request, host)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(response) => response,
        Poll::Pending => panic!("nothing to wait for"),
    }
}

/// Allocations of one request on a connection that has seen one before.
fn allocations(path: &'static str) -> u64 {
    let host = Measuring::default();
    let first = answer(&host, path, HeaderMap::new());
    assert_eq!(first.status(), StatusCode::OK);
    let headers = first.into_parts().0.headers;
    let before = ALLOCATIONS.get();
    let second = answer(&host, path, headers);
    let after = ALLOCATIONS.get();
    assert_eq!(second.status(), StatusCode::OK);
    after - before
}

#[test]
fn constant_answers_allocate_nothing() {
    for path in ["/api/light", "/api/heavy", "/livez", "/readyz"] {
        assert_eq!(allocations(path), 0, "{path}");
    }
}

#[test]
fn the_count_sees_allocations() {
    assert!(allocations("/health") > 0);
}
