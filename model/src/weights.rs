//! The file of weights: its layout, and how it is read in place. Nothing is copied or built.
//!
//! Little endian: eight bytes of magic, [`Calibration`] as 16 floats, the lexicon as 32-bit slots, then the three
//! tables of signed bytes.

/// Slots of the lexicon, a power of two.
pub const LEXICON_SLOTS: usize = 1 << 13;
/// Weights of parts of words, of words and pairs of words, and of classes of words; powers of two.
pub const CHARS: usize = 1 << 17;
pub const WORDS: usize = 1 << 17;
pub const CLASSES: usize = 1 << 13;

const MAGIC: &[u8; 8] = b"OUNCE-02";
const HEAD: usize = 8 + 4 * 16;
const LENGTH: usize = HEAD + 4 * LEXICON_SLOTS + CHARS + WORDS + CLASSES;

/// With a name of its own, so that a linker script can place it.
static FILE: [u8; include_bytes!("../weights.bin").len()] = *include_bytes!("../weights.bin");

/// The weights that are compiled in.
pub static SHIPPED: Model<'static> = match Model::parse(&FILE) {
    Some(model) => model,
    None => panic!("weights.bin has another layout: make it anew (CONTRIBUTING.md)"),
};

/// A model, borrowed from its file.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    head: &'a [u8; HEAD],
    pub lexicon: Lexicon<'a>,
    pub chars: &'a [u8; CHARS],
    pub words: &'a [u8; WORDS],
    pub classes: &'a [u8; CLASSES],
}

impl<'a> Model<'a> {
    /// `None` if the file has another length or magic.
    pub const fn parse(file: &'a [u8]) -> Option<Self> {
        if file.len() != LENGTH {
            return None;
        }
        let Some((head, rest)) = file.split_first_chunk() else { return None };
        let Some((slots, rest)) = rest.split_first_chunk() else { return None };
        let Some((chars, rest)) = rest.split_first_chunk() else { return None };
        let Some((words, rest)) = rest.split_first_chunk() else { return None };
        let Some(classes) = rest.first_chunk() else { return None };
        let mut i = 0;
        while i < MAGIC.len() {
            if head[i] != MAGIC[i] {
                return None;
            }
            i += 1;
        }
        Some(Self { head, lexicon: Lexicon { slots }, chars, words, classes })
    }

    pub fn calibration(&self) -> Calibration {
        let float = |i: usize| {
            let at = 8 + 4 * i;
            f32::from_le_bytes([self.head[at], self.head[at + 1], self.head[at + 2], self.head[at + 3]])
        };
        Calibration {
            intercept: float(0),
            scales: [float(1), float(2), float(3)],
            slopes: [float(4), float(5), float(6)],
            shifts: [float(7), float(8), float(9)],
        }
    }
}

/// What turns sums of signed bytes into a probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// The log-odds of a text without evidence, before calibration.
    pub intercept: f32,
    /// Log-odds of one step of a weight, for each [`Section`].
    pub scales: [f32; 3],
    /// By language: English, French, unknown. The calibrated log-odds are `slope * sum + shift`.
    pub slopes: [f32; 3],
    pub shifts: [f32; 3],
}

/// The tables of weights, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Chars,
    Words,
    Classes,
}

/// Writes a file that [`Model::parse`] reads.
pub fn layout(calibration: &Calibration, slots: &[u32; LEXICON_SLOTS], tables: [&[i8]; 3]) -> Vec<u8> {
    let mut file = Vec::with_capacity(LENGTH);
    file.extend_from_slice(MAGIC);
    let Calibration { intercept, scales, slopes, shifts } = calibration;
    let floats = [[*intercept].as_slice(), scales, slopes, shifts].concat();
    for i in 0..16 {
        file.extend_from_slice(&floats.get(i).copied().unwrap_or(0.0).to_le_bytes());
    }
    for slot in slots {
        file.extend_from_slice(&slot.to_le_bytes());
    }
    for table in tables {
        file.extend(table.iter().map(|weight| *weight as u8));
    }
    file
}

/// What a word is known for. The numbers are part of the file; `lexicon.csv` names them.
pub type Class = u8;
/// Not in the lexicon, or there for its language alone.
pub const NO_CLASS: Class = 0;
/// The classes that the code knows by name.
pub const YOU: Class = 1;
pub const THEY: Class = 3;
pub const SAY: Class = 7;
pub const COUNTER: Class = 8;
pub const HATE: Class = 10;
pub const HARM: Class = 11;
pub const INFERIOR: Class = 15;
pub const SLUR: Class = 17;
pub const INSULT: Class = 18;
pub const SWEAR: Class = 19;
pub const TURN: Class = 22;

/// Words that are known, as a hash table with open addressing: 24 bits of the word's hash, 5 of its class, 3 of its
/// languages (English, French, another).
#[derive(Clone, Copy)]
pub struct Lexicon<'a> {
    slots: &'a [u8; 4 * LEXICON_SLOTS],
}

/// What the lexicon says of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Entry {
    pub class: Class,
    pub languages: u8,
}

impl<'a> Lexicon<'a> {
    pub const fn new(slots: &'a [u8; 4 * LEXICON_SLOTS]) -> Self {
        Self { slots }
    }

    #[inline]
    pub fn find(&self, hash: u32) -> Option<Entry> {
        let mut at = hash as usize % LEXICON_SLOTS;
        // The trainer leaves a third of the slots free; the bound is for a broken file.
        for _ in 0..LEXICON_SLOTS {
            let slot = self.slot(at);
            if slot == 0 {
                return None;
            }
            if slot >> 8 == hash >> 8 {
                return Some(Entry { class: (slot >> 3) as u8 & 0x1F, languages: slot as u8 & 7 });
            }
            at = (at + 1) % LEXICON_SLOTS;
        }
        None
    }

    #[inline]
    fn slot(&self, at: usize) -> u32 {
        let at = 4 * at;
        u32::from_le_bytes([self.slots[at], self.slots[at + 1], self.slots[at + 2], self.slots[at + 3]])
    }
}

/// FNV-1a over the codes of a word, and a last mixing: the low bits choose the slot.
#[inline]
pub fn word_hash(word: &[u8]) -> u32 {
    let mut prefix = Prefix::default();
    word.iter().for_each(|code| prefix.push(*code));
    prefix.hash()
}

/// The [`word_hash`] of a word that grows.
#[derive(Clone)]
pub(crate) struct Prefix(u32);

impl Default for Prefix {
    fn default() -> Self {
        Self(0x811C_9DC5)
    }
}

impl Prefix {
    #[inline]
    pub fn push(&mut self, code: u8) {
        self.0 = (self.0 ^ u32::from(code)).wrapping_mul(0x0100_0193);
    }

    #[inline]
    pub fn hash(&self) -> u32 {
        mix(self.0)
    }
}

#[inline]
pub(crate) fn mix(mut hash: u32) -> u32 {
    hash = (hash ^ (hash >> 15)).wrapping_mul(0x85EB_CA6B);
    hash ^ (hash >> 13)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALIBRATION: Calibration = Calibration {
        intercept: -2.0,
        scales: [0.1, 0.2, 0.3],
        slopes: [1.0, 2.0, 3.0],
        shifts: [4.0, 5.0, 6.0],
    };

    fn file() -> Vec<u8> {
        let mut slots = Box::new([0; LEXICON_SLOTS]);
        let hash = word_hash(b"idiot");
        slots[hash as usize % LEXICON_SLOTS] = hash >> 8 << 8 | 18 << 3 | 3;
        let mut words = vec![0; WORDS];
        words[5] = -7;
        layout(&CALIBRATION, &slots, [&vec![1; CHARS], &words, &vec![2; CLASSES]])
    }

    #[test]
    fn what_is_laid_out_is_read() {
        let file = file();
        let model = Model::parse(&file).unwrap();
        assert_eq!(model.calibration(), CALIBRATION);
        assert_eq!(model.lexicon.find(word_hash(b"idiot")), Some(Entry { class: 18, languages: 3 }));
        assert_eq!(model.lexicon.find(word_hash(b"idiots")), None);
        assert_eq!((model.chars[0], model.words[5] as i8, model.classes[CLASSES - 1]), (1, -7, 2));
    }

    #[test]
    fn other_files_are_refused() {
        let file = file();
        assert!(Model::parse(&file[1..]).is_none());
        assert!(Model::parse(&[file.as_slice(), &[0]].concat()).is_none());
        assert!(Model::parse(&[b"x", &file[1..]].concat()).is_none());
        assert!(Model::parse(&[]).is_none());
    }

    #[test]
    fn shipped_weights_are_small() {
        assert!(file().len() <= 512 * 1024);
        assert!(SHIPPED.chars.iter().any(|weight| *weight != 0));
    }
}
