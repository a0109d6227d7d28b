//! Fences, groups and failures of commits.

use super::*;

#[tokio::test]
async fn a_stale_batch_is_fenced_and_writes_nothing() {
    let (_directory, store, rows) = store_with_workspace().await;
    for expected in [0, 2] {
        let batch = Batch {
            rows: vec![RowChange::Workspace(settings(workspace_sid(1))), RowChange::Task(task(70))],
            events: vec![event(u128::from(expected) + 70, expected + 1)],
            outbox_added: vec![outbox(70, 1, 0)],
            alerts: vec![alert(70, Some(workspace_sid(1)))],
            ..Batch::empty(workspace_sid(1), expected)
        };
        let outcome = store.append(batch).await;
        assert!(matches!(outcome, Err(Error::Fenced { expected: told }) if told == expected), "{outcome:?}");
    }
    assert_eq!(loaded_rows(&store).await, rows);
    assert_eq!((count(&store, "events").await, count(&store, "outbox").await), (1, 0));
    assert_eq!(count(&store, "alerts").await, 0);
    // The workspace itself goes on.
    store.append(Batch { events: vec![event(2, 2)], ..Batch::empty(workspace_sid(1), 1) }).await.unwrap();
}

#[tokio::test]
async fn a_workspace_that_is_not_on_disk_needs_its_settings() {
    let (_directory, store) = store_with_account().await;
    let batch = Batch { rows: vec![RowChange::Task(task(1))], ..Batch::empty(workspace_sid(1), 0) };
    assert!(matches!(store.append(batch).await, Err(Error::Fenced { expected: 0 })));
    assert_eq!(count(&store, "tasks").await, 0);
}

#[tokio::test]
async fn batches_that_contradict_themselves_are_refused() {
    let (_directory, store, rows) = store_with_workspace().await;
    let empty = || Batch::empty(workspace_sid(1), 1);
    for (batch, expected) in [
        (Batch { events: vec![event(3, 3)], ..empty() }, "events"),
        (Batch { events: vec![event(3, 2), event(4, 2)], ..empty() }, "events"),
        (Batch { rows: vec![RowChange::Workspace(settings(workspace_sid(2)))], ..empty() }, "workspaces"),
        (Batch { voice_tasks: vec![voice_task(workspace_sid(2), 1, None, false)], ..empty() }, "voice_tasks"),
    ] {
        match store.append(batch).await {
            Err(Error::Inconsistent { table, .. }) => assert_eq!(table, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    assert_eq!(loaded_rows(&store).await, rows);
}

fn small_workspace(number: u128) -> Batch {
    Batch {
        rows: vec![RowChange::Workspace(settings(workspace_sid(number))), RowChange::Task(task(number))],
        events: vec![event(number, 1)],
        ..Batch::empty(workspace_sid(number), 0)
    }
}

#[tokio::test]
async fn one_bad_batch_does_not_hurt_the_others_of_its_group() {
    let (_directory, store) = store_with_account().await;
    let mut without_account = small_workspace(2);
    let mut homeless = settings(workspace_sid(2));
    homeless.account = AccountSid::from_bits(404);
    without_account.rows[0] = RowChange::Workspace(homeless);
    let mut repeated_event = small_workspace(3);
    repeated_event.events = vec![event(1, 1)];
    let fenced = Batch { rows: vec![RowChange::Task(task(4))], ..Batch::empty(workspace_sid(4), 9) };
    // All are queued before the writer runs for the first time, so they share a group.
    let outcomes = tokio::join!(
        store.append(small_workspace(1)),
        store.append(without_account),
        store.append(repeated_event),
        store.append(fenced),
        store.append(small_workspace(5)),
    );
    outcomes.0.unwrap();
    assert!(matches!(outcomes.1, Err(Error::Direct(_))), "{:?}", outcomes.1);
    assert!(matches!(outcomes.2, Err(Error::Direct(_))), "{:?}", outcomes.2);
    assert!(matches!(outcomes.3, Err(Error::Fenced { expected: 9 })), "{:?}", outcomes.3);
    outcomes.4.unwrap();
    assert_eq!(store.workspaces().await.unwrap(), [workspace_sid(1), workspace_sid(5)]);
    assert_eq!((count(&store, "tasks").await, count(&store, "events").await), (2, 2));
    store.ready().await.unwrap();
}

#[tokio::test]
async fn batches_of_one_workspace_in_one_group_follow_each_other() {
    let (_directory, store) = store_with_account().await;
    let second = Batch {
        rows: vec![RowChange::TaskDeleted(TaskSid::from_bits(1)), RowChange::Task(task(2))],
        events: vec![event(12, 2)],
        ..Batch::empty(workspace_sid(1), 1)
    };
    let removal = Batch { rows: vec![RowChange::WorkspaceDeleted], ..Batch::empty(workspace_sid(1), 2) };
    let late = Batch { rows: vec![RowChange::Task(task(3))], ..Batch::empty(workspace_sid(1), 2) };
    let outcomes = tokio::join!(
        store.append(small_workspace(1)),
        store.append(second),
        store.append(removal),
        store.append(late),
        store.append(small_workspace(1)),
    );
    outcomes.0.unwrap();
    outcomes.1.unwrap();
    outcomes.2.unwrap();
    assert!(matches!(outcomes.3, Err(Error::Fenced { .. })));
    outcomes.4.unwrap();
    assert_eq!(loaded_rows(&store).await.tasks, [task(1)]);
}

#[tokio::test]
async fn more_batches_than_the_queue_holds_are_all_written() {
    let (_directory, store) = store_with_account().await;
    let mut appends = tokio::task::JoinSet::new();
    for number in 1..=300 {
        let store = store.clone();
        appends.spawn(async move { store.append(small_workspace(number)).await });
    }
    for outcome in appends.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(store.workspaces().await.unwrap().len(), 300);
}

#[tokio::test]
async fn a_corrupt_page_fails_the_store_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let url = url_in(&directory);
    let store = Store::open(&url).await.unwrap();
    store.create_account(account()).await.unwrap();
    store.append(first_batch(rows(workspace_sid(1)))).await.unwrap();
    store.close().await;

    let store = Store::open(&url).await.unwrap();
    let path = directory.path().join("switchhook.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // The first page holds the schema, which is in memory already.
    bytes[4096..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let outcomes = tokio::join!(
        store.append(Batch { events: vec![event(2, 2)], ..Batch::empty(workspace_sid(1), 1) }),
        store.append(Batch { events: vec![event(3, 3)], ..Batch::empty(workspace_sid(1), 2) }),
    );
    for outcome in [outcomes.0, outcomes.1, store.ready().await, store.alert(alert(1, None)).await] {
        assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    }
    store.failed().await;
}

#[tokio::test]
async fn a_full_disk_is_told_until_a_write_reaches_it_again() {
    let (_directory, store, _) = store_with_workspace().await;
    store.ready().await.unwrap();
    store.limit_pages(1).await;
    let mut sequence = 1;
    let problem = loop {
        let new = EventRecord { description: "x".repeat(9_000), ..event(u128::from(sequence) + 1, sequence + 1) };
        match store.append(Batch { events: vec![new], ..Batch::empty(workspace_sid(1), sequence) }).await {
            Ok(()) => sequence += 1,
            Err(error) => break error,
        }
    };
    assert!(problem.to_string().contains("the disk is full"), "{problem}");
    // Reads go on; the writer's empty transaction, which needs no room, says nothing.
    assert!(matches!(store.ready().await, Err(Error::Unavailable(why)) if &*why == "the disk is full"));
    assert_eq!(count(&store, "events").await, i64::try_from(sequence).unwrap());
    assert_eq!(loaded_rows(&store).await.settings.last_sequence, sequence);
    store.limit_pages(1_000_000).await;
    assert!(store.ready().await.is_err(), "a commit of nothing counts as written");
    // Nobody has to write for that.
    store.takes_writes().await;
    store.ready().await.unwrap();
}

/// Many more commits than fill the log to the point where it is copied.
const COMMITS_MAX: u64 = 20_000;

#[tokio::test]
async fn the_log_is_copied_into_the_database_file_beside_the_commits() {
    let (directory, store, _) = store_with_workspace().await;
    let length = |name: &str| std::fs::metadata(directory.path().join(name)).map_or(0, |file| file.len());
    let begun = length("switchhook.db");
    let mut sequence = 1;
    while length("switchhook.db") < 2 * begun {
        assert!(sequence < COMMITS_MAX, "the log grew to {} bytes", length("switchhook.db-wal"));
        let numbers = sequence + 1..=sequence + 50;
        let events = numbers.map(|number| event(u128::from(number), number)).collect();
        store.append(Batch { events, ..Batch::empty(workspace_sid(1), sequence) }).await.unwrap();
        sequence += 50;
    }
    let written = count(&store, "events").await;
    store.close().await;
    let store = Store::open(&url_in(&directory)).await.unwrap();
    assert_eq!(count(&store, "events").await, written);
    store.close().await;
}
