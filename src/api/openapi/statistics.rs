//! Statistics of workspaces, task queues, workflows and workers.
//!
//! Which figure belongs to which scope is in the functions from [`task_tally`] to [`activity_durations`]; the combined
//! answers hold the same figures under `realtime` and `cumulative`.

use serde_json::{Value, json};

use super::WORKSPACE_PATH;
use super::operation::{Operation, Resource};
use super::schema::{
    address, array, channel, component, count, date, merged, minutes, moment, nullable, object, own_sid, pattern, sid,
    text,
};
use crate::api::tasks::STATUSES;

/// Up to 100 numbers of seconds, separated by commas.
const THRESHOLDS: &str = "^[0-9]{1,9}(,[0-9]{1,9}){0,99}$";

fn task_tally() -> Value {
    let by_status = json!({
        "type": "object",
        "properties": STATUSES.iter().map(|status| ((*status).to_owned(), count())).collect::<serde_json::Map<_, _>>(),
        "required": STATUSES,
        "additionalProperties": false,
    });
    let by_priority = json!({
        "type": "object",
        "propertyNames": pattern("^[0-9]+$"),
        "additionalProperties": count(),
    });
    object([
        ("total_tasks", count()),
        ("tasks_by_status", by_status),
        ("tasks_by_priority", by_priority),
        ("longest_task_waiting_age", count()),
        ("longest_task_waiting_sid", nullable(own_sid("WT"))),
    ])
}

fn relative_wait() -> Value {
    object([
        ("longest_relative_task_age_in_queue", count()),
        ("longest_relative_task_sid_in_queue", nullable(own_sid("WT"))),
    ])
}

fn eligible_workers() -> Value {
    object([("total_available_workers", count()), ("total_eligible_workers", count())])
}

fn activity_tally() -> Value {
    let activity = object([("sid", own_sid("WA")), ("friendly_name", text()), ("workers", count())]);
    object([("activity_statistics", array(activity))])
}

fn all_workers() -> Value {
    merged(object([("total_workers", count())]), activity_tally())
}

fn window() -> Value {
    object([("start_time", date()), ("end_time", date())])
}

fn reservation_counts() -> Value {
    object([
        ("reservations_created", count()),
        ("reservations_accepted", count()),
        ("reservations_rejected", count()),
        ("reservations_timed_out", count()),
        ("reservations_canceled", count()),
        ("reservations_rescinded", count()),
    ])
}

fn task_counts() -> Value {
    let spread = || object([("avg", count()), ("min", count()), ("max", count()), ("total", count())]);
    let side = || object([("tasks_canceled", count()), ("reservations_accepted", count())]);
    let split = json!({
        "type": ["object", "null"],
        "propertyNames": pattern("^[0-9]+$"),
        "additionalProperties": object([("below", side()), ("above", side())]),
    });
    object([
        ("tasks_canceled", count()),
        ("tasks_completed", count()),
        ("tasks_deleted", count()),
        ("tasks_moved", count()),
        ("avg_task_acceptance_time", count()),
        ("wait_duration_until_accepted", spread()),
        ("wait_duration_until_canceled", spread()),
        ("split_by_wait_time", split),
    ])
}

fn activity_durations() -> Value {
    let activity = object([
        ("sid", own_sid("WA")),
        ("friendly_name", text()),
        ("min", count()),
        ("max", count()),
        ("avg", count()),
        ("total", count()),
    ]);
    object([("activity_durations", array(activity))])
}

fn all(parts: impl IntoIterator<Item = Value>) -> Value {
    parts.into_iter().reduce(merged).unwrap_or_default()
}

/// A scope: the key and kind of its SID, and its figures.
struct Scope {
    sid: Option<(&'static str, &'static str)>,
    real_time: Vec<Value>,
    cumulative: Vec<Value>,
}

impl Scope {
    fn head(&self) -> Value {
        let head = object([("account_sid", own_sid("AC")), ("workspace_sid", own_sid("WS"))]);
        match self.sid {
            Some((key, prefix)) => merged(head, object([(key, own_sid(prefix))])),
            None => head,
        }
    }

    fn real_time(&self) -> Value {
        all(self.real_time.iter().cloned())
    }

    fn cumulative(&self) -> Value {
        all(self.cumulative.iter().cloned())
    }

    fn combined(&self) -> Value {
        let both = object([("realtime", self.real_time()), ("cumulative", self.cumulative())]);
        merged(self.head(), both)
    }

    fn addressed(&self, figures: Value) -> Value {
        all([self.head(), object([("url", address())]), figures])
    }
}

fn scopes() -> [Scope; 4] {
    let window_and_reservations = || [window(), reservation_counts()];
    let of_tasks = |more: Vec<Value>| {
        let common = window_and_reservations().into_iter().chain([task_counts()]);
        common.chain(more).collect()
    };
    let timed_out = || object([("tasks_timed_out_in_workflow", count())]);
    let entered = || object([("tasks_entered", count())]);
    let spread = object([("avg", count()), ("min", count()), ("max", count()), ("total", count())]);
    let in_queue = object([("wait_duration_in_queue_until_accepted", spread)]);
    [
        Scope {
            sid: None,
            real_time: vec![task_tally(), all_workers()],
            cumulative: of_tasks(vec![object([("tasks_created", count())]), timed_out()]),
        },
        Scope {
            sid: Some(("task_queue_sid", "WQ")),
            real_time: vec![task_tally(), relative_wait(), eligible_workers(), activity_tally()],
            cumulative: of_tasks(vec![entered(), in_queue]),
        },
        Scope {
            sid: Some(("workflow_sid", "WW")),
            real_time: vec![task_tally()],
            cumulative: of_tasks(vec![entered(), timed_out()]),
        },
        Scope {
            sid: None,
            real_time: vec![all_workers()],
            cumulative: window_and_reservations().into_iter().chain([activity_durations()]).collect(),
        },
    ]
}

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let [workspace, task_queue, workflow, workers] = scopes();
    let mut schemas = Vec::new();
    for (scope, names) in [
        (&workspace, ["WorkspaceStatistics", "WorkspaceRealTimeStatistics", "WorkspaceCumulativeStatistics"]),
        (&task_queue, ["TaskQueueStatistics", "TaskQueueRealTimeStatistics", "TaskQueueCumulativeStatistics"]),
        (&workflow, ["WorkflowStatistics", "WorkflowRealTimeStatistics", "WorkflowCumulativeStatistics"]),
        (&workers, ["WorkersStatistics", "WorkersRealTimeStatistics", "WorkersCumulativeStatistics"]),
    ] {
        let [combined, real_time, cumulative] = names;
        schemas.push((combined, merged(scope.combined(), object([("url", address())]))));
        schemas.push((real_time, scope.addressed(scope.real_time())));
        schemas.push((cumulative, scope.addressed(scope.cumulative())));
    }
    schemas.push(("TaskQueuesStatistics", task_queue.combined()));
    let worker_head = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("worker_sid", own_sid("WK")),
        ("url", address()),
    ]);
    let of_worker = merged(worker_head, object([("cumulative", workers.cumulative())]));
    schemas.push(("WorkerStatistics", of_worker));
    let queue = all([object([("task_queue_sid", own_sid("WQ"))]), task_tally(), eligible_workers(), activity_tally()]);
    let bulk = object([
        ("account_sid", own_sid("AC")),
        ("workspace_sid", own_sid("WS")),
        ("url", address()),
        ("task_queue_response_count", count()),
        ("task_queue_data", array(queue)),
    ]);
    schemas.push(("TaskQueueBulkRealTimeStatistics", bulk));
    schemas
}

fn statistics(schema: &'static str, id: &'static str, path: &str, summary: &'static str) -> Operation {
    let resource = Resource { name: schema, sid: text, versioned: false };
    resource.fetch(id, path, summary).tagged("Statistics").query("TaskChannel", channel())
}

fn windowed(operation: Operation) -> Operation {
    operation.query("Minutes", minutes()).query("StartDate", moment()).query("EndDate", moment())
}

fn split(operation: Operation) -> Operation {
    windowed(operation).query("SplitByWaitTime", pattern(THRESHOLDS))
}

pub(super) fn operations() -> Vec<Operation> {
    let workspace = WORKSPACE_PATH;
    let queues = &format!("{workspace}/TaskQueues");
    let queue = &format!("{queues}/{{TaskQueueSid}}");
    let workflow = &format!("{workspace}/Workflows/{{WorkflowSid}}");
    let workers = &format!("{workspace}/Workers");
    let combined = |parent: &str| format!("{parent}/Statistics");
    let real_time = |parent: &str| format!("{parent}/RealTimeStatistics");
    let cumulative = |parent: &str| format!("{parent}/CumulativeStatistics");
    let list = Resource { name: "TaskQueuesStatistics", sid: text, versioned: false };
    let sids = json!({ "type": "array", "items": sid("WQ"), "minItems": 1, "maxItems": 50 });
    let bulk = json!({
        "type": "object",
        "properties": { "queueSids": sids, "QueueSids": sids, "TaskQueueSids": sids, "TaskChannel": nullable(channel()) },
        "oneOf": [{ "required": ["queueSids"] }, { "required": ["QueueSids"] }, { "required": ["TaskQueueSids"] }],
    });
    let bulk_answer = Some(("application/json", component("TaskQueueBulkRealTimeStatistics")));
    vec![
        split(statistics("WorkspaceStatistics", "FetchWorkspaceStatistics", &combined(workspace), "A workspace")),
        statistics(
            "WorkspaceRealTimeStatistics",
            "FetchWorkspaceRealTimeStatistics",
            &real_time(workspace),
            "A workspace now",
        ),
        split(statistics(
            "WorkspaceCumulativeStatistics",
            "FetchWorkspaceCumulativeStatistics",
            &cumulative(workspace),
            "A workspace over a window of time",
        )),
        split(
            list.list("ListTaskQueuesStatistics", &combined(queues), "task_queues_statistics", "Every task queue")
                .tagged("Statistics")
                .query("FriendlyName", text())
                .query("TaskChannel", channel()),
        )
        .paged(1),
        Resource { name: "TaskQueueBulkRealTimeStatistics", sid: text, versioned: false }
            .post("CreateTaskQueueBulkRealTimeStatistics", &real_time(queues), "Several task queues now")
            .tagged("Statistics")
            .json(bulk)
            .answers(200, "one entry for each task queue", bulk_answer),
        split(statistics("TaskQueueStatistics", "FetchTaskQueueStatistics", &combined(queue), "A task queue")),
        statistics(
            "TaskQueueRealTimeStatistics",
            "FetchTaskQueueRealTimeStatistics",
            &real_time(queue),
            "A task queue now",
        ),
        split(statistics(
            "TaskQueueCumulativeStatistics",
            "FetchTaskQueueCumulativeStatistics",
            &cumulative(queue),
            "A task queue over a window of time",
        )),
        split(statistics("WorkflowStatistics", "FetchWorkflowStatistics", &combined(workflow), "A workflow")),
        statistics(
            "WorkflowRealTimeStatistics",
            "FetchWorkflowRealTimeStatistics",
            &real_time(workflow),
            "A workflow now",
        ),
        split(statistics(
            "WorkflowCumulativeStatistics",
            "FetchWorkflowCumulativeStatistics",
            &cumulative(workflow),
            "A workflow over a window of time",
        )),
        windowed(statistics("WorkersStatistics", "FetchWorkerStatistics", &combined(workers), "All workers"))
            .query("TaskQueueSid", sid("WQ"))
            .query("TaskQueueName", text())
            .query("FriendlyName", text()),
        statistics(
            "WorkersRealTimeStatistics",
            "FetchWorkersRealTimeStatistics",
            &real_time(workers),
            "All workers now",
        ),
        windowed(statistics(
            "WorkersCumulativeStatistics",
            "FetchWorkersCumulativeStatistics",
            &cumulative(workers),
            "All workers over a window of time",
        )),
        windowed(statistics(
            "WorkerStatistics",
            "FetchWorkerInstanceStatistics",
            &combined(&format!("{workers}/{{WorkerSid}}")),
            "A worker",
        )),
    ]
}
