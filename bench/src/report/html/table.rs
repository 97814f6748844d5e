//! Tables of the page: the figures of the Markdown report, in a container that scrolls by itself.

use super::escape;
use crate::report::Row;
use crate::report::plot::palette::Palette;
use crate::report::render::{MARKS, Table, cells, columns, headings, is_marked, marks};

/// The rows of one workload. Marks explain themselves, and what failed or is missing is named beneath.
pub fn of_rows(rows: &[&Row], palette: &Palette, caption: &str) -> String {
    let columns = columns(rows);
    let body: String = rows
        .iter()
        .map(|row| {
            let mut cells = cells(row, &columns);
            cells.pop();
            let (name, figures) =
                cells.split_first().map_or((String::new(), &[][..]), |(name, rest)| (name.clone(), rest));
            let class = if row.is_ranked() { "" } else { " class=\"apart\"" };
            format!(
                "<tr{class}><th scope=\"row\">{chip}{}{dagger}</th>{}<td class=\"marks\">{}</td></tr>\n",
                escape(&name),
                figures.iter().map(|figure| figure_cell(figure)).collect::<String>(),
                mark_cell(row),
                chip = chip(palette, row),
                dagger = dagger(row),
            )
        })
        .collect();
    table(&headings(&columns), &body, caption)
}

fn chip(palette: &Palette, row: &Row) -> String {
    let ink = palette.ink(&row.target).hex();
    let paint = if row.is_ranked() {
        format!("fill=\"{ink}\"")
    } else {
        format!("fill=\"none\" stroke=\"{ink}\" stroke-width=\"2\"")
    };
    format!(
        "<svg class=\"chip\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect x=\"1\" y=\"1\" width=\"8\" height=\"8\" \
         {paint}/></svg>"
    )
}

/// The median, and smaller how far its interval reaches.
fn figure_cell(text: &str) -> String {
    if text.starts_with(char::is_alphabetic) {
        return format!("<td class=\"words\">{}</td>", escape(text));
    }
    match text.split_once(" ±") {
        Some((median, reach)) => format!("<td>{} <small>±{}</small></td>", escape(median), escape(reach)),
        None => format!("<td>{}</td>", escape(text)),
    }
}

fn mark_cell(row: &Row) -> String {
    let meaning =
        |name: &str| MARKS.iter().find(|mark| mark.name == name).map_or("see below", |mark| mark.meaning);
    let mark = |name: &str| format!("<span class=\"mark\" title=\"{}\">{name}</span>", escape(meaning(name)));
    marks(row).into_iter().map(mark).collect::<Vec<_>>().join(" ")
}

/// Points to the last column, which a phone does not show at once.
fn dagger(row: &Row) -> String {
    if is_marked(row) {
        format!(" <sup title=\"{}\">†</sup>", marks(row).join(", "))
    } else {
        String::new()
    }
}

/// A table of plain text.
pub fn plain(table_of: &Table, caption: &str) -> String {
    let row = |cells: &Vec<String>| {
        let (name, rest) = cells.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
        let rest: String = rest.iter().map(|cell| figure_cell(cell)).collect();
        format!("<tr><th scope=\"row\">{}</th>{rest}</tr>\n", escape(name))
    };
    table(&table_of.headings, &table_of.rows.iter().map(row).collect::<String>(), caption)
}

fn table(headings: &[String], body: &str, caption: &str) -> String {
    let heading = |heading: &String| format!("<th scope=\"col\">{}</th>", escape(heading));
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table>\n<caption>{caption}</caption>\n\
         <thead><tr>{}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n",
        headings.iter().map(heading).collect::<String>(),
        caption = escape(caption),
    )
}

/// Which marks the rows have, and what they mean.
pub fn legend(rows: &[&Row]) -> String {
    let set = MARKS.iter().filter(|mark| rows.iter().any(|row| row.error.is_none() && (mark.set)(row)));
    let items: String = set
        .map(|mark| format!("<dt>{}</dt><dd>{}.</dd>\n", escape(mark.name), escape(mark.meaning)))
        .collect();
    if items.is_empty() { items } else { format!("<dl class=\"legend\">\n{items}</dl>\n") }
}

/// What failed or is missing, and why.
pub fn errors<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let item = |row: &Row| {
        let error = row.error.as_deref()?;
        Some(format!(
            "<li><strong>{}</strong> {}: <pre>{}</pre></li>\n",
            escape(&row.target),
            marks(row).join(", "),
            escape(error.trim())
        ))
    };
    let items: String = rows.filter_map(item).collect();
    if items.is_empty() { items } else { format!("<ul class=\"errors\">\n{items}</ul>\n") }
}
