//! Settings of jobs, from Spin's variables.

use std::time::Duration;

use once_cell::sync::Lazy;

use crate::component::settings::{Setting, checked, read, read_secret};
use crate::values::{number, redis, switch, time};

/// Where jobs are kept.
#[derive(Debug)]
pub enum Place {
    Database,
    /// A URL, which may hold a password.
    Redis(String),
}

static PLACE: Lazy<Setting<Place>> = Lazy::new(|| {
    read_secret("redis_url", "", |text| {
        if text.is_empty() { Ok(Place::Database) } else { redis(text).map(Place::Redis) }
    })
});
static WORKER: Lazy<Setting<bool>> = Lazy::new(|| read("worker", "on", switch));
static LEASE: Lazy<Setting<Duration>> = Lazy::new(|| read("job_lease", "30s", |text| time(text, 100)));
static KEEP: Lazy<Setting<Duration>> = Lazy::new(|| read("job_keep", "60m", |text| time(text, 100)));
static QUEUE: Lazy<Setting<usize>> =
    Lazy::new(|| read("queue_limit", "1000000", |text| number(text, 1_000_000_000)));

/// `None` while the variable is wrong: jobs are not to be kept elsewhere than was meant.
pub fn place() -> Option<&'static Place> {
    PLACE.valid.then_some(&PLACE.value)
}

/// Whether the component does the jobs of its database.
pub fn worker() -> bool {
    WORKER.value
}

pub fn lease() -> Duration {
    LEASE.value
}

pub fn keep() -> Duration {
    KEEP.value
}

/// Jobs that may wait.
pub fn queue() -> usize {
    QUEUE.value
}

pub fn check() -> Result<(), &'static str> {
    checked(&[PLACE.valid, WORKER.valid, LEASE.valid, KEEP.valid, QUEUE.valid])
}
