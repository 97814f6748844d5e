//! Words written together: which known words one word is made of.

use crate::scan::{WORD, Word};
use crate::spell::{SHORTEST_GUESS, strong};
use crate::weights::{Class, HARM, HATE, INFERIOR, Lexicon, Prefix, THEY, YOU, word_hash};

/// Parts shorter than this are not looked for inside a longer word.
const SHORTEST_PART: usize = 3;
const LONGEST_PART: usize = 14;
/// Parts of two letters and more.
const MOST_PARTS: usize = WORD / 2;
/// Words from this length on are searched for parts even if nothing says that they were joined.
const SUSPECT: usize = 14;
/// From this length on a word is an attack if nothing but an attack's words are in it.
const SHORTEST_ATTACK: usize = 7;
/// From this length on any three words may make one.
const SURE_ATTACK: usize = 10;

/// Ranges of codes, and how many there are.
pub type Parts = ([(u8, u8); MOST_PARTS], usize);

/// The known words that `word` was joined of, as ranges of its codes.
pub fn parts(word: &Word, lexicon: &Lexicon<'_>) -> Option<Parts> {
    let attack = attack(word, lexicon);
    attack.or_else(|| {
        let (parts, covered) = cover(word, lexicon);
        let length = word.codes().len();
        // What nothing marks as joined is searched if it is long, and must be known words to its end: `concentrations`.
        let whole =
            if word.joined { covered * 3 >= length * 2 } else { length >= SUSPECT && covered == length };
        (parts.1 > 0 && whole).then_some(parts)
    })
}

/// `youareanidiot`, `fuckoff`, `killyourself`: nothing but known words, an insult among them, and the first is what
/// an attack opens with. This is strict enough for words that nothing marks as joined: `therapist`, `assess` and
/// `députés` pass.
pub fn attack(word: &Word, lexicon: &Lexicon<'_>) -> Option<Parts> {
    let codes = word.codes();
    if codes.len() < SHORTEST_ATTACK {
        return None;
    }
    let begin = begins(codes, lexicon);
    if begin[codes.len()] == NONE {
        return None;
    }
    let (mut parts, mut count, mut end) = ([(0, 0); MOST_PARTS], 0, codes.len());
    let (mut insults, mut harms, mut addresses) = (false, false, false);
    while end > 0 {
        let from = begin[end] as usize;
        let class = lexicon.find(word_hash(&codes[from..end])).unwrap_or_default().class;
        insults |= strong(class) && end - from >= SHORTEST_GUESS;
        harms |= class == HARM;
        addresses |= class == YOU;
        parts[count] = (from as u8, end as u8);
        count += 1;
        end = from;
    }
    parts[..count].reverse();
    let opened = opens(lexicon.find(word_hash(&codes[..parts[0].1 as usize])).unwrap_or_default().class);
    let enough = if opened { count > 1 } else { count > 2 && codes.len() >= SURE_ATTACK };
    (enough && (insults || harms && addresses)).then_some((parts, count))
}

/// No part ends there.
const NONE: u8 = u8::MAX;

/// For each place where a part ends, where it begins, if what is before it is all parts.
fn begins(codes: &[u8], lexicon: &Lexicon<'_>) -> [u8; WORD + 1] {
    let mut begin = [NONE; WORD + 1];
    begin[0] = 0;
    for at in 0..codes.len() {
        if begin[at] == NONE {
            continue;
        }
        let mut prefix = Prefix::default();
        for end in at + 1..=codes.len().min(at + LONGEST_PART) {
            prefix.push(codes[end - 1]);
            if end >= at + 2 && begin[end] == NONE && lexicon.find(prefix.hash()).is_some() {
                begin[end] = at as u8;
            }
        }
    }
    begin
}

fn opens(class: Class) -> bool {
    matches!(class, YOU | THEY | HATE | HARM | INFERIOR) || strong(class)
}

/// Known words in a row, longest first, and how many letters they cover.
fn cover(word: &Word, lexicon: &Lexicon<'_>) -> (Parts, usize) {
    let codes = word.codes();
    let mut found = [(0, 0); MOST_PARTS];
    let (mut count, mut covered, mut at) = (0, 0, 0);
    while at + SHORTEST_PART <= codes.len() {
        let longest = LONGEST_PART.min(codes.len() - at);
        let known = |length: &usize| lexicon.find(word_hash(&codes[at..at + length])).is_some();
        match (SHORTEST_PART..=longest).rev().find(known) {
            Some(length) if count < found.len() => {
                found[count] = (at as u8, (at + length) as u8);
                count += 1;
                covered += length;
                at += length;
            }
            _ => at += 1,
        }
    }
    ((found, count), covered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SHIPPED;
    use crate::spell::spell;

    fn text(word: &Word) -> Vec<String> {
        if spell(&mut word.clone(), &SHIPPED.lexicon).1.is_some() {
            return Vec::new();
        }
        let (parts, count) = parts(word, &SHIPPED.lexicon).unwrap_or_default();
        let part = |(from, to): &(u8, u8)| word.part((*from).into(), (*to).into());
        parts[..count].iter().map(|p| String::from_utf8_lossy(part(p).codes()).into_owned()).collect()
    }

    #[test]
    fn attacks_in_one_word_are_found() {
        for (joined, parts) in [
            ("youareanidiot", "you are an idiot"),
            ("fuckoff", "fuck off"),
            ("stupidasshole", "stupid asshole"),
            ("killyourself", "kill yourself"),
            ("niquetamere", "nique ta mere"),
            ("fermetagueule", "ferme ta gueule"),
        ] {
            assert_eq!(text(&Word::of(joined)).join(" "), parts);
        }
    }

    #[test]
    fn words_inside_words_are_not() {
        for plain in [
            "scunthorpe",
            "assess",
            "assassin",
            "class",
            "dickens",
            "cockpit",
            "essex",
            "sussex",
            "therapist",
            "analyse",
            "analysis",
            "hangover",
            "burnout",
            "shitake",
            "connaitre",
            "culture",
            "reconnaissance",
            "deputes",
            "disputer",
            "pissenlit",
            "content",
            "consent",
            "hellenic",
            "consist",
            "consumer",
            "youthful",
            "yourselves",
        ] {
            assert!(text(&Word::of(plain)).is_empty(), "{plain}");
        }
    }

    #[test]
    fn joined_words_are_found() {
        let mut joined = Word::of("ihatewomen");
        assert!(text(&joined).is_empty());
        joined.joined = true;
        assert_eq!(text(&joined), ["hate", "women"]);
        assert_eq!(text(&Word::of("killallimmigrants")), ["kill", "all", "immigrants"]);
        assert!(text(&Word::of("counterrevolutionary")).is_empty());
    }
}
