//! The records of a voice task: the task, its legs, the attempt to connect, and the commands that are on their way.
//!
//! These are plain data, stored as JSON after each change. What changes them is in `fold`, `answers`, `connecting` and
//! `ending`; nothing is decided here. Start with [`VoiceTask`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::callback::Callback;
use super::handing::Handing;
use super::interface::{CallSid, CallStatus, Park, QueueResult, Role};
use super::options::{CallerDials, ConferenceOptions, Subscription};
use super::wishes::{HoldDocument, LegUpdate};
use crate::routing::{ActivitySid, ReservationSid, TaskSid, Timestamp};

/// Label of the caller's leg in the room.
pub const CUSTOMER_LABEL: &str = "customer";

/// Where a voice task stands (`spec/voice.md` 3.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoiceState {
    /// The park document was returned; the phone system was not heard of yet.
    Created,
    /// The caller waits.
    Parked,
    /// A worker's leg is being made or rings.
    Offering,
    /// The worker is in the room; the caller is being moved.
    Joining,
    /// Both are in the room; the reservation is accepted.
    Bridged,
    /// The conversation is over; legs and commands are not all ended.
    Ending,
    /// As `Ending`, of a task that was never accepted.
    Closing,
    /// No live legs and nothing to do.
    Closed,
}

/// How far a leg has come; it only moves forward, except that a leg that left may join again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum LegState {
    Requested,
    Queued,
    Ringing,
    Answered,
    InRoom,
    Left,
    Ended,
}

/// How a leg that is not wanted any more is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Abort {
    /// Nothing was sent yet.
    Wanted,
    /// Hung up by label, its SID not being known.
    ByLabel,
    /// Taken out of the room.
    Kicked,
    /// Hung up by SID.
    BySid,
}

/// One call of a voice task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Whose.
    pub role: Role,
    /// Label in the room: `customer`, or the reservation SID; empty for others.
    pub label: String,
    /// Its SID, as soon as it is known.
    pub call: Option<CallSid>,
    /// Of a worker's leg.
    pub reservation: Option<ReservationSid>,
    /// The worker's own phone placed it: no status callbacks, and it is not ours to hang up once it left.
    pub own: bool,
    /// How far it has come.
    pub state: LegState,
    /// Final status, where one was told.
    pub end_cause: Option<CallStatus>,
    /// Error code that came with it.
    pub end_code: Option<i32>,
    /// Highest `SequenceNumber` of its call status callbacks.
    pub last_sequence: Option<u32>,
    /// Highest `SequenceNumber` of its room events.
    pub last_room_sequence: Option<u32>,
    /// When it was asked for.
    pub created: Timestamp,
    /// When dialling began at the phone system.
    pub dialed: Option<Timestamp>,
    /// When it was answered.
    pub answered: Option<Timestamp>,
    /// When it joined the room.
    pub joined: Option<Timestamp>,
    /// When it left the room.
    pub left: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// On hold in the room.
    pub held: bool,
    /// What it hears on hold, when it is not our own document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_document: Option<HoldDocument>,
    /// Muted in the room.
    pub muted: bool,
    /// Heard by one other leg alone: it whispers to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whispers: bool,
    /// Which leg that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coaches: Option<CallSid>,
    /// Its reservation was accepted.
    pub accepted: bool,
    /// The end of its work was told to the routing core, or the routing core knows it of itself.
    pub wrapped: bool,
    /// It is to end; how far that is.
    pub abort: Option<Abort>,
    /// When to look whether it has ended.
    pub check_at: Option<Timestamp>,
    /// Attempts to end it, or to learn its state, that did not succeed.
    pub tries: u32,
    /// That it does not end was complained of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub complained: bool,
    /// The room ends when it leaves.
    #[serde(default)]
    pub ends_room: bool,
    /// What is to change about it as soon as it is in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wished: Option<LegUpdate>,
    /// We dialled it, and somebody has to pay for it.
    #[serde(default)]
    pub metered: bool,
    /// We dialled it as a third party. A stranger who came into the room by its name is not ours to send away.
    #[serde(default)]
    pub invited: bool,
    /// It was called to run a document, the application's or our announcement, which leads it into the room.
    #[serde(default)]
    pub by_document: bool,
    /// It hears an announcement of ours, by which it comes into the room; the options of the room, where they are its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<Box<ConferenceOptions>>,
    /// The caller's own document dials it, so that it is no leg of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_caller: Option<Box<CallerDials>>,
    /// The worker's activity after the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_work_activity: Option<ActivitySid>,
    /// Name of the room that it was asked into, where that is not the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// Who is to be told of its call's progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_callback: Option<Subscription>,
    /// Who is to be told of its recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_callback: Option<Subscription>,
}

impl Leg {
    /// Whether it can still be heard of: not out of the room and not ended.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state < LegState::Left
    }

    /// Whether it is in the room to talk with everybody there.
    #[must_use]
    pub fn takes_part(&self) -> bool {
        self.state == LegState::InRoom && self.abort.is_none() && !self.muted && !self.whispers
    }

    /// Whether nothing more needs to happen to it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self.role {
            Role::Worker => self.state == LegState::Ended || (self.own && self.state == LegState::Left),
            Role::Customer | Role::Supervisor => self.state >= LegState::Left,
            Role::External => self.abort.is_none() || self.state >= LegState::Left,
        }
    }
}

/// How far an attempt to connect the caller with a worker has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The worker's leg is made, rings, or was answered.
    Dialing,
    /// Nothing was heard for too long: both legs are being looked at.
    Checking,
    /// The worker is in the room: is the caller still there?
    FindingCaller,
    /// The caller is to be moved as soon as no other redirect of it is on its way.
    ReadyToMove,
    /// The caller is being redirected.
    Moving,
    /// The caller was redirected and must appear in the room.
    AwaitingJoin,
    /// The caller did not appear: is it still there?
    FindingLost,
    /// An outbound task: the worker is in the room and the customer is being dialled.
    DialingCustomer,
}

/// The attempt that is going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connecting {
    /// Whose reservation.
    pub reservation: ReservationSid,
    /// How far.
    pub phase: Phase,
    /// When the phase has lasted too long.
    pub guard: Option<Timestamp>,
    /// Looks at a caller that was not answered yet.
    pub looks: u32,
    /// The attributes with both SIDs were told to the routing core.
    pub attributes_told: bool,
    /// Ring timeout of the worker's leg, in seconds.
    #[serde(default)]
    pub ring_secs: u32,
    /// The reservation is accepted as soon as the worker answers.
    #[serde(default)]
    pub accepts_on_answer: bool,
}

/// How the caller was lost to this task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerEnd {
    /// `hangup`, `leave`, …
    pub reason: String,
    /// The caller cannot have been in the room before.
    pub certain: bool,
}

/// What is to be done with the caller as soon as no other redirect is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Back to the wait document.
    Park,
    /// On with the application's next document.
    Release,
}

/// A command to the phone system that was not answered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the phone commands; the text is the label of the leg")]
pub enum Errand {
    AddParticipant(String),
    MoveCaller,
    ParkCaller,
    ReleaseCaller,
    FetchCaller,
    /// With the moment at which it was asked for.
    FetchRoom(Timestamp),
    FetchLeg(String),
    HangUp(String),
    HangUpLabel(String),
    Kick(String),
    UpdateLeg(String, LegUpdate),
    EndRoom,
    /// A look at the call that asked for a callback, or its end.
    FormerCall,
    /// The call of a reservation's redirect instruction, which accepts it or leaves it pending.
    Redirect {
        reservation: ReservationSid,
        call: CallSid,
        accept: bool,
    },
    /// A room that is not the task's room any more, by SID, and the attempts at it that have failed.
    EndStrayRoom(String, u32),
    /// Its answer is of no interest any more.
    Forgotten,
}

impl Errand {
    /// The leg that it ends, or whose end it asks about.
    pub(super) const fn ends(&mut self) -> Option<&mut String> {
        match self {
            Self::FetchLeg(label) | Self::HangUp(label) | Self::HangUpLabel(label) | Self::Kick(label) => Some(label),
            _ => None,
        }
    }
}

/// Deadlines of the task itself; those of an attempt and of a leg are kept with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deadlines {
    /// When silence has lasted too long.
    pub silence: Option<Timestamp>,
    /// When a departure no longer waits for the arrival before it.
    pub lost_join: Option<Timestamp>,
    /// When the caller has been alone in the room for too long.
    pub alone: Option<Timestamp>,
    /// When the room should have ended.
    pub room_end: Option<Timestamp>,
    /// When the wish about the caller is tried again.
    pub wish: Option<Timestamp>,
    /// When the rooms are looked at again, because somebody had only just joined whom the last look did not show.
    #[serde(default)]
    pub unsettled: Option<Timestamp>,
    /// When the promise of a callback ends.
    #[serde(default)]
    pub callback: Option<Timestamp>,
    /// When it is tried again to let whoever hands the task on leave.
    #[serde(default)]
    pub handing: Option<Timestamp>,
}

/// A task that is a phone call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceTask {
    /// The task.
    pub task: TaskSid,
    /// The caller's leg; of an outbound task the customer's, empty before there is one.
    pub call: CallSid,
    /// Who calls; the caller ID of an outbound task.
    pub from: String,
    /// The dialled number.
    pub to: String,
    /// The customer is dialled, and only after the worker.
    #[serde(default)]
    pub outbound: bool,
    /// The caller hung up, or may, and is called back.
    #[serde(default)]
    pub callback: Option<Callback>,
    /// The caller leaves the queue to leave a message.
    #[serde(default)]
    pub leaves_message: bool,
    /// Calls that were the customer's before, whose late news count for nothing.
    #[serde(default)]
    pub past_calls: Vec<CallSid>,
    /// What came with `<Enqueue>`.
    pub park: Park,
    /// Where it stands.
    pub state: VoiceState,
    /// The caller's leg first, then the others by age.
    pub legs: Vec<Leg>,
    /// `ConferenceSid` of the room in use, as soon as it is known.
    pub conference: Option<String>,
    /// Rooms of earlier attempts.
    pub past_conferences: Vec<String>,
    /// Name of the room: the task SID, unless the instruction named it otherwise.
    pub room: String,
    /// Options of the present or last attempt.
    pub options: Option<ConferenceOptions>,
    /// The attempt that is going on.
    pub connecting: Option<Connecting>,
    /// The task is being handed on.
    #[serde(default)]
    pub handing: Option<Handing>,
    /// A transfer is over that nobody took, and whoever began it has left: the customer is left on hold, or waits, and
    /// somebody may still come back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_on_hold: bool,
    /// After a cold transfer that failed the queue was asked for somebody else.
    #[serde(default)]
    pub requeued: bool,
    /// Commands that were not answered yet, by number.
    pub outstanding: BTreeMap<u32, Errand>,
    /// Number of the last command.
    pub last_number: u32,
    /// Deadlines.
    pub deadlines: Deadlines,
    /// When it was enqueued.
    pub created: Timestamp,
    /// The phone system fetched the wait document, or said that the call is in progress.
    pub wait_seen: bool,
    /// Last sign of life of the caller.
    pub caller_seen: Timestamp,
    /// How the caller was lost.
    pub caller_end: Option<CallerEnd>,
    /// What is to be done with the caller.
    pub wish: Option<Wish>,
    /// Attempts at it.
    pub wish_tries: u32,
    /// When the last redirect of ours was sent.
    pub redirected: Option<Timestamp>,
    /// The caller was sent on, or was to be.
    pub released: bool,
    /// A reservation was accepted without a conversation in our room: the application connects the two.
    #[serde(default)]
    pub taken: bool,
    /// Reservations that were accepted without a leg of ours, and whose workers are not done with them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub held_apart: BTreeSet<ReservationSid>,
    /// The document that the caller was sent to by an instruction, until it waits again or comes into the room.
    #[serde(default)]
    pub sent_to: Option<String>,
    /// The caller is where the application led it, neither waiting nor in our room.
    #[serde(default)]
    pub elsewhere: bool,
    /// The task was canceled, and by the settings the caller goes on waiting.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_on: bool,
    /// The end of the caller was told to the routing core.
    pub caller_told: bool,
    /// The routing core has ended the task.
    pub task_ended: bool,
    /// Why the task was canceled, where this core caused it.
    pub cancel_reason: Option<String>,
    /// `QueueSid` of the queue that it waits in, or waited in last, where the phone system's queues have SIDs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_sid: Option<String>,
    /// `QueueTime` in seconds.
    pub queue_time_secs: Option<u32>,
    /// Result with which the application's `action` was requested; a repeated webhook repeats it.
    pub action_called: Option<QueueResult>,
    /// The `action` is told that the caller was redirected, not bridged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub says_redirected: bool,
    /// The room of the accepted attempt has ended.
    pub room_over: bool,
    /// Attempts to end the room.
    pub room_end_tries: u32,
    /// Last news of the room: a look that was asked for before tells nothing.
    #[serde(default)]
    pub room_heard: Option<Timestamp>,
    /// Looks in a row that the phone system did not answer.
    #[serde(default)]
    pub looks_unanswered: u32,
    /// Number of the last callback that was passed on to the application.
    #[serde(default)]
    pub last_relay: u32,
    /// Marks of the callbacks that were passed on, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relayed: Vec<u64>,
}

impl VoiceTask {
    /// The legs that the phone system has made, each with its task and its label.
    pub fn labelled_legs(&self) -> impl Iterator<Item = (TaskSid, &str, &CallSid)> {
        self.legs.iter().filter_map(|leg| Some((self.task, leg.label.as_str(), leg.call.as_ref()?)))
    }

    /// The caller's leg.
    #[must_use]
    pub fn caller(&self) -> &Leg {
        self.legs.first().expect("the caller's leg is made with the record and never removed")
    }

    /// The leg of a reservation.
    #[must_use]
    pub fn worker_leg(&self, reservation: ReservationSid) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.reservation == Some(reservation))
    }

    /// The number of ours that the customer knows, which is the caller ID of other legs: empty where there is none.
    #[must_use]
    pub fn own_number(&self) -> &str {
        if self.outbound { &self.from } else { &self.to }
    }

    /// Whether a reservation of the task was accepted.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.legs.iter().any(|leg| leg.accepted)
    }

    /// Whether a reservation was accepted and the caller has come to whoever did: not while it waits, or is with the
    /// application, because no more was asked for than that the worker answers.
    #[must_use]
    pub fn is_bridged(&self) -> bool {
        let apart = self.taken && !self.outbound && self.caller().joined.is_none();
        self.is_accepted() && !apart
    }

    /// Whether the customer is in the room, on hold.
    #[must_use]
    pub fn customer_is_held(&self) -> bool {
        let customer = self.legs.iter().find(|leg| leg.role == Role::Customer);
        customer.is_some_and(|leg| leg.held && leg.state == LegState::InRoom)
    }

    /// Whether somebody is on the line, or the phone system is still to be told something.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        let is_made = |leg: &Leg| leg.call.is_some() && leg.is_live();
        let is_told = self.wish.is_none() && self.outstanding.is_empty();
        self.state != VoiceState::Closed && (!is_told || self.legs.iter().any(is_made))
    }

    /// Whether the caller's call still belongs to this task.
    #[must_use]
    pub fn holds_caller(&self) -> bool {
        self.state < VoiceState::Ending && self.caller_end.is_none() && !self.task_ended && !self.released
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let own = [
            self.deadlines.silence,
            self.deadlines.lost_join,
            self.deadlines.alone,
            self.deadlines.room_end,
            self.deadlines.wish,
            self.deadlines.unsettled,
            self.deadlines.callback,
            self.deadlines.handing,
            self.connecting.as_ref().and_then(|connecting| connecting.guard),
        ];
        own.into_iter().chain(self.legs.iter().map(|leg| leg.check_at)).flatten().min()
    }
}
