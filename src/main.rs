//! The command line of `ounce`: arguments → configuration → serve → drain → exit code.
#![forbid(unsafe_code)]

/// The component has no command line: it is the library.
#[cfg(target_family = "wasm")]
fn main() {}

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    cli::main()
}

#[cfg(not(target_family = "wasm"))]
mod cli {
    use std::env;
    use std::process::ExitCode;

    use ounce::native::config::{self, Config};
    use ounce::native::{self, log, probe};

    /// EX_USAGE of sysexits(3).
    const USAGE: u8 = 64;

    pub fn main() -> ExitCode {
        let args = env::args_os().map(|arg| arg.to_string_lossy().into_owned());
        let mut args = args.skip(1).peekable();
        match args.peek().map(String::as_str) {
            Some("--help" | "-h" | "help") => help(),
            Some("--version" | "-V") => version(),
            Some("health") => health(args.skip(1)),
            Some("serve") => serve(args.skip(1)),
            _ => serve(args),
        }
    }

    fn serve(args: impl Iterator<Item = String>) -> ExitCode {
        let config = match read(args) {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        log::init(config.log);
        match native::serve(config) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("ounce: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn health(mut args: impl Iterator<Item = String>) -> ExitCode {
        let url = match args.next() {
            Some(url) if !url.starts_with("--") => url,
            flag => match read(flag.into_iter().chain(args)) {
                Ok(config) => probe::default_url(config.listen),
                Err(exit) => return exit,
            },
        };
        match probe::ask(&url) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("ounce: {why}");
                ExitCode::FAILURE
            }
        }
    }

    fn read(args: impl Iterator<Item = String>) -> Result<Config, ExitCode> {
        Config::read(args, |name| Some(env::var_os(name)?.to_string_lossy().into_owned())).map_err(
            |mistakes| {
                for mistake in mistakes {
                    eprintln!("ounce: {mistake}");
                }
                ExitCode::from(USAGE)
            },
        )
    }

    fn version() -> ExitCode {
        println!("ounce {} ({})", env!("CARGO_PKG_VERSION"), config::VARIANT);
        ExitCode::SUCCESS
    }

    fn help() -> ExitCode {
        print!(
            "\
A tiny HTTP service: probes, health, metrics.

usage: ounce [serve] [flags]         serve until SIGTERM or SIGINT
       ounce health [URL | flags]    ask a running instance; exit code 0 or 1
       ounce --help | --version

Every flag is also a variable: --max-body is OUNCE_MAX_BODY. Flags win.

{}
Exit codes: 0 after a clean stop, 1 on failure or when requests were cut off, 64 for mistakes in the arguments.
",
            config::help()
        );
        ExitCode::SUCCESS
    }
}
