//! All rows of a workspace, read in one snapshot, as the records they were written from.
//!
//! Reads with `rusqlite`, off the async threads: a start waits for hundreds of thousands of rows, and the driver that
//! serves everything else copies each value and hands each row from thread to thread. It must not repair anything: a
//! value that cannot be read is an error with its place. Start with [`Store::load`].

use std::path::Path;

use rusqlite::{Connection, OpenFlags, params_from_iter};
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::fields::{Fields, FromRow};
use super::sqlite::{BUSY_TIMEOUT, off_async};
use super::statements::select_sql;
use super::{Error, Loaded, Store};
use crate::routing::{WorkspaceRows, WorkspaceSettings, WorkspaceSid};

impl Store {
    /// All workspaces, ordered by SID.
    pub async fn workspaces(&self) -> Result<Vec<WorkspaceSid>, Error> {
        let rows: Vec<WorkspaceSettings> = self.read(|connection| all(connection, "ORDER BY sid", None)).await?;
        Ok(rows.into_iter().map(|settings| settings.sid).collect())
    }

    /// All rows of a workspace, from one snapshot; `None` when there is no such workspace.
    pub async fn load(&self, workspace: WorkspaceSid) -> Result<Option<Loaded>, Error> {
        self.read(move |connection| {
            let snapshot = connection.transaction()?;
            load_from(&snapshot, workspace)
        })
        .await
    }

    /// Lends a connection of its own to `read`.
    async fn read<T: Send + 'static>(
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

fn load_from(snapshot: &Connection, workspace: WorkspaceSid) -> Result<Option<Loaded>, Error> {
    let sid = workspace.to_string();
    let sid = Some(sid.as_str());
    let Some(settings) = all(snapshot, "WHERE sid = $1", sid)?.pop() else {
        return Ok(None);
    };
    let by_sid = "WHERE workspace_sid = $1 ORDER BY sid";
    Ok(Some(Loaded {
        rows: WorkspaceRows {
            settings,
            activities: all(snapshot, by_sid, sid)?,
            task_channels: all(snapshot, by_sid, sid)?,
            task_queues: all(snapshot, by_sid, sid)?,
            workflows: all(snapshot, by_sid, sid)?,
            workflow_versions: {
                let order = "WHERE workspace_sid = $1 ORDER BY workflow_sid, version";
                all(snapshot, order, sid)?
            },
            workers: all(snapshot, by_sid, sid)?,
            worker_channels: all(snapshot, by_sid, sid)?,
            tasks: all(snapshot, by_sid, sid)?,
            reservations: all(snapshot, by_sid, sid)?,
            transfers: all(snapshot, by_sid, sid)?,
        },
        voice_tasks: all(snapshot, "WHERE workspace_sid = $1 ORDER BY task_sid", sid)?,
        outbox: all(snapshot, "WHERE workspace_sid = $1 ORDER BY task_sid, number", sid)?,
    }))
}

/// Reads the records of one table; each row becomes a record as it arrives, so that rows are not held twice.
fn all<T: FromRow>(connection: &Connection, rest: &'static str, bound: Option<&str>) -> Result<Vec<T>, Error> {
    let mut statement = connection.prepare(&select_sql(T::TABLE, rest))?;
    let mut rows = statement.query(params_from_iter(bound))?;
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
