//! Jobs in Spin's SQLite, by the statements that the native file is used with.
//!
//! Leases go by the wall clock here, because instances share no other: the monotonic clock that a component sees may
//! begin with its instance. So setting the clock must do no harm. Forward, leases end early: a job may run twice, but
//! ends once, because an end counts only for the attempt that holds the job. Backward, they would end late; so what
//! ends much later than a lease that is given now is void. `meta` is not used: it tells whether a steady clock has begun
//! anew.

mod database;
mod row;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spin_sdk::sqlite::Value;

use self::database::Database;
use self::row::Row;
use super::settings;
use crate::jobs::{
    Away, Cancelled, Depth, End, GIVEN_UP, Hold, Job, List, MOST_ATTEMPTS, New, Query, Queue, Status, Store,
    Submitted, Taken, Uuid, sql,
};

/// Jobs that are forgotten at once, at most.
const FORGOTTEN: i64 = 1000;

/// How late they are forgotten, so that not every request forgets one.
const LATE: Duration = Duration::from_secs(1);

/// How much later than a lease that is given now another may end. A statement waits while others write, so that they may
/// give leases that are newer than the time that it came with.
const NEWER: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Sqlite(Database);

impl Store for Sqlite {
    async fn submit(&self, new: New) -> Result<Submitted, Away> {
        self.0.make()?;
        let (kind, content) = (text(new.kind.as_str()), Value::Text(new.text));
        let key = new.key.map_or(Value::Null, Value::Text);
        let limit = Value::Integer(settings::queue() as i64);
        let job = [id(new.id), kind.clone(), content.clone(), key.clone(), time(now()), limit];
        if self.0.change(sql::SUBMIT, &job)? > 0 {
            return Ok(Submitted::Stored);
        }
        let known = self.0.one(sql::OF_KEY, &[key, kind, content], |row| {
            let (id, status) = (row.id()?, row.status()?);
            Some(if row.number()? == 1 { Submitted::Known { id, status } } else { Submitted::Reused })
        })?;
        Ok(known.unwrap_or(Submitted::Full))
    }

    async fn get(&self, job: Uuid) -> Result<Option<Job>, Away> {
        if !self.0.there()? {
            return Ok(None);
        }
        self.0.one(sql::GET, &[id(job)], |row| {
            let job = row.job()?;
            Some(Job { result: row.maybe_text()?, ..job })
        })
    }

    async fn list(&self, query: Query) -> Result<List, Away> {
        // A cursor that we never gave leads nowhere.
        let before = query.cursor.as_deref().map_or(Some((i64::MAX, i64::MAX)), place);
        let (true, Some((due, arrival))) = (self.0.there()?, before) else { return Ok(List::default()) };
        // One more, to see whether there is another page.
        let most = i64::from(query.limit) + 1;
        let listed = |row: &mut Row| Some((format!("{}-{}", row.number()?, row.number()?), row.job()?));
        let mut jobs = match query.status {
            None => self.0.all(sql::LIST, &numbers([arrival, most]), listed),
            Some(status) => self.0.all(sql::LIST_OF, &numbers([status as i64, due, arrival, most]), listed),
        }?;
        let full = jobs.len() > query.limit as usize;
        jobs.truncate(query.limit as usize);
        let next = jobs.last().filter(|_| full).map(|(place, _)| place.clone());
        Ok(List { jobs: jobs.into_iter().map(|(_, job)| job).collect(), next })
    }

    async fn cancel(&self, job: Uuid) -> Result<Cancelled, Away> {
        if !self.0.there()? {
            return Ok(Cancelled::Unknown);
        }
        if self.0.change(sql::CANCEL, &[id(job)])? > 0 {
            return Ok(Cancelled::Gone);
        }
        let late = self.0.one(sql::STATUS, &[id(job)], Row::status)?;
        Ok(late.map_or(Cancelled::Unknown, Cancelled::Late))
    }

    async fn depth(&self) -> Result<Depth, Away> {
        if !self.0.there()? {
            return Ok(Depth::default());
        }
        let depth = |row: &mut Row| Some(Depth { queued: row.count()?, processing: row.count()? });
        Ok(self.0.one(sql::DEPTH, &[], depth)?.unwrap_or_default())
    }
}

impl Queue for Sqlite {
    /// What there is: an instance does not wait for more.
    async fn take(&self, most: usize) -> Result<Vec<Taken>, Away> {
        if !self.0.there()? {
            return Ok(Vec::new());
        }
        let now = now();
        let next = |row: &mut Row| Some((row.number()?, row.maybe_number()?, row.maybe_number()?));
        let (mut queued, lease, expiry) = self.0.one(sql::NEXT, &[], next)?.unwrap_or_default();
        if let Some(first) = lease {
            queued += self.void(first, now)? as i64;
        }
        if expiry.is_some_and(|end| end + millis(LATE) <= now) {
            self.0.change(sql::FORGET, &numbers([now, FORGOTTEN]))?;
        }
        if queued == 0 { Ok(Vec::new()) } else { self.claim(most) }
    }

    async fn end(&self, ended: Vec<(Hold, End)>) -> Result<Vec<bool>, Away> {
        let now = now();
        let forget = time(now + millis(settings::keep()));
        let mut held = Vec::new();
        for (hold, end) in ended {
            let [id, attempt] = attempt(hold);
            let changed = match end {
                End::Done(result) => {
                    self.0.change(sql::DONE, &[id, attempt, time(now), forget.clone(), Value::Text(result)])
                }
                End::Failed(why) => self.0.change(sql::FAILED, &[id, attempt, time(now), Value::Text(why)]),
                End::Returned => self.0.change(sql::RETURNED, &[id, attempt]),
            }?;
            held.push(changed > 0);
        }
        Ok(held)
    }

    async fn renew(&self, held: Vec<Hold>) -> Result<(), Away> {
        for hold in held {
            let [id, attempt] = attempt(hold);
            self.0.change(sql::RENEW, &[id, attempt, time(lease(now()))])?;
        }
        Ok(())
    }
}

impl Sqlite {
    /// How many jobs have ended so far.
    pub fn ended(&self) -> Result<Vec<(Status, u64)>, Away> {
        let ended = |row: &mut Row| Some((row.status()?, row.count()?));
        if self.0.there()? { self.0.all(sql::ENDED, &[], ended) } else { Ok(Vec::new()) }
    }

    /// Takes back what was held for too long, by whatever clock. How many jobs were held. While leases are as they should
    /// be, which is nearly always, nothing is written that would keep those waiting who renew theirs.
    fn void(&self, first: i64, now: i64) -> Result<usize, Away> {
        let beyond = lease(now) + millis(NEWER);
        let mut overdue = first <= now;
        if self.0.one(sql::LAST_LEASE, &[], Row::number)?.is_some_and(|last| last > beyond) {
            self.0.change(sql::VOID_BEYOND, &[time(beyond)])?;
            overdue = true;
        }
        let given_up = [time(now), Value::Integer(MOST_ATTEMPTS.into()), text(GIVEN_UP), time(now)];
        if overdue { self.0.change(sql::VOID, &given_up) } else { Ok(0) }
    }

    fn claim(&self, most: usize) -> Result<Vec<Taken>, Away> {
        // A job that was submitted is on the disk by now; what becomes of it need not be.
        self.0.relax()?;
        let now = now();
        let mut taken = self.0.all(sql::CLAIM, &numbers([lease(now), now, most as i64]), |row| {
            let arrival = row.number()?;
            let hold = Hold { id: row.id()?, attempt: row.attempts()? };
            let (kind, text, waited) = (row.text()?, row.text()?, now - row.number()?);
            let waited = Duration::from_millis(waited.try_into().unwrap_or(0));
            Some((arrival, Taken { hold, kind, text, waited }))
        })?;
        // They come in no order.
        taken.sort_unstable_by_key(|(arrival, _)| *arrival);
        Ok(taken.into_iter().map(|(_, taken)| taken).collect())
    }
}

/// Where a page begins, as its cursor says it.
fn place(cursor: &str) -> Option<(i64, i64)> {
    let (due, arrival) = cursor.split_once('-')?;
    Some((due.parse().ok()?, arrival.parse().ok()?))
}

/// Milliseconds since 1970.
fn now() -> i64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// When a lease ends that is given now.
fn lease(now: i64) -> i64 {
    now + millis(settings::lease())
}

fn millis(time: Duration) -> i64 {
    // Far from the end, so that a time can be added to another.
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

fn id(id: Uuid) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}

fn attempt(hold: Hold) -> [Value; 2] {
    [id(hold.id), Value::Integer(hold.attempt.into())]
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn time(time: i64) -> Value {
    Value::Integer(time)
}

fn numbers<const N: usize>(numbers: [i64; N]) -> [Value; N] {
    numbers.map(Value::Integer)
}
