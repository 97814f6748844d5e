//! From words to evidence: places in the three tables of weights.
//!
//! Of every word its parts of three to five letters (with its ends), itself, itself in the language so far, and its
//! pair with the word before; of words with a class (insult, group of people, negation, ...) their class, and its pairs
//! and triples with the classes before it in the sentence. A feature counts once in a block of about [`BLOCK`] letters.

use std::ops::Range;

use crate::scan::{Mark, Word, Words, scan};
use crate::spell;
use crate::weights::{CHARS, CLASSES, Class, Entry, Lexicon, NO_CLASS, Section, WORDS, mix, word_hash};

/// A block ends with the word that reaches as many letters. Evidence is summed over two neighbouring blocks, so that
/// neither side drowns in a long text.
pub const BLOCK: usize = 160;

/// Which table, and which kind of feature there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Chars,
    Word,
    Pair,
    Class,
}

impl Family {
    pub fn section(self) -> Section {
        match self {
            Self::Chars => Section::Chars,
            Self::Word | Self::Pair => Section::Words,
            Self::Class => Section::Classes,
        }
    }
}

/// What a piece of evidence is: parts of words, or words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Word,
    Chars,
}

/// One feature of a text.
#[derive(Clone, Debug)]
pub struct Feature {
    pub family: Family,
    /// Place in the table of the family's section.
    pub index: usize,
    pub block: usize,
    pub bytes: Range<usize>,
    pub chars: Range<usize>,
}

/// Takes features in the order of the text.
pub(crate) trait Sink {
    fn feature(&mut self, family: Family, index: usize, from: Mark, to: Mark);
    fn block(&mut self);
}

/// Every feature of `text`, and the evidence for a language.
pub fn features(text: &str, lexicon: Lexicon<'_>) -> (Vec<Feature>, crate::Language) {
    let mut all = Collect { features: Vec::new(), block: 0 };
    let language = extract(text, lexicon, &mut all);
    (all.features, language)
}

struct Collect {
    features: Vec<Feature>,
    block: usize,
}

impl Sink for Collect {
    fn feature(&mut self, family: Family, index: usize, from: Mark, to: Mark) {
        let (bytes, chars) = (from.byte..to.byte, from.char..to.char);
        self.features.push(Feature { family, index, block: self.block, bytes, chars });
    }

    fn block(&mut self) {
        self.block += 1;
    }
}

#[inline]
pub(crate) fn extract(text: &str, lexicon: Lexicon<'_>, sink: &mut impl Sink) -> crate::Language {
    let mut state = State {
        lexicon,
        sink,
        seen: Seen { slots: [0; SEEN], filled: 0 },
        letters: 0,
        before: None,
        classes: [Known::default(); REACH],
        position: 0,
        quoted: false,
        english: 0,
        french: 0,
        other: 0,
        unknown: 0,
    };
    scan(text, &mut state);
    state.language()
}

/// How many known words back a pair may reach, and how many words.
const REACH: usize = 4;
const FAR: usize = 9;

/// A word of a class, and where it stood.
#[derive(Clone, Copy, Default)]
struct Known {
    class: Class,
    position: usize,
    from: Mark,
}

struct Before {
    hash: u32,
    class: Class,
    from: Mark,
}

struct State<'s, 'm, S> {
    lexicon: Lexicon<'m>,
    sink: &'s mut S,
    seen: Seen,
    /// Letters in this block.
    letters: usize,
    /// The word before in this sentence.
    before: Option<Before>,
    /// The last words of a class, latest first.
    classes: [Known; REACH],
    /// Words so far.
    position: usize,
    quoted: bool,
    english: u32,
    french: u32,
    other: u32,
    unknown: u32,
}

impl<S: Sink> Words for State<'_, '_, S> {
    fn word(&mut self, word: &mut Word) {
        let (letters, entry) = spell::spell(word, &self.lexicon);
        if !letters {
            return self.number();
        }
        match entry {
            None => match spell::parts(word, &self.lexicon) {
                Some((parts, count)) => {
                    for (from, to) in parts.iter().take(count) {
                        let part = word.part((*from).into(), (*to).into());
                        self.spelled(&part, self.lexicon.find(word_hash(part.codes())));
                    }
                }
                None => self.spelled(word, None),
            },
            known => self.spelled(word, known),
        }
    }

    fn emoji(&mut self, c: char, from: Mark, to: Mark) {
        let hash = mix(c as u32 ^ 0x5EED_0000);
        self.emit(Family::Word, hash, from, to);
        if let Some(entry) = self.lexicon.find(hash) {
            self.known(entry.class, hash, from, to);
        }
    }

    fn quote(&mut self) {
        self.quoted = !self.quoted;
    }

    fn sentence(&mut self) {
        self.before = None;
        self.classes = [Known::default(); REACH];
    }
}

impl<S: Sink> State<'_, '_, S> {
    /// A number parts pairs, no more.
    fn number(&mut self) {
        self.before = None;
        self.position += 1;
    }

    fn spelled(&mut self, word: &Word, entry: Option<Entry>) {
        if self.letters >= BLOCK {
            self.letters = 0;
            self.seen = Seen { slots: [0; SEEN], filled: 0 };
            self.sink.block();
        }
        let codes = word.codes();
        let (from, to) = word.span(0, codes.len());
        let hash = word_hash(codes);
        self.count_language(entry, codes);
        let Entry { class, languages } = entry.unwrap_or_default();
        if self.emit(Family::Word, hash, from, to) {
            let language = self.so_far();
            self.emit(Family::Word, mix(hash ^ (language + 1).wrapping_mul(0x9E37_79B9)), from, to);
            // Function words have nothing inside.
            if class != NO_CLASS || languages == 0 {
                self.inside(word);
            }
        }
        if let Some(before) = &self.before {
            let Before { hash: other, class: above, from } = *before;
            self.emit(Family::Pair, mix(other.rotate_left(7) ^ hash), from, to);
            if above != NO_CLASS {
                self.emit(Family::Pair, mix(hash ^ u32::from(above).wrapping_mul(0x85EB_CA77)), from, to);
            }
            if class != NO_CLASS {
                self.emit(Family::Pair, mix(other ^ u32::from(class).wrapping_mul(0xC2B2_AE3D)), from, to);
            }
        }
        if class != NO_CLASS {
            self.known(class, hash, from, to);
        }
        self.before = Some(Before { hash, class, from });
        self.position += 1;
        self.letters += codes.len();
    }

    /// The class of a word, alone and with those before it.
    fn known(&mut self, class: Class, _hash: u32, from: Mark, to: Mark) {
        let class_of = u32::from(class);
        self.emit(Family::Class, mix(class_of | u32::from(self.quoted) << 8), from, to);
        for i in 0..REACH {
            let Known { class: above, position, from } = self.classes[i];
            let distance = self.position.saturating_sub(position);
            if above == NO_CLASS || distance > FAR {
                break;
            }
            let near = match distance {
                0 | 1 => 1,
                2 | 3 => 2,
                _ => 3,
            };
            let pair = class_of | u32::from(above) << 5 | 1 << 20;
            self.emit(Family::Class, mix(pair | near << 12), from, to);
            if i == 1 {
                let triple = pair | u32::from(self.classes[0].class) << 14 | 1 << 21;
                self.emit(Family::Class, mix(triple), from, to);
            }
        }
        self.classes.rotate_right(1);
        self.classes[0] = Known { class, position: self.position, from };
    }

    /// Parts of three, four and five letters; the word's ends count as letters.
    #[inline]
    fn inside(&mut self, word: &Word) {
        let codes = word.codes();
        let mut window = u64::from(b'_');
        for k in 1..=codes.len() + 1 {
            window = window << 8 | u64::from(codes.get(k - 1).copied().unwrap_or(b'_'));
            for n in 3..=5 {
                if k + 1 >= n {
                    let (first, last) = (k + 1 - n, k + 1);
                    let part = (window & ((1 << (8 * n)) - 1)) | (n as u64) << 56;
                    let index = part.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - CHARS.trailing_zeros());
                    let (from, to) = word.span(first.saturating_sub(1), (last - 1).min(codes.len()));
                    self.sink.feature(Family::Chars, index as usize, from, to);
                }
            }
        }
    }

    /// Gives a feature on, if it is the first of its kind in this block.
    #[inline]
    fn emit(&mut self, family: Family, hash: u32, from: Mark, to: Mark) -> bool {
        let new = self.seen.insert(hash ^ (family as u32).wrapping_mul(0x27D4_EB2F));
        if new {
            let places = if family == Family::Class { CLASSES } else { WORDS };
            self.sink.feature(family, (hash as usize >> 8) % places, from, to);
        }
        new
    }

    fn count_language(&mut self, entry: Option<Entry>, codes: &[u8]) {
        match entry {
            Some(Entry { languages, .. }) if languages != 0 => {
                // A word of one language says more than a word of several.
                let weight = if languages.count_ones() == 1 { 2 } else { 1 };
                self.english += weight * u32::from(languages & 1);
                self.french += weight * u32::from(languages >> 1 & 1);
                self.other += weight * u32::from(languages >> 2 & 1);
            }
            _ => self.unknown += if codes[0] >= 0x80 { 4 } else { 1 },
        }
    }

    fn so_far(&self) -> u32 {
        match self.english.cmp(&self.french) {
            std::cmp::Ordering::Greater => 1,
            std::cmp::Ordering::Less => 2,
            std::cmp::Ordering::Equal => 0,
        }
    }

    fn language(&self) -> crate::Language {
        let (best, language) = match self.so_far() {
            1 => (self.english, crate::Language::En),
            2 => (self.french, crate::Language::Fr),
            _ => return crate::Language::Unknown,
        };
        if best <= self.other || best * 4 < self.unknown { crate::Language::Unknown } else { language }
    }
}

const SEEN: usize = 1024;

/// Hashes seen in a block; from three quarters on it forgets new ones.
struct Seen {
    slots: [u32; SEEN],
    filled: usize,
}

impl Seen {
    #[inline]
    fn insert(&mut self, hash: u32) -> bool {
        let hash = hash | 1;
        let mut at = (hash >> 4) as usize % SEEN;
        while self.slots[at] != 0 {
            if self.slots[at] == hash {
                return false;
            }
            at = (at + 1) % SEEN;
        }
        if self.filled < SEEN / 4 * 3 {
            self.slots[at] = hash;
            self.filled += 1;
        }
        true
    }
}
