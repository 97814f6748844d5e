//! The file: opening it, making it, and what to say when that fails. Nothing that is not ours is written to.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::clock;
use crate::jobs::{Away, sql};

pub const NAME: &str = "ounce.db";

/// How long another process may keep us from the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where jobs are kept.
#[derive(Clone, Debug)]
pub enum Place {
    Memory,
    File(PathBuf),
}

impl Place {
    /// The file in a directory, by a path that means the same whatever SQLite takes for a URL.
    pub fn of(directory: Option<&Path>) -> Place {
        directory.map_or(Place::Memory, |directory| {
            let path = directory.join(NAME);
            Place::File(std::path::absolute(&path).unwrap_or(path))
        })
    }

    pub fn file(&self) -> Option<&Path> {
        match self {
            Place::Memory => None,
            Place::File(path) => Some(path),
        }
    }

    /// Opens the file, and makes it if there is none.
    pub fn open(&self) -> Result<Connection, Away> {
        self.make_directory()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let path = self.file().unwrap_or(Path::new(":memory:"));
        let connection = Connection::open_with_flags(path, flags).map_err(|error| self.away(&error))?;
        self.own(&connection)?;
        self.prepare(&connection).map_err(|error| self.away(&error))?;
        Ok(connection)
    }

    /// Makes the directory, but not those above it: a path that is wrong should be said.
    fn make_directory(&self) -> Result<(), Away> {
        let Some(directory) = self.file().and_then(Path::parent) else { return Ok(()) };
        if directory.exists() {
            return Ok(());
        }
        fs::create_dir(directory).map_err(|error| {
            Away(format!("cannot make the directory {}: {error}; see --data-dir", directory.display()))
        })
    }

    /// Makes sure that it is ours to write to.
    fn own(&self, connection: &Connection) -> Result<(), Away> {
        let look = || {
            // What others have in a log beside their file stays there.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            connection.busy_timeout(PATIENCE)?;
            let application: i32 = number(connection, "PRAGMA application_id")?;
            let layout: i32 = number(connection, "PRAGMA user_version")?;
            let tables: i32 = number(connection, "SELECT count(*) FROM sqlite_schema")?;
            Ok((application, layout, tables, connection.is_readonly("main")?))
        };
        match look().map_err(|error| self.away(&error))? {
            (sql::APPLICATION, layout, ..) if layout > sql::LAYOUT => Err(self.cannot(&format!(
                "it is of a newer ounce (layout {layout}; this one knows {}): use that one",
                sql::LAYOUT
            ))),
            (sql::APPLICATION, ..) | (0, 0, 0, false) => Ok(()),
            (0, 0, 0, true) => Err(self.cannot(READ_ONLY)),
            _ => Err(self.cannot("it belongs to another program: choose another --data-dir")),
        }
        .and_then(|()| match connection.is_readonly("main") {
            Ok(false) => Ok(()),
            _ => Err(self.cannot(READ_ONLY)),
        })
    }

    fn prepare(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        // 256 KiB: what is read is nearly always what was just written. Temporary tables would be small.
        connection.execute_batch("PRAGMA cache_size = -256; PRAGMA temp_store = MEMORY")?;
        log_ahead(connection)?;
        // A job that was accepted is on the disk.
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 4194304")?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        if number(connection, "PRAGMA user_version")? < sql::LAYOUT {
            sql::SCHEMA.iter().try_for_each(|statement| connection.execute_batch(statement))?;
            connection.pragma_update(None, "application_id", sql::APPLICATION)?;
            connection.pragma_update(None, "user_version", sql::LAYOUT)?;
        }
        if connection.execute(sql::BOOT, [clock::boot()])? > 0 {
            connection.execute(sql::VOID_ALL, [])?;
        }
        connection.execute_batch("COMMIT")
    }

    /// What, where, and what to do.
    pub fn away(&self, error: &rusqlite::Error) -> Away {
        let words = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                "it is damaged, or no database: move it away, or put a copy in its place"
            }
            Some(ErrorCode::DiskFull) => "the disk is full: make room",
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => READ_ONLY,
            Some(ErrorCode::CannotOpen) => {
                "it cannot be opened: see its permissions, its directory's, and --data-dir"
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "another program keeps it locked: end that, or wait"
            }
            Some(ErrorCode::SystemIoFailure) => {
                return self.cannot(&format!("reading or writing failed ({error}): see the disk"));
            }
            _ => return self.cannot(&error.to_string()),
        };
        self.cannot(words)
    }

    fn cannot(&self, why: &str) -> Away {
        match self {
            Place::Memory => Away(format!("cannot keep jobs in memory: {why}")),
            Place::File(path) => Away(format!("cannot use {}: {why}", path.display())),
        }
    }
}

const READ_ONLY: &str = "it cannot be written to: see its permissions, its directory's, and --data-dir";

fn number(connection: &Connection, sql: &str) -> rusqlite::Result<i32> {
    connection.query_row(sql, [], |row| row.get(0))
}

/// Write-ahead logging, where the file system can: there a commit costs one flush. A process that changes the same new
/// file is not waited for by SQLite itself.
fn log_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let begun = Instant::now();
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        match mode.map_err(|error| (error.sqlite_error_code(), error)) {
            Err((Some(ErrorCode::DatabaseBusy), _)) if begun.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(5));
            }
            Err((_, error)) => return Err(error),
            Ok(_) => return Ok(()),
        }
    }
}
