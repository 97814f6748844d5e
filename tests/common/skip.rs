//! Tests that cannot run on a machine say so.

use std::env;
use std::fs::File;
use std::io::{self, Write};

/// Tells that `what` is not tested here, and why. Where nothing may be skipped (`OUNCE_NO_SKIP`) it fails instead.
pub fn skip(what: &str, why: &str) {
    assert!(env::var_os("OUNCE_NO_SKIP").is_none(), "{what} may not be skipped here: {why}");
    skip_absent(what, why);
}

/// The same for what few machines have: on standard error, past what libtest captures, and in the file that
/// `OUNCE_SKIPPED` names, which `make test` shows at its end.
pub fn skip_absent(what: &str, why: &str) {
    let line = format!("SKIPPED {what}: {why}\n");
    let _ = io::stderr().write_all(line.as_bytes());
    if let Some(path) = env::var_os("OUNCE_SKIPPED") {
        let file = File::options().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("OUNCE_SKIPPED can be written to");
    }
}
