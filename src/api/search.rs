//! Lists that no index of the database serves: their rows are chosen in the workspace's memory and then read by SID.
//!
//! The workspace is looked at in short portions, so that routing goes on in between; expressions are evaluated outside
//! of it, on copies. What comes or goes meanwhile may or may not be seen, as with any two pages. Which row belongs to
//! the page is decided in `selection`. Start with [`tasks`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::error::ApiError;
use super::expressions::{Names, TaskExpression, WorkerExpression, WorkerFacts};
use super::scope::Scope;
use super::selection::{Keys, Selection};
use super::sift::Sieve;
use crate::routing::expression::ChannelValues;
use crate::routing::{TaskQueueSid, TaskSid, WorkerSid, Workspace};
use crate::store::lists::{TaskFilter, TaskKey, WorkerFilter, WorkerKey};
use crate::store::pages::{Direction, Entry, List, Span};
use crate::store::views::{TaskQueueView, TaskView, WorkerView};

/// Rows of one portion: what a workspace looks through in a fraction of a millisecond.
const PORTION: usize = 4_000;
/// Bytes of attributes after which a portion ends early.
const PORTION_BYTES: usize = 512 * 1024;
/// Rows of an index that are tried before memory is searched: when many rows match, they fill the page at once.
const TRIED: usize = 400;

/// Which tasks, and in which order.
pub(super) struct TaskQuery {
    pub(super) filter: TaskFilter,
    /// One or two.
    pub(super) keys: Vec<(TaskKey, Direction)>,
    pub(super) expression: Option<TaskExpression>,
}

/// Tasks of the workspace.
pub(super) async fn tasks(scope: &Scope, query: TaskQuery, span: Span) -> Result<List<TaskView>, ApiError> {
    let TaskQuery { filter, keys, expression } = query;
    let store = &scope.state.store;
    if filter.has_index(&keys) {
        let Some(expression) = &expression else {
            return Ok(store.tasks(scope.sid(), &filter, &keys, span).await?);
        };
        let mut sieve = Sieve::new(span.clone(), TRIED);
        while let Some(chunk) = sieve.next_chunk() {
            let list = store.tasks(scope.sid(), &filter, &keys, chunk).await?;
            let verdicts = list.entries.iter().map(|entry| expression.matches(&entry.row.attributes)).collect();
            sieve.take(list, verdicts);
        }
        if let Some(list) = sieve.finish() {
            return Ok(list);
        }
    }
    let mut selection = Selection::new(span, keys.iter().map(|(_, direction)| *direction).collect());
    let (filter, keys) = (Arc::new(filter), Arc::new(keys));
    let mut after = None;
    loop {
        let (filter, keys, with_attributes) = (Arc::clone(&filter), Arc::clone(&keys), expression.is_some());
        let look = move |workspace: &Workspace| Tasks::of(workspace, after, &filter, &keys, with_attributes);
        let portion = scope.look(look).await?;
        for (keys, sid, text) in &portion.found {
            if expression.as_ref().is_none_or(|expression| expression.matches(&portion.texts[text.clone()])) {
                selection.offer(*keys, sid.bits());
            }
        }
        match portion.next {
            Some(sid) => after = Some(sid),
            None => break,
        }
    }
    let chosen = selection.finish(TaskSid::from_bits);
    let rows = store.tasks_with(scope.sid(), &sids(&chosen)).await?;
    Ok(filled(chosen, rows, |row| &row.sid))
}

/// A portion of tasks that the plain filters let through.
struct Tasks {
    found: Vec<(Keys, TaskSid, Range<usize>)>,
    texts: String,
    /// The last task that was looked at, unless there are no more.
    next: Option<TaskSid>,
}

impl Tasks {
    fn of(
        workspace: &Workspace,
        after: Option<TaskSid>,
        filter: &TaskFilter,
        keys: &[(TaskKey, Direction)],
        with_attributes: bool,
    ) -> Self {
        let mut portion = Self { found: Vec::new(), texts: String::new(), next: None };
        for (looked_at, task) in (1..).zip(workspace.tasks_after(after)) {
            if filter.admits(task) {
                let begin = portion.texts.len();
                if with_attributes {
                    portion.texts.push_str(&task.attributes);
                }
                let mut values = [0; 2];
                values.iter_mut().zip(keys).for_each(|(value, (key, _))| *value = key.of(task));
                portion.found.push((values, task.sid, begin..portion.texts.len()));
            }
            if looked_at >= PORTION || portion.texts.len() >= PORTION_BYTES {
                portion.next = Some(task.sid);
                break;
            }
        }
        portion
    }
}

/// Which workers, and in which order.
pub(super) struct WorkerQuery {
    pub(super) filter: WorkerFilter,
    pub(super) key: (WorkerKey, Direction),
    /// Serving all of these.
    pub(super) queues: Vec<TaskQueueSid>,
    pub(super) expression: Option<WorkerExpression>,
}

/// Workers of the workspace.
pub(super) async fn workers(scope: &Scope, query: WorkerQuery, span: Span) -> Result<List<WorkerView>, ApiError> {
    let WorkerQuery { filter, key, queues, expression } = query;
    let store = &scope.state.store;
    if filter.has_index(key.0) && queues.is_empty() && expression.is_none() {
        return Ok(store.workers(scope.sid(), &filter, key, span).await?);
    }
    let mut selection = Selection::new(span, vec![key.1]);
    let plain = Arc::new(Plain { filter, key: key.0, queues });
    let mut after = None;
    loop {
        let plain = Arc::clone(&plain);
        let channels = expression.as_ref().map(WorkerExpression::uses_channels);
        let portion = scope.look(move |workspace| Workers::of(workspace, after, &plain, channels)).await?;
        for (key, worker) in &portion.found {
            if expression.as_ref().is_none_or(|expression| expression.matches(worker, &portion.names)) {
                selection.offer([*key, 0], worker.sid.bits());
            }
        }
        match portion.next {
            Some(sid) => after = Some(sid),
            None => break,
        }
    }
    let chosen = selection.finish(WorkerSid::from_bits);
    let rows = store.workers_with(scope.sid(), &sids(&chosen)).await?;
    Ok(filled(chosen, rows, |row| &row.sid))
}

/// What can be told of workers without an expression.
struct Plain {
    filter: WorkerFilter,
    key: WorkerKey,
    queues: Vec<TaskQueueSid>,
}

/// A portion of workers that the plain filters let through.
struct Workers {
    found: Vec<(i64, WorkerFacts)>,
    names: Names,
    /// The last worker that was looked at, unless there are no more.
    next: Option<WorkerSid>,
}

impl Workers {
    /// With what an expression needs to know if there is one, and with the figures of channels if it asks for them.
    fn of(workspace: &Workspace, after: Option<WorkerSid>, plain: &Plain, channels: Option<bool>) -> Self {
        let mut portion = Self { found: Vec::new(), names: Names::default(), next: None };
        let mut bytes = 0;
        for (looked_at, worker) in (1..).zip(workspace.workers_after(after)) {
            let activity = workspace.activity(worker.activity);
            let is_available = activity.is_some_and(|activity| activity.available);
            if plain.filter.admits(worker, is_available)
                && plain.queues.iter().all(|queue| workspace.serves(worker.sid, *queue))
            {
                let mut facts = WorkerFacts {
                    sid: worker.sid,
                    friendly_name: String::new(),
                    attributes: String::new(),
                    activity: worker.activity,
                    channels: Vec::new(),
                };
                if let Some(with_figures) = channels {
                    facts.friendly_name.clone_from(&worker.friendly_name);
                    facts.attributes.clone_from(&worker.attributes);
                    bytes += facts.attributes.len();
                    if let Some(activity) = activity {
                        let name = || (activity.sid.to_string(), activity.friendly_name.clone());
                        portion.names.activities.entry(activity.sid).or_insert_with(name);
                    }
                    if with_figures {
                        for (unique_name, row) in workspace.channels_of_worker(worker.sid) {
                            if !portion.names.channels.contains_key(unique_name) {
                                portion.names.channels.insert(unique_name.to_owned(), row.channel);
                            }
                            let values = ChannelValues {
                                configured_capacity: row.configured_capacity,
                                assigned_tasks: row.assigned_tasks,
                                available_capacity_percentage: row.available_capacity_percentage(),
                            };
                            facts.channels.push((row.channel, values));
                        }
                    }
                }
                portion.found.push((plain.key.of(worker), facts));
            }
            if looked_at >= PORTION || bytes >= PORTION_BYTES {
                portion.next = Some(worker.sid);
                break;
            }
        }
        portion
    }
}

/// Which task queues, and in which order.
pub(super) struct TaskQueueQuery {
    pub(super) friendly_name: Option<String>,
    pub(super) by_date_updated: Option<Direction>,
    /// Served by this worker.
    pub(super) worker: Option<WorkerSid>,
    /// That somebody with these attributes would serve.
    pub(super) attributes: Option<String>,
}

/// Task queues of the workspace; none when there is no such worker.
pub(super) async fn task_queues(
    scope: &Scope,
    query: TaskQueueQuery,
    span: Span,
) -> Result<Option<List<TaskQueueView>>, ApiError> {
    let store = &scope.state.store;
    let TaskQueueQuery { friendly_name, by_date_updated, worker, attributes } = query;
    if worker.is_none() && attributes.is_none() {
        let list = store.task_queues(scope.sid(), friendly_name.as_deref(), by_date_updated, span).await?;
        return Ok(Some(list));
    }
    let look = move |workspace: &Workspace| {
        if worker.is_some_and(|worker| workspace.worker(worker).is_none()) {
            return None;
        }
        let suiting = attributes.as_deref().map(|attributes| workspace.queues_for(attributes));
        let queues = workspace.all_task_queues().filter(|queue| {
            friendly_name.as_ref().is_none_or(|name| *name == queue.friendly_name)
                && worker.is_none_or(|worker| workspace.serves(worker, queue.sid))
                && suiting.as_ref().is_none_or(|suiting| suiting.binary_search(&queue.sid).is_ok())
        });
        let key = |queue: &crate::routing::TaskQueue| match by_date_updated {
            Some(_) => queue.updated_at.0,
            None => queue.created_at.0,
        };
        Some(queues.map(|queue| (key(queue), queue.sid)).collect::<Vec<_>>())
    };
    let Some(found) = scope.look(look).await? else { return Ok(None) };
    let mut selection = Selection::new(span, vec![by_date_updated.unwrap_or(Direction::Ascending)]);
    for (key, sid) in found {
        selection.offer([key, 0], sid.bits());
    }
    let chosen = selection.finish(TaskQueueSid::from_bits);
    let rows = store.task_queues_with(scope.sid(), &sids(&chosen)).await?;
    Ok(Some(filled(chosen, rows, |row| &row.sid)))
}

fn sids<S: Copy>(chosen: &List<S>) -> Vec<S> {
    chosen.entries.iter().map(|entry| entry.row).collect()
}

/// The rows in the order in which they were chosen; what has gone since is left out.
fn filled<S, T>(chosen: List<S>, rows: Vec<T>, sid: impl Fn(&T) -> &String) -> List<T> {
    let mut rows: BTreeMap<String, T> = rows.into_iter().map(|row| (sid(&row).clone(), row)).collect();
    let entries = chosen.entries.into_iter().filter_map(|Entry { at, .. }| {
        let row = rows.remove(&at.sid)?;
        Some(Entry { at, row })
    });
    List { entries: entries.collect(), before: chosen.before, after: chosen.after }
}

#[cfg(test)]
mod tests;
