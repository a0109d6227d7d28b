//! Removes what is kept for a limited time only, in small portions.
//!
//! The keys of old rows are read beside the writer; their removal is one of the works that the writer takes in turn, so
//! commits of calls never wait long. What is old is for the caller to say. Start with [`Store::remove_expired`].

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::rows::Change;
use super::statements::{
    ACTIVITY_PERIODS, ALERTS, EVENT_DELIVERIES, EVENT_SUBSCRIPTIONS, EVENTS, STATISTIC_FACTS, STATISTIC_ROLLUPS, Table,
    Value,
};
use super::work::{Update, Work};
use super::{Error, Store};
use crate::routing::{AccountSid, Timestamp, WorkspaceSid};

/// How to find the keys of old rows of a table: a workspace, a moment, a number of rows.
struct Expiry {
    table: &'static Table,
    sql: &'static str,
}

/// Buckets are old when their last moment is, deliveries when they are dead or taken that long, what was asked for when no
/// event is left that came before the next change.
const EXPIRIES: &[Expiry] = &[
    Expiry {
        table: &EVENT_DELIVERIES,
        sql: "SELECT workspace_sid, sequence FROM event_deliveries WHERE workspace_sid = $1 AND state = 'dead' \
              AND next_attempt_at < $2 ORDER BY next_attempt_at, sequence LIMIT $3",
    },
    Expiry {
        table: &EVENT_DELIVERIES,
        sql: "SELECT workspace_sid, sequence FROM event_deliveries WHERE workspace_sid = $1 AND state = 'done' \
              AND next_attempt_at < $2 ORDER BY next_attempt_at, sequence LIMIT $3",
    },
    Expiry {
        table: &EVENT_SUBSCRIPTIONS,
        sql: "SELECT workspace_sid, from_sequence FROM event_subscriptions WHERE workspace_sid = $1 AND at < $2 \
              AND from_sequence < (SELECT MAX(from_sequence) FROM event_subscriptions WHERE workspace_sid = $1 \
              AND from_sequence <= (SELECT MIN(sequence) FROM events WHERE workspace_sid = $1)) \
              ORDER BY from_sequence LIMIT $3",
    },
    Expiry {
        table: &EVENTS,
        sql: "SELECT workspace_sid, sequence FROM events WHERE workspace_sid = $1 AND at < $2 \
              ORDER BY at, sequence LIMIT $3",
    },
    Expiry {
        table: &STATISTIC_FACTS,
        sql: "SELECT workspace_sid, at, sequence FROM statistic_facts WHERE workspace_sid = $1 AND at < $2 \
              ORDER BY at, sequence LIMIT $3",
    },
    Expiry {
        table: &STATISTIC_ROLLUPS,
        sql: "SELECT workspace_sid, scope_sid, width_secs, begins_at, task_channel_sid FROM statistic_rollups \
              WHERE workspace_sid = $1 AND width_secs = 300 AND begins_at <= $2 - 300000 ORDER BY begins_at LIMIT $3",
    },
    Expiry {
        table: &STATISTIC_ROLLUPS,
        sql: "SELECT workspace_sid, scope_sid, width_secs, begins_at, task_channel_sid FROM statistic_rollups \
              WHERE workspace_sid = $1 AND width_secs = 3600 AND begins_at <= $2 - 3600000 ORDER BY begins_at LIMIT $3",
    },
    Expiry {
        table: &ACTIVITY_PERIODS,
        sql: "SELECT workspace_sid, until_at, sequence FROM activity_periods WHERE workspace_sid = $1 AND until_at < $2 \
              ORDER BY until_at, sequence LIMIT $3",
    },
];

impl Store {
    /// Removes alerts of an account that are older than `before`, at most `most`; returns how many rows were removed.
    pub async fn remove_expired_alerts(
        &self,
        account: AccountSid,
        before: Timestamp,
        most: u32,
    ) -> Result<usize, Error> {
        let sql = "SELECT sid FROM alerts WHERE account_sid = $1 AND at < $2 ORDER BY at, sid LIMIT $3";
        let query = sqlx::query_scalar::<_, String>(sql).bind(account.to_string()).bind(before.0).bind(most);
        let sids = query.fetch_all(self.read_pool()).await?;
        let removed = sids.len();
        if removed > 0 {
            let changes = sids.into_iter().map(|sid| Change::delete(&ALERTS, vec![Value::from(sid)])).collect();
            self.write(Work::of_removals(changes)).await?;
        }
        Ok(removed)
    }

    /// Forgets what receivers of events answered at attempts that are older than `before`: it may be anybody's data.
    pub async fn forget_answers(&self, workspace: WorkspaceSid, before: Timestamp) -> Result<(), Error> {
        let sql = "SELECT 1 FROM event_deliveries WHERE workspace_sid = $1 AND last_answer IS NOT NULL \
                   AND last_attempt_at < $2 LIMIT 1";
        let query = sqlx::query(sql).bind(workspace.to_string()).bind(before.0);
        if query.fetch_optional(self.read_pool()).await?.is_none() {
            return Ok(());
        }
        let update = Update {
            sql: "UPDATE event_deliveries SET last_answer = NULL WHERE workspace_sid = $1 AND last_attempt_at < $2",
            values: vec![Value::of(workspace), before.into()],
        };
        self.write(Work::of_changes(Vec::new(), Some(update))).await
    }

    /// Removes events, facts, their sums and stays in activities of a workspace that are older than `before`, of each
    /// table at most `most` rows; returns how many rows were removed. The removal is on disk when this returns.
    pub async fn remove_expired(&self, workspace: WorkspaceSid, before: Timestamp, most: u32) -> Result<usize, Error> {
        let mut changes = Vec::new();
        {
            let mut connection = self.read_pool().acquire().await?;
            for expiry in EXPIRIES {
                expired(&mut connection, expiry, workspace, before, most, &mut changes).await?;
            }
        }
        let removed = changes.len();
        if removed > 0 {
            self.write(Work::of_removals(changes)).await?;
        }
        Ok(removed)
    }
}

async fn expired(
    connection: &mut SqliteConnection,
    expiry: &Expiry,
    workspace: WorkspaceSid,
    before: Timestamp,
    most: u32,
    changes: &mut Vec<Change>,
) -> Result<(), Error> {
    let query = sqlx::query(expiry.sql).bind(workspace.to_string()).bind(before.0).bind(most);
    changes.extend(removals(expiry.table, &query.fetch_all(connection).await?)?);
    Ok(())
}

/// Removes the rows of a table with these keys.
pub(super) fn removals(table: &'static Table, keys: &[SqliteRow]) -> Result<Vec<Change>, sqlx::Error> {
    let removal = |row: &SqliteRow| {
        let key = (0..table.key_columns).map(|column| key_part(row, column));
        Ok(Change::delete(table, key.collect::<Result<_, sqlx::Error>>()?))
    };
    keys.iter().map(removal).collect()
}

fn key_part(row: &SqliteRow, column: usize) -> Result<Value, sqlx::Error> {
    match row.try_get::<i64, _>(column) {
        Ok(number) => Ok(Value::from(number)),
        Err(_) => row.try_get::<String, _>(column).map(Value::from),
    }
}
