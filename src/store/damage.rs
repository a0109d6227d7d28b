//! The database file cannot be read as what was written: nothing that is read from it can be trusted any more.
//!
//! A reader meets this as well as the writer, anywhere, so it is noted where errors of the drivers become ours: no place that
//! reads can forget it. It is noted for the process, which serves one database and has to end. Start with [`note`].

use std::sync::LazyLock;

use tokio_util::sync::CancellationToken;

use super::error::Refusal;

static DAMAGE: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);

/// Notes an error that tells of damage; the others mean that nothing could be opened, or nothing that lasts.
pub(super) fn note(error: &(impl Refusal + std::error::Error)) {
    if error.code().is_some_and(is_damage) && !DAMAGE.is_cancelled() {
        tracing::error!(%error, "the database file is damaged; the process must end");
        DAMAGE.cancel();
    }
}

/// Resolves once damage was met.
pub(super) async fn met() {
    DAMAGE.cancelled().await;
}

/// By SQLite's extended result codes. Of the errors of input and output those of reading count here: the others are about
/// writing, which is the writer's matter, or about memory and files that are made for a moment.
const fn is_damage(code: i32) -> bool {
    const CORRUPT: i32 = 11;
    const NOTADB: i32 = 26;
    const IOERR: i32 = 10;
    const READ: i32 = 1;
    const SHORT_READ: i32 = 2;
    const DATA: i32 = 32;
    const CORRUPTFS: i32 = 33;
    match code & 0xff {
        CORRUPT | NOTADB => true,
        IOERR => matches!(code >> 8, READ | SHORT_READ | DATA | CORRUPTFS),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn what_was_written_and_cannot_be_read_is_damage() {
        for (code, expected) in [
            (ffi::SQLITE_CORRUPT, true),
            (ffi::SQLITE_CORRUPT_INDEX, true),
            (ffi::SQLITE_NOTADB, true),
            (ffi::SQLITE_IOERR_READ, true),
            (ffi::SQLITE_IOERR_SHORT_READ, true),
            (ffi::SQLITE_IOERR_DATA, true),
            (ffi::SQLITE_IOERR_CORRUPTFS, true),
            (ffi::SQLITE_IOERR_NOMEM, false),
            (ffi::SQLITE_IOERR_GETTEMPPATH, false),
            (ffi::SQLITE_CANTOPEN, false),
            (ffi::SQLITE_FULL, false),
            (ffi::SQLITE_BUSY, false),
            (ffi::SQLITE_CONSTRAINT, false),
            (ffi::SQLITE_OK, false),
        ] {
            assert_eq!(is_damage(code), expected, "{code}");
        }
    }
}
