//! The report as a page: one HTML file that needs nothing else, neither network nor script.
//!
//! It has the figures of the Markdown report, and plots. Everything that comes from a record goes through
//! [`escape`] on its way into the page.

mod answer;
mod chapter;
mod figure;
mod machine;
mod table;

use std::path::Path;

use self::figure::Figures;
use super::growth::Growth;
use super::plot::{self, palette};
use super::render::Table;
use crate::record::Record;

const STYLE: &str = include_str!("html/style.css");
const TITLE: &str = "Requests per second for each MB of RAM";

/// One record of the page.
pub struct Source<'a> {
    pub record: &'a Record,
    /// As the reader finds it.
    pub path: &'a Path,
    /// What further instances cost, where it was measured.
    pub growth: &'a [Growth],
    /// Searches on the same machine.
    pub searches: &'a [Search],
}

/// What a search found.
pub struct Search {
    /// Of the chapter.
    pub heading: &'static str,
    pub started: String,
    /// What was asked.
    pub title: String,
    pub table: Table,
    /// The marks that the table uses, and what they mean.
    pub meanings: Vec<(&'static str, &'static str)>,
    /// Whether the plots of growth belong to it.
    pub has_growth: bool,
    /// About single targets.
    pub remarks: Vec<(String, String)>,
}

/// The page. The first record answers; others follow, each with figures of its own, since those of different machines
/// do not belong into one table.
pub fn html(sources: &[Source<'_>]) -> String {
    let mut figures = Figures::default();
    let (mut contents, mut chapters) = (String::new(), String::new());
    for (number, source) in sources.iter().enumerate() {
        let heading = (sources.len() > 1).then(|| machine::heading(source.record));
        for chapter in chapter::all(source, number, heading.as_deref(), &mut figures) {
            contents += &format!("<li><a href=\"#{}\">{}</a></li>", chapter.id, chapter.title);
            chapters += &format!(
                "<section id=\"{id}\"><h2>{title}</h2>\n{body}</section>\n",
                id = chapter.id,
                title = chapter.title,
                body = chapter.body
            );
        }
    }
    let answer =
        sources.first().map(|source| answer::header(source.record, source.growth)).unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{TITLE}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"generator\" content=\"ounce-bench {version}\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <style>\n{STYLE}{style}</style>\n</head>\n<body>\n<header>\n{answer}</header>\n\
         <nav aria-label=\"Contents\"><ul>{contents}</ul></nav>\n<main>\n{chapters}</main>\n\
         <footer><p>Made by ounce-bench {version}.</p></footer>\n</body>\n</html>\n",
        version = env!("CARGO_PKG_VERSION"),
        style = style(),
    )
}

/// What the palette adds to the style sheet.
fn style() -> String {
    let (light, dark) = palette::properties();
    format!(
        ":root{{{light}}}\n{rules}@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}\n{overrides}}}\n",
        rules = plot::rules(),
        overrides = palette::dark_rules(),
    )
}

/// Text as it stands in HTML and in attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML has no place for other control characters, not even escaped.
            control if control.is_control() && !"\n\t".contains(control) => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_html_is_escaped() {
        assert_eq!(
            escape("<a href=\"x\">'&'</a>\u{1b}"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;\u{fffd}"
        );
    }
}
