//! How long a webhook waits for a workspace and for the store: a phone system wants its answer within a second
//! (`spec/voice.md` 0.2), whatever they do.
//!
//! One webhook asks both several times, and its waits count together; what its application takes does not count. Whoever
//! has waited long enough goes on without: the caller is sent round or hears what needs neither, and a callback is refused so
//! that it is told again. What a workspace was asked it may still do later, so it must be harmless twice. Start with
//! [`within`].

use std::cell::Cell;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::State;
use crate::clock::Clock;
use crate::engine;
use crate::routing::{Reply, WorkspaceSid};
use crate::store;

/// For all that needs a commit or a workspace.
const FOR_CHANGES: Duration = Duration::from_millis(600);
/// For the rest, which reads what is on disk: there is some time left for it when a workspace has taken all of its own.
const FOR_READS: Duration = Duration::from_millis(800);

tokio::task_local! {
    /// What the webhook of this task has waited so far.
    static WAITED: Cell<Duration>;
}

/// Begins to count for one webhook.
pub(super) async fn count(request: Request, next: Next) -> Response {
    WAITED.scope(Cell::new(Duration::ZERO), next.run(request)).await
}

/// What comes of `wait`, or nothing when the webhook has waited for `limit` in all. What is there already is taken even then.
/// Outside a webhook there is no limit.
fn within<'w, T: 'w>(
    clock: &'w Clock,
    limit: Duration,
    wait: impl Future<Output = T> + Send + 'w,
) -> impl Future<Output = Option<T>> + Send + 'w {
    // Documents may follow one another within one answer, so that what waits has to be small on the stack.
    let wait = Box::pin(wait);
    async move {
        let Ok(waited) = WAITED.try_with(Cell::get) else { return Some(wait.await) };
        let began = clock.instant();
        let outcome = tokio::time::timeout(limit.saturating_sub(waited), wait).await.ok();
        WAITED.with(|counted| counted.set(waited + began.elapsed()));
        outcome
    }
}

impl State {
    /// Has a workspace do something; one that takes too long counts as overloaded, and may do it all the same.
    pub(super) fn tell_workspace(
        &self,
        workspace: WorkspaceSid,
        request: engine::Request,
    ) -> impl Future<Output = Result<Reply, engine::Error>> + Send {
        let told = within(&self.clock, FOR_CHANGES, self.engine.send(workspace, request));
        async { told.await.unwrap_or(Err(engine::Error::Overloaded)) }
    }

    /// Waits for something else that a commit or a workspace takes.
    pub(super) fn wait_for_change<'w, T: 'w>(
        &'w self,
        change: impl Future<Output = T> + Send + 'w,
    ) -> impl Future<Output = Option<T>> + Send + 'w {
        within(&self.clock, FOR_CHANGES, change)
    }

    /// Reads from the store, which counts as busy when it takes too long.
    pub(super) fn read<'w, T: 'w>(
        &'w self,
        reading: impl Future<Output = Result<T, store::Error>> + Send + 'w,
    ) -> impl Future<Output = Result<T, store::Error>> + Send + 'w {
        let read = within(&self.clock, FOR_READS, reading);
        async { read.await.unwrap_or(Err(store::Error::Busy)) }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn the_waits_of_a_webhook_count_together() {
        let clock = Clock::system();
        let began = clock.instant();
        WAITED
            .scope(Cell::default(), async {
                for _ in 0..50 {
                    assert_eq!(within(&clock, LIMIT, pending::<()>()).await, None);
                }
                assert_eq!(within(&clock, LIMIT, ready(7)).await, Some(7), "what is there is taken");
                let waited = WAITED.with(Cell::get);
                assert!(waited >= LIMIT && waited < 10 * LIMIT, "{waited:?}");
            })
            .await;
        assert!(began.elapsed() < 25 * LIMIT, "each had the whole time");
    }

    #[tokio::test]
    async fn outside_a_webhook_there_is_no_limit() {
        let clock = Clock::system();
        let slow = tokio::time::timeout(LIMIT, within(&clock, Duration::ZERO, pending::<()>()));
        assert!(slow.await.is_err(), "it was given up");
    }
}
