//! What one more instance costs: the footprint of each when several run.

use super::frame::{End, Frame, LINE, emulated_note, room_for};
use super::palette::Ink;
use super::scale::Scale;
use super::{Drawing, Width};
use crate::report::render::number;
use crate::stats::Estimate;

/// One target's footprint by the number of its instances.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: String,
    pub ink: Ink,
    pub emulated: bool,
    /// How many instances, and what they weigh together, in MB.
    pub points: Vec<(usize, f64)>,
    /// The slope: MB for each further instance.
    pub each_mb: Option<Estimate>,
}

/// The mean footprint by the number of instances, one line a target, with the slope beside its name.
pub fn marginal(targets: &[Line], title: &str, width: Width) -> Drawing {
    let wide = width == Width::Wide;
    let labels: Vec<String> = targets.iter().map(label).collect();
    let room = room_for(labels.iter().map(String::as_str), if wide { 240.0 } else { 150.0 });
    let height = (90.0 + LINE * targets.len() as f64).max(if wide { 400.0 } else { 360.0 });
    let frame = Frame { left: 40.0, top: 34.0, right: width.pixels() - room - 26.0, bottom: height - 44.0 };
    let (counts, sizes): (Vec<f64>, Vec<f64>) = targets.iter().flat_map(means).unzip();
    let most = counts.iter().copied().fold(2.0, f64::max);
    let x = Scale::spanning(1.0, most, frame.left + 8.0, frame.right);
    let y = Scale::fitting(&sizes, frame.bottom, frame.top);
    Drawing::new(width, height, |sheet| {
        let log = if y.is_log() { ", log scale" } else { "" };
        frame.y_axis(sheet, &y, &format!("{title}{log}"));
        frame.x_axis(sheet, &ticks(&counts, &x), "instances at once");
        let mut ends = Vec::new();
        for (target, label) in targets.iter().zip(&labels) {
            let path: Vec<_> = means(target).map(|(n, mb)| (x.at(n), y.at(mb))).collect();
            if target.emulated {
                sheet.dashed(&path, target.ink)
            } else {
                sheet.line(&path, target.ink, 2.0)
            }
            for &at in &path {
                if target.emulated { sheet.ring(at, 3.0, target.ink) } else { sheet.dot(at, 3.0, target.ink) }
            }
            ends.extend(path.last().map(|&at| End { at, name: label, ink: target.ink }));
        }
        frame.ends(sheet, &ends);
        if targets.iter().any(|target| target.emulated) {
            emulated_note(sheet, (sheet.width, 14.0));
        }
    })
}

impl Line {
    /// The mean footprint of as many instances as were tried at most.
    pub fn mean(&self) -> f64 {
        means(self).last().map_or(0.0, |(_, mb)| mb)
    }
}

fn means(target: &Line) -> impl Iterator<Item = (f64, f64)> {
    target.points.iter().filter(|(n, _)| *n > 0).map(|(n, mb)| (*n as f64, mb / *n as f64))
}

fn label(target: &Line) -> String {
    match target.each_mb {
        Some(each) => format!("{} +{}", target.name, number(each.median)),
        None => target.name.clone(),
    }
}

/// A tick for every number of instances that was tried.
fn ticks(counts: &[f64], x: &Scale) -> Vec<(f64, String)> {
    let mut counts: Vec<usize> = counts.iter().map(|n| *n as usize).collect();
    counts.sort_unstable();
    counts.dedup();
    counts.into_iter().map(|n| (x.at(n as f64), n.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::palette::MUTED;

    fn line(points: &[(usize, f64)], each_mb: Option<f64>) -> Line {
        let estimate = |median| Estimate { median, interval: None, n: 5 };
        let each_mb = each_mb.map(estimate);
        Line { name: "a".into(), ink: MUTED, emulated: false, points: points.to_vec(), each_mb }
    }

    #[test]
    fn what_is_shared_makes_the_mean_fall() {
        let line = line(&[(1, 4.0), (2, 6.0), (4, 10.0)], Some(2.0));
        assert_eq!(means(&line).collect::<Vec<_>>(), [(1.0, 4.0), (2.0, 3.0), (4.0, 2.5)]);
        assert_eq!((line.mean(), label(&line)), (2.5, "a +2.00".into()));
    }

    #[test]
    fn a_number_of_instances_has_one_tick_and_none_is_no_reason_to_panic() {
        let x = Scale::spanning(1.0, 4.0, 0.0, 100.0);
        let labels: Vec<String> =
            ticks(&[1.0, 4.0, 1.0, 2.0], &x).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["1", "2", "4"]);
        let drawing = marginal(&[line(&[(0, 1.0)], None)], "MB", Width::Narrow);
        assert!(!drawing.shapes.contains("NaN"));
    }
}
