//! A directory that lives as long as an instance, for generated configuration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::owner;

/// Directories of the scale are called this, their owner's mark, and a number.
const PREFIX: &str = "ounce-bench-";

pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // A colon would be a separator in the configuration of many a program.
        let mark = owner::mark().replace(':', ".");
        let path = std::env::temp_dir().join(format!("{PREFIX}{mark}-{number}"));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

/// The mark in a directory's name, if it is one of the scale's.
pub(crate) fn mark_in(name: &str) -> Option<String> {
    let (mark, _) = name.strip_prefix(PREFIX)?.rsplit_once('-')?;
    Some(mark.replace('.', ":"))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
