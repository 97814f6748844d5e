//! Undoes the disguise of one word: digits and symbols for letters, letters repeated or starred out, words written
//! together. The lexicon decides between readings.

use crate::scan::{WORD, Word};
use crate::weights::{Entry, Lexicon, word_hash};

/// Parts shorter than this are not looked for inside a longer word.
const SHORTEST_PART: usize = 3;
const LONGEST_PART: usize = 14;
/// Words from this length on are searched for parts even if nothing says that they were joined.
const SUSPECT: usize = 14;

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
    if letters == 0 {
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

/// `idiooot` and `fuuck`: letters twice if the lexicon knows it so, else once.
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
    if long || entry.is_some_and(|entry| entry.class != crate::weights::NO_CLASS) {
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
        if entry.is_some_and(|entry| entry.class != crate::weights::NO_CLASS) {
            *word = guess;
            return entry;
        }
    }
    None
}

/// The known words that `word` was joined of, as ranges of its codes; none if they leave more than a third of it.
pub fn parts(word: &Word, lexicon: &Lexicon<'_>) -> Option<([(u8, u8); WORD / SHORTEST_PART], usize)> {
    let codes = word.codes();
    if !word.joined && codes.len() < SUSPECT {
        return None;
    }
    let mut found = [(0, 0); WORD / SHORTEST_PART];
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
        ] {
            assert_eq!(spelled(disguised), plain, "{disguised}");
        }
    }

    #[test]
    fn plain_words_stay() {
        for plain in ["good", "ass", "balloon", "bitte", "covid", "zzqq"] {
            assert_eq!(spelled(plain), plain);
        }
    }

    #[test]
    fn joined_words_are_found() {
        let mut joined = word("ihatewomen");
        let text = |word: &Word| -> Vec<String> {
            let (parts, count) = parts(word, &SHIPPED.lexicon).unwrap_or_default();
            let part = |(from, to): &(u8, u8)| word.part((*from).into(), (*to).into());
            parts[..count].iter().map(|p| String::from_utf8_lossy(part(p).codes()).into_owned()).collect()
        };
        assert!(text(&joined).is_empty());
        joined.joined = true;
        assert_eq!(text(&joined), ["hate", "women"]);
        assert_eq!(text(&word("killallimmigrants")), ["kill", "all", "immigrants"]);
        assert!(text(&word("counterrevolutionary")).is_empty());
    }
}
