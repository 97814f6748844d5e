//! wrk as the generator: the independent tool that the gate's figures come from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::subject::Rate;
use crate::launch::{Process, Spawn};
use crate::proc;

pub(super) fn run(
    url: &str,
    connections: usize,
    duration: Duration,
    cpus: &[usize],
    stop: &AtomicBool,
) -> Result<Rate> {
    // wrk counts whole seconds.
    let seconds = duration.as_secs_f64().ceil().max(1.0);
    let threads = cpus.len().clamp(1, connections);
    let words = [
        "wrk",
        "-t",
        &threads.to_string(),
        "-c",
        &connections.to_string(),
        "-d",
        &format!("{seconds:.0}s"),
        url,
    ]
    .map(String::from);
    let mut wrk = Process::spawn(&Spawn { cpus: cpus.to_vec(), ..Spawn::new(words) })?;
    let until = Instant::now() + Duration::from_secs_f64(seconds + 10.0);
    while !wrk.ended(Duration::from_millis(100))? {
        if stop.load(Ordering::Relaxed) {
            bail!("wrk was stopped: the server ended or the gate was interrupted");
        }
        if Instant::now() > until {
            bail!("wrk did not end in time");
        }
    }
    // A zombie still knows its CPU time.
    let generator_cpu_s = proc::cpu_seconds(&[wrk.pid()]);
    let status = wrk.wait(Duration::from_secs(1))?;
    wrk.stdout().wait_closed(Duration::from_secs(1));
    let text = wrk.stdout().text();
    if !status.is_some_and(|status| status.success()) {
        bail!("wrk failed: {}", wrk.last_words());
    }
    let (requests, per_second) =
        parse(&text).with_context(|| format!("wrk's output is not as expected:\n{text}"))?;
    Ok(Rate { requests, per_second, generator_cpu_s })
}

/// Requests and requests a second; `None` also when wrk reports errors of any kind.
fn parse(text: &str) -> Option<(f64, f64)> {
    if text.contains("Socket errors") || text.contains("Non-2xx") {
        return None;
    }
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
    let per_second = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok())?;
    Some((requests, per_second))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn figures_are_read_and_errors_refused() {
        let good = "  2 threads\n  126250 requests in 4.05s, 11.68MB read\nRequests/sec:  31163.16\n";
        assert_eq!(parse(good), Some((126_250.0, 31_163.16)));
        assert_eq!(parse(&format!("{good}  Socket errors: connect 0, read 1, write 0, timeout 0\n")), None);
        assert_eq!(parse(&format!("{good}  Non-2xx or 3xx responses: 7\n")), None);
    }
}
