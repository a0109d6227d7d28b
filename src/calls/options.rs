//! What instructions ask for: how a worker's leg is made, which room it comes to, what it runs before.
//!
//! Plain data, part of [`super::interface`]. Start with [`ConferenceOptions`].

use serde::{Deserialize, Serialize};

use crate::routing::{AccountSid, ActivitySid};

/// The instruction that connects a worker with the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectBy {
    /// The worker is dialled into the room.
    #[default]
    Conference,
    /// The same room, but its trace in the attributes is `worker_call_sid`.
    Dequeue,
    /// The worker's leg runs a document of the application's, which leads it into the room.
    Call,
}

/// An application that wants to be told of what happens to a leg or a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Where, absolute.
    pub url: String,
    /// By GET, else by POST.
    pub by_get: bool,
    /// Of what, in the words of the instruction.
    pub events: Vec<String>,
    /// The caller's call is named too.
    pub names_caller: bool,
}

/// What the caller hears before the worker (`url` of `<Dial><Queue>`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whisper {
    /// The document, absolute.
    pub url: String,
    /// Asked for by GET, else by POST.
    pub by_get: bool,
}

/// What the worker hears before being connected (`spec/voice.md` 6: Whisper to agent before the bridge).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The words.
    pub text: Option<String>,
    /// The key that takes the call; without one it is taken when all was said.
    pub key: Option<String>,
}

/// Whom a caller's own document dials, where the phone system has no rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerDials {
    /// The worker's address.
    pub to: String,
    /// Caller ID.
    pub from: String,
    /// How long it may ring, in seconds.
    pub ring_secs: u32,
}

/// What the worker's leg of the call instruction runs (`spec/voice.md` 3.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerDocument {
    /// Whose application has it.
    pub account: AccountSid,
    /// Where it is, absolute.
    pub url: String,
    /// The reservation is accepted as soon as the worker answers; the application does the rest.
    pub accept: bool,
}

/// Options of the conference instruction that reach the phone system (`spec/voice.md` 3.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is the instruction's parameter of the same name")]
pub struct ConferenceOptions {
    /// Worker's `contact_uri` when absent; a bare word means `client:`.
    pub to: Option<String>,
    /// The number the caller dialled when absent.
    pub from: Option<String>,
    /// The room's own name; the task SID when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_name: Option<String>,
    /// Ring timeout in seconds; 60 when absent; at most 600 at the phone system.
    pub timeout_secs: u32,
    pub muted: bool,
    /// `true`, `false`, `onEnter` or `onExit`.
    pub beep: String,
    pub start_conference_on_enter: bool,
    pub end_conference_on_exit: bool,
    pub end_conference_on_customer_exit: bool,
    pub beep_on_customer_entrance: bool,
    pub wait_url: Option<String>,
    pub wait_method: Option<String>,
    pub early_media: bool,
    pub max_participants: Option<u32>,
    pub record: Option<String>,
    pub recording_channels: Option<String>,
    pub conference_record: Option<String>,
    pub conference_trim: Option<String>,
    pub region: Option<String>,
    pub sip_auth_username: Option<String>,
    pub sip_auth_password: Option<String>,
    pub jitter_buffer_size: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_callback: Option<Subscription>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_status_callback: Option<Subscription>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conference_status_callback: Option<Subscription>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conference_recording_status_callback: Option<Subscription>,
    /// What the caller hears before the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whisper: Option<Whisper>,
    /// What the worker hears before, alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcement: Option<Announcement>,
    /// The worker's activity after the call, in single-tasking workspaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_work_activity: Option<ActivitySid>,
    /// Which instruction it is.
    #[serde(default)]
    pub by: ConnectBy,
}

/// Events of a room that are always asked for.
const ROOM_EVENTS: [&str; 7] = ["start", "end", "join", "leave", "mute", "hold", "modify"];

impl ConferenceOptions {
    /// Events of the room that the phone system is asked for: those that the calls core needs, then what else an
    /// application wants to hear of.
    #[must_use]
    pub fn room_events(&self) -> Vec<&str> {
        let wanted = self.conference_status_callback.iter().flat_map(|subscription| &subscription.events);
        let others = wanted.map(String::as_str).filter(|event| !ROOM_EVENTS.contains(event));
        ROOM_EVENTS.into_iter().chain(others).collect()
    }
}

fn asks_for_recording(record: Option<&str>) -> bool {
    record.is_some_and(|record| !matches!(record, "false" | "do-not-record"))
}

impl ConferenceOptions {
    /// Whether the phone system tells us of recordings of the leg: whenever there are any, or somebody asks for them.
    #[must_use]
    pub fn tells_call_recordings(&self) -> bool {
        asks_for_recording(self.record.as_deref()) || self.recording_status_callback.is_some()
    }

    /// The same of the room.
    #[must_use]
    pub fn tells_room_recordings(&self) -> bool {
        asks_for_recording(self.conference_record.as_deref()) || self.conference_recording_status_callback.is_some()
    }
}

impl Default for ConferenceOptions {
    fn default() -> Self {
        Self {
            to: None,
            from: None,
            room_name: None,
            timeout_secs: 60,
            muted: false,
            beep: "true".to_owned(),
            start_conference_on_enter: true,
            end_conference_on_exit: false,
            end_conference_on_customer_exit: false,
            beep_on_customer_entrance: true,
            wait_url: None,
            wait_method: None,
            early_media: true,
            max_participants: None,
            record: None,
            recording_channels: None,
            conference_record: None,
            conference_trim: None,
            region: None,
            sip_auth_username: None,
            sip_auth_password: None,
            jitter_buffer_size: None,
            status_callback: None,
            recording_status_callback: None,
            conference_status_callback: None,
            conference_recording_status_callback: None,
            whisper: None,
            announcement: None,
            post_work_activity: None,
            by: ConnectBy::Conference,
        }
    }
}
