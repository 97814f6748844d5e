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
    use std::io::{self, Write};
    use std::process::ExitCode;

    use ounce::native::config::{self, Config};
    #[cfg(feature = "init")]
    use ounce::native::init;
    use ounce::native::{self, Role, log, probe};

    /// EX_USAGE of sysexits(3).
    const USAGE: u8 = 64;

    pub fn main() -> ExitCode {
        #[cfg(feature = "init")]
        if init::called(env::args_os().next().as_deref()) {
            return init::main(env::args_os().skip(1));
        }
        let args: Vec<String> =
            env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
        if args.iter().any(|arg| matches!(arg.as_str(), "--help" | "-h")) {
            return help();
        }
        let mut args = args.into_iter().peekable();
        match args.peek().map(String::as_str) {
            Some("help") => help(),
            Some("--version" | "-V") => version(),
            Some("health") => health(args.skip(1)),
            Some("serve") => serve(args.skip(1), Role::Serve),
            Some("worker") => serve(args.skip(1), Role::Work),
            _ => serve(args, Role::Serve),
        }
    }

    /// An output that cannot be written to is no reason to panic, or to exit with another code.
    fn say(mut output: impl Write, text: &str) {
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    }

    fn complain(text: impl std::fmt::Display) {
        say(io::stderr(), &format!("ounce: {text}\n"));
    }

    fn serve(args: impl Iterator<Item = String>, role: Role) -> ExitCode {
        let config = match read(args) {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        log::init(config.log);
        match native::serve(config, role) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                complain(error);
                ExitCode::FAILURE
            }
        }
    }

    fn health(args: impl Iterator<Item = String>) -> ExitCode {
        let mut args = args.peekable();
        let url = args.next_if(|arg| !arg.starts_with('-'));
        let config = match read(args) {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        if let Some(url) = url.as_ref().filter(|url| !url.starts_with("http://")) {
            complain(format_args!("{url}: only http:// URLs can be asked"));
            return ExitCode::from(USAGE);
        }
        match probe::ask(&url.unwrap_or_else(|| probe::default_url(config.listen))) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                complain(why);
                ExitCode::FAILURE
            }
        }
    }

    fn read(args: impl Iterator<Item = String>) -> Result<Config, ExitCode> {
        Config::read(args, |name| Some(env::var_os(name)?.to_string_lossy().into_owned())).map_err(
            |mistakes| {
                for mistake in mistakes {
                    complain(mistake);
                }
                ExitCode::from(USAGE)
            },
        )
    }

    fn version() -> ExitCode {
        say(io::stdout(), &format!("ounce {} ({})\n", env!("CARGO_PKG_VERSION"), config::VARIANT));
        ExitCode::SUCCESS
    }

    fn help() -> ExitCode {
        let text = format!(
            "\
A tiny HTTP service: probes, toxicity of texts, a queue of jobs, health, metrics.

usage: ounce [serve] [flags]         serve until SIGTERM or SIGINT
       ounce worker [flags]          do jobs alone, until SIGTERM or SIGINT
       ounce health [URL | flags]    ask a running instance; exit code 0 or 1
       ounce --help | --version

Every flag is also a variable: --max-body is OUNCE_MAX_BODY. Flags win.

{}
Exit codes: 0 after a clean stop, 1 on failure or when requests were cut off or jobs given back,
64 for mistakes in the arguments.
",
            config::help()
        );
        say(io::stdout(), &text);
        ExitCode::SUCCESS
    }
}
