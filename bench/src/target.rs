//! Targets: what can be launched and weighed, each described by one TOML file.
//!
//! A target file says how to start a service, when it is ready, and what must be there first. Every relative
//! path in it is resolved against `workdir`, and `workdir` against the directory of the file.

mod select;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use select::{joined, read_dir, select};

use crate::data;

/// One target file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The file's name without `.toml`.
    pub name: String,
    pub kind: Kind,
    /// One line for people.
    #[serde(default)]
    pub summary: String,
    /// Which build of the service this is, for example `standard`.
    #[serde(default)]
    pub variant: String,
    /// Something else than the service, measured for context.
    #[serde(default)]
    pub peer: bool,
    /// Directory in which commands run and relative paths are looked up, relative to the file's own.
    #[serde(default = "here")]
    pub workdir: PathBuf,
    /// `kind = "process"`: the command line, with placeholders `{address}` (host:port), `{host}`, `{port}`,
    /// `{cpus}` (how many the server may use) and `{scratch}` (a directory that lives as long as the instance).
    #[serde(default)]
    pub command: Vec<String>,
    /// `kind = "wasmtime"`: the component to serve.
    pub component: Option<PathBuf>,
    /// `kind = "spin"`: the application's manifest.
    pub manifest: Option<PathBuf>,
    /// `kind = "docker"`: the image, which must be there.
    pub image: Option<String>,
    /// `kind = "docker"`: the port that the service listens on inside [default: 8080].
    pub container_port: Option<u16>,
    /// `kind = "microvm"`: which program is the virtual machine.
    pub vmm: Option<Vmm>,
    /// `kind = "microvm"`: an uncompressed kernel (vmlinux).
    pub kernel: Option<PathBuf>,
    /// The guest's root file system: for a microVM a cpio archive with the service as `/init`, for a unikernel
    /// one with the service as `/ounce`.
    pub initrd: Option<PathBuf>,
    /// `vmm = "firecracker"`: the machine's configuration, of which the scale replaces files, sizes and addresses.
    pub config: Option<PathBuf>,
    /// `kind = "unikraft"`: the directory of the Kraftfile.
    pub kraftfile: Option<PathBuf>,
    /// `kind = "url"`: what already runs, and how to weigh it: its process, or its container.
    pub url: Option<String>,
    pub pid: Option<i32>,
    pub container: Option<String>,
    /// More words for the service (docker, unikraft) or for what runs it (wasmtime, spin). Placeholders
    /// as in `command`.
    #[serde(default)]
    pub args: Vec<String>,
    /// What the instance may use at most.
    #[serde(default)]
    pub limits: Limits,
    /// The port of 127.0.0.1 that `ounce-bench up` serves on; without it, a free one.
    pub port: Option<u16>,
    /// Variables of the service, on top of the inherited environment where it has one; values take placeholders, too.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Files written into `{scratch}` before the start, by name; contents take placeholders.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Placeholders of this target's own, with what they stand for unless a launch says otherwise.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// The workloads that it can answer; empty means all of them.
    #[serde(default)]
    pub workloads: Vec<String>,
    /// A command that makes the artefact, run once before the first launch.
    #[serde(default)]
    pub build: Vec<String>,
    /// The file whose size is reported.
    pub artefact: Option<PathBuf>,
    /// What must be there before the start.
    #[serde(default)]
    pub requires: Vec<Requirement>,
    #[serde(default)]
    pub ready: Ready,
    /// For servers that choose their own port: the words before the address in a line of their output. Without
    /// it the scale picks a free port and passes it by a placeholder.
    pub address_after: Option<String>,
    /// A path that answers JSON about the service itself (name, version, variant); stored with the record.
    pub about: Option<String>,
    /// Seconds from SIGTERM to SIGKILL.
    #[serde(default = "stop_timeout")]
    pub stop_timeout_s: u64,
    /// Where the definition was read from.
    #[serde(skip)]
    pub source: PathBuf,
}

/// How a target is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A program that listens on a socket.
    Process,
    /// A WASI HTTP component in `wasmtime serve`, by default with a fresh instance for each request.
    Wasmtime,
    /// A Spin application in `spin up`.
    Spin,
    /// A container of Docker Engine with a published port.
    Docker,
    /// A Linux guest with the service as its only program.
    Microvm,
    /// The service on Unikraft's base runtime: by `kraft`, or in QEMU with the kernel that
    /// `OUNCE_UNIKRAFT_KERNEL` names.
    Unikraft,
    /// Something that already runs.
    Url,
}

impl Kind {
    /// The word for it in a target file.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Process => "process",
            Kind::Wasmtime => "wasmtime",
            Kind::Spin => "spin",
            Kind::Docker => "docker",
            Kind::Microvm => "microvm",
            Kind::Unikraft => "unikraft",
            Kind::Url => "url",
        }
    }
}

/// The program that is a microVM's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vmm {
    Qemu,
    Firecracker,
}

/// What an instance may use at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// CPUs: a container's quota, which may be a fraction; a guest's number of CPUs.
    pub cpus: Option<f64>,
    /// Memory in MiB (2^20 bytes): the limit of a container's control group, or of one that the scale makes for a
    /// process; all the RAM of a guest.
    pub memory_mib: Option<u64>,
}

/// A file or a program on PATH, and how to get it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    pub file: Option<PathBuf>,
    pub program: Option<String>,
    pub hint: String,
}

/// Something that is missing, and the command that gets it.
#[derive(Clone, Debug)]
pub struct Lack {
    pub what: String,
    pub hint: String,
}

/// Placeholders that only the scale can fill.
const FILLED: [&str; 5] = ["address", "host", "port", "cpus", "scratch"];

/// A server is ready when this path answers 200.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ready {
    pub path: String,
    pub timeout_s: u64,
    /// Words that its output must hold first: some networks stall whoever connects before a guest is up.
    pub console: Option<String>,
}

impl Default for Ready {
    fn default() -> Self {
        Self { path: "/".into(), timeout_s: 10, console: None }
    }
}

fn here() -> PathBuf {
    ".".into()
}

fn stop_timeout() -> u64 {
    5
}

impl Target {
    /// Reads and checks one target file.
    ///
    /// # Errors
    /// `FILE:LINE: what is wrong`.
    pub fn read(path: &Path) -> Result<Self> {
        let mut target: Self = data::read_toml(path)?;
        target.source = path.to_owned();
        target.check()?;
        Ok(target)
    }

    fn check(&self) -> Result<()> {
        let wrong = |key: &str, what: String| Err(data::invalid(&self.source, key, &what));
        let stem = self.source.file_stem().unwrap_or_default().to_string_lossy();
        if self.name != stem {
            return wrong(
                "name",
                format!("name is {:?}, but the file is called {stem}.toml: make them equal", self.name),
            );
        }
        let shown = |kinds: &[Kind]| {
            kinds.iter().map(|kind| format!("\"{}\"", kind.name())).collect::<Vec<_>>().join(", ")
        };
        for (key, set, kinds) in self.keys() {
            if set && !kinds.contains(&self.kind) {
                let others = shown(kinds);
                return wrong(
                    key,
                    format!("`{key}` belongs to kind {others}, not to \"{}\"", self.kind.name()),
                );
            }
        }
        if let Some((key, ..)) = self.keys().iter().find(|(key, set, _)| !set && self.needs(key)) {
            return wrong("kind", format!("kind \"{}\" needs a `{key}`", self.kind.name()));
        }
        if self.pid.is_some() && self.container.is_some() {
            return wrong("container", "`pid` and `container` both say what to weigh: give one".into());
        }
        if self.limits.cpus.is_some_and(|cpus| cpus.is_nan() || cpus <= 0.0)
            || self.limits.memory_mib == Some(0)
        {
            return wrong("cpus", "a limit must be more than 0".into());
        }
        if !self.ready.path.starts_with('/') {
            return wrong("path", format!("ready.path {:?} must start with /", self.ready.path));
        }
        if let Some(file) = self.files.keys().find(|file| file.contains('/') || file.starts_with('.')) {
            return wrong(file, format!("files: {file:?} must be a plain file name"));
        }
        if let Some(name) = self.values.keys().find(|name| FILLED.contains(&name.as_str())) {
            return wrong(name, format!("values: `{{{name}}}` is filled by the scale; choose another name"));
        }
        match self.requires.iter().find(|need| need.file.is_some() == need.program.is_some()) {
            Some(_) => {
                wrong("requires", "each entry of `requires` names either a `file` or a `program`".into())
            }
            None => Ok(()),
        }
    }

    /// Keys that not every kind has: whether each is set, and the kinds that it belongs to.
    fn keys(&self) -> [(&'static str, bool, &'static [Kind]); 16] {
        use Kind::{Docker, Microvm, Process, Spin, Unikraft, Url, Wasmtime};
        [
            ("command", !self.command.is_empty(), &[Process]),
            ("component", self.component.is_some(), &[Wasmtime]),
            ("manifest", self.manifest.is_some(), &[Spin]),
            ("image", self.image.is_some(), &[Docker]),
            ("container_port", self.container_port.is_some(), &[Docker]),
            ("vmm", self.vmm.is_some(), &[Microvm]),
            ("kernel", self.kernel.is_some(), &[Microvm]),
            ("initrd", self.initrd.is_some(), &[Microvm, Unikraft]),
            ("config", self.config.is_some(), &[Microvm]),
            ("kraftfile", self.kraftfile.is_some(), &[Unikraft]),
            ("url", self.url.is_some(), &[Url]),
            ("pid", self.pid.is_some(), &[Url]),
            ("container", self.container.is_some(), &[Url]),
            ("args", !self.args.is_empty(), &[Wasmtime, Spin, Docker, Unikraft]),
            ("cpus", self.limits.cpus.is_some(), &[Docker, Microvm, Unikraft]),
            (
                "memory_mib",
                self.limits.memory_mib.is_some(),
                &[Process, Wasmtime, Spin, Docker, Microvm, Unikraft],
            ),
        ]
    }

    /// Whether a target of this kind cannot do without a key.
    fn needs(&self, key: &str) -> bool {
        match self.kind {
            Kind::Process => key == "command",
            Kind::Wasmtime => key == "component",
            Kind::Spin => key == "manifest",
            Kind::Docker => key == "image",
            Kind::Microvm => {
                ["vmm", "kernel", "initrd"].contains(&key)
                    || (key == "config" && self.vmm == Some(Vmm::Firecracker))
            }
            Kind::Unikraft => key == "initrd",
            Kind::Url => key == "url",
        }
    }

    /// Whether it can answer a workload.
    pub fn serves(&self, workload: &str) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|name| name == workload)
    }

    /// The directory in which the target's commands run.
    pub fn directory(&self) -> PathBuf {
        let parent = self.source.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let joined = parent.join(&self.workdir);
        fs::canonicalize(&joined).unwrap_or(joined)
    }

    /// A path of the definition as seen from here.
    pub fn path(&self, relative: &Path) -> PathBuf {
        self.directory().join(relative)
    }

    /// What the file requires and is not here.
    pub(crate) fn missing(&self) -> Vec<Lack> {
        let lacks = |need: &Requirement| match (&need.file, &need.program) {
            (Some(file), _) if !self.path(file).exists() => Some(format!("the file {}", file.display())),
            (_, Some(program)) if find_program(program).is_none() => Some(format!("the program {program}")),
            _ => None,
        };
        self.requires
            .iter()
            .filter_map(|need| Some(Lack { what: lacks(need)?, hint: need.hint.clone() }))
            .collect()
    }
}

/// Looks a program up on PATH, where administrators have theirs, and where `make setup` puts what it builds.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into(), "/sbin".into()]);
    places.chain(cache().map(|cache| cache.join("bin"))).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The cache of `bench/setup.sh`.
fn cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("OUNCE_CACHE").or_else(|| {
        let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
        Some(caches.join("ounce"))
    })
}
