//! One file per workload; a handler takes what it needs of the request and answers a reply.

#[cfg(feature = "jobs")]
mod accept;
#[cfg(feature = "analyze")]
pub mod analyze;
#[cfg(not(feature = "analyze"))]
#[path = "left_out/analyze.rs"]
pub mod analyze;
#[cfg(any(feature = "analyze", feature = "jobs"))]
mod body;
pub mod health;
#[cfg(feature = "jobs")]
pub mod jobs;
#[cfg(not(feature = "jobs"))]
#[path = "left_out/jobs.rs"]
pub mod jobs;
pub mod metrics;
#[cfg(feature = "jobs")]
pub mod page;
#[cfg(not(feature = "jobs"))]
#[path = "left_out/page.rs"]
pub mod page;
pub mod probe;
pub mod welcome;
