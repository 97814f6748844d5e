//! The scale's command line; everything else is in the library.

use std::process::ExitCode;

use clap::Parser;
use ounce_bench::cli::{Cli, execute};

fn main() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ounce-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
