//! Reading the scale's own data files: where they lie, and errors that name file and line.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::de::DeserializeOwned;

/// The scale's directory (`bench/`): of the project around the current directory, else of the sources that this
/// program was built from.
pub fn bench_dir() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let project = here.ancestors().map(|dir| dir.join("bench")).find(|dir| dir.join("targets").is_dir());
    project.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")))
}

/// Reads a TOML file.
///
/// # Errors
/// `FILE:LINE: what is wrong`.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(&text, span.start));
        anyhow!("{}:{line}: {}", path.display(), error.message())
    })
}

/// The error for a value that is well-formed TOML and still wrong: names the line where `key` is set.
pub fn invalid(path: &Path, key: &str, what: &str) -> anyhow::Error {
    invalid_value(path, key, "", what)
}

/// The same where `key` is set more than once, to different values.
pub fn invalid_value(path: &Path, key: &str, value: &str, what: &str) -> anyhow::Error {
    let text = fs::read_to_string(path).unwrap_or_default();
    let sets = |line: &str| {
        let rest = line.trim_start().strip_prefix(key).and_then(|rest| rest.trim_start().strip_prefix('='));
        rest.is_some_and(|rest| rest.contains(value))
    };
    let line = text.lines().position(sets).map_or(1, |index| index + 1);
    anyhow!("{}:{line}: {what}", path.display())
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}
