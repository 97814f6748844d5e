//! Why something could not be launched, said so that a reader can act on it.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

#[derive(Debug, Error)]
pub enum LaunchError {
    #[error("cannot start `{command}`: {error}")]
    Spawn { command: String, error: io::Error },
    #[error("`{command}` ended by itself ({status}){}", quoted(.output))]
    ExitedEarly { command: String, status: ExitStatus, output: String },
    #[error("`{command}` was killed by the kernel: out of memory{}{}", at(*.limit_mib), quoted(.output))]
    OutOfMemory { command: String, limit_mib: Option<u64>, output: String },
    #[error("`{command}` printed no line with {marker:?} in time{}", quoted(.output))]
    NotSaid { command: String, marker: String, output: String },
    #[error("`{command}` did not answer 200 on {url} within {waited:?} (last: {last}){}", quoted(.output))]
    NotReady { command: String, url: String, waited: Duration, last: String, output: String },
    #[error("target `{target}` needs {what}: {hint}")]
    Missing { target: String, what: String, hint: String },
    #[error("target `{target}`: {what}")]
    Target { target: String, what: String },
    #[error("cannot drop the page cache: {0}; run as root, or measure with a warm cache")]
    PageCache(io::Error),
    #[error("interrupted")]
    Interrupted,
}

fn quoted(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!("; its last output was:\n{output}") }
}

fn at(limit_mib: Option<u64>) -> String {
    limit_mib.map_or_else(String::new, |mib| format!(" at its limit of {mib} MiB"))
}
