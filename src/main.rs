//! The `switchhook` program: hands the arguments and the environment to the library and ends with its exit code.

use std::process::ExitCode;

use switchhook::cli;
use switchhook::config::Sources;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), Sources::of_process())
}
