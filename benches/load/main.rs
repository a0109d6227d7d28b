//! The server under load, its memory, its restart, and what a change of a worker costs; with targets.
//!
//! The server runs as a process of its own on a temporary SQLite file; the generator is this process. `make bench-load`
//! runs all parts; `cargo bench --bench load -- memory restart` some of them. Every figure stands beside a floor that is
//! measured in the same run. The scene is `floor`, the parts are `arrivals`, `memory`, `restart` and `attributes`. Start
//! with [`main`].

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod arrivals;
mod attributes;
mod figures;
mod floor;
mod memory;
mod raw;
mod restart;
mod server;

use figures::Table;

/// What to measure, and on what scale.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    parts: Vec<Part>,
    /// Waiting tasks.
    pub(crate) tasks: usize,
    /// Events in the file at the restart.
    pub(crate) events: u64,
    /// How long arrivals are measured.
    pub(crate) seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Memory,
    Arrivals,
    Restart,
    Attributes,
}

const PARTS: [(&str, Part); 4] = [
    ("memory", Part::Memory),
    ("arrivals", Part::Arrivals),
    ("restart", Part::Restart),
    ("attributes", Part::Attributes),
];

const USAGE: &str = "usage: cargo bench --bench load -- [memory] [arrivals] [restart] [attributes] \
                     [--tasks N] [--events N] [--seconds N]";

impl Plan {
    fn of(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self { parts: Vec::new(), tasks: 100_000, events: 1_000_000, seconds: 30 };
        let mut arguments = arguments.skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let text = arguments.next().unwrap_or_default();
                text.parse::<u32>().map_err(|_| format!("{argument} needs a whole number\n{USAGE}"))
            };
            match argument.as_str() {
                // What cargo itself passes on.
                "--bench" => {}
                "--tasks" => plan.tasks = usize::try_from(number()?).unwrap_or(usize::MAX),
                "--events" => plan.events = number()?.into(),
                "--seconds" => plan.seconds = number()?.into(),
                name => match PARTS.iter().find(|(part, _)| *part == name) {
                    Some((_, part)) => plan.parts.push(*part),
                    None => return Err(format!("there is no part {name}\n{USAGE}")),
                },
            }
        }
        Ok(plan)
    }

    fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }
}

fn main() -> std::process::ExitCode {
    let plan = match Plan::of(std::env::args()) {
        Ok(plan) => plan,
        Err(reason) => {
            eprintln!("{reason}");
            return std::process::ExitCode::FAILURE;
        }
    };
    let mut table = Table::default();
    if plan.wants(Part::Attributes) {
        attributes::measure(&mut table);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure_server(&plan, &mut table));
    println!("\n{table}");
    std::process::ExitCode::SUCCESS
}

/// The parts that need the server, on one scene.
async fn measure_server(plan: &Plan, table: &mut Table) {
    if ![Part::Memory, Part::Arrivals, Part::Restart].iter().any(|part| plan.wants(*part)) {
        return;
    }
    let mut scene = floor::Scene::furnish().await;
    if plan.wants(Part::Memory) {
        memory::measure(plan, &mut scene, table).await;
    } else {
        scene.fill_in_process(plan.tasks).await;
    }
    if plan.wants(Part::Arrivals) {
        arrivals::measure(plan, &mut scene, table).await;
    }
    if plan.wants(Part::Restart) {
        restart::measure(plan, &mut scene, table).await;
    }
}
