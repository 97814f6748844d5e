//! Undoes the disguise of one word: digits and symbols for letters, letters repeated or starred out, words written
//! together. The lexicon decides between readings.

use crate::scan::{WORD, Word};
use crate::weights::{
    Class, Entry, HARM, HATE, INSULT, Lexicon, NO_CLASS, Prefix, SLUR, SWEAR, THEY, YOU, word_hash,
};

/// Parts shorter than this are not looked for inside a longer word.
const SHORTEST_PART: usize = 3;
const LONGEST_PART: usize = 14;
/// Parts of two letters and more.
const MOST_PARTS: usize = WORD / 2;
/// Words from this length on are searched for parts even if nothing says that they were joined.
const SUSPECT: usize = 14;
/// From this length on a word is an attack if nothing but an attack's words are in it.
const SHORTEST_ATTACK: usize = 7;
/// Shorter words are too near to too many others to be guessed.
const SHORTEST_GUESS: usize = 4;

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
    let long = word.codes().windows(3).any(|w| w[0] == w[1] && w[1] == w[2]);
    if long {
        word.retain(|codes, i| i < 2 || codes[i] != codes[i - 1] || codes[i] != codes[i - 2]);
        let entry = lexicon.find(word_hash(word.codes()));
        if entry.is_some() {
            return entry;
        }
    }
    let mut single = *word;
    single.retain(|codes, i| i == 0 || codes[i] != codes[i - 1]);
    let entry = lexicon.find(word_hash(single.codes()));
    let odd = word.codes().windows(2).any(|w| w[0] == w[1] && !b"bcdefglmnoprstz".contains(&w[0]));
    let known = entry.is_some_and(|entry| entry.class != NO_CLASS);
    if long || known && (odd || single.codes().len() >= SHORTEST_GUESS + 1) {
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

/// `phuck`, `fvck`, `k0nnard`, `stoopid`: written as it sounds or looks, if that is an insult.
fn respell(word: &mut Word, lexicon: &Lexicon<'_>) -> Option<Entry> {
    const SPELLINGS: [(&[u8], u8); 5] =
        [(b"ph", b'f'), (b"v", b'u'), (b"oo", b'u'), (b"k", b'c'), (b"z", b's')];
    for (written, meant) in SPELLINGS {
        let codes = word.codes();
        if !codes.windows(written.len()).any(|window| window == written) {
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
        let entry = lexicon.find(word_hash(guess.codes()));
        if entry.is_some_and(|entry| strong(entry.class)) {
            *word = guess;
            return entry;
        }
    }
    None
}

fn strong(class: Class) -> bool {
    matches!(class, INSULT | SLUR | SWEAR)
}

/// Ranges of codes, and how many there are.
pub type Parts = ([(u8, u8); MOST_PARTS], usize);

/// The known words that `word` was joined of, as ranges of its codes.
pub fn parts(word: &Word, lexicon: &Lexicon<'_>) -> Option<Parts> {
    let attack = attack(word, lexicon);
    if attack.is_some() || !word.joined && word.codes().len() < SUSPECT {
        attack
    } else {
        cover(word, lexicon)
    }
}

/// `youareanidiot`, `fuckoff`, `killyourself`: nothing but known words, the first of which opens an attack. This is
/// strict enough for words that nothing marks as joined: `therapist`, `assess` and `députés` pass.
pub fn attack(word: &Word, lexicon: &Lexicon<'_>) -> Option<Parts> {
    const NONE: u8 = u8::MAX;
    let codes = word.codes();
    if codes.len() < SHORTEST_ATTACK {
        return None;
    }
    // Where the part begins that ends there, if what is before it is all parts.
    let mut begin = [NONE; WORD + 1];
    begin[0] = 0;
    for at in 0..codes.len() {
        if begin[at] == NONE {
            continue;
        }
        let mut prefix = Prefix::default();
        for end in at + 1..=codes.len().min(at + LONGEST_PART) {
            prefix.push(codes[end - 1]);
            if end < at + 2 || begin[end] != NONE {
                continue;
            }
            if lexicon.find(prefix.hash()).is_some_and(|entry| at > 0 || opens(entry.class)) {
                begin[end] = at as u8;
            }
        }
    }
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
    (count > 1 && (insults || harms && addresses)).then_some((parts, count))
}

fn opens(class: Class) -> bool {
    matches!(class, YOU | THEY | HATE | HARM) || strong(class)
}

/// Known words in a row, longest first; none if they leave more than a third of the word.
fn cover(word: &Word, lexicon: &Lexicon<'_>) -> Option<Parts> {
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
    (count > 0 && covered * 3 >= codes.len() * 2).then_some((found, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SHIPPED;

    fn word(text: &str) -> Word {
        let mut word = Word::new();
        for (i, code) in text.bytes().enumerate() {
            word.push(code, i, i + 1);
        }
        word
    }

    fn spelled(text: &str) -> String {
        let mut word = word(text);
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
            ("k0nnard", "connard"),
        ] {
            assert_eq!(spelled(disguised), plain, "{disguised}");
        }
    }

    #[test]
    fn plain_words_stay() {
        for plain in ["good", "ass", "balloon", "bitte", "covid", "zzqq", "salle", "kock", "zebu"] {
            assert_eq!(spelled(plain), plain);
        }
    }

    #[test]
    fn codes_are_no_words() {
        for code in ["a55", "b12", "m4"] {
            assert_eq!(spell(&mut word(code), &SHIPPED.lexicon), (false, None), "{code}");
        }
        assert!(spell(&mut word("4ss"), &SHIPPED.lexicon).1.is_some());
    }

    fn text(word: &Word) -> Vec<String> {
        let (parts, count) = parts(word, &SHIPPED.lexicon).unwrap_or_default();
        let part = |(from, to): &(u8, u8)| word.part((*from).into(), (*to).into());
        parts[..count].iter().map(|p| String::from_utf8_lossy(part(p).codes()).into_owned()).collect()
    }

    #[test]
    fn attacks_in_one_word_are_found() {
        for (joined, parts) in [
            ("youareanidiot", "you are an idiot"),
            ("fuckoff", "fuck off"),
            ("killyourself", "kill yourself"),
            ("niquetamere", "nique ta mere"),
        ] {
            assert_eq!(text(&word(joined)).join(" "), parts);
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
            "youthful",
            "yourselves",
        ] {
            assert!(text(&word(plain)).is_empty(), "{plain}");
        }
    }

    #[test]
    fn joined_words_are_found() {
        let mut joined = word("ihatewomen");
        assert!(text(&joined).is_empty());
        joined.joined = true;
        assert_eq!(text(&joined), ["hate", "women"]);
        assert_eq!(text(&word("killallimmigrants")), ["kill", "all", "immigrants"]);
        assert!(text(&word("counterrevolutionary")).is_empty());
    }
}
