//! `GET /`: what this is and what it offers.

use serde::Serialize;

use crate::host::Host;
use crate::reply::Reply;
use crate::router::ROUTES;

#[derive(Serialize)]
struct Welcome<'a> {
    name: &'a str,
    version: &'a str,
    variant: &'a str,
    links: Vec<&'a str>,
}

pub fn welcome(host: &impl Host) -> Reply {
    Reply::json(&Welcome {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        variant: host.variant(),
        links: ROUTES.iter().filter(|route| host.surface().serves(route)).map(|route| route.path).collect(),
    })
}
