//! Removes events, statistics and alerts once they are 30 days old, answers to requests that may be repeated after a day,
//! and what a deleted workspace left, a little at a time.
//!
//! What is old is decided here, how rows are removed is the store's. Answers reach back 30 days exactly; what is removed
//! is a little older, so that no answer ever meets a window that is being removed. Start with [`run`].

use std::time::Duration;

use metrics::counter;

use super::actor::Surroundings;
use crate::routing::{Timestamp, WorkspaceSid};
use crate::store::{Error as StoreError, IDEMPOTENT_REQUESTS_KEPT};

/// How long events and statistics can be asked for (Twilio error 14241).
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Longest time between the reading of the clock for an answer and the reading of its rows, and then some.
const MARGIN: Duration = Duration::from_hours(1);

/// How long the beginnings of receivers' answers are kept.
const ANSWERS_KEPT: Duration = Duration::from_hours(7 * 24);

/// Rows of one table in one removal.
const PORTION: u32 = 500;

/// Pause after each removal, for the commits of calls.
const BREATH: Duration = Duration::from_millis(50);

/// How often old rows are looked for.
const EVERY: Duration = Duration::from_mins(10);

/// Removes old rows until the engine shuts down.
pub(super) async fn run(around: Surroundings) {
    loop {
        if let Err(error) = sweep(&around, BREATH).await {
            tracing::error!(%error, "old events and statistics were not removed, trying again later");
        }
        tokio::select! {
            () = around.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Removes the rows that the deletion of a workspace left, if it was deleted.
pub(super) async fn clear_away(around: &Surroundings, workspace: WorkspaceSid) {
    if let Err(error) = remove_leftovers(around, workspace, BREATH).await {
        tracing::error!(workspace.sid = %workspace, %error, "rows of a deleted workspace were not removed, trying again later");
    }
}

async fn remove_leftovers(
    around: &Surroundings,
    workspace: WorkspaceSid,
    breath: Duration,
) -> Result<usize, StoreError> {
    let mut total = 0;
    while !around.shutdown.is_cancelled() {
        let removed = around.store.remove_leftovers(workspace, PORTION as usize).await?;
        if removed == 0 {
            break;
        }
        total += removed;
        rest(removed, breath).await;
    }
    Ok(total)
}

/// Removes everything that is old now; returns how many rows that was.
pub(super) async fn sweep(around: &Surroundings, breath: Duration) -> Result<usize, StoreError> {
    let before = oldest_kept(around.clock.now());
    let mut total = 0;
    for workspace in around.store.workspaces_with_leftovers().await? {
        total += remove_leftovers(around, workspace, breath).await?;
    }
    let answers_before = around.clock.now().plus_ms(-ms(ANSWERS_KEPT));
    for workspace in around.store.workspaces().await? {
        around.store.forget_answers(workspace, answers_before).await?;
        loop {
            if around.shutdown.is_cancelled() {
                return Ok(total);
            }
            let removed = around.store.remove_expired(workspace, before, PORTION).await?;
            if removed == 0 {
                break;
            }
            total += removed;
            rest(removed, breath).await;
        }
    }
    let requests_before = around.clock.now().plus_ms(-IDEMPOTENT_REQUESTS_KEPT);
    while !around.shutdown.is_cancelled() {
        let removed = around.store.forget_idempotent_requests(requests_before, PORTION).await?;
        if removed == 0 {
            break;
        }
        total += removed;
        rest(removed, breath).await;
    }
    for account in around.store.accounts().await? {
        while !around.shutdown.is_cancelled() {
            let removed = around.store.remove_expired_alerts(account.sid, before, PORTION).await?;
            if removed == 0 {
                break;
            }
            total += removed;
            rest(removed, breath).await;
        }
    }
    Ok(total)
}

async fn rest(removed: usize, breath: Duration) {
    counter!("taskrouter_expired_rows_total").increment(u64::try_from(removed).unwrap_or(u64::MAX));
    tokio::time::sleep(breath).await;
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn oldest_kept(now: Timestamp) -> Timestamp {
    now.plus_ms(-ms(KEPT) - ms(MARGIN))
}
