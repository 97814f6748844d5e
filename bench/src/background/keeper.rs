//! The keeper: a process of its own for each target in the background, which launches it, tells how it is, and
//! ends it. When the keeper is killed its instance ends as in a run that is killed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::state::{Phase, State, Store};
use crate::interrupt::Interrupt;
use crate::launch::{self, Context, Instance, LaunchError};
use crate::placement::Placement;
use crate::target::Target;

/// The exit status when the target has a keeper already.
pub(super) const TAKEN: u8 = 75;

/// Between two looks at the instance.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps a target until SIGTERM, or until it ends by itself.
///
/// # Errors
/// When that cannot even be written down.
pub fn keep(store: &Store, source: &Path, address: SocketAddr) -> Result<ExitCode> {
    // A session of its own: neither Ctrl-C nor the end of the terminal reaches it. It fails for one that has one.
    let _ = rustix::process::setsid();
    let target = Target::read(source)?;
    let Some(log) = store.lock(&target.name)? else { return Ok(ExitCode::from(TAKEN)) };
    log.set_len(0).context("cannot empty the log")?;
    // A second `down` must not cut off what the first one lets finish.
    let interrupt = Interrupt::on_signals_once().context("cannot watch for signals")?;
    let mut state = State::starting(&target, address, store);
    store.write(&state)?;
    match live(store, &target, &mut state, &interrupt) {
        Ok(()) => {
            store.forget(&state)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            state.phase = last_phase(&error);
            store.write(&state)?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn live(store: &Store, target: &Target, state: &mut State, interrupt: &Interrupt) -> Result<()> {
    let mut instance = match start(target, state, interrupt) {
        Err(LaunchError::Interrupted) => return Ok(()),
        result => result?,
    };
    store.write(state)?;
    // Without its file nobody would find it any more.
    while !interrupt.wait(LOOK) && store.read(&state.target).is_some() {
        instance.check_alive()?;
        let roots = instance.scope().roots;
        if roots != state.roots {
            state.roots = roots;
            store.write(state)?;
        }
    }
    instance.stop()?;
    Ok(())
}

fn start(
    target: &Target,
    state: &mut State,
    interrupt: &Interrupt,
) -> Result<Box<dyn Instance>, LaunchError> {
    // Not pinned: nothing is measured.
    let placement = Placement::default();
    let context = Context {
        address: Some(state.address),
        log: Some(state.log.clone()),
        ..Context::new(&placement, interrupt)
    };
    let instance = launch::launch(target, &context)?;
    state.address = instance.address();
    state.cold_start_ms = instance.start().map(|start| start.ready_ms);
    state.roots = instance.scope().roots;
    state.phase = Phase::Ready;
    Ok(instance)
}

fn last_phase(error: &anyhow::Error) -> Phase {
    if let Some(LaunchError::ExitedEarly { status, output, .. }) = error.downcast_ref() {
        return Phase::Ended { why: status.to_string(), last_words: output.clone() };
    }
    Phase::Ended { why: format!("{error:#}"), last_words: String::new() }
}
