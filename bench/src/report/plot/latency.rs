//! Latency by percentile: each decade to the right leaves out nine tenths of the requests that were left.

use super::frame::{End, Frame, LINE, emulated_note, room_for, thinned};
use super::palette::Ink;
use super::scale::Scale;
use super::{Drawing, Width};

/// Where lines begin: what is faster than the median is of no interest here.
const FIRST: f64 = 0.5;
/// Beyond this quantile a line would show single requests.
const LAST: f64 = 0.9999;

/// One target's latencies.
#[derive(Clone, Debug)]
pub struct Curve {
    pub name: String,
    pub ink: Ink,
    pub emulated: bool,
    /// Quantile (0 to 1) and milliseconds, both ascending.
    pub points: Vec<(f64, f64)>,
}

/// One line a target; `title` says what the latencies are of.
pub fn latency(curves: &[Curve], title: &str, width: Width) -> Drawing {
    let wide = width == Width::Wide;
    let room = room_for(curves.iter().map(|curve| curve.name.as_str()), if wide { 190.0 } else { 112.0 });
    let height = (90.0 + LINE * curves.len() as f64).max(if wide { 420.0 } else { 360.0 });
    let frame = Frame { left: 46.0, top: 34.0, right: width.pixels() - room - 26.0, bottom: height - 44.0 };
    let all = || curves.iter().flat_map(shown);
    let odds: Vec<f64> = all().map(|(quantile, _)| odds_of(*quantile)).collect();
    let x = Scale::spanning(odds_of(FIRST), odds.into_iter().fold(10.0, f64::max), frame.left, frame.right);
    let times: Vec<f64> = all().map(|(_, ms)| *ms).collect();
    let y = Scale::log(&times, frame.bottom, frame.top);
    Drawing::new(width, height, |sheet| {
        frame.y_axis(sheet, &y, &format!("{title}, ms, log scale"));
        frame.x_axis(sheet, &percentiles(&x), "percentile of requests");
        let mut ends = Vec::new();
        for curve in curves {
            let path: Vec<_> =
                shown(curve).map(|(quantile, ms)| (x.at(odds_of(*quantile)), y.at(*ms))).collect();
            let path = thinned(&path, 0.25);
            if curve.emulated {
                sheet.dashed(&path, curve.ink)
            } else {
                sheet.line(&path, curve.ink, 2.0)
            }
            ends.extend(path.last().map(|&at| End { at, name: &curve.name, ink: curve.ink }));
        }
        frame.ends(sheet, &ends);
        if curves.iter().any(|curve| curve.emulated) {
            emulated_note(sheet, (sheet.width, 14.0));
        }
    })
}

fn shown(curve: &Curve) -> impl Iterator<Item = &(f64, f64)> {
    curve.points.iter().filter(|(quantile, _)| (FIRST - 1e-9..=LAST + 1e-9).contains(quantile))
}

/// One request of how many is slower: what the horizontal axis is the logarithm of.
fn odds_of(quantile: f64) -> f64 {
    1.0 / (1.0 - quantile.clamp(0.0, LAST))
}

fn percentiles(x: &Scale) -> Vec<(f64, String)> {
    let labels = [(FIRST, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (LAST, "99.99 %")];
    let within = labels.into_iter().filter(|(quantile, _)| odds_of(*quantile) <= x.high() * 1.001);
    within.map(|(quantile, label)| (x.at(odds_of(quantile)), label.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_further_nine_is_as_far_as_the_last() {
        let x = Scale::spanning(1.0, 10_000.0, 0.0, 400.0);
        let ticks = percentiles(&x);
        let at: Vec<f64> = ticks.iter().map(|(at, _)| at.round()).collect();
        assert_eq!(at, [30.0, 100.0, 200.0, 300.0, 400.0]);
        assert_eq!((ticks[0].1.as_str(), ticks[4].1.as_str()), ("50 %", "99.99 %"));
    }

    #[test]
    fn percentiles_that_no_line_reaches_have_no_tick() {
        let x = Scale::spanning(1.0, 100.0, 0.0, 400.0);
        assert_eq!(percentiles(&x).last().unwrap().1, "99 %");
    }
}
