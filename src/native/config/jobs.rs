//! Settings of workload jobs. They are known to every build, so that one without it can say so.

use std::path::PathBuf;
use std::time::Duration;

use super::Setting;
use super::values::{number, switch, time};
use crate::values;

/// Whether this build has the workload.
pub const BUILT: bool = cfg!(feature = "jobs");

/// What a build without it says to each of these settings.
pub const ABSENT: &str = "is for the workload jobs, which this build leaves out";

#[derive(Clone, PartialEq)]
pub struct Jobs {
    pub store: Place,
    /// A file with the certificates that Redis' is to be signed by; otherwise the system's.
    pub authorities: Option<PathBuf>,
    /// Whether `serve` does jobs too.
    pub worker: bool,
    pub limits: Limits,
}

/// Where jobs are kept.
#[derive(Clone, PartialEq)]
pub enum Place {
    /// A file in this directory; `None` is memory alone.
    Directory(Option<PathBuf>),
    /// A URL, which may hold a password.
    Redis(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Jobs that one process does at once.
    pub concurrency: usize,
    /// After which a job is taken from a worker that has not been heard of.
    pub lease: Duration,
    /// Jobs that may wait.
    pub queue: usize,
    /// How long a job that is done can be seen.
    pub keep: Duration,
}

impl std::fmt::Debug for Jobs {
    /// Without the URL: it may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs")
            .field("worker", &self.worker)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Jobs {
    pub(super) fn unset() -> Jobs {
        let zero = Duration::ZERO;
        let limits = Limits { concurrency: 0, lease: zero, queue: 0, keep: zero };
        Jobs { store: Place::Directory(None), authorities: None, worker: false, limits }
    }
}

/// Memory instead of a file.
const MEMORY: &str = ":memory:";

/// Where there are no jobs it is known by its name alone, and nothing of it need be in the binary.
const fn known(setting: Setting) -> Setting {
    if BUILT { setting } else { Setting { default: "", help: "", set: |_, _| Err(ABSENT.into()), ..setting } }
}

pub(super) const SETTINGS: &[Setting] = &[
    known(Setting {
        flag: "data-dir",
        value: "DIRECTORY",
        default: ".",
        help: "where ounce.db is, made when the first job comes; :memory: is memory alone",
        set: |config, text| {
            if text.is_empty() {
                return Err("names no directory: . is this one".into());
            }
            config.jobs.store = Place::Directory((text != MEMORY).then(|| text.into()));
            Ok(())
        },
    }),
    known(Setting {
        flag: "redis-url",
        value: "URL",
        default: "",
        help: "Redis for jobs instead: redis://... or rediss://...; better as a variable",
        set: |config, text| redis(text).map(|url| config.jobs.store = Place::Redis(url)),
    }),
    known(Setting {
        flag: "redis-ca",
        value: "FILE",
        default: "",
        help: "authorities, in PEM, that rediss:// trusts instead of the system's",
        set: |config, text| {
            if !matches!(&config.jobs.store, Place::Redis(url) if url.starts_with("rediss://")) {
                return Err("is for rediss:// alone: see --redis-url".into());
            }
            config.jobs.authorities = Some(text.into());
            Ok(())
        },
    }),
    known(Setting {
        flag: "worker",
        value: "on|off",
        default: "on",
        help: "do jobs too; off leaves them to processes of ounce worker",
        set: |config, text| switch(text).map(|on| config.jobs.worker = on),
    }),
    known(Setting {
        flag: "worker-concurrency",
        value: "N",
        default: "128",
        help: "jobs that this process does at once",
        set: |config, text| number(text, 10_000).map(|n| config.jobs.limits.concurrency = n),
    }),
    known(Setting {
        flag: "job-lease",
        value: "TIME",
        default: "30s",
        help: "after which a job is taken from a worker that is not heard of",
        set: |config, text| time(text, 100).map(|lease| config.jobs.limits.lease = lease),
    }),
    known(Setting {
        flag: "job-keep",
        value: "TIME",
        default: "60m",
        help: "how long a job that is done can be seen",
        set: |config, text| time(text, 100).map(|keep| config.jobs.limits.keep = keep),
    }),
    known(Setting {
        flag: "queue-limit",
        value: "N",
        default: "1000000",
        help: "jobs that may wait; more get 429",
        set: |config, text| number(text, 1_000_000_000).map(|n| config.jobs.limits.queue = n),
    }),
];

/// A URL of Redis that this build can use.
fn redis(text: &str) -> Result<String, String> {
    // Clients of Redis take #insecure there.
    if text.starts_with("rediss://") && text.contains('#') {
        return Err("may not end in #...: certificates are always looked at, see --redis-ca".into());
    }
    let url = values::redis(text)?;
    crate::native::jobs::check(&url).map_err(|why| format!("cannot be used: {why}"))?;
    Ok(url)
}
