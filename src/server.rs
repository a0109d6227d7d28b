//! Puts the server together: store, engine, REST, voice webhooks, health, metrics, on one listener.
//!
//! `serve`, `demo` and the tests start the same server through [`Server::start`]; nothing here decides anything. Start
//! with [`Settings`].

mod documents;
mod entries;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{self, LockedAttributes};
use crate::calls::{Choices, ColdTransferFailure, DialPolicy};
use crate::clock::{Clock, Entropy};
use crate::config::Wait;
use crate::engine::{self, Engine};
use crate::entry::EntryFile;
use crate::http::{self, Limits, PublicUrl};
use crate::notify::assignment::{self, Applications, Callbacks};
use crate::notify::event_callbacks::{self, EventCallbacks};
use crate::notify::relays::{self, Relays};
use crate::notify::streams::EventStreams;
use crate::notify::{Hub, hub, presence, revocations};
use crate::outbound::{self, Outbound};
use crate::phone::{self, Abilities, Credentials, Patience, PhoneSettings, PhoneSystem, Wording};
use crate::routing::{AccountSid, ResourceLimits};
use crate::signature::ed25519::PublicKey;
use crate::store::{self, Account, KeySource, Store};
use crate::telemetry::Metrics;
use crate::voice::{self, Actions, Arrivals, KnownWorkflows, Means, MovedCallers, Rests, Templates};

/// An application answers within this time or not at all. The phone system gives us 15 s (Twilio: voice webhooks), of
/// which enough must be left to answer the caller ourselves.
const APPLICATION_TIMEOUT: Duration = Duration::from_secs(8);

/// Agents' browsers get an event this long after its commit, so that the answer to the request that caused it comes
/// first (agent-sdk.md 4.8).
const PUSH_DELAY: Duration = Duration::from_millis(100);

/// What the server is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `sqlite:PATH`
    pub database: String,
    /// Keys that the secrets in it are encrypted with.
    pub keys: KeySource,
    /// Base URL under which clients and the phone system reach the server; `http://` and the listener when absent.
    pub public_url: Option<String>,
    /// Believe `X-Forwarded-…` headers where no public URL is given: in URLs of API answers, and for the signatures of
    /// voice webhooks.
    pub trust_forwarded: bool,
    /// The first account; written when it is not there yet or its token differs.
    pub account: Option<(AccountSid, SecretString)>,
    /// The phone system's REST.
    pub phone: Option<PhoneAccess>,
    /// Files here replace the compiled-in TwiML documents.
    pub templates_dir: Option<PathBuf>,
    /// What waiting callers hear whose application says nothing about it.
    pub wait: Wait,
    /// Takes voice webhooks without a signature; for the laboratory only.
    pub insecure_skip_signature: bool,
    /// Which addresses users' URLs may lead to.
    pub outbound: outbound::Rules,
    /// Whom the server dials.
    pub dialling: DialPolicy,
    /// How many of each resource a workspace may hold.
    pub resources: ResourceLimits,
    /// Calendars and entry points that are to be there.
    pub entries: EntryFile,
    /// Calls that may wait for one workflow.
    pub waiting_calls_max: u32,
    /// Seconds of silence after which a waiting call is looked at.
    pub look_after_secs: u32,
    /// What becomes of a customer whom a cold transfer has left alone.
    pub cold_transfer_failure: ColdTransferFailure,
    /// End the conference when the customer has left and one worker remains.
    pub end_room_when_customer_left: bool,
    /// Seconds for which a customer may be alone in the conference.
    pub customer_alone_secs: u32,
    /// Send a waiting caller on when the task is canceled.
    pub on_cancel_release_caller: bool,
    /// Calls in a row that a worker may miss before going to the timeout activity; 0 is no limit.
    pub connect_failure_limit: u32,
    /// What else of the voice side can be chosen.
    pub choices: Choices,
    /// Caller ID where neither the instruction nor the task has one.
    pub default_caller_id: Option<String>,
    /// Parameters of a call that its task gets as attributes besides the usual 25.
    pub extra_call_attributes: Vec<String>,
    /// How events are sent to the workspaces' URLs.
    pub event_callbacks: event_callbacks::Rules,
    /// Bounds of agents' sockets.
    pub sockets: hub::Limits,
    /// Bounds of the listener.
    pub limits: Limits,
    /// Seconds within which a caller is answered in time, for the figures.
    pub service_level_secs: u32,
    /// Which workers may not change their own attributes.
    pub locked_attributes: LockedAttributes,
    /// Shows `/metrics` to other machines too.
    pub metrics_public: bool,
}

/// Where the phone system is and who we are there.
#[derive(Debug, Clone)]
pub struct PhoneAccess {
    /// Base of its REST, for example `https://api.twilio.com`.
    pub url: String,
    /// Account at the phone system.
    pub account_sid: String,
    /// What its REST takes for that.
    pub credentials: Credentials,
    /// Its auth token: key of its webhooks' signatures.
    pub auth_token: SecretString,
    /// A former token, accepted on webhooks while tokens are changed.
    pub previous_auth_token: Option<SecretString>,
    /// The key of webhooks that it signs with Ed25519.
    pub public_key: Option<PublicKey>,
    /// New calls that we ask for in a second; no limit of ours without it.
    pub max_cps: Option<f64>,
    /// What it can do when it is asked.
    pub abilities: Abilities,
    /// How it words that.
    pub wording: Wording,
    /// It tells who comes into a conference.
    pub room_callbacks: bool,
    /// Calls can wait in its queues.
    pub queues: bool,
}

impl PhoneAccess {
    /// Keys of webhook signatures, the present one first.
    fn tokens(&self) -> impl Iterator<Item = SecretString> {
        [Some(self.auth_token.clone()), self.previous_auth_token.clone()].into_iter().flatten()
    }
}

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The database cannot be opened.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// The engine cannot be started.
    #[error("{0}")]
    Engine(#[from] engine::StartError),
    /// The phone system's settings are not usable.
    #[error("phone system: {0}")]
    Phone(#[from] phone::Error),
    /// A TwiML template is not usable.
    #[error("TwiML templates: {0}")]
    Templates(#[from] voice::templates::Error),
    /// The file of entry points does not fit what is there.
    #[error("voice.entries_file: {0}")]
    Entries(#[from] entries::Error),
    /// The HTTP client for users' URLs cannot be set up.
    #[error("HTTP client: {0}")]
    Outbound(#[from] outbound::Error),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    engine: Engine,
    store: Store,
    hub: Hub,
    shutdown: CancellationToken,
    listener: JoinHandle<()>,
    callbacks: Option<JoinHandle<()>>,
    relays: Option<JoinHandle<()>>,
    presence: JoinHandle<()>,
    revocations: JoinHandle<()>,
    event_callbacks: EventCallbacks,
    event_streams: EventStreams,
}

#[derive(Clone)]
struct Health {
    engine: Engine,
    store: Store,
    clock: Clock,
    metrics: Option<Metrics>,
    metrics_public: bool,
}

impl Server {
    /// Opens the database, loads every workspace and begins to serve.
    pub async fn start(
        settings: Settings,
        metrics: Option<Metrics>,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, StartError> {
        outbound::install_tls();
        // From here on it tells how far the machine's clock was set.
        let _ = clock.step_ms();
        let listen_error = |error| StartError::Listen { address: settings.listen, error };
        let listener = http::listen(settings.listen).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let public_base = settings.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let insistence = settings.phone.as_ref().map_or("", |access| access.abilities.insistence(&access.wording));
        let templates = Templates::load(settings.templates_dir.as_deref())?.insisting(&public_base, insistence);
        let templates = Arc::new(templates);
        let outbound = Outbound::new(settings.outbound.clone(), APPLICATION_TIMEOUT)?.apart_from(address);
        let applications = Outbound::new(settings.outbound.clone(), assignment::ANSWER_LIMIT)?.apart_from(address);
        let listeners = Outbound::new(settings.outbound.clone(), relays::PATIENCE)?.apart_from(address);
        let receivers =
            Outbound::new(settings.outbound.clone(), settings.event_callbacks.patience)?.apart_from(address);
        let store = Store::open_with(&settings.database, settings.keys.clone()).await?;
        let means = Means {
            queues: settings.phone.as_ref().is_none_or(|access| access.queues),
            rooms: settings.phone.as_ref().is_none_or(|access| access.abilities.rooms),
            leg_secs_max: settings.dialling.leg_secs,
        };
        let phone = match &settings.phone {
            None => None,
            Some(access) => {
                let phone = PhoneSettings {
                    url: access.url.clone(),
                    account_sid: access.account_sid.clone(),
                    credentials: access.credentials.clone(),
                    public_url: public_base.clone(),
                    leg_secs_max: settings.dialling.leg_secs,
                    max_cps: access.max_cps,
                    abilities: access.abilities,
                    wording: access.wording.clone(),
                };
                let moved = MovedCallers {
                    store: store.clone(),
                    templates: Arc::clone(&templates),
                    public_url: public_base.clone(),
                    means,
                    room_events: access.wording.room_events,
                };
                let phone = PhoneSystem::new(phone, Patience::default(), &clock, entropy)?;
                Some(phone.with_documents(Arc::new(moved)))
            }
        };
        let dialling = Arc::new(settings.dialling.clone());
        let limits = engine::Limits {
            waiting_calls: settings.waiting_calls_max,
            look_after_secs: settings.look_after_secs,
            cold_transfer_failure: settings.cold_transfer_failure,
            end_room_when_customer_left: settings.end_room_when_customer_left,
            customer_alone_secs: settings.customer_alone_secs,
            on_cancel_release_caller: settings.on_cancel_release_caller,
            connect_failure_limit: settings.connect_failure_limit,
            phone: settings.phone.is_some(),
            room_callbacks: settings.phone.as_ref().is_none_or(|access| access.room_callbacks),
            rooms: means.rooms,
            calls_take_turns: settings.phone.as_ref().is_some_and(|access| access.max_cps.is_some()),
            choices: settings.choices,
            default_caller_id: settings.default_caller_id.clone(),
            service_level_secs: settings.service_level_secs,
            dialling: settings.dialling.clone(),
            resources: settings.resources,
        };
        entries::apply(&settings.entries, &store, &clock).await?;
        let engine = Engine::start_within(limits, store.clone(), phone, clock.clone(), entropy).await?;
        // After all that can fail: an account that is made is also announced.
        if let Some((sid, auth_token)) = &settings.account {
            let account = Account {
                sid: *sid,
                friendly_name: "first account".to_owned(),
                auth_token: auth_token.clone(),
                created_at: clock.now(),
            };
            store.create_account(account).await?;
        }
        let public_url = match &settings.public_url {
            Some(url) => PublicUrl::Fixed(url.clone()),
            None => PublicUrl::FromRequest { trust_forwarded: settings.trust_forwarded },
        };
        let hub = Hub::within(settings.sockets, clock.clone(), PUSH_DELAY);
        engine.add_witness(Arc::new(hub.clone()));
        let rules = settings.event_callbacks.clone();
        let event_callbacks = EventCallbacks::new(rules, store.clone(), receivers, clock.clone(), entropy);
        engine.add_witness(Arc::new(event_callbacks.clone()));
        event_callbacks.start().await?;
        let event_streams = EventStreams::default();
        engine.add_witness(Arc::new(event_streams.clone()));
        let api = api::State {
            hub: hub.clone(),
            socket_addresses: http::Addresses::default(),
            engine: engine.clone(),
            store: store.clone(),
            clock: clock.clone(),
            public_url: public_url.clone(),
            event_callbacks: event_callbacks.clone(),
            event_streams: event_streams.clone(),
            rates: api::Rates::of(&settings.limits),
            locked_attributes: settings.locked_attributes.clone(),
            dialling: Arc::clone(&dialling),
        };
        let ask = Applications { store: store.clone(), outbound: applications };
        let callbacks = Callbacks::new(ask, clock.clone(), api::instruction::of_answer);
        let voice = voice::State {
            engine: engine.clone(),
            store: store.clone(),
            clock: clock.clone(),
            entropy,
            public_url: public_base,
            means,
            requested_url: public_url,
            phone_tokens: settings.phone.iter().flat_map(PhoneAccess::tokens).collect(),
            phone_key: settings.phone.as_ref().and_then(|access| access.public_key),
            room_events: settings.phone.as_ref().map_or(&[], |access| access.wording.room_events),
            insecure_skip_signature: settings.insecure_skip_signature,
            templates,
            wait: settings.wait,
            extra_call_attributes: settings.extra_call_attributes,
            outbound,
            actions: Actions::default(),
            rests: Rests::default(),
            known_workflows: KnownWorkflows::default(),
            arrivals: Arrivals::default(),
            dialling: Arc::clone(&dialling),
        };
        let relays_clock = clock.clone();
        let health = Health {
            engine: engine.clone(),
            store: store.clone(),
            clock,
            metrics,
            metrics_public: settings.metrics_public,
        };
        let router =
            api::router(api).merge(api::openapi::router()).merge(voice::router(voice)).merge(health_router(health));
        let shutdown = CancellationToken::new();
        let assignments = engine.take_assignments();
        let asking = assignments.map(|assignments| callbacks.run(assignments, engine.clone(), shutdown.clone()));
        let callbacks = asking.map(tokio::spawn);
        let waiting = store.relays().await?;
        let relays = Relays::new(store.clone(), listeners, relays_clock, entropy);
        let relaying = engine.take_relays().map(|rows| relays.run(waiting, rows, shutdown.clone()));
        let relays = relaying.map(tokio::spawn);
        let presence = tokio::spawn(presence::run(hub.clone(), engine.clone(), shutdown.clone()));
        let looking = revocations::run(hub.clone(), event_streams.clone(), store.clone(), shutdown.clone());
        let revocations = tokio::spawn(looking);
        let listener = tokio::spawn(http::serve(listener, router, settings.limits, shutdown.clone()));
        Ok(Self {
            address,
            engine,
            store,
            hub,
            shutdown,
            listener,
            callbacks,
            relays,
            presence,
            revocations,
            event_callbacks,
            event_streams,
        })
    }

    /// Where the server listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The engine, for tests that wait for it.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Resolves when the store takes no writes any more: the process has to end rather than go on without it.
    pub async fn failed(&self) {
        self.store.failed().await;
    }

    /// Answers what was begun, stops, and closes the database.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.hub.close_all();
        self.event_streams.close_all();
        let ((), listened) = tokio::join!(self.hub.stop(), self.listener);
        if let Err(error) = listened {
            tracing::error!(%error, "the listener failed");
        }
        if let Some(callbacks) = self.callbacks
            && let Err(error) = callbacks.await
        {
            tracing::error!(%error, "the sender of assignment callbacks failed");
        }
        if let Some(relays) = self.relays
            && let Err(error) = relays.await
        {
            tracing::error!(%error, "the sender of callbacks that are passed on failed");
        }
        if let Err(error) = self.presence.await {
            tracing::error!(%error, "the reports of open sockets failed");
        }
        if let Err(error) = self.revocations.await {
            tracing::error!(%error, "looking at the API keys of open sockets failed");
        }
        self.engine.shutdown().await;
        self.event_callbacks.stop().await;
        self.store.close().await;
    }
}

/// Paths about the server itself, each for GET.
pub const HEALTH_ROUTES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

fn health_router(health: Health) -> Router {
    let [live, ready_to_serve, metrics] = HEALTH_ROUTES;
    Router::new()
        .route(live, get(|| async { "ok\n" }))
        .route(ready_to_serve, get(ready))
        .route(metrics, get(show_metrics))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> Response {
    if !health.engine.is_running() {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response();
    }
    match health.store.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let why = match error {
                store::Error::Unavailable(why) => format!("the database cannot be written: {why}\n"),
                // What else there is may name files and rows.
                _ => "the database cannot be written\n".to_owned(),
            };
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
    }
}

/// Figures tell a lot about a business, so other machines see them only when the settings say so. A request that came
/// through a proxy is another machine's.
async fn show_metrics(
    State(health): State<Health>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let forwarded = headers.contains_key("x-forwarded-for") || headers.contains_key(header::FORWARDED);
    if !health.metrics_public && (forwarded || !peer.ip().to_canonical().is_loopback()) {
        let refusal = "metrics are shown to this machine only; SWITCHHOOK_METRICS_PUBLIC=true shows them to all\n";
        return (StatusCode::FORBIDDEN, refusal).into_response();
    }
    match &health.metrics {
        Some(metrics) => {
            health.engine.publish_gauges().await;
            publish_deliveries(&health).await;
            publish_capacity(&health).await;
            // The gauge tells.
            let _ = health.store.has_room().await;
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a clock that was set")]
            metrics::gauge!("taskrouter_clock_step_seconds").set(health.clock.step_ms() as f64 / 1_000.0);
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
        }
        None => (StatusCode::NOT_FOUND, "metrics are not recorded\n").into_response(),
    }
}

/// Units of the workers' capacity, read from the disk: the workspaces are not held up.
async fn publish_capacity(health: &Health) {
    let Ok(channels) = health.store.capacity_units().await else { return };
    for of in channels {
        for (state, units) in [("used", of.used), ("free", of.free), ("unavailable", of.unavailable)] {
            let labels =
                [("workspace", of.workspace.clone()), ("channel", of.channel.clone()), ("state", state.to_owned())];
            #[expect(clippy::cast_precision_loss, reason = "units are far fewer than 2^52")]
            metrics::gauge!("taskrouter_worker_capacity_units", &labels).set(units as f64);
        }
    }
}

/// Events that wait for another attempt, or are dead.
async fn publish_deliveries(health: &Health) {
    let counts = health.store.delivery_counts(health.clock.now()).await;
    let Ok((waiting, dead, oldest)) = counts else { return };
    #[expect(clippy::cast_precision_loss, reason = "rows are far fewer than 2^52")]
    let number = |count: u64| count as f64;
    metrics::gauge!("taskrouter_outbox_rows", "state" => "waiting_events").set(number(waiting));
    metrics::gauge!("taskrouter_outbox_rows", "state" => "dead_events").set(number(dead));
    metrics::gauge!("taskrouter_outbox_oldest_seconds").set(number(oldest));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::command::NewWorkspace;

    #[test]
    fn a_silent_application_leaves_time_to_answer_the_phone_system() {
        let phone_system_waits = Duration::from_secs(15);
        assert!(APPLICATION_TIMEOUT + Duration::from_secs(5) < phone_system_waits);
    }

    #[tokio::test]
    async fn readiness_tells_of_a_full_disk() {
        let store = Store::open("sqlite::memory:").await.unwrap();
        let clock = Clock::system();
        let account = Account {
            sid: AccountSid::from_bits(1),
            friendly_name: "test".to_owned(),
            auth_token: SecretString::from("0".repeat(32)),
            created_at: clock.now(),
        };
        let sid = account.sid;
        store.create_account(account).await.unwrap();
        let engine = Engine::start(store.clone(), None, clock.clone(), Entropy).await.unwrap();
        let health = Health { engine, store, clock, metrics: None, metrics_public: false };
        assert_eq!(ready(State(health.clone())).await.status(), StatusCode::OK);

        health.store.limit_pages(1).await;
        let new = NewWorkspace::named("Floor");
        // A write of nothing new, which is tried every second, may succeed in between.
        let answer = loop {
            while health.engine.create_workspace(sid, new.clone()).await.is_ok() {}
            let answer = ready(State(health.clone())).await;
            if answer.status() != StatusCode::OK {
                break answer;
            }
        };
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = axum::body::to_bytes(answer.into_body(), 1_000).await.unwrap();
        assert_eq!(body, "the database cannot be written: the disk is full\n");

        health.store.limit_pages(1_000_000).await;
        health.store.takes_writes().await;
        assert_eq!(ready(State(health)).await.status(), StatusCode::OK);
    }
}
