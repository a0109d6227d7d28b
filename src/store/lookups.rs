//! Where something belongs: single rows by primary key or index, for callers that hold only a SID.
//!
//! Rows of a workspace that was deleted are not found, although some of them may still be there (`removals`).
//! Lists for the REST API are not here. Reads see everything that was acknowledged before they began. Start with
//! [`Store::workspace_of_task`].

use std::str::FromStr;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::load::select;
use super::{Error, Store, VoiceTaskRow};
use crate::routing::{
    AccountSid, ActivitySid, ReservationSid, TaskChannelSid, TaskQueueSid, TaskSid, WorkerChannelSid, WorkerSid,
    WorkflowSid, WorkspaceSid,
};

impl Store {
    /// Whose a workspace is.
    pub async fn account_of_workspace(&self, workspace: WorkspaceSid) -> Result<Option<AccountSid>, Error> {
        let sql = "SELECT account_sid FROM workspaces WHERE sid = $1";
        self.lookup(sql, &workspace.to_string(), "workspaces", ["account_sid"])
            .await?
            .map(|[sid]| sid.parse())
            .transpose()
    }

    /// The workspace of a workflow.
    pub async fn workspace_of_workflow(&self, workflow: WorkflowSid) -> Result<Option<WorkspaceSid>, Error> {
        let sql = "SELECT workspace_sid FROM workflows WHERE sid = $1 \
                   AND workspace_sid IN (SELECT sid FROM workspaces)";
        self.lookup(sql, &workflow.to_string(), "workflows", ["workspace_sid"])
            .await?
            .map(|[sid]| sid.parse())
            .transpose()
    }

    /// The workspace of a task.
    pub async fn workspace_of_task(&self, task: TaskSid) -> Result<Option<WorkspaceSid>, Error> {
        let sql = "SELECT workspace_sid FROM tasks WHERE sid = $1 \
                   AND workspace_sid IN (SELECT sid FROM workspaces)";
        self.lookup(sql, &task.to_string(), "tasks", ["workspace_sid"]).await?.map(|[sid]| sid.parse()).transpose()
    }

    /// Workspace, task and worker of a reservation.
    pub async fn workspace_of_reservation(
        &self,
        reservation: ReservationSid,
    ) -> Result<Option<(WorkspaceSid, TaskSid, WorkerSid)>, Error> {
        let sql = "SELECT workspace_sid, task_sid, worker_sid FROM reservations WHERE sid = $1 \
                   AND workspace_sid IN (SELECT sid FROM workspaces)";
        let columns = ["workspace_sid", "task_sid", "worker_sid"];
        let found = self.lookup(sql, &reservation.to_string(), "reservations", columns).await?;
        found.map(|[workspace, task, worker]| Ok((workspace.parse()?, task.parse()?, worker.parse()?))).transpose()
    }

    /// The calls core's state of a task.
    pub async fn voice_task(&self, task: TaskSid) -> Result<Option<VoiceTaskRow>, Error> {
        let mut connection = self.read_pool().acquire().await?;
        let live = "WHERE task_sid = $1 AND workspace_sid IN (SELECT sid FROM workspaces)";
        Ok(select(&mut connection, live, Some(&task.to_string())).await?.pop())
    }

    /// The newest task that was made from a call.
    pub async fn voice_task_by_call(&self, call: &str) -> Result<Option<VoiceTaskRow>, Error> {
        let mut connection = self.read_pool().acquire().await?;
        // SIDs begin with the time of creation.
        let newest = "WHERE call_sid = $1 AND workspace_sid IN (SELECT sid FROM workspaces) \
                      ORDER BY task_sid DESC LIMIT 1";
        Ok(select(&mut connection, newest, Some(call)).await?.pop())
    }

    /// The task channel that a worker channel of the workspace is about.
    pub async fn channel_of_worker_channel(
        &self,
        workspace: WorkspaceSid,
        sid: WorkerChannelSid,
    ) -> Result<Option<TaskChannelSid>, Error> {
        let sql = "SELECT workspace_sid, task_channel_sid FROM worker_channels WHERE sid = $1";
        let columns = ["workspace_sid", "task_channel_sid"];
        match self.lookup(sql, &sid.to_string(), "worker_channels", columns).await? {
            Some([of, channel]) if of.parse::<WorkspaceSid>()? == workspace => Ok(Some(channel.parse()?)),
            _ => Ok(None),
        }
    }

    /// Workflows of the workspace with that name.
    pub async fn workflows_named(&self, workspace: WorkspaceSid, name: &str) -> Result<Vec<WorkflowSid>, Error> {
        let sql = "SELECT sid FROM workflows WHERE workspace_sid = $1 AND friendly_name = $2";
        self.named(sql, workspace, name, "workflows").await
    }

    /// Task queues of the workspace with that name.
    pub async fn task_queues_named(&self, workspace: WorkspaceSid, name: &str) -> Result<Vec<TaskQueueSid>, Error> {
        let sql = "SELECT sid FROM task_queues WHERE workspace_sid = $1 AND friendly_name = $2";
        self.named(sql, workspace, name, "task_queues").await
    }

    /// Activities of the workspace with that name.
    pub async fn activities_named(&self, workspace: WorkspaceSid, name: &str) -> Result<Vec<ActivitySid>, Error> {
        let sql = "SELECT sid FROM activities WHERE workspace_sid = $1 AND friendly_name = $2";
        self.named(sql, workspace, name, "activities").await
    }

    async fn named<S: FromStr>(
        &self,
        sql: &'static str,
        workspace: WorkspaceSid,
        name: &str,
        table: &'static str,
    ) -> Result<Vec<S>, Error> {
        let query = sqlx::query(sql).bind(workspace.to_string()).bind(name.to_owned());
        let rows = query.fetch_all(self.read_pool()).await?;
        let read = |row: &SqliteRow| {
            let text: String = row.try_get(0)?;
            let cell = Cell { table, column: "sid", row: text.clone(), text };
            cell.parse()
        };
        rows.iter().map(read).collect()
    }

    async fn lookup<const N: usize>(
        &self,
        sql: &'static str,
        key: &str,
        table: &'static str,
        columns: [&'static str; N],
    ) -> Result<Option<[Cell; N]>, Error> {
        let Some(row) = sqlx::query(sql).bind(key.to_owned()).fetch_optional(self.read_pool()).await? else {
            return Ok(None);
        };
        let mut cells = columns.map(|column| Cell { table, column, row: key.to_owned(), text: String::new() });
        for (index, cell) in cells.iter_mut().enumerate() {
            match row.try_get(index) {
                Ok(text) => cell.text = text,
                Err(_) => return Err(cell.inconsistent()),
            }
        }
        Ok(Some(cells))
    }
}

/// A text and where it was read.
struct Cell {
    table: &'static str,
    column: &'static str,
    row: String,
    text: String,
}

impl Cell {
    fn inconsistent(&self) -> Error {
        Error::Inconsistent { table: self.table, column: self.column, row: self.row.clone() }
    }

    fn parse<T: FromStr>(&self) -> Result<T, Error> {
        self.text.parse().map_err(|_| self.inconsistent())
    }
}
