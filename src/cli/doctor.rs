//! `doctor`: checks the settings and what they point to; one line each, with how to mend what is wrong.
//!
//! It repairs nothing. Start with [`run`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::StatusCode;

use crate::config::Config;
use crate::outbound;
use crate::server::PhoneAccess;
use crate::store::{self, SecretsReport, Store};
use crate::voice::Templates;

use super::serve::{outbound_rules, phone_access};
use super::{Outcome, key_source, say};

/// How long another machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How one check went.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    Fine(String),
    /// Works, but not as it may be meant.
    Doubtful(String),
    Broken(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fine(text) => write!(formatter, "ok    {text}"),
            Self::Doubtful(text) => write!(formatter, "warn  {text}"),
            Self::Broken(text) => write!(formatter, "fail  {text}"),
        }
    }
}

use Finding::{Broken, Doubtful, Fine};

/// Checks everything; fails when a check does.
pub(super) async fn run(config: &Config) -> anyhow::Result<Outcome> {
    let client = outbound::client_builder().timeout(PATIENCE).build().context("cannot set up the HTTP client")?;
    let mut findings = vec![Fine("settings: readable, and they go together".to_owned())];
    findings.extend(database(config).await);
    findings.push(public_url(config, &client).await);
    findings.push(phone_system(config, &client).await);
    findings.push(templates(config));
    findings.push(outbound_settings(config));
    findings.push(dialling(config));
    if config.voice.insecure_skip_signature {
        findings.push(Doubtful(
            "voice webhooks: signatures are not checked; set voice.insecure_skip_signature to false outside experiments"
                .to_owned(),
        ));
    }
    let mut outcome = Outcome::Done;
    for finding in &findings {
        say(&finding.to_string())?;
        if matches!(finding, Broken(_)) {
            outcome = Outcome::Failed;
        }
    }
    Ok(outcome)
}

/// Whom the server may dial at its owner's expense.
fn dialling(config: &Config) -> Finding {
    let allow = &config.dial.allow;
    if allow.iter().any(|entry| matches!(entry.trim(), "+" | "*")) {
        return Doubtful(
            "dialling: every number but satellite and premium ones; name the countries you call in dial.allow instead"
                .to_owned(),
        );
    }
    if allow.is_empty() && config.phone_is_for_tests() {
        return Fine(
            "dialling: everybody but satellite and premium numbers, because the phone system is on this machine"
                .to_owned(),
        );
    }
    if allow.is_empty() {
        return Fine(
            "dialling: clients of the phone system only; numbers and SIP domains have to be named in dial.allow"
                .to_owned(),
        );
    }
    Fine(format!("dialling: clients of the phone system and {}", allow.join(", ")))
}

/// Reachable, up to date, writable; and whether somebody may use the API.
async fn database(config: &Config) -> Vec<Finding> {
    let url = &config.database;
    if file_of(url).is_some_and(|file| !file.exists()) {
        let missing =
            format!("database: {url} does not exist yet; `switchhook migrate` or `switchhook serve` makes it");
        return vec![Doubtful(missing)];
    }
    let store = match Store::open_shared(url, key_source(config)).await {
        Ok(store) => store,
        Err(error @ store::Error::Keys { .. }) => return vec![Broken(format!("secrets: {error}"))],
        Err(error) => {
            let advice = "check SWITCHHOOK_DATABASE_URL, the rights of the file and its directory, and the disk";
            return vec![Broken(format!("database: cannot open {url}: {error}; {advice}"))];
        }
    };
    let writable = match store.ready().await {
        Ok(()) => Fine(format!("database: {url} is reachable, up to date and can be written")),
        Err(error) => Broken(format!(
            "database: {url} cannot be written: {error}; end whatever holds it locked, or check the disk"
        )),
    };
    let accounts = match store.accounts().await {
        Ok(accounts) if !accounts.is_empty() => Fine(format!("accounts: {}", accounts.len())),
        Ok(_) if config.account_sid.is_some() => {
            Fine("accounts: `switchhook serve` makes that of the settings".to_owned())
        }
        Ok(_) => no_account(config),
        Err(error) => Broken(format!("accounts: cannot be read: {error}; run `switchhook migrate`")),
    };
    let secrets = match store.check_secrets().await {
        Ok(report) => secrets(&report),
        Err(error) => vec![Broken(format!("secrets: {error}"))],
    };
    store.close().await;
    [writable, accounts].into_iter().chain(secrets).collect()
}

/// Every secret opened; what is left to look at are the file's mode and older keys.
fn secrets(report: &SecretsReport) -> Vec<Finding> {
    let SecretsReport { origin, file, beside_database, key, secrets, with_other_keys } = report;
    let mut findings = Vec::new();
    if let Some(file) = file
        && let Some(mode) = open_mode(file)
    {
        let file = file.display();
        let text = format!(
            "secrets: {origin} can be read by other users of this machine (mode {mode:o}); run `chmod 600 {file}`"
        );
        // Containers mount secrets with modes of their own.
        findings.push(if *beside_database { Broken(text) } else { Doubtful(text) });
    }
    findings.push(if *with_other_keys > 0 {
        Doubtful(format!(
            "secrets: {secrets}, of which {with_other_keys} need other keys than {key}, the first one; stop the server \
             and run `switchhook reencrypt` before you remove those keys"
        ))
    } else {
        Fine(format!("secrets: {secrets}, all of which key {key} decrypts ({origin})"))
    });
    findings
}

/// The mode of a file that others than its owner may read or write.
#[cfg(unix)]
fn open_mode(file: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_mode(_file: &Path) -> Option<u32> {
    None
}

fn no_account(config: &Config) -> Finding {
    if config.is_loopback() {
        return Fine("accounts: none yet; `switchhook serve` makes one and prints it".to_owned());
    }
    Broken(
        "accounts: none, and the listener can be reached from other machines; run `switchhook create-account` or set \
         SWITCHHOOK_ACCOUNT_SID and SWITCHHOOK_AUTH_TOKEN"
            .to_owned(),
    )
}

/// The file of a SQLite URL; none for a database in memory.
fn file_of(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    (!path.is_empty() && path != ":memory:").then(|| PathBuf::from(path))
}

async fn public_url(config: &Config, client: &reqwest::Client) -> Finding {
    let Some(url) = &config.public_url else {
        return if config.is_loopback() {
            Fine("public URL: none; the listener's address is used, which only this machine can reach".to_owned())
        } else {
            Doubtful(
                "public URL: none; documents lead the phone system to the listener's address, which may be no address for \
                 it; set SWITCHHOOK_PUBLIC_URL"
                    .to_owned(),
            )
        };
    };
    let live = format!("{}/livez", url.trim_end_matches('/'));
    match client.get(&live).send().await.map(|response| response.status()) {
        Ok(StatusCode::OK) if url.starts_with("https:") || config.is_loopback() => {
            Fine(format!("public URL: {url} leads to a server"))
        }
        Ok(StatusCode::OK) => Doubtful(format!(
            "public URL: {url} leads to a server, but without TLS: auth tokens can be read on the way; put a proxy with \
             TLS in front and use https"
        )),
        Ok(status) => Doubtful(format!("public URL: {live} answered {status}; check the proxy in front of the server")),
        Err(error) => Doubtful(format!(
            "public URL: {live} did not answer ({}); start the server, or check name, proxy and firewall",
            error.without_url()
        )),
    }
}

async fn phone_system(config: &Config, client: &reqwest::Client) -> Finding {
    let Some(PhoneAccess { url, account_sid: account, credentials, wording, .. }) = phone_access(config) else {
        return Doubtful(
            "phone system: none; calls can be queued but not connected; set SWITCHHOOK_PHONE_URL, \
             SWITCHHOOK_PHONE_ACCOUNT_SID and SWITCHHOOK_PHONE_AUTH_TOKEN"
                .to_owned(),
        );
    };
    let calls = format!("{}/Calls{}?PageSize=1", wording.account(&url, &account), wording.suffix);
    match credentials.show(client.get(calls)).send().await.map(|response| response.status()) {
        Ok(StatusCode::OK) => Fine(format!("phone system: {url} knows the account {account}")),
        Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Broken(format!(
            "phone system: {url} refuses the account {account}; check SWITCHHOOK_PHONE_ACCOUNT_SID and \
             SWITCHHOOK_PHONE_AUTH_TOKEN, or SWITCHHOOK_PHONE_API_KEY_SID and SWITCHHOOK_PHONE_API_KEY_SECRET"
        )),
        Ok(status) => Broken(format!(
            "phone system: {url} answered {status} to a look at its calls; check SWITCHHOOK_PHONE_URL, which has no \
             /{} at its end",
            wording.root
        )),
        Err(error) => Broken(format!(
            "phone system: {url} did not answer ({}); start it, or check SWITCHHOOK_PHONE_URL and the firewall",
            error.without_url()
        )),
    }
}

fn templates(config: &Config) -> Finding {
    let directory = config.voice.templates_dir.as_deref();
    match Templates::load(directory) {
        Ok(_) => match directory {
            Some(directory) => Fine(format!("templates: built in, with those of {}", directory.display())),
            None => Fine("templates: built in".to_owned()),
        },
        Err(error) => {
            Broken(format!("templates: {error}; mend the file, or remove it to use the built-in template again"))
        }
    }
}

fn outbound_settings(config: &Config) -> Finding {
    match outbound_rules(config) {
        Err(error) => Broken(format!("requests to users' URLs: {error:#}; mend SWITCHHOOK_OUTBOUND_ALLOW_CIDRS")),
        Ok(rules) if rules.allow_private => Doubtful(
            "requests to users' URLs: private networks are allowed; whoever may write such a URL can reach services of \
             this network; name single networks in SWITCHHOOK_OUTBOUND_ALLOW_CIDRS instead"
                .to_owned(),
        ),
        Ok(rules) if rules.allow_cidrs.is_empty() => Fine(
            "requests to users' URLs: only public addresses; SWITCHHOOK_OUTBOUND_ALLOW_PRIVATE or \
             SWITCHHOOK_OUTBOUND_ALLOW_CIDRS allow more"
                .to_owned(),
        ),
        Ok(rules) => Fine(format!(
            "requests to users' URLs: public addresses and {} named networks",
            rules.allow_cidrs.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_database_is_found() {
        let file = |url: &str| file_of(url).map(|file| file.to_str().unwrap().to_owned());
        assert_eq!(file("sqlite:switchhook.db").as_deref(), Some("switchhook.db"));
        assert_eq!(file("sqlite:///var/lib/a.db?mode=rwc").as_deref(), Some("/var/lib/a.db"));
        assert_eq!(file("sqlite::memory:"), None);
        assert_eq!(file("postgres://x/y"), None);
    }
}
