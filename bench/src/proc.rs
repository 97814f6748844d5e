//! Readings from `/proc`: the process tree, its CPU time, its proportional set size.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

/// Memory of one process or the sum over several, in bytes, from `/proc/PID/smaps_rollup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Proportional set size: each page divided by the number of processes that map it.
    pub pss: u64,
    /// Parts of `pss` by what backs the page; zero on kernels before 5.11, which do not tell.
    pub pss_anon: u64,
    pub pss_file: u64,
    pub pss_shmem: u64,
}

impl Memory {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
        };
        Some(Self {
            pss: field("Pss:")?,
            pss_anon: field("Pss_Anon:").unwrap_or(0),
            pss_file: field("Pss_File:").unwrap_or(0),
            pss_shmem: field("Pss_Shmem:").unwrap_or(0),
        })
    }

    fn add(&mut self, other: Self) {
        self.pss += other.pss;
        self.pss_anon += other.pss_anon;
        self.pss_file += other.pss_file;
        self.pss_shmem += other.pss_shmem;
    }
}

/// Memory of a process.
///
/// # Errors
/// When the file cannot be read (no permission, no such process) or has no `Pss:` line.
pub fn memory(pid: i32) -> io::Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    Memory::parse(&text).ok_or_else(|| io::Error::other("it has no Pss line"))
}

fn named(pid: i32, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot read /proc/{pid}/smaps_rollup: {error}"))
}

/// The sum over processes. One that has ended meanwhile counts nothing; any other failure is an error,
/// because a sum with a part missing would look like a small footprint.
///
/// # Errors
/// When a living process cannot be weighed, or none of them lives.
pub fn memory_of(pids: &[i32]) -> io::Result<Memory> {
    let mut sum = Memory::default();
    let mut weighed = 0;
    for &pid in pids {
        match memory(pid) {
            Ok(memory) => {
                sum.add(memory);
                weighed += 1;
            }
            Err(_) if stat(pid).is_none_or(|stat| stat.is_ending()) => {}
            Err(error) => return Err(named(pid, &error)),
        }
    }
    if weighed == 0 { Err(io::Error::other("no process is left to weigh")) } else { Ok(sum) }
}

/// The part of a virtual machine's PSS that is the RAM of its guest: the mapping that is exactly as large as the RAM is
/// configured, writable, and no ordinary file. Nothing where there is none.
pub fn guest_ram(pid: i32, ram: u64) -> Option<u64> {
    parse_guest_ram(&fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?, ram)
}

fn parse_guest_ram(smaps: &str, ram: u64) -> Option<u64> {
    let is_ram = |heading: &str| {
        let mut words = heading.split_whitespace();
        let (first, last) = words.next()?.split_once('-')?;
        let size = u64::from_str_radix(last, 16).ok()?.checked_sub(u64::from_str_radix(first, 16).ok()?)?;
        let writable = words.next()?.starts_with("rw-");
        let name = words.nth(3).unwrap_or_default();
        let shared = ["/memfd:", "/dev/zero", "/anon_hugepage", "[anon"];
        let anonymous = name.is_empty() || shared.iter().any(|known| name.starts_with(known));
        Some(size == ram && writable && anonymous)
    };
    let (mut inside, mut largest) = (false, None);
    for line in smaps.lines() {
        // A field has a colon after its first word.
        if line.split(' ').next().is_some_and(|word| !word.ends_with(':')) {
            inside = is_ram(line).unwrap_or(false);
        } else if let Some(rest) = line.strip_prefix("Pss:").filter(|_| inside) {
            // A small guest may be as large as a thread's stack, which is hardly touched.
            largest = largest.max(rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        }
    }
    largest.map(|kilobytes| kilobytes * 1024)
}

/// CPU time in seconds that the processes have used, with that of their ended children.
pub fn cpu_seconds(pids: &[i32]) -> f64 {
    let ticks: u64 = pids.iter().filter_map(|&pid| stat(pid)).map(|stat| stat.ticks).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Seconds since boot that these CPUs (all, if none is named) were busy, stolen time included.
pub fn busy_seconds(cpus: &[usize]) -> f64 {
    parse_busy(&fs::read_to_string("/proc/stat").unwrap_or_default(), cpus)
        / rustix::param::clock_ticks_per_second() as f64
}

fn parse_busy(stat: &str, cpus: &[usize]) -> f64 {
    // user nice system idle iowait irq softirq steal; what follows is contained in these.
    sum_ticks(stat, cpus, |ticks| Some(ticks.iter().take(8).sum::<f64>() - ticks.get(3)? - ticks.get(4)?))
}

/// Seconds since boot that the hypervisor gave to others while these CPUs (all, if none is named) had work.
pub fn steal_seconds(cpus: &[usize]) -> f64 {
    parse_steal(&fs::read_to_string("/proc/stat").unwrap_or_default(), cpus)
        / rustix::param::clock_ticks_per_second() as f64
}

fn parse_steal(stat: &str, cpus: &[usize]) -> f64 {
    sum_ticks(stat, cpus, |ticks| ticks.get(7).copied())
}

/// The sum of something about each CPU in `/proc/stat`.
fn sum_ticks(stat: &str, cpus: &[usize], of: impl Fn(&[f64]) -> Option<f64>) -> f64 {
    let ticks = |line: &str| -> Option<f64> {
        let mut words = line.strip_prefix("cpu")?.split_whitespace();
        let cpu: usize = words.next()?.parse().ok()?;
        let ticks: Vec<f64> = words.filter_map(|word| word.parse().ok()).collect();
        (cpus.is_empty() || cpus.contains(&cpu)).then(|| of(&ticks))?
    };
    stat.lines().filter(|line| !line.starts_with("cpu ")).filter_map(ticks).sum()
}

/// The processes below and including `roots`, each once.
pub fn tree(roots: &[i32]) -> Vec<i32> {
    let mut found: Vec<i32> = roots.iter().copied().filter(|&pid| stat(pid).is_some()).collect();
    let mut scanned = None;
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        next += 1;
        // Kernels without CONFIG_PROC_CHILDREN have no such file: fall back to one scan of /proc.
        let below = children(pid).unwrap_or_else(|| {
            scanned.get_or_insert_with(scan_parents).get(&pid).cloned().unwrap_or_default()
        });
        for child in below {
            if !found.contains(&child) {
                found.push(child);
            }
        }
    }
    found
}

/// A process id with its start time, which together do not return when the id is reused.
pub fn identity(pid: i32) -> Option<(i32, u64)> {
    stat(pid).map(|stat| (pid, stat.started))
}

/// Whether the process exists and has not ended (a zombie has).
pub fn is_running(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| stat.state != 'Z')
}

/// The parent of a process.
pub fn parent(pid: i32) -> Option<i32> {
    stat(pid).map(|stat| stat.parent)
}

/// Every process that can be seen.
pub fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The words of a process's command line; none where it cannot be read.
pub fn command_line(pid: i32) -> Vec<String> {
    strings(pid, "cmdline")
}

/// A variable of the environment that a process was started with; none where it cannot be read.
pub fn variable(pid: i32, name: &str) -> Option<String> {
    let found = strings(pid, "environ");
    found.into_iter().find_map(|entry| Some(entry.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

fn strings(pid: i32, file: &str) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let strings = bytes.split(|&byte| byte == 0).filter(|bytes| !bytes.is_empty());
    strings.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
}

/// The file that a process runs: device and number, which no other file has.
fn program(pid: i32) -> Option<(u64, u64)> {
    let file = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((file.dev(), file.ino()))
}

/// Another process that runs the program of one of these: they share its pages, and each has a smaller part.
pub fn sharer(pids: &[i32]) -> Option<i32> {
    let programs: Vec<_> = pids.iter().filter_map(|&pid| program(pid)).collect();
    all().find(|pid| !pids.contains(pid) && program(*pid).is_some_and(|program| programs.contains(&program)))
}

/// Ends a process at once.
pub fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// The name of the program (`comm`), for reports.
pub fn name(pid: i32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

/// Set while a process gives back what it has, which is before it is a zombie (`PF_EXITING` of the kernel's sched.h).
const EXITING: u64 = 4;

struct Stat {
    state: char,
    flags: u64,
    parent: i32,
    ticks: u64,
    started: u64,
}

impl Stat {
    fn is_ending(&self) -> bool {
        self.state == 'Z' || self.flags & EXITING != 0
    }
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name in parentheses may itself hold spaces and parentheses: count fields from the last one.
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        flags: number(6)?,
        parent: fields.get(1)?.parse().ok()?,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        started: number(19)?,
    })
}

fn children(pid: i32) -> Option<Vec<i32>> {
    let mut all = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = fs::read_to_string(task.path().join("children")).ok()?;
        all.extend(text.split_whitespace().filter_map(|word| word.parse::<i32>().ok()));
    }
    Some(all)
}

fn scan_parents() -> HashMap<i32, Vec<i32>> {
    let mut parents: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in all() {
        if let Some(stat) = stat(pid) {
            parents.entry(stat.parent).or_default().push(pid);
        }
    }
    parents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaps_rollup_is_read_in_bytes() {
        let text = "1-2 ---p [rollup]\nRss:  1772 kB\nPss:    424 kB\nPss_Anon:  116 kB\nPss_File: 308 kB\n";
        let memory = Memory::parse(text).unwrap();
        assert_eq!((memory.pss, memory.pss_anon, memory.pss_file), (424 * 1024, 116 * 1024, 308 * 1024));
        assert_eq!(Memory::parse("Rss: 1 kB"), None);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 0 0 0 0 0 10 20 3 4 20 0 1 0 99 0 0";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.state, stat.parent, stat.ticks, stat.started), ('S', 3, 37, 99));
    }

    #[test]
    fn busy_is_all_but_idle_and_waiting() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 4 800 1600 8 16 32 64 128\ncpu1 100 0 0 5 5 0 0 0 0 0\nintr 5\n";
        assert_eq!(
            (parse_busy(stat, &[0]), parse_busy(stat, &[1]), parse_busy(stat, &[])),
            (63.0, 100.0, 163.0)
        );
        assert_eq!(
            (parse_steal(stat, &[0]), parse_steal(stat, &[1]), parse_steal(stat, &[])),
            (32.0, 0.0, 32.0)
        );
    }

    #[test]
    fn guest_ram_is_told_from_stacks_code_and_files() {
        let mapping = |range: &str, rest: &str, pss: u64| {
            format!("{range} {rest}\nSize: 1 kB\nPss: {pss} kB\nPss_Dirty: 9 kB\nVmFlags: rd wr\n")
        };
        let machine = [
            mapping("400000-1800000", "r-xp 00000000 fe:00 7    /usr/bin/qemu", 1),
            mapping("2000000-3400000", "---p 00000000 00:00 0 ", 2),
            mapping("4000000-5400000", "rwxp 00000000 00:00 0 ", 32768),
            mapping("6000000-7400000", "rw-p 00000000 00:00 0 ", 8),
            mapping("8000000-9400000", "rw-p 00000000 00:00 0 ", 4096),
            mapping("a000000-b400000", "rw-p 00000000 fe:00 9    /var/disk image", 8192),
            mapping("c000000-c100000", "rw-p 00000000 00:00 0 [heap]", 16384),
        ];
        assert_eq!(parse_guest_ram(&machine.concat(), 20 << 20), Some(4096 << 10));
        assert_eq!(parse_guest_ram(&machine.concat(), 21 << 20), None);
        let shared = mapping("8000000-9400000", "rw-s 00000000 00:01 2048 /memfd:guest_mem (deleted)", 77);
        assert_eq!(parse_guest_ram(&shared, 20 << 20), Some(77 << 10));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_zero() {
        let me = std::process::id().cast_signed();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id().cast_signed();
        child.wait().unwrap();
        assert!(memory_of(&[dead]).is_err() && memory_of(&[]).is_err());
        assert!(memory_of(&[me, dead]).unwrap().pss > 0, "who has ended weighs nothing");
        // The kernel's own threads run and have no memory to read.
        if name(2).as_deref() == Some("kthreadd") {
            assert!(memory_of(&[me, 2]).is_err());
        }
    }

    #[test]
    fn this_process_has_a_weight_and_a_place_in_the_tree() {
        let me = std::process::id() as i32;
        assert!(memory(me).unwrap().pss > 0);
        assert!(tree(&[me]).contains(&me));
        assert!(scan_parents().values().any(|children| children.contains(&me)));
    }
}
