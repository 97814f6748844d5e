//! How the targets in the background are, at this moment.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::state::{Phase, State};
use crate::launch::client;
use crate::proc;

/// A service that takes longer to say that it is ready is not.
const PATIENCE: Duration = Duration::from_secs(2);

/// Characters of an explanation in the table.
const BRIEF: usize = 100;

/// One target, for people and (as JSON) for programs.
#[derive(Serialize)]
pub struct Status {
    pub target: String,
    /// `ready`, `not answering`, `starting`, `ended` (by itself), or `stale`: the keeper is gone.
    pub state: &'static str,
    /// More about it; the last output of what has ended.
    pub why: Option<String>,
    pub last_words: Option<String>,
    pub url: String,
    /// The keeper's process id.
    pub keeper: Option<i32>,
    pub uptime_s: Option<u64>,
    /// Of every process that this instance needs.
    pub pss_bytes: Option<u64>,
    pub processes: usize,
    pub cold_start_ms: Option<f64>,
    pub kind: &'static str,
    pub source: PathBuf,
    pub log: PathBuf,
}

/// Asks each.
pub fn statuses(states: &[State]) -> Vec<Status> {
    states.iter().map(status).collect()
}

fn status(state: &State) -> Status {
    let lives = state.is_kept();
    let (word, why, last_words) = match &state.phase {
        Phase::Ended { why, last_words } => ("ended", Some(why.clone()), Some(last_words.clone())),
        _ if !lives => {
            ("stale", Some("its keeper was killed; clean up with: ounce-bench down".to_owned()), None)
        }
        Phase::Starting => ("starting", None, None),
        Phase::Ready => match answer(state) {
            Ok(()) => ("ready", None, None),
            Err(why) => ("not answering", Some(why), None),
        },
    };
    let pids = if lives { proc::tree(&state.roots) } else { Vec::new() };
    let memory = (!pids.is_empty()).then(|| proc::memory_of(&pids));
    let unweighed = memory.as_ref().and_then(|memory| Some(memory.as_ref().err()?.to_string()));
    Status {
        target: state.target.clone(),
        state: word,
        why: why.or(unweighed),
        last_words: last_words.filter(|words| !words.is_empty()),
        url: format!("http://{}", state.address),
        keeper: state.pid().filter(|_| lives),
        uptime_s: lives.then(|| state.uptime().as_secs()),
        pss_bytes: memory.and_then(|memory| Some(memory.ok()?.pss)),
        processes: pids.len(),
        cold_start_ms: state.cold_start_ms,
        kind: state.kind.name(),
        source: state.source.clone(),
        log: state.log.clone(),
    }
}

/// Whether the service says that it is ready.
fn answer(state: &State) -> Result<(), String> {
    match client(PATIENCE).get(format!("http://{}{}", state.address, state.ready_path)).call() {
        Ok(response) if response.status() == 200 => Ok(()),
        Ok(response) => Err(format!("{} answers status {}", state.ready_path, response.status())),
        Err(error) => Err(error.to_string()),
    }
}

/// The table for people.
pub fn table(statuses: &[Status]) -> String {
    if statuses.is_empty() {
        return "nothing is up\n".into();
    }
    let head = ["target", "state", "address", "keeper", "up for", "PSS (MB)"].map(String::from);
    let rows: Vec<[String; 6]> = statuses.iter().map(row).collect();
    let mut widths = [0; 6];
    for row in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let whys = statuses.iter().map(|status| status.why.as_deref().unwrap_or_default());
    for (row, why) in [(&head, "")].into_iter().chain(rows.iter().zip(whys)) {
        let mut line = String::new();
        for ((index, cell), width) in row.iter().enumerate().zip(widths) {
            let _ =
                if index < 4 { write!(line, "{cell:<width$}  ") } else { write!(line, "{cell:>width$}  ") };
        }
        line.push_str(&brief(why));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The first line, if that is not too long; all of it is in JSON.
fn brief(why: &str) -> String {
    let line = why.lines().next().unwrap_or_default();
    let short: String = line.chars().take(BRIEF).collect();
    if short.len() < line.len() { short + "…" } else { short }
}

fn row(status: &Status) -> [String; 6] {
    let shown = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    [
        status.target.clone(),
        status.state.to_owned(),
        status.url.clone(),
        shown(status.keeper.map(|pid| pid.to_string())),
        shown(
            status
                .uptime_s
                .map(|seconds| humantime::format_duration(Duration::from_secs(seconds)).to_string()),
        ),
        shown(status.pss_bytes.map(|bytes| format!("{:.2}", bytes as f64 / 1e6))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_and_the_first_line_of_why() {
        let status = |target: &str, state, why: Option<&str>| Status {
            target: target.into(),
            state,
            why: why.map(String::from),
            last_words: None,
            url: "http://127.0.0.1:81".into(),
            keeper: Some(12),
            uptime_s: Some(61),
            pss_bytes: Some(1_234_000),
            processes: 1,
            cold_start_ms: None,
            kind: "process",
            source: PathBuf::new(),
            log: PathBuf::new(),
        };
        assert_eq!(table(&[]), "nothing is up\n");
        let text =
            table(&[status("a", "ready", None), status("long", "ended", Some("exit status: 1\nmore"))]);
        let lines = [
            "target  state  address              keeper  up for  PSS (MB)",
            "a       ready  http://127.0.0.1:81  12       1m 1s      1.23",
            "long    ended  http://127.0.0.1:81  12       1m 1s      1.23  exit status: 1",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }
}
