//! The commands for targets in the background.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::args::{KeepArgs, Names, StatusArgs, UpArgs};
use super::{say, targets};
use crate::background::{self, Store};
use crate::interrupt::{EXIT_INTERRUPTED, Interrupt};
use crate::launch;
use crate::target::{Kind, Target};

/// 0 when all that was asked for is up.
pub fn up_command(args: &UpArgs) -> Result<ExitCode> {
    let (store, mut targets) = (Store::here()?, targets(&args.targets)?);
    if args.port.is_some() && args.targets.target.len() != 1 {
        bail!("--port is for one target: name it with --target");
    }
    // Who asks for everything means everything that can be.
    if args.targets.target.is_empty() {
        targets.retain(can_be_up);
    }
    let interrupt = Interrupt::on_signals().context("cannot watch for signals")?;
    let mut code = ExitCode::SUCCESS;
    for target in &targets {
        match background::up(&store, target, args.port, &interrupt) {
            Ok(up) => say(&format!("{up}\n"))?,
            Err(error) => {
                eprintln!("ounce-bench: {}: {error:#}", target.name);
                code = ExitCode::FAILURE;
            }
        }
        if interrupt.is_set() {
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
    }
    Ok(code)
}

fn can_be_up(target: &Target) -> bool {
    let missing = launch::missing(target);
    if let Some(lack) = missing.first() {
        eprintln!("ounce-bench: {} is left out: it needs {}: {}", target.name, lack.what, lack.hint);
    }
    missing.is_empty() && target.kind != Kind::Url
}

pub fn status_command(args: &StatusArgs) -> Result<ExitCode> {
    let statuses = background::statuses(&Store::here()?.all(&names(&args.names)));
    if args.json {
        say(&(serde_json::to_string_pretty(&statuses)? + "\n"))?;
    } else {
        say(&background::table(&statuses))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub fn logs_command(args: &Names) -> Result<ExitCode> {
    let store = Store::here()?;
    let mut names = names(args);
    if names.is_empty() {
        names = store.names("log");
    }
    if names.is_empty() {
        eprintln!("ounce-bench: nothing was up: no logs in {}", store.dir().display());
    }
    for name in &names {
        let path = store.log(name);
        let log = fs::File::open(&path);
        let mut log = log.with_context(|| format!("{name} was not up: no log {}", path.display()))?;
        if names.len() > 1 {
            say(&format!("==> {name} <==\n"))?;
        }
        match io::copy(&mut log, &mut io::stdout().lock()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            copied => copied.with_context(|| format!("cannot print {}", path.display()))?,
        };
    }
    Ok(ExitCode::SUCCESS)
}

/// 0 when nothing is there any more.
pub fn down_command(args: &Names) -> Result<ExitCode> {
    let store = Store::here()?;
    let mut silent = true;
    let gone = background::down(&store, &names(args), |done| {
        silent = false;
        // Who does not read on wants it stopped all the same.
        let _ = if done.gone {
            writeln!(io::stdout(), "{}", done.line)
        } else {
            writeln!(io::stderr(), "ounce-bench: {}", done.line)
        };
    });
    if silent {
        say("nothing to stop\n")?;
    }
    Ok(if gone { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub fn keep_command(args: &KeepArgs) -> Result<ExitCode> {
    background::keep(&Store::at(&args.state), &args.target, args.address)
}

/// The names that were given, of files without what is around them: a target may be up whose file has gone.
fn names(args: &Names) -> Vec<String> {
    let name = |word: &String| match word.strip_suffix(".toml") {
        Some(path) => Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned(),
        None => word.clone(),
    };
    args.target.iter().map(name).collect()
}
