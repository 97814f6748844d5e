//! The machine's fingerprint: what a figure depends on beside the thing that was measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::data;
use crate::target::find_program;

/// What is known of a machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Host {
    /// The host's name, or what `--host-label` says.
    pub label: String,
    pub cpu: String,
    /// CPUs online.
    pub cpus: usize,
    pub memory_bytes: u64,
    pub os: String,
    pub kernel: String,
    pub architecture: String,
    /// `none`, or the hypervisor and container as systemd-detect-virt names them.
    pub virtualisation: String,
    /// Version lines of the tools that are installed, by name.
    pub tools: BTreeMap<String, String>,
    pub git: Option<Git>,
}

/// The state of the sources.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Git {
    pub commit: String,
    /// Whether files differ from the commit (records aside).
    pub dirty: bool,
}

const TOOLS: [(&str, &str); 13] = [
    ("rustc", "--version"),
    ("cargo", "--version"),
    ("wasmtime", "--version"),
    ("cc", "--version"),
    ("wrk", "-v"),
    ("nginx", "-v"),
    ("go", "version"),
    ("node", "--version"),
    ("docker", "--version"),
    ("qemu-system-x86_64", "--version"),
    ("firecracker", "--version"),
    ("kraft", "version"),
    ("spin", "--version"),
];

impl Host {
    /// Reads the fingerprint of this machine.
    pub fn here(label: Option<&str>) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let name = read("/proc/sys/kernel/hostname");
        let mut tools: BTreeMap<_, _> = TOOLS
            .iter()
            .filter_map(|(tool, flag)| Some(((*tool).to_owned(), first_line(tool, &[flag])?)))
            .collect();
        tools.insert("ounce-bench".into(), env!("CARGO_PKG_VERSION").into());
        Self {
            label: sanitise(label.unwrap_or(&name)),
            cpu: field(&cpuinfo, "model name")
                .or_else(|| field(&cpuinfo, "CPU part"))
                .unwrap_or_else(|| "unknown".into()),
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            os: os_name(&read("/etc/os-release")),
            kernel: read("/proc/sys/kernel/osrelease"),
            architecture: std::env::consts::ARCH.into(),
            virtualisation: virtualisation(&cpuinfo),
            tools,
            git: git(),
        }
    }

    /// One line for beneath a table.
    pub fn line(&self) -> String {
        let memory = self.memory_bytes as f64 / 1e9;
        let Self { label, cpu, cpus, kernel, os, virtualisation, .. } = self;
        format!(
            "{label}: {cpu}, {cpus} CPUs, {memory:.0} GB, {os}, Linux {kernel}, virtualisation: {virtualisation}"
        )
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_bytes(meminfo: &str) -> u64 {
    let kib =
        field(meminfo, "MemTotal").and_then(|value| value.strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn os_name(os_release: &str) -> String {
    let line = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.map_or_else(|| "unknown".into(), |name| name.trim_matches('"').to_owned())
}

fn virtualisation(cpuinfo: &str) -> String {
    let kinds = ["--vm", "--container"].map(|kind| first_line("systemd-detect-virt", &[kind]));
    if kinds.iter().any(Option::is_some) {
        let found: Vec<String> = kinds.into_iter().flatten().filter(|name| name != "none").collect();
        return if found.is_empty() { "none".into() } else { found.join(", inside it ") };
    }
    let vendor = read("/sys/class/dmi/id/sys_vendor");
    match field(cpuinfo, "flags") {
        Some(flags) if flags.split(' ').any(|flag| flag == "hypervisor") && !vendor.is_empty() => vendor,
        Some(flags) if flags.split(' ').any(|flag| flag == "hypervisor") => "a hypervisor".into(),
        _ => "none".into(),
    }
}

/// File names are made of labels.
fn sanitise(label: &str) -> String {
    let safe: String =
        label.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    if safe.is_empty() { "host".into() } else { safe }
}

/// The first line that a program prints; some print their version to standard error.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(find_program(program)?).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&text).lines().next()?.trim().to_owned();
    (!line.is_empty()).then_some(line)
}

fn git() -> Option<Git> {
    let run = |arguments: &[&str]| {
        let project = data::bench_dir();
        let mut git = Command::new("git");
        git.arg("-C").arg(project.parent().unwrap_or(Path::new("."))).args(arguments).stdin(Stdio::null());
        let output = git.output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = run(&["rev-parse", "HEAD"])?;
    let dirty = !run(&["status", "--porcelain", "--", ".", ":(exclude)bench/records"])?.is_empty();
    Some(Git { commit, dirty })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_safe_in_a_file_name() {
        assert_eq!(sanitise("my host/../x"), "my-host-..-x");
        assert_eq!(sanitise(""), "host");
    }

    #[test]
    fn this_machine_has_a_fingerprint() {
        let host = Host::here(Some("here"));
        assert!(host.cpus > 0 && host.memory_bytes > 0 && !host.kernel.is_empty());
        assert!(host.line().starts_with("here: "));
    }
}
