//! Accounts and the alert log: the rows that belong to no workspace's batch.
//!
//! It must not check passwords or log tokens. Start with [`Store::create_account`].

use super::load::select;
use super::secrets::AccountRow;
use super::work::Work;
use super::{Account, Alert, Error, Store};
use crate::routing::AccountSid;

/// Most alerts in one answer.
const MAX_ALERTS: u32 = 1_000;

impl Store {
    /// One account.
    pub async fn account(&self, sid: AccountSid) -> Result<Option<Account>, Error> {
        let found = {
            let mut connection = self.read_pool().acquire().await?;
            select(&mut connection, "WHERE sid = $1", Some(&sid.to_string())).await?.pop()
        };
        match found {
            Some(row) => self.secrets().account(row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The oldest account.
    pub async fn first_account(&self) -> Result<Option<AccountSid>, Error> {
        let mut connection = self.read_pool().acquire().await?;
        let oldest = "ORDER BY created_at, sid LIMIT 1";
        let mut rows = select::<AccountRow>(&mut connection, oldest, None).await?;
        Ok(rows.pop().map(|row| row.sid))
    }

    /// All accounts, oldest first.
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        let rows = {
            let mut connection = self.read_pool().acquire().await?;
            select(&mut connection, "ORDER BY created_at, sid", None).await?
        };
        let mut accounts = Vec::with_capacity(rows.len());
        for row in rows {
            accounts.push(self.secrets().account(row).await?);
        }
        Ok(accounts)
    }

    /// Writes an account; one that is there already gets the new name and token and keeps its creation, so that a
    /// token can be exchanged. It is on disk when this returns.
    pub async fn create_account(&self, account: Account) -> Result<(), Error> {
        let row = self.secrets().seal_account(account);
        self.write(Work::of_account(row)).await
    }

    /// How many workspaces an account has.
    pub async fn count_workspaces(&self, account: AccountSid) -> Result<u64, Error> {
        let sql = "SELECT COUNT(*) FROM workspaces WHERE account_sid = $1";
        let count: i64 = sqlx::query_scalar(sql).bind(account.to_string()).fetch_one(self.read_pool()).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Adds a line to the alert log; it is on disk when this returns.
    pub async fn alert(&self, alert: Alert) -> Result<(), Error> {
        self.write(Work::of_alert(alert)).await
    }

    /// Alerts of an account, newest first, at most `limit` (and at most 1,000).
    pub async fn alerts(&self, account: AccountSid, limit: u32) -> Result<Vec<Alert>, Error> {
        let mut connection = self.read_pool().acquire().await?;
        let newest = "WHERE account_sid = $1 ORDER BY at DESC, sid DESC LIMIT 1000";
        let mut alerts = select(&mut connection, newest, Some(&account.to_string())).await?;
        alerts.truncate(usize::try_from(limit.min(MAX_ALERTS)).unwrap_or(usize::MAX));
        Ok(alerts)
    }
}
