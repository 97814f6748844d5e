//! Targets in the background: started by one command, seen by others, stopped by a last one.
//!
//! Each has a keeper, a process of its own that outlives the command which started it and that knows how to end
//! it. What the keeper knows is in a file of the state directory; whether a keeper lives is asked of the kernel.

mod down;
mod keeper;
mod state;
mod status;
mod up;

pub use down::{Done, down};
pub use keeper::keep;
pub use state::{Phase, State, Store};
pub use status::{Status, statuses, table};
pub use up::{Up, up};
