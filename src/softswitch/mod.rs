//! `switchhook phone`: a small phone system that speaks Twilio's REST, TwiML and webhooks, with loopback media.
//!
//! Legs are not real telephones: each address has a behaviour (answers after a second, is busy, hangs up …) that the
//! control API sets, and no sound flows. Everything else is as at a real phone system, so the server needs no second
//! code path for development, demo and tests. This module knows nothing of TaskRouter.
//!
//! `core` is the state machine (no I/O), `driver` the task that owns it, `sender` the webhooks, `rest` the HTTP side,
//! `twiml` the documents. Start with [`Softswitch`].

mod cookies;
mod core;
mod dialect;
mod driver;
mod faults;
mod options;
mod overrides;
mod rest;
mod sender;
mod time;
mod twiml;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::core::{Settings, Switch};
use self::dialect::Spoken;
use self::driver::Driver;
use self::faults::Faults;
use self::sender::Sender;
use crate::clock::{Clock, Entropy};

pub use self::options::{Method, Number, Options};

const SHUTDOWN: Duration = Duration::from_secs(3);

/// A running phone system; cheap to clone, the only way in.
#[derive(Clone)]
pub struct Softswitch {
    router: Router,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl fmt::Debug for Softswitch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Softswitch").field("stopped", &self.stop.is_cancelled()).finish_non_exhaustive()
    }
}

impl Softswitch {
    /// Starts the phone system: its core runs as a task until [`Softswitch::shutdown`].
    ///
    /// Must be called inside a tokio runtime. An empty auth token makes every request to its router fail with 401.
    #[must_use]
    pub fn start(options: Options, clock: Clock, entropy: Entropy) -> Self {
        let public_url = options.public_url.trim_end_matches('/').to_owned();
        let settings = Settings {
            account_sid: options.account_sid.clone(),
            public_url: public_url.clone(),
            speed: options.speed,
            live_calls_max: options.live_calls_max,
            queue_size: options.queue_size.clamp(1, self::core::QUEUE_SIZE_MAX),
            finished_max: options.finished_max,
            numbers: options.numbers,
        };
        let spoken = Arc::new(Spoken::new(options.auth_token.clone(), clock.clone()));
        let ids = Arc::clone(&spoken);
        let switch = Switch::new(settings, move |prefix| ids.sid(prefix, &entropy.hex_128()));
        let (mailbox, messages) = mpsc::channel(driver::MAILBOX);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let faults = Arc::new(Faults::default());
        let sender = Sender::new(Arc::clone(&spoken), Arc::clone(&faults));
        let driver = Driver::new(switch, clock, sender, mailbox.clone(), tasks.clone(), stop.clone());
        tasks.spawn(driver::run(driver, messages));
        let auth_token = Arc::new(options.auth_token);
        let api = rest::Api { account_sid: options.account_sid, public_url, auth_token, mailbox, faults, spoken };
        Self { router: rest::router(api), tasks, stop }
    }

    /// Everything it serves: Twilio's REST below `/2010-04-01`, the control API below `/control`.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Stops the core, after which requests get 503, and waits at most 3 s for webhooks on their way.
    ///
    /// Calls that are still live are dropped without further callbacks, as if the machine had lost its power.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(SHUTDOWN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some webhooks were still on their way when the phone system stopped");
        }
    }
}
