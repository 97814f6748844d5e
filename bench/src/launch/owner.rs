//! Whose an instance is: a mark on everything that the scale launches, so that what is left behind is found.
//!
//! Every launched process inherits the mark as a variable, every container carries it as a label, scratch directories
//! and control groups have it in their names. It names the process that launched it; when that is gone and the mark is still
//! there, something was left behind.

use std::fs;

use crate::proc;

/// The variable, and the label of containers.
pub const VARIABLE: &str = "OUNCE_BENCH_OWNER";
pub const LABEL: &str = "ounce-bench.owner";

/// What is named after its owner is called this, its owner's mark, and a number.
const PREFIX: &str = "ounce-bench-";

/// A name for something of this process's. Process ids alone return, and other machines' may share the place.
pub(super) fn name(number: u32) -> String {
    // A colon would be a separator in the configuration of many a program.
    format!("{PREFIX}{}-{number}", mark().replace(':', "."))
}

/// The mark in a name, if it is one of the scale's.
pub(crate) fn mark_in(name: &str) -> Option<String> {
    let (mark, _) = name.strip_prefix(PREFIX)?.rsplit_once('-')?;
    Some(mark.replace('.', ":"))
}

/// The mark of this process: its id and its start time, which together do not return, and where they mean
/// something.
pub fn mark() -> String {
    let (pid, started) = proc::identity(std::process::id().cast_signed()).unwrap_or_default();
    format!("{pid}:{started}:{}", place())
}

/// Whether the process that a mark names still runs, here.
pub fn is_alive(mark: &str) -> bool {
    parse(mark).is_some_and(runs)
}

/// Whether the process that a mark names has ended. A mark of another machine, boot or container is neither alive
/// nor gone: nobody here can tell.
pub fn is_gone(mark: &str) -> bool {
    parse(mark).is_some_and(|owner| !runs(owner))
}

fn runs((pid, started): (i32, u64)) -> bool {
    proc::is_running(pid) && proc::identity(pid) == Some((pid, started))
}

fn parse(mark: &str) -> Option<(i32, u64)> {
    let (pid, rest) = mark.split_once(':')?;
    let (started, there) = rest.split_once(':')?;
    (there == place()).then_some((pid.parse().ok()?, started.parse().ok()?))
}

/// This boot of this machine, and the namespace of its process ids: engines and temporary directories can be
/// shared between places with numbers of their own.
fn place() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let number: String = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    format!("{}-{number}", boot.split('-').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_its_owners_mark() {
        assert!(mark_in(&name(7)) == Some(mark()) && !name(7).contains(':'), "{}", name(7));
        assert_eq!((mark_in("ounce-bench-x"), mark_in("other-1:2-3")), (None, None));
    }

    #[test]
    fn a_mark_lives_as_long_as_its_process() {
        assert!(is_alive(&mark()) && !is_gone(&mark()));
        let (pid, started) = proc::identity(std::process::id().cast_signed()).unwrap();
        let other = format!("{pid}:{}:{}", started + 1, place());
        assert!(is_gone(&other) && !is_alive(&other));
    }

    #[test]
    fn what_cannot_be_judged_is_neither_alive_nor_gone() {
        for mark in ["", "x:y", "1:2", "1:2:elsewhere", &format!("x:y:{}", place())] {
            assert!(!is_alive(mark) && !is_gone(mark), "{mark}");
        }
    }
}
