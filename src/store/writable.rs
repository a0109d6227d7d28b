//! Whether the database can be written: how the last write went, and how much room the disk has.
//!
//! Once a write failed nobody has to try: a write of nothing new is made every second until one reaches the disk. It must not
//! decide what follows for others. Start with [`LastWrite`].

use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::Error;
use super::work::Work;
use super::writer::Request;

/// Pause between attempts to write after a failed one.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// Free space of the file system, in percent, below which the database counts as not writable.
const FREE_MIN_PERCENT: u64 = 5;

/// Why the last write failed; nothing once one has reached the disk.
#[derive(Debug)]
pub(super) struct LastWrite(watch::Sender<Option<Error>>);

/// What the others know of it.
pub(super) type LastWriteSeen = watch::Receiver<Option<Error>>;

impl LastWrite {
    pub(super) fn new() -> (Self, LastWriteSeen) {
        let (told, seen) = watch::channel(None);
        metrics::gauge!("taskrouter_store_refuses_writes").set(0.0);
        (Self(told), seen)
    }

    /// Something was written.
    pub(super) fn reached_the_disk(&self) {
        if self.0.send_if_modified(|problem| problem.take().is_some()) {
            tracing::info!("the database takes writes again");
            metrics::gauge!("taskrouter_store_refuses_writes").set(0.0);
        }
    }

    /// Something was not written.
    pub(super) fn failed(&self, error: &Error) {
        if self.0.send_replace(Some(error.clone())).is_none() {
            tracing::error!(%error, "the database takes no writes, trying again every second");
        }
        metrics::gauge!("taskrouter_store_refuses_writes").set(1.0);
    }
}

/// Has something written every now and then while the last write failed; ends with the writer.
pub(super) async fn probe(mut last_write: LastWriteSeen, requests: mpsc::WeakSender<Request>) {
    while last_write.wait_for(Option::is_some).await.is_ok() {
        tokio::time::sleep(PROBE_PAUSE).await;
        let Some(requests) = requests.upgrade() else { return };
        let (answer, outcome) = oneshot::channel();
        if requests.send(Request { work: Work::probing(), answer }).await.is_err() {
            return;
        }
        drop(requests);
        // Whatever it came to was noted by the writer.
        let _ = outcome.await;
    }
}

/// Whether the file system of `path` has room left; one that does not tell counts as having some.
pub(super) fn has_room(path: &Path) -> Result<(), Error> {
    let Ok(system) = rustix::fs::statvfs(path) else { return Ok(()) };
    let percent = percent_free(system.f_bavail, system.f_blocks);
    #[expect(clippy::cast_precision_loss, reason = "at most 100")]
    metrics::gauge!("taskrouter_disk_free_percent").set(percent as f64);
    if percent < FREE_MIN_PERCENT {
        return Err(Error::unavailable(format!("less than {FREE_MIN_PERCENT} % of the disk are free")));
    }
    Ok(())
}

/// Rounded down; a file system that counts no blocks is all free.
fn percent_free(available: u64, blocks: u64) -> u64 {
    if blocks == 0 { 100 } else { u64::try_from(u128::from(available) * 100 / u128::from(blocks)).unwrap_or(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_told_in_percent_rounded_down() {
        for (available, blocks, percent) in
            [(0, 0, 100), (0, 7, 0), (499, 10_000, 4), (500, 10_000, 5), (u64::MAX, u64::MAX, 100)]
        {
            assert_eq!(percent_free(available, blocks), percent, "{available} of {blocks}");
        }
    }
}
