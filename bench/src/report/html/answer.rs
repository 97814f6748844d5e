//! The head of the page: the answer first, and how sure it is.

use super::escape;
use crate::record::Record;
use crate::report::plot::palette::Palette;
use crate::report::plot::record::palette;
use crate::report::render::{conditions, is_marked, marks, number};
use crate::report::{Figure, Growth, Row, ranked, rows};
use crate::stats::Estimate;
use crate::target::Kind;

/// Title, answer, and the best of each kind of packaging, under the first workload.
pub fn header(record: &Record, growth: &[Growth]) -> String {
    let rows = ranked(rows(record));
    let workload = record.workloads.first();
    let of_first = |row: &&Row| workload.is_none_or(|workload| row.workload == workload.name);
    let (peers, ranked): (Vec<&Row>, Vec<&Row>) =
        rows.iter().filter(of_first).filter(|row| row.is_ranked()).partition(|row| row.peer);
    let under = workload.map(|workload| {
        format!("Workload {}: {}.", escape(&workload.name), escape(&conditions(record, &workload.name)))
    });
    format!(
        "<p class=\"kicker\">{host} · {date}</p>\n\
         <h1>How many requests per second does a megabyte of RAM buy?</h1>\n\
         {incomplete}<p class=\"answer\">{answer}</p>\n<p class=\"doubt\">{doubt}</p>\n{kinds}<p class=\"under\">{under}</p>\n",
        host = escape(&record.host.label),
        date = escape(&date(&record.started)),
        incomplete = incomplete(record),
        answer = answer(&ranked),
        doubt = doubt(&ranked),
        kinds = kinds(record, &ranked, &peers, &palette(record, growth)),
        under = under.unwrap_or_default(),
    )
}

fn date(started: &str) -> String {
    started.split_once('T').map_or(started, |(date, _)| date).to_owned()
}

fn incomplete(record: &Record) -> &'static str {
    if record.complete {
        ""
    } else {
        "<p class=\"warning\"><strong>Incomplete:</strong> the run was interrupted; what follows is a part of it.</p>\n"
    }
}

fn worth(row: &Row) -> Option<&Estimate> {
    row.get(Figure::ReqPerSPerMb)
}

fn answer(ranked: &[&Row]) -> String {
    let best = ranked.first().and_then(|row| Some((row, worth(row)?)));
    let Some((best, estimate)) = best else {
        return "Nothing could be ranked: see below what was missing, or what failed.".into();
    };
    let footprint = best
        .median(Figure::PssLoadedMb)
        .map(|mb| format!(" It serves them from {}\u{a0}MB.", number(mb)))
        .unwrap_or_default();
    format!(
        "<strong>{}</strong> buys the most: <strong class=\"figure\">{} requests/s per MB</strong> of its footprint under \
         load.{footprint}",
        escape(&best.target),
        number(estimate.median),
    )
}

/// How sure the first place is.
fn doubt(ranked: &[&Row]) -> String {
    let estimates: Vec<(&Row, &Estimate)> =
        ranked.iter().filter_map(|row| Some((*row, worth(row)?))).take(2).collect();
    let Some((best, first)) = estimates.first() else { return String::new() };
    let sure = match first.interval {
        Some((low, high)) => {
            format!("95 % interval {}–{}, from {} rounds.", number(low), number(high), first.n)
        }
        None if first.n == 1 => "One round, so no interval: believe only large differences.".into(),
        None => format!("{} rounds are too few for an interval: believe only large differences.", first.n),
    };
    let [_, (next, second)] = estimates[..] else { return sure };
    let apart = match (first.interval, second.interval) {
        (Some((low, _)), Some((_, high))) if low > high => "; their intervals do not touch",
        (Some(_), Some(_)) => "; their intervals overlap, so which of the two is first is not certain",
        _ => "",
    };
    let marked = if is_marked(best) {
        format!(" The first place is in doubt for another reason: {}.", marks(best).join(", "))
    } else {
        String::new()
    };
    format!(
        "{sure} Next is {} with {}, {:.0} % of that{apart}.{marked}",
        escape(&next.target),
        number(second.median),
        100.0 * second.median / first.median
    )
}

/// The best target of each kind, in the order of the rows.
fn best_of_kinds<'a>(record: &Record, ranked: &[&'a Row]) -> Vec<(Kind, &'a Row)> {
    let mut best: Vec<(Kind, &Row)> = Vec::new();
    for row in ranked {
        let target = record.targets.iter().find(|target| target.definition.name == row.target);
        let Some(kind) = target.map(|target| target.definition.kind) else { continue };
        if best.iter().all(|(known, _)| *known != kind) {
            best.push((kind, row));
        }
    }
    best
}

fn kinds(record: &Record, ranked: &[&Row], peers: &[&Row], palette: &Palette) -> String {
    let best = best_of_kinds(record, ranked);
    if best.len() < 2 {
        return String::new();
    }
    let mut items: String = best.into_iter().map(|(kind, row)| item(name(kind), row, palette)).collect();
    items.extend(peers.first().map(|row| item("best peer", row, palette)));
    format!(
        "<p class=\"lead\">The best of each kind of packaging, requests/s per MB:</p>\n<ol class=\"kinds\">{items}</ol>\n"
    )
}

fn item(kind: &str, row: &Row, palette: &Palette) -> String {
    let ink = palette.ink(&row.target).hex();
    let mb =
        row.median(Figure::PssLoadedMb).map_or_else(String::new, |mb| format!(", {}\u{a0}MB", number(mb)));
    format!(
        "<li><svg class=\"chip\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect width=\"10\" height=\"10\" \
         fill=\"{ink}\"/></svg><span class=\"kind\">{kind}</span> <span class=\"figure\">{}</span> \
         <span class=\"who\">{}{mb}</span></li>",
        worth(row).map(|estimate| number(estimate.median)).unwrap_or_default(),
        escape(&row.target),
    )
}

/// A kind as a reader who has not seen target files calls it.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Process => "process",
        Kind::Docker => "container",
        Kind::Microvm => "microVM",
        Kind::Unikraft => "unikernel",
        Kind::Wasmtime => "wasmtime",
        Kind::Spin => "Spin",
        Kind::Url => "running service",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixture::with_rounds;

    fn row(target: &str, estimate: Estimate) -> Row {
        let mut row = rows(&with_rounds(&[2000])).remove(0);
        row.target = target.into();
        row.figures.insert(Figure::ReqPerSPerMb, estimate);
        row
    }

    fn estimate(median: f64, interval: Option<(f64, f64)>, n: usize) -> Estimate {
        Estimate { median, interval, n }
    }

    #[test]
    fn the_answer_names_the_best_and_says_how_sure_that_is() {
        let a = row("a<b>", estimate(200.0, Some((190.0, 210.0)), 5));
        let near = row("near", estimate(180.0, Some((150.0, 195.0)), 5));
        let far = row("far", estimate(100.0, Some((90.0, 110.0)), 5));
        assert!(answer(&[&a, &far]).contains("<strong>a&lt;b&gt;</strong> buys the most"));
        assert!(doubt(&[&a, &far]).contains("190–210, from 5 rounds"));
        assert!(doubt(&[&a, &far]).contains("50 % of that; their intervals do not touch"));
        assert!(doubt(&[&a, &near]).contains("not certain"));
    }

    #[test]
    fn without_rounds_it_claims_no_certainty_and_without_rows_nothing() {
        let one = row("a", estimate(200.0, None, 1));
        assert!(doubt(&[&one]).contains("no interval"));
        assert!(answer(&[]).contains("Nothing could be ranked") && doubt(&[]).is_empty());
    }
}
