//! The page that a person reads: a table, what is not in it and why, notes, and the arithmetic with its numbers.

use std::collections::BTreeSet;

use super::evidence::Mark;
use super::notes::next_step;
use super::plan::{LimitFrom, Memory, Plan, Scope, plain};
use super::{Answer, Asked, Sizing};
use crate::report::{Format, Table, number};

const HEADINGS: [&str; 11] = [
    "target",
    "instances",
    "total PSS (MB)",
    "total CPU (cores)",
    "req/s to each",
    "capacity measured (req/s)",
    "p99 there (ms)",
    "memory request",
    "memory limit",
    "CPU request",
    "marks",
];

impl Sizing {
    /// The page.
    pub fn text(&self, format: Format) -> String {
        let strong = if format == Format::Markdown { "**" } else { "" };
        let Asked { rps, p99_ms, margin } = self.asked;
        let mut text = format!(
            "{strong}{} req/s{strong} of {} ({}) with p99 ≤ {} ms and no errors, margin {:.0} %\n\n",
            number(rps),
            self.workload.name,
            self.workload.asked(),
            plain(p99_ms),
            margin * 100.0
        );
        let planned = self.answers.iter().filter_map(|answer| Some(row(answer, answer.plan.as_ref()?)));
        let rows: Vec<Vec<String>> = planned.collect();
        if !rows.is_empty() {
            let headings = HEADINGS.map(String::from).to_vec();
            text += &(Table { headings, rows }.render(format) + "\n");
        }
        let cautions = self.warnings.iter().cloned().chain(self.notes()).collect();
        let sections =
            [("Without a plan", self.unplanned()), ("Marks", self.marks()), ("Cautions", cautions)];
        for (title, lines) in sections.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            text += &section(title, &lines, format);
        }
        text + &self.computed(format) + &self.footer(format)
    }

    /// Targets without a plan.
    fn unplanned(&self) -> Vec<String> {
        let why = |answer: &Answer| Some((answer.evidence.target.clone(), answer.why_not.clone()?));
        self.answers.iter().filter_map(why).map(|(target, why)| format!("{target}: {why}")).collect()
    }

    fn marks(&self) -> Vec<String> {
        let planned = self.answers.iter().filter(|answer| answer.plan.is_some());
        let marks: BTreeSet<Mark> =
            planned.flat_map(|answer| answer.evidence.marks.iter().copied()).collect();
        marks.into_iter().map(|mark| format!("{}: {}", mark.name(), mark.meaning())).collect()
    }

    /// Each note once, with the targets that it is about. What is emulated is nothing to plan with anyway.
    fn notes(&self) -> Vec<String> {
        let planned = |answer: &&Answer| answer.plan.is_some() && !answer.evidence.is_emulated();
        let planned: Vec<&Answer> = self.answers.iter().filter(planned).collect();
        let mut texts: Vec<&str> = Vec::new();
        for note in planned.iter().flat_map(|answer| &answer.notes) {
            if !texts.contains(&note.text.as_str()) {
                texts.push(&note.text);
            }
        }
        let mut lines: Vec<String> =
            texts.into_iter().map(|text| format!("{}: {text}", about(text, &planned))).collect();
        let first = self.ranked().next();
        let command = first.and_then(|(answer, plan)| next_step(&answer.evidence, plan, &self.workload));
        lines.extend(command.map(|command| {
            format!(
                "to measure what is not: `{command}` (the others likewise, each at its rate), then size again with \
                 that record beside these"
            )
        }));
        lines
    }

    /// The arithmetic of the first plan, with its numbers.
    fn computed(&self, format: Format) -> String {
        let Some((answer, plan)) = self.ranked().next() else { return String::new() };
        let title = format!("How this was computed, for {}", answer.evidence.target);
        section(&title, &computed(answer, plan, &self.asked), format)
    }

    fn footer(&self, format: Format) -> String {
        let records = match format {
            Format::Markdown => format!("`{}`", self.records.join("`, `")),
            Format::Terminal => self.records.join(", "),
        };
        format!(
            "Measured on {}, over loopback, on CPUs of its own: a node whose CPUs are taken adds to p99 what a request \
             waits for one. MB = 10⁶ bytes, Mi = 2²⁰; total PSS is of whole process trees (runtime, shim, virtual machine \
             included), loaded; requests and limits are an instance's. Ordered by total PSS, then CPU. All figures: --json; \
             formulas: --help.\n\nRecords: {records}\n",
            self.host.line()
        )
    }
}

/// The targets that have a note of this text, each with its detail.
fn about(text: &str, planned: &[&Answer]) -> String {
    let noted = |answer: &&Answer| {
        let note = answer.notes.iter().find(|note| note.text == text)?;
        let detail = note.detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
        Some((format!("{}{detail}", answer.evidence.target), note.detail.is_none()))
    };
    let (names, alike): (Vec<String>, Vec<bool>) = planned.iter().filter_map(noted).unzip();
    let all = names.len() > 1 && names.len() == planned.len() && alike.into_iter().all(|alike| alike);
    if all { "all".into() } else { names.join(", ") }
}

fn section(title: &str, lines: &[String], format: Format) -> String {
    let bullet = if format == Format::Markdown { "- " } else { "  " };
    let one_line = |line: &String| line.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = lines.iter().map(|line| format!("{bullet}{}\n", one_line(line))).collect();
    let gap = if format == Format::Markdown { "\n" } else { "" };
    format!("{title}:\n{gap}{}\n", lines.concat())
}

fn row(answer: &Answer, plan: &Plan) -> Vec<String> {
    let none = || "–".to_owned();
    let (cpu_bound, more) = (at_least(plan.below_measured), at_least(plan.at_least));
    let marks: Vec<&str> = answer.evidence.marks.iter().map(|mark| mark.name()).collect();
    let mib = |of: fn(Memory) -> u64| plan.memory.map_or_else(none, |memory| format!("{}Mi", of(memory)));
    vec![
        answer.evidence.target.clone(),
        plan.instances.to_string(),
        plan.total_mb.map_or_else(none, number),
        plan.cpu.map_or_else(none, |cpu| format!("{cpu_bound}{}", cores(cpu.total_cores))),
        number(plan.each),
        format!("{more}{}", number(plan.capacity.rate)),
        plan.capacity.p99_ms.map_or_else(none, number),
        mib(|memory| memory.request_mib),
        mib(|memory| memory.limit_mib),
        plan.cpu.map_or_else(none, |cpu| format!("{cpu_bound}{}m", cpu.request_millicores)),
        marks.join(", "),
    ]
}

fn at_least(is: bool) -> &'static str {
    if is { "≥ " } else { "" }
}

/// To a thousandth below ten, because small services use little.
fn cores(value: f64) -> String {
    if value < 10.0 { format!("{value:.3}") } else { number(value) }
}

fn computed(answer: &Answer, plan: &Plan, asked: &Asked) -> Vec<String> {
    let Plan { capacity, footprint, instances, each, target_percent, .. } = plan;
    let (rps, rate, each, left) =
        (number(asked.rps), number(capacity.rate), number(*each), 1.0 - asked.margin);
    let mut lines = vec![
        format!(
            "capacity: {rate} req/s, the highest measured rate with p99 ({} ms) ≤ {} ms and no errors ({}; {})",
            capacity.p99_ms.map_or_else(|| "–".into(), number),
            plain(asked.p99_ms),
            capacity.conditions(),
            capacity.source
        ),
        format!("instances: ⌈{rps} ÷ ({rate} × {left:.2})⌉ = {instances}, {each} req/s to each"),
    ];
    lines.extend(plan.cpu.map(|cpu| {
        let us = number(cpu.us_per_req);
        let all = cores(cpu.total_cores);
        let request = cpu.request_millicores;
        format!(
            "CPU: {rps} req/s × {us} µs = {all} cores; request ⌈{each} × {us} µs ÷ {target_percent} %⌉ = {request}m, no limit \
             (a quota stalls an instance that has used it up, even on an idle node)"
        )
    }));
    lines.extend(plan.memory.map(|memory| memory_line(answer, &memory, asked.margin)));
    lines.extend(plan.total_mb.zip(footprint.pss).map(|(total, pss)| {
        let (loaded, total, at) = (number(pss.loaded_mb), number(total), number(footprint.rate));
        let sum = match answer.evidence.sharing {
            Some(sharing) if *instances > 1 => {
                let base = number(sharing.base_mb);
                format!("{base} MB shared + {instances} × ({loaded} − {base}) MB")
            }
            _ => format!("{instances} × {loaded} MB"),
        };
        format!("total: {sum} = {total} MB, PSS at the measured {at} req/s")
    }));
    lines.extend(plan.cpu.zip(plan.scales_at()).map(|(cpu, at)| {
        let request = cpu.request_millicores;
        let all = number(at * *instances as f64);
        format!(
            "HPA: at {target_percent} % of {request}m an instance serves {} req/s, {instances} of them {all} ≥ {rps}",
            number(at)
        )
    }));
    lines
}

fn memory_line(answer: &Answer, memory: &Memory, margin: f64) -> String {
    let scope = match memory.scope {
        Scope::Pss => "PSS",
        Scope::Cgroup => "charge of its control group",
    };
    let Memory { request_mib, limit_mib, .. } = memory;
    let (loaded, peak, more) = (number(memory.loaded_mb), number(memory.peak_mb), 1.0 + margin);
    let smallest = match answer.evidence.smallest_mib {
        Some(mib) if !answer.evidence.is_guest() => format!(", smallest that held {mib} MiB × {more:.2}"),
        _ => String::new(),
    };
    let from = match memory.limit_from {
        LimitFrom::Peak => "the peak",
        LimitFrom::Smallest => "the smallest that held",
        LimitFrom::Runtime => "the least that a container runtime starts with",
    };
    format!(
        "memory ({scope}): request ⌈{loaded} MB × {more:.2}⌉ = {request_mib}Mi; limit {limit_mib}Mi, the largest of peak \
         {peak} MB × {more:.2}{smallest}, 12Mi: here {from}"
    )
}
