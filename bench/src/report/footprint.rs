//! Where the memory is: what each part of an instance is there for, and what its control group is charged, side by side and never
//! added up, because the scopes differ.

use super::figure::mb;
use super::render::{Table, number};
use crate::record::{Cell, Record};
use crate::weigh::Weight;

const HEADINGS: [&str; 8] = [
    "target",
    "PSS after the load, by role (MB)",
    "cgroup anon (MB)",
    "cgroup file (MB)",
    "cgroup sock (MB)",
    "cgroup kernel (MB)",
    "memory limit (MB)",
    "cgroup",
];

/// One line for each target that was weighed, after its first workload in the first round.
pub(super) fn table(record: &Record) -> Option<Table> {
    let first = record.workloads.first()?;
    let cells = record.cells.iter().filter(|cell| cell.workload == first.name && cell.round == 0);
    let rows: Vec<Vec<String>> =
        cells.filter_map(|cell| Some(row(record, cell, cell.after.as_ref()?))).collect();
    let headings = HEADINGS.map(String::from).to_vec();
    (!rows.is_empty()).then_some(Table { headings, rows })
}

fn row(record: &Record, cell: &Cell, weight: &Weight) -> Vec<String> {
    let show = |bytes: Option<u64>| bytes.map_or("–".to_owned(), |bytes| number(mb(bytes)));
    let charge = weight.cgroup;
    let target = record.targets.iter().find(|target| target.definition.name == cell.target);
    let configured = target.and_then(|target| target.definition.limits.memory_mib).map(|mib| mib << 20);
    vec![
        cell.target.clone(),
        parts(weight),
        show(charge.map(|charge| charge.anon)),
        show(charge.map(|charge| charge.file)),
        show(charge.and_then(|charge| charge.sock)),
        show(charge.and_then(|charge| charge.kernel)),
        show(configured),
        charge.map_or("–".to_owned(), |charge| format!("v{}", charge.version)),
    ]
}

/// Role by role; process by process where that tells more, as in records from before there were roles.
fn parts(weight: &Weight) -> String {
    let mut parts: Vec<(&str, u64)> =
        weight.by_role().into_iter().map(|(role, bytes)| (role.name(), bytes)).collect();
    if parts.len() == 1 && weight.processes.len() > 1 {
        parts = weight.processes.iter().map(|process| (process.name.as_str(), process.memory.pss)).collect();
    }
    parts.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
    let parts = parts.into_iter().map(|(name, bytes)| format!("{name} {}", number(mb(bytes))));
    parts.collect::<Vec<_>>().join(" + ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn weight(roles: [&str; 2]) -> Weight {
        let process = |name: &str, role: &str, mb: u64| {
            let memory = json!({"pss": mb * 1_000_000, "pss_anon": 0, "pss_file": 0, "pss_shmem": 0});
            json!({"pid": 1, "name": name, "role": role, "memory": memory})
        };
        let processes = [process("ounce", roles[0], 1), process("containerd-shim", roles[1], 12)];
        let total = json!({"pss": 13_000_000, "pss_anon": 0, "pss_file": 0, "pss_shmem": 0});
        serde_json::from_value(json!({"total": total, "settled": true, "processes": processes})).unwrap()
    }

    #[test]
    fn memory_is_told_by_role_and_without_roles_by_process() {
        assert_eq!(parts(&weight(["service", "shim"])), "shim 12.0 + service 1.00");
        assert_eq!(parts(&weight(["service", "service"])), "containerd-shim 12.0 + ounce 1.00");
    }
}
