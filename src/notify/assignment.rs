//! Assignment callbacks: asks an application what to do with a reservation (`spec/events.md` section 7).
//!
//! The workspace says whom to ask and does what was answered; here requests are sent, timed, repeated at the fallback
//! URL, and answers are told apart. What is not answered when the server ends is on disk and asked again by the next
//! start, if there is still time. Start with [`Callbacks::run`].

mod ask;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::counter;
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info_span};

use crate::clock::Clock;
use crate::engine::{self, Assignment, AssignmentAnswer, Complaint, Consequence, Engine, Request};
use crate::outbound::Answer;
use crate::routing::{ReservationSid, WorkspaceSid};

pub use ask::{Applications, Ask};

/// A URL has this long to answer, connecting included (TaskRouter: Handling assignment callbacks).
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Requests under way at once, to all applications together.
const IN_FLIGHT_MAX: usize = 1_000;

/// Requests under way at once from one workspace to one host and port; further ones wait, at most [`ANSWER_LIMIT`].
const IN_FLIGHT_PER_ENDPOINT: usize = 32;

/// Endpoints that are remembered before unused ones are dropped.
const ENDPOINTS_MAX: usize = 1_024;

/// Pause before an outcome is reported again to a workspace that could not take it.
const REPORT_PAUSE: Duration = Duration::from_millis(200);

/// A URL gave no answer that counts (`spec/rest.md` 6.3).
const NO_ANSWER: u32 = 11_200;
const NOT_JSON_TYPE: u32 = 40_000;
const NOT_JSON: u32 = 40_001;
const NO_INSTRUCTION: u32 = 40_005;

/// Reads a JSON object that has an `instruction`; the flag is the workspace's `MultiTaskEnabled`.
pub type ReadAnswer = fn(&Map<String, Value>, bool) -> AssignmentAnswer;

/// Asks applications.
#[derive(Debug)]
pub struct Callbacks<A> {
    ask: A,
    clock: Clock,
    read: ReadAnswer,
    places: Places,
}

impl<A: Ask> Callbacks<A> {
    /// Sends with `ask`, reads instructions with `read`.
    pub fn new(ask: A, clock: Clock, read: ReadAnswer) -> Self {
        Self { ask, clock, read, places: Places::default() }
    }

    /// Asks about every assignment that comes, and tells its workspace the outcome, until `shutdown`.
    pub async fn run(
        self,
        mut assignments: mpsc::UnboundedReceiver<Assignment>,
        engine: Engine,
        shutdown: CancellationToken,
    ) {
        let callbacks = Arc::new(self);
        let mut running: JoinSet<ReservationSid> = JoinSet::new();
        // A workspace that is loaded again hands over what is under way already.
        let mut known: BTreeSet<ReservationSid> = BTreeSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(assignment) = assignments.recv() => {
                    if known.insert(assignment.reservation) {
                        let (callbacks, engine) = (Arc::clone(&callbacks), engine.clone());
                        running.spawn(async move {
                            let answer = callbacks.outcome(&assignment).await;
                            report(&engine, assignment.workspace, assignment.reservation, answer).await;
                            assignment.reservation
                        });
                    }
                }
                Some(finished) = running.join_next() => match finished {
                    Ok(reservation) => _ = known.remove(&reservation),
                    Err(error) => tracing::error!(%error, "an assignment callback failed and is left to the next start"),
                },
                else => return,
            }
        }
    }

    /// What the application wants, after both of its URLs were asked if need be.
    async fn outcome(&self, assignment: &Assignment) -> AssignmentAnswer {
        let age =
            Duration::from_millis(u64::try_from(self.clock.now().ms_since(assignment.opened_at)).unwrap_or_default());
        let mut complaints = Vec::new();
        // An attempt whose time was over before this start is not made any more (quality 1.5).
        let attempts = [
            ("assignment_callback_url", Some(&assignment.url)),
            ("fallback_assignment_callback_url", assignment.fallback_url.as_ref()),
        ];
        for (number, (name, url)) in (1..).zip(attempts) {
            let Some(url) = url else { continue };
            let verdict = if age < ANSWER_LIMIT * number {
                self.attempt(assignment, url).await
            } else {
                Verdict::Failed(Complaint { code: NO_ANSWER, message: "the server was away for too long".to_owned() })
            };
            match verdict {
                Verdict::Settled(mut answer) => {
                    complaints.append(&mut answer.complaints);
                    let outcome = if answer.consequence == Consequence::Nothing { "deferred" } else { "answered" };
                    counter!("taskrouter_assignment_callbacks_total", "outcome" => outcome).increment(1);
                    return AssignmentAnswer { complaints, ..answer };
                }
                Verdict::Failed(complaint) => {
                    let message = format!("{name}: {}", complaint.message);
                    tracing::warn!(
                        code = complaint.code,
                        message,
                        workspace.sid = %assignment.workspace,
                        reservation.sid = %assignment.reservation,
                        "assignment callback failed"
                    );
                    complaints.push(Complaint { message, ..complaint });
                }
            }
        }
        counter!("taskrouter_assignment_callbacks_total", "outcome" => "failed").increment(1);
        AssignmentAnswer { complaints, consequence: Consequence::Cancel }
    }

    async fn attempt(&self, assignment: &Assignment, url: &str) -> Verdict {
        let no_answer = |message: String| Verdict::Failed(Complaint { code: NO_ANSWER, message });
        let place = self.places.take(assignment.workspace, url);
        let Ok(_place) = tokio::time::timeout(ANSWER_LIMIT, place).await else {
            return no_answer("too many requests wait for an answer of this host".to_owned());
        };
        let began = self.clock.now();
        let span = info_span!(
            "assignment_callback",
            workspace.sid = %assignment.workspace,
            reservation.sid = %assignment.reservation,
        );
        let asked = tokio::time::timeout(ANSWER_LIMIT, self.ask.ask(assignment, url)).instrument(span.clone()).await;
        span.in_scope(|| {
            let code = match &asked {
                Ok(Ok(answer)) => answer.status,
                Ok(Err(_)) | Err(_) => 0,
            };
            debug!(code, duration_ms = self.clock.now().ms_since(began), "assignment callback attempted");
        });
        match asked {
            Ok(Ok(answer)) => self.verdict(&answer, assignment.multi_task),
            Ok(Err(failure)) => no_answer(failure),
            Err(_) => no_answer(format!("no complete answer within {ANSWER_LIMIT:?}")),
        }
    }

    /// The rows of `spec/events.md` 7.2.
    fn verdict(&self, answer: &Answer, multi_task: bool) -> Verdict {
        let failed = |code, message: String| Verdict::Failed(Complaint { code, message });
        let deferred = |complaint: Option<(u32, String)>| {
            let complaints = complaint.into_iter().map(|(code, message)| Complaint { code, message }).collect();
            Verdict::Settled(AssignmentAnswer { complaints, consequence: Consequence::Nothing })
        };
        if !(200..300).contains(&answer.status) {
            return failed(NO_ANSWER, format!("status {}", answer.status));
        }
        let body = answer.body.trim_ascii();
        let value = serde_json::from_slice::<Value>(body);
        let is_empty_object = value.as_ref().is_ok_and(|value| value.as_object().is_some_and(Map::is_empty));
        if body.is_empty() || is_empty_object {
            return deferred(None);
        }
        if answer.status != 200 {
            return failed(NO_ANSWER, format!("status {} with a body; an instruction needs status 200", answer.status));
        }
        if answer.content_type != "application/json" {
            let found = &answer.content_type;
            return failed(NOT_JSON_TYPE, format!("expected content type application/json, found {found:?}"));
        }
        match value {
            Err(error) => deferred(Some((NOT_JSON, format!("the answer is not JSON: {error}")))),
            Ok(Value::Object(object)) if object.get("instruction").is_some_and(|name| !name.is_null()) => {
                Verdict::Settled((self.read)(&object, multi_task))
            }
            Ok(_) => deferred(Some((NO_INSTRUCTION, "the answer has no instruction; {} defers on purpose".to_owned()))),
        }
    }
}

/// What one URL's answer means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It counts.
    Settled(AssignmentAnswer),
    /// The fallback URL is to be asked.
    Failed(Complaint),
}

/// Places for requests, so that one slow application keeps only its own waiting.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    endpoints: Mutex<BTreeMap<(WorkspaceSid, String), Arc<Semaphore>>>,
}

impl Default for Places {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(IN_FLIGHT_MAX)), endpoints: Mutex::default() }
    }
}

impl Places {
    /// Waits for a place of the endpoint, then for one of all; both are given back when the result is dropped.
    pub(super) async fn take(&self, workspace: WorkspaceSid, url: &str) -> Vec<OwnedSemaphorePermit> {
        let mut permits = Vec::with_capacity(2);
        for semaphore in [self.endpoint(workspace, url), Arc::clone(&self.all)] {
            // They are never closed, so there is always a permit in the end.
            permits.extend(semaphore.acquire_owned().await);
        }
        permits
    }

    fn endpoint(&self, workspace: WorkspaceSid, url: &str) -> Arc<Semaphore> {
        let host = url::Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if endpoints.len() >= ENDPOINTS_MAX {
            endpoints.retain(|_, endpoint| Arc::strong_count(endpoint) > 1);
        }
        let fresh = || Arc::new(Semaphore::new(IN_FLIGHT_PER_ENDPOINT));
        Arc::clone(endpoints.entry((workspace, host)).or_insert_with(fresh))
    }
}

/// Tells the workspace; repeats while it is being loaded again or has no room, because the row on disk waits for it.
async fn report(engine: &Engine, workspace: WorkspaceSid, reservation: ReservationSid, answer: AssignmentAnswer) {
    loop {
        let request = Request::AssignmentAnswered { reservation, answer: answer.clone() };
        match engine.send(workspace, request).await {
            Ok(_) | Err(engine::Error::Refused(_) | engine::Error::NoSuchWorkspace) => return,
            Err(engine::Error::Overloaded | engine::Error::Unavailable) => tokio::time::sleep(REPORT_PAUSE).await,
        }
    }
}
