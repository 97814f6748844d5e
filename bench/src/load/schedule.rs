//! When requests are due: at once after the last answer (closed loop), or whatever the server does (open loop).

use std::fmt;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// The schedule of a load.
///
/// In an open loop latency counts from the intended send time, so a stall is paid by every request that it
/// delays (no coordinated omission).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Each connection sends as soon as its last request was answered: throughput at saturation.
    Closed,
    /// Open loop: `rate` requests a second in equal distances.
    Open { rate: f64 },
    /// Open loop: `rate` requests a second on average, as many independent users send them. Their distances are
    /// exponentially distributed, and the same again for the same seed and number of generator threads.
    Poisson { rate: f64, seed: u64 },
}

impl Schedule {
    /// Requests a second that are due; `None` for the closed loop.
    pub fn rate(self) -> Option<f64> {
        match self {
            Self::Closed => None,
            Self::Open { rate } | Self::Poisson { rate, .. } => Some(rate),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = |rate: &f64| (rate * 10.0).round() / 10.0;
        match self {
            Self::Closed => write!(f, "closed loop"),
            Self::Open { rate } => write!(f, "open loop at {} req/s", tenths(rate)),
            Self::Poisson { rate, .. } => {
                write!(f, "open loop at {} req/s (Poisson arrivals)", tenths(rate))
            }
        }
    }
}

/// Which of the generator's threads this is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) index: usize,
    pub(super) of: usize,
}

impl Part {
    /// Random numbers of this thread: another sequence for each, and the same in every run.
    pub(super) fn rng(self, seed: u64) -> Rng {
        let mut rng = Rng::with_seed(seed);
        (0..self.index).for_each(|_| drop(rng.fork()));
        rng.fork()
    }
}

/// The intended send times of one thread, in nanoseconds since its start.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    times: Times,
    /// Nothing is due from here on.
    end: u64,
}

#[derive(Clone, Debug)]
enum Times {
    /// They depend on the answers alone.
    Closed,
    Even {
        first: f64,
        interval: f64,
        issued: u64,
    },
    Random {
        next: f64,
        mean: f64,
        rng: Rng,
    },
}

impl Arrivals {
    pub(super) fn new(schedule: Schedule, part: Part, end: u64) -> Self {
        let interval = |rate: f64| 1e9 * part.of as f64 / rate;
        let times = match schedule {
            Schedule::Closed => Times::Closed,
            // The threads take turns: together they send in equal distances, too.
            Schedule::Open { rate } => {
                Times::Even { first: 1e9 * part.index as f64 / rate, interval: interval(rate), issued: 0 }
            }
            // A superposition of Poisson processes is one of the rates' sum.
            Schedule::Poisson { rate, seed } => {
                let (mean, mut rng) = (interval(rate), part.rng(seed));
                Times::Random { next: exponential(&mut rng, mean), mean, rng }
            }
        };
        Self { times, end }
    }

    /// The intended time of the next request, if it is due.
    pub(super) fn due(&self, now: u64) -> Option<u64> {
        let intended = self.next().unwrap_or(now);
        (intended <= now && intended < self.end).then_some(intended)
    }

    /// The intended time of the next request; `None` when it depends on an answer alone.
    pub(super) fn next(&self) -> Option<u64> {
        match self.times {
            Times::Closed => None,
            Times::Even { first, interval, issued } => Some((first + issued as f64 * interval) as u64),
            Times::Random { next, .. } => Some(next as u64),
        }
    }

    /// The next request has been sent.
    pub(super) fn advance(&mut self) {
        match &mut self.times {
            Times::Closed => {}
            Times::Even { issued, .. } => *issued += 1,
            Times::Random { next, mean, rng } => *next += exponential(rng, *mean),
        }
    }

    /// Whether requests are due before the end and have not been sent.
    pub(super) fn pending(&self) -> bool {
        self.next().is_some_and(|next| next < self.end)
    }

    /// Nothing more is due from `now` on.
    pub(super) fn stop(&mut self, now: u64) {
        self.end = self.end.min(now);
    }

    /// How many requests were due before the end and have not been sent.
    pub(super) fn unsent(mut self) -> u64 {
        let mut unsent = 0;
        while self.pending() {
            self.advance();
            unsent += 1;
        }
        unsent
    }
}

/// A random distance of a Poisson process: the inverse of the exponential distribution at a uniform value.
fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    -mean * (-rng.f64()).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Part = Part { index: 0, of: 1 };

    fn times(schedule: Schedule, part: Part, end: u64) -> Vec<u64> {
        let mut arrivals = Arrivals::new(schedule, part, end);
        let next = || {
            let intended = arrivals.due(u64::MAX)?;
            arrivals.advance();
            Some(intended)
        };
        std::iter::from_fn(next).collect()
    }

    /// Of the distances between neighbours, in seconds.
    fn mean_and_variance(times: &[u64]) -> (f64, f64) {
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e9).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        (mean, gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64)
    }

    fn close(found: f64, expected: f64) -> bool {
        (found / expected - 1.0).abs() < 0.03
    }

    #[test]
    fn an_open_loop_issues_its_rate_and_no_more() {
        let schedule = Schedule::Open { rate: 1000.0 };
        assert_eq!(Arrivals::new(schedule, ALONE, 10_000_000).unsent(), 10);
        let times = times(schedule, ALONE, 10_000_000);
        assert_eq!((times.len(), times[9]), (10, 9_000_000));
    }

    #[test]
    fn threads_of_an_open_loop_take_turns() {
        let of = |index| times(Schedule::Open { rate: 1000.0 }, Part { index, of: 2 }, 10_000_000);
        assert_eq!(of(0), [0, 2_000_000, 4_000_000, 6_000_000, 8_000_000]);
        assert_eq!(of(1), [1_000_000, 3_000_000, 5_000_000, 7_000_000, 9_000_000]);
    }

    #[test]
    fn a_closed_loop_is_always_due_until_the_end() {
        let mut arrivals = Arrivals::new(Schedule::Closed, ALONE, 100);
        assert_eq!((arrivals.due(99), arrivals.due(100), arrivals.pending()), (Some(99), None, false));
        arrivals.stop(50);
        assert_eq!((arrivals.due(49), arrivals.due(50)), (Some(49), None));
    }

    #[test]
    fn gaps_of_poisson_arrivals_are_exponential() {
        // Of that distribution the variance is the square of the mean, and e⁻¹ of the values exceed the mean.
        for seed in [1, 2, 3] {
            let times = times(Schedule::Poisson { rate: 500.0, seed }, ALONE, 100_000_000_000);
            let (mean, variance) = mean_and_variance(&times);
            assert!(close(mean, 0.002) && close(variance, 0.002 * 0.002), "{mean} s, {variance} s²");
            let long = times.windows(2).filter(|pair| pair[1] - pair[0] > 2_000_000).count();
            assert!(close(long as f64 / times.len() as f64, (-1.0_f64).exp()), "{long} of {}", times.len());
        }
    }

    #[test]
    fn several_threads_together_are_one_poisson_process() {
        let of =
            |index| times(Schedule::Poisson { rate: 500.0, seed: 7 }, Part { index, of: 4 }, 100_000_000_000);
        let mut all = [of(0), of(1), of(2), of(3)].concat();
        all.sort_unstable();
        let (mean, variance) = mean_and_variance(&all);
        assert!(close(mean, 0.002) && close(variance, 0.002 * 0.002), "{mean} s, {variance} s²");
    }

    #[test]
    fn a_seed_tells_every_arrival_of_every_thread() {
        let of = |seed, index| {
            times(Schedule::Poisson { rate: 500.0, seed }, Part { index, of: 2 }, 1_000_000_000)
        };
        assert_eq!(of(1, 0), of(1, 0));
        assert!(of(1, 0) != of(2, 0) && of(1, 0) != of(1, 1) && of(1, 1) != of(2, 0));
    }

    #[test]
    fn what_was_never_due_is_not_unsent() {
        let mut arrivals = Arrivals::new(Schedule::Poisson { rate: 1000.0, seed: 1 }, ALONE, 1_000_000_000);
        let all = arrivals.clone().unsent();
        arrivals.stop(500_000_000);
        assert!(arrivals.pending() && (400..600).contains(&arrivals.clone().unsent()) && all > 900);
        arrivals.stop(0);
        assert!(!arrivals.pending());
    }

    #[test]
    fn every_form_is_read_and_written_as_it_stands_in_records() {
        let forms = [
            (Schedule::Closed, r#""closed""#),
            (Schedule::Open { rate: 500.0 }, r#"{"open":{"rate":500.0}}"#),
            (Schedule::Poisson { rate: 500.0, seed: 1 }, r#"{"poisson":{"rate":500.0,"seed":1}}"#),
        ];
        for (schedule, json) in forms {
            assert_eq!(serde_json::to_string(&schedule).unwrap(), json);
            assert_eq!(serde_json::from_str::<Schedule>(json).unwrap(), schedule);
        }
    }
}
