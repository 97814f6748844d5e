//! Limits for CI: `req_per_s_per_mb<-5%`, `p99_ms>+20%`, or `worse` for any figure.

use std::str::FromStr;

use super::{Line, Lost, Verdict};
use crate::report::Figure;

/// What must not happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// Any figure that is worse.
    Worse,
    /// A figure that changes by more than a part, in one direction.
    Change { figure: Figure, falls: bool, part: f64 },
}

impl Limit {
    pub(super) fn figure(&self) -> Option<Figure> {
        match self {
            Self::Worse => None,
            Self::Change { figure, .. } => Some(*figure),
        }
    }

    fn is_about(&self, line: &Line) -> bool {
        self.figure().is_none_or(|figure| line.figure == figure)
    }

    /// A change counts when it is beyond the limit, and certain enough to be told from noise.
    fn is_missed(&self, line: &Line) -> bool {
        match *self {
            Self::Worse => line.verdict == Verdict::Worse,
            Self::Change { figure, falls, part } => {
                let change = line.ratio.ratio - 1.0;
                let beyond = if falls { change < part } else { change > part };
                line.figure == figure && beyond && matches!(line.verdict, Verdict::Worse | Verdict::Better)
            }
        }
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?}: give `worse`, or a figure and a change, such as req_per_s_per_mb<-5%");
        if text.trim() == "worse" {
            return Ok(Self::Worse);
        }
        let at = text.find(['<', '>']).ok_or_else(wrong)?;
        let (name, rest) = (text[..at].trim(), text[at + 1..].trim());
        let percent = rest.strip_suffix('%').ok_or_else(wrong)?;
        let part = percent.trim().parse::<f64>().map_err(|_| wrong())? / 100.0;
        let known = || Figure::ALL.map(Figure::name).join(", ");
        let figure = Figure::ALL.into_iter().find(|figure| figure.name() == name);
        let figure = figure.ok_or_else(|| format!("{name:?} is no figure; there are: {}", known()))?;
        let falls = text[at..].starts_with('<');
        if !part.is_finite() || (falls && part > 0.0) || (!falls && part < 0.0) {
            return Err(format!("{text:?}: a limit is a fall below <-N% or a rise above >N%"));
        }
        Ok(Self::Change { figure, falls, part })
    }
}

/// What misses a limit, a sentence each. With any limit, a cell that was lost misses it, and so does what cannot be
/// judged: a limit that was not checked must not look like one that is kept.
pub(super) fn missed(limits: &[Limit], lines: &[Line], lost: &[Lost]) -> Vec<String> {
    let unmeasured = limits.iter().filter_map(Limit::figure);
    let unmeasured =
        unmeasured.filter(|figure| !lines.is_empty() && lines.iter().all(|line| line.figure != *figure));
    let unmeasured = unmeasured.map(|figure| format!("{}: it was not measured on both sides", figure.name()));
    let unknown = lines.iter().filter(|line| line.verdict == Verdict::Unknown);
    let unknown = unknown.filter(|line| limits.iter().any(|limit| limit.is_about(line)));
    let unknown = unknown.map(|line| {
        let name = line.figure.name();
        format!("{} · {}: {name} cannot be judged with fewer than three rounds", line.target, line.workload)
    });
    let beyond = lines.iter().filter(|line| limits.iter().any(|limit| limit.is_missed(line)));
    let changed = beyond.map(|line| {
        let (name, change) = (line.figure.name(), (line.ratio.ratio - 1.0) * 100.0);
        format!("{} · {}: {name} changed by {change:+.1} %", line.target, line.workload)
    });
    let lost = lost.iter().filter(|_| !limits.is_empty());
    let lost = lost.map(|lost| format!("{} · {}: {}", lost.target, lost.workload, lost.why));
    changed.chain(unknown).chain(unmeasured).chain(lost).collect()
}
