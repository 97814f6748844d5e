//! A straight line through points, by least squares.

use serde::{Deserialize, Serialize};

use crate::stats::ratio;

/// `bytes = base_bytes + slope_bytes · n`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub base_bytes: f64,
    pub slope_bytes: f64,
    /// The share of the variance that the line explains; absent where there is none to explain.
    pub r2: Option<f64>,
}

impl Line {
    /// Through pairs of a number and bytes: the line with the least sum of squared distances in bytes. `None` when all
    /// have the same number, or there are fewer than two.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| ratio(points.iter().map(of).sum(), count);
        let (mean_x, mean_y) = (mean(|point| point.0)?, mean(|point| point.1)?);
        let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            points.iter().map(|(x, y)| of(x - mean_x, y - mean_y)).sum()
        };
        let slope_bytes = ratio(sum(&|x, y| x * y), sum(&|x, _| x * x))?;
        let unexplained = sum(&|x, y| (y - slope_bytes * x).powi(2));
        let r2 = ratio(unexplained, sum(&|_, y| y * y)).map(|share| 1.0 - share);
        Some(Self { base_bytes: mean_y - slope_bytes * mean_x, slope_bytes, r2 })
    }

    /// What the line says of a number.
    pub fn at(&self, number: f64) -> f64 {
        self.base_bytes + self.slope_bytes * number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_textbook_line_is_found() {
        // Hand-computed: means 2.5 and 4.5, slope 7 / 5, residual 3.2 of 13.
        let line = Line::through(&[(1.0, 2.0), (2.0, 5.0), (3.0, 4.0), (4.0, 7.0)]).unwrap();
        assert!((line.slope_bytes - 1.4).abs() < 1e-12 && (line.base_bytes - 1.0).abs() < 1e-12);
        assert!((line.r2.unwrap() - (1.0 - 3.2 / 13.0)).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_line_is_none() {
        assert_eq!(Line::through(&[]), None);
        assert_eq!(Line::through(&[(1.0, 5.0)]), None);
        assert_eq!(Line::through(&[(2.0, 5.0), (2.0, 6.0)]), None);
        let flat = Line::through(&[(1.0, 5.0), (2.0, 5.0)]).unwrap();
        assert_eq!((flat.slope_bytes, flat.base_bytes, flat.r2), (0.0, 5.0, None));
    }

    proptest! {
        #[test]
        fn an_exact_line_is_recovered(
            base in 0.0..1e9f64,
            slope in 1e3..1e9f64,
            most in 2usize..200,
        ) {
            let numbers = std::iter::successors(Some(1), |&n| (n < most).then(|| (n * 2).min(most)));
            let points: Vec<_> = numbers.map(|n| (n as f64, base + slope * n as f64)).collect();
            let line = Line::through(&points).unwrap();
            let scale = base + slope * most as f64;
            prop_assert!((line.slope_bytes - slope).abs() < 1e-9 * scale, "{line:?}");
            prop_assert!((line.base_bytes - base).abs() < 1e-9 * scale, "{line:?}");
            prop_assert!((line.r2.unwrap() - 1.0).abs() < 1e-6, "{line:?}");
            prop_assert!((line.at(1.0) - points[0].1).abs() < 1e-8 * scale);
        }

        /// What least squares means: no other line is nearer.
        #[test]
        fn no_line_near_by_is_nearer(
            bytes in prop::collection::vec(0.0..1e3f64, 3..20),
            tilt in -1.0..1.0f64,
            lift in -10.0..10.0f64,
        ) {
            let points: Vec<_> = bytes.iter().enumerate().map(|(n, &y)| (n as f64, y)).collect();
            let distance = |line: &Line| -> f64 {
                points.iter().map(|(x, y)| (y - line.at(*x)).powi(2)).sum()
            };
            let line = Line::through(&points).unwrap();
            let (slope_bytes, base_bytes) = (line.slope_bytes + tilt, line.base_bytes + lift);
            let other = Line { slope_bytes, base_bytes, ..line };
            prop_assert!(distance(&line) <= distance(&other) * (1.0 + 1e-9) + 1e-6);
            prop_assert!(line.r2.is_none_or(|r2| (-1e-9..=1.0 + 1e-9).contains(&r2)));
        }
    }
}
