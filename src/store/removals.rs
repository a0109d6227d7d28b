//! Removes the rows of workspaces that were deleted: some with the deletion, the rest a little at a time.
//!
//! A deletion is one commit, for which the commits of all other workspaces wait, so it must not take longer the more rows
//! there are. Once the workspace's own row is gone nobody finds the others: what is looked up by its own SID is looked up
//! together with its workspace. When the rest is removed is for the caller to say. Start with [`Store::remove_leftovers`].

use sqlx::AssertSqlSafe;

use super::retention::removals;
use super::statements::{Table, Value};
use super::work::{Update, Work, tables_of_workspace};
use super::{Error, Store};
use crate::routing::WorkspaceSid;

/// Rows of each table that go with the deletion.
pub(super) const AT_ONCE: usize = 500;

/// Notes that rows are left of a workspace.
pub(super) const LEAVE: &str = "INSERT INTO removed_workspaces (sid) VALUES ($1) ON CONFLICT (sid) DO NOTHING";

/// Removes at most [`AT_ONCE`] rows of a workspace from a table.
pub(super) fn removal_at_once(table: &Table) -> String {
    format!("DELETE FROM {} WHERE ({}) IN ({} LIMIT {AT_ONCE})", table.name, keys_of(table), keys_in_workspace(table))
}

fn keys_of(table: &Table) -> String {
    table.columns[..table.key_columns].join(", ")
}

fn keys_in_workspace(table: &Table) -> String {
    format!("SELECT {} FROM {} WHERE workspace_sid = $1", keys_of(table), table.name)
}

impl Store {
    /// Deleted workspaces of which rows are left.
    pub async fn workspaces_with_leftovers(&self) -> Result<Vec<WorkspaceSid>, Error> {
        let sql = "SELECT sid FROM removed_workspaces ORDER BY sid";
        let sids: Vec<String> = sqlx::query_scalar(sql).fetch_all(self.read_pool()).await?;
        let inconsistent = |row| Error::Inconsistent { table: "removed_workspaces", column: "sid", row };
        sids.into_iter().map(|sid| sid.parse().map_err(|_| inconsistent(sid))).collect()
    }

    /// Removes at most `most` rows that are left of a deleted workspace, in one commit; returns how many. Events that a
    /// receiver is still to be told of are not among them. Forgets that there were any once there are none.
    pub async fn remove_leftovers(&self, workspace: WorkspaceSid, most: usize) -> Result<usize, Error> {
        let sid = workspace.to_string();
        let mut changes = Vec::new();
        {
            let mut connection = self.read_pool().acquire().await?;
            let left = sqlx::query("SELECT 1 FROM removed_workspaces WHERE sid = $1").bind(&sid);
            if left.fetch_optional(&mut *connection).await?.is_none() {
                return Ok(0);
            }
            let departed = sqlx::query("SELECT 1 FROM departed_workspaces WHERE sid = $1").bind(&sid);
            let with_events = departed.fetch_optional(&mut *connection).await?.is_none();
            for table in tables_of_workspace(with_events) {
                let sql = AssertSqlSafe(format!("{} LIMIT $2", keys_in_workspace(table)));
                let limit = i64::try_from(most - changes.len()).unwrap_or(i64::MAX);
                let query = sqlx::query(sql).bind(&sid).bind(limit);
                changes.extend(removals(table, &query.fetch_all(&mut *connection).await?)?);
                if changes.len() >= most {
                    break;
                }
            }
        }
        let removed = changes.len();
        let work = if removed > 0 {
            Work::of_removals(changes)
        } else {
            let sql = "DELETE FROM removed_workspaces WHERE sid = $1";
            Work::of_changes(changes, Some(Update { sql, values: vec![Value::of(workspace)] }))
        };
        self.write(work).await?;
        Ok(removed)
    }
}
