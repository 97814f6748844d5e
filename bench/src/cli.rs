//! The command line: what can be asked of the scale, and how its answers are printed.

mod args;
mod background;
mod compare;
mod report;
mod search;
mod size;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use args::Cli;
use args::{Command, GateArgs, LoadArgs, Output, RunArgs, Targets};

use crate::background::Store;
use crate::gate;
use crate::host::Host;
use crate::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::load::{self, Errors, Little, Outcome, Plan, REQUEST_TIMEOUT, Schedule};
use crate::placement::Placement;
use crate::profile::Profile;
use crate::record::Record;
use crate::report::{Format, Row, render, rows};
use crate::run::{Run, run};
use crate::target::{self, Target};
use crate::weigh::{self, Scope};
use crate::workload::{self, Body, Request, Workload};
use crate::{data, doctor, leftover};

/// Does what the command line asks. The exit status is 0 when something was measured, 130 after Ctrl-C.
///
/// # Errors
/// What kept it from being done at all.
pub fn execute(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Run(args) => run_command(&args),
        Command::Report(args) => report::report_command(&args),
        Command::Compare(args) => compare::compare_command(&args),
        Command::Up(args) => background::up_command(&args),
        Command::Status(args) => background::status_command(&args),
        Command::Logs(args) => background::logs_command(&args),
        Command::Down(args) => background::down_command(&args),
        Command::Keep(args) => background::keep_command(&args),
        Command::Doctor(args) => doctor_command(&args),
        Command::Gate(args) => gate_command(&args),
        Command::Saturation(args) => search::saturation_command(&args),
        Command::Smallest(args) => search::smallest_command(&args),
        Command::Marginal(args) => search::marginal_command(&args),
        Command::Size(args) => size::size_command(&args),
        Command::Load(args) => load_command(&args),
    }
}

fn run_command(args: &RunArgs) -> Result<ExitCode> {
    let mut targets = targets(&args.targets)?;
    if args.peers {
        targets = target::joined(targets, &data::bench_dir().join("peers"))?;
    }
    let profile = profile(args)?;
    let workloads = profile.choose(&workloads(args.workloads_file.as_deref())?, &args.workload)?;
    let placement = Placement::here(args.place.server_cpus.as_deref())?;
    let interrupt = Interrupt::on_signals().context("cannot watch for signals")?;
    let records_dir = records_dir(args.place.records_dir.as_deref());
    let host = Host::here(args.place.host_label.as_deref());
    let plan = Run {
        targets: &targets,
        workloads: &workloads,
        profile: &profile,
        placement: &placement,
        host,
        drop_caches: args.drop_caches,
        records_dir: &records_dir,
    };
    if let Some(warning) = &placement.warning {
        eprintln!("ounce-bench: {warning}");
    }
    let (record, path) = run(&plan, &interrupt)?;
    say(&rendered(&record, &path, &args.output)?)?;
    if interrupt.is_set() {
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    }
    let measured = rows(&record).iter().any(Row::measured);
    Ok(if measured { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn profile(args: &RunArgs) -> Result<Profile> {
    let mut profile = Profile::named(args.profile);
    if let Some(duration) = args.duration {
        profile.duration = duration;
    }
    if args.connections.is_some() {
        profile.connections = args.connections;
    }
    profile.rounds = args.rounds.unwrap_or(profile.rounds);
    profile.starts = args.starts.unwrap_or(profile.starts);
    profile.rest = args.rest.or(profile.rest);
    profile.schedule = args.pace.schedule(profile.schedule)?;
    if args.workloads_file.is_some() {
        // The profile names ours.
        profile.workloads = &[];
    }
    Ok(profile)
}

fn workloads(file: Option<&Path>) -> Result<Vec<Workload>> {
    workload::read(&file.map_or_else(|| data::bench_dir().join("workloads.toml"), Path::to_owned))
}

fn targets(args: &Targets) -> Result<Vec<Target>> {
    let dir = args.targets_dir.clone().unwrap_or_else(|| data::bench_dir().join("targets"));
    target::select(&dir, &data::bench_dir().join("peers"), &args.target)
}

fn records_dir(given: Option<&Path>) -> PathBuf {
    given.map_or_else(|| data::bench_dir().join("records"), Path::to_owned)
}

fn rendered(record: &Record, path: &Path, output: &Output) -> Result<String> {
    if output.json {
        return Ok(serde_json::to_string_pretty(&summary(record, path))? + "\n");
    }
    if output.csv {
        return crate::report::csv(&[(record, path)]);
    }
    let format = if output.markdown { Format::Markdown } else { Format::Terminal };
    Ok(render(record, &shown(path), format))
}

/// A report as JSON.
fn summary(record: &Record, path: &Path) -> serde_json::Value {
    serde_json::json!({
        "record": path,
        "complete": record.complete,
        "started": record.started,
        "profile": record.profile,
        "host": record.host,
        "placement": record.placement,
        "rows": rows(record),
    })
}

/// A path as a reader of the project would write it.
fn shown(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let bench = std::path::absolute(data::bench_dir()).unwrap_or_default();
    let relative = bench.parent().and_then(|project| absolute.strip_prefix(project).ok());
    relative.unwrap_or(path).to_owned()
}

fn doctor_command(args: &Targets) -> Result<ExitCode> {
    let (targets, host, placement) = (targets(args)?, Host::here(None), Placement::here(None)?);
    let states = Store::here().map(|store| store.all(&[])).unwrap_or_default();
    say(&doctor::report(&targets, &host, &placement, &states, &leftover::find()))?;
    Ok(ExitCode::SUCCESS)
}

fn gate_command(args: &GateArgs) -> Result<ExitCode> {
    let file = args.file.clone().unwrap_or_else(|| data::bench_dir().join("gate.toml"));
    let interrupt = Interrupt::on_signals().context("cannot watch for signals")?;
    let options = gate::Options {
        file: &file,
        records_dir: &records_dir(args.place.records_dir.as_deref()),
        host: Host::here(args.place.host_label.as_deref()),
        placement: Placement::here(args.place.server_cpus.as_deref())?,
        rounds: args.rounds,
        duration: args.duration,
    };
    let (report, path) = gate::run(options, &interrupt)?;
    say(&format!("{}\nRecord: {}\n", report.text(), shown(&path).display()))?;
    Ok(match (interrupt.is_set(), report.passed()) {
        (true, _) => ExitCode::from(EXIT_INTERRUPTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

fn load_command(args: &LoadArgs) -> Result<ExitCode> {
    let (address, path) = split_url(&args.url)?;
    let body = if args.any_body { Body::Any } else { Body::Same };
    let workload = Workload::of("load", args.connections, Request { body, ..Request::get(&path) });
    let interrupt = Interrupt::on_signals().context("cannot watch for signals")?;
    let placement = Placement::here(args.server_cpus.as_deref())?;
    let plan = Plan {
        address,
        expected: load::reference(address, &workload, REQUEST_TIMEOUT)?,
        connections: workload.connections,
        schedule: args.pace.schedule(Schedule::Closed)?,
        duration: args.duration,
        timeout: REQUEST_TIMEOUT,
        cpus: placement.generator_cpus.clone(),
    };
    let (outcome, _) =
        weigh::while_loaded(&Scope::default(), &placement, &interrupt, |stop| load::run(&plan, stop));
    let outcome = outcome?;
    say(&spoken(&plan, &outcome, &outcome.littles_law(&plan)))?;
    Ok(if interrupt.is_set() { ExitCode::from(EXIT_INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// Bodies that differ are the service's nature more often than its fault.
fn hint(outcome: &Outcome) -> &'static str {
    if outcome.errors.body > 0 {
        "             (bodies that differ from the first: where they may, say --any-body)\n"
    } else {
        ""
    }
}

/// How many, and of which kinds.
fn told(errors: &Errors) -> String {
    match errors.total() {
        0 => "0".into(),
        total => format!("{total} ({errors})"),
    }
}

fn spoken(plan: &Plan, outcome: &Outcome, law: &Little) -> String {
    let at = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1e6;
    let answered = (outcome.requests + outcome.drained).max(1) as f64;
    format!(
        "load         {}, {} connections\n\
         requests/s   {:.0}\n\
         latency      p50 {:.3} ms, p90 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, max {:.3} ms\n\
         in flight    {:.3}, by rate × latency {:.3}{}\n\
         generator    {:.2} µs CPU/request, {:.0} % busy\n\
         errors       {}\n{}",
        plan.schedule,
        plan.connections,
        outcome.per_second(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
        law.expected,
        law.found,
        if law.holds() { "" } else { ": Little's law is violated, the figures are not those of this load" },
        outcome.cpu.as_secs_f64() * 1e6 / answered,
        outcome.busy() * 100.0,
        told(&outcome.errors),
        hint(outcome),
    )
}

/// Prints. A reader that has gone away has what it wanted; any other failure is one to report.
fn say(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot print the result"),
    }
}

fn split_url(url: &str) -> Result<(SocketAddr, String)> {
    let Some(rest) = url.strip_prefix("http://") else { bail!("{url}: only http:// can be loaded") };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let with_port = if host.parse::<std::net::IpAddr>().is_ok() || !host.contains(':') {
        format!("{host}:80")
    } else {
        host.to_owned()
    };
    let address =
        with_port.to_socket_addrs().with_context(|| format!("{url}: cannot resolve {with_port}"))?.next();
    Ok((address.with_context(|| format!("{url}: {with_port} has no address"))?, format!("/{path}")))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    match digits.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 86_400.0 => Ok(Duration::from_secs_f64(value)),
        _ => Err("give seconds, for example 10 or 2.5s".into()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1e7 => Ok(value),
        _ => Err("give requests a second, for example 500".into()),
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(value @ 1..=60_000) => Ok(value),
        _ => Err("give a whole number from 1 to 60000".into()),
    }
}
