//! What every kind of store must hold, tested on databases in temporary directories.

mod commits;
mod idempotency;
mod opening;
mod records;
mod secrets;
mod statistics;

use records::*;
use secrecy::ExposeSecret as _;
use sqlx::Row as _;
use tempfile::TempDir;

use super::{Batch, Error, KeySource, Store, deliveries};
use crate::routing::*;

fn url_in(directory: &TempDir) -> String {
    format!("sqlite:{}", directory.path().join("switchhook.db").display())
}

/// A store with one account.
async fn store_with_account() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&url_in(&directory)).await.unwrap();
    store.create_account(account()).await.unwrap();
    (directory, store)
}

/// A store with one account and the workspace 1, whose sequence stands at 1.
async fn store_with_workspace() -> (TempDir, Store, WorkspaceRows) {
    let (directory, store) = store_with_account().await;
    let mut rows = rows(workspace_sid(1));
    store.append(first_batch(rows.clone())).await.unwrap();
    rows.settings.last_sequence = 1;
    (directory, store, rows)
}

async fn loaded_rows(store: &Store) -> WorkspaceRows {
    store.load(workspace_sid(1)).await.unwrap().unwrap().rows
}

async fn count(store: &Store, table: &'static str) -> i64 {
    let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    sqlx::query_scalar(sql).fetch_one(store.read_pool()).await.unwrap()
}

#[tokio::test]
async fn every_record_comes_back_as_it_was_written() {
    let (_directory, store, rows) = store_with_workspace().await;
    assert_eq!(loaded_rows(&store).await, rows);
    assert_eq!(store.workspaces().await.unwrap(), [workspace_sid(1)]);
    assert_eq!(store.load(workspace_sid(2)).await.unwrap(), None);
}

#[tokio::test]
async fn changed_records_replace_the_old_ones() {
    let (_directory, store, mut rows) = store_with_workspace().await;
    rows.settings.friendly_name = "new".to_owned();
    rows.settings.events_filter = None;
    rows.activities[0].friendly_name = "new".to_owned();
    rows.task_channels[0].channel_optimized_routing = false;
    rows.task_queues[1].reservation_activity = None;
    rows.workflows[1].assignment_callback_url = None;
    rows.workflow_versions[0].configuration = "new".to_owned();
    rows.workers[0].version = 9;
    rows.worker_channels[0].used = 9;
    rows.tasks[0].step = Step::Target { filter: 0, target: 0 };
    rows.tasks[0].back_offs =
        vec![BackOff { worker: Some(WorkerSid::from_bits(5)), until: Timestamp(1), failures: 2 }].into();
    rows.reservations[0].status = ReservationStatus::Completed;
    rows.presences[0].deadline = Some(Timestamp(8));
    let batch = Batch { rows: changes(rows.clone()), events: vec![event(2, 2)], ..Batch::empty(workspace_sid(1), 1) };
    store.append(batch).await.unwrap();
    // The settings in the batch carried an older number; the fence's counts.
    rows.settings.last_sequence = 2;
    assert_eq!(loaded_rows(&store).await, rows);
}

#[tokio::test]
async fn removed_records_are_gone() {
    let (_directory, store, mut rows) = store_with_workspace().await;
    let batch = Batch {
        rows: vec![
            RowChange::ActivityDeleted(rows.activities.remove(0).sid),
            RowChange::TaskChannelDeleted(rows.task_channels.remove(0).sid),
            RowChange::TaskQueueDeleted(rows.task_queues.remove(0).sid),
            RowChange::WorkflowDeleted(rows.workflows.remove(1).sid),
            RowChange::WorkflowVersionDeleted(rows.workflow_versions.remove(0).workflow, 1),
            RowChange::WorkerDeleted(rows.workers.remove(0).sid),
            RowChange::WorkerChannelDeleted(rows.worker_channels.remove(0).sid),
            RowChange::TaskDeleted(rows.tasks.remove(0).sid),
            RowChange::ReservationDeleted(rows.reservations.remove(0).sid),
            RowChange::ReservationDeleted(ReservationSid::from_bits(12_345)),
            RowChange::PresenceDeleted(rows.presences.remove(0).worker),
        ],
        ..Batch::empty(workspace_sid(1), 1)
    };
    store.append(batch).await.unwrap();
    assert_eq!(loaded_rows(&store).await, rows);
}

#[tokio::test]
async fn of_several_changes_of_one_record_the_last_one_counts() {
    let (_directory, store, mut rows) = store_with_workspace().await;
    let (first, second) = (Task { version: 10, ..task(50) }, Task { version: 11, ..task(50) });
    let batch = Batch {
        rows: vec![
            RowChange::Task(first.clone()),
            RowChange::TaskDeleted(first.sid),
            RowChange::Task(second.clone()),
            RowChange::Task(task(51)),
            RowChange::TaskDeleted(TaskSid::from_bits(51)),
        ],
        ..Batch::empty(workspace_sid(1), 1)
    };
    store.append(batch).await.unwrap();
    rows.tasks.push(second);
    rows.tasks.sort_by_key(|task| task.sid);
    assert_eq!(loaded_rows(&store).await, rows);
}

#[tokio::test]
async fn names_of_workers_may_move_within_one_batch() {
    let (_directory, store, _) = store_with_workspace().await;
    let names = |rows: WorkspaceRows| rows.workers.into_iter().map(|worker| worker.friendly_name).collect::<Vec<_>>();
    // A removed worker's name is free at once, in another case too.
    let batch = Batch {
        rows: vec![RowChange::Worker(worker(3, "üNÏCÖDÉ")), RowChange::WorkerDeleted(WorkerSid::from_bits(1))],
        ..Batch::empty(workspace_sid(1), 1)
    };
    store.append(batch).await.unwrap();
    // Two workers exchange their names by way of a third one.
    let batch = Batch {
        rows: [(2, "x"), (3, ODD), (2, "üNÏCÖDÉ")].map(|(number, name)| RowChange::Worker(worker(number, name))).into(),
        ..Batch::empty(workspace_sid(1), 1)
    };
    store.append(batch).await.unwrap();
    assert_eq!(names(loaded_rows(&store).await), ["üNÏCÖDÉ", ODD]);
}

#[tokio::test]
async fn many_rows_of_one_table_take_several_statements() {
    let (_directory, store) = store_with_account().await;
    let mut rows = rows(workspace_sid(1));
    rows.tasks = (1..=101).map(task).collect();
    store.append(first_batch(rows.clone())).await.unwrap();
    assert_eq!(loaded_rows(&store).await.tasks, rows.tasks);
    let gone = (1..=100).map(|number| RowChange::TaskDeleted(TaskSid::from_bits(number))).collect();
    store.append(Batch { rows: gone, ..Batch::empty(workspace_sid(1), 1) }).await.unwrap();
    assert_eq!(loaded_rows(&store).await.tasks, [task(101)]);
}

#[tokio::test]
async fn events_keep_their_sequence_their_members_in_order_and_whom_they_concern() {
    let (_directory, store, _) = store_with_workspace().await;
    let about = About {
        task: Some(TaskSid::from_bits(1)),
        worker: Some(WorkerSid::from_bits(2)),
        reservation: Some(ReservationSid::from_bits(3)),
        queue: Some(TaskQueueSid::from_bits(4)),
        workflow: Some(WorkflowSid::from_bits(5)),
        activity: Some(ActivitySid::from_bits(6)),
        channel: Some(TaskChannelSid::from_bits(7)),
        ..About::default()
    };
    let mut events: Vec<EventRecord> = (2..80).map(|sequence| event(u128::from(sequence), sequence)).collect();
    for (event, kind) in events.iter_mut().zip(EventKind::ALL) {
        event.kind = *kind;
        event.about = about;
    }
    store.append(Batch { events: events.clone(), ..Batch::empty(workspace_sid(1), 1) }).await.unwrap();
    let sql = "SELECT event_type, task_sid, worker_sid, reservation_sid, task_queue_sid, workflow_sid, activity_sid, \
               task_channel_sid, event_data, sequence, description FROM events ORDER BY sequence";
    let read = sqlx::query(sql).fetch_all(store.read_pool()).await.unwrap();
    let sequences: Vec<i64> = read.iter().map(|row| row.get(9)).collect();
    assert_eq!(sequences, (1..80).collect::<Vec<i64>>());
    for (row, kind) in read.iter().skip(1).zip(EventKind::ALL) {
        assert_eq!(row.get::<&str, _>(0), kind.as_str());
        let sids: Vec<&str> = (1..8).map(|column| row.get(column)).collect();
        assert_eq!(sids.iter().map(|sid| &sid[..2]).collect::<String>(), "WTWKWRWQWWWATC");
        let event_data: &str = row.get(8);
        assert!(event_data.starts_with("{\"z_first\":") && event_data.ends_with("\"a_second\":\"\"}"), "{event_data}");
        let value: serde_json::Value = serde_json::from_str(event_data).unwrap();
        assert_eq!(value["z_first"], ODD);
        assert_eq!(row.get::<&str, _>(10), ODD);
    }
}

#[tokio::test]
async fn a_workspace_goes_with_all_its_rows_and_no_other() {
    let (_directory, store, _) = store_with_workspace().await;
    let mut other = rows(workspace_sid(2));
    other = WorkspaceRows {
        activities: Vec::new(),
        task_channels: Vec::new(),
        task_queues: Vec::new(),
        workflows: Vec::new(),
        workflow_versions: Vec::new(),
        workers: Vec::new(),
        worker_channels: Vec::new(),
        tasks: vec![task(1_000)],
        presences: Vec::new(),
        reservations: Vec::new(),
        transfers: Vec::new(),
        settings: other.settings,
    };
    for (workspace, number) in [(1, 1), (2, 2)] {
        let workspace = workspace_sid(workspace);
        if number == 2 {
            store.append(first_batch(other.clone())).await.unwrap();
        }
        let batch = Batch {
            outbox_added: vec![outbox(number, 1, 0)],
            voice_tasks: vec![voice_task(workspace, number, None, false)],
            alerts: vec![alert(number, Some(workspace))],
            ..Batch::empty(workspace, 1)
        };
        store.append(batch).await.unwrap();
    }
    store.alert(alert(3, None)).await.unwrap();
    let removal = Batch {
        rows: vec![RowChange::WorkspaceDeleted],
        events: vec![event(9, 2)],
        ..Batch::empty(workspace_sid(1), 1)
    };
    store.append(removal).await.unwrap();
    assert_eq!(store.load(workspace_sid(1)).await.unwrap(), None);
    for (table, left) in [
        ("workspaces", 1),
        ("activities", 0),
        ("task_channels", 0),
        ("task_queues", 0),
        ("workflows", 0),
        ("workflow_versions", 0),
        ("workers", 0),
        ("worker_channels", 0),
        ("tasks", 1),
        ("reservations", 0),
        ("transfers", 0),
        ("events", 1),
        ("outbox", 1),
        ("voice_tasks", 1),
        ("alerts", 2),
        ("accounts", 1),
    ] {
        assert_eq!(count(&store, table).await, left, "{table}");
    }
}

#[tokio::test]
async fn a_workspace_with_a_receiver_keeps_the_events_that_it_was_not_told_of() {
    let (_directory, store) = store_with_account().await;
    let mut with_receiver = rows(workspace_sid(1));
    with_receiver.settings.event_callback_url = "https://app.example/events#rc=1".to_owned();
    let mut first = first_batch(with_receiver);
    first.events[0].kind = EventKind::WorkspaceCreated;
    store.append(first).await.unwrap();
    let progress = deliveries::Progress { next_sequence: Some(3), ..deliveries::Progress::default() };
    let batch = Batch { events: vec![event(7, 2), event(8, 3)], ..Batch::empty(workspace_sid(1), 1) };
    store.append(batch).await.unwrap();
    store.note_progress(workspace_sid(1), progress).await.unwrap();
    let before = store.event_target(workspace_sid(1)).await.unwrap().unwrap();
    assert!(!before.departed);
    let removal = Batch {
        rows: vec![RowChange::WorkspaceDeleted],
        events: vec![event(9, 4)],
        ..Batch::empty(workspace_sid(1), 3)
    };
    store.append(removal).await.unwrap();
    assert_eq!(store.load(workspace_sid(1)).await.unwrap(), None);
    let target = store.event_target(workspace_sid(1)).await.unwrap().unwrap();
    assert_eq!(target, deliveries::EventTarget { departed: true, last_sequence: 4, ..before });
    let kept = store.events_from(workspace_sid(1), 0, 10).await.unwrap();
    assert_eq!(kept.iter().map(|event| event.sequence).collect::<Vec<_>>(), [3, 4], "what was taken is gone");
    for table in ["tasks", "workers", "statistic_facts", "outbox", "voice_tasks"] {
        assert_eq!(count(&store, table).await, 0, "{table}");
    }
    store.forget_departed(workspace_sid(1)).await.unwrap();
    for table in ["departed_workspaces", "events", "event_cursors", "event_endpoints", "event_deliveries"] {
        assert_eq!(count(&store, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn many_rows_of_a_deleted_workspace_go_a_portion_at_a_time_and_are_not_found_meanwhile() {
    let (_directory, store, _) = store_with_workspace().await;
    let changes = (100..800).map(|number| RowChange::Task(task(number))).collect();
    store.append(Batch { rows: changes, ..Batch::empty(workspace_sid(1), 1) }).await.unwrap();
    let (tasks, events) = (count(&store, "tasks").await, count(&store, "events").await);
    assert!(tasks > 700 && events > 0);
    let removal = Batch { rows: vec![RowChange::WorkspaceDeleted], ..Batch::empty(workspace_sid(1), 1) };
    store.append(removal).await.unwrap();
    assert_eq!((count(&store, "tasks").await, count(&store, "workers").await), (tasks - 500, 0));
    assert_eq!(store.workspaces_with_leftovers().await.unwrap(), [workspace_sid(1)]);
    let left: String = sqlx::query_scalar("SELECT sid FROM tasks LIMIT 1").fetch_one(store.read_pool()).await.unwrap();
    assert_eq!(store.workspace_of_task(left.parse().unwrap()).await.unwrap(), None);
    assert_eq!(store.load(workspace_sid(1)).await.unwrap(), None);
    let mut removed = Vec::new();
    while !store.workspaces_with_leftovers().await.unwrap().is_empty() {
        removed.push(store.remove_leftovers(workspace_sid(1), 150).await.unwrap());
    }
    assert_eq!(removed.iter().sum::<usize>(), usize::try_from(tasks - 500).unwrap());
    assert_eq!((removed[0], removed.last()), (150, Some(&0)));
    assert_eq!((count(&store, "tasks").await, count(&store, "events").await), (0, 0));
    // Of another workspace nothing is taken.
    assert_eq!(store.remove_leftovers(workspace_sid(2), 150).await.unwrap(), 0);
}

#[tokio::test]
async fn outbox_rows_stay_until_they_are_done() {
    let (_directory, store, _) = store_with_workspace().await;
    let added = vec![outbox(2, 1, 0), outbox(1, 2, 0), outbox(1, 10, 0), outbox(1, 1, 0)];
    store.append(Batch { outbox_added: added, ..Batch::empty(workspace_sid(1), 1) }).await.unwrap();
    let batch = Batch {
        outbox_added: vec![outbox(1, 2, 3), outbox(1, 11, 0)],
        outbox_done: vec![(TaskSid::from_bits(1), 1), (TaskSid::from_bits(1), 11)],
        ..Batch::empty(workspace_sid(1), 1)
    };
    store.append(batch).await.unwrap();
    let loaded = store.load(workspace_sid(1)).await.unwrap().unwrap();
    assert_eq!(loaded.outbox, [outbox(1, 2, 3), outbox(1, 10, 0), outbox(2, 1, 0)]);
}

#[tokio::test]
async fn voice_tasks_are_found_by_task_and_by_newest_call() {
    let (_directory, store, _) = store_with_workspace().await;
    let workspace = workspace_sid(1);
    let written = vec![
        voice_task(workspace, 1, Some("CA1"), true),
        voice_task(workspace, 2, Some("CA1"), false),
        voice_task(workspace, 3, None, false),
    ];
    store.append(Batch { voice_tasks: written.clone(), ..Batch::empty(workspace, 1) }).await.unwrap();
    assert_eq!(store.load(workspace).await.unwrap().unwrap().voice_tasks, written);
    assert_eq!(store.voice_task(TaskSid::from_bits(3)).await.unwrap().as_ref(), Some(&written[2]));
    assert_eq!(store.voice_task_by_call("CA1").await.unwrap().as_ref(), Some(&written[1]));
    assert_eq!(store.voice_task_by_call("CA2").await.unwrap(), None);
    let batch = Batch { voice_tasks_deleted: vec![TaskSid::from_bits(2)], ..Batch::empty(workspace, 1) };
    store.append(batch).await.unwrap();
    assert_eq!(store.voice_task_by_call("CA1").await.unwrap().as_ref(), Some(&written[0]));
}

#[tokio::test]
async fn lookups_tell_where_something_belongs() {
    let (_directory, store, _) = store_with_workspace().await;
    let workspace = Some(workspace_sid(1));
    assert_eq!(store.account_of_workspace(workspace_sid(1)).await.unwrap(), Some(account_sid()));
    assert_eq!(store.account_of_workspace(workspace_sid(2)).await.unwrap(), None);
    assert_eq!(store.workspace_of_workflow(WorkflowSid::from_bits(1)).await.unwrap(), workspace);
    assert_eq!(store.workspace_of_workflow(WorkflowSid::from_bits(9)).await.unwrap(), None);
    assert_eq!(store.workspace_of_task(TaskSid::from_bits(1)).await.unwrap(), workspace);
    assert_eq!(store.workspace_of_task(TaskSid::from_bits(9)).await.unwrap(), None);
    assert_eq!(
        store.workspace_of_reservation(ReservationSid::from_bits(1)).await.unwrap(),
        Some((workspace_sid(1), TaskSid::from_bits(1), WorkerSid::from_bits(2)))
    );
    assert_eq!(store.workspace_of_reservation(ReservationSid::from_bits(99)).await.unwrap(), None);
}

#[tokio::test]
async fn accounts_are_written_and_their_tokens_exchanged_but_never_shown() {
    let (_directory, store) = store_with_account().await;
    let mut changed = account();
    changed.auth_token = "another-token".into();
    changed.created_at = Timestamp(77);
    store.create_account(changed).await.unwrap();
    let mut older = account();
    older.sid = AccountSid::from_bits(9);
    older.created_at = Timestamp(1);
    store.create_account(older).await.unwrap();
    let read = store.account(account_sid()).await.unwrap().unwrap();
    assert_eq!(read.auth_token.expose_secret(), "another-token");
    assert_eq!((read.friendly_name.as_str(), read.created_at), (ODD, Timestamp(5)));
    assert!(!format!("{read:?}").contains("another-token"));
    let sids: Vec<AccountSid> = store.accounts().await.unwrap().iter().map(|account| account.sid).collect();
    assert_eq!(sids, [AccountSid::from_bits(9), account_sid()]);
    assert!(store.account(AccountSid::from_bits(2)).await.unwrap().is_none());
}

#[tokio::test]
async fn alerts_are_listed_newest_first() {
    let (_directory, store) = store_with_account().await;
    for number in [2, 3, 1] {
        store.alert(alert(number, (number == 2).then(|| workspace_sid(1)))).await.unwrap();
    }
    assert_eq!(store.alerts(account_sid(), 2).await.unwrap(), [alert(3, None), alert(2, Some(workspace_sid(1)))]);
    assert_eq!(store.alerts(AccountSid::from_bits(2), 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_named_with_its_place() {
    for (change, table, column, row) in [
        ("UPDATE tasks SET status = 'lost' WHERE sid LIKE '%1'", "tasks", "status", TaskSid::from_bits(1).to_string()),
        ("UPDATE tasks SET step = '1.x'", "tasks", "step", TaskSid::from_bits(1).to_string()),
        ("UPDATE tasks SET back_offs = '[[1]]'", "tasks", "back_offs", TaskSid::from_bits(1).to_string()),
        ("UPDATE tasks SET priority = 4294967296", "tasks", "priority", TaskSid::from_bits(1).to_string()),
        ("UPDATE workers SET attributes = x'ff'", "workers", "attributes", WorkerSid::from_bits(1).to_string()),
        ("UPDATE workers SET version = -1", "workers", "version", WorkerSid::from_bits(1).to_string()),
        ("UPDATE activities SET available = 2", "activities", "available", ActivitySid::from_bits(1).to_string()),
        (
            "UPDATE reservations SET deadline = 'soon'",
            "reservations",
            "deadline",
            ReservationSid::from_bits(1).to_string(),
        ),
        (
            "UPDATE workflow_versions SET workflow_sid = 'WW1' WHERE version = 2",
            "workflow_versions",
            "workflow_sid",
            "WW1/2".to_owned(),
        ),
    ] {
        let (directory, store, _) = store_with_workspace().await;
        let mut connection = opening::raw_connection(&directory).await;
        sqlx::raw_sql(change).execute(&mut connection).await.unwrap();
        match store.load(workspace_sid(1)).await {
            Err(Error::Inconsistent { table: found_table, column: found_column, row: found_row }) => {
                assert_eq!((found_table, found_column, found_row), (table, column, row), "{change}");
            }
            other => panic!("{change}: {other:?}"),
        }
    }
}
