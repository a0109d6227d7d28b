"""Statistics of every kind: of an empty workspace, and after a task was worked on."""

from datetime import datetime, timedelta, timezone

import pytest
import requests

from conftest import ACCOUNT_SID, AUTH_TOKEN, URL, fails

STATUSES = {"pending", "reserved", "assigned", "wrapping", "completed", "canceled"}
RESERVATIONS = {f"reservations_{kind}" for kind in ("created", "accepted", "rejected", "timed_out", "canceled", "rescinded")}
WAITS = {"avg_task_acceptance_time", "wait_duration_until_accepted", "wait_duration_until_canceled", "split_by_wait_time"}
NOTHING = {"avg": 0, "min": 0, "max": 0, "total": 0}


@pytest.fixture
def queue(workspace):
    return workspace.task_queues(workspace.task_queues.list()[0].sid)


@pytest.fixture
def workflow(workspace):
    return workspace.workflows(workspace.workflows.list()[0].sid)


def test_an_empty_workspace_has_zeros(workspace, queue, workflow):
    realtime = workspace.real_time_statistics().fetch()
    assert (realtime.total_tasks, realtime.total_workers, realtime.longest_task_waiting_age) == (0, 0, 0)
    assert realtime.longest_task_waiting_sid is None and realtime.tasks_by_priority == {}
    assert realtime.tasks_by_status == dict.fromkeys(STATUSES, 0)
    assert {row["friendly_name"]: row["workers"] for row in realtime.activity_statistics} == {
        "Offline": 0, "Available": 0, "Unavailable": 0,
    }
    for scope in (workspace, queue, workflow):
        cumulative = scope.cumulative_statistics().fetch(split_by_wait_time="5,10")
        for name in RESERVATIONS | {"tasks_canceled", "tasks_completed", "tasks_deleted", "tasks_moved"}:
            assert getattr(cumulative, name) == 0, name
        assert cumulative.avg_task_acceptance_time == 0
        assert cumulative.wait_duration_until_accepted == NOTHING
        assert cumulative.wait_duration_until_canceled == NOTHING
        assert set(cumulative.split_by_wait_time) == {"5", "10"}
        assert cumulative.split_by_wait_time["5"] == {
            part: {"tasks_canceled": 0, "reservations_accepted": 0} for part in ("below", "above")
        }
        assert isinstance(cumulative.start_time, datetime) and isinstance(cumulative.end_time, datetime)
        assert cumulative.end_time - cumulative.start_time == timedelta(minutes=15)
        assert scope.cumulative_statistics().fetch().split_by_wait_time is None
        combined = scope.statistics().fetch(split_by_wait_time="5,10", minutes=60)
        assert set(combined.realtime["tasks_by_status"]) == STATUSES
        assert WAITS | RESERVATIONS <= set(combined.cumulative)


def work_on_a_task(workspace, worker):
    """One task accepted and completed, one left waiting with priority 10."""
    workspace.tasks.create(task_channel="voice")
    offer, = worker.reservations.list(reservation_status="pending")
    worker.reservations(offer.sid).update(reservation_status="accepted")
    worker.reservations(offer.sid).update(reservation_status="completed")
    worker.update(activity_sid=workspace.activities.list(friendly_name="Offline")[0].sid)
    return workspace.tasks.create(priority=10)


def test_what_happened_is_counted(workspace, worker, queue, workflow):
    waiting = work_on_a_task(workspace, worker)
    for scope in (workspace, queue, workflow):
        realtime = scope.real_time_statistics().fetch()
        assert (realtime.total_tasks, realtime.tasks_by_priority) == (1, {"10": 1})
        assert (realtime.tasks_by_status["pending"], realtime.tasks_by_status["completed"]) == (1, 1)
        assert realtime.longest_task_waiting_sid == waiting.sid
        assert realtime.longest_task_waiting_age in range(60)
        cumulative = scope.cumulative_statistics().fetch(split_by_wait_time="60")
        assert (cumulative.reservations_created, cumulative.reservations_accepted) == (1, 1)
        assert (cumulative.tasks_completed, cumulative.tasks_canceled) == (1, 0)
        assert cumulative.split_by_wait_time["60"]["below"] == {"tasks_canceled": 0, "reservations_accepted": 1}
    assert workspace.cumulative_statistics().fetch().tasks_created == 2
    assert queue.cumulative_statistics().fetch().tasks_entered == 2
    assert workflow.cumulative_statistics().fetch().tasks_entered == 2
    live = queue.real_time_statistics().fetch()
    assert (live.total_eligible_workers, live.total_available_workers) == (1, 0)
    assert live.longest_relative_task_sid_in_queue == waiting.sid


def test_channels_and_windows_narrow_the_counts(workspace, worker):
    work_on_a_task(workspace, worker)
    counted = lambda **window: workspace.cumulative_statistics().fetch(**window).tasks_created
    assert counted(task_channel="voice") == 1
    assert counted(task_channel=workspace.task_channels("chat").fetch().sid) == 0
    assert workspace.real_time_statistics().fetch(task_channel="voice").total_tasks == 0
    now = datetime.now(timezone.utc)
    assert counted(start_date=now - timedelta(hours=2), end_date=now - timedelta(hours=1)) == 0
    assert counted(start_date=now - timedelta(hours=2), minutes=1) == 2
    fails(400, 14241, workspace.cumulative_statistics().fetch, start_date=now - timedelta(days=31))
    fails(400, 20001, workspace.cumulative_statistics().fetch, task_channel="fax")


def test_workers_have_statistics(workspace, worker):
    work_on_a_task(workspace, worker)
    name = worker.fetch().friendly_name
    realtime = workspace.workers.real_time_statistics().fetch()
    assert realtime.total_workers == 1
    assert {row["friendly_name"]: row["workers"] for row in realtime.activity_statistics}["Offline"] == 1
    cumulative = workspace.workers.cumulative_statistics().fetch()
    assert (cumulative.reservations_created, cumulative.reservations_accepted) == (1, 1)
    durations = {row["friendly_name"]: row for row in cumulative.activity_durations}
    assert set(durations) == {"Offline", "Available", "Unavailable"}
    assert set(durations["Available"]) == {"sid", "friendly_name", "min", "max", "avg", "total"}
    for filters in ({}, {"friendly_name": name}, {"task_queue_name": "Sample Queue"}):
        combined = workspace.workers.statistics().fetch(**filters)
        assert combined.realtime["total_workers"] == combined.cumulative["reservations_accepted"] == 1, filters
    assert workspace.workers.statistics().fetch(friendly_name="nobody").realtime["total_workers"] == 0
    one = worker.statistics().fetch()
    assert (one.worker_sid, one.cumulative["reservations_accepted"]) == (worker.fetch().sid, 1)


def test_statistics_of_all_queues_are_paged(workspace):
    for number in range(4):
        workspace.task_queues.create(friendly_name=f"queue {number}")
    rows = workspace.task_queues.statistics.list(page_size=2, split_by_wait_time="5,10")
    assert len({row.task_queue_sid for row in rows}) == 5
    assert all(set(row.cumulative["split_by_wait_time"]) == {"5", "10"} for row in rows)
    assert len(workspace.task_queues.statistics.list(friendly_name="queue 1")) == 1


def test_statistics_of_several_queues_at_once(workspace):
    """The library cannot send this request (it expects a type it does not have), so it is sent plainly."""
    sid = workspace.fetch().sid
    url = f"{URL}/v1/Workspaces/{sid}/TaskQueues/RealTimeStatistics"
    ask = lambda queues: requests.post(url, json={"QueueSids": queues}, auth=(ACCOUNT_SID, AUTH_TOKEN), timeout=10)
    queue = workspace.task_queues.list()[0].sid
    stranger = f"WQ{'0' * 32}"
    answer = ask([queue, stranger])
    assert answer.status_code == 200
    body = answer.json()
    assert body["workspace_sid"] == sid and body["task_queue_response_count"] == len(body["task_queue_data"]) == 2
    assert {row["task_queue_sid"]: row["total_tasks"] for row in body["task_queue_data"]} == {queue: 0, stranger: 0}
    for wrong in ([], ["WQ1"], [queue] * 51):
        assert ask(wrong).status_code == 400, wrong
