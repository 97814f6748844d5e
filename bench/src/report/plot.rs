//! Plots: drawings of plain figures, as SVG. What of a record they show is in [`record`].
//!
//! Every plot is drawn for a wide page and for a phone, instead of being shrunk until nobody can read it. Colours
//! follow the reader's preference by a style sheet ([`palette`]). Emulated targets are hollow or dashed everywhere.

pub mod bars;
mod frame;
mod label;
pub mod latency;
pub mod marginal;
pub mod palette;
pub mod record;
mod scale;
pub mod scatter;
mod sheet;
pub mod starts;
mod text;
pub mod timeline;

pub use sheet::rules;

/// For which page a plot is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Wide,
    Narrow,
}

impl Width {
    pub fn pixels(self) -> f64 {
        match self {
            Width::Wide => 860.0,
            Width::Narrow => 336.0,
        }
    }
}

/// The inside of an `<svg>` element and its size in pixels.
#[derive(Clone, Debug)]
pub struct Drawing {
    pub width: f64,
    pub height: f64,
    pub shapes: String,
}

impl Drawing {
    fn new(width: Width, height: f64, paint: impl FnOnce(&sheet::Sheet<'_>)) -> Self {
        let width = width.pixels();
        Self { width, height, shapes: sheet::draw(width, height, paint) }
    }

    pub fn view_box(&self) -> String {
        sheet::view_box(self.width, self.height)
    }
}
