//! Stands in for workload *jobs* in builds without it: its routes say so, and nothing else of it is there.

use http::request::Parts;

use crate::host::Host;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::router::Verb;

/// Whether this build has the workload.
pub const BUILT: bool = false;

pub async fn all(_: Verb, _: &Parts, _: &[u8], _: &impl Host) -> Result<Reply, Problem> {
    Err(Problem::LeftOut("jobs"))
}

pub async fn one(_: Verb, _: &Parts, _: &impl Host) -> Result<Reply, Problem> {
    Err(Problem::LeftOut("jobs"))
}
