//! Launching: from a target's definition to a running instance that is ready, and to its certain end.
//!
//! Whatever ends the scale (return, error, panic, Ctrl-C, SIGKILL) ends what it launched: each program runs in
//! a process group of its own, and a control group where one can be made, which are killed on drop; a guard kills
//! them when the scale itself was killed.

mod docker;
mod error;
mod existing;
mod firecracker;
mod group;
mod guard;
mod guest;
mod instance;
mod local;
mod microvm;
mod network;
mod output;
pub mod owner;
mod process;
mod ready;
mod scratch;
mod unikraft;
mod words;

pub use error::LaunchError;
pub use instance::{Context, Instance, artefact_bytes, launch, missing};
pub use output::Output;
pub use process::{Process, STOP_TIMEOUT, Spawn};
pub(crate) use ready::client;
pub use ready::{PageCache, Start, free_port, may_drop_caches, until_ready};
/// Signals for [`Process::signal`].
pub use rustix::process::Signal;

pub(crate) use docker::docker;
pub(crate) use group::end_group;
pub(crate) use network::ip;
pub(crate) use process::cpu_set;
