//! `GET /`: what this is and what it offers.

use serde::Serialize;

use crate::handlers::analyze;
use crate::host::Host;
use crate::reply::Reply;
use crate::router::{ANALYZE, ROUTES, Route, Surface};

#[derive(Serialize)]
struct Welcome<'a> {
    name: &'a str,
    version: &'a str,
    variant: &'a str,
    links: Vec<&'a str>,
}

/// Whether a route is worth naming: not if this build leaves it out.
fn offered(route: &Route, surface: Surface) -> bool {
    let built = analyze::LOADED || !ANALYZE.contains(&route.action);
    built && surface.serves(route)
}

pub fn welcome(host: &impl Host) -> Reply {
    Reply::json(&Welcome {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        variant: host.variant(),
        links: ROUTES.iter().filter(|route| offered(route, host.surface())).map(|route| route.path).collect(),
    })
}
