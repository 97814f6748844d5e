//! Where the memory is: each process of an instance, and what its control group is charged, side by side and never
//! added up, because the scopes differ.

use super::render::{Table, number};
use super::row::mb;
use crate::record::{Cell, Record};
use crate::weigh::Weight;

const HEADINGS: [&str; 7] = [
    "target",
    "PSS after the load, by process (MB)",
    "cgroup anon (MB)",
    "cgroup file (MB)",
    "cgroup kernel (MB)",
    "memory limit (MB)",
    "cgroup",
];

/// One line for each target that was weighed, after its first workload.
pub(super) fn table(record: &Record) -> Option<Table> {
    let first = record.workloads.first()?;
    let cells = record.cells.iter().filter(|cell| cell.workload == first.name);
    let rows: Vec<Vec<String>> =
        cells.filter_map(|cell| Some(row(record, cell, cell.after.as_ref()?))).collect();
    let headings = HEADINGS.map(String::from).to_vec();
    (!rows.is_empty()).then_some(Table { headings, rows })
}

fn row(record: &Record, cell: &Cell, weight: &Weight) -> Vec<String> {
    let mut processes: Vec<_> = weight.processes.iter().collect();
    processes.sort_by_key(|process| std::cmp::Reverse(process.memory.pss));
    let processes: Vec<String> = processes
        .iter()
        .map(|process| format!("{} {}", process.name, number(mb(process.memory.pss))))
        .collect();
    let show = |bytes: Option<u64>| bytes.map_or("–".to_owned(), |bytes| number(mb(bytes)));
    let charge = weight.cgroup;
    let target = record.targets.iter().find(|target| target.definition.name == cell.target);
    let configured = target.and_then(|target| target.definition.limits.memory_mib).map(|mib| mib << 20);
    vec![
        cell.target.clone(),
        processes.join(" + "),
        show(charge.map(|charge| charge.anon)),
        show(charge.map(|charge| charge.file)),
        show(charge.and_then(|charge| charge.kernel)),
        show(configured),
        charge.map_or("–".to_owned(), |charge| format!("v{}", charge.version)),
    ]
}
