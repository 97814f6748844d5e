//! Which CPUs the server gets and which the generator, so that neither steals from the other.

use std::io;

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

use crate::launch::cpu_set;

/// CPU numbers of the two sides. Both empty: nothing is pinned, and `warning` says why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    pub server_cpus: Vec<usize>,
    pub generator_cpus: Vec<usize>,
    pub warning: Option<String>,
}

impl Placement {
    /// The placement on this machine: `server` as given (a list such as `1,3-4`), else the last usable CPU.
    ///
    /// # Errors
    /// When the list is malformed, names a CPU that this program may not use, or leaves none for the generator.
    pub fn here(server: Option<&str>) -> Result<Self> {
        Self::choose(&usable().context("cannot read the CPUs that this program may use")?, server)
    }

    fn choose(usable: &[usize], server: Option<&str>) -> Result<Self> {
        if let [_] | [] = usable {
            let warning =
                "one CPU only: server and generator share it, requests/s are a lower bound".to_owned();
            return Ok(Self { warning: Some(warning), ..Self::default() });
        }
        let server_cpus = match server {
            Some(list) => {
                parse_list(list).with_context(|| format!("--server-cpus {list}: not a list like 1,3-4"))?
            }
            None => usable.last().copied().into_iter().collect(),
        };
        if let Some(cpu) = server_cpus.iter().find(|cpu| !usable.contains(cpu)) {
            bail!("--server-cpus: CPU {cpu} is not usable here; usable are {usable:?}");
        }
        let generator_cpus: Vec<usize> =
            usable.iter().copied().filter(|cpu| !server_cpus.contains(cpu)).collect();
        if generator_cpus.is_empty() || server_cpus.is_empty() {
            bail!(
                "--server-cpus: give the server some but not all of {usable:?}; the generator needs one, too"
            );
        }
        Ok(Self { server_cpus, generator_cpus, warning: None })
    }

    /// Every CPU of the run.
    pub fn cpus(&self) -> Vec<usize> {
        let pinned = [&self.server_cpus[..], &self.generator_cpus[..]].concat();
        if pinned.is_empty() { usable().unwrap_or_default() } else { pinned }
    }

    /// How many CPUs the server may use.
    pub fn server_count(&self) -> usize {
        self.server_cpus.len().max(1)
    }

    /// Moves the calling thread, and every thread that it starts, to the generator's CPUs.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn pin_scale(&self) -> io::Result<()> {
        pin(&self.generator_cpus)
    }
}

fn usable() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Moves the calling thread to these CPUs; an empty list leaves it where it is.
pub(crate) fn pin(cpus: &[usize]) -> io::Result<()> {
    if cpus.is_empty() {
        return Ok(());
    }
    Ok(sched_setaffinity(None, &cpu_set(cpus))?)
}

fn parse_list(list: &str) -> Result<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse()?, last.trim().parse()?);
        if last >= CpuSet::MAX_CPU {
            bail!("CPU {last} is beyond what the kernel counts");
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cpu_is_the_servers_and_the_others_the_generators() {
        let placement = Placement::choose(&[0, 2, 5], None).unwrap();
        assert_eq!((placement.server_cpus, placement.generator_cpus), (vec![5], vec![0, 2]));
    }

    #[test]
    fn one_cpu_is_shared_with_a_warning() {
        let placement = Placement::choose(&[3], None).unwrap();
        assert!(placement.server_cpus.is_empty() && placement.warning.is_some());
    }

    #[test]
    fn lists_are_read_and_checked() {
        let placement = Placement::choose(&[0, 1, 2, 3], Some("3,0-1")).unwrap();
        assert_eq!((placement.server_cpus, placement.generator_cpus), (vec![0, 1, 3], vec![2]));
        for bad in ["x", "9", "0-3", "", "0-99999999"] {
            assert!(Placement::choose(&[0, 1, 2, 3], Some(bad)).is_err(), "{bad:?} must be refused");
        }
    }
}
