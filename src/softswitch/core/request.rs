//! What can be asked of the core, and what it answers.
//!
//! Requests are already parsed and their documents read; whether they can be carried out depends on the state of the
//! calls, and that is decided by the core. Start with [`Request`].

use super::behaviour::Behaviour;
use super::state::{
    CallRecord, CallStatus, Happening, MemberRecord, Moment, ParticipantRecord, QueueRecord, RecordingRecord,
    RecordingStatus, RoomRecord, RoomStatus, Source,
};
use crate::softswitch::options::Number;
use crate::softswitch::twiml::{Detection, RecordingOrder, RoomEntry, StatusCallback, Target};

#[derive(Debug, Clone)]
pub(crate) enum Request {
    CreateCall(Box<NewCall>),
    GetCall {
        sid: String,
    },
    ListCalls(CallFilter, Page),
    UpdateCall {
        sid: String,
        update: Box<CallUpdate>,
    },
    DeleteCall {
        sid: String,
    },
    GetRoom {
        sid: String,
    },
    ListRooms {
        name: Option<String>,
        status: Option<RoomStatus>,
        created: Span,
        updated: Span,
        page: Page,
    },
    EndRoom {
        sid: String,
    },
    AnnounceInRoom {
        sid: String,
        target: Target,
    },
    AddParticipant {
        room: String,
        new: Box<NewParticipant>,
    },
    GetParticipant {
        room: String,
        who: String,
    },
    ListParticipants {
        room: String,
        muted: Option<bool>,
        hold: Option<bool>,
        coaching: Option<bool>,
        page: Page,
    },
    UpdateParticipant {
        room: String,
        who: String,
        update: Box<ParticipantUpdate>,
    },
    RemoveParticipant {
        room: String,
        who: String,
    },
    CreateQueue {
        name: String,
        size_max: usize,
    },
    GetQueue {
        sid: String,
    },
    ListQueues(Page),
    UpdateQueue {
        sid: String,
        name: Option<String>,
        size_max: Option<usize>,
    },
    DeleteQueue {
        sid: String,
    },
    GetMember {
        queue: String,
        who: String,
    },
    ListMembers {
        queue: String,
        page: Page,
    },
    RedirectMember {
        queue: String,
        who: String,
        to: Target,
    },
    StartRecording {
        call: String,
        order: Box<RecordingOrder>,
    },
    GetRecording {
        of: RecordingsOf,
        sid: String,
    },
    ListRecordings {
        of: RecordingsOf,
        created: Span,
        page: Page,
    },
    UpdateRecording {
        of: RecordingsOf,
        sid: String,
        change: RecordingChange,
    },
    DeleteRecording {
        of: RecordingsOf,
        sid: String,
    },
    PlaceInbound(Box<PlacedCall>),
    SetPace {
        calls_per_second: f64,
    },
    GetPace,
    Say {
        sid: String,
        text: String,
    },
    PutNumber(Number),
    ListNumbers,
    PutBehaviour {
        address: String,
        behaviour: Behaviour,
        only_next: bool,
    },
    Answer {
        sid: String,
    },
    HangUp {
        sid: String,
    },
    Press {
        sid: String,
        digits: String,
    },
    ListLive(Page),
    Snapshot,
    /// Of one call, when it is named.
    ListHappenings {
        after: u64,
        limit: usize,
        call: Option<String>,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct NewCall {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) document: Source,
    pub(crate) fallback: Option<Target>,
    pub(crate) status_callback: Option<StatusCallback>,
    pub(crate) timeout_secs: u32,
    pub(crate) time_limit_secs: u32,
    pub(crate) options: LegOptions,
}

/// What a leg is made with beside who is called: the same for calls, participants and dialled addresses.
#[derive(Debug, Clone, Default)]
pub(crate) struct LegOptions {
    /// Sent to the far end when it answers.
    pub(crate) send_digits: String,
    pub(crate) recording: Option<RecordingOrder>,
    pub(crate) detection: Option<Detection>,
}

/// A call from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlacedCall {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) behaviour: Option<Behaviour>,
    pub(crate) origin: Origin,
}

/// What a call from outside brings along beside its number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// Of the INVITE of a SIP caller.
    pub(crate) sip_headers: Vec<(String, String)>,
    pub(crate) forwarded_from: Option<String>,
    pub(crate) caller_name: Option<String>,
}

/// Whose recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordingsOf {
    Anything { call: Option<String>, room: Option<String> },
    Call(String),
    Room(String),
}

/// What happens to a running recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordingChange {
    /// `Completed` stops it.
    pub(crate) to: RecordingStatus,
    pub(crate) pause_is_silence: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct CallUpdate {
    pub(crate) document: Option<Source>,
    /// `canceled` or `completed`.
    pub(crate) status: Option<CallStatus>,
    pub(crate) fallback: Option<Target>,
    pub(crate) status_callback: Option<Target>,
    pub(crate) time_limit_secs: Option<u32>,
}

#[derive(Debug, Clone)]
pub(crate) struct NewParticipant {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) entry: RoomEntry,
    pub(crate) coaching: bool,
    pub(crate) status_callback: Option<StatusCallback>,
    pub(crate) timeout_secs: u32,
    pub(crate) time_limit_secs: u32,
    pub(crate) options: LegOptions,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ParticipantUpdate {
    pub(crate) muted: Option<bool>,
    pub(crate) hold: Option<bool>,
    pub(crate) hold_document: Option<Target>,
    pub(crate) announce: Option<Target>,
    pub(crate) wait: Option<Target>,
    pub(crate) beep_on_exit: Option<bool>,
    pub(crate) end_on_exit: Option<bool>,
    pub(crate) coaching: Option<bool>,
    pub(crate) call_sid_to_coach: Option<String>,
}

/// A span of time, both ends included; open where absent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) from: Option<Moment>,
    pub(crate) to: Option<Moment>,
}

impl Span {
    pub(crate) fn holds(self, moment: Option<Moment>) -> bool {
        if self.from.is_none() && self.to.is_none() {
            return true;
        }
        moment
            .is_some_and(|moment| self.from.is_none_or(|from| from <= moment) && self.to.is_none_or(|to| moment <= to))
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct CallFilter {
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) parent_sid: Option<String>,
    pub(crate) status: Option<CallStatus>,
    /// The start is the answer, or for a call never answered its creation.
    pub(crate) started: Span,
    pub(crate) ended: Span,
}

impl CallFilter {
    pub(crate) fn holds(&self, call: &CallRecord) -> bool {
        let started = call.answered.or(Some(call.created));
        self.from.as_ref().is_none_or(|from| *from == call.from)
            && self.to.as_ref().is_none_or(|to| *to == call.to)
            && self.parent_sid.as_ref().is_none_or(|parent| Some(parent) == call.parent_sid.as_ref())
            && self.status.is_none_or(|status| status == call.status)
            && self.started.holds(started)
            && self.ended.holds(call.ended)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) number: usize,
    pub(crate) size: usize,
}

/// Items of one page.
#[derive(Debug, Clone)]
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    pub(crate) more: bool,
}

impl<T> Listed<T> {
    /// Takes one page out of `all`.
    pub(crate) fn cut(all: impl Iterator<Item = T>, page: Page) -> Self {
        let mut items: Vec<T> = all.skip(page.number.saturating_mul(page.size)).take(page.size + 1).collect();
        let more = items.len() > page.size;
        items.truncate(page.size);
        Self { items, more }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Call(Box<CallRecord>),
    Calls(Listed<CallRecord>),
    Room(Box<RoomRecord>),
    Rooms(Listed<RoomRecord>),
    Participant(Box<ParticipantRecord>),
    Participants(Listed<ParticipantRecord>),
    Queue(Box<QueueRecord>),
    Queues(Listed<QueueRecord>),
    Member(Box<MemberRecord>),
    Members(Listed<MemberRecord>),
    Recording(Box<RecordingRecord>),
    Recordings(Listed<RecordingRecord>),
    Pace(f64),
    Numbers(Vec<Number>),
    Live(Listed<LiveCall>),
    Snapshot(Box<Snapshot>),
    Happenings(Vec<Happening>),
    Done,
}

/// A live call with where it is, for the control API.
#[derive(Debug, Clone)]
pub(crate) struct LiveCall {
    pub(crate) call: CallRecord,
    pub(crate) place: &'static str,
    pub(crate) room_sid: Option<String>,
    pub(crate) queue_sid: Option<String>,
}

/// Everything that is going on at one moment, for the page.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) at: Moment,
    pub(crate) calls: Listed<LiveCall>,
    pub(crate) rooms: Listed<(RoomRecord, Vec<ParticipantRecord>)>,
    pub(crate) queues: Listed<QueueRecord>,
    pub(crate) numbers: Vec<String>,
    /// The last line of what happened.
    pub(crate) last_happening: u64,
}

/// A request that is not carried out, as Twilio words it to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(crate) fn bad(code: u32, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(404, 20404, format!("The requested resource {what} was not found"))
    }

    pub(crate) fn not_in_progress() -> Self {
        Self::bad(21220, "Call is not in-progress. Cannot redirect.")
    }
}
