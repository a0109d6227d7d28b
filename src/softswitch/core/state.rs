//! What the phone system knows of calls, rooms and queues, as plain records.
//!
//! Nothing here acts; the rules are in the neighbouring modules. Start with [`Call`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::softswitch::options::Number;
use crate::softswitch::twiml::{Dial, Document, Enqueue, Gather, RoomEntry, StatusCallback, Target, Verb};

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
}

/// How the far end of a leg behaves; times are milliseconds before the speed factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Behaviour {
    /// How long dialling takes before it rings.
    pub(crate) ring_after_ms: u32,
    /// How long it rings before somebody answers.
    pub(crate) answer_after_ms: u32,
    /// Busy instead of ringing.
    pub(crate) busy: bool,
    /// Rings until the caller's side gives up (or the control API answers).
    pub(crate) no_answer: bool,
    /// Declines while it rings, after `answer_after_ms`.
    pub(crate) reject: bool,
    /// Cannot be reached at all.
    pub(crate) unreachable: bool,
    /// Hangs up so long after the answer; a leg that calls in, after it was placed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hang_up_after_ms: Option<u32>,
    /// Hangs up so long after it was first connected with somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hang_up_after_talking_ms: Option<u32>,
    /// Pressed, one after the other, at the `<Gather>`s that the leg comes to.
    pub(crate) digits: String,
    /// How long after the beginning of a `<Gather>` the keys are pressed.
    pub(crate) digits_after_ms: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            ring_after_ms: 100,
            answer_after_ms: 1_000,
            busy: false,
            no_answer: false,
            reject: false,
            unreachable: false,
            hang_up_after_ms: None,
            hang_up_after_talking_ms: None,
            digits: String::new(),
            digits_after_ms: 500,
        }
    }
}

/// Behaviour of an address: of its next calls one by one, then of all others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) next: VecDeque<Behaviour>,
    pub(crate) always: Option<Behaviour>,
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
    /// A verb of the main document is over.
    Main,
    /// A verb of the wait or hold document is over.
    Background,
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
    /// The wait document came to its end without taking time and is asked for again in a moment.
    Again,
}

#[derive(Debug)]
pub(crate) struct Gathering {
    pub(crate) gather: Arc<Gather>,
    pub(crate) digits: String,
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
    Ringing { children: Vec<CallId> },
    AtQueue(QueueId),
    Connected { peer: CallId, since: Moment },
    InRoom(RoomId),
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
