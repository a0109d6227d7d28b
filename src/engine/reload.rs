//! Keeps the actor of one workspace running: one that failed is loaded again from disk, the others are untouched.
//!
//! Until it runs again everybody is answered at once: what would change something is refused, and who only looks sees what is
//! on disk as soon as that is loaded. It rests before it runs, the longer the more often it failed without a commit, and until
//! the store takes writes, so that a full disk does not keep the machine busy. Start with [`Engine::keep_running`].

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::sync::{Mutex, mpsc};

use super::actor::{self, Call, Ended, Look, Surroundings};
use super::cores::Cores;
use super::{Engine, Error, Request, StartError};
use crate::routing::{Command, WorkspaceSid};

/// Rest before a workspace that failed runs again: doubles from the first to the longest; a commit begins anew.
const RELOAD_PAUSE: Duration = Duration::from_millis(50);
pub(super) const RELOAD_PAUSE_MAX: Duration = Duration::from_secs(2);

impl Engine {
    /// Runs a workspace's actor; one that fails or panics is loaded again from disk.
    pub(super) async fn keep_running(&self, workspace: WorkspaceSid, cores: Cores, receiver: mpsc::Receiver<Call>) {
        let receiver = Arc::new(Mutex::new(receiver));
        let reloading = gauge!("taskrouter_workspaces_reloading");
        let legs = cores.ledger();
        let mut cores = cores;
        let mut kept = Vec::new();
        let mut pause = RELOAD_PAUSE;
        loop {
            let around = self.0.around.clone();
            let requests = Arc::clone(&receiver);
            let has_committed = Arc::new(AtomicBool::new(false));
            let commits = Arc::clone(&has_committed);
            let waiting = std::mem::take(&mut kept);
            // A task of its own, so that a panic ends it and not the supervisor; the lock outlives it.
            let actor = tokio::spawn(async move {
                let mut requests = requests.lock().await;
                actor::run(cores, waiting, &mut requests, &around, &commits).await
            });
            match actor.await {
                Ok(Ended::Shutdown | Ended::Deleted) => return,
                Ok(Ended::Store(error)) => {
                    tracing::error!(workspace.sid = %workspace, %error, "commit failed, loading the workspace again");
                    counter!("taskrouter_actor_restarts_total", "cause" => "store").increment(1);
                }
                Err(error) => {
                    tracing::error!(workspace.sid = %workspace, %error, "actor failed, loading the workspace again");
                    counter!("taskrouter_actor_restarts_total", "cause" => "panic").increment(1);
                    counter!("taskrouter_invariant_violations_total").increment(1);
                }
            }
            if has_committed.load(Ordering::Acquire) {
                pause = RELOAD_PAUSE;
            }
            reloading.increment(1);
            let mut requests = receiver.lock().await;
            let loaded = tokio::select! {
                () = self.0.around.shutdown.cancelled() => None,
                loaded = self.load_again(workspace, &mut requests, &mut kept, &mut pause) => loaded,
            };
            reloading.decrement(1);
            let Some(loaded) = loaded else { return };
            cores = loaded;
            cores.count_legs_in(legs.clone());
        }
    }

    /// Loads the workspace and rests; none when it is not on disk any more.
    async fn load_again(
        &self,
        workspace: WorkspaceSid,
        requests: &mut mpsc::Receiver<Call>,
        kept: &mut Vec<Call>,
        pause: &mut Duration,
    ) -> Option<Cores> {
        loop {
            let rest = *pause;
            *pause = pause.saturating_mul(2).min(RELOAD_PAUSE_MAX);
            // In a task of its own, because a large workspace is put together for longer than anybody may wait.
            let engine = self.clone();
            let load = tokio::spawn(async move { engine.load(workspace).await });
            let problem = match self.refuse_until(load, None, requests, kept).await {
                Ok(Ok(None)) => return None,
                Ok(Ok(Some(mut cores))) => {
                    let rested = self.rest(rest);
                    self.refuse_until(rested, Some(&mut cores), requests, kept).await;
                    return Some(cores);
                }
                Ok(Err(error)) => error,
                Err(error) => StartError::Workspace { workspace, reason: error.to_string() },
            };
            tracing::error!(workspace.sid = %workspace, error = %problem, "cannot load the workspace, trying again");
            self.refuse_until(tokio::time::sleep(rest), None, requests, kept).await;
        }
    }

    async fn rest(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
        self.0.around.store.takes_writes().await;
    }

    /// Answers whatever comes until `end`.
    async fn refuse_until<T>(
        &self,
        end: impl Future<Output = T>,
        cores: Option<&mut Cores>,
        requests: &mut mpsc::Receiver<Call>,
        kept: &mut Vec<Call>,
    ) -> T {
        let mut end = pin!(end);
        loop {
            tokio::select! {
                biased;
                outcome = &mut end => return outcome,
                Some(call) = requests.recv() => kept.extend(refuse(call, cores.as_deref(), &self.0.around)),
            }
        }
    }
}

/// Answers a call without changing anything; what has to be carried out all the same comes back.
fn refuse(call: Call, cores: Option<&Cores>, around: &Surroundings) -> Option<Call> {
    match call {
        // It is written already, maybe after the workspace was loaded. There is one at a time.
        Call::Change { ref request, .. } if matches!(**request, Request::Routing(Command::SetCalendar { .. })) => {
            return Some(call);
        }
        Call::Change { reply, .. } => {
            // The one who asked may be gone.
            let _ = reply.send(Err(Error::Unavailable));
        }
        // Without an answer it is unavailable too.
        Call::Look(Look(look)) => {
            if let Some(cores) = cores {
                look(cores, cores.moment(around.clock.now()));
            }
        }
        #[cfg(test)]
        Call::Panic => {}
    }
    None
}
