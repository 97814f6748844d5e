//! The page of a result: what was asked, the table, what failed, what the marks mean, and the machine.

use std::fmt::Write;

use super::{Entry, Probe, Question, Record};
use crate::report::{DISTURBED, Format, Table, number};

/// A reason to doubt a row, as in the tables of runs.
const MARKS: [(&str, &str); 6] = [
    (
        "emulated",
        "the guest's instructions were emulated: the row shows that it works, not how fast or how large",
    ),
    ("forwarded", "reached through QEMU's forwarded port, which is slow and may lose connections"),
    ("shared", "another process runs the same program and has a part of its pages, so that PSS is too small"),
    ("disturbed", "other programs took more than 5 % of the CPUs; search again on a quiet machine"),
    ("generator-bound", "the generator was the limit, so the service can do more: the rate is a lower bound"),
    ("errors", "requests went wrong under the load; the record has their kinds"),
];

pub(super) const DISTURBED_MARK: &str = MARKS[3].0;
pub(super) const GENERATOR_BOUND: &str = MARKS[4].0;
pub(super) const ERRORS: &str = MARKS[5].0;

impl<F> Entry<F> {
    /// The marks that any search may have, then its own.
    pub(super) fn marks(&self, own: &[&str]) -> String {
        if self.missing {
            return "missing, see below".into();
        }
        if self.error.is_some() {
            return "failed, see below".into();
        }
        let common = [(self.emulated, 0), (self.forwarded, 1), (self.shared, 2)];
        let common = common.iter().filter(|(set, _)| *set).map(|(_, index)| MARKS[*index].0);
        common.chain(own.iter().copied()).collect::<Vec<_>>().join(", ")
    }
}

impl Probe {
    pub(super) fn disturbed(&self) -> bool {
        self.pss_bytes.is_some() && self.others_share > DISTURBED
    }
}

/// A figure, or a dash.
pub(super) fn shown(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), number)
}

pub(super) fn mb(bytes: Option<u64>) -> String {
    shown(bytes.map(|bytes| bytes as f64 / 1e6))
}

/// What a record says.
pub struct Page {
    /// What was asked.
    pub title: String,
    /// The last column has the marks.
    pub table: Table,
    /// About single targets.
    pub notes: Vec<(String, String)>,
}

impl<Q: Question> Record<Q> {
    /// The notes, and what failed.
    pub fn remarks(&self, page: &Page) -> Vec<(String, String)> {
        let failed =
            self.searches.iter().filter_map(|entry| Some((entry.name().to_owned(), entry.error.clone()?)));
        page.notes.iter().cloned().chain(failed).collect()
    }

    pub(super) fn rendered(&self, page: &Page, format: Format) -> String {
        let Page { title, table, .. } = page;
        let incomplete = if self.complete { "" } else { " INCOMPLETE: the search was interrupted." };
        let mut text = format!("{title}{incomplete}\n\n{}\n", table.render(format));
        let bullet = if format == Format::Markdown { "- " } else { "" };
        let mut lines = String::new();
        for (name, what) in self.remarks(page) {
            let line = format!("{bullet}{name}: {}\n", one_line(&what, format));
            // What is missing may be so for every way to take a target.
            if !lines.ends_with(&line) {
                lines.push_str(&line);
            }
        }
        if !lines.is_empty() {
            let _ = writeln!(text, "{lines}");
        }
        for (mark, meaning) in meanings(table) {
            let _ = writeln!(text, "{mark}: {meaning}.\n");
        }
        let placement = match &self.placement.warning {
            Some(warning) => format!("not pinned: {warning}"),
            None => {
                let (server, generator) = (&self.placement.server_cpus, &self.placement.generator_cpus);
                format!("server on CPU {server:?}, generator on {generator:?}")
            }
        };
        let _ =
            writeln!(text, "Machine {}; {placement}; {}. MB = 10⁶ bytes.", self.host.line(), self.started);
        text
    }
}

/// The marks that a table uses, and what they mean.
pub fn meanings(table: &Table) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
    let used = |mark: &str| table.rows.iter().filter_map(|row| row.last()).any(|marks| marks.contains(mark));
    MARKS.into_iter().filter(move |(mark, _)| used(mark))
}

/// A list item must stay one line; a terminal shows an error as it is.
fn one_line(text: &str, format: Format) -> String {
    match format {
        Format::Markdown => text.lines().map(str::trim).collect::<Vec<_>>().join(" "),
        Format::Terminal => text.into(),
    }
}
