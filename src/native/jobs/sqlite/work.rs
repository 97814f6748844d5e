//! What is done with the file, one operation at a time; the caller sees to transactions.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Params, Row, Statement, params};

use super::clock::{Clock, Now, between, millis};
use crate::jobs::{
    Cancelled, Depth, End, GIVEN_UP, Hold, Job, List, MOST_ATTEMPTS, New, Query, Status, Submitted, Taken,
    Uuid, sql,
};
use crate::native::config::jobs::Limits;

/// Jobs that are forgotten at once, at most.
const FORGOTTEN: usize = 1000;

/// Between two times that jobs are forgotten, and between those if there were too many for one.
const PAUSE: Duration = Duration::from_secs(1);
const SHORT_PAUSE: Duration = Duration::from_millis(50);

/// A connection, with the statements that were used so far.
pub struct Work<'c> {
    connection: &'c Connection,
    statements: Vec<(&'static str, Statement<'c>)>,
    limits: Limits,
    clock: Clock,
    /// Before this time of the steady clock no jobs are forgotten.
    forget: i64,
    /// There is a log ahead: without it, what was not flushed could spoil the file.
    ahead: bool,
    /// Whether a commit waits for the disk.
    flushes: bool,
    /// There are more jobs queued than before.
    pub queued: bool,
}

/// What there is to take: jobs, or if there are none, when to look again, if not before something happens.
pub struct Offer {
    pub taken: Vec<Taken>,
    pub again: Option<Duration>,
}

impl<'c> Work<'c> {
    pub fn new(connection: &'c Connection, limits: Limits, clock: Clock) -> Work<'c> {
        let mode = connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
        let ahead = mode.is_ok_and(|mode| mode == "wal");
        let statements = Vec::new();
        Work { connection, statements, limits, clock, forget: 0, ahead, flushes: true, queued: false }
    }

    /// The statement, which is compiled once.
    fn on(&mut self, sql: &'static str) -> rusqlite::Result<&mut Statement<'c>> {
        let index = match self.statements.iter().position(|(known, _)| *known == sql) {
            Some(index) => index,
            None => {
                self.statements.push((sql, self.connection.prepare(sql)?));
                self.statements.len() - 1
            }
        };
        Ok(&mut self.statements[index].1)
    }

    /// How many rows it changed.
    fn run(&mut self, sql: &'static str, params: impl Params) -> rusqlite::Result<usize> {
        self.on(sql)?.execute(params)
    }

    fn now(&self) -> Now {
        (self.clock)()
    }

    /// All of `writes` or none. `lasting` ones are on the disk afterwards; others only outlive this process.
    pub fn transaction(
        &mut self,
        lasting: bool,
        writes: impl FnOnce(&mut Self) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        self.queued = false;
        if self.ahead && lasting != self.flushes {
            self.run(if lasting { sql::FLUSH } else { sql::NO_FLUSH }, [])?;
            self.flushes = lasting;
        }
        self.run("BEGIN IMMEDIATE", [])?;
        let done = writes(self).and_then(|()| self.run("COMMIT", []));
        if done.is_err() && !self.connection.is_autocommit() {
            // Where that fails too, the connection is given up: see `sound`.
            let _ = self.run("ROLLBACK", []);
        }
        done.map(drop)
    }

    /// Whether the connection can be used again.
    pub fn sound(&self) -> bool {
        self.connection.is_autocommit()
    }

    pub fn submit(&mut self, new: &New) -> rusqlite::Result<Submitted> {
        let (id, kind, now) = (new.id.as_bytes(), new.kind.as_str(), self.now().wall);
        let limit = self.limits.queue as i64;
        if self.run(sql::SUBMIT, params![id, kind, new.text, new.key, now, limit])? > 0 {
            self.queued = true;
            return Ok(Submitted::Stored);
        }
        let known = self.on(sql::OF_KEY)?.query_row(params![new.key, kind, new.text], |row| {
            Ok(match row.get(2)? {
                true => Submitted::Known { id: Uuid::from_bytes(row.get(0)?), status: status(row, 1)? },
                false => Submitted::Reused,
            })
        });
        Ok(known.optional()?.unwrap_or(Submitted::Full))
    }

    pub fn get(&mut self, id: Uuid) -> rusqlite::Result<Option<Job>> {
        let job = |row: &Row<'_>| Ok(Job { result: row.get(8)?, ..job(row, 0)? });
        self.on(sql::GET)?.query_row([id.as_bytes()], job).optional()
    }

    /// A cursor that we never gave leads nowhere.
    pub fn list(&mut self, query: &Query) -> rusqlite::Result<List> {
        let before = query.cursor.as_deref().map_or(Some((i64::MAX, i64::MAX)), |cursor| {
            let (due, arrival) = cursor.split_once('-')?;
            Some((due.parse().ok()?, arrival.parse().ok()?))
        });
        let Some((due, arrival)) = before else { return Ok(List::default()) };
        // One more, to see whether there is another page.
        let most = i64::from(query.limit) + 1;
        let mut rows = match query.status {
            None => self.on(sql::LIST)?.query(params![arrival, most])?,
            Some(status) => self.on(sql::LIST_OF)?.query(params![status as u8, due, arrival, most])?,
        };
        let mut list = List::default();
        let mut last = None;
        while let Some(row) = rows.next()? {
            if list.jobs.len() == query.limit as usize {
                list.next = last.map(|(due, arrival): (i64, i64)| format!("{due}-{arrival}"));
                break;
            }
            last = Some((row.get(0)?, row.get(1)?));
            list.jobs.push(job(row, 2)?);
        }
        Ok(list)
    }

    pub fn cancel(&mut self, id: Uuid) -> rusqlite::Result<Cancelled> {
        if self.run(sql::CANCEL, [id.as_bytes()])? > 0 {
            return Ok(Cancelled::Gone);
        }
        let late = self.on(sql::STATUS)?.query_row([id.as_bytes()], |row| status(row, 0)).optional()?;
        Ok(late.map_or(Cancelled::Unknown, Cancelled::Late))
    }

    pub fn depth(&mut self) -> rusqlite::Result<Depth> {
        self.on(sql::DEPTH)?.query_row([], |row| {
            Ok(Depth { queued: unsigned(row.get(0)?), processing: unsigned(row.get(1)?) })
        })
    }

    /// Takes back what was held too long, forgets what is old, and begins the oldest jobs.
    pub fn take(&mut self, most: usize) -> rusqlite::Result<Offer> {
        let now = self.now();
        let mut next = self.next()?;
        if next.lease.is_some_and(|end| end <= now.steady) {
            let changed = self.run(sql::VOID, params![now.steady, MOST_ATTEMPTS, GIVEN_UP, now.wall])?;
            self.queued |= changed > 0;
            next = self.next()?;
        }
        if next.expiry.is_some_and(|end| end <= now.wall) && self.forget <= now.steady {
            let forgotten = self.run(sql::FORGET, params![now.wall, FORGOTTEN as i64])?;
            let pause = if forgotten == FORGOTTEN { SHORT_PAUSE } else { PAUSE };
            self.forget = now.steady + millis(pause);
            next = self.next()?;
        }
        if next.queued == 0 || most == 0 {
            return Ok(Offer { taken: Vec::new(), again: self.wait(&next, now) });
        }
        Ok(Offer { taken: self.claim(most, now)?, again: None })
    }

    fn claim(&mut self, most: usize, now: Now) -> rusqlite::Result<Vec<Taken>> {
        let end = now.steady + millis(self.limits.lease);
        let mut taken = self
            .on(sql::CLAIM)?
            .query_map(params![end, now.wall, most as i64], |row| {
                let hold = Hold { id: Uuid::from_bytes(row.get(1)?), attempt: row.get(2)? };
                let waited = between(row.get(5)?, now.wall);
                Ok((row.get(0)?, Taken { hold, kind: row.get(3)?, text: row.get(4)?, waited }))
            })?
            .collect::<Result<Vec<(i64, Taken)>, _>>()?;
        // They come in no order.
        taken.sort_unstable_by_key(|(arrival, _)| *arrival);
        Ok(taken.into_iter().map(|(_, taken)| taken).collect())
    }

    fn next(&mut self) -> rusqlite::Result<Next> {
        self.on(sql::NEXT)?
            .query_row([], |row| Ok(Next { queued: row.get(0)?, lease: row.get(1)?, expiry: row.get(2)? }))
    }

    fn wait(&self, next: &Next, now: Now) -> Option<Duration> {
        let lease = next.lease.map(|end| between(now.steady, end));
        let pause = between(now.steady, self.forget);
        let expiry = next.expiry.map(|end| between(now.wall, end).max(pause));
        lease.into_iter().chain(expiry).min()
    }

    /// How many of the attempts still held their jobs.
    pub fn end(&mut self, ended: &[(Hold, End)]) -> rusqlite::Result<Vec<bool>> {
        let now = self.now().wall;
        let forget = now + millis(self.limits.keep);
        let mut held = Vec::with_capacity(ended.len());
        for (Hold { id, attempt }, end) in ended {
            let id = id.as_bytes();
            let changed = match end {
                End::Done(result) => self.run(sql::DONE, params![id, attempt, now, forget, result])?,
                End::Failed(error) => self.run(sql::FAILED, params![id, attempt, now, error])?,
                End::Returned => {
                    let returned = self.run(sql::RETURNED, params![id, attempt])?;
                    self.queued |= returned > 0;
                    returned
                }
            };
            held.push(changed > 0);
        }
        Ok(held)
    }

    pub fn renew(&mut self, held: &[Hold]) -> rusqlite::Result<()> {
        let end = self.now().steady + millis(self.limits.lease);
        for Hold { id, attempt } in held {
            self.run(sql::RENEW, params![id.as_bytes(), attempt, end])?;
        }
        Ok(())
    }

    /// As if the disk were full at so many pages.
    #[cfg(test)]
    pub fn narrow(&mut self, pages: u32) -> rusqlite::Result<()> {
        self.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
    }
}

struct Next {
    queued: i64,
    /// Of the steady clock.
    lease: Option<i64>,
    /// Of the wall clock.
    expiry: Option<i64>,
}

fn unsigned(number: i64) -> u64 {
    number.try_into().unwrap_or(0)
}

fn time(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(index)?.map(unsigned))
}

fn status(row: &Row<'_>, index: usize) -> rusqlite::Result<Status> {
    let number: i64 = row.get(index)?;
    let known = Status::ALL.into_iter().find(|status| *status as i64 == number);
    known.ok_or(rusqlite::Error::IntegralValueOutOfRange(index, number))
}

/// A job without its result, from the columns after `first`.
fn job(row: &Row<'_>, first: usize) -> rusqlite::Result<Job> {
    Ok(Job {
        id: Uuid::from_bytes(row.get(first)?),
        kind: row.get(first + 1)?,
        status: status(row, first + 2)?,
        attempts: row.get(first + 3)?,
        created: time(row, first + 4)?.unwrap_or_default(),
        started: time(row, first + 5)?,
        finished: time(row, first + 6)?,
        result: None,
        error: row.get(first + 7)?,
    })
}
