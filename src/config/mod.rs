//! Settings: defaults, file, environment, options; the later wins.
//!
//! This is the only module that reads environment variables. It knows what settings mean together (`Config::validate`)
//! but must not act on them. Start with [`Config`], then `settings` (the table of names) and `load`.

mod collector;
mod dial;
mod load;
mod phone;
mod resources;
pub mod settings;
mod wait;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::{Host, Url};

use crate::calls::{Choices, ColdTransferFailure, QueueResult};
use crate::entry::EntryFile;
use crate::http;
use crate::routing::{AccountSid, WorkspaceSid};
use crate::sealing::KeyRing;

pub use collector::names_trace_collector;
pub use dial::Dial;
pub use load::{Error, Sources};
pub use phone::{AuthScheme, Dialect, Phone};
pub use resources::Resources;
pub use wait::{Wait, is_language};

/// The defaults, documented line by line.
pub const DEFAULTS: &str = include_str!("default.toml");

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// URL of the database.
    pub database: String,
    /// Where absolute URLs begin.
    pub public_url: Option<String>,
    /// Whether a proxy's word is taken for the scheme and host of a request.
    pub trust_forwarded: bool,
    /// The first account.
    pub account_sid: Option<AccountSid>,
    /// Its auth token.
    pub auth_token: Option<SecretString>,
    /// File that holds it; read while loading.
    auth_token_file: Option<PathBuf>,
    /// Whether other machines may read `/metrics`.
    pub metrics_public: bool,
    /// Keys of secrets at rest.
    pub secrets: Secrets,
    /// The phone system.
    pub phone: Phone,
    /// Voice webhooks and TwiML.
    pub voice: Voice,
    /// What waiting callers hear.
    pub wait: Wait,
    /// Whom the server dials.
    pub dial: Dial,
    /// What a workspace may hold.
    pub resources: Resources,
    /// Requests to users' URLs.
    pub outbound: Outbound,
    /// Event callbacks.
    pub callbacks: Callbacks,
    /// Agents' sockets.
    pub sockets: Sockets,
    /// What agents' browsers may do.
    pub agents: Agents,
    /// What is counted.
    pub metrics: Metrics,
    /// Logs.
    pub log: Log,
    /// The listener's limits.
    pub limits: Limits,
    /// `switchhook phone`.
    pub phone_server: PhoneServer,
    /// `switchhook demo`
    pub demo: Demo,
}

/// Keys of secrets at rest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The keys, wherever they were given; none: those of the file beside the database.
    pub key: Option<SecretString>,
    /// File that holds them; read while loading.
    pub key_file: Option<PathBuf>,
}

/// Voice webhooks and TwiML.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "each field is the file's key of the same name")]
pub struct Voice {
    /// Directory of templates that replace the built-in ones.
    pub templates_dir: Option<PathBuf>,
    /// Take webhooks without a signature.
    pub insecure_skip_signature: bool,
    /// Calls that may wait for one workflow.
    pub waiting_calls_max: u32,
    /// Seconds of silence after which a waiting call is looked at.
    pub look_after_secs: u32,
    cold_transfer_failure: String,
    /// End the conference when the customer has left and one worker remains.
    pub end_room_when_customer_left: bool,
    /// Seconds for which a customer may be alone in the conference.
    pub customer_alone_secs: u32,
    /// Send a waiting caller on when the task is canceled.
    pub on_cancel_release_caller: bool,
    /// Calls in a row that a worker may miss.
    pub connect_failure_limit: u32,
    complete_ends_room: bool,
    auto_wrap_accepted_voice: bool,
    auto_unhold_on_transfer_accept: bool,
    enqueue_action_result_after_conference: String,
    recordings_in_attributes: bool,
    /// Caller ID where neither the instruction nor the task has one.
    pub default_caller_id: Option<String>,
    /// Parameters of a call that its task gets as attributes besides the usual ones.
    pub extra_call_attributes: Vec<String>,
    entries_file: Option<PathBuf>,
    /// What that file says; read while loading.
    #[serde(skip)]
    pub entries: EntryFile,
}

/// Requests to users' URLs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// Private networks and loopback may be reached.
    pub allow_private: bool,
    /// Networks that may be reached whatever they are.
    pub allow_cidrs: Vec<String>,
}

/// Event callbacks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callbacks {
    /// When failed ones are tried again.
    pub schedule: CallbackSchedule,
    /// Time for an answer.
    pub answer_secs: u64,
}

/// When failed event callbacks are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallbackSchedule {
    /// For three days.
    Patient,
    /// Once, as Twilio does.
    Twilio,
}

/// What agents' browsers may do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agents {
    /// Workspaces whose workers may not change their own attributes; [`Agents::ALL`] is all.
    pub attributes_locked: Vec<String>,
}

impl Agents {
    /// Stands for all workspaces.
    pub const ALL: &str = "all";
}

/// What is counted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Who is answered within this time is answered in time.
    pub service_level_secs: u32,
}

/// Agents' sockets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sockets {
    /// Open ones of one worker.
    pub per_worker: usize,
    /// Open ones of one address.
    pub per_address: usize,
    /// Open ones in all.
    pub total: usize,
    /// KiB that may wait for one.
    pub queued_kib: usize,
    /// Seconds for one to take a frame.
    pub write_secs: u64,
}

/// Logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Filter.
    pub level: String,
    /// Form.
    pub format: LogFormat,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

/// The listener's limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Open connections in total.
    pub connections: usize,
    /// Open connections without a first request.
    pub half_open: usize,
    /// Open connections of one address.
    pub connections_per_address: usize,
    /// Requests a second of one account.
    pub requests_per_sec: u32,
    /// Of these, lists filtered by an expression.
    pub expression_lists_per_sec: u32,
    /// Requests a second of one agent's browser.
    pub agent_requests_per_sec: u32,
    /// Seconds for a request head.
    pub head_secs: u64,
    /// Seconds for a request body.
    pub body_secs: u64,
    /// Seconds between two requests.
    pub idle_secs: u64,
}

impl Limits {
    /// As the listener takes them.
    #[must_use]
    pub fn for_listener(&self) -> http::Limits {
        http::Limits {
            connections: self.connections,
            half_open: self.half_open,
            connections_per_address: self.connections_per_address,
            requests_per_sec: self.requests_per_sec,
            expression_lists_per_sec: self.expression_lists_per_sec,
            agent_requests_per_sec: self.agent_requests_per_sec,
            head_time: Duration::from_secs(self.head_secs),
            body_time: Duration::from_secs(self.body_secs),
            idle_time: Duration::from_secs(self.idle_secs),
            ..http::Limits::default()
        }
    }
}

/// `switchhook phone`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneServer {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its account; that of [`Phone`] when absent.
    pub account_sid: Option<String>,
    /// Its auth token; that of [`Phone`] when absent.
    pub auth_token: Option<SecretString>,
    auth_token_file: Option<PathBuf>,
    /// Numbers and their voice URLs.
    pub numbers: BTreeMap<String, String>,
    /// Told how calls to the numbers go.
    pub status_callback: Option<String>,
    /// Where it is reached, for the URLs of recordings; its listener when absent.
    pub public_url: Option<String>,
    /// How much faster than in life time goes by.
    pub speed: f64,
}

/// `switchhook demo`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demo {
    /// How many callers ring in.
    pub calls: u32,
    /// Callers a second.
    pub rate: f64,
    /// Go on until interrupted.
    pub keep_running: bool,
}

impl Voice {
    /// What else of the voice side is chosen.
    pub fn choices(&self) -> Choices {
        Choices {
            complete_ends_room: self.complete_ends_room,
            auto_wrap_accepted_voice: self.auto_wrap_accepted_voice,
            auto_unhold_on_transfer_accept: self.auto_unhold_on_transfer_accept,
            recordings_in_attributes: self.recordings_in_attributes,
            redirected_after_conference: self.enqueue_action_result_after_conference
                == QueueResult::Redirected.as_str(),
        }
    }

    /// What is wrong with the words and texts, if anything.
    fn problem(&self) -> Option<String> {
        let after = self.enqueue_action_result_after_conference.as_str();
        if ![QueueResult::Bridged, QueueResult::Redirected].iter().any(|result| result.as_str() == after) {
            let key = "voice.enqueue_action_result_after_conference";
            return Some(format!("{key}: expected bridged or redirected, found {after}"));
        }
        let caller_id = self.default_caller_id.as_deref();
        if caller_id.is_some_and(|number| number.trim() != number || number.is_empty() || number.len() > 128) {
            return Some("voice.default_caller_id: expected a number of 1 to 128 characters".to_owned());
        }
        let plain = |name: &str| {
            let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            letters && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.len() <= 64
        };
        let wrong = self.extra_call_attributes.iter().find(|name| !plain(name))?;
        let example = "letters, digits and _, such as forwarded_from";
        Some(format!("voice.extra_call_attributes: expected {example}, found {wrong}"))
    }

    /// What becomes of a customer whom a cold transfer has left alone.
    #[must_use]
    pub fn cold_transfer_failure(&self) -> ColdTransferFailure {
        ColdTransferFailure::from_text(&self.cold_transfer_failure).unwrap_or_default()
    }
}

impl Config {
    /// Loads, merges and checks all settings.
    pub fn load(sources: &Sources) -> Result<Self, Error> {
        let mut config = load::merge(sources)?;
        config.read_secret_files()?;
        config.read_entries_file()?;
        config.validate()?;
        Ok(config)
    }

    /// Base URL under which the phone system and clients reach the server: the public one, else the listener's.
    #[must_use]
    pub fn reachable_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }

    fn read_secret_files(&mut self) -> Result<(), Error> {
        let phone = &mut self.phone;
        let phone_server = &mut self.phone_server;
        for (key, file, secret) in [
            ("auth_token_file", &self.auth_token_file, &mut self.auth_token),
            ("secrets.key_file", &self.secrets.key_file, &mut self.secrets.key),
            ("phone.auth_token_file", &phone.auth_token_file, &mut phone.auth_token),
            ("phone.api_key_secret_file", &phone.api_key_secret_file, &mut phone.api_key_secret),
            ("phone.previous_auth_token_file", &phone.previous_auth_token_file, &mut phone.previous_auth_token),
            ("phone_server.auth_token_file", &phone_server.auth_token_file, &mut phone_server.auth_token),
        ] {
            let Some(file) = file else { continue };
            if secret.is_some() {
                let token = key.trim_end_matches("_file");
                return Err(Error::Contradiction(format!("{token} and {key} are both set, expected one of them")));
            }
            let text = std::fs::read_to_string(file).map_err(|source| Error::SecretFile {
                key,
                file: file.clone(),
                source,
            })?;
            *secret = Some(SecretString::from(text.trim().to_owned()));
        }
        Ok(())
    }

    /// Reads the file of entry points, and whom it would have dialled.
    fn read_entries_file(&mut self) -> Result<(), Error> {
        let Some(file) = &self.voice.entries_file else { return Ok(()) };
        let text = std::fs::read_to_string(file).map_err(|source| Error::SecretFile {
            key: "voice.entries_file",
            file: file.clone(),
            source,
        })?;
        let wrong = |reason: String| Error::Contradiction(format!("voice.entries_file {}: {reason}", file.display()));
        let entries = EntryFile::parse(&text).map_err(wrong)?;
        // Rules that are none are told of later.
        if let Ok(rules) = self.dial_rules() {
            for (key, number) in entries.numbers() {
                rules.check(number).map_err(|denied| wrong(format!("{key}: {denied}")))?;
            }
        }
        self.voice.entries = entries;
        Ok(())
    }

    /// Whether the phone system is one for tests: there is none, or it is on this machine. Nothing that it dials costs
    /// anything.
    pub fn phone_is_for_tests(&self) -> bool {
        let Some(url) = &self.phone.url else { return true };
        let host = url::Url::parse(url).ok().and_then(|url| url.host().map(|host| host.to_owned()));
        match host {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Checks what depends on several settings, and texts that have a grammar.
    fn validate(&self) -> Result<(), Error> {
        let contradiction = |text: String| Err(Error::Contradiction(text));
        if self.account_sid.is_some() != self.auth_token.is_some() {
            return contradiction("account_sid and auth_token go together: expected both or none".to_owned());
        }
        let loopback = self.listen.ip().is_loopback();
        if !loopback
            && let Some(token) = &self.auth_token
            && bits_of(token.expose_secret()) < 128
        {
            return contradiction(format!(
                "auth_token is too easy to guess for the listener {}: expected at least 128 bits, for example the \
                 output of `openssl rand -hex 16`",
                self.listen
            ));
        }
        if !loopback && self.voice.insecure_skip_signature {
            return contradiction(format!(
                "voice.insecure_skip_signature is refused on the listener {}, because anybody could put calls into the \
                 queues; listen on a loopback address or set phone.auth_token",
                self.listen
            ));
        }
        if let Some(keys) = &self.secrets.key
            && let Err(error) = KeyRing::parse(keys.expose_secret())
        {
            let origin = self.secrets.key_file.as_ref();
            let origin =
                origin.map_or_else(|| "secrets.key".to_owned(), |file| format!("secrets.key_file {}", file.display()));
            return contradiction(format!("{origin}: {error}"));
        }
        let phone = &self.phone;
        if let Some(problem) = phone.problem() {
            return contradiction(problem);
        }
        for (key, url) in [
            ("public_url", &self.public_url),
            ("phone.url", &phone.url),
            ("phone_server.status_callback", &self.phone_server.status_callback),
            ("phone_server.public_url", &self.phone_server.public_url),
        ] {
            if let Some(url) = url {
                check_url(key, url)?;
            }
        }
        for (number, url) in &self.phone_server.numbers {
            check_url(&format!("phone_server.numbers.{number}"), url)?;
        }
        if phone.url.is_some() && self.public_url.is_none() && self.listen.ip().is_unspecified() {
            return contradiction(format!(
                "public_url is missing: the phone system has to reach the server, and {} is no address to reach",
                self.listen
            ));
        }
        if let Some(url) = &self.public_url
            && Url::parse(url).is_ok_and(|url| url.query().is_some() || url.fragment().is_some())
        {
            return contradiction("public_url: expected no query and no fragment".to_owned());
        }
        let limits = &self.limits;
        for (key, value) in [
            ("limits.connections", limits.connections as u64),
            ("limits.half_open", limits.half_open as u64),
            ("limits.connections_per_address", limits.connections_per_address as u64),
            ("limits.requests_per_sec", limits.requests_per_sec.into()),
            ("limits.expression_lists_per_sec", limits.expression_lists_per_sec.into()),
            ("limits.agent_requests_per_sec", limits.agent_requests_per_sec.into()),
            ("limits.head_secs", limits.head_secs),
            ("limits.body_secs", limits.body_secs),
            ("limits.idle_secs", limits.idle_secs),
        ] {
            if !(1..=1_000_000).contains(&value) {
                return contradiction(format!("{key}: expected 1 to 1000000, found {value}"));
            }
        }
        let waiting = self.voice.waiting_calls_max;
        if !(1..=5_000).contains(&waiting) {
            return contradiction(format!("voice.waiting_calls_max: expected 1 to 5000, found {waiting}"));
        }
        let word = &self.voice.cold_transfer_failure;
        if ColdTransferFailure::from_text(word).is_none() {
            let words = ColdTransferFailure::WORDS.join(", ");
            return contradiction(format!("voice.cold_transfer_failure: expected one of {words}, found {word}"));
        }
        if let Some(problem) = self.voice.problem() {
            return contradiction(problem);
        }
        let alone = self.voice.customer_alone_secs;
        if !(1..=300).contains(&alone) {
            return contradiction(format!("voice.customer_alone_secs: expected 1 to 300, found {alone}"));
        }
        let failures = self.voice.connect_failure_limit;
        if failures > 1_000 {
            return contradiction(format!("voice.connect_failure_limit: expected 0 to 1000, found {failures}"));
        }
        let look_after = self.voice.look_after_secs;
        if !(2..=3_600).contains(&look_after) {
            return contradiction(format!("voice.look_after_secs: expected 2 to 3600, found {look_after}"));
        }
        if let Some(problem) = self.resources.problem().or_else(|| self.wait.problem()) {
            return contradiction(problem);
        }
        if let Some(url) = &self.wait.music_url {
            check_url("wait.music_url", url)?;
        }
        let rules = match self.dialling().and_then(|_| self.dial_rules()) {
            Ok(rules) => rules,
            Err(error) => return contradiction(error),
        };
        // What is promised has to be possible.
        if let Some(prefix) = self.wait.callback_prefixes.iter().find(|prefix| !rules.covers(prefix)) {
            return contradiction(format!(
                "wait.callback_prefixes: numbers that begin with {prefix} may not be dialled; add it to dial.allow"
            ));
        }
        let answer_secs = self.callbacks.answer_secs;
        if !(1..=30).contains(&answer_secs) {
            return contradiction(format!("callbacks.answer_secs: expected 1 to 30, found {answer_secs}"));
        }
        let sockets = &self.sockets;
        for (key, value, range) in [
            ("sockets.per_worker", sockets.per_worker as u64, 1..=1_000),
            ("sockets.per_address", sockets.per_address as u64, 1..=1_000_000),
            ("sockets.total", sockets.total as u64, 1..=1_000_000),
            ("sockets.queued_kib", sockets.queued_kib as u64, 16..=16_384),
            ("sockets.write_secs", sockets.write_secs, 1..=60),
        ] {
            if !range.contains(&value) {
                let (start, end) = range.into_inner();
                return contradiction(format!("{key}: expected {start} to {end}, found {value}"));
            }
        }
        let service_level = self.metrics.service_level_secs;
        if !(1..=3_600).contains(&service_level) {
            return contradiction(format!("metrics.service_level_secs: expected 1 to 3600, found {service_level}"));
        }
        let is_known = |name: &str| name == Agents::ALL || name.parse::<WorkspaceSid>().is_ok();
        if let Some(name) = self.agents.attributes_locked.iter().find(|name| !is_known(name)) {
            return contradiction(format!(
                "agents.attributes_locked: expected SIDs of workspaces or all, found {name:?}"
            ));
        }
        let speed = self.phone_server.speed;
        if !(0.01..=1_000.0).contains(&speed) {
            return contradiction(format!("phone_server.speed: expected 0.01 to 1000, found {speed}"));
        }
        let Demo { calls, rate, .. } = self.demo;
        if !(1..=1_000_000).contains(&calls) {
            return contradiction(format!("demo.calls: expected 1 to 1000000, found {calls}"));
        }
        if !(0.01..=1_000.0).contains(&rate) {
            return contradiction(format!("demo.rate: expected 0.01 to 1000, found {rate}"));
        }
        Ok(())
    }

    /// Whether everybody who can reach the listener is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().is_loopback()
    }
}

fn check_url(key: &str, text: &str) -> Result<(), Error> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain("")) | None => {
            Err(Error::Contradiction(format!("{key}: expected an http or https URL, found {text:?}")))
        }
        Some(_) => Ok(()),
    }
}

/// How many bits a token of this look can hold at best: by its length, its alphabet and how many characters it repeats.
fn bits_of(token: &str) -> usize {
    let distinct = token.bytes().collect::<std::collections::BTreeSet<_>>().len();
    if distinct < 6 {
        return 0;
    }
    let tenths_per_character = if token.bytes().all(|byte| byte.is_ascii_hexdigit()) { 40 } else { 59 };
    token.chars().count() * tenths_per_character / 10
}

#[cfg(test)]
mod tests;
