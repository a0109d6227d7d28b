//! Tables, their columns, and the SQL that writes them, in the subset that SQLite and PostgreSQL share.
//!
//! It must not know records (`rows` does) or connections (`writer` does). The SQL text is made of the fixed names below
//! and numbered placeholders only; values are always bound. Start with [`Table`].

use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;

use crate::routing::Timestamp;

/// One table. The columns of the primary key come first.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// All columns, in the order in which rows are written and read.
    pub(super) columns: &'static [&'static str],
    /// How many leading columns make the primary key.
    pub(super) key_columns: usize,
    /// Columns that keep their value when a row is written again; indices on them alone need no update then.
    pub(super) kept: &'static [&'static str],
    /// Rows are added and never written again; a repeated key is an error.
    pub(super) append_only: bool,
    /// How a row that is written again is combined with the one there, for each column after the key; without it, it
    /// takes its place.
    pub(super) combined: &'static [Combine],
}

/// How the values of a column are combined when two rows have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Combine {
    /// Both added up.
    Sum,
    /// The lesser one; no value is less than none.
    Least,
    /// The greater one.
    Greatest,
}

/// Counts, then total, least and greatest of each kind of wait.
const FIGURES: &[Combine] = {
    use Combine::{Greatest, Least, Sum};
    &[
        Sum, Sum, Sum, Sum, Sum, Sum, Sum, Sum, Sum, Sum, Sum, Sum, Sum, Sum, // one for each kind of fact
        Sum, Least, Greatest, Sum, Least, Greatest, Sum, Least, Greatest,
    ]
};

macro_rules! tables {
    ($($constant:ident = $name:literal, key $key:literal, kept [$($kept:literal),*], append_only $append:literal,
        $(combined $combined:expr,)? [$($column:literal),+ $(,)?];)+) => {
        $(pub(super) static $constant: Table = Table {
            name: $name,
            columns: &[$($column),+],
            key_columns: $key,
            kept: &[$($kept),*],
            append_only: $append,
            combined: tables!(@combined $($combined)?),
        };)+

        /// All tables, in the order in which a commit writes them.
        pub(super) static TABLES: &[&Table] = &[$(&$constant),+];
    };
    (@combined) => { &[] };
    (@combined $combined:expr) => { $combined };
}

tables! {
    ACCOUNTS = "accounts", key 1, kept ["created_at"], append_only false,
        ["sid", "friendly_name", "auth_token", "auth_token_key", "created_at"];
    API_KEYS = "api_keys", key 1, kept ["created_at"], append_only false,
        ["sid", "account_sid", "friendly_name", "secret", "secret_key", "created_at", "updated_at"];
    WORKSPACES = "workspaces", key 1, kept ["last_sequence"], append_only false,
        ["sid", "account_sid", "friendly_name", "default_activity_sid", "timeout_activity_sid", "event_callback_url",
         "events_filter", "multi_task_enabled", "prioritize_queue_order", "disconnect_grace_secs",
         "disconnect_activity_sid", "last_sequence", "last_change_at", "created_at", "updated_at"];
    ACTIVITIES = "activities", key 1, kept [], append_only false,
        ["sid", "workspace_sid", "friendly_name", "available", "created_at", "updated_at"];
    TASK_CHANNELS = "task_channels", key 1, kept [], append_only false,
        ["sid", "workspace_sid", "friendly_name", "unique_name", "channel_optimized_routing", "built_in",
         "created_at", "updated_at"];
    TASK_QUEUES = "task_queues", key 1, kept [], append_only false,
        ["sid", "workspace_sid", "friendly_name", "target_workers", "task_order", "max_reserved_workers",
         "reservation_activity_sid", "assignment_activity_sid", "created_at", "updated_at"];
    WORKFLOWS = "workflows", key 1, kept [], append_only false,
        ["sid", "workspace_sid", "friendly_name", "configuration", "version", "assignment_callback_url",
         "fallback_assignment_callback_url", "task_reservation_timeout_secs", "created_at", "updated_at"];
    WORKFLOW_VERSIONS = "workflow_versions", key 2, kept [], append_only false,
        ["workflow_sid", "version", "workspace_sid", "configuration"];
    WORKERS = "workers", key 1, kept ["workspace_sid", "created_at"], append_only false,
        ["sid", "workspace_sid", "friendly_name", "name_key", "attributes", "activity_sid", "status_changed_at",
         "last_reserved_at", "version", "created_at", "updated_at", "connect_failures"];
    WORKER_CHANNELS = "worker_channels", key 1,
        kept ["workspace_sid", "worker_sid", "task_channel_sid", "created_at"], append_only false,
        ["sid", "workspace_sid", "worker_sid", "task_channel_sid", "configured_capacity", "available",
         "assigned_tasks", "used", "last_reserved_at", "created_at", "updated_at"];
    TASKS = "tasks", key 1, kept ["workspace_sid", "workflow_sid", "routing_target", "created_at"], append_only false,
        ["sid", "workspace_sid", "attributes", "status", "priority", "timeout_secs", "reason", "task_channel_sid",
         "task_queue_sid", "queue_entered_at", "workflow_sid", "workflow_version", "step", "base_at",
         "filter_timed_out", "virtual_start_at", "routing_target", "ignore_capacity", "reserved_count", "back_offs",
         "version", "assigned_at", "finished_at", "created_at", "updated_at", "transfer_sid", "attributes_changed"];
    RESERVATIONS = "reservations", key 1, kept ["workspace_sid", "task_sid", "worker_sid", "created_at"], append_only false,
        ["sid", "workspace_sid", "task_sid", "worker_sid", "worker_name", "task_channel_sid", "status",
         "timeout_secs", "deadline", "connecting", "previous_activity_sid", "canceled_reason_code", "version",
         "created_at", "updated_at", "transfer_sid"];
    TRANSFERS = "transfers", key 1, kept [], append_only false,
        ["sid", "workspace_sid", "task_sid", "mode", "target", "status", "failed_reason",
         "initiating_reservation_sid", "initiating_worker_sid", "initiating_queue_sid", "initiating_workflow_sid",
         "created_at", "updated_at"];
    PRESENCES = "presences", key 1, kept ["workspace_sid"], append_only false,
        ["worker_sid", "workspace_sid", "disconnect_activity_sid", "keeps_activity", "deadline"];
    EVENTS = "events", key 2, kept [], append_only true,
        ["workspace_sid", "sequence", "sid", "event_type", "at", "description", "resource_type", "resource_sid",
         "task_sid", "worker_sid", "reservation_sid", "task_queue_sid", "workflow_sid", "activity_sid",
         "task_channel_sid", "event_data"];
    STATISTIC_FACTS = "statistic_facts", key 3, kept [], append_only true,
        ["workspace_sid", "at", "sequence", "kind", "task_queue_sid", "workflow_sid", "worker_sid",
         "task_channel_sid", "wait_secs", "wait_in_queue_secs", "after_transfer"];
    STATISTIC_ROLLUPS = "statistic_rollups", key 5, kept [], append_only false, combined FIGURES,
        ["workspace_sid", "scope_sid", "width_secs", "begins_at", "task_channel_sid", "reservations_created",
         "reservations_accepted", "reservations_rejected", "reservations_timed_out", "reservations_canceled",
         "reservations_rescinded", "tasks_created", "tasks_entered_queue", "tasks_entered_workflow", "tasks_canceled",
         "tasks_completed", "tasks_deleted", "tasks_moved", "tasks_timed_out_in_workflow", "until_accepted_total",
         "until_accepted_min", "until_accepted_max", "in_queue_until_accepted_total", "in_queue_until_accepted_min",
         "in_queue_until_accepted_max", "until_canceled_total", "until_canceled_min", "until_canceled_max"];
    ACTIVITY_PERIODS = "activity_periods", key 3, kept [], append_only true,
        ["workspace_sid", "until_at", "sequence", "from_at", "worker_sid", "activity_sid"];
    OUTBOX = "outbox", key 3, kept ["created_at"], append_only false,
        ["workspace_sid", "task_sid", "number", "command", "attempts", "created_at"];
    ASSIGNMENT_CALLBACKS = "assignment_callbacks", key 2, kept [], append_only false,
        ["workspace_sid", "reservation_sid", "opened_at"];
    VOICEMAILS = "voicemails", key 2, kept [], append_only false,
        ["workspace_sid", "recording", "task_sid", "created_at"];
    RELAYS = "callback_relays", key 3, kept [], append_only false,
        ["workspace_sid", "task_sid", "number", "subject_sid", "url", "by_get", "form", "created_at"];
    EVENT_CURSORS = "event_cursors", key 1, kept ["next_sequence"], append_only false,
        ["workspace_sid", "next_sequence"];
    EVENT_SUBSCRIPTIONS = "event_subscriptions", key 2, kept [], append_only true,
        ["workspace_sid", "from_sequence", "is_sent", "events_filter", "at"];
    ENTRY_RESOURCES = "entry_resources", key 1, kept ["created_at"], append_only false,
        ["sid", "workspace_sid", "kind", "friendly_name", "document", "calendar_sid", "version", "created_at",
         "updated_at"];
    EVENT_ENDPOINTS = "event_endpoints", key 1, kept [], append_only false,
        ["workspace_sid", "failing_since", "disabled_at", "disabled_reason"];
    EVENT_DELIVERIES = "event_deliveries", key 2, kept [], append_only false,
        ["workspace_sid", "sequence", "event_sid", "event_type", "state", "attempts", "next_attempt_at",
         "last_attempt_at", "last_status", "last_error", "last_answer"];
    DEPARTED_WORKSPACES = "departed_workspaces", key 1, kept [], append_only false,
        ["sid", "account_sid", "friendly_name", "event_callback_url", "events_filter", "last_sequence"];
    VOICE_TASKS = "voice_tasks", key 1, kept [], append_only false,
        ["task_sid", "workspace_sid", "call_sid", "closed", "conference_sid", "state", "updated_at"];
    IDEMPOTENT_REQUESTS = "idempotent_requests", key 1, kept [], append_only false,
        ["request", "workspace_sid", "body", "reply", "answer_status", "answer_etag", "answer_body", "created_at"];
    ALERTS = "alerts", key 1, kept [], append_only false,
        ["sid", "account_sid", "workspace_sid", "code", "message", "task_sid", "reservation_sid", "worker_sid", "at"];
}

/// A value to bind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// Text, or no text.
    Text(Option<String>),
    /// A whole number, or none.
    Int(Option<i64>),
    /// A flag.
    Flag(bool),
}

impl Value {
    /// The text form of a SID or an enum.
    pub(super) fn of(shown: impl Display) -> Self {
        Self::Text(Some(shown.to_string()))
    }

    /// The text form, if there is a value.
    pub(super) fn of_option(shown: Option<impl Display>) -> Self {
        Self::Text(shown.map(|shown| shown.to_string()))
    }
}

impl Combine {
    /// The value of a row that stands for two rows with the same key.
    pub(super) fn apply(self, there: &Value, added: &Value) -> Value {
        let (Value::Int(there), Value::Int(added)) = (there, added) else { return added.clone() };
        let both = there.iter().chain(added).copied();
        Value::Int(match self {
            Self::Sum => Some(both.sum()),
            Self::Least => both.min(),
            Self::Greatest => both.max(),
        })
    }

    /// The same as SQL.
    fn sql(self, table: &str, column: &str) -> String {
        let picked = |comparison: &str| {
            format!(
                "CASE WHEN {table}.{column} IS NULL OR excluded.{column} {comparison} {table}.{column} \
                 THEN excluded.{column} ELSE {table}.{column} END"
            )
        };
        match self {
            Self::Sum => format!("{table}.{column} + excluded.{column}"),
            Self::Least => picked("<"),
            Self::Greatest => picked(">"),
        }
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(Some(i64::from(number)))
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int(Some(i64::from(number)))
    }
}

impl From<Option<i32>> for Value {
    fn from(number: Option<i32>) -> Self {
        Self::Int(number.map(i64::from))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(Some(i64::try_from(number).expect("counters stay below 2^63")))
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Int(Some(at.0))
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(at: Option<Timestamp>) -> Self {
        Self::Int(at.map(|at| at.0))
    }
}

/// What a statement does to the rows it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Verb {
    /// Adds rows; writes those again that are there already, unless the table is append-only.
    Write,
    /// Removes rows by primary key.
    Delete,
}

/// Most rows in one statement. Chunks are powers of two up to this, so that few statements need preparing.
const MAX_ROWS: usize = 32;

/// How many of `remaining` rows the next statement takes.
pub(super) fn chunk_of(remaining: usize) -> usize {
    if remaining >= MAX_ROWS { MAX_ROWS } else { 1 << remaining.checked_ilog2().unwrap_or(0) }
}

/// SQL texts that were made before.
#[derive(Debug, Default)]
pub(super) struct Statements(HashMap<(&'static str, Verb, usize), Arc<str>>);

impl Statements {
    /// The statement that does `verb` to `rows` rows of `table`.
    pub(super) fn text(&mut self, table: &Table, verb: Verb, rows: usize) -> Arc<str> {
        let make = || match verb {
            Verb::Write => write_sql(table, rows).into(),
            Verb::Delete => delete_sql(table, rows).into(),
        };
        Arc::clone(self.0.entry((table.name, verb, rows)).or_insert_with(make))
    }
}

fn write_sql(table: &Table, rows: usize) -> String {
    let mut sql = format!("INSERT INTO {} ({}) VALUES ", table.name, table.columns.join(", "));
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..table.columns.len() {
            let separator = if column == 0 { "" } else { ", " };
            push(&mut sql, format_args!("{separator}${}", row * table.columns.len() + column + 1));
        }
        sql.push(')');
    }
    if !table.append_only {
        let (key, others) = table.columns.split_at(table.key_columns);
        push(&mut sql, format_args!(" ON CONFLICT ({}) DO ", key.join(", ")));
        let written = others.iter().enumerate().filter(|(_, column)| !table.kept.contains(column));
        let assignments: Vec<String> = written
            .map(|(place, column)| match table.combined.get(place) {
                Some(combine) => format!("{column} = {}", combine.sql(table.name, column)),
                None => format!("{column} = excluded.{column}"),
            })
            .collect();
        // Where every column keeps its value, the row that is there stays.
        match assignments.as_slice() {
            [] => sql.push_str("NOTHING"),
            assignments => push(&mut sql, format_args!("UPDATE SET {}", assignments.join(", "))),
        }
    }
    sql
}

fn delete_sql(table: &Table, rows: usize) -> String {
    let mut sql = format!("DELETE FROM {} WHERE ", table.name);
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { " OR (" });
        for (index, column) in table.columns[..table.key_columns].iter().enumerate() {
            let separator = if index == 0 { "" } else { " AND " };
            push(&mut sql, format_args!("{separator}{column} = ${}", row * table.key_columns + index + 1));
        }
        sql.push(')');
    }
    sql
}

/// The start of a query for whole rows; the caller appends conditions.
pub(super) fn select_sql(table: &Table, rest: &str) -> String {
    format!("SELECT {} FROM {} {rest}", table.columns.join(", "), table.name)
}

fn push(sql: &mut String, part: std::fmt::Arguments<'_>) {
    sql.write_fmt(part).expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_number_their_placeholders_row_by_row() {
        let mut statements = Statements::default();
        assert_eq!(
            &*statements.text(&WORKFLOW_VERSIONS, Verb::Write, 2),
            "INSERT INTO workflow_versions (workflow_sid, version, workspace_sid, configuration) \
             VALUES ($1, $2, $3, $4), ($5, $6, $7, $8) ON CONFLICT (workflow_sid, version) \
             DO UPDATE SET workspace_sid = excluded.workspace_sid, configuration = excluded.configuration"
        );
        assert_eq!(
            &*statements.text(&WORKFLOW_VERSIONS, Verb::Delete, 2),
            "DELETE FROM workflow_versions WHERE (workflow_sid = $1 AND version = $2) \
             OR (workflow_sid = $3 AND version = $4)"
        );
    }

    #[test]
    fn events_are_never_overwritten_and_the_sequence_is_kept() {
        let mut statements = Statements::default();
        assert!(!statements.text(&EVENTS, Verb::Write, 1).contains("CONFLICT"));
        assert!(!statements.text(&WORKSPACES, Verb::Write, 1).contains("last_sequence ="));
    }

    #[test]
    fn every_column_of_figures_has_its_way_of_being_combined() {
        let figures = &STATISTIC_ROLLUPS.columns[STATISTIC_ROLLUPS.key_columns..];
        assert_eq!(figures.len(), STATISTIC_ROLLUPS.combined.len());
        for (column, combine) in figures.iter().zip(STATISTIC_ROLLUPS.combined) {
            let expected = match column.rsplit('_').next() {
                Some("min") => Combine::Least,
                Some("max") => Combine::Greatest,
                _ => Combine::Sum,
            };
            assert_eq!(*combine, expected, "{column}");
        }
        let counts: Vec<&str> = crate::routing::FactKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(figures[..counts.len()], counts);
    }

    #[test]
    fn chunks_are_powers_of_two_that_add_up() {
        for total in 0..200 {
            let mut remaining: usize = total;
            while remaining > 0 {
                let chunk = chunk_of(remaining);
                assert!(chunk.is_power_of_two() && chunk <= remaining.min(MAX_ROWS), "{total}");
                remaining -= chunk;
            }
        }
    }
}
