//! Rows to records: one list of columns for each record, in the order of the table's columns.
//!
//! It must not know SQL or connections. A value that cannot be read becomes [`Error::Inconsistent`] with its place. The
//! way there is in `rows`. Start with [`Fields`] and [`FromRow`].

use std::str::FromStr;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::idempotency::reply_from_text;
use super::secrets::{AccountRow, ApiKeyRow};
use super::statements::{
    ACCOUNTS, ACTIVITIES, ALERTS, API_KEYS, ASSIGNMENT_CALLBACKS, ENTRY_RESOURCES, IDEMPOTENT_REQUESTS, OUTBOX,
    PRESENCES, RELAYS, RESERVATIONS, TASK_CHANNELS, TASK_QUEUES, TASKS, TRANSFERS, Table, VOICE_TASKS, VOICEMAILS,
    WORKER_CHANNELS, WORKERS, WORKFLOW_VERSIONS, WORKFLOWS, WORKSPACES,
};
use super::{
    Alert, CalendarRow, Error, IdempotencyKey, IdempotentRequest, KeptAnswer, OpenCallback, OutboxRow, RelayRow,
    VoiceRecord, VoiceTaskRow, Voicemail,
};
use crate::routing::{
    Activity, BackOff, Presence, Reservation, ReservationStatus, Step, Task, TaskChannel, TaskOrder, TaskQueue,
    TaskStatus, Timestamp, Transfer, TransferMode, TransferStatus, Worker, WorkerChannel, WorkerSid, Workflow,
    WorkflowVersion, WorkspaceSettings,
};

/// A row of either driver; the outer `None` is a value of another type, the inner one NULL.
#[expect(clippy::option_option, reason = "a value of another type is not the same as NULL")]
pub(super) trait Columns {
    /// A text or NULL.
    fn text(&self, index: usize) -> Option<Option<&str>>;
    /// A whole number or NULL.
    fn int(&self, index: usize) -> Option<Option<i64>>;
}

impl Columns for SqliteRow {
    fn text(&self, index: usize) -> Option<Option<&str>> {
        self.try_get(index).ok()
    }

    fn int(&self, index: usize) -> Option<Option<i64>> {
        self.try_get(index).ok()
    }
}

impl Columns for rusqlite::Row<'_> {
    fn text(&self, index: usize) -> Option<Option<&str>> {
        self.get_ref(index).ok()?.as_str_or_null().ok()
    }

    fn int(&self, index: usize) -> Option<Option<i64>> {
        self.get_ref(index).ok()?.as_i64_or_null().ok()
    }
}

/// Reads the columns of one row from left to right.
pub(super) struct Fields<'r> {
    table: &'static Table,
    row: &'r dyn Columns,
    next: usize,
}

impl<'r> Fields<'r> {
    /// Begins at the first column of a row that was selected with all columns of `table`.
    pub(super) const fn new(table: &'static Table, row: &'r dyn Columns) -> Self {
        Self { table, row, next: 0 }
    }

    /// The error for the column that was read last.
    fn inconsistent(&self) -> Error {
        let part = |index: usize| match (self.row.text(index), self.row.int(index)) {
            (Some(Some(text)), _) => text.to_owned(),
            (_, Some(Some(number))) => number.to_string(),
            _ => "?".to_owned(),
        };
        let row = (0..self.table.key_columns).map(part).collect::<Vec<_>>().join("/");
        Error::Inconsistent { table: self.table.name, column: self.table.columns[self.next - 1], row }
    }

    fn str_option(&mut self) -> Result<Option<&'r str>, Error> {
        let text = self.row.text(self.next);
        self.next += 1;
        text.ok_or_else(|| self.inconsistent())
    }

    fn str(&mut self) -> Result<&'r str, Error> {
        self.str_option()?.ok_or_else(|| self.inconsistent())
    }

    fn i64_option(&mut self) -> Result<Option<i64>, Error> {
        let number = self.row.int(self.next);
        self.next += 1;
        number.ok_or_else(|| self.inconsistent())
    }

    fn i64(&mut self) -> Result<i64, Error> {
        self.i64_option()?.ok_or_else(|| self.inconsistent())
    }

    const fn skip(&mut self) {
        self.next += 1;
    }

    fn text(&mut self) -> Result<String, Error> {
        self.str().map(str::to_owned)
    }

    fn text_option(&mut self) -> Result<Option<String>, Error> {
        Ok(self.str_option()?.map(str::to_owned))
    }

    fn read<T>(&mut self, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Error> {
        let text = self.str()?;
        read(text).ok_or_else(|| self.inconsistent())
    }

    fn parsed<T: FromStr>(&mut self) -> Result<T, Error> {
        self.read(|text| text.parse().ok())
    }

    fn parsed_option<T: FromStr>(&mut self) -> Result<Option<T>, Error> {
        let text = self.str_option()?;
        text.map(|text| text.parse().map_err(|_| self.inconsistent())).transpose()
    }

    fn int<T: TryFrom<i64>>(&mut self) -> Result<T, Error> {
        let number = self.i64()?;
        T::try_from(number).map_err(|_| self.inconsistent())
    }

    fn int_option<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, Error> {
        let number = self.i64_option()?;
        number.map(|number| T::try_from(number).map_err(|_| self.inconsistent())).transpose()
    }

    fn flag(&mut self) -> Result<bool, Error> {
        match self.i64()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.inconsistent()),
        }
    }

    fn moment(&mut self) -> Result<Timestamp, Error> {
        self.i64().map(Timestamp)
    }

    fn moment_option(&mut self) -> Result<Option<Timestamp>, Error> {
        Ok(self.i64_option()?.map(Timestamp))
    }
}

/// Reads one record from a row that was selected with all columns of its table.
pub(super) trait FromRow: Sized {
    /// Where such records are.
    const TABLE: &'static Table;

    /// Reads all columns in order.
    fn from_fields(fields: &mut Fields<'_>) -> Result<Self, Error>;
}

macro_rules! from_row {
    ($($record:ty, $table:ident, |$fields:ident| $body:expr;)+) => {
        $(impl FromRow for $record {
            const TABLE: &'static Table = &$table;

            fn from_fields($fields: &mut Fields<'_>) -> Result<Self, Error> {
                Ok($body)
            }
        })+
    };
}

from_row! {
    WorkspaceSettings, WORKSPACES, |fields| Self {
        sid: fields.parsed()?,
        account: fields.parsed()?,
        friendly_name: fields.text()?,
        default_activity: fields.parsed()?,
        timeout_activity: fields.parsed()?,
        event_callback_url: fields.text()?,
        events_filter: fields.text_option()?,
        multi_task_enabled: fields.flag()?,
        prioritize_queue_order: fields.read(TaskOrder::from_text)?,
        disconnect_grace_secs: fields.int_option()?,
        disconnect_activity: fields.parsed_option()?,
        last_sequence: fields.int()?,
        last_change_at: fields.moment()?,
        created_at: fields.moment()?,
        updated_at: fields.moment()?,
    };
    Activity, ACTIVITIES, |fields| Self {
        sid: fields.parsed()?,
        friendly_name: { fields.skip(); fields.text()? },
        available: fields.flag()?,
        created_at: fields.moment()?,
        updated_at: fields.moment()?,
    };
    TaskChannel, TASK_CHANNELS, |fields| Self {
        sid: fields.parsed()?,
        friendly_name: { fields.skip(); fields.text()? },
        unique_name: fields.text()?,
        channel_optimized_routing: fields.flag()?,
        built_in: fields.flag()?,
        created_at: fields.moment()?,
        updated_at: fields.moment()?,
    };
    TaskQueue, TASK_QUEUES, |fields| Self {
        sid: fields.parsed()?,
        friendly_name: { fields.skip(); fields.text()? },
        target_workers: fields.text()?,
        task_order: fields.read(TaskOrder::from_text)?,
        max_reserved_workers: fields.int()?,
        reservation_activity: fields.parsed_option()?,
        assignment_activity: fields.parsed_option()?,
        created_at: fields.moment()?,
        updated_at: fields.moment()?,
    };
    Workflow, WORKFLOWS, |fields| Self {
        sid: fields.parsed()?,
        friendly_name: { fields.skip(); fields.text()? },
        configuration: fields.text()?,
        version: fields.int()?,
        assignment_callback_url: fields.text_option()?,
        fallback_assignment_callback_url: fields.text_option()?,
        task_reservation_timeout_secs: fields.int()?,
        created_at: fields.moment()?,
        updated_at: fields.moment()?,
    };
    WorkflowVersion, WORKFLOW_VERSIONS, |fields| Self {
        workflow: fields.parsed()?,
        version: fields.int()?,
        configuration: { fields.skip(); fields.text()? },
    };
    Worker, WORKERS, |fields| Self {
        sid: fields.parsed()?,
        friendly_name: { fields.skip(); fields.text()? },
        attributes: { fields.skip(); fields.text()? },
        activity: fields.parsed()?,
        status_changed_at: fields.moment()?,
        last_reserved_at: fields.moment()?,
        version: fields.int()?,
        created_at: fields.moment()?,
        updated_at: fields.moment()?,
        connect_failures: fields.int()?,
    };
    WorkerChannel, WORKER_CHANNELS, |fields| Self {
        sid: fields.parsed()?,
        worker: { fields.skip(); fields.parsed()? },
        channel: fields.parsed()?,
        configured_capacity: fields.int()?,
        available: fields.flag()?,
        assigned_tasks: fields.int()?,
        used: fields.int()?,
        last_reserved_at: fields.moment()?,
        created_at: fields.moment()?,
        updated_at: fields.moment()?,
    };
    Task, TASKS, |fields| Self {
        sid: fields.parsed()?,
        attributes: { fields.skip(); fields.text()? },
        status: fields.read(TaskStatus::from_text)?,
        priority: fields.int()?,
        timeout_secs: fields.int()?,
        reason: fields.text_option()?.into(),
        channel: fields.parsed()?,
        queue: fields.parsed_option()?,
        queue_entered_at: fields.moment_option()?,
        workflow: fields.parsed_option()?,
        workflow_version: fields.int()?,
        step: fields.read(step_from_text)?,
        base_at: fields.moment()?,
        filter_timed_out: fields.flag()?,
        virtual_start_at: fields.moment()?,
        routing_target: fields.parsed_option()?.into(),
        ignore_capacity: fields.flag()?,
        reserved_count: fields.int()?,
        back_offs: fields.read(back_offs_from_text)?.into(),
        version: fields.int()?,
        assigned_at: fields.moment_option()?.into(),
        finished_at: fields.moment_option()?.into(),
        created_at: fields.moment()?,
        updated_at: fields.moment()?,
        transfer: fields.parsed_option()?.into(),
        attributes_changed: fields.flag()?,
    };
    Reservation, RESERVATIONS, |fields| Self {
        sid: fields.parsed()?,
        task: { fields.skip(); fields.parsed()? },
        worker: fields.parsed()?,
        worker_name: fields.text()?,
        channel: fields.parsed()?,
        status: fields.read(ReservationStatus::from_text)?,
        timeout_secs: fields.int()?,
        deadline: fields.moment_option()?,
        connecting: fields.flag()?,
        previous_activity: fields.parsed_option()?,
        canceled_reason_code: fields.int_option()?,
        version: fields.int()?,
        created_at: fields.moment()?,
        updated_at: fields.moment()?,
        transfer: fields.parsed_option()?,
    };
    Transfer, TRANSFERS, |fields| Self {
        sid: fields.parsed()?,
        task: { fields.skip(); fields.parsed()? },
        mode: fields.read(TransferMode::from_text)?,
        to: fields.parsed()?,
        status: fields.read(TransferStatus::from_text)?,
        failed_reason: fields.text_option()?,
        initiating_reservation: fields.parsed()?,
        initiating_worker: fields.parsed()?,
        initiating_queue: fields.parsed_option()?,
        initiating_workflow: fields.parsed_option()?,
        created_at: fields.moment()?,
        updated_at: fields.moment()?,
    };
    OutboxRow, OUTBOX, |fields| Self {
        task: { fields.skip(); fields.parsed()? },
        number: fields.int()?,
        command: fields.text()?,
        attempts: fields.int()?,
        created_at: fields.moment()?,
    };
    RelayRow, RELAYS, |fields| Self {
        workspace: fields.parsed()?,
        task: fields.parsed()?,
        number: fields.int()?,
        subject: fields.text()?,
        url: fields.text()?,
        by_get: fields.flag()?,
        form: fields.text()?,
        created_at: fields.moment()?,
    };
    Presence, PRESENCES, |fields| Self {
        worker: fields.parsed()?,
        disconnect_activity: { fields.skip(); fields.parsed_option()? },
        keeps_activity: fields.flag()?,
        deadline: fields.moment_option()?,
    };
    OpenCallback, ASSIGNMENT_CALLBACKS, |fields| Self {
        reservation: { fields.skip(); fields.parsed()? },
        opened_at: fields.moment()?,
    };
    Voicemail, VOICEMAILS, |fields| Self {
        recording: { fields.skip(); fields.text()? },
        task: fields.parsed()?,
        created_at: fields.moment()?,
    };
    IdempotentRequest, IDEMPOTENT_REQUESTS, |fields| {
        let request = fields.text()?;
        let workspace = fields.parsed()?;
        let key = IdempotencyKey { request, body: fields.text()? };
        let reply = fields.read(reply_from_text)?;
        let (status, etag, body) = (fields.int_option()?, fields.text_option()?, fields.text_option()?);
        let answer = status.zip(body).map(|(status, body)| KeptAnswer { status, etag, body });
        Self { key, workspace, reply, answer, at: fields.moment()? }
    };
    CalendarRow, ENTRY_RESOURCES, |fields| Self {
        sid: fields.parsed()?,
        friendly_name: { fields.skip(); fields.skip(); fields.text()? },
        document: fields.text()?,
    };
    VoiceTaskRow, VOICE_TASKS, |fields| Self {
        task: fields.parsed()?,
        workspace: fields.parsed()?,
        call: fields.text_option()?,
        closed: fields.flag()?,
        conference: fields.text_option()?,
        state: VoiceRecord::Json(fields.text()?),
        updated_at: fields.moment()?,
    };
    AccountRow, ACCOUNTS, |fields| Self {
        sid: fields.parsed()?,
        friendly_name: fields.text()?,
        auth_token: fields.text()?,
        auth_token_key: fields.text_option()?,
        created_at: fields.moment()?,
    };
    ApiKeyRow, API_KEYS, |fields| Self {
        sid: fields.parsed()?,
        account: fields.parsed()?,
        friendly_name: fields.text()?,
        secret: fields.text()?,
        secret_key: fields.text()?,
        created_at: fields.moment()?,
        updated_at: fields.moment()?,
    };
    Alert, ALERTS, |fields| Self {
        sid: fields.parsed()?,
        account: fields.parsed()?,
        workspace: fields.parsed_option()?,
        code: fields.int()?,
        message: fields.text()?,
        task: fields.parsed_option()?,
        reservation: fields.parsed_option()?,
        worker: fields.parsed_option()?,
        at: fields.moment()?,
    };
}

fn step_from_text(text: &str) -> Option<Step> {
    match text {
        "default" => Some(Step::Default),
        "direct" => Some(Step::Direct),
        _ => {
            let (filter, target) = text.split_once('.')?;
            Some(Step::Target { filter: filter.parse().ok()?, target: target.parse().ok()? })
        }
    }
}

fn back_offs_from_text(text: &str) -> Option<Vec<BackOff>> {
    let triples: Vec<(Option<WorkerSid>, i64, u32)> = serde_json::from_str(text).ok()?;
    let back_off = |(worker, until, failures)| BackOff { worker, until: Timestamp(until), failures };
    Some(triples.into_iter().map(back_off).collect())
}
