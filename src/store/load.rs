//! All rows of a workspace as of one moment, as the records they were written from.
//!
//! Many tasks are read by several connections, each of which makes sure that it sees the same moment. Reads with `rusqlite`, off the async threads: a start waits for hundreds of thousands of rows, and the driver that
//! serves everything else copies each value and hands each row from thread to thread. It must not repair anything: a
//! value that cannot be read is an error with its place. Start with [`Store::load`].

use std::path::Path;

use rusqlite::{Connection, OpenFlags, ToSql};
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::fields::{Fields, FromRow};
use super::sqlite::{BUSY_TIMEOUT, off_async};
use super::statements::select_sql;
use super::{Error, Loaded, Store};
use crate::routing::{Task, WorkspaceRows, WorkspaceSettings, WorkspaceSid};

/// Connections that read the tasks of one workspace side by side.
const READERS_MAX: i64 = 4;

/// Fewer tasks are not worth a connection of their own.
const PORTION_MIN: i64 = 5_000;

/// Tasks created from the first moment on, up to the second one.
type Portion = (i64, i64);

const EVERYTHING: Portion = (i64::MIN, i64::MAX);

impl Store {
    /// All workspaces, ordered by SID.
    pub async fn workspaces(&self) -> Result<Vec<WorkspaceSid>, Error> {
        let rows: Vec<WorkspaceSettings> = self.read(|connection| all(connection, "ORDER BY sid", &[])).await?;
        Ok(rows.into_iter().map(|settings| settings.sid).collect())
    }

    /// All rows of a workspace as of one moment; `None` when there is no such workspace.
    pub async fn load(&self, workspace: WorkspaceSid) -> Result<Option<Loaded>, Error> {
        let Self::Sqlite(store) = self;
        off_async(store.path(), move |path| {
            let readers = std::thread::available_parallelism().map_or(1, usize::from);
            let readers = i64::try_from(readers).unwrap_or(READERS_MAX).min(READERS_MAX);
            let sid = workspace.to_string();
            if let Some(loaded) = load_from(&path, &sid, readers)? {
                return Ok(loaded);
            }
            // Somebody wrote while the readers started; a single one cannot be overtaken.
            load_from(&path, &sid, 1)?.ok_or_else(|| Error::unavailable("the workspace changed while it was read"))
        })
        .await
    }

    /// Lends a connection of its own to `read`.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let Self::Sqlite(store) = self;
        off_async(store.path(), |path| read(&mut open(&path)?)).await
    }
}

fn open(path: &Path) -> Result<Connection, Error> {
    // Not read-only: the first reader of a database in WAL mode may have to write the index of the log.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Reads a workspace with `readers` connections; `None` when they did not all see the same moment.
#[expect(clippy::option_option, reason = "the outer one is about reading, the inner one about what was read")]
fn load_from(path: &Path, sid: &str, readers: i64) -> Result<Option<Option<Loaded>>, Error> {
    let mut connection = open(path)?;
    let snapshot = connection.transaction()?;
    let Some(settings) = settings(&snapshot, sid)? else {
        return Ok(Some(None));
    };
    let portions = portions(&snapshot, sid, readers)?;
    let sequence = settings.last_sequence;
    let (rest, tasks) = std::thread::scope(|scope| {
        let (first, others) = portions.split_first().unwrap_or((&EVERYTHING, &[]));
        let others: Vec<_> =
            others.iter().map(|portion| scope.spawn(|| portion_of_tasks(path, sid, sequence, *portion))).collect();
        let rest = all_but_tasks(&snapshot, sid, settings);
        let mut tasks = vec![tasks_of(&snapshot, sid, *first).map(Some)];
        tasks.extend(
            others
                .into_iter()
                .map(|reader| reader.join().unwrap_or_else(|_| Err(Error::unavailable("a reader of tasks failed")))),
        );
        (rest, tasks)
    });
    let mut loaded = rest?;
    for portion in tasks {
        let Some(mut portion) = portion? else { return Ok(None) };
        loaded.rows.tasks.append(&mut portion);
    }
    loaded.rows.tasks.sort_unstable_by_key(|task| task.sid);
    Ok(Some(Some(loaded)))
}

fn settings(snapshot: &Connection, sid: &str) -> Result<Option<WorkspaceSettings>, Error> {
    Ok(all(snapshot, "WHERE sid = $1", &[&sid])?.pop())
}

/// The tasks of `portion`, read by a connection of its own; `None` when it sees another moment than the number of the
/// newest event says.
fn portion_of_tasks(path: &Path, sid: &str, sequence: u64, portion: Portion) -> Result<Option<Vec<Task>>, Error> {
    let mut connection = open(path)?;
    let snapshot = connection.transaction()?;
    match settings(&snapshot, sid)? {
        Some(settings) if settings.last_sequence == sequence => tasks_of(&snapshot, sid, portion).map(Some),
        _ => Ok(None),
    }
}

fn tasks_of(snapshot: &Connection, sid: &str, (from, until): Portion) -> Result<Vec<Task>, Error> {
    let rest = "WHERE workspace_sid = $1 AND created_at >= $2 AND created_at < $3 ORDER BY created_at, sid";
    all(snapshot, rest, &[&sid, &from, &until])
}

/// Cuts the tasks into portions of about the same size, by creation.
fn portions(snapshot: &Connection, sid: &str, readers: i64) -> Result<Vec<Portion>, Error> {
    let count = "SELECT count(*) FROM tasks WHERE workspace_sid = $1";
    let tasks: i64 = snapshot.query_row(count, [sid], |row| row.get(0))?;
    let readers = readers.min(tasks / PORTION_MIN).max(1);
    let mut place = snapshot
        .prepare("SELECT created_at FROM tasks WHERE workspace_sid = $1 ORDER BY created_at, sid LIMIT 1 OFFSET $2")?;
    let mut portions = Vec::new();
    let mut from = EVERYTHING.0;
    for reader in 1..readers {
        let until = place.query_row((sid, tasks * reader / readers), |row| row.get(0))?;
        portions.push((from, until));
        from = until;
    }
    portions.push((from, EVERYTHING.1));
    Ok(portions)
}

fn all_but_tasks(snapshot: &Connection, sid: &str, settings: WorkspaceSettings) -> Result<Loaded, Error> {
    let by_sid = "WHERE workspace_sid = $1 ORDER BY sid";
    Ok(Loaded {
        rows: WorkspaceRows {
            settings,
            activities: all(snapshot, by_sid, &[&sid])?,
            task_channels: all(snapshot, by_sid, &[&sid])?,
            task_queues: all(snapshot, by_sid, &[&sid])?,
            workflows: all(snapshot, by_sid, &[&sid])?,
            workflow_versions: {
                let order = "WHERE workspace_sid = $1 ORDER BY workflow_sid, version";
                all(snapshot, order, &[&sid])?
            },
            workers: all(snapshot, by_sid, &[&sid])?,
            worker_channels: all(snapshot, by_sid, &[&sid])?,
            tasks: Vec::new(),
            reservations: all(snapshot, by_sid, &[&sid])?,
            transfers: all(snapshot, by_sid, &[&sid])?,
            presences: all(snapshot, "WHERE workspace_sid = $1 ORDER BY worker_sid", &[&sid])?,
        },
        voice_tasks: all(snapshot, "WHERE workspace_sid = $1 ORDER BY task_sid", &[&sid])?,
        outbox: all(snapshot, "WHERE workspace_sid = $1 ORDER BY task_sid, number", &[&sid])?,
        open_callbacks: all(snapshot, "WHERE workspace_sid = $1 ORDER BY reservation_sid", &[&sid])?,
        voicemails: all(snapshot, "WHERE workspace_sid = $1 ORDER BY recording", &[&sid])?,
        calendars: all(snapshot, "WHERE workspace_sid = $1 AND kind = 'calendar' ORDER BY sid", &[&sid])?,
    })
}

/// Reads the records of one table; each row becomes a record as it arrives, so that rows are not held twice.
pub(super) fn all<T: FromRow>(
    connection: &Connection,
    rest: &'static str,
    bound: &[&dyn ToSql],
) -> Result<Vec<T>, Error> {
    let mut statement = connection.prepare(&select_sql(T::TABLE, rest))?;
    let mut rows = statement.query(bound)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(T::from_fields(&mut Fields::new(T::TABLE, row))?);
    }
    Ok(records)
}

/// Reads the few records that one request asks for.
pub(super) async fn select<T: FromRow + Send + Unpin>(
    connection: &mut SqliteConnection,
    rest: &'static str,
    bound: Option<&str>,
) -> Result<Vec<T>, Error> {
    let query = sqlx::query(AssertSqlSafe(select_sql(T::TABLE, rest)));
    let query = match bound {
        Some(text) => query.bind(text.to_owned()),
        None => query,
    };
    let read = query.map(|row| T::from_fields(&mut Fields::new(T::TABLE, &row))).fetch_all(connection).await?;
    read.into_iter().collect()
}
