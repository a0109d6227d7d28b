//! Real-time figures against a count of the rows, for every scope and channel.
//!
//! Start with [`agree`].

use std::collections::BTreeMap;

use switchhook::routing::real_time::{TaskFigures, TasksOf, WorkerFigures, WorkersWhere};
use switchhook::routing::{ActivitySid, Task, TaskChannelSid, TaskStatus, Timestamp, Worker, Workspace, WorkspaceRows};

/// Whether what the workspace keeps count of is what its rows amount to.
pub(super) fn agree(workspace: &Workspace, rows: &WorkspaceRows, now: Timestamp) -> Result<(), String> {
    let queues = rows.task_queues.iter().map(|row| TasksOf::TaskQueue(row.sid));
    let workflows = rows.workflows.iter().map(|row| TasksOf::Workflow(row.sid));
    let scopes: Vec<TasksOf> = [TasksOf::Workspace].into_iter().chain(queues).chain(workflows).collect();
    let channels: Vec<Option<TaskChannelSid>> =
        [None].into_iter().chain(rows.task_channels.iter().map(|row| Some(row.sid))).collect();
    for of in scopes {
        for channel in &channels {
            let found = workspace.task_figures(of, *channel, now);
            let expected = counted(rows, of, *channel, now);
            if found.as_ref() != Some(&expected) {
                return Err(format!("tasks of {of:?} on {channel:?}: {found:?}, but rows amount to {expected:?}"));
            }
        }
    }
    same_workers(workspace, rows, &WorkersWhere::default(), |_| true)?;
    for queue in &rows.task_queues {
        let members = WorkersWhere { queue: Some(queue.sid), friendly_name: None };
        let sids = workspace.workers_where(&members);
        same_workers(workspace, rows, &members, |worker| sids.contains(&worker.sid))?;
    }
    for worker in &rows.workers {
        let named = WorkersWhere { queue: None, friendly_name: Some(worker.friendly_name.clone()) };
        same_workers(workspace, rows, &named, |row| row.sid == worker.sid)?;
    }
    Ok(())
}

fn counted(rows: &WorkspaceRows, of: TasksOf, channel: Option<TaskChannelSid>, now: Timestamp) -> TaskFigures {
    let belongs = |task: &&Task| match of {
        TasksOf::Workspace => true,
        TasksOf::TaskQueue(queue) => task.queue == Some(queue),
        TasksOf::Workflow(workflow) => task.workflow == Some(workflow),
    };
    let on_channel = |task: &&Task| channel.is_none_or(|channel| task.channel == channel);
    let tasks: Vec<&Task> = rows.tasks.iter().filter(belongs).filter(on_channel).collect();
    let mut figures = TaskFigures::default();
    for status in TaskStatus::ALL {
        let count = tasks.iter().filter(|task| task.status == *status).count();
        if !tasks.is_empty() {
            figures.by_status.insert(*status, count as u64);
        }
    }
    for task in tasks.iter().filter(|task| !task.status.is_final()) {
        *figures.by_priority.entry(task.priority).or_insert(0) += 1;
    }
    let pending = || tasks.iter().filter(|task| task.status == TaskStatus::Pending);
    let oldest = pending().map(|task| (task.created_at, task.sid)).min();
    let longest = pending().filter_map(|task| Some((task.queue_entered_at?, task.sid))).min();
    figures.oldest = oldest.map(|(since, task)| (task, now.secs_since(since)));
    figures.longest_in_queue = longest.map(|(since, task)| (task, now.secs_since(since)));
    figures
}

fn same_workers(
    workspace: &Workspace,
    rows: &WorkspaceRows,
    workers: &WorkersWhere,
    belongs: impl Fn(&Worker) -> bool,
) -> Result<(), String> {
    let found = workspace.worker_figures(workers);
    let mut by_activity: BTreeMap<ActivitySid, u64> = rows.activities.iter().map(|row| (row.sid, 0)).collect();
    for worker in rows.workers.iter().filter(|worker| belongs(worker)) {
        *by_activity.entry(worker.activity).or_insert(0) += 1;
    }
    let available = |row: &&switchhook::routing::Activity| row.available;
    let expected = WorkerFigures {
        total: by_activity.values().sum(),
        available: rows.activities.iter().filter(available).map(|row| by_activity[&row.sid]).sum(),
        by_activity: rows
            .activities
            .iter()
            .map(|row| (row.sid, row.friendly_name.clone(), by_activity[&row.sid]))
            .collect(),
    };
    if found == expected { Ok(()) } else { Err(format!("{workers:?}: {found:?}, but rows amount to {expected:?}")) }
}
