//! The layout of jobs in Redis: the scripts that are all that touches it, what they are given, what they answer. No I/O.
//!
//! Every change is one script, so it happens as a whole or not at all, and by Redis' clock. The answers are flat lists,
//! because that is what all clients can pass on.

#[cfg(test)]
mod tests;

use std::time::Duration;
use std::vec;

use super::{
    Cancelled, Depth, End, GIVEN_UP, Hold, Job, List, MOST_ATTEMPTS, New, Query, Status, Submitted, Taken,
    Uuid,
};

/// The one key that the scripts are called with: the stream that hands jobs to workers. An entry's only field is the
/// job's id.
pub const STREAM: &str = "{ounce}:jobs";

/// The stream's group of consumers, of which each worker is one.
pub const GROUP: &str = "workers";

/// Jobs of one call: Lua takes some thousands of values at once.
pub const MOST_AT_ONCE: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Script {
    Submit,
    Get,
    List,
    Cancel,
    Depth,
    Start,
    End,
    Renew,
    Leave,
}

/// What each script begins with: the layout.
const NAMES: &str = include_str!("redis/names.lua");

impl Script {
    /// Each with the rest of its text, in the order of the variants.
    const ALL: [(Script, &str); 9] = [
        (Script::Submit, include_str!("redis/submit.lua")),
        (Script::Get, include_str!("redis/get.lua")),
        (Script::List, include_str!("redis/list.lua")),
        (Script::Cancel, include_str!("redis/cancel.lua")),
        (Script::Depth, include_str!("redis/depth.lua")),
        (Script::Start, include_str!("redis/start.lua")),
        (Script::End, include_str!("redis/end.lua")),
        (Script::Renew, include_str!("redis/renew.lua")),
        (Script::Leave, include_str!("redis/leave.lua")),
    ];

    pub fn all() -> impl Iterator<Item = Script> {
        Script::ALL.into_iter().map(|(script, _)| script)
    }

    pub fn text(self) -> String {
        [NAMES, Script::ALL[self as usize].1].concat()
    }
}

/// `EVAL text 1 STREAM args`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub script: Script,
    pub args: Vec<Vec<u8>>,
}

impl Call {
    fn new(script: Script) -> Call {
        Call { script, args: Vec::new() }
    }

    fn with(mut self, arg: impl Into<Vec<u8>>) -> Call {
        self.args.push(arg.into());
        self
    }

    fn number(self, number: impl ToString) -> Call {
        self.with(number.to_string())
    }
}

/// One value of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Nil,
    Int(i64),
    Text(Vec<u8>),
}

/// An answer, read from its start. `None` is one of another form than was asked for.
pub struct Parts(vec::IntoIter<Part>);

impl Parts {
    pub fn new(parts: Vec<Part>) -> Parts {
        Parts(parts.into_iter())
    }

    fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// What may be missing.
    fn maybe_text(&mut self) -> Option<Option<String>> {
        match self.0.next()? {
            Part::Nil => Some(None),
            Part::Int(number) => Some(Some(number.to_string())),
            Part::Text(text) => String::from_utf8(text).ok().map(Some),
        }
    }

    fn text(&mut self) -> Option<String> {
        self.maybe_text()?
    }

    fn maybe_number(&mut self) -> Option<Option<u64>> {
        self.maybe_text()?.map_or(Some(None), |text| text.parse().ok().map(Some))
    }

    fn number(&mut self) -> Option<u64> {
        self.maybe_number()?
    }

    fn id(&mut self) -> Option<Uuid> {
        Uuid::try_parse(&self.text()?).ok()
    }

    fn status(&mut self) -> Option<Status> {
        Status::named(&self.text()?)
    }

    /// What clients may see of a job, but for its result; `Some(None)` is no job.
    fn job(&mut self, id: Uuid) -> Option<Option<Job>> {
        let Some(kind) = self.maybe_text()? else { return Some(None) };
        Some(Some(Job {
            id,
            kind,
            status: self.status()?,
            attempts: self.maybe_number()?.unwrap_or_default().try_into().ok()?,
            created: self.number()?,
            started: self.maybe_number()?,
            finished: self.maybe_number()?,
            error: self.maybe_text()?,
            result: None,
        }))
    }

    /// As many as there are.
    fn all<T>(mut self, mut one: impl FnMut(&mut Parts) -> Option<T>) -> Option<Vec<T>> {
        let mut all = Vec::new();
        while !self.is_empty() {
            all.push(one(&mut self)?);
        }
        Some(all)
    }
}

/// `limit`: jobs that may wait.
pub fn submit(limit: usize, jobs: Vec<New>) -> Call {
    let first = Call::new(Script::Submit).number(limit);
    jobs.into_iter().fold(first, |call, New { id, kind, text, key }| {
        call.number(id).with(kind.as_str()).with(key.unwrap_or_default()).with(text)
    })
}

/// Of each job, in the same order.
pub fn submitted(parts: Parts) -> Option<Vec<Submitted>> {
    parts.all(|parts| {
        let became = parts.text()?;
        let (id, status) = (parts.maybe_text()?, parts.maybe_text()?);
        match became.as_str() {
            "stored" => Some(Submitted::Stored),
            "known" => {
                Some(Submitted::Known { id: Uuid::try_parse(&id?).ok()?, status: Status::named(&status?)? })
            }
            "reused" => Some(Submitted::Reused),
            "full" => Some(Submitted::Full),
            _ => None,
        }
    })
}

pub fn get(id: Uuid) -> Call {
    Call::new(Script::Get).number(id)
}

pub fn got(id: Uuid, mut parts: Parts) -> Option<Option<Job>> {
    let Some(mut job) = parts.job(id)? else { return Some(None) };
    job.result = parts.maybe_text()?;
    Some(Some(job))
}

/// `None` for a cursor that is none of ours: nothing comes after it.
pub fn list(query: &Query) -> Option<Call> {
    let cursor = query.cursor.as_deref().unwrap_or_default();
    // A number beyond these is no exact one in Lua.
    let ours = cursor.len() <= 15 && cursor.bytes().all(|byte| byte.is_ascii_digit());
    let status = query.status.map_or("", Status::as_str);
    ours.then(|| Call::new(Script::List).number(query.limit).with(cursor).with(status))
}

pub fn listed(mut parts: Parts) -> Option<List> {
    let next = parts.maybe_text()?;
    let jobs = parts.all(|parts| {
        let id = parts.id()?;
        parts.job(id)?
    })?;
    Some(List { jobs, next })
}

pub fn cancel(id: Uuid) -> Call {
    Call::new(Script::Cancel).number(id)
}

pub fn cancelled(mut parts: Parts) -> Option<Cancelled> {
    let Some(status) = parts.maybe_text()? else { return Some(Cancelled::Unknown) };
    Some(match Status::named(&status)? {
        Status::Queued | Status::Failed => Cancelled::Gone,
        late => Cancelled::Late(late),
    })
}

pub fn depth() -> Call {
    Call::new(Script::Depth)
}

pub fn deep(mut parts: Parts) -> Option<Depth> {
    Some(Depth { queued: parts.number()?, processing: parts.number()? })
}

/// An entry of the stream, and its job's id.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Reads what `XREADGROUP` answers: the stream, then of each entry its id, its field's name, the job's id; or nothing,
/// if it was taken off the stream.
pub fn read(parts: Vec<Part>) -> Option<Vec<Entry>> {
    let (mut parts, mut entries) = (parts.into_iter().skip(1), Vec::new());
    while let Some(part) = parts.next() {
        let Part::Text(entry) = part else { return None };
        match parts.next()? {
            Part::Nil => {}
            _ => match parts.next()? {
                Part::Text(id) => entries.push((entry, id)),
                _ => return None,
            },
        }
    }
    Some(entries)
}

/// Begins jobs that the stream has handed to `worker`.
pub fn start(worker: &str, entries: Vec<Entry>) -> Call {
    let first = starting(worker, entries.len(), Duration::ZERO);
    entries.into_iter().fold(first, |call, (entry, id)| call.with(entry).with(id))
}

/// Begins jobs that others have held for longer than `lease`.
pub fn reclaim(worker: &str, most: usize, lease: Duration) -> Call {
    starting(worker, most, lease)
}

fn starting(worker: &str, most: usize, lease: Duration) -> Call {
    let call = Call::new(Script::Start).with(worker).number(most).number(lease.as_millis());
    call.number(MOST_ATTEMPTS).with(GIVEN_UP)
}

pub fn started(parts: Parts) -> Option<Vec<Taken>> {
    parts.all(|parts| {
        Some(Taken {
            hold: Hold { id: parts.id()?, attempt: parts.number()?.try_into().ok()? },
            kind: parts.text()?,
            text: parts.text()?,
            // Redis' clock may have gone back.
            waited: Duration::from_millis(parts.text()?.parse::<i64>().ok()?.max(0).unsigned_abs()),
        })
    })
}

/// `keep`: how long a job that is done can be seen.
pub fn end(keep: Duration, ended: &[(Hold, End)]) -> Call {
    ended.iter().fold(Call::new(Script::End).number(keep.as_millis()), |call, (hold, end)| {
        let (how, value) = match end {
            End::Done(result) => ("done", result.as_str()),
            End::Failed(why) => ("failed", why.as_str()),
            End::Returned => ("returned", ""),
        };
        call.number(hold.id).number(hold.attempt).with(how).with(value)
    })
}

pub fn renew(worker: &str, held: &[Hold]) -> Call {
    let first = Call::new(Script::Renew).with(worker);
    held.iter().fold(first, |call, hold| call.number(hold.id).number(hold.attempt))
}

pub fn leave(worker: &str) -> Call {
    Call::new(Script::Leave).with(worker)
}

/// Of each of so many attempts, whether it still held its job.
pub fn ended(parts: Parts, attempts: usize) -> Option<Vec<bool>> {
    let held = parts.all(|parts| Some(parts.number()? == 1))?;
    (held.len() == attempts).then_some(held)
}

/// How many jobs a call was about, of [`renew`] and [`leave`].
pub fn count(mut parts: Parts) -> Option<usize> {
    parts.number()?.try_into().ok()
}
