//! Accounts: `create-account`, and the first account of a new database.
//!
//! A token is printed when it is made and never again. Start with [`create`] and [`first`].

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};

use crate::clock::{Clock, Entropy};
use crate::config::Config;
use crate::routing::AccountSid;
use crate::store::Account;

use super::{Outcome, open, say};

/// Makes an account in the database, also beside a running server, and prints SID and token.
pub(super) async fn create(config: &Config, friendly_name: String) -> anyhow::Result<Outcome> {
    let store = open(config).await?;
    let (sid, auth_token) = generate();
    let account = Account { sid, friendly_name, auth_token: auth_token.clone(), created_at: Clock::system().now() };
    let written = store.create_account(account).await;
    store.close().await;
    written.context("cannot write the account")?;
    show(sid, &auth_token)?;
    Ok(Outcome::Done)
}

/// The account that the server is to make sure of.
pub(super) enum First {
    /// The one in the settings.
    Given(AccountSid, SecretString),
    /// A new one, because the database has none and only this machine can reach the listener.
    New(AccountSid, SecretString),
    /// The database has accounts.
    None,
}

impl First {
    /// SID and token.
    pub(super) fn credentials(&self) -> Option<(AccountSid, SecretString)> {
        match self {
            Self::Given(sid, auth_token) | Self::New(sid, auth_token) => Some((*sid, auth_token.clone())),
            Self::None => None,
        }
    }

    /// Prints a new account; it must have been written.
    pub(super) fn announce(&self) -> anyhow::Result<()> {
        let Self::New(sid, auth_token) = self else { return Ok(()) };
        say("Made the first account; its auth token is not shown again:")?;
        show(*sid, auth_token)
    }
}

/// Finds out which account it is.
pub(super) async fn first(config: &Config) -> anyhow::Result<First> {
    if let (Some(sid), Some(auth_token)) = (config.account_sid, &config.auth_token) {
        return Ok(First::Given(sid, auth_token.clone()));
    }
    let store = open(config).await?;
    let accounts = store.accounts().await;
    store.close().await;
    if !accounts.context("cannot read the accounts")?.is_empty() {
        return Ok(First::None);
    }
    if !config.is_loopback() {
        bail!(
            "there is no account yet and {} can be reached from other machines: set SWITCHHOOK_ACCOUNT_SID and \
             SWITCHHOOK_AUTH_TOKEN, or run `switchhook create-account` first",
            config.listen
        );
    }
    let (sid, auth_token) = generate();
    Ok(First::New(sid, auth_token))
}

/// A new SID and a token of 128 random bits.
pub(super) fn generate() -> (AccountSid, SecretString) {
    let mut entropy = Entropy;
    (AccountSid::fresh(&mut entropy, Clock::system().now()), SecretString::from(entropy.hex_128()))
}

fn show(sid: AccountSid, auth_token: &SecretString) -> anyhow::Result<()> {
    say(&format!("SWITCHHOOK_ACCOUNT_SID={sid}"))?;
    say(&format!("SWITCHHOOK_AUTH_TOKEN={}", auth_token.expose_secret()))
}
