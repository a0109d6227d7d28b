//! The one writer: takes what waits, of all workspaces, writes it in one transaction, and answers after the commit.
//!
//! One connection on a thread of its own does all writing, without a hand-over for each statement; `checkpoint` copies
//! the log. While a commit runs, further work gathers, so the next group is
//! as large as the load demands and a lone request waits for one commit only. A work that fails does not hurt the others
//! of its group: the group is rolled back and each is tried alone. After a failed write to disk nothing is tried again,
//! because what the disk holds is not certain any more: the writer ends, and the process is expected to end as well.
//! It must not know records; see `work`. Start with [`Writer::run`].

use std::collections::VecDeque;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::checkpoint::{self, Checkpointer};
use super::error::{Severity, severity};
use super::files::{ProcessLock, Temporary};
use super::removals::{AT_ONCE, LEAVE, removal_at_once};
use super::statements::{EVENTS, Statements, Table, Value, Verb, chunk_of};
use super::work::{Fence, Merged, Work, tables_of_workspace};
use super::writable::LastWrite;
use crate::clock::Clock;

/// Works that may wait for the writer, and the most in one commit.
pub(super) const MAX_WORKS: usize = 128;
/// Rows after which a group is not extended.
const MAX_ROWS: usize = 2_000;
/// Rows after which the log is copied into the database file.
const CHECKPOINT_ROWS: usize = 2_000;
/// What callers are told once the store has failed.
const FAILED: &str = "a write to disk failed";

/// Keeps what is needed to tell the receiver of a workspace's events of the last ones; none when it has no receiver, or one
/// that is switched off.
const DEPART: &str = "INSERT INTO departed_workspaces (sid, account_sid, friendly_name, event_callback_url, \
                      events_filter, last_sequence) SELECT w.sid, w.account_sid, w.friendly_name, \
                      w.event_callback_url, w.events_filter, w.last_sequence FROM workspaces w \
                      JOIN event_cursors c ON c.workspace_sid = w.sid WHERE w.sid = $1 \
                      AND w.event_callback_url <> '' AND NOT EXISTS \
                      (SELECT 1 FROM event_endpoints e WHERE e.workspace_sid = w.sid AND e.disabled_at IS NOT NULL)";
/// Removes the events that are not to be sent any more; of many some are left until the others are sent.
const FORGET_WHAT_IS_DONE: &str = "DELETE FROM events WHERE workspace_sid = $1 AND sequence IN (\
     SELECT sequence FROM events WHERE workspace_sid = $1 \
     AND sequence < (SELECT next_sequence FROM event_cursors WHERE workspace_sid = $1) \
     AND sequence NOT IN (SELECT sequence FROM event_deliveries WHERE workspace_sid = $1 AND state = 'waiting') \
     LIMIT $2)";

/// Whether the store takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// Yes.
    Open,
    /// It was closed in order.
    Closed,
    /// A write to disk failed, or the writer is gone.
    Failed,
}

/// One work and who waits for it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<Result<(), Error>>,
}

/// Files that live as long as the writer; dropped after the connection.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) _lock: Option<ProcessLock>,
    pub(super) _temporary: Option<Temporary>,
}

/// The writer's thread.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) closing: CancellationToken,
    pub(super) condition: watch::Sender<Condition>,
    pub(super) last_write: LastWrite,
    pub(super) checkpointer: Checkpointer,
    pub(super) clock: Clock,
    pub(super) kept: Kept,
}

/// Why a transaction was not committed.
struct Failure {
    severity: Severity,
    error: Error,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self { severity: severity(&error), error: error.into() }
    }
}

impl Writer {
    /// Writes until all handles are gone or the store is closed, or until a write to disk fails.
    ///
    /// Blocks the thread it is called on; `runtime` is where requests come from.
    pub(super) fn run(self, runtime: &Handle) {
        let Self { connection, mut requests, closing, condition, last_write, checkpointer, clock, kept } = self;
        let statements = Statements::default();
        let rows_in_log = CHECKPOINT_ROWS;
        let mut commits = Commits { connection, statements, clock, condition, last_write, checkpointer, rows_in_log };
        let mut waiting = VecDeque::with_capacity(MAX_WORKS);
        let failure = loop {
            runtime.block_on(gather(&mut requests, &mut waiting, &closing));
            if waiting.is_empty() {
                break None;
            }
            if let Err(error) = commits.write_group(next_group(&mut waiting)) {
                break Some(error);
            }
            if let Err(error) = commits.checkpoint_if_due() {
                break Some(error);
            }
        };
        if let Some(error) = failure {
            tracing::error!(%error, "the store failed and takes no writes any more; the process must end");
            commits.condition.send_replace(Condition::Failed);
            requests.close();
            while let Some(request) = requests.blocking_recv() {
                waiting.push_back(request);
            }
            for request in waiting {
                answer(request, Err(Error::unavailable(FAILED)));
            }
            drop(commits);
            drop(kept);
        } else {
            let Commits { connection, checkpointer, condition, .. } = commits;
            // The writer's connection last: the last one to go puts the rest of the log into the database file.
            if let Err(error) = checkpointer.close().and(connection.close().map_err(|(_, error)| error)) {
                tracing::warn!(%error, "the database was not closed in order; nothing that was acknowledged is lost");
            }
            drop(kept);
            condition.send_replace(Condition::Closed);
        }
    }
}

/// Waits for work and takes what is queued. Leaves `waiting` empty only when there will be no more.
async fn gather(requests: &mut mpsc::Receiver<Request>, waiting: &mut VecDeque<Request>, closing: &CancellationToken) {
    if waiting.is_empty() {
        let first = tokio::select! {
            biased;
            first = requests.recv() => first,
            () = closing.cancelled() => {
                requests.close();
                requests.recv().await
            }
        };
        waiting.extend(first);
    }
    while waiting.len() < MAX_WORKS
        && let Ok(request) = requests.try_recv()
    {
        waiting.push_back(request);
    }
}

/// Takes the works of the next commit, in order. The removal of a workspace is a group of its own.
fn next_group(waiting: &mut VecDeque<Request>) -> Vec<Request> {
    let mut group = Vec::new();
    let mut rows = 0;
    while let Some(next) = waiting.front() {
        if !group.is_empty() && (next.work.removes_workspace || rows >= MAX_ROWS) {
            break;
        }
        rows += next.work.changes.len();
        let alone = next.work.removes_workspace;
        group.extend(waiting.pop_front());
        if alone {
            break;
        }
    }
    group
}

fn answer(request: Request, outcome: Result<(), Error>) {
    if let Err(error) = &outcome {
        metrics::counter!("taskrouter_store_errors_total", "kind" => error.kind()).increment(1);
    }
    // Nobody waits any more when the caller gave up; the work is done all the same.
    let _ = request.answer.send(outcome);
}

/// The connection and what belongs to it.
struct Commits {
    connection: Connection,
    statements: Statements,
    clock: Clock,
    condition: watch::Sender<Condition>,
    last_write: LastWrite,
    checkpointer: Checkpointer,
    rows_in_log: usize,
}

impl Commits {
    /// Writes a group in one commit and answers each of its works; an error means that the store has failed.
    fn write_group(&mut self, group: Vec<Request>) -> Result<(), Error> {
        let works: Vec<&Work> = group.iter().map(|request| &request.work).collect();
        match self.transact(&works, false) {
            Ok(outcomes) => {
                for (request, outcome) in group.into_iter().zip(outcomes) {
                    answer(request, outcome);
                }
                Ok(())
            }
            Err(failure) if failure.severity == Severity::Statement => self.write_each_alone(group),
            Err(failure) => self.answer_all(group, failure),
        }
    }

    fn write_each_alone(&mut self, group: Vec<Request>) -> Result<(), Error> {
        let mut rest = group.into_iter();
        while let Some(request) = rest.next() {
            match self.transact(&[&request.work], true) {
                Ok(outcomes) => answer(request, outcomes.into_iter().collect()),
                Err(failure) if failure.severity == Severity::Statement => answer(request, Err(failure.error)),
                Err(failure) => return self.answer_all(std::iter::once(request).chain(rest), failure),
            }
        }
        Ok(())
    }

    /// One transaction. Works whose fence does not hold are left out and get their refusal as outcome.
    fn transact(&mut self, works: &[&Work], anew: bool) -> Result<Vec<Result<(), Error>>, Failure> {
        let started = self.clock.instant();
        let changed_before = self.connection.total_changes();
        self.run("BEGIN IMMEDIATE", [])?;
        self.rows_in_log += works.len();
        let outcomes = match self.write(works, anew) {
            Ok(outcomes) => outcomes,
            Err(error) => return Err(self.roll_back(error)),
        };
        if let Err(error) = self.run("COMMIT", []) {
            let mut failure = self.roll_back(error);
            // Whatever else a commit may say, it leaves open what is on disk.
            if failure.severity == Severity::Statement {
                failure.severity = Severity::Fatal;
            }
            return Err(failure);
        }
        // A commit of nothing does not reach the disk.
        if self.connection.total_changes() != changed_before || works.iter().any(|work| work.probes) {
            self.last_write.reached_the_disk();
        }
        metrics::histogram!("taskrouter_commit_seconds").record(started.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a group has at most a few hundred works")]
        metrics::histogram!("taskrouter_commit_batch_size").record(works.len() as f64);
        Ok(outcomes)
    }

    fn write(&mut self, works: &[&Work], anew: bool) -> rusqlite::Result<Vec<Result<(), Error>>> {
        let mut outcomes = Vec::with_capacity(works.len());
        for work in works {
            outcomes.push(match (&work.fence, &work.condition) {
                (Some(fence), _) if !self.advance(fence)? => Err(Error::Fenced { expected: fence.expected }),
                (_, Some(condition)) if self.run(condition.sql, &condition.values)? != 1 => Err(Error::Overtaken),
                _ => Ok(()),
            });
        }
        let admitted = || works.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()).map(|(work, _)| *work);
        let merged = Merged::of(admitted().filter(|work| !work.removes_workspace));
        for (table, keys) in merged.removed(anew) {
            self.run_in_chunks(table, Verb::Delete, &keys)?;
        }
        for (table, rows) in merged.written() {
            self.run_in_chunks(table, Verb::Write, &rows)?;
        }
        for update in admitted().filter_map(|work| work.update.as_ref()) {
            self.run(update.sql, &update.values)?;
            self.rows_in_log += 1;
        }
        if works.iter().any(|work| work.probes) {
            self.probe()?;
        }
        #[cfg(test)]
        for pages in works.iter().filter_map(|work| work.pages_max) {
            self.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        let removals: Vec<&Work> = admitted().filter(|work| work.removes_workspace).collect();
        for work in removals {
            self.remove_workspace(work)?;
        }
        Ok(outcomes)
    }

    /// Writes the first page as it is.
    fn probe(&self) -> rusqlite::Result<()> {
        let version: i64 = self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        self.connection.pragma_update(None, "user_version", version)
    }

    /// Compares and advances the workspace's sequence number; false when it is not where it was expected.
    fn advance(&self, fence: &Fence) -> rusqlite::Result<bool> {
        if let Some(row) = &fence.new_row {
            let columns = super::statements::WORKSPACES.columns;
            let placeholders: Vec<String> = (1..=columns.len()).map(|number| format!("${number}")).collect();
            let sql = format!(
                "INSERT INTO workspaces ({}) VALUES ({}) ON CONFLICT (sid) DO NOTHING",
                columns.join(", "),
                placeholders.join(", ")
            );
            if self.run(&sql, row)? == 1 {
                return Ok(true);
            }
        }
        let advance = "UPDATE workspaces SET last_sequence = $1 WHERE sid = $2 AND last_sequence = $3";
        let values = [fence.advanced.into(), Value::from(fence.workspace.clone()), fence.expected.into()];
        Ok(self.run(advance, &values)? == 1)
    }

    /// Runs a statement, kept prepared for the next time; returns how many rows it changed.
    fn run<'v>(&self, sql: &str, values: impl IntoIterator<Item = &'v Value>) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(params_from_iter(values))
    }

    fn run_in_chunks(&mut self, table: &Table, verb: Verb, rows: &[&[Value]]) -> rusqlite::Result<()> {
        let mut rest = rows;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(chunk_of(rest.len()));
            let sql = self.statements.text(table, verb, chunk.len());
            self.run(&sql, chunk.iter().copied().flatten())?;
            rest = after;
        }
        self.rows_in_log += rows.len();
        Ok(())
    }

    /// One statement for each table; of many rows some are left for later commits. Events that a receiver is still to be
    /// told of stay, the last ones of this work among them.
    fn remove_workspace(&mut self, work: &Work) -> rusqlite::Result<()> {
        let Some(Fence { workspace, .. }) = &work.fence else { return Ok(()) };
        // Alerts are found through their account, for which there is an index.
        let alerts = "DELETE FROM alerts WHERE workspace_sid = $1 \
                      AND account_sid = (SELECT account_sid FROM workspaces WHERE sid = $1)";
        let workspace = [Value::from(workspace.clone())];
        self.run(alerts, &workspace)?;
        let departs = self.run(DEPART, &workspace)? == 1;
        if departs {
            let events = work.changes.iter().filter(|change| change.table.name == EVENTS.name);
            let rows: Vec<&[Value]> = events.filter_map(|change| change.row.as_deref()).collect();
            self.run_in_chunks(&EVENTS, Verb::Write, &rows)?;
            let [sid] = &workspace;
            self.run(FORGET_WHAT_IS_DONE, [sid, &Value::from(u64::try_from(AT_ONCE).unwrap_or(u64::MAX))])?;
        }
        let mut some_left = false;
        for table in tables_of_workspace(!departs) {
            some_left |= self.run(&removal_at_once(table), &workspace)? == AT_ONCE;
        }
        if some_left {
            self.run(LEAVE, &workspace)?;
        }
        self.run("DELETE FROM workspaces WHERE sid = $1", &workspace)?;
        self.rows_in_log = CHECKPOINT_ROWS;
        Ok(())
    }

    fn roll_back(&self, cause: rusqlite::Error) -> Failure {
        let mut failure = Failure::from(cause);
        // SQLite rolls back by itself after some errors; then there is no transaction left, which is an error of the
        // statement only.
        if let Err(error) = self.run("ROLLBACK", [])
            && severity(&error) != Severity::Statement
        {
            failure.severity = Severity::Fatal;
        }
        failure
    }

    /// Answers works of a group that was not written; an error means that the store has failed.
    fn answer_all(&self, group: impl IntoIterator<Item = Request>, failure: Failure) -> Result<(), Error> {
        let fatal = failure.severity == Severity::Fatal;
        if fatal {
            // Before anyone is answered, so that whoever gets an answer also sees the condition.
            self.condition.send_replace(Condition::Failed);
        }
        let told = if fatal { Error::unavailable(FAILED) } else { failure.error.clone() };
        let group: Vec<Request> = group.into_iter().collect();
        // A look at the write lock is no write.
        if fatal || group.iter().any(|request| !request.work.is_empty()) {
            self.last_write.failed(&told);
        }
        for request in group {
            answer(request, Err(told.clone()));
        }
        if fatal { Err(failure.error) } else { Ok(()) }
    }

    /// Has the log copied into the database file after enough rows, and copies the rest once that is done.
    fn checkpoint_if_due(&mut self) -> Result<(), Error> {
        let outcome = match self.checkpointer.ended() {
            None => {
                if self.rows_in_log >= CHECKPOINT_ROWS {
                    self.checkpointer.begin();
                }
                return Ok(());
            }
            Some(Ok(())) => checkpoint::copy(&self.connection),
            Some(Err(error)) => Err(error),
        };
        self.rows_in_log = 0;
        match outcome {
            Err(error) if severity(&error) == Severity::Fatal => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log was not copied into the database file; tried again later");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Text(text) => text.as_ref().map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())),
            Self::Int(number) => number.map_or(ValueRef::Null, ValueRef::Integer),
            Self::Flag(flag) => ValueRef::Integer((*flag).into()),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}
