//! Workload *jobs*: work that is accepted now and done later.

mod answer;
mod request;

use http::header::{HeaderName, LOCATION};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use self::answer::{Accepted, Item, Page};
use self::request::Submit;
use super::body;
use crate::host::Host;
use crate::jobs::{Away, Cancelled, New, Status, Store, Submitted, Uuid};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::router::Verb;

/// Whether this build has the workload.
pub const BUILT: bool = true;

/// Seconds after which a client may try again.
const PAUSE: u32 = 1;

/// `/jobs`
pub async fn all(verb: Verb, head: &Parts, body: &[u8], host: &impl Host) -> Result<Reply, Problem> {
    if verb == Verb::Post { submit(head, body, host).await } else { list(head, host).await }
}

/// `/jobs/{id}`
pub async fn one(verb: Verb, head: &Parts, host: &impl Host) -> Result<Reply, Problem> {
    store(host)?;
    let (_, id) = head.uri.path().rsplit_once('/').unwrap_or_default();
    // No id that we gave: such a job is nowhere.
    let id = Uuid::try_parse(id).map_err(|_| unknown())?;
    if verb == Verb::Delete { cancel(id, host).await } else { get(id, host).await }
}

async fn submit(head: &Parts, body: &[u8], host: &impl Host) -> Result<Reply, Problem> {
    let store = store(host)?;
    let Submit { text, kind } = body::read(head, body)?;
    let kind = request::kind(kind.as_deref())?;
    request::check(&text, kind)?;
    let new = New { id: Uuid::now_v7(), kind, text: text.into_owned(), key: request::key(head)? };
    let id = new.id;
    let (id, status) = match store.submit(new).await.map_err(|away| lost(&away, host))? {
        Submitted::Stored => {
            host.job_stored();
            (id, Status::Queued)
        }
        Submitted::Known { id, status } => (id, status),
        Submitted::Reused => {
            let other = "this Idempotency-Key belongs to a job of another text or kind; send a new key";
            return Err(Problem::Unprocessable(other.into()));
        }
        Submitted::Full => return Err(Problem::TooMany { retry_after: PAUSE }),
    };
    let mut reply = Reply::json(&Accepted { job_id: id, status: status.as_str() });
    reply.status = StatusCode::ACCEPTED;
    let location = HeaderValue::from_str(&format!("/jobs/{id}")).map_err(|_| unknown())?;
    reply.headers.push((LOCATION, location));
    Ok(reply)
}

async fn get(id: Uuid, host: &impl Host) -> Result<Reply, Problem> {
    let job = store(host)?.get(id).await.map_err(|away| lost(&away, host))?;
    Ok(fresh(Reply::json(&Item::of(&job.ok_or_else(unknown)?))))
}

async fn list(head: &Parts, host: &impl Host) -> Result<Reply, Problem> {
    let store = store(host)?;
    let list = store.list(request::query(head)?).await.map_err(|away| lost(&away, host))?;
    Ok(fresh(Reply::json(&Page {
        jobs: list.jobs.iter().map(Item::of).collect(),
        next: list.next.as_deref(),
    })))
}

async fn cancel(id: Uuid, host: &impl Host) -> Result<Reply, Problem> {
    match store(host)?.cancel(id).await.map_err(|away| lost(&away, host))? {
        Cancelled::Gone => Ok(Reply::json(&Accepted { job_id: id, status: "cancelled" })),
        Cancelled::Unknown => Err(unknown()),
        Cancelled::Late(status) => Err(Problem::Conflict(format!(
            "the job is {}; only one that is queued or failed can be deleted",
            status.as_str()
        ))),
    }
}

fn store<H: Host>(host: &H) -> Result<&H::Jobs, Problem> {
    host.jobs().ok_or(Problem::NoStore("jobs"))
}

fn unknown() -> Problem {
    Problem::NoSuch("no job has this id; it may have been cancelled, or have expired")
}

/// The log learns why, the client that it may come again.
fn lost(away: &Away, host: &impl Host) -> Problem {
    host.store_failed(away);
    Problem::Away { retry_after: PAUSE }
}

/// What is shown changes by itself.
fn fresh(mut reply: Reply) -> Reply {
    reply.headers.push((HeaderName::from_static("cache-control"), HeaderValue::from_static("no-store")));
    reply
}
