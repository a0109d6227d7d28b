//! Carries out what was committed: commands to the phone system, as their lanes let them begin.
//!
//! At least once: a command stays on disk until its outcome is. A command that was on disk before this start is marked
//! as repeated, so the client looks before it acts. Start with [`Outbox`].

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info_span};

use crate::calls::{CommandId, Input, PhoneOutcome};
use crate::phone::{NOT_WANTED, PhoneSystem};
use crate::routing::WorkspaceSid;

use super::Engine;
use super::cores::Errand;
use super::lanes::{Begun, IN_FLIGHT_MAX, Lanes};
use super::request::{Error, Request};

/// Pause before an outcome is reported again to a workspace that could not take it.
const REPORT_PAUSE: Duration = Duration::from_millis(200);

/// Handle to the outbox: cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Outbox(mpsc::UnboundedSender<(WorkspaceSid, Vec<Errand>)>);

/// The other end of [`Outbox`].
pub(super) type Committed = mpsc::UnboundedReceiver<(WorkspaceSid, Vec<Errand>)>;

impl Outbox {
    /// Makes the handle and its other end. What passes through is bounded by what is open on disk.
    pub(super) fn new() -> (Self, Committed) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Hands over commands that are on disk.
    pub(super) fn add(&self, workspace: WorkspaceSid, errands: Vec<Errand>) {
        if !errands.is_empty() {
            // Closed only during shutdown; the commands stay on disk for the next start.
            let _ = self.0.send((workspace, errands));
        }
    }
}

/// Carries out commands until `shutdown`; then what is under way is finished or left for the next start.
pub(super) async fn run(
    mut committed: Committed,
    phone: Option<PhoneSystem>,
    engine: Engine,
    shutdown: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut lanes = Lanes::default();
    let mut running: JoinSet<Errand> = JoinSet::new();
    let mut next_turn = None;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some((workspace, errands)) = committed.recv() => {
                for errand in errands {
                    lanes.add(workspace, errand);
                }
            }
            Some(finished) = running.join_next() => {
                if let Ok(errand) = finished {
                    lanes.finished(&errand);
                }
            }
            () = pass(next_turn) => {}
        }
        let (begun, wait) = lanes.begin(|| phone.as_ref().map_or(Ok(()), PhoneSystem::take_turn));
        next_turn = wait;
        for Begun { workspace, errand, in_vain, unwanted } in begun {
            let (phone, engine, permits) = (phone.clone(), engine.clone(), Arc::clone(&permits));
            running.spawn(async move {
                let permit = permits.acquire().await;
                // In a task of its own: a failure of the client must not keep the task's other commands waiting.
                let attempt = errand.clone();
                let span = info_span!(
                    "phone_command",
                    workspace.sid = %workspace,
                    task.sid = %errand.task,
                    command.number = errand.number,
                    command.kind = errand.command.name(),
                    command.repeated = errand.repeated,
                );
                let attempt = async move { carry_out(phone.as_ref(), &attempt, in_vain, &unwanted).await };
                let attempt = tokio::spawn(attempt.instrument(span.clone())).await;
                let outcome = attempt.unwrap_or_else(|error| PhoneOutcome::Unavailable { message: error.to_string() });
                drop(permit);
                span.in_scope(|| debug!(outcome = word_of(&outcome), "phone command attempted"));
                report(&engine, workspace, &errand, outcome).await;
                errand
            });
        }
        for (state, rows) in [("open", lanes.len()), ("awaits_turn", lanes.in_line())] {
            gauge!("taskrouter_outbox_rows", "state" => state).set(f64::from(u32::try_from(rows).unwrap_or(u32::MAX)));
        }
    }
}

/// Lets so much time go by; without a time, for ever.
async fn pass(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

const fn word_of(outcome: &PhoneOutcome) -> &'static str {
    match outcome {
        PhoneOutcome::Done { .. } => "done",
        PhoneOutcome::Seen(_) => "seen",
        PhoneOutcome::Gone => "gone",
        PhoneOutcome::Refused { .. } => "refused",
        PhoneOutcome::Unavailable { .. } => "unavailable",
    }
}

async fn carry_out(
    phone: Option<&PhoneSystem>,
    errand: &Errand,
    in_vain: bool,
    unwanted: &CancellationToken,
) -> PhoneOutcome {
    if in_vain {
        return PhoneOutcome::Refused { code: None, message: NOT_WANTED.to_owned() };
    }
    let Some(phone) = phone else {
        let message = "no phone system is configured: set SWITCHHOOK_PHONE_URL and its credentials".to_owned();
        return PhoneOutcome::Refused { code: None, message };
    };
    let id = CommandId { task: errand.task, number: errand.number };
    phone.execute_while_wanted(id, &errand.command, errand.repeated, unwanted).await
}

/// Tells the workspace; repeats while it is being loaded again or has no room, because the row on disk waits for it.
async fn report(engine: &Engine, workspace: WorkspaceSid, errand: &Errand, outcome: PhoneOutcome) {
    loop {
        let input = Input::CommandDone { number: errand.number, outcome: outcome.clone() };
        match engine.send(workspace, Request::Call { task: errand.task, input }).await {
            Ok(_) | Err(Error::Refused(_) | Error::NoSuchWorkspace) => return,
            Err(Error::Overloaded | Error::Unavailable) => tokio::time::sleep(REPORT_PAUSE).await,
        }
    }
}
