//! Watches whether the phone system takes our credentials, and tells the workspaces (`spec/voice.md` 5.5).
//!
//! Asks when a command was refused, and then again and again, ever more slowly, until the credentials are taken. What
//! follows is decided in `cores`. Start with [`run`].

use std::time::Duration;

use metrics::gauge;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Engine;
use super::request::{PhoneAccess, Request};
use crate::phone::{Access, PhoneSystem};

/// Pause before refused credentials are tried again; doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How much longer than until the next try calls are held back: it may take a while to be answered.
const MARGIN: Duration = Duration::from_secs(30);

/// Runs until `shutdown`.
pub(super) async fn run(phone: PhoneSystem, engine: Engine, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = watch(&phone, &engine) => {}
    }
}

async fn watch(phone: &PhoneSystem, engine: &Engine) {
    let granted = gauge!("taskrouter_phone_access");
    granted.set(1.0);
    let mut denied: Option<String> = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let seen = phone.try_access().await;
        match (seen, &denied) {
            (Access::Denied { message }, before) => {
                if before.is_none() {
                    error!(message, "the phone system refuses our credentials: no call is offered until it takes them");
                } else {
                    warn!(message, "the phone system still refuses our credentials");
                }
                denied = Some(message);
                granted.set(0.0);
            }
            (Access::Granted, Some(_)) => {
                info!("the phone system takes our credentials again");
                denied = None;
                granted.set(1.0);
                engine.tell_access(&PhoneAccess::Granted).await;
            }
            // It is refusing or not as before, as far as we know.
            (Access::Unknown { message }, Some(_)) => warn!(message, "the phone system does not say who we are"),
            (Access::Granted | Access::Unknown { .. }, None) => {}
        }
        let Some(message) = &denied else {
            pause = FIRST_PAUSE;
            phone.doubt().await;
            continue;
        };
        let until =
            engine.0.around.clock.now().plus_secs(u32::try_from((pause + MARGIN).as_secs()).unwrap_or(u32::MAX));
        engine.tell_access(&PhoneAccess::Denied { message: message.clone(), until }).await;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Engine {
    /// Tells every workspace; one that cannot take it now hears of the next try.
    async fn tell_access(&self, access: &PhoneAccess) {
        for workspace in self.workspaces() {
            // Gone, or being loaded again.
            let _ = self.send(workspace, Request::PhoneAccess(access.clone())).await;
        }
    }
}
