//! The open sockets of agents, and what waits to be written to each.
//!
//! The hub is told of every commit and puts frames into the queues of the sockets that were open at that moment; it never
//! waits for one. A socket that does not take what is queued is cut (`QUEUED_BYTES_MAX`). It must not know HTTP or
//! tokens. Start with [`Hub::committed`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::frames::{self, Frame, Knowledge};
use crate::clock::Clock;
use crate::engine::Witness;
use crate::routing::{EventKind, EventRecord, ReservationSid, Timestamp, WorkerSid, Workspace, WorkspaceSid};

/// Most bytes that wait for one socket.
pub(crate) const QUEUED_BYTES_MAX: usize = 256 * 1024;

/// Open sockets of one worker. Pages that are left open add up; the limit is for what goes wrong.
pub(crate) const SOCKETS_PER_WORKER_MAX: usize = 256;

/// Displaced tokens that are remembered.
const DISPLACED_MAX: usize = 100_000;

/// How long a displaced token is remembered.
const DISPLACED_FOR: Duration = Duration::from_hours(1);

/// Why a socket is to be closed: a WebSocket close code and a text that the application sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

/// Another socket of the same worker asked for it.
pub(crate) const REPLACED: Closing = Closing { code: 1000, reason: "session replaced" };
/// The token's time is over.
pub(crate) const EXPIRED: Closing = Closing { code: 1000, reason: "token expired" };
/// The browser has to read the workspace's objects again.
pub(crate) const CHANGED: Closing = Closing { code: 1012, reason: "workspace changed" };
/// The server stops.
pub(crate) const RESTART: Closing = Closing { code: 1012, reason: "server restart" };
/// It does not take what is sent.
pub(crate) const SLOW: Closing = Closing { code: 1008, reason: "too slow" };
/// The worker does not exist any more.
pub(crate) const GONE: Closing = Closing { code: 1008, reason: "worker deleted" };

/// A text that waits to be written.
#[derive(Debug)]
pub(crate) struct Queued {
    /// Not to be written before.
    pub(crate) not_before: Instant,
    pub(crate) text: Arc<str>,
    pub(crate) about: Knowledge,
}

/// One open socket, as the hub sees it.
#[derive(Debug)]
struct Open {
    workspace: WorkspaceSid,
    queue: mpsc::UnboundedSender<Queued>,
    waiting: Arc<AtomicUsize>,
    close: Arc<Mutex<Option<Closing>>>,
    cut: CancellationToken,
    /// Digest of its token.
    token: u64,
    known: Arc<Mutex<Known>>,
    /// Until the browser has read its reservations, or some seconds have passed.
    holding: Arc<Mutex<Hold>>,
}

/// Frames are held back while a browser reads what there is (agent-sdk.md 3.7).
#[derive(Debug, Clone, Copy)]
struct Hold {
    until: Instant,
    /// The browser has read its reservations.
    is_over: bool,
}

/// Reservations that a browser knows.
#[derive(Debug, Default)]
struct Known {
    all: HashSet<ReservationSid>,
    /// Those that its first list brought; they are not announced again.
    listed: HashSet<ReservationSid>,
}

/// The socket's end of its entry in the hub; leaves the hub when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    hub: Hub,
    worker: WorkerSid,
    number: u64,
    pub(crate) queue: mpsc::UnboundedReceiver<Queued>,
    pub(crate) waiting: Arc<AtomicUsize>,
    pub(crate) cut: CancellationToken,
    close: Arc<Mutex<Option<Closing>>>,
    known: Arc<Mutex<Known>>,
    holding: Arc<Mutex<Hold>>,
}

/// What a new socket is entered with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) workspace: WorkspaceSid,
    pub(crate) worker: WorkerSid,
    /// Digest of its token.
    pub(crate) token: u64,
    /// Ask the worker's other sockets to close.
    pub(crate) close_existing: bool,
}

/// All open sockets; cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Inner>);

/// Those of each worker, by number; a worker without any has no entry.
#[derive(Debug, Default)]
struct Sockets(HashMap<WorkerSid, BTreeMap<u64, Open>>);

impl std::ops::Deref for Sockets {
    type Target = HashMap<WorkerSid, BTreeMap<u64, Open>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl std::ops::DerefMut for Sockets {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

#[derive(Debug)]
struct Inner {
    sockets: RwLock<Sockets>,
    displaced: Mutex<HashMap<u64, Instant>>,
    next: AtomicU64,
    clock: Clock,
    push_delay: Duration,
    hold: Duration,
}

impl Hub {
    /// Without sockets. Frames are written `push_delay` after their commit at the earliest, so that the answer to the
    /// request that caused them comes first (agent-sdk.md 4.8).
    #[must_use]
    pub fn new(clock: Clock, push_delay: Duration) -> Self {
        Self(Arc::new(Inner {
            sockets: RwLock::default(),
            displaced: Mutex::default(),
            next: AtomicU64::new(0),
            clock,
            push_delay,
            hold: Duration::from_secs(5),
        }))
    }

    /// Enters a socket; `None` when the worker has too many.
    pub(crate) fn enter(&self, arrival: Arrival) -> Option<Seat> {
        let now = self.0.clock.instant();
        let displaced_before = self.was_displaced(arrival.token, now);
        let (sender, queue) = mpsc::unbounded_channel();
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let seat = Seat {
            hub: self.clone(),
            worker: arrival.worker,
            number,
            queue,
            waiting: Arc::default(),
            cut: CancellationToken::new(),
            close: Arc::default(),
            known: Arc::default(),
            holding: Arc::new(Mutex::new(Hold { until: now + self.0.hold, is_over: false })),
        };
        let mut sockets = self.0.sockets.write().unwrap_or_else(PoisonError::into_inner);
        let of_worker = sockets.entry(arrival.worker).or_default();
        // A displaced socket comes back by itself; if it displaced others in turn, two of them would do so for ever.
        if arrival.close_existing && !displaced_before {
            for other in of_worker.values() {
                self.displace(other.token, now);
                other.ask_to_close(REPLACED);
            }
        } else if of_worker.len() >= SOCKETS_PER_WORKER_MAX {
            return None;
        }
        let open = Open {
            workspace: arrival.workspace,
            queue: sender,
            waiting: Arc::clone(&seat.waiting),
            close: Arc::clone(&seat.close),
            cut: seat.cut.clone(),
            token: arrival.token,
            known: Arc::clone(&seat.known),
            holding: Arc::clone(&seat.holding),
        };
        of_worker.insert(number, open);
        gauge!("taskrouter_ws_sessions").increment(1);
        Some(seat)
    }

    fn displace(&self, token: u64, now: Instant) {
        let mut displaced = self.0.displaced.lock().unwrap_or_else(PoisonError::into_inner);
        if displaced.len() >= DISPLACED_MAX {
            displaced.retain(|_, until| *until > now);
        }
        if displaced.len() < DISPLACED_MAX {
            displaced.insert(token, now + DISPLACED_FOR);
        }
    }

    fn was_displaced(&self, token: u64, now: Instant) -> bool {
        let displaced = self.0.displaced.lock().unwrap_or_else(PoisonError::into_inner);
        displaced.get(&token).is_some_and(|until| *until > now)
    }

    /// The worker's browser was answered with its open reservations: it knows these now, and may get what was held.
    pub(crate) fn reservations_were_read(&self, worker: WorkerSid, reservations: &[ReservationSid]) {
        let soon = self.0.clock.instant() + self.0.push_delay;
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        for open in sockets.get(&worker).into_iter().flat_map(BTreeMap::values) {
            let mut known = open.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.all.extend(reservations);
            let mut hold = open.holding.lock().unwrap_or_else(PoisonError::into_inner);
            // A later list may be another browser's: what this one was not told of yet, it must be told.
            if !hold.is_over {
                *hold = Hold { until: hold.until.min(soon), is_over: true };
                known.listed.extend(reservations);
            }
        }
    }

    /// Closes every socket, as the server stops.
    pub fn close_all(&self) {
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        sockets.values().flat_map(BTreeMap::values).for_each(|open| open.ask_to_close(RESTART));
    }
}

impl Sockets {
    fn push(&self, frame: &Frame, not_before: Instant) {
        for open in self.get(&frame.worker).into_iter().flat_map(BTreeMap::values) {
            let waiting = open.waiting.fetch_add(frame.text.len(), Ordering::AcqRel) + frame.text.len();
            if waiting > QUEUED_BYTES_MAX {
                counter!("taskrouter_ws_dropped_total", "reason" => "slow").increment(1);
                open.ask_to_close(SLOW);
                continue;
            }
            // A socket that has just ended does not receive any more.
            let _ = open.queue.send(Queued { not_before, text: Arc::clone(&frame.text), about: frame.about });
        }
    }

    /// Browsers know activities and channels from their start only, and fail on ones that are new.
    fn close_those_who_must_read_again(&self, workspace: WorkspaceSid, events: &[EventRecord]) {
        for event in events {
            match event.kind {
                EventKind::ActivityCreated | EventKind::TaskChannelCreated => {
                    let open = self.values().flat_map(BTreeMap::values);
                    open.filter(|open| open.workspace == workspace).for_each(|open| open.ask_to_close(CHANGED));
                }
                EventKind::WorkspaceDeleted => {
                    let open = self.values().flat_map(BTreeMap::values);
                    open.filter(|open| open.workspace == workspace).for_each(|open| open.ask_to_close(GONE));
                }
                EventKind::WorkerDeleted => {
                    let open = event.about.worker.and_then(|worker| self.get(&worker));
                    open.into_iter().flat_map(BTreeMap::values).for_each(|open| open.ask_to_close(GONE));
                }
                _ => {}
            }
        }
    }
}

impl Witness for Hub {
    /// A socket that opens between the question and the commit reads what the commit has made.
    fn wants(&self, _: WorkspaceSid) -> bool {
        !self.0.sockets.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn committed(&self, workspace: &Workspace, events: &[EventRecord], now: Timestamp) {
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        let frames = frames::frames(workspace, events, now, |worker| sockets.contains_key(&worker));
        let not_before = self.0.clock.instant() + self.0.push_delay;
        for frame in &frames {
            sockets.push(frame, not_before);
        }
        sockets.close_those_who_must_read_again(workspace.settings().sid, events);
    }
}

impl Open {
    fn ask_to_close(&self, closing: Closing) {
        let mut close = self.close.lock().unwrap_or_else(PoisonError::into_inner);
        close.get_or_insert(closing);
        self.cut.cancel();
    }
}

impl Seat {
    /// Why the hub wants the socket closed.
    pub(crate) fn closing(&self) -> Option<Closing> {
        *self.close.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next frame may be written.
    pub(crate) fn ready_at(&self, queued: &Queued) -> Instant {
        queued.not_before.max(self.holding.lock().unwrap_or_else(PoisonError::into_inner).until)
    }

    /// Whether the browser can take the frame; notes what it learns from it.
    pub(crate) fn admits(&self, queued: &Queued) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match queued.about {
            Knowledge::None => true,
            Knowledge::Introduces(reservation) => {
                known.all.insert(reservation);
                !known.listed.contains(&reservation)
            }
            Knowledge::Needs(reservation) => known.all.contains(&reservation),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut sockets = self.hub.0.sockets.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_worker) = sockets.get_mut(&self.worker) {
            of_worker.remove(&self.number);
            if of_worker.is_empty() {
                sockets.remove(&self.worker);
            }
        }
        gauge!("taskrouter_ws_sessions").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival() -> Arrival {
        let (workspace, worker) = (WorkspaceSid::from_bits(1), WorkerSid::from_bits(2));
        Arrival { workspace, worker, token: 3, close_existing: false }
    }

    fn offer(reservation: u128) -> Queued {
        let about = Knowledge::Introduces(ReservationSid::from_bits(reservation));
        Queued { not_before: Clock::system().instant(), text: "{}".into(), about }
    }

    #[test]
    fn an_offer_that_the_first_list_brought_is_not_announced_again() {
        let hub = Hub::new(Clock::system(), Duration::ZERO);
        let seat = hub.enter(arrival()).unwrap();
        hub.reservations_were_read(WorkerSid::from_bits(2), &[ReservationSid::from_bits(7)]);
        assert!(!seat.admits(&offer(7)));
        assert!(seat.admits(&offer(8)));
        let accepted = Knowledge::Needs(ReservationSid::from_bits(7));
        assert!(seat.admits(&Queued { about: accepted, ..offer(7) }));
    }

    #[test]
    fn an_offer_that_only_another_browser_listed_is_announced() {
        let hub = Hub::new(Clock::system(), Duration::ZERO);
        let first = hub.enter(arrival()).unwrap();
        hub.reservations_were_read(WorkerSid::from_bits(2), &[]);
        let second = hub.enter(arrival()).unwrap();
        hub.reservations_were_read(WorkerSid::from_bits(2), &[ReservationSid::from_bits(7)]);
        assert!(first.admits(&offer(7)));
        assert!(!second.admits(&offer(7)));
    }
}
