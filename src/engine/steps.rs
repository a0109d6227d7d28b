//! What the log says of a commit: which task, worker and reservation made which step (`quality.md` 4.2).
//!
//! One line for each event at level debug, within the span of its commit; SIDs and types only, never attributes or numbers
//! of callers. Start with [`Steps::of`].

use tracing::{Level, Span, debug, enabled, info_span};

use crate::routing::{EventRecord, WorkspaceSid};

/// Lines that wait for their commit; none unless somebody reads them.
#[derive(Debug)]
pub(super) struct Steps(Vec<EventRecord>);

impl Steps {
    /// Takes note of what is about to be written.
    pub(super) fn of(events: &[EventRecord]) -> Self {
        Self(if enabled!(Level::DEBUG) { events.to_vec() } else { Vec::new() })
    }

    /// They are on disk.
    pub(super) fn tell(self) {
        for event in self.0 {
            let about = event.about;
            let text = |sid: Option<String>| sid.unwrap_or_default();
            debug!(
                event.sid = %event.sid,
                event.sequence,
                task.sid = text(about.task.map(|sid| sid.to_string())),
                reservation.sid = text(about.reservation.map(|sid| sid.to_string())),
                worker.sid = text(about.worker.map(|sid| sid.to_string())),
                task_queue.sid = text(about.queue.map(|sid| sid.to_string())),
                "{}",
                event.kind.as_str()
            );
        }
    }
}

/// The span of one commit: within that of the request that it answers, or following from those of several.
pub(super) fn commit_span(workspace: WorkspaceSid, asked: &[Span]) -> Span {
    if let [request] = asked {
        return info_span!(parent: request, "commit", workspace.sid = %workspace, requests = 1);
    }
    let span = info_span!(parent: None, "commit", workspace.sid = %workspace, requests = asked.len());
    for request in asked {
        span.follows_from(request);
    }
    span
}
