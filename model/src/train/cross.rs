//! Cross-validation: every row is scored by a model that has seen neither it nor what is nearly the same, with a
//! calibration that was fitted without it.

use super::augment::Made;
use super::calibrate::{Said, fit};
use super::data::Row;
use super::figures::Pair;
use super::learn::{Example, Random, Settings, learn, quantise};
use crate::weights::{Calibration, LEXICON_SLOTS, Model, layout};
use crate::{raw_with, score_with};

/// What training starts from.
pub struct Material<'a> {
    pub rows: &'a [Row],
    pub examples: &'a [Example],
    pub made: &'a [Made],
    /// Of `made`, in its order.
    pub made_examples: &'a [Example],
    pub slots: &'a [u32; LEXICON_SLOTS],
    pub settings: Settings,
}

impl Material<'_> {
    /// A file of weights from the rows and the templates that are taken, not calibrated.
    fn train(&self, with: impl Fn(usize) -> bool, template: impl Fn(usize) -> bool) -> Vec<u8> {
        let own = (0..self.rows.len()).filter(|i| with(*i)).map(|i| &self.examples[i]);
        let made = self.made.iter().zip(self.made_examples).filter(|(made, _)| template(made.template));
        let all: Vec<&Example> = own.chain(made.map(|(_, example)| example)).collect();
        self.file(&learn(&all, self.settings), ([1.0; 3], [0.0; 3]))
    }

    fn file(&self, weights: &[f32], (slopes, shifts): ([f32; 3], [f32; 3])) -> Vec<u8> {
        let (tables, scales) = quantise(weights);
        let calibration = Calibration { intercept: super::learn::INTERCEPT, scales, slopes, shifts };
        layout(&calibration, self.slots, [&tables[0], &tables[1], &tables[2]])
    }

    fn say(&self, model: &Model<'_>, i: usize) -> Said {
        let (raw, language) = raw_with(model, &self.rows[i].text);
        Said { raw, language, toxic: self.rows[i].toxic, weight: 1.0 }
    }

    /// Models of `folds` parts of the rows that `with` takes, each asked for the part that it has not seen.
    fn unseen(&self, fold_of: &[usize], folds: usize, with: impl Fn(usize) -> bool) -> Vec<Said> {
        let mut said = Vec::new();
        for fold in 0..folds {
            let file = self.train(|i| with(i) && fold_of[i] != fold, |_| true);
            let model = Model::parse(&file).expect("as laid out");
            said.extend(
                (0..self.rows.len()).filter(|i| with(*i) && fold_of[*i] == fold).map(|i| self.say(&model, i)),
            );
        }
        said
    }

    /// Asks a model that has not seen it for every row.
    pub fn validate(&self, folds: usize, inner: usize) -> Vec<Pair> {
        let outer_of = deal(self.rows, folds, 1);
        let inner_of = deal(self.rows, inner, 2);
        let mut pairs = vec![(0.0, false); self.rows.len()];
        for fold in 0..folds {
            let with = |i: usize| outer_of[i] != fold;
            let calibration = fit(&self.unseen(&inner_of, inner, with));
            let mut file = self.train(with, |_| true);
            recalibrate(&mut file, calibration);
            let model = Model::parse(&file).expect("as laid out");
            for i in (0..self.rows.len()).filter(|i| outer_of[*i] == fold) {
                pairs[i] = (score_with(&model, &self.rows[i].text).probability, self.rows[i].toxic);
            }
        }
        pairs
    }

    /// The same for the texts of every template, with the calibration of `file`.
    pub fn validate_made(&self, folds: usize, file: &[u8]) -> Vec<Pair> {
        let Calibration { slopes, shifts, .. } = Model::parse(file).expect("as laid out").calibration();
        let mut pairs = vec![(0.0, false); self.made.len()];
        for fold in 0..folds {
            let mut file = self.train(|_| true, |template| template % folds != fold);
            recalibrate(&mut file, (slopes, shifts));
            let model = Model::parse(&file).expect("as laid out");
            for (i, one) in self.made.iter().enumerate().filter(|(_, one)| one.template % folds == fold) {
                pairs[i] = (score_with(&model, &one.text).probability, one.toxic);
            }
        }
        pairs
    }

    /// The model of all rows, calibrated on what models of `folds` parts say of the rest.
    pub fn finish(&self, folds: usize) -> Vec<u8> {
        let said = self.unseen(&deal(self.rows, folds, 1), folds, |_| true);
        let mut file = self.train(|_| true, |_| true);
        recalibrate(&mut file, fit(&said));
        file
    }
}

/// Writes slopes and shifts into a file of weights.
fn recalibrate(file: &mut [u8], (slopes, shifts): ([f32; 3], [f32; 3])) {
    for (i, value) in slopes.iter().chain(&shifts).enumerate() {
        let at = 8 + 4 * (4 + i);
        file[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}

/// Deals groups of rows to folds, at random from a seed.
pub fn deal(rows: &[Row], folds: usize, seed: u64) -> Vec<usize> {
    let mut random = Random(seed);
    let dealt: Vec<usize> = rows.iter().map(|_| random.below(folds)).collect();
    rows.iter().map(|row| dealt[row.group]).collect()
}
