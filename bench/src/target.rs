//! Targets: what can be launched and weighed, each described by one TOML file.
//!
//! A target file says how to start a service, when it is ready, and what must be there first. Every relative
//! path in it is resolved against `workdir`, and `workdir` against the directory of the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

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
    /// Memory in MiB (2^20 bytes): a container's limit, or all the RAM of a guest.
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
        match self.requires.iter().find(|need| need.file.is_some() == need.program.is_some()) {
            Some(_) => {
                wrong("requires", "each entry of `requires` names either a `file` or a `program`".into())
            }
            None => Ok(()),
        }
    }

    /// Keys that not every kind has: whether each is set, and the kinds that it belongs to.
    fn keys(&self) -> [(&'static str, bool, &'static [Kind]); 15] {
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
            ("limits", self.limits != Limits::default(), &[Docker, Microvm, Unikraft]),
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

/// Every target in a directory, by name.
///
/// # Errors
/// When the directory cannot be read or a file in it is wrong.
pub fn read_dir(dir: &Path) -> Result<Vec<Target>> {
    let entries =
        fs::read_dir(dir).with_context(|| format!("cannot read the targets directory {}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|ext| ext == "toml"));
    files.sort();
    files.iter().map(|file| Target::read(file)).collect()
}

/// The targets that were asked for: names from `dir`, or paths of target files; all of `dir` when none was.
///
/// # Errors
/// When one is unknown, with the list of those known.
pub fn select(dir: &Path, asked: &[String]) -> Result<Vec<Target>> {
    let known = read_dir(dir)?;
    if asked.is_empty() {
        return Ok(known);
    }
    let mut chosen = Vec::new();
    for word in asked {
        if word.ends_with(".toml") {
            chosen.push(Target::read(Path::new(word))?);
            continue;
        }
        let Some(target) = known.iter().find(|target| target.name == *word) else {
            let names: Vec<&str> = known.iter().map(|target| target.name.as_str()).collect();
            bail!(
                "no target {word:?} in {}; there are: {} (or give the path of a .toml file)",
                dir.display(),
                names.join(", ")
            );
        };
        chosen.push(target.clone());
    }
    // Rows, and what a target's cells share, are told apart by the name.
    for (index, target) in chosen.iter().enumerate() {
        if let Some(other) = chosen[..index].iter().find(|other| other.name == target.name) {
            let (one, two) = (other.source.display(), target.source.display());
            bail!("two targets are called {:?}: {one} and {two}; rename one, or give it once", target.name);
        }
    }
    Ok(chosen)
}
