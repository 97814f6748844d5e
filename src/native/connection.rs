//! One connection: hyper between a watched socket and the service.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;

use super::socket::Socket;
use super::watch::{Phase, Watch};
use super::worker::{Slot, Worker};
use crate::problem::Problem;
use crate::router::Surface;
use crate::service;

/// What a connection's requests share.
pub struct Connection {
    pub worker: Arc<Worker>,
    pub surface: Surface,
    pub peer: Option<SocketAddr>,
    pub watch: Arc<Watch>,
}

impl Connection {
    pub fn new(worker: Arc<Worker>, watch: Arc<Watch>, surface: Surface, stream: &TcpStream) -> Arc<Self> {
        Arc::new(Connection { worker, surface, peer: stream.peer_addr().ok(), watch })
    }

    pub fn enter(&self, phase: Phase) {
        self.watch.enter(phase, self.worker.now_ms());
    }

    /// An answer to what cannot be a request. Counted, and the connection's last.
    fn refuse(&self, problem: Problem) -> Response<Full<Bytes>> {
        self.count_refused(&problem);
        let mut response = problem.into_reply().into_response(HeaderMap::new());
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        self.enter(Phase::Response);
        response
    }

    /// Counts and logs what was turned away before it was a request.
    pub fn count_refused(&self, problem: &Problem) {
        if self.worker.server.config.metrics {
            self.worker.counts.reject(problem.status());
        }
        self.log_refused(problem.status());
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        if !names_its_host(&request) {
            return Ok(self.refuse(Problem::Malformed));
        }
        let has_body = !request.body().is_end_stream();
        self.enter(if has_body { Phase::Body } else { Phase::Handler });
        let request = request.map(|body| Upload { body, connection: &self });
        let mut response = service::handle(request, &*self).await;
        // The body was not read to its end, so the next request cannot be found.
        let cut_short = has_body && self.watch.phase() == Phase::Body;
        // Scrapes are rare: the few places on the metrics port are better free.
        let scrape = self.surface == Surface::Metrics;
        if cut_short || scrape || self.worker.server.hurry() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.enter(Phase::Response);
        Ok(response)
    }
}

/// RFC 9112, section 3.2: a request of HTTP/1.1 has exactly one `Host`, and it is one.
fn names_its_host(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match hosts.next() {
        Some(host) => hosts.next().is_none() && host.as_bytes().iter().all(|byte| may_be_in_host(*byte)),
        None => request.version() == Version::HTTP_10,
    }
}

/// RFC 3986, section 3.2: what a host, an IP literal in brackets and a port are made of.
fn may_be_in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&byte)
}

/// Serves the connection's requests until either side closes it.
pub async fn serve(stream: TcpStream, connection: Arc<Connection>, slot: Slot) {
    let socket = Socket::new(stream, connection.clone(), slot);
    let max_header = connection.worker.server.config.limits.header;
    let service = service_fn(|request| connection.clone().answer(request));
    let http = http1::Builder::new()
        .max_header_size(max_header)
        // A client that closes its sending side still gets its answer. It also spares hyper from looking for the
        // end of the stream during each request, for which it allocates a read buffer while the first is in use.
        .half_close(true)
        .serve_connection(socket, service);
    let mut http = pin!(http);
    // Errors are the client's: it went away, or was told by an answer what it did wrong.
    let _ = poll_fn(|cx| {
        connection.watch.set_waker(cx.waker());
        http.as_mut().poll(cx)
    })
    .await;
}

/// A request's body, which ends in a time-out when the sweep says so.
struct Upload<'a> {
    body: Incoming,
    connection: &'a Connection,
}

impl Body for Upload<'_> {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_pending() && self.connection.watch.expired() {
            return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())));
        }
        // Nobody asks again for what is known to be nothing.
        if matches!(frame, Poll::Ready(None)) || frame.is_ready() && self.body.is_end_stream() {
            self.connection.enter(Phase::Handler);
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
