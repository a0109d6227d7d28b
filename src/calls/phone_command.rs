//! What the calls core wants done at the phone system. Plain data, written to the outbox as JSON; how it is done is the
//! client's affair. Start with [`PhoneCommand`].

use serde::{Deserialize, Serialize};

use super::interface::{CallSid, Role};
use super::options::{ConferenceOptions, WorkerDocument};
use super::sight::RoomQuery;
use super::wishes::LegUpdate;
use crate::routing::{AccountSid, Timestamp};

/// Something to do at the phone system. Each command is safe to repeat: the client looks before it repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhoneCommand {
    /// Dial somebody into the room (`POST Conferences/{room}/Participants`); the label is the idempotency key.
    AddParticipant {
        /// Room name.
        room: String,
        /// Label of the leg: the reservation SID of a worker.
        label: String,
        /// Whose leg it is; callback URLs carry it.
        #[serde(default = "worker")]
        role: Role,
        /// The leg that alone hears it.
        #[serde(default)]
        coach: Option<CallSid>,
        /// Whom to dial.
        to: String,
        /// Caller ID.
        from: String,
        /// Options of the instruction.
        options: ConferenceOptions,
        /// When the leg was asked for; bounds the search for a leg that an unclear attempt may have made.
        requested_at: Timestamp,
    },
    /// Call somebody whose leg runs a document before it comes into the room (`POST Calls`).
    PlaceCall {
        /// Name of the room that it comes into.
        #[serde(default)]
        room: String,
        /// The reservation SID; callback URLs carry it.
        label: String,
        /// Whom to call.
        to: String,
        /// Caller ID.
        from: String,
        /// What the leg runs; our announcement when absent.
        #[serde(default)]
        document: Option<WorkerDocument>,
        /// Options of the instruction.
        options: ConferenceOptions,
        /// When the leg was asked for; bounds the search for a leg that an unclear attempt may have made.
        requested_at: Timestamp,
    },
    /// Let a call go on with a document of the application's.
    RedirectCall {
        /// The call.
        call: CallSid,
        /// Whose application.
        account: AccountSid,
        /// The document, absolute.
        url: String,
    },
    /// Change a leg in the room.
    UpdateParticipant {
        /// Room name or conference SID.
        room: String,
        /// Label or SID of the leg.
        leg: String,
        /// What changes.
        update: LegUpdate,
    },
    /// Move the caller into the room: the call is redirected to the customer's join document.
    MoveCallerToRoom {
        /// The caller's leg.
        call: CallSid,
        /// Name of the task's room.
        #[serde(default)]
        room: String,
    },
    /// Let the caller dial the worker: the call is redirected to a document that does.
    LetCallerDial {
        /// The caller's leg.
        call: CallSid,
        /// The reservation SID.
        label: String,
        /// Whom to dial.
        to: String,
        /// Caller ID.
        from: String,
    },
    /// Send the caller back to the wait document.
    ParkCaller {
        /// The caller's leg.
        call: CallSid,
        /// Name of the task's room.
        #[serde(default)]
        room: String,
    },
    /// Let the caller go on with the application's next document.
    ReleaseCaller {
        /// The caller's leg.
        call: CallSid,
        /// Name of the task's room.
        #[serde(default)]
        room: String,
    },
    /// See who is in the room.
    FetchRoom(RoomQuery),
    /// Read a call's state.
    FetchCall {
        /// The call.
        call: CallSid,
    },
    /// End a call, ringing or live.
    HangUp {
        /// The call.
        call: CallSid,
    },
    /// End a leg that was asked for, although its SID may not be known yet: found by label in the room.
    HangUpLabel {
        /// Room name.
        room: String,
        /// Label of the leg.
        label: String,
        /// Its SID, if known.
        call: Option<CallSid>,
    },
    /// Take a leg out of the room and end it.
    Kick {
        /// Room name or conference SID.
        room: String,
        /// Label or SID of the leg.
        leg: String,
    },
    /// End the room for all.
    EndRoom {
        /// Room name or conference SID.
        room: String,
    },
}

impl PhoneCommand {
    /// What it does, without what is in it, which nobody needs to read in a log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AddParticipant { .. } => "add participant",
            Self::MoveCallerToRoom { .. } => "move caller to room",
            Self::LetCallerDial { .. } => "let caller dial",
            Self::ParkCaller { .. } => "park caller",
            Self::ReleaseCaller { .. } => "release caller",
            Self::PlaceCall { .. } => "place call",
            Self::RedirectCall { .. } => "redirect call",
            Self::FetchCall { .. } => "fetch call",
            Self::FetchRoom(_) => "fetch room",
            Self::HangUp { .. } => "hang up",
            Self::HangUpLabel { .. } => "hang up label",
            Self::Kick { .. } => "kick",
            Self::EndRoom { .. } => "end room",
            Self::UpdateParticipant { .. } => "update participant",
        }
    }

    /// Whether it makes a call: phone systems take only so many of these a second. A caller who is sent to dial is redirected;
    /// how that call is made is the phone system's affair.
    #[must_use]
    pub const fn makes_call(&self) -> bool {
        matches!(self, Self::AddParticipant { .. } | Self::PlaceCall { .. })
    }

    /// Whether it looks at a call or a room and changes nothing.
    #[must_use]
    pub const fn is_look(&self) -> bool {
        matches!(self, Self::FetchCall { .. } | Self::FetchRoom(_))
    }
}

/// Role of the legs that were written before there were others.
const fn worker() -> Role {
    Role::Worker
}
