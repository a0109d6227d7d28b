//! Acceptance returns the conference instructions: a leg that the worker's own phone placed, or that the call
//! instruction placed, takes the reservation.
//!
//! The answer is the worker's place in the room, while the engine has the caller moved in. Start with [`answer`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::State;
use super::alerts::{Complaint, INVALID_POST_WORK_ACTIVITY, INVALID_RESERVATION, RESERVATION_NOT_ACCEPTABLE};
use super::application::with_query;
use super::document::Document;
use super::owner::{Unheard, place_of_reservation};
use super::proxy::OF_DIAL;
use super::request::{self, Unreadable, Webhook};
use crate::calls::{ConferenceOptions, Whisper};
use crate::engine;
use crate::routing::{ActivitySid, Refusal, ReservationSid, TaskSid, WorkspaceSid};

/// `/voice/reservations/{WR}`
pub(super) async fn answer(
    Shared(state): Shared<Arc<State>>,
    Path(reservation): Path<String>,
    request: Request,
) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    let webhook = match state.vouched_for(&webhook, &place_of_reservation(&reservation)).await {
        Ok(spoken) => spoken,
        Err(Unheard::Forged) => return StatusCode::FORBIDDEN.into_response(),
        Err(Unheard::Unreadable) => return state.come_again(&webhook),
    };
    let taken = match state.addressed(&webhook, &reservation).await {
        Ok(place) => state.take(&webhook, &place).await,
        Err(turned) => Err(turned),
    };
    state.answered(&webhook, taken).await
}

/// `/voice/reservations/{WR}/whisper`: a worker whom an instruction had called is told of the caller, and presses the key
/// that takes the call. Any other key ends it.
pub(super) async fn whisper(
    Shared(state): Shared<Arc<State>>,
    Path(reservation): Path<String>,
    request: Request,
) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    if webhook.call_ended() {
        return state.answer(&Document::Empty);
    }
    let place = match state.addressed(&webhook, &reservation).await {
        Ok(place) => place,
        Err(turned) => return state.answered(&webhook, Err(turned)).await,
    };
    let Ok(Some((_, record))) = state.voice_task(place.task).await else {
        return state.answered(&webhook, Err(Turned::Busy)).await;
    };
    let announced = webhook.call().and_then(|call| record.announced(place.reservation, &call).cloned());
    let Some(announcement) = announced.and_then(|options| options.announcement) else {
        return state.answer(&Document::WorkerUnavailable);
    };
    let said = (SAID.to_owned(), "1".to_owned());
    let this = state.url(&format!("/voice/reservations/{}/whisper", place.reservation));
    if webhook.get(SAID).is_none() {
        let outlook = state.outlook(place.workspace, place.task).await;
        return state.answer(&Document::WorkerWhisper {
            language: state.language(outlook.as_ref()).as_deref(),
            text: announcement.text.as_deref(),
            key: announcement.key.as_deref(),
            take_url: &with_query(&this, &[said]),
        });
    }
    let pressed = announcement.key.map(|key| ("Digits".to_owned(), key));
    if pressed.as_ref().is_some_and(|(digits, key)| webhook.get(digits) != Some(key)) {
        return state.answer(&Document::Empty);
    }
    match state.take(&webhook, &place).await {
        Err(Turned::Busy) => {
            let again: Vec<(String, String)> = std::iter::once(said).chain(pressed).collect();
            state.answer(&Document::Busy { verbs_before: "", url: &with_query(&this, &again) })
        }
        taken => state.answered(&webhook, taken).await,
    }
}

/// In the query of the document that follows the announcement.
const SAID: &str = "said";

/// A reservation and where it is.
struct Place {
    reservation: ReservationSid,
    workspace: WorkspaceSid,
    task: TaskSid,
}

/// Why the worker does not get into the room.
#[derive(Debug)]
enum Turned {
    /// The engine cannot take it now.
    Busy,
    /// There is nothing to take.
    Away(Complaint),
}

impl State {
    async fn answered(&self, webhook: &Webhook, taken: Result<Response, Turned>) -> Response {
        match taken {
            Ok(room) => room,
            Err(Turned::Busy) => self.come_again(webhook),
            Err(Turned::Away(complaint)) => {
                let workspace = complaint.workspace;
                self.complain(webhook.sender, complaint).await;
                let failed = [("DialCallStatus", "failed"), ("DialBridged", "false")];
                match self.after_dial(webhook, workspace, &failed).await {
                    Some(onward) => onward,
                    None => self.answer(&Document::WorkerUnavailable),
                }
            }
        }
    }

    /// The reservation in a path, if the sender may touch it.
    async fn addressed(&self, webhook: &Webhook, reservation: &str) -> Result<Place, Turned> {
        let unknown = || Turned::Away(Complaint::new(INVALID_RESERVATION, "the URL does not name a reservation"));
        let reservation: ReservationSid = reservation.parse().map_err(|_| unknown())?;
        let (workspace, task, _) = match self.read(self.store.workspace_of_reservation(reservation)).await {
            Ok(found) => found.ok_or_else(unknown)?,
            Err(error) => {
                tracing::error!(reservation.sid = %reservation, %error, "cannot look up a reservation");
                return Err(Turned::Busy);
            }
        };
        if !self.may_touch(webhook.sender, workspace).await {
            return Err(unknown());
        }
        Ok(Place { reservation, workspace, task })
    }

    async fn take(&self, webhook: &Webhook, place: &Place) -> Result<Response, Turned> {
        let &Place { reservation, workspace, task } = place;
        let away = |code: u32, message: String| {
            let complaint = Complaint::new(code, message).in_workspace(workspace).about_task(task);
            Turned::Away(complaint.about_reservation(reservation))
        };
        let call = webhook
            .call()
            .filter(|_| !webhook.call_ended())
            .ok_or_else(|| away(RESERVATION_NOT_ACCEPTABLE, "expected the CallSid of a live call".to_owned()))?;
        let known = self.voice_task(task).await.map_err(|Unreadable| Turned::Busy)?;
        let announced = known.as_ref().and_then(|(_, record)| record.announced(reservation, &call));
        let options = announced.cloned().unwrap_or_else(|| options_of(webhook));
        let request = engine::Request::WorkerCall { reservation, call, options };
        match self.tell_workspace(workspace, request).await {
            Ok(_) => {}
            Err(engine::Error::Overloaded | engine::Error::Unavailable) => return Err(Turned::Busy),
            Err(error @ (engine::Error::NoSuchWorkspace | engine::Error::Refused(Refusal::NotFound))) => {
                return Err(away(INVALID_RESERVATION, error.to_string()));
            }
            Err(engine::Error::Refused(Refusal::InstructionNotPending { .. })) => {
                let message = "the reservation is not pending any more, or another leg is taking it";
                return Err(away(RESERVATION_NOT_ACCEPTABLE, message.to_owned()));
            }
            Err(error @ engine::Error::Refused(_)) => {
                return Err(away(RESERVATION_NOT_ACCEPTABLE, error.to_string()));
            }
        }
        let known = self.voice_task(task).await.map_err(|Unreadable| Turned::Busy)?;
        let (_, record) = known.ok_or(Turned::Busy)?;
        let post_work = webhook.get("PostWorkActivitySid").filter(|given| given.parse::<ActivitySid>().is_err());
        if post_work.is_some() {
            let message = "postWorkActivitySid names no activity: the worker's activity stays as it is";
            let complaint =
                Complaint::new(INVALID_POST_WORK_ACTIVITY, message).in_workspace(workspace).about_task(task);
            self.complain(webhook.sender, complaint.about_reservation(reservation)).await;
        }
        let of_this = ["account", "mac", "Reservation"];
        let is_kept = |name: &str| OF_DIAL.contains(&name) && !of_this.contains(&name);
        let kept = webhook.query.iter().filter(|(name, _)| is_kept(name));
        let mut onward: Vec<(String, String)> = kept.cloned().collect();
        onward.push(("Reservation".to_owned(), reservation.to_string()));
        let attributes = Self::dial_attributes(webhook);
        let settings = record.worker_room(reservation);
        Ok(self.join_worker(task, onward, webhook.speaker.as_ref(), &attributes, &settings))
    }
}

/// Parameters of the room, as `<Dial><Queue reservationSid>` has them unless the URL says otherwise.
fn options_of(webhook: &Webhook) -> ConferenceOptions {
    let flag = |name: &str, absent: bool| match webhook.text(name).to_ascii_lowercase().as_str() {
        "true" | "1" => true,
        "false" | "0" => false,
        _ => absent,
    };
    let beep = Some(webhook.text("Beep")).filter(|beep| matches!(*beep, "true" | "false" | "onEnter" | "onExit"));
    ConferenceOptions {
        beep: beep.unwrap_or("false").to_owned(),
        muted: flag("Muted", false),
        start_conference_on_enter: flag("StartConferenceOnEnter", true),
        end_conference_on_exit: flag("EndConferenceOnExit", true),
        end_conference_on_customer_exit: flag("EndConferenceOnCustomerExit", false),
        beep_on_customer_entrance: flag("BeepOnCustomerEntrance", false),
        wait_url: webhook.get("WaitUrl").map(ToOwned::to_owned),
        whisper: webhook.get("Whisper").filter(|url| !url.is_empty()).map(|url| Whisper {
            url: url.to_owned(),
            by_get: webhook.text("WhisperMethod").eq_ignore_ascii_case("GET"),
        }),
        post_work_activity: webhook.text("PostWorkActivitySid").parse().ok(),
        ..ConferenceOptions::default()
    }
}
