//! Webhooks from the phone system and the TwiML they are answered with (`spec/voice.md` sections 1, 2 and 4).
//!
//! A webhook is checked, read, turned into one request to the engine, and answered by the state that the engine left
//! behind, after it is on disk. Whatever goes wrong, a caller gets a document that a phone system can go on with. This
//! module must not decide what a call, room or reservation does to another (that is `calls`), and must not write rows,
//! alerts excepted. Start with [`router`], then `request`, then `enqueue`.

mod actions;
mod alerts;
mod application;
mod arrivals;
mod attributes;
mod callbacks;
mod choice;
mod cookies;
mod document;
mod enqueue;
mod enqueue_document;
mod entries;
mod join;
mod known_workflows;
mod left;
mod loops;
mod moved;
mod next;
mod ours;
mod outlook;
mod owner;
mod patience;
mod proxy;
mod request;
mod reservations;
mod rests;
mod rewrite;
mod room_left;
mod room_wait;
mod rounds;
pub mod templates;
mod told;
mod voicemail;
mod wait;
mod walk;
mod whisper;
mod xml;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use secrecy::SecretString;

use crate::calls::{DialPolicy, VoiceTask};
use crate::clock::{Clock, Entropy};
use crate::config;
use crate::engine::Engine;
use crate::http::PublicUrl;
use crate::outbound::Outbound;
use crate::routing::{TaskSid, WorkspaceSid};
use crate::signature::ed25519::PublicKey;
use crate::store::Store;
pub use actions::Actions;
pub use arrivals::Arrivals;
use document::Document;
pub use known_workflows::KnownWorkflows;
pub use moved::{Means, MovedCallers};
use request::Unreadable;
pub use rests::Rests;
pub use templates::Templates;

/// What the voice webhooks need.
#[derive(Debug)]
pub struct State {
    /// Carries out what webhooks ask.
    pub engine: Engine,
    /// Finds tasks, workflows and accounts.
    pub store: Store,
    /// Time of alerts.
    pub clock: Clock,
    /// SIDs of alerts.
    pub entropy: Entropy,
    /// Base URL under which the phone system reaches us; begins the URLs in documents.
    pub public_url: String,
    /// Base URL of a single request, which counts for its signature besides `public_url`.
    pub requested_url: PublicUrl,
    /// Auth tokens of the phone system's account, the primary one first: two while a token is being changed.
    pub phone_tokens: Vec<SecretString>,
    /// The key of webhooks that the phone system signs with Ed25519.
    pub phone_key: Option<PublicKey>,
    /// Events of conferences that the phone system knows; all when empty.
    pub room_events: &'static [&'static str],
    /// Takes webhooks without a signature; for the laboratory only.
    pub insecure_skip_signature: bool,
    /// What the phone system has.
    pub means: Means,
    /// TwiML.
    pub templates: Arc<Templates>,
    /// What waiting callers hear whose application says nothing about it.
    pub wait: config::Wait,
    /// Parameters of a call that its task gets as attributes besides the usual ones.
    pub extra_call_attributes: Vec<String>,
    /// Requests to the applications' URLs.
    pub outbound: Outbound,
    /// What the applications' `action` answered.
    pub actions: Actions,
    /// What of the applications' documents had no place in an answer.
    pub rests: Rests,
    /// Where workflows belong.
    pub known_workflows: KnownWorkflows,
    /// Calls whose tasks are being made, and those that are put through to somebody else.
    pub arrivals: Arrivals,
    /// Whom the documents of entry points may dial, and who may be called back.
    pub dialling: Arc<DialPolicy>,
}

/// Makes the list of routes and the router that serves them from one table.
macro_rules! routes {
    ($($path:literal => $handler:path,)+) => {
        /// Paths that are served, each for GET and POST.
        pub const ROUTES: &[&str] = &[$($path),+];

        fn table() -> Router<Arc<State>> {
            let methods = || MethodFilter::GET.or(MethodFilter::POST);
            Router::new()$(.route($path, on(methods(), $handler)))+
        }
    };
}

routes! {
    "/voice/proxy" => proxy::answer,
    "/voice/proxy/callback" => told::answer,
    "/voice/enqueue" => enqueue::without_workflow,
    "/voice/enqueue/{workflow}" => enqueue::with_workflow,
    "/voice/entries/{entry}" => entries::answer,
    "/voice/entries/{entry}/overflow" => entries::overflow,
    "/voice/entries/{entry}/dialled" => entries::dialled,
    "/voice/entries/{entry}/recorded" => entries::recorded,
    "/voice/entries/{entry}/voicemail" => voicemail::of_entry,
    "/voice/tasks/{task}/wait" => wait::answer,
    "/voice/tasks/{task}/choice" => choice::choice,
    "/voice/tasks/{task}/callback" => choice::confirmed,
    "/voice/tasks/{task}/recorded" => choice::recorded,
    "/voice/tasks/{task}/park" => join::park,
    "/voice/tasks/{task}/left" => left::answer,
    "/voice/tasks/{task}/join/{role}" => join::join,
    "/voice/tasks/{task}/room-left/{role}" => room_left::answer,
    "/voice/tasks/{task}/room-wait" => room_wait::answer,
    "/voice/reservations/{reservation}" => reservations::answer,
    "/voice/reservations/{reservation}/whisper" => reservations::whisper,
    "/voice/hold/{task}" => room_wait::hold,
    "/voice/cb/call/inbound" => callbacks::inbound_call,
    "/voice/cb/call/{task}/{reservation}/{role}" => callbacks::leg,
    "/voice/cb/room/{task}" => callbacks::room,
    "/voice/cb/recording/{task}" => voicemail::of_task,
    "/voice/cb/rec/{task}/{kind}" => callbacks::asked_recording,
}

/// All endpoints of the voice side.
pub fn router(state: State) -> Router {
    table().layer(middleware::from_fn(patience::count)).with_state(Arc::new(state))
}

impl State {
    /// An absolute URL of ours.
    fn url(&self, path: &str) -> String {
        self.documents().url(path)
    }

    /// Answers with a document.
    fn answer(&self, document: &Document<'_>) -> Response {
        let text = self.templates.render(document);
        if self.means.queues {
            return twiml(text);
        }
        twiml(loops::pauseless(&text, None).unwrap_or(text))
    }

    /// The park document of a task.
    fn park(&self, task: TaskSid, queue: &str, verbs_before: &str) -> Response {
        twiml(self.documents().caller_waits(task, queue, verbs_before))
    }

    /// The calls core's record of a task, and its workspace; none when there is none that can be understood.
    async fn voice_task(&self, task: TaskSid) -> Result<Option<(WorkspaceSid, VoiceTask)>, Unreadable> {
        let row = match self.read(self.store.voice_task(task)).await {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(None),
            Err(error) => {
                tracing::error!(task.sid = %task, %error, "cannot read a voice task");
                return Err(Unreadable);
            }
        };
        match serde_json::from_str(&row.state.json()) {
            Ok(record) => Ok(Some((row.workspace, record))),
            Err(error) => {
                tracing::error!(task.sid = %task, %error, "cannot understand the stored state of a voice task");
                Ok(None)
            }
        }
    }
}

/// An answer that the phone system reads as TwiML.
fn twiml(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], body).into_response()
}

/// The answer to a status callback that was taken in, or that is not for us.
fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

#[cfg(test)]
mod tests;
