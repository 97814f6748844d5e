//! CSV: a line for each row, RFC 4180, with the unit of each column in its name.

use std::borrow::Borrow;
use std::path::Path;

use anyhow::{Context, Result};

use super::figure::Figure;
use super::render::marks;
use super::row::{Row, ranked, rows};
use crate::record::{Cell, Load, Record};
use crate::stats::Estimate;

/// The rows of records, with all their figures.
///
/// # Errors
/// When it cannot be put together, which would be a mistake of this program.
pub fn csv<R: Borrow<Record>>(records: &[(R, &Path)]) -> Result<String> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(headings())?;
    for (record, path) in records {
        let record = record.borrow();
        for row in ranked(rows(record)) {
            writer.write_record(line(record, path, &row))?;
        }
    }
    let bytes = writer.into_inner().context("CSV was not written to its end")?;
    Ok(String::from_utf8(bytes)?)
}

/// Columns before the figures and after them.
const BEFORE: [&str; 8] =
    ["record", "host", "started", "workload", "schedule", "connections", "window_s", "target"];
const AFTER: [&str; 9] = [
    "kind",
    "artefact_mb",
    "errors",
    "cgroup_anon_mb",
    "cgroup_file_mb",
    "cgroup_sock_mb",
    "cgroup_kernel_mb",
    "marks",
    "error",
];

fn headings() -> Vec<String> {
    let of_figure = |figure: &Figure| {
        let name = figure.name();
        [name.to_owned(), format!("{name}_low"), format!("{name}_high"), format!("{name}_n")]
    };
    let figures = Figure::ALL.iter().flat_map(of_figure);
    let word = |word: &&str| (*word).to_owned();
    BEFORE.iter().map(word).chain(figures).chain(AFTER.iter().map(word)).collect()
}

fn line(record: &Record, path: &Path, row: &Row) -> Vec<String> {
    let of_row = |cell: &&Cell| cell.target == row.target && cell.workload == row.workload;
    let load = record.cells.iter().filter(of_row).find_map(|cell| cell.load.as_ref());
    let of_load = |of: fn(&Load) -> String| load.map(of).unwrap_or_default();
    let mut fields = vec![
        text(&path.display().to_string()),
        text(&record.host.label),
        text(&record.started),
        text(&row.workload),
        of_load(|load| load.schedule.to_string()),
        of_load(|load| load.connections.to_string()),
        of_load(|load| load.window_s.to_string()),
        text(&row.target),
    ];
    fields.extend(Figure::ALL.into_iter().flat_map(|figure| estimate(row.get(figure))));
    let target = record.targets.iter().find(|target| target.definition.name == row.target);
    let mb = |bytes: u64| (bytes as f64 / 1e6).to_string();
    let charge = row.cgroup_loaded;
    fields.extend([
        target.map(|target| target.definition.kind.name().to_owned()).unwrap_or_default(),
        row.artefact_mb.map(|mb| mb.to_string()).unwrap_or_default(),
        row.errors.map(|errors| errors.to_string()).unwrap_or_default(),
        charge.map(|charge| mb(charge.anon)).unwrap_or_default(),
        charge.map(|charge| mb(charge.file)).unwrap_or_default(),
        charge.and_then(|charge| charge.sock).map(mb).unwrap_or_default(),
        charge.and_then(|charge| charge.kernel).map(mb).unwrap_or_default(),
        marks(row).join(" "),
        text(row.error.as_deref().unwrap_or_default()),
    ]);
    fields
}

/// What a spreadsheet would take for a formula is a text.
fn text(field: &str) -> String {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field.to_owned() }
}

/// The median, the ends of its interval, and of how many values; empty where nothing was measured.
fn estimate(estimate: Option<&Estimate>) -> [String; 4] {
    let Some(Estimate { median, interval, n }) = estimate else { return Default::default() };
    let (low, high) =
        interval.map_or_else(Default::default, |(low, high)| (low.to_string(), high.to_string()));
    [median.to_string(), low, high, n.to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixture::with_rounds;

    fn parsed(record: Record) -> Vec<::csv::StringRecord> {
        let text = csv(&[(record, Path::new("r.json"))]).unwrap();
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        reader.records().map(|record| record.unwrap()).collect()
    }

    fn field<'a>(lines: &'a [::csv::StringRecord], name: &str) -> &'a str {
        let column = lines[0].iter().position(|heading| heading == name).unwrap();
        &lines[1][column]
    }

    #[test]
    fn every_figure_has_its_median_its_interval_and_its_count() {
        let lines = parsed(with_rounds(&[2000, 2040, 1960, 2010, 1990]));
        let of = |name: &str| field(&lines, name);
        assert_eq!((of("req_per_s"), of("req_per_s_low"), of("req_per_s_high")), ("200", "196", "204"));
        assert_eq!((of("req_per_s_n"), of("kind"), of("errors")), ("5", "process", "15"));
        assert_eq!((of("energy_mj_per_req"), of("energy_mj_per_req_n")), ("", ""));
    }

    #[test]
    fn a_name_is_no_formula_and_the_load_is_told() {
        let mut record = with_rounds(&[2000]);
        record.cells[0].workload = "=HYPERLINK(0)".into();
        let lines = parsed(record);
        assert_eq!(field(&lines, "workload"), "'=HYPERLINK(0)");
        assert_eq!((field(&lines, "schedule"), field(&lines, "connections")), ("closed loop", "1"));
    }

    #[test]
    fn what_would_break_a_line_is_quoted() {
        let mut record = with_rounds(&[2000]);
        record.cells[0].error = Some("a \"quoted\", broken\nline".into());
        let lines = parsed(record);
        assert_eq!((lines.len(), field(&lines, "error")), (2, "in round 1: a \"quoted\", broken\nline"));
        assert_eq!(field(&lines, "marks"), "failed");
    }
}
