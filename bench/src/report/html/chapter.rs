//! The chapters of one record: its workloads, then what is the same for all of them.

use super::figure::Figures;
use super::{Search, Source, escape, machine, table};
use crate::record::Record;
use crate::report::plot::palette::Palette;
use crate::report::plot::record::palette;
use crate::report::render::conditions;
use crate::report::{Row, figures as plots, footprint, ranked, rows};
use crate::workload::Workload;

pub struct Chapter {
    pub id: String,
    /// HTML.
    pub title: String,
    pub body: String,
}

/// Every chapter of a record. `heading` stands in the titles when there are several records.
pub fn all(source: &Source<'_>, number: usize, heading: Option<&str>, figures: &mut Figures) -> Vec<Chapter> {
    let record = source.record;
    let rows = ranked(rows(record));
    let palette = palette(record, source.growth);

    let mut chapters: Vec<(String, String, String)> = Vec::new();
    for (index, workload) in record.workloads.iter().enumerate() {
        let of_workload: Vec<&Row> = rows.iter().filter(|row| row.workload == workload.name).collect();
        if !of_workload.is_empty() {
            let body = of_one_workload(record, workload, &of_workload, &palette, figures);
            chapters.push((
                format!("workload-{index}"),
                format!("Workload {}", escape(&workload.name)),
                body,
            ));
        }
    }
    let mut figure =
        |plot: Option<plots::Plot<'_>>| plot.map(|plot| figures.figure(&plot)).unwrap_or_default();
    chapters.push(("cold-start".into(), "Cold start".into(), figure(plots::cold_starts(record, &palette))));
    let instances: String =
        plots::instances(source.growth, &palette).into_iter().map(|plot| figure(Some(plot))).collect();
    // The plots of marginal footprints stand above their table.
    let mut instances = Some(instances).filter(|plots| !plots.is_empty());
    for (index, search) in source.searches.iter().enumerate() {
        let plots = instances.take_if(|_| search.has_growth).unwrap_or_default();
        chapters.push((format!("search-{index}"), search.heading.into(), plots + &searched(search)));
    }
    if let Some(plots) = instances {
        chapters.push(("instances".into(), "One more instance".into(), plots));
    }
    chapters.push(("memory".into(), "Where the memory is".into(), memory(record)));
    chapters.push(("missing".into(), "Not measured".into(), missing(&rows)));
    chapters.push(("method".into(), "How to read it".into(), machine::method(record, &rows)));
    chapters.push(("machine".into(), "Machine".into(), machine::describe(record, source.path)));
    let named = |(id, title, body): (String, String, String)| Chapter {
        id: if number == 0 { id } else { format!("{id}-{}", number + 1) },
        title: heading.map_or(title.clone(), |heading| format!("{title}, {}", escape(heading))),
        body,
    };
    chapters.into_iter().filter(|(_, _, body)| !body.is_empty()).map(named).collect()
}

fn of_one_workload(
    record: &Record,
    workload: &Workload,
    rows: &[&Row],
    palette: &Palette,
    figures: &mut Figures,
) -> String {
    let under = conditions(record, &workload.name);
    let summary = match workload.summary.as_str() {
        "" => String::new(),
        summary => format!("{}. ", escape(&capitalised(summary.trim_end_matches('.')))),
    };
    let mut body =
        format!("<p>{summary}<code>{}</code>, {}.</p>\n", escape(&workload.asked()), escape(&under));
    let plots = plots::of_workload(record, rows, palette);
    let (first, rest) = plots.split_at(usize::from(plots.first().is_some_and(|plot| plot.name == "worth")));
    body.extend(first.iter().map(|plot| figures.figure(plot)));
    body += &table::of_rows(rows, palette, &format!("{}: {under}", workload.name));
    body += &table::legend(rows);
    body += &table::errors(rows.iter().copied().filter(|row| !row.missing));
    body.extend(rest.iter().map(|plot| figures.figure(plot)));
    body
}

fn searched(search: &Search) -> String {
    let marks = search.meanings.iter();
    let marks =
        marks.map(|(mark, meaning)| format!("<dt>{}</dt><dd>{}.</dd>\n", escape(mark), escape(meaning)));
    let remarks = search.remarks.iter();
    let remarks =
        remarks.map(|(name, what)| format!("<li><strong>{}</strong>: {}</li>\n", escape(name), escape(what)));
    let listed = |tag: &str, class: &str, items: String| match items.as_str() {
        "" => String::new(),
        items => format!("<{tag}{class}>\n{items}</{tag}>\n"),
    };
    format!(
        "<p>{} ({})</p>\n{}{}{}",
        escape(&search.title),
        escape(&search.started),
        table::plain(&search.table, search.heading),
        listed("dl", " class=\"legend\"", marks.collect()),
        listed("ul", "", remarks.collect()),
    )
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn memory(record: &Record) -> String {
    let Some(table) = footprint::table(record) else { return String::new() };
    let scopes = "Scopes side by side; they overlap and are never added up. PSS is what the processes map; the control group \
                  is charged for what they touched first, the kernel's part included.";
    format!(
        "<p>{scopes}</p>\n{}",
        table::plain(&table, "Memory after the load, by role and by control group")
    )
}

/// What is missing is so for every workload: told once.
fn missing(rows: &[Row]) -> String {
    let first = rows.first().map(|row| row.workload.as_str()).unwrap_or_default();
    table::errors(rows.iter().filter(|row| row.missing && row.workload == first))
}
