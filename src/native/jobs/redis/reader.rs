//! Waits for jobs, on a connection of its own. The wait goes on when nobody waits for it any more, so that what Redis
//! hands over meanwhile is not lost to a worker that is there.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use redis::cmd;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time;

use super::link::{Failure, Link, flat};
use super::server::Server;
use super::{Links, PATIENCE, understood};
use crate::jobs::redis::{self as layout, Call, Entry, GROUP, MOST_AT_ONCE, Parts, STREAM};
use crate::jobs::{Away, Taken, Uuid};

/// Longest wait in Redis: after it, an answer shows that the connection is alive.
const WAIT: Duration = Duration::from_secs(5);

/// For a wait to end that was told to.
const STOP: Duration = Duration::from_secs(3);

pub struct Reader {
    /// What Redis knows this worker as: nobody else is called so.
    name: String,
    links: Arc<Links>,
    waiting: Link,
    lease: Duration,
    /// When it was looked for what others have held for too long.
    looked: StdMutex<Option<Instant>>,
    /// Redis may have handed over jobs of which we do not know.
    missed: AtomicBool,
    leaving: AtomicBool,
    work: Mutex<Work>,
}

#[derive(Default)]
struct Work {
    /// Begun, and not handed on yet.
    ready: VecDeque<Taken>,
    wait: Option<JoinHandle<Result<Vec<Taken>, Away>>>,
}

impl Reader {
    pub fn new(server: Arc<Server>, links: Arc<Links>, lease: Duration) -> Reader {
        Reader {
            name: Uuid::now_v7().to_string(),
            links,
            waiting: Link::new(server, WAIT + PATIENCE),
            lease,
            looked: StdMutex::default(),
            missed: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            work: Mutex::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// At least one job, unless the worker leaves. Can be cut short at any time.
    pub async fn take(self: &Arc<Self>, most: usize) -> Result<Vec<Taken>, Away> {
        let mut work = self.work.lock().await;
        if work.ready.is_empty() {
            let begin = || tokio::spawn(self.clone().wait(most.min(MOST_AT_ONCE)));
            let ended = work.wait.get_or_insert_with(begin).await;
            work.wait = None;
            work.ready.extend(ended.map_err(|_| Away("Redis: the wait for jobs has ended".into()))??);
        }
        let most = most.min(work.ready.len());
        Ok(work.ready.drain(..most).collect())
    }

    /// Until there are jobs.
    async fn wait(self: Arc<Self>, most: usize) -> Result<Vec<Taken>, Away> {
        while !self.leaving.load(Relaxed) {
            let taken = match self.once(most).await {
                Err(failure) if failure.no_group() => {
                    self.found().await?;
                    continue;
                }
                taken => taken?,
            };
            if !taken.is_empty() {
                return Ok(taken);
            }
        }
        Ok(Vec::new())
    }

    async fn once(&self, most: usize) -> Result<Vec<Taken>, Failure> {
        let now = Instant::now();
        let next = self.next_look(now);
        if next <= now {
            let taken = self.begin(&layout::reclaim(&self.name, most, self.lease)).await?;
            // Only now: if that failed it is still to be done.
            *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
            return Ok(taken);
        }
        // Until it is known to be otherwise.
        let missed = self.missed.swap(true, Relaxed);
        let entries = self.read(most, (next - now).min(WAIT), missed).await?;
        let taken = match entries.is_empty() {
            true => Vec::new(),
            false => self.begin(&layout::start(&self.name, entries)).await?,
        };
        self.missed.store(false, Relaxed);
        Ok(taken)
    }

    /// What others hold is looked at several times in each lease.
    fn next_look(&self, now: Instant) -> Instant {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.map_or(now, |looked| looked + self.lease / 3)
    }

    /// Waits for new entries; or, after a failure, at once those that were handed over before.
    async fn read(&self, most: usize, wait: Duration, missed: bool) -> Result<Vec<Entry>, Failure> {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(&self.name);
        if !missed {
            // 0 would be for ever.
            read.arg("COUNT").arg(most).arg("BLOCK").arg(wait.as_millis().max(1) as usize);
        }
        read.arg("STREAMS").arg(STREAM).arg(if missed { "0" } else { ">" });
        let answer = flat(self.waiting.ask(&read).await?);
        Ok(understood(layout::read(answer))?)
    }

    async fn begin(&self, call: &Call) -> Result<Vec<Taken>, Failure> {
        let parts = self.links.link().call(call).await?;
        Ok(understood(layout::started(Parts::new(parts)))?)
    }

    /// Makes the group, and the stream with it, for all jobs that are there already.
    async fn found(&self) -> Result<(), Away> {
        let mut found = cmd("XGROUP");
        found.arg("CREATE").arg(STREAM).arg(GROUP).arg("0").arg("MKSTREAM");
        match self.links.link().ask(&found).await {
            Err(failure) if !failure.group_exists() => Err(failure.into()),
            _ => Ok(()),
        }
    }

    /// Ends the wait, and gives everything back that was handed to this worker.
    pub async fn leave(&self) -> Result<(), Away> {
        self.leaving.store(true, Relaxed);
        let _ = time::timeout(STOP, self.stop()).await;
        let link = self.links.link();
        link.call(&layout::leave(&self.name)).await?;
        Ok(())
    }

    async fn stop(&self) {
        let mut work = self.work.lock().await;
        let Some(mut wait) = work.wait.take() else { return };
        loop {
            if let Some(client) = self.waiting.client().await {
                let mut unblock = cmd("CLIENT");
                unblock.arg("UNBLOCK").arg(client);
                let _ = self.links.link().ask(&unblock).await;
            }
            // It may have been on its way to waiting.
            if time::timeout(STOP / 60, &mut wait).await.is_ok() {
                return;
            }
        }
    }
}
