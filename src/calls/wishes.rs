//! What people wish of the legs in a room: whose leg, what about it, and how a supervisor takes part.
//!
//! Plain data, part of [`super::interface`]; what comes of a wish is in `control`. Start with [`LegUpdate`].

use serde::{Deserialize, Serialize};

use super::interface::CallSid;
use crate::routing::ReservationSid;

/// How a supervisor takes part (`spec/voice.md` 3.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuperviseMode {
    /// Hears everybody, is heard by nobody.
    Monitor,
    /// Hears everybody, is heard by the worker alone.
    Whisper,
    /// Takes part.
    Barge,
}

/// Whose leg in the room is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegTarget {
    /// The customer's.
    Customer,
    /// The leg of a reservation's worker.
    Worker(ReservationSid),
    /// The leg with this label: a supervisor's, or somebody's who was dialled by a number.
    Label(String),
}

/// What is to change about a leg in the room; what is absent stays (`spec/voice.md` 5.3: Update participant).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LegUpdate {
    /// On hold, or back.
    pub hold: Option<bool>,
    /// What is played on hold; our own hold document when absent.
    pub hold_url: Option<String>,
    /// `GET` or `POST`.
    pub hold_method: Option<String>,
    /// Not heard by the others.
    pub muted: Option<bool>,
    /// The room ends when this leg leaves.
    pub end_conference_on_exit: Option<bool>,
    /// A beep tells that this leg has left.
    pub beep_on_exit: Option<bool>,
    /// Who hears this leg.
    pub heard_by: Option<HeardBy>,
}

/// What a leg on hold hears, where the application has a document for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldDocument {
    /// Absolute.
    pub url: String,
    /// Asked for by GET, else by POST.
    pub by_get: bool,
}

impl LegUpdate {
    /// What is to change by this and then by what is `newer`.
    pub fn merge(&mut self, newer: &Self) {
        let newer = newer.clone();
        if newer.hold.is_some() {
            self.hold = newer.hold;
            self.hold_url = newer.hold_url;
            self.hold_method = newer.hold_method;
        }
        self.muted = newer.muted.or(self.muted);
        self.end_conference_on_exit = newer.end_conference_on_exit.or(self.end_conference_on_exit);
        self.beep_on_exit = newer.beep_on_exit.or(self.beep_on_exit);
        self.heard_by = newer.heard_by.or_else(|| self.heard_by.take());
    }

    /// What the leg hears on hold by this change; `None` is our own hold document.
    #[must_use]
    pub fn hold_document(&self) -> Option<HoldDocument> {
        let url = self.hold_url.clone().filter(|_| self.hold == Some(true))?;
        Some(HoldDocument { url, by_get: self.hold_method.as_deref() == Some("GET") })
    }
}

/// Who hears a leg in the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeardBy {
    /// Everybody.
    Everybody,
    /// The leg with this SID alone: this one whispers to it.
    Only(CallSid),
}

impl HeardBy {
    /// The leg that alone hears this one.
    #[must_use]
    pub const fn only(&self) -> Option<&CallSid> {
        match self {
            Self::Everybody => None,
            Self::Only(call) => Some(call),
        }
    }
}

impl SuperviseMode {
    /// What makes a leg that is in the room take part in this way; `worker` is the leg that a whisper is for, without
    /// which there is none: nobody else may hear it.
    #[must_use]
    pub fn update(self, worker: Option<CallSid>) -> Option<LegUpdate> {
        let heard_by = match self {
            Self::Whisper => HeardBy::Only(worker?),
            Self::Monitor | Self::Barge => HeardBy::Everybody,
        };
        Some(LegUpdate { muted: Some(self == Self::Monitor), heard_by: Some(heard_by), ..LegUpdate::default() })
    }
}
