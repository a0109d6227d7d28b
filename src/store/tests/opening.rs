//! Opening, sharing, closing and losing databases.

use std::path::Path;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::*;
use crate::store::error::{Severity, severity};
use crate::store::sqlite::write_options;

pub(super) async fn raw_connection(directory: &TempDir) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("switchhook.db"))
        .busy_timeout(std::time::Duration::ZERO);
    SqliteConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn a_second_server_is_refused_and_commands_beside_it_are_not() {
    let (directory, store, rows) = store_with_workspace().await;
    let url = url_in(&directory);
    let refused = Store::open(&url).await.unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused:?}");
    assert!(refused.to_string().contains("another process is using the database"), "{refused}");
    assert!(matches!(Store::migrate(&url).await, Err(Error::InUse { .. })));

    let beside = Store::open_shared(&url, KeySource::BesideDatabase).await.unwrap();
    let mut second = account();
    second.sid = AccountSid::from_bits(2);
    beside.create_account(second).await.unwrap();
    assert!(store.account(AccountSid::from_bits(2)).await.unwrap().is_some());
    store.append(Batch { events: vec![event(2, 2)], ..Batch::empty(workspace_sid(1), 1) }).await.unwrap();
    assert_eq!(loaded_rows(&beside).await.tasks, rows.tasks);
    beside.close().await;

    store.close().await;
    Store::open(&url).await.unwrap().close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn another_name_of_the_same_file_shares_its_lock() {
    let (directory, _store) = store_with_account().await;
    let alias = directory.path().join("alias.db");
    std::os::unix::fs::symlink(directory.path().join("switchhook.db"), &alias).unwrap();
    let refused = Store::open(&format!("sqlite:{}", alias.display())).await.unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused:?}");
}

#[tokio::test]
async fn commands_make_the_database_when_no_server_did() {
    let directory = tempfile::tempdir().unwrap();
    let beside = Store::open_shared(&url_in(&directory), KeySource::BesideDatabase).await.unwrap();
    beside.create_account(account()).await.unwrap();
    let server = Store::open(&url_in(&directory)).await.unwrap();
    assert_eq!(server.accounts().await.unwrap().len(), 1);
}

#[tokio::test]
async fn migrations_are_applied_once_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let url = url_in(&directory);
    let applied = Store::migrate(&url).await.unwrap();
    assert!(applied.starts_with(&["0001_foundation".to_owned(), "0002_transfers".to_owned()]) && applied.is_sorted());
    assert_eq!(Store::migrate(&url).await.unwrap(), Vec::<String>::new());
    Store::open(&url).await.unwrap().close().await;
}

#[tokio::test]
async fn a_database_with_other_migrations_is_refused() {
    for change in [
        "UPDATE schema_migrations SET checksum = 'other'",
        "INSERT INTO schema_migrations VALUES ('9999_future', 'x')",
        "UPDATE schema_migrations SET name = '0001_other' WHERE name = '0001_foundation'",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let url = url_in(&directory);
        Store::migrate(&url).await.unwrap();
        let mut connection = raw_connection(&directory).await;
        sqlx::raw_sql(change).execute(&mut connection).await.unwrap();
        assert!(matches!(Store::open(&url).await, Err(Error::Schema(_))), "{change}");
        assert!(matches!(Store::open_shared(&url, KeySource::BesideDatabase).await, Err(Error::Schema(_))), "{change}");
    }
}

#[tokio::test]
async fn files_copied_right_after_the_answer_hold_everything() {
    let (directory, store, rows) = store_with_workspace().await;
    // What another machine would find after a power loss: the files as they are, the process still running.
    let copy = tempfile::tempdir().unwrap();
    for name in ["switchhook.db", "switchhook.db-wal", "switchhook.db.key"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    let copied = Store::open(&url_in(&copy)).await.unwrap();
    assert_eq!(loaded_rows(&copied).await, rows);
    drop(store);
}

#[test]
fn what_was_acknowledged_survives_the_end_of_the_process_without_close() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    first.block_on(async {
        let store = Store::open(&url_in(&directory)).await.unwrap();
        store.create_account(account()).await.unwrap();
        store.append(first_batch(rows(workspace_sid(1)))).await.unwrap();
    });
    drop(first);
    runtime().block_on(async {
        let store = loop {
            // The writer's thread notices the end on its own and lets go of the lock then.
            match Store::open(&url_in(&directory)).await {
                Err(Error::InUse { .. }) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        let mut expected = rows(workspace_sid(1));
        expected.settings.last_sequence = 1;
        assert_eq!(loaded_rows(&store).await, expected);
        store.append(Batch { events: vec![event(2, 2)], ..Batch::empty(workspace_sid(1), 1) }).await.unwrap();
    });
}

#[tokio::test]
async fn a_closed_store_has_written_what_was_queued_and_refuses_more() {
    let (directory, store) = store_with_account().await;
    let (queued, ()) = tokio::join!(store.append(first_batch(rows(workspace_sid(1)))), store.close());
    queued.unwrap();
    let Store::Sqlite(sqlite) = &store;
    sqlite.ended().await;
    let refused = store.append(first_batch(rows(workspace_sid(2)))).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(matches!(store.ready().await, Err(Error::Unavailable(_))));
    assert!(!directory.path().join("switchhook.db-wal").exists(), "the log is in the database file");
    assert_eq!(loaded_rows(&Store::open(&url_in(&directory)).await.unwrap()).await.tasks.len(), 9);
}

#[tokio::test]
async fn a_temporary_store_leaves_no_file() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    store.create_account(account()).await.unwrap();
    let path: String = sqlx::query("PRAGMA database_list").fetch_one(store.read_pool()).await.unwrap().get(2);
    assert!(Path::new(&path).exists());
    store.close().await;
    assert!(!Path::new(&path).parent().unwrap().exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_second_server_is_refused_though_the_file_of_the_lock_was_deleted() {
    let (directory, store) = store_with_account().await;
    std::fs::remove_file(directory.path().join("switchhook.db.lock")).unwrap();
    let second = Store::open(&url_in(&directory)).await;
    assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
    assert!(matches!(Store::migrate(&url_in(&directory)).await, Err(Error::InUse { .. })));
    // Commands beside the server are not, and hold nothing afterwards.
    let beside = Store::open_shared(&url_in(&directory), KeySource::BesideDatabase).await.unwrap();
    assert_eq!(beside.accounts().await.unwrap().len(), 1);
    beside.close().await;
    store.create_account(account()).await.unwrap();
    store.close().await;
    Store::open(&url_in(&directory)).await.unwrap().close().await;
}

#[tokio::test]
async fn readers_cannot_write_and_the_writer_syncs_each_commit() {
    let (directory, store) = store_with_account().await;
    assert!(sqlx::query("DELETE FROM accounts").execute(store.read_pool()).await.is_err());
    let options = write_options(&directory.path().join("switchhook.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    for (setting, expected) in
        [("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1"), ("wal_autocheckpoint", "0")]
    {
        let sql = sqlx::AssertSqlSafe(format!("PRAGMA {setting}"));
        let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
        let value = row.try_get::<String, _>(0).unwrap_or_else(|_| row.get::<i64, _>(0).to_string());
        assert_eq!(value, expected, "{setting}");
    }
}

#[tokio::test]
async fn a_locked_and_a_full_database_are_told_apart_from_a_broken_one() {
    let (directory, _store) = store_with_account().await;
    let (mut one, mut other) = (raw_connection(&directory).await, raw_connection(&directory).await);
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut one).await.unwrap();
    let busy = sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap_err();
    assert_eq!(severity(&busy), Severity::Busy);
    assert!(matches!(Error::from(busy), Error::Busy));
    sqlx::raw_sql("ROLLBACK; PRAGMA max_page_count = 1").execute(&mut one).await.unwrap();
    let full = sqlx::raw_sql("CREATE TABLE too_much (a TEXT)").execute(&mut one).await.unwrap_err();
    assert_eq!(severity(&full), Severity::Full);
    let wrong = sqlx::raw_sql("SELECT * FROM nothing").execute(&mut one).await.unwrap_err();
    assert_eq!(severity(&wrong), Severity::Statement);
}
