//! Bodies in JSON, with texts of any Unicode; and what is wrong with others.

use std::borrow::Cow;
use std::fmt;

use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use serde::de::{Error, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};

use crate::problem::Problem;

/// What a body must be, for those whose body is not.
pub trait Shape {
    const SHAPE: &'static str;
}

/// Reads a body.
pub fn read<'a, T: Deserialize<'a> + Shape>(head: &Parts, body: &'a [u8]) -> Result<T, Problem> {
    if !is_json(head) {
        return Err(Problem::UnsupportedMediaType(
            "send the body as Content-Type: application/json, without Content-Encoding",
        ));
    }
    let body = str::from_utf8(body).map_err(|error| {
        Problem::BadRequest(format!("the body is not UTF-8: see byte {}", error.valid_up_to()))
    })?;
    // RFC 8259, section 8.1: a byte order mark may be passed over.
    let body = body.strip_prefix('\u{FEFF}').unwrap_or(body);
    if body.trim_ascii().is_empty() {
        return Err(Problem::BadRequest(format!("the body is empty; it must be {}", T::SHAPE)));
    }
    let object = body.trim_start().starts_with('{');
    // Texts are read leniently, which lets control characters pass and nothing else that is no JSON. Where there are
    // none, reading once is enough.
    let clean = body.bytes().all(|byte| byte >= b' ');
    if object
        && clean
        && let Ok(value) = serde_json::from_str(body)
    {
        return Ok(value);
    }
    serde_json::from_str::<IgnoredAny>(body)
        .map_err(|error| Problem::BadRequest(format!("the body is not JSON: {error}")))?;
    let wrong =
        |what: &dyn fmt::Display| Problem::Unprocessable(format!("{what}; the body must be {}", T::SHAPE));
    if !object {
        return Err(wrong(&"it is not an object"));
    }
    serde_json::from_str(body).map_err(|error| wrong(&error))
}

/// A request without a type is taken at its word that it is what the resource takes (RFC 9110, section 8.3).
fn is_json(head: &Parts) -> bool {
    let all = |name, fits: fn(&HeaderValue) -> bool| head.headers.get_all(name).iter().all(fits);
    all(CONTENT_ENCODING, |coding| coding == "identity") && all(CONTENT_TYPE, names_json)
}

fn names_json(kind: &HeaderValue) -> bool {
    let essence = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let ends = |suffix: &[u8]| {
        essence.len().checked_sub(suffix.len()).is_some_and(|at| essence[at..].eq_ignore_ascii_case(suffix))
    };
    essence.eq_ignore_ascii_case(b"application/json") || ends(b"+json")
}

/// The query's names and values, decoded.
pub fn parameters(head: &Parts) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
}

/// A JSON string of any content. One that is asked for as bytes may have half a surrogate pair, which JSON can write
/// and UTF-8 cannot: it becomes U+FFFD, as wide in UTF-8, so that positions stay what they were.
pub fn text<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'a, str>, D::Error> {
    struct Text;
    impl<'de> Visitor<'de> for Text {
        type Value = Cow<'de, str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
            str::from_utf8(bytes).map(Cow::Borrowed).map_err(E::custom)
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            whole(bytes.to_vec()).map(Cow::Owned).map_err(E::custom)
        }
    }
    deserializer.deserialize_bytes(Text)
}

/// UTF-8 with surrogates (which are 0xED, 0xA0 to 0xBF, and one more byte) to UTF-8.
fn whole(mut bytes: Vec<u8>) -> Result<String, std::string::FromUtf8Error> {
    for at in 0..bytes.len().saturating_sub(2) {
        if bytes[at] == 0xED && bytes[at + 1] >= 0xA0 {
            bytes[at..at + 3].copy_from_slice("\u{FFFD}".as_bytes());
        }
    }
    String::from_utf8(bytes)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[derive(Deserialize)]
    struct One<'a> {
        #[serde(borrow, deserialize_with = "text")]
        text: Cow<'a, str>,
        #[serde(borrow, default)]
        #[allow(dead_code)] // its type is what is looked at
        model: Option<Cow<'a, str>>,
    }

    impl Shape for One<'_> {
        const SHAPE: &'static str = r#"{"text": "..."}"#;
    }

    fn head(name: &str, value: &str) -> Parts {
        Request::post("/analyze").header(name, value).body(()).unwrap().into_parts().0
    }

    fn one(body: &[u8]) -> Result<String, Problem> {
        read::<One<'_>>(&head("content-type", "application/json"), body).map(|one| one.text.into_owned())
    }

    #[test]
    fn a_text_may_be_any_unicode() {
        for (sent, text) in [
            (r#"{"text":"plain"}"#, "plain"),
            (r#"{"text":"\u0000 nul","model":null}"#, "\0 nul"),
            (r#"{"text":"e\u0301 \ud83d\ude00 مرحبا"}"#, "e\u{301} 😀 مرحبا"),
            (r#"{"text":"\ud800"}"#, "\u{FFFD}"),
            (r#"{"text":"a\udc00b\ud83dc"}"#, "a\u{FFFD}b\u{FFFD}c"),
            (r#"{"text":"\ud7ff\uE000 \uFFFF"}"#, "\u{D7FF}\u{E000} \u{FFFF}"),
            ("\u{FEFF}{\"text\":\"after a mark\"}", "after a mark"),
            (r#"{"x":[{"text":1}],"text":"unknown keys do no harm"}"#, "unknown keys do no harm"),
            ("{\n\t\"text\": \"over several lines\"\r\n}", "over several lines"),
        ] {
            assert_eq!(one(sent.as_bytes()).as_deref(), Ok(text), "{sent}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (sent, status, words) in [
            (b"".as_slice(), 400, "the body is empty; it must be {"),
            (b"{\"text\"", 400, "EOF while parsing an object at line 1 column 7"),
            (b"{\"text\": }", 400, "line 1 column 10"),
            (b"{\"text\": \"raw \x01\"}", 400, "control character"),
            (b"{\"x\": \"raw \x1f\", \"text\": \"y\"}", 400, "control character"),
            (b"{\"x\": \"\\x\", \"text\": \"y\"}", 400, "invalid escape"),
            (b"{\"text\": \"\xff\"}", 400, "not UTF-8: see byte 10"),
            (b"{\"text\": \"x\"} {}", 400, "trailing characters"),
            (b"{\"text\": \"\\x\"}", 400, "invalid escape"),
            (b"[\"x\"]", 422, "not an object; the body must be {\"text\": \"...\""),
            (b"{}", 422, "missing field `text`"),
            (b"{\"text\": 3}", 422, "invalid type: integer `3`, expected a text at line 1 column 10"),
            (b"{\"text\": [120]}", 422, "invalid type: sequence, expected a text"),
            (b"{\"text\": \"x\", \"text\": \"y\"}", 422, "duplicate field `text`"),
            (b"{\"text\": \"x\", \"model\": 1}", 422, "invalid type: integer `1`"),
        ] {
            let problem = one(sent).unwrap_err();
            let shown = format!("{problem:?}");
            assert_eq!(problem.status().as_u16(), status, "{shown}");
            assert!(shown.replace('\\', "").contains(words), "{shown} has no {words:?}");
        }
    }

    #[test]
    fn json_goes_by_several_names() {
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"] {
            assert!(is_json(&head("content-type", kind)), "{kind}");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "", "json", "application/json5"] {
            assert!(!is_json(&head("content-type", kind)), "{kind}");
        }
        assert!(is_json(&head("accept", "x")) && !is_json(&head("content-encoding", "gzip")));
        let mut two = head("content-type", "application/json");
        two.headers.append("content-type", HeaderValue::from_static("text/plain"));
        assert!(!is_json(&two), "one that says two things");
    }
}
