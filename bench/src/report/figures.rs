//! The plots of a record with the words that go with them, for pages and for files of their own.

use super::growth::{self, Growth};
use super::plot::palette::Palette;
use super::plot::{Drawing, Width, bars, latency, marginal, record as drawn, scatter, starts, timeline};
use super::row::Row;
use crate::record::Record;

/// A plot that can be drawn for either width.
pub struct Plot<'a> {
    /// For a file's name.
    pub name: &'static str,
    pub title: &'static str,
    /// How to read it, and what not to read into it.
    pub caption: String,
    /// For those who do not see it.
    pub description: &'static str,
    pub draw: Box<dyn Fn(Width) -> Drawing + 'a>,
}

/// The plots of one workload, in the order of a page: the first belongs before the table.
pub fn of_workload<'a>(record: &Record, rows: &[&Row], palette: &Palette) -> Vec<Plot<'a>> {
    let plots = [
        worth(rows, palette),
        trade_off(rows, palette),
        latencies(record, rows, palette),
        footprints(record, rows, palette),
    ];
    plots.into_iter().flatten().collect()
}

/// The headline.
pub fn worth<'a>(rows: &[&Row], palette: &Palette) -> Option<Plot<'a>> {
    let drawn = drawn::bars(rows, palette);
    let hollow =
        if drawn.iter().any(|bar| bar.apart.is_some()) { " Hollow bars are not ranked." } else { "" };
    let marked = if drawn.iter().any(|bar| bar.marked) { " † has a mark: see the table." } else { "" };
    let peers = if rows.iter().any(|row| row.peer) {
        " Peers are other programs that answer the same, for context."
    } else {
        ""
    };
    let whiskers = if drawn.iter().any(|bar| bar.estimate.interval.is_some()) {
        " Whiskers are 95 % intervals of the median over the rounds."
    } else {
        ""
    };
    (!drawn.is_empty()).then(|| Plot {
        name: "worth",
        title: "Requests per second for each MB of RAM",
        caption: format!(
            "Requests/s over the loaded footprint: the median PSS, under load, of every process that this one instance \
             needs.{whiskers}{hollow}{marked}{peers}"
        ),
        description: "A bar for each target, the longest first. The table of the report has the same figures.",
        draw: Box::new(move |width| bars::bars(&drawn, "requests/s per MB of PSS under load", width)),
    })
}

fn trade_off<'a>(rows: &[&Row], palette: &Palette) -> Option<Plot<'a>> {
    let drawn = drawn::spots(rows, palette);
    let crosses = if drawn.iter().any(|spot| spot.mb.interval.is_some()) {
        " Crosses are 95 % intervals; most are smaller than their dot."
    } else {
        ""
    };
    (!drawn.is_empty()).then(|| Plot {
        name: "trade-off",
        title: "Throughput against memory",
        caption: format!(
            "Up is faster, left is smaller. Targets on one slanting line buy as many requests/s for each MB.{crosses}"
        ),
        description: "A dot for each target: PSS under load across, requests/s upwards, both logarithmic.",
        draw: Box::new(move |width| scatter::scatter(&drawn, "not ranked", width)),
    })
}

fn latencies<'a>(record: &Record, rows: &[&Row], palette: &Palette) -> Option<Plot<'a>> {
    let drawn = drawn::curves(record, rows, palette);
    let workload = &rows.first()?.workload;
    let load =
        record.cells.iter().filter(|cell| cell.workload == *workload).find_map(|cell| cell.load.as_ref())?;
    let (title, meaning) = match load.schedule.rate() {
        None => (
            "latency at saturation",
            "Closed loop: every connection always waits for an answer, so these are the latencies of a server that is \
             kept full, and stalls count for less than they should. Measure at a fixed rate (open loop) to see what users would feel.",
        ),
        Some(_) => (
            "latency",
            "Open loop: latency counts from the time at which a request was due, so that a stall is paid by every request \
             that it delays.",
        ),
    };
    (!drawn.is_empty()).then(|| Plot {
        name: "latency",
        title: "Latency by percentile",
        caption: format!(
            "Each step to the right is ten times rarer; a line ends where fewer than ten requests are left. {meaning}"
        ),
        description: "A line for each target: percentile across, latency upwards, both logarithmic.",
        draw: Box::new(move |width| latency::latency(&drawn, title, width)),
    })
}

fn footprints<'a>(record: &Record, rows: &[&Row], palette: &Palette) -> Option<Plot<'a>> {
    let drawn = drawn::courses(record, rows, palette);
    (!drawn.is_empty()).then(|| Plot {
        name: "footprint",
        title: "Footprint through the run",
        caption: "PSS of the whole process tree, read ten times a second in one round, with the levels at rest before and \
                  after. A guest keeps every page that it has touched."
            .into(),
        description: "A line for each target: time across, PSS upwards.",
        draw: Box::new(move |width| timeline::timeline(&drawn, "PSS, MB", width)),
    })
}

pub fn cold_starts<'a>(record: &Record, palette: &Palette) -> Option<Plot<'a>> {
    let drawn = drawn::starts(record, palette);
    let phases = drawn.iter().any(|target| target.first_output.is_some() || target.listening.is_some());
    let phases = if phases {
        " Beneath the dots, in growing strength: until the first output, until it listens, until the first 200 (medians; the \
         scale is logarithmic, so compare ends, not lengths)."
    } else {
        ""
    };
    (!drawn.is_empty()).then(|| Plot {
        name: "cold-start",
        title: "Every start",
        caption: format!("From the spawn to the first 200, every start of the record.{phases}"),
        description: "A row for each target with a dot for each start, on a logarithmic scale of milliseconds.",
        draw: Box::new(move |width| starts::starts(&drawn, width)),
    })
}

/// At rest and under load, as far as both were weighed.
pub fn instances(growth: &[Growth], palette: &Palette) -> Vec<Plot<'static>> {
    let titles = [
        ("instances-idle", "Several instances at rest", "PSS for each instance at rest, MB"),
        ("instances-loaded", "Several instances under load", "PSS for each instance under load, MB"),
    ];
    let weighed =
        growth::lines(growth, palette).into_iter().zip(titles).filter(|(lines, _)| !lines.is_empty());
    let plot = |(lines, (name, title, axis)): (Vec<marginal::Line>, (_, _, &'static str))| {
        Plot {
        name,
        title,
        caption: "The PSS of all instances together over their number. A falling line means that they share pages; the \
                  number beside a name is what each further instance adds, in MB."
            .into(),
        description: "A line for each target: number of instances across, mean PSS of an instance upwards.",
        draw: Box::new(move |width| marginal::marginal(&lines, axis, width)),
    }
    };
    weighed.map(plot).collect()
}
