//! What several instances of a target weigh together: plain figures, for whoever has measured them.

use super::plot::marginal::Line;
use super::plot::palette::Palette;
use crate::stats::Estimate;
use crate::target::Kind;

/// One target's footprint by the number of its instances.
#[derive(Clone, Debug)]
pub struct Growth {
    pub target: String,
    pub kind: Kind,
    /// Something else than the service, for context.
    pub peer: bool,
    pub emulated: bool,
    pub points: Vec<Weighed>,
    /// What each further instance adds: the slope of a line through the points.
    pub idle_each_mb: Option<Estimate>,
    pub loaded_each_mb: Option<Estimate>,
}

/// All instances together.
#[derive(Clone, Copy, Debug)]
pub struct Weighed {
    pub instances: usize,
    pub idle_mb: Option<f64>,
    pub loaded_mb: Option<f64>,
}

/// Lines of a plot, at rest and under load; targets without a point have none.
pub(super) fn lines(growth: &[Growth], palette: &Palette) -> [Vec<Line>; 2] {
    let lines = |mb: fn(&Weighed) -> Option<f64>, each: fn(&Growth) -> Option<Estimate>| {
        let line = |growth: &Growth| Line {
            name: growth.target.clone(),
            ink: palette.ink(&growth.target),
            emulated: growth.emulated,
            points: growth.points.iter().filter_map(|point| Some((point.instances, mb(point)?))).collect(),
            each_mb: each(growth),
        };
        let mut lines: Vec<Line> = growth.iter().map(line).filter(|line| !line.points.is_empty()).collect();
        lines.sort_by(|a, b| b.mean().total_cmp(&a.mean()));
        lines
    };
    [
        lines(|point| point.idle_mb, |growth| growth.idle_each_mb),
        lines(|point| point.loaded_mb, |growth| growth.loaded_each_mb),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_weighed_has_no_point_and_a_target_without_one_no_line() {
        let points = vec![
            Weighed { instances: 1, idle_mb: Some(2.0), loaded_mb: None },
            Weighed { instances: 2, idle_mb: None, loaded_mb: None },
        ];
        let growth = Growth {
            target: "a".into(),
            kind: Kind::Spin,
            peer: false,
            emulated: false,
            points,
            idle_each_mb: None,
            loaded_each_mb: None,
        };
        let [idle, loaded] = lines(&[growth], &Palette::of([]));
        assert_eq!((idle[0].points.as_slice(), loaded.len()), (&[(1, 2.0)][..], 0));
    }
}
