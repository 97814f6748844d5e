//! One file per workload; a handler takes what it needs of the request and answers a reply.

#[cfg(feature = "analyze")]
pub mod analyze;
#[cfg(not(feature = "analyze"))]
#[path = "left_out/analyze.rs"]
pub mod analyze;
pub mod health;
pub mod metrics;
pub mod probe;
pub mod welcome;
