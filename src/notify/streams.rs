//! Wakes those who read a workspace's event log as it grows, and bounds how many they are.
//!
//! Nothing is copied for them: they are told the newest number and read the log themselves. Start with
//! [`EventStreams`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::Witness;
use crate::routing::{EventRecord, Timestamp, Workspace, WorkspaceSid};

/// Readers of one workspace.
const OF_WORKSPACE_MAX: usize = 50;
/// Readers in all.
const MAX: usize = 1_000;

/// All readers; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct EventStreams(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    logs: Mutex<HashMap<WorkspaceSid, watch::Sender<u64>>>,
    stop: CancellationToken,
}

/// A reader's place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    streams: EventStreams,
    workspace: WorkspaceSid,
    /// The newest number since somebody reads.
    pub(crate) newest: watch::Receiver<u64>,
    pub(crate) stop: CancellationToken,
}

impl EventStreams {
    /// A place for one more reader; `None` when there are too many.
    pub(crate) fn open(&self, workspace: WorkspaceSid) -> Option<Reader> {
        let mut logs = self.0.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = logs.values().map(watch::Sender::receiver_count).sum();
        let own = logs.get(&workspace).map_or(0, watch::Sender::receiver_count);
        if all >= MAX || own >= OF_WORKSPACE_MAX || self.0.stop.is_cancelled() {
            return None;
        }
        let newest = logs.entry(workspace).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Some(Reader { streams: self.clone(), workspace, newest, stop: self.0.stop.clone() })
    }

    /// Ends all.
    pub fn close_all(&self) {
        self.0.stop.cancel();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut logs = self.streams.0.logs.lock().unwrap_or_else(PoisonError::into_inner);
        // This reader is still counted.
        if logs.get(&self.workspace).is_some_and(|log| log.receiver_count() <= 1) {
            logs.remove(&self.workspace);
        }
    }
}

impl Witness for EventStreams {
    fn wants(&self, _: WorkspaceSid) -> bool {
        false
    }

    fn committed(&self, _: &Workspace, _: &[EventRecord], _: Timestamp) {}

    fn advanced(&self, workspace: &Workspace) {
        let settings = workspace.settings();
        let logs = self.0.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.get(&settings.sid) {
            log.send_replace(settings.last_sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_bounded_and_make_room_when_they_go() {
        let streams = EventStreams::default();
        let workspace = WorkspaceSid::from_bits(1);
        let mut readers: Vec<Reader> = (0..OF_WORKSPACE_MAX).map(|_| streams.open(workspace).unwrap()).collect();
        assert!(streams.open(workspace).is_none());
        assert!(streams.open(WorkspaceSid::from_bits(2)).is_some(), "others have room");
        readers.pop();
        assert!(streams.open(workspace).is_some());
        drop(readers);
        assert!(streams.0.logs.lock().unwrap().is_empty());
        streams.close_all();
        assert!(streams.open(workspace).is_none());
    }
}
