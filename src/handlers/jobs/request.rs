//! What a client may send.

use std::borrow::Cow;

use http::request::Parts;
use serde::Deserialize;

use crate::handlers::body::{Shape, parameters, text};
use crate::jobs::{Kind, MOST_TEXT, Query, Status};
use crate::problem::Problem;

#[derive(Deserialize)]
pub struct Submit<'a> {
    #[serde(borrow, deserialize_with = "text")]
    pub text: Cow<'a, str>,
    #[serde(borrow, default)]
    pub kind: Option<Cow<'a, str>>,
}

impl Shape for Submit<'_> {
    const SHAPE: &'static str = r#"{"text": "...", "kind": "uppercase"}, where kind may be left out"#;
}

pub fn kind(name: Option<&str>) -> Result<Kind, Problem> {
    let Some(name) = name else { return Ok(Kind::Uppercase) };
    Kind::named(name).ok_or_else(|| {
        let known: Vec<_> = Kind::built().map(Kind::as_str).collect();
        let name: String = name.chars().take(32).collect();
        Problem::Unprocessable(format!("no job is of kind {name:?}; there is: {}", known.join(", ")))
    })
}

pub fn check(text: &str, kind: Kind) -> Result<(), Problem> {
    if text.is_empty() {
        return Err(Problem::Unprocessable("text is empty".into()));
    }
    if text.len() > MOST_TEXT {
        let detail = format!("text has {} bytes; at most {MOST_TEXT} are taken", text.len());
        return Err(Problem::TooLong(detail));
    }
    kind.check(text).map_err(|why| Problem::Unprocessable(format!("text {why}")))
}

/// Longest `Idempotency-Key`.
const MOST_KEY: usize = 255;

/// The client's key, in printable ASCII.
pub fn key(head: &Parts) -> Result<Option<String>, Problem> {
    let mut given = head.headers.get_all("idempotency-key").iter();
    let Some(key) = given.next() else { return Ok(None) };
    let fits = |key: &&str| (1..=MOST_KEY).contains(&key.len());
    match (key.to_str().ok().filter(fits), given.next()) {
        (Some(key), None) => Ok(Some(key.into())),
        _ => Err(Problem::BadRequest(format!(
            "Idempotency-Key must be given once, with 1 to {MOST_KEY} printable ASCII characters"
        ))),
    }
}

const LIMIT: u32 = 20;
const MOST_LIMIT: u32 = 100;

/// `?status=&limit=&cursor=`; what else is asked is passed over.
pub fn query(head: &Parts) -> Result<Query, Problem> {
    let mut query = Query { status: None, limit: LIMIT, cursor: None };
    // Empty is as good as absent: forms send it so.
    for (name, value) in parameters(head).filter(|(_, value)| !value.is_empty()) {
        match &*name {
            "status" => {
                let known = || Status::ALL.map(Status::as_str).join(", ");
                let status = Status::named(&value);
                query.status = Some(status.ok_or_else(|| wrong("status", &format!("one of {}", known())))?);
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST_LIMIT).contains(limit));
                query.limit =
                    limit.ok_or_else(|| wrong("limit", &format!("a number from 1 to {MOST_LIMIT}")))?;
            }
            "cursor" => {
                // Of one store it is a number, of others two.
                let mut numbers = value.split('-').map(str::parse::<u64>);
                if numbers.by_ref().take(2).any(|number| number.is_err()) || numbers.next().is_some() {
                    return Err(wrong("cursor", "what next was in the list before"));
                }
                query.cursor = Some(value.into_owned());
            }
            _ => {}
        }
    }
    Ok(query)
}

fn wrong(name: &str, right: &str) -> Problem {
    Problem::BadRequest(format!("the query's {name} must be {right}"))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(uri: &str, keys: &[&str]) -> Parts {
        let request =
            keys.iter().fold(Request::get(uri), |request, key| request.header("idempotency-key", *key));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_key_is_short_and_plain() {
        let of = |keys: &[&str]| key(&head("/jobs", keys));
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["a 1"]), Ok(Some("a 1".into())));
        assert!(of(&[""]).is_err() && of(&["a", "a"]).is_err() && of(&["é"]).is_err());
        assert!(of(&[&"k".repeat(255)]).is_ok() && of(&[&"k".repeat(256)]).is_err());
    }

    #[test]
    fn a_query_is_checked() {
        let of = |uri: &str| query(&head(uri, &[]));
        let all = of("/jobs?status=%64one&limit=7&cursor=1-2&x=y").unwrap();
        assert_eq!((all.status, all.limit, all.cursor.as_deref()), (Some(Status::Done), 7, Some("1-2")));
        let none = of("/jobs?status=&cursor=").unwrap();
        assert_eq!((none.status, none.limit, none.cursor), (None, LIMIT, None));
        for bad in [
            "status=ready",
            "limit=0",
            "limit=101",
            "limit=x",
            "cursor=%00",
            "cursor=a'b",
            "cursor=x",
            "cursor=1-",
            "cursor=1-2-3",
        ] {
            assert!(of(&format!("/jobs?{bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_text_has_its_limits() {
        assert!(check(&"x".repeat(MOST_TEXT), Kind::Uppercase).is_ok());
        assert!(matches!(check(&"x".repeat(MOST_TEXT + 1), Kind::Uppercase), Err(Problem::TooLong(_))));
        assert!(check("", Kind::Uppercase).is_err() && check("soon", Kind::Sleep).is_err());
        assert!(kind(Some("lowercase")).is_err());
    }
}
