//! `create-key`, `list-keys`, `revoke-key`, and `reencrypt` for the keys that those are encrypted with.
//!
//! All but `reencrypt` work beside a running server, which reads a key's row for every request. A secret is printed when
//! it is made and never again. Start with [`create`].

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};

use crate::clock::{Clock, Entropy};
use crate::config::Config;
use crate::routing::{AccountSid, ApiKeySid, Timestamp};
use crate::store::pages::{Seek, Span};
use crate::store::views::ApiKeyView;
use crate::store::{ApiKey, Store};

use super::{Outcome, key_source, open, say};

/// Keys that are read at once.
const PAGE: u32 = 1_000;

/// Makes a key of an account and prints its SID and secret.
pub(super) async fn create(config: &Config, account: AccountSid, friendly_name: String) -> anyhow::Result<Outcome> {
    let store = open(config).await?;
    let written = write(&store, account, friendly_name).await;
    store.close().await;
    let (sid, secret) = written?;
    // The names that Twilio's own tools read.
    say(&format!("TWILIO_API_KEY={sid}"))?;
    say(&format!("TWILIO_API_SECRET={}", secret.expose_secret()))?;
    Ok(Outcome::Done)
}

async fn write(store: &Store, account: AccountSid, friendly_name: String) -> anyhow::Result<(ApiKeySid, SecretString)> {
    if store.account(account).await.context("cannot read the account")?.is_none() {
        bail!("there is no account {account}");
    }
    let now = Clock::system().now();
    let sid = ApiKeySid::fresh(&mut Entropy, now);
    let secret = SecretString::from(Entropy.letters_and_digits());
    let key = ApiKey { sid, account, friendly_name, secret: secret.clone(), created_at: now, updated_at: now };
    store.create_api_key(key).await.context("cannot write the key")?;
    Ok((sid, secret))
}

/// Prints one line for each key.
pub(super) async fn list(config: &Config, account: Option<AccountSid>) -> anyhow::Result<Outcome> {
    let store = open(config).await?;
    let read = read(&store, account).await;
    store.close().await;
    for key in read? {
        say(format!("{} {} {} {}", key.sid, key.account_sid, moment(key.created_at), key.friendly_name).trim_end())?;
    }
    Ok(Outcome::Done)
}

async fn read(store: &Store, account: Option<AccountSid>) -> anyhow::Result<Vec<ApiKeyView>> {
    if let Some(account) = account
        && store.account(account).await.context("cannot read the account")?.is_none()
    {
        bail!("there is no account {account}");
    }
    let mut keys = Vec::new();
    let mut next = Some(Seek::First);
    while let Some(seek) = next {
        let page = store.api_keys(account, Span { seek, limit: PAGE }).await.context("cannot read the keys")?;
        next = page.after.map(Seek::After);
        keys.extend(page.entries.into_iter().map(|entry| entry.row));
    }
    Ok(keys)
}

/// Ends a key.
pub(super) async fn revoke(config: &Config, key: ApiKeySid) -> anyhow::Result<Outcome> {
    let store = open(config).await?;
    let found = store.api_key(key).await;
    let revoked = match &found {
        Ok(Some(_)) => store.revoke_api_key(key).await,
        _ => Ok(()),
    };
    store.close().await;
    if found.context("cannot read the key")?.is_none() {
        bail!("there is no key {key}");
    }
    revoked.context("cannot write the database")?;
    say(&format!("revoked {key}"))?;
    Ok(Outcome::Done)
}

/// Encrypts all secrets with the first key.
pub(super) async fn reencrypt(config: &Config) -> anyhow::Result<Outcome> {
    let done = Store::reencrypt(&config.database, key_source(config)).await;
    let (changed, report) = done.context("cannot encrypt the secrets")?;
    say(&format!("secrets encrypted with key {}: {}, {changed} of them anew", report.key, report.secrets))?;
    Ok(Outcome::Done)
}

fn moment(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.unix_secs()).map_or_else(|_| "-".to_owned(), |moment| moment.to_string())
}
