//! Tells workspaces which of their workers have open sockets.
//!
//! The hub knows who has; here that is reported, again and again until it is on disk, and always as it is at that
//! moment: a browser that left and came back meanwhile was never gone. What follows is decided by the workspace. Start
//! with [`run`].

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::engine::{self, Engine, Request};
use crate::routing::command::PresenceReport;
use crate::routing::{Command, WorkerSid, WorkspaceSid};

/// Workers of one command.
const PORTION: usize = 1_000;

/// Pause before a workspace that could not take a report is told again.
const PAUSE: Duration = Duration::from_millis(200);

/// Reports every change until `shutdown`. Each workspace has one report under way at most, so that they arrive in their
/// order and one that is being loaded again keeps only its own waiting.
pub async fn run(hub: Hub, engine: Engine, shutdown: CancellationToken) {
    let mut running: JoinSet<(WorkspaceSid, Vec<WorkerSid>)> = JoinSet::new();
    let mut busy: BTreeSet<WorkspaceSid> = BTreeSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = hub.presence_changed() => {}
            Some(finished) = running.join_next() => match finished {
                Ok((workspace, untold)) => {
                    busy.remove(&workspace);
                    hub.report_again(workspace, untold);
                }
                Err(error) => {
                    tracing::error!(%error, "a report of open sockets failed");
                    busy.clear();
                }
            },
        }
        for (workspace, workers) in hub.take_presence_changes(PORTION, |workspace| !busy.contains(&workspace)) {
            busy.insert(workspace);
            let (hub, engine) = (hub.clone(), engine.clone());
            running.spawn(async move { (workspace, report(&hub, &engine, workspace, workers).await) });
        }
    }
}

/// Returns those of whom the workspace has to be told again.
async fn report(hub: &Hub, engine: &Engine, workspace: WorkspaceSid, workers: Vec<WorkerSid>) -> Vec<WorkerSid> {
    let reports =
        workers.iter().map(|worker| PresenceReport { worker: *worker, connection: hub.connection_of(*worker) });
    let request = Request::Routing(Command::NotePresence(reports.collect()));
    match engine.send(workspace, request).await {
        Ok(_) | Err(engine::Error::Refused(_) | engine::Error::NoSuchWorkspace) => Vec::new(),
        Err(engine::Error::Overloaded | engine::Error::Unavailable) => {
            tokio::time::sleep(PAUSE).await;
            workers
        }
    }
}
