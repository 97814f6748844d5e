//! Up: a keeper for a target, and the wait until it says that the target is ready.

use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::keeper::TAKEN;
use super::state::{Phase, State, Store};
use crate::cell;
use crate::interrupt::Interrupt;
use crate::launch::{self, LaunchError, owner};
use crate::leftover;
use crate::target::{Lack, Target};

/// Between two looks at the keeper.
const LOOK: Duration = Duration::from_millis(20);
/// A keeper that has the log has written its state by then.
const HANDOVER: Duration = Duration::from_secs(3);

/// How a target came to be up.
pub enum Up {
    Started(State),
    Already(State),
}

impl fmt::Display for Up {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Up::Started(state) => {
                let (name, url) = (&state.target, state.address);
                write!(f, "{name}  http://{url}  ready in {:.0} ms", state.cold_start_ms.unwrap_or(0.0))
            }
            Up::Already(state) => {
                let keeper = state.pid().unwrap_or_default();
                write!(f, "{}  http://{}  is already up (keeper {keeper})", state.target, state.address)
            }
        }
    }
}

/// Starts a target in the background, on its port, and waits until it is ready.
///
/// # Errors
/// What keeps it from being up, and what to do; then nothing is left running.
pub fn up(store: &Store, target: &Target, port: Option<u16>, interrupt: &Interrupt) -> Result<Up> {
    if let Some(url) = &target.url {
        bail!("it is not the scale's to start: it runs already, at {url}");
    }
    match store.read(&target.name) {
        Some(state) if state.is_kept() => return join(store, target, port, state, interrupt),
        // Its instance may still be on the port, when the guard was killed with the keeper.
        Some(state) => {
            for thing in leftover::of(&state.keeper) {
                thing.remove().with_context(|| format!("cannot remove {thing}, which was left behind"))?;
            }
        }
        None => {}
    }
    if let Some(Lack { what, hint }) = launch::missing(target).into_iter().next() {
        return Err(LaunchError::Missing { target: target.name.clone(), what, hint }.into());
    }
    cell::build(target, interrupt)?;
    let address = free(store, target, port)?;
    store.create()?;
    let keeper = spawn(store, target, address)?;
    match until_ready(store, target, keeper, interrupt)? {
        Some(state) => Ok(Up::Started(state)),
        None => join(store, target, port, other(store, target, interrupt)?, interrupt),
    }
}

/// Waits until the keeper says that its target is ready; nothing when another keeper was there first.
fn until_ready(
    store: &Store,
    target: &Target,
    mut keeper: Child,
    interrupt: &Interrupt,
) -> Result<Option<State>> {
    loop {
        let status = keeper.try_wait().context("cannot wait for the keeper")?;
        let state = store.read(&target.name).filter(|state| state.pid() == Some(keeper.id().cast_signed()));
        match (status, state) {
            (None, Some(state)) if state.phase == Phase::Ready => return Ok(Some(state)),
            (Some(status), _) if status.code() == Some(i32::from(TAKEN)) => return Ok(None),
            (Some(_), Some(State { phase: Phase::Ended { why, last_words }, .. })) => {
                bail!("{}", ended(&why, &last_words))
            }
            (Some(status), _) => bail!("its keeper ended ({status}); {}", tail(store, target)),
            (None, _) => {}
        }
        if interrupt.wait(LOOK) {
            give_up(&mut keeper);
            return Err(LaunchError::Interrupted.into());
        }
    }
}

/// Somebody else's keeper has it: waits until that says that it is ready.
fn join(
    store: &Store,
    target: &Target,
    port: Option<u16>,
    mut state: State,
    interrupt: &Interrupt,
) -> Result<Up> {
    let same = |path: &Path| fs::canonicalize(path).ok() == fs::canonicalize(&target.source).ok();
    let down = format!("first: ounce-bench down --target {}", target.name);
    if !same(&state.source) {
        bail!("another target of that name is up, from {}; {down}", state.source.display());
    }
    if let Some(port) = port.filter(|&port| port != state.address.port()) {
        bail!("it is up on port {}, not on {port}; {down}", state.address.port());
    }
    while state.phase == Phase::Starting {
        if interrupt.wait(LOOK) {
            return Err(LaunchError::Interrupted.into());
        }
        state = match store.read(&target.name) {
            Some(state) if state.is_kept() => state,
            Some(State { phase: Phase::Ended { why, last_words }, .. }) => {
                bail!("{}", ended(&why, &last_words))
            }
            _ => bail!("it was stopped before it was ready"),
        };
    }
    Ok(Up::Already(state))
}

/// The state that the keeper with the log is about to write.
fn other(store: &Store, target: &Target, interrupt: &Interrupt) -> Result<State> {
    let until = Instant::now() + HANDOVER;
    loop {
        if let Some(state) = store.read(&target.name).filter(State::is_kept) {
            return Ok(state);
        }
        if interrupt.wait(LOOK) {
            return Err(LaunchError::Interrupted.into());
        }
        if Instant::now() > until {
            let log = store.log(&target.name);
            bail!("another command is starting or stopping it (it holds {}): try again", log.display());
        }
    }
}

/// Where the target serves: the port that was asked for, its own, or any.
fn free(store: &Store, target: &Target, port: Option<u16>) -> Result<SocketAddr> {
    let Some(port) = port.or(target.port) else {
        return launch::free_port().context("no port is free");
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(address) {
        Ok(_) => Ok(address),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let holder = store.all(&[]).into_iter().find(|state| state.is_kept() && state.address == address);
            let holder = holder.map_or_else(
                || "somebody else serves there: stop that".to_owned(),
                |state| format!("{0} serves there: ounce-bench down --target {0}", state.target),
            );
            let name = &target.name;
            bail!(
                "port {port} of {} is in use; {holder}, or choose another: ounce-bench up --target {name} --port N",
                address.ip()
            )
        }
        Err(error) => Err(error).with_context(|| format!("cannot serve on {address}")),
    }
}

fn spawn(store: &Store, target: &Target, address: SocketAddr) -> Result<Child> {
    let program = env::current_exe().context("cannot find this program")?;
    let log = File::options().append(true).create(true).open(store.log(&target.name));
    let log = log.with_context(|| format!("cannot open {}", store.log(&target.name).display()))?;
    Command::new(program)
        .args(["keep", "--address", &address.to_string(), "--target"])
        .arg(std::path::absolute(&target.source)?)
        .arg("--state")
        .arg(store.dir())
        // It is nobody's instance, even where this command is.
        .env_remove(owner::VARIABLE)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start the keeper")
}

/// Nobody waits any more: the keeper stops what it has begun.
fn give_up(keeper: &mut Child) {
    let _ = kill_process(Pid::from_child(keeper), Signal::TERM);
    let _ = keeper.wait();
}

fn ended(why: &str, last_words: &str) -> String {
    if last_words.is_empty() {
        return why.to_owned();
    }
    format!("it ended ({why}); its last output was:\n{last_words}")
}

fn tail(store: &Store, target: &Target) -> String {
    let path = store.log(&target.name);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!("the end of {} is:\n{}", path.display(), lines[lines.len().saturating_sub(20)..].join("\n"))
}
