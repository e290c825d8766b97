//! The page and its figures, as files.

use std::fs;
use std::path::Path;

use crate::model::Results;

/// Writes `index.html` and `results.json` into `dir`, which is made if it is not there. Both are replaced if they are.
///
/// A figure that is not a number is `null` in JSON, which has no word for it, and is read back as one that is none.
///
/// # Errors
/// The directory or a file cannot be written; the message names its path.
pub fn write(results: &Results, dir: &Path) -> Result<(), String> {
    let json =
        serde_json::to_string_pretty(results).map_err(|error| format!("cannot write the figures as json: {error}"))?;
    fs::create_dir_all(dir).map_err(|error| format!("cannot make the directory {}: {error}", dir.display()))?;
    for (name, text) in [("results.json", json + "\n"), ("index.html", super::page(results))] {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}
