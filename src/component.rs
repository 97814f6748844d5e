//! Boundary to `wasi:http`: the service as a WASI 0.2 component, with a fresh instance for each request.
//!
//! Everything under WASI 0.2 blocks the instance, and the host runs other instances meanwhile. So the service's
//! futures are ready at their first poll, and no executor is needed.

#[cfg_attr(feature = "spin", path = "component/spin.rs")]
#[cfg_attr(not(feature = "spin"), path = "component/fixed.rs")]
mod settings;

#[cfg(all(feature = "spin", feature = "jobs"))]
mod jobs;
#[cfg(not(all(feature = "spin", feature = "jobs")))]
#[path = "component/no_jobs.rs"]
mod jobs;

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use once_cell::sync::Lazy;
use wasi::clocks::monotonic_clock;
use wasi::exports::http::incoming_handler::Guest;
use wasi::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, InputStream, OutgoingBody, OutgoingResponse,
    ResponseOutparam,
};
use wasi::io::streams::StreamError;

use self::jobs::Jobs;
use crate::host::Host;
use crate::jobs::Away;
use crate::metrics;
use crate::router::{Surface, Target};
use crate::service;

wasi::http::proxy::export!(Component);

struct Component;

impl Guest for Component {
    fn handle(incoming: IncomingRequest, out: ResponseOutparam) {
        let Some(request) = request(incoming) else {
            let error = ErrorCode::HttpRequestUriInvalid;
            return ResponseOutparam::set(out, Err(error));
        };
        let host = Wasi { started: *STARTED, jobs: Jobs::open() };
        send(now(service::handle(request, &host)), out);
        // The client has its answer: what comes now keeps nobody waiting.
        if let Some(jobs) = &host.jobs {
            now(jobs.work());
        }
    }
}

/// The instance's start: hosts that reuse instances keep it over requests.
static STARTED: Lazy<u64> = Lazy::new(monotonic_clock::now);

/// Largest piece that is read from a request's body at once, in bytes.
const READ_BYTES: u64 = 64 * 1024;

struct Wasi {
    started: u64,
    jobs: Option<Jobs>,
}

impl Host for Wasi {
    type Exchange<'a> = ();

    fn surface(&self) -> Surface {
        Surface::Everything
    }

    fn variant(&self) -> &str {
        settings::variant()
    }

    fn uptime(&self) -> Duration {
        Duration::from_nanos(monotonic_clock::now() - self.started)
    }

    async fn ready(&self) -> Result<(), &'static str> {
        let (all, of_jobs) = (settings::check(), jobs::check());
        all.and(of_jobs)
    }

    fn max_body(&self) -> usize {
        settings::max_body()
    }

    /// The others have instances of their own.
    async fn give_way(&self) {}

    async fn sleep(&self, duration: Duration) {
        pause(duration);
    }

    type Jobs = Jobs;

    fn jobs(&self) -> Option<&Jobs> {
        self.jobs.as_ref()
    }

    fn store_failed(&self, away: &Away) {
        log(away);
    }

    /// An instance sees one request, so request metrics are the host's business. What the store knows is not.
    async fn metrics(&self) -> String {
        let registry = metrics::registry(self.variant());
        if let Some(jobs) = &self.jobs {
            let _ = jobs.report(&registry).await.inspect_err(log);
        }
        metrics::text(&registry)
    }

    fn begin(&self, _: &Parts, _: &Target) {}
}

/// Says why the store was away.
fn log(away: &Away) {
    eprintln!("the store of jobs is away: {away}");
}

fn pause(length: Duration) {
    monotonic_clock::subscribe_duration(length.as_nanos() as u64).block();
}

/// Runs a future that cannot be pending.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("everything blocks under WASI 0.2"),
    }
}

fn request(incoming: IncomingRequest) -> Option<Request<Incoming>> {
    let mut request = Request::new(());
    *request.method_mut() = method(incoming.method())?;
    for (name, value) in incoming.headers().entries() {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(&value).ok()?);
    }
    let target = incoming.path_with_query();
    let target = target.as_deref().unwrap_or("/");
    *request.uri_mut() = settings::below_mount(target, request.headers()).parse().ok()?;
    let body = Incoming::new(incoming, request.method(), request.headers());
    Some(request.map(|()| body))
}

fn method(method: wasi::http::types::Method) -> Option<Method> {
    use wasi::http::types::Method as M;
    Some(match method {
        M::Get => Method::GET,
        M::Head => Method::HEAD,
        M::Post => Method::POST,
        M::Put => Method::PUT,
        M::Delete => Method::DELETE,
        M::Connect => Method::CONNECT,
        M::Options => Method::OPTIONS,
        M::Trace => Method::TRACE,
        M::Patch => Method::PATCH,
        M::Other(name) => Method::from_bytes(name.as_bytes()).ok()?,
    })
}

/// A request's body, not touched until it is read: for most requests there is none.
struct Incoming {
    request: IncomingRequest,
    /// The stream stands first, because it must be dropped before the body that it belongs to.
    open: Option<(InputStream, IncomingBody)>,
    length: Option<u64>,
    ended: bool,
}

impl Incoming {
    fn new(request: IncomingRequest, method: &Method, headers: &HeaderMap) -> Incoming {
        let length = headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let bodiless = matches!(*method, Method::GET | Method::HEAD)
            && !headers.contains_key(http::header::TRANSFER_ENCODING);
        Incoming { request, open: None, length, ended: length.map_or(bodiless, |length| length == 0) }
    }

    /// The next piece; `None` at the end.
    fn read(&mut self) -> io::Result<Option<Bytes>> {
        let (stream, _) = match &mut self.open {
            Some(open) => open,
            none => none.insert(open(&self.request)?),
        };
        match stream.blocking_read(READ_BYTES) {
            Ok(piece) => Ok(Some(piece.into())),
            Err(StreamError::Closed) => {
                self.ended = true;
                Ok(None)
            }
            Err(StreamError::LastOperationFailed(error)) => Err(io::Error::other(error.to_debug_string())),
        }
    }
}

fn open(request: &IncomingRequest) -> io::Result<(InputStream, IncomingBody)> {
    let gone = |()| io::Error::other("the request's body was taken already");
    let body = request.consume().map_err(gone)?;
    Ok((body.stream().map_err(gone)?, body))
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(self.read().map(|piece| piece.map(Frame::data)).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map(SizeHint::with_exact).unwrap_or_default()
    }
}

/// Hands the response to the host. A failure here means that the client is gone, so there is nobody to tell.
fn send(response: Response<Full<Bytes>>, out: ResponseOutparam) {
    let (head, body) = response.into_parts();
    let body = now(body.collect()).map(|body| body.to_bytes()).unwrap_or_default();
    let fields = Fields::new();
    for (name, value) in &head.headers {
        let _ = fields.append(name.as_str(), value.as_bytes());
    }
    // With its length announced, the host need not send the body in chunks.
    let _ = fields.append("content-length", body.len().to_string().as_bytes());
    let response = OutgoingResponse::new(fields);
    let _ = response.set_status_code(head.status.as_u16());
    let Ok(outgoing) = response.body() else {
        return;
    };
    ResponseOutparam::set(out, Ok(response));
    if write(&outgoing, &body).is_ok() {
        let _ = OutgoingBody::finish(outgoing, None);
    }
}

/// Writes as much at a time as the host takes, instead of the 4096 bytes of the blocking call.
fn write(body: &OutgoingBody, mut rest: &[u8]) -> Result<(), ()> {
    let stream = body.write()?;
    while !rest.is_empty() {
        let room = stream.check_write().map_err(drop)?.min(rest.len() as u64) as usize;
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        let (piece, after) = rest.split_at(room);
        stream.write(piece).map_err(drop)?;
        rest = after;
    }
    stream.flush().map_err(drop)
}
