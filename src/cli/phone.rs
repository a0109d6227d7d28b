//! `phone`: the phone system of our own, as a process of its own.
//!
//! It shares nothing with the server but the settings file. Start with [`run`].

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Entropy};
use crate::config::Config;
use crate::http::{self, Limits};
use crate::outbound;
use crate::softswitch::{Number, Options, Softswitch};

use super::signals::Signals;
use super::{Outcome, accounts, say};

/// Serves until a signal comes.
pub(super) async fn run(config: &Config) -> anyhow::Result<Outcome> {
    let mut signals = Signals::listen()?;
    outbound::install_tls();
    let settings = &config.phone_server;
    let (account_sid, auth_token) = account(config)?;
    let address = settings.listen;
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr().context("cannot tell the listener's address")?;
    let options = Options {
        account_sid,
        auth_token,
        public_url: settings.public_url.clone().unwrap_or_else(|| format!("http://{address}")),
        numbers: settings.numbers.iter().map(|(number, url)| number_of(config, number, url)).collect(),
        speed: settings.speed,
        ..Options::default()
    };
    let phone = Softswitch::start(options, Clock::system(), Entropy);
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(http::serve(listener, phone.router(), Limits::default(), shutdown.clone()));
    say(&format!("the phone system listens on http://{address}"))?;
    signals.next().await;
    shutdown.cancel();
    let ending = async {
        serving.await.ok();
        phone.shutdown().await;
    };
    tokio::select! {
        () = ending => Ok(Outcome::Done),
        () = signals.next() => Ok(Outcome::Failed),
    }
}

fn number_of(config: &Config, number: &str, voice_url: &str) -> Number {
    Number { status_callback: config.phone_server.status_callback.clone(), ..Number::new(number, voice_url) }
}

/// The account of the phone system: its own, else the one that the server uses there, else a new one.
fn account(config: &Config) -> anyhow::Result<(String, SecretString)> {
    let (own, shared) = (&config.phone_server, &config.phone);
    let sid = own.account_sid.as_ref().or(shared.account_sid.as_ref());
    let token = own.auth_token.as_ref().or(shared.auth_token.as_ref());
    match (sid, token) {
        (Some(sid), Some(token)) => Ok((sid.clone(), token.clone())),
        (None, None) if own.listen.ip().is_loopback() => {
            let (sid, token) = accounts::generate();
            say("Made an account for this run; tell the server:")?;
            say(&format!("SWITCHHOOK_PHONE_URL=http://{}", own.listen))?;
            say(&format!("SWITCHHOOK_PHONE_ACCOUNT_SID={sid}"))?;
            say(&format!("SWITCHHOOK_PHONE_AUTH_TOKEN={}", token.expose_secret()))?;
            Ok((sid.to_string(), token))
        }
        _ => bail!(
            "the phone system has no account: set SWITCHHOOK_PHONE_SERVER_ACCOUNT_SID and \
             SWITCHHOOK_PHONE_SERVER_AUTH_TOKEN, or those of SWITCHHOOK_PHONE_… that the server uses"
        ),
    }
}
