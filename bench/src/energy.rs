//! Energy: what the processor packages have used, by the counters of RAPL (`/sys/class/powercap`).
//!
//! A package is all its cores with their caches and memory controller: the server, the generator, and whoever else
//! runs. The domains within a package, and the platform around it (psys), would be counted twice. Few virtual machines
//! have these counters, and since 2020 only root may read them: then there is no figure, which is not the figure 0.

use std::fs;
use std::path::{Path, PathBuf};

/// The packages of this machine.
pub struct Meter {
    packages: Vec<Package>,
}

struct Package {
    counter: PathBuf,
    /// In µJ; above this the counter begins at 0 again.
    range: u64,
}

/// The counters at one moment, in µJ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading(Vec<u64>);

impl Meter {
    /// Nothing where there are no packages that can be read.
    pub fn here() -> Option<Self> {
        Self::at(Path::new("/sys/class/powercap"))
    }

    fn at(root: &Path) -> Option<Self> {
        let entries = fs::read_dir(root).ok()?.flatten();
        let packages: Vec<Package> = entries.filter_map(|entry| Package::at(&entry.path())).collect();
        let meter = Self { packages };
        (!meter.packages.is_empty() && meter.read().is_some()).then_some(meter)
    }

    /// Nothing when one of the packages cannot be read: a sum with a part missing would look frugal.
    pub fn read(&self) -> Option<Reading> {
        self.packages.iter().map(|package| number(&package.counter)).collect::<Option<_>>().map(Reading)
    }

    /// The sum over the packages. A counter's range lasts for minutes at least: it begins again once at most.
    pub fn joules_since(&self, before: &Reading) -> Option<f64> {
        let now = self.read()?;
        let used = |((now, before), package): ((&u64, &u64), &Package)| {
            if now >= before { now - before } else { package.range.saturating_sub(*before) + now }
        };
        let used = now.0.iter().zip(&before.0).zip(&self.packages).map(used);
        Some(used.sum::<u64>() as f64 / 1e6)
    }
}

impl Package {
    fn at(zone: &Path) -> Option<Self> {
        // `intel-rapl:0` also on AMD; `intel-rapl-mmio:0` is the same package once more.
        zone.file_name()?.to_str()?.starts_with("intel-rapl:").then_some(())?;
        fs::read_to_string(zone.join("name")).ok()?.starts_with("package-").then_some(())?;
        Some(Self { counter: zone.join("energy_uj"), range: number(&zone.join("max_energy_range_uj"))? })
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory like `/sys/class/powercap`.
    struct Powercap(PathBuf);

    impl Powercap {
        fn new(test: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("powercap-{test}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn zone(&self, zone: &str, name: &str, energy: u64) {
            let dir = self.0.join(zone);
            fs::create_dir_all(&dir).unwrap();
            let files =
                [("name", name), ("max_energy_range_uj", "1000000"), ("energy_uj", &energy.to_string())];
            for (file, text) in files {
                fs::write(dir.join(file), format!("{text}\n")).unwrap();
            }
        }
    }

    impl Drop for Powercap {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn packages_are_added_and_nothing_is_counted_twice() {
        let powercap = Powercap::new("sum");
        let others = [
            ("intel-rapl:0:0", "core"),
            ("intel-rapl:2", "psys"),
            ("intel-rapl-mmio:0", "package-0"),
            ("dtpm", "package-0"),
        ];
        let set = |packages: [u64; 2], other| {
            powercap.zone("intel-rapl:0", "package-0", packages[0]);
            powercap.zone("intel-rapl:1", "package-1", packages[1]);
            others.iter().for_each(|(zone, name)| powercap.zone(zone, name, other));
        };
        set([100, 200], 0);
        let meter = Meter::at(&powercap.0).unwrap();
        let before = meter.read().unwrap();
        set([250_100, 500_200], 777_777);
        assert_eq!(meter.joules_since(&before), Some(0.75));
    }

    #[test]
    fn a_counter_that_began_again_is_seen() {
        let powercap = Powercap::new("wrap");
        powercap.zone("intel-rapl:0", "package-0", 900_000);
        let meter = Meter::at(&powercap.0).unwrap();
        let before = meter.read().unwrap();
        powercap.zone("intel-rapl:0", "package-0", 400_000);
        assert_eq!(meter.joules_since(&before), Some(0.5));
    }

    #[test]
    fn what_cannot_be_read_is_absent_and_not_zero() {
        let powercap = Powercap::new("absent");
        assert!(Meter::at(&powercap.0).is_none() && Meter::at(&powercap.0.join("none")).is_none());
        powercap.zone("intel-rapl:0", "package-0", 1);
        powercap.zone("intel-rapl:1", "package-1", 1);
        let meter = Meter::at(&powercap.0).unwrap();
        let before = meter.read().unwrap();
        fs::remove_file(powercap.0.join("intel-rapl:1/energy_uj")).unwrap();
        assert_eq!(meter.joules_since(&before), None);
        assert!(Meter::at(&powercap.0).is_none());
    }
}
