//! `demo`: starts both sides on free loopback ports with a database that is forgotten, and lets the demo use them.
//!
//! Of the settings it takes only its own and those of the log, so that a demo on a production machine touches nothing. Start with
//! [`run`].

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Entropy};
use crate::config::Config;
use crate::demo::{self, Options, Sides};
use crate::entry::EntryFile;
use crate::http::{self, Limits};
use crate::outbound::{self, Rules};
use crate::phone::Credentials;
use crate::server::{PhoneAccess, Server, Settings};
use crate::softswitch::{self, Softswitch};
use crate::store::KeySource;
use crate::telemetry::Metrics;

use super::arguments::DemoOptions;
use super::signals::Signals;
use super::{Outcome, accounts};
use crate::config::Sources;

/// Any free port of this machine.
const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// Leaves the file in the working directory alone, and logs warnings only, so that the timeline can be read.
pub(super) fn adapt(sources: &mut Sources) {
    sources.usual_file = false;
    sources.variables.entry("SWITCHHOOK_LOG".to_owned()).or_insert_with(|| "warn".into());
}

/// Runs the demo until its calls are over, or until a signal comes.
pub(super) async fn run(config: &Config, options: DemoOptions) -> anyhow::Result<Outcome> {
    let mut signals = Signals::listen()?;
    outbound::install_tls();
    let metrics = Metrics::install()?;
    tokio::spawn(metrics.clone().upkeep());
    let (account_sid, auth_token) = accounts::generate();
    let listener =
        TcpListener::bind(std::net::SocketAddr::from(ANY_PORT)).await.context("cannot listen on loopback")?;
    let phone_address = listener.local_addr().context("cannot tell the listener's address")?;
    let phone = Softswitch::start(
        softswitch::Options {
            account_sid: account_sid.to_string(),
            auth_token: auth_token.clone(),
            public_url: format!("http://{phone_address}"),
            ..softswitch::Options::default()
        },
        Clock::system(),
        Entropy,
    );
    let phone_shutdown = CancellationToken::new();
    let phone_serving = tokio::spawn(http::serve(listener, phone.router(), Limits::default(), phone_shutdown.clone()));
    let settings = Settings {
        listen: ANY_PORT.into(),
        database: "sqlite::memory:".to_owned(),
        keys: KeySource::BesideDatabase,
        public_url: None,
        trust_forwarded: false,
        account: Some((account_sid, auth_token.clone())),
        phone: Some(PhoneAccess {
            url: format!("http://{phone_address}"),
            account_sid: account_sid.to_string(),
            credentials: Credentials::Basic { user: account_sid.to_string(), password: auth_token.clone() },
            auth_token: auth_token.clone(),
            previous_auth_token: None,
            public_key: None,
            max_cps: config.phone.max_cps,
            abilities: crate::phone::Abilities::default(),
            wording: crate::phone::Wording::default(),
            room_callbacks: true,
            queues: true,
        }),
        templates_dir: None,
        wait: config.wait.clone(),
        insecure_skip_signature: false,
        outbound: Rules { allow_private: true, allow_cidrs: Vec::new() },
        dialling: super::serve::dialling(config),
        resources: config.resources.for_workspaces(),
        entries: EntryFile::default(),
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
        event_callbacks: super::serve::event_callback_rules(config),
        sockets: super::serve::socket_limits(config),
        limits: Limits::default(),
        service_level_secs: config.metrics.service_level_secs,
        locked_attributes: super::serve::locked_attributes(config),
        metrics_public: false,
    };
    let server =
        Server::start(settings, Some(metrics), Clock::system(), Entropy).await.context("cannot start the server")?;
    let sides =
        Sides { server: server.address(), phone: phone_address, account_sid: account_sid.to_string(), auth_token };
    let usual = &config.demo;
    let options = Options {
        calls: options.calls.unwrap_or(usual.calls),
        rate: options.rate.unwrap_or(usual.rate),
        keep_running: options.keep_running || usual.keep_running,
    };

    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    let waiting = tokio::spawn(async move {
        signals.next().await;
        interrupted.cancel();
        signals.next().await;
    });
    let mut output = std::io::stdout();
    let clock = Clock::system();
    let told = demo::run(&options, &sides, stop.clone(), &clock, Entropy, &mut output);
    let summary = told.await.context("the demo failed");

    let ending = async {
        phone_shutdown.cancel();
        phone_serving.await.ok();
        phone.shutdown().await;
        server.stop().await;
    };
    tokio::select! {
        () = ending => {}
        _ = waiting => {}
    }
    let summary = summary?;
    Ok(if summary.other == 0 || stop.is_cancelled() { Outcome::Done } else { Outcome::Failed })
}
