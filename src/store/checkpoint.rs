//! Copies the write-ahead log into the database file beside the writer, so that commits do not wait for it.
//!
//! A connection of its own does the bulk; the writer then copies the little that was committed meanwhile, which lets the
//! log begin anew. SQLite's own checkpoints are off, because they would hide a failed fsync. Start with
//! [`Checkpointer`].

use sqlx::sqlite::SqliteQueryResult;
use sqlx::{Connection as _, SqliteConnection};
use tokio::task::JoinHandle;

/// Copies what no reader still needs, waits for nobody.
const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Copies what is in the log when this is called.
pub(super) async fn copy(connection: &mut SqliteConnection) -> Result<SqliteQueryResult, sqlx::Error> {
    sqlx::raw_sql(COPY).execute(connection).await
}

/// The connection that copies, or the copying that is under way.
#[derive(Debug)]
pub(super) enum Checkpointer {
    /// Nothing is being copied.
    Idle(SqliteConnection),
    /// A copy is being made.
    Copying(JoinHandle<(SqliteConnection, Result<SqliteQueryResult, sqlx::Error>)>),
    /// Another process copies, or the connection is gone.
    Absent,
}

impl Checkpointer {
    /// Begins a copy unless one is being made.
    pub(super) fn begin(&mut self) {
        *self = match std::mem::replace(self, Self::Absent) {
            Self::Idle(mut connection) => Self::Copying(tokio::spawn(async move {
                let outcome = copy(&mut connection).await;
                (connection, outcome)
            })),
            other => other,
        };
    }

    /// How the copy went that has ended since the last call, if any.
    pub(super) async fn ended(&mut self) -> Option<Result<SqliteQueryResult, sqlx::Error>> {
        match self {
            Self::Copying(copying) if copying.is_finished() => {}
            _ => return None,
        }
        self.wait().await
    }

    async fn wait(&mut self) -> Option<Result<SqliteQueryResult, sqlx::Error>> {
        let Self::Copying(copying) = std::mem::replace(self, Self::Absent) else { return None };
        match copying.await {
            Ok((connection, outcome)) => {
                *self = Self::Idle(connection);
                Some(outcome)
            }
            Err(_) => Some(Err(sqlx::Error::WorkerCrashed)),
        }
    }

    /// Waits for the copy that is being made and closes the connection; a failed copy left all in the log.
    pub(super) async fn close(mut self) -> Result<(), sqlx::Error> {
        let outcome = match self {
            Self::Copying(_) => self.wait().await.unwrap_or(Ok(SqliteQueryResult::default())),
            _ => Ok(SqliteQueryResult::default()),
        };
        if let Self::Idle(connection) = self {
            connection.close().await?;
        }
        outcome.map(drop)
    }
}
