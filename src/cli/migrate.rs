//! `migrate`: brings the schema up to date and says what was applied.

use anyhow::Context as _;

use crate::config::Config;
use crate::store::Store;

use super::{Outcome, say};

/// Applies what is missing.
pub(super) async fn run(config: &Config) -> anyhow::Result<Outcome> {
    let applied = Store::migrate(&config.database).await.context("cannot bring the database up to date")?;
    if applied.is_empty() {
        say("nothing to apply, the schema is up to date")?;
    }
    for name in applied {
        say(&format!("applied {name}"))?;
    }
    Ok(Outcome::Done)
}
