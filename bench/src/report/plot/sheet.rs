//! The paper: a few shapes over plotters' SVG backend.
//!
//! The backend knows whole units alone, so a pixel is ten of them.

use plotters::coord::Shift;
use plotters::prelude::{
    Circle, DrawingArea, FontStyle, IntoDrawingArea, IntoFont, PathElement, RGBColor, Rectangle, SVGBackend,
    Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, ShapeStyle};

use super::palette::{Ink, MUTED, TEXT};

const UNITS: f64 = 10.0;

/// Text sizes in pixels: of names and values, and of ticks and notes.
pub const NAME: f64 = 12.5;
pub const NOTE: f64 = 11.0;

/// The width of dashed lines and of nothing else.
const DASHED: f64 = 1.8;

type Point = (f64, f64);

/// A drawing of a given size, in pixels from its left upper corner.
pub struct Sheet<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    pub width: f64,
}

/// Which end of a text is where it is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// The shapes as the inside of an `<svg>` element whose view box [`view_box`] gives.
pub fn draw(width: f64, height: f64, paint: impl FnOnce(&Sheet<'_>)) -> String {
    let mut text = String::new();
    {
        let size = (units(width) as u32, units(height) as u32);
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let sheet = Sheet { area, width };
        paint(&sheet);
        // Writing into a string does not fail.
        let _ = sheet.area.present();
    }
    let inside = text.split_once('>').map_or("", |(_, rest)| rest);
    let inside = inside.rsplit_once("</svg>").map_or(inside, |(inside, _)| inside);
    DEFAULTS.iter().fold(inside.trim().to_owned(), |shapes, default| shapes.replace(default, ""))
}

/// What the backend writes although it is so anyhow, or the style sheet says it. No text has such quotes.
const DEFAULTS: [&str; 3] = [" opacity=\"1\"", " stroke=\"none\"", " font-family=\"sans-serif\""];

pub fn view_box(width: f64, height: f64) -> String {
    format!("0 0 {} {}", units(width), units(height))
}

fn units(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

fn place((x, y): Point) -> (i32, i32) {
    (units(x), units(y))
}

fn colour(ink: Ink) -> RGBColor {
    let [_, red, green, blue] = ink.light.to_be_bytes();
    RGBColor(red, green, blue)
}

fn stroke(ink: Ink, width: f64) -> ShapeStyle {
    colour(ink).stroke_width(units(width) as u32)
}

impl Sheet<'_> {
    pub fn line(&self, points: &[Point], ink: Ink, width: f64) {
        let path: Vec<_> = points.iter().copied().map(place).collect();
        let _ = self.area.draw(&PathElement::new(path, stroke(ink, width)));
    }

    /// The backend has no dashes: the style sheet knows such a line by its width.
    pub fn dashed(&self, points: &[Point], ink: Ink) {
        self.line(points, ink, DASHED);
    }

    pub fn bar(&self, from: Point, to: Point, ink: Ink, opacity: f64) {
        let style = colour(ink).mix(opacity).filled();
        let _ = self.area.draw(&Rectangle::new([place(from), place(to)], style));
    }

    pub fn outline(&self, (left, top): Point, (right, bottom): Point, ink: Ink) {
        self.line(&[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], ink, 1.2);
    }

    pub fn dot(&self, at: Point, radius: f64, ink: Ink) {
        let _ = self.area.draw(&Circle::new(place(at), units(radius), colour(ink).filled()));
    }

    /// One of many that may lie on each other: where they do, it is darker.
    pub fn speck(&self, at: Point, radius: f64, ink: Ink) {
        let _ = self.area.draw(&Circle::new(place(at), units(radius), colour(ink).mix(0.6).filled()));
    }

    pub fn ring(&self, at: Point, radius: f64, ink: Ink) {
        let _ = self.area.draw(&Circle::new(place(at), units(radius), stroke(ink, 1.4)));
    }

    pub fn cross(&self, (x, y): Point, radius: f64, ink: Ink) {
        self.line(&[(x - radius, y - radius), (x + radius, y + radius)], ink, 1.4);
        self.line(&[(x - radius, y + radius), (x + radius, y - radius)], ink, 1.4);
    }

    /// Text of the size of names, its vertical middle at `at`.
    pub fn name(&self, at: Point, text: &str, anchor: Anchor) {
        self.text(at, text, anchor, NAME, TEXT);
    }

    /// Text of the size of ticks and notes.
    pub fn note(&self, at: Point, text: &str, anchor: Anchor) {
        self.text(at, text, anchor, NOTE, MUTED);
    }

    fn text(&self, at: Point, text: &str, anchor: Anchor, size: f64, ink: Ink) {
        let horizontal = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        // The backend takes sizes for line heights.
        let font = ("sans-serif", size * UNITS * 1.24, FontStyle::Normal).into_font();
        let style = font.color(&colour(ink)).pos(Pos::new(horizontal, VPos::Center));
        // XML has no place for control characters, and the backend lets them through.
        let text: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let _ = self.area.draw(&Text::new(text, place(at), style));
    }
}

/// What a style sheet says about plots within `svg`: a face, a halo of paper that keeps lines off letters, dashes. It
/// asks for the property `--paper`.
pub fn rules() -> String {
    format!(
        "svg text{{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,sans-serif;\
         font-variant-numeric:tabular-nums;paint-order:stroke;stroke:var(--paper);stroke-width:{}px;stroke-linejoin:round}}\n\
         svg [stroke-width=\"{}\"]{{stroke-dasharray:{} {}}}\n",
        units(3.0),
        units(DASHED),
        units(5.0),
        units(3.5)
    )
}
