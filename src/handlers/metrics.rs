//! `GET /metrics`: what the host knows, for Prometheus.

use crate::host::Host;
use crate::reply::Reply;

pub async fn metrics(host: &impl Host) -> Reply {
    Reply::new("text/plain; version=0.0.4; charset=utf-8", host.metrics().await)
}
