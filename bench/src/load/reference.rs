//! The reference responses: asked for by an independent client, then expected of every response.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ureq::{AsSendBody, RequestExt, http};

use super::response::COMPARED;
use crate::launch;
use crate::workload::{Body, Request, Workload};

/// Bodies beyond this are not a workload but a mistake.
const LARGEST: u64 = 1 << 30;

/// What a workload asks and what it must be answered: one exchange for each kind of request.
#[derive(Clone, Debug)]
pub struct Expected {
    pub exchanges: Arc<[Exchange]>,
}

/// A request and what its response must be.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub weight: u32,
    /// The request as it goes over the wire.
    pub request: Vec<u8>,
    /// The response has no body, whatever its header says about the length: the answer to HEAD.
    pub bodiless: bool,
    pub status: u16,
    /// The body's length; `None` when any body will do.
    pub length: Option<u64>,
    /// The body's first bytes, at most [`COMPARED`].
    pub content: Vec<u8>,
    pub content_type: Option<String>,
}

impl Expected {
    /// What `workload` expects, with `body` as the right body of every answer.
    pub fn new(workload: &Workload, address: SocketAddr, body: &[u8]) -> Self {
        let exchange = |request| Exchange::new(request, address, body);
        Self { exchanges: workload.requests.iter().map(exchange).collect() }
    }
}

impl Exchange {
    fn new(request: &Request, address: SocketAddr, body: &[u8]) -> Self {
        let (length, content) = match request.body {
            Body::Same => (Some(body.len() as u64), &body[..body.len().min(COMPARED)]),
            Body::Any => (None, &[][..]),
        };
        Self {
            weight: request.weight,
            request: wire(request, address),
            bodiless: request.method == "HEAD",
            status: request.status,
            length,
            content: content.into(),
            content_type: None,
        }
    }
}

/// A request as it goes over the wire.
fn wire(request: &Request, address: SocketAddr) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
    if !request.headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
        head += &format!("Host: {address}\r\n");
    }
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(payload) = payload(request) {
        head += &format!("Content-Length: {}\r\n", payload.len());
    }
    [head.as_bytes(), b"\r\n", payload(request).unwrap_or_default()].concat()
}

/// What is sent as the body, which is empty rather than absent where the method means one (RFC 9110, 8.6).
fn payload(request: &Request) -> Option<&[u8]> {
    let meant = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
    request.payload().or(meant.then_some(&[]))
}

/// Asks for the reference response of each request, and twice if its body is to be compared: one that differs from
/// one answer to the next cannot be. A request that changes the service's state has then done so once or twice.
///
/// # Errors
/// When the service does not answer, answers another status, or changes its body (`body = "any"` allows that).
pub fn reference(address: SocketAddr, workload: &Workload, timeout: Duration) -> Result<Expected> {
    let exchange = |request: &Request| {
        let of = || format!("workload {:?}: {request} on {address}", workload.name);
        let (body, content_type) = fetch(address, request, timeout).with_context(of)?;
        if request.body == Body::Same && fetch(address, request, timeout).with_context(of)?.0 != body {
            bail!("{} answered two different bodies; set `body = \"any\"` for it", of());
        }
        Ok(Exchange { content_type, ..Exchange::new(request, address, &body) })
    };
    Ok(Expected { exchanges: workload.requests.iter().map(exchange).collect::<Result<_>>()? })
}

fn fetch(address: SocketAddr, request: &Request, timeout: Duration) -> Result<(Vec<u8>, Option<String>)> {
    let mut response = ask(address, request, timeout).context("no reference response")?;
    let status = response.status().as_u16();
    if status != request.status {
        bail!("answered {status}; expected is {}", request.status);
    }
    let content_type =
        response.headers().get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = response.body_mut().with_config().limit(LARGEST).read_to_vec();
    Ok((body.context("incomplete reference response")?, content_type))
}

fn ask(address: SocketAddr, request: &Request, timeout: Duration) -> Result<http::Response<ureq::Body>> {
    let mut head = http::Request::builder()
        .method(request.method.as_str())
        .uri(format!("http://{address}{}", request.path));
    for (name, value) in &request.headers {
        head = head.header(name, value);
    }
    match payload(request) {
        Some(payload) => send(head.body(payload)?, timeout),
        None => send(head.body(())?, timeout),
    }
}

fn send(request: http::Request<impl AsSendBody>, timeout: Duration) -> Result<http::Response<ureq::Body>> {
    let request = request.with_agent(launch::client(timeout)).configure();
    Ok(request.max_redirects(0).allow_non_standard_methods(true).build().run()?)
}
