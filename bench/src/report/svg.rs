//! Plots as files of their own, which follow the reader's preference for light or dark wherever they are shown.

use super::figures::{self, Plot};
use super::plot::record::palette;
use super::plot::{self, Width, palette as inks};
use super::render::conditions;
use super::row::{Row, ranked, rows};
use crate::record::Record;

/// Around the plot, in pixels, and above it for two lines of text.
const MARGIN: f64 = 20.0;
const HEAD: f64 = 58.0;
/// The backend's units in a pixel.
const UNITS: f64 = 10.0;

/// The headline of a record's first workload: for a README.
pub fn headline(record: &Record) -> Option<String> {
    let rows = ranked(rows(record));
    let workload = &record.workloads.first()?.name;
    let rows: Vec<&Row> = rows.iter().filter(|row| row.workload == *workload).collect();
    Some(file(&figures::worth(&rows, &palette(record, &[]))?, &subtitle(record, workload)))
}

/// Every plot of a record, with a name for its file.
pub fn plots(record: &Record) -> Vec<(String, String)> {
    let (rows, palette) = (ranked(rows(record)), palette(record, &[]));
    let mut files = Vec::new();
    for workload in &record.workloads {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.workload == workload.name).collect();
        for plot in figures::of_workload(record, &rows, &palette) {
            let name = format!("{}-{}.svg", workload.name.replace(['/', '\0'], "_"), plot.name);
            files.push((name, file(&plot, &subtitle(record, &workload.name))));
        }
    }
    let starts = figures::cold_starts(record, &palette);
    files.extend(starts.map(|plot| (format!("{}.svg", plot.name), file(&plot, &machine(record)))));
    files
}

fn subtitle(record: &Record, workload: &str) -> String {
    format!("{workload}: {} · {}", conditions(record, workload), machine(record))
}

fn machine(record: &Record) -> String {
    let date = record.started.split('T').next().unwrap_or_default();
    format!("{}, {date}", record.host.label)
}

/// Paper of its own lies under the plot, because a page may be dark when the reader's system is not.
fn file(plot: &Plot<'_>, subtitle: &str) -> String {
    let drawing = (plot.draw)(Width::Wide);
    let (light_properties, dark_properties) = inks::properties();
    let (width, height) = (drawing.width + 2.0 * MARGIN, drawing.height + HEAD + 2.0 * MARGIN);
    let units = |pixels: f64| (pixels * UNITS).round();
    let text = |y: f64, size: f64, weight: u32, ink: inks::Ink, words: &str| {
        format!(
            "<text x=\"{}\" y=\"{}\" font-size=\"{}\" font-weight=\"{weight}\" fill=\"{}\">{}</text>\n",
            units(MARGIN),
            units(y),
            units(size),
            ink.hex(),
            super::html::escape(words)
        )
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {w} {h}\" role=\"img\" \
         aria-labelledby=\"t d\">\n<title id=\"t\">{title}</title>\n<desc id=\"d\">{caption}</desc>\n\
         <style>svg{{{light_properties}}}{rules}@media (prefers-color-scheme: dark){{svg{{{dark_properties}}}{dark}}}</style>\n\
         <rect width=\"{w}\" height=\"{h}\" rx=\"80\" fill=\"{paper}\"/>\n{head}{sub}\
         <g transform=\"translate({left} {top})\">\n{shapes}\n</g>\n</svg>\n",
        w = units(width),
        h = units(height),
        title = super::html::escape(plot.title),
        caption = super::html::escape(&plot.caption),
        rules = plot::rules(),
        dark = inks::dark_rules(),
        paper = inks::PAPER.hex(),
        head = text(MARGIN + 16.0, 17.0, 600, inks::TEXT, plot.title),
        sub = text(MARGIN + 38.0, 12.0, 400, inks::MUTED, subtitle),
        left = units(MARGIN),
        top = units(MARGIN + HEAD),
        shapes = drawing.shapes,
    )
}
