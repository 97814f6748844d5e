//! The component's database: the connection, the tables, and how statements are run. Each is a transaction of its own:
//! what Spin calls a database may be a server that forgets one statement before the next.

use std::cell::{Cell, OnceCell};

use spin_sdk::sqlite::{Connection, Error, Value};

use super::row::Row;
use crate::jobs::{Away, sql};

#[derive(Default)]
pub struct Database {
    connection: OnceCell<Connection>,
    /// The tables are there.
    made: Cell<bool>,
}

impl Database {
    fn connection(&self) -> Result<&Connection, Away> {
        match self.connection.get() {
            Some(connection) => Ok(connection),
            None => {
                let connection = Connection::open_default().map_err(away)?;
                Ok(self.connection.get_or_init(|| connection))
            }
        }
    }

    fn run(&self, statement: &str, values: &[Value]) -> Result<Vec<Row>, Away> {
        let answer = self.connection()?.execute(statement, values).map_err(away)?;
        Ok(answer.rows.into_iter().map(Row::from).collect())
    }

    /// Whether there are tables to look at.
    pub fn there(&self) -> Result<bool, Away> {
        if !self.made.get() {
            let layout = one(self.run("PRAGMA user_version", &[])?, Row::number)?.unwrap_or(0);
            if layout > sql::LAYOUT.into() {
                return Err(Away(format!(
                    "the database is of a newer ounce (layout {layout}; this one knows {}): use that one",
                    sql::LAYOUT
                )));
            }
            self.made.set(layout > 0);
        }
        Ok(self.made.get())
    }

    /// Makes the tables, unless they are there. Another instance may do so at the same time, or have died while it did:
    /// nobody uses them before they are complete, which the last statement says.
    pub fn make(&self) -> Result<(), Away> {
        if self.there()? {
            return Ok(());
        }
        // A log ahead, where it can be had: with 64 clients at once the default accepts a fifth as many jobs.
        let _ = self.run("PRAGMA journal_mode = WAL", &[]);
        for statement in sql::SCHEMA.into_iter().chain(sql::COUNT) {
            self.run(statement, &[])?;
        }
        self.run(&format!("PRAGMA user_version = {}", sql::LAYOUT), &[])?;
        self.made.set(true);
        Ok(())
    }

    /// What is written from here on outlives this process, but does not wait for the disk: only with a log ahead, where
    /// that cannot spoil the file. Natively it is the same.
    pub fn relax(&self) -> Result<(), Away> {
        if one(self.run("PRAGMA journal_mode", &[])?, Row::text)?.is_some_and(|mode| mode == "wal") {
            self.run(sql::NO_FLUSH, &[])?;
        }
        Ok(())
    }

    /// Every row of an answer.
    pub fn all<T>(
        &self,
        statement: &str,
        values: &[Value],
        mut read: impl FnMut(&mut Row) -> Option<T>,
    ) -> Result<Vec<T>, Away> {
        let rows = self.run(statement, values)?;
        rows.into_iter().map(|mut row| read(&mut row).ok_or_else(odd)).collect()
    }

    /// The row of an answer that has one or none.
    pub fn one<T>(
        &self,
        statement: &str,
        values: &[Value],
        read: impl FnOnce(&mut Row) -> Option<T>,
    ) -> Result<Option<T>, Away> {
        one(self.run(statement, values)?, read)
    }

    /// How many rows a statement has changed.
    pub fn change(&self, statement: &str, values: &[Value]) -> Result<usize, Away> {
        Ok(self.run(&format!("{statement} RETURNING 1"), values)?.len())
    }
}

fn one<T>(mut rows: Vec<Row>, read: impl FnOnce(&mut Row) -> Option<T>) -> Result<Option<T>, Away> {
    rows.pop().map(|mut row| read(&mut row).ok_or_else(odd)).transpose()
}

fn odd() -> Away {
    Away("SQLite: not an answer to what was asked".into())
}

fn away(error: Error) -> Away {
    Away(match error {
        Error::AccessDenied | Error::NoSuchDatabase => {
            "SQLite: spin.toml gives the component no sqlite_databases = [\"default\"]".into()
        }
        Error::Io(why) => format!("SQLite: {why}"),
        Error::DatabaseFull | Error::InvalidConnection => format!("SQLite: {error:?}"),
    })
}
