//! Test support for the crates of this workspace: files of what Go was seen to do, read case by case, with the score kept and printed.
//!
//! A crate keeps its files in `tests/golden/`, with `differs.json` beside them: each deliberate difference from Go once, as
//! `{"subject": FILE, "slug": ..., "reason": ...}`. Cases come from the folder that `ROUNDTRIP_GOLDEN_DIR` names, if it is set;
//! differences are always the crate's own.
//!
//! ```no_run
//! use roundtrip_golden::{Run, Outcome};
//!
//! let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "http_date.json");
//! run.check(&["text", "seconds"], |case| Outcome::same(&case["seconds"], &case["seconds"]));
//! run.finish();
//! ```

#![forbid(unsafe_code)]
// It runs in tests only, where a panic is the right report of a failure, and it prints the score.
#![allow(clippy::print_stdout, clippy::missing_panics_doc)]

mod loose;
mod run;
mod value;

pub use loose::{LooseRequest, LooseResponse, has_padded_size, is_authority, trailer_section};
pub use run::{Outcome, Run};
pub use value::{
    base64, bytes, fields, has_bare_lf, has_quirk, known_keys, latin1, part_bytes, short, text_or_base64, to_base64,
};
