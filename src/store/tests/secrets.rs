//! Secrets at rest: encrypted in every file, opened with the right keys only, encrypted anew.

use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::clock::Entropy;
use crate::sealing::KeyRing;
use crate::store::{ApiKey, SecretsReport, migrations};

const TOKEN: &str = "canary-token-4711";
const SECRET: &str = "canary-secret-0815";

fn api_key(number: u128, account: u128) -> ApiKey {
    ApiKey {
        sid: ApiKeySid::from_bits(number),
        account: AccountSid::from_bits(account),
        friendly_name: ODD.to_owned(),
        secret: SECRET.into(),
        created_at: Timestamp(7),
        updated_at: Timestamp(8),
    }
}

fn key_file(directory: &TempDir) -> PathBuf {
    directory.path().join("switchhook.db.key")
}

fn fresh_key() -> String {
    KeyRing::generate(Entropy).expose_secret().to_owned()
}

fn given(keys: &[&str]) -> KeySource {
    KeySource::Given(Arc::new(KeyRing::parse(&keys.join(" ")).unwrap()))
}

/// Whether a text is to be found in any file of the directory.
fn is_on_disk(directory: &TempDir, text: &str) -> bool {
    std::fs::read_dir(directory.path()).unwrap().any(|entry| {
        // Files of the write-ahead log go away when the last connection closes.
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

/// Everything in the two tables, as it is on disk.
async fn rows_on_disk(directory: &TempDir) -> Vec<(String, String, Option<String>)> {
    let mut connection = opening::raw_connection(directory).await;
    let sql = "SELECT sid, auth_token, auth_token_key FROM accounts UNION ALL \
               SELECT sid, secret, secret_key FROM api_keys ORDER BY 1";
    let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// A database with an account and a key, closed.
async fn database(keys: KeySource) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open_with(&url_in(&directory), keys).await.unwrap();
    fill(&store).await;
    store.close().await;
    directory
}

async fn fill(store: &Store) {
    let mut account = account();
    account.auth_token = TOKEN.into();
    store.create_account(account).await.unwrap();
    store.create_api_key(api_key(1, 1)).await.unwrap();
}

async fn check_readable(directory: &TempDir, keys: KeySource) -> SecretsReport {
    let store = Store::open_with(&url_in(directory), keys).await.unwrap();
    let account = store.account(account_sid()).await.unwrap().unwrap();
    assert_eq!(account.auth_token.expose_secret(), TOKEN);
    let key = store.api_key(ApiKeySid::from_bits(1)).await.unwrap().unwrap();
    assert_eq!(key.secret.expose_secret(), SECRET);
    let report = store.check_secrets().await.unwrap();
    store.close().await;
    report
}

#[tokio::test]
async fn no_secret_is_on_disk_in_clear() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&url_in(&directory)).await.unwrap();
    fill(&store).await;
    assert!(directory.path().join("switchhook.db-wal").exists());
    for _ in 0..2 {
        for secret in [TOKEN, SECRET] {
            assert!(!is_on_disk(&directory, secret), "{secret}");
        }
        assert!(is_on_disk(&directory, &ApiKeySid::from_bits(1).to_string()), "the search finds what is there");
        store.close().await;
    }
}

#[tokio::test]
async fn api_keys_come_back_are_renamed_and_are_gone_once_revoked() {
    let (_directory, store) = store_with_account().await;
    store.create_api_key(api_key(1, 1)).await.unwrap();
    store.create_api_key(api_key(2, 1)).await.unwrap();
    let sid = ApiKeySid::from_bits(1);
    store.rename_api_key(sid, "new".to_owned(), Timestamp(9)).await.unwrap();
    let read = store.api_key(sid).await.unwrap().unwrap();
    assert_eq!((read.account, read.friendly_name.as_str()), (account_sid(), "new"));
    assert_eq!((read.created_at, read.updated_at), (Timestamp(7), Timestamp(9)));
    assert_eq!(read.secret.expose_secret(), SECRET);
    assert!(!format!("{read:?} {store:?}").contains(SECRET));
    store.revoke_api_key(sid).await.unwrap();
    assert!(store.api_key(sid).await.unwrap().is_none());
    store.rename_api_key(sid, "back".to_owned(), Timestamp(10)).await.unwrap();
    assert!(store.api_key(sid).await.unwrap().is_none(), "a late change does not bring a revoked key back");
    assert!(store.api_key(ApiKeySid::from_bits(2)).await.unwrap().is_some());
    assert!(store.create_api_key(api_key(3, 99)).await.is_err(), "a key of no account");
}

#[tokio::test]
async fn tokens_in_clear_are_encrypted_by_the_first_start_and_leave_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let url = url_in(&directory);
    Store::migrate(&url).await.unwrap();
    let mut connection = opening::raw_connection(&directory).await;
    for number in 1..=50 {
        let insert = "INSERT INTO accounts (sid, friendly_name, auth_token, created_at) VALUES ($1, 'n', $2, 5)";
        let query = sqlx::query(insert).bind(AccountSid::from_bits(number).to_string());
        query.bind(format!("{TOKEN}-{number}")).execute(&mut connection).await.unwrap();
    }
    sqlx::Connection::close(connection).await.unwrap();
    assert!(is_on_disk(&directory, TOKEN));

    let store = Store::open(&url).await.unwrap();
    assert!(!is_on_disk(&directory, TOKEN));
    for account in store.accounts().await.unwrap() {
        let number = account.sid.bits();
        assert_eq!(account.auth_token.expose_secret(), format!("{TOKEN}-{number}"));
    }
    let report = store.check_secrets().await.unwrap();
    assert_eq!((report.secrets, report.with_other_keys), (50, 0));
}

#[tokio::test]
async fn a_missing_key_is_named_and_nothing_is_changed() {
    let directory = database(KeySource::BesideDatabase).await;
    let before = rows_on_disk(&directory).await;
    let kept = std::fs::read_to_string(key_file(&directory)).unwrap();
    let name = KeyRing::parse(&kept).unwrap().sealing_key().to_owned();
    let url = url_in(&directory);
    let check = async |keys: KeySource, expected: &[&str]| {
        for opened in [Store::open_with(&url, keys.clone()).await, Store::open_shared(&url, keys.clone()).await] {
            let error = opened.unwrap_err();
            assert!(matches!(error, Error::Keys { .. }), "{error}");
            for text in expected {
                assert!(error.to_string().contains(text), "{error} lacks {text}");
            }
        }
        assert!(Store::reencrypt(&url, keys).await.is_err());
    };
    let file = key_file(&directory).display().to_string();

    std::fs::remove_file(key_file(&directory)).unwrap();
    let absent = format!("secrets encrypted with key {name}: 2");
    check(KeySource::BesideDatabase, &[&file, "does not exist", &absent, "nothing was changed"]).await;
    assert!(!key_file(&directory).exists(), "no other key takes its place");

    let other = fresh_key();
    let other_name = KeyRing::parse(&other).unwrap().sealing_key().to_owned();
    std::fs::write(key_file(&directory), &other).unwrap();
    check(KeySource::BesideDatabase, &[&file, &other_name, &absent]).await;
    check(given(&[&other]), &["secrets.key: ", &other_name, &absent]).await;
    std::fs::write(key_file(&directory), "not a key").unwrap();
    check(KeySource::BesideDatabase, &[&file, "key 1 is not 64 hexadecimal digits"]).await;
    assert_eq!(std::fs::read_to_string(key_file(&directory)).unwrap(), "not a key");
    check(KeySource::File(directory.path().join("absent")), &["secrets.key_file", "absent", "does not exist"]).await;
    check(KeySource::File(directory.path().to_owned()), &["secrets.key_file", "cannot be read"]).await;

    assert_eq!(rows_on_disk(&directory).await, before);
    std::fs::write(key_file(&directory), kept).unwrap();
    check_readable(&directory, KeySource::BesideDatabase).await;
}

#[tokio::test]
async fn a_secret_that_was_moved_or_changed_is_found_at_the_start() {
    for (change, row) in [
        ("UPDATE api_keys SET account_sid = 'AC00000000000000000000000000000002'", ApiKeySid::from_bits(1).to_string()),
        ("UPDATE api_keys SET secret = (SELECT auth_token FROM accounts LIMIT 1)", ApiKeySid::from_bits(1).to_string()),
        ("UPDATE accounts SET auth_token = 'clear' WHERE sid LIKE '%1'", account_sid().to_string()),
    ] {
        let directory = database(KeySource::BesideDatabase).await;
        let store = Store::open(&url_in(&directory)).await.unwrap();
        let mut second = account();
        second.sid = AccountSid::from_bits(2);
        store.create_account(second).await.unwrap();
        let mut connection = opening::raw_connection(&directory).await;
        sqlx::raw_sql(change).execute(&mut connection).await.unwrap();
        assert!(matches!(store.check_secrets().await, Err(Error::Keys { .. })), "{change}");
        let read = if row.starts_with("AC") {
            store.account(account_sid()).await.map(|_| ())
        } else {
            store.api_key(ApiKeySid::from_bits(1)).await.map(|_| ())
        };
        assert!(matches!(read, Err(Error::Inconsistent { row: found, .. }) if found == row), "{change}");
        store.close().await;
        let error = Store::open(&url_in(&directory)).await.unwrap_err().to_string();
        assert!(error.contains(&row), "{error}");
    }
}

#[tokio::test]
async fn keys_are_changed_one_after_the_other() {
    let (old, new) = (fresh_key(), fresh_key());
    let name = |key: &str| KeyRing::parse(key).unwrap().sealing_key().to_owned();
    let directory = database(given(&[&old])).await;
    assert!(!key_file(&directory).exists(), "given keys need no file");
    let report = check_readable(&directory, given(&[&new, &old])).await;
    assert_eq!((report.key, report.secrets, report.with_other_keys), (name(&new), 2, 2));

    let serving = Store::open_with(&url_in(&directory), given(&[&old])).await.unwrap();
    let refused = Store::reencrypt(&url_in(&directory), given(&[&new, &old])).await.unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    serving.close().await;

    let before = rows_on_disk(&directory).await;
    let (changed, report) = Store::reencrypt(&url_in(&directory), given(&[&new, &old])).await.unwrap();
    assert_eq!((changed, report.with_other_keys), (2, 0));
    assert!(rows_on_disk(&directory).await.iter().all(|(_, _, key)| *key == Some(name(&new))));
    for (_, text, _) in before {
        assert!(!is_on_disk(&directory, &text), "what the old key opens is gone");
    }
    let (changed, _) = Store::reencrypt(&url_in(&directory), given(&[&new, &old])).await.unwrap();
    assert_eq!(changed, 0);
    check_readable(&directory, given(&[&new])).await;
    assert!(Store::open_with(&url_in(&directory), given(&[&old])).await.is_err());
}

#[tokio::test]
async fn a_server_reads_its_file_again_for_a_key_that_came_later() {
    let directory = database(KeySource::BesideDatabase).await;
    let server = Store::open(&url_in(&directory)).await.unwrap();
    let old = std::fs::read_to_string(key_file(&directory)).unwrap();
    let new = fresh_key();
    std::fs::write(key_file(&directory), format!("{new}\n{old}")).unwrap();
    let beside = Store::open_shared(&url_in(&directory), KeySource::BesideDatabase).await.unwrap();
    beside.create_api_key(api_key(2, 1)).await.unwrap();
    beside.close().await;
    let read = server.api_key(ApiKeySid::from_bits(2)).await.unwrap().unwrap();
    assert_eq!(read.secret.expose_secret(), SECRET);
    server.create_api_key(api_key(3, 1)).await.unwrap();
    let report = server.check_secrets().await.unwrap();
    assert_eq!((report.secrets, report.with_other_keys), (4, 2), "the server encrypts with the new key as well");
}

#[tokio::test]
async fn two_processes_that_start_at_once_make_one_key() {
    let directory = tempfile::tempdir().unwrap();
    let url = url_in(&directory);
    Store::migrate(&url).await.unwrap();
    let open = || Store::open_shared(&url, KeySource::BesideDatabase);
    let (one, other) = tokio::join!(open(), open());
    let (one, other) = (one.unwrap(), other.unwrap());
    one.create_account(account()).await.unwrap();
    let mut second = account();
    second.sid = AccountSid::from_bits(2);
    other.create_account(second).await.unwrap();
    assert_eq!(one.accounts().await.unwrap().len(), 2);
    assert_eq!(other.accounts().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_crash_before_the_tokens_were_encrypted_is_made_up_for() {
    let directory = tempfile::tempdir().unwrap();
    let url = url_in(&directory);
    Store::migrate(&url).await.unwrap();
    let mut connection = opening::raw_connection(&directory).await;
    let pending = migrations::pending(&mut connection).await.unwrap();
    assert!(pending.is_empty());
    let insert = "INSERT INTO accounts (sid, friendly_name, auth_token, created_at) VALUES ($1, 'n', $2, 5)";
    let query = sqlx::query(insert).bind(account_sid().to_string()).bind(TOKEN);
    query.execute(&mut connection).await.unwrap();
    // The file was made, the transaction was not committed; and one that was not even finished.
    std::fs::write(key_file(&directory), fresh_key()).unwrap();
    std::fs::write(directory.path().join("switchhook.db.key.new"), "half").unwrap();
    let store = Store::open(&url).await.unwrap();
    let read = store.account(account_sid()).await.unwrap().unwrap();
    assert_eq!(read.auth_token.expose_secret(), TOKEN);
}
