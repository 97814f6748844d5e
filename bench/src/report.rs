//! Reports: what a record says, as rows; as tables for a terminal or Markdown; spliced into a document.
//!
//! MB means 10⁶ bytes everywhere.

mod csv;
mod figure;
mod figures;
mod footprint;
mod growth;
mod html;
mod plot;
mod render;
mod row;
mod splice;
mod svg;

pub use csv::csv;
pub use figure::Figure;
pub use growth::{Growth, Weighed};
pub use html::{Search, Source, html};
pub(crate) use render::number;
pub use render::{Format, Table, render};
pub use row::{Class, DISTURBED, Row, ranked, rows};
pub(crate) use row::{
    SERVER_BUSY, error_share, generator_bound, invalid, is_generator_bound, is_rate_missed, rate_missed,
};
pub use splice::{Image, splice};
pub use svg::{headline, plots};
