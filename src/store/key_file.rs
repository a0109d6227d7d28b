//! The file of keys: its name beside the database, reading it, making it.
//!
//! It must not know what keys are for; `secrets` does. All functions block for a few system calls. Start with [`make`].

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use crate::clock::Entropy;
use crate::sealing::KeyRing;

/// Largest file that is read.
const SIZE_LIMIT: u64 = 64 * 1024;
const HEADER: &str = "\
# Switchhook encrypts the auth tokens and API keys in its database with this key. Without it they are lost: keep a copy,
# apart from copies of the database. Changing keys: docs/configuration.md, \"Keys\".
";

/// `.key` added to the database's name.
pub(super) fn beside(database: &Path) -> PathBuf {
    with_ending(database, ".key")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

/// What the file holds; none when it does not exist.
pub(super) fn read(path: &Path) -> io::Result<Option<SecretString>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(file, SIZE_LIMIT), &mut text)?;
    Ok(Some(SecretString::from(text)))
}

/// Makes the file with a fresh key, readable by its owner only. It is whole and on disk, or it is not there.
pub(super) fn make(path: &Path) -> io::Result<()> {
    let unfinished = with_ending(path, ".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    let key = KeyRing::generate(Entropy);
    file.write_all(HEADER.as_bytes())?;
    file.write_all(key.expose_secret().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    #[cfg(unix)]
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_holds_one_key_and_is_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = beside(&directory.path().join("a.db"));
        assert!(path.ends_with("a.db.key"));
        assert!(read(&path).unwrap().is_none());
        make(&path).unwrap();
        let text = read(&path).unwrap().unwrap();
        assert_eq!(KeyRing::parse(text.expose_secret()).unwrap().names().count(), 1);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing unfinished is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
