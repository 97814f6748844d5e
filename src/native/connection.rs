//! One connection: hyper between a watched socket and the service.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

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
    watch: Arc<Watch>,
    /// The last answer came before the request had been read to its end.
    turned_away: AtomicBool,
}

impl Connection {
    pub fn new(worker: Arc<Worker>, watch: Arc<Watch>, surface: Surface, stream: &TcpStream) -> Arc<Self> {
        Arc::new(Connection {
            worker,
            surface,
            peer: stream.peer_addr().ok(),
            watch,
            turned_away: AtomicBool::new(false),
        })
    }

    fn enter(&self, phase: Phase) {
        self.watch.enter(phase, self.worker.now_ms());
    }

    /// An answer to what cannot be a request. Counted, and the connection's last.
    fn refuse(&self, problem: Problem) -> Response<Full<Bytes>> {
        self.count_refused(&problem);
        self.turned_away.store(true, Relaxed);
        let mut response = problem.into_reply().into_response(HeaderMap::new());
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        self.enter(Phase::Response);
        response
    }

    fn count_refused(&self, problem: &Problem) {
        if self.worker.server.config.metrics {
            self.worker.counts.reject(problem.status());
        }
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
        let turned_away = has_body && self.watch.phase() == Phase::Body;
        if turned_away {
            self.turned_away.store(true, Relaxed);
        }
        if turned_away || self.worker.server.hurry() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.enter(Phase::Response);
        Ok(response)
    }
}

/// RFC 9112, section 3.2: a request of HTTP/1.1 has exactly one `Host`.
fn names_its_host(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match hosts.next() {
        Some(_) => hosts.next().is_none(),
        None => request.version() == Version::HTTP_10,
    }
}

/// Serves the connection's requests until either side closes it.
pub async fn serve(stream: TcpStream, connection: Arc<Connection>, slot: Slot) {
    let io = Io { stream: Some(TokioIo::new(stream)), connection: connection.clone(), slot: Some(slot) };
    let max_header = connection.worker.server.config.limits.header;
    let service = service_fn(|request| connection.clone().answer(request));
    let http = http1::Builder::new()
        .max_header_size(max_header)
        // A client that closes its sending side still gets its answer. It also spares hyper from looking for the
        // end of the stream during each request, for which it allocates a read buffer while the first is in use.
        .half_close(true)
        .serve_connection(io, service);
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
        match frame {
            Poll::Pending if self.connection.watch.expired() => {
                Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
            }
            Poll::Ready(None) => {
                self.connection.enter(Phase::Handler);
                Poll::Ready(None)
            }
            frame => frame.map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The socket, with an eye on what the connection is doing.
struct Io {
    /// Gone once the client was turned away.
    stream: Option<TokioIo<TcpStream>>,
    connection: Arc<Connection>,
    slot: Option<Slot>,
}

impl Drop for Io {
    fn drop(&mut self) {
        if self.connection.turned_away.load(Relaxed) {
            linger(self.stream.take(), self.slot.take());
        }
    }
}

impl Io {
    fn stream(&mut self) -> Pin<&mut TokioIo<TcpStream>> {
        Pin::new(self.stream.as_mut().expect("callers looked"))
    }

    /// The client sent something that hyper cannot serve, or sends it too slowly: tells it so, once.
    fn reject(&mut self, problem: Problem) {
        self.connection.count_refused(&problem);
        let answer = raw(problem);
        // The send buffer is empty, so a few hundred bytes fit; and when not, there is nobody to wait for.
        let stream = self.stream().get_mut().inner_mut();
        let _ = stream.try_write(&answer);
        linger(self.stream.take(), self.slot.take());
    }

    /// hyper answers heads that it cannot parse by itself, without a body. Such an answer is replaced.
    fn write_with(
        &mut self,
        len: usize,
        write: impl FnOnce(Pin<&mut TokioIo<TcpStream>>) -> Poll<io::Result<usize>>,
        status: impl FnOnce() -> Option<StatusCode>,
    ) -> Poll<io::Result<usize>> {
        if self.stream.is_none() {
            return Poll::Ready(Ok(len));
        }
        match self.connection.watch.phase() {
            Phase::Idle | Phase::Head => {
                self.reject(match status() {
                    Some(StatusCode::URI_TOO_LONG) => Problem::UriTooLong,
                    Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => Problem::HeadersTooLarge,
                    _ => Problem::Malformed,
                });
                Poll::Ready(Ok(len))
            }
            Phase::Response if self.connection.watch.expired() => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            _ => {
                let written = write(self.stream());
                if written.is_ready() {
                    self.connection.watch.progress(self.connection.worker.now_ms());
                }
                written
            }
        }
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stream.is_none() {
            return Poll::Ready(Ok(()));
        }
        let read = self.stream().poll_read(cx, buf);
        let (watch, worker) = (&self.connection.watch, &self.connection.worker);
        let phase = watch.phase();
        if phase == Phase::Idle && read.is_ready() {
            watch.enter(Phase::Head, worker.now_ms());
        } else if watch.expired() {
            match phase {
                // What came in the meantime was read above. An end of file makes hyper close in peace.
                Phase::Idle => return Poll::Ready(Ok(())),
                Phase::Head => {
                    self.reject(Problem::Timeout);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Phase::Body | Phase::Handler | Phase::Response => {}
            }
        }
        read
    }
}

/// Responses up to this size are sent from one buffer.
const SMALL_BYTES: usize = 512;

impl Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.write_with(buf.len(), |stream| stream.poll_write(cx, buf), || status_of(buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        let status = || bufs.first().and_then(|buf| status_of(buf));
        // One small buffer is cheaper to send than two: the kernel has less to look at.
        let mut joined = [0; SMALL_BYTES];
        if len <= SMALL_BYTES {
            let mut filled = 0;
            for buf in bufs {
                joined[filled..filled + buf.len()].copy_from_slice(buf);
                filled += buf.len();
            }
            return self.write_with(len, |stream| stream.poll_write(cx, &joined[..len]), status);
        }
        self.write_with(len, |stream| stream.poll_write_vectored(cx, bufs), status)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes when it has written everything, so a response that was being sent is sent now.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.watch.phase() == Phase::Response {
            self.connection.enter(Phase::Idle);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream {
            Some(_) => self.stream().poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// From `HTTP/1.1 431 …`.
fn status_of(head: &[u8]) -> Option<StatusCode> {
    StatusCode::from_bytes(head.get(9..12)?).ok()
}

/// A whole response that closes the connection, for when hyper is not there to write one.
fn raw(problem: Problem) -> Vec<u8> {
    let reply = problem.into_reply();
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let content_type = reply.content_type.to_str().unwrap_or_default();
    let mut response = format!(
        "HTTP/1.1 {}\r\nconnection: close\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\ndate: {date}\r\n\r\n",
        reply.status,
        reply.body.len(),
    )
    .into_bytes();
    response.extend_from_slice(&reply.body);
    response
}

/// How long a client may take to read why it was turned away.
const LINGER: Duration = Duration::from_secs(2);

/// Closes the sending side and discards what still arrives: closing at once, with data unread, would make the
/// kernel send a reset, which can overtake the answer.
fn linger(stream: Option<TokioIo<TcpStream>>, slot: Option<Slot>) {
    let (Some(stream), Ok(runtime)) = (stream, tokio::runtime::Handle::try_current()) else {
        return;
    };
    runtime.spawn(async move {
        let _slot = slot;
        let Ok(stream) = stream.into_inner().into_std() else {
            return;
        };
        let _ = stream.shutdown(Shutdown::Write);
        let Ok(stream) = TcpStream::from_std(stream) else {
            return;
        };
        let _ = tokio::time::timeout(LINGER, discard(&stream)).await;
    });
}

async fn discard(stream: &TcpStream) {
    let mut scratch = [0; 4096];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut scratch) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
    }
}
