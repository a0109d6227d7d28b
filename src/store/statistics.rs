//! Reads cumulative statistics: figures of buckets and facts, waits one by one, stays in activities.
//!
//! One question is answered from one snapshot, so nothing is counted twice or left out between its parts. What the
//! figures mean is `routing`'s. Start with [`Store::cumulative`].

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::statements::STATISTIC_ROLLUPS;
use super::{Error, Store};
use crate::routing::rollup::{Figures, FiguresOf, Pieces, Stretch, Waits, Width};
use crate::routing::{FactKind, TaskChannelSid, Timestamp, WorkspaceSid};

/// Facts that one split by wait time looks at, of each kind (TaskRouter: statistics of task queues).
const SPLIT_MAX: u32 = 10_000;

/// Scopes in one statement.
const SCOPES_MAX: usize = 200;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The workspace.
    pub workspace: WorkspaceSid,
    /// Whose figures, all of one kind.
    pub of: Vec<FiguresOf>,
    /// When.
    pub window: Stretch,
    /// Only tasks and reservations on this channel.
    pub channel: Option<TaskChannelSid>,
    /// With waits one by one.
    pub split: bool,
}

/// What one scope amounts to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cumulative {
    /// Figures of the window.
    pub figures: Figures,
    /// Newest acceptances, not those after a transfer, by wait in whole seconds: how many waited that long.
    pub accepted_after: BTreeMap<i64, i64>,
    /// Newest cancellations by wait.
    pub canceled_after: BTreeMap<i64, i64>,
}

/// Stays of workers in one activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stays {
    /// How many.
    pub count: i64,
    /// How long, each clipped to the window, in whole seconds.
    pub durations: Waits,
}

/// Whose stays in activities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaysOf {
    /// Of all workers, those that are gone included.
    Everybody,
    /// Of these workers.
    Workers(Vec<FiguresOf>),
}

/// Units of the workers' capacity in one channel of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapacityUnits {
    /// The workspace.
    pub workspace: String,
    /// Unique name of the channel.
    pub channel: String,
    /// Taken by tasks.
    pub used: u64,
    /// Free, of workers who are available and whose channel is.
    pub free: u64,
    /// Not taken, and not to be had.
    pub unavailable: u64,
}

impl Store {
    /// Capacity of all workers by workspace and channel.
    pub async fn capacity_units(&self) -> Result<Vec<CapacityUnits>, Error> {
        let sql = "SELECT c.workspace_sid, t.unique_name, SUM(c.used), \
                   SUM(CASE WHEN a.available AND c.available AND c.used < c.configured_capacity \
                   THEN c.configured_capacity - c.used ELSE 0 END), \
                   SUM(CASE WHEN NOT (a.available AND c.available) AND c.used < c.configured_capacity \
                   THEN c.configured_capacity - c.used ELSE 0 END) \
                   FROM worker_channels c JOIN task_channels t ON t.sid = c.task_channel_sid \
                   JOIN workers w ON w.sid = c.worker_sid JOIN activities a ON a.sid = w.activity_sid \
                   GROUP BY c.workspace_sid, t.unique_name";
        let rows = sqlx::query(sql).fetch_all(self.read_pool()).await?;
        let read = |row: &sqlx::sqlite::SqliteRow| -> Result<CapacityUnits, Error> {
            let units =
                |index: usize| -> Result<u64, Error> { Ok(u64::try_from(row.try_get::<i64, _>(index)?).unwrap_or(0)) };
            Ok(CapacityUnits {
                workspace: row.try_get(0)?,
                channel: row.try_get(1)?,
                used: units(2)?,
                free: units(3)?,
                unavailable: units(4)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// What happened in a window, for each scope that was asked for.
    pub async fn cumulative(&self, question: &Question) -> Result<BTreeMap<FiguresOf, Cumulative>, Error> {
        let mut answers: BTreeMap<FiguresOf, Cumulative> =
            question.of.iter().map(|of| (*of, Cumulative::default())).collect();
        let mut snapshot = self.read_pool().begin().await?;
        let pieces = Pieces::of(to_the_end_of_what_happened(&mut snapshot, question).await?);
        for chunk in question.of.chunks(SCOPES_MAX) {
            read_figures(&mut snapshot, question, &pieces, chunk, &mut answers).await?;
        }
        if question.split {
            for (of, answer) in &mut answers {
                let accepted = FactKind::ReservationsAccepted;
                answer.accepted_after = read_waits(&mut snapshot, question, *of, accepted).await?;
                answer.canceled_after = read_waits(&mut snapshot, question, *of, FactKind::TasksCanceled).await?;
            }
        }
        snapshot.rollback().await?;
        Ok(answers)
    }

    /// Stays of workers in activities that overlap a window, by activity; a stay that goes on lasts until `now`.
    pub async fn stays(
        &self,
        workspace: WorkspaceSid,
        of: &StaysOf,
        window: Stretch,
        now: Timestamp,
    ) -> Result<BTreeMap<String, Stays>, Error> {
        let mut stays = BTreeMap::new();
        let mut snapshot = self.read_pool().begin().await?;
        match of {
            StaysOf::Everybody => read_stays(&mut snapshot, workspace, None, window, now, &mut stays).await?,
            StaysOf::Workers(workers) => {
                for chunk in workers.chunks(SCOPES_MAX) {
                    read_stays(&mut snapshot, workspace, Some(chunk), window, now, &mut stays).await?;
                }
            }
        }
        snapshot.rollback().await?;
        Ok(stays)
    }
}

/// A statement that grows with its values.
struct Statement {
    sql: String,
    arguments: Vec<Argument>,
}

enum Argument {
    Text(String),
    Number(i64),
}

impl Statement {
    fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), arguments: Vec::new() }
    }

    fn push(mut self, sql: &str) -> Self {
        self.sql.push_str(sql);
        self
    }

    fn text(mut self, text: &impl ToString) -> Self {
        self.arguments.push(Argument::Text(text.to_string()));
        self.placeholder()
    }

    fn number(mut self, number: i64) -> Self {
        self.arguments.push(Argument::Number(number));
        self.placeholder()
    }

    /// Binds a number and returns its placeholder, which can stand in several places.
    fn bound(&mut self, number: i64) -> String {
        self.arguments.push(Argument::Number(number));
        format!("${}", self.arguments.len())
    }

    fn placeholder(mut self) -> Self {
        self.sql.push_str(&format!("${}", self.arguments.len()));
        self
    }

    /// `column IN (…)`
    fn any(self, column: &str, values: &[FiguresOf]) -> Self {
        let open = self.push(&format!(" AND {column} IN ("));
        let list = values.iter().enumerate().fold(open, |statement, (index, value)| {
            let statement = if index == 0 { statement } else { statement.push(", ") };
            statement.text(value)
        });
        list.push(")")
    }

    fn on_channel(self, channel: Option<TaskChannelSid>) -> Self {
        match channel {
            Some(channel) => self.push(" AND task_channel_sid = ").text(&channel),
            None => self,
        }
    }

    async fn rows(self, connection: &mut SqliteConnection) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut query = sqlx::query::<_>(AssertSqlSafe(self.sql));
        for argument in self.arguments {
            query = bind(query, argument);
        }
        query.fetch_all(connection).await
    }
}

fn bind(
    query: sqlx::query::Query<'_, sqlx::Sqlite, SqliteArguments>,
    argument: Argument,
) -> sqlx::query::Query<'_, sqlx::Sqlite, SqliteArguments> {
    match argument {
        Argument::Text(text) => query.bind(text),
        Argument::Number(number) => query.bind(number),
    }
}

/// The column of facts that names a scope; a workspace is named by all of them.
const fn column_of(of: FiguresOf) -> Option<&'static str> {
    match of {
        FiguresOf::Workspace(_) => None,
        FiguresOf::TaskQueue(_) => Some("task_queue_sid"),
        FiguresOf::Workflow(_) => Some("workflow_sid"),
        FiguresOf::Worker(_) => Some("worker_sid"),
    }
}

/// The window, prolonged to a whole hour when nothing has happened after it: buckets are written in the commits of their
/// facts, so the newest ones are as good as those that are over, and nobody has to add up what happened in the last minutes.
async fn to_the_end_of_what_happened(
    connection: &mut SqliteConnection,
    question: &Question,
) -> Result<Stretch, sqlx::Error> {
    let window = question.window;
    let newest = Statement::new("SELECT MAX(at) FROM statistic_facts WHERE workspace_sid = ").text(&question.workspace);
    let newest: Option<i64> = match newest.rows(connection).await?.first() {
        Some(row) => row.try_get(0)?,
        None => None,
    };
    let is_over = newest.is_some_and(|newest| newest >= window.until.0);
    Ok(if is_over { window } else { Stretch { until: Width::Hour.begin_from(window.until), ..window } })
}

async fn read_figures(
    connection: &mut SqliteConnection,
    question: &Question,
    pieces: &Pieces,
    chunk: &[FiguresOf],
    answers: &mut BTreeMap<FiguresOf, Cumulative>,
) -> Result<(), Error> {
    let Some(first) = chunk.first() else { return Ok(()) };
    let by_name: BTreeMap<String, FiguresOf> = chunk.iter().map(|of| (of.to_string(), *of)).collect();
    let mut add = |name: &str, figures: &Figures| {
        if let Some(answer) = by_name.get(name).and_then(|of| answers.get_mut(of)) {
            answer.figures.add(figures);
        }
    };
    for stretch in &pieces.facts {
        for row in fact_statement(question, chunk, *stretch).rows(connection).await? {
            let name: String = row.try_get(0)?;
            if let Some(kind) = FactKind::from_text(row.try_get(1)?).filter(|kind| first.shows(*kind)) {
                add(&name, &figures_of_facts(&row, kind)?);
            }
        }
    }
    for (width, stretch) in &pieces.buckets {
        for row in rollup_statement(question, chunk, *width, *stretch).rows(connection).await? {
            let name: String = row.try_get(0)?;
            add(&name, &figures_of_buckets(&row)?);
        }
    }
    Ok(())
}

fn fact_statement(question: &Question, chunk: &[FiguresOf], stretch: Stretch) -> Statement {
    let column = chunk.first().and_then(|first| column_of(*first));
    let statement = Statement::new(format!(
        "SELECT {}, kind, COUNT(*), SUM(wait_secs), MIN(wait_secs), MAX(wait_secs), SUM(wait_in_queue_secs), \
         MIN(wait_in_queue_secs), MAX(wait_in_queue_secs) FROM statistic_facts WHERE workspace_sid = ",
        column.unwrap_or("workspace_sid")
    ));
    let statement = statement.text(&question.workspace);
    let statement = statement.push(" AND at >= ").number(stretch.from.0).push(" AND at < ").number(stretch.until.0);
    let statement = match column {
        Some(column) => statement.any(column, chunk),
        None => statement,
    };
    statement.on_channel(question.channel).push(" GROUP BY 1, 2")
}

fn figures_of_facts(row: &SqliteRow, kind: FactKind) -> Result<Figures, sqlx::Error> {
    let mut figures = Figures::default();
    figures.add_count(kind, row.try_get(2)?);
    match kind {
        FactKind::ReservationsAccepted => {
            figures.until_accepted = waits_at(row, 3)?;
            figures.in_queue_until_accepted = waits_at(row, 6)?;
        }
        FactKind::TasksCanceled => figures.until_canceled = waits_at(row, 3)?,
        _ => {}
    }
    Ok(figures)
}

fn waits_at(row: &SqliteRow, column: usize) -> Result<Waits, sqlx::Error> {
    let total: Option<i64> = row.try_get(column)?;
    Ok(Waits { total: total.unwrap_or(0), min: row.try_get(column + 1)?, max: row.try_get(column + 2)? })
}

fn rollup_statement(question: &Question, chunk: &[FiguresOf], width: Width, stretch: Stretch) -> Statement {
    let figures = &STATISTIC_ROLLUPS.columns[STATISTIC_ROLLUPS.key_columns..];
    let sums: Vec<String> = figures.iter().map(|column| summed(column)).collect();
    let statement =
        Statement::new(format!("SELECT scope_sid, {} FROM statistic_rollups WHERE workspace_sid = ", sums.join(", ")));
    let statement = statement.text(&question.workspace).any("scope_sid", chunk);
    let statement = statement.push(" AND width_secs = ").number(i64::from(width.secs()));
    let statement =
        statement.push(" AND begins_at >= ").number(stretch.from.0).push(" AND begins_at < ").number(stretch.until.0);
    statement.on_channel(question.channel).push(" GROUP BY scope_sid")
}

/// A column of figures, over several buckets.
fn summed(column: &str) -> String {
    match column.rsplit('_').next() {
        Some("min") => format!("MIN({column})"),
        Some("max") => format!("MAX({column})"),
        _ => format!("SUM({column})"),
    }
}

fn figures_of_buckets(row: &SqliteRow) -> Result<Figures, sqlx::Error> {
    let mut figures = Figures::default();
    for (index, kind) in FactKind::ALL.iter().enumerate() {
        figures.add_count(*kind, row.try_get(1 + index)?);
    }
    let waits = 1 + FactKind::ALL.len();
    figures.until_accepted = waits_at(row, waits)?;
    figures.in_queue_until_accepted = waits_at(row, waits + 3)?;
    figures.until_canceled = waits_at(row, waits + 6)?;
    Ok(figures)
}

/// How many of the newest facts of a kind waited how long.
async fn read_waits(
    connection: &mut SqliteConnection,
    question: &Question,
    of: FiguresOf,
    kind: FactKind,
) -> Result<BTreeMap<i64, i64>, Error> {
    let statement = Statement::new(
        "SELECT wait_secs, COUNT(*) FROM (SELECT wait_secs FROM statistic_facts \
         WHERE wait_secs IS NOT NULL AND after_transfer = 0 AND kind = ",
    );
    // A queue's waits have an index of their own, which the workspace must not compete with.
    let in_workspace = if matches!(of, FiguresOf::TaskQueue(_)) { "+" } else { "" };
    let statement = statement.text(&kind).push(&format!(" AND {in_workspace}workspace_sid = "));
    let statement = statement.text(&question.workspace);
    let statement = statement.push(" AND at >= ").number(question.window.from.0);
    let statement = statement.push(" AND at < ").number(question.window.until.0);
    let statement = match column_of(of) {
        Some(column) => statement.any(column, &[of]),
        None => statement,
    };
    let statement = statement.on_channel(question.channel).push(" ORDER BY at DESC, sequence DESC LIMIT ");
    let statement = statement.number(i64::from(SPLIT_MAX)).push(") GROUP BY wait_secs");
    let mut waits = BTreeMap::new();
    for row in statement.rows(connection).await? {
        waits.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(waits)
}

async fn read_stays(
    connection: &mut SqliteConnection,
    workspace: WorkspaceSid,
    workers: Option<&[FiguresOf]>,
    window: Stretch,
    now: Timestamp,
    stays: &mut BTreeMap<String, Stays>,
) -> Result<(), Error> {
    let end = window.until.min(now);
    let mut statement = Statement::new("");
    let from = statement.bound(window.from.0);
    let until = statement.bound(window.until.0);
    let end = statement.bound(end.0);
    let only = |statement: Statement, column| match workers {
        Some(workers) => statement.any(column, workers),
        None => statement,
    };
    let statement = statement.push(&format!(
        "SELECT activity_sid, COUNT(*), SUM(secs), MIN(secs), MAX(secs) FROM (\
         SELECT activity_sid, (CASE WHEN until_at < {until} THEN until_at ELSE {until} END \
         - CASE WHEN from_at > {from} THEN from_at ELSE {from} END) / 1000 AS secs \
         FROM activity_periods WHERE until_at > {from} AND from_at < {until} AND workspace_sid = "
    ));
    let statement = only(statement.text(&workspace), "worker_sid");
    let statement = statement.push(&format!(
        " UNION ALL SELECT activity_sid, \
         ({end} - CASE WHEN status_changed_at > {from} THEN status_changed_at ELSE {from} END) / 1000 \
         FROM workers WHERE status_changed_at < {end} AND {from} < {end} AND workspace_sid = "
    ));
    let statement = only(statement.text(&workspace), "sid");
    for row in statement.push(") GROUP BY activity_sid").rows(connection).await? {
        let sum: &mut Stays = stays.entry(row.try_get(0)?).or_default();
        sum.count += row.try_get::<i64, _>(1)?;
        sum.durations.add(waits_at(&row, 2)?);
    }
    Ok(())
}
