//! The SQLite database: opening it safely, its connections, handing work to the writer.
//!
//! Write-ahead log, `synchronous=FULL`, foreign keys on; one connection writes, several read. It must not know records.
//! Start with [`SqliteStore::open`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::OpenFlags;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::checkpoint::Checkpointer;
use super::files::{DatabaseFile, ProcessLock};
use super::secrets::{KeySource, Secrets, SecretsReport};
use super::work::Work;
use super::writable::{self, LastWrite, LastWriteSeen};
use super::writer::{Condition, Kept, MAX_WORKS, Request, Writer};
use super::{Error, migrations};
use crate::clock::Clock;

/// Connections of the read pool.
const READ_CONNECTIONS: u32 = 4;
/// How long a statement waits for another process that is writing.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that the writer keeps prepared.
const STATEMENTS_KEPT: usize = 256;
/// How long a read waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A SQLite database with one writer and several readers.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    path: Arc<Path>,
    requests: mpsc::Sender<Request>,
    reads: SqlitePool,
    closing: CancellationToken,
    condition: watch::Receiver<Condition>,
    last_write: LastWriteSeen,
    secrets: Arc<Secrets>,
}

impl SqliteStore {
    /// Opens the database of `url` as its server: takes the process lock and brings the schema up to date.
    pub(super) async fn open(url: &str, keys: KeySource) -> Result<Self, Error> {
        let (file, lock) = locked_file(url).await?;
        bring_up_to_date(&file.path).await?;
        let secrets = prepare_secrets(&file.path, keys).await?;
        Self::start(file, Some(lock), secrets).await
    }

    /// Opens the database of `url` beside a server. Brings the schema up to date only while no server runs.
    pub(super) async fn open_shared(url: &str, keys: KeySource) -> Result<Self, Error> {
        let file = off_async(url.to_owned(), |url| DatabaseFile::of_url(&url)).await?;
        let mut connection = write_options(&file.path).connect().await?;
        let pending = migrations::pending(&mut connection).await?;
        let mut lock = None;
        if !pending.is_empty() {
            lock = Some(off_async(file.path.clone(), |path| ProcessLock::take(&path)).await?);
            migrations::apply(&mut connection).await?;
        }
        connection.close().await?;
        // Given back at once: the database stays free for a server.
        drop(lock);
        let secrets = prepare_secrets(&file.path, keys).await?;
        Self::start(file, None, secrets).await
    }

    /// Encrypts all secrets with the first key, while no server runs.
    pub(super) async fn reencrypt(url: &str, keys: KeySource) -> Result<(u64, SecretsReport), Error> {
        let (file, _lock) = locked_file(url).await?;
        bring_up_to_date(&file.path).await?;
        let secrets = prepare_secrets(&file.path, keys).await?;
        let mut connection = write_options(&file.path).connect().await?;
        let changed = secrets.reencrypt(&mut connection).await?;
        let report = secrets.report(&mut connection).await?;
        connection.close().await?;
        Ok((changed, report))
    }

    /// Brings the schema up to date and returns the names of the migrations that were applied.
    pub(super) async fn migrate(url: &str) -> Result<Vec<String>, Error> {
        let (file, _lock) = locked_file(url).await?;
        bring_up_to_date(&file.path).await
    }

    async fn start(file: DatabaseFile, lock: Option<ProcessLock>, secrets: Arc<Secrets>) -> Result<Self, Error> {
        let connection = off_async(file.path.clone(), |path| connect(&path)).await?;
        // Without the lock, another process may serve the database and copies its log.
        let checkpointer = match &lock {
            Some(_) => Checkpointer::Idle(off_async(file.path.clone(), |path| connect(&path)).await?),
            None => Checkpointer::Absent,
        };
        let reads = SqlitePoolOptions::new()
            .max_connections(READ_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(read_options(&file.path))
            .await?;
        let path = Arc::from(file.path.as_path());
        let (requests, queue) = mpsc::channel(MAX_WORKS);
        let (told, condition) = watch::channel(Condition::Open);
        let (note, last_write) = LastWrite::new();
        let closing = CancellationToken::new();
        let writer = Writer {
            connection,
            requests: queue,
            closing: closing.clone(),
            condition: told,
            last_write: note,
            checkpointer,
            clock: Clock::system(),
            kept: Kept { _lock: lock, _temporary: file.temporary },
        };
        let runtime = Handle::current();
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&runtime))
            .map_err(|error| Error::unavailable(format!("no thread for the writer: {error}")))?;
        tokio::spawn(writable::probe(last_write.clone(), requests.downgrade()));
        Ok(Self { path, requests, reads, closing, condition, last_write, secrets })
    }

    pub(super) fn path(&self) -> Arc<Path> {
        Arc::clone(&self.path)
    }

    pub(super) const fn secrets(&self) -> &Arc<Secrets> {
        &self.secrets
    }

    pub(super) const fn read_pool(&self) -> &SqlitePool {
        &self.reads
    }

    /// Hands `work` to the writer and waits until it is on disk. Waits for room when the queue is full.
    pub(super) async fn write(&self, work: Work) -> Result<(), Error> {
        let (answer, outcome) = oneshot::channel();
        self.requests.send(Request { work, answer }).await.map_err(|_| self.gone())?;
        outcome.await.map_err(|_| self.gone())?
    }

    /// Resolves once the last write is one that reached the disk; never, if the writer ends before.
    pub(super) async fn takes_writes(&self) {
        if self.last_write.clone().wait_for(Option::is_none).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the file system has room left.
    pub(super) async fn has_room(&self) -> Result<(), Error> {
        off_async(self.path(), |path| writable::has_room(&path)).await
    }

    /// Runs an empty transaction behind what is queued; busy at once when the queue is full. That takes no room on the disk,
    /// so what is known of that counts first.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        if let Some(error) = self.last_write.borrow().clone() {
            return Err(error);
        }
        self.has_room().await?;
        let (answer, outcome) = oneshot::channel();
        self.requests.try_send(Request { work: Work::default(), answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => self.gone(),
        })?;
        outcome.await.map_err(|_| self.gone())?
    }

    fn gone(&self) -> Error {
        Error::unavailable(match *self.condition.borrow() {
            Condition::Failed => "a write to disk failed",
            Condition::Open | Condition::Closed => "the store is closed",
        })
    }

    /// Resolves once no more writes are taken.
    pub(super) async fn ended(&self) {
        // An error means that the writer is gone without a word, which is an end as well.
        let _ = self.condition.clone().wait_for(|condition| *condition != Condition::Open).await;
    }

    /// Writes what is queued, then ends the writer and gives the lock back.
    pub(super) async fn close(&self) {
        // Readers first: the last connection to go puts the log into the database file.
        self.reads.close().await;
        self.closing.cancel();
        self.ended().await;
    }
}

async fn locked_file(url: &str) -> Result<(DatabaseFile, ProcessLock), Error> {
    off_async(url.to_owned(), |url| {
        let file = DatabaseFile::of_url(&url)?;
        let lock = ProcessLock::take(&file.path)?;
        Ok((file, lock))
    })
    .await
}

/// Runs a few blocking system calls off the async threads.
pub(super) async fn off_async<A: Send + 'static, T: Send + 'static>(
    argument: A,
    calls: impl FnOnce(A) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(move || calls(argument))
        .await
        .unwrap_or_else(|_| Err(Error::unavailable("the process is ending")))
}

async fn bring_up_to_date(path: &Path) -> Result<Vec<String>, Error> {
    let mut connection = write_options(path).connect().await?;
    let applied = migrations::apply(&mut connection).await?;
    connection.close().await?;
    Ok(applied)
}

async fn prepare_secrets(path: &Path, keys: KeySource) -> Result<Arc<Secrets>, Error> {
    let mut connection = write_options(path).connect().await?;
    let secrets = Secrets::prepare(&mut connection, path, keys).await?;
    connection.close().await?;
    Ok(Arc::new(secrets))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

pub(super) fn write_options(path: &Path) -> SqliteConnectOptions {
    options(path).journal_mode(SqliteJournalMode::Wal).pragma("wal_autocheckpoint", "0")
}

/// A connection for the writer's thread.
fn connect(path: &Path) -> Result<rusqlite::Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // Statements of several rows keep what they would have to undo; a file for that would be made at every other commit.
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

fn read_options(path: &Path) -> SqliteConnectOptions {
    options(path).pragma("query_only", "ON")
}
