//! Rendering: one table for each workload, with units and scopes in the headings, for a terminal or Markdown.

use std::fmt::Write;
use std::path::Path;

use super::footprint;
use super::row::{Row, ranked, rows};
use crate::load::Schedule;
use crate::record::Record;

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

const HEADINGS: [&str; 12] = [
    "target",
    "req/s",
    "req/s per MB (loaded PSS)",
    "PSS idle (MB)",
    "PSS loaded (MB)",
    "CPU (µs/req)",
    "p50 (ms)",
    "p99 (ms)",
    "cold start (ms)",
    "artefact (MB)",
    "errors",
    "marks",
];

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
        let title = format!("{} {}", workload.method, workload.path);
        let _ = writeln!(
            text,
            "{strong}{}{strong}: {title}, {}\n",
            workload.name,
            conditions(record, &workload.name)
        );
        let cells = of_workload.iter().map(|row| cells(row)).collect();
        let table = Table { headings: HEADINGS.map(String::from).to_vec(), rows: cells };
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

/// A reason to doubt a row.
struct Mark {
    name: &'static str,
    set: fn(&Row) -> bool,
    meaning: &'static str,
}

const MARKS: [Mark; 8] = [
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
        name: "generator-bound",
        set: |row| row.generator_bound,
        meaning: "requests/s are a lower bound; compare CPU per request",
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

fn conditions(record: &Record, workload: &str) -> String {
    let load =
        record.cells.iter().filter(|cell| cell.workload == workload).find_map(|cell| cell.load.as_ref());
    let Some(load) = load else { return "not measured".into() };
    let schedule = match load.schedule {
        Schedule::Closed => "closed loop".to_owned(),
        Schedule::Open { rate } => format!("open loop at {rate} req/s"),
    };
    format!("{} connections, {schedule}, {:.0} s", load.connections, load.window_s)
}

fn cells(row: &Row) -> Vec<String> {
    let show = |value: Option<f64>| value.map_or("–".to_owned(), number);
    let marks: Vec<&str> = match row.error {
        Some(_) if row.missing => vec!["missing, see below"],
        Some(_) => vec!["failed, see below"],
        None => MARKS.iter().filter(|mark| (mark.set)(row)).map(|mark| mark.name).collect(),
    };
    vec![
        row.target.clone(),
        show(row.req_per_s),
        show(row.req_per_s_per_mb),
        show(row.pss_idle_mb),
        show(row.pss_loaded_mb),
        show(row.cpu_us_per_req),
        show(row.p50_ms),
        show(row.p99_ms),
        show(row.cold_start_ms),
        show(row.artefact_mb),
        row.errors.map_or("–".to_owned(), |errors| errors.to_string()),
        marks.join(", "),
    ]
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
         the median under load; cold start is the median to the first 200. Rows are ordered by requests/s per MB.\n",
        record.host.line(),
        record.profile,
        record.started,
    );
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
            let escaped: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
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
        lines.extend(self.rows.iter().cloned());
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

    #[test]
    fn numbers_have_three_digits_and_separators() {
        let shown = [0.0, 0.0312, 1.5, 23.456, 100.4, 1234.5, 1_234_567.0].map(number);
        assert_eq!(shown, ["0", "0.03", "1.50", "23.5", "100", "1,234", "1,234,567"]);
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
