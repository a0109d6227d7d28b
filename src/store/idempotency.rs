//! Requests of the API that their clients may repeat: what was replied to each, and the answer that was given.
//!
//! A row is there from the commit on that carried the request out, so a repeat never changes anything again; the answer
//! joins it before the client has it. Which requests are the same is for the caller to say. Start with
//! [`IdempotentRequest`], a record of `batch`.

use sqlx::AssertSqlSafe;

use super::fields::{Fields, FromRow as _};
use super::rows::Change;
use super::statements::{IDEMPOTENT_REQUESTS, Value, select_sql};
use super::work::{Update, Work};
use super::{Error, IdempotentRequest, Store};
use crate::routing::{Reply, Timestamp};

/// How long a request is remembered, in milliseconds.
pub const IDEMPOTENT_REQUESTS_KEPT: i64 = 24 * 3_600_000;

/// What is written for a reply that names nothing.
const DONE: &str = "done";

impl Store {
    /// A request that was carried out after this moment, by its digest.
    pub async fn idempotent_request(
        &self,
        request: &str,
        after: Timestamp,
    ) -> Result<Option<IdempotentRequest>, Error> {
        let mut connection = self.read_pool().acquire().await?;
        let live = "WHERE request = $1 AND created_at > $2 AND workspace_sid IN (SELECT sid FROM workspaces)";
        let sql = AssertSqlSafe(select_sql(IdempotentRequest::TABLE, live));
        let row = sqlx::query(sql).bind(request.to_owned()).bind(after.0).fetch_optional(&mut *connection).await?;
        row.map(|row| IdempotentRequest::from_fields(&mut Fields::new(IdempotentRequest::TABLE, &row))).transpose()
    }

    /// Keeps a request with its answer, in place of what was written when it was carried out.
    pub async fn keep_idempotent_request(&self, request: IdempotentRequest) -> Result<(), Error> {
        self.write(Work::of_changes(vec![idempotency_change(request)], None)).await
    }

    /// Forgets requests that are older than `before`, at most `most`; returns how many.
    pub async fn forget_idempotent_requests(&self, before: Timestamp, most: u32) -> Result<usize, Error> {
        let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM idempotent_requests WHERE created_at < $1 LIMIT $2)";
        let count = sqlx::query_scalar::<_, i64>(sql).bind(before.0).bind(most).fetch_one(self.read_pool()).await?;
        let count = usize::try_from(count).unwrap_or(0);
        if count > 0 {
            // Found and removed at once, so that one whose token is taken for a new request meanwhile stays.
            let sql = "DELETE FROM idempotent_requests WHERE request IN (SELECT request FROM idempotent_requests \
                       WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
            let update = Update { sql, values: vec![before.into(), most.into()] };
            self.write(Work::of_changes(Vec::new(), Some(update))).await?;
        }
        Ok(count)
    }
}

/// The row of a request.
pub(super) fn idempotency_change(request: IdempotentRequest) -> Change {
    let IdempotentRequest { key, workspace, reply, answer, at } = request;
    let (status, etag, body) =
        answer.map_or((None, None, None), |answer| (Some(i64::from(answer.status)), answer.etag, Some(answer.body)));
    let row = vec![
        key.request.into(),
        Value::of(workspace),
        key.body.into(),
        text_of_reply(reply).into(),
        status.into(),
        etag.into(),
        body.into(),
        at.into(),
    ];
    Change::write(&IDEMPOTENT_REQUESTS, row)
}

fn text_of_reply(reply: Reply) -> String {
    match reply {
        Reply::Done => DONE.to_owned(),
        Reply::Activity(sid) => sid.to_string(),
        Reply::TaskChannel(sid) => sid.to_string(),
        Reply::TaskQueue(sid) => sid.to_string(),
        Reply::Workflow(sid) => sid.to_string(),
        Reply::Worker(sid) => sid.to_string(),
        Reply::Task(sid) => sid.to_string(),
        Reply::Transfer(sid) => sid.to_string(),
    }
}

/// Reads what [`text_of_reply`] wrote: the beginning of a SID tells of what it is.
pub(super) fn reply_from_text(text: &str) -> Option<Reply> {
    if text == DONE {
        return Some(Reply::Done);
    }
    let activity = || text.parse().map(Reply::Activity);
    let channel = || text.parse().map(Reply::TaskChannel);
    let queue = || text.parse().map(Reply::TaskQueue);
    let workflow = || text.parse().map(Reply::Workflow);
    let worker = || text.parse().map(Reply::Worker);
    let task = || text.parse().map(Reply::Task);
    let transfer = || text.parse().map(Reply::Transfer);
    let made = task().or_else(|_| worker()).or_else(|_| activity()).or_else(|_| queue()).or_else(|_| workflow());
    made.or_else(|_| channel()).or_else(|_| transfer()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{ActivitySid, TaskChannelSid, TaskQueueSid, TaskSid, TransferSid, WorkerSid, WorkflowSid};

    #[test]
    fn replies_come_back_as_they_were_written() {
        let replies = [
            Reply::Done,
            Reply::Activity(ActivitySid::from_bits(1)),
            Reply::TaskChannel(TaskChannelSid::from_bits(2)),
            Reply::TaskQueue(TaskQueueSid::from_bits(3)),
            Reply::Workflow(WorkflowSid::from_bits(4)),
            Reply::Worker(WorkerSid::from_bits(5)),
            Reply::Task(TaskSid::from_bits(6)),
            Reply::Transfer(TransferSid::from_bits(7)),
        ];
        for reply in replies {
            assert_eq!(reply_from_text(&text_of_reply(reply)), Some(reply));
        }
        assert_eq!(reply_from_text("WS00000000000000000000000000000001"), None);
    }
}
