//! From `lexicon.csv` to the slots of the hash table.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use crate::fold;
use crate::weights::{LEXICON_SLOTS, word_hash};

/// The names of the classes in `lexicon.csv`; a place here is the number in the file of weights.
pub const CLASSES: [&str; 23] = [
    "function", "you", "self", "they", "be", "negator", "all", "say", "counter", "positive", "hate", "harm",
    "death", "expel", "vermin", "inferior", "group", "slur", "insult", "swear", "sexual", "thing", "turn",
];

/// A word as codes; `None` for what the scanner would not give as one word.
pub fn codes(word: &str) -> Option<Vec<u8>> {
    let mut codes = Vec::new();
    for c in word.chars() {
        match fold::fold(c) {
            fold::SKIP | fold::APOSTROPHE => {}
            code @ (b'a'..=b'z' | b'*' | fold::OTHER..) => codes.push(code),
            _ => return None,
        }
        codes.extend(fold::second(c));
    }
    Some(codes)
}

/// Reads the lexicon and lays it out.
pub fn slots(csv: &str) -> Result<Box<[u32; LEXICON_SLOTS]>> {
    let mut entries: BTreeMap<u32, (u8, u8)> = BTreeMap::new();
    for record in csv::Reader::from_reader(csv.as_bytes()).records() {
        let record = record.context("lexicon")?;
        let line = record.position().map_or(0, csv::Position::line);
        let class = CLASSES.iter().position(|name| *name == &record[0]);
        let class = class.with_context(|| format!("lexicon: line {line}: no class {:?}", &record[0]))? as u8;
        let language = match &record[1] {
            "en" => 1,
            "fr" => 2,
            "other" => 4,
            other => bail!("lexicon: line {line}: no language {other:?}"),
        };
        for word in record[2].split_whitespace() {
            let codes =
                codes(word).with_context(|| format!("lexicon: line {line}: {word:?} is not one word"))?;
            let entry = entries.entry(word_hash(&codes)).or_insert((0, 0));
            // The first class that says something stays.
            if entry.0 == 0 {
                entry.0 = class;
            }
            entry.1 |= language;
        }
    }
    ensure!(entries.len() * 3 < LEXICON_SLOTS * 2, "lexicon: {} words are too many", entries.len());
    let mut slots = Box::new([0; LEXICON_SLOTS]);
    for (hash, (class, languages)) in entries {
        let mut at = hash as usize % LEXICON_SLOTS;
        while slots[at] != 0 {
            at = (at + 1) % LEXICON_SLOTS;
        }
        slots[at] = hash >> 8 << 8 | u32::from(class) << 3 | u32::from(languages);
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{COUNTER, HARM, HATE, INFERIOR, INSULT, SAY, SLUR, SWEAR, THEY, TURN, YOU};

    #[test]
    fn the_numbers_in_the_code_are_those_of_the_names() {
        let classes = [YOU, THEY, SAY, COUNTER, HATE, HARM, INFERIOR, SLUR, INSULT, SWEAR, TURN];
        let names =
            ["you", "they", "say", "counter", "hate", "harm", "inferior", "slur", "insult", "swear", "turn"];
        assert_eq!(classes.map(|class| CLASSES[class as usize]), names);
    }
}
