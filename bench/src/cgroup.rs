//! The memory that the kernel charges to a control group, of version 1 or 2, and groups of the scale's own.
//!
//! It is another scope than PSS: pages that several groups share are charged to whoever touched them first, and
//! the kernel's own memory (sockets, page tables, slab) is in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A control group with a memory controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    version: u8,
    directory: PathBuf,
}

/// What is charged to a group, in bytes. What the version does not tell is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// 1 or 2.
    pub version: u8,
    /// All of it, reclaimable page cache included.
    pub current: u64,
    pub anon: u64,
    pub file: u64,
    /// The kernel's memory; version 1 counts TCP buffers apart.
    pub kernel: Option<u64>,
    pub slab: Option<u64>,
    pub sock: Option<u64>,
    /// The configured limit, if there is one.
    pub limit: Option<u64>,
}

impl Cgroup {
    /// The group of a process; nothing where it cannot be read.
    pub fn of(pid: i32) -> Option<Self> {
        let group = Hierarchy::of(&pid.to_string())?.group();
        group.directory.is_dir().then_some(group)
    }

    /// Makes a group below `parent`, in which its members may have `limit` bytes of memory, none of it swapped out.
    ///
    /// # Errors
    /// When that may not be done there, or the memory controller is not there.
    pub fn make(parent: &Self, name: &str, limit: Option<u64>) -> io::Result<Self> {
        let group = Self { version: parent.version, directory: parent.directory.join(name) };
        let shown = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot make {}: {error}", group.directory.display()))
        };
        fs::create_dir(&group.directory).map_err(shown)?;
        if let Err(error) = group.prepare(limit) {
            let _ = group.remove();
            return Err(error);
        }
        Ok(group)
    }

    fn prepare(&self, limit: Option<u64>) -> io::Result<()> {
        let (usage, max, swap) = match self.version {
            2 => ("memory.current", "memory.max", "memory.swap.max"),
            _ => ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
        };
        let has = |name: &str| self.directory.join(name).exists();
        if !has(usage) && self.version == 2 {
            // Refused to a group that has processes of its own, unless it is the root.
            let parent = self.directory.parent().unwrap_or(&self.directory);
            write(&parent.join("cgroup.subtree_control"), "+memory")?;
        }
        if !has(usage) {
            let what = format!("the memory controller is not enabled in {}", self.directory.display());
            return Err(io::Error::other(what));
        }
        let Some(limit) = limit else { return Ok(()) };
        write(&self.directory.join(max), &limit.to_string())?;
        if has(swap) {
            // Version 1 limits memory and swap together, version 2 swap alone.
            write(&self.directory.join(swap), &if self.version == 2 { 0 } else { limit }.to_string())?;
        }
        Ok(())
    }

    /// The file to which a process writes "0" to enter: a thread alone moves at once, while a process with all its
    /// threads waits for every fork on the machine. Version 2 moves only processes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn door(&self) -> io::Result<File> {
        let name = if self.version == 2 { "cgroup.procs" } else { "tasks" };
        OpenOptions::new().write(true).open(self.directory.join(name))
    }

    /// Its processes.
    pub fn members(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.directory.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// How many of its processes the kernel has killed for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let name = if self.version == 2 { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.directory.join(name)).unwrap_or_default();
        field(&text, "oom_kill").unwrap_or(0)
    }

    /// # Errors
    /// When it still has members; one that is gone is none.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The groups of this process's hierarchy whose name is among those asked for.
    pub fn named(is_asked: impl Fn(&str) -> bool) -> Vec<Self> {
        let Some(hierarchy) = Hierarchy::of("self") else { return Vec::new() };
        let (mut found, mut next) = (Vec::new(), vec![hierarchy.mount]);
        while let Some(directory) = next.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                if entry.file_name().to_str().is_some_and(&is_asked) {
                    found.push(Self { version: hierarchy.version, directory: entry.path() });
                }
                next.push(entry.path());
            }
        }
        found
    }

    /// # Errors
    /// When the group is gone or tells nothing.
    pub fn read(&self) -> io::Result<Charge> {
        let text = |name: &str| fs::read_to_string(self.directory.join(name));
        let number = |name: &str| text(name).ok()?.trim().parse::<u64>().ok();
        if self.version == 2 {
            let stat = text("memory.stat")?;
            return Ok(Charge {
                version: 2,
                current: number("memory.current").ok_or(io::ErrorKind::InvalidData)?,
                anon: field(&stat, "anon").unwrap_or(0),
                file: field(&stat, "file").unwrap_or(0),
                kernel: field(&stat, "kernel"),
                slab: field(&stat, "slab"),
                sock: field(&stat, "sock"),
                limit: number("memory.max"),
            });
        }
        let stat = text("memory.stat")?;
        Ok(Charge {
            version: 1,
            current: number("memory.usage_in_bytes").ok_or(io::ErrorKind::InvalidData)?,
            anon: field(&stat, "total_rss").unwrap_or(0),
            file: field(&stat, "total_cache").unwrap_or(0),
            kernel: number("memory.kmem.usage_in_bytes"),
            slab: None,
            sock: number("memory.kmem.tcp.usage_in_bytes"),
            // No limit is the largest number of pages.
            limit: number("memory.limit_in_bytes").filter(|&limit| limit < 1 << 60),
        })
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let shown = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut file = OpenOptions::new().write(true).open(path).map_err(shown)?;
    file.write_all(text.as_bytes()).map_err(shown)
}

fn field(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The hierarchy that counts memory, and where in it a process is.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    version: u8,
    mount: PathBuf,
    below: PathBuf,
}

impl Hierarchy {
    fn of(pid: &str) -> Option<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        Self::find(&groups, &fs::read_to_string("/proc/self/mountinfo").ok()?)
    }

    /// From `/proc/PID/cgroup` and `/proc/self/mountinfo`, see cgroups(7).
    fn find(groups: &str, mounts: &str) -> Option<Self> {
        let lines = || groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let memory = lines().find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
        let (version, path) = match memory {
            Some((_, path)) => (1, path),
            None => (2, lines().find(|(controllers, _)| controllers.is_empty())?.1),
        };
        let mounted = mounts.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut fields = before.split(' ').skip(3);
            let (root, point) = (fields.next()?, fields.next()?);
            let (kind, options) = (after.split(' ').next()?, after.rsplit(' ').next()?);
            let fits = match version {
                1 => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
                _ => kind == "cgroup2",
            };
            fits.then_some((root, point))
        });
        let (root, point) = mounted?;
        let below = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
        Some(Self { version, mount: point.into(), below: below.into() })
    }

    fn group(&self) -> Cgroup {
        Cgroup { version: self.version, directory: self.mount.join(&self.below) }
    }

    /// Where a group of one's own may be, the best place first: nothing above the root is charged, too, and it
    /// alone may have both processes and groups with controllers in version 2. A user has rights beside or below
    /// their own group at most.
    fn places(&self) -> Vec<Cgroup> {
        let own = self.mount.join(&self.below);
        let beside = own.parent().filter(|_| self.version == 2 && own != self.mount).map(Path::to_owned);
        let mut places: Vec<PathBuf> = vec![self.mount.clone()];
        for directory in beside.into_iter().chain([own]) {
            if !places.contains(&directory) {
                places.push(directory);
            }
        }
        places.into_iter().map(|directory| Cgroup { version: self.version, directory }).collect()
    }
}

/// The groups below which a group of one's own may be made, the best first. Empty without a memory controller.
pub fn places() -> Vec<Cgroup> {
    Hierarchy::of("self").map(|hierarchy| hierarchy.places()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "30 25 0:26 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory\n";
    const V2: &str = "29 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn a_group_is_found_in_either_version() {
        let hybrid = format!("28 25 0:9 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n{V1}");
        let find = |groups, mounts: &str| Hierarchy::find(groups, mounts).map(|found| found.group());
        let expected = |version, path: &str| Some(Cgroup { version, directory: path.into() });
        assert_eq!(
            find("4:memory:/docker/ab\n0::/\n", &hybrid),
            expected(1, "/sys/fs/cgroup/memory/docker/ab")
        );
        assert_eq!(find("0::/system.slice/x\n", V2), expected(2, "/sys/fs/cgroup/system.slice/x"));
        assert_eq!(find("0::/system.slice/x\n", ""), None);
        let inside = "30 25 0:26 /docker/me /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(find("4:memory:/docker/me/x\n", inside), expected(1, "/sys/fs/cgroup/memory/x"));
    }

    #[test]
    fn a_group_is_made_at_the_root_else_beside_or_below_ones_own() {
        let places = |groups, mounts| {
            let places = Hierarchy::find(groups, mounts).unwrap().places().into_iter();
            places.map(|place| place.directory.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let root = "/sys/fs/cgroup";
        let session = places("0::/user.slice/app.slice/x.scope\n", V2);
        let slice = format!("{root}/user.slice/app.slice");
        assert_eq!(session, [root, &slice, &format!("{slice}/x.scope")]);
        assert_eq!(places("0::/\n", V2), [root]);
        assert_eq!(places("0::/init.scope\n", V2), [root, &format!("{root}/init.scope")]);
        let root = format!("{root}/memory");
        assert_eq!(places("4:memory:/a/b\n", V1), [root.clone(), format!("{root}/a/b")]);
    }

    /// A directory with files like those of a group.
    struct Fake(PathBuf);

    impl Fake {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let dir = std::env::temp_dir().join(format!("cgroup-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(dir.join("group")).unwrap();
            for (file, text) in files {
                fs::write(dir.join(file), text).unwrap();
            }
            Self(dir)
        }

        fn group(&self, version: u8) -> Cgroup {
            Cgroup { version, directory: self.0.join("group") }
        }

        fn text(&self, file: &str) -> String {
            fs::read_to_string(self.0.join(file)).unwrap()
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_limit_forbids_swap_in_either_version() {
        let fake = Fake::new(
            "v2",
            &[("group/memory.current", "0"), ("group/memory.max", ""), ("group/memory.swap.max", "")],
        );
        fake.group(2).prepare(Some(4096)).unwrap();
        assert_eq!(
            (fake.text("group/memory.max"), fake.text("group/memory.swap.max")),
            ("4096".into(), "0".into())
        );
        let (max, both) = ("group/memory.limit_in_bytes", "group/memory.memsw.limit_in_bytes");
        let fake = Fake::new("v1", &[("group/memory.usage_in_bytes", "0"), (max, ""), (both, "")]);
        fake.group(1).prepare(None).unwrap();
        assert_eq!(fake.text(max), "");
        fake.group(1).prepare(Some(4096)).unwrap();
        assert_eq!((fake.text(max), fake.text(both)), ("4096".into(), "4096".into()));
        // A kernel without swap accounting.
        let fake = Fake::new("v1-plain", &[("group/memory.usage_in_bytes", "0"), (max, "")]);
        fake.group(1).prepare(Some(4096)).unwrap();
    }

    #[test]
    fn version_2_asks_the_parent_for_the_controller() {
        let fake = Fake::new("control", &[("cgroup.subtree_control", "")]);
        // Files do not appear in a fake; that they are looked for again is what counts.
        let error = fake.group(2).prepare(None).unwrap_err();
        assert!(error.to_string().contains("the memory controller is not enabled"), "{error}");
        assert_eq!(fake.text("cgroup.subtree_control"), "+memory");
        let fake = Fake::new("refused", &[]);
        let error = fake.group(2).prepare(None).unwrap_err();
        assert!(error.to_string().contains("cgroup.subtree_control"), "{error}");
    }

    #[test]
    fn kills_are_counted_in_either_version() {
        let fake =
            Fake::new("kills-2", &[("group/memory.events", "low 0\noom 5\noom_kill 2\noom_group_kill 1\n")]);
        assert_eq!(fake.group(2).oom_kills(), 2);
        let fake = Fake::new(
            "kills-1",
            &[("group/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")],
        );
        assert_eq!((fake.group(1).oom_kills(), fake.group(2).oom_kills()), (3, 0));
    }

    #[test]
    fn fields_are_whole_words() {
        assert_eq!(field("anon_thp 5\nanon 7\n", "anon"), Some(7));
        assert_eq!(field("anon_thp 5\n", "anon"), None);
    }
}
