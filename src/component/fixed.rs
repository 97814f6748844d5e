//! Settings of a component that imports WASI alone: there is nobody to ask.

use http::HeaderMap;

pub fn variant() -> &'static str {
    "component"
}

/// In bytes; hosts have limits of their own besides.
pub fn max_body() -> usize {
    1024 * 1024
}

pub fn check() -> Result<(), &'static str> {
    Ok(())
}

/// Nobody mounts it anywhere but at the root.
pub fn below_mount<'a>(target: &'a str, _: &HeaderMap) -> &'a str {
    target
}
