//! Lists in the SDK's form: `contents`, and where the next page begins.
//!
//! Pages follow a SID (`AfterSid`), or with `Ordering` an opaque token (`NextToken`). Start with [`Page`].

use serde_json::{Value, json};

use super::Asked;
use crate::api::error::ApiError;
use crate::api::form::invalid;
use crate::api::page::{page_size, read_token, write_token};
use crate::api::{task_queues, workers};
use crate::notify::channel::Dialect;
use crate::notify::shapes;
use crate::routing::{ActivitySid, ReservationSid, ReservationStatus, TaskQueueSid, Timestamp, WorkerSid, Workspace};
use crate::store::pages::{Cursor, List, Seek, Span};
use crate::store::views::{TaskQueueView, WorkerView};

impl Asked {
    pub(super) async fn activities(&self) -> Result<Value, ApiError> {
        let available = self.parameters.truthy("Available");
        let name = self.parameters.filled("FriendlyName").map(str::to_owned);
        self.listed("ActivitySid", move |workspace, _| {
            let rows = workspace.activities();
            let rows = rows.filter(|row| available.is_none_or(|available| row.available == available));
            let rows = rows.filter(|row| name.as_ref().is_none_or(|name| row.friendly_name == *name));
            rows.map(|row| (row.sid.to_string(), shapes::activity(workspace, row))).collect()
        })
        .await
    }

    pub(super) async fn worker_channels(&self, worker: WorkerSid) -> Result<Value, ApiError> {
        self.worker(worker).await?;
        self.listed("WorkerChannelSid", move |workspace, _| {
            let mut rows: Vec<_> = workspace.channels_of_worker(worker).map(|(_, row)| row).collect();
            rows.sort_by_key(|row| row.sid);
            rows.into_iter().map(|row| (row.sid.to_string(), shapes::worker_channel(workspace, row))).collect()
        })
        .await
    }

    /// The worker's reservations that are in memory; with `Active` only those that are open.
    pub(super) async fn reservations(&self, worker: WorkerSid) -> Result<Value, ApiError> {
        self.worker(worker).await?;
        let status = self.parameters.filled("ReservationStatus").map(|text| {
            ReservationStatus::from_text(&text.to_ascii_lowercase())
                .ok_or_else(|| invalid("ReservationStatus", text, "a status of reservations"))
        });
        let status = status.transpose()?;
        let page = self
            .listed("ReservationSid", move |workspace, now| {
                let rows = shapes::open_reservations(workspace, worker).into_iter();
                let rows = rows.filter(|row| status.is_none_or(|status| row.status == status));
                rows.map(|row| (row.sid.to_string(), shapes::reservation(workspace, row, now))).collect()
            })
            .await?;
        let read = page["contents"].as_array().into_iter().flatten();
        let read: Vec<ReservationSid> = read.filter_map(|row| row["sid"].as_str()?.parse().ok()).collect();
        if self.grant.worker == Some(worker) {
            self.scope.state.hub.reservations_were_read(worker, Dialect::Present, &read);
        }
        Ok(page)
    }

    pub(super) async fn workers(&self) -> Result<Value, ApiError> {
        let page = Page::read(self)?;
        if let Some(activity) = self.parameters.sid::<ActivitySid>("ActivitySid")? {
            let known = self.see(move |workspace, _| workspace.activity(activity).map(|_| Value::Null)).await;
            known.map_err(|_| invalid("ActivitySid", &activity.to_string(), "an activity of this workspace"))?;
        }
        let seek = match &page.from {
            From::Start => Seek::First,
            From::Token(seek) => seek.clone(),
            From::After(text) => {
                let wrong = || invalid("AfterSid", text, "a worker of this workspace");
                let sid: WorkerSid = text.parse().map_err(|_| wrong())?;
                let row = self.scope.state.store.worker(self.scope.sid(), sid).await?.ok_or_else(wrong)?;
                Seek::After(Cursor { sid: row.sid, keys: vec![row.created_at.0] })
            }
        };
        let list: List<WorkerView> =
            workers::find(&self.scope, &self.parameters, Span { seek, limit: page.size }).await?;
        let sids = list.entries.iter().filter_map(|entry| entry.row.sid.parse().ok()).collect::<Vec<WorkerSid>>();
        let contents = self
            .see(move |workspace, _| {
                let rows = sids.iter().filter_map(|sid| workspace.worker(*sid));
                Some(Value::Array(rows.map(|row| shapes::worker(workspace, row)).collect()))
            })
            .await?;
        Ok(page.answer(&contents, list.after.as_ref()))
    }

    pub(super) async fn task_queues(&self) -> Result<Value, ApiError> {
        let page = Page::read(self)?;
        let seek = match &page.from {
            From::Start => Seek::First,
            From::Token(seek) => seek.clone(),
            From::After(text) => {
                let wrong = || invalid("AfterSid", text, "a task queue of this workspace");
                let sid: TaskQueueSid = text.parse().map_err(|_| wrong())?;
                let row = self.scope.state.store.task_queue(self.scope.sid(), sid).await?.ok_or_else(wrong)?;
                Seek::After(Cursor { sid: row.sid, keys: vec![row.created_at.0] })
            }
        };
        let list = task_queues::find(&self.scope, &self.parameters, Span { seek, limit: page.size }).await?;
        let contents = list.entries.iter().map(|entry| self.queue_shape(&entry.row)).collect();
        Ok(page.answer(&Value::Array(contents), list.after.as_ref()))
    }

    pub(super) async fn task_queue(&self, queue: TaskQueueSid) -> Result<Value, ApiError> {
        let row = self.scope.state.store.task_queue(self.scope.sid(), queue).await?;
        Ok(self.queue_shape(&self.scope.found(row)?))
    }

    fn queue_shape(&self, row: &TaskQueueView) -> Value {
        json!({
            "account_sid": self.scope.place.account,
            "workspace_sid": self.scope.place.workspace,
            "sid": row.sid,
            "friendly_name": row.friendly_name,
            "target_workers": row.target_workers,
            "max_reserved_workers": row.max_reserved_workers,
            "task_order": row.task_order,
            "lifo_queue": row.task_order == "LIFO",
            "assignment_activity_sid": row.assignment_activity_sid,
            "assignment_activity_name": row.assignment_activity_name,
            "reservation_activity_sid": row.reservation_activity_sid,
            "reservation_activity_name": row.reservation_activity_name,
            "date_created": row.created_at.unix_secs(),
            "date_updated": row.updated_at.unix_secs(),
        })
    }

    /// A list that is in memory as a whole, in the order in which `all` gives it.
    async fn listed(
        &self,
        name: &'static str,
        all: impl FnOnce(&Workspace, Timestamp) -> Vec<(String, Value)> + Send + 'static,
    ) -> Result<Value, ApiError> {
        let page = Page::read(self)?;
        let after = match page.from {
            From::Start => None,
            From::After(ref sid) => Some(sid.clone()),
            From::Token(_) => return Err(invalid("NextToken", "", "used with Ordering")),
        };
        let size = usize::try_from(page.size).unwrap_or(usize::MAX);
        let seen = self
            .see(move |workspace, now| {
                let mut rows = all(workspace, now);
                if let Some(after) = after {
                    let Some(at) = rows.iter().position(|(sid, _)| *sid == after) else { return Some(json!(null)) };
                    rows.drain(..=at);
                }
                let more = rows.len() > size;
                rows.truncate(size);
                let last = rows.last().filter(|_| more).map(|(sid, _)| sid.clone());
                let contents: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
                Some(json!({ "contents": contents, "after_sid": last }))
            })
            .await?;
        if seen.is_null() {
            return Err(invalid("AfterSid", self.parameters.text("AfterSid").unwrap_or_default(), name));
        }
        Ok(envelope(&seen["contents"], seen["after_sid"].as_str(), None))
    }
}

/// Where a page begins.
#[derive(Debug, Clone)]
enum From {
    Start,
    After(String),
    Token(Seek),
}

/// Which page is asked for.
struct Page {
    from: From,
    size: u32,
    ordered: bool,
}

impl Page {
    fn read(asked: &Asked) -> Result<Self, ApiError> {
        let parameters = &asked.parameters;
        let size = parameters.filled("PageSize").map_or(Ok(50), page_size)?;
        let ordered = parameters.filled("Ordering").is_some();
        let from = match (parameters.filled("NextToken"), parameters.filled("AfterSid")) {
            (Some(token), _) => {
                From::Token(read_token(token, 1).ok_or_else(|| invalid("NextToken", token, "a token of this list"))?)
            }
            (None, Some(sid)) => From::After(sid.to_owned()),
            (None, None) => From::Start,
        };
        Ok(Self { from, size, ordered })
    }

    fn answer(&self, contents: &Value, after: Option<&Cursor>) -> Value {
        if self.ordered {
            envelope(contents, None, after.map(|cursor| write_token("PA", cursor)))
        } else {
            envelope(contents, after.map(|cursor| cursor.sid.as_str()), None)
        }
    }
}

fn envelope(contents: &Value, after_sid: Option<&str>, next_token: Option<String>) -> Value {
    let mut meta = json!({ "list_key": "contents" });
    if let Some(token) = next_token {
        meta["next_token"] = token.into();
    }
    json!({ "contents": contents, "after_sid": after_sid, "before_sid": null, "meta": meta })
}
