//! The worker: takes jobs, does several at once, ends them in batches, keeps its leases.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::mem;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{self, MissedTickBehavior};

use super::Jobs;
use crate::jobs::{Away, End, Hold, Kind, Queue, Status, Taken, Uuid};

/// Between tries at a store that is away.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

type Ended = Vec<(Hold, End)>;

/// The same, and whether each attempt still held its job.
type Stored = Vec<((Hold, End), bool)>;

pub struct Worker {
    jobs: Jobs,
    concurrency: usize,
    lease: Duration,
    /// Taken, and their ends not stored yet.
    held: HashMap<Uuid, Hold>,
    running: JoinSet<(Hold, End)>,
    /// Ends that wait for those that are being stored.
    ended: Ended,
}

impl Worker {
    pub fn new(jobs: Jobs, concurrency: usize, lease: Duration) -> Worker {
        let (held, running, ended) = Default::default();
        Worker { jobs, concurrency, lease, held, running, ended }
    }

    /// Does jobs until `stop`, then finishes what it holds, for at most `patience`, and returns the rest. Whether
    /// nothing had to be returned.
    pub async fn run(mut self, stop: impl Future<Output = ()>, patience: Duration) -> bool {
        let ending = self.serve(stop).await;
        let _ = time::timeout(patience, self.finish(ending)).await;
        self.give_back().await
    }

    /// Until `stop`; then what was being stored.
    async fn serve(&mut self, stop: impl Future<Output = ()>) -> Option<Work<Stored>> {
        let mut stop = pin!(stop);
        let mut renewal = time::interval(self.lease / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut taking, mut ending) = (None, None);
        loop {
            let free = self.free();
            if taking.is_none() && free > 0 {
                taking = Some(Work::new(patiently(self.jobs.clone(), free)));
            }
            self.store_ends(&mut ending);
            tokio::select! {
                biased;
                () = &mut stop => return ending,
                _ = renewal.tick(), if !self.held.is_empty() => self.renew().await,
                Some(end) = self.running.join_next() => self.collect(end.ok()),
                ended = Work::done(&mut ending) => self.forget(&ended),
                taken = Work::done(&mut taking) => self.start(taken),
            }
        }
    }

    /// How many more to take. Those whose ends are being stored keep no others waiting, so that one commit can store
    /// ends and begin new jobs; but they are not to pile up where taking works and storing does not.
    fn free(&self) -> usize {
        let idle = self.concurrency.saturating_sub(self.running.len());
        idle.min((2 * self.concurrency).saturating_sub(self.held.len()))
    }

    async fn finish(&mut self, mut ending: Option<Work<Stored>>) {
        while !self.held.is_empty() {
            self.store_ends(&mut ending);
            tokio::select! {
                Some(end) = self.running.join_next() => self.collect(end.ok()),
                ended = Work::done(&mut ending) => self.forget(&ended),
            }
        }
    }

    fn start(&mut self, taken: Vec<Taken>) {
        for Taken { hold, kind, text, waited } in taken {
            self.jobs.metrics.waited(waited);
            self.held.insert(hold.id, hold);
            let metrics = self.jobs.metrics.clone();
            self.running.spawn(async move {
                let began = Instant::now();
                let end = work(&kind, &text).await;
                metrics.run_seconds.observe(began.elapsed().as_secs_f64());
                (hold, end)
            });
        }
        self.jobs.metrics.inflight.set(self.held.len() as i64);
    }

    /// Takes the end that has come, and all others that have.
    fn collect(&mut self, first: Option<(Hold, End)>) {
        self.ended.extend(first);
        while let Some(next) = self.running.try_join_next() {
            self.ended.extend(next.ok());
        }
    }

    /// One batch at a time: while it is stored, the next one grows.
    fn store_ends(&mut self, ending: &mut Option<Work<Stored>>) {
        if ending.is_none() && !self.ended.is_empty() {
            *ending = Some(Work::new(store(self.jobs.clone(), mem::take(&mut self.ended))));
        }
    }

    fn forget(&mut self, ended: &Stored) {
        for ((hold, end), held) in ended {
            self.held.remove(&hold.id);
            match end {
                _ if !held => self.jobs.metrics.stale.inc(),
                End::Done(_) => self.jobs.metrics.completed(Status::Done),
                End::Failed(_) => self.jobs.metrics.completed(Status::Failed),
                End::Returned => {}
            }
        }
        self.jobs.metrics.inflight.set(self.held.len() as i64);
    }

    /// If that fails it is tried again soon: the lease is three times as long.
    async fn renew(&self) {
        if let Err(away) = self.jobs.renew(self.held.values().copied().collect()).await {
            self.jobs.failed(&away);
        }
    }

    async fn give_back(mut self) -> bool {
        self.running.abort_all();
        let rest: Vec<_> = self.held.values().map(|hold| (*hold, End::Returned)).collect();
        let finished = rest.is_empty();
        // Once: if the store is away, the leases end by themselves.
        let given = if finished { Ok(Vec::new()) } else { self.jobs.end(rest).await };
        let left = self.jobs.leave().await;
        if let Err(away) = given.map(drop).and(left) {
            self.jobs.failed(&away);
        }
        finished
    }
}

/// Something under way, which goes on from where it was when a `select!` turned to something else.
struct Work<T>(Pin<Box<dyn Future<Output = T> + Send>>);

impl<T> Work<T> {
    fn new(work: impl Future<Output = T> + Send + 'static) -> Work<T> {
        Work(Box::pin(work))
    }

    /// Its result; never, if there is no work.
    async fn done(work: &mut Option<Work<T>>) -> T {
        let Some(Work(future)) = work else { return pending().await };
        let result = future.await;
        *work = None;
        result
    }
}

async fn work(kind: &str, text: &str) -> End {
    let Some(kind) = Kind::named(kind) else {
        return End::Failed(format!("this worker's build has no jobs of kind {kind:?}"));
    };
    kind.run(text, time::sleep).await.map_or_else(End::Failed, End::Done)
}

/// Takes jobs, however long the store is away.
async fn patiently(jobs: Jobs, most: usize) -> Vec<Taken> {
    let mut pause = FIRST_PAUSE;
    loop {
        match jobs.take(most).await {
            Ok(taken) => return taken,
            Err(away) => wait(&jobs, &away, &mut pause).await,
        }
    }
}

/// Stores ends: work that is done is not to be lost because the store is away for a while.
async fn store(jobs: Jobs, ended: Ended) -> Stored {
    let mut pause = FIRST_PAUSE;
    loop {
        match jobs.end(ended.clone()).await {
            Ok(held) => return ended.into_iter().zip(held).collect(),
            Err(away) => wait(&jobs, &away, &mut pause).await,
        }
    }
}

async fn wait(jobs: &Jobs, away: &Away, pause: &mut Duration) {
    jobs.failed(away);
    time::sleep(*pause).await;
    *pause = (*pause * 2).min(LAST_PAUSE);
}
