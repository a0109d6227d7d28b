//! Pieces of lists, cut by position (keyset), never by counting rows from the start.
//!
//! A [`Cursor`] is the place of one row in the order of its list; a page is what lies after or before it, so rows that
//! are added meanwhile neither repeat nor hide others. `OFFSET` serves only clients that name a page number without a
//! token. SQL is put together here alone: from literals of this crate and `$n` placeholders, values are always bound.
//! Which lists there are is in [`super::lists`]. Start with [`Span`] and `Select::page`.

use std::cmp::Ordering;
use std::fmt::Display;
use std::marker::PhantomData;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqlitePool};

use super::Error;
use super::views::View;

/// The place of one row in the order of its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The row.
    pub sid: String,
    /// What the list is ordered by, before the SID.
    pub keys: Vec<i64>,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seek {
    /// At the first row.
    First,
    /// After that many rows.
    Skip(u64),
    /// After that row.
    After(Cursor),
    /// Ends before that row.
    Before(Cursor),
}

/// The piece of a list that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub seek: Seek,
    /// Rows at most.
    pub limit: u32,
}

/// A row and its place in the list.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// Where it stands.
    pub at: Cursor,
    /// What it is.
    pub row: T,
}

/// A piece of a list.
#[derive(Debug, Clone)]
pub struct List<T> {
    /// In the order of the list.
    pub entries: Vec<Entry<T>>,
    /// What comes before this row is not here, and there is something.
    pub before: Option<Cursor>,
    /// What follows this row is not here, and there is something.
    pub after: Option<Cursor>,
}

impl<T> List<T> {
    /// Without rows.
    #[must_use]
    pub const fn empty() -> Self {
        Self { entries: Vec::new(), before: None, after: None }
    }

    /// The piece that `span` asked for, of the rows that were `found` in the direction of the span: one more than asked
    /// for, if there is one.
    #[must_use]
    pub fn of_found(mut found: Vec<Entry<T>>, span: &Span) -> Self {
        let backwards = matches!(span.seek, Seek::Before(_));
        let wanted = usize::try_from(span.limit).unwrap_or(usize::MAX);
        let more = found.len() > wanted;
        found.truncate(wanted);
        if backwards {
            found.reverse();
        }
        let first = found.first().map(|entry| entry.at.clone());
        let last = found.last().map(|entry| entry.at.clone());
        let from_elsewhere = !matches!(span.seek, Seek::First);
        let (more_before, more_after) = if backwards { (more, true) } else { (from_elsewhere, more) };
        Self { entries: found, before: first.filter(|_| more_before), after: last.filter(|_| more_after) }
    }
}

/// Upwards or downwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Direction {
    Ascending,
    Descending,
}

impl Direction {
    /// This direction, or the other one.
    #[must_use]
    pub const fn reversed(self, reverse: bool) -> Self {
        match (self, reverse) {
            (Self::Ascending, true) | (Self::Descending, false) => Self::Descending,
            (Self::Descending, true) | (Self::Ascending, false) => Self::Ascending,
        }
    }

    const fn keyword(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }

    const fn comparison(self) -> &'static str {
        match self {
            Self::Ascending => ">",
            Self::Descending => "<",
        }
    }
}

/// A value to bind.
#[derive(Debug, Clone)]
enum Value {
    Integer(i64),
    Text(String),
}

#[derive(Debug, Clone, Copy)]
struct Key {
    column: &'static str,
    direction: Direction,
}

/// One `SELECT` of a view: conditions, order, values.
#[derive(Debug)]
pub(super) struct Select<T> {
    conditions: Vec<String>,
    values: Vec<Value>,
    keys: Vec<Key>,
    /// No two rows have the same keys, so the SID adds nothing.
    total: bool,
    /// Follows the table's name.
    hint: &'static str,
    view: PhantomData<fn() -> T>,
}

impl<T> Clone for Select<T> {
    fn clone(&self) -> Self {
        Self {
            conditions: self.conditions.clone(),
            values: self.values.clone(),
            keys: self.keys.clone(),
            total: self.total,
            hint: self.hint,
            view: PhantomData,
        }
    }
}

/// Compares two places in the order given by `columns`.
fn in_order(columns: &[Key], one: &Cursor, other: &Cursor) -> Ordering {
    let keys = one.keys.iter().zip(&other.keys).map(|(one, other)| one.cmp(other));
    let steps = keys.chain([one.sid.cmp(&other.sid)]).zip(columns);
    steps.fold(Ordering::Equal, |so_far, (step, key)| {
        so_far.then(match key.direction {
            Direction::Ascending => step,
            Direction::Descending => step.reverse(),
        })
    })
}

/// Where the last run of keys of one direction begins.
fn last_run(columns: &[Key]) -> usize {
    let last = columns.last().map(|key| key.direction);
    columns.iter().rposition(|key| Some(key.direction) != last).map_or(0, |before| before + 1)
}

impl<T: View> Select<T> {
    /// All rows.
    pub(super) const fn new() -> Self {
        Self { conditions: Vec::new(), values: Vec::new(), keys: Vec::new(), total: false, hint: "", view: PhantomData }
    }

    /// Only rows for which `condition` holds; each `?` in it stands for the text form of `value`.
    pub(super) fn filter(self, condition: &'static str, value: impl Display) -> Self {
        self.with(condition, Value::Text(value.to_string()))
    }

    /// The same with a number.
    pub(super) fn filter_number(self, condition: &'static str, value: i64) -> Self {
        self.with(condition, Value::Integer(value))
    }

    /// The same, if there is a value.
    pub(super) fn filter_some(self, condition: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.filter(condition, value),
            None => self,
        }
    }

    /// Only rows whose `column` is one of `values`; all rows when there are none.
    pub(super) fn filter_any(mut self, column: &'static str, values: &[impl Display]) -> Self {
        if values.is_empty() {
            return self;
        }
        let placeholders: Vec<_> = values.iter().map(|value| self.bind(Value::Text(value.to_string()))).collect();
        self.conditions.push(format!("{column} IN ({})", placeholders.join(", ")));
        self
    }

    /// Orders by `column`, after the columns named before; the SID comes last of itself.
    pub(super) fn order(mut self, column: &'static str, direction: Direction) -> Self {
        self.keys.push(Key { column, direction });
        self
    }

    /// The keys named so far tell any two rows apart.
    pub(super) const fn total(mut self) -> Self {
        self.total = true;
        self
    }

    /// Names the index to walk, in SQLite's words, where it would choose another; for views of one table.
    pub(super) const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }

    fn with(mut self, condition: &'static str, value: Value) -> Self {
        let placeholder = self.bind(value);
        self.conditions.push(condition.replace('?', &placeholder));
        self
    }

    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    /// The condition that a row lies beyond the first `values` of `columns`: equal in all runs of one direction but
    /// the last, and beyond in that one. A comparison of rows, unlike a chain of `OR`, is a range of an index.
    fn beyond(&mut self, columns: &[Key], values: &[Value]) {
        let run = last_run(&columns[..values.len()]);
        for (key, value) in columns.iter().zip(&values[..run]) {
            let placeholder = self.bind(value.clone());
            self.conditions.push(format!("{} = {placeholder}", key.column));
        }
        let names: Vec<_> = columns[run..values.len()].iter().map(|key| key.column).collect();
        let placeholders: Vec<_> = values[run..].iter().map(|value| self.bind(value.clone())).collect();
        let comparison = columns[run].direction.comparison();
        self.conditions.push(format!("({}) {comparison} ({})", names.join(", "), placeholders.join(", ")));
    }

    fn sql(&self, columns: &[Key], limit: &str, offset: Option<&str>) -> String {
        let mut sql = format!("SELECT {}", T::COLUMNS.join(", "));
        for (index, key) in self.keys.iter().enumerate() {
            sql.push_str(&format!(", {} AS key_{index}", key.column));
        }
        sql.push_str(&format!(" FROM {}{}", T::FROM, self.hint));
        if !self.conditions.is_empty() {
            sql.push_str(&format!(" WHERE {}", self.conditions.join(" AND ")));
        }
        let order: Vec<_> = columns.iter().map(|key| format!("{} {}", key.column, key.direction.keyword())).collect();
        sql.push_str(&format!(" ORDER BY {} LIMIT {limit}", order.join(", ")));
        if let Some(offset) = offset {
            sql.push_str(&format!(" OFFSET {offset}"));
        }
        sql
    }

    /// The first row, if there is one.
    pub(super) async fn optional(self, pool: &SqlitePool) -> Result<Option<T>, Error> {
        Ok(self.rows(pool, 1).await?.pop())
    }

    /// The piece of the list that `span` asks for.
    pub(super) async fn page(self, pool: &SqlitePool, span: Span) -> Result<List<T>, Error> {
        let found = self.found(pool, &span).await?;
        Ok(List::of_found(found, &span))
    }

    /// The rows in the direction of the span, one more than it asks for.
    async fn found(&self, pool: &SqlitePool, span: &Span) -> Result<Vec<Entry<T>>, Error> {
        let limit = i64::from(span.limit) + 1;
        let mut found = Vec::new();
        for (select, offset) in self.ranges(span) {
            let missing = limit - i64::try_from(found.len()).unwrap_or(i64::MAX);
            if missing <= 0 {
                break;
            }
            found.extend(select.fetch(pool, span, missing, offset).await?);
        }
        Ok(found)
    }

    /// The piece that `span` asks for of several lists of one order, as if they were one; not after a number of rows.
    pub(super) async fn merged(selects: Vec<Self>, pool: &SqlitePool, span: Span) -> Result<List<T>, Error> {
        let Some(columns) = selects.first().map(|select| select.columns(&span)) else { return Ok(List::empty()) };
        let mut found = Vec::new();
        for select in selects {
            found.extend(select.found(pool, &span).await?);
        }
        found.sort_by(|one: &Entry<T>, other| in_order(&columns, &one.at, &other.at));
        Ok(List::of_found(found, &span))
    }

    /// The queries whose rows, one after the other, are those of the span: one for each run of keys of one direction,
    /// the innermost first. Each is one range of an index; nearly all orders have one direction, so one query.
    fn ranges(&self, span: &Span) -> Vec<(Self, Option<i64>)> {
        let (Seek::After(cursor) | Seek::Before(cursor)) = &span.seek else {
            let offset = match span.seek {
                Seek::Skip(rows) => Some(i64::try_from(rows).unwrap_or(i64::MAX)),
                _ => None,
            };
            return vec![(self.clone(), offset)];
        };
        let columns = self.columns(span);
        let numbers = cursor.keys.iter().map(|number| Value::Integer(*number));
        let mut values: Vec<_> = numbers.chain([Value::Text(cursor.sid.clone())]).take(columns.len()).collect();
        let mut ranges = Vec::new();
        while !values.is_empty() {
            let mut range = self.clone();
            range.beyond(&columns, &values);
            ranges.push((range, None));
            values.truncate(last_run(&columns[..values.len()]));
        }
        ranges
    }

    /// The columns that make the order, in the direction of the span. The SID goes in the direction of the key before
    /// it, so that an index serves both directions.
    fn columns(&self, span: &Span) -> Vec<Key> {
        let backwards = matches!(span.seek, Seek::Before(_));
        let mut columns = self.keys.clone();
        if !self.total {
            let direction = self.keys.last().map_or(Direction::Ascending, |key| key.direction);
            columns.push(Key { column: T::SID, direction });
        }
        for key in &mut columns {
            key.direction = key.direction.reversed(backwards);
        }
        columns
    }

    async fn fetch(
        mut self,
        pool: &SqlitePool,
        span: &Span,
        limit: i64,
        offset: Option<i64>,
    ) -> Result<Vec<Entry<T>>, Error> {
        let sql = self.bound_sql(span, limit, offset);
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in std::mem::take(&mut self.values) {
            query = match value {
                Value::Integer(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
            };
        }
        let rows = query.fetch_all(pool).await?;
        Ok(rows.iter().map(|row| Self::entry(row, self.keys.len())).collect::<Result<_, _>>()?)
    }

    fn bound_sql(&mut self, span: &Span, limit: i64, offset: Option<i64>) -> String {
        let columns = self.columns(span);
        let offset = offset.map(|rows| self.bind(Value::Integer(rows)));
        let limit = self.bind(Value::Integer(limit));
        self.sql(&columns, &limit, offset.as_deref())
    }

    fn entry(row: &SqliteRow, key_count: usize) -> Result<Entry<T>, sqlx::Error> {
        let keys = (0..key_count).map(|index| row.try_get(format!("key_{index}").as_str()));
        let at = Cursor { sid: row.try_get("sid")?, keys: keys.collect::<Result<_, _>>()? };
        Ok(Entry { at, row: T::read(row)? })
    }

    /// How the database would find the rows of `span`, one line for each step.
    #[cfg(test)]
    pub(super) async fn plan(&self, pool: &SqlitePool, span: &Span) -> Vec<String> {
        let mut lines = Vec::new();
        for (mut select, offset) in self.ranges(span) {
            let sql = format!("EXPLAIN QUERY PLAN {}", select.bound_sql(span, 50, offset));
            let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(pool).await.expect("it can be explained");
            lines.extend(rows.iter().map(|row| row.get::<String, _>("detail")));
        }
        lines
    }

    /// All rows, at most `limit`.
    pub(super) async fn rows(self, pool: &SqlitePool, limit: u32) -> Result<Vec<T>, Error> {
        let list = self.page(pool, Span { seek: Seek::First, limit }).await?;
        Ok(list.entries.into_iter().map(|entry| entry.row).collect())
    }
}

#[cfg(test)]
mod tests;
