//! Configuration: `OUNCE_*` variables and a flag for each, read through one table, typed once, all mistakes
//! reported together.

pub mod bert;
pub mod jobs;
mod presets;
mod values;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use self::bert::Bert;
use self::jobs::Jobs;
use self::presets::{PRESETS, Preset};
use self::values::{address, bytes, log_format, name, number, switch, time, workers};

/// What `ounce serve` runs with.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub listen: SocketAddr,
    /// Where metrics are served instead of on `listen`.
    pub metrics_listen: Option<SocketAddr>,
    pub metrics: bool,
    pub workers: usize,
    pub variant: String,
    pub log: LogFormat,
    pub access_log: bool,
    pub limits: Limits,
    pub timeouts: Timeouts,
    pub bert: Bert,
    pub jobs: Jobs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
    Off,
}

/// Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    pub connections: usize,
    pub body: usize,
    pub header: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeouts {
    /// From the first byte of a request, or from the connection's start, to the end of its head.
    pub header: Duration,
    /// From the end of the head to the end of the body.
    pub body: Duration,
    /// Without the client taking a byte of the response.
    pub write: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// How long to go on serving as usual after a signal, while load balancers notice `/readyz`.
    pub drain_delay: Duration,
    /// How long requests in flight may take after that.
    pub shutdown: Duration,
}

/// One line of the table. The variable is the flag in capitals: `--max-body` is `OUNCE_MAX_BODY`.
struct Setting {
    flag: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
    set: fn(&mut Config, &str) -> Result<(), String>,
}

impl Setting {
    fn variable(&self) -> String {
        format!("OUNCE_{}", self.flag.to_uppercase().replace('-', "_"))
    }
}

const SETTINGS: &[Setting] = &[
    Setting {
        flag: "listen",
        value: "ADDRESS",
        default: "0.0.0.0:8080",
        help: "where to serve; port 0 takes a free one, [::]:8080 both families",
        set: |config, text| address(text).map(|address| config.listen = address),
    },
    Setting {
        flag: "metrics-listen",
        value: "ADDRESS",
        default: "",
        help: "where to serve metrics instead of on --listen",
        set: |config, text| address(text).map(|address| config.metrics_listen = Some(address)),
    },
    Setting {
        flag: "metrics",
        value: "on|off",
        default: "on",
        help: "measure requests",
        set: |config, text| switch(text).map(|on| config.metrics = on),
    },
    Setting {
        flag: "workers",
        value: "N|auto",
        default: "auto",
        help: "threads that serve; auto is one for each CPU that this process may use",
        set: |config, text| workers(text).map(|workers| config.workers = workers),
    },
    Setting {
        flag: "max-connections",
        value: "N",
        default: "4096",
        help: "connections open at once; more wait until one closes",
        set: |config, text| number(text, values::MOST_CONNECTIONS).map(|n| config.limits.connections = n),
    },
    Setting {
        flag: "max-body",
        value: "BYTES",
        default: "1m",
        help: "largest request body; k and m stand for 1024 and 1048576",
        set: |config, text| bytes(text, 0).map(|n| config.limits.body = n),
    },
    Setting {
        flag: "max-header",
        value: "BYTES",
        default: "16k",
        help: "largest request head",
        set: |config, text| bytes(text, 256).map(|n| config.limits.header = n),
    },
    Setting {
        flag: "header-timeout",
        value: "TIME",
        default: "10s",
        help: "for a request's head to arrive; times are 500ms, 10s, 2m",
        set: |config, text| time(text, 1).map(|time| config.timeouts.header = time),
    },
    Setting {
        flag: "body-timeout",
        value: "TIME",
        default: "30s",
        help: "for a request's body to arrive",
        set: |config, text| time(text, 1).map(|time| config.timeouts.body = time),
    },
    Setting {
        flag: "write-timeout",
        value: "TIME",
        default: "30s",
        help: "without the client taking a byte of its response",
        set: |config, text| time(text, 1).map(|time| config.timeouts.write = time),
    },
    Setting {
        flag: "idle-timeout",
        value: "TIME",
        default: "60s",
        help: "between two requests of a connection",
        set: |config, text| time(text, 1).map(|time| config.timeouts.idle = time),
    },
    Setting {
        flag: "drain-delay",
        value: "TIME",
        default: "0s",
        help: "to go on serving after SIGTERM, with /readyz at 503",
        set: |config, text| time(text, 0).map(|time| config.timeouts.drain_delay = time),
    },
    Setting {
        flag: "shutdown-timeout",
        value: "TIME",
        default: "60s",
        help: "for requests in flight to finish after that",
        set: |config, text| time(text, 0).map(|time| config.timeouts.shutdown = time),
    },
    Setting {
        flag: "log",
        value: "text|json|off",
        default: "text",
        help: "format of the log, on standard error",
        set: |config, text| log_format(text).map(|format| config.log = format),
    },
    Setting {
        flag: "access-log",
        value: "on|off",
        default: "off",
        help: "log every request",
        set: |config, text| switch(text).map(|on| config.access_log = on),
    },
    Setting {
        flag: "variant",
        value: "NAME",
        default: VARIANT,
        help: "what /health and ounce_build_info call this deployment; see below",
        set: |config, text| name(text).map(|name| config.variant = name),
    },
];

/// All settings; for those that this build has no use for, what it says to them.
fn settings() -> impl Iterator<Item = (&'static Setting, Option<&'static str>)> {
    let all = |settings: &'static [Setting], absent| settings.iter().map(move |setting| (setting, absent));
    let jobs = all(jobs::SETTINGS, (!jobs::BUILT).then_some(jobs::ABSENT));
    let bert = all(bert::SETTINGS, (!bert::BUILT).then_some(bert::ABSENT));
    all(SETTINGS, None).chain(jobs).chain(bert)
}

/// What this build is called unless it is told otherwise.
pub const VARIANT: &str = if cfg!(feature = "standard") { "standard" } else { "minimal" };

impl Config {
    /// Reads flags, then variables, then the defaults of the variant, then those for all.
    ///
    /// Unknown `OUNCE_*` variables are not mistakes: Kubernetes sets `OUNCE_PORT` and others of its own in every
    /// pod beside a service that is called `ounce`.
    ///
    /// # Errors
    /// Every mistake, one a line, each saying where the value came from.
    pub fn read(
        mut flags: impl Iterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, Vec<String>> {
        Config::read_from(&mut flags, &variable)
    }

    /// The same, compiled once for all kinds of arguments: it is kilobytes.
    fn read_from(
        flags: &mut dyn Iterator<Item = String>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Vec<String>> {
        let mut mistakes = Vec::new();
        let flags = parse_flags(flags, &mut mistakes);
        let given = |setting: &Setting| {
            if let Some((flag, value)) = flags.iter().rev().find(|(flag, _)| *flag == setting.flag) {
                return Some((format!("--{flag}"), value.clone()));
            }
            let name = setting.variable();
            let value = variable(&name).filter(|value| !value.is_empty())?;
            Some((name, value))
        };
        let preset = SETTINGS.iter().find(|setting| setting.flag == "variant").and_then(given);
        let preset = preset.and_then(|(_, variant)| Preset::of(&variant));
        let mut config = Config::unset();
        for (setting, absent) in settings() {
            let default = preset.and_then(|preset| preset.value(setting.flag)).unwrap_or(setting.default);
            let (source, value) = match given(setting) {
                None if default.is_empty() || absent.is_some() => continue,
                None => ("default".into(), default.into()),
                Some(given) => given,
            };
            let set = absent.map_or_else(|| (setting.set)(&mut config, &value), |absent| Err(absent.into()));
            if let Err(why) = set {
                // It may hold a password.
                let shown = if setting.value == "URL" { "its value".into() } else { format!("'{value}'") };
                mistakes.push(format!("{source}: {shown} {why}"));
            }
        }
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }

    /// Overwritten by the defaults of [`settings`], which a test checks.
    fn unset() -> Config {
        let zero = Duration::ZERO;
        Config {
            listen: SocketAddr::from(([0, 0, 0, 0], 0)),
            metrics_listen: None,
            metrics: false,
            workers: 0,
            variant: String::new(),
            log: LogFormat::Off,
            access_log: false,
            limits: Limits { connections: 0, body: 0, header: 0 },
            timeouts: Timeouts {
                header: zero,
                body: zero,
                write: zero,
                idle: zero,
                drain_delay: zero,
                shutdown: zero,
            },
            bert: Bert::unset(),
            jobs: Jobs::unset(),
        }
    }
}

/// Takes `--flag value` and `--flag=value`.
fn parse_flags(
    args: &mut dyn Iterator<Item = String>,
    mistakes: &mut Vec<String>,
) -> Vec<(&'static str, String)> {
    let mut given = Vec::new();
    while let Some(arg) = args.next() {
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        let known = flag.strip_prefix("--").and_then(|flag| settings().find(|(known, _)| known.flag == flag));
        match known.map(|(setting, _)| setting) {
            None => mistakes.push(format!("{flag}: no such argument; ounce --help lists them")),
            Some(setting) => match value.or_else(|| args.next()) {
                Some(value) => given.push((setting.flag, value)),
                None => mistakes.push(format!("{flag}: {} is missing", setting.value)),
            },
        }
    }
    given
}

/// The settings' part of `--help`.
pub fn help() -> String {
    let mut text = String::new();
    for (setting, _) in settings().filter(|(_, absent)| absent.is_none()) {
        let flag = format!("--{} {}", setting.flag, setting.value);
        let default = if setting.default.is_empty() { "none" } else { setting.default };
        let _ = writeln!(text, "  {flag:<26} {} (default {default})", setting.help);
    }
    for Preset { variant, help, values } in PRESETS {
        let values: Vec<_> = values.iter().map(|(flag, value)| format!("--{flag} {value}")).collect();
        let lines: Vec<_> = values.chunks(4).map(|some| some.join(" ")).collect();
        let _ = writeln!(text, "\n--variant {variant} has defaults for {help}:\n  {}", lines.join("\n  "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let lookup =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        Config::read(flags.iter().map(|flag| flag.to_string()), lookup)
    }

    #[test]
    fn defaults_set_everything() {
        let config = read(&[], &[]).unwrap();
        assert_eq!(config.listen.port(), 8080);
        assert!(
            config.metrics && config.workers > 0 && config.limits.connections > 0 && config.limits.body > 0
        );
        let Timeouts { header, body, write, idle, shutdown, .. } = config.timeouts;
        assert!([header, body, write, idle, shutdown].iter().all(|timeout| !timeout.is_zero()));
        assert_eq!(config.limits.header, 16 * 1024);
        assert_eq!(config.log, LogFormat::Text);
        assert_eq!(config.variant, VARIANT);
    }

    #[test]
    fn a_flag_beats_a_variable_and_the_last_flag_counts() {
        let config = read(&["--max-body=1k", "--max-body", "2k"], &[("OUNCE_MAX_BODY", "3k")]).unwrap();
        assert_eq!(config.limits.body, 2048);
        let config = read(&[], &[("OUNCE_MAX_BODY", "3k"), ("OUNCE_LISTEN", "[::1]:1")]).unwrap();
        assert_eq!((config.limits.body, config.listen.is_ipv6()), (3072, true));
    }

    #[test]
    fn a_flag_beats_a_variable_beats_the_preset_beats_the_default() {
        let preset = ["--variant", "unikernel"];
        let config = read(&preset, &[]).unwrap();
        assert_eq!((config.workers, config.limits.connections), (1, 56));
        assert_eq!(config.timeouts.header, read(&[], &[]).unwrap().timeouts.header);
        let variables = [("OUNCE_VARIANT", "unikernel"), ("OUNCE_MAX_CONNECTIONS", "7")];
        let config = read(&[], &variables).unwrap();
        assert_eq!((config.workers, config.limits.connections, config.variant.as_str()), (1, 7, "unikernel"));
        assert_eq!(read(&["--max-connections=8"], &variables).unwrap().limits.connections, 8);
        assert_eq!(read(&["--variant=other"], &variables).unwrap().limits.body, 1024 * 1024);
    }

    #[test]
    fn every_preset_is_valid_and_changes_what_it_names() {
        let plain = read(&[], &[]).unwrap();
        for preset in PRESETS {
            let config = read(&["--variant", preset.variant], &[]).unwrap_or_else(|why| panic!("{why:?}"));
            assert_ne!(Config { variant: plain.variant.clone(), ..config }, plain, "{}", preset.variant);
            for (flag, _) in preset.values {
                let setting = settings().map(|(setting, _)| setting).find(|setting| setting.flag == *flag);
                let setting = setting.unwrap_or_else(|| panic!("{}: no --{flag}", preset.variant));
                assert_ne!(preset.value(flag), Some(setting.default), "{}: --{flag}", preset.variant);
            }
        }
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        assert_eq!(read(&[], &[("OUNCE_LISTEN", "")]).unwrap().listen.port(), 8080);
    }

    #[test]
    fn every_mistake_is_reported_with_its_source() {
        let flags = ["--listen", "nowhere", "--colour", "--idle-timeout", "5 minutes", "--log"];
        let mistakes =
            read(&flags, &[("OUNCE_WORKERS", "none"), ("OUNCE_HEADER_TIMEOUT", "0s")]).unwrap_err();
        let sources: Vec<_> = mistakes.iter().map(|mistake| mistake.split(':').next().unwrap()).collect();
        assert_eq!(
            sources,
            ["--colour", "--log", "--listen", "OUNCE_WORKERS", "OUNCE_HEADER_TIMEOUT", "--idle-timeout"]
        );
    }

    #[test]
    fn a_build_without_the_model_does_not_pretend_to_have_it() {
        let read = read(&["--bert-queue=2"], &[("OUNCE_BERT_DIR", "models/one")]);
        if bert::BUILT {
            let Bert { dir, limits } = read.unwrap().bert;
            assert_eq!((dir, limits.queue), (Some("models/one".into()), 2));
            assert!(limits.threads > 0 && !limits.timeout.is_zero());
        } else {
            let mistakes = read.unwrap_err();
            let told = |start, mistake: &str| mistake.starts_with(start) && mistake.ends_with(bert::ABSENT);
            assert!(told("OUNCE_BERT_DIR: 'models/one' ", &mistakes[0]), "{mistakes:?}");
            assert!(told("--bert-queue: '2' ", &mistakes[1]), "{mistakes:?}");
        }
    }

    #[test]
    fn help_names_every_flag() {
        let help = help();
        assert!(
            settings()
                .all(|(setting, absent)| absent.is_none() == help.contains(&format!("--{} ", setting.flag)))
        );
        assert!(PRESETS.iter().all(|preset| help.contains(&format!("--variant {} ", preset.variant))));
    }
}
