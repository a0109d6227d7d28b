//! Whose application speaks, what it may touch, and the mark in our URLs that nobody else can make.
//!
//! The phone system serves all accounts, so its signature does not tell for whom a document speaks. Whatever an application
//! of an account says may touch what is that account's, wherever its words come back to us: in the document itself, in the
//! verbs after one that we carried out, and in a URL of ours that the phone system asks later. The first account's may touch
//! what the phone system may. Must not ask an application. Start with [`Owner`].

use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::State;
use super::application::with_query;
use super::request::{Sender, Webhook};
use crate::routing::{AccountSid, WorkspaceSid};
use crate::store;

/// What is encoded in a segment of a path.
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Whose application it is.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) account: AccountSid,
    token: SecretString,
    /// As whom it is heard what the application says.
    sender: Sender,
}

/// Why a URL of ours is not listened to.
#[derive(Debug)]
pub(super) enum Unheard {
    /// It speaks for an account that did not get it from us.
    Forged,
    /// The store does not say whose it is.
    Unreadable,
}

impl Owner {
    /// As whom it is heard what the application says.
    pub(super) const fn sender(&self) -> Sender {
        self.sender
    }

    /// What signs requests to the application.
    pub(super) const fn token(&self) -> &SecretString {
        &self.token
    }

    fn keyed(&self, url: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.token.expose_secret().as_bytes())
            .expect("a key of any length is taken");
        mac.update(b"switchhook proxy\n");
        mac.update(self.account.to_string().as_bytes());
        mac.update(b"\n");
        mac.update(url.as_bytes());
        mac
    }

    /// The mark of a URL: an absolute one of the application's, or path and query of ours.
    pub(super) fn mac(&self, url: &str) -> String {
        use base64::Engine as _;
        base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(self.keyed(url).finalize().into_bytes())
    }

    pub(super) fn mac_is(&self, url: &str, given: &str) -> bool {
        use base64::Engine as _;
        let given = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(given).unwrap_or_default();
        self.keyed(url).verify_slice(&given).is_ok()
    }
}

impl Webhook {
    /// The same webhook, saying what an application says that it was asked for.
    pub(super) fn spoken_by(mut self, owner: Owner) -> Self {
        self.sender = owner.sender;
        self.speaker = Some(owner);
        self
    }

    /// The account for which it speaks, where that may do less than the phone system, which carries its words to us.
    pub(super) fn bound_to(&self) -> Option<&Owner> {
        self.speaker.as_ref().filter(|owner| owner.sender != Sender::PhoneSystem)
    }
}

impl State {
    /// Who owns the application: the account named, where the sender may speak for it; else the sender's, else the first.
    pub(super) async fn owner(&self, sender: Sender, named: Option<AccountSid>) -> Result<Option<Owner>, store::Error> {
        let sid = match (named, sender) {
            (Some(named), Sender::Account(own)) if named != own => return Ok(None),
            (Some(account), _) | (None, Sender::Account(account)) => Some(account),
            (None, Sender::PhoneSystem) => None,
        };
        let first = match sender {
            Sender::PhoneSystem => self.read(self.store.first_account()).await?,
            Sender::Account(_) => None,
        };
        let Some(sid) = sid.or(first) else { return Ok(None) };
        let account = self.read(self.store.account(sid)).await?;
        let sender = if first == Some(sid) { sender } else { Sender::Account(sid) };
        Ok(account.map(|account| Owner { account: sid, token: account.auth_token, sender }))
    }

    /// The owner of the applications of a workspace; without one, whoever speaks.
    pub(super) async fn owner_of(&self, webhook: &Webhook, workspace: Option<WorkspaceSid>) -> Option<Owner> {
        let account = match (workspace, &webhook.speaker) {
            // A workspace that is gone is nobody's.
            (Some(workspace), _) => Some(self.read(self.store.account_of_workspace(workspace)).await.ok()??),
            (None, Some(speaker)) => return Some(speaker.clone()),
            (None, None) => None,
        };
        self.owner(webhook.sender, account).await.ok()?
    }

    /// A URL of ours that speaks for an account: nobody else can make it, nor change what stands in it.
    pub(super) fn vouched(&self, owner: &Owner, path: &str, mut pairs: Vec<(String, String)>) -> String {
        pairs.insert(0, ("account".to_owned(), owner.account.to_string()));
        let mac = owner.mac(&with_query(path, &pairs));
        pairs.push(("mac".to_owned(), mac));
        with_query(&self.url(path), &pairs)
    }

    /// A webhook to a URL that may be [`State::vouched`], as what it speaks for. One that names no account is the word of
    /// whoever signed it.
    pub(super) async fn vouched_for(&self, webhook: &Webhook, path: &str) -> Result<Webhook, Unheard> {
        let Some(named) = webhook.of_query("account") else { return Ok(webhook.clone()) };
        let named = named.parse().map_err(|_| Unheard::Forged)?;
        let owner = self.owner(webhook.sender, Some(named)).await.map_err(|error| {
            tracing::error!(%error, "cannot tell for whom a URL speaks");
            Unheard::Unreadable
        })?;
        let owner = owner.ok_or(Unheard::Forged)?;
        // What was added on the way stands behind it.
        let at = webhook.query.iter().position(|(name, _)| name == "mac");
        let covered = webhook.query.get(..at.unwrap_or_default()).unwrap_or_default();
        match webhook.of_query("mac") {
            Some(mac) if owner.mac_is(&with_query(path, covered), mac) => Ok(webhook.clone().spoken_by(owner)),
            Some(_) => Err(Unheard::Forged),
            // What the sender may do anyway needs no mark; nor does a URL from before there were marks.
            None => Ok(webhook.clone().spoken_by(owner)),
        }
    }
}

/// Path of the URL that takes a reservation, whatever an application calls one.
pub(super) fn place_of_reservation(reservation: &str) -> String {
    let segment = match reservation {
        // Steps within the path, encoded or not; no reservation has such a name anyway.
        "." | ".." => "%20".into(),
        other => std::borrow::Cow::from(utf8_percent_encode(other, IN_SEGMENT)),
    };
    format!("/voice/reservations/{segment}")
}
