//! From sums of evidence to probabilities: a slope and a shift for each language (Platt scaling).

use super::learn::sigmoid;
use crate::Language;

/// What a model said of a text that it had not seen.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub raw: f32,
    /// As the model sees it.
    pub language: Language,
    pub toxic: bool,
    pub weight: f32,
}

/// Slopes and shifts for English, French, unknown. A language with little of its own takes what fits all.
pub fn fit(said: &[Said]) -> ([f32; 3], [f32; 3]) {
    let all: Vec<Said> = said.to_vec();
    let (slope, shift) = platt(&all, (1.0, 0.0));
    let (mut slopes, mut shifts) = ([slope; 3], [shift; 3]);
    for language in [Language::En, Language::Fr, Language::Unknown] {
        let own: Vec<Said> = said.iter().filter(|s| s.language == language).copied().collect();
        if own.len() >= 100 {
            (slopes[language as usize], shifts[language as usize]) = platt(&own, (slope, shift));
        }
    }
    (slopes, shifts)
}

/// Newton's method on the log-loss, drawn a little to `prior`.
fn platt(said: &[Said], prior: (f32, f32)) -> (f32, f32) {
    let (p0, p1) = (f64::from(prior.0), f64::from(prior.1));
    let (mut slope, mut shift) = (p0, p1);
    for _ in 0..50 {
        let (mut g0, mut g1) = (slope - p0, shift - p1);
        let (mut h00, mut h01, mut h11) = (1.0, 0.0, 1.0);
        for s in said {
            let x = f64::from(s.raw);
            let p = f64::from(sigmoid((slope * x + shift) as f32));
            let w = f64::from(s.weight);
            let error = w * (p - f64::from(u8::from(s.toxic)));
            let curve = w * (p * (1.0 - p)).max(1e-6);
            g0 += error * x;
            g1 += error;
            h00 += curve * x * x;
            h01 += curve * x;
            h11 += curve;
        }
        let determinant = h00 * h11 - h01 * h01;
        let d0 = (g0 * h11 - g1 * h01) / determinant;
        let d1 = (g1 * h00 - g0 * h01) / determinant;
        slope -= d0.clamp(-1.0, 1.0);
        shift -= d1.clamp(-1.0, 1.0);
        if d0.abs() + d1.abs() < 1e-7 {
            break;
        }
    }
    (slope as f32, shift as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::learn::Random;

    #[test]
    fn slope_and_shift_are_found_again() {
        let mut random = Random(3);
        let said: Vec<Said> = (0..20_000)
            .map(|_| {
                let raw = random.below(8_000) as f32 / 1_000.0 - 4.0;
                let toxic = (random.below(1_000_000) as f32) < 1e6 * sigmoid(0.5 * raw - 1.0);
                Said { raw, language: Language::Fr, toxic, weight: 1.0 }
            })
            .collect();
        let (slopes, shifts) = fit(&said);
        assert!((slopes[1] - 0.5).abs() < 0.05 && (shifts[1] + 1.0).abs() < 0.1, "{slopes:?} {shifts:?}");
        // No rows of its own: as all.
        assert!((slopes[0] - slopes[1]).abs() < 0.01);
    }
}
