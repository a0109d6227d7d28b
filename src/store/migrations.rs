//! The schema's migrations: compiled in, applied in order, each once, in one transaction.
//!
//! A migration that was applied never changes; a database that has other migrations than this program is refused. It
//! must not take the process lock (`sqlite` does). Start with [`apply`].

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use sqlx::{Row as _, SqliteConnection};

use super::Error;

struct Migration {
    name: &'static str,
    sql: &'static str,
}

macro_rules! migration {
    ($name:literal) => {
        Migration { name: $name, sql: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")) }
    };
}

const MIGRATIONS: &[Migration] = &[
    migration!("0001_foundation"),
    migration!("0002_transfers"),
    migration!("0003_statistics"),
    migration!("0004_keys"),
    migration!("0005_list_indices"),
    migration!("0006_time_of_change"),
    migration!("0007_assignment_callbacks"),
    migration!("0008_event_callbacks"),
    migration!("0009_presence"),
    migration!("0010_departed_workspaces"),
    migration!("0012_callback_relays"),
    migration!("0013_entry_points"),
    migration!("0014_event_subscriptions"),
    migration!("0016_voicemails"),
    migration!("0019_connect_failures"),
    migration!("0020_removed_workspaces"),
    migration!("0021_idempotent_requests"),
];

fn checksum(migration: &Migration) -> String {
    BASE64_STANDARD.encode(Sha256::digest(migration.sql.as_bytes()))
}

/// Names of the migrations that are still to be applied.
pub(super) async fn pending(connection: &mut SqliteConnection) -> Result<Vec<&'static str>, Error> {
    Ok(outstanding(connection).await?.iter().map(|migration| migration.name).collect())
}

/// Applies what is missing; returns the names of the migrations that were applied.
pub(super) async fn apply(connection: &mut SqliteConnection) -> Result<Vec<String>, Error> {
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    match apply_in_transaction(connection).await {
        Ok(applied) => {
            sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
            Ok(applied)
        }
        Err(error) => {
            // The first error is the one to report; a connection that cannot roll back is dropped by the caller.
            let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await;
            Err(error)
        }
    }
}

async fn apply_in_transaction(connection: &mut SqliteConnection) -> Result<Vec<String>, Error> {
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL)",
    )
    .execute(&mut *connection)
    .await?;
    let mut applied = Vec::new();
    for migration in outstanding(connection).await? {
        sqlx::raw_sql(migration.sql).execute(&mut *connection).await?;
        sqlx::query("INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)")
            .bind(migration.name)
            .bind(checksum(migration))
            .execute(&mut *connection)
            .await?;
        applied.push(migration.name.to_owned());
    }
    Ok(applied)
}

/// Compares what was applied with what is compiled in: the former must be a beginning of the latter.
async fn outstanding(connection: &mut SqliteConnection) -> Result<&'static [Migration], Error> {
    let known = sqlx::query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'")
        .fetch_optional(&mut *connection)
        .await?;
    if known.is_none() {
        return Ok(MIGRATIONS);
    }
    let rows =
        sqlx::query("SELECT name, checksum FROM schema_migrations ORDER BY name").fetch_all(&mut *connection).await?;
    for (index, row) in rows.iter().enumerate() {
        let (name, applied): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        match MIGRATIONS.get(index) {
            Some(migration) if migration.name == name && checksum(migration) == applied => {}
            Some(migration) if migration.name == name => {
                return Err(Error::Schema(
                    format!("migration {name} of the database differs from the one in this program").into(),
                ));
            }
            _ => {
                return Err(Error::Schema(
                    format!(
                        "the database has migration {name}, which this program does not know; expected an older one"
                    )
                    .into(),
                ));
            }
        }
    }
    Ok(&MIGRATIONS[rows.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_directory_is_compiled_in_in_order() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
        let mut files: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let compiled: Vec<String> = MIGRATIONS.iter().map(|migration| format!("{}.sql", migration.name)).collect();
        assert_eq!(files, compiled);
    }
}
