//! What goes into the calls core and what comes out of it.
//!
//! Inputs are facts (a webhook arrived, a callback was received, a command to the phone system succeeded or failed) and
//! wishes (an instruction). Outputs are commands to the phone system, which become outbox rows, and requests to the
//! routing core, which the engine carries out in the same commit. Start with [`Input`] and [`Output`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::callback::CallbackTerms;
use super::options::{ConferenceOptions, WorkerDocument};
pub use super::phone_command::PhoneCommand;
pub use super::queue_result::QueueResult;
use super::sight::{Repaired, RoomSight};
use super::wishes::{LegTarget, LegUpdate};
use crate::routing::{AccountSid, ReservationSid, TaskSid, Timestamp, WorkerSid};

/// Identifies a call at the phone system: opaque text of at most 128 bytes (`CA…` at Twilio, other forms elsewhere).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallSid(pub String);

impl std::fmt::Display for CallSid {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whose leg it is; the text form is part of callback URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The enqueued caller.
    Customer,
    /// A worker with a reservation.
    Worker,
    /// Somebody who joined the room without our doing, or was dialled into it by a number.
    External,
    /// A supervisor who listens, whispers or takes part.
    Supervisor,
}

impl Role {
    /// The form used in URLs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Worker => "worker",
            Self::External => "external",
            Self::Supervisor => "supervisor",
        }
    }

    /// Reads the form used in URLs.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        match text {
            "customer" => Some(Self::Customer),
            "worker" => Some(Self::Worker),
            "external" => Some(Self::External),
            "supervisor" => Some(Self::Supervisor),
            _ => None,
        }
    }
}

/// `CallStatus` of a leg as the phone system reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each variant is the CallStatus value of the same name")]
pub enum CallStatus {
    Queued,
    Initiated,
    Ringing,
    InProgress,
    Completed,
    Busy,
    Failed,
    NoAnswer,
    Canceled,
}

impl CallStatus {
    /// Reads the value on the wire.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Some(match text {
            "queued" => Self::Queued,
            "initiated" => Self::Initiated,
            "ringing" => Self::Ringing,
            "in-progress" => Self::InProgress,
            "completed" => Self::Completed,
            "busy" => Self::Busy,
            "failed" => Self::Failed,
            "no-answer" => Self::NoAnswer,
            "canceled" => Self::Canceled,
            _ => return None,
        })
    }

    /// Whether the call is over.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Busy | Self::Failed | Self::NoAnswer | Self::Canceled)
    }
}

/// What a conference status callback tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomEvent {
    /// `conference-start`
    Started,
    /// `conference-end`
    Ended {
        /// `ReasonConferenceEnded`
        reason: Option<String>,
    },
    /// `participant-join`
    Joined,
    /// `participant-leave`
    Left {
        /// `ReasonParticipantLeft`
        reason: Option<String>,
        /// `ParticipantCallStatus`, with `participant_add_failed`.
        call_status: Option<CallStatus>,
    },
    /// `participant-hold`, `participant-unhold`
    Held(bool),
    /// `participant-mute`, `participant-unmute`
    Muted(bool),
    /// `participant-modify`
    Modified,
}

/// What the caller's application gave with `<Enqueue>`, kept for when the call leaves the queue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Park {
    /// `action`, absolute.
    pub action: Option<String>,
    /// `method`, POST when absent.
    pub action_method: Option<String>,
    /// `waitUrl`, absolute; `Some("")` is silence; `None` is our own wait document.
    pub wait_url: Option<String>,
    /// `waitUrlMethod`
    pub wait_method: Option<String>,
    /// TwiML verbs that stood after `<Enqueue>`, as they were sent.
    pub after_enqueue: Option<String>,
}

/// Names one command to the phone system: the task and a number that counts up within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandId {
    /// The task.
    pub task: TaskSid,
    /// Counts from 1 within the task.
    pub number: u32,
}

/// A fact or a wish for the calls core. All of them name their task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A voice webhook enqueued a call and the routing core has just made the task.
    Enqueued {
        /// The caller's leg.
        call: CallSid,
        /// Who calls.
        from: String,
        /// The dialled number.
        to: String,
        /// What came with `<Enqueue>`.
        park: Park,
    },
    /// An outbound task is to be connected: there is no call yet, the worker is dialled first and the customer second.
    Outbound {
        /// Caller ID for both legs, `from` of the task's attributes; may be empty.
        from: String,
        /// The customer's number, `outbound_to` of the task's attributes.
        to: String,
    },
    /// The wait document was fetched: the call is parked.
    WaitRequested,
    /// The same of a phone system whose queues have SIDs.
    WaitRequestedIn {
        /// `QueueSid`
        queue: String,
    },
    /// The caller wants to be called back and may hang up; what was checked already is checked again.
    CallBack {
        /// The caller's leg.
        call: CallSid,
        /// The number to dial.
        to: String,
        /// How.
        terms: CallbackTerms,
    },
    /// The caller wants to leave a message and will leave the queue for it.
    LeaveMessage {
        /// The caller's leg.
        call: CallSid,
    },
    /// A worker accepted a reservation of the task without having a leg dialled.
    TakenElsewhere(ReservationSid),
    /// The worker of such a reservation is done with it, or has handed the task on.
    DoneElsewhere(ReservationSid),
    /// The `<Enqueue>` action was requested.
    Left {
        /// Why.
        result: QueueResult,
        /// `CallStatus` was final.
        call_ended: bool,
        /// `QueueTime` in seconds.
        queue_time_secs: Option<u32>,
    },
    /// A leg's `<Dial action>` of a join document was requested.
    RoomLeft {
        /// Whose leg.
        role: Role,
        /// The reservation of a worker's leg.
        reservation: Option<ReservationSid>,
        /// The leg, where the webhook names it; news of a leg that does not belong to the task are ignored.
        call: Option<CallSid>,
        /// `CallStatus` was final.
        call_ended: bool,
    },
    /// The `<Dial>` of a caller who was sent to dial the worker is over.
    Dialed {
        /// Of the worker.
        reservation: ReservationSid,
        /// The caller's leg, where the webhook names it.
        call: Option<CallSid>,
        /// `DialCallStatus`
        status: Option<CallStatus>,
        /// `CallStatus` was final.
        call_ended: bool,
    },
    /// The caller's call ended, as a callback of the number tells.
    CallerEnded {
        /// The caller's leg.
        call: CallSid,
    },
    /// The conference instruction for a pending reservation.
    Instruct {
        /// Which reservation.
        reservation: ReservationSid,
        /// Its worker.
        worker: WorkerSid,
        /// The worker's `contact_uri` attribute.
        contact_uri: Option<String>,
        /// Parameters.
        options: ConferenceOptions,
    },
    /// The call instruction for a pending reservation: the worker's leg runs a document, which may take the reservation.
    Call {
        /// Which reservation.
        reservation: ReservationSid,
        /// Its worker.
        worker: WorkerSid,
        /// The worker's `contact_uri` attribute.
        contact_uri: Option<String>,
        /// What the leg runs.
        document: WorkerDocument,
        /// Parameters of the leg.
        options: ConferenceOptions,
    },
    /// The redirect instruction for a pending reservation: a call goes on with a document.
    Redirect {
        /// Which reservation.
        reservation: ReservationSid,
        /// Which call.
        call: CallSid,
        /// Whose application has the document.
        account: AccountSid,
        /// The document, absolute.
        url: String,
        /// The reservation is accepted as soon as the call has been redirected.
        accept: bool,
    },
    /// A leg called to accept the reservation: the worker's own phone, or one that the call instruction placed.
    WorkerCalled {
        /// Which reservation.
        reservation: ReservationSid,
        /// Its worker.
        worker: WorkerSid,
        /// The leg.
        call: CallSid,
        /// Parameters of the room.
        options: ConferenceOptions,
    },
    /// A call status callback of a leg that we placed.
    LegChanged {
        /// Whose leg.
        role: Role,
        /// Its label in the room: a worker's is the reservation.
        label: String,
        /// The leg.
        call: CallSid,
        /// `CallStatus`
        status: CallStatus,
        /// `SequenceNumber`
        sequence: Option<u32>,
        /// `ErrorCode`, else `SipResponseCode` + 31000.
        code: Option<i32>,
    },
    /// A conference status callback.
    RoomChanged {
        /// `ConferenceSid`
        conference: String,
        /// What happened.
        event: RoomEvent,
        /// `CallSid`, on participant events.
        call: Option<CallSid>,
        /// `ParticipantLabel`
        label: Option<String>,
        /// `SequenceNumber`
        sequence: Option<u32>,
    },
    /// A command to the phone system was carried out or finally failed.
    CommandDone {
        /// Its number within the task.
        number: u32,
        /// How it went.
        outcome: PhoneOutcome,
    },
    /// The routing core ended a reservation for a reason of its own (rejected, canceled, rescinded, timeout).
    ReservationEnded {
        /// Which.
        reservation: ReservationSid,
    },
    /// The routing core ended the task for a reason of its own (canceled by API or time limit, deleted, completed).
    TaskEnded {
        /// Canceled, not completed or deleted.
        canceled: bool,
    },
    /// The task is being handed on by the worker of this reservation (`spec/voice.md` 3.12).
    TransferBegan {
        /// Of the worker who hands it on.
        reservation: ReservationSid,
        /// That worker leaves at once.
        cold: bool,
    },
    /// The transfer has succeeded, failed, or was taken back.
    TransferOver {
        /// It has failed, and the task is assigned to whoever handed it on.
        failed: bool,
    },
    /// A leg in the room is to be changed.
    UpdateLeg {
        /// Whose.
        target: LegTarget,
        /// What.
        update: LegUpdate,
    },
    /// A leg is to be taken out of the room.
    KickLeg {
        /// Whose.
        target: LegTarget,
    },
    /// Somebody who has no reservation is to be dialled into the room.
    Invite {
        /// Supervisor or external.
        role: Role,
        /// Its label in the room.
        label: String,
        /// Whom to dial.
        to: String,
        /// Caller ID.
        from: String,
        /// Options of the leg.
        options: Box<ConferenceOptions>,
        /// The leg that alone hears it.
        coach: Option<CallSid>,
    },
    /// The room is to end for all.
    EndConversation,
    /// The earliest deadline has passed.
    Tick,
}

/// How a command to the phone system went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhoneOutcome {
    /// Carried out.
    Done {
        /// SID of the leg that was made or looked at.
        call: Option<CallSid>,
        /// SID of its conference.
        conference: Option<String>,
        /// State of the call, where it was looked at.
        status: Option<CallStatus>,
    },
    /// The rooms that live.
    Seen(Vec<RoomSight>),
    /// The leg or room does not exist any more (404, or 21220).
    Gone,
    /// The phone system refused (4xx).
    Refused {
        /// Its error code.
        code: Option<i32>,
        /// Its message, for the alert log.
        message: String,
    },
    /// Not carried out within the time allowed: unreachable, 429 or 5xx throughout.
    Unavailable {
        /// The last error, for the alert log.
        message: String,
    },
}

/// What the calls core wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "the options of a new leg; few are alive at a time")]
pub enum Output {
    /// A command to the phone system: an outbox row.
    Phone {
        /// Its number within the task.
        number: u32,
        /// What.
        command: PhoneCommand,
    },
    /// Routing: the reservation's timer is paused and its siblings are rescinded.
    BeginConnecting(ReservationSid),
    /// Routing: both legs are in the room.
    Accept(ReservationSid),
    /// Routing: connecting failed.
    FailConnecting {
        /// Which.
        reservation: ReservationSid,
        /// Error code, where known.
        code: Option<i32>,
        /// Nobody is to be offered the task before.
        not_before: Option<Timestamp>,
        /// It was the worker's phone that did not take the call.
        missed: bool,
    },
    /// Routing: the caller is gone (canceled before acceptance, wrapping after it).
    EndCaller {
        /// `hangup`, `leave`, …
        reason: String,
    },
    /// Routing: the worker's leg is gone.
    EndWork(ReservationSid),
    /// Routing: the transfer of this reservation has failed, and the queue that it came from is asked for somebody else.
    AskQueue(ReservationSid),
    /// Routing: merge these keys into the task's attributes.
    MergeAttributes(Map<String, Value>),
    /// A look has made good what callbacks had not told.
    Repaired(Repaired),
    /// A line of the alert log.
    Alert {
        /// Twilio's code.
        code: u32,
        /// What happened, readable.
        message: String,
        /// The reservation concerned.
        reservation: Option<ReservationSid>,
    },
}
