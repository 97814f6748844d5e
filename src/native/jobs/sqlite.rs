//! Jobs in a file of SQLite, which processes of one machine may share.
//!
//! In the order that an operation passes them: here, `keeper` (the thread that has the file), `work` (what is done),
//! `file`. `door` tells other processes. The statements are in [`crate::jobs::sql`].

mod clock;
mod door;
mod file;
mod keeper;
#[cfg(test)]
mod tests;
mod work;

use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{Notify, oneshot};
use tokio::time;

use self::clock::{Clock, Now};
use self::door::Door;
use self::file::Place;
use self::keeper::{Ask, Op, Take, Task, gone};
use self::work::{Offer, Work};
use crate::jobs::{
    Away, Cancelled, Depth, End, Hold, Job, List, New, Query, Queue, Store, Submitted, Taken, Uuid,
};
use crate::native::STACK_BYTES;
use crate::native::config::jobs::Limits;

#[derive(Clone)]
pub struct Sqlite {
    shared: Arc<Shared>,
    /// To the thread that has the file, once there is one.
    keeper: Arc<Mutex<Option<mpsc::Sender<Op>>>>,
    /// Where the one who takes jobs waits.
    door: Arc<tokio::sync::Mutex<Door>>,
}

/// What the thread that has the file shares with those who ask it.
struct Shared {
    place: Place,
    limits: Limits,
    clock: Clock,
    /// The file was opened.
    opened: AtomicBool,
    /// Jobs have been queued.
    news: Notify,
}

impl Shared {
    fn open(&self) -> Result<Connection, Away> {
        let connection = self.place.open()?;
        self.opened.store(true, Relaxed);
        Ok(connection)
    }

    /// There is no file yet, so that it holds nothing. One that cannot be seen may be there.
    fn absent(&self) -> bool {
        let there = |file: &Path| file.try_exists().unwrap_or(true);
        !self.opened.load(Relaxed) && !self.place.file().is_some_and(there)
    }
}

impl Sqlite {
    /// Opens the file in the directory, if there is one; otherwise it is made now (`at_once`), or when the first job
    /// is submitted. No directory is memory alone.
    pub fn open(directory: Option<&Path>, limits: Limits, at_once: bool) -> io::Result<Sqlite> {
        Sqlite::with_clock(directory, limits, at_once, Arc::new(Now::read))
    }

    fn with_clock(
        directory: Option<&Path>,
        limits: Limits,
        at_once: bool,
        clock: Clock,
    ) -> io::Result<Sqlite> {
        let place = Place::of(directory);
        let shared = Shared { place, limits, clock, opened: AtomicBool::new(false), news: Notify::new() };
        let sqlite = Sqlite { shared: Arc::new(shared), keeper: Arc::default(), door: Arc::default() };
        if at_once || !sqlite.shared.absent() {
            let connection = sqlite.shared.open().map_err(|away| io::Error::other(away.0))?;
            let keeper = sqlite.start(Some(connection))?;
            *sqlite.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        }
        Ok(sqlite)
    }

    /// Lets what was asked before be done, then closes the file, which leaves nothing beside it.
    pub async fn close(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (closed, done) = oneshot::channel();
        if keeper.is_some_and(|keeper| keeper.send(Op::Close(closed)).is_ok()) {
            let _ = done.await;
        }
    }

    fn start(&self, connection: Option<Connection>) -> io::Result<mpsc::Sender<Op>> {
        let (keeper, ops) = mpsc::channel();
        let shared = self.shared.clone();
        let thread = thread::Builder::new().name("store".into()).stack_size(STACK_BYTES);
        thread.spawn(move || keeper::run(&shared, &ops, connection))?;
        Ok(keeper)
    }

    fn keeper(&self) -> Result<mpsc::Sender<Op>, Away> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keeper) = &*keeper {
            return Ok(keeper.clone());
        }
        let started = self
            .start(None)
            .map_err(|error| Away(format!("cannot start the thread of the store: {error}")))?;
        Ok(keeper.insert(started).clone())
    }

    async fn ask<T: Send + 'static>(
        &self,
        op: fn(Box<dyn Task>) -> Op,
        run: impl FnMut(&mut Work<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Away> {
        let (task, answer) = Ask::new(run);
        self.keeper()?.send(op(task)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// What can be taken at once.
    async fn offer(&self, most: usize) -> Result<Offer, Away> {
        if self.shared.absent() {
            return Ok(Offer { taken: Vec::new(), again: None });
        }
        let home = self.keeper()?;
        let (take, offer) = Take::new(most, home.clone());
        home.send(Op::Write(take)).map_err(|_| gone())?;
        let (claimed, again) = offer.await.map_err(|_| gone())??;
        Ok(Offer { taken: claimed.accept(), again })
    }

    /// Where the jobs are, for people.
    pub fn place(&self) -> String {
        self.shared.place.file().map_or_else(|| "memory".into(), |file| file.display().to_string())
    }
}

impl Store for Sqlite {
    async fn submit(&self, new: New) -> Result<Submitted, Away> {
        self.ask(Op::Write, move |work| work.submit(&new)).await
    }

    async fn get(&self, id: Uuid) -> Result<Option<Job>, Away> {
        if self.shared.absent() {
            return Ok(None);
        }
        self.ask(Op::Read, move |work| work.get(id)).await
    }

    async fn list(&self, query: Query) -> Result<List, Away> {
        if self.shared.absent() {
            return Ok(List::default());
        }
        self.ask(Op::Read, move |work| work.list(&query)).await
    }

    async fn cancel(&self, id: Uuid) -> Result<Cancelled, Away> {
        if self.shared.absent() {
            return Ok(Cancelled::Unknown);
        }
        self.ask(Op::Write, move |work| work.cancel(id)).await
    }

    async fn depth(&self) -> Result<Depth, Away> {
        if self.shared.absent() {
            return Ok(Depth::default());
        }
        self.ask(Op::Read, |work| work.depth()).await
    }
}

impl Queue for Sqlite {
    /// Waits for the first job without looking again and again.
    async fn take(&self, most: usize) -> Result<Vec<Taken>, Away> {
        // Whoever else takes jobs in this process comes after us.
        let mut door = self.door.lock().await;
        loop {
            // From here on nothing is missed.
            let news = self.shared.news.notified();
            let absent = self.shared.absent();
            if let Some(path) = self.shared.place.file() {
                door.watch(path, !absent);
            }
            let Offer { taken, again } = self.offer(most).await?;
            if !taken.is_empty() {
                return Ok(taken);
            }
            if absent && !self.shared.absent() {
                // It is not watched yet.
                continue;
            }
            tokio::select! {
                () = news => {}
                () = door.rung() => {}
                () = pause(again) => {}
            }
        }
    }

    async fn end(&self, ended: Vec<(Hold, End)>) -> Result<Vec<bool>, Away> {
        self.ask(Op::Write, move |work| work.end(&ended)).await
    }

    async fn renew(&self, held: Vec<Hold>) -> Result<(), Away> {
        self.ask(Op::Write, move |work| work.renew(&held)).await
    }
}

/// Without a length, forever.
async fn pause(length: Option<Duration>) {
    match length {
        Some(length) => time::sleep(length).await,
        None => pending().await,
    }
}
