//! Jobs on Linux: where they are kept, and the worker that does them.
//!
//! The worker and what the stores need have a thread of their own, so that a job that computes keeps no connection
//! waiting.

mod metrics;
mod redis;
mod sqlite;
mod worker;

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus::core::Collector;
use tokio::sync::{Notify, oneshot};
use tokio::time;

use self::metrics::Metrics;
use self::redis::Redis;
use self::sqlite::Sqlite;
use super::config::jobs::{Jobs as Config, Place};
use super::log::{self, Field};
use crate::jobs::{
    Away, Cancelled, Depth, End, Hold, Job, List, New, Query, Queue, Store, Submitted, Taken, Uuid,
};

/// The store of jobs, and what is counted about them. Cheap to share.
#[derive(Clone)]
pub struct Jobs {
    store: Kept,
    metrics: Arc<Metrics>,
    /// The store has failed, and that was logged.
    away: Arc<AtomicBool>,
    /// Why, as it was logged since it was last there.
    reasons: Arc<Mutex<Vec<String>>>,
    /// The store was there.
    reached: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Kept {
    Sqlite(Sqlite),
    Redis(Redis),
}

/// Of one outage, in the log.
const MOST_REASONS: usize = 8;

/// For a scrape to learn how many jobs wait: Prometheus itself waits ten seconds, by default.
const SCRAPE: Duration = Duration::from_secs(1);

/// # Errors
/// What is wrong with a URL of Redis, without repeating any of it.
pub fn check(url: &str) -> Result<(), &'static str> {
    redis::check(url)
}

impl Jobs {
    /// Prepares the store. A file of jobs is made when the first one comes, unless it is to be there `at_once`.
    ///
    /// # Errors
    /// A file that cannot be used, a URL that is none, or TLS without certificates to trust.
    pub fn open(config: &Config, at_once: bool) -> io::Result<Option<Jobs>> {
        let store = match &config.store {
            Place::Directory(directory) => {
                Kept::Sqlite(Sqlite::open(directory.as_deref(), config.limits, at_once)?)
            }
            Place::Redis(url) => Kept::Redis(Redis::open(url, config.authorities.as_deref(), config.limits)?),
        };
        let reached = Arc::new(matches!(store, Kept::Sqlite(_)).into());
        Ok(Some(Jobs {
            store,
            metrics: Arc::new(Metrics::new()),
            away: Arc::default(),
            reasons: Arc::default(),
            reached,
        }))
    }

    /// Where the jobs are, for people; without secrets.
    pub fn place(&self) -> String {
        match &self.store {
            Kept::Sqlite(store) => store.place(),
            Kept::Redis(store) => store.place(),
        }
    }

    /// What is counted, to be registered.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.metrics.collectors()
    }

    pub fn stored(&self) {
        self.metrics.enqueued();
    }

    /// Brings what a scrape shows up to date. How many jobs wait is not known while the store is away.
    pub async fn refresh(&self) {
        let depth = time::timeout(SCRAPE, self.depth()).await;
        if let Ok(Err(away)) = &depth {
            self.failed(away);
        }
        self.metrics.depth(depth.ok().and_then(Result::ok));
    }

    /// Counts a failure of the store, and logs it if it is another than those before.
    pub fn failed(&self, why: &Away) {
        self.metrics.store_errors.inc();
        self.away.store(true, Relaxed);
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.len() < MOST_REASONS && !reasons.contains(&why.0) {
            log::event("the store of jobs is away", &[("why", Field::Text(&why.0))]);
            reasons.push(why.0.clone());
        }
    }

    /// Whether the store was there since the start; until then it is looked for. That is to keep what is set up wrongly
    /// from replacing what works. A store that is away later is no reason to get no requests: those that need none are
    /// answered, the others are told when to come again.
    pub async fn reached(&self) -> bool {
        if !self.reached.load(Relaxed) {
            match Box::pin(self.depth()).await {
                Ok(_) => self.works(),
                Err(away) => self.failed(&away),
            }
        }
        self.reached.load(Relaxed)
    }

    fn works(&self) {
        if !self.reached.load(Relaxed) {
            self.reached.store(true, Relaxed);
        }
        if self.away.load(Relaxed) && self.away.swap(false, Relaxed) {
            self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clear();
            self.metrics.reconnects.inc();
            log::event("the store of jobs is back", &[]);
        }
    }

    /// Closes the store, once nobody needs it any more.
    pub async fn close(&self) {
        match &self.store {
            Kept::Sqlite(store) => store.close().await,
            Kept::Redis(_) => {}
        }
    }

    /// Passes on what the store says to a change, and remembers whether it was there. That it can be read says little:
    /// a full disk can.
    async fn seen<T>(&self, work: impl Future<Output = Result<T, Away>>) -> Result<T, Away> {
        let result = work.await;
        if result.is_ok() {
            self.works();
        }
        result
    }
}

/// Calls the same method of whichever store there is. What a call to Redis needs is kilobytes, and every connection
/// would hold room for one from its start: so it gets its own.
macro_rules! either {
    ($self:ident, $store:ident => $work:expr) => {
        match &$self.store {
            Kept::Sqlite($store) => $work.await,
            Kept::Redis($store) => Box::pin($work).await,
        }
    };
}

impl Store for Jobs {
    async fn submit(&self, new: New) -> Result<Submitted, Away> {
        self.seen(async { either!(self, store => store.submit(new)) }).await
    }

    async fn get(&self, id: Uuid) -> Result<Option<Job>, Away> {
        either!(self, store => store.get(id))
    }

    async fn list(&self, query: Query) -> Result<List, Away> {
        either!(self, store => store.list(query))
    }

    async fn cancel(&self, id: Uuid) -> Result<Cancelled, Away> {
        let cancelled = either!(self, store => store.cancel(id));
        if cancelled == Ok(Cancelled::Gone) {
            self.works();
        }
        cancelled
    }

    async fn depth(&self) -> Result<Depth, Away> {
        either!(self, store => store.depth())
    }
}

impl Queue for Jobs {
    async fn take(&self, most: usize) -> Result<Vec<Taken>, Away> {
        self.seen(async { either!(self, store => store.take(most)) }).await
    }

    async fn end(&self, ended: Vec<(Hold, End)>) -> Result<Vec<bool>, Away> {
        self.seen(async { either!(self, store => store.end(ended)) }).await
    }

    async fn renew(&self, held: Vec<Hold>) -> Result<(), Away> {
        self.seen(async { either!(self, store => store.renew(held)) }).await
    }

    async fn leave(&self) -> Result<(), Away> {
        either!(self, store => store.leave())
    }
}

/// The worker's thread.
pub struct Working {
    stop: Arc<Notify>,
    /// Whether it could finish what it held, when it has ended.
    ended: oneshot::Receiver<bool>,
}

impl Working {
    /// Starts the worker; it goes on until it is told to [`Working::stop`].
    pub fn start(jobs: &Jobs, config: &Config, patience: Duration) -> io::Result<Working> {
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let limits = config.limits;
        let runtime = super::runtime()?;
        let worker = worker::Worker::new(jobs.clone(), limits.concurrency, limits.lease);
        let thread = thread::Builder::new().name("jobs".into()).stack_size(super::STACK_BYTES);
        let (end, ended) = oneshot::channel();
        thread.spawn(move || {
            let finished = runtime.block_on(worker.run(async move { stopped.notified().await }, patience));
            let _ = end.send(finished);
        })?;
        Ok(Working { stop, ended })
    }

    /// Asks it to take no more jobs.
    pub fn stop(&self) {
        self.stop.notify_one();
    }

    /// Waits until it has ended; whether it could finish what it held.
    pub async fn ended(self) -> bool {
        self.ended.await.unwrap_or(false)
    }
}
