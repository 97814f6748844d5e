//! How good a set of probabilities is.

/// Probability and truth.
pub type Pair = (f32, bool);

#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub rows: usize,
    pub toxic: usize,
    pub auc: f64,
    pub f1: f64,
    pub ece: f64,
}

pub fn figures(pairs: &[Pair]) -> Figures {
    let toxic = pairs.iter().filter(|(_, toxic)| *toxic).count();
    Figures { rows: pairs.len(), toxic, auc: auc(pairs), f1: f1(pairs), ece: ece(pairs) }
}

/// Area under the ROC curve, as the share of pairs in the right order; ties count half.
pub fn auc(pairs: &[Pair]) -> f64 {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut benign, mut right) = (0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let toxic = tied.iter().filter(|(_, toxic)| *toxic).count() as f64;
        let others = tied.len() as f64 - toxic;
        right += toxic * (benign + others / 2.0);
        benign += others;
    }
    let toxic = pairs.len() as f64 - benign;
    if toxic * benign == 0.0 { f64::NAN } else { right / (toxic * benign) }
}

/// F1 of the toxic class at a probability of one half.
pub fn f1(pairs: &[Pair]) -> f64 {
    let count =
        |said: bool, is: bool| pairs.iter().filter(|(p, t)| (*p >= 0.5) == said && *t == is).count() as f64;
    let hits = count(true, true);
    2.0 * hits / (2.0 * hits + count(true, false) + count(false, true))
}

/// Expected calibration error with ten bins of equal width (Guo et al. 2017).
pub fn ece(pairs: &[Pair]) -> f64 {
    let mut bins = [(0.0_f64, 0.0_f64); 10];
    for (p, toxic) in pairs {
        let bin = &mut bins[((p * 10.0) as usize).min(9)];
        bin.0 += f64::from(*p);
        bin.1 += f64::from(u8::from(*toxic));
    }
    bins.iter().map(|(said, were)| (said - were).abs()).sum::<f64>() / pairs.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_counts_pairs_in_order() {
        assert_eq!(auc(&[(0.1, false), (0.9, true)]), 1.0);
        assert_eq!(auc(&[(0.9, false), (0.1, true)]), 0.0);
        assert_eq!(auc(&[(0.5, false), (0.5, true)]), 0.5);
        assert_eq!(auc(&[(0.1, false), (0.4, true), (0.3, false), (0.2, true)]), 0.75);
        assert!(auc(&[(0.1, false)]).is_nan());
    }

    #[test]
    fn f1_is_of_the_toxic() {
        // Two hits, one false alarm, one miss.
        assert_eq!(f1(&[(0.9, true), (0.5, true), (0.6, false), (0.4, true), (0.1, false)]), 2.0 / 3.0);
    }

    #[test]
    fn ece_weighs_the_gaps_of_the_bins() {
        let right = [(0.75, true), (0.75, true), (0.75, true), (0.75, false)];
        assert!(ece(&right) < 1e-6);
        assert!((ece(&[(1.0, false), (0.0, false)]) - 0.5).abs() < 1e-6);
    }
}
