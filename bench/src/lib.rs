//! The scale: launches every packaging of a service, loads it, weighs it, and reports what a MB of RAM buys.
//!
//! Modules in the order of a run: a target is launched at its place, loaded with a workload and weighed; the
//! figures become a record, and reports are derived from records.

pub mod data;
pub mod interrupt;
pub mod launch;
pub mod load;
pub mod placement;
pub mod proc;
pub mod target;
pub mod workload;
