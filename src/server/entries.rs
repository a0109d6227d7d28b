//! Brings the calendars and entry points of a file into the database, at the start.
//!
//! What has the same name is changed, what is not there is made, what the file does not name stays. Start with [`apply`].

use crate::clock::{Clock, Entropy};
use crate::entry::{ENTRIES_MAX, EntryFile};
use crate::routing::{CalendarSid, EntryPointSid, WorkflowSid, WorkspaceSid};
use crate::store::pages::{Seek, Span};
use crate::store::views::EntryView;
use crate::store::{self, Entry, EntryKind, Store};

/// The file does not fit what is there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// An entry names something that is not there, or finds no room.
    #[error("{key}: {reason}")]
    Entry {
        /// Where in the file.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

/// Writes what the file says.
pub(super) async fn apply(file: &EntryFile, store: &Store, clock: &Clock) -> Result<(), Error> {
    for (index, calendar) in file.calendars.iter().enumerate() {
        let key = format!("calendars[{index}]");
        check_workspace(store, calendar.workspace, &key).await?;
        let document = serde_json::to_string(&calendar.document()).unwrap_or_default();
        let wanted = Wanted {
            workspace: calendar.workspace,
            kind: EntryKind::Calendar,
            friendly_name: &calendar.friendly_name,
            document,
            calendar: None,
        };
        wanted.write(store, clock, &key).await?;
    }
    for (index, point) in file.entry_points.iter().enumerate() {
        let key = format!("entry_points[{index}]");
        check_workspace(store, point.workspace, &key).await?;
        check_workflow(store, point.workspace, point.workflow, &format!("{key}.workflow")).await?;
        if let Some(workflow) = point.voicemail_workflow {
            check_workflow(store, point.workspace, workflow, &format!("{key}.voicemail_workflow")).await?;
        }
        let calendar = match &point.calendar {
            Some(name) => named(store, point.workspace, EntryKind::Calendar, name).await?.map(|row| row.sid),
            None => None,
        };
        let document = serde_json::to_string(&point.document(calendar.clone())).unwrap_or_default();
        let wanted = Wanted {
            workspace: point.workspace,
            kind: EntryKind::EntryPoint,
            friendly_name: &point.friendly_name,
            document,
            calendar,
        };
        wanted.write(store, clock, &key).await?;
    }
    Ok(())
}

/// One resource as it is to be.
struct Wanted<'a> {
    workspace: WorkspaceSid,
    kind: EntryKind,
    friendly_name: &'a str,
    document: String,
    calendar: Option<String>,
}

impl Wanted<'_> {
    async fn write(self, store: &Store, clock: &Clock, key: &str) -> Result<(), Error> {
        let before = named(store, self.workspace, self.kind, self.friendly_name).await?;
        if before.as_ref().is_some_and(|row| row.document == self.document) {
            return Ok(());
        }
        let at = clock.now();
        let sid = match (&before, self.kind) {
            (Some(row), _) => row.sid.clone(),
            (None, EntryKind::Calendar) => CalendarSid::fresh(&mut Entropy, at).to_string(),
            (None, EntryKind::EntryPoint) => EntryPointSid::fresh(&mut Entropy, at).to_string(),
        };
        let entry = Entry {
            sid: sid.clone(),
            workspace: self.workspace,
            kind: self.kind,
            friendly_name: self.friendly_name.to_owned(),
            document: self.document,
            calendar: self.calendar,
            at,
        };
        let written = match &before {
            Some(row) => store.update_entry(entry, row.version).await?,
            None => store.create_entry(entry, ENTRIES_MAX).await?,
        };
        if !written {
            return Err(Error::Entry {
                key: key.to_owned(),
                reason: format!("a workspace holds at most {ENTRIES_MAX}"),
            });
        }
        tracing::info!(workspace.sid = %self.workspace, sid, key, "wrote what the file of entry points says");
        Ok(())
    }
}

async fn named(
    store: &Store,
    workspace: WorkspaceSid,
    kind: EntryKind,
    name: &str,
) -> Result<Option<EntryView>, store::Error> {
    let span = Span { seek: Seek::First, limit: 1 };
    let mut list = store.entries(workspace, kind, Some(name), span).await?;
    Ok(list.entries.pop().map(|entry| entry.row))
}

async fn check_workspace(store: &Store, workspace: WorkspaceSid, key: &str) -> Result<(), Error> {
    if store.account_of_workspace(workspace).await?.is_some() {
        return Ok(());
    }
    Err(Error::Entry { key: format!("{key}.workspace"), reason: format!("there is no workspace {workspace}") })
}

async fn check_workflow(store: &Store, workspace: WorkspaceSid, sid: WorkflowSid, key: &str) -> Result<(), Error> {
    if store.workspace_of_workflow(sid).await? == Some(workspace) {
        return Ok(());
    }
    Err(Error::Entry { key: key.to_owned(), reason: format!("there is no workflow {sid} in this workspace") })
}
