//! What the figures depend on beside the targets: how they were made, and on what machine.

use std::path::Path;

use super::escape;
use crate::record::Record;
use crate::report::Row;
use crate::report::render::quietness;

/// One record among several.
pub fn heading(record: &Record) -> String {
    format!("{} {}", record.host.label, record.started)
}

/// What a reader must know to read the figures; METHODOLOGY has the rest.
pub fn method(record: &Record, rows: &[Row]) -> String {
    let rounds = match record.rounds {
        1 => "Every cell was measured once: there are no intervals, and neighbours may differ by chance."
            .to_owned(),
        rounds => format!(
            "Every cell was measured {rounds} times, in rounds interleaved over the targets. Figures are medians over the \
             rounds; intervals are 95 %, by bootstrap, ± is the farther end. They tell how much this run scatters; another day or \
             another machine is not in them."
        ),
    };
    let mut notes = vec![
        "MB is 10⁶ bytes. PSS (proportional set size) divides each page by the number of processes that map it. The \
         <em>loaded footprint</em> is the median PSS under load of the whole process tree: service, runtime, shim, or virtual \
         machine with the guest's RAM that was touched."
            .to_owned(),
        rounds,
        "Server and generator run on CPUs of their own, over loopback: no network card is in the figures. Every response is \
         checked."
            .to_owned(),
        "Cold start is the time from the spawn to the first 200.".to_owned(),
    ];
    notes.push("Memory is read ten times a second.".to_owned());
    if rows.iter().any(|row| row.emulated) {
        notes.push(
            "Emulated guests run without hardware virtualisation: they show that a packaging works, not how fast or how large \
             it is. They are hollow or dashed, and not ranked."
                .to_owned(),
        );
    }
    notes.push(
        "How each figure is measured, and how it can be wrong: <code>bench/METHODOLOGY.md</code>. The record holds every \
         sample; this page is derived from it."
            .to_owned(),
    );
    let items: String = notes.into_iter().map(|note| format!("<li>{note}</li>\n")).collect();
    format!("<ul class=\"notes\">\n{items}</ul>\n")
}

/// The fingerprint.
pub fn describe(record: &Record, path: &Path) -> String {
    let host = &record.host;
    let placement = match &record.placement.warning {
        Some(warning) => format!("not pinned: {warning}"),
        None => format!(
            "server on CPU {}, generator on CPU {}",
            list(&record.placement.server_cpus),
            list(&record.placement.generator_cpus)
        ),
    };
    let mut facts = vec![
        ("Name", host.label.clone()),
        ("CPU", format!("{}, {} online, {}", host.cpu, host.cpus, host.architecture)),
        ("Memory", format!("{:.0} GB", host.memory_bytes as f64 / 1e9)),
        ("System", format!("{}, Linux {}", host.os, host.kernel)),
        ("Virtualisation", host.virtualisation.clone()),
        ("Placement", placement),
        (
            "Profile",
            format!(
                "{}, {} round{}",
                record.profile,
                record.rounds,
                if record.rounds == 1 { "" } else { "s" }
            ),
        ),
        ("Time", format!("{} to {}", record.started, record.ended.as_deref().unwrap_or("its interruption"))),
    ];
    facts.extend(quietness(record).map(|quietness| ("Noise", quietness)));
    facts.extend(host.git.as_ref().map(|git| {
        ("Sources", format!("commit {}{}", git.commit, if git.dirty { ", with changes" } else { "" }))
    }));
    facts.push(("Record", path.display().to_string()));
    facts.extend(host.tools.iter().map(|(tool, version)| (tool.as_str(), version.clone())));
    let items: String = facts
        .into_iter()
        .map(|(name, fact)| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(&fact)))
        .collect();
    format!("<dl class=\"facts\">\n{items}</dl>\n")
}

fn list(cpus: &[usize]) -> String {
    cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
