//! What is known about targets in the background: one file each, written by its keeper and read by every command.

use std::env;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::launch::owner;
use crate::pidfd::Held;
use crate::proc;
use crate::target::{Kind, Target};

/// Names the directory of all this.
const VARIABLE: &str = "OUNCE_STATE";

/// One target in the background.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    pub target: String,
    /// The file that it was read from.
    pub source: PathBuf,
    pub kind: Kind,
    /// The mark of the keeper (see [`owner`]), by which also what it launched is found.
    pub keeper: String,
    pub address: SocketAddr,
    pub ready_path: String,
    /// RFC 3339.
    pub started: String,
    pub cold_start_ms: Option<f64>,
    pub stop_timeout_s: u64,
    /// The topmost processes of its footprint.
    pub roots: Vec<i32>,
    pub log: PathBuf,
    pub phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Starting,
    Ready,
    /// By itself: why, and the end of what it printed.
    Ended {
        why: String,
        last_words: String,
    },
}

impl State {
    /// What the keeper of `target`, which is this process, knows before the launch.
    pub fn starting(target: &Target, address: SocketAddr, store: &Store) -> Self {
        Self {
            target: target.name.clone(),
            source: target.source.clone(),
            kind: target.kind,
            keeper: owner::mark(),
            address,
            ready_path: target.ready.path.clone(),
            started: crate::record::now(),
            cold_start_ms: None,
            stop_timeout_s: target.stop_timeout_s,
            roots: Vec::new(),
            log: store.log(&target.name),
            phase: Phase::Starting,
        }
    }

    /// Whether its keeper is there, so that the file tells how things are.
    pub fn is_kept(&self) -> bool {
        owner::is_alive(&self.keeper)
    }

    /// Whether the file says that it is up, and nobody is there who would keep it.
    pub fn is_stale(&self) -> bool {
        !matches!(self.phase, Phase::Ended { .. }) && !self.is_kept()
    }

    /// The keeper's process id.
    pub fn pid(&self) -> Option<i32> {
        self.keeper.split(':').next()?.parse().ok()
    }

    /// The keeper, for a signal; nothing when it is gone.
    pub fn held(&self) -> Option<Held> {
        let held = Held::open(proc::identity(self.pid()?)?)?;
        // A file can say anything.
        let is_keeper = proc::command_line(self.pid()?).get(1).is_some_and(|word| word == "keep");
        (is_keeper && self.is_kept()).then_some(held)
    }

    /// The time since the start.
    pub fn uptime(&self) -> Duration {
        let started = humantime::parse_rfc3339(&self.started).unwrap_or_else(|_| SystemTime::now());
        started.elapsed().unwrap_or_default()
    }
}

/// The directory of the state files and logs.
pub struct Store(PathBuf);

impl Store {
    /// Where `OUNCE_STATE` says, else `ounce-bench` in the user's directory for state.
    ///
    /// # Errors
    /// When the environment names no such directory.
    pub fn here() -> Result<Self> {
        let path = |name| env::var_os(name).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty());
        let absolute = |name| path(name).filter(|path| path.is_absolute());
        let dir = path(VARIABLE)
            .or_else(|| Some(absolute("XDG_STATE_HOME")?.join("ounce-bench")))
            .or_else(|| Some(absolute("HOME")?.join(".local/state/ounce-bench")))
            .with_context(|| format!("no place for state: set {VARIABLE} to a directory"))?;
        Ok(Self::at(&dir))
    }

    pub fn at(dir: &Path) -> Self {
        Self(std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()))
    }

    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// Makes the directory, for this user alone: a log may hold secrets.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self) -> Result<()> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.with_context(|| format!("cannot make the state directory {}", self.0.display()))
    }

    /// What an instance prints.
    pub fn log(&self, target: &str) -> PathBuf {
        self.0.join(format!("{target}.log"))
    }

    /// The log, opened for its keeper; nothing when it has one. The lock ends with the keeper, however that ends.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub fn lock(&self, target: &str) -> Result<Option<File>> {
        let path = self.log(target);
        let failed = || format!("cannot open the log {}", path.display());
        let file = File::options().append(true).create(true).open(&path).with_context(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        }
    }

    /// What is known about a target. A file that cannot be understood is known to have ended.
    pub fn read(&self, target: &str) -> Option<State> {
        let path = self.file(target);
        let understood = match fs::read_to_string(&path) {
            // What it is about is told by its name alone.
            Ok(text) => serde_json::from_str(&text)
                .map(|state: State| State { target: target.to_owned(), ..state })
                .map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => Err(error.to_string()),
        };
        Some(understood.unwrap_or_else(|error| {
            let why = format!("its state cannot be understood: {}: {error}", path.display());
            self.unknown(target, why)
        }))
    }

    fn unknown(&self, target: &str, why: String) -> State {
        State {
            target: target.to_owned(),
            source: PathBuf::new(),
            kind: Kind::Process,
            keeper: String::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            ready_path: "/".into(),
            started: crate::record::now(),
            cold_start_ms: None,
            stop_timeout_s: 0,
            roots: Vec::new(),
            log: self.log(target),
            phase: Phase::Ended { why, last_words: String::new() },
        }
    }

    /// Everything known, by name; or about these targets.
    pub fn all(&self, targets: &[String]) -> Vec<State> {
        let mut names = self.names("json");
        names.retain(|name| targets.is_empty() || targets.contains(name));
        names.iter().filter_map(|name| self.read(name)).collect()
    }

    /// The targets that have a file of this kind.
    pub fn names(&self, extension: &str) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().extension().is_some_and(|found| found == extension))
            .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// Replaces what is known, in one step.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, state: &State) -> Result<()> {
        let path = self.file(&state.target);
        let part = self.0.join(format!("{}.part-{}", state.target, std::process::id()));
        let written =
            fs::write(&part, serde_json::to_vec_pretty(state)?).and_then(|()| fs::rename(&part, &path));
        if written.is_err() {
            let _ = fs::remove_file(&part);
        }
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Forgets what `state` says, unless somebody else has written since.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget(&self, state: &State) -> Result<()> {
        let path = self.file(&state.target);
        if self.read(&state.target).is_some_and(|found| found.keeper == state.keeper) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    fn file(&self, target: &str) -> PathBuf {
        self.0.join(format!("{target}.json"))
    }
}
