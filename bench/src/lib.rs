//! The scale: launches every packaging of a service, loads it, weighs it, and reports what a MB of RAM buys.
//!
//! Modules in the order of a run: a target is launched at its place, loaded with a workload and weighed; the
//! figures become a record, and reports are derived from records.

pub mod cli;

pub mod data;
pub mod profile;
pub mod slo;
pub mod target;
pub mod workload;

pub mod host;
pub mod interrupt;
pub mod placement;
pub mod progress;

pub mod run;
pub mod search;

pub mod cell;

pub mod launch;
pub mod load;
pub mod weigh;

pub mod cgroup;
pub mod energy;
pub mod noise;
pub mod pidfd;
pub mod proc;
pub mod stats;

pub mod background;
pub mod compare;
pub mod doctor;
pub mod gate;
pub mod leftover;
pub mod record;
pub mod report;
pub mod size;
