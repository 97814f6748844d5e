//! What the service needs from the platform it runs on. Each boundary module implements it.

use std::future::Future;
use std::time::Duration;

use http::StatusCode;
use http::request::Parts;

use crate::jobs::{Away, Store};
use crate::metrics::Counts;
use crate::problem::Problem;
use crate::router::{Surface, Target};

/// The platform, as the service sees it.
pub trait Host {
    /// A request being handled; dropped without an end when it is cut off.
    type Exchange<'a>: Exchange
    where
        Self: 'a;

    /// Which routes this listener serves.
    fn surface(&self) -> Surface;

    /// The label of this build or deployment, for example `standard`.
    fn variant(&self) -> &str;

    /// Time since the process, or the component's instance, started.
    fn uptime(&self) -> Duration;

    /// Whether new work is welcome; an error says why not.
    fn ready(&self) -> impl Future<Output = Result<(), &'static str>>;

    /// The largest request body, in bytes.
    fn max_body(&self) -> usize;

    /// Lets other requests go first: for work that would keep them waiting.
    fn give_way(&self) -> impl Future<Output = ()>;

    /// Waits without holding up other requests.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;

    /// Whether the transformer for *analyze* is loaded by now, if there is to be one.
    fn bert_loaded(&self) -> Option<bool> {
        None
    }

    /// How likely the transformer holds it that a text is toxic, 0 to 1.
    fn bert(&self, _text: &str) -> impl Future<Output = Result<f32, Problem>> {
        async { Err(Problem::Unavailable("no model is loaded")) }
    }

    /// Where this platform keeps jobs.
    type Jobs: Store;

    /// The store of jobs; `None` where there is none.
    fn jobs(&self) -> Option<&Self::Jobs> {
        None
    }

    /// A job was stored.
    fn job_stored(&self) {}

    /// The store was away when it was needed.
    fn store_failed(&self, _away: &Away) {}

    /// What this host knows, in Prometheus text format 0.0.4.
    fn metrics(&self) -> impl Future<Output = String>;

    /// Where workloads count what they do; nowhere, if the platform measures requests itself.
    fn counts(&self) -> Option<&Counts> {
        None
    }

    /// Called when a request's head has been read and its target is known.
    fn begin<'a>(&'a self, head: &Parts, target: &Target) -> Self::Exchange<'a>;
}

/// The measurement of one request.
pub trait Exchange {
    /// The reply is ready to be sent; sizes are those of the bodies, in bytes.
    fn end(self, status: StatusCode, request_bytes: usize, response_bytes: usize);
}

/// For hosts whose platform measures requests itself.
impl Exchange for () {
    fn end(self, _: StatusCode, _: usize, _: usize) {}
}
