//! API keys: further user names and passwords of an account.
//!
//! It must not check passwords or log secrets. Start with [`Store::create_api_key`].

use super::load::select;
use super::work::{Update, Work};
use super::{ApiKey, Error, Store};
use crate::routing::{ApiKeySid, Timestamp};

impl Store {
    /// One API key.
    pub async fn api_key(&self, sid: ApiKeySid) -> Result<Option<ApiKey>, Error> {
        let found = {
            let mut connection = self.read_pool().acquire().await?;
            select(&mut connection, "WHERE sid = $1", Some(&sid.to_string())).await?.pop()
        };
        if let Some(row) = found {
            return self.secrets().api_key(row).await.map(Some);
        }
        self.secrets().forget_api_key(sid);
        Ok(None)
    }

    /// Whether there is such a key; its secret is not looked at.
    pub async fn has_api_key(&self, sid: ApiKeySid) -> Result<bool, Error> {
        let query = sqlx::query("SELECT 1 FROM api_keys WHERE sid = $1").bind(sid.to_string());
        Ok(query.fetch_optional(self.read_pool()).await?.is_some())
    }

    /// Writes a new API key of an account that is there. It is on disk when this returns.
    pub async fn create_api_key(&self, api_key: ApiKey) -> Result<(), Error> {
        let row = self.secrets().seal_api_key(api_key);
        self.write(Work::of_api_key(row)).await
    }

    /// Gives an API key another name; one that was revoked meanwhile stays so.
    pub async fn rename_api_key(&self, sid: ApiKeySid, friendly_name: String, at: Timestamp) -> Result<(), Error> {
        let update = Update {
            sql: "UPDATE api_keys SET friendly_name = $1, updated_at = $2 WHERE sid = $3",
            values: vec![friendly_name.into(), at.into(), super::statements::Value::of(sid)],
        };
        self.write(Work { update: Some(update), ..Work::default() }).await
    }

    /// Ends an API key for good. No request with it is answered any more when this returns.
    pub async fn revoke_api_key(&self, sid: ApiKeySid) -> Result<(), Error> {
        self.write(Work::revoking(sid)).await?;
        self.secrets().forget_api_key(sid);
        Ok(())
    }
}
