//! The frame of a plot with two axes: grid, ticks, titles, and names at the ends of lines.

use super::label::spread;
use super::palette::{GRID, Ink, MUTED, RULE};
use super::scale::{Scale, tick_label};
use super::sheet::{Anchor, NAME, Sheet};
use super::text;

/// Names at the ends of lines stand this far apart.
pub const LINE: f64 = 15.5;

/// Where the marks of a plot are, in pixels.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

/// A name beside the end of its line.
pub struct End<'a> {
    pub at: (f64, f64),
    pub name: &'a str,
    pub ink: Ink,
}

/// The room that names at the right of a sheet need, at most `most` pixels.
pub fn room_for<'a>(names: impl IntoIterator<Item = &'a str>, most: f64) -> f64 {
    let widest = names.into_iter().map(|name| text::width(name, NAME)).fold(0.0, f64::max);
    widest.min(most)
}

impl Frame {
    /// Horizontal lines with their values to the left; the title stands above them.
    pub fn y_axis(&self, sheet: &Sheet<'_>, scale: &Scale, title: &str) {
        for tick in scale.ticks(if scale.is_log() { 30.0 } else { 44.0 }) {
            let y = scale.at(tick);
            sheet.line(&[(self.left, y), (self.right, y)], GRID, 1.0);
            sheet.note((self.left - 7.0, y), &tick_label(tick), Anchor::End);
        }
        sheet.note((0.0, self.top - 20.0), title, Anchor::Start);
    }

    /// Values below the frame at the given pixels, the title below them. A label that does not fit beside the one
    /// before is left out.
    pub fn x_axis(&self, sheet: &Sheet<'_>, ticks: &[(f64, String)], title: &str) {
        sheet.line(&[(self.left, self.bottom), (self.right, self.bottom)], RULE, 1.0);
        let mut free = f64::NEG_INFINITY;
        for (x, label) in ticks {
            sheet.line(&[(*x, self.bottom), (*x, self.bottom + 4.0)], RULE, 1.0);
            let half = text::width(label, super::sheet::NOTE) / 2.0;
            if x - half >= free {
                sheet.note((*x, self.bottom + 15.0), label, Anchor::Middle);
                free = x + half + 6.0;
            }
        }
        sheet.note((f64::midpoint(self.left, self.right), self.bottom + 34.0), title, Anchor::Middle);
    }

    pub fn ticks_of(scale: &Scale, apart: f64) -> Vec<(f64, String)> {
        scale.ticks(apart).into_iter().map(|tick| (scale.at(tick), tick_label(tick))).collect()
    }

    /// Names in a column to the right of the frame, each led to by a fine line.
    pub fn ends(&self, sheet: &Sheet<'_>, ends: &[End<'_>]) {
        let column = self.right + 22.0;
        let wanted: Vec<f64> = ends.iter().map(|end| end.at.1).collect();
        let places = spread(&wanted, LINE, self.top - 8.0, self.bottom + 8.0);
        for (end, y) in ends.iter().zip(places) {
            // What belongs to no value is grey.
            let leave = (self.right + 4.0, end.at.1);
            sheet.line(&[end.at, leave], RULE, 1.0);
            sheet.line(&[leave, (column - 6.0, y), (column - 2.0, y)], end.ink, 1.0);
            sheet.dot(end.at, 2.6, end.ink);
            let name = text::fitted(end.name, NAME, sheet.width - column);
            sheet.name((column + 1.0, y), &name, Anchor::Start);
        }
    }
}

/// A path with the points left out that lie within `tolerance` pixels of the line between those that stay.
pub fn thinned(points: &[(f64, f64)], tolerance: f64) -> Vec<(f64, f64)> {
    let ([first, .., last], true) = (points, points.len() > 2) else { return points.to_vec() };
    let away = |&(x, y): &(f64, f64)| {
        let (dx, dy) = (last.0 - first.0, last.1 - first.1);
        let length = dx.hypot(dy);
        if length == 0.0 {
            return (x - first.0).hypot(y - first.1);
        }
        (dx * (y - first.1) - dy * (x - first.0)).abs() / length
    };
    let farthest = (1..points.len() - 1).max_by(|&a, &b| away(&points[a]).total_cmp(&away(&points[b])));
    match farthest {
        Some(index) if away(&points[index]) > tolerance => {
            let mut path = thinned(&points[..=index], tolerance);
            path.pop();
            path.extend(thinned(&points[index..], tolerance));
            path
        }
        _ => vec![*first, *last],
    }
}

/// A mark that explains emulated targets, right above a frame.
pub fn emulated_note(sheet: &Sheet<'_>, at: (f64, f64)) {
    sheet.dashed(&[(at.0 - 24.0, at.1), (at.0, at.1)], MUTED);
    sheet.note((at.0 - 30.0, at.1), "emulated", Anchor::End);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_corners_and_leaves_out_what_lies_between() {
        let straight: Vec<_> = (0..100).map(|x| (f64::from(x), 5.0)).collect();
        assert_eq!(thinned(&straight, 0.3), [(0.0, 5.0), (99.0, 5.0)]);
        let step = [(0.0, 5.0), (1.0, 5.0), (2.0, 5.0), (3.0, 9.0), (4.0, 9.0), (5.0, 9.0)];
        assert_eq!(thinned(&step, 0.3), [(0.0, 5.0), (2.0, 5.0), (3.0, 9.0), (5.0, 9.0)]);
    }

    #[test]
    fn thinning_moves_no_point_by_more_than_the_tolerance() {
        let wave: Vec<_> = (0..200).map(|x| (f64::from(x), (f64::from(x) / 9.0).sin() * 40.0)).collect();
        let path = thinned(&wave, 0.3);
        assert!(path.len() < 150, "{}", path.len());
        for (x, y) in wave {
            let pair = path.windows(2).find(|pair| pair[0].0 <= x && x <= pair[1].0).unwrap();
            let part = (x - pair[0].0) / (pair[1].0 - pair[0].0);
            // Along y the distance is greater than across the line, by its slope.
            assert!((pair[0].1 + part * (pair[1].1 - pair[0].1) - y).abs() < 1.5);
        }
    }
}
