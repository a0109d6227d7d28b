//! Every list walks an index: no table is scanned, nothing is sorted, whatever the filter, the order and the page.

use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;

use super::*;
use crate::routing::TaskChannelSid;
use crate::store::pages::Cursor;

const WORKSPACE: WorkspaceSid = WorkspaceSid::from_bits(1);
const WORKER: WorkerSid = WorkerSid::from_bits(2);
const TASK: TaskSid = TaskSid::from_bits(3);
const QUEUE: TaskQueueSid = TaskQueueSid::from_bits(4);
const WORKFLOW: WorkflowSid = WorkflowSid::from_bits(5);

async fn database() -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    crate::store::migrations::apply(&mut pool.acquire().await.unwrap()).await.unwrap();
    pool
}

/// Checks that the first, a later and an earlier page are read from `index`.
async fn check<T: View>(pool: &SqlitePool, what: &str, keys: usize, index: &str, select: Select<T>) {
    let cursor = Cursor { sid: "XX00000000000000000000000000000001".to_owned(), keys: vec![7; keys] };
    for seek in [Seek::First, Seek::After(cursor.clone()), Seek::Before(cursor)] {
        let plan = select.plan(pool, &Span { seek: seek.clone(), limit: 50 }).await;
        let walks = |line: &String| line.contains(&format!("INDEX {index} ("));
        assert!(plan.iter().any(walks), "{what} {seek:?} does not walk {index}: {plan:#?}");
        for line in &plan {
            assert!(!line.contains("SCAN") && !line.contains("TEMP B-TREE"), "{what} {seek:?}: {plan:#?}");
        }
    }
}

#[tokio::test]
async fn lists_of_tasks_walk_an_index_for_every_filter_and_order_that_is_said_to_have_one() {
    use Direction::{Ascending as Up, Descending as Down};
    let pool = database().await;
    let status = Some(TaskStatus::Pending);
    let statuses = || TaskFilter { assignment_status: vec![TaskStatus::Pending], ..TaskFilter::default() };
    let all = TaskFilter::default;
    let created = |direction| vec![(TaskKey::DateCreated, direction)];
    let started = |direction| vec![(TaskKey::VirtualStartTime, direction)];
    let urgent = |priority, created| vec![(TaskKey::Priority, priority), (TaskKey::DateCreated, created)];
    let target = RoutingTarget::Worker(WORKER);
    for (filter, status, keys, index) in [
        (all(), None, created(Up), "tasks_by_workspace"),
        (all(), None, created(Down), "tasks_by_workspace"),
        (all(), None, started(Up), "tasks_by_virtual_start"),
        (all(), None, started(Down), "tasks_by_virtual_start"),
        (all(), None, urgent(Down, Up), "tasks_by_urgency"),
        (all(), None, urgent(Up, Down), "tasks_by_urgency"),
        (statuses(), status, created(Up), "tasks_by_status"),
        (statuses(), status, created(Down), "tasks_by_status"),
        (TaskFilter { workflows: Some(vec![WORKFLOW]), ..all() }, None, created(Up), "tasks_by_workflow"),
        (TaskFilter { task_queues: Some(vec![QUEUE]), ..all() }, None, created(Down), "tasks_by_queue"),
        (TaskFilter { routing_target: Some(target), ..all() }, None, created(Up), "tasks_by_target"),
        (TaskFilter { priority: Some(5), ..all() }, None, created(Up), "tasks_by_urgency"),
    ] {
        assert!(filter.has_index(&keys), "{filter:?} by {keys:?}");
        let what = format!("tasks {filter:?} by {keys:?}");
        check(&pool, &what, keys.len(), index, tasks(WORKSPACE, &filter, status, &keys)).await;
    }
    for (filter, keys) in [
        (TaskFilter { priority: Some(5), ..statuses() }, created(Up)),
        (TaskFilter { workflows: Some(vec![WORKFLOW; 2]), ..all() }, created(Up)),
        (statuses(), urgent(Down, Up)),
        (all(), urgent(Down, Down)),
        (statuses(), started(Up)),
        (all(), vec![(TaskKey::DateCreated, Up), (TaskKey::Priority, Up)]),
        (all(), vec![(TaskKey::Priority, Up), (TaskKey::VirtualStartTime, Up)]),
    ] {
        assert!(!filter.has_index(&keys), "{filter:?} by {keys:?}");
    }
}

#[tokio::test]
async fn lists_of_workers_walk_an_index_for_every_filter_and_order_that_is_said_to_have_one() {
    use Direction::{Ascending as Up, Descending as Down};
    let pool = database().await;
    let activity = || Some(vec![ActivitySid::from_bits(6)]);
    let named = || Some("dana".to_owned());
    let all = WorkerFilter::default;
    for (filter, key, index) in [
        (all(), (WorkerKey::DateCreated, Up), "workers_by_workspace"),
        (all(), (WorkerKey::DateStatusChanged, Up), "workers_by_status_change"),
        (all(), (WorkerKey::DateStatusChanged, Down), "workers_by_status_change"),
        (WorkerFilter { activities: activity(), ..all() }, (WorkerKey::DateCreated, Up), "workers_by_activity"),
        (WorkerFilter { name_key: named(), ..all() }, (WorkerKey::DateCreated, Up), "workers_by_name"),
        (WorkerFilter { name_key: named(), ..all() }, (WorkerKey::DateStatusChanged, Down), "workers_by_name"),
        (
            WorkerFilter { name_key: named(), activities: activity(), ..all() },
            (WorkerKey::DateStatusChanged, Up),
            "workers_by_name",
        ),
    ] {
        assert!(filter.has_index(key.0), "{filter:?} by {key:?}");
        check(&pool, &format!("workers {filter:?} by {key:?}"), 1, index, workers(WORKSPACE, &filter, key)).await;
    }
    for (filter, key) in [
        (WorkerFilter { available: Some(true), ..all() }, WorkerKey::DateCreated),
        (WorkerFilter { activities: activity(), ..all() }, WorkerKey::DateStatusChanged),
        (WorkerFilter { activities: Some(vec![]), ..all() }, WorkerKey::DateCreated),
    ] {
        assert!(!filter.has_index(key), "{filter:?} by {key:?}");
    }
}

#[tokio::test]
async fn lists_of_what_is_configured_walk_an_index() {
    use Direction::{Ascending as Up, Descending as Down};
    let pool = database().await;
    let account = AccountSid::from_bits(1);
    check(&pool, "workspaces", 0, "workspaces_by_account", workspaces(account, None)).await;
    check(&pool, "workspaces of a name", 0, "workspaces_by_name", workspaces(account, Some("x"))).await;
    for (friendly_name, available, index) in [
        (None, None, "activities_by_workspace"),
        (None, Some(true), "activities_by_availability"),
        (Some("x".to_owned()), None, "activities_by_name"),
        (Some("x".to_owned()), Some(true), "activities_by_name"),
    ] {
        let filter = ActivityFilter { friendly_name, available };
        check(&pool, &format!("{filter:?}"), 1, index, activities(WORKSPACE, &filter)).await;
    }
    check(&pool, "channels", 1, "task_channels_by_workspace", task_channels(WORKSPACE)).await;
    check(&pool, "queues", 1, "task_queues_by_workspace", task_queues(WORKSPACE, None, None)).await;
    check(&pool, "queues of a name", 1, "task_queues_by_name", task_queues(WORKSPACE, Some("x"), None)).await;
    check(&pool, "queues by update", 1, "task_queues_by_update", task_queues(WORKSPACE, None, Some(Up))).await;
    check(&pool, "queues by update", 1, "task_queues_by_update", task_queues(WORKSPACE, None, Some(Down))).await;
    check(&pool, "workflows", 1, "workflows_by_workspace", workflows(WORKSPACE, None)).await;
    check(&pool, "workflows of a name", 1, "workflows_by_name", workflows(WORKSPACE, Some("x"))).await;
}

#[tokio::test]
async fn lists_of_alerts_walk_an_index() {
    let pool = database().await;
    let account = crate::routing::AccountSid::from_bits(1);
    let moment = Some(crate::routing::Timestamp(1));
    for (level, from) in [(None, None), (Some("warning"), None), (Some("error"), moment)] {
        let filter = AlertFilter { level, from, until: from };
        check(&pool, "alerts", 1, "alerts_by_account", alerts(account, &filter)).await;
    }
}

#[tokio::test]
async fn lists_of_reservations_walk_an_index() {
    let pool = database().await;
    for status in [None, Some(ReservationStatus::Pending)] {
        let filter = ReservationFilter { reservation_status: status, worker: None };
        let of_task = reservations(WORKSPACE, ReservationParent::Task(TASK), &filter);
        check(&pool, "reservations of a task", 1, "reservations_by_task", of_task).await;
        let of_worker = reservations(WORKSPACE, ReservationParent::Worker(WORKER), &filter);
        let index = if status.is_some() { "reservations_by_status" } else { "reservations_by_worker" };
        check(&pool, "reservations of a worker", 1, index, of_worker).await;
    }
    let filter = ReservationFilter { reservation_status: None, worker: Some(WORKER) };
    let both = reservations(WORKSPACE, ReservationParent::Task(TASK), &filter);
    check(&pool, "reservations of a task and a worker", 1, "reservations_by_task", both).await;
}

#[tokio::test]
async fn lists_of_events_walk_the_index_of_the_most_telling_filter() {
    let pool = database().await;
    let all = EventFilter::default;
    let channel = Some(ChannelName::Sid(TaskChannelSid::from_bits(7)));
    let kind = || Some("task.created".to_owned());
    let reservation = Some(ReservationSid::from_bits(8));
    for (filter, index) in [
        (all(), "events_by_time"),
        (EventFilter { event_type: kind(), ..all() }, "events_by_type"),
        (EventFilter { worker: Some(WORKER), ..all() }, "events_by_worker"),
        (EventFilter { worker: Some(WORKER), event_type: kind(), ..all() }, "events_by_worker"),
        (EventFilter { task: Some(TASK), ..all() }, "events_by_task"),
        (EventFilter { task: Some(TASK), worker: Some(WORKER), ..all() }, "events_by_task"),
        (EventFilter { reservation, task: Some(TASK), ..all() }, "events_by_reservation"),
        (EventFilter { task_queue: Some(QUEUE), ..all() }, "events_by_queue"),
        (EventFilter { workflow: Some(WORKFLOW), ..all() }, "events_by_workflow"),
        (EventFilter { task_channel: channel, ..all() }, "events_by_channel"),
        (EventFilter { sid: Some(EventSid::from_bits(9)), worker: Some(WORKER), ..all() }, "events_by_sid"),
    ] {
        for (from, until) in [(None, None), (Some(Timestamp(5)), None), (Some(Timestamp(5)), Some(Timestamp(9)))] {
            let filter = EventFilter { from, until, ..filter.clone() };
            check(&pool, &format!("{filter:?}"), 2, index, events(WORKSPACE, &filter)).await;
        }
    }
}

#[tokio::test]
async fn rows_are_found_by_sid() {
    let pool = database().await;
    let select = Select::<TaskView>::new().filter("+t.workspace_sid = ?", WORKSPACE).filter_any("t.sid", &[TASK, TASK]);
    check(&pool, "tasks by SID", 0, "sqlite_autoindex_tasks_1", select).await;
}
