//! What a client would rather have: `Accept` and `Accept-Encoding` (RFC 9110, sections 12.5.1 and 12.5.3).

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};

/// Whether a page is preferred to JSON. Browsers name `text/html`; who takes anything gets JSON.
pub fn html(headers: &HeaderMap) -> bool {
    let page = liking(headers, ACCEPT, &["text/html", "text/*", "*/*"]);
    let json = liking(headers, ACCEPT, &["application/json", "application/*", "*/*"]);
    page.quality > 0 && page > json
}

pub fn gzip(headers: &HeaderMap) -> bool {
    liking(headers, ACCEPT_ENCODING, &["gzip", "*"]).quality > 0
}

/// How much something is liked, and between equals how exactly it was named.
#[derive(Default, PartialEq, Eq, PartialOrd, Ord)]
struct Liking {
    /// In thousandths.
    quality: u16,
    exactness: usize,
}

/// Of the `names` of a thing, most exact first, the first that the client gives says how much it is liked.
fn liking(headers: &HeaderMap, header: HeaderName, names: &[&str]) -> Liking {
    let mut found = Liking::default();
    // Bytes, and one pass: the smallest build has this too, and what texts and floats take is kilobytes of code.
    for value in headers.get_all(header) {
        for range in value.as_bytes().split(|byte| *byte == b',') {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let Some(index) = names.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes()))
            else {
                continue;
            };
            // The most exact name decides; parameters other than the quality make no difference.
            let liking = Liking { quality: quality(parts), exactness: names.len() - index };
            if (liking.exactness, liking.quality) > (found.exactness, found.quality) {
                found = liking;
            }
        }
    }
    found
}

/// Of parameters such as `q=0.9`. One that cannot be read counts as a no: the default is better than a guess.
fn quality<'a>(mut parameters: impl Iterator<Item = &'a [u8]>) -> u16 {
    let given = parameters.find_map(|part| part.strip_prefix(b"q=").or(part.strip_prefix(b"Q=")));
    given.map_or(1000, |given| thousandths(given).unwrap_or(0))
}

/// Three digits are all that may be given, and none are needed.
fn thousandths(number: &[u8]) -> Option<u16> {
    let (whole, part) = match number {
        [whole @ b'0'..=b'1'] => (whole, &[][..]),
        [whole @ b'0'..=b'1', b'.', part @ ..] => (whole, part),
        _ => return None,
    };
    let mut sum = u16::from(whole - b'0') * 1000;
    for (digit, unit) in part.iter().zip([100, 10, 1]) {
        sum += digit.is_ascii_digit().then(|| u16::from(digit - b'0') * unit)?;
    }
    Some(sum.min(1000))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn browsers_get_the_page() {
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html, */*",
            "TEXT/HTML; charset=utf-8",
            "text/*",
            "application/json;q=0.9, text/html",
            "*/*;q=0.5, text/html;q=0.501",
            "text/html;level=1;q=1.000, application/json;q=0.999",
        ] {
            assert!(html(&headers(ACCEPT, &[accept])), "{accept}");
        }
        assert!(html(&headers(ACCEPT, &["application/json;q=0.1", "text/html;q=0.2"])));
    }

    #[test]
    fn everyone_else_gets_json() {
        for accept in [
            "*/*",
            "",
            "application/json",
            "text/html, application/json",
            "text/html;q=0.5, */*",
            "text/html;q=0, text/*",
            "text/html;q=0",
            "text/html;q=-1",
            "text/html;q=2",
            "text/html;q=0.x",
            "text/plain",
            "text/htmlx",
            "image/*, */*;q=0.8",
        ] {
            assert!(!html(&headers(ACCEPT, &[accept])), "{accept}");
        }
        assert!(!html(&HeaderMap::new()));
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let takes = |value| gzip(&headers(ACCEPT_ENCODING, &[value]));
        assert!(takes("gzip, deflate, br") && takes("br;q=1, gzip;q=0.001") && takes("*"));
        assert!(!takes("gzip;q=0, *") && !takes("br") && !takes("identity") && !gzip(&HeaderMap::new()));
    }
}
