//! Which document a leg continues with, by the state of its voice task, and the settings of the room it joins.
//!
//! Answers only; nothing changes here, and no TwiML is written. The webhook is folded first, then its document is asked
//! for. Start with [`VoiceTask::document_after_left`].

use super::interface::{QueueResult, Role};
use super::options::{ConferenceOptions, Whisper};
use super::policy::REASON_MESSAGE;
use super::voice_task::{CUSTOMER_LABEL, Phase, VoiceState, VoiceTask, Wish};
use crate::routing::ReservationSid;

/// What the phone system is to run next on a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextDocument {
    /// The customer's join document.
    JoinRoom,
    /// The park document: the caller waits (again).
    Wait,
    /// A redirect to this document of the application's, to which an instruction sends the caller too.
    Redirect(String),
    /// The answer of the application's `action`.
    Application {
        /// `action`, absolute.
        url: String,
        /// `GET` or `POST`.
        method: String,
        /// `QueueResult` to send.
        result: QueueResult,
        /// Why the task was canceled, where the calls core knows it.
        cancel_reason: Option<String>,
        /// Whether the leg runs the application's answer; otherwise the request is made for its effects and the leg
        /// gets an empty document.
        answer_used: bool,
    },
    /// A redirect to the document of released callers, which [`VoiceTask::document_after_left`] gives for
    /// [`QueueResult::Leave`]: the phone system may run this answer or its own redirect there, both lead to the same.
    Release,
    /// The verbs that stood after `<Enqueue>`.
    AfterEnqueue(String),
    /// The document that records a message.
    Message,
    /// The document that says that nobody can take the call.
    Unavailable,
    /// An empty document.
    Empty,
}

/// Settings of a room for the leg that joins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSettings {
    /// Name of the room.
    pub room_name: String,
    /// Label of the leg.
    pub label: String,
    /// The leg starts the room.
    pub start_on_enter: bool,
    /// The room ends with the leg.
    pub end_on_exit: bool,
    /// `true`, `false`, `onEnter` or `onExit`.
    pub beep: String,
    /// What is heard while the room has not started; `Some("")` is silence.
    pub wait_url: Option<String>,
    /// How it is fetched.
    pub wait_method: Option<String>,
    /// The leg only listens.
    pub muted: bool,
    /// The call that alone hears it.
    pub coach: Option<String>,
    /// 2 to 250.
    pub max_participants: Option<u32>,
    /// Recording of the room.
    pub record: Option<String>,
    /// Trimming of the recording.
    pub trim: Option<String>,
    /// Where the room is mixed.
    pub region: Option<String>,
    /// `small`, `medium`, `large` or `off`.
    pub jitter_buffer_size: Option<String>,
    /// Events of the room that are told, separated by spaces: whoever comes first decides it for all.
    pub events: String,
    /// Recordings of the room are told.
    pub tells_recordings: bool,
}

/// How a leg takes part that we have called to come into the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its label in the room.
    pub label: String,
    /// The room starts with it.
    pub start_on_enter: bool,
    /// The room ends with it.
    pub end_on_exit: bool,
    /// Who hears a beep.
    pub beep: String,
    /// It only listens.
    pub muted: bool,
    /// The call that alone hears it.
    pub coach: Option<String>,
}

impl VoiceTask {
    /// Whether a caller who still hears the wait document is to leave the queue: the task is over, and the redirect that
    /// was to tell the caller is not on its way, or went wrong.
    #[must_use]
    pub fn lets_caller_leave(&self) -> bool {
        let waits_no_more = matches!(self.state, VoiceState::Closing | VoiceState::Closed);
        waits_no_more && self.callback.is_none() && self.outstanding.is_empty() && !self.waits_on
    }

    /// The answer to the `<Enqueue>` action (`spec/voice.md` 2.8, "Answer of /left by state of the task"). A caller whom
    /// we released comes with [`QueueResult::Leave`]; the action that tells of that redirect comes with another result
    /// and must not ask the application too.
    #[must_use]
    pub fn document_after_left(&self, result: QueueResult) -> NextDocument {
        // Nobody gave up: the application hears of the end when the task has one.
        if self.callback.is_some() {
            return NextDocument::Empty;
        }
        match result {
            QueueResult::Leave if self.cancel_reason.as_deref() == Some(REASON_MESSAGE) => NextDocument::Message,
            QueueResult::Leave if self.was_taken() && self.released && self.leaves_message => NextDocument::Message,
            QueueResult::Hangup => self.application(result, false).unwrap_or(NextDocument::Empty),
            QueueResult::Leave | QueueResult::QueueFull | QueueResult::Error | QueueResult::SystemError => {
                let otherwise = if self.released { NextDocument::Unavailable } else { NextDocument::Empty };
                self.onward(result, otherwise)
            }
            QueueResult::Redirected
            | QueueResult::RedirectedFromBridged
            | QueueResult::Bridged
            | QueueResult::BridgingInProcess => {
                if self.released {
                    NextDocument::Release
                } else if self.cancel_reason.as_deref() == Some(QueueResult::Redirected.as_str()) {
                    self.application(QueueResult::Redirected, false).unwrap_or(NextDocument::Empty)
                } else if self.caller_end.is_some() {
                    NextDocument::Empty
                } else if let Some(url) = &self.sent_to {
                    NextDocument::Redirect(url.clone())
                } else if self.elsewhere {
                    self.application(QueueResult::Redirected, false).unwrap_or(NextDocument::Empty)
                } else if self.is_moving_caller() || self.state == VoiceState::Bridged {
                    NextDocument::JoinRoom
                } else if self.state < VoiceState::Bridged {
                    NextDocument::Wait
                } else {
                    NextDocument::Empty
                }
            }
        }
    }

    /// The answer to the `<Dial>` action of a join document.
    #[must_use]
    pub fn document_after_room(&self, role: Role) -> NextDocument {
        if role != Role::Customer {
            return NextDocument::Empty;
        }
        if self.released {
            return NextDocument::Release;
        }
        if self.is_bridged() {
            let result = if self.says_redirected { QueueResult::Redirected } else { QueueResult::Bridged };
            return self.onward(result, NextDocument::Empty);
        }
        if self.caller_end.is_some() {
            return self.application(QueueResult::Hangup, false).unwrap_or(NextDocument::Empty);
        }
        // Of a caller who dials again already.
        if self.caller_dials().is_some() {
            return NextDocument::JoinRoom;
        }
        NextDocument::Wait
    }

    /// Whether a worker has accepted the task, with a leg of ours or without.
    fn was_taken(&self) -> bool {
        self.is_accepted() || self.taken
    }

    /// Whether the caller was told to go to the room and is expected there.
    #[must_use]
    pub fn is_moving_caller(&self) -> bool {
        self.wish != Some(Wish::Park)
            && self.connecting.as_ref().is_some_and(|connecting| connecting.phase >= Phase::Moving)
    }

    fn onward(&self, result: QueueResult, otherwise: NextDocument) -> NextDocument {
        self.application(result, true)
            .or_else(|| self.park.after_enqueue.clone().map(NextDocument::AfterEnqueue))
            .unwrap_or(otherwise)
    }

    /// The application's `action`, which is requested with one result only.
    fn application(&self, result: QueueResult, answer_used: bool) -> Option<NextDocument> {
        if self.action_called.is_some_and(|called| called != result) {
            return None;
        }
        Some(NextDocument::Application {
            url: self.park.action.clone()?,
            method: self.park.action_method.clone().unwrap_or_else(|| "POST".to_owned()),
            result,
            cancel_reason: self.cancel_reason.clone(),
            answer_used,
        })
    }

    /// What a caller who is on the way into the room hears before the worker.
    #[must_use]
    pub fn whisper(&self) -> Option<&Whisper> {
        self.options.as_ref().and_then(|options| options.whisper.as_ref()).filter(|_| self.is_moving_caller())
    }

    /// The room as the caller joins it.
    #[must_use]
    pub fn customer_room(&self) -> RoomSettings {
        let options = self.options.clone().unwrap_or_default();
        RoomSettings {
            label: CUSTOMER_LABEL.to_owned(),
            start_on_enter: true,
            end_on_exit: options.end_conference_on_customer_exit,
            beep: if options.beep_on_customer_entrance { "onEnter" } else { "false" }.to_owned(),
            muted: false,
            ..self.room_settings(options)
        }
    }

    /// The room as a worker's own leg joins it.
    #[must_use]
    pub fn worker_room(&self, reservation: ReservationSid) -> RoomSettings {
        let announced = self.worker_leg(reservation).and_then(|leg| leg.announced.as_deref());
        let options = announced.or(self.options.as_ref()).cloned().unwrap_or_default();
        RoomSettings { label: reservation.to_string(), ..self.room_settings(options) }
    }

    /// The room as a leg joins it that we have called for that; none when nobody waits for it any more.
    #[must_use]
    pub fn called_room(&self, part: &Part) -> Option<RoomSettings> {
        self.legs.iter().find(|leg| leg.label == part.label && leg.is_live() && leg.abort.is_none())?;
        let options = self.options.clone().unwrap_or_default();
        Some(RoomSettings {
            label: part.label.clone(),
            start_on_enter: part.start_on_enter,
            end_on_exit: part.end_on_exit,
            beep: part.beep.clone(),
            muted: part.muted,
            coach: part.coach.clone(),
            ..self.room_settings(options)
        })
    }

    fn room_settings(&self, options: ConferenceOptions) -> RoomSettings {
        // A document has other words for it than a request.
        let record = options.conference_record.as_deref().map(|record| match record {
            "true" => "record-from-start",
            "false" => "do-not-record",
            other => other,
        });
        RoomSettings {
            record: record.map(str::to_owned),
            events: options.room_events().join(" "),
            tells_recordings: options.tells_room_recordings(),
            room_name: self.room.clone(),
            label: String::new(),
            start_on_enter: options.start_conference_on_enter,
            end_on_exit: options.end_conference_on_exit,
            beep: options.beep,
            wait_url: options.wait_url,
            wait_method: options.wait_method,
            muted: options.muted,
            coach: None,
            max_participants: options.max_participants,
            trim: options.conference_trim,
            region: options.region,
            jitter_buffer_size: options.jitter_buffer_size,
        }
    }
}
