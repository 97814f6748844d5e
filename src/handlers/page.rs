//! The page at `/` for browsers: submits jobs and watches them. Where there are no jobs, a page that says why.

mod files;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use self::files::{File, HTML, SCRIPT, STYLE};
use super::accept;
use crate::host::Host;
use crate::problem::Problem;
use crate::reply::Reply;

/// What the page may do: load its own files and ask this service. The empty icon is in its text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE_TYPE: &str = "text/html; charset=utf-8";

/// What is shown instead; `{why}` is the problem's detail.
const NO_JOBS: &str = include_str!("page/no_jobs.html");

/// The page, for who would rather have it than JSON.
pub fn page(head: &Parts, host: &impl Host) -> Option<Reply> {
    if !accept::html(&head.headers) {
        return None;
    }
    let reply = match there(host) {
        Ok(()) => file(PAGE_TYPE, &HTML, &head.headers),
        Err(problem) => Reply::new(PAGE_TYPE, NO_JOBS.replace("{why}", &problem.detail())),
    };
    let policy = (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // What is typed stays here; so does the address, whose fragment names a job.
    let referrer = (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Some(guarded(reply, [policy, referrer]))
}

pub fn style(head: &Parts, host: &impl Host) -> Result<Reply, Problem> {
    there(host)?;
    Ok(guarded(file("text/css; charset=utf-8", &STYLE, &head.headers), []))
}

pub fn script(head: &Parts, host: &impl Host) -> Result<Reply, Problem> {
    there(host)?;
    Ok(guarded(file("text/javascript; charset=utf-8", &SCRIPT, &head.headers), []))
}

/// Without jobs there is nothing for the page to do.
fn there(host: &impl Host) -> Result<(), Problem> {
    host.jobs().map(drop).ok_or(Problem::NoStore("jobs"))
}

fn file(content_type: &'static str, file: &File, headers: &HeaderMap) -> Reply {
    let packed = accept::gzip(headers);
    let bytes = if packed { file.gzip } else { file.plain };
    let mut reply = Reply::new(content_type, Bytes::from_static(bytes));
    let encoding = (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    reply.headers.extend(packed.then_some(encoding));
    reply.headers.push((header::VARY, HeaderValue::from_static("accept-encoding")));
    reply
}

fn guarded(mut reply: Reply, more: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Reply {
    reply.headers.extend([
        // The files of another version would not fit.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ]);
    reply.headers.extend(more);
    reply
}
