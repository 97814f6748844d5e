//! Down: asks keepers to stop what they keep, makes sure of it, and removes what was left behind.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::state::{Phase, State, Store};
use crate::leftover::{self, Leftover};
use crate::pidfd::Held;

/// What a keeper may take beyond the time that its instance may: a container's removal, a busy machine.
const MARGIN: Duration = Duration::from_secs(10);
/// How long the guard of a keeper that was killed may take.
const GUARD: Duration = Duration::from_secs(10);

/// What was done, or could not be, as a line for people.
pub struct Done {
    pub line: String,
    pub gone: bool,
}

impl Done {
    fn new(line: String, gone: bool) -> Self {
        Self { line, gone }
    }
}

/// Stops these targets, or all of them and everything that was left behind.
pub fn down(store: &Store, targets: &[String], mut say: impl FnMut(&Done)) -> bool {
    // Asked all at once, so that the slow ones are slow together.
    let asked: Vec<(State, Option<Held>)> = store
        .all(targets)
        .into_iter()
        .map(|state| {
            let keeper = state.held();
            if let Some(keeper) = &keeper {
                let _ = keeper.signal(Signal::TERM);
            }
            (state, keeper)
        })
        .collect();
    let mut all_gone = true;
    let mut tell = |done: Done| {
        all_gone &= done.gone;
        say(&done);
    };
    for (state, keeper) in &asked {
        tell(end(store, state, keeper.as_ref()));
        remove(leftover::of(&state.keeper), &mut tell);
    }
    if targets.is_empty() {
        let found = leftover::find();
        remove(found.things, &mut tell);
        if let Some(error) = found.unseen {
            // An engine that is not there runs nothing; one that hangs may.
            tell(Done::new(error.to_string(), error.kind() != io::ErrorKind::TimedOut));
        }
    }
    all_gone
}

fn end(store: &Store, state: &State, keeper: Option<&Held>) -> Done {
    let ended = match (&state.phase, keeper) {
        (_, Some(keeper)) => stop(state, keeper),
        (Phase::Ended { .. }, None) => Ok("had ended by itself".into()),
        (_, None) => Ok("was stale: its keeper had been killed".into()),
    };
    let forgotten = ended.and_then(|how| {
        store.forget(state).map_err(|error| format!("{error:#}"))?;
        Ok(how)
    });
    let gone = forgotten.is_ok();
    Done::new(format!("{}  {}", state.target, forgotten.unwrap_or_else(|error| error)), gone)
}

fn stop(state: &State, keeper: &Held) -> Result<String, String> {
    // A guest is asked on its console first, and then its machine.
    let patience = 2 * Duration::from_secs(state.stop_timeout_s.min(3600)) + MARGIN;
    if keeper.ended(patience) {
        return Ok("stopped".into());
    }
    keeper.signal(Signal::KILL).map_err(|error| format!("cannot be stopped: {error}"))?;
    if !keeper.ended(GUARD) {
        return Err("its keeper does not even end by SIGKILL".into());
    }
    // The guard is at it; what it does not get done is for the caller.
    let until = Instant::now() + GUARD;
    while !leftover::of(&state.keeper).is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(format!("killed: it had not stopped within {patience:?}"))
}

fn remove(things: Vec<Leftover>, tell: &mut impl FnMut(Done)) {
    for thing in things {
        match thing.remove() {
            Ok(()) => tell(Done::new(format!("removed {thing}"), true)),
            Err(error) => tell(Done::new(format!("cannot remove {thing}: {error}"), false)),
        }
    }
}
