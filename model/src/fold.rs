//! One character to one code: a Latin letter that it is or looks like, a digit, a kind of separator.
//!
//! The tables cover what people write to look different: accents, full width, mathematical alphabets, circled letters,
//! look-alikes from Greek and Cyrillic. They are strings as long as their block, 1.7 KB in all; a crate for Unicode
//! normalisation brings some hundred KB and knows no look-alikes.

/// Is not there: combining, zero-width, direction.
pub const SKIP: u8 = 0;
pub const SPACE: u8 = 1;
pub const PUNCTUATION: u8 = 2;
/// Ends a sentence.
pub const END: u8 = 3;
pub const QUOTE: u8 = 4;
pub const APOSTROPHE: u8 = 5;
/// A picture: a word of its own.
pub const EMOJI: u8 = 6;
/// A letter without a Latin look-alike: this bit, and some bits of it.
pub const OTHER: u8 = 0x80;

/// The code of `c`: one of the constants, `a`-`z`, `0`-`9`, one of `@ $ ! | *` which may stand for a letter, or
/// a letter of another script (from [`OTHER`] on).
#[inline]
pub fn fold(c: char) -> u8 {
    if c.is_ascii() { ASCII[c as usize] } else { fold_wide(c) }
}

/// The second letter of a ligature.
#[inline]
pub fn second(c: char) -> Option<u8> {
    match c {
        'œ' | 'Œ' | 'æ' | 'Æ' => Some(b'e'),
        'ß' | 'ẞ' => Some(b's'),
        _ => None,
    }
}

const ASCII: [u8; 128] = {
    let mut table = [PUNCTUATION; 128];
    let mut i = 0;
    while i < 128 {
        let c = i as u8;
        table[i] = match c {
            b'a'..=b'z' | b'0'..=b'9' | b'@' | b'$' | b'!' | b'|' | b'*' => c,
            b'A'..=b'Z' => c + 32,
            b'\n' | b'.' | b'?' | b';' => END,
            b' ' | b'\t' | b'\r' => SPACE,
            b'"' => QUOTE,
            b'\'' | b'`' => APOSTROPHE,
            _ => PUNCTUATION,
        };
        i += 1;
    }
    table
};

fn fold_wide(c: char) -> u8 {
    let code = c as u32;
    match code {
        0xAD | 0x300..=0x36F | 0x483..=0x489 | 0x61C | 0x64B..=0x65F | 0x180B..=0x180F => SKIP,
        0xA0 | 0x2000..=0x200A | 0x202F | 0x205F | 0x3000 => SPACE,
        0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0x115F..=0x1160 | 0x3164 | 0xFFA0 => SKIP,
        // Skin tones belong to the picture before them.
        0x1F3FB..=0x1F3FF => SKIP,
        0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20FF => SKIP,
        0xFE00..=0xFE0F | 0xFE20..=0xFE2F | 0xFEFF | 0xE0000..=0xE0FFF => SKIP,
        0x2028 | 0x2029 | 0x85 | 0x2026 | 0x3002 | 0xFF01 | 0xFF0E | 0xFF1F => END,
        0xAB | 0xBB | 0x201C..=0x201F | 0x300C..=0x300F | 0xFF02 => QUOTE,
        0xB4 | 0x2BC | 0x2018..=0x201B | 0x2032 | 0xFF07 => APOSTROPHE,
        0xA1 => b'!',
        0xAA => b'a',
        0xB5 => b'u',
        0xBA => b'o',
        0x80..=0xBF => PUNCTUATION,
        0xC0..=0x2AF => letter(LATIN[(code - 0xC0) as usize], code),
        0x370..=0x52F => letter(GREEK_CYRILLIC[(code - 0x370) as usize], code),
        0x1D00..=0x1DBF => letter(PHONETIC[(code - 0x1D00) as usize], code),
        0x1E00..=0x1EFF => letter(ADDITIONAL[(code - 0x1E00) as usize], code),
        0x2070..=0x209F => letter(RAISED[(code - 0x2070) as usize], code),
        0x2100..=0x214F => letter(LETTERLIKE[(code - 0x2100) as usize], code),
        0x249C..=0x24B5 => b'a' + (code - 0x249C) as u8,
        0x24B6..=0x24E9 => b'a' + ((code - 0x24B6) % 26) as u8,
        0xFF03..=0xFF5E => ASCII[(code - 0xFEE0) as usize],
        // Thirteen alphabets of 52 letters, then Greek ones, then five rows of digits.
        0x1D400..=0x1D6A3 => b'a' + ((code - 0x1D400) % 26) as u8,
        0x1D7CE..=0x1D7FF => b'0' + ((code - 0x1D7CE) % 10) as u8,
        0x1F110..=0x1F129 | 0x1F130..=0x1F149 | 0x1F150..=0x1F169 | 0x1F170..=0x1F189 => {
            b'a' + ((code - 0x1F110) % 32) as u8
        }
        0x2190..=0x2BFF | 0x1F000..=0x1FAFF => EMOJI,
        _ if c.is_alphanumeric() => letter(b'.', code),
        _ if c.is_whitespace() => SPACE,
        _ => PUNCTUATION,
    }
}

#[inline]
fn letter(entry: u8, code: u32) -> u8 {
    match entry {
        b'.' => OTHER | ((code ^ (code >> 6)) & 0x7F) as u8,
        b' ' => PUNCTUATION,
        b'_' => SKIP,
        letter => letter,
    }
}

const fn as_table<const N: usize>(text: &str) -> &[u8; N] {
    match text.as_bytes().first_chunk() {
        Some(table) if text.len() == N => table,
        _ => panic!("the string is not as long as its block"),
    }
}

/// U+00C0 to U+02AF: Latin letters with accents, IPA.
const LATIN: &[u8; 496] = as_table(concat!(
    "aaaaaaaceeeeiiiidnooooo ouuuuypsaaaaaaaceeeeiiiidnooooo ouuuuypyaaaaaaccccccccddddeeeeeeeeeegggg",
    "gggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnn.nnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs",
    "bbbb...cc.ddd....ffg...ikkl..nnooo..pp.....ttttuu.vyyzz.............dddlllnnnaaiioouuuuuuuuuueaa",
    "aa..ggggkkoooo..jdddgg..nnaa..ooaaaaeeeeiiiioooorrrruuuusstt..hhnd..zzaaeeooooooooyylntj..acclts",
    "z..b..eejj.qrryya..bocdde..e...jggg..hh.i.illl.mmmnnn....rrrrrrrr.s.j..tt..vvwyyzz.......b.ghjkl",
    "q.............hh",
));

/// U+0370 to U+052F: letters that look like Latin ones; `.` is a letter that does not.
const GREEK_CYRILLIC: &[u8; 448] = as_table(concat!(
    "..... ..  .... .      a ehi o ywiab..ezh.ik.mn.o.p .ty.x..iuaeniuaby.e.n.ik..v.o.psotu.x.wiuouw.",
    "...yy.............................cj.. .........ee..esiij...k.y.a.b..e.3..k.mho.pcty.x......b...",
    "a.br.e.zuuk.mhonpcty.x......b...ee.resiij...kuy......................v.v.........c _______......",
    ".r.........................c..yy..........hh....i..............iaaaa..ee......3z...u.uoo......yy",
    "yyyy.............d..........gg.............q.w..................",
));

/// U+1D00 to U+1DBF: small capitals and raised letters.
const PHONETIC: &[u8; 192] = as_table(concat!(
    "a...cd.e.ijklm.o.o.o....p..tuu..vwz.........a.b.de.ghijklmn.o.prtuwa...bde...g.km.o...ptu..v....",
    "..iruv......bdfmnprrstzg...i.pu.bdfgklmnprs.vxza.dee..io.u..c...f..........................z....",
));

/// U+1E00 to U+1EFF: more accents.
const ADDITIONAL: &[u8; 256] = as_table(concat!(
    "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrrrrrr",
    "ssssssssssttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwyas....aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee",
    "eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy....yy",
));

/// U+2070 to U+209F: raised and lowered letters.
const RAISED: &[u8; 48] = as_table(" i             n                aeox.hklmnpst   ");

/// U+2100 to U+214F: letters used as symbols.
const LETTERLIKE: &[u8; 80] =
    as_table("aac  cc.  ghhhh.iill nn  pqrrr  stt z . z kabc eef.mo....i f....     ddeij    . ");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disguises_fold_to_the_letter() {
        for (text, plain) in [
            ("ÀÉîøÜçñ", "aeioucn"),
            ("ｉｄｉｏｔ", "idiot"),
            ("𝐢𝒅𝓲𝔬𝕥", "idiot"),
            ("ⓘⒹ⒤🅞🆃", "idiot"),
            ("ɪᴅɪᴏᴛ", "idiot"),
            ("іdіоt", "idiot"),
            ("ΙDΙΟΤ", "idiot"),
            ("ⁱℹ", "ii"),
            ("𝟏𝟐", "12"),
            ("ạḅ", "ab"),
        ] {
            let folded: String = text.chars().map(|c| fold(c) as char).collect();
            assert_eq!(folded, plain, "{text}");
        }
    }

    #[test]
    fn what_is_not_seen_is_skipped() {
        for c in [
            '\u{200B}',
            '\u{200D}',
            '\u{301}',
            '\u{20DD}',
            '\u{AD}',
            '\u{202E}',
            '\u{FE0F}',
            '\u{E0041}',
            '\u{1F3FD}',
        ] {
            assert_eq!(fold(c), SKIP, "{:x}", c as u32);
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        assert_eq!(fold('😀'), EMOJI);
        assert_eq!(fold('中') & OTHER, OTHER);
        assert_eq!(fold('ع') & OTHER, OTHER);
        assert_eq!(fold('«'), QUOTE);
        assert_eq!(fold('’'), APOSTROPHE);
        assert_eq!(fold('\u{3000}'), SPACE);
        assert_eq!(fold('\0'), PUNCTUATION);
    }

    #[test]
    fn every_character_has_a_code() {
        for c in (0..=0x10FFFF).filter_map(char::from_u32) {
            let code = fold(c);
            let known =
                code <= EMOJI || code >= OTHER || code.is_ascii_alphanumeric() || b"@$!|*".contains(&code);
            assert!(known, "{:x} gives {code}", c as u32);
        }
    }
}
