//! Jobs in Redis: several processes share them.
//!
//! Each thread has a connection of its own, which all its requests share; the worker has a second one, on which it waits
//! for jobs.

mod link;
mod reader;
mod server;
mod submits;
mod tls;
mod url;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use self::link::Link;
use self::reader::Reader;
use self::server::Server;
use self::submits::Submits;
use self::url::Url;
use crate::jobs::redis::{self as layout, Call, MOST_AT_ONCE, Parts};
use crate::jobs::{
    Away, Cancelled, Depth, End, Hold, Job, List, New, Query, Queue, Store, Submitted, Taken, Uuid,
};
use crate::native::config::jobs::Limits;

/// For an answer. Who asked is told that the store is away, before it gives up by itself.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Redis {
    limits: Limits,
    links: Arc<Links>,
    reader: Arc<Reader>,
}

/// The connections of all threads: what drives one must live on the thread that uses it.
struct Links {
    server: Arc<Server>,
    limits: Limits,
    mine: Mutex<Vec<(ThreadId, Mine)>>,
}

#[derive(Clone)]
struct Mine {
    link: Arc<Link>,
    submits: Arc<Submits>,
}

impl Links {
    fn mine(&self) -> Mine {
        let me = thread::current().id();
        let mut all = self.mine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, mine)) = all.iter().find(|(thread, _)| *thread == me) {
            return mine.clone();
        }
        let link = Arc::new(Link::new(self.server.clone(), PATIENCE));
        let mine = Mine { link: link.clone(), submits: Arc::new(Submits::new(link, self.limits.queue)) };
        all.push((me, mine.clone()));
        mine
    }

    fn link(&self) -> Arc<Link> {
        self.mine().link
    }

    async fn call(&self, call: &Call) -> Result<Parts, Away> {
        Ok(Parts::new(self.link().call(call).await?))
    }
}

pub fn check(url: &str) -> Result<(), &'static str> {
    Url::parse(url).map(drop)
}

impl Redis {
    /// Nothing is connected yet: Redis may come later than we do.
    ///
    /// # Errors
    /// A URL that is none, or one that wants TLS where there are no certificates to trust.
    pub fn open(url: &str, authorities: Option<&Path>, limits: Limits) -> io::Result<Redis> {
        let server = Arc::new(Server::new(url, authorities)?);
        let links = Arc::new(Links { server: server.clone(), limits, mine: Mutex::default() });
        let reader = Arc::new(Reader::new(server, links.clone(), limits.lease));
        Ok(Redis { limits, links, reader })
    }

    /// Where the jobs are, for people: without user and password.
    pub fn place(&self) -> String {
        self.links.server.place()
    }

    async fn call<T>(&self, call: &Call, read: impl FnOnce(Parts) -> Option<T>) -> Result<T, Away> {
        understood(read(self.links.call(call).await?))
    }
}

fn understood<T>(answer: Option<T>) -> Result<T, Away> {
    answer.ok_or_else(|| Away("Redis: not an answer to what was asked".into()))
}

impl Store for Redis {
    async fn submit(&self, new: New) -> Result<Submitted, Away> {
        self.links.mine().submits.submit(new).await
    }

    async fn get(&self, id: Uuid) -> Result<Option<Job>, Away> {
        self.call(&layout::get(id), |parts| layout::got(id, parts)).await
    }

    async fn list(&self, query: Query) -> Result<List, Away> {
        match layout::list(&query) {
            Some(call) => self.call(&call, layout::listed).await,
            None => Ok(List::default()),
        }
    }

    async fn cancel(&self, id: Uuid) -> Result<Cancelled, Away> {
        self.call(&layout::cancel(id), layout::cancelled).await
    }

    async fn depth(&self) -> Result<Depth, Away> {
        self.call(&layout::depth(), layout::deep).await
    }
}

impl Queue for Redis {
    async fn take(&self, most: usize) -> Result<Vec<Taken>, Away> {
        self.reader.take(most).await
    }

    async fn end(&self, ended: Vec<(Hold, End)>) -> Result<Vec<bool>, Away> {
        let mut held = Vec::with_capacity(ended.len());
        for some in ended.chunks(MOST_AT_ONCE) {
            let call = layout::end(self.limits.keep, some);
            held.extend(self.call(&call, |parts| layout::ended(parts, some.len())).await?);
        }
        Ok(held)
    }

    async fn renew(&self, held: Vec<Hold>) -> Result<(), Away> {
        for some in held.chunks(MOST_AT_ONCE) {
            self.call(&layout::renew(self.reader.name(), some), layout::count).await?;
        }
        Ok(())
    }

    async fn leave(&self) -> Result<(), Away> {
        self.reader.leave().await
    }
}
