//! What a run measured, for people, for benchstat and for programs. All of it is made from [`Results`] and nothing else.
//!
//! - [`terminal`]: aligned tables in plain ASCII, at most 120 columns wide.
//! - [`go_format`]: the lines of `go test -bench -benchmem -count`, which benchstat reads.
//! - [`page`]: one self-contained HTML file with plots.
//! - [`write()`]: that page, and all figures as JSON beside it.
//!
//! Its parts: [`figure`] shows numbers, [`case`] names combinations, `reading` is what can be said about all figures (medians,
//! ratios, the headline), `plots` draws, `html` escapes. A figure that is not a number (nothing was measured) shows as a dash.

pub mod case;
pub mod figure;
mod go_format;
mod html;
mod page;
mod plots;
mod reading;
mod table;
mod terminal;
mod write;

pub use go_format::go_format;
pub use page::page;
pub use terminal::terminal;
pub use write::write;

#[cfg(doc)]
use crate::model::Results;
