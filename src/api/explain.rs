//! Explanations: why a task waits, why a worker gets nothing.
//!
//! The answers are the routing core's; this module gives them their JSON. Nothing of it is Twilio's. Start with [`task`]
//! and [`worker`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::form::{Parameters, Query};
use super::json::{answer, date, optional_date};
use super::links::Place;
use super::position;
use super::scope::Scope;
use crate::routing::explain::{
    Block, FilterExplanation, KnownWorkerExplanation, StepExplanation, StepKind, Tally, TaskExplanation,
    WorkerExplanation, WorkerPage, WorkerVerdict,
};
use crate::routing::expression::{Clause, Explanation, Side};
use crate::routing::{TaskSid, WorkerSid};

/// Entries of a list unless `Limit` says otherwise.
pub(super) const LIMIT_DEFAULT: usize = 100;

/// Most entries of a list.
const LIMIT_MAX: usize = 1_000;

pub(super) async fn task(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let sid: TaskSid = scope.path_sid("TaskSid")?;
    let page = WorkerPage { after: query.sid("After")?, limit: limit(&query)?, only: query.sid("WorkerSid")? };
    let explained = scope.look_now(move |workspace, now| workspace.explain_task(sid, now, &page)).await?;
    Ok(answer(StatusCode::OK, &render_task(&scope.place, &scope.found(explained)?, page.limit)))
}

pub(super) async fn worker(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let sid: WorkerSid = scope.path_sid("WorkerSid")?;
    let limit = limit(&query)?;
    let explained = scope.look_now(move |workspace, now| workspace.explain_worker(sid, now, limit)).await?;
    Ok(answer(StatusCode::OK, &render_worker(&scope.place, &scope.found(explained)?)))
}

/// How many entries each list has.
pub(super) fn limit(parameters: &Parameters) -> Result<usize, ApiError> {
    Ok(parameters.integer("Limit", 0..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT))
}

fn render_task(place: &Place, explained: &TaskExplanation, limit: usize) -> Value {
    let task_url = place.url(&format!("/Tasks/{}", explained.task));
    let url = format!("{task_url}/Explain");
    let next = explained.next_after.map(|after| format!("{url}?Limit={limit}&After={after}"));
    let reservations = explained.reservations.iter().map(|one| {
        json!({
            "reservation_sid": one.reservation,
            "worker_sid": one.worker,
            "worker_name": one.worker_name,
            "reservation_status": one.status,
            "date_expires": optional_date(one.deadline),
        })
    });
    json!({
        "account_sid": place.account,
        "workspace_sid": place.workspace,
        "task_sid": explained.task,
        "assignment_status": explained.status,
        "date_explained": date(explained.at),
        "summary": explained.summary,
        "workflow_sid": explained.workflow.map(|(workflow, _)| workflow),
        "follows_current_configuration": explained.workflow.map(|(_, current)| current),
        "routing_target": explained.routing_target.map(|target| target.to_string()),
        "filters": explained.filters.iter().map(filter).collect::<Vec<_>>(),
        "filters_total": explained.filters_total,
        "target": step(&explained.step),
        "position": position::fields(&explained.position),
        "date_expires": optional_date(explained.expires_at),
        "reservations": reservations.collect::<Vec<_>>(),
        "eligible_workers": tally(&explained.tally),
        "other_workers": explained.others,
        "workers": explained.workers.iter().map(verdict).collect::<Vec<_>>(),
        "next_workers_url": next,
        "url": url,
        "links": { "task": task_url, "position": format!("{task_url}/Position") },
    })
}

fn render_worker(place: &Place, explained: &WorkerExplanation) -> Value {
    let worker_url = place.url(&format!("/Workers/{}", explained.worker));
    let channels = explained.channels.iter().map(|row| {
        json!({
            "task_channel_unique_name": row.channel,
            "available": row.available,
            "configured_capacity": row.configured_capacity,
            "used_capacity": row.used,
        })
    });
    let queues = explained.queues.iter().map(|row| {
        json!({
            "task_queue_sid": row.queue,
            "task_queue_friendly_name": row.friendly_name,
            "target_workers": row.target_workers,
            "member": row.member,
            "waiting_tasks": row.waiting,
            "failing_clauses": row.clauses.iter().map(clause).collect::<Vec<_>>(),
        })
    });
    let tasks = explained.tasks.iter().map(|row| {
        json!({
            "task_sid": row.task,
            "task_queue_sid": row.queue,
            "task_channel_unique_name": row.channel,
            "priority": row.priority,
            "block": row.block.as_ref().map(block),
        })
    });
    let reservations = explained.reservations.iter().map(|(reservation, task, status)| {
        json!({ "reservation_sid": reservation, "task_sid": task, "reservation_status": status })
    });
    json!({
        "account_sid": place.account,
        "workspace_sid": place.workspace,
        "worker_sid": explained.worker,
        "friendly_name": explained.friendly_name,
        "date_explained": date(explained.at),
        "summary": explained.summary,
        "activity_name": explained.activity.0,
        "available": explained.activity.1,
        "channels": channels.collect::<Vec<_>>(),
        "reservations": reservations.collect::<Vec<_>>(),
        "member_of": explained.member_of,
        "task_queues_total": explained.queues_total,
        "task_queues": queues.collect::<Vec<_>>(),
        "waiting_tasks": explained.waiting,
        "eligible_tasks": tally(&explained.tally),
        "tasks": tasks.collect::<Vec<_>>(),
        "url": format!("{worker_url}/Explain"),
        "links": { "worker": worker_url },
    })
}

/// A filter with its clauses.
pub(super) fn filter(filter: &FilterExplanation) -> Value {
    json!({
        "index": filter.index,
        "filter_friendly_name": filter.name,
        "expression": filter.expression,
        "matches": filter.explanation.holds(),
        "chosen": filter.standing,
        "evaluation": explanation(&filter.explanation),
    })
}

/// A step of a workflow.
pub(super) fn step(step: &StepExplanation) -> Value {
    let (filter, target, targets) = match step.kind {
        StepKind::Target { filter, target, targets } => (Some(filter), Some(target), Some(targets)),
        StepKind::Default | StepKind::Direct => (None, None, None),
    };
    let known_worker = step.known_worker.as_ref().map(|known| match known {
        KnownWorkerExplanation::Worker(worker, member) => {
            json!({ "worker_sid": worker, "in_task_queue": member, "problem": null })
        }
        KnownWorkerExplanation::Nobody(why) => json!({ "worker_sid": null, "in_task_queue": false, "problem": why }),
    });
    json!({
        "kind": step.kind.as_str(),
        "filter_index": filter,
        "target_index": target,
        "targets_total": targets,
        "task_queue_sid": step.queue.as_ref().map(|(queue, _)| queue),
        "task_queue_friendly_name": step.queue.as_ref().map(|(_, name)| name),
        "expression": step.expression,
        "order_by": step.order_by,
        "priority": step.priority,
        "timeout": step.timeout_secs,
        "date_ends": optional_date(step.ends_at),
        "skip_if": step.skip_if.as_ref().map(explanation),
        "known_worker": known_worker,
    })
}

/// Workers by what blocks them first.
pub(super) fn tally(tally: &Tally) -> Value {
    let blocked: Map<String, Value> =
        tally.blocked.iter().map(|(reason, count)| (reason.as_str().to_owned(), json!(count))).collect();
    json!({ "total": tally.total, "candidates": tally.candidates, "blocked_by": blocked })
}

/// A worker with everything that blocks it.
pub(super) fn verdict(verdict: &WorkerVerdict) -> Value {
    json!({
        "worker_sid": verdict.worker,
        "friendly_name": verdict.friendly_name,
        "activity_name": verdict.activity_name,
        "candidate": verdict.blocks.is_empty(),
        "blocks": verdict.blocks.iter().map(block).collect::<Vec<_>>(),
    })
}

fn block(block: &Block) -> Value {
    json!({
        "reason": block.reason.as_str(),
        "detail": block.detail,
        "failing_clauses": block.clauses.iter().map(clause).collect::<Vec<_>>(),
        "date_ends": optional_date(block.until),
        "task_sids": block.tasks,
    })
}

/// A clause, or a group of them: `operator` is `AND` or `OR` for a group.
fn explanation(explained: &Explanation) -> Value {
    let group = |operator: &str, holds: bool, members: &[Explanation]| {
        let members: Vec<Value> = members.iter().map(explanation).collect();
        json!({ "operator": operator, "result": holds, "members": members })
    };
    match explained {
        Explanation::Clause(of) => clause(of),
        Explanation::All { holds, members } => group("AND", *holds, members),
        Explanation::Any { holds, members } => group("OR", *holds, members),
    }
}

fn clause(clause: &Clause) -> Value {
    let side = |side: &Side| json!({ "name": side.name, "value": side.value, "type": side.kind });
    json!({
        "clause": clause.text,
        "operator": clause.operator,
        "left": side(&clause.left),
        "right": side(&clause.right),
        "result": clause.holds,
        "type_clash": clause.mismatch,
    })
}
