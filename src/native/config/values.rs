//! Values of settings: from text to type. An error completes the sentence "'TEXT' …".

use std::net::SocketAddr;

use super::LogFormat;
pub use crate::values::{bytes, name, number, switch, time};

pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "is not an address with a port, such as 0.0.0.0:8080 or [::]:8080".into())
}

pub fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        "off" => Ok(LogFormat::Off),
        _ => Err("is not text, json or off".into()),
    }
}

/// More than these is a slip of the finger.
const MOST_WORKERS: usize = 1024;
pub const MOST_CONNECTIONS: usize = 1_000_000;

pub fn workers(text: &str) -> Result<usize, String> {
    match text {
        // Affinity, and the quota of the cgroup (v1 and v2), rounded down.
        "auto" => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        _ => number(text, MOST_WORKERS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_overflow_are_mistakes() {
        assert!(bytes("99999999999999999999", 0).is_err() && bytes("18446744073709551615k", 0).is_err());
        assert!(time("18446744073709551615m", 0).is_err() && time("10", 0).is_err() && time("", 0).is_err());
        assert!(workers("100000").is_err());
    }
}
