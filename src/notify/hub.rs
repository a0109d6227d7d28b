//! The open sockets of agents, and what waits to be written to each.
//!
//! The hub is told of every commit and puts frames into the queues of the sockets that were open at that moment; it never
//! waits for one. A socket that does not take what is queued is cut ([`Limits::queued_bytes`]). It must not know HTTP or
//! tokens. Start with [`Hub::committed`].

mod limits;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use metrics::gauge;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::channel::{Channel, Dialect};
use super::frames::{self, Frame, Knowledge};
use crate::clock::Clock;
use crate::engine::Witness;
use crate::routing::command::Connection;
use crate::routing::{
    ApiKeySid, EventKind, EventRecord, ReservationSid, Timestamp, WorkerSid, Workspace, WorkspaceSid,
};
pub use limits::Limits;
pub(crate) use limits::{CHANGED, Closing, EXPIRED, FULL, GONE, NoPlace, REPLACED, RESTART, REVOKED, SLOW};

/// All sockets have so long to close when the server stops.
const STOP_TIME: Duration = Duration::from_secs(5);

/// Displaced tokens that are remembered.
const DISPLACED_MAX: usize = 100_000;

/// How long a displaced token is remembered.
const DISPLACED_FOR: Duration = Duration::from_hours(1);

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
    dialect: Dialect,
    connection: Connection,
    queue: mpsc::UnboundedSender<Queued>,
    waiting: Arc<AtomicUsize>,
    close: Arc<Mutex<Option<Closing>>>,
    cut: CancellationToken,
    /// Digest of its token.
    token: u64,
    /// Signed its token, if an API key did.
    key: Option<ApiKeySid>,
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
    /// Those that its first list has announced, as the first SDK does; the present one announces what it is told of only.
    listed: HashSet<ReservationSid>,
}

/// The socket's end of its entry in the hub; leaves the hub when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    hub: Hub,
    workspace: WorkspaceSid,
    channel: Channel,
    number: u64,
    pub(crate) queue: mpsc::UnboundedReceiver<Queued>,
    waiting: Arc<AtomicUsize>,
    pub(crate) cut: CancellationToken,
    close: Arc<Mutex<Option<Closing>>>,
    known: Arc<Mutex<Known>>,
    holding: Arc<Mutex<Hold>>,
}

/// What a new socket is entered with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) workspace: WorkspaceSid,
    pub(crate) channel: Channel,
    pub(crate) dialect: Dialect,
    /// Digest of its token.
    pub(crate) token: u64,
    /// Signed its token, if an API key did.
    pub(crate) key: Option<ApiKeySid>,
    /// Ask the channel's other sockets to close.
    pub(crate) close_existing: bool,
    /// What it asks for when it is gone.
    pub(crate) connection: Connection,
}

/// The newest socket of a worker that came since the last report; it may be gone already.
pub(super) type Came = Option<Connection>;

/// Workers of a workspace who may have got or lost their sockets.
pub(super) type PresenceChanges = (WorkspaceSid, Vec<(WorkerSid, Came)>);

/// All open sockets; cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Inner>);

#[derive(Debug, Default)]
struct Sockets {
    /// Those of each channel, by number; one without any has no entry.
    of: HashMap<Channel, BTreeMap<u64, Open>>,
    /// How many in all.
    open: usize,
}

#[derive(Debug)]
struct Inner {
    sockets: RwLock<Sockets>,
    displaced: Mutex<HashMap<u64, Instant>>,
    next: AtomicU64,
    /// Workers who may have got or lost their sockets since that was reported.
    changed: Mutex<BTreeMap<WorkspaceSid, BTreeMap<WorkerSid, Came>>>,
    presence: Notify,
    /// What serves the sockets.
    serving: TaskTracker,
    clock: Clock,
    push_delay: Duration,
    hold: Duration,
    limits: Limits,
}

impl Hub {
    /// Without sockets. Frames are written `push_delay` after their commit at the earliest, so that the answer to the
    /// request that caused them comes first (agent-sdk.md 4.8).
    #[must_use]
    pub fn new(clock: Clock, push_delay: Duration) -> Self {
        Self::within(Limits::default(), clock, push_delay)
    }

    /// The same with other limits than the usual ones.
    #[must_use]
    pub fn within(limits: Limits, clock: Clock, push_delay: Duration) -> Self {
        Self(Arc::new(Inner {
            sockets: RwLock::default(),
            displaced: Mutex::default(),
            next: AtomicU64::new(0),
            changed: Mutex::default(),
            presence: Notify::new(),
            serving: TaskTracker::new(),
            clock,
            push_delay,
            hold: Duration::from_secs(5),
            limits,
        }))
    }

    /// What sockets may use.
    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Whether there is a place for such a socket, to refuse it before its handshake.
    pub(crate) fn has_place(&self, arrival: &Arrival) -> Result<(), NoPlace> {
        let displaces = arrival.close_existing && !self.was_displaced(arrival.token, self.0.clock.instant());
        self.check_place(&self.0.sockets.read().unwrap_or_else(PoisonError::into_inner), arrival.channel, displaces)
    }

    fn check_place(&self, sockets: &Sockets, channel: Channel, displaces: bool) -> Result<(), NoPlace> {
        let Limits { per_worker, total, .. } = self.0.limits;
        // Those that are displaced take a moment to leave.
        let per_worker = if displaces { 2 * per_worker } else { per_worker };
        if self.0.serving.is_closed() {
            return Err(NoPlace::Stopping);
        }
        if sockets.open >= total {
            return Err(NoPlace::Node);
        }
        if sockets.of.get(&channel).map_or(0, BTreeMap::len) < per_worker {
            return Ok(());
        }
        Err(if channel.worker().is_some() { NoPlace::Worker } else { NoPlace::Channel })
    }

    /// Enters a socket, if there is a place for it.
    pub(crate) fn enter(&self, arrival: Arrival) -> Result<Seat, NoPlace> {
        let now = self.0.clock.instant();
        // A displaced socket comes back by itself; if it displaced others in turn, two of them would do so for ever.
        let displaces = arrival.close_existing && !self.was_displaced(arrival.token, now);
        let (sender, queue) = mpsc::unbounded_channel();
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let seat = Seat {
            hub: self.clone(),
            workspace: arrival.workspace,
            channel: arrival.channel,
            number,
            queue,
            waiting: Arc::default(),
            cut: CancellationToken::new(),
            close: Arc::default(),
            known: Arc::default(),
            holding: Arc::new(Mutex::new(Hold { until: now + self.0.hold, is_over: false })),
        };
        let mut sockets = self.0.sockets.write().unwrap_or_else(PoisonError::into_inner);
        if let Err(reason) = self.check_place(&sockets, arrival.channel, displaces) {
            drop(sockets);
            // It leaves nothing behind when it is dropped.
            return Err(reason);
        }
        let of_channel = sockets.of.entry(arrival.channel).or_default();
        if displaces {
            for other in of_channel.values() {
                self.displace(other.token, now);
                other.ask_to_close(REPLACED);
            }
        }
        let open = Open {
            workspace: arrival.workspace,
            dialect: arrival.dialect,
            connection: arrival.connection,
            queue: sender,
            waiting: Arc::clone(&seat.waiting),
            close: Arc::clone(&seat.close),
            cut: seat.cut.clone(),
            token: arrival.token,
            key: arrival.key,
            known: Arc::clone(&seat.known),
            holding: Arc::clone(&seat.holding),
        };
        of_channel.insert(number, open);
        sockets.open += 1;
        gauge!("taskrouter_ws_sessions").increment(1);
        self.note_presence(
            arrival.workspace,
            arrival.channel.worker().map(|worker| (worker, Some(arrival.connection))),
        );
        Ok(seat)
    }

    /// Serves a socket that is open by now in a task that [`Hub::stop`] waits for.
    pub(crate) fn serving<F: Future>(&self, serve: F) -> impl Future<Output = F::Output> + use<F> {
        self.0.serving.track_future(serve)
    }

    fn note_presence(&self, workspace: WorkspaceSid, workers: impl IntoIterator<Item = (WorkerSid, Came)>) {
        let mut changed = self.0.changed.lock().unwrap_or_else(PoisonError::into_inner);
        for (worker, came) in workers {
            let noted = changed.entry(workspace).or_default().entry(worker).or_default();
            *noted = came.or(*noted);
            self.0.presence.notify_one();
        }
    }

    /// Resolves when somebody may have got or lost a socket.
    pub(super) async fn presence_changed(&self) {
        self.0.presence.notified().await;
    }

    /// Workers who may have got or lost their sockets, at most so many of each of the workspaces that are `wanted`.
    pub(super) fn take_presence_changes(
        &self,
        portion: usize,
        wanted: impl Fn(WorkspaceSid) -> bool,
    ) -> Vec<PresenceChanges> {
        let mut changed = self.0.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        for (workspace, workers) in changed.iter_mut().filter(|(workspace, _)| wanted(**workspace)) {
            let first = std::iter::from_fn(|| workers.pop_first()).take(portion).collect();
            taken.push((*workspace, first));
        }
        changed.retain(|_, workers| !workers.is_empty());
        taken
    }

    /// These could not be reported; what came meanwhile is newer.
    pub(super) fn report_again(&self, (workspace, workers): PresenceChanges) {
        let mut changed = self.0.changed.lock().unwrap_or_else(PoisonError::into_inner);
        for (worker, came) in workers {
            let noted = changed.entry(workspace).or_default().entry(worker).or_default();
            *noted = noted.or(came);
            self.0.presence.notify_one();
        }
    }

    /// Has all sockets of a workspace reported, which did not have to know of them before.
    pub(crate) fn report_all(&self, workspace: WorkspaceSid) {
        // Also of one that leaves before that.
        let workers = self.workers_of(workspace).into_iter().map(|worker| (worker, self.connection_of(worker)));
        self.note_presence(workspace, workers.collect::<Vec<_>>());
    }

    /// How many workers of a workspace have open sockets.
    pub(crate) fn connected_workers(&self, workspace: WorkspaceSid) -> usize {
        self.workers_of(workspace).len()
    }

    fn workers_of(&self, workspace: WorkspaceSid) -> Vec<WorkerSid> {
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        let of =
            sockets.of.iter().filter(|(_, open)| open.values().next().is_some_and(|one| one.workspace == workspace));
        of.filter_map(|(channel, _)| channel.worker()).collect()
    }

    /// What the newest open socket of a worker asked for; `None` without a socket.
    pub(super) fn connection_of(&self, worker: WorkerSid) -> Option<Connection> {
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        sockets.of.get(&Channel::Worker(worker))?.values().next_back().map(|open| open.connection)
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
    ///
    /// Browsers with the other SDK have read nothing by that.
    pub(crate) fn reservations_were_read(&self, worker: WorkerSid, dialect: Dialect, reservations: &[ReservationSid]) {
        let soon = self.0.clock.instant() + self.0.push_delay;
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        let of_worker = sockets.of.get(&Channel::Worker(worker)).into_iter().flat_map(BTreeMap::values);
        for open in of_worker.filter(|open| open.dialect == dialect) {
            let mut known = open.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.all.extend(reservations);
            let mut hold = open.holding.lock().unwrap_or_else(PoisonError::into_inner);
            // A later list may be another browser's: what this one was not told of yet, it must be told.
            if !hold.is_over {
                *hold = Hold { until: hold.until.min(soon), is_over: true };
                if dialect == Dialect::First {
                    known.listed.extend(reservations);
                }
            }
        }
    }

    /// API keys that signed the tokens of open sockets.
    pub(super) fn keys(&self) -> BTreeSet<ApiKeySid> {
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        sockets.all().filter_map(|open| open.key).collect()
    }

    /// Closes the sockets whose tokens a key signed that is revoked.
    pub(super) fn close_those_of(&self, key: ApiKeySid) {
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        sockets.all().filter(|open| open.key == Some(key)).for_each(|open| open.ask_to_close(REVOKED));
    }

    /// Closes every socket and takes no further ones, as the server stops.
    pub fn close_all(&self) {
        self.0.serving.close();
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        sockets.all().for_each(|open| open.ask_to_close(RESTART));
    }

    /// The same, and waits until all are closed, for some seconds at most.
    pub async fn stop(&self) {
        self.close_all();
        if tokio::time::timeout(STOP_TIME, self.0.serving.wait()).await.is_err() {
            tracing::warn!(sockets = self.0.serving.len(), "some sockets did not close in time");
        }
    }
}

impl Sockets {
    fn all(&self) -> impl Iterator<Item = &Open> {
        self.of.values().flat_map(BTreeMap::values)
    }

    fn push(&self, frame: &Frame, not_before: Instant, queued_max: usize) {
        let bytes = frame.text.len();
        let of_worker = self.of.get(&Channel::Worker(frame.worker)).into_iter().flat_map(BTreeMap::values);
        for open in of_worker.filter(|open| open.dialect == frame.dialect) {
            // Only here it grows, and nobody else tells this workspace's commits meanwhile.
            if open.waiting.load(Ordering::Acquire) + bytes > queued_max {
                open.ask_to_close(SLOW);
                continue;
            }
            open.waiting.fetch_add(bytes, Ordering::AcqRel);
            gauge!("taskrouter_ws_queued_bytes").increment(float(bytes));
            // The receiver leaves the hub before it goes.
            let _ = open.queue.send(Queued { not_before, text: Arc::clone(&frame.text), about: frame.about });
        }
    }

    /// The present SDK knows activities and channels from its start only, and fails on ones that are new.
    fn close_those_who_must_read_again(&self, workspace: WorkspaceSid, events: &[EventRecord]) {
        for event in events {
            match event.kind {
                EventKind::ActivityCreated | EventKind::TaskChannelCreated => {
                    let open = self.all().filter(|open| open.workspace == workspace);
                    let open = open.filter(|open| open.dialect == Dialect::Present);
                    open.for_each(|open| open.ask_to_close(CHANGED));
                }
                EventKind::WorkspaceDeleted => {
                    let open = self.all().filter(|open| open.workspace == workspace);
                    open.for_each(|open| open.ask_to_close(GONE));
                }
                EventKind::WorkerDeleted => self.close_channel(event.about.worker.map(Channel::Worker)),
                EventKind::TaskQueueDeleted => self.close_channel(event.about.queue.map(Channel::TaskQueue)),
                _ => {}
            }
        }
    }

    fn close_channel(&self, channel: Option<Channel>) {
        let open = channel.and_then(|channel| self.of.get(&channel));
        open.into_iter().flat_map(BTreeMap::values).for_each(|open| open.ask_to_close(GONE));
    }

    /// Whether some browser of the worker has the SDK.
    fn speaks(&self, worker: WorkerSid, dialect: Dialect) -> bool {
        let mut of_worker = self.of.get(&Channel::Worker(worker)).into_iter().flat_map(BTreeMap::values);
        of_worker.any(|open| open.dialect == dialect)
    }
}

impl Witness for Hub {
    /// A socket that opens between the question and the commit reads what the commit has made.
    fn wants(&self, _: WorkspaceSid) -> bool {
        self.0.sockets.read().unwrap_or_else(PoisonError::into_inner).open > 0
    }

    fn committed(&self, workspace: &Workspace, events: &[EventRecord], now: Timestamp) {
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        let frames = frames::frames(workspace, events, now, |worker, dialect| sockets.speaks(worker, dialect));
        let not_before = self.0.clock.instant() + self.0.push_delay;
        for frame in &frames {
            sockets.push(frame, not_before, self.0.limits.queued_bytes);
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

    /// Most time for the browser to take a frame.
    pub(crate) fn write_time(&self) -> Duration {
        self.hub.0.limits.write_time
    }

    /// This one does not wait any more.
    pub(crate) fn taken(&self, queued: &Queued) {
        self.waiting.fetch_sub(queued.text.len(), Ordering::AcqRel);
        gauge!("taskrouter_ws_queued_bytes").decrement(float(queued.text.len()));
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
        let Some(of_channel) = sockets.of.get_mut(&self.channel) else { return };
        if of_channel.remove(&self.number).is_none() {
            // It was refused.
            return;
        }
        if of_channel.is_empty() {
            sockets.of.remove(&self.channel);
        }
        sockets.open -= 1;
        drop(sockets);
        gauge!("taskrouter_ws_sessions").decrement(1);
        // Nothing is queued for it any more.
        gauge!("taskrouter_ws_queued_bytes").decrement(float(self.waiting.load(Ordering::Acquire)));
        self.hub.note_presence(self.workspace, self.channel.worker().map(|worker| (worker, None)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a process are far below 2^52")]
const fn float(bytes: usize) -> f64 {
    bytes as f64
}

#[cfg(test)]
impl Hub {
    /// Queues a text for the sockets of a worker, as a commit would.
    pub(super) fn tell(&self, worker: WorkerSid, text: &str) {
        let dialect = Dialect::Present;
        let frame = Frame { worker, dialect, text: text.into(), about: Knowledge::None };
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        sockets.push(&frame, self.0.clock.instant(), self.0.limits.queued_bytes);
    }

    pub(super) fn open_sockets(&self) -> usize {
        self.0.sockets.read().unwrap_or_else(PoisonError::into_inner).open
    }

    /// Bytes that wait for all sockets together.
    pub(super) fn queued_bytes(&self) -> usize {
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        sockets.all().map(|open| open.waiting.load(Ordering::Acquire)).sum()
    }
}

#[cfg(test)]
mod tests;
