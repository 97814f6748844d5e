//! Which targets a command is about: those of a directory, by name or by file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Target;

/// Every target in a directory, by name.
///
/// # Errors
/// When the directory cannot be read or a file in it is wrong.
pub fn read_dir(dir: &Path) -> Result<Vec<Target>> {
    let entries =
        fs::read_dir(dir).with_context(|| format!("cannot read the targets directory {}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|ext| ext == "toml"));
    files.sort();
    files.iter().map(|file| Target::read(file)).collect()
}

/// The targets that were asked for: names from `dir`, or else from `peers`, or paths of target files; all of `dir` when
/// none was.
///
/// # Errors
/// When one is unknown, with the list of those known.
pub fn select(dir: &Path, peers: &Path, asked: &[String]) -> Result<Vec<Target>> {
    let known = read_dir(dir)?;
    if asked.is_empty() {
        return Ok(known);
    }
    let mut chosen = Vec::new();
    for word in asked {
        if word.ends_with(".toml") {
            chosen.push(Target::read(Path::new(word))?);
            continue;
        }
        let others = peers.join(format!("{word}.toml"));
        let Some(target) = known.iter().find(|target| target.name == *word) else {
            if others.is_file() {
                chosen.push(Target::read(&others)?);
                continue;
            }
            let names: Vec<&str> = known.iter().map(|target| target.name.as_str()).collect();
            bail!(
                "no target {word:?} in {}; there are: {} (or give the path of a .toml file)",
                dir.display(),
                names.join(", ")
            );
        };
        chosen.push(target.clone());
    }
    unique(&chosen)?;
    Ok(chosen)
}

/// Targets with every one of a second directory behind them.
///
/// # Errors
/// When the directory cannot be read, a file in it is wrong, or a name is there twice.
pub fn joined(mut targets: Vec<Target>, dir: &Path) -> Result<Vec<Target>> {
    let same = |one: &Path, other: &Path| fs::canonicalize(one).ok() == fs::canonicalize(other).ok();
    let asked: Vec<PathBuf> = targets.iter().map(|target| target.source.clone()).collect();
    let others = read_dir(dir)?;
    targets.extend(others.into_iter().filter(|target| !asked.iter().any(|path| same(path, &target.source))));
    unique(&targets)?;
    Ok(targets)
}

fn unique(chosen: &[Target]) -> Result<()> {
    // Rows, and what a target's cells share, are told apart by the name.
    for (index, target) in chosen.iter().enumerate() {
        if let Some(other) = chosen[..index].iter().find(|other| other.name == target.name) {
            let (one, two) = (other.source.display(), target.source.display());
            bail!("two targets are called {:?}: {one} and {two}; rename one, or give it once", target.name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_directory_adds_what_was_not_asked_for_and_may_not_hold_a_name_again() {
        let root = std::env::temp_dir().join(format!("ounce-select-{}", std::process::id()));
        let [first, second] = ["first", "second"].map(|name| root.join(name));
        for dir in [&first, &second] {
            fs::create_dir_all(dir).unwrap();
            fs::write(dir.join("x.toml"), "name = \"x\"\nkind = \"process\"\ncommand = [\"x\"]\n").unwrap();
        }
        let once = joined(Vec::new(), &first).unwrap();
        let again = joined(once.clone(), &first).unwrap();
        let twice = joined(once.clone(), &second);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!((once.len(), again.len()), (1, 1));
        assert!(twice.unwrap_err().to_string().contains("two targets are called \"x\""));
    }
}
