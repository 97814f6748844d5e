//! Judging: from measurements and limits to verdicts, without measuring anything.

use serde::Serialize;

use super::definition::{Check, Definition};
use super::subject::Measurement;
use crate::stats::{median, ratio};

/// What came of one check.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub name: String,
    pub sentence: String,
    /// `None` when a round is missing a value: then the check fails.
    pub measured: Option<f64>,
    pub limit: String,
    pub ok: bool,
}

pub(super) fn judge(definition: &Definition, measurements: &[Measurement]) -> Vec<Verdict> {
    definition.checks.iter().map(|check| verdict(check, definition.rounds, measurements)).collect()
}

fn verdict(check: &Check, rounds: usize, measurements: &[Measurement]) -> Verdict {
    let in_round = |round: usize, subject: &str| {
        measurements.iter().find(|m| m.round == round && m.subject == subject)?.get(check.metric)
    };
    // Ratios are taken within a round, where both subjects met the same machine.
    let value = |round: usize| match &check.over {
        Some(over) => ratio(in_round(round, &check.subject)?, in_round(round, over)?),
        None => in_round(round, &check.subject),
    };
    let values: Option<Vec<f64>> = (0..rounds).map(value).collect();
    let measured = values.and_then(|values| median(&values));
    let kept = |value: f64| {
        check.at_most.is_none_or(|limit| value <= limit) && check.at_least.is_none_or(|limit| value >= limit)
    };
    let limits = [("≥", check.at_least), ("≤", check.at_most)];
    let limits: Vec<String> =
        limits.iter().filter_map(|(sign, limit)| Some(format!("{sign} {}", (*limit)?))).collect();
    Verdict {
        name: check.name.clone(),
        sentence: check.sentence.clone(),
        measured,
        limit: limits.join(", "),
        ok: measured.is_some_and(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::super::definition::Metric;
    use super::*;

    fn measurement(subject: &str, round: usize, req_per_s: Option<f64>) -> Measurement {
        Measurement { subject: subject.into(), round, req_per_s, ..Measurement::default() }
    }

    fn check(over: Option<&str>, at_most: Option<f64>, at_least: Option<f64>) -> Check {
        let (name, sentence) = ("c".to_owned(), "s".to_owned());
        Check {
            name,
            sentence,
            metric: Metric::ReqPerS,
            subject: "a".into(),
            over: over.map(Into::into),
            at_most,
            at_least,
        }
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        // The machine got ten times slower for both: the ratio did not change.
        let measurements = [("a", 0, 90.0), ("b", 0, 100.0), ("a", 1, 9.0), ("b", 1, 10.0)]
            .map(|(subject, round, rate)| measurement(subject, round, Some(rate)));
        let verdict = verdict(&check(Some("b"), Some(1.1), Some(0.9)), 2, &measurements);
        assert_eq!((verdict.measured, verdict.ok, verdict.limit.as_str()), (Some(0.9), true, "≥ 0.9, ≤ 1.1"));
    }

    #[test]
    fn a_limit_that_is_missed_and_a_value_that_is_missing_fail() {
        let measurements = [measurement("a", 0, Some(5.0)), measurement("a", 1, None)];
        assert!(!verdict(&check(None, Some(4.9), None), 1, &measurements).ok);
        assert!(!verdict(&check(None, None, Some(5.1)), 1, &measurements).ok);
        assert!(verdict(&check(None, Some(5.0), Some(5.0)), 1, &measurements).ok);
        assert!(!verdict(&check(None, Some(9.0), None), 2, &measurements).ok);
    }
}
