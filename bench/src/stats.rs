//! Statistics: pure functions on samples.

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

/// Resamples of a bootstrap: enough that the interval's ends do not depend on the seed.
const RESAMPLES: usize = 2_000;

/// Fewer values have no interval worth the name.
const FEWEST: usize = 3;

/// A trend that is at most this likely by chance is drift.
const CHANCE: f64 = 0.05;

/// What the normal distribution exceeds to either side with that chance.
const NORMAL: f64 = 1.96;

/// Up to so many values all their orders are counted.
const EXACT: usize = 12;

/// A median with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub median: f64,
    /// 95 % confidence, by the percentile bootstrap; absent with fewer than three values. With five values it is
    /// their range, which covers the true median in 94 % of cases.
    pub interval: Option<(f64, f64)>,
    /// How many values.
    pub n: usize,
}

impl Estimate {
    /// The estimate of the median of independent values. `None` without a finite one.
    pub fn of(values: &[f64]) -> Option<Self> {
        let values = sorted(values);
        let medians = |random: &mut fastrand::Rng| Some(resampled_median(&values, random));
        Some(Self { median: median(&values)?, interval: interval(values.len(), medians), n: values.len() })
    }

    /// The width of the interval as a part of the median.
    pub fn spread(&self) -> Option<f64> {
        let (low, high) = self.interval?;
        ratio(high - low, self.median.abs())
    }
}

/// A ratio with its uncertainty, from logarithms, in which twice and half are as far from 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The geometric mean.
    pub ratio: f64,
    /// By Student's t; absent with fewer than three values.
    pub interval: Option<(f64, f64)>,
    pub n: usize,
}

impl Ratio {
    /// From the ratios of pairs, with this chance that the interval misses.
    pub fn of_pairs(ratios: &[f64], error: f64) -> Option<Self> {
        let Logs { n, mean, variance } = Logs::of(ratios)?;
        let interval = (n >= FEWEST).then(|| (variance / n as f64).sqrt() * student(error, n as f64 - 1.0));
        Some(Self::around(mean, interval, n))
    }

    /// From independent values, whose variances may differ (Welch).
    pub fn of(base: &[f64], new: &[f64], error: f64) -> Option<Self> {
        let (base, new) = (Logs::of(base)?, Logs::of(new)?);
        let n = base.n.min(new.n);
        let reach = || {
            let parts = [&base, &new].map(|logs| (logs.variance / logs.n as f64, logs.n as f64 - 1.0));
            let sum: f64 = parts.iter().map(|(part, _)| part).sum();
            let shares: f64 = parts.iter().map(|(part, freedom)| part * part / freedom).sum();
            let freedom = ratio(sum * sum, shares).unwrap_or(n as f64 - 1.0);
            sum.sqrt() * student(error, freedom)
        };
        Some(Self::around(new.mean - base.mean, (n >= FEWEST).then(reach), n))
    }

    fn around(mean: f64, reach: Option<f64>, n: usize) -> Self {
        let interval = reach.map(|reach| ((mean - reach).exp(), (mean + reach).exp()));
        Self { ratio: mean.exp(), interval, n }
    }
}

/// Logarithms of values above 0.
struct Logs {
    n: usize,
    mean: f64,
    variance: f64,
}

impl Logs {
    fn of(values: &[f64]) -> Option<Self> {
        let logs: Vec<f64> = values.iter().filter(|value| **value > 0.0).map(|value| value.ln()).collect();
        let n = logs.len();
        let mean = ratio(logs.iter().sum(), n as f64)?;
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        Some(Self { n, mean, variance: ratio(squares, n as f64 - 1.0).unwrap_or(0.0) })
    }
}

/// The value that |t| exceeds with this chance, for Student's t. With t = √ν tan θ its density is proportional to
/// cos θ to the power of ν − 1, which is summed from the far end.
fn student(error: f64, freedom: f64) -> f64 {
    const STEPS: usize = 20_000;
    let angle = |step: usize| (step as f64 + 0.5) / STEPS as f64 * FRAC_PI_2;
    let density = |step: usize| angle(step).cos().powf(freedom - 1.0);
    let mut left = error * (0..STEPS).map(density).sum::<f64>();
    for step in (0..STEPS).rev() {
        left -= density(step);
        if left < 0.0 {
            return freedom.sqrt() * angle(step).tan();
        }
    }
    0.0
}

/// The middle 95 % of what `resampled` gives.
fn interval(n: usize, resampled: impl Fn(&mut fastrand::Rng) -> Option<f64>) -> Option<(f64, f64)> {
    if n < FEWEST {
        return None;
    }
    // The same values give the same interval, in every report.
    let mut random = fastrand::Rng::with_seed(0x0b5e_55ed);
    let all: Vec<f64> = (0..RESAMPLES).filter_map(|_| resampled(&mut random)).collect();
    Some((quantile(&all, 0.025)?, quantile(&all, 0.975)?))
}

/// The median of as many values drawn with replacement; `values` are sorted and not empty.
fn resampled_median(values: &[f64], random: &mut fastrand::Rng) -> f64 {
    let n = values.len();
    let mut drawn: Vec<usize> = (0..n).map(|_| random.usize(..n)).collect();
    drawn.sort_unstable();
    f64::midpoint(values[drawn[(n - 1) / 2]], values[drawn[n / 2]])
}

/// How much a series changes from its first value to its last, as a part of its median, when it rises or falls
/// so steadily that chance hardly explains it (Mann-Kendall, exact, two-sided 5 %; the change by Theil-Sen).
pub fn drift(series: &[f64]) -> Option<f64> {
    let pairs = || (0..series.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
    let rises = pairs().filter(|&(i, j)| series[j] > series[i]).count();
    let falls = pairs().filter(|&(i, j)| series[j] < series[i]).count();
    if !is_trend(series.len(), rises, falls) {
        return None;
    }
    let slopes: Vec<f64> = pairs().map(|(i, j)| (series[j] - series[i]) / (j - i) as f64).collect();
    ratio(median(&slopes)? * (series.len() - 1) as f64, median(series)?.abs())
}

/// Whether so many rises and falls among the pairs of `n` values are hardly chance: exact for few values, where ties
/// speak against a trend, and by the normal approximation for many.
fn is_trend(n: usize, rises: usize, falls: usize) -> bool {
    if n <= EXACT {
        let against = (n * n.saturating_sub(1) / 2) - rises.max(falls);
        return 2.0 * chance_of_inversions(n, against) <= CHANCE;
    }
    let (size, score) = (n as f64, rises.abs_diff(falls) as f64);
    let deviation = (size * (size - 1.0) * (2.0 * size + 5.0) / 18.0).sqrt();
    (score - 1.0) / deviation >= NORMAL
}

/// The share of all orders of `n` values that have at most `most` inversions.
fn chance_of_inversions(n: usize, most: usize) -> f64 {
    // counts[k]: orders of the values so far with k inversions; the next value adds from none to all of them.
    let mut shares = vec![1.0];
    for size in 2..=n {
        let mut next = vec![0.0; shares.len() + size - 1];
        for (inversions, share) in shares.iter().enumerate() {
            for added in 0..size {
                next[inversions + added] += share / size as f64;
            }
        }
        shares = next;
    }
    shares.iter().take(most + 1).sum()
}

/// The middle value, or the mean of the two in the middle. `None` without values.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The value below which this part of the values lies, between two of them by a straight line. `None` without values.
pub fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let sorted = sorted(values);
    let at = part.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}

/// The largest value. `None` without values.
pub fn max(values: &[f64]) -> Option<f64> {
    sorted(values).last().copied()
}

/// Finite values in ascending order.
fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// `dividend / divisor` where that is a number.
pub fn ratio(dividend: f64, divisor: f64) -> Option<f64> {
    let ratio = dividend / divisor;
    ratio.is_finite().then_some(ratio)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_median_is_the_middle_of_what_is_finite() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[f64::NAN, 7.0]), Some(7.0));
    }

    #[test]
    fn one_outlier_moves_the_maximum_and_not_the_median() {
        let values = [1.0, 1.1, 0.9, 1.0, 500.0];
        assert_eq!((median(&values), max(&values)), (Some(1.0), Some(500.0)));
    }

    #[test]
    fn a_ratio_without_meaning_is_none() {
        assert_eq!((ratio(6.0, 3.0), ratio(1.0, 0.0), ratio(0.0, 0.0)), (Some(2.0), None, None));
    }

    #[test]
    fn five_values_have_their_range_as_interval_and_two_have_none() {
        let estimate = Estimate::of(&[5.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!(estimate, Estimate { median: 3.0, interval: Some((1.0, 5.0)), n: 5 });
        assert_eq!(Estimate::of(&[1.0, 2.0]).unwrap().interval, None);
        assert_eq!(Estimate::of(&[]), None);
    }

    /// Against the usual tables.
    #[test]
    fn students_t_is_that_of_the_tables() {
        for (error, freedom, t) in
            [(0.05, 4.0, 2.776), (0.01, 4.0, 4.604), (0.05, 8.0, 2.306), (0.01, 30.0, 2.750)]
        {
            assert!(
                (student(error, freedom) - t).abs() < 0.002,
                "{error} {freedom}: {}",
                student(error, freedom)
            );
        }
    }

    #[test]
    fn a_ratio_has_an_interval_from_three_values_on() {
        let of = |values: &[f64]| Ratio::of_pairs(values, 0.05).unwrap();
        assert_eq!((of(&[0.9, 0.9]).interval, of(&[0.5, 2.0, 1.0]).ratio), (None, 1.0));
        // Logarithms -0.1, -0.1, -0.1 +- 0.01: mean -0.1, standard error 0.0058, t(2) 4.303.
        let (low, high) = of(&[-0.11, -0.1, -0.09].map(f64::exp)).interval.unwrap();
        assert!((low.ln() + 0.1248).abs() < 1e-3 && (high.ln() + 0.0752).abs() < 1e-3, "{low} {high}");
    }

    #[test]
    fn drift_is_a_steady_change_and_not_noise() {
        assert_eq!(drift(&[10.0, 11.0, 12.0, 13.0, 14.0]), Some(4.0 / 12.0));
        assert_eq!(drift(&[14.0, 13.0, 12.0, 11.0, 10.0]), Some(-4.0 / 12.0));
        // One swap of neighbours among five is no longer significant; among eight it is.
        assert_eq!(drift(&[10.0, 12.0, 11.0, 13.0, 14.0]), None);
        assert!(drift(&[1.0, 2.0, 4.0, 3.0, 5.0, 6.0, 7.0, 8.0]).is_some());
        assert_eq!((drift(&[]), drift(&[1.0, 2.0, 3.0]), drift(&[7.0; 9])), (None, None, None));
        let many: Vec<f64> = (0..300).map(f64::from).collect();
        assert!(drift(&many).is_some() && drift(&[7.0; 300]).is_none());
    }

    /// How often the interval of `n` values from a skewed distribution covers its median.
    fn coverage(n: usize) -> f64 {
        let mut random = fastrand::Rng::with_seed(7);
        let mut covered = 0;
        for _ in 0..200 {
            let values: Vec<f64> = (0..n).map(|_| -(1.0 - random.f64()).ln()).collect();
            let (low, high) = Estimate::of(&values).unwrap().interval.unwrap();
            covered += u32::from(low <= 2_f64.ln() && 2_f64.ln() <= high);
        }
        f64::from(covered) / 200.0
    }

    #[test]
    fn an_interval_covers_the_truth_as_often_as_it_says() {
        for n in [5, 10, 30] {
            assert!((0.90..=0.99).contains(&coverage(n)), "{n} values: {}", coverage(n));
        }
    }

    fn values() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(0.001_f64..1e6, 3..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_interval_holds_the_median_and_lies_within_the_range(values in values()) {
            let Estimate { median, interval, .. } = Estimate::of(&values).unwrap();
            let (low, high) = interval.unwrap();
            let least = quantile(&values, 0.0).unwrap();
            prop_assert!(least <= low && low <= median && median <= high && high <= max(&values).unwrap());
        }

        #[test]
        fn order_does_not_matter_and_scale_carries_over(values in values(), factor in 0.5_f64..4.0) {
            let estimate = Estimate::of(&values).unwrap();
            let mut other: Vec<f64> = values.iter().map(|value| value * factor).collect();
            other.reverse();
            let scaled = Estimate::of(&other).unwrap();
            prop_assert!((scaled.median - estimate.median * factor).abs() < 1e-9 * scaled.median);
            prop_assert!((scaled.spread().unwrap() - estimate.spread().unwrap()).abs() < 1e-9);
        }

        #[test]
        fn a_ratio_of_the_same_values_is_one_and_its_interval_holds_one(values in values()) {
            let paired: Vec<f64> = values.iter().map(|_| 1.0).collect();
            for ratio in [Ratio::of(&values, &values, 0.05).unwrap(), Ratio::of_pairs(&paired, 0.05).unwrap()] {
                let (low, high) = ratio.interval.unwrap();
                prop_assert!((ratio.ratio - 1.0).abs() < 1e-9 && low <= 1.0 + 1e-9 && high >= 1.0 - 1e-9);
            }
        }

        #[test]
        fn less_chance_of_error_is_a_wider_interval(values in values(), factor in 0.5_f64..2.0) {
            let new: Vec<f64> = values.iter().rev().map(|value| value * factor).collect();
            let of = |error| Ratio::of(&values, &new, error).unwrap().interval.unwrap();
            let (wide, narrow) = (of(0.01), of(0.05));
            prop_assert!(wide.0 <= narrow.0 && narrow.1 <= wide.1);
        }

        #[test]
        fn quantiles_rise(values in values(), a in 0.0..1.0, b in 0.0..1.0) {
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(quantile(&values, low) <= quantile(&values, high));
        }

        #[test]
        fn drift_has_the_sign_of_the_trend(values in values(), step in 1e3_f64..1e4) {
            let rising: Vec<f64> = values.iter().enumerate().map(|(i, v)| v / 1e4 + step * i as f64).collect();
            let falling: Vec<f64> = rising.iter().rev().copied().collect();
            if rising.len() > 4 {
                prop_assert!(drift(&rising).unwrap() > 0.0 && drift(&falling).unwrap() < 0.0);
            }
        }
    }
}
