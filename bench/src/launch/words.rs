//! From the words of a target's definition to a command line: placeholders, paths, files.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use super::error::LaunchError;
use super::instance::Context;
use super::process::Spawn;
use super::scratch::Scratch;
use crate::target::{self, Target};

/// What `{word}` stands for in one launch.
pub(super) struct Words<'a> {
    target: &'a Target,
    values: BTreeMap<String, String>,
    pub(super) scratch: Option<Scratch>,
}

impl<'a> Words<'a> {
    /// Fills the target's files into a scratch directory, if it has any.
    pub(super) fn new(
        target: &'a Target,
        context: &Context<'_>,
        address: SocketAddr,
    ) -> Result<Self, LaunchError> {
        let scratch = uses_scratch(target).then(Scratch::new).transpose();
        let scratch =
            scratch.map_err(|error| target_error(target, format!("no scratch directory: {error}")))?;
        let mut values = target.values.clone();
        values.extend(context.values.clone());
        values.insert("address".into(), address.to_string());
        values.insert("host".into(), address.ip().to_string());
        values.insert("port".into(), address.port().to_string());
        values.insert("cpus".into(), context.placement.server_count().to_string());
        if let Some(scratch) = &scratch {
            values.insert("scratch".into(), scratch.path().to_string_lossy().into_owned());
        }
        for ((name, content), scratch) in target.files.iter().zip(scratch.iter().cycle()) {
            let path = scratch.path().join(name);
            let written = fs::write(&path, fill(content, &values));
            written
                .map_err(|error| target_error(target, format!("cannot write {}: {error}", path.display())))?;
        }
        Ok(Self { target, values, scratch })
    }

    /// The command with its words filled, in the target's directory and with its variables.
    pub(super) fn spawn(&self, command: &[String], context: &Context<'_>) -> Result<Spawn, LaunchError> {
        let (target, values) = (self.target, &self.values);
        let mut words = command.iter().chain(target.env.values());
        if let Some(word) = words.find_map(|word| unknown_placeholder(word, values)) {
            let known: Vec<String> = values.keys().map(|name| format!("{{{name}}}")).collect();
            let (file, known) = (target.source.display(), known.join(" "));
            return Err(target_error(
                target,
                format!("{file}: unknown placeholder {word}; known are {known}"),
            ));
        }
        let env = target.env.iter().map(|(name, word)| (name.clone(), fill(word, values))).collect();
        let mut command: Vec<String> = command.iter().map(|word| fill(word, values)).collect();
        // As the target's file says it: records are read on other machines.
        let shown = Some(command.join(" "));
        // A program with a slash is a path of the target; without, it is looked up on PATH.
        if let Some(program) = command.first_mut() {
            if program.contains('/') {
                *program = target.path(program.as_ref()).to_string_lossy().into_owned();
            } else if let Some(found) = target::find_program(program) {
                *program = found.to_string_lossy().into_owned();
            }
        }
        let (workdir, cpus) = (Some(target.directory()), context.placement.server_cpus.clone());
        let (log, page_cache) = (context.log.clone(), context.page_cache);
        Ok(Spawn { command, shown, env, workdir, cpus, log, page_cache, ..Spawn::default() })
    }
}

pub(super) fn target_error(target: &Target, what: String) -> LaunchError {
    LaunchError::Target { target: target.name.clone(), what }
}

/// Most targets need no directory, and then a scale that is killed leaves none.
fn uses_scratch(target: &Target) -> bool {
    let words = target.command.iter().chain(&target.args).chain(target.env.values());
    !target.files.is_empty() || words.into_iter().any(|word| word.contains("{scratch}"))
}

fn fill(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];
        let named = rest.find('}').and_then(|close| Some((close, values.get(&rest[1..close])?)));
        let skipped = match named {
            Some((close, value)) => {
                filled.push_str(value);
                close + 1
            }
            None => {
                filled.push('{');
                1
            }
        };
        rest = &rest[skipped..];
    }
    filled + rest
}

/// The first `{word}` of a definition that no value fills; braces around anything else are not placeholders.
fn unknown_placeholder(raw: &str, values: &BTreeMap<String, String>) -> Option<String> {
    let words = raw.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(word, _)| word);
    let is_name = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    words
        .filter(|word| is_name(word))
        .find(|&word| !values.contains_key(word))
        .map(|word| format!("{{{word}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_other_braces_left_alone() {
        let values = BTreeMap::from([
            ("port".to_owned(), "80".to_owned()),
            ("body".to_owned(), "{\"a\":1}".to_owned()),
        ]);
        assert_eq!(
            fill("server { listen {port}; return 200 '{body}'; }", &values),
            "server { listen 80; return 200 '{\"a\":1}'; }"
        );
        assert_eq!(unknown_placeholder("--x {port} {prot}", &values).as_deref(), Some("{prot}"));
        assert_eq!(unknown_placeholder("{body}", &values), None);
        assert_eq!(unknown_placeholder("{\"a\":1}", &values), None);
    }
}
