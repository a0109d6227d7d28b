//! Tells workspaces which of their workers have open sockets.
//!
//! The hub knows who has; here that is reported, again and again until it is on disk, and always as it is at that
//! moment: a browser that left and came back meanwhile was never gone. One that came and left meanwhile was there. What follows is decided by the workspace. Start
//! with [`run`].

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Hub;
use super::hub::PresenceChanges;
use crate::engine::{self, Engine, Request};
use crate::routing::command::{Connection, PresenceReport};
use crate::routing::{Command, WorkerSid, WorkspaceSid};

/// Workers of one command.
const PORTION: usize = 1_000;

/// Pause before a workspace that could not take a report is told again.
const PAUSE: Duration = Duration::from_millis(200);

/// Reports every change until `shutdown`. Each workspace has one report under way at most, so that they arrive in their
/// order and one that is being loaded again keeps only its own waiting.
pub async fn run(hub: Hub, engine: Engine, shutdown: CancellationToken) {
    let mut running: JoinSet<PresenceChanges> = JoinSet::new();
    let mut busy: BTreeSet<WorkspaceSid> = BTreeSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = hub.presence_changed() => {}
            Some(finished) = running.join_next() => match finished {
                Ok(untold) => {
                    busy.remove(&untold.0);
                    hub.report_again(untold);
                }
                Err(error) => {
                    tracing::error!(%error, "a report of open sockets failed");
                    busy.clear();
                }
            },
        }
        for changes in hub.take_presence_changes(PORTION, |workspace| !busy.contains(&workspace)) {
            busy.insert(changes.0);
            let (hub, engine) = (hub.clone(), engine.clone());
            running.spawn(async move { report(&hub, &engine, changes).await });
        }
    }
}

/// Returns those of whom the workspace has to be told again.
async fn report(hub: &Hub, engine: &Engine, (workspace, workers): PresenceChanges) -> PresenceChanges {
    let reports = workers.iter().flat_map(|(worker, came)| reports_of(*worker, *came, hub.connection_of(*worker)));
    let request = Request::Routing(Command::NotePresence(reports.collect()));
    match engine.send(workspace, request).await {
        Ok(_) | Err(engine::Error::Refused(_) | engine::Error::NoSuchWorkspace) => (workspace, Vec::new()),
        Err(engine::Error::Overloaded | engine::Error::Unavailable) => {
            tokio::time::sleep(PAUSE).await;
            (workspace, workers)
        }
    }
}

/// What the workspace is told of a worker: a socket that came and is gone was there before it left.
fn reports_of(worker: WorkerSid, came: Option<Connection>, open: Option<Connection>) -> Vec<PresenceReport> {
    let told = if open.is_none() && came.is_some() { vec![came, None] } else { vec![open] };
    told.into_iter().map(|connection| PresenceReport { worker, connection }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, Entropy};
    use crate::notify::channel::{Channel, Dialect};
    use crate::notify::hub::Arrival;
    use crate::routing::command::{NewWorker, NewWorkspace, WorkspaceUpdate};
    use crate::routing::{AccountSid, Reply, Timestamp};
    use crate::store::{Account, Store};

    #[test]
    fn a_socket_that_came_and_left_is_told_before_that_it_is_gone() {
        let worker = WorkerSid::from_bits(1);
        let one = Connection { disconnect_activity: None, keeps_activity: true };
        let other = Connection::default();
        for (came, open, expected) in [
            (None, None, vec![None]),
            (Some(one), None, vec![Some(one), None]),
            (Some(one), Some(one), vec![Some(one)]),
            (Some(one), Some(other), vec![Some(other)]),
            (None, Some(other), vec![Some(other)]),
        ] {
            let told: Vec<_> = reports_of(worker, came, open).into_iter().map(|report| report.connection).collect();
            assert_eq!(told, expected, "{came:?} {open:?}");
        }
    }

    #[tokio::test]
    async fn a_socket_that_opened_and_closed_at_once_has_its_grace() {
        let store = Store::open("sqlite::memory:").await.unwrap();
        let clock = Clock::fixed(Timestamp(1_790_000_000_000));
        let account = Account {
            sid: AccountSid::from_bits(1),
            friendly_name: String::new(),
            auth_token: "secret".into(),
            created_at: clock.now(),
        };
        store.create_account(account).await.unwrap();
        let engine = Engine::start(store, None, clock.clone(), Entropy).await.unwrap();
        let new = NewWorkspace::named("Floor");
        let workspace = engine.create_workspace(AccountSid::from_bits(1), new).await.unwrap();
        let send = async |command| engine.send(workspace, Request::Routing(command)).await.unwrap();
        let grace = WorkspaceUpdate { disconnect_grace_secs: Some(Some(30)), ..WorkspaceUpdate::default() };
        send(Command::UpdateWorkspace(grace)).await;
        let new = NewWorker { friendly_name: "ann".to_owned(), activity: None, attributes: "{}".to_owned() };
        let Reply::Worker(worker) = send(Command::CreateWorker(new)).await else { panic!("no worker") };
        let hub = Hub::new(clock.clone(), Duration::ZERO);
        let arrival = Arrival {
            workspace,
            channel: Channel::Worker(worker),
            dialect: Dialect::Present,
            token: 1,
            key: None,
            close_existing: false,
            connection: Connection::default(),
        };
        // Before anybody collects what happened.
        drop(hub.enter(arrival).unwrap());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(run(hub, engine.clone(), shutdown.clone()));
        let known = async {
            loop {
                let look = engine.look(workspace, move |seen, _| seen.presence(worker).cloned());
                if let Some(presence) = look.await.unwrap() {
                    return presence;
                }
                tokio::task::yield_now().await;
            }
        };
        let presence = tokio::time::timeout(Duration::from_secs(20), known).await.expect("the workspace is told");
        assert_eq!(presence.deadline, Some(clock.now().plus_secs(30)));
        shutdown.cancel();
        running.await.unwrap();
        engine.shutdown().await;
    }
}
