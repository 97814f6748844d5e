//! Statistics: pure functions on samples.

/// The middle value, or the mean of the two in the middle. `None` without values.
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
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
}
