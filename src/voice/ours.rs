//! URLs of our own in what applications say and are told.
//!
//! An application behind the proxy may lead a call to us itself (`spec/voice.md` 0.1 B): such a URL needs no proxy, and
//! says only on whose behalf it is asked. And an application is told of its own URLs, never of ours that asked them. Must not
//! ask anybody for anything. Start with [`State::own_url`].

use url::{Url, form_urlencoded};

use super::State;
use super::enqueue::AFTER;
use super::proxy::DIAL_ATTRIBUTES;
use super::request::Webhook;
use crate::routing::AccountSid;

/// Parameter of a URL of ours that stands in a document of an application's: the account whose application it is. The phone
/// system, which signs all URLs, speaks for that account alone there.
pub(super) const ON_BEHALF: &str = "OnBehalfOf";
/// Of our paths, below `/voice/`, those with a `target`, whose parameter `account` says the same.
const WITH_TARGET: [&str; 3] = ["proxy", "proxy/callback", "cb/call/inbound"];
/// Parameters by which our own URLs carry documents on, with what stands beside those: nobody else says them, because what is
/// in them is taken as looked at.
const WITH_VERBS: [&str; 8] = [AFTER, "App", "AppMethod", "Dial", DIAL_ATTRIBUTES, "Reservation", "Rest", "Twiml"];

impl State {
    /// What comes after `/voice/` in the path of a URL below our public one.
    fn path_of_ours<'u>(&self, url: &'u Url) -> Option<&'u str> {
        let ours = Url::parse(&self.public_url).ok()?;
        let is_here = url.scheme() == ours.scheme()
            && url.host() == ours.host()
            && url.port_or_known_default() == ours.port_or_known_default();
        let path = url.path().strip_prefix(ours.path().trim_end_matches('/'))?.strip_prefix("/voice/")?;
        is_here.then_some(path)
    }

    /// A URL of ours that stands in a document of `account`'s application, as the phone system gets it: nothing comes
    /// between, but it touches what belongs to the account alone. `None` for the URLs of others.
    pub(super) fn own_url(&self, account: AccountSid, text: &str) -> Option<String> {
        let mut url = Url::parse(text).ok()?;
        let name = if WITH_TARGET.contains(&self.path_of_ours(&url)?) { "account" } else { ON_BEHALF };
        let query = url.query().unwrap_or_default();
        let is_kept = |pair: &&str| {
            let given = form_urlencoded::parse(pair.as_bytes()).next();
            given.is_some_and(|(given, _)| given != name && !WITH_VERBS.contains(&given.as_ref()))
        };
        let mut pairs: Vec<&str> = query.split('&').filter(is_kept).collect();
        let on_behalf = format!("{name}={account}");
        pairs.push(&on_behalf);
        let query = pairs.join("&");
        url.set_query(Some(&query));
        Some(url.into())
    }

    /// `ErrorUrl` as the application knows it, in a request whose `ErrorUrl` is one of ours that asks the application.
    pub(super) fn error_url(&self, webhook: &Webhook) -> Option<(String, String)> {
        let failed = Url::parse(webhook.get("ErrorUrl")?).ok()?;
        if self.path_of_ours(&failed)? != "proxy" {
            return None;
        }
        let (_, target) = failed.query_pairs().find(|(name, _)| name == "target")?;
        Some(("ErrorUrl".to_owned(), target.into_owned()))
    }
}
