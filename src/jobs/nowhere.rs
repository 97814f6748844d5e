//! The store of platforms that have none: there is no value of it.

use super::{Away, Cancelled, Depth, Job, List, New, Query, Store, Submitted, Uuid};

#[derive(Clone)]
pub enum Nowhere {}

impl Store for Nowhere {
    async fn submit(&self, _: New) -> Result<Submitted, Away> {
        match *self {}
    }

    async fn get(&self, _: Uuid) -> Result<Option<Job>, Away> {
        match *self {}
    }

    async fn list(&self, _: Query) -> Result<List, Away> {
        match *self {}
    }

    async fn cancel(&self, _: Uuid) -> Result<Cancelled, Away> {
        match *self {}
    }

    async fn depth(&self) -> Result<Depth, Away> {
        match *self {}
    }
}
