//! Makes the page and the tables of an earlier run again, from its `results.json`.
//!
//! `cargo run -p roundtrip-bench --example report -- results.json [DIRECTORY]` prints the tables, and writes the page into the
//! directory if one is named.

use std::path::Path;
use std::process::ExitCode;

use roundtrip_bench::model::Results;
use roundtrip_bench::report;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let Some(file) = args.next() else {
        eprintln!("usage: report RESULTS.json [DIRECTORY]");
        return ExitCode::FAILURE;
    };
    match again(Path::new(&file), args.next().as_ref().map(Path::new)) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("report: {message}");
            ExitCode::FAILURE
        }
    }
}

fn again(file: &Path, dir: Option<&Path>) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let results: Results = serde_json::from_str(&text)
        .map_err(|error| format!("{} is not the figures of a run: {error}", file.display()))?;
    if let Some(dir) = dir {
        report::write(&results, dir)?;
    }
    Ok(format!("{}\n{}", report::go_format(&results), report::terminal(&results)))
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
