//! The record of a search, of whatever kind: what was asked, and what was found of each target.

use std::path::Path;

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Options;
use super::page::Page;
use crate::host::Host;
use crate::placement::Placement;
use crate::record::{SCHEMA, TargetRecord, now, read};
use crate::report::Format;
use crate::target::Target;

/// What can be asked of every target. Its fields stand in the record beside the common ones.
pub trait Question: Serialize + DeserializeOwned + Sized {
    /// The record's `kind`, and the end of its file's name.
    const KIND: &'static str;
    /// The answer for one target. Its fields stand in the [`Entry`] beside the common ones.
    type Found: Serialize + DeserializeOwned + Default;

    /// What is to be found of a target: one answer, unless there is more than one way to take it.
    fn variants(&self, _target: &Target) -> Vec<Self::Found> {
        vec![Self::Found::default()]
    }

    /// What a record says.
    fn page(record: &Record<Self>) -> Page;
}

/// `{"schema": 2, "kind": …, …, "searches": […]}`. Units are in the names, times are UTC, RFC 3339.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Record<Q: Question> {
    pub schema: u32,
    pub kind: String,
    pub started: String,
    pub ended: Option<String>,
    /// False while the search goes on, and for ever when it was interrupted.
    pub complete: bool,
    pub host: Host,
    pub placement: Placement,
    #[serde(flatten)]
    pub asked: Q,
    pub searches: Vec<Entry<Q::Found>>,
}

/// One target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry<F> {
    pub target: TargetRecord,
    /// Why there is no answer, or no whole one.
    pub error: Option<String>,
    /// Nothing was tried, because something is not installed; `error` says what.
    #[serde(default)]
    pub missing: bool,
    /// The guest's instructions were emulated: its speed says nothing about the packaging.
    #[serde(default)]
    pub emulated: bool,
    /// The guest was reached through a port that QEMU forwards.
    #[serde(default)]
    pub forwarded: bool,
    /// Another process ran the same program, and so had a part of its pages.
    #[serde(default)]
    pub shared: bool,
    #[serde(flatten)]
    pub found: F,
}

impl<F> Entry<F> {
    pub(super) fn new(target: TargetRecord, found: F) -> Self {
        Self { target, error: None, missing: false, emulated: false, forwarded: false, shared: false, found }
    }

    pub fn name(&self) -> &str {
        &self.target.definition.name
    }
}

impl<Q: Question> Record<Q> {
    pub(super) fn begin(asked: Q, options: &Options<'_>) -> Self {
        Self {
            schema: SCHEMA,
            kind: Q::KIND.into(),
            started: now(),
            ended: None,
            complete: false,
            host: options.host.clone(),
            placement: options.placement.clone(),
            asked,
            searches: Vec::new(),
        }
    }

    /// Reads a record of this kind.
    ///
    /// # Errors
    /// When the file is not a record, another kind of record, or of a schema that this version does not read.
    pub fn read(path: &Path) -> Result<Self> {
        read(path, Q::KIND)
    }

    /// What a person reads: a title, a table, what failed, the machine.
    pub fn text(&self, format: Format) -> String {
        self.rendered(&Q::page(self), format)
    }

    /// Whether there is an answer: for every target, or, when none was asked for by name, for any.
    pub fn answered(&self, named: bool) -> bool {
        let mut answers = self.searches.iter().map(|entry| entry.error.is_none());
        self.complete && if named { answers.all(|answer| answer) } else { answers.any(|answer| answer) }
    }
}
