//! Ours beside its peers: `roundtrip-bench --only side-by-side` without its report. `--full` adds what takes minutes, `--time SECONDS`
//! says how long the rest may take.

use std::process::ExitCode;
use std::time::Duration;

use lexopt::ValueExt as _;
use roundtrip_bench::alloc::Counting;
use roundtrip_bench::model::{self, Comparison};
use roundtrip_bench::side_by_side::{self, Options};
use roundtrip_bench::watch::Watch;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    // A contestant is this program in a process of its own.
    if let Some(ended) = side_by_side::take_over() {
        return ended;
    }
    match options().and_then(|options| side_by_side::run(&options, &Aloud)) {
        Ok(comparisons) => {
            comparisons.iter().for_each(show);
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("side_by_side: {message}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            lexopt::Arg::Long("full") => options.full = true,
            lexopt::Arg::Long("time") => {
                let seconds: u32 = parser.value().and_then(|value| value.parse()).map_err(|error| error.to_string())?;
                options.time = Duration::from_secs(seconds.into());
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    Ok(options)
}

/// Says on standard error what is being done.
struct Aloud;

impl Watch for Aloud {
    fn doing(&self, what: &str) {
        eprintln!("{what}");
    }

    fn stopped(&self) -> bool {
        false
    }
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn show(comparison: &Comparison) {
    println!("\n{} [{}], {}; ratios to {}", comparison.id, comparison.unit, comparison.title, comparison.base);
    for contestant in &comparison.contestants {
        let of = |figures: &[f64], digits: usize| match (model::median(figures), model::spread(figures)) {
            (Some(middle), Some((least, most))) => format!("{middle:.digits$} ({least:.digits$} to {most:.digits$})"),
            _ => "-".into(),
        };
        let digits = if comparison.unit == "us" || comparison.unit == "allocations" { 2 } else { 0 };
        let note = contestant.note.as_deref().unwrap_or_default();
        let (figures, ratios) = (of(&contestant.figures, digits), of(&contestant.ratios, 2));
        println!("  {:<22} {figures:<34} {ratios:<24} {note}", contestant.name);
    }
    for absent in &comparison.absent {
        println!("  {:<22} absent: {}", absent.name, absent.why);
    }
}
