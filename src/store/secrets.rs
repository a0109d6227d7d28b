//! Secrets of rows: which keys they are encrypted with, and what they open to.
//!
//! The keys come from a file beside the database, from another file, or from the settings. When a database is opened,
//! every secret in it must open with them, and those that are still in clear are encrypted; otherwise nothing is changed.
//! It must not know who uses a secret. Start with [`KeySource`] and [`Secrets::prepare`].

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use secrecy::SecretString;
use sqlx::SqliteConnection;

use super::load::select;
use super::{Account, ApiKey, Error, key_file};
use crate::clock::Entropy;
use crate::routing::{AccountSid, ApiKeySid, Timestamp};
use crate::sealing::{self, KeyRing, Sealed};

/// Opened secrets that are kept in memory.
const OPENED_LIMIT: usize = 10_000;

/// Where the keys are.
#[derive(Debug, Clone, Default)]
pub enum KeySource {
    /// In a file beside the database, `.key` added to its name; made when there is nothing encrypted yet.
    #[default]
    BesideDatabase,
    /// In this file, which must exist.
    File(PathBuf),
    /// In the settings.
    Given(Arc<KeyRing>),
}

/// An account as it is on disk.
#[derive(Debug)]
pub(super) struct AccountRow {
    pub(super) sid: AccountSid,
    pub(super) friendly_name: String,
    pub(super) auth_token: String,
    /// None: the token is in clear.
    pub(super) auth_token_key: Option<String>,
    pub(super) created_at: Timestamp,
}

/// An API key as it is on disk.
#[derive(Debug)]
pub(super) struct ApiKeyRow {
    pub(super) sid: ApiKeySid,
    pub(super) account: AccountSid,
    pub(super) friendly_name: String,
    pub(super) secret: String,
    pub(super) secret_key: String,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// What is known of the secrets of a database, all of which open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsReport {
    /// The file or setting that the keys come from.
    pub origin: String,
    /// The file, if it is one.
    pub file: Option<PathBuf>,
    /// Whether the file is the one beside the database.
    pub beside_database: bool,
    /// Name of the key that encrypts.
    pub key: String,
    /// Secrets in the database.
    pub secrets: u64,
    /// Those of them that are encrypted with another key.
    pub with_other_keys: u64,
}

/// One secret in the database.
struct Stored {
    table: &'static str,
    sid: String,
    place: String,
    text: String,
    key: Option<String>,
}

/// Keys, where they come from, and what was opened with them.
#[derive(Debug)]
pub(super) struct Secrets {
    origin: Origin,
    ring: RwLock<Arc<KeyRing>>,
    opened: Opened,
}

/// Where the keys come from, with the path resolved.
#[derive(Debug, Clone)]
enum Origin {
    Beside(PathBuf),
    File(PathBuf),
    Given(Arc<KeyRing>),
}

impl Origin {
    fn of(database: &Path, source: KeySource) -> Self {
        match source {
            KeySource::BesideDatabase => Self::Beside(key_file::beside(database)),
            KeySource::File(file) => Self::File(file),
            KeySource::Given(ring) => Self::Given(ring),
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Beside(file) | Self::File(file) => Some(file),
            Self::Given(_) => None,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Beside(file) => format!("key file {}", file.display()),
            Self::File(file) => format!("secrets.key_file {}", file.display()),
            Self::Given(_) => "secrets.key".to_owned(),
        }
    }

    fn error(&self, problem: impl AsRef<str>) -> Error {
        Error::Keys { origin: self.shown().into(), problem: problem.as_ref().into() }
    }

    /// The keys as they are now; none when the file beside the database is absent.
    async fn read(&self) -> Result<Option<Arc<KeyRing>>, Error> {
        let file = match self {
            Self::Given(ring) => return Ok(Some(Arc::clone(ring))),
            Self::Beside(file) | Self::File(file) => file.clone(),
        };
        let read = super::sqlite::off_async(file, |file| Ok(key_file::read(&file))).await?;
        match (read, self) {
            (Ok(Some(text)), _) => {
                let ring = KeyRing::parse(secrecy::ExposeSecret::expose_secret(&text));
                ring.map(|ring| Some(Arc::new(ring))).map_err(|error| self.error(error.to_string()))
            }
            (Ok(None), Self::Beside(_)) => Ok(None),
            (Ok(None), _) => Err(self.error("does not exist")),
            (Err(error), _) => Err(self.error(format!("cannot be read: {error}"))),
        }
    }
}

impl Secrets {
    /// Finds or makes the keys, checks that they open every secret, and encrypts what is still in clear. An error leaves
    /// everything as it was.
    pub(super) async fn prepare(
        connection: &mut SqliteConnection,
        database: &Path,
        source: KeySource,
    ) -> Result<Self, Error> {
        let origin = Origin::of(database, source);
        let mut ring = origin.read().await?;
        let stored = stored(connection).await?;
        if let Some(ring) = &ring {
            check(&origin, ring, &stored)?;
        }
        if ring.is_none() || stored.iter().any(|secret| secret.key.is_none()) {
            // What a secret was is not to be found in the free space of the file.
            sqlx::raw_sql("PRAGMA secure_delete = ON; BEGIN IMMEDIATE").execute(&mut *connection).await?;
            let made = complete(connection, &origin).await;
            let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
            sqlx::raw_sql(end).execute(&mut *connection).await?;
            ring = Some(made?);
            empty_log(connection).await;
        }
        let ring = ring.expect("keys were read or made");
        Ok(Self { origin, ring: RwLock::new(ring), opened: Opened::default() })
    }

    /// Encrypts with the first key what is encrypted with another one; returns how many that were.
    pub(super) async fn reencrypt(&self, connection: &mut SqliteConnection) -> Result<u64, Error> {
        let ring = self.ring();
        sqlx::raw_sql("PRAGMA secure_delete = ON; BEGIN IMMEDIATE").execute(&mut *connection).await?;
        let changed = seal_again(connection, &self.origin, &ring).await;
        let end = if changed.is_ok() { "COMMIT" } else { "ROLLBACK" };
        sqlx::raw_sql(end).execute(&mut *connection).await?;
        empty_log(connection).await;
        changed
    }

    /// Opens every secret, and counts.
    pub(super) async fn report(&self, connection: &mut SqliteConnection) -> Result<SecretsReport, Error> {
        let ring = self.ring();
        let stored = stored(connection).await?;
        check(&self.origin, &ring, &stored)?;
        let other = stored.iter().filter(|secret| secret.key.as_deref() != Some(ring.sealing_key())).count();
        Ok(SecretsReport {
            origin: self.origin.shown(),
            file: self.origin.file().map(Path::to_owned),
            beside_database: matches!(self.origin, Origin::Beside(_)),
            key: ring.sealing_key().to_owned(),
            secrets: stored.len() as u64,
            with_other_keys: other as u64,
        })
    }

    pub(super) fn seal_account(&self, account: Account) -> AccountRow {
        let Account { sid, friendly_name, auth_token, created_at } = account;
        let sealed = self.ring().seal(&auth_token, &place_of_account(sid), Entropy);
        AccountRow { sid, friendly_name, auth_token: sealed.text, auth_token_key: Some(sealed.key), created_at }
    }

    pub(super) fn seal_api_key(&self, api_key: ApiKey) -> ApiKeyRow {
        let ApiKey { sid, account, friendly_name, secret, created_at, updated_at } = api_key;
        let Sealed { key, text } = self.ring().seal(&secret, &place_of_api_key(sid, account), Entropy);
        ApiKeyRow { sid, account, friendly_name, secret: text, secret_key: key, created_at, updated_at }
    }

    pub(super) async fn account(&self, row: AccountRow) -> Result<Account, Error> {
        let AccountRow { sid, friendly_name, auth_token: text, auth_token_key, created_at } = row;
        let inconsistent = || Error::Inconsistent { table: "accounts", column: "auth_token", row: sid.to_string() };
        let sealed = Sealed { key: auth_token_key.ok_or_else(inconsistent)?, text };
        let auth_token = self.open(sealed, place_of_account(sid), inconsistent).await?;
        Ok(Account { sid, friendly_name, auth_token, created_at })
    }

    pub(super) async fn api_key(&self, row: ApiKeyRow) -> Result<ApiKey, Error> {
        let ApiKeyRow { sid, account, friendly_name, secret: text, secret_key: key, created_at, updated_at } = row;
        let inconsistent = || Error::Inconsistent { table: "api_keys", column: "secret", row: sid.to_string() };
        let secret = self.open(Sealed { key, text }, place_of_api_key(sid, account), inconsistent).await?;
        Ok(ApiKey { sid, account, friendly_name, secret, created_at, updated_at })
    }

    /// A revoked key's secret does not stay in memory.
    pub(super) fn forget_api_key(&self, sid: ApiKeySid) {
        self.opened.forget(&format!("api_keys.secret/{sid}/"));
    }

    fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn open(
        &self,
        sealed: Sealed,
        place: String,
        inconsistent: impl Fn() -> Error,
    ) -> Result<SecretString, Error> {
        let opened = self.opened.get(&place, &sealed, || self.ring().open(&sealed, &place));
        match opened {
            Ok(secret) => Ok(secret),
            Err(sealing::Error::Forged) => Err(inconsistent()),
            Err(error @ sealing::Error::UnknownKey(_)) => {
                // A command beside this server may have read a file of keys that was changed since our start.
                let ring = self.origin.read().await?.ok_or_else(|| self.origin.error("does not exist any more"))?;
                let secret = self.opened.get(&place, &sealed, || ring.open(&sealed, &place));
                let secret = secret.map_err(|_| self.origin.error(error.to_string()))?;
                *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
                Ok(secret)
            }
        }
    }
}

/// What was opened, with the sealed text that it was opened from: a row that did not change is not opened again.
#[derive(Debug, Default)]
struct Opened(Mutex<HashMap<String, (Sealed, SecretString)>>);

impl Opened {
    fn get<E>(
        &self,
        place: &str,
        sealed: &Sealed,
        open: impl FnOnce() -> Result<SecretString, E>,
    ) -> Result<SecretString, E> {
        if let Some((from, secret)) = self.lock().get(place)
            && from == sealed
        {
            return Ok(secret.clone());
        }
        let secret = open()?;
        let mut opened = self.lock();
        if opened.len() >= OPENED_LIMIT {
            opened.clear();
        }
        opened.insert(place.to_owned(), (sealed.clone(), secret.clone()));
        Ok(secret)
    }

    fn forget(&self, beginning: &str) {
        self.lock().retain(|place, _| !place.starts_with(beginning));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Sealed, SecretString)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place_of_account(sid: AccountSid) -> String {
    format!("accounts.auth_token/{sid}")
}

fn place_of_api_key(sid: ApiKeySid, account: AccountSid) -> String {
    format!("api_keys.secret/{sid}/{account}")
}

async fn stored(connection: &mut SqliteConnection) -> Result<Vec<Stored>, Error> {
    let accounts: Vec<AccountRow> = select(&mut *connection, "ORDER BY sid", None).await?;
    let api_keys: Vec<ApiKeyRow> = select(&mut *connection, "ORDER BY sid", None).await?;
    let of_account = |row: AccountRow| Stored {
        table: "accounts",
        sid: row.sid.to_string(),
        place: place_of_account(row.sid),
        text: row.auth_token,
        key: row.auth_token_key,
    };
    let of_api_key = |row: ApiKeyRow| Stored {
        table: "api_keys",
        sid: row.sid.to_string(),
        place: place_of_api_key(row.sid, row.account),
        text: row.secret,
        key: Some(row.secret_key),
    };
    Ok(accounts.into_iter().map(of_account).chain(api_keys.into_iter().map(of_api_key)).collect())
}

/// Whether every encrypted secret opens.
fn check(origin: &Origin, ring: &KeyRing, stored: &[Stored]) -> Result<(), Error> {
    let mut missing: BTreeMap<String, u64> = BTreeMap::new();
    for secret in stored {
        let Some(key) = secret.key.clone() else { continue };
        match ring.open(&Sealed { key, text: secret.text.clone() }, &secret.place) {
            Ok(_) => {}
            Err(sealing::Error::UnknownKey(key)) => *missing.entry(key).or_default() += 1,
            Err(error @ sealing::Error::Forged) => {
                let problem =
                    format!("the secret of row {} in table {} does not open: {error}", secret.sid, secret.table);
                return Err(origin.error(problem));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let held: Vec<&str> = ring.names().collect();
    Err(origin.error(format!(
        "holds key {}, but {}; add the missing key, nothing was changed",
        held.join(", "),
        counted(&missing)
    )))
}

/// `3 secrets of the database are encrypted with key 0123456789abcdef`
fn counted(missing: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> =
        missing.iter().map(|(key, count)| format!("secrets encrypted with key {key}: {count}")).collect();
    format!("the database has {}", parts.join(", "))
}

/// Within a transaction: makes the keys if there are none, and encrypts what is in clear.
async fn complete(connection: &mut SqliteConnection, origin: &Origin) -> Result<Arc<KeyRing>, Error> {
    let stored = stored(connection).await?;
    let ring = match origin.read().await? {
        Some(ring) => ring,
        None => make(origin, &stored).await?,
    };
    check(origin, &ring, &stored)?;
    for secret in stored.iter().filter(|secret| secret.key.is_none()) {
        let sealed = ring.seal(&SecretString::from(secret.text.clone()), &secret.place, Entropy);
        write(connection, secret, sealed).await?;
    }
    Ok(ring)
}

/// Makes the file of keys, unless the database has secrets that need the one that is missing.
async fn make(origin: &Origin, stored: &[Stored]) -> Result<Arc<KeyRing>, Error> {
    let mut missing: BTreeMap<String, u64> = BTreeMap::new();
    for key in stored.iter().filter_map(|secret| secret.key.clone()) {
        *missing.entry(key).or_default() += 1;
    }
    if !missing.is_empty() {
        let problem = format!("does not exist, but {}; put the file back, nothing was changed", counted(&missing));
        return Err(origin.error(problem));
    }
    let file = origin.file().expect("only a file can be absent").to_owned();
    let made = super::sqlite::off_async(file, |file| Ok(key_file::make(&file))).await?;
    made.map_err(|error| origin.error(format!("cannot be made: {error}")))?;
    origin.read().await?.ok_or_else(|| origin.error("does not exist any more"))
}

async fn seal_again(connection: &mut SqliteConnection, origin: &Origin, ring: &KeyRing) -> Result<u64, Error> {
    let stored = stored(connection).await?;
    check(origin, ring, &stored)?;
    let mut changed = 0;
    for secret in &stored {
        let Some(key) = secret.key.clone().filter(|key| key != ring.sealing_key()) else { continue };
        let plain = ring.open(&Sealed { key, text: secret.text.clone() }, &secret.place);
        let plain = plain.map_err(|error| origin.error(error.to_string()))?;
        write(connection, secret, ring.seal(&plain, &secret.place, Entropy)).await?;
        changed += 1;
    }
    Ok(changed)
}

async fn write(connection: &mut SqliteConnection, secret: &Stored, sealed: Sealed) -> Result<(), Error> {
    let sql = match secret.table {
        "accounts" => "UPDATE accounts SET auth_token = $1, auth_token_key = $2 WHERE sid = $3",
        _ => "UPDATE api_keys SET secret = $1, secret_key = $2 WHERE sid = $3",
    };
    sqlx::query(sql).bind(sealed.text).bind(sealed.key).bind(secret.sid.as_str()).execute(connection).await?;
    Ok(())
}

/// The write-ahead log still holds the pages as they were. Another process that reads may keep it a while longer.
async fn empty_log(connection: &mut SqliteConnection) {
    if let Err(error) = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await {
        tracing::warn!(%error, "the write-ahead log was not emptied; it may hold secrets as they were before");
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_row_that_did_not_change_is_opened_once() {
        let opened = Opened::default();
        let sealed = |text: &str| Sealed { key: "k".to_owned(), text: text.to_owned() };
        let mut openings = 0;
        let mut get = |place: &str, text: &str, opens_to: &str| {
            let secret = opened.get::<()>(place, &sealed(text), || {
                openings += 1;
                Ok(SecretString::from(opens_to))
            });
            (secret.unwrap().expose_secret().to_owned(), openings)
        };
        assert_eq!(get("a", "1", "one"), ("one".to_owned(), 1));
        assert_eq!(get("a", "1", "other"), ("one".to_owned(), 1));
        assert_eq!(get("a", "2", "two"), ("two".to_owned(), 2), "a changed row");
        assert_eq!(get("b", "2", "three"), ("three".to_owned(), 3), "another row");
        assert!(opened.get("c", &sealed("3"), || Err(())).is_err(), "failures are not kept");
        opened.forget("a");
        assert_eq!(opened.lock().len(), 1);
    }
}
