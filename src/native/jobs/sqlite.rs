//! Jobs in a file of SQLite.
use std::io;
use std::path::Path;

use crate::jobs::{
    Away, Cancelled, Depth, End, Hold, Job, List, New, Query, Queue, Store, Submitted, Taken, Uuid,
};
use crate::native::config::jobs::Limits;

#[derive(Clone)]
pub struct Sqlite;

impl Sqlite {
    pub fn open(_directory: Option<&Path>, _limits: Limits) -> io::Result<Sqlite> {
        Ok(Sqlite)
    }

    pub fn place(&self) -> String {
        String::new()
    }

    pub fn create(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Store for Sqlite {
    async fn submit(&self, _: New) -> Result<Submitted, Away> {
        todo()
    }
    async fn get(&self, _: Uuid) -> Result<Option<Job>, Away> {
        todo()
    }
    async fn list(&self, _: Query) -> Result<List, Away> {
        todo()
    }
    async fn cancel(&self, _: Uuid) -> Result<Cancelled, Away> {
        todo()
    }
    async fn depth(&self) -> Result<Depth, Away> {
        todo()
    }
}
impl Queue for Sqlite {
    async fn take(&self, _: usize) -> Result<Vec<Taken>, Away> {
        std::future::pending().await
    }
    async fn end(&self, _: Vec<(Hold, End)>) -> Result<usize, Away> {
        todo()
    }
    async fn renew(&self, _: Vec<Hold>) -> Result<(), Away> {
        todo()
    }
}
fn todo<T>() -> Result<T, Away> {
    Err(Away("not written yet".into()))
}
