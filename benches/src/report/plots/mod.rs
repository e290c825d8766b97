//! The plots, as SVG that takes its colours and its font from the page's style sheet.
//!
//! Each is drawn for one width, and most are narrow enough for a phone; a page that has room puts several side by side.

mod canvas;
mod cases;
mod growth;
mod ratios;
mod scale;
mod svg;

pub(super) use canvas::{Ink, Plot};
pub(super) use cases::{hero, phases, round_trips};
pub(super) use growth::growth;
pub(super) use ratios::ratios;

/// The width of a plot in a card, in pixels.
pub(super) const CARD: f64 = 360.0;
