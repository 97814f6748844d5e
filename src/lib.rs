//! `ounce`: a tiny HTTP service from one source tree, as a native binary and as a WASM component.
//!
//! The modules stand in the order of a request's way: a boundary (the only places that know a platform) takes
//! it from the socket, the service matches a route and calls its handler, the reply goes back.
#![forbid(unsafe_code)]

// Boundaries: socket or component on one side, the service on the other.
#[cfg(target_family = "wasm")]
mod component;
#[cfg(not(target_family = "wasm"))]
pub mod native;

// The service, pure of I/O.
pub mod host;
pub mod service;

pub mod router;

pub mod handlers;

pub mod jobs;

pub mod metrics;
pub mod problem;
pub mod reply;
pub mod values;
