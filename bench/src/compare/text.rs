//! The comparison as a table.

use super::{Comparison, Line, Verdict};
use crate::report::{Figure, Format, Table, number};

const HEADINGS: [&str; 8] = ["target", "workload", "figure", "base", "new", "change", "interval", "verdict"];

impl Comparison {
    /// The headline of each cell and whatever is not the same; with `all`, every line.
    pub fn text(&self, format: Format, all: bool) -> String {
        let is_shown =
            |line: &&Line| all || line.figure == Figure::ReqPerSPerMb || line.verdict != Verdict::Same;
        let shown: Vec<&Line> = self.lines.iter().filter(is_shown).collect();
        let rows = shown.iter().map(|line| row(line)).collect();
        let table = Table { headings: HEADINGS.map(String::from).to_vec(), rows }.render(format);
        let hidden = match self.lines.len() - shown.len() {
            0 => String::new(),
            count => format!("{count} more figures are the same (--all shows them).\n"),
        };
        format!("{table}\n{hidden}{}{}{}", self.lost_cells(), self.conditions(), self.outcome())
    }

    fn lost_cells(&self) -> String {
        let line =
            |lost: &super::Lost| format!("NOT COMPARED {} · {}: {}\n", lost.target, lost.workload, lost.why);
        self.lost.iter().map(line).collect()
    }

    fn conditions(&self) -> String {
        let how = match (self.paired, self.machine_change) {
            (true, _) => "round by round within one run".to_owned(),
            (false, Some(change)) => format!(
                "run against run; the machine's own readings differ by {:.1} %, by which intervals of what takes \
                 time are widened",
                (change - 1.0) * 100.0
            ),
            (false, None) => {
                "run against run; a record has no readings of the machine, so intervals are too \
                              narrow if it was faster or slower then"
                    .to_owned()
            }
        };
        let machines = if self.machines_differ {
            "WARNING: the records are of different machines, and say little about each other.\n"
        } else {
            ""
        };
        let margin = self.margin * 100.0;
        format!(
            "Base {}, new {}: {how}. The intervals of a cell hold together with 95 %; better and worse mean that all of one is beyond ±{margin} %; \
             with fewer than three rounds the verdict is unknown.\n{machines}",
            self.base, self.new
        )
    }

    fn outcome(&self) -> String {
        self.missed.iter().map(|what| format!("LIMIT MISSED {what}\n")).collect()
    }
}

fn row(line: &Line) -> Vec<String> {
    let percent = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0);
    let interval = line.ratio.interval;
    vec![
        line.target.clone(),
        line.workload.clone(),
        line.figure.heading().to_owned(),
        number(line.base),
        number(line.new),
        percent(line.ratio.ratio),
        interval.map_or("–".into(), |(low, high)| format!("{} to {}", percent(low), percent(high))),
        line.verdict.name().to_owned(),
    ]
}
