//! Calendars and entry points: resources of a workspace that the routing core does not know.
//!
//! Each write is one statement that names the version it was made for, so that of two at once one is told that it came too
//! late. It must not know what a document says. Start with [`Store::create_entry`].

use super::pages::{Direction, List, Select, Span};
use super::statements::Value;
use super::views::EntryView;
use super::work::{Update, Work};
use super::{Error, Store};
use crate::routing::{Timestamp, WorkspaceSid};

/// Which kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Opening hours.
    Calendar,
    /// What a number leads to.
    EntryPoint,
}

impl EntryKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Calendar => "calendar",
            Self::EntryPoint => "entry_point",
        }
    }
}

/// A resource as it is to be.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its SID.
    pub sid: String,
    /// Where it is.
    pub workspace: WorkspaceSid,
    /// What it is.
    pub kind: EntryKind,
    /// Unique among those of its kind.
    pub friendly_name: String,
    /// JSON object.
    pub document: String,
    /// The calendar it follows.
    pub calendar: Option<String>,
    /// When it is written.
    pub at: Timestamp,
}

impl Store {
    /// Writes a new resource, version 0, unless there are `most` of its kind, its name is taken or its workspace is gone;
    /// tells whether it did.
    pub async fn create_entry(&self, entry: Entry, most: u32) -> Result<bool, Error> {
        let sql = "INSERT INTO entry_resources \
            (sid, workspace_sid, kind, friendly_name, document, calendar_sid, version, created_at, updated_at) \
            SELECT $1, $2, $3, $4, $5, $6, 0, $7, $7 \
            WHERE EXISTS (SELECT 1 FROM workspaces WHERE sid = $2) \
            AND NOT EXISTS (SELECT 1 FROM entry_resources WHERE workspace_sid = $2 AND kind = $3 AND friendly_name = $4) \
            AND ($6 IS NULL OR EXISTS (SELECT 1 FROM entry_resources WHERE sid = $6 AND workspace_sid = $2)) \
            AND (SELECT count(*) FROM entry_resources WHERE workspace_sid = $2 AND kind = $3) < $8";
        let values = vec![
            entry.sid.into(),
            Value::of(entry.workspace),
            entry.kind.as_str().to_owned().into(),
            entry.friendly_name.into(),
            entry.document.into(),
            entry.calendar.into(),
            entry.at.into(),
            most.into(),
        ];
        self.write_if(Update { sql, values }).await
    }

    /// Writes a resource again, if it still has this version and nobody else has its name; tells whether it did.
    pub async fn update_entry(&self, entry: Entry, version: i64) -> Result<bool, Error> {
        // Numbered in the order in which they stand: that is how they are bound.
        let sql = "UPDATE entry_resources SET friendly_name = $1, document = $2, calendar_sid = $3, updated_at = $4, \
            version = version + 1 WHERE sid = $5 AND workspace_sid = $6 AND kind = $7 AND version = $8 \
            AND NOT EXISTS (SELECT 1 FROM entry_resources o WHERE o.workspace_sid = $6 AND o.kind = $7 \
                AND o.friendly_name = $1 AND o.sid <> $5) \
            AND ($3 IS NULL OR EXISTS (SELECT 1 FROM entry_resources c WHERE c.sid = $3 AND c.workspace_sid = $6))";
        let values = vec![
            entry.friendly_name.into(),
            entry.document.into(),
            entry.calendar.into(),
            entry.at.into(),
            entry.sid.into(),
            Value::of(entry.workspace),
            entry.kind.as_str().to_owned().into(),
            version.into(),
        ];
        self.write_if(Update { sql, values }).await
    }

    /// Removes a resource, if it still has this version and no entry point follows it; tells whether it did.
    pub async fn delete_entry(&self, workspace: WorkspaceSid, sid: &str, version: i64) -> Result<bool, Error> {
        let sql = "DELETE FROM entry_resources WHERE sid = $1 AND workspace_sid = $2 AND version = $3 \
            AND NOT EXISTS (SELECT 1 FROM entry_resources o WHERE o.calendar_sid = $1)";
        let values = vec![sid.to_owned().into(), Value::of(workspace), version.into()];
        self.write_if(Update { sql, values }).await
    }

    /// One resource of a workspace.
    pub async fn entry(&self, workspace: WorkspaceSid, kind: EntryKind, sid: &str) -> Result<Option<EntryView>, Error> {
        let select = Select::new().filter("y.sid = ?", sid).filter("+y.workspace_sid = ?", workspace);
        select.filter("+y.kind = ?", kind.as_str()).optional(self.read_pool()).await
    }

    /// One resource, wherever it is, for callers that hold only its SID; not one that a deleted workspace has left.
    pub async fn entry_anywhere(&self, kind: EntryKind, sid: &str) -> Result<Option<EntryView>, Error> {
        let live = "+y.kind = ? AND y.workspace_sid IN (SELECT sid FROM workspaces)";
        Select::new().filter("y.sid = ?", sid).filter(live, kind.as_str()).optional(self.read_pool()).await
    }

    /// Resources of a workspace, oldest first.
    pub async fn entries(
        &self,
        workspace: WorkspaceSid,
        kind: EntryKind,
        friendly_name: Option<&str>,
        span: Span,
    ) -> Result<List<EntryView>, Error> {
        let select = Select::new().filter("y.workspace_sid = ?", workspace).filter("y.kind = ?", kind.as_str());
        let select = select.filter_some("y.friendly_name = ?", friendly_name);
        select.order("y.created_at", Direction::Ascending).page(self.read_pool(), span).await
    }

    /// How many resources of its kind a workspace has.
    pub async fn entry_count(&self, workspace: WorkspaceSid, kind: EntryKind) -> Result<u32, Error> {
        let sql = "SELECT count(*) FROM entry_resources WHERE workspace_sid = $1 AND kind = $2";
        let count: i64 =
            sqlx::query_scalar(sql).bind(workspace.to_string()).bind(kind.as_str()).fetch_one(self.read_pool()).await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Who follows a calendar, one of them.
    pub async fn follower_of(&self, workspace: WorkspaceSid, calendar: &str) -> Result<Option<EntryView>, Error> {
        let select = Select::new().filter("y.calendar_sid = ?", calendar).filter("+y.workspace_sid = ?", workspace);
        Ok(select.rows(self.read_pool(), 1).await?.pop())
    }

    async fn write_if(&self, condition: Update) -> Result<bool, Error> {
        match self.write(Work { condition: Some(condition), ..Work::default() }).await {
            Ok(()) => Ok(true),
            Err(Error::Overtaken) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
