//! From a text to its words, in one pass: separators, spaced letters, and what is not language (links, mentions,
//! entities, tags).

use crate::fold::{self, fold};
use crate::markup::{entity, not_language, tag};

/// Codes of one word; what is longer is cut.
pub const WORD: usize = 32;

/// Codes of a word, and the bytes of the text at which each begins and ends.
#[derive(Clone, Copy)]
pub struct Word {
    codes: [u8; WORD],
    from: [usize; WORD],
    to: [usize; WORD],
    length: usize,
    /// Its words may be written together: a hashtag, or letters that were spaced out.
    pub joined: bool,
}

impl Word {
    pub const fn new() -> Self {
        Self { codes: [0; WORD], from: [0; WORD], to: [0; WORD], length: 0, joined: false }
    }

    #[inline]
    pub fn push(&mut self, code: u8, from: usize, to: usize) {
        if self.length < WORD {
            self.codes[self.length] = code;
            self.from[self.length] = from;
            self.to[self.length] = to;
            self.length += 1;
        }
    }

    /// What is not seen belongs to the letter before it.
    #[inline]
    fn stretch(&mut self, to: usize) {
        if self.length > 0 {
            self.to[self.length - 1] = to;
        }
    }

    #[inline]
    pub fn codes(&self) -> &[u8] {
        &self.codes[..self.length.min(WORD)]
    }

    #[inline]
    pub fn codes_mut(&mut self) -> &mut [u8] {
        &mut self.codes[..self.length.min(WORD)]
    }

    /// Where the codes `first..last` stand; nothing for an empty range.
    #[inline]
    pub fn span(&self, first: usize, last: usize) -> (usize, usize) {
        (self.from[first.min(WORD - 1)], self.to[last.clamp(1, WORD) - 1])
    }

    /// The codes `first..last` as a word.
    pub fn part(&self, first: usize, last: usize) -> Self {
        let mut part = Self::new();
        for i in first..last.min(self.length) {
            part.push(self.codes[i], self.from[i], self.to[i]);
        }
        part
    }

    /// Leaves out the codes that `keep` refuses, by position.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], usize) -> bool) {
        let old = *self;
        self.length = 0;
        for i in 0..old.length.min(WORD) {
            if keep(old.codes(), i) {
                self.push(old.codes[i], old.from[i], old.to[i]);
            } else {
                self.stretch(old.to[i]);
            }
        }
    }

    #[inline]
    pub fn clear(&mut self) {
        self.length = 0;
        self.joined = false;
    }
}

#[cfg(test)]
impl Word {
    /// A word whose codes are the bytes of `text`.
    pub fn of(text: &str) -> Self {
        let mut word = Self::new();
        for (i, code) in text.bytes().enumerate() {
            word.push(code, i, i + 1);
        }
        word
    }
}

/// From so many characters on between them, letters are not spaced out but stand alone.
const APART: usize = 4;

/// Who takes the words.
pub trait Words {
    /// May rewrite the word.
    fn word(&mut self, word: &mut Word);
    /// The letters of a mention or of a link's path: a name, or words written together.
    fn name(&mut self, word: &mut Word);
    fn emoji(&mut self, c: char, from: usize, to: usize);
    fn quote(&mut self);
    fn sentence(&mut self);
}

/// Reads `text` to its end.
pub fn scan(text: &str, words: &mut impl Words) {
    let [word, spaced, single] = [Word::new(); 3];
    let mut scanner = Scanner { word, spaced, single, gap: 0, spaced_gap: 0, words };
    let mut at = 0;
    while at < text.len() {
        at = scanner.step(text, at);
    }
    scanner.end_word();
    scanner.end_spaced();
}

struct Scanner<'w, W> {
    word: Word,
    /// Letters that stand alone, one after another.
    spaced: Word,
    /// One of them, on its way out.
    single: Word,
    /// Characters since the last word.
    gap: usize,
    /// Characters between the spaced letters.
    spaced_gap: usize,
    words: &'w mut W,
}

impl<W: Words> Scanner<'_, W> {
    /// Takes what stands at `at` and returns where it ends.
    #[inline]
    fn step(&mut self, text: &str, at: usize) -> usize {
        let rest = &text.as_bytes()[at..];
        let byte = rest[0];
        // Most of a text is letters within words, where nothing else is to be looked for.
        if self.word.length > 0 && byte.is_ascii_alphabetic() {
            let run = rest.iter().take_while(|byte| byte.is_ascii_alphabetic());
            let mut to = at;
            for byte in run {
                self.letter(byte.to_ascii_lowercase(), to, to + 1);
                to += 1;
            }
            return to;
        }
        if byte == b'&'
            && let Some((c, length)) = entity(rest)
        {
            self.take(c, fold(c), at, at + length, text);
            return at + length;
        }
        if byte == b'<'
            && let Some((inside, length)) = tag(rest)
        {
            if !inside {
                self.separator(' ', fold::SPACE, at, at + length);
            }
            return at + length;
        }
        // `id\iot`: an escape that nothing has read.
        if byte == b'\\' && self.word.length > 0 && rest.get(1).is_some_and(u8::is_ascii_alphabetic) {
            return at + 1;
        }
        if self.word.length == 0
            && matches!(byte, b'@' | b'h' | b'H' | b'w' | b'W')
            && let Some((name, end)) = not_language(rest)
        {
            self.end_spaced();
            self.name(&rest[name..end], at + name);
            self.gap = APART;
            return at + end;
        }
        let c = if byte < 128 { char::from(byte) } else { text[at..].chars().next().unwrap_or(' ') };
        let to = at + c.len_utf8();
        self.take(c, fold(c), at, to, text);
        to
    }

    #[inline]
    fn take(&mut self, c: char, code: u8, from: usize, to: usize, text: &str) {
        match code {
            fold::SKIP => self.word.stretch(to),
            b'a'..=b'z' if c.is_ascii() => self.letter(code, from, to),
            b'a'..=b'z' | b'0'..=b'9' | fold::OTHER.. => {
                self.letter(code, from, to);
                if let Some(second) = fold::second(c) {
                    self.letter(second, from, to);
                }
            }
            fold::APOSTROPHE => self.apostrophe(),
            b'@' | b'$' | b'!' | b'|' | b'*' if self.stands_for_letter(code, &text.as_bytes()[to..]) => {
                self.letter(code, from, to);
            }
            fold::EMOJI => self.separator(c, code, from, to + unseen(&text[to..])),
            _ => self.separator(c, code, from, to),
        }
    }

    /// Hands on the letters of a name.
    fn name(&mut self, name: &[u8], at: usize) {
        for (i, byte) in name.iter().enumerate().filter(|(_, byte)| byte.is_ascii_alphabetic()) {
            self.word.push(byte.to_ascii_lowercase(), at + i, at + i + 1);
        }
        self.words.name(&mut self.word);
        self.word.clear();
    }

    #[inline]
    fn letter(&mut self, code: u8, from: usize, to: usize) {
        if self.word.length == WORD {
            self.end_word();
        }
        self.word.push(code, from, to);
    }

    fn separator(&mut self, c: char, code: u8, from: usize, to: usize) {
        self.end_word();
        self.gap += 1;
        self.word.joined = c == '#';
        match code {
            fold::EMOJI => {
                self.end_spaced();
                self.words.emoji(c, from, to);
            }
            fold::QUOTE => {
                self.end_spaced();
                self.words.quote();
            }
            fold::END | b'!' if self.spaced.length == 0 || self.gap > 2 => {
                self.end_spaced();
                self.words.sentence();
            }
            _ => {}
        }
    }

    /// French elision ends a word (`l'idiot`); otherwise the word goes on (`don't` is `dont`, as often written).
    fn apostrophe(&mut self) {
        let elided = matches!(
            self.word.codes(),
            [b'c' | b'd' | b'j' | b'l' | b'm' | b'n' | b's' | b't']
                | [b'q', b'u']
                | [b'j', b'u', b's', b'q', b'u']
        );
        if elided || self.word.length == 0 {
            self.end_word();
            self.gap += 1;
        }
    }

    /// `$` in `a$$`, `!` in `sh!t`, the stars of `f**k`: inside a word, or `$`, `@` and `|` before one.
    fn stands_for_letter(&self, code: u8, rest: &[u8]) -> bool {
        let next = rest.first().copied().unwrap_or(b' ');
        let symbol = matches!(next, b'$' | b'@' | b'*' | b'!' | b'|');
        match (code, self.word.codes().last()) {
            (b'$' | b'@', None) => next.is_ascii_alphabetic() || matches!(next, b'$' | b'@'),
            (b'|', None) => next.is_ascii_alphabetic(),
            (_, None) => false,
            (b'$', Some(_)) => true,
            (b'*', Some(b'*')) => true,
            (b'*', Some(_)) => next.is_ascii_alphanumeric() || next == b'*',
            (b'!', Some(_)) => next.is_ascii_alphabetic(),
            (_, Some(_)) => next.is_ascii_alphanumeric() || symbol,
        }
    }

    #[inline]
    fn end_word(&mut self) {
        match self.word.length {
            0 => return,
            1 if self.word.codes[0].is_ascii_lowercase() => {
                let first = self.spaced.length == 0;
                if !first && (self.gap >= APART || self.spaced.length > 1 && self.gap != self.spaced_gap) {
                    self.end_spaced();
                } else if !first {
                    self.spaced_gap = self.gap;
                }
                if self.spaced.length == WORD {
                    self.end_spaced();
                }
                self.spaced.push(self.word.codes[0], self.word.from[0], self.word.to[0]);
            }
            _ => {
                self.end_spaced();
                self.words.word(&mut self.word);
            }
        }
        self.word.clear();
        self.gap = 0;
    }

    /// Three single letters and more in a row are one word; fewer are words of one letter.
    fn end_spaced(&mut self) {
        match self.spaced.length {
            0 => return,
            1 | 2 => {
                for i in 0..self.spaced.length {
                    self.single.clear();
                    self.single.push(self.spaced.codes[i], self.spaced.from[i], self.spaced.to[i]);
                    self.words.word(&mut self.single);
                }
            }
            _ => {
                self.spaced.joined = true;
                self.words.word(&mut self.spaced);
            }
        }
        self.spaced.clear();
    }
}

/// The length in bytes of what is not seen at the start of `text`.
fn unseen(text: &str) -> usize {
    text.chars().take_while(|c| fold(*c) == fold::SKIP).map(char::len_utf8).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Vec<(String, std::ops::Range<usize>)>);

    impl Words for Heard {
        fn word(&mut self, word: &mut Word) {
            let (from, to) = word.span(0, word.codes().len());
            let mark = if word.joined { "+" } else { "" };
            self.0.push((format!("{}{mark}", String::from_utf8_lossy(word.codes())), from..to));
        }

        fn name(&mut self, word: &mut Word) {
            if word.length > 0 {
                self.0.push((format!("@{}", String::from_utf8_lossy(word.codes())), 0..0));
            }
        }

        fn emoji(&mut self, c: char, from: usize, to: usize) {
            self.0.push((c.to_string(), from..to));
        }

        fn quote(&mut self) {
            self.0.push(("\"".into(), 0..0));
        }

        fn sentence(&mut self) {
            self.0.push((".".into(), 0..0));
        }
    }

    fn words(text: &str) -> String {
        let mut heard = Heard::default();
        scan(text, &mut heard);
        heard.0.into_iter().map(|(word, _)| word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn separators_and_apostrophes() {
        assert_eq!(words("Don't! C'est l'idiot, œuf"), "dont . c est l idiot oeuf");
        assert_eq!(words("“Hi” 😀x"), "\" hi \" 😀 x");
        assert_eq!(words("#KillAll x"), "killall+ x");
    }

    #[test]
    fn symbols_inside_words_stay() {
        assert_eq!(words("sh!t a$$ f**k! @$$hole c@t"), "sh!t a$$ f**k . @$$hole c@t");
        assert_eq!(words("stop! **bold** 5$"), "stop . bold** 5$");
    }

    #[test]
    fn spaced_letters_are_joined() {
        assert_eq!(words("an i d i o t, f.u.c.k"), "an idiot+ fuck+");
        assert_eq!(words("h a t e   y o u"), "hate+ you+");
        assert_eq!(words("I, a man"), "i a man");
    }

    #[test]
    fn what_is_no_language_is_left_out() {
        assert_eq!(
            words("see https://fuck.example/é @i_am www.x.y/a-b?c &amp;&#39;ok&#8220;"),
            "see @iam @abc ok \""
        );
        assert_eq!(words("a<b>b</B>c<br/>dd <br>xx < yy> a<span class='x'>z</span>"), "abc dd xx yy az");
        assert_eq!(words("ab&shy;c&#xAD;d ef&nbsp;gh i\\jk \\ lm\\"), "abcd ef gh ijk lm");
        assert_eq!(words("& &# a &#99999999999, a&b"), "a 99999999999+ a b");
    }

    #[test]
    fn words_know_where_they_stand() {
        let mut heard = Heard::default();
        let text = "é\u{301}té\u{301} 𝐢𝒅\u{20DD} i d i o t\u{FE0F} 👍\u{1F3FD}\u{FE0F}!";
        scan(text, &mut heard);
        let places: Vec<&str> = heard.0.iter().map(|(_, place)| &text[place.clone()]).collect();
        let seen = ["é\u{301}té\u{301}", "𝐢𝒅\u{20DD}", "i d i o t\u{FE0F}", "👍\u{1F3FD}\u{FE0F}", ""];
        assert_eq!(places, seen);
    }

    #[test]
    fn long_words_are_cut() {
        assert_eq!(words(&"ab".repeat(20)), format!("{} abababab", "ab".repeat(16)));
    }
}
