//! Statistics as JSON: which figures each resource shows, and under which names (rest.md 9.2 and 9.3).
//!
//! Every figure is a whole number: strict clients refuse others. Start with [`tasks_now`] and [`happened`].

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::json::date;
use super::window::Window;
use crate::routing::real_time::{TaskFigures, WorkerFigures};
use crate::routing::rollup::{Figures, Waits};
use crate::routing::{ActivitySid, FactKind, TaskStatus};
use crate::store::statistics::{Cumulative, Stays};

/// Members of a JSON object.
pub(super) type Members = Map<String, Value>;

/// Whose tasks something happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Workspace,
    TaskQueue,
    Workflow,
}

/// Figures about present tasks that all resources show.
pub(super) fn tasks_now(figures: &TaskFigures) -> Members {
    let mut members = Members::new();
    let by_status: Members = TaskStatus::ALL
        .iter()
        .map(|status| (status.as_str().to_owned(), figures.by_status.get(status).copied().unwrap_or(0).into()))
        .collect();
    let by_priority: Members =
        figures.by_priority.iter().map(|(priority, count)| (priority.to_string(), (*count).into())).collect();
    set(&mut members, "total_tasks", figures.total());
    set(&mut members, "tasks_by_status", by_status);
    set(&mut members, "tasks_by_priority", by_priority);
    set(&mut members, "longest_task_waiting_age", figures.oldest.map_or(0, |(_, age)| age));
    set(&mut members, "longest_task_waiting_sid", figures.oldest.map(|(task, _)| task.to_string()));
    members
}

/// What queues show beside: the task that is in the queue for longest.
pub(super) fn longest_in_queue(members: &mut Members, figures: &TaskFigures) {
    let longest = figures.longest_in_queue;
    set(members, "longest_relative_task_age_in_queue", longest.map_or(0, |(_, age)| age));
    set(members, "longest_relative_task_sid_in_queue", longest.map(|(task, _)| task.to_string()));
}

/// Who serves a queue.
pub(super) fn serving(members: &mut Members, figures: &WorkerFigures) {
    set(members, "total_eligible_workers", figures.total);
    set(members, "total_available_workers", figures.available);
    set(members, "activity_statistics", activity_statistics(figures));
}

/// Who works.
pub(super) fn working(members: &mut Members, figures: &WorkerFigures) {
    set(members, "total_workers", figures.total);
    set(members, "activity_statistics", activity_statistics(figures));
}

fn activity_statistics(figures: &WorkerFigures) -> Vec<Value> {
    let entries = figures.by_activity.iter();
    entries.map(|(sid, name, workers)| json!({ "sid": sid, "friendly_name": name, "workers": workers })).collect()
}

/// Begin and end of a window.
pub(super) fn window(members: &mut Members, window: Window) {
    set(members, "start_time", date(window.start));
    set(members, "end_time", date(window.end));
}

/// What happened to the tasks of a workspace, a queue or a workflow.
pub(super) fn happened(members: &mut Members, kind: Kind, answer: &Cumulative, thresholds: Option<&[u32]>) {
    let figures = &answer.figures;
    reservations(members, figures);
    let mut counts = vec![
        ("tasks_canceled", FactKind::TasksCanceled),
        ("tasks_completed", FactKind::TasksCompleted),
        ("tasks_deleted", FactKind::TasksDeleted),
        ("tasks_moved", FactKind::TasksMoved),
    ];
    counts.push(match kind {
        Kind::Workspace => ("tasks_created", FactKind::TasksCreated),
        Kind::TaskQueue => ("tasks_entered", FactKind::TasksEnteredQueue),
        Kind::Workflow => ("tasks_entered", FactKind::TasksEnteredWorkflow),
    });
    if kind != Kind::TaskQueue {
        counts.push(("tasks_timed_out_in_workflow", FactKind::TasksTimedOutInWorkflow));
    }
    for (name, fact) in counts {
        set(members, name, figures.count(fact));
    }
    let accepted = figures.count(FactKind::ReservationsAccepted);
    set(members, "avg_task_acceptance_time", average(figures.until_accepted.total, accepted));
    set(members, "wait_duration_until_accepted", waits(figures.until_accepted, accepted));
    let canceled = figures.count(FactKind::TasksCanceled);
    set(members, "wait_duration_until_canceled", waits(figures.until_canceled, canceled));
    if kind == Kind::TaskQueue {
        set(members, "wait_duration_in_queue_until_accepted", waits(figures.in_queue_until_accepted, accepted));
    }
    set(members, "split_by_wait_time", thresholds.map(|thresholds| split(answer, thresholds)));
}

/// What became of reservations.
pub(super) fn reservations(members: &mut Members, figures: &Figures) {
    for kind in FactKind::ALL.iter().filter(|kind| kind.is_of_reservation()) {
        set(members, kind.as_str(), figures.count(*kind));
    }
}

/// For how long workers were in which activity; every activity of the workspace has its entry.
pub(super) fn activity_durations(
    members: &mut Members,
    activities: &[(ActivitySid, String, u64)],
    stays: &BTreeMap<String, Stays>,
) {
    let entry = |(sid, name, _): &(ActivitySid, String, u64)| {
        let stays = stays.get(&sid.to_string()).copied().unwrap_or_default();
        let mut entry = waits(stays.durations, stays.count);
        entry["sid"] = json!(sid);
        entry["friendly_name"] = json!(name);
        entry
    };
    set(members, "activity_durations", activities.iter().map(entry).collect::<Vec<_>>());
}

fn waits(waits: Waits, count: i64) -> Value {
    json!({
        "avg": average(waits.total, count),
        "min": waits.min.unwrap_or(0),
        "max": waits.max.unwrap_or(0),
        "total": waits.total,
    })
}

/// Truncated; 0 of nothing.
fn average(total: i64, count: i64) -> i64 {
    total.checked_div(count).unwrap_or(0)
}

fn split(answer: &Cumulative, thresholds: &[u32]) -> Value {
    let up_to = |waits: &BTreeMap<i64, i64>, threshold: u32| -> i64 {
        waits.range(..=i64::from(threshold)).map(|(_, count)| count).sum()
    };
    let above =
        |waits: &BTreeMap<i64, i64>, threshold: u32| -> i64 { waits.values().sum::<i64>() - up_to(waits, threshold) };
    let entry = |threshold: u32| {
        let of = |count: &dyn Fn(&BTreeMap<i64, i64>, u32) -> i64| {
            json!({
                "tasks_canceled": count(&answer.canceled_after, threshold),
                "reservations_accepted": count(&answer.accepted_after, threshold),
            })
        };
        json!({ "below": of(&up_to), "above": of(&above) })
    };
    thresholds.iter().map(|threshold| (threshold.to_string(), entry(*threshold))).collect::<Members>().into()
}

/// Sets a member.
pub(super) fn set(members: &mut Members, name: &str, value: impl Into<Value>) {
    members.insert(name.to_owned(), value.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_as_long_as_the_threshold_is_below_it() {
        let answer = Cumulative {
            accepted_after: BTreeMap::from([(0, 2), (5, 3), (6, 4)]),
            canceled_after: BTreeMap::from([(30, 1)]),
            ..Cumulative::default()
        };
        let expected = json!({
            "5": {
                "below": { "tasks_canceled": 0, "reservations_accepted": 5 },
                "above": { "tasks_canceled": 1, "reservations_accepted": 4 },
            },
            "30": {
                "below": { "tasks_canceled": 1, "reservations_accepted": 9 },
                "above": { "tasks_canceled": 0, "reservations_accepted": 0 },
            },
        });
        assert_eq!(split(&answer, &[5, 30]), expected);
    }

    #[test]
    fn averages_are_truncated_and_nothing_has_the_average_zero() {
        let of = |total, count| waits(Waits { total, min: Some(1), max: Some(9) }, count)["avg"].clone();
        assert_eq!([of(11, 3), of(12, 3), of(0, 0)], [json!(3), json!(4), json!(0)]);
        assert_eq!(waits(Waits::default(), 0), json!({ "avg": 0, "min": 0, "max": 0, "total": 0 }));
    }
}
