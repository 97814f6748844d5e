//! `ounce-bench report` as a user meets it: formats, files, documents, mistakes.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{scale, scratch};

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/records/2026-11-21T180817-xeon-2cpu.json");
const OTHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/records/2026-11-21T151207-epyc-2cpu.json");

/// Exit code, standard output, standard error.
fn report(words: &[&str]) -> (i32, String, String) {
    scale(&[&["report"], words].concat())
}

fn done(words: &[&str]) -> String {
    let (code, stdout, stderr) = report(words);
    assert_eq!((code, stderr.as_str()), (0, ""), "{words:?}: {stdout}");
    stdout
}

fn within(dir: &Path, name: &str) -> (PathBuf, String) {
    let path = dir.join(name);
    let shown = path.to_string_lossy().into_owned();
    (path, shown)
}

#[test]
fn without_a_format_it_prints_tables_and_with_one_that() {
    assert!(done(&[RECORD]).contains("────"));
    assert!(done(&[RECORD, "--markdown"]).contains("| minimal |"));
    let one: serde_json::Value = serde_json::from_str(&done(&[RECORD, "--json"])).unwrap();
    assert!(one["rows"].as_array().unwrap().len() > 20);
    let both: serde_json::Value = serde_json::from_str(&done(&[RECORD, OTHER, "--json"])).unwrap();
    assert_eq!(both.as_array().unwrap().len(), 2);
}

#[test]
fn csv_has_a_line_for_each_row_of_each_record() {
    let text = done(&[RECORD, OTHER, "--csv", "--workload", "light"]);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headings = reader.headers().unwrap().clone();
    let column = |name: &str| headings.iter().position(|heading| heading == name).unwrap();
    let lines: Vec<csv::StringRecord> = reader.records().map(|line| line.unwrap()).collect();
    let hosts: Vec<&str> = lines.iter().map(|line| &line[column("host")]).collect();
    assert!(hosts.contains(&"xeon-2cpu") && hosts.contains(&"epyc-2cpu"), "{hosts:?}");
    assert!(lines.iter().all(|line| &line[column("workload")] == "light"));
    let minimal = lines.iter().find(|line| &line[column("target")] == "minimal").unwrap();
    assert!(minimal[column("req_per_s_per_mb")].parse::<f64>().unwrap() > 1000.0);
}

#[test]
fn a_page_and_plots_are_written_where_asked_and_named() {
    let dir = scratch("report-files");
    let (page, page_shown) = within(&dir, "new/report.html");
    let (plots, plots_shown) = within(&dir, "plots");
    let stdout = done(&[RECORD, "--html", &page_shown, "--svg", &plots_shown]);
    assert!(stdout.contains(&page_shown) && stdout.contains("light-worth.svg"), "{stdout}");
    assert!(fs::read_to_string(page).unwrap().starts_with("<!doctype html>"));
    for name in ["light-worth", "light-latency", "heavy-footprint", "heavy-trade-off", "cold-start"] {
        let text = fs::read_to_string(plots.join(format!("{name}.svg"))).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(document.root_element().has_tag_name(("http://www.w3.org/2000/svg", "svg")), "{name}");
        assert!(text.contains("prefers-color-scheme: dark"), "{name}");
    }
}

const BEGIN: &str = "<!-- ounce-bench:table:begin -->";
const END: &str = "<!-- ounce-bench:table:end -->";

#[test]
fn a_document_gets_tables_and_its_plot_and_keeps_them_in_step() {
    let dir = scratch("report-splice");
    let (document, document_shown) = within(&dir, "README.md");
    let (plot, plot_shown) = within(&dir, "plots/light.svg");
    fs::write(&document, format!("before\n{BEGIN}\n{END}\nafter\n")).unwrap();
    done(&[RECORD, "--workload", "light", "--splice", &document_shown]);
    assert!(!fs::read_to_string(&document).unwrap().contains("!["), "no plot was asked for");
    done(&[RECORD, "--workload", "light", "--svg", &plot_shown, "--splice", &document_shown]);
    let first = fs::read_to_string(&document).unwrap();
    assert!(first.contains("](plots/light.svg)") && first.contains("| minimal |"), "{first}");
    assert!(first.starts_with("before") && first.ends_with("after\n"));
    fs::remove_file(&plot).unwrap();
    done(&[OTHER, "--workload", "light", "--splice", &document_shown]);
    let second = fs::read_to_string(&document).unwrap();
    assert!(second.contains("](plots/light.svg)") && second.contains("epyc-2cpu"), "{second}");
    assert!(fs::read_to_string(&plot).unwrap().contains("epyc-2cpu"), "the plot is of the same record");
}

#[test]
fn mistakes_are_named() {
    let mistake = |words: &[&str]| {
        let (code, _, stderr) = report(words);
        assert_ne!(code, 0, "{words:?}");
        stderr
    };
    assert!(mistake(&[]).contains("RECORDS"));
    assert!(mistake(&[RECORD, "--workload", "none"]).contains("it has: light, heavy"));
    let (_, plot) = within(&scratch("report-mistakes"), "plot.svg");
    assert!(mistake(&[RECORD, OTHER, "--svg", &plot]).contains("one record at a time"));
    assert!(mistake(&[RECORD, "--json", "--csv"]).contains("cannot be used with"));
    assert!(mistake(&[RECORD, "--html", "/proc/none/x.html"]).contains("/proc/none"));
}
