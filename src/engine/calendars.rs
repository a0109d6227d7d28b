//! Calendars for the routing core, which expressions of workflows name: read once from their documents, told to the workspace
//! at its start and after each change.
//!
//! They are rows beside the workspace's own and are written directly; what a workspace was told of last is what was
//! written last, because one change is written and told before the next. Start with [`Engine::change_calendar`].

use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::actor::Call;
use super::{Engine, Error, Request, StoreError};
use crate::entry::{Calendar, CalendarDocument};
use crate::routing::{CalendarSid, Command, NamedHours, Reply, WorkspaceSid};
use crate::store::CalendarRow;

/// What a stored calendar says; none when it cannot be understood, for instance because its time zone is not known here.
pub(super) fn read(row: &CalendarRow) -> Option<NamedHours> {
    let document: CalendarDocument = serde_json::from_str(&row.document).ok()?;
    let hours = Calendar::read(&document).ok()?;
    Some(NamedHours { name: row.friendly_name.clone(), hours: Arc::new(hours) })
}

impl Engine {
    /// Carries out `write`, which makes a calendar what `row` says (or removes it), and tells the workspace if it did;
    /// whoever waits for the calendar to open has been looked at when this returns.
    ///
    /// Runs in a task of its own: a caller who goes away must not leave a workspace that has not heard of it.
    pub async fn change_calendar(
        &self,
        workspace: WorkspaceSid,
        calendar: CalendarSid,
        row: Option<CalendarRow>,
        write: impl Future<Output = Result<bool, StoreError>> + Send + 'static,
    ) -> Result<bool, StoreError> {
        let engine = self.clone();
        let changed = self.0.tracker.spawn(async move {
            let _one_after_the_other = engine.0.calendars.lock().await;
            let is_written = write.await?;
            if is_written {
                let hours = row.as_ref().and_then(read);
                // A workspace that fails meanwhile is loaded again with what is on disk by then; one that is gone needs to
                // know nothing.
                let _ = engine.tell(workspace, Command::SetCalendar { calendar, hours }).await;
            }
            Ok(is_written)
        });
        changed.await.unwrap_or_else(|_| Err(StoreError::unavailable("a change of a calendar was cut off")))
    }

    /// Has a workspace carry something out however many requests wait for it.
    pub(super) async fn tell(&self, workspace: WorkspaceSid, command: Command) -> Result<Reply, Error> {
        let sender = self.sender(workspace)?;
        let (reply, outcome) = oneshot::channel();
        let request = Box::new(Request::Routing(command));
        let call = Call::Change { request, reply, span: tracing::Span::current(), key: None };
        sender.send(call).await.map_err(|_| Error::Unavailable)?;
        outcome.await.unwrap_or(Err(Error::Unavailable))
    }
}
