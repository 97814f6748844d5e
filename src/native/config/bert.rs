//! Settings of the model behind feature `bert`. They are known to every build, so that one without the feature can
//! say so instead of serving without the model that it was told to load.

use std::path::PathBuf;
use std::time::Duration;

use super::Setting;
use super::values::{self, number, time};

/// Whether this build has the model.
pub const BUILT: bool = cfg!(feature = "bert");

/// What a build without it says to each of these settings.
pub const ABSENT: &str =
    "is for the model bert, which this build does not have: build it with --features bert";

#[derive(Clone, Debug, PartialEq)]
pub struct Bert {
    /// Where the model is; without it there is none.
    pub dir: Option<PathBuf>,
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Threads that compute one text together.
    pub threads: usize,
    /// Texts that may wait for the one being computed.
    pub queue: usize,
    /// For a text to wait and be computed.
    pub timeout: Duration,
}

impl Bert {
    pub(super) fn unset() -> Bert {
        Bert { dir: None, limits: Limits { threads: 0, queue: 0, timeout: Duration::ZERO } }
    }
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        flag: "bert-dir",
        value: "DIRECTORY",
        default: "",
        help: "model to load: config.json, tokenizer.json, model.safetensors",
        set: |config, text| {
            config.bert.dir = Some(text.into());
            Ok(())
        },
    },
    Setting {
        flag: "bert-threads",
        value: "N|auto",
        default: "auto",
        help: "threads for one text; auto leaves one CPU to the workers",
        set: |config, text| threads(text).map(|threads| config.bert.limits.threads = threads),
    },
    Setting {
        flag: "bert-queue",
        value: "N",
        default: "16",
        help: "texts that may wait for the one being computed; more are refused",
        set: |config, text| number(text, 10_000).map(|queue| config.bert.limits.queue = queue),
    },
    Setting {
        flag: "bert-timeout",
        value: "TIME",
        default: "10s",
        help: "for a text to wait and be computed",
        set: |config, text| time(text, 1).map(|timeout| config.bert.limits.timeout = timeout),
    },
];

fn threads(text: &str) -> Result<usize, String> {
    match text {
        "auto" => values::workers("auto").map(|cpus| cpus.saturating_sub(1).max(1)),
        _ => values::workers(text),
    }
}
