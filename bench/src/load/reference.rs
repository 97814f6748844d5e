//! The reference response: asked for once by an independent client, then expected of every response.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::response::COMPARED;
use crate::launch;
use crate::workload::{Body, Workload};

/// Bodies beyond this are not a workload but a mistake.
const LARGEST: u64 = 1 << 30;

/// A request and what its response must be.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The request as it goes over the wire.
    pub request: Arc<[u8]>,
    pub status: u16,
    /// The body's length; `None` when any body will do.
    pub length: Option<u64>,
    /// The body's first bytes, at most [`COMPARED`].
    pub content: Arc<[u8]>,
    pub content_type: Option<String>,
}

impl Expected {
    /// What `workload` expects, with `body` as the right body.
    pub fn new(workload: &Workload, address: SocketAddr, body: &[u8]) -> Self {
        let (method, path) = (&workload.method, &workload.path);
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let (length, content) = match workload.body {
            Body::Same => (Some(body.len() as u64), &body[..body.len().min(COMPARED)]),
            Body::Any => (None, &[][..]),
        };
        Self {
            request: request.into_bytes().into(),
            status: workload.status,
            length,
            content: content.into(),
            content_type: None,
        }
    }
}

/// Asks for the reference response twice: a body that differs from one to the next cannot be compared.
///
/// # Errors
/// When the service does not answer, answers another status, or changes its body (`body = "any"` allows that).
pub fn reference(address: SocketAddr, workload: &Workload, timeout: Duration) -> Result<Expected> {
    let url = format!("http://{address}{}", workload.path);
    let (body, content_type) = fetch(&url, workload, timeout)?;
    if workload.body == Body::Same && fetch(&url, workload, timeout)?.0 != body {
        bail!("{url} answered two different bodies; set `body = \"any\"` for workload {:?}", workload.name);
    }
    Ok(Expected { content_type, ..Expected::new(workload, address, &body) })
}

fn fetch(url: &str, workload: &Workload, timeout: Duration) -> Result<(Vec<u8>, Option<String>)> {
    let mut response = launch::client(timeout)
        .get(url)
        .call()
        .with_context(|| format!("no reference response from {url}"))?;
    let status = response.status().as_u16();
    if status != workload.status {
        bail!("{url} answered {status}; workload {:?} expects {}", workload.name, workload.status);
    }
    let content_type =
        response.headers().get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = response.body_mut().with_config().limit(LARGEST).read_to_vec();
    Ok((body.with_context(|| format!("incomplete reference response from {url}"))?, content_type))
}
