//! Why something could not be launched, said so that a reader can act on it.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

#[derive(Debug, Error)]
pub enum LaunchError {
    #[error("cannot start `{command}`: {error}")]
    Spawn { command: String, error: io::Error },
    #[error("`{command}` ended before it was ready ({status}){}", quoted(.output))]
    ExitedEarly { command: String, status: ExitStatus, output: String },
    #[error("`{command}` printed no line with {marker:?} in time{}", quoted(.output))]
    NotSaid { command: String, marker: String, output: String },
    #[error("`{command}` did not answer 200 on {url} within {waited:?} (last: {last}){}", quoted(.output))]
    NotReady { command: String, url: String, waited: Duration, last: String, output: String },
    #[error("target `{target}` needs {what}: {hint}")]
    Missing { target: String, what: String, hint: String },
    #[error("target `{target}`: {what}")]
    Target { target: String, what: String },
    #[error("interrupted")]
    Interrupted,
}

fn quoted(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!("; its last output was:\n{output}") }
}
