//! The phone system as one state machine: calls, rooms and queues, told the time and handed what comes from outside.
//!
//! [`Switch::handle`] takes one input and returns what the outside must do: requests for documents, callbacks,
//! replies. No I/O, no clock and no randomness in here; all collections are ordered and bounded. A timer that is due
//! is found by [`Switch::next_deadline`] and fires with [`Input::Tick`].
//!
//! Reading order: `state` (records), `behaviour` (far ends), `calls` (life of a leg), `script` (running documents), `dial`,
//! `queues`, `rooms`, `recordings`, `webhooks` (parameters), `ask` (REST and control requests).

mod announcements;
mod ask;
mod behaviour;
mod calls;
mod detection;
mod dial;
mod participants;
mod queues;
mod record_verb;
mod recordings;
mod request;
mod rooms;
mod script;
mod state;
mod twins;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use super::options::{Method, Number};
use super::twiml::Document;

pub(crate) use self::behaviour::Behaviour;
pub(crate) use self::calls::can_be_called;
pub(crate) use self::queues::{SIZE_DEFAULT as QUEUE_SIZE_DEFAULT, SIZE_MAX as QUEUE_SIZE_MAX};
pub(crate) use self::request::{
    CallFilter, CallUpdate, LegOptions, Listed, LiveCall, NewCall, NewParticipant, Origin, Page, ParticipantUpdate,
    PlacedCall, RecordingChange, RecordingsOf, Refusal, Reply, Request, Snapshot, Span,
};
pub(crate) use self::state::{
    CallRecord, CallStatus, FetchId, Happening, MemberRecord, Moment, ParticipantRecord, QueueRecord, RecordingRecord,
    RecordingStatus, RoomRecord, RoomStatus, Source,
};

use self::announcements::Announcement;
use self::behaviour::Plan;
use self::state::{Call, CallId, Due, Numbers, Queue, QueueId, Recording, RecordingId, Room, RoomId, Slot, TimerKind};

const HAPPENINGS_MAX: usize = 20_000;
const QUEUES_MAX: usize = 1_000;
const ADDRESSES_MAX: usize = 100_000;

/// An HTTP request that the phone system makes; signing and sending is the driver's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) params: Vec<(String, String)>,
    /// Same on each attempt.
    pub(crate) idempotency_token: String,
}

/// What comes from outside.
#[derive(Debug)]
pub(crate) enum Input {
    /// A request; its [`Action::Reply`] carries the same ticket.
    Request { ticket: u64, request: Box<Request> },
    /// The answer to an [`Action::Fetch`].
    Fetched { id: FetchId, outcome: Result<Document, FetchFailure> },
    /// A callback was not taken; only noted.
    Undelivered { url: String, problem: String },
    /// A timer may be due.
    Tick,
}

/// Why there is no document, with Twilio's error code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchFailure {
    pub(crate) code: u32,
    pub(crate) message: String,
}

/// What the outside must do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask for a document and hand it back as [`Input::Fetched`].
    Fetch {
        id: FetchId,
        webhook: Webhook,
    },
    /// Send without waiting for an answer; those of one lane in order.
    Notify {
        lane: String,
        webhook: Webhook,
    },
    Reply {
        ticket: u64,
        result: Box<Result<Reply, Refusal>>,
    },
}

/// Limits and account of a [`Switch`].
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) account_sid: String,
    /// Where this phone system is reached, for the URLs of recordings.
    pub(crate) public_url: String,
    pub(crate) speed: f64,
    pub(crate) live_calls_max: usize,
    pub(crate) queue_size: usize,
    pub(crate) finished_max: usize,
    pub(crate) numbers: Vec<Number>,
}

/// Which call waits for a document, and what for.
#[derive(Debug, Clone)]
struct Fetch {
    call: CallId,
    slot: Slot,
    url: String,
    is_fallback: bool,
}

/// The phone system.
pub(crate) struct Switch {
    settings: Settings,
    /// Hands out 32 hexadecimal digits, never the same twice.
    fresh: Box<dyn FnMut(&str) -> String + Send>,
    now: Moment,
    next_id: u64,
    calls: BTreeMap<CallId, Call>,
    call_ids: BTreeMap<String, CallId>,
    live: BTreeSet<CallId>,
    finished_calls: VecDeque<CallId>,
    rooms: BTreeMap<RoomId, Room>,
    room_ids: BTreeMap<String, RoomId>,
    /// Rooms that have not ended, by friendly name.
    open_rooms: BTreeMap<String, RoomId>,
    finished_rooms: VecDeque<RoomId>,
    queues: BTreeMap<QueueId, Queue>,
    recordings: BTreeMap<RecordingId, Recording>,
    recording_ids: BTreeMap<String, RecordingId>,
    finished_recordings: VecDeque<RecordingId>,
    /// Calls that may be dialled in a second; 0 is no limit.
    calls_per_second: f64,
    /// When the next call may be dialled.
    next_dialling: Moment,
    numbers: Numbers,
    plans: BTreeMap<String, Plan>,
    timers: BTreeSet<(Moment, u64, Due)>,
    fetches: BTreeMap<FetchId, Fetch>,
    /// Announcements whose document is asked for, or that play.
    announcements: BTreeMap<FetchId, Announcement>,
    /// Calls whose main document may go on.
    ready: VecDeque<CallId>,
    actions: Vec<Action>,
    happenings: VecDeque<Happening>,
    next_happening: u64,
}

impl fmt::Debug for Switch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Switch").field("live", &self.live.len()).finish_non_exhaustive()
    }
}

impl Switch {
    /// An idle phone system; `fresh` hands out IDs, never the same twice: a SID with the prefix it is given, and without one
    /// any text of letters and digits.
    pub(crate) fn new(settings: Settings, fresh: impl FnMut(&str) -> String + Send + 'static) -> Self {
        let numbers = settings.numbers.iter().map(|number| (number.phone_number.clone(), number.clone())).collect();
        Self {
            settings,
            fresh: Box::new(fresh),
            now: Moment::default(),
            next_id: 1,
            calls: BTreeMap::new(),
            call_ids: BTreeMap::new(),
            live: BTreeSet::new(),
            finished_calls: VecDeque::new(),
            rooms: BTreeMap::new(),
            room_ids: BTreeMap::new(),
            open_rooms: BTreeMap::new(),
            finished_rooms: VecDeque::new(),
            queues: BTreeMap::new(),
            recordings: BTreeMap::new(),
            recording_ids: BTreeMap::new(),
            finished_recordings: VecDeque::new(),
            calls_per_second: 0.0,
            next_dialling: Moment::default(),
            numbers,
            plans: BTreeMap::new(),
            timers: BTreeSet::new(),
            fetches: BTreeMap::new(),
            announcements: BTreeMap::new(),
            ready: VecDeque::new(),
            actions: Vec::new(),
            happenings: VecDeque::new(),
            next_happening: 1,
        }
    }

    /// Takes one input at the moment `now` and returns what the outside must do, in order.
    pub(crate) fn handle(&mut self, input: Input, now: Moment) -> Vec<Action> {
        self.now = self.now.max(now);
        match input {
            Input::Request { ticket, request } => {
                let result = Box::new(self.ask(*request));
                self.actions.push(Action::Reply { ticket, result });
            }
            Input::Fetched { id, outcome } => self.fetched(id, outcome),
            Input::Undelivered { url, problem } => {
                self.note("webhook.failed", None, None, format!("{url}: {problem}"));
            }
            Input::Tick => self.fire_timers(),
        }
        self.run_ready();
        std::mem::take(&mut self.actions)
    }

    /// When [`Input::Tick`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.timers.first().map(|(at, ..)| *at)
    }

    /// Fires what is due now; timers armed meanwhile wait for the next tick, so that this ends.
    fn fire_timers(&mut self) {
        let due: Vec<(Moment, u64, Due)> = self.timers.iter().take_while(|(at, ..)| *at <= self.now).copied().collect();
        for timer in due {
            let (at, order, what) = timer;
            if !self.timers.remove(&timer) {
                continue;
            }
            match what {
                Due::Call(call, kind) => {
                    if let Some(call) = self.calls.get_mut(&call)
                        && call.timers.get(&kind) == Some(&(at, order))
                    {
                        call.timers.remove(&kind);
                    }
                    self.timer_fired(call, kind);
                }
                Due::Announcement(id) => self.announced(id),
            }
            self.run_ready();
        }
    }

    fn run_ready(&mut self) {
        while let Some(call) = self.ready.pop_front() {
            self.run(call, Slot::Main);
        }
    }

    /// Sets the call's timer of this kind, replacing an earlier one; `ms` is divided by the speed factor.
    fn arm(&mut self, id: CallId, kind: TimerKind, ms: i64) {
        self.arm_at(id, kind, self.now.plus_ms(self.scaled(ms)));
    }

    fn arm_at(&mut self, id: CallId, kind: TimerKind, at: Moment) {
        self.disarm(id, kind);
        let order = self.next_number();
        if let Some(call) = self.calls.get_mut(&id) {
            call.timers.insert(kind, (at, order));
            self.timers.insert((at, order, Due::Call(id, kind)));
        }
    }

    fn disarm(&mut self, id: CallId, kind: TimerKind) {
        if let Some((at, order)) = self.calls.get_mut(&id).and_then(|call| call.timers.remove(&kind)) {
            self.timers.remove(&(at, order, Due::Call(id, kind)));
        }
    }

    fn disarm_all(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        for (kind, (at, order)) in std::mem::take(&mut call.timers) {
            self.timers.remove(&(at, order, Due::Call(id, kind)));
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "durations are at most a day in milliseconds, far below 2^52"
    )]
    fn scaled(&self, ms: i64) -> i64 {
        if self.settings.speed > 0.0 { (ms as f64 / self.settings.speed).ceil() as i64 } else { ms }
    }

    fn next_number(&mut self) -> u64 {
        let number = self.next_id;
        self.next_id += 1;
        number
    }

    fn fresh_sid(&mut self, prefix: &str) -> String {
        (self.fresh)(prefix)
    }

    /// Writes a line into the ring of what happened.
    fn note(&mut self, kind: &'static str, call: Option<CallId>, room: Option<RoomId>, detail: impl Into<String>) {
        let call_sid = call.and_then(|id| self.calls.get(&id)).map(|call| call.record.sid.clone());
        let room_sid = room.and_then(|id| self.rooms.get(&id)).map(|room| room.record.sid.clone());
        if self.happenings.len() == HAPPENINGS_MAX {
            self.happenings.pop_front();
        }
        self.happenings.push_back(Happening {
            sequence: self.next_happening,
            at: self.now,
            kind,
            call_sid,
            room_sid,
            detail: detail.into(),
        });
        self.next_happening += 1;
    }
}

#[cfg(test)]
mod tests;
