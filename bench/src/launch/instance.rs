//! Launchers: one for each kind of target; what they return is an [`Instance`], whatever isolates it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use super::error::LaunchError;
use super::process::{Process, Spawn};
use super::ready::{free_port, until_ready};
use super::scratch::Scratch;
use crate::interrupt::Interrupt;
use crate::placement::Placement;
use crate::target::{Kind, Target};

/// What a launch needs beside the target.
pub struct Context<'a> {
    pub placement: &'a Placement,
    pub interrupt: &'a Interrupt,
    /// Placeholders beside the usual ones, by name.
    pub values: BTreeMap<String, String>,
}

/// Starts targets of one kind.
pub trait Launcher {
    /// Starts the target and returns when it is ready.
    ///
    /// # Errors
    /// [`LaunchError`] says what to do; nothing is left running.
    fn launch(&self, target: &Target, context: &Context<'_>) -> Result<Box<dyn Instance>, LaunchError>;
}

/// A running, ready service. Dropping it ends it.
pub trait Instance {
    fn address(&self) -> SocketAddr;

    /// The topmost processes that this instance needs; with everything below them they are its footprint.
    fn roots(&self) -> Vec<i32>;

    /// From the spawn to the first 200.
    fn cold_start(&self) -> Duration;

    /// # Errors
    /// When the instance is no longer running, with its last words.
    fn check_alive(&mut self) -> Result<(), LaunchError>;

    /// Ends the instance: politely, then by force.
    ///
    /// # Errors
    /// When it had to be killed or did not end well; it is gone all the same.
    fn stop(&mut self) -> Result<(), LaunchError>;
}

/// The launcher for a kind of target.
pub fn launcher(kind: Kind) -> &'static dyn Launcher {
    match kind {
        Kind::Process => &LocalLauncher { command: |target| target.command.clone() },
        Kind::Wasmtime => &LocalLauncher { command: wasmtime_command },
    }
}

/// Programs on this machine; the kinds differ in how the command line comes about.
struct LocalLauncher {
    command: fn(&Target) -> Vec<String>,
}

fn wasmtime_command(target: &Target) -> Vec<String> {
    let component = target.component.as_deref().unwrap_or(std::path::Path::new("")).to_string_lossy();
    let head = ["wasmtime", "serve", "-S", "cli", "--addr", "{address}"].map(String::from);
    head.into_iter().chain(target.args.iter().cloned()).chain([component.into_owned()]).collect()
}

impl Launcher for LocalLauncher {
    fn launch(&self, target: &Target, context: &Context<'_>) -> Result<Box<dyn Instance>, LaunchError> {
        if let Some((what, hint)) = target.missing().into_iter().next() {
            return Err(LaunchError::Missing { target: target.name.clone(), what, hint: hint.to_owned() });
        }
        let failed = |what: String| LaunchError::Target { target: target.name.clone(), what };
        let port = free_port().map_err(|error| failed(format!("no free port: {error}")))?;
        let scratch = uses_scratch(target).then(Scratch::new).transpose();
        let scratch = scratch.map_err(|error| failed(format!("no scratch directory: {error}")))?;
        let values = values(context, port, scratch.as_ref());
        for ((name, content), scratch) in target.files.iter().zip(scratch.iter().cycle()) {
            let path = scratch.path().join(name);
            let written = fs::write(&path, fill(content, &values));
            written.map_err(|error| failed(format!("cannot write {}: {error}", path.display())))?;
        }
        let spawn = spawn((self.command)(target), target, context, &values).map_err(failed)?;
        Ok(Box::new(Local::start(&spawn, target, port, scratch, context.interrupt)?))
    }
}

fn spawn(
    command: Vec<String>,
    target: &Target,
    context: &Context<'_>,
    values: &BTreeMap<String, String>,
) -> Result<Spawn, String> {
    let mut words = command.iter().chain(target.env.values());
    if let Some(word) = words.find_map(|word| unknown_placeholder(word, values)) {
        let known: Vec<String> = values.keys().map(|name| format!("{{{name}}}")).collect();
        return Err(format!(
            "{}: unknown placeholder {word}; known are {}",
            target.source.display(),
            known.join(" ")
        ));
    }
    let env: BTreeMap<_, _> =
        target.env.iter().map(|(name, word)| (name.clone(), fill(word, values))).collect();
    let mut command: Vec<String> = command.iter().map(|word| fill(word, values)).collect();
    // A program with a slash is a path of the target; without, it is looked up on PATH.
    if let Some(program) = command.first_mut() {
        if program.contains('/') {
            *program = target.path(program.as_ref()).to_string_lossy().into_owned();
        } else if let Some(found) = crate::target::find_program(program) {
            *program = found.to_string_lossy().into_owned();
        }
    }
    Ok(Spawn { command, env, workdir: Some(target.directory()), cpus: context.placement.server_cpus.clone() })
}

/// Most targets need no directory, and then a scale that is killed leaves none.
fn uses_scratch(target: &Target) -> bool {
    let words = target.command.iter().chain(&target.args).chain(target.env.values());
    !target.files.is_empty() || words.into_iter().any(|word| word.contains("{scratch}"))
}

fn values(context: &Context<'_>, address: SocketAddr, scratch: Option<&Scratch>) -> BTreeMap<String, String> {
    let mut values = context.values.clone();
    values.insert("address".into(), address.to_string());
    values.insert("host".into(), address.ip().to_string());
    values.insert("port".into(), address.port().to_string());
    values.insert("cpus".into(), context.placement.server_count().to_string());
    if let Some(scratch) = scratch {
        values.insert("scratch".into(), scratch.path().to_string_lossy().into_owned());
    }
    values
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

/// An instance that is a process of this machine.
pub struct Local {
    process: Process,
    address: SocketAddr,
    cold_start: Duration,
    stop_timeout: Duration,
    _scratch: Option<Scratch>,
}

impl Local {
    fn start(
        spawn: &Spawn,
        target: &Target,
        port: SocketAddr,
        scratch: Option<Scratch>,
        interrupt: &Interrupt,
    ) -> Result<Self, LaunchError> {
        let timeout = Duration::from_secs(target.ready.timeout_s);
        let mut process = Process::spawn(spawn)?;
        let address = match &target.address_after {
            Some(marker) => process.address_after(marker, timeout)?,
            None => port,
        };
        let cold_start = until_ready(&mut process, address, &target.ready.path, timeout, interrupt)?;
        let stop_timeout = Duration::from_secs(target.stop_timeout_s);
        Ok(Self { process, address, cold_start, stop_timeout, _scratch: scratch })
    }
}

impl Instance for Local {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn roots(&self) -> Vec<i32> {
        vec![self.process.pid()]
    }

    fn cold_start(&self) -> Duration {
        self.cold_start
    }

    fn check_alive(&mut self) -> Result<(), LaunchError> {
        self.process.check_alive()
    }

    fn stop(&mut self) -> Result<(), LaunchError> {
        let command = self.process.command().to_owned();
        match self.process.stop(self.stop_timeout) {
            Ok(_) => Ok(()),
            Err(error) => Err(LaunchError::Spawn { command, error }),
        }
    }
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
