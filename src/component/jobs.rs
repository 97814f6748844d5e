//! Jobs on Spin: in its database, where the component does them itself after it has answered, or in Redis, where workers
//! elsewhere do them (`ounce worker`).

mod redis;
mod settings;
mod sqlite;

use std::cell::OnceCell;
use std::time::Duration;

use prometheus::{IntCounterVec, Opts, Registry};

use self::redis::Redis;
use self::settings::Place;
pub use self::settings::check;
use self::sqlite::Sqlite;
use super::{log, pause};
use crate::jobs::{
    Away, Cancelled, Depth, End, Hold, Job, Kind, List, New, Query, Queue, Store, Submitted, Taken, Uuid,
};
use crate::metrics;

/// Jobs that one instance does after its response: those that wait longer are for the next.
const MOST: usize = 100;

const VALID: &str = "names are valid, and differ";

/// The store of jobs, which is chosen when it is needed: most requests need none.
pub struct Jobs(OnceCell<Kept>);

enum Kept {
    Sqlite(Sqlite),
    Redis(Redis),
    /// The variable that names it is wrong.
    Unknown,
}

impl Jobs {
    pub fn open() -> Option<Jobs> {
        Some(Jobs(OnceCell::new()))
    }

    fn kept(&self) -> &Kept {
        self.0.get_or_init(|| match settings::place() {
            Some(Place::Database) => Kept::Sqlite(Sqlite::default()),
            Some(Place::Redis(url)) => Kept::Redis(Redis::new(url)),
            None => Kept::Unknown,
        })
    }

    /// What the store knows, for a scrape. In Redis the workers count what they have ended.
    pub async fn report(&self, registry: &Registry) -> Result<(), Away> {
        let depth = metrics::queue_depth();
        depth.set(self.depth().await?.queued as f64);
        registry.register(Box::new(depth)).expect(VALID);
        let Kept::Sqlite(store) = self.kept() else { return Ok(()) };
        let completed = Opts::new("jobs_completed_total", "Jobs in the store that have ended, by status.");
        let completed = IntCounterVec::new(completed, &["status"]).expect(VALID);
        for (status, jobs) in store.ended()? {
            completed.with_label_values(&[status.as_str()]).inc_by(jobs);
        }
        registry.register(Box::new(completed)).expect(VALID);
        Ok(())
    }

    /// Does jobs, if the request was about jobs. Whoever asks for any gets those done, too, that an instance has left
    /// behind: nothing else wakes a component.
    pub async fn work(&self) {
        let Some(Kept::Sqlite(store)) = self.0.get() else { return };
        if !settings::worker() {
            return;
        }
        for _ in 0..MOST {
            match next(store).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(away) => return log(&away),
            }
        }
    }
}

/// Does one job, if there is one.
async fn next(queue: &impl Queue) -> Result<bool, Away> {
    let Some(Taken { hold, kind, text, .. }) = queue.take(1).await?.pop() else { return Ok(false) };
    let end = match Kind::named(&kind) {
        Some(kind) => kind.run(&text, |length| sleep(queue, hold, length)).await,
        None => Err(format!("this worker's build has no jobs of kind {kind:?}")),
    };
    queue.end(vec![(hold, end.map_or_else(End::Failed, End::Done))]).await?;
    Ok(true)
}

/// Sleeps without losing the lease.
async fn sleep(queue: &impl Queue, hold: Hold, mut length: Duration) {
    let most = settings::lease() / 3;
    while length > most {
        pause(most);
        length -= most;
        // If it fails, it is tried again soon: the lease is three times as long.
        let _ = queue.renew(vec![hold]).await.inspect_err(log);
    }
    pause(length);
}

/// Calls the same method of whichever store there is.
macro_rules! either {
    ($self:ident, $store:ident => $work:expr) => {
        match $self.kept() {
            Kept::Sqlite($store) => $work.await,
            Kept::Redis($store) => $work.await,
            Kept::Unknown => Err(Away("the variable redis_url is wrong".into())),
        }
    };
}

impl Store for Jobs {
    async fn submit(&self, new: New) -> Result<Submitted, Away> {
        either!(self, store => store.submit(new))
    }

    async fn get(&self, id: Uuid) -> Result<Option<Job>, Away> {
        either!(self, store => store.get(id))
    }

    async fn list(&self, query: Query) -> Result<List, Away> {
        either!(self, store => store.list(query))
    }

    async fn cancel(&self, id: Uuid) -> Result<Cancelled, Away> {
        either!(self, store => store.cancel(id))
    }

    async fn depth(&self) -> Result<Depth, Away> {
        either!(self, store => store.depth())
    }
}
