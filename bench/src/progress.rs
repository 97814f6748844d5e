//! What a person at a terminal sees while a run goes on; in a pipe there is nothing to see.

use indicatif::{ProgressBar, ProgressStyle};

/// A progress line on standard error.
pub struct Progress(ProgressBar);

impl Progress {
    /// A line that counts `steps`; hidden where standard error is no terminal (indicatif sees to that).
    pub fn new(steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64);
        if let Ok(style) = ProgressStyle::with_template("{pos}/{len} {wide_bar} {elapsed} {msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Says what is being done now.
    pub fn say(&self, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.tick();
    }

    pub fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
