//! A service level objective: a limit for a quantile of latency and for the share of requests that fail.
//!
//! Its text is `p99<=10ms,errors<=0.1%`: a percentile with a duration (`us`, `ms` or `s`), and, if failures are to be
//! tolerated, their share in percent. Without the second part no request may fail.

use std::fmt;
use std::str::FromStr;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::load::{Errors, Outcome};

/// The objective. A failed request counts as one that is never answered, so a percentile is one of all requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// More than 0, at most 100: 99.9 is p99.9.
    pub percentile: f64,
    /// What that percentile of latency may be at most, in milliseconds.
    pub latency_ms: f64,
    /// The share of requests that may fail, in percent.
    pub errors_percent: f64,
}

/// 99 of 100 requests within 10 ms, and none that fails.
impl Default for Slo {
    fn default() -> Self {
        Self { percentile: 99.0, latency_ms: 10.0, errors_percent: 0.0 }
    }
}

impl Slo {
    /// Whether a load kept the objective.
    pub fn holds(&self, outcome: &Outcome) -> bool {
        self.violation(outcome).is_none()
    }

    /// What of the objective a load missed; nothing when it kept it.
    pub fn violation(&self, outcome: &Outcome) -> Option<String> {
        self.missed(&outcome.latency, &outcome.errors)
    }

    /// The same on what was counted: nanoseconds of the right answers, and what went wrong.
    fn missed(&self, latency: &Histogram<u64>, errors: &Errors) -> Option<String> {
        let (answered, failed) = (latency.len(), errors.total());
        if answered == 0 {
            return Some(format!("no request was answered rightly ({})", kinds(errors)));
        }
        let percent = failed as f64 * 100.0 / (answered + failed) as f64;
        if percent > self.errors_percent {
            return Some(format!("{percent:.3} % of the requests failed ({})", kinds(errors)));
        }
        let Self { percentile, latency_ms, .. } = self;
        // A histogram knows a value to its third digit: this counts what may have been within the limit.
        let in_time = latency.count_between(0, (latency_ms * 1e6) as u64);
        if in_time as f64 * 100.0 >= percentile * (answered + failed) as f64 * (1.0 - f64::EPSILON) {
            return None;
        }
        let of_answered = percentile / 100.0 * (answered + failed) as f64 / answered as f64;
        Some(if of_answered > 1.0 {
            format!("p{percentile} is a request that failed ({})", kinds(errors))
        } else {
            format!("p{percentile} was {:.3} ms", latency.value_at_quantile(of_answered) as f64 / 1e6)
        })
    }
}

fn kinds(errors: &Errors) -> String {
    if errors.total() == 0 { "none was sent".into() } else { errors.to_string() }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { percentile, latency_ms, errors_percent } = self;
        let unit = if *errors_percent == 0.0 { "" } else { "%" };
        write!(f, "p{percentile}<={latency_ms}ms,errors<={errors_percent}{unit}")
    }
}

/// What an objective looks like, for messages.
const SHAPE: &str = "give an objective like p99<=10ms or p99.9<=50ms,errors<=0.1%";

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let mut parts = compact.split(',');
        let latency = parts.next().and_then(|part| part.strip_prefix('p')?.split_once("<="));
        let percentile = latency.and_then(|(percentile, _)| number(percentile));
        let percentile = percentile.filter(|percentile| *percentile > 0.0 && *percentile <= 100.0);
        let latency_ms = latency.and_then(|(_, limit)| milliseconds(limit)).filter(|limit| *limit > 0.0);
        let errors_percent = match parts.next() {
            None => Some(0.0),
            Some(part) => part.strip_prefix("errors<=").and_then(|share| percent(share).ok()),
        };
        match (percentile, latency_ms, errors_percent, parts.next()) {
            (Some(percentile), Some(latency_ms), Some(errors_percent), None) => {
                Ok(Self { percentile, latency_ms, errors_percent })
            }
            _ => Err(SHAPE.into()),
        }
    }
}

/// A share in percent, such as `0.1%`; nought needs no unit.
///
/// # Errors
/// When it is none.
pub fn percent(text: &str) -> Result<f64, String> {
    let share = match text.trim().strip_suffix('%') {
        Some(number) => self::number(number.trim_end()),
        None => number(text.trim()).filter(|share| *share == 0.0),
    };
    share.filter(|share| *share <= 100.0).ok_or_else(|| "give a share in percent, for example 0.1%".into())
}

fn milliseconds(text: &str) -> Option<f64> {
    // Of the suffixes `s` is the end of the others.
    let units = [("us", 1e-3), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let (value, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number(value)? * factor)
}

/// Digits with at most a point: not what floats may be besides (`inf`, `nan`, `1e9`, a sign).
fn number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slo(text: &str) -> Slo {
        text.parse().unwrap()
    }

    fn latency(millis: impl IntoIterator<Item = f64>) -> Histogram<u64> {
        let mut latency = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).unwrap();
        millis.into_iter().for_each(|millis| latency.record((millis * 1e6) as u64).unwrap());
        latency
    }

    fn failed(count: u64) -> Errors {
        Errors { status: count, ..Errors::default() }
    }

    #[test]
    fn the_text_of_an_objective_is_understood() {
        let is = |percentile, latency_ms, errors_percent| Slo { percentile, latency_ms, errors_percent };
        assert_eq!(slo("p99<=10ms"), Slo::default());
        assert_eq!(slo("p99.9<=50ms,errors<=0.1%"), is(99.9, 50.0, 0.1));
        assert_eq!(slo(" p50 <= 250 us , errors <= 0 "), is(50.0, 0.25, 0.0));
        assert_eq!(slo("p100<=1.5s"), is(100.0, 1500.0, 0.0));
        assert_eq!(Slo::default().to_string(), "p99<=10ms,errors<=0");
    }

    #[test]
    fn what_is_no_objective_is_refused_with_an_example() {
        for text in [
            "",
            "10ms",
            "p99",
            "p99<10ms",
            "p99<=10",
            "p0<=10ms",
            "p101<=10ms",
            "p99<=-1ms",
            "p99<=0ms",
            "p99<=infs",
            "p99<=1e1ms",
            "pnan<=1ms",
            "p99<=10ms,errors<=1",
            "p99<=10ms,errors<=101%",
            "p99<=10ms,errors",
            "p99<=10ms,errors<=0,errors<=0",
            "errors<=0,p99<=10ms",
        ] {
            assert!(text.parse::<Slo>().is_err_and(|error| error.contains("p99<=10ms")), "{text:?}");
        }
    }

    #[test]
    fn the_limit_itself_still_holds() {
        // 10 ms is not a bound of the histogram's buckets: it counts as up to 10.002 ms.
        let exactly = latency([10.0; 100]);
        assert_eq!(Slo::default().missed(&exactly, &failed(0)), None);
        assert_eq!(slo("p99<=9.9ms").missed(&exactly, &failed(0)).as_deref(), Some("p99 was 10.002 ms"));
    }

    #[test]
    fn one_late_request_in_a_hundred_is_within_p99_and_a_second_is_not() {
        let late = |count| latency((0..100).map(|n| if n < count { 50.0 } else { 1.0 }));
        assert_eq!(Slo::default().missed(&late(1), &failed(0)), None);
        assert!(Slo::default().missed(&late(2), &failed(0)).is_some_and(|why| why.starts_with("p99 was 50")));
    }

    #[test]
    fn a_failed_request_is_one_too_many_unless_it_is_tolerated_and_then_it_is_late() {
        let right = latency([1.0; 99]);
        let why = Slo::default().missed(&right, &failed(1)).unwrap();
        assert_eq!(why, "1.000 % of the requests failed (status 1)");
        assert_eq!(slo("p99<=10ms,errors<=1%").missed(&right, &failed(1)), None);
        let why = slo("p99.5<=10ms,errors<=1%").missed(&right, &failed(1)).unwrap();
        assert_eq!(why, "p99.5 is a request that failed (status 1)");
    }

    #[test]
    fn silence_does_not_hold() {
        let why = slo("p99<=10ms,errors<=100%").missed(&latency([]), &failed(3)).unwrap();
        assert_eq!(why, "no request was answered rightly (status 3)");
        assert!(Slo::default().missed(&latency([]), &failed(0)).is_some());
    }

    proptest! {
        #[test]
        fn an_objective_is_read_as_it_is_written(
            percentile in 0.001..=100.0f64,
            latency_ms in 1e-3..1e6f64,
            errors_percent in 0.0..=100.0f64,
        ) {
            let objective = Slo { percentile, latency_ms, errors_percent };
            prop_assert_eq!(slo(&objective.to_string()), objective);
        }

        /// The definition without a histogram: enough of all requests were answered in time.
        #[test]
        fn it_holds_when_enough_of_all_requests_were_in_time(
            millis in prop::collection::vec(1u32..30, 1..300),
            errors in 0u64..20,
            limit in 1u32..30,
            percentile in 1u32..=100,
        ) {
            let objective = Slo {
                percentile: f64::from(percentile),
                // Between two values, where the histogram's third digit does not matter.
                latency_ms: f64::from(limit) + 0.5,
                errors_percent: 100.0,
            };
            let total = millis.len() as u64 + errors;
            let in_time = millis.iter().filter(|&&millis| millis <= limit).count() as u64;
            let enough = in_time * 100 >= u64::from(percentile) * total;
            let counted = latency(millis.into_iter().map(f64::from));
            prop_assert_eq!(objective.missed(&counted, &failed(errors)).is_none(), enough);
        }

        #[test]
        fn what_holds_still_holds_with_a_wider_objective(
            millis in prop::collection::vec(1u32..100, 1..200),
            errors in 0u64..5,
            percentile in 1.0..=99.0f64,
            latency_ms in 1.0..100.0f64,
        ) {
            let narrow = Slo { percentile, latency_ms, errors_percent: 3.0 };
            let counted = latency(millis.into_iter().map(f64::from));
            if narrow.missed(&counted, &failed(errors)).is_none() {
                for wide in [
                    Slo { percentile: percentile / 2.0, ..narrow },
                    Slo { latency_ms: latency_ms * 2.0, ..narrow },
                    Slo { errors_percent: 50.0, ..narrow },
                ] {
                    prop_assert_eq!(wide.missed(&counted, &failed(errors)), None);
                }
            }
        }
    }
}
