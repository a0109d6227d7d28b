//! The loop of one workspace: take what waits, decide it, one commit, then replies and effects.
//!
//! While a commit runs, requests gather; the next batch is as large as the load demands. Nobody learns of anything
//! before it is on disk. A failed commit ends the actor: its memory is ahead of the disk, so the supervisor loads the
//! workspace again. Start with [`run`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{counter, histogram};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, debug};

use crate::clock::{Clock, Entropy};
use crate::routing::{MeasuredWait, Reply, Timestamp};
use crate::store::{Error as StoreError, IdempotencyKey, RelayRow, Store};

use super::Limits;
use super::cores::{Assignment, Cores};
use super::figures::{self, Figures};
use super::outbox::Outbox;
use super::request::{Error, Request};
use super::steps::{Steps, commit_span};
use super::witness::Witnesses;

/// Requests decided in one batch.
const BATCH_MAX: usize = 256;

/// Longest sleep before deadlines are looked at again, so that a step of the machine's clock is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// What is asked of an actor, and where the answer goes.
#[derive(Debug)]
pub(super) enum Call {
    /// Carry this out and answer when it is on disk.
    Change {
        /// What to do.
        request: Box<Request>,
        /// Who waits for it.
        reply: oneshot::Sender<Result<Reply, Error>>,
        /// Where the one who asks is, for the log.
        span: Span,
        /// By what its repeats are known, if the client may repeat it.
        key: Option<Box<IdempotencyKey>>,
    },
    /// Look at the state in memory, once all before it is on disk.
    Look(Look),
    /// Fail as a broken invariant would.
    #[cfg(test)]
    Panic,
}

/// A question about both cores, answered by whoever asks; it must be short, because the workspace waits for it.
pub(super) struct Look(pub(super) Question);

type Question = Box<dyn FnOnce(&Cores, Timestamp) + Send>;

impl std::fmt::Debug for Look {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Look")
    }
}

/// Why an actor ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The engine shuts down and everything that waited was answered.
    Shutdown,
    /// The workspace was deleted.
    Deleted,
    /// A commit failed; what is in memory is not on disk.
    Store(StoreError),
}

/// What an actor works with.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    pub(super) outbox: Outbox,
    pub(super) assignments: mpsc::UnboundedSender<Assignment>,
    pub(super) relays: mpsc::UnboundedSender<RelayRow>,
    pub(super) limits: Limits,
    pub(super) witnesses: Witnesses,
    pub(super) shutdown: CancellationToken,
}

impl Surroundings {
    /// Has applications asked about reservations that are on disk.
    pub(super) fn hand_over(&self, assignments: Vec<Assignment>) {
        for assignment in assignments {
            // Closed only while the server stops; the callbacks stay on disk for the next start.
            let _ = self.assignments.send(assignment);
        }
    }

    /// Has applications told of callbacks that are on disk.
    fn pass_on(&self, relays: Vec<RelayRow>) {
        for relay in relays {
            // Closed only while the server stops; they stay on disk for the next start.
            let _ = self.relays.send(relay);
        }
    }
}

/// Owns one workspace until it ends: the only place where its state changes. Begins with what is `waiting`; the first commit
/// sets `has_committed`.
pub(super) async fn run(
    mut cores: Cores,
    mut waiting: Vec<Call>,
    requests: &mut mpsc::Receiver<Call>,
    around: &Surroundings,
    has_committed: &AtomicBool,
) -> Ended {
    let mut entropy = around.entropy;
    let mut figures = Figures::new(cores.sid(), around.limits.service_level_secs);
    loop {
        let deadline = cores.next_deadline();
        let mut closing = false;
        tokio::select! {
            biased;
            () = std::future::ready(()), if !waiting.is_empty() => {}
            taken = requests.recv_many(&mut waiting, BATCH_MAX) => closing = taken == 0,
            () = around.shutdown.cancelled(), if !requests.is_closed() => requests.close(),
            () = sleep_until(deadline, cores.moment(around.clock.now())) => {}
        }
        let started = around.clock.instant();
        let now = cores.moment(around.clock.now());
        let mut replies = Vec::with_capacity(waiting.len());
        let mut asked = Vec::with_capacity(waiting.len());
        let mut looks = Vec::new();
        for call in waiting.drain(..) {
            match call {
                Call::Change { request, reply, .. } if request.needs_asker() && reply.is_closed() => {}
                Call::Change { request, reply, span, key } => {
                    let outcome = span.in_scope(|| cores.carry_out(&request, now, &mut entropy));
                    if let (Some(key), Ok(reply)) = (key, &outcome) {
                        cores.remember(*key, *reply);
                    }
                    replies.push((reply, outcome.map_err(Error::Refused)));
                    asked.push(span);
                }
                Call::Look(look) => looks.push(look),
                #[cfg(test)]
                Call::Panic => panic!("a test asked for it"),
            }
        }
        if deadline.is_some_and(|at| at <= now) {
            cores.tick(now, &mut entropy);
        }
        if let Some((batch, errands)) = cores.take_batch(&mut entropy) {
            let counted = figures.of(&batch.events, &figures::holds(&cores, &batch), now);
            let steps = Steps::of(&batch.events);
            let events = batch.events.len();
            let span = commit_span(cores.sid(), &asked);
            let advances = !batch.events.is_empty();
            let witnessed = if around.witnesses.want(cores.sid()) { batch.events.clone() } else { Vec::new() };
            if let Err(error) = around.store.append(batch).instrument(span.clone()).await {
                for (reply, _) in replies {
                    // The one who asked may be gone; nobody else needs to know.
                    let _ = reply.send(Err(Error::Unavailable));
                }
                return Ended::Store(error);
            }
            has_committed.store(true, Ordering::Release);
            span.in_scope(|| {
                steps.tell();
                let duration_us = started.elapsed().as_micros();
                debug!(workspace.sid = %cores.sid(), events, phone_commands = errands.len(), duration_us, "committed");
            });
            cores.take_waits().iter().for_each(measure);
            for repair in cores.take_repairs() {
                counter!("taskrouter_voice_repairs_total", "what" => repair.as_str()).increment(1);
            }
            around.outbox.add(cores.sid(), errands);
            around.hand_over(cores.take_assignments());
            around.pass_on(cores.take_relays());
            around.witnesses.tell(cores.workspace(), &witnessed, now);
            counted.record(started.elapsed());
            if advances {
                around.witnesses.tell_advance(cores.workspace());
            }
        }
        for (reply, outcome) in replies {
            let _ = reply.send(outcome);
        }
        for Look(look) in looks {
            look(&cores, now);
        }
        if cores.is_deleted() {
            return Ended::Deleted;
        }
        if closing {
            return Ended::Shutdown;
        }
    }
}

async fn sleep_until(deadline: Option<Timestamp>, now: Timestamp) {
    let Some(deadline) = deadline else { return std::future::pending().await };
    let ms = u64::try_from(deadline.ms_since(now)).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(ms).min(SLEEP_MAX)).await;
}

/// How wrong an estimate of a wait was, by whether the task waited longer than expected.
fn measure(wait: &MeasuredWait) {
    let expected = Duration::from_secs(wait.expected_secs.into());
    let waited = Duration::from_millis(u64::try_from(wait.waited_ms).unwrap_or(0));
    let waited_longer = if waited > expected { "true" } else { "false" };
    histogram!("taskrouter_estimate_error_seconds", "waited_longer" => waited_longer)
        .record(expected.abs_diff(waited).as_secs_f64());
}
