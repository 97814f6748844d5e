//! The thread that has the file. It takes all operations that wait; reads are done at once, and writes in one
//! transaction, so that the wait for the disk is paid once for all of them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Shared;
use super::door;
use super::work::{Offer, Work};
use crate::jobs::{Away, End, Taken};

/// Operations of one transaction, at most.
const BATCH: usize = 256;

pub enum Op {
    Read(Box<dyn Task>),
    Write(Box<dyn Task>),
    /// Closes the file; answered when that is done.
    Close(oneshot::Sender<()>),
}

/// Something to be done, and somebody who waits for it.
pub trait Task: Send {
    fn run(&mut self, work: &mut Work<'_>) -> rusqlite::Result<()>;
    /// Whether what it did must be on the disk before it is answered.
    fn lasting(&self) -> bool {
        true
    }
    /// With what `run` had, unless the store is away.
    fn answer(self: Box<Self>, away: Option<&Away>);
}

/// What comes of a task, for whom it is.
type Answer<T> = oneshot::Receiver<Result<T, Away>>;

/// A task for most uses.
pub struct Ask<T, F> {
    run: F,
    result: Option<T>,
    answer: oneshot::Sender<Result<T, Away>>,
}

impl<T, F: FnMut(&mut Work<'_>) -> rusqlite::Result<T>> Ask<T, F> {
    pub fn new(run: F) -> (Box<Ask<T, F>>, Answer<T>) {
        let (answer, receiver) = oneshot::channel();
        (Box::new(Ask { run, result: None, answer }), receiver)
    }
}

impl<T: Send, F: FnMut(&mut Work<'_>) -> rusqlite::Result<T> + Send> Task for Ask<T, F> {
    fn run(&mut self, work: &mut Work<'_>) -> rusqlite::Result<()> {
        self.result = Some((self.run)(work)?);
        Ok(())
    }

    fn answer(self: Box<Self>, away: Option<&Away>) {
        let Ask { result, answer, .. } = *self;
        // Who does not wait any more does not want it.
        let _ = answer.send(away.map_or_else(|| result.ok_or_else(gone), |away| Err(away.clone())));
    }
}

/// The task of taking jobs: those that nobody waits for any more are given back.
pub struct Take {
    most: usize,
    offer: Option<Offer>,
    home: Sender<Op>,
    answer: oneshot::Sender<Result<Offered, Away>>,
}

type Offered = (Claimed, Option<Duration>);

impl Take {
    pub fn new(most: usize, home: Sender<Op>) -> (Box<Take>, Answer<Offered>) {
        let (answer, receiver) = oneshot::channel();
        (Box::new(Take { most, offer: None, home, answer }), receiver)
    }
}

impl Task for Take {
    /// When the machine fails, the lease ends with it, written or not.
    fn lasting(&self) -> bool {
        false
    }

    fn run(&mut self, work: &mut Work<'_>) -> rusqlite::Result<()> {
        self.offer = Some(work.take(self.most)?);
        Ok(())
    }

    fn answer(mut self: Box<Self>, away: Option<&Away>) {
        let result = match (away, self.offer.take()) {
            (None, Some(Offer { taken, again })) => Ok((Claimed { taken, home: self.home.clone() }, again)),
            (away, _) => Err(away.cloned().unwrap_or_else(gone)),
        };
        let _ = self.answer.send(result);
    }
}

/// Jobs on their way to whoever wanted them; dropped, they are given back.
pub struct Claimed {
    taken: Vec<Taken>,
    home: Sender<Op>,
}

impl Claimed {
    pub fn accept(mut self) -> Vec<Taken> {
        std::mem::take(&mut self.taken)
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        let ended: Vec<_> = self.taken.drain(..).map(|taken| (taken.hold, End::Returned)).collect();
        let (task, _) = Ask::new(move |work: &mut Work<'_>| work.end(&ended));
        // If the file is closed by now, their leases end.
        let _ = self.home.send(Op::Write(task));
    }
}

pub fn gone() -> Away {
    Away("the store of jobs is closed".into())
}

/// Works until nobody can ask for anything any more.
pub fn run(shared: &Arc<Shared>, ops: &Receiver<Op>, mut opened: Option<Connection>) {
    let mut first = Vec::new();
    loop {
        let connection = match opened.take() {
            Some(connection) => connection,
            None => {
                let Ok(op) = ops.recv() else { return };
                first.push(op);
                match shared.open() {
                    Ok(connection) => connection,
                    Err(away) => {
                        first.drain(..).for_each(|op| op.refuse(&away));
                        continue;
                    }
                }
            }
        };
        match serve(shared, &connection, ops, &mut first) {
            Ended::Closed(answer) => {
                drop(connection);
                let _ = answer.send(());
                return;
            }
            Ended::Alone => return,
            Ended::Broken => {}
        }
    }
}

/// Why a connection is not used any more.
enum Ended {
    Closed(oneshot::Sender<()>),
    /// Nobody is there to ask.
    Alone,
    Broken,
}

fn serve(shared: &Shared, connection: &Connection, ops: &Receiver<Op>, first: &mut Vec<Op>) -> Ended {
    let mut work = Work::new(connection, shared.limits, shared.clock.clone());
    let mut writes = Vec::new();
    loop {
        if first.is_empty() {
            let Ok(op) = ops.recv() else { return Ended::Alone };
            first.push(op);
        }
        let mut closing = None;
        for op in first.drain(..).chain(ops.try_iter()).take(BATCH) {
            match op {
                Op::Read(mut task) => {
                    let away = task.run(&mut work).err().map(|error| shared.place.away(&error));
                    task.answer(away.as_ref());
                }
                Op::Write(task) => writes.push(task),
                Op::Close(answer) => {
                    closing = Some(answer);
                    break;
                }
            }
        }
        write(shared, &mut work, &mut writes);
        match closing {
            Some(answer) => return Ended::Closed(answer),
            None if !work.sound() => return Ended::Broken,
            None => {}
        }
    }
}

fn write(shared: &Shared, work: &mut Work<'_>, writes: &mut Vec<Box<dyn Task>>) {
    if writes.is_empty() {
        return;
    }
    let lasting = writes.iter().any(|task| task.lasting());
    let done = work.transaction(lasting, |work| writes.iter_mut().try_for_each(|task| task.run(work)));
    let away = done.err().map(|error| shared.place.away(&error));
    writes.drain(..).for_each(|task| task.answer(away.as_ref()));
    if away.is_none() && work.queued {
        shared.news.notify_waiters();
        shared.place.file().into_iter().for_each(door::ring);
    }
}

impl Op {
    fn refuse(self, away: &Away) {
        match self {
            Op::Read(task) | Op::Write(task) => task.answer(Some(away)),
            Op::Close(answer) => drop(answer.send(())),
        }
    }
}
