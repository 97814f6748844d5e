//! `compare`: two records, or two targets of one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::{say, shown};
use crate::compare::{Limit, Options, Side, compare};
use crate::record::Record;
use crate::report::Format;

#[derive(Args)]
pub struct CompareArgs {
    /// A record, or one of its targets: FILE or FILE:TARGET
    base: String,
    /// What is compared with it, likewise; two targets of one record are compared round by round
    new: String,
    /// Fail (exit code 1) when this happens: `worse`, or a figure and a change such as req_per_s_per_mb<-5%. The change must
    /// be beyond noise (better or worse); what cannot be judged, or was lost, fails, too. May be given more than once
    #[arg(long, value_name = "LIMIT")]
    fail_on: Vec<Limit>,
    /// How large a change must be to count, in percent
    #[arg(long, value_parser = percent, default_value = "3")]
    margin: f64,
    /// Show every figure, not only headlines and changes
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print Markdown
    #[arg(long)]
    markdown: bool,
}

pub(super) fn compare_command(args: &CompareArgs) -> Result<ExitCode> {
    let (base, new) = (Operand::parse(&args.base), Operand::parse(&args.new));
    let records = (base.read()?, new.read()?);
    if base.path == new.path && base.target == new.target {
        bail!("{} would be compared with itself; name two targets: FILE:TARGET FILE:TARGET", args.base);
    }
    let options = Options {
        margin: args.margin,
        limits: &args.fail_on,
        // With targets named on both sides of one file, rounds correspond.
        paired: base.path == new.path,
    };
    let found = compare(&base.side(&records.0), &new.side(&records.1), &options);
    if found.lines.is_empty() {
        let why =
            found.lost.iter().map(|lost| format!("\n{} · {}: {}", lost.target, lost.workload, lost.why));
        bail!(
            "{} and {} have nothing that could be compared{}",
            args.base,
            args.new,
            why.collect::<String>()
        );
    }
    let format = if args.markdown { Format::Markdown } else { Format::Terminal };
    if args.json {
        say(&(serde_json::to_string_pretty(&found)? + "\n"))?;
    } else {
        say(&found.text(format, args.all))?;
    }
    Ok(if found.missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Operand {
    path: PathBuf,
    target: Option<String>,
}

impl Operand {
    /// A file may have a colon in its name; a target has no slash.
    fn parse(text: &str) -> Self {
        match text.rsplit_once(':') {
            Some((path, target)) if !Path::new(text).exists() && !target.contains('/') => {
                Self { path: path.into(), target: Some(target.to_owned()) }
            }
            _ => Self { path: text.into(), target: None },
        }
    }

    fn read(&self) -> Result<Record> {
        let record = Record::read(&self.path)?;
        if let Some(target) = &self.target
            && !record.targets.iter().any(|known| known.definition.name == *target)
        {
            let known: Vec<&str> =
                record.targets.iter().map(|known| known.definition.name.as_str()).collect();
            bail!("{} has no target {target:?}; it has: {}", self.path.display(), known.join(", "));
        }
        Ok(record)
    }

    fn side<'a>(&self, record: &'a Record) -> Side<'a> {
        let path = shown(&self.path);
        let name = self
            .target
            .as_ref()
            .map_or_else(|| path.display().to_string(), |target| format!("{target} in {}", path.display()));
        Side { record, name, target: self.target.clone() }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').trim().parse::<f64>() {
        Ok(value) if (0.0..100.0).contains(&value) => Ok(value / 100.0),
        _ => Err("give percent, for example 3".into()),
    }
}
