//! The socket under hyper: it tells the watch what the connection is doing, ends what takes too long, and says why
//! to a client that is turned away before there was a request.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::connection::Connection;
use super::watch::Phase;
use super::worker::Slot;
use crate::problem::Problem;
use crate::router::Surface;

/// A connection's socket, and its place among those that may be open.
pub struct Socket {
    /// Gone once the client was turned away.
    stream: Option<TokioIo<TcpStream>>,
    connection: Arc<Connection>,
    slot: Option<Slot>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        match stream.inner().try_read(&mut [0]) {
            // The client closed its side.
            Ok(0) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.may_linger() => {}
            _ => linger(stream, self.slot.take()),
        }
    }
}

impl Socket {
    pub fn new(stream: TcpStream, connection: Arc<Connection>, slot: Slot) -> Socket {
        Socket { stream: Some(TokioIo::new(stream)), connection, slot: Some(slot) }
    }

    fn stream(&mut self) -> Pin<&mut TokioIo<TcpStream>> {
        Pin::new(self.stream.as_mut().expect("callers looked"))
    }

    /// Whether the kernel holds input that the runtime has not heard of yet.
    fn has_input(&self) -> bool {
        let Some(stream) = &self.stream else { return false };
        matches!(SockRef::from(stream.inner()).peek(&mut [MaybeUninit::uninit()]), Ok(1..))
    }

    /// Whether a client that has sent nothing more may take its time to close: not when it was idle for too long
    /// already, nor when others wait for its place.
    fn may_linger(&self) -> bool {
        let watch = &self.connection.watch;
        let idled = watch.phase() == Phase::Idle && watch.expired();
        let scrape = self.connection.surface == Surface::Metrics;
        !(idled || scrape || self.connection.worker.server.crowded())
    }

    /// The client sent something that hyper cannot serve, or sends it too slowly: tells it so, once.
    fn reject(&mut self, problem: Problem) {
        self.connection.count_refused(&problem);
        let answer = raw(problem);
        // The send buffer is empty, so a few hundred bytes fit; and when not, there is nobody to wait for.
        let stream = self.stream().get_mut().inner_mut();
        let _ = stream.try_write(&answer);
        if let Some(stream) = self.stream.take() {
            linger(stream, self.slot.take());
        }
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

impl Read for Socket {
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
                // An end of file makes hyper close in peace.
                Phase::Idle if !self.has_input() => return Poll::Ready(Ok(())),
                // The runtime has not seen yet what came; it will wake us.
                Phase::Idle => watch.progress(worker.now_ms()),
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

impl Write for Socket {
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

/// How long a client may take to notice that the connection is closed.
const LINGER: Duration = Duration::from_secs(2);

/// Closes the sending side and discards what still arrives (RFC 9112, section 9.6): closing at once, with data
/// unread or on its way, would make the kernel send a reset, which overtakes and destroys the last answer.
fn linger(stream: TokioIo<TcpStream>, slot: Option<Slot>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
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
