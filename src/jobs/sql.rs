//! Jobs in SQLite: the tables, and every statement. Each is atomic and means something by itself, because not every
//! store has transactions over several.
//!
//! What changes jobs says `OR ROLLBACK`, though nothing of it can fail half-way: otherwise SQLite notes, for each, how all
//! pages were that it touches.
//!
//! Numbers of `status` are those of [`super::Status`]. What `due` is depends on it:
//!
//! | status | due |
//! | --- | --- |
//! | queued, failed | 0 |
//! | processing | end of the lease, in milliseconds: of a clock that is never set, where the store's users share one |
//! | done | when the job is forgotten, in milliseconds since 1970 |

/// `application_id` of the file: "ounc".
pub const APPLICATION: i32 = 0x6f75_6e63;

/// `user_version` of the file: which layout it has.
pub const LAYOUT: i32 = 1;

/// Makes the tables, one statement after the other; where that was cut short, again. `by_status` serves whatever is not
/// about one job; `depth` saves counting.
pub const SCHEMA: [&str; 9] = [
    "
CREATE TABLE IF NOT EXISTS job (
    arrival INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    key TEXT,
    status INTEGER NOT NULL DEFAULT 0,
    due INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    started INTEGER,
    finished INTEGER,
    result TEXT,
    error TEXT
) STRICT",
    "CREATE UNIQUE INDEX IF NOT EXISTS by_key ON job (key) WHERE key IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS by_status ON job (status, due)",
    "CREATE TABLE IF NOT EXISTS depth (status INTEGER PRIMARY KEY, jobs INTEGER NOT NULL) STRICT",
    "INSERT OR IGNORE INTO depth VALUES (0, 0), (1, 0), (2, 0), (3, 0)",
    "
CREATE TRIGGER IF NOT EXISTS job_came AFTER INSERT ON job BEGIN
    UPDATE depth SET jobs = jobs + 1 WHERE status = new.status;
END",
    "
CREATE TRIGGER IF NOT EXISTS job_moved AFTER UPDATE OF status ON job WHEN old.status <> new.status BEGIN
    UPDATE depth SET jobs = jobs - 1 WHERE status = old.status;
    UPDATE depth SET jobs = jobs + 1 WHERE status = new.status;
END",
    "
CREATE TRIGGER IF NOT EXISTS job_went AFTER DELETE ON job BEGIN
    UPDATE depth SET jobs = jobs - 1 WHERE status = old.status;
END",
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
];

/// Counts what has ended, where no process lives long enough to do so: beside [`SCHEMA`].
pub const COUNT: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS ended (status INTEGER PRIMARY KEY, jobs INTEGER NOT NULL) STRICT",
    "INSERT OR IGNORE INTO ended VALUES (2, 0), (3, 0)",
    "
CREATE TRIGGER IF NOT EXISTS job_ended AFTER UPDATE OF status ON job WHEN old.status = 1 AND new.status IN (2, 3) BEGIN
    UPDATE ended SET jobs = jobs + 1 WHERE status = new.status;
END",
];

/// How many jobs have ended so far, by status.
pub const ENDED: &str = "SELECT status, jobs FROM ended";

/// Whether what is committed from here on is on the disk by then; with a log ahead neither can spoil the file.
pub const FLUSH: &str = "PRAGMA synchronous = FULL";
pub const NO_FLUSH: &str = "PRAGMA synchronous = NORMAL";

/// Stores a job, unless its key is taken or so many (?6) are queued: then nothing is changed, because a job without a kind
/// is none. `INSERT ... SELECT ... WHERE` would say so more plainly, and make a table for each job on the way.
/// ?1 id, ?2 kind, ?3 text, ?4 key, ?5 now.
pub const SUBMIT: &str = "
INSERT OR IGNORE INTO job (id, kind, text, key, created)
VALUES (?1, iif((SELECT jobs FROM depth WHERE status = 0) < ?6, ?2, NULL), ?3, ?4, ?5)";

/// The job of a key (?1), and whether it is of kind ?2 and text ?3.
pub const OF_KEY: &str = "SELECT id, status, kind = ?2 AND text = ?3 FROM job WHERE key = ?1";

/// ?1 id.
pub const GET: &str = "
SELECT id, kind, status, attempts, created, started, finished, error, result FROM job WHERE id = ?1";

/// Latest first, from before ?1, at most ?2. The first column makes the cursor.
pub const LIST: &str = "
SELECT 0, arrival, id, kind, status, attempts, created, started, finished, error FROM job
WHERE arrival < ?1 ORDER BY arrival DESC LIMIT ?2";

/// The same for one status (?1), from before (?2, ?3), at most ?4. Two halves, because those that are due at the same
/// time are many, and one comparison of pairs would go through all of them.
pub const LIST_OF: &str = "
SELECT due, arrival, id, kind, status, attempts, created, started, finished, error FROM job
WHERE status = ?1 AND due = ?2 AND arrival < ?3
UNION ALL
SELECT due, arrival, id, kind, status, attempts, created, started, finished, error FROM job
WHERE status = ?1 AND due < ?2
ORDER BY due DESC, arrival DESC LIMIT ?4";

/// Deletes a job (?1) that is queued or failed.
pub const CANCEL: &str = "DELETE FROM job WHERE id = ?1 AND status IN (0, 3)";

/// ?1 id.
pub const STATUS: &str = "SELECT status FROM job WHERE id = ?1";

/// How many jobs are queued, and how many processing.
pub const DEPTH: &str = "
SELECT (SELECT jobs FROM depth WHERE status = 0), (SELECT jobs FROM depth WHERE status = 1)";

/// How many jobs are queued, when the first lease ends, and when the first job is to be forgotten.
pub const NEXT: &str = "
SELECT (SELECT jobs FROM depth WHERE status = 0),
       (SELECT due FROM job WHERE status = 1 ORDER BY due LIMIT 1),
       (SELECT due FROM job WHERE status = 2 ORDER BY due LIMIT 1)";

/// When the last lease ends.
pub const LAST_LEASE: &str = "SELECT due FROM job WHERE status = 1 ORDER BY due DESC LIMIT 1";

/// Begins the oldest jobs, at most ?3. ?1 end of their leases, ?2 now.
pub const CLAIM: &str = "
UPDATE OR ROLLBACK job SET status = 1, attempts = attempts + 1, due = ?1, started = ?2
WHERE arrival IN (SELECT arrival FROM job WHERE status = 0 ORDER BY due, arrival LIMIT ?3)
RETURNING arrival, id, attempts, kind, text, created";

/// Takes back what was held for too long: queued again, or failed after ?2 attempts.
/// ?1 now as leases count, ?3 what a job that is given up says, ?4 now.
pub const VOID: &str = "
UPDATE OR ROLLBACK job SET due = 0, status = iif(attempts < ?2, 0, 3),
    error = iif(attempts < ?2, NULL, ?3), finished = iif(attempts < ?2, NULL, ?4)
WHERE status = 1 AND due <= ?1";

/// Ends every lease: of a clock that has begun anew nothing can be told.
pub const VOID_ALL: &str = "UPDATE job SET due = 0 WHERE status = 1";

/// The same for those that end later than ?1: no clock that has not been set back since can have given them.
pub const VOID_BEYOND: &str = "UPDATE job SET due = 0 WHERE status = 1 AND due > ?1";

/// Ends an attempt (?1 id, ?2 attempt) that still holds its job.
/// ?3 now, ?4 when it is forgotten, ?5 result.
pub const DONE: &str = "
UPDATE OR ROLLBACK job SET status = 2, finished = ?3, due = ?4, result = ?5 WHERE id = ?1 AND attempts = ?2 AND status = 1";

/// The same for good, without a result. ?3 now, ?4 why.
pub const FAILED: &str = "
UPDATE OR ROLLBACK job SET status = 3, finished = ?3, due = 0, error = ?4 WHERE id = ?1 AND attempts = ?2 AND status = 1";

/// The same, as if the attempt had not been.
pub const RETURNED: &str = "
UPDATE OR ROLLBACK job SET status = 0, due = 0, attempts = attempts - 1, started = NULL
WHERE id = ?1 AND attempts = ?2 AND status = 1";

/// Makes the lease of an attempt (?1 id, ?2 attempt) end at ?3.
pub const RENEW: &str = "UPDATE OR ROLLBACK job SET due = ?3 WHERE id = ?1 AND attempts = ?2 AND status = 1";

/// Forgets jobs that were to be seen until now (?1), at most ?2.
pub const FORGET: &str = "
DELETE FROM job WHERE arrival IN (SELECT arrival FROM job WHERE status = 2 AND due <= ?1 ORDER BY due LIMIT ?2)";

/// Notes under which clock (?1) leases are given; changes a row if it was another, or none that can be told.
pub const BOOT: &str = "
INSERT INTO meta VALUES ('boot', ?1)
ON CONFLICT DO UPDATE SET value = excluded.value WHERE value <> excluded.value OR excluded.value = ''";
