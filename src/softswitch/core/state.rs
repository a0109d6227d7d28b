//! What the phone system knows of calls, rooms and queues, as plain records.
//!
//! Nothing here acts; the rules are in the neighbouring modules. Start with [`Call`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::behaviour::Behaviour;
use super::request::LegOptions;
use crate::softswitch::options::Number;
use crate::softswitch::twiml::{
    Dial, DialAddress, Document, Enqueue, Gather, Record, RecordingOrder, RoomEntry, StatusCallback, Target, Verb,
};

/// Milliseconds since the Unix epoch, as the clock told the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Moment(pub(crate) i64);

impl Moment {
    pub(crate) const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Whole seconds since `earlier`, never negative.
    pub(crate) const fn secs_since(self, earlier: Self) -> i64 {
        let ms = self.0.saturating_sub(earlier.0);
        if ms < 0 { 0 } else { ms / 1000 }
    }
}

/// Calls, rooms and queues in order of creation; the public SIDs are random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallId(pub(crate) u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoomId(pub(crate) u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueId(pub(crate) u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordingId(pub(crate) u64);

/// One outstanding request for a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FetchId(pub(crate) u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CallStatus {
    Queued,
    Ringing,
    InProgress,
    Completed,
    Busy,
    Failed,
    NoAnswer,
    Canceled,
}

impl CallStatus {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::NoAnswer => "no-answer",
            Self::Canceled => "canceled",
        }
    }

    pub(crate) const fn is_live(self) -> bool {
        matches!(self, Self::Queued | Self::Ringing | Self::InProgress)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Inbound,
    OutboundApi,
    OutboundDial,
}

impl Direction {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::OutboundApi => "outbound-api",
            Self::OutboundDial => "outbound-dial",
        }
    }
}

/// What REST shows of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallRecord {
    pub(crate) sid: String,
    pub(crate) parent_sid: Option<String>,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) direction: Direction,
    pub(crate) status: CallStatus,
    pub(crate) created: Moment,
    pub(crate) updated: Moment,
    pub(crate) answered: Option<Moment>,
    pub(crate) ended: Option<Moment>,
    /// Who answered, when that was to be found out.
    pub(crate) answered_by: Option<&'static str>,
    /// How long it waited for its turn to be dialled.
    pub(crate) queue_ms: i64,
    pub(crate) sip: Option<SipRecord>,
    pub(crate) forwarded_from: Option<String>,
    pub(crate) caller_name: Option<String>,
}

/// What a SIP leg has that others have not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SipRecord {
    pub(crate) call_id: String,
    /// Of the INVITE: as dialled with the address, or as the far end sent them.
    pub(crate) headers: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKind {
    /// The leg leaves the queue and is dialled.
    Initiate,
    /// The far end begins to ring, or turns out to be busy or unreachable.
    Ring,
    /// The far end answers or declines.
    Answer,
    /// Nobody answered.
    GiveUp,
    /// The far end hangs up.
    HangUp,
    /// The far end presses keys.
    Press,
    /// It is known who answered.
    Detect,
    /// A verb of the main document is over.
    Main,
    /// A verb of the wait or hold document is over.
    Background,
    /// The far end has said what it says in a room.
    Speech,
    /// A `<Dial>` is over.
    Dial,
    /// The call is too long.
    TimeLimit,
}

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Call(CallId, TimerKind),
    /// What an announcement says has been said.
    Announcement(FetchId),
}

/// Where a document is being run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    Main,
    Background,
}

/// Runs one document.
#[derive(Debug, Default)]
pub(crate) struct Player {
    pub(crate) document: Arc<Document>,
    pub(crate) next: usize,
    pub(crate) step: Step,
    /// Documents in a row that took no time: a loop that must be slowed or stopped.
    pub(crate) idle_documents: u32,
}

impl Player {
    pub(crate) fn load(&mut self, document: Arc<Document>) {
        self.document = document;
        self.next = 0;
        self.step = Step::Idle;
    }

    pub(crate) fn take_verb(&mut self) -> Option<Verb> {
        let verb = self.document.verbs.get(self.next).cloned();
        self.next = self.next.saturating_add(1);
        verb
    }
}

#[derive(Debug, Default)]
pub(crate) enum Step {
    /// The next verb can be run.
    #[default]
    Idle,
    Fetching(FetchId),
    Media,
    Gathering(Gathering),
    Recording(Taking),
    /// The wait document came to its end without taking time and is asked for again in a moment.
    Again,
}

#[derive(Debug)]
pub(crate) struct Gathering {
    pub(crate) gather: Arc<Gather>,
    pub(crate) digits: String,
}

/// A `<Record>` that is going on.
#[derive(Debug)]
pub(crate) struct Taking {
    pub(crate) record: Arc<Record>,
    pub(crate) recording: RecordingId,
    pub(crate) since: Moment,
}

#[derive(Debug)]
pub(crate) struct Background {
    pub(crate) kind: BackgroundKind,
    pub(crate) source: Target,
    pub(crate) player: Player,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackgroundKind {
    QueueWait,
    RoomWait,
    Hold,
    /// `<Queue url>`: heard by a waiting call before it is connected.
    Whisper,
}

/// The document a leg begins with.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Ask(Target),
    Inline(Arc<Document>),
}

/// One leg.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) record: CallRecord,
    /// The document to begin with; a leg of a `<Dial>` or of the Participants API has none.
    pub(crate) first: Option<Source>,
    pub(crate) fallback: Option<Target>,
    pub(crate) status_callback: Option<StatusCallback>,
    pub(crate) next_sequence: u64,
    /// An outbound leg has left the queue and is being dialled.
    pub(crate) initiated: bool,
    pub(crate) place: Place,
    pub(crate) main: Player,
    pub(crate) background: Option<Background>,
    pub(crate) behaviour: Behaviour,
    /// Keys pressed that no `<Gather>` took yet.
    pub(crate) pressed: VecDeque<char>,
    pub(crate) talked: bool,
    /// The other half of a call to a number of our own.
    pub(crate) twin: Option<CallId>,
    /// What the far end answered with, when that was no 200.
    pub(crate) sip_code: Option<u16>,
    pub(crate) options: LegOptions,
    /// Those that run.
    pub(crate) recordings: Vec<RecordingId>,
    /// The one that the `<Dial>` asked for.
    pub(crate) dial_recording: Option<RecordingId>,
    /// The last one, for the status callback of the end.
    pub(crate) recorded: Option<RecordingId>,
    /// How long the detection took.
    pub(crate) detection_ms: Option<i64>,
    pub(crate) ring_timeout_secs: u32,
    pub(crate) time_limit_secs: u32,
    pub(crate) timers: BTreeMap<TimerKind, (Moment, u64)>,
}

impl Call {
    pub(crate) fn player(&mut self, slot: Slot) -> Option<&mut Player> {
        match slot {
            Slot::Main => Some(&mut self.main),
            Slot::Background => self.background.as_mut().map(|background| &mut background.player),
        }
    }
}

/// Where a leg is.
#[derive(Debug, Default)]
pub(crate) enum Place {
    /// Runs its own document (or has not been answered yet).
    #[default]
    Document,
    Queue {
        queue: QueueId,
        since: Moment,
        enqueue: Arc<Enqueue>,
    },
    Dial {
        dial: Arc<Dial>,
        phase: DialPhase,
    },
    /// Added to a room by the Participants API; in it or on its way.
    Added(RoomId),
    /// Dialled by another leg; connected to it once answered.
    Child(CallId),
    /// Dialled by another leg and answered; hears a document of its own before it is connected.
    Screened(CallId),
    /// Taken out of a queue by another leg and connected to it.
    Taken {
        by: CallId,
        queue_sid: String,
        waited_secs: i64,
        enqueue: Arc<Enqueue>,
    },
}

#[derive(Debug)]
pub(crate) enum DialPhase {
    /// `waiting` are dialled when nobody of `children` has answered.
    Ringing {
        children: Vec<CallId>,
        waiting: VecDeque<DialAddress>,
    },
    AtQueue(QueueId),
    /// The head of the queue hears a document before it is connected.
    Preparing {
        queue: QueueId,
        head: CallId,
    },
    Connected {
        peer: CallId,
        since: Moment,
    },
    InRoom(RoomId),
}

impl DialPhase {
    /// Nobody is being dialled.
    pub(crate) const fn nobody() -> Self {
        Self::Ringing { children: Vec::new(), waiting: VecDeque::new() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoomStatus {
    Init,
    InProgress,
    Completed,
}

impl RoomStatus {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
        }
    }
}

/// What REST shows of a conference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoomRecord {
    pub(crate) sid: String,
    pub(crate) name: String,
    pub(crate) status: RoomStatus,
    pub(crate) created: Moment,
    pub(crate) updated: Moment,
    pub(crate) reason_ended: Option<&'static str>,
    pub(crate) ended_by: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) record: RoomRecord,
    /// Set by whoever came first (Twilio: `<Conference>`, statusCallback).
    pub(crate) status_callback: Option<StatusCallback>,
    pub(crate) next_sequence: u64,
    /// Set by whoever came first, too.
    pub(crate) recording_order: Option<RecordingOrder>,
    pub(crate) recordings: Vec<RecordingId>,
    pub(crate) members: Vec<Member>,
}

impl Room {
    pub(crate) fn member(&mut self, call: CallId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.call == call)
    }
}

/// A leg in a room, or on its way into it.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) call: CallId,
    pub(crate) entry: RoomEntry,
    pub(crate) hold: bool,
    pub(crate) coaching: bool,
    pub(crate) connected: bool,
    pub(crate) created: Moment,
    pub(crate) updated: Moment,
}

/// What REST shows of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParticipantRecord {
    pub(crate) call_sid: String,
    pub(crate) room_sid: String,
    pub(crate) label: Option<String>,
    pub(crate) muted: bool,
    pub(crate) hold: bool,
    pub(crate) coaching: bool,
    pub(crate) call_sid_to_coach: Option<String>,
    pub(crate) start_on_enter: bool,
    pub(crate) end_on_exit: bool,
    pub(crate) status: &'static str,
    pub(crate) created: Moment,
    pub(crate) updated: Moment,
}

#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) sid: String,
    pub(crate) name: String,
    pub(crate) size_max: usize,
    pub(crate) created: Moment,
    pub(crate) updated: Moment,
    pub(crate) members: VecDeque<(CallId, Moment)>,
    /// Legs in `<Dial><Queue>` while the queue is empty.
    pub(crate) takers: VecDeque<CallId>,
}

/// What REST shows of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueRecord {
    pub(crate) sid: String,
    pub(crate) name: String,
    pub(crate) size_max: usize,
    pub(crate) size: usize,
    pub(crate) average_wait_secs: i64,
    pub(crate) created: Moment,
    pub(crate) updated: Moment,
}

/// What REST shows of a call in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberRecord {
    pub(crate) queue_sid: String,
    pub(crate) call_sid: String,
    pub(crate) enqueued: Moment,
    pub(crate) position: usize,
    pub(crate) wait_secs: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordingStatus {
    InProgress,
    Paused,
    Completed,
    /// Nothing was there to be recorded.
    Absent,
}

impl RecordingStatus {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::InProgress => "in-progress",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Absent => "absent",
        }
    }

    pub(crate) const fn is_running(self) -> bool {
        matches!(self, Self::InProgress | Self::Paused)
    }
}

/// What REST shows of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordingRecord {
    pub(crate) sid: String,
    pub(crate) call_sid: Option<String>,
    pub(crate) room_sid: Option<String>,
    pub(crate) channels: u8,
    pub(crate) source: &'static str,
    pub(crate) track: &'static str,
    pub(crate) status: RecordingStatus,
    pub(crate) started: Moment,
    /// Known when it is over.
    pub(crate) secs: Option<i64>,
    pub(crate) updated: Moment,
}

/// A recording, running or over.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) record: RecordingRecord,
    pub(crate) status_callback: Option<StatusCallback>,
    /// Recorded before the last pause.
    pub(crate) recorded_ms: i64,
    /// Absent while paused and when over.
    pub(crate) running_since: Option<Moment>,
    /// A pause is recorded as silence, not left out.
    pub(crate) pause_is_silence: bool,
}

/// One line of what happened, for timelines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) sequence: u64,
    pub(crate) at: Moment,
    pub(crate) kind: &'static str,
    pub(crate) call_sid: Option<String>,
    pub(crate) room_sid: Option<String>,
    pub(crate) detail: String,
}

/// Looks up the number that was called.
pub(crate) type Numbers = BTreeMap<String, Number>;
