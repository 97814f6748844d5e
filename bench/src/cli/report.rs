//! `report`: what records say, as a table, as data, as a page, as plots, in a document.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::args::Output;
use super::{rendered, say, shown, summary};
use crate::record::{self, Record};
use crate::report::{self, Format, Growth, Search, Source};
use crate::search::{self, Question, marginal, meanings, saturation, smallest};

#[derive(Args)]
pub struct ReportArgs {
    /// Records of runs, the first of which gives the headline, and of searches (saturation, smallest, marginal)
    #[arg(required = true)]
    records: Vec<PathBuf>,
    /// Only this workload; may be given more than once [default: all]
    #[arg(long)]
    workload: Vec<String>,
    #[command(flatten)]
    output: Output,
    /// Write a page with tables and plots, which needs no other file and no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the plot of the headline as FILE.svg, or every plot into a directory
    #[arg(long, value_name = "FILE.svg|DIR")]
    svg: Option<PathBuf>,
    /// Replace what stands between the markers of this file by the tables in Markdown, with the plot that --svg wrote, or
    /// that stands there already, renewed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "csv"])]
    splice: Option<PathBuf>,
}

pub(super) fn report_command(args: &ReportArgs) -> Result<ExitCode> {
    let (mut records, mut searches) = (Vec::new(), Vec::new());
    for path in &args.records {
        match Searched::read(path)? {
            Some(search) => searches.push(search),
            None => records.push((Record::read(path)?, path.as_path())),
        }
    }
    for (record, path) in &mut records {
        select(record, path, &args.workload)?;
    }
    let mut done = String::new();
    if let Some(file) = &args.html {
        write(file, &page(&records, &searches)?)?;
        done += &format!("wrote {}\n", file.display());
    }
    if let Some(to) = &args.svg {
        done += &write_plots(&records, to)?;
    }
    if let Some(file) = &args.splice {
        done += &splice(&records, file, args.svg.as_deref())?;
    }
    let asked = args.output.json || args.output.csv || args.output.markdown;
    if args.splice.is_none() && (asked || done.is_empty()) {
        say(&printed(&records, &searches, &args.output)?)?;
    } else {
        say(&done)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The record of a search, in every form that is asked for.
struct Searched {
    host: String,
    started: String,
    heading: &'static str,
    /// For a terminal, and in Markdown.
    text: [String; 2],
    page: search::Page,
    remarks: Vec<(String, String)>,
    growth: Vec<Growth>,
}

impl Searched {
    /// Nothing when it is the record of something else.
    fn read(path: &Path) -> Result<Option<Self>> {
        Ok(Some(match record::kind(path)?.as_str() {
            saturation::Asked::KIND => Self::of::<saturation::Asked>(path, "The highest rate under the SLO")?,
            smallest::Asked::KIND => Self::of::<smallest::Asked>(path, "The smallest memory")?,
            marginal::Asked::KIND => {
                let growth = marginal::Record::read(path)?.growth();
                Self { growth, ..Self::of::<marginal::Asked>(path, "One more instance")? }
            }
            _ => return Ok(None),
        }))
    }

    fn of<Q: Question>(path: &Path, heading: &'static str) -> Result<Self> {
        let record = search::Record::<Q>::read(path)?;
        let page = Q::page(&record);
        Ok(Self {
            host: record.host.label.clone(),
            started: record.started.clone(),
            heading,
            text: [Format::Terminal, Format::Markdown].map(|format| record.text(format)),
            remarks: record.remarks(&page),
            page,
            growth: Vec::new(),
        })
    }

    fn chapter(&self) -> Search {
        let table =
            report::Table { headings: self.page.table.headings.clone(), rows: self.page.table.rows.clone() };
        Search {
            heading: self.heading,
            started: self.started.clone(),
            title: self.page.title.clone(),
            has_growth: !self.growth.is_empty(),
            meanings: meanings(&table).collect(),
            table,
            remarks: self.remarks.clone(),
        }
    }
}

/// Leaves the workloads that were asked for.
fn select(record: &mut Record, path: &Path, workloads: &[String]) -> Result<()> {
    if let Some(name) =
        workloads.iter().find(|name| record.workloads.iter().all(|known| known.name != **name))
    {
        let known: Vec<&str> = record.workloads.iter().map(|workload| workload.name.as_str()).collect();
        bail!("{} has no workload {name:?}; it has: {}", path.display(), known.join(", "));
    }
    if !workloads.is_empty() {
        record.workloads.retain(|workload| workloads.contains(&workload.name));
    }
    Ok(())
}

fn printed(records: &[(Record, &Path)], searches: &[Searched], output: &Output) -> Result<String> {
    if !searches.is_empty() && (output.csv || output.json) {
        bail!("the record of a search is JSON already; --csv and --json are for records of runs");
    }
    if output.csv {
        return report::csv(records);
    }
    if output.json && records.len() > 1 {
        let all: Vec<_> = records.iter().map(|(record, path)| summary(record, path)).collect();
        return Ok(serde_json::to_string_pretty(&all)? + "\n");
    }
    let mut texts = Vec::new();
    for (record, path) in records {
        texts.push(rendered(record, path, output)?);
    }
    texts.extend(searches.iter().map(|search| search.text[usize::from(output.markdown)].clone()));
    Ok(texts.join("\n"))
}

fn page(records: &[(Record, &Path)], searches: &[Searched]) -> Result<String> {
    let paths: Vec<PathBuf> = records.iter().map(|(_, path)| shown(path)).collect();
    let mut growth: Vec<Vec<Growth>> = records.iter().map(|_| Vec::new()).collect();
    let mut chapters: Vec<Vec<Search>> = records.iter().map(|_| Vec::new()).collect();
    for searched in searches {
        // Figures of different machines do not belong together.
        let home = records.iter().position(|(record, _)| record.host.label == searched.host);
        let home = home.with_context(|| {
            let Searched { host, started, .. } = searched;
            format!("the search of {started} was made on {host:?}: give the record of a run there, too")
        })?;
        growth[home].extend(searched.growth.iter().cloned());
        chapters[home].push(searched.chapter());
    }
    let sources = records.iter().zip(&paths).zip(growth.iter().zip(&chapters));
    let sources: Vec<Source<'_>> = sources
        .map(|(((record, _), path), (growth, searches))| Source { record, path, growth, searches })
        .collect();
    Ok(report::html(&sources))
}

/// Says what was written.
fn write_plots(records: &[(Record, &Path)], to: &Path) -> Result<String> {
    let [(record, path)] = records else { bail!("--svg draws one record at a time: give one") };
    if is_svg(to) {
        write(to, &headline(record, path)?)?;
        return Ok(format!("wrote {}\n", to.display()));
    }
    let mut done = String::new();
    for (name, plot) in report::plots(record) {
        let file = to.join(name);
        write(&file, &plot)?;
        done += &format!("wrote {}\n", file.display());
    }
    Ok(done)
}

fn is_svg(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"))
}

fn headline(record: &Record, path: &Path) -> Result<String> {
    report::headline(record).with_context(|| format!("{} has no row that could be drawn", path.display()))
}

/// The tables of complete records, below the plot of the first.
fn splice(records: &[(Record, &Path)], file: &Path, svg: Option<&Path>) -> Result<String> {
    for (record, path) in records {
        if !record.complete {
            bail!("{} is incomplete: splice one that ran to its end", path.display());
        }
    }
    let plot = match svg.filter(|svg| is_svg(svg)) {
        Some(svg) => Some(report::Image::of(file, svg)?),
        None => report::Image::in_block(file)?,
    };
    let mut text = String::new();
    if let (Some(plot), Some((record, path))) = (&plot, records.first()) {
        write(&plot.file, &headline(record, path)?)?;
        text += &format!("{}\n\n", plot.reference);
    }
    let tables: Vec<String> =
        records.iter().map(|(record, path)| report::render(record, &shown(path), Format::Markdown)).collect();
    report::splice(file, &(text + &tables.join("\n")))?;
    let names: Vec<String> = records.iter().map(|(_, path)| path.display().to_string()).collect();
    Ok(format!("spliced {} into {}\n", names.join(", "), file.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
