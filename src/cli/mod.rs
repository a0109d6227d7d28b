//! The command line: what each subcommand does, in plain words on the terminal.
//!
//! Commands put the parts of the library together and decide nothing themselves. Every setting is an option, made from
//! the table in `config::settings`. Start with [`run`], then the file of a command.

mod accounts;
mod api_keys;
mod arguments;
mod demo;
mod descriptors;
mod doctor;
mod migrate;
mod phone;
mod serve;
mod signals;
mod tokens;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use crate::config::{Config, Log, Sources};
use crate::outbound::InvalidCidr;
use crate::sealing::KeyRing;
use crate::store::{KeySource, Store};
use crate::{telemetry, traces};

use arguments::{Command, Parsed};

/// The command did not do what it was asked to.
const FAILED: u8 = 1;
/// Arguments or settings are wrong; nothing was done.
const MISUSED: u8 = 2;
/// The server stopped by itself, because it could not keep its promises any longer.
const GAVE_UP: u8 = 3;

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
    GaveUp,
}

/// Runs the program with these arguments, the first of which is its name; the exit code is 0 when all went well, 1 when
/// the command failed, 2 when arguments or settings are wrong, 3 when the server gave up by itself.
pub fn run(arguments: impl IntoIterator<Item = OsString>, mut sources: Sources) -> ExitCode {
    let Parsed { command, file, options } = match arguments::parse(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            let code = if error.use_stderr() { MISUSED } else { 0 };
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return code.into();
        }
    };
    sources.file = file;
    sources.options = options;
    if let Command::Demo(_) = command {
        demo::adapt(&mut sources);
    }
    let config = match Config::load(&sources) {
        Ok(config) => config,
        Err(error) => {
            complain(&anyhow::Error::new(error));
            return MISUSED.into();
        }
    };
    match carry_out(command, &config) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => FAILED.into(),
        Ok(Outcome::GaveUp) => GAVE_UP.into(),
        Err(error) => {
            complain(&error);
            if is_misuse(&error) { MISUSED.into() } else { FAILED.into() }
        }
    }
}

/// Whether a setting is to blame whose grammar only its user knows.
fn is_misuse(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.is::<InvalidCidr>() || matches!(cause.downcast_ref(), Some(telemetry::Error::Filter(_))))
}

fn carry_out(command: Command, config: &Config) -> anyhow::Result<Outcome> {
    start_log(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve => serve::run(config).await,
            Command::Phone => phone::run(config).await,
            Command::Demo(options) => demo::run(config, options).await,
            Command::Migrate => migrate::run(config).await,
            Command::Doctor => doctor::run(config).await,
            Command::CreateAccount { friendly_name } => accounts::create(config, friendly_name).await,
            Command::CreateKey { account, name } => api_keys::create(config, account, name).await,
            Command::ListKeys { account } => api_keys::list(config, account).await,
            Command::RevokeKey { key } => api_keys::revoke(config, key).await,
            Command::CreateToken(wanted) => tokens::create(config, wanted).await,
            Command::Reencrypt => api_keys::reencrypt(config).await,
        }
    });
    traces::flush();
    // Reads of a file or a name that hangs must not hold the end of the process.
    runtime.shutdown_background();
    outcome
}

/// Opens the database, also beside a running server.
async fn open(config: &Config) -> anyhow::Result<Store> {
    Store::open_shared(&config.database, key_source(config)).await.context("cannot open the database")
}

/// Where the keys of the secrets in the database are.
fn key_source(config: &Config) -> KeySource {
    match (&config.secrets.key_file, &config.secrets.key) {
        (Some(file), _) => KeySource::File(file.clone()),
        (None, Some(keys)) => {
            let ring = KeyRing::parse(keys.expose_secret()).expect("keys were checked with the other settings");
            KeySource::Given(Arc::new(ring))
        }
        (None, None) => KeySource::BesideDatabase,
    }
}

fn start_log(log: &Log) -> anyhow::Result<()> {
    telemetry::log(log).context("cannot start the log")
}

/// Writes one line to standard output.
fn say(line: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).context("cannot write to the terminal")
}

fn complain(error: &anyhow::Error) {
    // Nobody is left to tell when the terminal is gone.
    let _ = writeln!(std::io::stderr().lock(), "error: {}", in_full(error));
}

/// An error with its causes; a cause that the error before it quotes already is left out.
fn in_full(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes_but_nothing_twice() {
        let cause = anyhow::anyhow!("disk full");
        assert_eq!(in_full(&cause.context("cannot write")), "cannot write: disk full");
        let cause = anyhow::anyhow!("disk full");
        assert_eq!(
            in_full(&cause.context("cannot write: disk full").context("failed")),
            "failed: cannot write: disk full"
        );
    }
}
