//! The request to stop: set by SIGINT or SIGTERM (or by a test), seen by every loop that waits.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The exit status of a program that Ctrl-C ended: 128 + SIGINT.
pub const EXIT_INTERRUPTED: u8 = 130;

/// A flag that can be waited for. Clones share it.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Shared>);

#[derive(Default)]
struct Shared {
    set: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Interrupt {
    /// A flag that only [`Interrupt::trigger`] sets.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag that SIGINT, SIGTERM and SIGHUP set; a second signal ends the program at once (the guard then
    /// kills what was launched, see [`crate::launch`]).
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        Self::on_signals_that(|| std::process::exit(i32::from(EXIT_INTERRUPTED)))
    }

    /// The same, but more signals than one say nothing new.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn on_signals_once() -> io::Result<Self> {
        Self::on_signals_that(|| {})
    }

    fn on_signals_that(again: impl Fn() + Send + 'static) -> io::Result<Self> {
        let interrupt = Self::new();
        let seen = interrupt.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        thread::Builder::new().name("signals".into()).spawn(move || {
            for _ in signals.forever() {
                if seen.is_set() {
                    again();
                }
                seen.trigger();
            }
        })?;
        Ok(interrupt)
    }

    /// Asks everything that watches this flag to stop.
    pub fn trigger(&self) {
        let _held = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.set.store(true, Ordering::Release);
        self.0.changed.notify_all();
    }

    pub fn is_set(&self) -> bool {
        self.0.set.load(Ordering::Acquire)
    }

    /// Waits until the flag is set, at most `pause`. Returns whether it is set.
    pub fn wait(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut held = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.is_set() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            held = self.0.changed.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
