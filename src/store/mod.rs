//! Rows on disk: SQLite now, behind one [`Store`] type; it must not decide anything or call the network.
//!
//! Writes go to one writer task that puts everything that waits, of all workspaces, into one commit (`writer`); reads
//! use a pool of read-only connections. What statistics count is made of the events and written with them (`work`). SQL
//! is kept portable: `$1` placeholders, `ON CONFLICT … DO UPDATE`, values that are text, whole numbers or flags. Start
//! with [`Store`], then [`Batch`], then `writer`.

mod accounts;
mod api_keys;
mod batch;
mod checkpoint;
mod damage;
pub mod deliveries;
mod entries;
mod error;
mod fields;
mod files;
mod idempotency;
mod key_file;
pub mod lists;
mod load;
mod lookups;
mod migrations;
pub mod pages;
mod relays;
mod removals;
mod retention;
mod rows;
mod secrets;
mod sqlite;
mod statements;
pub mod statistics;
pub mod subscriptions;
#[cfg(test)]
mod tests;
pub mod views;
mod work;
mod writable;
mod writer;

pub use batch::{
    Account, Alert, ApiKey, Batch, CalendarRow, IdempotencyKey, IdempotentRequest, KeptAnswer, Loaded, OpenCallback,
    OutboxRow, RelayRow, VoiceRecord, VoiceTaskRow, Voicemail,
};
pub use entries::{Entry, EntryKind};
pub use error::Error;
pub use idempotency::IDEMPOTENT_REQUESTS_KEPT;
pub use secrets::{KeySource, SecretsReport};
pub use sqlite::SqliteStore;

use work::Work;

/// The database. Cheap to clone; all clones share one writer and one read pool.
#[derive(Clone, Debug)]
pub enum Store {
    /// One file on this machine.
    Sqlite(SqliteStore),
}

impl Store {
    /// Opens the database of `url` with the keys of the file beside it; see [`Store::open_with`].
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::open_with(url, KeySource::BesideDatabase).await
    }

    /// Opens the database of `url` (`sqlite:PATH`, made when absent; `sqlite::memory:` is a file that goes away with
    /// the store), takes the process lock and brings the schema up to date. A second process gets [`Error::InUse`].
    /// Secrets that are still in clear are encrypted; keys that do not open every secret are [`Error::Keys`].
    pub async fn open_with(url: &str, keys: KeySource) -> Result<Self, Error> {
        SqliteStore::open(url, keys).await.map(Self::Sqlite)
    }

    /// Opens the database beside a running server, without the process lock: for commands such as `create-account`
    /// and `doctor`. Brings the schema up to date when no server runs.
    pub async fn open_shared(url: &str, keys: KeySource) -> Result<Self, Error> {
        SqliteStore::open_shared(url, keys).await.map(Self::Sqlite)
    }

    /// Encrypts all secrets with the first key; returns how many were encrypted with another one. Refused with
    /// [`Error::InUse`] while a server runs, because that may not have the key.
    pub async fn reencrypt(url: &str, keys: KeySource) -> Result<(u64, SecretsReport), Error> {
        SqliteStore::reencrypt(url, keys).await
    }

    /// Brings the schema up to date; returns the names of the migrations that were applied. Refused with
    /// [`Error::InUse`] while a server runs.
    pub async fn migrate(url: &str) -> Result<Vec<String>, Error> {
        SqliteStore::migrate(url).await
    }

    /// Opens every secret in the database, and tells what they are encrypted with.
    pub async fn check_secrets(&self) -> Result<SecretsReport, Error> {
        let mut connection = self.read_pool().acquire().await?;
        self.secrets().report(&mut connection).await
    }

    /// The read-only connections. Reads see everything that was acknowledged before they began.
    #[must_use]
    pub const fn read_pool(&self) -> &sqlx::SqlitePool {
        match self {
            Self::Sqlite(store) => store.read_pool(),
        }
    }

    /// Writes a batch as a whole; it is on disk when this returns. On [`Error::Fenced`] and [`Error::Busy`] nothing
    /// was written; after any other error the caller loads the workspace again to learn what is on disk.
    pub async fn append(&self, batch: Batch) -> Result<(), Error> {
        self.write(Work::of_batch(batch)?).await
    }

    /// Resolves once the store cannot be used any more: after a failed write to disk, or once anybody met a damaged page or
    /// cannot read the file, when the process must end; or after [`Store::close`].
    pub async fn failed(&self) {
        let Self::Sqlite(store) = self;
        tokio::select! {
            () = store.ended() => {}
            () = damage::met() => {}
        }
    }

    /// Checks that the last write reached the disk, that the disk has room, and that the writer can take the write lock now;
    /// writes nothing.
    pub async fn ready(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(store) => store.ready().await,
        }
    }

    /// Checks that the disk has room, and brings the gauge of that up to date.
    pub async fn has_room(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(store) => store.has_room().await,
        }
    }

    /// Resolves at once unless the last write failed; then as soon as one has reached the disk, which is tried every second.
    pub async fn takes_writes(&self) {
        match self {
            Self::Sqlite(store) => store.takes_writes().await,
        }
    }

    /// Lets the database file have no more than so many pages, as a full disk would; a number below the present one stands for
    /// the present one.
    #[cfg(test)]
    pub(crate) async fn limit_pages(&self, pages: u32) {
        self.write(Work { pages_max: Some(pages), ..Work::default() }).await.unwrap();
    }

    /// Writes what was appended before, ends the writer and gives the process lock back.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
        }
    }

    const fn secrets(&self) -> &std::sync::Arc<secrets::Secrets> {
        match self {
            Self::Sqlite(store) => store.secrets(),
        }
    }

    async fn write(&self, work: Work) -> Result<(), Error> {
        match self {
            Self::Sqlite(store) => store.write(work).await,
        }
    }
}
