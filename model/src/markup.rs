//! What a text holds beside language: entities and tags of HTML, links, mentions.

/// `&amp;` and its like: the character, and the length in bytes.
pub fn entity(rest: &[u8]) -> Option<(char, usize)> {
    const LONGEST: usize = 10;
    let end = rest.iter().take(LONGEST).position(|byte| *byte == b';')?;
    let c = match &rest[1..end] {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        b"nbsp" => '\u{A0}',
        b"shy" => '\u{AD}',
        b"zwj" => '\u{200D}',
        b"zwnj" => '\u{200C}',
        b"rsquo" => '\u{2019}',
        b"hellip" => '\u{2026}',
        [b'#', b'x' | b'X', digits @ ..] if !digits.is_empty() => char::from_u32(number(digits, 16)?)?,
        [b'#', digits @ ..] if !digits.is_empty() => char::from_u32(number(digits, 10)?)?,
        _ => return None,
    };
    Some((c, end + 1))
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    digits.iter().try_fold(0_u32, |sum, digit| {
        sum.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?)
    })
}

/// A tag of HTML: whether words go on through it (`i<b>d</b>iot`), and its length in bytes.
pub fn tag(rest: &[u8]) -> Option<(bool, usize)> {
    const LONGEST: usize = 80;
    let end = rest.iter().take(LONGEST).position(|byte| *byte == b'>')?;
    let inside = rest[1..end].strip_prefix(b"/").unwrap_or(&rest[1..end]);
    let name = &inside[..inside.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()];
    let any = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    if any(&["a", "b", "i", "u", "s", "em", "strong", "span", "font", "small", "sub", "sup", "mark", "wbr"]) {
        Some((true, end + 1))
    } else {
        any(&["br", "p", "div", "li", "ul", "td", "tr", "blockquote"]).then_some((false, end + 1))
    }
}

/// A mention (`@name`) or a link: where its name or path begins, and where it ends.
#[inline]
pub fn not_language(rest: &[u8]) -> Option<(usize, usize)> {
    match rest[0] {
        b'@' => {
            let name = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
            let length = rest[1..].iter().take_while(name).count();
            (length > 0 && rest.get(length + 1) != Some(&b'$')).then_some((1, length + 1))
        }
        b'h' | b'H' | b'w' | b'W' => {
            let begins = |with: &[u8]| rest.get(..with.len()).is_some_and(|b| b.eq_ignore_ascii_case(with));
            let host =
                [b"https://".as_slice(), b"http://", b"www."].into_iter().find(|with| begins(with))?.len();
            let end = rest.iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
            let path =
                rest[host..end].iter().position(|byte| *byte == b'/').map_or(end, |slash| host + slash);
            Some((path, end))
        }
        _ => None,
    }
}
