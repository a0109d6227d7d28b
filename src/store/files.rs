//! The files of a database: which one a URL names, the lock that keeps a second server out, temporary ones.
//!
//! It must not open databases (`sqlite` does). All functions here block for a few system calls; `sqlite` calls them off
//! the async threads. Start with [`DatabaseFile`].

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use crate::clock::Entropy;

/// The file behind a database URL, made if it was absent.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    /// Absolute, without symbolic links, so that two names of one file share one lock.
    pub(super) path: PathBuf,
    /// Present when the file goes away with the store.
    pub(super) temporary: Option<Temporary>,
}

impl DatabaseFile {
    /// Finds or makes the file of `url`: `sqlite:PATH`, `sqlite://PATH` or `sqlite::memory:`.
    pub(super) fn of_url(url: &str) -> Result<Self, Error> {
        let unsupported = || Error::UnsupportedUrl { url: shown(url) };
        let named = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).ok_or_else(unsupported)?;
        if named.is_empty() || named.contains(['?', '\0']) {
            return Err(unsupported());
        }
        let temporary = if named == ":memory:" { Some(Temporary::new()?) } else { None };
        let path =
            temporary.as_ref().map_or_else(|| PathBuf::from(named), |directory| directory.0.join("temporary.db"));
        make_private(&path).map_err(|error| file_error(&path, error))?;
        let path = path.canonicalize().map_err(|error| file_error(&path, error))?;
        Ok(Self { path, temporary })
    }
}

/// A URL of another kind may carry a password.
fn shown(url: &str) -> String {
    url.split_once('@').map_or_else(
        || url.to_owned(),
        |(before, after)| {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://…@{after}")
        },
    )
}

fn file_error(path: &Path, error: io::Error) -> Error {
    Error::File { path: path.to_owned(), error: Arc::new(error) }
}

/// Makes the file if absent, readable by its owner only, because it will hold auth tokens. SQLite gives the files
/// beside it the same mode.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Held by the one process that serves a database; given back when dropped or when the process ends in any way.
///
/// A file beside the database can be deleted, so the database itself is locked too, with `flock`, which SQLite's own locks do
/// not meet on Linux; elsewhere the two may stand in each other's way. Closing any descriptor of the database gives up the
/// locks that SQLite holds in this process, so this is dropped after the last connection.
#[derive(Debug)]
pub(super) struct ProcessLock {
    _beside: File,
    _database: Option<File>,
}

impl ProcessLock {
    /// Takes the lock of the database at `path`: of a file of its own beside it, and of the database.
    pub(super) fn take(path: &Path) -> Result<Self, Error> {
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let beside = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&lock_path)
            .map_err(|error| file_error(&lock_path, error))?;
        lock(&beside, &lock_path, path)?;
        let database = if cfg!(target_os = "linux") {
            let file = File::open(path).map_err(|error| file_error(path, error))?;
            lock(&file, path, path)?;
            Some(file)
        } else {
            None
        };
        Ok(Self { _beside: beside, _database: database })
    }
}

fn lock(file: &File, name: &Path, database: &Path) -> Result<(), Error> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: database.to_owned() }),
        Err(TryLockError::Error(error)) => Err(file_error(name, error)),
    }
}

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("switchhook-{}", Entropy.hex_128()));
        std::fs::create_dir(&path).map_err(|error| file_error(&path, error))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "a temporary database could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_kinds_of_urls_are_refused_without_showing_passwords() {
        for url in ["", "sqlite:", "switchhook.db", "mysql://db/x", "sqlite:a.db?mode=memory"] {
            assert!(matches!(DatabaseFile::of_url(url), Err(Error::UnsupportedUrl { .. })), "{url}");
        }
        let message = DatabaseFile::of_url("postgres://me:secret@db/x").unwrap_err().to_string();
        assert!(!message.contains("secret") && message.contains("postgres://…@db/x"), "{message}");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("absent/a.db");
        let error = DatabaseFile::of_url(&format!("sqlite:{}", path.display())).unwrap_err();
        assert!(error.to_string().contains("absent/a.db"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let file = DatabaseFile::of_url(&format!("sqlite:{}", directory.path().join("a.db").display())).unwrap();
        assert_eq!(std::fs::metadata(&file.path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_temporary_database_goes_away() {
        let file = DatabaseFile::of_url("sqlite::memory:").unwrap();
        let path = file.path.clone();
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());
    }
}
