//! From evidence to a verdict, and which evidence it was.

use std::ops::Range;

use crate::features::{Family, Feature, Kind, Scope, Sink, extract, features, parts};
use crate::scan::Word;
use crate::weights::{CHARS, CLASSES, Calibration, Model, SHIPPED, Section, WORDS};

/// From these probabilities on a verdict is medium, and high.
pub const MEDIUM: f32 = 0.40;
pub const HIGH: f32 = 0.70;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    En,
    Fr,
    Unknown,
}

impl Language {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    Low,
    Medium,
    High,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What is said of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// That a reader calls it toxic, 0 to 1.
    pub probability: f32,
    pub language: Language,
}

impl Verdict {
    /// The probability in per cent.
    pub fn score(&self) -> u8 {
        (self.probability * 100.0 + 0.5) as u8
    }

    pub fn level(&self) -> Level {
        // Of the rounded score, so that the two never disagree.
        match f32::from(self.score()) / 100.0 {
            p if p < MEDIUM => Level::Low,
            p if p < HIGH => Level::Medium,
            _ => Level::High,
        }
    }
}

/// A part of the text that moved the score.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Where it stands in the text as given: bytes of UTF-8, and characters.
    pub bytes: Range<usize>,
    pub chars: Range<usize>,
    /// Log-odds; positive is towards toxic.
    pub weight: f32,
    pub kind: Kind,
}

/// Scores a text with the weights that are compiled in: no allocation, one pass, any Unicode.
pub fn score(text: &str) -> Verdict {
    score_with(&SHIPPED, text)
}

/// The same, with the evidence: at most `most` pieces, strongest first.
pub fn explain(text: &str, most: usize) -> (Verdict, Vec<Evidence>) {
    explain_with(&SHIPPED, text, most)
}

pub fn score_with(model: &Model<'_>, text: &str) -> Verdict {
    let mut sum = Sum { model, blocks: Blocks::default() };
    let language = extract(text, model.lexicon, &mut sum);
    let worst = sum.blocks.worst(model);
    Verdict { probability: probability(model, &worst, language), language }
}

/// Log-odds before calibration, and the language that they are calibrated for.
pub fn raw_with(model: &Model<'_>, text: &str) -> (f32, Language) {
    let mut sum = Sum { model, blocks: Blocks::default() };
    let language = extract(text, model.lexicon, &mut sum);
    let worst = sum.blocks.worst(model);
    (model.calibration().intercept + worst.weight, worst.language.unwrap_or(language))
}

/// Of the worst blocks; `language` is that of the text.
fn probability(model: &Model<'_>, worst: &Worst, language: Language) -> f32 {
    let Calibration { intercept, slopes, shifts, .. } = model.calibration();
    let language = worst.language.unwrap_or(language) as usize;
    sigmoid(slopes[language] * (intercept + worst.weight) + shifts[language])
}

fn sigmoid(odds: f32) -> f32 {
    1.0 / (1.0 + (-odds).exp())
}

/// Steps of weights in a block, for each section.
type Steps = [i32; 3];

fn weigh(model: &Model<'_>, steps: Steps) -> f32 {
    let scales = model.calibration().scales;
    steps.iter().zip(scales).map(|(steps, scale)| *steps as f32 * scale).sum()
}

struct Sum<'m> {
    model: &'m Model<'m>,
    blocks: Blocks,
}

impl Sink for Sum<'_> {
    #[inline]
    fn feature(&mut self, family: Family, index: usize, scope: Scope, _: usize, _: usize) {
        self.blocks.add(family.section(), step(self.model, family.section(), index), scope);
    }

    /// Most features are these, and need no more than a sum.
    #[inline]
    fn inside(&mut self, word: &Word, scope: Scope) {
        let mut sum = 0;
        parts(word.codes(), |index, _, _| sum += step(self.model, Section::Chars, index));
        self.blocks.add(Section::Chars, sum, scope);
    }

    fn block(&mut self, language: Option<Language>) {
        self.blocks.next(self.model, language);
    }
}

#[inline]
fn step(model: &Model<'_>, section: Section, index: usize) -> i32 {
    let byte = match section {
        Section::Chars => model.chars[index % CHARS],
        Section::Words => model.words[index % WORDS],
        Section::Classes => model.classes[index % CLASSES],
    };
    i32::from(byte as i8)
}

/// Sums the blocks and keeps the worst block or pair of neighbours.
#[derive(Default)]
struct Blocks {
    /// What this block adds to the block before, and what that has already.
    added: Steps,
    again: Steps,
    before: Option<Before>,
    count: usize,
    best: Option<Worst>,
}

/// The block before, which a reply may still change.
#[derive(Clone, Copy)]
struct Before {
    steps: Steps,
    language: Option<Language>,
}

/// A weight, the blocks that it is the sum of, and the language of the last.
#[derive(Clone, Default)]
struct Worst {
    weight: f32,
    blocks: Range<usize>,
    language: Option<Language>,
}

impl Worst {
    fn counts(&self, feature: &Feature) -> bool {
        match feature.scope {
            Scope::New => self.blocks.contains(&feature.block),
            Scope::Again => self.blocks.start == feature.block,
            Scope::Reply => self.blocks.start + 1 == feature.block,
        }
    }
}

impl Blocks {
    #[inline]
    fn add(&mut self, section: Section, step: i32, scope: Scope) {
        let section = section as usize;
        match scope {
            Scope::New => self.added[section] += step,
            Scope::Again => self.again[section] += step,
            Scope::Reply => {
                if let Some(before) = &mut self.before {
                    before.steps[section] += step;
                }
            }
        }
    }

    fn next(&mut self, model: &Model<'_>, language: Option<Language>) {
        if let Some(before) = self.before {
            let pair = [0, 1, 2].map(|i| before.steps[i] + self.added[i]);
            self.consider(model, before.steps, self.count - 1..self.count, before.language);
            self.consider(model, pair, self.count - 1..self.count + 1, language);
        }
        let alone = [0, 1, 2].map(|i| self.added[i] + self.again[i]);
        self.before = Some(Before { steps: alone, language });
        (self.added, self.again) = Default::default();
        self.count += 1;
    }

    fn consider(
        &mut self,
        model: &Model<'_>,
        steps: Steps,
        blocks: Range<usize>,
        language: Option<Language>,
    ) {
        let weight = weigh(model, steps);
        if self.best.as_ref().is_none_or(|best| weight > best.weight) {
            self.best = Some(Worst { weight, blocks, language });
        }
    }

    fn worst(mut self, model: &Model<'_>) -> Worst {
        if let Some(before) = self.before {
            self.consider(model, before.steps, self.count - 1..self.count, before.language);
        }
        self.best.unwrap_or_default()
    }
}

pub fn explain_with(model: &Model<'_>, text: &str, most: usize) -> (Verdict, Vec<Evidence>) {
    let mut sum = Sum { model, blocks: Blocks::default() };
    let language = extract(text, model.lexicon, &mut sum);
    let worst = sum.blocks.worst(model);
    let verdict = Verdict { probability: probability(model, &worst, language), language };
    let (features, _) = features(text, model.lexicon);
    let counted = features.into_iter().filter(|feature| worst.counts(feature));
    (verdict, strongest(model, counted, worst.language.unwrap_or(language), text, most))
}

/// Features at the same place are one piece of evidence.
fn strongest(
    model: &Model<'_>,
    features: impl Iterator<Item = Feature>,
    language: Language,
    text: &str,
    most: usize,
) -> Vec<Evidence> {
    let Calibration { scales, slopes, .. } = model.calibration();
    let mut all: Vec<Evidence> = features
        .map(|Feature { family, index, bytes, .. }| {
            let section = family.section();
            let scale = scales[section as usize] * slopes[language as usize];
            let kind = if family == Family::Chars { Kind::Chars } else { Kind::Word };
            Evidence { bytes, chars: 0..0, weight: step(model, section, index) as f32 * scale, kind }
        })
        .collect();
    let place = |e: &Evidence| (e.bytes.start, e.bytes.end, e.kind == Kind::Chars);
    all.sort_by_key(place);
    all.dedup_by(|next, kept| {
        let same = place(next) == place(kept);
        if same {
            kept.weight += next.weight;
        }
        same
    });
    all.retain(|evidence| evidence.weight != 0.0);
    all.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()).then(a.bytes.start.cmp(&b.bytes.start)));
    all.truncate(most);
    let mut chars_before: Vec<usize> = vec![0; text.len() + 1];
    for (chars, (byte, c)) in text.char_indices().enumerate() {
        chars_before[byte + c.len_utf8()] = chars + 1;
    }
    for piece in &mut all {
        piece.chars = chars_before[piece.bytes.start]..chars_before[piece.bytes.end];
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_follows_the_rounded_score() {
        let level = |probability| Verdict { probability, language: Language::En }.level();
        assert_eq!([0.0, 0.394].map(level), [Level::Low; 2]);
        assert_eq!([0.396, 0.69].map(level), [Level::Medium; 2]);
        assert_eq!([0.7, 1.0].map(level), [Level::High; 2]);
    }

    #[test]
    fn languages_are_told_apart() {
        for (text, language) in [
            ("what a stupid idea", Language::En),
            ("The train is late", Language::En),
            ("quelle idée stupide", Language::Fr),
            ("Le train est en retard", Language::Fr),
            ("Das Wetter ist heute schön", Language::Unknown),
            ("El tren llega muy tarde hoy", Language::Unknown),
            ("今日は", Language::Unknown),
            ("", Language::Unknown),
        ] {
            assert_eq!(score(text).language, language, "{text}");
        }
    }

    #[test]
    fn a_word_means_what_it_means_in_its_language() {
        assert!(score("le train a du retard").level() == Level::Low);
        assert!(score("you fucking retard").level() == Level::High);
    }
}
