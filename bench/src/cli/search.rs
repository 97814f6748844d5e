//! The commands that search: saturation, smallest, marginal.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::args::{Place, Targets};
use super::{count, rate, records_dir, say, seconds, shown, targets, workloads};
use crate::host::Host;
use crate::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::placement::Placement;
use crate::report::{self, Format};
use crate::search::smallest::Objective;
use crate::search::{Options, Question, Record, marginal, saturation, smallest};
use crate::slo::{self, Slo};
use crate::workload;

/// What every search needs.
#[derive(Args)]
pub struct SearchArgs {
    #[command(flatten)]
    pub targets: Targets,
    /// A workload's name
    #[arg(long, default_value = "light")]
    pub workload: String,
    /// Where workloads are defined [default: bench/workloads.toml]
    #[arg(long)]
    pub workloads_file: Option<PathBuf>,
    /// Print Markdown
    #[arg(long)]
    pub markdown: bool,
    /// Replace what stands between the markers of this file by the table in Markdown
    #[arg(long)]
    pub splice: Option<PathBuf>,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Args)]
pub struct SaturationArgs {
    #[command(flatten)]
    pub search: SearchArgs,
    /// What must be kept: a percentile of latency, and the share of requests that may fail
    #[arg(long, default_value_t)]
    pub slo: Slo,
    /// The share of requests that may fail, such as 0.1%, instead of what --slo says
    #[arg(long, value_parser = slo::percent)]
    pub errors: Option<f64>,
    /// Keep-alive connections, instead of the workload's
    #[arg(long, value_parser = count)]
    pub connections: Option<usize>,
    /// Seconds of each load
    #[arg(long, value_parser = seconds, default_value = "2")]
    pub duration: Duration,
}

#[derive(Args)]
pub struct SmallestArgs {
    #[command(flatten)]
    pub search: SearchArgs,
    /// Open loop at this many requests a second, which must keep the SLO [default: closed loop without an error]
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// What must be kept at that rate: a percentile of latency, and the share of requests that may fail
    #[arg(long, default_value_t, requires = "rate")]
    pub slo: Slo,
    /// The share of requests that may fail, such as 0.1%, instead of what --slo says
    #[arg(long, value_parser = slo::percent, requires = "rate")]
    pub errors: Option<f64>,
    /// Keep-alive connections, instead of the workload's
    #[arg(long, value_parser = count)]
    pub connections: Option<usize>,
    /// Seconds of load at each limit
    #[arg(long, value_parser = seconds, default_value = "3")]
    pub duration: Duration,
}

#[derive(Args)]
pub struct MarginalArgs {
    #[command(flatten)]
    pub search: SearchArgs,
    /// The most instances at once
    #[arg(long, value_parser = count, default_value = "16")]
    pub instances: usize,
    /// Weigh under a light load as well: an open loop on all instances at the same time
    #[arg(long)]
    pub load: bool,
    /// Requests a second of that load to each instance
    #[arg(long, value_parser = rate, default_value = "20", requires = "load")]
    pub rate: f64,
    /// Keep-alive connections of that load to each instance
    #[arg(long, value_parser = count, default_value = "4", requires = "load")]
    pub connections: usize,
    /// Seconds of that load
    #[arg(long, value_parser = seconds, default_value = "2", requires = "load")]
    pub duration: Duration,
}

pub(super) fn saturation_command(args: &SaturationArgs) -> Result<ExitCode> {
    let slo = objective(args.slo, args.errors);
    answer(&args.search, args.connections, args.duration, |options| saturation::run(options, slo))
}

pub(super) fn smallest_command(args: &SmallestArgs) -> Result<ExitCode> {
    let slo = objective(args.slo, args.errors);
    let objective = args.rate.map(|rate| Objective { rate, slo });
    answer(&args.search, args.connections, args.duration, |options| smallest::run(options, objective))
}

pub(super) fn marginal_command(args: &MarginalArgs) -> Result<ExitCode> {
    let (connections, rate) = (Some(args.connections), args.load.then_some(args.rate));
    answer(&args.search, connections, args.duration, |options| marginal::run(options, args.instances, rate))
}

fn objective(slo: Slo, errors: Option<f64>) -> Slo {
    Slo { errors_percent: errors.unwrap_or(slo.errors_percent), ..slo }
}

/// Searches, prints the table, and splices it if there is one.
fn answer<Q: Question>(
    args: &SearchArgs,
    connections: Option<usize>,
    duration: Duration,
    search: impl FnOnce(&Options<'_>) -> Result<(Record<Q>, PathBuf)>,
) -> Result<ExitCode> {
    let known = workloads(args.workloads_file.as_deref())?;
    let workload = workload::select(&known, std::slice::from_ref(&args.workload))?.remove(0);
    let interrupt = Interrupt::on_signals().context("cannot watch for signals")?;
    let options = Options {
        targets: &targets(&args.targets)?,
        workload: &workload,
        connections: connections.unwrap_or(workload.connections),
        duration,
        placement: &Placement::here(args.place.server_cpus.as_deref())?,
        host: Host::here(args.place.host_label.as_deref()),
        records_dir: &records_dir(args.place.records_dir.as_deref()),
        interrupt: &interrupt,
    };
    let (record, path) = search(&options)?;
    let text = |format| format!("{}\nRecord: {}\n", record.text(format), shown(&path).display());
    say(&text(if args.markdown { Format::Markdown } else { Format::Terminal }))?;
    let answered = record.answered(!args.targets.target.is_empty());
    if let Some(file) = args.splice.as_ref().filter(|_| answered) {
        report::splice(file, &text(Format::Markdown))?;
        say(&format!("spliced into {}\n", file.display()))?;
    }
    Ok(match (interrupt.is_set(), answered) {
        (true, _) => ExitCode::from(EXIT_INTERRUPTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}
