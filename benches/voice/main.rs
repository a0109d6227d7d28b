//! Calls under load: how soon a voice webhook is answered, and two thousand calls at the same time.
//!
//! Server and phone system (`switchhook serve`, `switchhook phone`) run as processes of their own; this process is what
//! calls, and the application that answers assignment callbacks. `make bench-voice` runs both parts; `cargo bench --bench
//! voice -- calls --calls 500` one of them, and smaller. The programs are `sides`, the parts are `webhook` and `calls`, what
//! stands beside them is `floor`. Start with [`main`].

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod calls;
#[path = "../load/figures.rs"]
mod figures;
mod floor;
mod sides;
mod webhook;

use figures::Table;

/// What to measure, and on what scale.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    webhook: bool,
    all: bool,
    /// Calls at the same time.
    pub(crate) calls: usize,
    /// How long webhooks are measured in each round.
    pub(crate) seconds: u32,
}

const USAGE: &str = "usage: cargo bench --bench voice -- [webhook] [calls] [--calls N] [--seconds N]";

impl Plan {
    fn of(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self { webhook: false, all: true, calls: 2_000, seconds: 5 };
        let mut arguments = arguments.skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let text = arguments.next().unwrap_or_default();
                text.parse::<u32>().map_err(|_| format!("{argument} needs a whole number\n{USAGE}"))
            };
            match argument.as_str() {
                // What cargo itself passes on.
                "--bench" => {}
                "--calls" => plan.calls = usize::try_from(number()?).unwrap_or(usize::MAX),
                "--seconds" => plan.seconds = number()?,
                "webhook" => (plan.webhook, plan.all) = (true, false),
                "calls" => plan.all = false,
                name => return Err(format!("there is no part {name}\n{USAGE}")),
            }
        }
        Ok(plan)
    }
}

fn main() -> std::process::ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if std::env::args().nth(1).as_deref() == Some(floor::COMMAND) {
        runtime.block_on(floor::serve());
        return std::process::ExitCode::SUCCESS;
    }
    let asked: Vec<String> = std::env::args().collect();
    let plan = match Plan::of(asked.iter().cloned()) {
        Ok(plan) => plan,
        Err(reason) => {
            eprintln!("{reason}");
            return std::process::ExitCode::FAILURE;
        }
    };
    let mut table = Table::default();
    runtime.block_on(async {
        if plan.all || plan.webhook {
            webhook::measure(&plan, &mut table).await;
        }
        if plan.all || asked.iter().any(|argument| argument == "calls") {
            calls::measure(&plan, &mut table).await;
        }
    });
    println!("\n{table}");
    std::process::ExitCode::SUCCESS
}
