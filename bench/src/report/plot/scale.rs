//! Scales: from a figure to a place on the sheet, with ticks that are round numbers.

/// More than this many decades between the least and the greatest value need a logarithmic scale.
const LINEAR_DECADES: f64 = 2.0;

/// A linear or logarithmic way from values to pixels.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    log: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// From zero to a round number above the greatest value; `from` and `to` are the pixels of its ends.
    pub fn linear(values: &[f64], from: f64, to: f64) -> Self {
        let greatest = values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
        let greatest = if greatest > 0.0 { greatest } else { 1.0 };
        let step = round_step(greatest / 5.0);
        Self { log: false, low: 0.0, high: (greatest / step).ceil() * step, from, to }
    }

    /// From a round number (1, 2 or 5 times a power of ten) below the least positive value to one above the greatest.
    pub fn log(values: &[f64], from: f64, to: f64) -> Self {
        let positive = || values.iter().copied().filter(|v| v.is_finite() && *v > 0.0);
        let (least, greatest) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
        if greatest == 0.0 {
            return Self { log: true, low: 1.0, high: 10.0, from, to };
        }
        let (low, high) = (round_below(least), round_step(greatest));
        let high = if high > low { high } else { low * 10.0 };
        Self { log: true, low, high, from, to }
    }

    /// Logarithmic between these ends, which need not be round.
    pub fn spanning(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self { log: true, low, high, from, to }
    }

    /// Linear between these ends.
    pub fn spanning_linear(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self { log: false, low, high, from, to }
    }

    /// Logarithmic when the values span more than two decades.
    pub fn fitting(values: &[f64], from: f64, to: f64) -> Self {
        let scale = Self::log(values, from, to);
        let positive = || values.iter().copied().filter(|v| v.is_finite() && *v > 0.0);
        let decades = (positive().fold(0.0, f64::max) / positive().fold(f64::INFINITY, f64::min)).log10();
        if decades > LINEAR_DECADES { scale } else { Self::linear(values, from, to) }
    }

    /// The same from a whole power of ten: the lengths of bars then say in which decade their figures are.
    pub fn fitting_decades(values: &[f64], from: f64, to: f64) -> Self {
        let scale = Self::fitting(values, from, to);
        if !scale.log {
            return scale;
        }
        Self { low: 10_f64.powf((scale.low.log10() + 1e-9).floor()), ..scale }
    }

    /// Logarithmic, with this factor of room beyond the least and the greatest value.
    pub fn log_with_room(values: &[f64], room: f64, from: f64, to: f64) -> Self {
        let positive = || values.iter().copied().filter(|v| v.is_finite() && *v > 0.0);
        let greatest = positive().fold(0.0, f64::max);
        if greatest == 0.0 {
            return Self::log(values, from, to);
        }
        Self {
            log: true,
            low: positive().fold(f64::INFINITY, f64::min) / room,
            high: greatest * room,
            from,
            to,
        }
    }

    pub fn is_log(&self) -> bool {
        self.log
    }

    pub fn low(&self) -> f64 {
        self.low
    }

    pub fn high(&self) -> f64 {
        self.high
    }

    /// The pixel of a value; what lies outside is drawn at the edge.
    pub fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let part = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + part * (self.to - self.from)
    }

    /// Round values that are at least `apart` pixels from each other, both ends included where they are round.
    pub fn ticks(&self, apart: f64) -> Vec<f64> {
        let most = ((self.to - self.from).abs() / apart).max(1.0);
        if self.log { self.log_ticks(apart) } else { self.linear_ticks(most) }
    }

    fn linear_ticks(&self, most: f64) -> Vec<f64> {
        let step = round_step((self.high - self.low) / most);
        let count = ((self.high - self.low) / step + 1e-9).floor() as usize;
        (0..=count).map(|n| self.low + n as f64 * step).collect()
    }

    fn log_ticks(&self, apart: f64) -> Vec<f64> {
        let decade = (self.to - self.from).abs() / (self.high / self.low).log10();
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        // 1, 2, 5 are a third of a decade apart; where that is too close, powers of ten, or each second or third.
        let (mantissas, every): (&[f64], usize) = match decade / apart {
            room if room >= 1.0 / 0.3 => (&[1.0, 2.0, 5.0], 1),
            room => (&[1.0], (1.0 / room).ceil().max(1.0) as usize),
        };
        let within = |tick: &f64| *tick >= self.low * (1.0 - 1e-9) && *tick <= self.high * (1.0 + 1e-9);
        (first..=last)
            .step_by(every)
            .flat_map(|power| mantissas.iter().map(move |mantissa| mantissa * 10_f64.powi(power)))
            .filter(within)
            .collect()
    }
}

/// 1, 2 or 5 times a power of ten, at least as large as `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let mantissa = [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * power >= step * (1.0 - 1e-9));
    mantissa.unwrap_or(10.0) * power
}

/// The greatest of 1, 2, 5 times a power of ten that is not above `value`.
fn round_below(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let mantissa = [5.0, 2.0, 1.0].into_iter().find(|m| m * power <= value * (1.0 + 1e-9));
    mantissa.unwrap_or(1.0) * power
}

/// A tick's label: short, and without digits that say nothing.
pub fn tick_label(value: f64) -> String {
    let short = |value: f64| {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value.abs() {
        v if v >= 1e6 => format!("{}M", short(value / 1e6)),
        v if v >= 1e4 => format!("{}k", short(value / 1e3)),
        v if v >= 1e3 => format!("{},{:03}", (value / 1e3).trunc(), (value.abs() % 1e3).round()),
        _ => short(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_scale_begins_at_zero_and_ends_at_a_round_number() {
        let scale = Scale::linear(&[3.0, 87.0], 100.0, 300.0);
        assert_eq!((scale.low(), scale.high()), (0.0, 100.0));
        assert_eq!((scale.at(0.0), scale.at(50.0), scale.at(100.0)), (100.0, 200.0, 300.0));
        assert_eq!(scale.ticks(40.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(scale.ticks(60.0), [0.0, 50.0, 100.0]);
    }

    #[test]
    fn a_log_scale_has_equal_ways_for_equal_ratios_and_may_run_upwards() {
        let scale = Scale::log(&[1.0, 10_000.0], 400.0, 0.0);
        let at = [1.0, 10.0, 100.0, 10_000.0].map(|value| scale.at(value).round());
        assert_eq!(at, [400.0, 300.0, 200.0, 0.0]);
        assert_eq!(scale.ticks(50.0), [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
        assert_eq!(scale.ticks(150.0), [1.0, 100.0, 10_000.0]);
        assert_eq!(scale.ticks(30.0)[..4], [1.0, 2.0, 5.0, 10.0]);
    }

    #[test]
    fn the_ends_of_a_log_scale_are_round_and_hold_every_value() {
        let scale = Scale::log(&[62.7, 92_097.0], 0.0, 1.0);
        assert!((scale.low() - 50.0).abs() < 1e-9 && (scale.high() - 100_000.0).abs() < 1e-6);
        assert!((Scale::log(&[25.0, 90.0], 0.0, 1.0).low() - 20.0).abs() < 1e-9);
        let one = Scale::log(&[10.0], 0.0, 1.0);
        assert!(one.high() > one.low());
    }

    #[test]
    fn more_than_two_decades_are_shown_by_their_logarithm() {
        assert!(!Scale::fitting(&[1.0, 99.0], 0.0, 1.0).is_log());
        assert!(Scale::fitting(&[1.0, 101.0], 0.0, 1.0).is_log());
    }

    #[test]
    fn no_value_or_none_above_zero_is_no_reason_to_panic() {
        for values in [&[][..], &[0.0], &[f64::NAN], &[f64::INFINITY], &[-1.0]] {
            for scale in [Scale::linear(values, 0.0, 9.0), Scale::log(values, 0.0, 9.0)] {
                assert!(scale.at(1.0).is_finite() && !scale.ticks(1.0).is_empty(), "{values:?}");
                assert!(scale.at(0.0).is_finite());
            }
        }
    }

    #[test]
    fn labels_are_short() {
        let labels = [0.0, 0.01, 0.5, 2.0, 50.0, 1_000.0, 5_000.0, 20_000.0, 2_000_000.0].map(tick_label);
        assert_eq!(labels, ["0", "0.01", "0.5", "2", "50", "1,000", "5,000", "20k", "2M"]);
    }
}
