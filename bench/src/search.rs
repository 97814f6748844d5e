//! Searches: what one run does not show, because it takes a target again and again: the highest rate that keeps an
//! objective, the smallest memory that does, what one more instance weighs.
//!
//! Each is a question that is put to every target. What they share is here: the circumstances, the loop over the
//! targets with its [`Record`], a load that is weighed ([`Probe`]), and the page of a result.

pub mod marginal;
pub mod saturation;
pub mod smallest;

mod page;
mod probe;
mod record;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

pub use page::{Page, meanings};
pub use probe::Probe;
pub use record::{Entry, Question, Record};

use crate::cell;
use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::launch::{self, Instance, LaunchError};
use crate::placement::Placement;
use crate::proc;
use crate::progress::Progress;
use crate::record::{TargetRecord, Writer, now};
use crate::target::Target;
use crate::workload::Workload;

/// The circumstances of a search.
pub struct Options<'a> {
    pub targets: &'a [Target],
    pub workload: &'a Workload,
    pub connections: usize,
    /// Of each load.
    pub duration: Duration,
    pub placement: &'a Placement,
    pub host: Host,
    pub records_dir: &'a Path,
    pub interrupt: &'a Interrupt,
}

/// What a search knows while it is at one target.
struct Subject<'a> {
    options: &'a Options<'a>,
    target: &'a Target,
    progress: &'a Progress,
}

/// Puts a question to target after target; the record is flushed after each.
///
/// # Errors
/// When the record cannot be written; a target that fails is an entry with an error.
fn run<Q: Question>(
    options: &Options<'_>,
    asked: Q,
    find: impl Fn(&Q, &Subject<'_>, &mut Entry<Q::Found>) -> Result<()>,
) -> Result<(Record<Q>, PathBuf)> {
    options.placement.pin_scale()?;
    let mut record = Record::begin(asked, options);
    let suffix = format!("-{}", Q::KIND);
    let writer = Writer::create(options.records_dir, &record.started, &record.host.label, &suffix)?;
    writer.write(&record)?;
    let progress = Progress::new(options.targets.len());
    for target in options.targets.iter().take_while(|_| !options.interrupt.is_set()) {
        let subject = Subject { options, target, progress: &progress };
        for found in record.asked.variants(target) {
            let mut entry = Entry::new(TargetRecord::of(target), found);
            let asked = cell::build(target, options.interrupt)
                .and_then(|()| find(&record.asked, &subject, &mut entry));
            if let Err(error) = asked {
                entry.missing = matches!(error.downcast_ref(), Some(LaunchError::Missing { .. }));
                entry.error = Some(format!("{error:#}"));
            }
            record.searches.push(entry);
        }
        writer.write(&record)?;
        progress.step();
    }
    record.complete = !options.interrupt.is_set();
    record.ended = Some(now());
    writer.write(&record)?;
    Ok((record, writer.path().to_owned()))
}

impl Subject<'_> {
    fn say(&self, what: &str) {
        self.progress.say(&format!("{}: {what}", self.target.name));
    }

    /// Launches a variation of the target, and notes what makes its figures doubtful.
    fn launch<F>(&self, target: &Target, entry: &mut Entry<F>) -> Result<Box<dyn Instance>, LaunchError> {
        let context = launch::Context::new(self.options.placement, self.options.interrupt);
        let instance = launch::launch(target, &context)?;
        entry.emulated |= instance.emulated();
        entry.forwarded |= instance.forwarded();
        Ok(instance)
    }
}

/// Whether somebody else runs the program of these instances, and so has a part of its pages.
fn shared(instances: &[Box<dyn Instance>]) -> bool {
    proc::sharer(&processes(instances)).is_some()
}

/// Everything that instances need, each process once.
fn processes(instances: &[Box<dyn Instance>]) -> Vec<i32> {
    instances.iter().flat_map(|instance| instance.scope().processes()).collect()
}
