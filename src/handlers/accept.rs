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
    let given = |name: &&str| {
        let values = headers.get_all(&header).iter().filter_map(|value| value.to_str().ok());
        let ranges = values.flat_map(|value| value.split(','));
        ranges.filter_map(|range| quality(range, name)).max()
    };
    let mut found = names
        .iter()
        .enumerate()
        .filter_map(|(index, name)| Some(Liking { quality: given(name)?, exactness: names.len() - index }));
    found.next().unwrap_or_default()
}

/// The quality of a range such as `text/html;q=0.9`, if it is of this name. Other parameters make no difference.
fn quality(range: &str, name: &str) -> Option<u16> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(name) {
        return None;
    }
    let given = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    // One that cannot be read counts as a no: the default is better than a guess.
    Some(given.map_or(1000, |given| thousandths(given).unwrap_or(0)))
}

/// Three digits are all that may be given, and none are needed. (To parse a float takes kilobytes of code.)
fn thousandths(number: &str) -> Option<u16> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole: u16 = whole.parse().ok().filter(|whole| *whole <= 1)?;
    let part: u16 = format!("{part:0<3.3}").parse().ok()?;
    Some((whole * 1000 + part).min(1000))
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
