//! Drives both pure cores: one actor per workspace, batches, group commit, outbox.
//!
//! It must not know HTTP requests, TwiML or JSON shapes of the API. [`Engine`] is the handle of the outer layers; start
//! with [`request`], then `actor` (the loop), `reload` (after a failure), `cores` (how the two cores are coupled), `outbox` (effects), `retention`
//! (what is kept for a limited time).

mod access;
mod account_calls;
mod actor;
mod calendars;
pub mod cores;
mod figures;
mod forwards;
mod lanes;
mod limits;
mod moment;
mod outbox;
mod outgoing;
mod portions;
mod reload;
pub mod request;
mod retention;
mod steps;
mod voice_queue;
mod witness;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::calls::Input;
use crate::clock::{Clock, Entropy};
use crate::phone::PhoneSystem;
use crate::routing::command::NewWorkspace;
use crate::routing::{AccountSid, Reply, Timestamp, Workspace, WorkspaceSid};
use crate::store::{Error as StoreError, IdempotencyKey, RelayRow, Store};

use actor::{Call, Look, Surroundings};
use cores::Cores;
use outbox::Outbox;
use outgoing::Ledger;
use witness::Witnesses;

pub use cores::Assignment;
pub use limits::Limits;
pub use outgoing::NewForward;
pub use request::{
    AssignmentAnswer, CallRedirect, Complaint, Consequence, Error, Heard, LegWish, PhoneAccess, Request,
    ReservationInstruction, Supervision, WorkerCall,
};
pub use witness::Witness;

/// Requests that may wait for one workspace.
const QUEUE_MAX: usize = 4_096;

/// How long a workspace may take to tell its figures.
const GAUGE_PATIENCE: Duration = Duration::from_millis(500);

/// Looks at a busy workspace before giving up on comparing it with the store.
const LOOKS_MAX: usize = 5;

/// The engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be read.
    #[error("cannot read the database: {0}")]
    Store(#[from] StoreError),
    /// A workspace on disk cannot be rebuilt.
    #[error("cannot load workspace {workspace}: {reason}")]
    Workspace {
        /// Which.
        workspace: WorkspaceSid,
        /// What could not be read.
        reason: String,
    },
}

/// Handle to the engine: cheap to clone, the only way to change anything.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    around: Surroundings,
    workspaces: RwLock<BTreeMap<WorkspaceSid, Running>>,
    tracker: TaskTracker,
    outbox_shutdown: CancellationToken,
    assignments: std::sync::Mutex<Option<mpsc::UnboundedReceiver<Assignment>>>,
    relays: std::sync::Mutex<Option<mpsc::UnboundedReceiver<RelayRow>>>,
    /// Held while a calendar is written and told of.
    calendars: Mutex<()>,
}

/// A workspace that runs, or is being loaded again.
#[derive(Debug)]
struct Running {
    requests: mpsc::Sender<Call>,
    legs: Ledger,
}

impl Engine {
    /// Loads all workspaces and starts their actors and the outbox; without a phone system, calls cannot be moved.
    pub async fn start(
        store: Store,
        phone: Option<PhoneSystem>,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, StartError> {
        Self::start_within(Limits::default(), store, phone, clock, entropy).await
    }

    /// The same with other limits than the usual ones.
    pub async fn start_within(
        limits: Limits,
        store: Store,
        phone: Option<PhoneSystem>,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, StartError> {
        let (outbox, committed) = Outbox::new();
        let (assignments, to_ask) = mpsc::unbounded_channel();
        let (relays, to_relay) = mpsc::unbounded_channel();
        let witnesses = Witnesses::default();
        let shutdown = CancellationToken::new();
        let limits = Limits { phone: phone.is_some(), ..limits };
        let around = Surroundings { store, clock, entropy, outbox, assignments, relays, limits, witnesses, shutdown };
        let engine = Self(Arc::new(Inner {
            around,
            workspaces: RwLock::new(BTreeMap::new()),
            tracker: TaskTracker::new(),
            outbox_shutdown: CancellationToken::new(),
            assignments: std::sync::Mutex::new(Some(to_ask)),
            relays: std::sync::Mutex::new(Some(to_relay)),
            calendars: Mutex::new(()),
        }));
        for workspace in engine.0.around.store.workspaces().await? {
            if let Some(mut cores) = engine.load(workspace).await? {
                engine.write_who_is_gone(&mut cores).await?;
                if let Some(phone) = &phone {
                    let tasks = cores.calls().tasks();
                    phone.know_legs(tasks.flat_map(crate::calls::VoiceTask::labelled_legs));
                }
                engine.supervise(workspace, cores);
            }
        }
        let shutdown = engine.0.outbox_shutdown.clone();
        engine.0.tracker.spawn(retention::run(engine.0.around.clone()));
        if let Some(phone) = phone.clone() {
            engine.0.tracker.spawn(access::run(phone, engine.clone(), shutdown.clone()));
        }
        engine.0.tracker.spawn(outbox::run(committed, phone, engine.clone(), shutdown));
        Ok(engine)
    }

    /// Makes a workspace for `account`; it is on disk when this returns.
    ///
    /// Runs in a task of its own: a caller who goes away between the commit and the start of the actor must not leave
    /// a workspace without one.
    pub async fn create_workspace(&self, account: AccountSid, new: NewWorkspace) -> Result<WorkspaceSid, Error> {
        self.create_workspace_once(account, new, None).await
    }

    /// The same, with the key by which repeats of the request are known written in the commit.
    pub async fn create_workspace_once(
        &self,
        account: AccountSid,
        new: NewWorkspace,
        key: Option<IdempotencyKey>,
    ) -> Result<WorkspaceSid, Error> {
        let engine = self.clone();
        let made = self.0.tracker.spawn(async move { engine.found(account, &new, key).await });
        made.await.unwrap_or(Err(Error::Unavailable))
    }

    async fn found(
        &self,
        account: AccountSid,
        new: &NewWorkspace,
        key: Option<IdempotencyKey>,
    ) -> Result<WorkspaceSid, Error> {
        let mut entropy = self.0.around.entropy;
        let mut cores = Cores::create(account, new, self.0.around.clock.now(), &mut entropy)?;
        cores.keep_within(self.0.around.limits.clone());
        if let Some(key) = key {
            cores.remember(key, Reply::Done);
        }
        let workspace = cores.sid();
        if let Some((batch, _)) = cores.take_batch(&mut entropy) {
            self.0.around.store.append(batch).await.map_err(|error| {
                tracing::error!(workspace.sid = %workspace, %error, "cannot write a new workspace");
                Error::Unavailable
            })?;
        }
        self.0.around.witnesses.tell_advance(cores.workspace());
        self.supervise(workspace, cores);
        Ok(workspace)
    }

    /// Carries out one request; its effects are on disk when this returns.
    pub async fn send(&self, workspace: WorkspaceSid, request: Request) -> Result<Reply, Error> {
        self.send_once(workspace, request, None).await
    }

    /// The same, with the key by which its repeats are known written in the commit. That a repeat is not sent again is up
    /// to the one who asks.
    pub async fn send_once(
        &self,
        workspace: WorkspaceSid,
        mut request: Request,
        key: Option<IdempotencyKey>,
    ) -> Result<Reply, Error> {
        if let Request::Caller { call, input: Input::CallerEnded { .. } } = &request {
            self.forward_over(workspace, call);
        }
        self.find_redirected(workspace, &mut request).await;
        let sender = self.sender(workspace)?;
        let (reply, outcome) = oneshot::channel();
        let (request, span) = (Box::new(request), tracing::Span::current());
        hand_over(&sender, Call::Change { request, reply, span, key: key.map(Box::new) })?;
        // A dropped reply means that the actor failed before the commit.
        outcome.await.unwrap_or(Err(Error::Unavailable))
    }

    /// Whether a workspace in memory is what its rows on disk would make of it.
    ///
    /// Compares fingerprints of the running actor and of a second copy loaded from the store; a workspace that
    /// changes between the two looks is looked at again a few times.
    pub async fn agrees_with_store(&self, workspace: WorkspaceSid) -> Result<bool, Error> {
        for _ in 0..LOOKS_MAX {
            let before = self.fingerprint(workspace).await?;
            let loaded = self.0.around.store.load(workspace).await.map_err(|_| Error::Unavailable)?;
            let loaded = loaded.ok_or(Error::NoSuchWorkspace)?;
            let on_disk = Cores::restore(loaded, self.0.around.clock.now()).map(|(cores, _)| cores.fingerprint());
            if on_disk.is_ok_and(|on_disk| on_disk == before) {
                return Ok(true);
            }
            if self.fingerprint(workspace).await? == before {
                return Ok(false);
            }
        }
        Err(Error::Overloaded)
    }

    /// Has `witness` told of every commit from now on.
    pub fn add_witness(&self, witness: Arc<dyn Witness>) {
        self.0.around.witnesses.add(witness);
    }

    /// Asks a workspace in memory; what `question` sees is on disk.
    ///
    /// The workspace waits meanwhile, so a question looks at indices and answers at once; whatever takes longer is read
    /// from the store.
    pub async fn look<T: Send + 'static>(
        &self,
        workspace: WorkspaceSid,
        question: impl FnOnce(&Workspace, Timestamp) -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.look_at_cores(workspace, |cores, now| question(cores.workspace(), now)).await
    }

    async fn look_at_cores<T: Send + 'static>(
        &self,
        workspace: WorkspaceSid,
        question: impl FnOnce(&Cores, Timestamp) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let look = move |cores: &Cores, now: Timestamp| {
            // The one who asked may be gone.
            let _ = reply.send(question(cores, now));
        };
        hand_over(&self.sender(workspace)?, Call::Look(Look(Box::new(look))))?;
        answer.await.map_err(|_| Error::Unavailable)
    }

    /// The reservations whose applications are to be asked, each one after its commit, those of before the start first;
    /// bounded by what is open on disk. There is one who asks, so there is only one to take.
    #[must_use]
    pub fn take_assignments(&self) -> Option<mpsc::UnboundedReceiver<Assignment>> {
        self.0.assignments.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The callbacks to pass on to applications, each one after its commit; those of before the start are on disk. There
    /// is one who sends, so there is only one to take.
    #[must_use]
    pub fn take_relays(&self) -> Option<mpsc::UnboundedReceiver<RelayRow>> {
        self.0.relays.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn fingerprint(&self, workspace: WorkspaceSid) -> Result<u64, Error> {
        self.look_at_cores(workspace, |cores, _| cores.fingerprint()).await
    }

    /// Those that run.
    fn workspaces(&self) -> Vec<WorkspaceSid> {
        self.0.workspaces.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    fn sender(&self, workspace: WorkspaceSid) -> Result<mpsc::Sender<Call>, Error> {
        let workspaces = self.0.workspaces.read().unwrap_or_else(PoisonError::into_inner);
        workspaces.get(&workspace).map(|running| running.requests.clone()).ok_or(Error::NoSuchWorkspace)
    }

    /// Brings the gauges of all workspaces up to date; one that does not answer soon keeps its former figures.
    pub async fn publish_gauges(&self) {
        for workspace in self.workspaces() {
            let look = self.look(workspace, figures::Present::of);
            if let Ok(Ok(present)) = tokio::time::timeout(GAUGE_PATIENCE, look).await {
                present.publish();
            }
        }
    }

    /// Whether the engine takes requests, that is, has not been told to stop; for the readiness check.
    ///
    /// A single workspace that is being loaded again does not count: the others go on, and its metric tells.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.0.around.shutdown.is_cancelled()
    }

    /// Answers what waits, stops the actors and the outbox; what is still to be carried out stays on disk.
    pub async fn shutdown(&self) {
        self.0.around.shutdown.cancel();
        self.0.outbox_shutdown.cancel();
        self.0.tracker.close();
        self.0.tracker.wait().await;
    }

    /// Reads a workspace from disk and hands its open phone commands to the outbox.
    async fn load(&self, workspace: WorkspaceSid) -> Result<Option<Cores>, StartError> {
        let around = &self.0.around;
        let Some(loaded) = around.store.load(workspace).await? else { return Ok(None) };
        let now = around.clock.now();
        let (mut cores, errands) = Cores::restore(loaded, now)
            .map_err(|error| StartError::Workspace { workspace, reason: error.to_string() })?;
        cores.keep_within(around.limits.clone());
        cores.look_at_calls(cores.moment(now));
        around.outbox.add(workspace, errands);
        around.hand_over(cores.open_assignments());
        Ok(Some(cores))
    }

    /// Whoever had a socket when the server ended has none now.
    async fn write_who_is_gone(&self, cores: &mut Cores) -> Result<(), StoreError> {
        let mut entropy = self.0.around.entropy;
        cores.forget_sockets(self.0.around.clock.now(), &mut entropy);
        match cores.take_batch(&mut entropy) {
            // Nobody can have asked for anything else yet.
            Some((batch, _)) => self.0.around.store.append(batch).await,
            None => Ok(()),
        }
    }

    fn supervise(&self, workspace: WorkspaceSid, cores: Cores) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let running = Running { requests: sender, legs: cores.ledger() };
        self.0.workspaces.write().unwrap_or_else(PoisonError::into_inner).insert(workspace, running);
        let engine = self.clone();
        self.0.tracker.spawn(async move {
            engine.keep_running(workspace, cores, receiver).await;
            engine.0.workspaces.write().unwrap_or_else(PoisonError::into_inner).remove(&workspace);
            retention::clear_away(&engine.0.around, workspace).await;
        });
    }
}

fn hand_over(sender: &mpsc::Sender<Call>, call: Call) -> Result<(), Error> {
    sender.try_send(call).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => Error::Overloaded,
        mpsc::error::TrySendError::Closed(_) => Error::Unavailable,
    })
}
