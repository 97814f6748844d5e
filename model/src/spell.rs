//! Undoes the disguise of one word: digits and symbols for letters, letters repeated or starred out, an
//! insult misspelt. The lexicon decides between readings.

use crate::scan::Word;
use crate::weights::{Class, Entry, INFERIOR, INSULT, Lexicon, NO_CLASS, Prefix, SLUR, SWEAR, word_hash};

/// Shorter words are too near to too many others to be guessed.
pub const SHORTEST_GUESS: usize = 4;
const LONGEST_SWAPPED: usize = 10;

/// Brings `word` into the form that is looked up; false if it holds no letters.
#[inline]
pub fn spell(word: &mut Word, lexicon: &Lexicon<'_>) -> (bool, Option<Entry>) {
    let mut letters = 0;
    let mut others = 0;
    let mut doubled = 0;
    let mut before = 0;
    for code in word.codes() {
        if code.is_ascii_lowercase() || *code >= 0x80 {
            letters += 1
        } else {
            others += 1
        }
        doubled += usize::from(*code == before);
        before = *code;
    }
    // `A55` and `B12` are codes, no words.
    if letters == 0 || letters == 1 && others > 0 && word.codes()[1..].iter().all(u8::is_ascii_digit) {
        return (false, None);
    }
    if others > 0 {
        read_symbols(word, lexicon, letters);
    }
    let mut entry = lexicon.find(word_hash(word.codes()));
    if entry.is_none() && (doubled > 0 || others > 0) {
        entry = squeeze(word, lexicon);
    }
    if entry.is_none() && others > 0 {
        entry = unstar(word, lexicon);
    }
    if entry.is_none() && word.codes().len() >= SHORTEST_GUESS {
        entry = respell(word, lexicon);
    }
    (true, entry)
}

fn read_symbols(word: &mut Word, lexicon: &Lexicon<'_>, letters: usize) {
    // One star for any number, and none behind a whole word: that is emphasis.
    let starred = word.codes().iter().rev().take_while(|code| **code == b'*').count();
    let end = word.codes().len() - if letters >= 3 { starred } else { 0 };
    word.retain(|codes, i| i < end && (i == 0 || codes[i] != b'*' || codes[i - 1] != b'*'));
    let codes = word.codes();
    let leading = codes.iter().take_while(|code| code.is_ascii_digit()).count();
    let trailing = codes.iter().rev().take_while(|code| code.is_ascii_digit()).count();
    let (length, digits) = (codes.len(), codes.iter().filter(|code| code.is_ascii_digit()).count());
    // `100km`, `idiot69`: a number beside a word. `4ss`, `m3rd3`, `c0n` are words.
    if letters >= 2 && digits == leading && leading >= 2 {
        word.retain(|_, i| i >= leading);
    } else if letters >= 3 && digits == trailing && trailing > 0 {
        let bare = &codes[..length - trailing];
        if trailing > 1 || lexicon.find(word_hash(bare)).is_some() {
            word.retain(|_, i| i < length - trailing);
        }
    }
    read_letters(word, lexicon);
}

/// Symbols as the letters that they look like; `1` and `|` may be `i` or `l`, and `|` before a word may be a bar.
fn read_letters(word: &mut Word, lexicon: &Lexicon<'_>) {
    let ells = word.codes().contains(&b'1') || word.codes().contains(&b'|');
    let original = *word;
    for code in word.codes_mut() {
        *code = letter(*code);
    }
    if ells && lexicon.find(word_hash(word.codes())).is_none() {
        let mut other = original;
        for code in other.codes_mut() {
            *code = if matches!(*code, b'1' | b'|') { b'l' } else { letter(*code) };
        }
        if lexicon.find(word_hash(other.codes())).is_some() {
            *word = other;
        } else if original.codes()[0] == b'|' {
            word.retain(|_, i| i > 0);
        }
    }
}

fn letter(code: u8) -> u8 {
    match code {
        b'0' => b'o',
        b'1' | b'!' | b'|' => b'i',
        b'2' => b'z',
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'6' | b'9' => b'g',
        b'7' => b't',
        b'8' => b'b',
        other => other,
    }
}

/// `idiooot` and `fuuck`: letters twice if the lexicon knows it so, else once. Twice is how many words are written, so
/// the short ones among them (`salle`, `coon`) are taken at their letters.
fn squeeze(word: &mut Word, lexicon: &Lexicon<'_>) -> Option<Entry> {
    let known = |entry: Option<Entry>| entry.is_some_and(|entry| entry.class != NO_CLASS);
    let long = word.codes().windows(3).any(|w| w[0] == w[1] && w[1] == w[2]);
    let mut twice = None;
    if long {
        word.retain(|codes, i| i < 2 || codes[i] != codes[i - 1] || codes[i] != codes[i - 2]);
        twice = lexicon.find(word_hash(word.codes()));
    }
    let mut single = *word;
    single.retain(|codes, i| i == 0 || codes[i] != codes[i - 1]);
    let entry = lexicon.find(word_hash(single.codes()));
    // `looooser` is no `looser`.
    if known(twice) || twice.is_some() && !known(entry) {
        return twice;
    }
    let odd = word.codes().windows(2).any(|w| w[0] == w[1] && !b"bcdefglmnoprstz".contains(&w[0]));
    if long || known(entry) && (odd || single.codes().len() > SHORTEST_GUESS) {
        *word = single;
        return entry;
    }
    None
}

/// `f*ck`: the star is a vowel if that makes a known word.
fn unstar(word: &mut Word, lexicon: &Lexicon<'_>) -> Option<Entry> {
    let mut stars = word.codes().iter().enumerate().filter(|(_, code)| **code == b'*');
    let (Some((star, _)), None) = (stars.next(), stars.next()) else { return None };
    for vowel in *b"uiaeoy" {
        let mut guess = *word;
        guess.codes_mut()[star] = vowel;
        let entry = lexicon.find(word_hash(guess.codes()));
        if entry.is_some_and(|entry| entry.class != NO_CLASS) {
            *word = guess;
            return entry;
        }
    }
    None
}

/// An unknown word that is nearly an insult: written as it sounds or looks (`phuck`, `fvck`, `k0nnard`), two letters
/// swapped (`fukc`), or a letter before it (`xidiot`).
fn respell(word: &mut Word, lexicon: &Lexicon<'_>) -> Option<Entry> {
    let guess = sounds(word, lexicon).or_else(|| swapped(word, lexicon)).or_else(|| headed(word, lexicon))?;
    *word = guess;
    lexicon.find(word_hash(word.codes()))
}

fn sounds(word: &Word, lexicon: &Lexicon<'_>) -> Option<Word> {
    const SPELLINGS: [(&[u8], u8); 5] =
        [(b"ph", b'f'), (b"v", b'u'), (b"oo", b'u'), (b"k", b'c'), (b"z", b's')];
    let codes = word.codes();
    let letters = codes.iter().fold(0_u32, |letters, code| letters | bit(*code));
    for (written, meant) in SPELLINGS {
        if letters & bit(written[0]) == 0 || !codes.windows(written.len()).any(|window| window == written) {
            continue;
        }
        let mut guess = Word::new();
        let mut at = 0;
        while at < codes.len() {
            let found = codes[at..].starts_with(written);
            let next = at + if found { written.len() } else { 1 };
            let (from, to) = word.span(at, next);
            guess.push(if found { meant } else { codes[at] }, from, to);
            at = next;
        }
        let class = lexicon.find(word_hash(guess.codes())).unwrap_or_default().class;
        if guess.codes().len() >= SHORTEST_GUESS && (strong(class) || class == INFERIOR) {
            return Some(guess);
        }
    }
    None
}

/// A letter in a set of letters.
fn bit(code: u8) -> u32 {
    if code.is_ascii_lowercase() { 1 << (code - b'a') } else { 0 }
}

fn swapped(word: &Word, lexicon: &Lexicon<'_>) -> Option<Word> {
    let length = word.codes().len();
    if length > LONGEST_SWAPPED {
        return None;
    }
    let codes = word.codes();
    let mut prefix = Prefix::default();
    prefix.push(codes[0]);
    for i in 1..length - 1 {
        let mut hash = prefix.clone();
        hash.push(codes[i + 1]);
        hash.push(codes[i]);
        codes[i + 2..].iter().for_each(|code| hash.push(*code));
        if lexicon.find(hash.hash()).is_some_and(|entry| strong(entry.class)) && codes[i] != codes[i + 1] {
            let mut guess = *word;
            guess.codes_mut().swap(i, i + 1);
            return Some(guess);
        }
        prefix.push(codes[i]);
    }
    None
}

fn headed(word: &Word, lexicon: &Lexicon<'_>) -> Option<Word> {
    let length = word.codes().len();
    let entry = lexicon.find(word_hash(&word.codes()[1..]));
    let insult = entry.is_some_and(|entry| matches!(entry.class, INSULT | SLUR));
    (length >= SHORTEST_GUESS + 2 && insult).then(|| word.part(1, length))
}

pub fn strong(class: Class) -> bool {
    matches!(class, INSULT | SLUR | SWEAR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SHIPPED;

    fn spelled(text: &str) -> String {
        let mut word = Word::of(text);
        spell(&mut word, &SHIPPED.lexicon);
        String::from_utf8_lossy(word.codes()).into_owned()
    }

    #[test]
    fn disguises_are_undone() {
        for (disguised, plain) in [
            ("1d1ot", "idiot"),
            ("@$$hole", "asshole"),
            ("k1ll", "kill"),
            ("m3rd3", "merde"),
            ("idiot69", "idiot"),
            ("100km", "km"),
            ("fuuuuuck", "fuck"),
            ("asss", "ass"),
            ("idioot", "idiot"),
            ("f*ck", "fuck"),
            ("b**ch", "b*ch"),
            ("f**k", "fuk"),
            ("f***", "f*"),
            ("bold**", "bold"),
            ("|diot", "idiot"),
            ("|table", "table"),
            ("phuck", "fuck"),
            ("fvck", "fuck"),
            ("azzhole", "asshole"),
            ("fukc", "fuck"),
            ("stoopid", "stupid"),
            ("eidiot", "idiot"),
            ("k0nnard", "connard"),
            ("looooser", "loser"),
        ] {
            assert_eq!(spelled(disguised), plain, "{disguised}");
        }
    }

    #[test]
    fn plain_words_stay() {
        for plain in [
            "good", "ass", "balloon", "bitte", "covid", "zzqq", "salle", "kock", "zebu", "carp", "closer",
            "cool", "grace", "unique",
        ] {
            assert_eq!(spelled(plain), plain);
        }
    }

    #[test]
    fn codes_are_no_words() {
        for code in ["a55", "b12", "m4"] {
            assert_eq!(spell(&mut Word::of(code), &SHIPPED.lexicon), (false, None), "{code}");
        }
        assert!(spell(&mut Word::of("4ss"), &SHIPPED.lexicon).1.is_some());
    }
}
