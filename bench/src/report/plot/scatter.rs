//! Throughput against memory: what lies on one of the slanting lines buys as much for each MB.

use super::frame::Frame;
use super::label::{Area, beside};
use super::palette::{Ink, MUTED, PAPER, RULE};
use super::scale::{Scale, tick_label};
use super::sheet::{Anchor, NAME, NOTE, Sheet};
use super::{Drawing, Width, text};
use crate::stats::Estimate;

const RADIUS: f64 = 4.5;

/// One target.
#[derive(Clone, Debug)]
pub struct Spot {
    pub name: String,
    pub ink: Ink,
    /// Emulated, or else not to be compared.
    pub apart: bool,
    pub mb: Estimate,
    pub req_per_s: Estimate,
}

/// Dots with crossed intervals. `apart` says what the hollow ones are.
pub fn scatter(spots: &[Spot], apart: &str, width: Width) -> Drawing {
    let wide = width == Width::Wide;
    let height = if wide { 520.0 } else { 440.0 };
    let frame = Frame { left: 46.0, top: 58.0, right: width.pixels() - 44.0, bottom: height - 44.0 };
    let ends = |estimate: &Estimate| {
        let (low, high) = estimate.interval.unwrap_or((estimate.median, estimate.median));
        [low, high]
    };
    let mbs: Vec<f64> = spots.iter().flat_map(|spot| ends(&spot.mb)).collect();
    let rates: Vec<f64> = spots.iter().flat_map(|spot| ends(&spot.req_per_s)).collect();
    let x = Scale::log_with_room(&mbs, 1.5, frame.left, frame.right);
    let y = Scale::log_with_room(&rates, 1.7, frame.bottom, frame.top);
    Drawing::new(width, height, |sheet| {
        frame.y_axis(sheet, &y, "");
        sheet.note((0.0, 10.0), "requests/s, log scale", Anchor::Start);
        sheet.note((sheet.width, 10.0), "lines: requests/s per MB", Anchor::End);
        frame.x_axis(sheet, &Frame::ticks_of(&x, 34.0), "PSS under load, MB, log scale");
        let labels = iso_lines(sheet, frame, &x, &y);
        if spots.iter().any(|spot| spot.apart) {
            sheet.ring((frame.left + 14.0, frame.bottom - 14.0), RADIUS, MUTED);
            sheet.note((frame.left + 24.0, frame.bottom - 14.0), apart, Anchor::Start);
        }
        dots(sheet, spots, &x, &y);
        names(sheet, frame, spots, &x, &y, &labels);
    })
}

/// One line for each power of ten, labelled where it leaves the frame. Where the labels are.
fn iso_lines(sheet: &Sheet<'_>, frame: Frame, x: &Scale, y: &Scale) -> Vec<Area> {
    let (least, most) = (y.low() / x.high(), y.high() / x.low());
    let (first, last) = (least.log10().ceil() as i32, most.log10().floor() as i32);
    let mut labels = Vec::new();
    for worth in (first..=last).map(|power| 10_f64.powi(power)) {
        let (from, to) = (x.low().max(y.low() / worth), x.high().min(y.high() / worth));
        if from >= to {
            continue;
        }
        let (start, end) = ((x.at(from), y.at(from * worth)), (x.at(to), y.at(to * worth)));
        sheet.line(&[start, end], RULE, 0.8);
        // A line that hardly crosses a corner needs no label, and would have no room for it.
        if (end.0 - start.0).hypot(end.1 - start.1) < 30.0 {
            continue;
        }
        let label = tick_label(worth);
        let width = text::width(&label, NOTE);
        let (middle, anchor, left) = if end.1 <= frame.top + 0.5 {
            ((end.0, frame.top - 11.0), Anchor::Middle, end.0 - width / 2.0)
        } else {
            ((frame.right + 6.0, end.1), Anchor::Start, frame.right + 6.0)
        };
        sheet.note(middle, &label, anchor);
        labels.push(Area { x: left, y: middle.1 - NOTE / 2.0, width, height: NOTE });
    }
    labels
}

fn dots(sheet: &Sheet<'_>, spots: &[Spot], x: &Scale, y: &Scale) {
    for spot in spots {
        let (cx, cy) = spot.at(x, y);
        if let Some((low, high)) = spot.mb.interval {
            sheet.line(&[(x.at(low), cy), (x.at(high), cy)], spot.ink, 1.2);
        }
        if let Some((low, high)) = spot.req_per_s.interval {
            sheet.line(&[(cx, y.at(low)), (cx, y.at(high))], spot.ink, 1.2);
        }
        if spot.apart {
            sheet.dot((cx, cy), RADIUS, PAPER);
            sheet.ring((cx, cy), RADIUS, spot.ink);
        } else {
            sheet.dot((cx, cy), RADIUS, spot.ink);
        }
    }
}

/// The name of each dot beside it, or led to by a line.
fn names(sheet: &Sheet<'_>, frame: Frame, spots: &[Spot], x: &Scale, y: &Scale, taken: &[Area]) {
    let points: Vec<(f64, f64, &str)> =
        spots.iter().map(|spot| (spot.at(x, y).0, spot.at(x, y).1, spot.name.as_str())).collect();
    let (width, height) = (sheet.width - frame.left, frame.bottom - frame.top);
    let bounds = Area { x: frame.left, y: frame.top, width, height };
    for ((cx, cy, name), area) in points.iter().zip(beside(&points, NAME, RADIUS + 1.0, bounds, taken)) {
        let near = (cx.clamp(area.x, area.x + area.width), area.y + area.height / 2.0);
        if (near.0 - cx).hypot(near.1 - cy) > 15.0 {
            let edge = near.1 - (near.1 - cy).signum() * area.height / 2.0;
            sheet.line(&[(*cx, *cy), (near.0, edge)], RULE, 1.0);
        }
        sheet.name((area.x, area.y + area.height / 2.0), name, Anchor::Start);
    }
}

impl Spot {
    fn at(&self, x: &Scale, y: &Scale) -> (f64, f64) {
        (x.at(self.mb.median), y.at(self.req_per_s.median))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::sheet::draw;

    #[test]
    fn what_buys_as_much_for_each_mb_lies_on_one_line() {
        let frame = Frame { left: 0.0, top: 0.0, right: 400.0, bottom: 300.0 };
        let x = Scale::spanning(1.0, 110.0, frame.left, frame.right);
        let y = Scale::spanning(100.0, 100_000.0, frame.bottom, frame.top);
        let mut labels = Vec::new();
        let shapes = draw(400.0, 300.0, |sheet| labels = iso_lines(sheet, frame, &x, &y));
        // That for 1 request/s for each MB hardly crosses a corner, that for 100,000 only touches one.
        assert_eq!(labels.len(), 4, "{shapes}");
        for words in ["10", "100", "1,000", "10k"] {
            assert!(shapes.contains(&format!(">\n{words}\n<")), "{words} in {shapes}");
        }
    }

    #[test]
    fn hollow_dots_are_what_is_not_ranked() {
        let estimate = |median: f64| Estimate { median, interval: None, n: 1 };
        let spot = |apart: bool| Spot {
            name: "a".into(),
            ink: MUTED,
            apart,
            mb: estimate(2.0),
            req_per_s: estimate(1000.0),
        };
        let shapes = |spots: &[Spot]| scatter(spots, "not ranked", Width::Wide).shapes;
        assert!(!shapes(&[spot(false)]).contains("not ranked"));
        assert!(shapes(&[spot(false), spot(true)]).contains("not ranked"));
    }
}
