//! What can go wrong with the store, and how the driver's errors are sorted.
//!
//! It must not decide what to do about an error: the writer does that for writes, the caller for reads, and `damage` for what
//! ends the process whoever meets it. Start with [`Error`].

use std::path::PathBuf;
use std::sync::Arc;

use super::damage;

/// Why the store did not do what was asked. Cheap to clone, because one failed commit answers many callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Another process has the database open as its server.
    #[error("another process is using the database {}: stop it, or name a different database", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The workspace on disk is not where the batch expected it to be: somebody else wrote it. Nothing was written.
    #[error("the workspace was changed by another writer; expected its event sequence at {expected}")]
    Fenced {
        /// The sequence number the batch was based on.
        expected: u64,
    },
    /// What was to be written depends on something that is not so any more. Nothing was written.
    #[error("somebody else was faster; expected the row as it was read")]
    Overtaken,
    /// The database is locked by another process for longer than the time allowed. Nothing was written.
    #[error("the database is busy with another writer; expected it to become free within a few seconds")]
    Busy,
    /// The store cannot take the request now, or not any more (closed, disk full, a failed write to disk).
    #[error("the store is not available: {0}")]
    Unavailable(Arc<str>),
    /// A value that no version of this program writes, or a batch that contradicts itself.
    #[error("unexpected value in table {table}, column {column}, row {row}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's primary key, its parts joined by `/`.
        row: String,
    },
    /// The database's schema is not the one this program was built with.
    #[error("{0}")]
    Schema(Arc<str>),
    /// A URL that names no database this program can open.
    #[error("unsupported database URL {url:?}; expected sqlite:PATH")]
    UnsupportedUrl {
        /// The text that was given.
        url: String,
    },
    /// The keys of the encrypted secrets are missing or wrong. Nothing was changed.
    #[error("{origin}: {problem}")]
    Keys {
        /// The file or setting that the keys come from.
        origin: Arc<str>,
        /// What is wrong with it, and what is expected.
        problem: Arc<str>,
    },
    /// The files of the database could not be prepared.
    #[error("cannot use {}: {error}", path.display())]
    File {
        /// Which file or directory.
        path: PathBuf,
        /// What the operating system said.
        error: Arc<std::io::Error>,
    },
    /// Any other error of the database driver.
    #[error("the database refused: {0}")]
    Driver(Arc<sqlx::Error>),
    /// The same of the driver that writes and that reads whole workspaces.
    #[error("the database refused: {0}")]
    Direct(Arc<rusqlite::Error>),
}

impl Error {
    /// A short fixed word for metrics and logs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "in_use",
            Self::Fenced { .. } => "fenced",
            Self::Overtaken => "overtaken",
            Self::Busy => "busy",
            Self::Unavailable(_) => "unavailable",
            Self::Inconsistent { .. } => "inconsistent",
            Self::Schema(_) => "schema",
            Self::UnsupportedUrl { .. } => "unsupported_url",
            Self::Keys { .. } => "keys",
            Self::File { .. } => "file",
            Self::Driver(_) | Self::Direct(_) => "driver",
        }
    }

    pub(crate) fn unavailable(why: impl AsRef<str>) -> Self {
        Self::Unavailable(why.as_ref().into())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        damage::note(&error);
        match severity(&error) {
            Severity::Busy => Self::Busy,
            Severity::Full => Self::unavailable("the disk is full"),
            Severity::Fatal | Severity::Statement => Self::Driver(Arc::new(error)),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        damage::note(&error);
        match severity(&error) {
            Severity::Busy => Self::Busy,
            Severity::Full => Self::unavailable("the disk is full"),
            Severity::Fatal | Severity::Statement => Self::Direct(Arc::new(error)),
        }
    }
}

/// How far the damage of a driver's error reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// Only the statement is wrong; the database is sound.
    Statement,
    /// Another process holds the write lock.
    Busy,
    /// No space left; writes may succeed again later.
    Full,
    /// Reading or writing the file failed, or the connection is gone: what is on disk is not certain any more.
    Fatal,
}

/// An error of a driver that can be sorted.
pub(super) trait Refusal {
    /// Extended result code of SQLite, if it is an answer of SQLite.
    fn code(&self) -> Option<i32>;

    /// How bad it is otherwise.
    fn without_code(&self) -> Severity;
}

impl Refusal for sqlx::Error {
    fn code(&self) -> Option<i32> {
        let code = self.as_database_error()?.code()?;
        code.parse().ok()
    }

    fn without_code(&self) -> Severity {
        match self {
            Self::PoolTimedOut => Severity::Busy,
            Self::Io(_) | Self::WorkerCrashed | Self::Protocol(_) | Self::PoolClosed => Severity::Fatal,
            _ => Severity::Statement,
        }
    }
}

impl Refusal for rusqlite::Error {
    fn code(&self) -> Option<i32> {
        self.sqlite_error().map(|error| error.extended_code)
    }

    fn without_code(&self) -> Severity {
        Severity::Statement
    }
}

/// Sorts a driver's error by the primary result code of SQLite (the low byte of the extended code).
pub(super) fn severity(error: &impl Refusal) -> Severity {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const FULL: i32 = 13;
    // READONLY, IOERR, CORRUPT, CANTOPEN, NOTADB.
    const FATAL: [i32; 5] = [8, 10, 11, 14, 26];
    match error.code().map(|code| code & 0xff) {
        None => error.without_code(),
        Some(BUSY | LOCKED) => Severity::Busy,
        Some(FULL) => Severity::Full,
        Some(code) if FATAL.contains(&code) => Severity::Fatal,
        Some(_) => Severity::Statement,
    }
}
