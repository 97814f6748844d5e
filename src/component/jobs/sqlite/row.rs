//! A row of an answer, read from its start. `None` is one of another form than was asked for.

use std::vec;

use spin_sdk::sqlite::{RowResult, Value};

use crate::jobs::{Job, Status, Uuid};

pub struct Row(vec::IntoIter<Value>);

impl From<RowResult> for Row {
    fn from(row: RowResult) -> Row {
        Row(row.values.into_iter())
    }
}

impl Row {
    pub fn maybe_number(&mut self) -> Option<Option<i64>> {
        match self.0.next()? {
            Value::Null => Some(None),
            Value::Integer(number) => Some(Some(number)),
            _ => None,
        }
    }

    pub fn number(&mut self) -> Option<i64> {
        self.maybe_number()?
    }

    pub fn count(&mut self) -> Option<u64> {
        Some(self.number()?.try_into().unwrap_or(0))
    }

    fn time(&mut self) -> Option<Option<u64>> {
        Some(self.maybe_number()?.map(|time| time.try_into().unwrap_or(0)))
    }

    pub fn maybe_text(&mut self) -> Option<Option<String>> {
        match self.0.next()? {
            Value::Null => Some(None),
            Value::Text(text) => Some(Some(text)),
            _ => None,
        }
    }

    pub fn text(&mut self) -> Option<String> {
        self.maybe_text()?
    }

    pub fn id(&mut self) -> Option<Uuid> {
        match self.0.next()? {
            Value::Blob(bytes) => Uuid::from_slice(&bytes).ok(),
            _ => None,
        }
    }

    pub fn attempts(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    pub fn status(&mut self) -> Option<Status> {
        let number = self.number()?;
        Status::ALL.into_iter().find(|status| *status as i64 == number)
    }

    /// A job without its result.
    pub fn job(&mut self) -> Option<Job> {
        Some(Job {
            id: self.id()?,
            kind: self.text()?,
            status: self.status()?,
            attempts: self.attempts()?,
            created: self.time()?.unwrap_or_default(),
            started: self.time()?,
            finished: self.time()?,
            error: self.maybe_text()?,
            result: None,
        })
    }
}
