//! Jobs: what they are, and what is asked of a store of them. No I/O: the stores are the platforms'.
//!
//! A job is *queued*, taken by a worker under a lease (*processing*), and in the end *done* or *failed*. A worker that
//! dies loses its leases by time, and another takes the job up: a job is run at least once, and ended exactly once,
//! because an end counts only for the attempt that holds the job.

mod kind;
mod nowhere;
pub mod redis;
pub mod sql;

use std::fmt;
use std::future::{Future, ready};
use std::time::Duration;

pub use kind::Kind;
pub use nowhere::Nowhere;
pub use uuid::Uuid;

/// Longest text, in bytes.
pub const MOST_TEXT: usize = 64 * 1024;

/// A job that was begun so often and never ended is given up: *failed*, and kept.
pub const MOST_ATTEMPTS: u32 = 5;

/// What a job that was given up says.
pub const GIVEN_UP: &str = "given up: every worker that began it was gone before its end";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    Queued,
    Processing,
    Done,
    Failed,
}

impl Status {
    pub const ALL: [Status; 4] = [Status::Queued, Status::Processing, Status::Done, Status::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Queued => "queued",
            Status::Processing => "processing",
            Status::Done => "done",
            Status::Failed => "failed",
        }
    }

    pub fn named(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// A job to be stored.
#[derive(Clone, Debug)]
pub struct New {
    /// Of version 7: made when the job came.
    pub id: Uuid,
    pub kind: Kind,
    pub text: String,
    /// The client's own name for this job, by which it is the same job when it comes again.
    pub key: Option<String>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is stored, as durably as the store can.
    Stored,
    /// A job of this key and content was there.
    Known { id: Uuid, status: Status },
    /// A job of this key and another content was there.
    Reused,
    /// The queue has as many jobs as it may.
    Full,
}

/// A job as clients see it. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: Uuid,
    pub kind: String,
    pub status: Status,
    pub attempts: u32,
    pub created: u64,
    /// The last attempt's start.
    pub started: Option<u64>,
    pub finished: Option<u64>,
    /// JSON. Lists leave it out.
    pub result: Option<String>,
    pub error: Option<String>,
}

/// Which jobs a list is to have, latest first.
#[derive(Clone, Debug)]
pub struct Query {
    pub status: Option<Status>,
    pub limit: u32,
    /// Where the list before ended, in the store's own words: see [`List::next`].
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct List {
    pub jobs: Vec<Job>,
    /// Where the next page begins, if there may be one.
    pub next: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It was queued or failed, and is no more.
    Gone,
    Unknown,
    /// It is being processed, or done.
    Late(Status),
}

/// One attempt at a job: who ends or renews a job must say which attempt it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: Uuid,
    pub attempt: u32,
}

/// A job that this worker holds until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub hold: Hold,
    pub kind: String,
    pub text: String,
    /// Since it came.
    pub waited: Duration,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With this result, in JSON.
    Done(String),
    /// For good, and why.
    Failed(String),
    /// Not begun, or not finished: the job is queued again, as if this attempt had not been.
    Returned,
}

/// The store cannot be reached, or cannot do it. The text is for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away(pub String);

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where jobs are kept.
pub trait Store {
    fn submit(&self, new: New) -> impl Future<Output = Result<Submitted, Away>>;
    fn get(&self, id: Uuid) -> impl Future<Output = Result<Option<Job>, Away>>;
    fn list(&self, query: Query) -> impl Future<Output = Result<List, Away>>;
    fn cancel(&self, id: Uuid) -> impl Future<Output = Result<Cancelled, Away>>;

    /// Jobs that wait and jobs that are held.
    fn depth(&self) -> impl Future<Output = Result<Depth, Away>>;
}

/// The same, as workers see it.
pub trait Queue {
    /// At most so many jobs, oldest first, each with a lease. What others held for too long comes again, or is given
    /// up. Where the platform can wait, it waits for the first; jobs are not lost when it is cut short.
    fn take(&self, most: usize) -> impl Future<Output = Result<Vec<Taken>, Away>>;
    /// Of each of these attempts, whether it still held its job: the ends of the others do not count.
    fn end(&self, ended: Vec<(Hold, End)>) -> impl Future<Output = Result<Vec<bool>, Away>>;
    /// Makes the leases as long again.
    fn renew(&self, held: Vec<Hold>) -> impl Future<Output = Result<(), Away>>;
    /// This worker takes no more: what was handed to it, and has not been taken or ended, is others' at once.
    fn leave(&self) -> impl Future<Output = Result<(), Away>> {
        ready(Ok(()))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub queued: u64,
    pub processing: u64,
}
