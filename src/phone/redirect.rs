//! Redirects of the caller: into the room, back to waiting, on with the application.
//!
//! A redirect cuts what the call is doing, maybe a conversation, so one that may have been carried out is not repeated
//! before looking where the caller is. The document goes with it where it can, so that nobody is lost for whom the phone
//! system could not ask. Must not decide what follows from that. Start with
//! [`PhoneSystem::redirect`].

use std::pin::Pin;
use std::time::Duration;

use reqwest::Method;

use super::transport::{Failure, segment};
use super::{PhoneSystem, form, status_of};
use crate::calls::voice_task::CUSTOMER_LABEL;
use crate::calls::{CallSid, CallStatus, PhoneOutcome};
use crate::routing::TaskSid;

/// The part of a command's time that is kept for a last look: one in so many.
const LOOK_SHARE: u32 = 5;

/// Longest document that a request takes, in characters.
const INLINE_MAX: usize = 4_000;
/// Longest time for one to be written; after that the phone system is told where to ask for it.
const WRITING_MAX: Duration = Duration::from_secs(1);

/// A document that is being written; nothing when it has to be asked for.
pub type Written<'a> = Pin<Box<dyn Future<Output = Option<String>> + Send + 'a>>;

/// Writes the documents that the phone system would be answered with if it asked.
pub trait Documents: std::fmt::Debug + Send + Sync {
    /// Of the caller of a task who enters the room.
    fn for_room(&self, task: TaskSid) -> Written<'_>;
    /// Of the caller of a task who waits again.
    fn for_queue(&self, task: TaskSid) -> Written<'_>;
}

/// Where the caller is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// The task's room.
    Room,
    /// The worker, whom the caller dials where there are no rooms.
    Worker,
    /// The wait document.
    Queue,
    /// The document of released callers.
    Application,
}

impl Destination {
    const fn document(self) -> &'static str {
        match self {
            Self::Room | Self::Worker => "join/customer",
            Self::Queue => "park",
            Self::Application => "left?released=1",
        }
    }
}

/// The caller of a task and where it is sent.
#[derive(Debug)]
pub(super) struct Redirect<'a> {
    pub(super) task: TaskSid,
    pub(super) call: &'a CallSid,
    /// Name of the task's room.
    pub(super) room: String,
    pub(super) to: Destination,
}

impl PhoneSystem {
    /// Redirects the caller once. `unclear` says that an earlier attempt may have been carried out.
    pub(super) async fn redirect(
        &self,
        redirect: &Redirect<'_>,
        mut unclear: bool,
        last_error: &mut String,
    ) -> Result<PhoneOutcome, Failure> {
        let budget = self.transport.patience.command;
        let sending = self.send(redirect, &mut unclear, last_error);
        if let Ok(answered) = tokio::time::timeout(budget.saturating_sub(budget / LOOK_SHARE), sending).await {
            return answered;
        }
        let found = if unclear { self.look_for_caller(redirect, last_error).await? } else { None };
        Ok(found.unwrap_or_else(|| PhoneOutcome::Unavailable { message: last_error.clone() }))
    }

    async fn send(
        &self,
        redirect: &Redirect<'_>,
        unclear: &mut bool,
        last_error: &mut String,
    ) -> Result<PhoneOutcome, Failure> {
        let path = format!("Calls/{}", segment(&redirect.call.0));
        let pairs = self.document_of(redirect).await;
        let mut attempt = 0;
        loop {
            if *unclear && let Some(outcome) = self.look_for_caller(redirect, last_error).await? {
                return Ok(outcome);
            }
            let was_unclear = std::mem::replace(unclear, true);
            let failure = match self.transport.once(Method::POST, &path, &pairs).await {
                Ok(answer) => return Ok(done(redirect, status_of(&answer))),
                Err(failure) if failure.is_refusal() => return Err(failure),
                Err(failure) => failure,
            };
            *unclear = was_unclear || failure.may_have_been_carried_out();
            self.transport.pause(attempt, &failure, last_error).await;
            attempt += 1;
        }
    }

    /// The document itself, or where it is.
    async fn document_of(&self, redirect: &Redirect<'_>) -> Vec<(String, String)> {
        if let Some(document) = self.written(redirect).await {
            return form::pairs(&[(self.transport.wording.document, &document)]);
        }
        let url = format!("{}/voice/tasks/{}/{}", self.public_url, redirect.task, redirect.to.document());
        let insisting = format!("{url}{}", self.abilities.insistence(&self.transport.wording));
        form::pairs(&[("Url", &insisting), ("Method", "POST"), ("FallbackUrl", &url), ("FallbackMethod", "POST")])
    }

    async fn written(&self, redirect: &Redirect<'_>) -> Option<String> {
        let documents = self.documents.as_ref().filter(|_| self.abilities.inline_documents)?;
        let document = match redirect.to {
            Destination::Room | Destination::Worker => documents.for_room(redirect.task),
            Destination::Queue => documents.for_queue(redirect.task),
            Destination::Application => return None,
        };
        let document = tokio::time::timeout(WRITING_MAX, document).await.ok().flatten()?;
        (document.chars().count() <= INLINE_MAX).then_some(document)
    }

    /// What a redirect that may have been carried out has come to; `None` when it has to be sent.
    ///
    /// Whether a caller who is in no room waits or was sent on cannot be seen here. To wait is what parking wants. For a
    /// release the outcome is left open: the caller's next request tells, and sending it on twice would cut it off from
    /// what the application has begun.
    async fn look_for_caller(
        &self,
        redirect: &Redirect<'_>,
        last_error: &mut String,
    ) -> Result<Option<PhoneOutcome>, Failure> {
        let status = match self.fetch(redirect.call, last_error).await? {
            PhoneOutcome::Done { status, .. } => status,
            other => return Ok(Some(other)),
        };
        if status.is_some_and(CallStatus::is_final) {
            return Ok(Some(PhoneOutcome::Gone));
        }
        if !self.abilities.rooms {
            return Ok(unseen(redirect));
        }
        let arrived = redirect.to == Destination::Room && self.is_in_room(redirect, last_error).await?;
        if !arrived {
            // It may be on its way into the room, or out of it.
            tokio::time::sleep(self.transport.patience.settle).await;
        }
        let in_room = arrived || self.is_in_room(redirect, last_error).await?;
        let unavailable = |message: &str| Some(PhoneOutcome::Unavailable { message: message.to_owned() });
        Ok(match (redirect.to, in_room) {
            (Destination::Room, true) | (Destination::Queue, false) => Some(done(redirect, status)),
            (Destination::Room, false) if self.live_rooms(&redirect.room, last_error).await?.is_empty() => {
                unavailable("expected a room for the caller to join, found none")
            }
            (Destination::Application, false) => unavailable("whether the caller was sent on is not known"),
            (Destination::Room | Destination::Worker, _) | (Destination::Queue | Destination::Application, true) => {
                None
            }
        })
    }

    /// Sends a call to a document. Where an attempt may have been carried out already, the outcome is left open: the
    /// document's own requests tell, and sending the call there twice would cut it off from what it has begun.
    pub(super) async fn send_call_to(
        &self,
        call: &CallSid,
        pairs: &[(String, String)],
        unclear: bool,
        last_error: &mut String,
    ) -> Result<PhoneOutcome, Failure> {
        let path = format!("Calls/{}", segment(&call.0));
        let mut attempt = 0;
        loop {
            if unclear || attempt > 0 {
                match self.fetch(call, last_error).await? {
                    PhoneOutcome::Done { status, .. } if status.is_some_and(CallStatus::is_final) => {
                        return Ok(PhoneOutcome::Gone);
                    }
                    PhoneOutcome::Done { .. } if unclear => {
                        let message = "whether the call was redirected is not known".to_owned();
                        return Ok(PhoneOutcome::Unavailable { message });
                    }
                    PhoneOutcome::Done { .. } => {}
                    other => return Ok(other),
                }
            }
            let failure = match self.transport.once(Method::POST, &path, pairs).await {
                Ok(answer) => {
                    let status = status_of(&answer);
                    return Ok(PhoneOutcome::Done { call: Some(call.clone()), conference: None, status });
                }
                Err(failure) if failure.is_refusal() => return Err(failure),
                Err(failure) => failure,
            };
            if failure.may_have_been_carried_out() {
                return Err(failure);
            }
            self.transport.pause(attempt, &failure, last_error).await;
            attempt += 1;
        }
    }

    async fn is_in_room(&self, redirect: &Redirect<'_>, last_error: &mut String) -> Result<bool, Failure> {
        let leg = self.look_for_label(&redirect.room, CUSTOMER_LABEL, last_error).await?;
        Ok(leg.is_some_and(|leg| leg.call == *redirect.call))
    }
}

/// The same where nobody can be seen in a room. A caller may be sent to wait twice. Whether one was sent to dial is left open,
/// too: taken for sent, it would count as served without anybody's phone having rung.
fn unseen(redirect: &Redirect<'_>) -> Option<PhoneOutcome> {
    match redirect.to {
        Destination::Worker | Destination::Application => {
            Some(PhoneOutcome::Unavailable { message: "whether the caller was sent on is not known".to_owned() })
        }
        Destination::Room | Destination::Queue => None,
    }
}

fn done(redirect: &Redirect<'_>, status: Option<CallStatus>) -> PhoneOutcome {
    PhoneOutcome::Done { call: Some(redirect.call.clone()), conference: None, status }
}
