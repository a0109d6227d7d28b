//! Sends the events of one workspace to its URL: one task, from the workspace's place in the log on.
//!
//! The task reads a window of the log, keeps a bounded number of requests under way, and writes its progress: a place in
//! the log never passes an event that was not taken and has no row. Everything is read from the disk again after a
//! restart, so a crash repeats a few events and loses none. Must not know the order of events (`window`) or the schedule
//! (`manner`). Start with [`Endpoint::run`].

mod burial;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tokio::task::JoinSet;
use tracing::{Instrument as _, debug, info_span};

use super::attempt::{attempt, described};
use super::manner::{Manner, Outcome};
use super::window::Window;
use super::{Around, Wake};
use crate::routing::{AccountSid, AlertSid, Timestamp, WorkspaceSid};
use crate::store::deliveries::{Delivery, DeliveryState, EventTarget, FailingEndpoint, Progress};
use crate::store::subscriptions::wanted;
use crate::store::views::{DeliveryView, EventView};
use crate::store::{Alert, Error as StoreError};

/// How often the age of what waits is looked at.
const AGE_CHECKED_EVERY: Duration = Duration::from_mins(10);
/// A receiver that fails now and then is told of no more often.
const ALERTED_EVERY: Duration = Duration::from_hours(1);
/// Pause after the store did not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Twilio's code for a URL that does not answer as it should.
const RETRIEVAL_FAILURE: u32 = 11_200;

/// An attempt that is over.
struct Attempt {
    event: EventView,
    /// Attempts before this one.
    before: u32,
    /// It is sent because somebody asked for it; the workspace did not when it happened.
    is_extra: bool,
    began: Timestamp,
    outcome: Outcome,
}

impl Attempt {
    /// What is kept of an event that was taken though its workspace had not asked for it.
    fn taken(&self, now: Timestamp) -> Delivery {
        Delivery {
            sequence: sequence_of(&self.event),
            event: self.event.sid.clone(),
            event_type: self.event.event_type.clone(),
            state: DeliveryState::Done,
            attempts: self.before.saturating_add(1),
            next_attempt_at: now,
            last_attempt_at: Some(self.began),
            last_status: None,
            last_error: None,
            last_answer: None,
        }
    }
}

/// When the next repetition is due.
#[derive(Debug, Clone, Copy)]
enum Due {
    /// It has to be read.
    Unknown,
    /// Then, or never.
    Known(Option<Timestamp>),
}

/// One receiver.
pub(super) struct Endpoint {
    workspace: WorkspaceSid,
    /// Whose it is, or was; known from the first look on.
    account: Option<AccountSid>,
    around: Arc<Around>,
    wake: Arc<Wake>,
    /// As it was when something was last heard of it.
    target: Option<EventTarget>,
    window: Option<Window>,
    /// Place in the log that is on disk.
    written: u64,
    /// Since when there is a further one in memory only.
    unwritten_since: Option<Timestamp>,
    /// When the next repetition is due, as far as that is known.
    due: Due,
    /// Repetitions under way.
    repeating: BTreeSet<u64>,
    attempts: JoinSet<Attempt>,
    /// Requests that may be under way; grows with every success.
    allowed: usize,
    failures: u32,
    /// After many failures: nothing is tried before then, and then one event at a time.
    resting_until: Option<Timestamp>,
    failing: Option<FailingEndpoint>,
    /// To be written.
    progress: Progress,
    age_checked: Option<Timestamp>,
    /// When it was told last that the receiver fails.
    alerted_at: Option<Timestamp>,
}

impl Endpoint {
    pub(super) fn new(workspace: WorkspaceSid, around: Arc<Around>, wake: Arc<Wake>) -> Self {
        Self {
            workspace,
            account: None,
            around,
            wake,
            target: None,
            window: None,
            written: 0,
            unwritten_since: None,
            due: Due::Unknown,
            repeating: BTreeSet::new(),
            attempts: JoinSet::new(),
            allowed: 1,
            failures: 0,
            resting_until: None,
            failing: None,
            progress: Progress::default(),
            age_checked: None,
            alerted_at: None,
        }
    }

    /// Sends until there is no URL any more, or the process stops.
    pub(super) async fn run(mut self) {
        while !self.around.stop.is_cancelled() {
            match self.work().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(workspace.sid = %self.workspace, %error, "event callbacks wait for the database");
                    tokio::select! {
                        () = self.around.stop.cancelled() => {}
                        () = tokio::time::sleep(STORE_PAUSE) => {}
                    }
                }
            }
        }
        if let Err(error) = self.write(true).await {
            tracing::info!(workspace.sid = %self.workspace, %error, "some events will be sent again after the restart");
        }
        self.close_breaker();
    }

    /// One round: look, send, write, wait. False when there is no URL any more.
    async fn work(&mut self) -> Result<bool, StoreError> {
        if self.target.is_none() {
            self.target = self.around.store.event_target(self.workspace).await?;
        }
        let Some(target) = self.target.take() else {
            self.bury_what_was_not_sent().await?;
            self.close_breaker();
            return Ok(false);
        };
        let rules = &self.around.rules;
        let manner = Manner::of(&target.url, rules.schedule, rules.patience);
        self.take_note_of(&target);
        if !self.is_disabled() {
            self.read(&target).await?;
            self.launch(&target, &manner).await?;
        }
        self.bury_what_is_too_old(&target).await?;
        if target.departed && self.is_over(&target).await? {
            self.around.store.forget_departed(self.workspace).await?;
            self.close_breaker();
            return Ok(false);
        }
        let has_news = !self.progress.is_empty();
        self.target = Some(target);
        self.write(false).await?;
        if !has_news || !self.attempts.is_empty() {
            self.wait(&manner).await?;
        }
        Ok(true)
    }

    fn take_note_of(&mut self, target: &EventTarget) {
        self.account = Some(target.account);
        if self.window.is_none() {
            self.window = Some(Window::starting_at(target.next_sequence));
            self.written = target.next_sequence;
            self.failing.clone_from(&target.failing);
        }
        // Somebody switched it on again.
        if self.is_disabled() && target.failing.is_none() {
            self.failing = None;
            self.failures = 0;
            self.close_breaker();
        }
    }

    /// Whether there is nothing left to tell the receiver of a deleted workspace, or nobody to be told.
    async fn is_over(&mut self, target: &EventTarget) -> Result<bool, StoreError> {
        if self.is_disabled() {
            return Ok(true);
        }
        let Some(window) = &self.window else { return Ok(false) };
        let (unread, _) = window.wanted();
        if window.done_before() < unread || !self.attempts.is_empty() || !self.progress.is_empty() {
            return Ok(false);
        }
        // Once forgetting has begun there are no events any more to bring the place to the end.
        let is_read =
            unread > target.last_sequence || self.around.store.events_from(self.workspace, unread, 1).await?.is_empty();
        Ok(is_read && self.due_at().await?.is_none())
    }

    fn is_disabled(&self) -> bool {
        self.failing.as_ref().is_some_and(|failing| failing.disabled.is_some())
    }

    /// Fills the window from the log.
    async fn read(&mut self, target: &EventTarget) -> Result<(), StoreError> {
        let Some(window) = self.window.as_mut() else { return Ok(()) };
        loop {
            let (from, room) = window.wanted();
            if room == 0 || from > target.last_sequence {
                return Ok(());
            }
            let most = u32::try_from(room).unwrap_or(u32::MAX);
            let events = self.around.store.events_from(self.workspace, from, most).await?;
            if events.is_empty() {
                return Ok(());
            }
            for event in events {
                let is_wanted = wanted(&target.subscriptions, &event);
                window.add(event, is_wanted);
            }
        }
    }

    /// Begins what may be begun.
    async fn launch(&mut self, target: &EventTarget, manner: &Manner) -> Result<(), StoreError> {
        let now = self.around.clock.now();
        if self.resting_until.is_some_and(|until| until > now) {
            return Ok(());
        }
        let room = self.allowed.saturating_sub(self.attempts.len());
        if room > 0 && self.due_at().await?.is_some_and(|at| at <= now) {
            self.repeat(target, manner, room, now).await?;
        }
        while self.attempts.len() < self.allowed
            && let Some(event) = self.window.as_mut().and_then(|window| window.next(now))
        {
            self.send(target, manner, event, 0, false);
        }
        Ok(())
    }

    /// When the next repetition is due that is not under way.
    async fn due_at(&mut self) -> Result<Option<Timestamp>, StoreError> {
        if let Due::Known(due) = self.due {
            return Ok(due);
        }
        let most = u32::try_from(self.repeating.len() + 1).unwrap_or(u32::MAX);
        let rows = self.around.store.deliveries_due(self.workspace, Timestamp(i64::MAX), most).await?;
        let due = rows.iter().find(|row| !self.repeating.contains(&number(row))).map(|row| row.next_attempt_at);
        self.due = Due::Known(due);
        Ok(due)
    }

    /// Tries events again that are due.
    async fn repeat(
        &mut self,
        target: &EventTarget,
        manner: &Manner,
        room: usize,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.due = Due::Unknown;
        // Also those that are under way already, which are passed over.
        let most = u32::try_from(room + self.repeating.len()).unwrap_or(u32::MAX);
        let rows = self.around.store.deliveries_due(self.workspace, now, most).await?;
        let rows: Vec<DeliveryView> =
            rows.into_iter().filter(|row| !self.repeating.contains(&number(row))).take(room).collect();
        let numbers: Vec<u64> = rows.iter().map(number).collect();
        let events = self.around.store.events_numbered(self.workspace, &numbers).await?;
        let first = numbers.iter().copied().min().unwrap_or(0);
        let subscriptions = self.around.store.subscriptions(self.workspace, first).await?;
        for row in &rows {
            match events.iter().find(|event| event.sequence == row.sequence) {
                Some(event) => {
                    self.repeating.insert(number(row));
                    let before = u32::try_from(row.attempts).unwrap_or(u32::MAX);
                    let is_extra = !wanted(&subscriptions, event);
                    self.send(target, manner, event.clone(), before, is_extra);
                }
                // The log does not go back that far any more.
                None => self.progress.taken.push(number(row)),
            }
        }
        Ok(())
    }

    fn send(&mut self, target: &EventTarget, manner: &Manner, event: EventView, before: u32, is_extra: bool) {
        let around = Arc::clone(&self.around);
        let (target, manner) = (target.clone(), manner.clone());
        let is_suspect = self.failures > 0;
        let span = info_span!(
            "event_callback",
            workspace.sid = %self.workspace,
            event.sid = event.sid,
            event.kind = event.event_type,
            task.sid = event.task_sid.as_deref().unwrap_or_default(),
            attempt = before.saturating_add(1),
        );
        let attempt = async move {
            let _permit = if is_suspect { around.suspects.acquire().await.ok() } else { None };
            let began = around.clock.now();
            let outcome = attempt(&around, &target, &manner, &event).await;
            counter!("taskrouter_callback_attempts_total", "class" => "event", "code" => outcome.code()).increment(1);
            let duration_ms = around.clock.now().ms_since(began);
            debug!(event.sid = event.sid, code = outcome.code(), duration_ms, "event callback attempted");
            Attempt { event, before, is_extra, began, outcome }
        };
        self.attempts.spawn(attempt.instrument(span));
    }

    /// Waits for an attempt to end, for news, or for something to be due.
    async fn wait(&mut self, manner: &Manner) -> Result<(), StoreError> {
        let now = self.around.clock.now();
        let write_at = self.unwritten_since.map(|since| after(since, self.around.rules.written_every));
        let at = if self.is_disabled() {
            write_at
        } else if self.resting_until.is_some_and(|until| until > now) {
            [self.resting_until, write_at].into_iter().flatten().min()
        } else {
            let release = self.window.as_ref().and_then(Window::next_release);
            // What is due but found no room waits for an attempt to end.
            let due = self.due_at().await?.filter(|at| *at > now);
            [due, release, write_at].into_iter().flatten().min()
        };
        let age = after(now, AGE_CHECKED_EVERY);
        let pause = u64::try_from(at.map_or(age, |at| at.min(age)).ms_since(now)).unwrap_or(0);
        let wake = Arc::clone(&self.wake);
        let mut ended = tokio::select! {
            () = self.around.stop.cancelled() => return Ok(()),
            Some(ended) = self.attempts.join_next(), if !self.attempts.is_empty() => Some(ended),
            () = wake.news.notified() => {
                self.target = None;
                if wake.look_again.swap(false, Ordering::AcqRel) {
                    self.due = Due::Unknown;
                }
                return Ok(());
            }
            () = tokio::time::sleep(Duration::from_millis(pause)) => return Ok(()),
        };
        while let Some(attempt) = ended {
            match attempt {
                Ok(attempt) => self.note(manner, attempt).await,
                Err(error) => tracing::error!(workspace.sid = %self.workspace, %error, "an event callback failed"),
            }
            ended = self.attempts.try_join_next();
        }
        // Before anything is begun: what was taken must not be found due again.
        self.write(false).await
    }

    async fn note(&mut self, manner: &Manner, attempt: Attempt) {
        if attempt.outcome == Outcome::Taken {
            self.note_taken(&attempt);
            return;
        }
        let Attempt { event, before, began, outcome, .. } = attempt;
        let sequence = sequence_of(&event);
        let is_first = !self.repeating.remove(&sequence);
        self.due = Due::Unknown;
        let now = self.around.clock.now();
        let begins_to_fail = self.failing.is_none();
        let reason = self.failed(&outcome, now);
        let attempts = before.saturating_add(1);
        let next = manner.next_attempt(attempts, &outcome, now, dice(&event.sid, attempts));
        let (status, error, answer) = described(&outcome);
        let delivery = Delivery {
            sequence,
            event: event.sid.clone(),
            event_type: event.event_type.clone(),
            state: if next.is_some() { DeliveryState::Waiting } else { DeliveryState::Dead },
            attempts,
            next_attempt_at: next.unwrap_or(now),
            last_attempt_at: Some(began),
            last_status: status,
            last_error: Some(error.clone()),
            last_answer: answer,
        };
        self.progress.deliveries.push(delivery);
        let held = next.map(|_| after(now, self.around.rules.lane_held));
        if let Some(window) = &mut self.window {
            match (is_first, next) {
                (true, _) => window.settle(&event, held),
                (false, None) => window.free(sequence),
                (false, Some(_)) => {}
            }
        }
        if begins_to_fail && self.alerted_at.is_none_or(|at| after(at, ALERTED_EVERY) <= now) {
            self.alerted_at = Some(now);
            self.alert(format!("events are not taken: {error}")).await;
        }
        if next.is_none() {
            let message = format!("event {} was not taken after {attempts} attempts: {error}", event.sid);
            self.alert(message).await;
        }
        if let Some(reason) = reason {
            self.alert(format!("event callbacks are switched off: {reason}")).await;
        }
    }

    fn note_taken(&mut self, attempt: &Attempt) {
        let sequence = sequence_of(&attempt.event);
        let is_first = !self.repeating.remove(&sequence);
        self.due = Due::Unknown;
        let now = self.around.clock.now();
        #[expect(clippy::cast_precision_loss, reason = "a delay in milliseconds")]
        histogram!("taskrouter_callback_delay_seconds").record(now.ms_since(attempt.event.at) as f64 / 1_000.0);
        self.succeeded();
        let Some(window) = &mut self.window else { return };
        if is_first {
            window.settle(&attempt.event, None);
            return;
        }
        window.free(sequence);
        if attempt.is_extra {
            self.progress.deliveries.push(attempt.taken(now));
        } else {
            self.progress.taken.push(sequence);
        }
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.allowed = (self.allowed * 2).min(self.around.rules.in_flight_max);
        self.close_breaker();
        if self.failing.take().is_some() {
            self.tell_endpoint(None);
        }
    }

    /// Takes note of a failure; the reason when nothing is sent any more from now on.
    fn failed(&mut self, outcome: &Outcome, now: Timestamp) -> Option<String> {
        self.failures = self.failures.saturating_add(1);
        self.allowed = 1;
        if self.failures >= self.around.rules.failures_max {
            if self.resting_until.is_none() {
                gauge!("taskrouter_breaker_open").increment(1);
            }
            self.resting_until = Some(after(now, self.around.rules.probe_every));
        }
        if self.failing.is_none() {
            let failing = FailingEndpoint { since: now, disabled: None };
            self.failing = Some(failing.clone());
            self.tell_endpoint(Some(failing));
        }
        let failing = self.failing.as_mut().filter(|failing| failing.disabled.is_none())?;
        let too_long = after(failing.since, self.around.rules.disabled_after) <= now;
        let reason = match outcome {
            Outcome::Refused { status: 410, .. } => "the receiver answered 410 Gone".to_owned(),
            _ if too_long => {
                format!("nothing was taken for {} hours", self.around.rules.disabled_after.as_secs() / 3_600)
            }
            _ => return None,
        };
        failing.disabled = Some((now, reason.clone()));
        let failing = failing.clone();
        self.tell_endpoint(Some(failing));
        Some(reason)
    }

    fn tell_endpoint(&mut self, failing: Option<FailingEndpoint>) {
        self.progress.endpoint = Some(failing);
        // What was read before does not know of it.
        self.target = None;
    }

    fn close_breaker(&mut self) {
        if self.resting_until.take().is_some() {
            gauge!("taskrouter_breaker_open").decrement(1);
        }
    }

    /// Puts on disk what was found out; a place in the log alone can wait a moment, unless `all`.
    async fn write(&mut self, all: bool) -> Result<(), StoreError> {
        let done_before = self.window.as_ref().map_or(self.written, Window::done_before);
        if done_before > self.written {
            let now = self.around.clock.now();
            let since = *self.unwritten_since.get_or_insert(now);
            let is_due = after(since, self.around.rules.written_every) <= now;
            if all || is_due || !self.progress.is_empty() {
                self.progress.next_sequence = Some(done_before);
            }
        }
        if self.progress.is_empty() { Ok(()) } else { self.put_on_disk().await }
    }

    async fn put_on_disk(&mut self) -> Result<(), StoreError> {
        let progress = std::mem::take(&mut self.progress);
        let next = progress.next_sequence;
        if let Err(error) = self.around.store.note_progress(self.workspace, progress).await {
            // What could not be written is found out again: the place on disk is before it.
            self.target = None;
            self.window = None;
            self.due = Due::Unknown;
            self.unwritten_since = None;
            self.attempts = JoinSet::new();
            self.repeating.clear();
            return Err(error);
        }
        self.due = Due::Unknown;
        if let Some(next) = next {
            self.written = self.written.max(next);
            self.unwritten_since = None;
        }
        Ok(())
    }

    async fn alert(&self, message: String) {
        tracing::warn!(workspace.sid = %self.workspace, code = RETRIEVAL_FAILURE, message, "event callback alert");
        let Some(account) = self.account else { return };
        let at = self.around.clock.now();
        let alert = Alert {
            sid: AlertSid::fresh(&mut self.around.entropy.clone(), at),
            account,
            workspace: Some(self.workspace),
            code: RETRIEVAL_FAILURE,
            message,
            task: None,
            reservation: None,
            worker: None,
            at,
        };
        if let Err(error) = self.around.store.alert(alert).await {
            tracing::error!(%error, "cannot store an alert");
        }
    }
}

fn sequence_of(event: &EventView) -> u64 {
    u64::try_from(event.sequence).unwrap_or(0)
}

fn number(row: &DeliveryView) -> u64 {
    u64::try_from(row.sequence).unwrap_or(0)
}

fn after(at: Timestamp, duration: Duration) -> Timestamp {
    at.plus_ms(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// A number that differs from event to event and from attempt to attempt.
fn dice(event: &str, attempts: u32) -> u64 {
    let bytes = event.bytes().chain(attempts.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
