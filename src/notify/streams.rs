//! Wakes those who read a workspace's event log as it grows, and bounds how many they are.
//!
//! Nothing is copied for them: they are told the newest number and read the log themselves. Start with
//! [`EventStreams`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::Witness;
use crate::routing::{ApiKeySid, EventRecord, Timestamp, Workspace, WorkspaceSid};

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
    /// Readers who came with an API key.
    keys: Mutex<BTreeMap<ApiKeySid, OfKey>>,
    stop: CancellationToken,
}

/// The readers who came with one API key.
#[derive(Debug)]
struct OfKey {
    readers: usize,
    stop: CancellationToken,
}

/// A reader's place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    streams: EventStreams,
    workspace: WorkspaceSid,
    key: Option<ApiKeySid>,
    /// The newest number since somebody reads.
    pub(crate) newest: watch::Receiver<u64>,
    /// The server stops, or the key is revoked.
    pub(crate) stop: CancellationToken,
}

impl EventStreams {
    /// A place for one more reader, who came with `key` or with an account's auth token; `None` when there are too many.
    pub(crate) fn open(&self, workspace: WorkspaceSid, key: Option<ApiKeySid>) -> Option<Reader> {
        let mut logs = self.0.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = logs.values().map(watch::Sender::receiver_count).sum();
        let own = logs.get(&workspace).map_or(0, watch::Sender::receiver_count);
        if all >= MAX || own >= OF_WORKSPACE_MAX || self.0.stop.is_cancelled() {
            return None;
        }
        let newest = logs.entry(workspace).or_insert_with(|| watch::Sender::new(0)).subscribe();
        let stop = key.map_or_else(|| self.0.stop.clone(), |key| self.entered(key));
        Some(Reader { streams: self.clone(), workspace, key, newest, stop })
    }

    /// Counts a reader with this key; what ends it.
    fn entered(&self, key: ApiKeySid) -> CancellationToken {
        let mut keys = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let of_key = keys.entry(key).or_insert_with(|| OfKey { readers: 0, stop: self.0.stop.child_token() });
        of_key.readers += 1;
        of_key.stop.clone()
    }

    /// API keys with which readers came.
    pub(super) fn keys(&self) -> BTreeSet<ApiKeySid> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Ends the readers who came with a key that is revoked.
    pub(super) fn close_those_of(&self, key: ApiKeySid) {
        if let Some(of_key) = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            of_key.stop.cancel();
        }
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
        drop(logs);
        let Some(key) = self.key else { return };
        let mut keys = self.streams.0.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_key) = keys.get_mut(&key) {
            of_key.readers -= 1;
            if of_key.readers == 0 {
                keys.remove(&key);
            }
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
        let open = || streams.open(workspace, None);
        let mut readers: Vec<Reader> = (0..OF_WORKSPACE_MAX).map(|_| open().unwrap()).collect();
        assert!(open().is_none());
        assert!(streams.open(WorkspaceSid::from_bits(2), None).is_some(), "others have room");
        readers.pop();
        assert!(open().is_some());
        drop(readers);
        assert!(streams.0.logs.lock().unwrap().is_empty());
        streams.close_all();
        assert!(streams.open(workspace, None).is_none());
    }

    #[test]
    fn a_key_that_is_revoked_ends_its_own_readers_only() {
        let streams = EventStreams::default();
        let open = |key: Option<u128>| streams.open(WorkspaceSid::from_bits(1), key.map(ApiKeySid::from_bits)).unwrap();
        let (first, again, other, with_token) = (open(Some(1)), open(Some(1)), open(Some(2)), open(None));
        assert_eq!(streams.keys(), [1, 2].map(ApiKeySid::from_bits).into());
        drop(again);
        streams.close_those_of(ApiKeySid::from_bits(1));
        let ended = [&first, &other, &with_token].map(|reader| reader.stop.is_cancelled());
        assert_eq!(ended, [true, false, false]);
        drop((first, other));
        assert_eq!(streams.keys(), BTreeSet::new());
        streams.close_all();
        assert!(with_token.stop.is_cancelled());
    }
}
