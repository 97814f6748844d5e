//! Rendering: one table for each workload, with units and scopes in the headings, for a terminal or Markdown.

use std::fmt::Write;
use std::path::Path;

use super::figure::Figure;
use super::footprint;
use super::row::{Class, Row, ranked, rows};
use crate::noise::Reading;
use crate::record::{Cell, Noise, Record};
use crate::stats::{Estimate, max, median, quantile, ratio};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Terminal,
    Markdown,
}

/// Cells of text; the first column is aligned to the left, the others to the right.
pub struct Table {
    pub headings: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// The columns of figures; after them come artefact, errors and marks.
const COLUMNS: [Figure; 8] = [
    Figure::ReqPerS,
    Figure::ReqPerSPerMb,
    Figure::PssIdleMb,
    Figure::PssLoadedMb,
    Figure::ReqPerCpuS,
    Figure::P50Ms,
    Figure::P99Ms,
    Figure::ColdStartMs,
];

/// Columns that are there when something was measured for them.
const OPTIONAL: [Figure; 5] = [
    Figure::JobsPerS,
    Figure::JobWaitMs,
    Figure::PssRestMb,
    Figure::ColdStartDroppedMs,
    Figure::EnergyMjPerReq,
];

/// The figures of a table, in order.
pub(super) fn columns(rows: &[&Row]) -> Vec<Figure> {
    let measured = |figure: &Figure| rows.iter().any(|row| row.get(*figure).is_some());
    COLUMNS.into_iter().chain(OPTIONAL.into_iter().filter(measured)).collect()
}

pub(super) fn headings(columns: &[Figure]) -> Vec<String> {
    let figures = columns.iter().map(|figure| figure.heading());
    ["target"]
        .into_iter()
        .chain(figures)
        .chain(["artefact (MB)", "errors", "marks"])
        .map(String::from)
        .collect()
}

/// The tables of a record with the machine beneath them.
pub fn render(record: &Record, path: &Path, format: Format) -> String {
    let rows = ranked(rows(record));
    let mut text = String::new();
    for workload in &record.workloads {
        let of_workload: Vec<&Row> = rows.iter().filter(|row| row.workload == workload.name).collect();
        if of_workload.is_empty() {
            continue;
        }
        let strong = if format == Format::Markdown { "**" } else { "" };
        let title = workload.asked();
        let _ = writeln!(
            text,
            "{strong}{}{strong}: {title}, {}\n",
            workload.name,
            conditions(record, &workload.name)
        );
        let columns = columns(&of_workload);
        let cells = of_workload.iter().map(|row| cells(row, &columns)).collect();
        let table = Table { headings: headings(&columns), rows: cells };
        text.push_str(&table.render(format));
        text.push('\n');
        text.push_str(&errors(of_workload.iter().copied().filter(|row| !row.missing), format));
    }
    // What is missing is so for every workload.
    let first = rows.iter().filter(|row| row.missing && row.workload == rows[0].workload);
    text.push_str(&errors(first, format));
    text.push_str(
        &footprint::table(record)
            .map(|table| format!("Where the memory is:\n\n{}\n", table.render(format)))
            .unwrap_or_default(),
    );
    for Mark { name, set, meaning } in MARKS {
        if rows.iter().any(|row| row.error.is_none() && set(row)) {
            let _ = writeln!(text, "{name}: {meaning}.\n");
        }
    }
    text + &footer(record, path, format)
}

fn errors<'a>(rows: impl Iterator<Item = &'a Row>, format: Format) -> String {
    let lines: String = rows
        .filter(|row| row.error.is_some())
        .map(|row| format!("{}{}: {}\n", bullet(format), row.target, one_line(row, format)))
        .collect();
    if lines.is_empty() { lines } else { lines + "\n" }
}

/// What a reader must know of a row: most are reasons to doubt it.
pub(super) struct Mark {
    pub name: &'static str,
    pub set: fn(&Row) -> bool,
    pub meaning: &'static str,
}

const PEER: &str = "peer";

pub(super) const MARKS: &[Mark] = &[
    Mark {
        name: PEER,
        set: |row| row.peer,
        meaning: "another program that answers the same bytes, for context; not a packaging of the service",
    },
    Mark {
        name: "emulated",
        set: |row| row.emulated,
        meaning: "KVM could not run the guest here, so its instructions were emulated: the row shows that it works, not \
                  how fast or how large, and is not ranked",
    },
    Mark {
        name: "forwarded",
        set: |row| row.forwarded,
        meaning: "reached through QEMU's forwarded port, which is slow and may lose connections; as root a guest gets a \
                  network device",
    },
    Mark {
        name: "shared",
        set: |row| row.shared,
        meaning: "another process runs the same program (or shim) and has a part of its pages, so that PSS is too small; \
                  stop it, as with ounce-bench down",
    },
    Mark {
        name: "unweighed",
        set: |row| row.unweighed,
        meaning: "the target names no process or container to weigh",
    },
    Mark {
        name: "disturbed",
        set: |row| row.disturbed,
        meaning: "other programs took more than 5 % of the CPUs; run again on a quiet machine",
    },
    Mark {
        name: "invalid",
        set: |row| row.invalid,
        meaning: "rate × mean latency is not the number of requests in flight (Little's law): connections were held and not \
                  served, and the row is not ranked",
    },
    Mark {
        name: "errors",
        set: |row| row.error_share > 0.0,
        meaning: "requests went wrong; with more than 1 % of them the row is not ranked, because the rest says little",
    },
    Mark {
        name: "growing",
        set: |row| row.growing,
        meaning: "the footprint rose by more than 10 % while the load went on: it depends on how long that was",
    },
    Mark {
        name: "unstable",
        set: |row| row.unstable,
        meaning: "requests/s or the loaded footprint have an interval wider than 10 % of the median, or drift by more than \
                  5 % over the rounds",
    },
    Mark {
        name: "generator-bound",
        set: |row| row.generator_bound,
        meaning: "requests/s are a lower bound, and the row is not ranked; compare requests per CPU-second",
    },
    Mark {
        name: "unsaturated",
        set: |row| row.unsaturated,
        meaning: "neither side used half of its CPU: requests/s show how long the service waits, not what it could do",
    },
    Mark {
        name: "rate-missed",
        set: |row| row.rate_missed,
        meaning: "requests were due faster than they could be sent; the queue grew",
    },
];

pub(super) fn conditions(record: &Record, workload: &str) -> String {
    let load =
        record.cells.iter().filter(|cell| cell.workload == workload).find_map(|cell| cell.load.as_ref());
    let Some(load) = load else { return "not measured".into() };
    let rounds = match record.rounds {
        1 => String::new(),
        rounds => format!("{rounds} rounds of "),
    };
    format!(
        "{} connections, {}, {rounds}{} s",
        load.connections,
        load.schedule,
        (load.window_s * 10.0).round() / 10.0
    )
}

pub(super) fn cells(row: &Row, columns: &[Figure]) -> Vec<String> {
    let figures = columns.iter().map(|figure| row.get(*figure).map_or("–".to_owned(), estimate));
    let mut cells: Vec<String> = [row.target.clone()].into_iter().chain(figures).collect();
    cells.extend([
        row.artefact_mb.map_or("–".to_owned(), number),
        row.errors.map_or("–".to_owned(), |errors| errors.to_string()),
        match row.class() {
            Class::Missing | Class::Failed => format!("{}, see below", marks(row).join(", ")),
            _ => marks(row).join(", "),
        },
    ]);
    cells
}

/// Whether there is a reason to doubt a row; that it is a peer is none.
pub(super) fn is_marked(row: &Row) -> bool {
    marks(row).iter().any(|mark| *mark != PEER)
}

/// What is to be said of a row, each in one word.
pub(super) fn marks(row: &Row) -> Vec<&'static str> {
    match row.class() {
        Class::Missing => vec!["missing"],
        Class::Failed => vec!["failed"],
        _ => MARKS.iter().filter(|mark| (mark.set)(row)).map(|mark| mark.name).collect(),
    }
}

/// The median, and how far the interval reaches from it to the farther side.
fn estimate(estimate: &Estimate) -> String {
    let median = number(estimate.median);
    let Some((low, high)) = estimate.interval else { return median };
    let reach = ratio((high - estimate.median).max(estimate.median - low), estimate.median.abs());
    // Rounded up: an interval is not narrower than it says.
    reach.map_or(median.clone(), |reach| format!("{median} ±{:.0}%", (reach * 100.0 - 1e-9).ceil().abs()))
}

/// Three significant digits; whole numbers from 100 on, with thousands separated.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    if decimals > 0 {
        return text;
    }
    let mut grouped = String::new();
    for (index, digit) in text.chars().enumerate() {
        if index > 0 && (text.len() - index).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn bullet(format: Format) -> &'static str {
    if format == Format::Markdown { "- " } else { "" }
}

/// An error in a list item must stay one line; a terminal shows it as it is.
fn one_line(row: &Row, format: Format) -> String {
    let error = row.error.as_deref().unwrap_or_default();
    if format == Format::Markdown {
        error.lines().map(str::trim).collect::<Vec<_>>().join(" ")
    } else {
        error.into()
    }
}

/// How quiet the machine was, by its own readings, and what the weighing cost; nothing for records without readings.
pub(in crate::report) fn quietness(record: &Record) -> Option<String> {
    let noise: Vec<Noise> = record.cells.iter().filter_map(|cell| cell.noise).collect();
    let readings = |of: fn(&Reading) -> f64| -> Option<String> {
        let values: Vec<f64> = noise.iter().flat_map(|noise| [of(&noise.before), of(&noise.after)]).collect();
        let [low, middle, high] = [0.05, 0.5, 0.95].map(|part| quantile(&values, part).map(number));
        Some(format!("{} ({} to {})", middle?, low?, high?))
    };
    let steal = max(&noise.iter().map(|noise| noise.steal_share).collect::<Vec<_>>())?;
    let sampled = |cell: &Cell| ratio(cell.sampler_cpu_s, cell.load.as_ref()?.wall_s);
    let sampling = median(&record.cells.iter().filter_map(sampled).collect::<Vec<_>>())?;
    Some(format!(
        "Around the cells the same integer work took {} ms and a round trip over loopback {} µs (median, 5 to 95 %); the \
         hypervisor took at most {:.1} % of the CPUs; weighing cost {:.1} % of a generator's CPU.",
        readings(|reading| reading.spin_ms)?,
        readings(|reading| reading.loopback_us)?,
        steal * 100.0,
        sampling * 100.0,
    ))
}

fn footer(record: &Record, path: &Path, format: Format) -> String {
    let placement = match &record.placement.warning {
        Some(warning) => format!("not pinned: {warning}"),
        None => format!(
            "server on CPU {:?}, generator on {:?}",
            record.placement.server_cpus, record.placement.generator_cpus
        ),
    };
    let incomplete = if record.complete { "" } else { " INCOMPLETE: the run was interrupted." };
    let mut text = format!(
        "Machine {}; {placement}. Profile {}, {}.{incomplete} MB = 10⁶ bytes; PSS is of the whole process tree, loaded is \
         the median under load. Figures are medians over the rounds, ± the farther end of their 95 % interval; cold start \
         is the time to the first 200, over all starts. Rows are ordered by requests/s per MB.\n",
        record.host.line(),
        record.profile,
        record.started,
    );
    if let Some(quietness) = quietness(record) {
        let _ = write!(text, "\n{quietness}\n");
    }
    let shown = path.display();
    let _ = match format {
        Format::Markdown => write!(text, "\nRecord: `{shown}`.\n"),
        Format::Terminal => writeln!(text, "Record: {shown}"),
    };
    text
}

impl Table {
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Markdown => self.markdown(),
            Format::Terminal => self.terminal(),
        }
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let escaped: Vec<String> =
                cells.iter().map(|cell| plain(cell).replace('|', "\\|").replace('<', "&lt;")).collect();
            format!("| {} |\n", escaped.join(" | "))
        };
        let rule: Vec<String> = (0..self.headings.len())
            .map(|column| if column == 0 { "---" } else { "---:" }.to_owned())
            .collect();
        let body: String = self.rows.iter().map(|row| line(row)).collect();
        line(&self.headings) + &line(&rule) + &body
    }

    /// Headings are broken at spaces, so that twelve columns fit a usual terminal.
    fn terminal(&self) -> String {
        let headings: Vec<Vec<String>> = self.headings.iter().map(|heading| broken(heading)).collect();
        let height = headings.iter().map(Vec::len).max().unwrap_or(0);
        let mut lines: Vec<Vec<String>> = (0..height)
            .map(|line| {
                let skipped = |heading: &[String]| height - heading.len();
                let word = |heading: &Vec<String>| {
                    line.checked_sub(skipped(heading))
                        .map_or_else(String::new, |index| heading[index].clone())
                };
                headings.iter().map(word).collect()
            })
            .collect();
        let rule = lines.len();
        lines.extend(self.rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()));
        let columns = self.headings.len();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (index, line) in lines.iter().enumerate() {
            if index == rule {
                let _ = writeln!(text, "{}", "─".repeat(widths.iter().sum::<usize>() + 2 * (columns - 1)));
            }
            let pad = |(column, cell): (usize, &String)| match column {
                0 => format!("{cell:<width$}", width = widths[0]),
                _ => format!("{cell:>width$}", width = widths[column]),
            };
            let _ = writeln!(
                text,
                "{}",
                line.iter().enumerate().map(pad).collect::<Vec<_>>().join("  ").trim_end()
            );
        }
        text
    }
}

/// Without what would move a terminal's cursor or break a table's line: cells come from records.
fn plain(cell: &str) -> String {
    cell.replace(char::is_control, "\u{fffd}")
}

/// Words packed into lines of about ten characters.
fn broken(heading: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in heading.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < 11 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixture::with_rounds;

    #[test]
    fn numbers_have_three_digits_and_separators() {
        let shown = [0.0, 0.0312, 1.5, 23.456, 100.4, 1234.5, 1_234_567.0].map(number);
        assert_eq!(shown, ["0", "0.03", "1.50", "23.5", "100", "1,234", "1,234,567"]);
    }

    #[test]
    fn how_quiet_the_machine_was_is_told_with_what_the_weighing_cost() {
        let mut record = with_rounds(&[2000, 2000, 2000]);
        assert_eq!(quietness(&record), None, "a record of schema 1 has no readings");
        for cell in &mut record.cells {
            let reading = Reading { spin_ms: 3.3, loopback_us: 42.0 };
            (cell.noise, cell.sampler_cpu_s) =
                (Some(Noise { before: reading, after: reading, steal_share: 0.012 }), 0.05);
        }
        let told = quietness(&record).unwrap();
        for part in ["3.30 (3.30 to 3.30) ms", "42.0 (42.0 to 42.0) µs", "at most 1.2 %", "cost 0.5 %"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn an_interval_is_told_by_its_farther_end() {
        let told = |low, high| estimate(&Estimate { median: 2.0, interval: Some((low, high)), n: 5 });
        assert_eq!(
            [told(1.9, 2.5), told(1.0, 2.1), told(1.999, 2.0)],
            ["2.00 ±25%", "2.00 ±50%", "2.00 ±1%"]
        );
        assert_eq!(told(2.0, 2.0), "2.00 ±0%");
        assert_eq!(estimate(&Estimate { median: 2.0, interval: None, n: 1 }), "2.00");
    }

    #[test]
    fn tables_are_rendered() {
        let text = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let table =
            Table { headings: text(&["target", "PSS idle (MB)"]), rows: vec![text(&["a|b", "1.50"])] };
        assert_eq!(
            table.render(Format::Markdown),
            "| target | PSS idle (MB) |\n| --- | ---: |\n| a\\|b | 1.50 |\n"
        );
        let terminal = ["        PSS idle", "target      (MB)", "────────────────", "a|b         1.50", ""];
        assert_eq!(table.render(Format::Terminal), terminal.join("\n"));
    }
}
