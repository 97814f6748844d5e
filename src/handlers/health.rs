//! Health for orchestrators: is the process alive, should it get traffic, and a summary for people.

use serde::Serialize;

use crate::handlers::analyze;
use crate::host::Host;
use crate::problem::Problem;
use crate::reply::Reply;

#[derive(Serialize)]
struct Health<'a> {
    status: &'a str,
    version: &'a str,
    variant: &'a str,
    uptime_seconds: u64,
    model_loaded: bool,
}

/// The process answers; nothing else is looked at, because a restart would not mend anything else.
pub fn live() -> Reply {
    Reply::new("text/plain; charset=utf-8", "ok\n")
}

/// 503 while the service does not want new requests.
pub async fn ready(host: &impl Host) -> Result<Reply, Problem> {
    host.ready().await.map_err(Problem::Unavailable)?;
    Ok(Reply::new("text/plain; charset=utf-8", "ok\n"))
}

/// 200 as long as requests are answered, also while draining; `status` tells which.
pub async fn health(host: &impl Host) -> Reply {
    Reply::json(&Health {
        status: host.ready().await.err().unwrap_or("ok"),
        version: env!("CARGO_PKG_VERSION"),
        variant: host.variant(),
        uptime_seconds: host.uptime().as_secs(),
        model_loaded: analyze::LOADED && host.bert_loaded() != Some(false),
    })
}
