//! Logistic regression by stochastic gradient descent with a step of its own for each weight (AdaGrad).

use super::data::Row;
use crate::weights::{CHARS, CLASSES, Lexicon, Section, WORDS};
use crate::{Language, Scope};

/// Log-odds of a text without evidence. It is fixed, not learned: both public sets are full of evidence, and a learned
/// one would call plain sentences toxic.
pub const INTERCEPT: f32 = -2.5;

const ALL: usize = CHARS + WORDS + CLASSES;
const EPOCHS: usize = 12;
const RATE: f32 = 0.12;
/// Parts of words are many and overlap, so each counts less.
const VALUES: [f32; 3] = [0.3, 1.0, 1.25];

/// A text as places in one table of all weights, for each of its blocks.
#[derive(Clone, Debug)]
pub struct Example {
    blocks: Vec<Block>,
    pub toxic: bool,
    pub weight: f32,
}

/// The places of a block: those that it adds to the block before, and those that count in it alone or for the block
/// behind it.
#[derive(Clone, Debug, Default)]
struct Block {
    added: Vec<u32>,
    alone: Vec<u32>,
}

impl Example {
    pub fn new(text: &str, toxic: bool, weight: f32, lexicon: Lexicon<'_>) -> Self {
        let (features, _) = crate::features(text, lexicon);
        let mut blocks = vec![Block::default(); features.last().map_or(1, |last| last.block + 1)];
        for feature in &features {
            let place = (base(feature.family.section()) + feature.index) as u32;
            match feature.scope {
                Scope::New => blocks[feature.block].added.push(place),
                Scope::Again => blocks[feature.block].alone.push(place),
                Scope::Reply if feature.block > 0 => blocks[feature.block - 1].alone.push(place),
                Scope::Reply => {}
            }
        }
        Self { blocks, toxic, weight }
    }

    /// The worst block or pair of neighbours under these weights, as in scoring, and its sum.
    fn worst(&self, weights: &[f32]) -> (Window, f32) {
        let sum = |places: &[u32]| -> f32 {
            places.iter().map(|place| weights[*place as usize] * VALUES[section(*place)]).sum()
        };
        let (mut before, mut best) = (None, (Window { first: 0, pair: false }, f32::NEG_INFINITY));
        for (i, block) in self.blocks.iter().enumerate() {
            let added = sum(&block.added);
            let alone = added + sum(&block.alone);
            let pair = before.map_or(f32::NEG_INFINITY, |before: f32| before + added);
            if pair > best.1 {
                best = (Window { first: i - 1, pair: true }, pair);
            }
            if alone > best.1 {
                best = (Window { first: i, pair: false }, alone);
            }
            before = Some(alone);
        }
        best
    }

    fn places(&self, Window { first, pair }: Window) -> impl Iterator<Item = &u32> {
        let Block { added, alone } = &self.blocks[first];
        let behind = if pair { self.blocks[first + 1].added.as_slice() } else { &[] };
        added.iter().chain(alone).chain(behind)
    }
}

/// A block, or it and the one behind it.
#[derive(Clone, Copy)]
struct Window {
    first: usize,
    pair: bool,
}

fn base(section: Section) -> usize {
    [0, CHARS, CHARS + WORDS][section as usize]
}

fn section(place: u32) -> usize {
    match place as usize {
        p if p < CHARS => 0,
        p if p < CHARS + WORDS => 1,
        _ => 2,
    }
}

/// How strongly weights are drawn to nothing.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub decay: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { decay: 0.0005 }
    }
}

/// The weight of a text made of a template.
pub const MADE: f32 = 0.4;

/// The weight of a row: French ones are few.
pub fn weight(row: &Row) -> f32 {
    if row.language == Language::Fr { 6.0 } else { 1.0 }
}

/// Learns the weights of all tables.
pub fn learn(examples: &[&Example], settings: Settings) -> Vec<f32> {
    let mut weights = vec![0.0_f32; ALL];
    let mut squares = vec![1e-1_f32; ALL];
    let mut order: Vec<usize> = (0..examples.len()).collect();
    let mut random = Random(0x0BAD_5EED);
    for epoch in 0..EPOCHS {
        random.shuffle(&mut order);
        let rate = RATE * (1.0 - epoch as f32 / EPOCHS as f32).max(0.1);
        for i in &order {
            let example = examples[*i];
            let (worst, sum) = example.worst(&weights);
            let target = f32::from(u8::from(example.toxic));
            let error = (sigmoid(INTERCEPT + sum) - target) * example.weight;
            for place in example.places(worst) {
                let at = *place as usize;
                let slope = error * VALUES[section(*place)] + settings.decay * weights[at];
                squares[at] += slope * slope;
                weights[at] -= rate * slope / squares[at].sqrt();
            }
        }
    }
    for (place, weight) in weights.iter_mut().enumerate() {
        *weight *= VALUES[section(place as u32)];
    }
    weights
}

/// The tables as signed bytes, and the size of a step in each.
pub fn quantise(weights: &[f32]) -> ([Vec<i8>; 3], [f32; 3]) {
    let tables = [&weights[..CHARS], &weights[CHARS..CHARS + WORDS], &weights[CHARS + WORDS..]];
    let scales = tables.map(|table| table.iter().fold(1e-6_f32, |most, w| most.max(w.abs())) / 127.0);
    let bytes = |i: usize| tables[i].iter().map(|weight| (weight / scales[i]).round() as i8).collect();
    ([bytes(0), bytes(1), bytes(2)], scales)
}

pub fn sigmoid(odds: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-odds))
}

/// SplitMix64: small, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound.max(1) as u64) as usize
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
