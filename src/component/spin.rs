//! Settings from Spin's variables: `spin.toml` declares them, `SPIN_VARIABLE_MAX_BODY` and the like set them.
//!
//! A variable is asked for when something needs it, and not before: the instance sees one request, and most need
//! none. There is no start that a mistake could stop, so the default serves, and the instance is not ready.

use http::HeaderMap;
use once_cell::sync::Lazy;
use spin_sdk::variables::{self, Error};

use crate::values::{bytes, name};

pub struct Setting<T> {
    pub value: T,
    pub valid: bool,
}

static VARIANT: Lazy<Setting<String>> = Lazy::new(|| read("variant", "spin", name));
static MAX_BODY: Lazy<Setting<usize>> = Lazy::new(|| read("max_body", "1m", |text| bytes(text, 0)));

pub fn variant() -> &'static str {
    &VARIANT.value
}

pub fn max_body() -> usize {
    MAX_BODY.value
}

pub fn check() -> Result<(), &'static str> {
    checked(&[VARIANT.valid, MAX_BODY.valid])
}

/// Settings that have been read, each of them, so that every mistake is logged.
pub fn checked(valid: &[bool]) -> Result<(), &'static str> {
    if valid.iter().all(|valid| *valid) { Ok(()) } else { Err("misconfigured") }
}

/// What of a request's target (path and query) is the service's own: a route such as `/shop/...` mounts it below the
/// root, and Spin tells in a header what comes after that.
pub fn below_mount<'a>(target: &'a str, headers: &HeaderMap) -> &'a str {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let below = headers.get("spin-path-info").and_then(|value| value.to_str().ok());
    // No header takes a request elsewhere than below its own path.
    match below.filter(|below| below.starts_with('/')).and_then(|below| path.strip_suffix(below)) {
        Some(mount) => &target[mount.len()..],
        None => target,
    }
}

/// Takes the variable, or the default if it is not set. A mistake is logged once in an instance.
pub fn read<T>(variable: &str, default: &str, parse: fn(&str) -> Result<T, String>) -> Setting<T> {
    take(variable, default, parse, |text| format!("'{text}'"))
}

/// The same for what is not to be in a log.
pub fn read_secret<T>(variable: &str, default: &str, parse: fn(&str) -> Result<T, String>) -> Setting<T> {
    take(variable, default, parse, |_| "what it is set to".into())
}

fn take<T>(
    variable: &str,
    default: &str,
    parse: fn(&str) -> Result<T, String>,
    shown: fn(&str) -> String,
) -> Setting<T> {
    let given = match variables::get(variable) {
        // A manifest need not hand it over, and an empty one counts as unset, as everywhere.
        Err(Error::Undefined(_)) => Ok(None),
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => parse(&text).map(Some).map_err(|why| format!("{} {why}", shown(&text))),
        Err(error) => Err(format!("Spin cannot read it: {error}")),
    };
    if let Err(mistake) = &given {
        let set = format!("SPIN_VARIABLE_{}", variable.to_uppercase());
        let instead = if default.is_empty() { String::new() } else { format!("using {default} ") };
        eprintln!("variable {variable}: {mistake}; {instead}until {set} or spin.toml is right");
    }
    let valid = given.is_ok();
    let value = given.ok().flatten().map_or_else(|| parse(default), Ok);
    Setting { value: value.expect("the default is valid"), valid }
}
