//! The arguments of each command.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};

use super::compare::CompareArgs;
use super::report::ReportArgs;
use super::search::{MarginalArgs, SaturationArgs, SmallestArgs};
use super::size::SizeArgs;
use super::{count, rate, seconds};
use crate::load::Schedule;
use crate::profile::Name;

/// How many requests per second does each MB of RAM buy?
#[derive(Parser)]
#[command(name = "ounce-bench", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Launch every target, load it, weigh it; write a record and print its table
    Run(RunArgs),
    /// Show what records say: tables, a page with plots, data, or spliced into a document
    Report(ReportArgs),
    /// Compare two records, or two targets of one record, and fail when a limit is missed
    Compare(CompareArgs),
    /// Start targets in the background, each on its port, and wait until they are ready
    Up(UpArgs),
    /// Say how the targets in the background are: address, uptime, footprint
    Status(StatusArgs),
    /// Print what targets in the background have printed since their start, also after their end
    Logs(Names),
    /// Stop targets in the background; without --target also remove what killed scales have left behind
    Down(Names),
    /// Say what can be weighed on this machine, what is missing and how to get it, what is up and left behind
    Doctor(Targets),
    /// Benchmark the service against its limits; fail when one is missed (needs wrk, nginx, cc)
    Gate(GateArgs),
    /// Search the highest rate at which targets keep an objective
    Saturation(SaturationArgs),
    /// Search the smallest memory with which targets still serve, or keep an objective
    Smallest(SmallestArgs),
    /// Weigh 1, 2, 4 … instances at once: what does one more weigh?
    Marginal(MarginalArgs),
    /// Say what serves a rate under an objective: instances, MB, CPU, requests and limits, from records
    Size(SizeArgs),
    /// Load a URL with the scale's generator, for comparison with other tools
    Load(LoadArgs),
    /// Keep one target in the background: what `up` starts
    #[command(hide = true)]
    Keep(KeepArgs),
}

#[derive(Args)]
pub struct Targets {
    /// A target's name, or the path of a target file; may be given more than once [default: all]
    #[arg(long)]
    pub target: Vec<String>,
    /// Where target files lie [default: bench/targets]
    #[arg(long)]
    pub targets_dir: Option<PathBuf>,
}

#[derive(Args)]
pub struct Output {
    /// Print JSON
    #[arg(long, conflicts_with_all = ["csv", "markdown"])]
    pub json: bool,
    /// Print CSV: a line for each row, with every figure
    #[arg(long, conflicts_with = "markdown")]
    pub csv: bool,
    /// Print Markdown
    #[arg(long)]
    pub markdown: bool,
}

/// How fast to ask.
#[derive(Args)]
pub struct Pace {
    /// Open loop at this many requests a second [default: the profile's schedule, or a closed loop]
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// At random times (a Poisson process), as many independent users ask, instead of in equal distances
    #[arg(long)]
    pub poisson: bool,
    /// The same seed, the same times
    #[arg(long, requires = "poisson", default_value = "1")]
    pub seed: u64,
}

impl Pace {
    /// What is asked for, where `otherwise` stands for what is not.
    ///
    /// # Errors
    /// Random times without a rate.
    pub fn schedule(&self, otherwise: Schedule) -> Result<Schedule> {
        let seed = self.seed;
        match (self.rate.or(otherwise.rate()), self.poisson) {
            (Some(rate), true) => Ok(Schedule::Poisson { rate, seed }),
            (Some(rate), false) => Ok(Schedule::Open { rate }),
            (None, false) => Ok(otherwise),
            (None, true) => bail!("--poisson needs --rate: requests a second on average"),
        }
    }
}

/// Where a measurement takes place, and where its record goes.
#[derive(Args)]
pub struct Place {
    /// Where the record is written [default: bench/records]
    #[arg(long)]
    pub records_dir: Option<PathBuf>,
    /// What the record calls this machine [default: its host name]
    #[arg(long)]
    pub host_label: Option<String>,
    /// CPUs of the server, such as 1,3-4 [default: the last one]
    #[arg(long)]
    pub server_cpus: Option<String>,
}

#[derive(Args)]
pub struct RunArgs {
    #[arg(long, value_enum, default_value = "quick")]
    pub profile: Name,
    #[command(flatten)]
    pub targets: Targets,
    /// Also measure all peers of bench/peers, for context: what users would pick instead (the first time some are compiled,
    /// for minutes). One of them alone: --target NAME
    #[arg(long)]
    pub peers: bool,
    /// A workload's name; may be given more than once [default: what the profile says]
    #[arg(long)]
    pub workload: Vec<String>,
    /// Where workloads are defined [default: bench/workloads.toml]
    #[arg(long)]
    pub workloads_file: Option<PathBuf>,
    /// Seconds of load a cell and round, instead of the profile's
    #[arg(long, value_parser = seconds)]
    pub duration: Option<Duration>,
    /// How often every cell is measured, instead of the profile's number
    #[arg(long, value_parser = count)]
    pub rounds: Option<usize>,
    /// Cold starts of each target over all rounds, instead of the profile's number
    #[arg(long, value_parser = count)]
    pub starts: Option<usize>,
    /// Start also with the page cache dropped (as root; it slows down the whole machine for a while)
    #[arg(long)]
    pub drop_caches: bool,
    /// Seconds at rest after the load before weighing once more, instead of the profile's
    #[arg(long, value_parser = seconds)]
    pub rest: Option<Duration>,
    /// Keep-alive connections, instead of the workload's
    #[arg(long, value_parser = count)]
    pub connections: Option<usize>,
    #[command(flatten)]
    pub pace: Pace,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Args)]
pub struct GateArgs {
    /// The limits [default: bench/gate.toml]
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// Rounds over all subjects, instead of the file's
    #[arg(long, value_parser = count)]
    pub rounds: Option<usize>,
    /// Seconds of load a subject and round, instead of the file's
    #[arg(long, value_parser = seconds)]
    pub duration: Option<Duration>,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Args)]
pub struct LoadArgs {
    /// Such as http://127.0.0.1:8080/api/light
    pub url: String,
    #[arg(long, value_parser = count, default_value = "64")]
    pub connections: usize,
    /// Seconds of load
    #[arg(long, value_parser = seconds, default_value = "10")]
    pub duration: Duration,
    #[command(flatten)]
    pub pace: Pace,
    /// Do not compare bodies with the first one
    #[arg(long)]
    pub any_body: bool,
    /// CPUs of the server, which the generator keeps off [default: the last one]
    #[arg(long)]
    pub server_cpus: Option<String>,
}

#[derive(Args)]
pub struct UpArgs {
    #[command(flatten)]
    pub targets: Targets,
    /// Serve here instead of on the port in the target's file; for one target
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
}

#[derive(Args)]
pub struct Names {
    /// A target's name, or the path of its file; may be given more than once [default: all that are up]
    #[arg(long)]
    pub target: Vec<String>,
}

#[derive(Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub names: Names,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct KeepArgs {
    #[arg(long)]
    pub target: PathBuf,
    #[arg(long)]
    pub address: SocketAddr,
    #[arg(long)]
    pub state: PathBuf,
}
