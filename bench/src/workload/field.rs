//! What the fields of a workload may hold, checked while they are read, so that an error names their line.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Headers that the generator sets itself, or whose effect it does not know.
const RESERVED: [&str; 3] = ["content-length", "transfer-encoding", "expect"];

/// Reads a value that must pass a check; `T` is it, or an option of it.
fn checked<'de, D, V, T>(deserializer: D, check: impl Fn(&V) -> Result<(), String>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
    T: From<V>,
{
    let value = V::deserialize(deserializer)?;
    check(&value).map_err(D::Error::custom)?;
    Ok(value.into())
}

pub(super) fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    checked(deserializer, |weight: &u32| demand(*weight > 0, "a weight must be above 0"))
}

pub(super) fn connections<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    checked(deserializer, |connections: &usize| demand(*connections > 0, "at least one connection is needed"))
}

pub(super) fn path<'de, D: Deserializer<'de>, T: From<String>>(deserializer: D) -> Result<T, D::Error> {
    let plain = |c: char| c.is_ascii_graphic() && c != '#';
    checked(deserializer, |path: &String| {
        demand(
            path.starts_with('/') && path.chars().all(plain),
            "the path must start with / and hold only visible ASCII without #; others are written as %XX",
        )
    })
}

pub(super) fn method<'de, D: Deserializer<'de>, T: From<String>>(deserializer: D) -> Result<T, D::Error> {
    checked(deserializer, |method: &String| {
        demand(is_token(method), "a method is one word")?;
        demand(method != "CONNECT", "CONNECT opens a tunnel, which is no workload")
    })
}

pub(super) fn headers<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<BTreeMap<String, String>>,
{
    checked(deserializer, |headers: &BTreeMap<String, String>| {
        headers.iter().try_for_each(|(name, value)| header(name, value))
    })
}

fn header(name: &str, value: &str) -> Result<(), String> {
    if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return Err(format!("the header {name} cannot be set: the generator frames a payload by its length"));
    }
    if !is_token(name) || value.contains(char::is_control) {
        return Err(format!("{name:?}: {value:?} is not an HTTP header"));
    }
    Ok(())
}

/// A token of RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn demand(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.into()) }
}
