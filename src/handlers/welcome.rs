//! `GET /`: what this is and what it offers, as a page for browsers and as JSON for everyone else.

use http::HeaderValue;
use http::header::VARY;
use http::request::Parts;
use serde::Serialize;

use crate::handlers::{analyze, jobs, page};
use crate::host::Host;
use crate::reply::Reply;
use crate::router::{ANALYZE, JOBS, PAGE, ROUTES, Route};

#[derive(Serialize)]
struct Welcome<'a> {
    name: &'a str,
    version: &'a str,
    variant: &'a str,
    links: Vec<&'a str>,
}

/// Whether a route is worth naming: not if this build leaves it out, or if only the page asks for it.
fn offered(route: &Route, host: &impl Host) -> bool {
    let analyze = analyze::LOADED || !ANALYZE.contains(&route.action);
    let jobs = jobs::BUILT && host.jobs().is_some() || !JOBS.contains(&route.action);
    analyze && jobs && !PAGE.contains(&route.action) && host.surface().serves(route)
}

pub fn welcome(head: &Parts, host: &impl Host) -> Reply {
    let mut reply = page::page(head, host).unwrap_or_else(|| json(host));
    reply.headers.push((VARY, HeaderValue::from_static("accept")));
    reply
}

fn json(host: &impl Host) -> Reply {
    Reply::json(&Welcome {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        variant: host.variant(),
        links: ROUTES.iter().filter(|route| offered(route, host)).map(|route| route.path).collect(),
    })
}
