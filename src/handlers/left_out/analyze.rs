//! Stands in for workload *analyze* in builds without it: its routes say so, and nothing else of it is there.

use std::sync::Arc;

use http::request::Parts;
use prometheus::core::Collector;

use crate::host::Host;
use crate::metrics;
use crate::problem::Problem;
use crate::reply::Reply;

/// Whether the model is in this build.
pub const LOADED: bool = false;

/// Longest text.
pub const MAX_CHARS: usize = 0;

/// Nobody asks, since nothing is loaded.
pub fn result(_: &str) -> String {
    "null".into()
}

pub async fn one(_: &Parts, _: &[u8], _: &impl Host) -> Result<Reply, Problem> {
    Err(Problem::LeftOut("analyze"))
}

pub async fn batch(_: &Parts, _: &[u8], _: &impl Host) -> Result<Reply, Problem> {
    Err(Problem::LeftOut("analyze"))
}

/// There is nothing to count.
#[derive(Default)]
pub struct Counts;

pub fn collector(
    _: Vec<Arc<metrics::Counts>>,
    _: impl Fn() -> Option<f64> + Send + Sync + 'static,
) -> Option<Box<dyn Collector>> {
    None
}
