//! Jobs in Redis, by the scripts that native processes call too. Only what clients ask for: who waits for jobs as a
//! worker does must stay, and an instance does not.

use std::cell::OnceCell;

use spin_sdk::redis::{Connection, Error, RedisParameter, RedisResult};

use super::settings;
use crate::jobs::redis::{self as layout, Call, Part, Parts, STREAM};
use crate::jobs::{Away, Cancelled, Depth, Job, List, New, Query, Store, Submitted, Uuid};

pub struct Redis {
    url: &'static str,
    connection: OnceCell<Connection>,
}

impl Redis {
    /// Nothing is connected yet.
    pub fn new(url: &'static str) -> Redis {
        Redis { url, connection: OnceCell::new() }
    }

    fn connection(&self) -> Result<&Connection, Error> {
        match self.connection.get() {
            Some(connection) => Ok(connection),
            None => Connection::open(self.url).map(|connection| self.connection.get_or_init(|| connection)),
        }
    }

    fn call<T>(&self, call: Call, read: impl FnOnce(Parts) -> Option<T>) -> Result<T, Away> {
        let first = [call.script.text().into(), b"1".to_vec(), STREAM.into()];
        let words: Vec<_> = first.into_iter().chain(call.args).map(RedisParameter::Binary).collect();
        let answer = self.connection().and_then(|connection| connection.execute("EVAL", &words));
        let parts = answer.map_err(away)?.into_iter().map(part).collect();
        read(Parts::new(parts)).ok_or_else(|| Away("Redis: not an answer to what was asked".into()))
    }
}

fn part(result: RedisResult) -> Part {
    match result {
        RedisResult::Nil => Part::Nil,
        RedisResult::Int64(number) => Part::Int(number),
        RedisResult::Binary(text) => Part::Text(text),
        RedisResult::Status(text) => Part::Text(text.into()),
    }
}

/// The URL, which may hold a password, is in none of these texts.
fn away(error: Error) -> Away {
    Away(match error {
        Error::InvalidAddress => "Redis: the variable redis_url is no URL of Redis, or not of a host that \
                                  allowed_outbound_hosts in spin.toml lets it reach (variable redis_host)"
            .into(),
        Error::Other(why) => format!("Redis: {why}"),
        Error::TooManyConnections | Error::TypeError => format!("Redis: {error:?}"),
    })
}

impl Store for Redis {
    async fn submit(&self, new: New) -> Result<Submitted, Away> {
        let one = |parts| layout::submitted(parts)?.pop();
        self.call(layout::submit(settings::queue(), vec![new]), one)
    }

    async fn get(&self, id: Uuid) -> Result<Option<Job>, Away> {
        self.call(layout::get(id), |parts| layout::got(id, parts))
    }

    async fn list(&self, query: Query) -> Result<List, Away> {
        layout::list(&query).map_or_else(|| Ok(List::default()), |call| self.call(call, layout::listed))
    }

    async fn cancel(&self, id: Uuid) -> Result<Cancelled, Away> {
        self.call(layout::cancel(id), layout::cancelled)
    }

    async fn depth(&self) -> Result<Depth, Away> {
        self.call(layout::depth(), layout::deep)
    }
}
