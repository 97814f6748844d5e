//! From words to evidence: places in the three tables of weights.
//!
//! Of every word its parts of three to five letters (with its ends), itself, itself in the language so far, and its
//! pair with the word before; of words with a class (insult, group of people, negation, ...) their class, and its pairs
//! and triples with the classes before it in the clause. A feature counts once in a block: a clause, which ends with the
//! sentence or before a `but`.

use std::ops::Range;

use crate::Language;
use crate::scan::{Word, Words, scan};
use crate::seen::Seen;
use crate::weights::{
    CHARS, CLASSES, COUNTER, Class, Entry, Lexicon, NO_CLASS, SAY, Section, TURN, WORDS, mix, word_hash,
};
use crate::{joined, spell};

/// A block of text ends with its clause, or with the word that reaches as many letters. The verdict is that of the worst
/// block or pair of neighbours: what is harmless beside an attack takes nothing from it.
const BLOCK: usize = 160;

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

/// What a feature counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Its block, and the pair with the block before.
    New,
    /// Its block alone: the block before has it too, so the pair does already.
    Again,
    /// The block before, which it answers.
    Reply,
}

/// One feature of a text.
#[derive(Clone, Debug)]
pub struct Feature {
    pub family: Family,
    /// Place in the table of the family's section.
    pub index: usize,
    /// The block in which it stands.
    pub block: usize,
    pub scope: Scope,
    /// Where it stands in the text.
    pub bytes: Range<usize>,
}

/// Takes features in the order of the text.
pub(crate) trait Sink {
    fn feature(&mut self, family: Family, index: usize, scope: Scope, from: usize, to: usize);
    /// The parts of a word.
    fn inside(&mut self, word: &Word, scope: Scope) {
        parts(word.codes(), |index, first, last| {
            let (from, to) = word.span(first.saturating_sub(1), (last - 1).min(word.codes().len()));
            self.feature(Family::Chars, index, scope, from, to);
        });
    }
    /// A block ends that is in this language.
    fn block(&mut self, language: Option<Language>);
}

/// Every feature of `text`, and the evidence for a language.
pub fn features(text: &str, lexicon: Lexicon<'_>) -> (Vec<Feature>, Language) {
    let mut all = Collect { features: Vec::new(), block: 0 };
    let language = extract(text, lexicon, &mut all);
    (all.features, language)
}

struct Collect {
    features: Vec<Feature>,
    block: usize,
}

impl Sink for Collect {
    fn feature(&mut self, family: Family, index: usize, scope: Scope, from: usize, to: usize) {
        self.features.push(Feature { family, index, block: self.block, scope, bytes: from..to });
    }

    fn block(&mut self, _: Option<Language>) {
        self.block += 1;
    }
}

#[inline]
pub(crate) fn extract(text: &str, lexicon: Lexicon<'_>, sink: &mut impl Sink) -> Language {
    let mut state = State {
        lexicon,
        sink,
        seen: [Seen::new(), Seen::new()],
        this: 0,
        letters: 0,
        before: None,
        classes: [Known::default(); REACH],
        position: 0,
        quoted: false,
        quotes: [false; 2],
        clause_ended: false,
        recent: [0; 2],
        english: 0,
        french: 0,
        other: 0,
        unknown: 0,
    };
    scan(text, &mut state);
    let last = state.block_language();
    state.sink.block(last);
    state.language()
}

/// How many known words back a pair may reach, and how many words.
const REACH: usize = 4;
const FAR: usize = 9;

/// A word of a class, and where it stood.
#[derive(Clone, Copy, Default)]
struct Known {
    class: Class,
    hash: u32,
    position: usize,
    from: usize,
}

struct Before {
    hash: u32,
    class: Class,
    from: usize,
}

struct State<'s, 'm, S> {
    lexicon: Lexicon<'m>,
    sink: &'s mut S,
    /// What this block and the one before have shown; `this` is the place of this one's.
    seen: [Seen; 2],
    this: usize,
    /// Letters in this block.
    letters: usize,
    /// The word before in this clause.
    before: Option<Before>,
    /// The last words of a class, latest first.
    classes: [Known; REACH],
    /// Words so far.
    position: usize,
    quoted: bool,
    /// Whether there is a quotation in this block, and in the one before.
    quotes: [bool; 2],
    /// Nothing came since.
    clause_ended: bool,
    /// English and French words of this block, and one for the language of the block before.
    recent: [u32; 2],
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
            None => match joined::parts(word, &self.lexicon) {
                Some((parts, count)) => self.joined(word, &parts[..count]),
                None => self.spelled(word, None),
            },
            known => self.spelled(word, known),
        }
    }

    fn name(&mut self, word: &mut Word) {
        if let Some((parts, count)) = joined::attack(word, &self.lexicon) {
            self.joined(word, &parts[..count]);
        }
    }

    fn emoji(&mut self, c: char, from: usize, to: usize) {
        let hash = mix(c as u32 ^ 0x5EED_0000);
        self.emit(Family::Word, hash, from, to);
        if let Some(entry) = self.lexicon.find(hash) {
            self.known(entry.class, hash, from, to);
        }
    }

    fn quote(&mut self) {
        self.quoted = !self.quoted;
        self.quotes[0] = true;
    }

    fn sentence(&mut self) {
        self.end_clause();
    }
}

impl<S: Sink> State<'_, '_, S> {
    /// A number parts pairs, no more.
    fn number(&mut self) {
        self.before = None;
        self.position += 1;
    }

    fn end_clause(&mut self) {
        self.before = None;
        self.classes = [Known::default(); REACH];
        self.clause_ended = true;
    }

    fn end_block(&mut self) {
        let language = self.block_language();
        self.sink.block(language);
        self.letters = 0;
        // What is said in one language stays a hint for the next clause, no more.
        self.recent = [language == Some(Language::En), language == Some(Language::Fr)].map(u32::from);
        self.this = 1 - self.this;
        self.seen[self.this] = Seen::new();
        self.quotes = [self.quoted, self.quotes[0]];
    }

    fn joined(&mut self, word: &Word, parts: &[(u8, u8)]) {
        for (from, to) in parts {
            let part = word.part((*from).into(), (*to).into());
            self.spelled(&part, self.lexicon.find(word_hash(part.codes())));
        }
    }

    fn spelled(&mut self, word: &Word, entry: Option<Entry>) {
        let turns = entry.is_some_and(|entry| entry.class == TURN);
        if turns {
            self.end_clause();
        }
        if self.letters >= BLOCK || self.letters > 0 && self.clause_ended {
            self.end_block();
        }
        let codes = word.codes();
        let (from, to) = word.span(0, codes.len());
        let hash = word_hash(codes);
        self.count_language(entry, codes);
        let Entry { class, languages } = entry.unwrap_or_default();
        // `sale` in English and `retard` in French are other words.
        let foreign = matches!((languages, self.so_far()), (1, 2) | (2, 1));
        let class = if foreign || turns { NO_CLASS } else { class };
        if let Some(scope) = self.emit(Family::Word, hash, from, to) {
            let language = self.so_far();
            self.emit(Family::Word, mix(hash ^ (language + 1).wrapping_mul(0x9E37_79B9)), from, to);
            // Function words have nothing inside.
            if class != NO_CLASS || languages == 0 {
                self.sink.inside(word, scope);
            }
        }
        self.pairs(hash, class, to);
        if class != NO_CLASS {
            self.known(class, hash, from, to);
        }
        self.before = Some(Before { hash, class, from });
        self.position += 1;
        self.letters += codes.len();
        self.clause_ended = false;
    }

    /// A word and its class with those of the word before.
    #[inline]
    fn pairs(&mut self, hash: u32, class: Class, to: usize) {
        // A word said twice is no pair.
        let Some(before) = self.before.as_ref().filter(|before| before.hash != hash) else { return };
        let Before { hash: other, class: above, from } = *before;
        self.emit(Family::Pair, mix(other.rotate_left(7) ^ hash), from, to);
        if above != NO_CLASS {
            self.emit(Family::Pair, mix(hash ^ u32::from(above).wrapping_mul(0x85EB_CA77)), from, to);
        }
        if class != NO_CLASS {
            self.emit(Family::Pair, mix(other ^ u32::from(class).wrapping_mul(0xC2B2_AE3D)), from, to);
        }
    }

    /// The class of a word, alone and with those before it; a word of speech also answers the block before.
    fn known(&mut self, class: Class, hash: u32, from: usize, to: usize) {
        let class_of = u32::from(class);
        if class == COUNTER || class == SAY {
            // As in "« ... » That is a hateful thing to say."
            let reply = mix(class_of | u32::from(self.quotes[1]) << 8 | 1 << 22);
            if self.seen[self.this].insert(reply) {
                self.sink.feature(Family::Class, place(reply, CLASSES), Scope::Reply, from, to);
            }
        }
        self.emit(Family::Class, mix(class_of | u32::from(self.quoted) << 8), from, to);
        if self.classes[0].hash == hash {
            return;
        }
        for i in 0..REACH {
            let Known { class: above, position, from, .. } = self.classes[i];
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
        self.classes[0] = Known { class, hash, position: self.position, from };
    }

    /// Gives a feature on, if it is the first of its kind in this block.
    #[inline(always)]
    fn emit(&mut self, family: Family, hash: u32, from: usize, to: usize) -> Option<Scope> {
        let key = hash ^ (family as u32).wrapping_mul(0x27D4_EB2F);
        if !self.seen[self.this].insert(key) {
            return None;
        }
        let scope = if self.seen[1 - self.this].contains(key) { Scope::Again } else { Scope::New };
        let places = if family == Family::Class { CLASSES } else { WORDS };
        self.sink.feature(family, place(hash, places), scope, from, to);
        Some(scope)
    }

    fn count_language(&mut self, entry: Option<Entry>, codes: &[u8]) {
        match entry {
            Some(Entry { languages, .. }) if languages != 0 => {
                // A word of one language says more than a word of several.
                let weight = if languages.count_ones() == 1 { 2 } else { 1 };
                let [english, french, other] = [0, 1, 2].map(|bit| weight * u32::from(languages >> bit & 1));
                self.english += english;
                self.french += french;
                self.other += other;
                self.recent[0] += english;
                self.recent[1] += french;
            }
            _ => self.unknown += if codes[0] >= 0x80 { 4 } else { 1 },
        }
    }

    /// The language of late: 1 is English, 2 French, 0 neither.
    fn so_far(&self) -> u32 {
        match self.recent[0].cmp(&self.recent[1]) {
            std::cmp::Ordering::Greater => 1,
            std::cmp::Ordering::Less => 2,
            std::cmp::Ordering::Equal => 0,
        }
    }

    fn block_language(&self) -> Option<Language> {
        match self.so_far() {
            1 => Some(Language::En),
            2 => Some(Language::Fr),
            _ => None,
        }
    }

    fn language(&self) -> Language {
        let (best, language) = match self.english.cmp(&self.french) {
            std::cmp::Ordering::Greater => (self.english, Language::En),
            std::cmp::Ordering::Less => (self.french, Language::Fr),
            std::cmp::Ordering::Equal => return Language::Unknown,
        };
        if best <= self.other || best * 4 < self.unknown { Language::Unknown } else { language }
    }
}

/// Parts of three, four and five letters, each with its place and where it begins and ends; the word's ends count as
/// letters.
#[inline]
pub(crate) fn parts(codes: &[u8], mut each: impl FnMut(usize, usize, usize)) {
    let mut window = u64::from(b'_');
    for (k, code) in codes.iter().chain(b"_").enumerate() {
        window = window << 8 | u64::from(*code);
        let last = k + 2;
        for n in 3..=5 {
            if last >= n {
                let part = (window & ((1 << (8 * n)) - 1)) | (n as u64) << 56;
                let index = part.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - CHARS.trailing_zeros());
                each(index as usize, last - n, last);
            }
        }
    }
}

fn place(hash: u32, places: usize) -> usize {
    (hash as usize >> 7) % places
}
