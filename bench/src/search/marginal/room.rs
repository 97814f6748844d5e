//! How much memory there is to launch into: a machine that runs short kills, and not only what was launched.

use std::fs;

use crate::cgroup::Cgroup;

/// Kept free at least, in bytes.
const FLOOR: u64 = 512 << 20;
/// And at least this part of the machine's memory.
const FLOOR_SHARE: u64 = 10;

/// Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    total: u64,
    available: u64,
}

impl Room {
    /// What the kernel says of the machine, and of the control group in which the scale itself is limited.
    pub(super) fn here() -> Self {
        let machine = Self::parse(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
        let group = Cgroup::of(std::process::id().cast_signed()).and_then(|group| group.read().ok());
        let limited = group.and_then(|charge| {
            // Files' pages are given back when they are needed.
            Some(charge.limit?.saturating_sub(charge.current.saturating_sub(charge.file)))
        });
        match limited {
            Some(left) => Self { available: machine.available.min(left), ..machine },
            None => machine,
        }
    }

    fn parse(meminfo: &str) -> Self {
        let field = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
        };
        Self { total: field("MemTotal:").unwrap_or(0), available: field("MemAvailable:").unwrap_or(0) }
    }

    /// Why there is no room for so many bytes.
    pub(super) fn short_of(&self, need: f64) -> Option<String> {
        let floor = FLOOR.max(self.total / FLOOR_SHARE);
        let mb = |bytes: f64| bytes / 1e6;
        (self.available as f64 - need < floor as f64).then(|| {
            format!(
                "they may need {:.0} MB, {:.0} MB of memory are available, and {:.0} MB are kept free",
                mb(need),
                mb(self.available as f64),
                mb(floor as f64),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    #[test]
    fn meminfo_is_read_in_bytes() {
        let text = "MemTotal:  2000 kB\nMemFree:  500 kB\nMemAvailable:  1000 kB\n";
        assert_eq!(Room::parse(text), Room { total: 2000 * 1024, available: 1000 * 1024 });
        assert!(Room::here().available > 0 && Room::here().total >= Room::here().available);
    }

    #[test]
    fn a_tenth_of_the_machine_stays_free() {
        let room = Room { total: 20 * GB, available: 10 * GB };
        assert_eq!(room.short_of(7.9e9), None);
        let why = room.short_of(8.1e9).unwrap();
        assert_eq!(why, "they may need 8100 MB, 10000 MB of memory are available, and 2000 MB are kept free");
    }

    #[test]
    fn a_small_machine_keeps_half_a_gigabyte() {
        let room = Room { total: GB, available: GB };
        assert!(room.short_of(0.4e9).is_none() && room.short_of(0.5e9).is_some());
    }

    #[test]
    fn what_cannot_be_read_is_no_room() {
        assert!(Room::parse("").short_of(0.0).is_some());
    }
}
