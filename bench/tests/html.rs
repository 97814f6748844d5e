//! The page of a report: alone in its file, safe against what records say, and looked at in a real browser.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use common::browser::Browser;
use common::{scratch, skip};
use ounce_bench::launch::{PageCache, Start};
use ounce_bench::record::{Record, Rest};
use ounce_bench::report::{self, Growth, Source, Weighed};
use ounce_bench::stats::Estimate;

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/records/2026-11-21T180817-xeon-2cpu.json");

/// Titles of plots: those of each workload, and those of the record.
const OF_WORKLOAD: [&str; 4] = [
    "Requests per second for each MB of RAM",
    "Throughput against memory",
    "Latency by percentile",
    "Footprint through the run",
];
const OF_RECORD: [&str; 3] = ["Every start", "Several instances at rest", "Several instances under load"];

fn one_round() -> Record {
    Record::read(Path::new(RECORD)).unwrap()
}

/// Peers, with their part of the throughput of `native`, and how many times its memory.
const PEERS: [(&str, f64, f64); 6] = [
    ("nginx", 0.9, 1.5),
    ("axum", 0.75, 1.3),
    ("actix-web", 0.8, 2.4),
    ("go", 0.45, 5.0),
    ("node", 0.15, 22.0),
    ("fastapi", 0.04, 18.0),
];

/// Twenty targets: those of the record, and peers like one of them.
fn with_peers(record: &mut Record) {
    let like = record.targets.iter().find(|target| target.definition.name == "native").unwrap().clone();
    let cells: Vec<_> = record.cells.iter().filter(|cell| cell.target == "native").cloned().collect();
    for (name, rate, memory) in PEERS {
        let mut target = like.clone();
        (target.definition.name, target.definition.peer) = (name.into(), true);
        record.targets.push(target);
        for mut cell in cells.clone() {
            cell.target = name.into();
            let load = cell.load.as_mut().unwrap();
            load.requests = (load.requests as f64 * rate) as u64;
            load.latency.quantiles.iter_mut().for_each(|(_, ms)| *ms /= rate);
            cell.samples
                .iter_mut()
                .for_each(|sample| sample.memory.pss = (sample.memory.pss as f64 * memory) as u64);
            record.cells.push(cell);
        }
    }
}

/// The record as five rounds that differ a little, with everything that a full run measures.
fn five_rounds() -> Record {
    let mut record = one_round();
    with_peers(&mut record);
    record.rounds = 5;
    let cells = std::mem::take(&mut record.cells);
    for (round, factor) in [0.98, 1.0, 1.01, 1.03, 0.99].into_iter().enumerate() {
        for cell in &cells {
            let mut cell = cell.clone();
            cell.round = round;
            if let Some(load) = &mut cell.load {
                load.requests = (load.requests as f64 * factor) as u64;
                load.generator_busy =
                    if cell.target == "wasmtime-reuse" { 0.99 } else { load.generator_busy };
                load.server_cpu_s *= if cell.target == "wasmtime-reuse" { 0.7 } else { 1.0 };
            }
            for start in &mut cell.starts {
                start.ready_ms *= factor;
                start.first_output_ms = Some(start.ready_ms * 0.4);
                start.listening_ms = Some(start.ready_ms * 0.8);
            }
            let dropped = cell.starts.first().map(|start| Start {
                page_cache: PageCache::Dropped,
                first_output_ms: None,
                listening_ms: None,
                ready_ms: start.ready_ms * 4.0 * factor,
            });
            cell.starts.extend(dropped);
            cell.rest = cell.after.clone().map(|weight| Rest { after_s: 30.0, weight });
            record.cells.push(cell);
        }
    }
    record
}

/// Two megabytes for the first instance, of which each further one shares a half.
fn growth(record: &Record) -> Vec<Growth> {
    let of_target = |(number, target): (usize, &ounce_bench::record::TargetRecord)| {
        let size = 2.0 + number as f64 * 3.0;
        let together = |n: usize| Some(size * (1.0 + n as f64) / 2.0);
        let weighed = |n: usize| Weighed { instances: n, idle_mb: together(n), loaded_mb: together(2 * n) };
        let each = Estimate { median: size / 2.0, interval: None, n: 5 };
        Growth {
            target: target.definition.name.clone(),
            kind: target.definition.kind,
            peer: false,
            emulated: number % 5 == 4,
            points: [1, 2, 4, 8, 16].map(weighed).to_vec(),
            idle_each_mb: Some(each),
            loaded_each_mb: Some(each),
        }
    };
    record.targets.iter().enumerate().map(of_target).collect()
}

fn page(record: &Record, growth: &[Growth]) -> String {
    report::html(&[Source { record, path: Path::new("bench/records/a.json"), growth, searches: &[] }])
}

fn full_page() -> String {
    let record = five_rounds();
    page(&record, &growth(&record))
}

/// Each `<svg>` element.
fn pictures(page: &str) -> Vec<&str> {
    let ends = page.match_indices("</svg>").map(|(at, end)| at + end.len());
    page.match_indices("<svg").zip(ends).map(|((start, _), end)| &page[start..end]).collect()
}

/// What is shown as text, and names that are no addresses, left out.
fn without_text(page: &str) -> String {
    let mut rest = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    while let Some((before, after)) = rest.split_once("<pre>") {
        rest = format!("{before}{}", after.split_once("</pre>").unwrap().1);
    }
    rest
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = without_text(&full_page());
    for word in
        ["http:", "https:", "//", "src=", "url(", "@import", "<script", "<link", "<img", "<iframe", "data:"]
    {
        assert!(!page.contains(word), "{word} in {}", around(&page, word));
    }
    let outwards = page.split("href=\"").skip(1).find(|rest| !rest.starts_with('#'));
    assert!(outwards.is_none(), "{outwards:?}");
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
}

fn around<'a>(page: &'a str, word: &str) -> &'a str {
    let at = page.find(word).unwrap_or(0);
    page.get(at.saturating_sub(60)..(at + 60).min(page.len())).unwrap_or_default()
}

#[test]
fn every_anchor_leads_somewhere() {
    let page = full_page();
    for rest in page.split("href=\"#").skip(1) {
        let id = rest.split('"').next().unwrap();
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "#{id}");
    }
}

#[test]
fn every_plot_is_there_twice_and_is_well_formed() {
    let page = full_page();
    for (titles, times) in [(&OF_WORKLOAD[..], 2), (&OF_RECORD[..], 1)] {
        for title in titles {
            assert_eq!(page.matches(&format!("<h3>{title}</h3>")).count(), times, "{title}");
            assert_eq!(page.matches(&format!("\">{title}</title>")).count(), 2 * times, "{title}");
        }
    }
    let plots: Vec<&str> = pictures(&page).into_iter().filter(|svg| svg.contains("role=\"img\"")).collect();
    assert_eq!(plots.len(), 2 * (2 * OF_WORKLOAD.len() + OF_RECORD.len()));
    for svg in plots {
        let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error} in {svg}"));
        let shapes = document.root_element().children().filter(|node| node.is_element()).count();
        assert!(shapes > 20, "{shapes} shapes in {svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

const NASTY: &str = "<script>alert('x')</script>\"&\u{1}";

#[test]
fn what_records_say_is_text_and_nothing_else() {
    let mut record = five_rounds();
    for target in &mut record.targets {
        target.definition.name += NASTY;
    }
    for cell in &mut record.cells {
        cell.target += NASTY;
        cell.error = cell.error.take().map(|error| error + NASTY);
    }
    for workload in &mut record.workloads {
        workload.summary = NASTY.into();
        workload.requests[0].path = NASTY.into();
    }
    for text in [&mut record.host.label, &mut record.host.os, &mut record.started, &mut record.profile] {
        *text += NASTY;
    }
    record.placement.warning = Some(NASTY.into());
    let growth = growth(&record);
    let path = PathBuf::from(NASTY);
    let page = report::html(&[Source { record: &record, path: &path, growth: &growth, searches: &[] }]);
    assert!(!page.contains("<script"), "{}", around(&page, "<script"));
    assert!(!page.contains("alert('x')") && !page.contains('\u{1}'));
    assert!(page.matches("&lt;script&gt;").count() > 50);
    for svg in pictures(&page) {
        roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error} in {svg}"));
    }
    let alone = report::headline(&record).unwrap();
    assert!(!alone.contains("<script") && roxmltree::Document::parse(&alone).is_ok());
}

#[test]
fn records_with_nothing_to_show_make_a_page_all_the_same() {
    let mut empty = one_round();
    empty.cells.clear();
    let mut failed = one_round();
    for cell in &mut failed.cells {
        (cell.load, cell.idle, cell.after) = (None, None, None);
        (cell.samples, cell.starts) = (Vec::new(), Vec::new());
        cell.error = Some("it died".into());
    }
    for record in [empty, failed] {
        let page = page(&record, &[]);
        assert!(page.contains("Nothing could be ranked") && page.ends_with("</html>\n"));
        assert!(report::headline(&record).is_none());
    }
}

#[test]
fn figures_are_those_of_the_markdown_report() {
    let record = five_rounds();
    let page = page(&record, &[]);
    let markdown = report::render(&record, Path::new("a.json"), report::Format::Markdown);
    let rows: Vec<&str> = markdown.lines().filter(|line| line.starts_with("| minimal |")).collect();
    assert!(!rows.is_empty());
    for figure in rows.iter().flat_map(|row| row.split('|').skip(2)).map(str::trim) {
        let shown = match figure.split_once(" ±") {
            Some((median, reach)) => format!("<td>{median} <small>±{reach}</small></td>"),
            None if figure.starts_with(char::is_alphabetic) => continue,
            None => format!("<td>{figure}</td>"),
        };
        assert!(figure.is_empty() || page.contains(&shown), "{shown}");
    }
}

/// Two records of two machines do not share a table, but a page.
#[test]
fn further_records_have_chapters_of_their_own() {
    let (first, second) = (one_round(), five_rounds());
    let path = Path::new("a.json");
    let sources = [&first, &second].map(|record| Source { record, path, growth: &[], searches: &[] });
    let page = report::html(&sources);
    assert_eq!(page.matches("<h1>").count(), 1);
    for title in OF_WORKLOAD {
        assert_eq!(page.matches(&format!("<h3>{title}</h3>")).count(), 4, "{title}");
    }
    assert!(page.contains("id=\"machine\"") && page.contains("id=\"machine-2\""));
}

/// What a browser makes of the page at a width.
fn looked_at(browser: &Browser, name: &str, page: &str, width: u32, dark: bool) {
    let seen = browser.look(name, page, width, dark);
    assert!(
        seen.scroll_width <= width,
        "{name}: {} px wide, {}",
        seen.scroll_width,
        seen.screenshot.display()
    );
    assert!(seen.overlaps.is_empty(), "{name}: {:#?}, {}", seen.overlaps, seen.screenshot.display());
    assert_eq!(seen.paper, if dark { "rgb(20, 23, 27)" } else { "rgb(255, 255, 254)" }, "{name}");
    // Ink on paper in the plots, too: the colour of the first text.
    assert_eq!(seen.ink, if dark { "rgb(157, 165, 176)" } else { "rgb(91, 99, 110)" }, "{name}");
    let size = fs::metadata(&seen.screenshot).unwrap().len();
    assert!(size > 150_000, "{name}: {} is nearly blank, {size} bytes", seen.screenshot.display());
    println!("{name}: {}", seen.screenshot.display());
}

#[test]
fn a_browser_shows_it_wide_and_on_a_phone_in_light_and_dark() {
    let Some(browser) = Browser::find(&scratch("html")) else {
        skip(
            "the page in a browser",
            "chromium is missing: bench/setup.sh browser, or apt-get install chromium",
        );
        return;
    };
    let (full, one_round) = (full_page(), page(&one_round(), &[]));
    let looks = [
        ("wide-light", &full, 1180, false),
        ("wide-dark", &full, 1180, true),
        ("phone-light", &full, 360, false),
        ("phone-dark", &full, 360, true),
        ("tablet-light", &full, 768, false),
        ("one-round-phone-light", &one_round, 360, false),
    ];
    thread::scope(|scope| {
        for (name, page, width, dark) in looks {
            scope.spawn({
                let browser = &browser;
                move || looked_at(browser, name, page, width, dark)
            });
        }
    });
}
