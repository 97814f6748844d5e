//! The application: from a request to a response, on any [`Host`].

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};

use crate::handlers::{analyze, health, jobs, metrics, page, probe, welcome};
use crate::host::{Exchange, Host};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::router::{Action, ROUTES, Target, Verb};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers a request. Errors become problem documents, so there is always a response.
pub async fn handle<B, H>(request: Request<B>, host: &H) -> Response<Full<Bytes>>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    H: Host,
{
    let (head, body) = request.into_parts();
    let target = Target::find(&head.method, head.uri.path(), host.surface());
    let exchange = host.begin(&head, &target);
    let mut received = 0;
    let reply = match collect(body, host).await {
        Ok(body) => {
            received = body.len();
            answer(target, &head, &body, host).await
        }
        Err(problem) => Err(problem),
    };
    let reply = reply.unwrap_or_else(Problem::into_reply);
    let sent = if target.verb == Verb::Head { 0 } else { reply.body.len() };
    exchange.end(reply.status, received, sent);
    reply.into_response(head.headers)
}

async fn answer<H: Host>(target: Target, head: &Parts, body: &[u8], host: &H) -> Result<Reply, Problem> {
    let route = target.route.map(|index| &ROUTES[index]).ok_or(Problem::NotFound)?;
    if !route.accepts(target.verb) {
        return Err(Problem::MethodNotAllowed { allow: route.allow() });
    }
    match route.action {
        Action::Welcome => Ok(welcome::welcome(head, host)),
        Action::Style => page::style(head, host),
        Action::Script => page::script(head, host),
        Action::Light => Ok(probe::light()),
        Action::Heavy => Ok(probe::heavy()),
        Action::Slow => Ok(probe::slow(host).await),
        Action::Analyze => apart(analyze::one(head, body, host)).await,
        Action::AnalyzeBatch => apart(analyze::batch(head, body, host)).await,
        Action::Jobs => apart(jobs::all(target.verb, head, body, host)).await,
        Action::Job => apart(jobs::one(target.verb, head, host)).await,
        Action::Live => Ok(health::live()),
        Action::Ready => health::ready(host).await,
        Action::Health => Ok(health::health(host).await),
        Action::Metrics => Ok(apart(metrics::metrics(host)).await),
    }
}

/// Runs a handler as code of its own and with room of its own: what a request does not run need not be in memory, and
/// each connection keeps room for its largest request.
async fn apart<F: Future>(handler: F) -> F::Output {
    #[inline(never)]
    fn poll<F: Future>(handler: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        handler.poll(cx)
    }
    let mut handler = Box::pin(handler);
    poll_fn(|cx| poll(handler.as_mut(), cx)).await
}

/// Reads the whole body, at most as large as the host allows, whether its length was announced or not.
async fn collect<B, H>(mut body: B, host: &H) -> Result<Bytes, Problem>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
    H: Host,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    // Not sooner: a component asks its host for the limit.
    let limit = host.max_body();
    if body.size_hint().lower() > limit as u64 {
        return Err(Problem::TooLarge { limit });
    }
    // Into one buffer: a client that sends a byte a frame must not make us keep a list of frames.
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&*error.into()))?;
        let Ok(mut data) = frame.into_data() else { continue };
        if whole.len() + data.remaining() > limit {
            return Err(Problem::TooLarge { limit });
        }
        // Most bodies come in one piece, which need not be copied.
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data.copy_to_bytes(data.remaining()));
        }
        whole.put(data);
    }
    Ok(whole.into())
}

/// Why a body ended before its end.
fn broken(error: &(dyn std::error::Error + 'static)) -> Problem {
    if timed_out(error) { Problem::Timeout } else { Problem::Malformed }
}

fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) || error.source().is_some_and(timed_out)
}
