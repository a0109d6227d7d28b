//! Reads the command line.
//!
//! Options of settings come from the table in `config::settings`; their texts are handed on unread, because what they
//! mean depends on the other layers. Start with [`parse`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, value_parser};

use crate::api::API_KEY_NAME_LIMIT;
use crate::config::settings::{FILE_VARIABLE, SETTINGS};
use crate::routing::{AccountSid, ApiKeySid};

use super::tokens::Wanted;

/// Heading of the settings in help.
const HEADING: &str = "Settings (also in the file and as environment variables)";

#[derive(Debug, Parser)]
#[command(
    name = "switchhook",
    version,
    about = "A self-hosted call-queue server that speaks Twilio TaskRouter",
    after_help = "Exit codes: 0 all went well, 1 the command failed, 2 arguments or settings are wrong, 3 the server \
                  stopped because it could not write its database any more."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the server (also without a subcommand)
    Serve,
    /// Run the phone system of our own, with loopback media
    Phone,
    /// Run both in one process, with callers and agents, and show what happens
    Demo(DemoOptions),
    /// Bring the database's schema up to date and say what was applied
    Migrate,
    /// Check settings, database, public URL, phone system, templates, and say how to mend what is wrong
    Doctor,
    /// Make an account and print its SID and auth token, once; works beside a running server
    CreateAccount {
        /// A name for people
        #[arg(long, default_value = "account", value_name = "NAME")]
        friendly_name: String,
    },
    /// Make an API key of an account and print its SID and secret, once; works beside a running server
    CreateKey {
        /// The account that the key is for
        #[arg(long, value_name = "SID")]
        account: AccountSid,
        /// A name for people, at most 64 characters
        #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME", value_parser = key_name)]
        name: String,
    },
    /// List API keys, oldest first: SID, account, creation, name
    ListKeys {
        /// Only keys of this account
        #[arg(long, value_name = "SID")]
        account: Option<AccountSid>,
    },
    /// End an API key for good; a running server refuses it at once
    RevokeKey {
        /// The key
        #[arg(value_name = "SK…")]
        key: ApiKeySid,
    },
    /// Make an access token for the agents' SDK and print it; works beside a running server
    CreateToken(Wanted),
    /// Encrypt all secrets in the database with the first key of `secrets.key`; no server may be running
    Reencrypt,
}

fn key_name(text: &str) -> Result<String, String> {
    let fits = text.chars().count() <= API_KEY_NAME_LIMIT && !text.contains(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("expected one line of at most {API_KEY_NAME_LIMIT} characters"))
    }
}

/// Options of `demo`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DemoOptions {
    /// How many callers ring in [default: demo.calls, 20]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(super) calls: Option<u32>,
    /// Callers a second [default: demo.rate, 1]
    #[arg(long, value_name = "R", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Go on until interrupted
    #[arg(long)]
    pub(super) keep_running: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.01..=1_000.0).contains(&rate) { Ok(rate) } else { Err("expected 0.01 to 1000".to_owned()) }
}

/// What the command line says.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) command: Command,
    /// File of settings.
    pub(super) file: Option<PathBuf>,
    /// Key of a setting, and its text.
    pub(super) options: BTreeMap<&'static str, String>,
}

/// Reads the command line; an error may also be help or the version, which clap prints.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let given = Arguments::from_arg_matches(&matches)?;
    // Options may stand before or after the subcommand.
    let last: &ArgMatches = matches.subcommand().map_or(&matches, |(_, matches)| matches);
    let options = SETTINGS
        .iter()
        .filter_map(|setting| Some((setting.key, last.get_one::<String>(setting.key)?.clone())))
        .collect();
    let file = last.get_one::<PathBuf>("config").cloned();
    Ok(Parsed { command: given.command.unwrap_or(Command::Serve), file, options })
}

fn command() -> clap::Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .global(true)
        .help_heading(HEADING)
        .help(format!("File of settings; switchhook.toml when that exists [env: {FILE_VARIABLE}]"));
    let settings = SETTINGS.iter().map(|setting| {
        Arg::new(setting.key)
            .long(setting.option)
            .value_name(setting.value_name)
            .global(true)
            .help_heading(HEADING)
            .help(format!("{} [env: {}] [key: {}]", setting.help, setting.variable, setting.key))
    });
    Arguments::command().arg(file).args(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Parsed {
        parse(line.split(' ').map(OsString::from)).unwrap()
    }

    fn refused(line: &str) -> String {
        parse(line.split(' ').map(OsString::from)).unwrap_err().to_string()
    }

    #[test]
    fn the_table_makes_a_command_line_without_contradictions() {
        command().debug_assert();
    }

    #[test]
    fn the_server_is_run_when_nothing_else_is_asked() {
        assert!(matches!(parsed("switchhook").command, Command::Serve));
        assert!(matches!(parsed("switchhook --listen 127.0.0.1:1").command, Command::Serve));
        assert!(matches!(parsed("switchhook serve").command, Command::Serve));
    }

    #[test]
    fn options_may_stand_before_and_after_the_subcommand() {
        let before = parsed("switchhook --listen 127.0.0.1:1 --config a.toml phone");
        let after = parsed("switchhook phone --listen 127.0.0.1:1 --config a.toml");
        for parsed in [before, after] {
            assert!(matches!(parsed.command, Command::Phone));
            assert_eq!(parsed.options["listen"], "127.0.0.1:1");
            assert_eq!(parsed.options.len(), 1);
            assert_eq!(parsed.file, Some(PathBuf::from("a.toml")));
        }
    }

    #[test]
    fn the_demo_has_options_of_its_own() {
        let Command::Demo(options) = parsed("switchhook demo --calls 3 --rate 0.5 --keep-running").command else {
            panic!("expected the demo");
        };
        assert_eq!((options.calls, options.rate, options.keep_running), (Some(3), Some(0.5), true));
        assert!(refused("switchhook demo --calls 0").contains("--calls"));
        assert!(refused("switchhook demo --rate never").contains("expected a number"));
    }

    #[test]
    fn help_names_every_setting_in_its_three_forms() {
        let help = refused("switchhook --help");
        for setting in SETTINGS {
            for name in [setting.key, setting.variable, setting.option] {
                assert!(help.contains(name), "help lacks {name}");
            }
        }
        for command in [
            "serve",
            "phone",
            "demo",
            "migrate",
            "doctor",
            "create-account",
            "create-key",
            "list-keys",
            "revoke-key",
            "create-token",
            "reencrypt",
        ] {
            assert!(help.contains(command), "help lacks {command}");
        }
    }

    #[test]
    fn a_token_needs_a_workspace_a_key_and_a_known_role() {
        let (workspace, key) = (format!("WS{:032}", 1), format!("SK{:032}", 2));
        let line = format!("switchhook create-token --workspace {workspace} --key {key}");
        assert!(matches!(parsed(&line).command, Command::CreateToken(_)));
        assert!(refused(&format!("{line} --role owner")).contains("[possible values: worker, supervisor, admin]"));
        assert!(refused(&format!("{line} --lifetime 86401")).contains("86401 is not in 1..=86400"));
        assert!(refused(&format!("{line} --worker {workspace}")).contains("--worker"));
        assert!(refused(&format!("switchhook create-token --key {key}")).contains("--workspace"));
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        assert!(refused("switchhook --listn 1").contains("--listn"));
        assert!(refused("switchhook dance").contains("dance"));
    }
}
