//! Carries out what was committed: commands to the phone system, in order for each task, tasks side by side.
//!
//! Looks at calls and rooms of which nothing was heard never take all the places, so that a phone system that answers
//! slowly or not at all does not keep callers from being moved and legs from being hung up.
//!
//! At least once: a command stays on disk until its outcome is. A command that was on disk before this start is marked
//! as repeated, so the client looks before it acts. Start with [`Outbox`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info_span};

use crate::calls::{CommandId, Input, PhoneCommand, PhoneOutcome};
use crate::phone::PhoneSystem;
use crate::routing::{TaskSid, WorkspaceSid};

use super::Engine;
use super::cores::Errand;
use super::request::{Error, Request};

/// Commands under way at once.
const IN_FLIGHT_MAX: usize = 128;

/// How many of them may be looks.
const LOOKS_MAX: usize = 32;

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

/// What waits, task by task, and what is under way.
#[derive(Default)]
struct Lanes {
    waiting: BTreeMap<TaskSid, VecDeque<(WorkspaceSid, Errand)>>,
    running: BTreeSet<TaskSid>,
    /// Those of which the next command may begin.
    ready: BTreeSet<TaskSid>,
    /// Those of which nothing but a look waits, for which there was no place.
    held: BTreeSet<TaskSid>,
    /// How many of those that run are looks.
    looking: usize,
    /// Everything that waits or runs: a workspace that is loaded again hands its open commands over again.
    known: BTreeSet<(TaskSid, u32)>,
}

impl Lanes {
    /// One more command, after those of its task.
    fn add(&mut self, workspace: WorkspaceSid, errand: Errand) {
        let task = errand.task;
        if self.known.insert((task, errand.number)) {
            self.waiting.entry(task).or_default().push_back((workspace, errand));
            self.wake(task);
        }
    }

    /// The next command of a task may begin, if there is one and none is under way.
    fn wake(&mut self, task: TaskSid) {
        if self.waiting.contains_key(&task) && !self.running.contains(&task) {
            self.ready.insert(task);
        }
    }

    /// The commands that may begin now, one for each task.
    fn begin(&mut self) -> Vec<(WorkspaceSid, Errand)> {
        let ready = std::mem::take(&mut self.ready);
        let begins = |task: TaskSid| {
            let next = self.next_of(task);
            if next.is_none() {
                self.held.insert(task);
            }
            next
        };
        ready.into_iter().filter_map(begins).collect()
    }

    /// The next command of a task: its oldest, except that a look gives way while there is no place for it.
    fn next_of(&mut self, task: TaskSid) -> Option<(WorkspaceSid, Errand)> {
        let queue = self.waiting.get_mut(&task)?;
        let may_look = self.looking < LOOKS_MAX;
        let at = queue.iter().position(|(_, errand)| may_look || !is_look(errand))?;
        let next = queue.remove(at)?;
        if queue.is_empty() {
            self.waiting.remove(&task);
        }
        self.running.insert(task);
        self.looking += usize::from(is_look(&next.1));
        Some(next)
    }

    /// A command of a task has its outcome.
    fn finished(&mut self, task: TaskSid, number: u32, looked: bool) {
        self.running.remove(&task);
        self.known.remove(&(task, number));
        self.wake(task);
        if looked {
            self.looking = self.looking.saturating_sub(1);
            // One place is one look; tasks that have something else under way wake by themselves.
            while let Some(held) = self.held.pop_first() {
                self.wake(held);
                if self.ready.contains(&held) {
                    break;
                }
            }
        }
    }
}

fn is_look(errand: &Errand) -> bool {
    matches!(errand.command, PhoneCommand::FetchCall { .. } | PhoneCommand::FetchRoom(_))
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
    let mut running: JoinSet<(TaskSid, u32, bool)> = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some((workspace, errands)) = committed.recv() => {
                for errand in errands {
                    lanes.add(workspace, errand);
                }
            }
            Some(finished) = running.join_next() => {
                if let Ok((task, number, looked)) = finished {
                    lanes.finished(task, number, looked);
                }
            }
        }
        for (workspace, errand) in lanes.begin() {
            let (phone, engine, permits) = (phone.clone(), engine.clone(), Arc::clone(&permits));
            running.spawn(async move {
                let done = (errand.task, errand.number, is_look(&errand));
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
                let attempt = async move { carry_out(phone.as_ref(), &attempt).await }.instrument(span.clone());
                let attempt = tokio::spawn(attempt).await;
                let outcome = attempt.unwrap_or_else(|error| PhoneOutcome::Unavailable { message: error.to_string() });
                drop(permit);
                span.in_scope(|| debug!(outcome = word_of(&outcome), "phone command attempted"));
                report(&engine, workspace, &errand, outcome).await;
                done
            });
        }
        gauge!("taskrouter_outbox_rows", "state" => "open")
            .set(f64::from(u32::try_from(lanes.known.len()).unwrap_or(u32::MAX)));
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

async fn carry_out(phone: Option<&PhoneSystem>, errand: &Errand) -> PhoneOutcome {
    let Some(phone) = phone else {
        let message = "no phone system is configured: set SWITCHHOOK_PHONE_URL and its credentials".to_owned();
        return PhoneOutcome::Refused { code: None, message };
    };
    let id = CommandId { task: errand.task, number: errand.number };
    phone.execute(id, &errand.command, errand.repeated).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::CallSid;

    fn errand(task: u128, number: u32, looks: bool) -> Errand {
        let call = CallSid(format!("CA{task}"));
        let command = if looks { PhoneCommand::FetchCall { call } } else { PhoneCommand::HangUp { call } };
        Errand { task: TaskSid::from_bits(task), number, command, repeated: false }
    }

    fn begun(lanes: &mut Lanes) -> Vec<Errand> {
        lanes.begin().into_iter().map(|(_, errand)| errand).collect()
    }

    #[test]
    fn looks_have_so_many_places_and_keep_nothing_else_waiting() {
        let workspace = WorkspaceSid::from_bits(1);
        let mut lanes = Lanes::default();
        let tasks = 3 * LOOKS_MAX as u128;
        for task in 0..tasks {
            lanes.add(workspace, errand(task, 1, true));
            lanes.add(workspace, errand(task, 1, true));
        }
        let mut running = begun(&mut lanes);
        assert_eq!(running.len(), LOOKS_MAX);
        assert!(begun(&mut lanes).is_empty(), "no place is free");
        // Something else of a task whose look is held begins at once, before that look.
        lanes.add(workspace, errand(tasks - 1, 2, false));
        let other = begun(&mut lanes);
        assert_eq!(other.iter().map(|errand| errand.number).collect::<Vec<_>>(), [2]);
        lanes.finished(other[0].task, 2, false);
        assert!(begun(&mut lanes).is_empty());
        let mut looked = 0;
        while let Some(errand) = running.pop() {
            looked += 1;
            lanes.finished(errand.task, errand.number, true);
            running.extend(begun(&mut lanes));
            assert!(running.len() <= LOOKS_MAX);
        }
        assert_eq!(looked, tasks, "each look is had once");
        assert!(lanes.waiting.is_empty() && lanes.known.is_empty() && lanes.held.is_empty());
    }
}
