//! `size`: what serves a rate under an objective.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{rate, records_dir, say, shown};
use crate::report::Format;
use crate::size::{Asked, Sizing, k8s, records};

const FORMULAS: &str = "\
Of every load in the records (a point) the rate counts at the lower end of its 95 % interval over the rounds, p99 at the
upper end, CPU time and memory by their medians; below three rounds the worst one counts.

  capacity         the highest measured rate with p99 <= --p99 and no errors, below every rate at which an open loop missed it
  instances        ceil(rps / (capacity * (1 - margin))), each with rps / instances
  CPU              of the straight line between the measured points on both sides of that rate
  CPU request      CPU of an instance / t, with t = (1 - margin) in whole percent; no CPU limit, because a quota stalls an
                   instance that has used it up even when the node is idle
  HPA target       t, so that instances * t * request / CPU per request >= rps
  memory request   loaded footprint * (1 + margin), from the measured point at or next above that rate
  memory limit     the largest of highest peak * (1 + margin), smallest limit that held * (1 + margin), 12 MiB
  total MB         base + (PSS loaded - base) * instances; base is what instances share, 0 if nobody has weighed it

Requests and limits are of what the kernel charges to the control group (all of it, as Kubernetes counts) where a record
has it, else of PSS. Whatever of a plan was not measured is said beneath it. Nothing is launched.";

#[derive(Args)]
#[command(after_long_help = FORMULAS)]
pub struct SizeArgs {
    /// Requests a second, in all
    #[arg(long, value_parser = rate)]
    pub rps: f64,
    /// The objective: 99 of 100 requests within this time, and none that fails, such as 20ms
    #[arg(long, value_parser = milliseconds)]
    pub p99: f64,
    /// A workload's name; only what was measured with it counts
    #[arg(long, default_value = "light")]
    pub workload: String,
    /// How much of the capacity to keep free, and of how much more memory than measured to ask for
    #[arg(long, value_parser = margin, default_value = "30%")]
    pub margin: f64,
    /// A record of a run, or of a search for saturation, the smallest memory or the marginal footprint; may be given more
    /// than once [default: the newest complete run, and of its machine the newest run in the other kind of loop, open or
    /// closed, and the newest searches]
    #[arg(long)]
    pub record: Vec<PathBuf>,
    /// Where records lie [default: bench/records]
    #[arg(long, conflicts_with = "record")]
    pub records_dir: Option<PathBuf>,
    /// Print `resources` and a HorizontalPodAutoscaler, as YAML
    #[arg(long, conflicts_with_all = ["json", "markdown"])]
    pub k8s: bool,
    /// Of which target [default: the cheapest container]
    #[arg(long, requires = "k8s")]
    pub target: Option<String>,
    /// Print JSON: every figure, note and point
    #[arg(long, conflicts_with = "markdown")]
    pub json: bool,
    /// Print Markdown
    #[arg(long)]
    pub markdown: bool,
}

pub fn size_command(args: &SizeArgs) -> Result<ExitCode> {
    let paths = match &args.record[..] {
        [] => records::newest(&records_dir(args.records_dir.as_deref()), &args.workload)?,
        given => given.to_vec(),
    };
    let asked = Asked { rps: args.rps, p99_ms: args.p99, margin: args.margin };
    let known = records::read(&paths, &args.workload, args.p99)?;
    let files = paths.iter().map(|path| shown(path).display().to_string()).collect();
    let sizing = Sizing::new(known, asked, files);
    if args.k8s {
        say(&k8s::manifests(&sizing, args.target.as_deref())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&if args.json {
        serde_json::to_string_pretty(&sizing)? + "\n"
    } else {
        sizing.text(if args.markdown { Format::Markdown } else { Format::Terminal })
    })?;
    Ok(if sizing.ranked().next().is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn milliseconds(text: &str) -> Result<f64, String> {
    let units = [("us", 1e-3), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let parsed = units.iter().find_map(|(unit, factor)| {
        Some(text.trim().strip_suffix(unit)?.trim_end().parse::<f64>().ok()? * factor)
    });
    parsed
        .filter(|ms| *ms > 0.0 && *ms <= 60_000.0)
        .ok_or_else(|| "give a time with its unit (us, ms or s), up to 60s, for example 20ms".into())
}

/// A bare number below 1 could mean a share or a percentage.
fn margin(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    let percent = trimmed.strip_suffix('%').map(str::trim_end);
    let number: Option<f64> = percent.unwrap_or(trimmed).parse().ok();
    number
        .filter(|number| {
            (0.0..=90.0).contains(number) && (percent.is_some() || *number == 0.0 || *number >= 1.0)
        })
        .map(|percent| percent / 100.0)
        .ok_or_else(|| "give a percentage from 0% to 90%, for example 30%".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_unit() {
        assert_eq!(
            ["20ms", "1.5 s", "500us", "250µs"].map(|text| milliseconds(text).ok()),
            [20.0, 1500.0, 0.5, 0.25].map(Some)
        );
        for wrong in ["20", "abc", "ms", "0ms", "-1ms", "nanms", "61s", "infs"] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn margins_are_percentages() {
        assert_eq!(
            ["30%", "30", "12.5 %", "0", "0.5%"].map(|text| margin(text).ok()),
            [0.3, 0.3, 0.125, 0.0, 0.005].map(Some)
        );
        for wrong in ["0.3", "100%", "-5%", "many", "nan%", ""] {
            assert!(margin(wrong).is_err(), "{wrong}");
        }
    }
}
