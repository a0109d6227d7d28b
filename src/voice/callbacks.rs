//! Status callbacks of calls, conferences and recordings (`spec/voice.md` section 4).
//!
//! Answered with 204 once what they tell is on disk, together with what is passed on to the application; with 503 when it
//! cannot be written now, so that the phone system may tell again. What is not for us is 204 too. Order and duplicates are
//! the calls core's business. Start with [`leg`] and [`room`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::request::{self, Sender, Unreadable, Webhook};
use super::{State, no_content};
use crate::calls::{CallSid, CallStatus, CallbackAbout, Input, Role, RoomEvent};
use crate::engine::{self, Heard};
use crate::routing::TaskSid;
use crate::store;

/// Added to a SIP status code to make an error code (V4).
const SIP_CODE_BASE: i32 = 31_000;

/// `/voice/cb/call/{WT}/{label}/{role}`: a leg that we placed; a worker's label is the reservation.
pub(super) async fn leg(
    Shared(state): Shared<Arc<State>>,
    Path((task, label, role)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    let (Ok(task), Some(role)) = (task.parse(), Role::from_text(&role)) else { return no_content() };
    let (Some(call), Some(status)) = (webhook.call(), CallStatus::from_text(webhook.text("CallStatus"))) else {
        return no_content();
    };
    let input = Input::LegChanged {
        role,
        label,
        call,
        status,
        sequence: webhook.number("SequenceNumber"),
        code: code_of(&webhook),
    };
    let event = match status {
        CallStatus::Queued => "queued",
        CallStatus::Initiated => "initiated",
        CallStatus::Ringing => "ringing",
        CallStatus::InProgress => "answered",
        _ => "completed",
    };
    let subject = webhook.text("CallSid").to_owned();
    let Input::LegChanged { label, .. } = &input else { return no_content() };
    let heard = heard(&webhook, CallbackAbout::Leg(label.clone()), event, subject);
    state.take_in(webhook.sender, task, Some(input), heard).await
}

/// `/voice/cb/room/{WT}`: a room of ours.
pub(super) async fn room(Shared(state): Shared<Arc<State>>, Path(task): Path<String>, request: Request) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    let Ok(task) = task.parse() else { return no_content() };
    let conference = webhook.text("ConferenceSid").to_owned();
    let input = room_event(&webhook).map(|event| Input::RoomChanged {
        conference: conference.clone(),
        event,
        call: webhook.call(),
        label: webhook.get("ParticipantLabel").filter(|label| !label.is_empty()).map(ToOwned::to_owned),
        sequence: webhook.number("SequenceNumber"),
    });
    let heard = heard(&webhook, CallbackAbout::Room, subscribed_as(webhook.text("StatusCallbackEvent")), conference);
    state.take_in(webhook.sender, task, input, heard).await
}

/// `/voice/cb/rec/{WT}/{kind}`: a recording of the room (`conference`) or of a leg (`call`); nothing follows from it here.
pub(super) async fn asked_recording(
    Shared(state): Shared<Arc<State>>,
    Path((task, kind)): Path<(String, String)>,
    request: Request,
) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    let Ok(task) = task.parse() else { return no_content() };
    let about = match (kind.as_str(), webhook.call()) {
        ("conference", _) => CallbackAbout::RoomRecording,
        ("call", Some(call)) => CallbackAbout::CallRecording(call),
        _ => return no_content(),
    };
    let subject = if about == CallbackAbout::RoomRecording { "ConferenceSid" } else { "CallSid" };
    let subject = webhook.text(subject).to_owned();
    let heard = heard(&webhook, about, webhook.text("RecordingStatus"), subject);
    state.take_in(webhook.sender, task, None, heard).await
}

fn heard(webhook: &Webhook, about: CallbackAbout, event: &str, subject: String) -> Heard {
    Heard { about, event: event.to_owned(), subject, form: webhook.pairs().cloned().collect() }
}

/// The word of an instruction's list under which a room event is asked for (`spec/voice.md` 4.2).
fn subscribed_as(event: &str) -> &str {
    match event {
        "conference-start" => "start",
        "conference-end" => "end",
        "participant-mute" | "participant-unmute" => "mute",
        "participant-hold" | "participant-unhold" => "hold",
        "participant-speech-start" | "participant-speech-stop" => "speaker",
        "announcement-end" | "announcement-fail" => "announcement",
        other => other.strip_prefix("participant-").unwrap_or(other),
    }
}

/// `/voice/cb/call/inbound`: the status callback of a number, which knows no task. With `target` in the URL, as
/// `/voice/proxy/callback` has it, the application is told too, after us.
pub(super) async fn inbound_call(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    let taken_in = match state.heard_from(&webhook).await {
        Ok(Some(sender)) => state.end_call(sender, &webhook).await,
        Ok(None) => StatusCode::FORBIDDEN.into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot tell whose call it is");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    };
    // What could not be recorded is told once more, and to the application then.
    if webhook.of_query("target").is_none() || !taken_in.status().is_success() {
        return taken_in;
    }
    state.pass_on(&webhook).await
}

impl State {
    /// For whom a number speaks whose URL names an account; none when the sender must not say so.
    async fn heard_from(&self, webhook: &Webhook) -> Result<Option<Sender>, store::Error> {
        let Some(named) = webhook.of_query("account") else { return Ok(Some(webhook.sender)) };
        let Ok(account) = named.parse() else { return Ok(None) };
        Ok(self.owner(webhook.sender, Some(account)).await?.map(|owner| owner.sender()))
    }

    /// A call may be over: the workspace of its task is told.
    async fn end_call(&self, sender: Sender, webhook: &Webhook) -> Response {
        let Some(call) = webhook.call().filter(|_| webhook.call_ended()) else { return no_content() };
        if let Some(unrecorded) = self.end_arrival(sender, &call).await {
            return unrecorded;
        }
        match self.read(self.store.voice_task_by_call(&call.0)).await {
            Ok(Some(row)) => self.tell(sender, row.task, Input::CallerEnded { call }).await,
            Ok(None) => no_content(),
            Err(error) => {
                tracing::error!(%error, "cannot look up the task of a call");
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
        }
    }

    /// Tells the workspace that is making the task of a call that the call is over; the answer where it could not be told.
    /// Of a call whose webhook was overtaken no task will be made.
    async fn end_arrival(&self, sender: Sender, call: &CallSid) -> Option<Response> {
        let workspace = self.arrivals.call_ended(call, sender, self.clock.now())?;
        if !self.may_touch(sender, workspace).await {
            return None;
        }
        let input = Input::CallerEnded { call: call.clone() };
        match self.tell_workspace(workspace, engine::Request::Caller { call: call.clone(), input }).await {
            Ok(_) | Err(engine::Error::Refused(_) | engine::Error::NoSuchWorkspace) => {
                self.arrivals.end(call);
                None
            }
            Err(engine::Error::Overloaded | engine::Error::Unavailable) => {
                Some(StatusCode::SERVICE_UNAVAILABLE.into_response())
            }
        }
    }

    /// Hands a fact to the engine and answers when it is on disk.
    async fn tell(&self, sender: Sender, task: TaskSid, input: Input) -> Response {
        self.send_of_task(sender, task, engine::Request::Call { task, input }).await
    }

    /// The same of a callback that an application may want to hear too.
    async fn take_in(&self, sender: Sender, task: TaskSid, input: Option<Input>, heard: Heard) -> Response {
        self.send_of_task(sender, task, engine::Request::Heard { task, input, heard }).await
    }

    pub(super) async fn send_of_task(&self, sender: Sender, task: TaskSid, request: engine::Request) -> Response {
        let workspace = match self.workspace_of(sender, task).await {
            Ok(Some(workspace)) => workspace,
            Ok(None) => return no_content(),
            Err(Unreadable) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        };
        match self.tell_workspace(workspace, request).await {
            Ok(_) | Err(engine::Error::Refused(_) | engine::Error::NoSuchWorkspace) => no_content(),
            Err(error @ (engine::Error::Overloaded | engine::Error::Unavailable)) => {
                tracing::warn!(task.sid = %task, %error, "cannot record a status callback");
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
        }
    }
}

fn code_of(webhook: &Webhook) -> Option<i32> {
    let sip = || webhook.number::<i32>("SipResponseCode").filter(|code| (300..700).contains(code));
    webhook.number("ErrorCode").or_else(|| sip().map(|code| SIP_CODE_BASE + code))
}

fn room_event(webhook: &Webhook) -> Option<RoomEvent> {
    let given = |name: &str| webhook.get(name).filter(|value| !value.is_empty()).map(ToOwned::to_owned);
    Some(match webhook.text("StatusCallbackEvent") {
        "conference-start" => RoomEvent::Started,
        "conference-end" => RoomEvent::Ended { reason: given("ReasonConferenceEnded") },
        "participant-join" => RoomEvent::Joined,
        "participant-leave" => RoomEvent::Left {
            reason: given("ReasonParticipantLeft"),
            call_status: CallStatus::from_text(webhook.text("ParticipantCallStatus")),
        },
        "participant-hold" => RoomEvent::Held(true),
        "participant-unhold" => RoomEvent::Held(false),
        "participant-mute" => RoomEvent::Muted(true),
        "participant-unmute" => RoomEvent::Muted(false),
        "participant-modify" => RoomEvent::Modified,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(pairs: &[(&str, &str)]) -> Webhook {
        let form = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Webhook {
            sender: Sender::PhoneSystem,
            speaker: None,
            method: axum::http::Method::POST,
            cookie: None,
            idempotency_token: None,
            target: String::new(),
            form,
            query: Vec::new(),
            xml: None,
        }
    }

    #[test]
    fn the_error_code_comes_before_the_sip_code() {
        for (pairs, code) in [
            (&[("ErrorCode", "13223"), ("SipResponseCode", "486")][..], Some(13_223)),
            (&[("SipResponseCode", "486")][..], Some(31_486)),
            (&[("SipResponseCode", "200")][..], None),
            (&[("SipResponseCode", "2000000000")][..], None),
            (&[("ErrorCode", "")][..], None),
            (&[][..], None),
        ] {
            assert_eq!(code_of(&webhook(pairs)), code, "{pairs:?}");
        }
    }

    #[test]
    fn room_events_are_asked_for_by_their_group() {
        for (event, group) in [
            ("conference-start", "start"),
            ("conference-end", "end"),
            ("participant-join", "join"),
            ("participant-leave", "leave"),
            ("participant-unmute", "mute"),
            ("participant-unhold", "hold"),
            ("participant-modify", "modify"),
            ("participant-speech-stop", "speaker"),
            ("announcement-fail", "announcement"),
            ("something-new", "something-new"),
        ] {
            assert_eq!(subscribed_as(event), group);
        }
    }

    #[test]
    fn every_room_event_is_read() {
        let event = |pairs: &[(&str, &str)]| room_event(&webhook(pairs));
        let named = |name: &'static str| event(&[("StatusCallbackEvent", name)]);
        assert_eq!(named("conference-start"), Some(RoomEvent::Started));
        assert_eq!(named("conference-end"), Some(RoomEvent::Ended { reason: None }));
        assert_eq!(named("participant-join"), Some(RoomEvent::Joined));
        assert_eq!(named("participant-unhold"), Some(RoomEvent::Held(false)));
        assert_eq!(named("participant-mute"), Some(RoomEvent::Muted(true)));
        assert_eq!(named("participant-modify"), Some(RoomEvent::Modified));
        assert_eq!(named("participant-speech-start"), None);
        assert_eq!(named(""), None);
        assert_eq!(
            event(&[
                ("StatusCallbackEvent", "participant-leave"),
                ("ReasonParticipantLeft", "participant_add_failed"),
                ("ParticipantCallStatus", "no-answer"),
            ]),
            Some(RoomEvent::Left {
                reason: Some("participant_add_failed".to_owned()),
                call_status: Some(CallStatus::NoAnswer),
            })
        );
    }
}
