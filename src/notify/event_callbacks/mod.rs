//! Event callbacks: every event of a workspace, posted to its URL at least once (events.md 6, `quality.md` 1.5 B).
//!
//! The event log is the outbox. Each workspace with a URL has a task that reads the log from its place on, sends, and
//! puts on disk how far it has come; what fails has a row of its own and is tried again. A receiver that fails or hangs
//! holds up nobody else. Must not decide what an event says, nor change workspaces. Start with [`EventCallbacks`], then
//! `endpoint` (the task), `attempt` (one request), `window` (order), `manner` (when again), `form` (what is sent).

mod attempt;
mod endpoint;
mod form;
pub(super) mod manner;
#[cfg(test)]
mod tests;
mod window;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Entropy};
use crate::engine::Witness;
use crate::outbound::Outbound;
use crate::routing::{EventRecord, Timestamp, Workspace, WorkspaceSid};
use crate::store::Store;
use endpoint::Endpoint;
pub use manner::Schedule;

/// Requests under way to receivers that failed last: the others always find room beside them.
const SUSPECTS_MAX: usize = 1_500;

/// The rules of sending; the defaults are those of `quality.md` 1.5 B.
#[derive(Debug, Clone)]
pub struct Rules {
    /// When failed events are tried again.
    pub schedule: Schedule,
    /// An answer takes no longer; 1 to 30 seconds.
    pub patience: Duration,
    /// Requests under way to one receiver.
    pub in_flight_max: usize,
    /// An event that failed holds up its lane so long.
    pub lane_held: Duration,
    /// Failures in a row after which a receiver is only tried now and then.
    pub failures_max: u32,
    /// How often it is tried then.
    pub probe_every: Duration,
    /// After so long without a success nothing is sent any more.
    pub disabled_after: Duration,
    /// Events that wait longer in the log are dead.
    pub backlog_age_max: Duration,
    /// Events beyond this number are dead, the oldest first.
    pub backlog_max: u64,
    /// How long progress may stay in memory.
    pub written_every: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            patience: Duration::from_secs(15),
            in_flight_max: 32,
            lane_held: Duration::from_secs(30),
            failures_max: 10,
            probe_every: Duration::from_secs(30),
            disabled_after: Duration::from_hours(120),
            backlog_age_max: Duration::from_hours(7 * 24),
            backlog_max: 1_000_000,
            written_every: Duration::from_millis(250),
        }
    }
}

/// What every sender needs.
#[derive(Debug)]
struct Around {
    rules: Rules,
    store: Store,
    outbound: Outbound,
    clock: Clock,
    entropy: Entropy,
    suspects: Semaphore,
    stop: CancellationToken,
}

/// Sends the events of all workspaces that have a callback URL; cheap to clone.
#[derive(Debug, Clone)]
pub struct EventCallbacks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    around: Arc<Around>,
    senders: Mutex<HashMap<WorkspaceSid, Arc<Wake>>>,
    tasks: TaskTracker,
}

/// Wakes the sender of a workspace.
#[derive(Debug, Default)]
struct Wake {
    news: Notify,
    /// Not only the log has grown: events are to be sent again, or the receiver is switched on again.
    look_again: AtomicBool,
}

impl EventCallbacks {
    /// Makes a sender that has not begun.
    #[must_use]
    pub fn new(rules: Rules, store: Store, outbound: Outbound, clock: Clock, entropy: Entropy) -> Self {
        let suspects = Semaphore::new(SUSPECTS_MAX);
        let stop = CancellationToken::new();
        let around = Arc::new(Around { rules, store, outbound, clock, entropy, suspects, stop });
        Self(Arc::new(Inner { around, senders: Mutex::default(), tasks: TaskTracker::new() }))
    }

    /// Goes on where the last process stopped.
    pub async fn start(&self) -> Result<(), crate::store::Error> {
        for workspace in self.0.around.store.event_places().await? {
            self.wake(workspace);
        }
        Ok(())
    }

    /// Has the sender of a workspace look at everything again: somebody asked for events, or switched it on.
    pub fn look_again(&self, workspace: WorkspaceSid) {
        {
            let senders = self.0.senders.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(wake) = senders.get(&workspace) {
                wake.look_again.store(true, Ordering::Release);
            }
        }
        self.wake(workspace);
    }

    /// Has the sender of a workspace look at the log, and begins it where there is none.
    fn wake(&self, workspace: WorkspaceSid) {
        let mut senders = self.0.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wake) = senders.get(&workspace) {
            wake.news.notify_one();
            return;
        }
        if self.0.around.stop.is_cancelled() {
            return;
        }
        let wake = Arc::new(Wake::default());
        senders.insert(workspace, Arc::clone(&wake));
        let (callbacks, around) = (self.clone(), Arc::clone(&self.0.around));
        self.0.tasks.spawn(async move {
            Endpoint::new(workspace, around, Arc::clone(&wake)).run().await;
            callbacks.ended(workspace, &wake).await;
        });
    }

    /// A sender has nothing to send to any more; unless a URL came meanwhile.
    async fn ended(&self, workspace: WorkspaceSid, wake: &Arc<Wake>) {
        {
            let mut senders = self.0.senders.lock().unwrap_or_else(PoisonError::into_inner);
            if senders.get(&workspace).is_some_and(|known| Arc::ptr_eq(known, wake)) {
                senders.remove(&workspace);
            }
        }
        if matches!(self.0.around.store.event_target(workspace).await, Ok(Some(_))) {
            self.wake(workspace);
        }
    }

    /// Stops sending; what is not done stays in the log.
    pub async fn stop(&self) {
        self.0.around.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Witness for EventCallbacks {
    fn wants(&self, _: WorkspaceSid) -> bool {
        // Events are read from the log.
        false
    }

    fn committed(&self, _: &Workspace, _: &[EventRecord], _: Timestamp) {}

    fn advanced(&self, workspace: &Workspace) {
        let settings = workspace.settings();
        if settings.event_callback_url.is_empty() {
            // Whoever sends to a URL that is gone has to learn of it.
            let senders = self.0.senders.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(wake) = senders.get(&settings.sid) {
                wake.news.notify_one();
            }
            return;
        }
        self.wake(settings.sid);
    }
}
