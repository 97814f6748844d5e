//! Every error that a client can see, and the one place where it becomes a status and a problem document.

use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::reply::Reply;

/// Why a request was not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The request, or its body, is not well-formed HTTP.
    Malformed,
    NotFound,
    /// The path exists; `allow` names the methods that it takes.
    MethodNotAllowed {
        allow: String,
    },
    /// The request is HTTP, and what it says cannot be understood; the text says what and where.
    BadRequest(String),
    /// The body is not of a type that the resource takes.
    UnsupportedMediaType(&'static str),
    /// The body can be read, and is not what the resource takes.
    Unprocessable(String),
    /// A part of the body is longer than is taken; the text says which.
    TooLong(String),
    /// This build leaves out the workload of this name.
    LeftOut(&'static str),
    /// This platform has no store for the workload of this name.
    NoStore(&'static str),
    /// The path is of a resource that is not there; the text says more.
    NoSuch(&'static str),
    /// The resource is not in a state for this; the text says why.
    Conflict(String),
    /// The queue is full; in so many seconds it may not be.
    TooMany {
        retry_after: u32,
    },
    /// The store is away; in so many seconds it may be back.
    Away {
        retry_after: u32,
    },
    /// The client took too long to send its request.
    Timeout,
    /// The body is larger than `limit` bytes.
    TooLarge {
        limit: usize,
    },
    UriTooLong,
    HeadersTooLarge,
    /// Not now; the text says why.
    Unavailable(&'static str),
}

/// RFC 9457. The type is `about:blank`, so the title is the status' own phrase.
#[derive(Serialize)]
struct Document<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    pub fn status(&self) -> StatusCode {
        match self {
            Problem::Malformed => StatusCode::BAD_REQUEST,
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Problem::BadRequest(_) => StatusCode::BAD_REQUEST,
            Problem::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Problem::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Problem::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::LeftOut(_) => StatusCode::NOT_IMPLEMENTED,
            Problem::NoStore(_) => StatusCode::NOT_IMPLEMENTED,
            Problem::NoSuch(_) => StatusCode::NOT_FOUND,
            Problem::Conflict(_) => StatusCode::CONFLICT,
            Problem::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Problem::Away { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Problem::Timeout => StatusCode::REQUEST_TIMEOUT,
            Problem::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::UriTooLong => StatusCode::URI_TOO_LONG,
            Problem::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Problem::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What went wrong, for the client: plain words.
    pub fn detail(&self) -> String {
        match self {
            Problem::Malformed => "the request is not well-formed HTTP/1.1".into(),
            Problem::NotFound => "no resource has this path; GET / lists what there is".into(),
            Problem::MethodNotAllowed { allow } => format!("this resource takes {allow}"),
            Problem::BadRequest(detail)
            | Problem::Unprocessable(detail)
            | Problem::TooLong(detail)
            | Problem::Conflict(detail) => detail.clone(),
            Problem::UnsupportedMediaType(detail) => (*detail).into(),
            Problem::LeftOut(workload) => {
                format!("this build leaves out the workload {workload}; the standard build has it")
            }
            Problem::NoStore(workload) => {
                format!(
                    "this platform has no store for the workload {workload}; the native and the Spin builds do"
                )
            }
            Problem::NoSuch(detail) => (*detail).into(),
            Problem::TooMany { .. } => "the queue is full; try again later".into(),
            Problem::Away { .. } => "the store is away or cannot write; try again later".into(),
            Problem::Timeout => "the request was not received in time".into(),
            Problem::TooLarge { limit } => format!("the body is larger than {limit} bytes"),
            Problem::UriTooLong => "the request target is too long".into(),
            Problem::HeadersTooLarge => "the request headers are too large or too many".into(),
            Problem::Unavailable(why) => (*why).into(),
        }
    }

    pub fn into_reply(self) -> Reply {
        let status = self.status();
        let detail = self.detail();
        let document = Document {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: &detail,
        };
        let mut reply = Reply::json(&document);
        reply.status = status;
        reply.content_type = HeaderValue::from_static("application/problem+json");
        let header = match self {
            Problem::MethodNotAllowed { allow } => {
                HeaderValue::from_str(&allow).ok().map(|allow| (ALLOW, allow))
            }
            Problem::TooMany { retry_after } | Problem::Away { retry_after } => {
                Some((RETRY_AFTER, retry_after.into()))
            }
            _ => None,
        };
        reply.headers.extend(header);
        reply
    }
}
