//! A full disk: everybody is answered at once, what is on disk can be looked at, and all goes on when there is room.

use super::*;

/// No limit that a test would meet.
const ROOM: u32 = 1_000_000;

/// Long before the longest rest of a workspace would be over.
const AT_ONCE: Duration = Duration::from_secs(1);

fn large_task(workflow: WorkflowSid) -> Command {
    let new = NewTask::with_attributes(json!({ "text": "x".repeat(3_000) }).to_string());
    Command::CreateTask(NewTask { workflow: Some(workflow), ..new })
}

/// Asks and returns how long the answer took.
async fn ask(bench: &Bench, workflow: WorkflowSid) -> (Result<Reply, Error>, Duration) {
    let began = Clock::system().instant();
    let outcome = bench.engine.send(bench.workspace, Request::Routing(large_task(workflow))).await;
    (outcome, began.elapsed())
}

/// Until a write is refused; returns the tasks that were acknowledged, and their workflow.
async fn fill(bench: &Bench) -> (usize, WorkflowSid) {
    let (workflow, _) = bench.furnish().await;
    bench.engine.0.around.store.limit_pages(1).await;
    let mut acknowledged = 0;
    loop {
        match ask(bench, workflow).await.0 {
            Ok(_) => acknowledged += 1,
            Err(error) => {
                assert_eq!(error, Error::Unavailable);
                return (acknowledged, workflow);
            }
        }
    }
}

#[tokio::test]
async fn on_a_full_disk_everybody_is_answered_at_once() {
    let bench = Bench::start().await;
    let (acknowledged, workflow) = fill(&bench).await;
    // The workspace is loaded again a few times meanwhile, and rests longer each time.
    let began = Clock::system().instant();
    let mut longest = Duration::ZERO;
    let mut looks = 0;
    while began.elapsed() < Duration::from_secs(3) {
        let (outcome, took) = ask(&bench, workflow).await;
        assert_eq!(outcome.unwrap_err(), Error::Unavailable);
        longest = longest.max(took);
        let look = bench.engine.look(bench.workspace, |workspace, _| workspace.rows().tasks.len()).await;
        looks += usize::from(look.is_ok_and(|tasks| tasks == acknowledged));
        tokio::task::yield_now().await;
    }
    assert!(longest < AT_ONCE, "{longest:?}");
    assert!(looks > 100, "only {looks} looks were answered");

    bench.engine.0.around.store.limit_pages(ROOM).await;
    let began = Clock::system().instant();
    bench.until_taken(large_task(workflow)).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    bench.assert_agrees().await;
    assert_eq!(bench.loaded().await.rows.tasks.len(), acknowledged + 1);
}

#[tokio::test]
async fn what_waits_when_a_commit_fails_is_not_left_waiting() {
    let bench = Bench::start().await;
    let (_, workflow) = fill(&bench).await;
    let began = Clock::system().instant();
    let many = (0..50).map(|_| ask(&bench, workflow));
    for (outcome, _) in futures_util::future::join_all(many).await {
        assert_eq!(outcome.unwrap_err(), Error::Unavailable);
    }
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_commit_begins_the_rests_anew() {
    let bench = Bench::start().await;
    let (_, workflow) = fill(&bench).await;
    // Many failures without a commit between them.
    let began = Clock::system().instant();
    while began.elapsed() < Duration::from_secs(2) {
        assert!(ask(&bench, workflow).await.0.is_err());
        tokio::task::yield_now().await;
    }
    bench.engine.0.around.store.limit_pages(ROOM).await;
    bench.until_taken(large_task(workflow)).await;
    hand_over(&bench.engine.sender(bench.workspace).unwrap(), Call::Panic).unwrap();
    let began = Clock::system().instant();
    bench.until_taken(large_task(workflow)).await;
    assert!(began.elapsed() < super::super::reload::RELOAD_PAUSE_MAX / 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_calendar_that_is_written_while_the_workspace_rests_is_heard_of() {
    let bench = Bench::start().await;
    let calendar = crate::routing::CalendarSid::from_bits(7);
    hand_over(&bench.engine.sender(bench.workspace).unwrap(), Call::Panic).unwrap();
    // Taken by the one who refuses: the actor has failed by now, and has not begun again.
    while bench.engine.look(bench.workspace, |_, _| ()).await.is_err() {}
    bench.engine.tell(bench.workspace, Command::SetCalendar { calendar, hours: None }).await.unwrap();
}
