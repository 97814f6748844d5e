//! How toxic a short text is, English or French: a linear model on words and parts of words, compiled in.
//!
//! A text's way: `fold` makes one code of each character, `scan` words of the codes (`markup` knows what is no language),
//! `spell` undoes disguises of a word and `joined` takes apart what was written together, `features` turns words into
//! places in the tables of `weights` (`seen` counts each once), and in `verdict` the evidence becomes one. `CARD.md` says what the model is for, how good it is and where it fails.
#![forbid(unsafe_code)]

mod features;
mod fold;
mod joined;
mod markup;
mod scan;
mod seen;
mod spell;
#[cfg(feature = "train")]
pub mod train;
mod verdict;
mod weights;

pub use features::{Family, Feature, Kind, Scope, features};
pub use verdict::{
    Evidence, HIGH, Language, Level, MEDIUM, Verdict, explain, explain_with, raw_with, score, score_with,
};
pub use weights::{
    CHARS, CLASSES, Calibration, Class, LEXICON_SLOTS, Lexicon, Model, NO_CLASS, SHIPPED, Section, WORDS,
    layout, word_hash,
};

/// Longer texts are refused by the service; the library takes any.
pub const MAX_CHARS: usize = 10_000;
