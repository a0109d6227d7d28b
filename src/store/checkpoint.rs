//! Copies the write-ahead log into the database file beside the writer, so that commits do not wait for it.
//!
//! A connection and a thread of its own do the bulk; the writer then copies the little that was committed meanwhile,
//! which lets the log begin anew. SQLite's own checkpoints are off, because they would hide a failed fsync. Start with
//! [`Checkpointer`].

use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode, ffi};

/// Copies what no reader still needs, waits for nobody.
const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Copies what is in the log when this is called.
pub(super) fn copy(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row(COPY, [], |_| Ok(()))
}

/// The connection that copies, or the copying that is under way.
#[derive(Debug)]
pub(super) enum Checkpointer {
    /// Nothing is being copied.
    Idle(Connection),
    /// A copy is being made.
    Copying(JoinHandle<(Connection, rusqlite::Result<()>)>),
    /// Another process copies, or the connection is gone.
    Absent,
}

impl Checkpointer {
    /// Begins a copy unless one is being made.
    pub(super) fn begin(&mut self) {
        *self = match std::mem::replace(self, Self::Absent) {
            Self::Idle(connection) => Self::Copying(std::thread::spawn(move || {
                let outcome = copy(&connection);
                (connection, outcome)
            })),
            other => other,
        };
    }

    /// How the copy went that has ended since the last call, if any.
    pub(super) fn ended(&mut self) -> Option<rusqlite::Result<()>> {
        match self {
            Self::Copying(copying) if copying.is_finished() => self.wait(),
            _ => None,
        }
    }

    fn wait(&mut self) -> Option<rusqlite::Result<()>> {
        let Self::Copying(copying) = std::mem::replace(self, Self::Absent) else { return None };
        Some(match copying.join() {
            Ok((connection, outcome)) => {
                *self = Self::Idle(connection);
                outcome
            }
            Err(_) => Err(rusqlite::Error::SqliteFailure(
                ffi::Error { code: ErrorCode::SystemIoFailure, extended_code: ffi::SQLITE_IOERR },
                Some("the copying of the log failed".to_owned()),
            )),
        })
    }

    /// Waits for the copy that is being made and closes the connection; a failed copy left all in the log.
    pub(super) fn close(mut self) -> rusqlite::Result<()> {
        let outcome = self.wait().unwrap_or(Ok(()));
        if let Self::Idle(connection) = self {
            connection.close().map_err(|(_, error)| error)?;
        }
        outcome
    }
}
