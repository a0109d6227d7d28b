//! Both cores under random requests and faults, millions of steps long, with every invariant checked on the way.
//!
//! `make sim SEED=42 STEPS=1000000` runs one workspace after the other; a failure prints the seed, the steps that lead to
//! it and the command that plays them again. `docs/testing.md` tells more. Start with [`world`], then [`hunt`].

mod defects;
mod dice;
mod disk;
mod hunt;
mod phone;
#[path = "../watch/mod.rs"]
mod watch;
mod weather;
mod world;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::io::Write as _;
use std::process::ExitCode;

/// What is asked of the simulation on its command line.
#[derive(Debug, Default)]
struct Asked {
    /// `continuous-integration`, `defects`, `storm`, or nothing: one run.
    what: Option<String>,
    seed: Option<u64>,
    steps: Option<u64>,
    /// Play these steps only.
    keep: Option<String>,
    /// With this defect.
    defect: Option<String>,
}

impl Asked {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut asked = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().filter(|value| !value.is_empty());
            match word.as_str() {
                "--seed" => asked.seed = value().map(|text| number(&text)).transpose()?,
                "--steps" => asked.steps = value().map(|text| number(&text)).transpose()?,
                "--keep" => asked.keep = value(),
                "--defect" => asked.defect = value(),
                "run" | "continuous-integration" | "defects" | "storm" => asked.what = Some(word),
                other => return Err(format!("expected --seed, --steps, --keep, --defect or a word, found {other:?}")),
            }
        }
        Ok(asked)
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| format!("expected a number, found {text:?}"))
}

fn main() -> ExitCode {
    let outcome = Asked::read(std::env::args().skip(1)).and_then(|asked| match asked.what.as_deref() {
        Some("continuous-integration") => hunt::continuous_integration(),
        Some("defects") => defects::all_are_found(),
        Some("storm") => hunt::storm(asked.defect.as_deref()),
        _ => hunt::run(
            asked.seed.unwrap_or(1),
            asked.steps.unwrap_or(1_000_000),
            asked.keep.as_deref(),
            asked.defect.as_deref(),
        ),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Prints a line.
fn say(line: &str) {
    // A closed pipe ends the program soon enough.
    let _ = writeln!(std::io::stdout(), "{line}");
}
