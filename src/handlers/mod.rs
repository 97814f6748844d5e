//! One file per workload; a handler takes what it needs of the request and answers a reply.

pub mod health;
pub mod metrics;
pub mod probe;
pub mod welcome;
