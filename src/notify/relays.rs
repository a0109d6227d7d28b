//! Passes callbacks of the phone system on to the applications that asked for them (`spec/voice.md` 4.5).
//!
//! At least once and in order for each call or conference and URL: the next one is sent when the one before it was taken
//! or given up. What waits is on disk. A receiver that fails or hangs holds up only its own calls. Start with
//! [`Relays::run`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use metrics::{counter, gauge};
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::assignment::Places;
use super::event_callbacks::manner::{Manner, Outcome, Schedule};
use crate::clock::{Clock, Entropy};
use crate::outbound::{self, Outbound};
use crate::routing::{AccountSid, AlertSid, TaskSid, WorkspaceSid};
use crate::signature;
use crate::store::{Alert, RelayRow, Store};

/// A receiver has this long to answer (`spec/voice.md` 4.5).
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The same for every attempt at one callback, so that a receiver recognises a repetition.
const IDEMPOTENCY_HEADER: &str = "I-Twilio-Idempotency-Token";
/// Callbacks of one workspace that may wait; further ones are given up at once.
const WAITING_MAX: usize = 20_000;

/// A receiver did not take a call status callback, a conference status callback, a recording callback.
const CALL_NOT_TAKEN: u32 = 15_003;
const CONFERENCE_NOT_TAKEN: u32 = 16_011;
const RETRIEVAL_FAILURE: u32 = 11_200;

/// What is sent in order.
type Lane = (WorkspaceSid, TaskSid, String, String);

/// Sends.
#[derive(Debug)]
pub struct Relays {
    store: Store,
    outbound: Outbound,
    clock: Clock,
    entropy: Entropy,
    places: Places,
}

impl Relays {
    /// Makes a sender that has not begun.
    #[must_use]
    pub fn new(store: Store, outbound: Outbound, clock: Clock, entropy: Entropy) -> Self {
        Self { store, outbound, clock, entropy, places: Places::default() }
    }

    /// Sends what waited before this start, and every callback that comes, until `shutdown`.
    pub async fn run(
        self,
        waiting: Vec<RelayRow>,
        mut rows: mpsc::UnboundedReceiver<RelayRow>,
        shutdown: CancellationToken,
    ) {
        let relays = Arc::new(self);
        let mut lanes = Lanes::default();
        let mut running: JoinSet<Lane> = JoinSet::new();
        for row in waiting {
            relays.add(&mut lanes, row).await;
        }
        loop {
            while let Some((lane, row)) = lanes.next() {
                let relays = Arc::clone(&relays);
                running.spawn(async move {
                    // In a task of its own: a failure of the sender must not hold up the lane for ever.
                    if let Err(error) = tokio::spawn(async move { relays.finish(&row).await }).await {
                        tracing::error!(%error, "a callback could not be passed on and is left to the next start");
                    }
                    lane
                });
            }
            gauge!("taskrouter_outbox_rows", "state" => "relays").set(f64::from(lanes.waiting()));
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(row) = rows.recv() => relays.add(&mut lanes, row).await,
                Some(finished) = running.join_next() => {
                    if let Ok(lane) = finished {
                        lanes.free(&lane);
                    }
                }
                else => return,
            }
        }
    }

    async fn add(&self, lanes: &mut Lanes, row: RelayRow) {
        if let Err(row) = lanes.add(row) {
            self.give_up(&row, "too many callbacks of the workspace wait for receivers that take none").await;
        }
    }

    /// Sends one callback until it is taken or given up, and forgets it.
    async fn finish(&self, row: &RelayRow) {
        match self.deliver(row).await {
            Ok(()) => self.forget(row).await,
            Err(reason) => self.give_up(row, &reason).await,
        }
    }

    async fn forget(&self, row: &RelayRow) {
        if let Err(error) = self.store.relay_is_over(row).await {
            tracing::error!(task.sid = %row.task, number = row.number, %error, "a callback may be passed on again");
        }
    }

    async fn deliver(&self, row: &RelayRow) -> Result<(), String> {
        let manner = Manner::of(&row.url, Schedule::Brief, PATIENCE);
        let mut attempts = 0;
        loop {
            let outcome = {
                let _place = self.places.take(row.workspace, &row.url).await;
                self.attempt(row, &manner).await
            };
            attempts += 1;
            counter!("taskrouter_callback_attempts_total", "class" => "relay", "code" => outcome.code()).increment(1);
            if outcome == Outcome::Taken {
                return Ok(());
            }
            let now = self.clock.now();
            let dice = u64::from(row.number).wrapping_mul(0x9e37_79b9) ^ u64::from(attempts);
            let Some(next) = manner.next_attempt(attempts, &outcome, now, dice) else {
                return Err(format!("not taken after {attempts} attempts: {}", outcome.reason()));
            };
            tokio::time::sleep(Duration::from_millis(u64::try_from(next.ms_since(now)).unwrap_or(0))).await;
        }
    }

    async fn attempt(&self, row: &RelayRow, manner: &Manner) -> Outcome {
        let impossible = |reason: &str| Outcome::Impossible(reason.to_owned());
        let token = match self.token(row.workspace).await {
            Ok(Some((_, token))) => token,
            Ok(None) => return impossible("there is no account whose token signs the request"),
            Err(error) => return Outcome::NotConnected(error.to_string()),
        };
        let Ok(pairs) = serde_json::from_str::<Vec<(String, String)>>(&row.form) else {
            return impossible("the stored parameters cannot be read");
        };
        let (method, url, form) = if row.by_get {
            let url = url::Url::parse(&manner.url).map(|mut url| {
                url.query_pairs_mut().extend_pairs(&pairs);
                String::from(url)
            });
            let Ok(url) = url else { return impossible("the URL cannot be read") };
            (Method::GET, url, Vec::new())
        } else {
            (Method::POST, manner.url.clone(), pairs)
        };
        let headers = [
            (signature::HEADER, signature::sign_form(token.expose_secret(), &url, &form)),
            (IDEMPOTENCY_HEADER, format!("{}-{}", row.task, row.number)),
        ];
        let request = outbound::Request { method, url: &url, form: &form, headers: &headers };
        Outcome::of(self.outbound.deliver(&request, manner.patience).await)
    }

    async fn token(
        &self,
        workspace: WorkspaceSid,
    ) -> Result<Option<(AccountSid, secrecy::SecretString)>, crate::store::Error> {
        let Some(account) = self.store.account_of_workspace(workspace).await? else { return Ok(None) };
        Ok(self.store.account(account).await?.map(|row| (account, row.auth_token)))
    }

    async fn give_up(&self, row: &RelayRow, reason: &str) {
        let code = match &row.form {
            form if form.contains("\"RecordingSid\"") => RETRIEVAL_FAILURE,
            form if form.contains("\"StatusCallbackEvent\"") => CONFERENCE_NOT_TAKEN,
            _ => CALL_NOT_TAKEN,
        };
        let message = format!("callback {} of the call: {reason}", row.number);
        tracing::warn!(task.sid = %row.task, code, message, "a callback was not passed on");
        if let Ok(Some(account)) = self.store.account_of_workspace(row.workspace).await {
            let at = self.clock.now();
            let alert = Alert {
                sid: AlertSid::fresh(&mut self.entropy.clone(), at),
                account,
                workspace: Some(row.workspace),
                code,
                message,
                task: Some(row.task),
                reservation: None,
                worker: None,
                at,
            };
            if let Err(error) = self.store.alert(alert).await {
                tracing::error!(%error, "cannot store an alert");
            }
        }
        self.forget(row).await;
    }
}

/// What waits, lane by lane; of each lane one callback is under way.
#[derive(Debug, Default)]
struct Lanes {
    waiting: BTreeMap<Lane, VecDeque<RelayRow>>,
    /// Lanes in which something waits and nothing is under way.
    ready: VecDeque<Lane>,
    running: BTreeSet<Lane>,
    counts: BTreeMap<WorkspaceSid, usize>,
}

impl Lanes {
    /// Puts a callback at the end of its lane; gives it back when its workspace has too many.
    fn add(&mut self, row: RelayRow) -> Result<(), RelayRow> {
        let count = self.counts.entry(row.workspace).or_insert(0);
        if *count >= WAITING_MAX {
            return Err(row);
        }
        *count += 1;
        let lane: Lane = (row.workspace, row.task, row.subject.clone(), row.url.clone());
        let rows = self.waiting.entry(lane.clone()).or_default();
        rows.push_back(row);
        if rows.len() == 1 && !self.running.contains(&lane) {
            self.ready.push_back(lane);
        }
        Ok(())
    }

    /// The next callback to send, if any may be sent now.
    fn next(&mut self) -> Option<(Lane, RelayRow)> {
        let lane = self.ready.pop_front()?;
        let rows = self.waiting.get_mut(&lane)?;
        let row = rows.pop_front()?;
        if rows.is_empty() {
            self.waiting.remove(&lane);
        }
        self.running.insert(lane.clone());
        Some((lane, row))
    }

    /// What was under way in a lane is over.
    fn free(&mut self, lane: &Lane) {
        self.running.remove(lane);
        if let Some(count) = self.counts.get_mut(&lane.0) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&lane.0);
            }
        }
        if self.waiting.contains_key(lane) {
            self.ready.push_back(lane.clone());
        }
    }

    fn waiting(&self) -> u32 {
        u32::try_from(self.counts.values().sum::<usize>()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Timestamp;

    fn row(task: u128, number: u32, subject: &str) -> RelayRow {
        RelayRow {
            workspace: WorkspaceSid::from_bits(1),
            task: TaskSid::from_bits(task),
            number,
            subject: subject.to_owned(),
            url: "https://app/status".to_owned(),
            by_get: false,
            form: "[]".to_owned(),
            created_at: Timestamp(1),
        }
    }

    #[test]
    fn a_call_waits_for_its_own_callbacks_and_for_no_others() {
        let mut lanes = Lanes::default();
        for (task, number, subject) in [(1, 1, "CA1"), (1, 2, "CA1"), (1, 3, "CF1"), (2, 1, "CA2"), (1, 4, "CA1")] {
            lanes.add(row(task, number, subject)).unwrap();
        }
        let begun = |lanes: &mut Lanes| -> Vec<(Lane, u32)> {
            std::iter::from_fn(|| lanes.next()).map(|(lane, row)| (lane, row.number)).collect()
        };
        let first = begun(&mut lanes);
        assert_eq!(first.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1, 3, 1]);
        assert_eq!(begun(&mut lanes), [], "one at a time");
        lanes.free(&first[1].0);
        assert_eq!(begun(&mut lanes), [], "nothing more of the conference");
        lanes.free(&first[0].0);
        let second = begun(&mut lanes);
        assert_eq!(second.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [2]);
        lanes.add(row(1, 5, "CA1")).unwrap();
        assert_eq!(begun(&mut lanes), []);
        for number in [4, 5] {
            lanes.free(&first[0].0);
            let next = begun(&mut lanes);
            assert_eq!(next.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [number]);
        }
        lanes.free(&first[0].0);
        lanes.free(&first[2].0);
        assert_eq!((lanes.waiting(), lanes.running.len(), lanes.ready.len()), (0, 0, 0));
    }

    #[test]
    fn what_waits_for_a_workspace_is_bounded() {
        let mut lanes = Lanes::default();
        for number in 0..u32::try_from(WAITING_MAX).unwrap() {
            lanes.add(row(1, number, "CA1")).unwrap();
        }
        assert_eq!(lanes.add(row(2, 1, "CA2")).unwrap_err().task, TaskSid::from_bits(2));
        let (lane, _) = lanes.next().unwrap();
        lanes.free(&lane);
        lanes.add(row(2, 1, "CA2")).unwrap();
    }
}
