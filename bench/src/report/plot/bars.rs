//! The headline: one bar a target, with the interval of its figure.

use super::palette::{GRID, Ink, PAPER, RULE, TEXT};
use super::scale::{Scale, tick_label};
use super::sheet::{Anchor, NAME, NOTE, Sheet};
use super::{Drawing, Width, text};
use crate::report::render::number;
use crate::stats::Estimate;

const ROW: f64 = 26.0;
const THICK: f64 = 13.0;

/// One target's figure.
#[derive(Clone, Debug)]
pub struct Bar {
    pub name: String,
    pub ink: Ink,
    pub estimate: Estimate,
    /// There is a mark in the table that a reader should look at first.
    pub marked: bool,
    /// Why it is set apart from those above it: neighbours of one reason stand under it as their heading.
    pub apart: Option<&'static str>,
}

enum Line<'a> {
    Heading(&'a str),
    Bar(&'a Bar),
}

/// Bars in the order given.
pub fn bars(bars: &[Bar], title: &str, width: Width) -> Drawing {
    let lines = lines(bars);
    let height = 52.0 + ROW * lines.len() as f64;
    let layout = Layout::of(bars, width, height);
    Drawing::new(width, height, |sheet| {
        layout.axis(sheet, title);
        for (index, line) in lines.iter().enumerate() {
            let y = 44.0 + ROW * (index as f64 + 0.5);
            match line {
                Line::Heading(words) => sheet.note((0.0, y + 3.0), words, Anchor::Start),
                Line::Bar(bar) => layout.bar(sheet, bar, y),
            }
        }
    })
}

fn lines(bars: &[Bar]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut last = None;
    for bar in bars {
        if bar.apart != last {
            lines.extend(bar.apart.map(Line::Heading));
            last = bar.apart;
        }
        lines.push(Line::Bar(bar));
    }
    lines
}

struct Layout {
    scale: Scale,
    names: f64,
    left: f64,
    bottom: f64,
    wide: bool,
}

impl Layout {
    fn of(bars: &[Bar], width: Width, height: f64) -> Self {
        let wide = width == Width::Wide;
        let labels: Vec<String> = bars.iter().map(label).collect();
        let names =
            super::frame::room_for(labels.iter().map(String::as_str), if wide { 190.0 } else { 112.0 });
        let values = bars.iter().map(|bar| value_width(bar, wide)).fold(0.0, f64::max);
        let (left, right) = (names + 12.0, width.pixels() - values - 10.0);
        let figures: Vec<f64> = bars.iter().flat_map(|bar| extent(&bar.estimate)).collect();
        let scale = Scale::fitting_decades(&figures, left, right);
        Self { scale, names, left, bottom: height - 4.0, wide }
    }

    fn axis(&self, sheet: &Sheet<'_>, title: &str) {
        let log = if self.scale.is_log() { ", log scale" } else { "" };
        let title = format!("{title}{log}");
        let room = sheet.width - self.left;
        if text::width(&title, NOTE) <= room {
            sheet.note((self.left, 9.0), &title, Anchor::Start);
        } else {
            sheet.note((0.0, 9.0), &title, Anchor::Start);
        }
        for tick in self.scale.ticks(44.0) {
            let x = self.scale.at(tick);
            sheet.line(&[(x, 38.0), (x, self.bottom)], GRID, 1.0);
            sheet.note((x, 28.0), &tick_label(tick), Anchor::Middle);
        }
        sheet.line(&[(self.left, 38.0), (self.left, self.bottom)], RULE, 1.0);
    }

    fn bar(&self, sheet: &Sheet<'_>, bar: &Bar, y: f64) {
        let name = text::fitted(&label(bar), NAME, self.names);
        sheet.name((self.left - 9.0, y), &name, Anchor::End);
        let x = self.scale.at(bar.estimate.median);
        let (from, to) = ((self.left, y - THICK / 2.0), (x, y + THICK / 2.0));
        if bar.apart.is_some() {
            sheet.bar(from, to, PAPER, 1.0);
            sheet.outline(from, to, bar.ink);
        } else {
            sheet.bar(from, to, bar.ink, 1.0);
        }
        let mut end = x;
        if let Some((low, high)) = bar.estimate.interval {
            self.whisker(sheet, self.scale.at(low), self.scale.at(high), y);
            end = self.scale.at(high);
        }
        let value = number(bar.estimate.median);
        sheet.name((end + 7.0, y), &value, Anchor::Start);
        if let Some(interval) = interval(bar).filter(|_| self.wide) {
            let at = end + 7.0 + text::width(&value, NAME) + 7.0;
            sheet.note((at, y), &interval, Anchor::Start);
        }
    }

    /// Light under dark, so that it is seen on the bar and beside it.
    fn whisker(&self, sheet: &Sheet<'_>, low: f64, high: f64, y: f64) {
        for (ink, thick) in [(PAPER, 3.6), (TEXT, 1.4)] {
            let more = (thick - 1.4) / 2.0;
            sheet.line(&[(low - more, y), (high + more, y)], ink, thick);
            for x in [low, high] {
                sheet.line(&[(x, y - 4.0 - more), (x, y + 4.0 + more)], ink, thick);
            }
        }
    }
}

fn label(bar: &Bar) -> String {
    format!("{}{}", bar.name, if bar.marked { " †" } else { "" })
}

fn extent(estimate: &Estimate) -> [f64; 2] {
    let (low, high) = estimate.interval.unwrap_or((estimate.median, estimate.median));
    [low, high]
}

fn interval(bar: &Bar) -> Option<String> {
    bar.estimate.interval.map(|(low, high)| format!("{}–{}", number(low), number(high)))
}

fn value_width(bar: &Bar, wide: bool) -> f64 {
    let more = interval(bar).filter(|_| wide).map_or(0.0, |text| text::width(&text, NOTE) + 7.0);
    7.0 + text::width(&number(bar.estimate.median), NAME) + more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::palette::MUTED;

    fn bar(name: &str, median: f64, apart: Option<&'static str>) -> Bar {
        let estimate = Estimate { median, interval: Some((0.9 * median, 1.1 * median)), n: 5 };
        Bar { name: name.into(), ink: MUTED, estimate, marked: false, apart }
    }

    #[test]
    fn what_is_set_apart_stands_under_its_reason_once() {
        let bars = [bar("a", 3.0, None), bar("b", 2.0, Some("emulated")), bar("c", 1.0, Some("emulated"))];
        let kinds: Vec<&str> = lines(&bars)
            .iter()
            .map(|line| match line {
                Line::Heading(words) => words,
                Line::Bar(bar) => bar.name.as_str(),
            })
            .collect();
        assert_eq!(kinds, ["a", "emulated", "b", "c"]);
    }

    #[test]
    fn a_bar_ends_at_its_figure_and_everything_stays_on_the_sheet() {
        for width in [Width::Wide, Width::Narrow] {
            let bars = [bar("a", 90_000.0, None), bar("b", 60.0, None)];
            let layout = Layout::of(&bars, width, 200.0);
            assert!(layout.scale.is_log() && layout.scale.at(60.0) > layout.left);
            let end = layout.scale.at(99_000.0) + value_width(&bars[0], layout.wide);
            assert!(end <= width.pixels(), "{end}");
        }
    }

    #[test]
    fn a_mark_is_shown_at_the_name_and_the_interval_in_words_where_there_is_room() {
        let marked = Bar { marked: true, ..bar("a", 50.0, None) };
        let wide = bars(std::slice::from_ref(&marked), "unit", Width::Wide).shapes;
        assert!(wide.contains("a †") && wide.contains("45.0–55.0"), "{wide}");
        let narrow = bars(&[marked], "unit", Width::Narrow).shapes;
        assert!(narrow.contains("50.0") && !narrow.contains("45.0–55.0"), "{narrow}");
    }
}
