//! All rows of a workspace, read in one snapshot, as the records they were written from.
//!
//! It must not repair anything: a value that cannot be read is an error with its place. Start with [`Store::load`].

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::fields::{Fields, FromRow};
use super::statements::select_sql;
use super::{Error, Loaded, Store};
use crate::routing::{WorkspaceRows, WorkspaceSettings, WorkspaceSid};

impl Store {
    /// All workspaces, ordered by SID.
    pub async fn workspaces(&self) -> Result<Vec<WorkspaceSid>, Error> {
        let rows: Vec<WorkspaceSettings> = {
            let mut connection = self.read_pool().acquire().await?;
            select(&mut connection, "ORDER BY sid", None).await?
        };
        Ok(rows.into_iter().map(|settings| settings.sid).collect())
    }

    /// All rows of a workspace, from one snapshot; `None` when there is no such workspace.
    pub async fn load(&self, workspace: WorkspaceSid) -> Result<Option<Loaded>, Error> {
        let mut snapshot = self.read_pool().begin().await?;
        let sid = workspace.to_string();
        let Some(settings) = select(&mut snapshot, "WHERE sid = $1", Some(&sid)).await?.pop() else {
            return Ok(None);
        };
        let by_sid = "WHERE workspace_sid = $1 ORDER BY sid";
        let loaded = Loaded {
            rows: WorkspaceRows {
                settings,
                activities: select(&mut snapshot, by_sid, Some(&sid)).await?,
                task_channels: select(&mut snapshot, by_sid, Some(&sid)).await?,
                task_queues: select(&mut snapshot, by_sid, Some(&sid)).await?,
                workflows: select(&mut snapshot, by_sid, Some(&sid)).await?,
                workflow_versions: {
                    let order = "WHERE workspace_sid = $1 ORDER BY workflow_sid, version";
                    select(&mut snapshot, order, Some(&sid)).await?
                },
                workers: select(&mut snapshot, by_sid, Some(&sid)).await?,
                worker_channels: select(&mut snapshot, by_sid, Some(&sid)).await?,
                tasks: select(&mut snapshot, by_sid, Some(&sid)).await?,
                reservations: select(&mut snapshot, by_sid, Some(&sid)).await?,
                transfers: select(&mut snapshot, by_sid, Some(&sid)).await?,
            },
            voice_tasks: select(&mut snapshot, "WHERE workspace_sid = $1 ORDER BY task_sid", Some(&sid)).await?,
            outbox: select(&mut snapshot, "WHERE workspace_sid = $1 ORDER BY task_sid, number", Some(&sid)).await?,
        };
        snapshot.rollback().await?;
        Ok(Some(loaded))
    }
}

/// Reads the records of one table; each row becomes a record as it arrives, so that rows are not held twice.
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
