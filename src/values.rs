//! Values of the settings that every platform has: from text to type. An error completes the sentence "'TEXT' …".

use std::time::Duration;

pub fn bytes(text: &str, least: usize) -> Result<usize, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, unit) = match lower.strip_suffix('k') {
        Some(digits) => (digits, 1024),
        None => lower.strip_suffix('m').map_or((lower.as_str(), 1), |digits| (digits, 1024 * 1024)),
    };
    match digits.parse::<usize>().ok().and_then(|n| n.checked_mul(unit)) {
        Some(n) if n >= least => Ok(n),
        _ => Err(format!("is not a size in bytes of at least {least}, such as 4096, 16k or 1m")),
    }
}

pub fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        Ok(text.into())
    } else {
        Err("is not a name of up to 64 letters, digits, '-', '_' or '.'".into())
    }
}

pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => Err("is neither on nor off".into()),
    }
}

pub fn number(text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=most).contains(&n) => Ok(n),
        _ => Err(format!("is not a whole number from 1 to {most}")),
    }
}

/// Longer than this is taken for a mistake, and would overflow clocks.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

pub fn time(text: &str, least_ms: u64) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        _ => 0,
    };
    let time = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).filter(|_| unit > 0);
    match time.map(Duration::from_millis) {
        Some(time) if time >= Duration::from_millis(least_ms) && time <= LONGEST => Ok(time),
        _ => Err(format!("is not a time from {least_ms}ms to a week, such as 500ms, 10s or 2m")),
    }
}

/// A URL of Redis, as far as can be told without its client.
pub fn redis(text: &str) -> Result<String, String> {
    let known = ["redis://", "rediss://"].iter().any(|scheme| text.starts_with(scheme));
    known.then(|| text.into()).ok_or_else(|| "is not a URL such as redis://host:6379/0".into())
}
