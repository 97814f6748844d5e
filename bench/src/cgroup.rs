//! The memory that the kernel charges to a control group, of version 1 or 2.
//!
//! It is another scope than PSS: pages that several groups share are charged to whoever touched them first, and
//! the kernel's own memory (sockets, page tables, slab) is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A control group with a memory controller.
#[derive(Clone, Debug)]
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
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let group = find(&groups, &mounts)?;
        group.directory.is_dir().then_some(group)
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

fn field(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// From `/proc/PID/cgroup` and `/proc/self/mountinfo` to the directory, see cgroups(7).
fn find(groups: &str, mounts: &str) -> Option<Cgroup> {
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
    Some(Cgroup { version, directory: Path::new(point).join(below) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_in_either_version() {
        let v1 = "30 25 0:26 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory\n";
        let v2 = "29 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let hybrid = format!("28 25 0:9 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n{v1}");
        let find = |groups, mounts: &str| find(groups, mounts).map(|group| (group.version, group.directory));
        let expected = |version, path: &str| Some((version, PathBuf::from(path)));
        assert_eq!(
            find("4:memory:/docker/ab\n0::/\n", &hybrid),
            expected(1, "/sys/fs/cgroup/memory/docker/ab")
        );
        assert_eq!(find("0::/system.slice/x\n", v2), expected(2, "/sys/fs/cgroup/system.slice/x"));
        assert_eq!(find("0::/system.slice/x\n", ""), None);
        let inside = "30 25 0:26 /docker/me /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(find("4:memory:/docker/me/x\n", inside), expected(1, "/sys/fs/cgroup/memory/x"));
    }

    #[test]
    fn fields_are_whole_words() {
        assert_eq!(field("anon_thp 5\nanon 7\n", "anon"), Some(7));
        assert_eq!(field("anon_thp 5\n", "anon"), None);
    }
}
