//! Settings of a component that imports WASI alone: there is nobody to ask.

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
