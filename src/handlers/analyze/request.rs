//! What a client may send.

use std::borrow::Cow;
use std::fmt;

use http::request::Parts;
use ounce_model::MAX_CHARS;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::handlers::body::{Shape, parameters, text};
use crate::problem::Problem;

/// Most texts that a batch may have.
const MOST_TEXTS: usize = 256;

#[derive(Deserialize)]
pub struct One<'a> {
    #[serde(borrow, deserialize_with = "text")]
    pub text: Cow<'a, str>,
    #[serde(borrow, default)]
    pub model: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub struct Batch<'a> {
    #[serde(borrow)]
    pub texts: Texts<'a>,
    #[serde(borrow, default)]
    pub model: Option<Cow<'a, str>>,
}

impl Shape for One<'_> {
    const SHAPE: &'static str = r#"{"text": "...", "model": "simple"}, where model may be left out"#;
}

impl Shape for Batch<'_> {
    const SHAPE: &'static str =
        r#"{"texts": ["...", "..."], "model": "simple"}, where model may be left out"#;
}

/// Whether the query asks for an explanation.
pub fn explain(head: &Parts) -> Result<bool, Problem> {
    let last = parameters(head).filter(|(name, _)| name == "explain").last();
    match last.as_ref().map(|(_, value)| &**value) {
        None | Some("0" | "false") => Ok(false),
        Some("" | "1" | "true") => Ok(true),
        Some(_) => Err(Problem::BadRequest("the query's explain is neither 1 nor 0".into())),
    }
}

/// Whether a text is one that can be scored; `place` is where it stood.
pub fn check(place: &str, text: &str) -> Result<(), Problem> {
    if text.is_empty() {
        return Err(Problem::Unprocessable(format!("{place} is empty")));
    }
    // There are at most as many characters as bytes.
    if text.len() <= MAX_CHARS {
        return Ok(());
    }
    match text.chars().count() {
        count if count <= MAX_CHARS => Ok(()),
        count => {
            Err(Problem::TooLong(format!("{place} has {count} characters; at most {MAX_CHARS} are taken")))
        }
    }
}

/// A list of texts that is not read further than it may be long.
pub struct Texts<'a>(Vec<Cow<'a, str>>);

impl<'a> std::ops::Deref for Texts<'a> {
    type Target = [Cow<'a, str>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Texts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST_TEXTS} texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts<'de>, A::Error> {
                let mut texts = Vec::new();
                // Which one it was that is no text.
                let which =
                    |texts: usize| move |error| A::Error::custom(format_args!("texts[{texts}]: {error}"));
                while let Some(Item(text)) = list.next_element().map_err(which(texts.len()))? {
                    if texts.len() == MOST_TEXTS {
                        return Err(A::Error::invalid_length(MOST_TEXTS + 1, &self));
                    }
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

#[derive(Deserialize)]
struct Item<'a>(#[serde(borrow, deserialize_with = "text")] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::handlers::body::read;

    #[test]
    fn a_long_list_is_not_read_to_its_end() {
        let list = |texts: usize| format!("{{\"texts\":[{}]}}", vec!["\"x\""; texts].join(","));
        let head = Request::post("/analyze/batch").body(()).unwrap().into_parts().0;
        let read = |list: &str| read::<Batch<'_>>(&head, list.as_bytes()).map(|batch| batch.texts.len());
        assert_eq!(read(&list(256)), Ok(256));
        let problem = read(&list(257)).unwrap_err();
        assert!(format!("{problem:?}").contains("expected a list of at most 256 texts"), "{problem:?}");
        let problem = read(r#"{"texts":["a",1]}"#).unwrap_err();
        let wanted = "texts[1]: invalid type: integer `1`, expected a text at line 1 column 15;";
        assert!(format!("{problem:?}").contains(wanted), "{problem:?}");
    }

    #[test]
    fn the_query_may_ask_for_an_explanation() {
        let asks = |query: &str| {
            explain(&Request::post(format!("/analyze?{query}")).body(()).unwrap().into_parts().0)
        };
        assert_eq!(
            (asks("explain=1"), asks("x=2&explain"), asks("explain=true"), asks("%65xplain=%31")),
            (Ok(true), Ok(true), Ok(true), Ok(true))
        );
        assert_eq!((asks(""), asks("explain=0"), asks("explained=1")), (Ok(false), Ok(false), Ok(false)));
        assert!(asks("explain=yes").is_err());
    }

    #[test]
    fn a_text_has_a_least_and_a_greatest_length() {
        let most = "é".repeat(MAX_CHARS);
        assert_eq!(check("text", &most), Ok(()));
        let problem = check("texts[7]", &(most + "x")).unwrap_err();
        assert_eq!(
            problem,
            Problem::TooLong("texts[7] has 10001 characters; at most 10000 are taken".into())
        );
        assert_eq!(check("text", ""), Err(Problem::Unprocessable("text is empty".into())));
    }
}
