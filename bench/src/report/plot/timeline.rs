//! The footprint through a run: at rest, under load, at rest again.

use super::frame::{End, Frame, LINE, emulated_note, room_for, thinned};
use super::palette::{BAND, Ink, MUTED, RULE};
use super::scale::{Scale, tick_label};
use super::sheet::{Anchor, Sheet};
use super::{Drawing, Width};

/// The part of the width before the load, and that of each rest after it.
const BEFORE: f64 = 0.13;
const AFTER: f64 = 0.12;

/// One target's memory through one cell.
#[derive(Clone, Debug, Default)]
pub struct Course {
    pub name: String,
    pub ink: Option<Ink>,
    pub emulated: bool,
    pub idle_mb: Option<f64>,
    /// Seconds since the load began, and MB.
    pub loaded: Vec<(f64, f64)>,
    pub after_mb: Option<f64>,
    /// Seconds after the load's end, and MB.
    pub rest: Option<(f64, f64)>,
}

/// The three or four stretches of time, in pixels.
struct Stretches {
    load: Scale,
    /// Where the load, the time right after it and the time at rest end.
    ends: [f64; 3],
    left: f64,
}

impl Stretches {
    fn of(courses: &[Course], frame: Frame) -> Self {
        let width = frame.right - frame.left;
        let rest = courses.iter().any(|course| course.rest.is_some());
        let last = frame.right;
        let after = if rest { last - AFTER * width } else { last };
        let (from, to) = (frame.left + BEFORE * width, after - AFTER * width);
        let longest = courses.iter().flat_map(|course| &course.loaded).map(|(at, _)| *at).fold(0.1, f64::max);
        Self {
            load: Scale::spanning_linear(0.0, longest, from, to),
            ends: [to, after, last],
            left: frame.left,
        }
    }

    /// A target's path through all of them. What was not weighed is a gap that the line bridges.
    fn path(&self, course: &Course, y: &Scale) -> Vec<(f64, f64)> {
        let level = |from: f64, to: f64, mb: f64| [(from, y.at(mb)), (to, y.at(mb))];
        let begin = self.load.at(0.0);
        let mut path = Vec::new();
        path.extend(course.idle_mb.into_iter().flat_map(|mb| level(self.left, begin, mb)));
        path.extend(course.loaded.iter().map(|(at, mb)| (self.load.at(*at), y.at(*mb))));
        path.extend(course.after_mb.into_iter().flat_map(|mb| level(self.ends[0] + 4.0, self.ends[1], mb)));
        let rest = course.rest.filter(|_| self.ends[2] > self.ends[1]);
        path.extend(rest.into_iter().flat_map(|(_, mb)| level(self.ends[1] + 8.0, self.ends[2], mb)));
        path
    }

    fn draw(&self, sheet: &Sheet<'_>, frame: Frame, rest_s: Option<f64>) {
        let (begin, [end, after, last]) = (self.load.at(0.0), self.ends);
        sheet.bar((begin, frame.top - 8.0), (end, frame.bottom), BAND, 1.0);
        let middle = |from: f64, to: f64| f64::midpoint(from, to);
        let heading = |x: f64, words: &str| sheet.note((x, frame.top - 16.0), words, Anchor::Middle);
        // Where the stretches are narrow, the last heading goes above the one before.
        let above = if last - after < 44.0 { 14.0 } else { 0.0 };
        heading(middle(self.left, begin), "idle");
        heading(middle(begin, end), "under load");
        heading(middle(end, after), "after");
        if let Some(seconds) = rest_s {
            let words = format!("+{} s", tick_label(seconds));
            sheet.note((middle(after, last), frame.top - 16.0 - above), &words, Anchor::Middle);
            sheet.line(&[(after, frame.top - 8.0), (after, frame.bottom)], RULE, 1.0);
        }
    }
}

/// One line a target, weighed as the title says.
pub fn timeline(courses: &[Course], title: &str, width: Width) -> Drawing {
    let wide = width == Width::Wide;
    let room = room_for(courses.iter().map(|course| course.name.as_str()), if wide { 190.0 } else { 112.0 });
    let height = (116.0 + LINE * courses.len() as f64).max(if wide { 420.0 } else { 380.0 });
    let frame = Frame { left: 40.0, top: 62.0, right: width.pixels() - room - 26.0, bottom: height - 44.0 };
    let values: Vec<f64> = courses.iter().flat_map(values).collect();
    let y = Scale::fitting(&values, frame.bottom, frame.top);
    let stretches = Stretches::of(courses, frame);
    let rest_s = courses.iter().find_map(|course| course.rest).map(|(seconds, _)| seconds);
    Drawing::new(width, height, |sheet| {
        stretches.draw(sheet, frame, rest_s);
        let log = if y.is_log() { ", log scale" } else { "" };
        frame.y_axis(sheet, &y, "");
        sheet.note((0.0, 14.0), &format!("{title}{log}"), Anchor::Start);
        frame.x_axis(sheet, &Frame::ticks_of(&stretches.load, 38.0), "seconds since the load began");
        let mut ends = Vec::new();
        for course in courses {
            let ink = course.ink.unwrap_or(MUTED);
            let path = thinned(&stretches.path(course, &y), 0.3);
            if course.emulated {
                sheet.dashed(&path, ink)
            } else {
                sheet.line(&path, ink, 2.0)
            }
            ends.extend(path.last().map(|&at| End { at, name: &course.name, ink }));
        }
        frame.ends(sheet, &ends);
        if courses.iter().any(|course| course.emulated) {
            emulated_note(sheet, (sheet.width, 14.0));
        }
    })
}

fn values(course: &Course) -> Vec<f64> {
    let loaded = course.loaded.iter().map(|(_, mb)| *mb);
    let rest = course.rest.map(|(_, mb)| mb);
    loaded.chain(course.idle_mb).chain(course.after_mb).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course() -> Course {
        let loaded = vec![(0.1, 2.0), (9.9, 4.0)];
        Course { name: "a".into(), idle_mb: Some(1.0), loaded, after_mb: Some(3.0), ..Course::default() }
    }

    const FRAME: Frame = Frame { left: 0.0, top: 0.0, right: 1000.0, bottom: 100.0 };

    #[test]
    fn a_path_goes_from_idle_through_the_load_to_what_is_left_after_it() {
        let y = Scale::linear(&[4.0], 100.0, 0.0);
        let course = course();
        let path = Stretches::of(std::slice::from_ref(&course), FRAME).path(&course, &y);
        let levels: Vec<f64> = path.iter().map(|(_, y)| y.round()).collect();
        assert_eq!(levels, [75.0, 75.0, 50.0, 0.0, 25.0, 25.0]);
        assert!(path.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{path:?}");
        assert_eq!((path[0].0, path[5].0), (0.0, 1000.0));
    }

    #[test]
    fn time_at_rest_takes_its_own_stretch_when_it_was_weighed() {
        let y = Scale::linear(&[4.0], 100.0, 0.0);
        let (without, with) = (course(), Course { rest: Some((30.0, 2.0)), ..course() });
        let stretches = Stretches::of(&[without.clone(), with.clone()], FRAME);
        let end = |course| stretches.path(course, &y).last().map(|(x, y)| (x.round(), y.round()));
        assert_eq!((end(&without), end(&with)), (Some((880.0, 25.0)), Some((1000.0, 50.0))));
    }
}
