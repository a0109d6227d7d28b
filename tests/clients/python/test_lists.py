"""Pages, filters and orders of the lists."""

from datetime import datetime, timedelta, timezone

import pytest

from conftest import fails


def names(rows):
    return [row.friendly_name for row in rows]


@pytest.fixture
def workers(workspace):
    return [workspace.workers.create(friendly_name=f"w{number}") for number in range(5)]


def test_pages_follow_each_other_without_loss_while_rows_are_added(workspace, workers):
    page = workspace.workers.page(page_size=2)
    found, sizes = [], []
    while page is not None:
        rows = list(page)
        sizes.append(len(rows))
        found.extend(row.sid for row in rows)
        if len(sizes) == 1:
            workspace.workers.create(friendly_name="late")
        page = page.next_page()
    assert sizes == [2, 2, 2]
    assert found[:5] == [row.sid for row in workers] and len(set(found)) == 6


def test_a_list_takes_as_many_requests_as_pages(client, workspace, workers):
    sent = []
    request = client.http_client.request
    client.http_client.request = lambda method, url, *rest, **named: sent.append(url) or request(method, url, *rest, **named)
    try:
        assert len(workspace.workers.list(page_size=2)) == 5
    finally:
        client.http_client.request = request
    assert len(sent) == 3


def test_streams_and_limits(workspace, workers):
    assert names(workspace.workers.stream(page_size=2)) == [f"w{number}" for number in range(5)]
    assert names(workspace.workers.list(limit=3)) == ["w0", "w1", "w2"]
    assert len(workspace.workers.list(limit=100_000)) == 5
    assert names(workspace.workers.page(page_size=2).next_page().previous_page()) == ["w0", "w1"]
    fails(400, 20001, workspace.workers.page, page_size=0)


def test_pages_by_number_are_served_too(workspace, workers):
    assert names(workspace.workers.page(page_number=1, page_size=2)) == ["w2", "w3"]


def test_filters_of_workers(workspace, activities, workers):
    resource = workspace.workers(workers[1].sid)
    resource.update(activity_sid=activities.available, attributes='{"skills": ["billing"], "level": 3}')
    resource.worker_channels("chat").update(capacity=4)
    queue = workspace.task_queues.create(friendly_name="Billing", target_workers='skills HAS "billing"')
    found = lambda **filters: names(workspace.workers.list(**filters))
    for filters in (
        {"available": "true"},
        {"available": "1"},
        {"activity_name": "Available"},
        {"activity_sid": activities.available},
        {"friendly_name": "W1"},
        {"target_workers_expression": "level >= 3"},
        {"target_workers_expression": f"sid IN ['{workers[1].sid}']"},
        {"target_workers_expression": "worker.channel.chat.configured_capacity > 1"},
        {"target_workers_expression": "activity_name == 'Available'"},
        {"task_queue_sid": queue.sid},
        {"task_queue_name": "Billing"},
    ):
        assert found(**filters) == ["w1"], filters
    assert found(available="0") == found(available="maybe") == ["w0", "w2", "w3", "w4"]
    assert found(task_queue_name="Nobody") == found(activity_name="Nobody") == []
    assert found(ordering="DateStatusChanged:desc")[0] == "w1"
    assert found(ordering="DateStatusChanged:asc")[-1] == "w1"
    for wrong in (
        {"activity_sid": "WA1"},
        {"target_workers_expression": "level >"},
        {"ordering": "Name:asc"},
        {"task_queue_sid": f"WQ{'0' * 32}"},
    ):
        fails(400, 20001, workspace.workers.list, **wrong)


def test_filters_of_queues(workspace, workers):
    workspace.workers(workers[0].sid).update(attributes='{"skills": ["billing"]}')
    workspace.task_queues.create(friendly_name="Billing", target_workers='skills HAS "billing"')
    found = lambda **filters: names(workspace.task_queues.list(**filters))
    assert found() == ["Sample Queue", "Billing"]
    assert found(friendly_name="Billing") == ["Billing"]
    assert found(worker_sid=workers[0].sid) == ["Sample Queue", "Billing"]
    assert found(worker_sid=workers[1].sid) == ["Sample Queue"]
    assert found(evaluate_worker_attributes='{"skills": ["billing"]}') == ["Sample Queue", "Billing"]
    assert found(evaluate_worker_attributes="{}") == ["Sample Queue"]
    for wrong in ({"evaluate_worker_attributes": "skills"}, {"worker_sid": f"WK{'0' * 32}"}, {"ordering": "DateUpdated:up"}):
        fails(400, 20001, workspace.task_queues.list, **wrong)


def test_filters_and_orders_of_tasks(workspace, workers):
    queue = workspace.task_queues.create(friendly_name="Other")
    made = [
        workspace.tasks.create(priority=1, attributes='{"call_sid": "CA1", "conference": {"worker": "x"}}'),
        workspace.tasks.create(priority=5, attributes='{"call_sid": "CA2"}'),
        workspace.tasks.create(priority=3, routing_target=queue.sid),
    ]
    workspace.tasks(made[1].sid).update(assignment_status="canceled")
    sids = [task.sid for task in made]
    found = lambda **filters: [sids.index(row.sid) for row in workspace.tasks.list(**filters)]
    workflow = workspace.workflows.list()[0]
    for filters, expected in (
        ({}, [0, 1, 2]),
        ({"assignment_status": ["pending", "reserved"]}, [0, 2]),
        ({"assignment_status": "pending,Canceled"}, [0, 1, 2]),
        ({"assignment_status": ["canceled"]}, [1]),
        ({"priority": 3}, [2]),
        ({"workflow_sid": workflow.sid, "assignment_status": ["canceled"]}, [1]),
        ({"workflow_name": "Default Fifo Workflow", "priority": 1}, [0]),
        ({"task_queue_sid": queue.sid}, [2]),
        ({"task_queue_name": "Other"}, [2]),
        ({"task_queue_name": "Nobody"}, []),
        ({"routing_target": queue.sid}, [2]),
        ({"has_addons": True}, []),
        ({"has_addons": False}, [0, 1, 2]),
        ({"evaluate_task_attributes": "call_sid == 'CA1'"}, [0]),
        ({"evaluate_task_attributes": "call_sid = 'CA1' OR call_sid == \"CA2\""}, [0, 1]),
        ({"evaluate_task_attributes": "conference.worker == 'x'"}, [0]),
        ({"ordering": "Priority:desc"}, [1, 2, 0]),
        ({"ordering": "Priority:asc,DateCreated:desc"}, [0, 2, 1]),
        ({"ordering": "Priority:desc,DateCreated:asc", "assignment_status": ["pending"]}, [2, 0]),
        ({"ordering": "DateCreated:desc"}, [2, 1, 0]),
        ({"ordering": "VirtualStartTime:asc"}, [0, 1, 2]),
        ({"ordering": "Priority:desc", "page_size": 1}, [1, 2, 0]),
        ({"assignment_status": ["pending", "canceled"], "page_size": 1}, [0, 1, 2]),
        ({"evaluate_task_attributes": "call_sid != 'CA9'", "page_size": 1}, [0, 1, 2]),
    ):
        assert found(**filters) == expected, filters
    for wrong in (
        {"assignment_status": ["lost"]},
        {"priority": "high"},
        {"workflow_sid": "WW1"},
        {"ordering": "DateCreated:asc,VirtualStartTime:asc"},
        {"evaluate_task_attributes": "call_sid =="},
    ):
        fails(400, 20001, workspace.tasks.list, **wrong)


def test_filters_of_reservations(workspace, worker):
    task = workspace.tasks.create()
    of_task = workspace.tasks(task.sid).reservations
    sid = worker.fetch().sid
    assert len(of_task.list(worker_sid=sid)) == len(of_task.list(reservation_status="pending")) == 1
    assert of_task.list(worker_sid=f"WK{'0' * 32}") == of_task.list(reservation_status="accepted") == []
    assert worker.reservations.list(reservation_status="rejected") == []
    fails(400, 20001, worker.reservations.list, reservation_status="lost")


def test_filters_of_events(workspace, worker):
    task = workspace.tasks.create(task_channel="voice")
    queue, workflow = workspace.task_queues.list()[0], workspace.workflows.list()[0]
    reservation = workspace.tasks(task.sid).reservations.list()[0]
    now = datetime.now(timezone.utc)
    kinds = lambda **filters: [event.event_type for event in workspace.events.list(**filters)]
    everything = kinds()
    assert kinds(minutes=60) == kinds(start_date=now - timedelta(hours=1)) == everything
    assert kinds(start_date=now - timedelta(hours=1), end_date=now - timedelta(minutes=59)) == []
    assert kinds(event_type="task.created") == ["task.created"]
    assert kinds(reservation_sid=reservation.sid) == ["reservation.created"]
    assert "reservation.created" in kinds(worker_sid=worker.fetch().sid)
    for filters in ({"task_queue_sid": queue.sid}, {"workflow_sid": workflow.sid}, {"task_channel": "voice"}):
        assert "task-queue.entered" in kinds(**filters), filters
    assert kinds(task_channel="voice") == kinds(task_channel=task.task_channel_sid)
    one = workspace.events.list(task_sid=task.sid)[0]
    assert [event.sid for event in workspace.events.list(sid=one.sid)] == [one.sid]
    assert [event.event_type for event in workspace.events.stream(page_size=2)] == everything
    old = fails(400, 14241, workspace.events.list, start_date=now - timedelta(days=31))
    assert "30 days" in old.msg
    fails(400, 20001, workspace.events.list, task_sid="WT1")
