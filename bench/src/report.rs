//! Reports: what a record says, as rows; as tables for a terminal or Markdown; spliced into a document.
//!
//! MB means 10⁶ bytes everywhere.

mod footprint;
mod render;
mod row;
mod splice;

pub(crate) use render::number;
pub use render::{Format, Table, render};
pub use row::{DISTURBED, Row, rows};
pub use splice::splice;
