//! Stands in for the page in builds without workload *jobs*, for which it is: `/` is JSON to everybody.

use http::request::Parts;

use crate::host::Host;
use crate::problem::Problem;
use crate::reply::Reply;

pub fn page(_: &Parts, _: &impl Host) -> Option<Reply> {
    None
}

pub fn file(_: &Parts, _: &impl Host) -> Result<Reply, Problem> {
    Err(Problem::LeftOut("jobs"))
}

pub use file as style;
pub use file as script;
