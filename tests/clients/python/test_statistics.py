"""Every statistics resource, on a workspace that is empty and on one where a task was accepted and one waits."""

from datetime import datetime, timedelta, timezone

import requests

from conftest import ACCOUNT_SID, AUTH_TOKEN, URL, fails

STATUSES = {"pending", "reserved", "assigned", "wrapping", "completed", "canceled"}
SPLIT = {"split_by_wait_time": "5,10"}


def check_whole(value):
    """Every figure is a whole number: other libraries refuse fractions."""
    if isinstance(value, dict):
        for part in value.values():
            check_whole(part)
    elif isinstance(value, list):
        for part in value:
            check_whole(part)
    else:
        assert not isinstance(value, float), value


def subjects(workspace):
    """Workspace, queue and workflow, each with its two halves and both together."""
    queue = workspace.task_queues(workspace.task_queues.list()[0].sid)
    workflow = workspace.workflows(workspace.workflows.list()[0].sid)
    return [
        (workspace.real_time_statistics, workspace.cumulative_statistics, workspace.statistics),
        (queue.real_time_statistics, queue.cumulative_statistics, queue.statistics),
        (workflow.real_time_statistics, workflow.cumulative_statistics, workflow.statistics),
    ]


def test_an_empty_workspace_has_all_figures(workspace):
    for real_time, cumulative, both in subjects(workspace):
        now = real_time().fetch()
        assert (now.total_tasks, now.longest_task_waiting_age, now.longest_task_waiting_sid) == (0, 0, None)
        assert set(now.tasks_by_status) == STATUSES and now.tasks_by_priority == {}
        past = cumulative().fetch(**SPLIT)
        assert (past.reservations_created, past.avg_task_acceptance_time) == (0, 0)
        assert past.wait_duration_until_accepted == {"avg": 0, "min": 0, "max": 0, "total": 0}
        assert set(past.split_by_wait_time) == {"5", "10"}
        assert isinstance(past.start_time, datetime) and past.end_time - past.start_time == timedelta(minutes=15)
        assert cumulative().fetch(minutes=60).split_by_wait_time is None
        combined = both().fetch(**SPLIT)
        assert combined.realtime["total_tasks"] == 0 and combined.cumulative["tasks_canceled"] == 0
        check_whole(combined.realtime)
        check_whole(combined.cumulative)


def test_what_happened_is_counted(workspace, worker, activities):
    task = workspace.tasks.create(priority=3)
    offer = worker.reservations.list()[0]
    worker.reservations(offer.sid).update(reservation_status="accepted")
    waiting = workspace.tasks.create()
    for real_time, cumulative, _ in subjects(workspace):
        now = real_time().fetch()
        assert (now.total_tasks, now.tasks_by_status["pending"], now.tasks_by_status["assigned"]) == (2, 1, 1)
        assert now.tasks_by_priority == {"0": 1, "3": 1}
        assert now.longest_task_waiting_sid == waiting.sid
        past = cumulative().fetch(**SPLIT)
        assert (past.reservations_created, past.reservations_accepted) == (1, 1)
        assert past.split_by_wait_time["10"]["below"]["reservations_accepted"] == 1
        assert cumulative().fetch(task_channel="voice").reservations_created == 0
    assert task.sid != waiting.sid
    queue = workspace.task_queues(workspace.task_queues.list()[0].sid).real_time_statistics().fetch()
    assert (queue.total_eligible_workers, queue.total_available_workers) == (1, 1)
    assert queue.longest_relative_task_sid_in_queue == waiting.sid
    workers = workspace.workers.real_time_statistics().fetch()
    assert workers.total_workers == 1
    assert {row["sid"]: row["workers"] for row in workers.activity_statistics}[activities.available] == 1
    past = workspace.workers.cumulative_statistics().fetch()
    assert past.reservations_accepted == 1 and len(past.activity_durations) == 3
    assert workspace.workers.statistics().fetch(task_queue_name="Sample Queue").realtime["total_workers"] == 1
    assert worker.statistics().fetch(minutes=5).cumulative["reservations_accepted"] == 1


def test_queues_are_listed_and_asked_for_in_bulk(workspace):
    for name in ("One", "Two", "Three"):
        workspace.task_queues.create(friendly_name=name)
    queues = [row.sid for row in workspace.task_queues.list()]
    rows = workspace.task_queues.statistics.list(page_size=2, **SPLIT)
    assert [row.task_queue_sid for row in rows] == queues
    assert [row.task_queue_sid for row in workspace.task_queues.statistics.list(friendly_name="Two")] == [queues[2]]
    # The library's own call fails before it sends anything, so the request is made by hand.
    url = f"{URL}/v1/Workspaces/{workspace.fetch().sid}/TaskQueues/RealTimeStatistics"
    answer = requests.post(url, json={"queueSids": queues}, auth=(ACCOUNT_SID, AUTH_TOKEN), timeout=10)
    assert answer.status_code == 200
    assert answer.json()["task_queue_response_count"] == len(queues)
    assert [row["task_queue_sid"] for row in answer.json()["task_queue_data"]] == queues


def test_windows_before_the_oldest_statistics_are_refused(workspace):
    long_ago = datetime.now(timezone.utc) - timedelta(days=31)
    fails(400, 14241, workspace.cumulative_statistics().fetch, start_date=long_ago)
    fails(400, 20001, workspace.cumulative_statistics().fetch, task_channel="fax")
