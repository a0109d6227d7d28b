//! `serve`: the server, from its settings to a clean end.
//!
//! The first signal lets requests that were begun finish, the second ends the process at once. Start with [`run`].

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::api::LockedAttributes;
use crate::calls::DialPolicy;
use crate::clock::{Clock, Entropy};
use crate::config::{Agents, AuthScheme, CallbackSchedule, Config, Dialect};
use crate::notify::{event_callbacks, hub};
use crate::outbound::Rules;
use crate::phone::{Abilities, Credentials, Wording};
use crate::server::{PhoneAccess, Server, Settings};
use crate::signature::ed25519::PublicKey;
use crate::telemetry::Metrics;

use super::accounts::First;
use super::signals::Signals;
use super::{Outcome, accounts, descriptors, key_source, say};

/// Whoever stops the server waits at most 10 s for it; this leaves a little for the process itself.
const STOP_TIME: Duration = Duration::from_millis(9_500);

/// Serves until a signal comes or the database cannot be written any more.
pub(super) async fn run(config: &Config) -> anyhow::Result<Outcome> {
    let mut signals = Signals::listen()?;
    descriptors::raise(config.limits.connections, config.sockets.total);
    let metrics = Metrics::install()?;
    tokio::spawn(metrics.clone().upkeep());
    // Before the database is touched: wrong settings do nothing.
    let outbound = outbound_rules(config)?;
    let first_account = accounts::first(config).await?;
    let settings = settings(config, &first_account, outbound);
    let server =
        Server::start(settings, Some(metrics), Clock::system(), Entropy).await.context("cannot start the server")?;
    first_account.announce()?;
    say(&format!("Switchhook listens on http://{}", server.address()))?;
    if config.phone.url.is_none() {
        warn!("no phone system is set (phone.url): calls can be queued but not connected");
    }
    let outcome = tokio::select! {
        () = signals.next() => Outcome::Done,
        () = server.failed() => Outcome::GaveUp,
    };
    info!("stopping: no new requests, answering those that were begun");
    tokio::select! {
        stopped = timeout(STOP_TIME, server.stop()) => {
            if stopped.is_err() {
                warn!("some requests did not end in time");
                return Ok(if outcome == Outcome::Done { Outcome::Failed } else { outcome });
            }
        }
        () = signals.next() => {
            warn!("ended at once by a second signal");
            return Ok(Outcome::Failed);
        }
    }
    info!("stopped");
    Ok(outcome)
}

fn settings(config: &Config, first_account: &First, outbound: Rules) -> Settings {
    Settings {
        listen: config.listen,
        database: config.database.clone(),
        keys: key_source(config),
        public_url: config.public_url.clone(),
        trust_forwarded: config.trust_forwarded,
        account: first_account.credentials(),
        phone: phone_access(config),
        templates_dir: config.voice.templates_dir.clone(),
        wait: config.wait.clone(),
        insecure_skip_signature: config.voice.insecure_skip_signature,
        outbound,
        dialling: dialling(config),
        resources: config.resources.for_workspaces(),
        entries: config.voice.entries.clone(),
        waiting_calls_max: config.voice.waiting_calls_max,
        look_after_secs: config.voice.look_after_secs,
        cold_transfer_failure: config.voice.cold_transfer_failure(),
        end_room_when_customer_left: config.voice.end_room_when_customer_left,
        customer_alone_secs: config.voice.customer_alone_secs,
        on_cancel_release_caller: config.voice.on_cancel_release_caller,
        connect_failure_limit: config.voice.connect_failure_limit,
        choices: config.voice.choices(),
        default_caller_id: config.voice.default_caller_id.clone(),
        extra_call_attributes: config.voice.extra_call_attributes.clone(),
        event_callbacks: event_callback_rules(config),
        sockets: socket_limits(config),
        limits: config.limits.for_listener(),
        service_level_secs: config.metrics.service_level_secs,
        locked_attributes: locked_attributes(config),
        metrics_public: config.metrics_public,
    }
}

/// Where the phone system is and who we are there; none where calls cannot be connected.
pub(super) fn phone_access(config: &Config) -> Option<PhoneAccess> {
    let phone = &config.phone;
    let (url, account_sid, auth_token) = (phone.url.clone()?, phone.account_sid.clone()?, phone.auth_token.clone()?);
    let secret = phone.api_key_secret.clone().unwrap_or_else(|| auth_token.clone());
    let credentials = match phone.auth_scheme() {
        AuthScheme::Basic => Credentials::Basic {
            user: phone.api_key_sid.clone().unwrap_or_else(|| account_sid.clone()),
            password: secret,
        },
        AuthScheme::Bearer => Credentials::Bearer(secret),
    };
    Some(PhoneAccess {
        url,
        account_sid,
        credentials,
        auth_token,
        previous_auth_token: phone.previous_auth_token.clone(),
        public_key: phone.public_key.as_deref().and_then(PublicKey::parse),
        max_cps: phone.max_cps,
        abilities: Abilities {
            participants_create: phone.participants_create(),
            error_codes: phone.error_codes(),
            inline_documents: phone.inline_documents(),
            rooms: phone.rooms(),
        },
        wording: match phone.dialect {
            Dialect::Twilio | Dialect::Signalwire | Dialect::Restcomm | Dialect::Somleng => Wording::default(),
            Dialect::Telnyx => Wording::telnyx(phone.application_sid.clone()),
        },
        room_callbacks: phone.room_callbacks(),
        queues: phone.queues(),
    })
}

/// Whom the server dials; checked when the settings were loaded.
pub(super) fn dialling(config: &Config) -> DialPolicy {
    config.dialling().unwrap_or_default()
}

/// What agents' sockets may use.
pub(super) fn socket_limits(config: &Config) -> hub::Limits {
    let sockets = &config.sockets;
    hub::Limits {
        per_worker: sockets.per_worker,
        per_address: sockets.per_address,
        total: sockets.total,
        queued_bytes: sockets.queued_kib * 1024,
        write_time: Duration::from_secs(sockets.write_secs),
    }
}

/// Which workers may not change their own attributes; checked when the settings were loaded.
pub(super) fn locked_attributes(config: &Config) -> LockedAttributes {
    let locked = &config.agents.attributes_locked;
    if locked.is_empty() {
        return LockedAttributes::Nowhere;
    }
    if locked.iter().any(|name| name == Agents::ALL) {
        return LockedAttributes::Everywhere;
    }
    LockedAttributes::In(locked.iter().filter_map(|name| name.parse().ok()).collect())
}

/// How events are sent.
pub(super) fn event_callback_rules(config: &Config) -> event_callbacks::Rules {
    event_callbacks::Rules {
        schedule: match config.callbacks.schedule {
            CallbackSchedule::Patient => event_callbacks::Schedule::Patient,
            CallbackSchedule::Twilio => event_callbacks::Schedule::Twilio,
        },
        patience: Duration::from_secs(config.callbacks.answer_secs),
        ..event_callbacks::Rules::default()
    }
}

/// Which addresses users' URLs may lead to.
pub(super) fn outbound_rules(config: &Config) -> anyhow::Result<Rules> {
    let allow_cidrs: Result<Vec<_>, _> = config.outbound.allow_cidrs.iter().map(|text| text.parse()).collect();
    let allow_cidrs = allow_cidrs.context("outbound.allow_cidrs")?;
    Ok(Rules { allow_private: config.outbound.allow_private, allow_cidrs })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::config::Sources;

    /// Scheme, user and secret that the phone system is shown.
    fn shown(options: &[(&'static str, &str)]) -> Result<(&'static str, String, String), String> {
        let phone = [("phone.url", "http://x/api/laml"), ("phone.account_sid", "AC1"), ("phone.auth_token", "token")];
        let mut sources = Sources::default();
        sources.options.extend(phone.iter().chain(options).map(|(key, value)| (*key, (*value).to_owned())));
        let config = Config::load(&sources).map_err(|error| error.to_string())?;
        let access = phone_access(&config).ok_or("no phone system")?;
        assert_eq!(access.auth_token.expose_secret(), "token", "webhooks are signed with it whatever REST takes");
        Ok(match access.credentials {
            Credentials::Basic { user, password } => ("basic", user, password.expose_secret().to_owned()),
            Credentials::Bearer(token) => ("bearer", String::new(), token.expose_secret().to_owned()),
        })
    }

    #[test]
    fn the_phone_system_is_shown_the_account_or_an_api_key_or_a_token() {
        let key = [("phone.api_key_sid", "SK1"), ("phone.api_key_secret", "secret")];
        let bearer = ("phone.auth_scheme", "bearer");
        for (options, expected) in [
            (&[][..], ("basic", "AC1", "token")),
            (&key, ("basic", "SK1", "secret")),
            (&[bearer], ("bearer", "", "token")),
            (&[bearer, key[1]], ("bearer", "", "secret")),
        ] {
            let (scheme, user, secret) = shown(options).unwrap();
            assert_eq!((scheme, user.as_str(), secret.as_str()), expected, "{options:?}");
        }
        for (options, expected) in [
            (&[key[0]][..], "phone.api_key_sid and phone.api_key_secret go together"),
            (&[key[1]], "phone.api_key_sid and phone.api_key_secret go together"),
            (&[bearer, key[0], key[1]], "phone.api_key_sid: expected none with phone.auth_scheme bearer"),
            (&[("phone.auth_scheme", "digest")], "expected `basic` or `bearer`"),
        ] {
            let refused = shown(options).unwrap_err();
            assert!(refused.contains(expected), "{options:?}: {refused}");
        }
    }
}
