//! Whose an instance is: a mark on everything that the scale launches, so that what is left behind is found.
//!
//! Every launched process inherits the mark as a variable, every container carries it as a label. It names the
//! process that launched it; when that is gone and the mark is still there, something was left behind.

use crate::proc;

/// The variable, and the label of containers.
pub const VARIABLE: &str = "OUNCE_BENCH_OWNER";
pub const LABEL: &str = "ounce-bench.owner";

/// The mark of this process: its id and its start time, which together do not return.
pub fn mark() -> String {
    let (pid, started) = proc::identity(std::process::id().cast_signed()).unwrap_or_default();
    format!("{pid}:{started}")
}

/// Whether the process that a mark names still runs.
pub fn is_alive(mark: &str) -> bool {
    let owner =
        mark.split_once(':').and_then(|(pid, started)| Some((pid.parse().ok()?, started.parse().ok()?)));
    owner.is_some_and(|(pid, started)| proc::is_running(pid) && proc::identity(pid) == Some((pid, started)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_lives_as_long_as_its_process() {
        assert!(is_alive(&mark()));
        let (pid, started) = proc::identity(std::process::id().cast_signed()).unwrap();
        assert!(!is_alive(&format!("{pid}:{}", started + 1)));
        assert!(!is_alive("") && !is_alive("x:y"));
    }
}
