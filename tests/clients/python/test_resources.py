"""Each resource is made, read, changed, listed and removed, and has all of its fields."""

import json
from datetime import datetime, timezone

import pytest

from conftest import ACCOUNT_SID, fails, unique


def as_sent(row):
    """The row in the last answer, alone or in a list, before the library has filled in what is missing."""
    answer = json.loads(row._version.domain.twilio.http_client.answer.text)
    rows = answer[answer["meta"]["key"]] if "meta" in answer else [answer]
    sent, = (one for one in rows if one["sid"] == row.sid)
    return sent


def check_shape(row, prefix, *fields):
    """The SID, the owner, moments that were understood as such, and fields that are there, if only empty."""
    assert row.sid.startswith(prefix) and len(row.sid) == 34
    assert row.account_sid == ACCOUNT_SID
    for name in ("date_created", "date_updated"):
        moment = getattr(row, name)
        assert isinstance(moment, datetime) and moment.tzinfo == timezone.utc, (name, moment)
        assert abs((datetime.now(timezone.utc) - moment).total_seconds()) < 600
    assert row.url.endswith(row.sid)
    sent = as_sent(row)
    for name in fields:
        assert name in sent, name


def gone(resource):
    fails(404, 20404, resource.fetch)
    fails(404, 20404, resource.delete)


def test_workspaces(client):
    workspaces = client.taskrouter.v1.workspaces
    name = unique("Support")
    made = workspaces.create(friendly_name=name)
    check_shape(made, "WS", "event_callback_url", "events_filter")
    assert (made.default_activity_name, made.timeout_activity_name) == ("Offline", "Offline")
    assert (made.multi_task_enabled, made.prioritize_queue_order) == (True, "FIFO")
    assert (made.event_callback_url, made.events_filter) == ("", None)
    assert set(made.links) == {
        "activities", "statistics", "real_time_statistics", "cumulative_statistics", "task_queues", "tasks",
        "workers", "workflows", "task_channels", "events",
    }
    resource = workspaces(made.sid)
    assert resource.fetch().friendly_name == name
    assert {row.friendly_name: row.available for row in resource.activities.list()} == {
        "Offline": False, "Available": True, "Unavailable": False,
    }
    assert {row.unique_name for row in resource.task_channels.list()} == {"default", "voice", "chat", "sms", "video"}
    available = resource.activities.list(friendly_name="Available")[0]
    changed = resource.update(
        friendly_name=f"{name}!",
        event_callback_url="https://example.org/events",
        events_filter="task.created,task.completed",
        default_activity_sid=available.sid,
        timeout_activity_sid=available.sid,
        prioritize_queue_order="LIFO",
    )
    assert (changed.friendly_name, changed.prioritize_queue_order) == (f"{name}!", "LIFO")
    assert (changed.default_activity_sid, changed.timeout_activity_name) == (available.sid, "Available")
    assert changed.event_callback_url == "https://example.org/events"
    assert changed.events_filter == "task.created,task.completed"
    cleared = resource.update(event_callback_url="", events_filter="")
    assert (cleared.event_callback_url, cleared.events_filter) == ("", None)
    fails(400, 20001, resource.update, multi_task_enabled=False)
    assert [row.sid for row in workspaces.list(friendly_name=f"{name}!")] == [made.sid]
    assert workspaces.list(friendly_name=unique("Nobody")) == []
    assert resource.delete() is True
    gone(resource)


def test_a_workspace_from_a_template(client):
    made = client.taskrouter.v1.workspaces.create(friendly_name=unique("Template"), template="FIFO")
    resource = client.taskrouter.v1.workspaces(made.sid)
    queue, = resource.task_queues.list()
    workflow, = resource.workflows.list()
    assert (queue.friendly_name, queue.target_workers) == ("Sample Queue", "1==1")
    assert (workflow.friendly_name, workflow.task_reservation_timeout) == ("Default Fifo Workflow", 120)
    resource.delete()


def test_activities(workspace, activities):
    made = workspace.activities.create(friendly_name="Lunch")
    check_shape(made, "WA")
    assert (made.available, made.workspace_sid) == (False, workspace.fetch().sid)
    resource = workspace.activities(made.sid)
    assert resource.update(friendly_name="Break").friendly_name == "Break"
    assert [row.friendly_name for row in workspace.activities.list(available="true")] == ["Available"]
    assert {row.friendly_name for row in workspace.activities.list(available="0")} == {
        "Offline", "Unavailable", "Break",
    }
    busy = workspace.activities.create(friendly_name="Busy", available=True)
    assert busy.available is True
    fails(400, 20001, workspace.activities.create, friendly_name="Break")
    fails(400, 20001, workspace.activities(activities.offline).delete)
    assert resource.delete() is True
    gone(resource)


def test_task_channels(workspace):
    made = workspace.task_channels.create(friendly_name="Fax", unique_name="fax")
    check_shape(made, "TC")
    assert (made.unique_name, made.channel_optimized_routing) == ("fax", False)
    assert workspace.task_channels("voice").fetch().friendly_name == "Voice"
    changed = workspace.task_channels("fax").update(friendly_name="Facsimile", channel_optimized_routing=True)
    assert (changed.sid, changed.friendly_name, changed.channel_optimized_routing) == (made.sid, "Facsimile", True)
    assert workspace.task_channels(made.sid).fetch().unique_name == "fax"
    assert made.sid in [row.sid for row in workspace.task_channels.list()]
    fails(400, 20001, workspace.task_channels.create, friendly_name="Fax", unique_name="fax")
    fails(400, 20001, workspace.task_channels.create, friendly_name="Fax", unique_name="tele-fax")
    fails(400, 20001, workspace.task_channels("voice").delete)
    assert workspace.task_channels(made.sid).delete() is True
    gone(workspace.task_channels(made.sid))


def test_task_queues(workspace, activities):
    made = workspace.task_queues.create(friendly_name="Billing")
    check_shape(made, "WQ", "assignment_activity_sid", "reservation_activity_sid")
    assert (made.target_workers, made.task_order, made.max_reserved_workers) == ("1==1", "FIFO", 1)
    assert (made.assignment_activity_sid, made.reservation_activity_name) == (None, None)
    assert set(made.links) == {
        "workspace", "statistics", "real_time_statistics", "cumulative_statistics", "list_statistics",
        "bulk_real_time_statistics",
    }
    resource = workspace.task_queues(made.sid)
    changed = resource.update(
        friendly_name="Billing 2",
        target_workers='skills HAS "billing"',
        task_order="LIFO",
        max_reserved_workers=5,
        reservation_activity_sid=activities.unavailable,
        assignment_activity_sid=activities.offline,
    )
    assert (changed.target_workers, changed.task_order) == ('skills HAS "billing"', "LIFO")
    assert (changed.max_reserved_workers, changed.friendly_name) == (5, "Billing 2")
    assert (changed.reservation_activity_name, changed.assignment_activity_name) == ("Unavailable", "Offline")
    assert "reservation_activity" in changed.links
    duplicate = fails(400, 20001, workspace.task_queues.create, friendly_name="Billing 2")
    workspace_sid = workspace.fetch().sid
    assert f"Queue named Billing 2 already exists for workspace {workspace_sid} for account {ACCOUNT_SID}" in duplicate.msg
    fails(400, 20001, workspace.task_queues.create, friendly_name="X", target_workers="skill-level > 3")
    fails(400, 20001, workspace.task_queues.create, friendly_name="X", max_reserved_workers=51)
    nobody = workspace.task_queues.create(friendly_name="Nobody", target_workers="")
    assert nobody.target_workers == ""
    assert [row.friendly_name for row in workspace.task_queues.list(ordering="DateUpdated:desc")][0] in ("Nobody", "Billing 2")
    assert resource.delete() is True
    gone(resource)


def test_workflows(workspace):
    queue = workspace.task_queues.list()[0]
    configuration = json.dumps({"task_routing": {"filters": [], "default_filter": {"queue": queue.sid}}})
    made = workspace.workflows.create(friendly_name="Inbound", configuration=configuration)
    check_shape(made, "WW", "assignment_callback_url", "fallback_assignment_callback_url")
    assert (made.configuration, made.document_content_type) == (configuration, "application/json")
    assert (made.task_reservation_timeout, made.assignment_callback_url) == (120, None)
    resource = workspace.workflows(made.sid)
    changed = resource.update(
        friendly_name="Inbound 2",
        assignment_callback_url="https://example.org/assign",
        fallback_assignment_callback_url="https://example.org/fallback",
        task_reservation_timeout=30,
        re_evaluate_tasks="true",
    )
    assert (changed.friendly_name, changed.task_reservation_timeout) == ("Inbound 2", 30)
    assert changed.assignment_callback_url == "https://example.org/assign"
    assert resource.update(assignment_callback_url="").assignment_callback_url is None
    fails(400, 20001, workspace.workflows.create, friendly_name="X", configuration="{")
    unknown = configuration.replace(queue.sid, f"WQ{'0' * 32}")
    fails(400, 20001, workspace.workflows.create, friendly_name="X", configuration=unknown)
    fails(400, 20001, resource.update, task_reservation_timeout=86_401)
    assert [row.sid for row in workspace.workflows.list(friendly_name="Inbound 2")] == [made.sid]
    fails(400, 20001, workspace.task_queues(queue.sid).delete)
    assert resource.delete() is True
    gone(resource)


def test_workers(workspace, activities):
    made = workspace.workers.create(friendly_name="Dana", attributes='{"skills": ["billing"]}')
    check_shape(made, "WK")
    assert (made.activity_name, made.available) == ("Offline", False)
    assert made.attributes == '{"skills": ["billing"]}'
    assert isinstance(made.date_status_changed, datetime)
    assert set(made.links) >= {"activity", "channels", "reservations", "worker_statistics", "workspace"}
    plain = workspace.workers.create(friendly_name="Eli")
    assert plain.attributes == "{}"
    resource = workspace.workers(made.sid)
    changed = resource.update(friendly_name="Dana 2", attributes='{"a": 1}', activity_sid=activities.available)
    assert (changed.friendly_name, changed.attributes, changed.available) == ("Dana 2", '{"a": 1}', True)
    duplicate = fails(400, 20001, workspace.workers.create, friendly_name="dana 2")
    assert "Worker with the same friendly name already exists" in duplicate.msg
    fails(400, 20001, workspace.workers.create, friendly_name="X", attributes="[]")
    fails(400, 20001, workspace.workers.create, friendly_name="X" * 65)
    unavailable = fails(
        400, 20001, resource.update, activity_sid=activities.available, reject_pending_reservations=True
    )
    assert "Unable to reject pending reservations" in unavailable.msg
    assert {row.sid for row in workspace.workers.list()} == {made.sid, plain.sid}
    assert resource.delete() is True
    gone(resource)


def test_worker_channels(workspace, worker):
    channels = worker.worker_channels.list()
    assert {row.task_channel_unique_name for row in channels} == {"default", "voice", "chat", "sms", "video"}
    voice = worker.worker_channels("voice").fetch()
    check_shape(voice, "WC")
    assert (voice.configured_capacity, voice.available, voice.assigned_tasks) == (1, True, 0)
    assert voice.available_capacity_percentage == 100
    changed = worker.worker_channels("voice").update(capacity=3, available=False)
    assert (changed.configured_capacity, changed.available) == (3, False)
    for name in (voice.sid, voice.task_channel_sid):
        assert worker.worker_channels(name).fetch().configured_capacity == 3
    fails(400, 20001, worker.worker_channels("voice").update, capacity=51)
    fails(404, 20404, worker.worker_channels("fax").fetch)


def test_tasks(workspace):
    made = workspace.tasks.create()
    check_shape(made, "WT", "reason", "routing_target")
    assert (made.assignment_status, made.priority, made.timeout) == ("pending", 0, 86_400)
    assert (made.attributes, made.addons, made.task_channel_unique_name) == ("{}", "{}", "default")
    assert made.age in (0, 1) and made.ignore_capacity is False
    assert isinstance(made.virtual_start_time, datetime)
    assert made.workflow_friendly_name == "Default Fifo Workflow"
    resource = workspace.tasks(made.sid)
    assert isinstance(resource.fetch().task_queue_entered_date, datetime)
    changed = resource.update(attributes='{"lang": "de"}', priority=7, task_channel="voice")
    assert (changed.attributes, changed.priority, changed.task_channel_unique_name) == ('{"lang": "de"}', 7, "voice")
    canceled = resource.update(assignment_status="canceled", reason="gave up")
    assert (canceled.assignment_status, canceled.reason) == ("canceled", "gave up")
    again = fails(400, 20001, resource.update, assignment_status="canceled")
    assert "because it is not pending or reserved." in again.msg
    assert "because it is not currently assigned." in fails(400, 20001, resource.update, assignment_status="completed").msg
    assert "because it's not currently assigned" in fails(400, 20001, resource.update, assignment_status="wrapping").msg
    assert [row.sid for row in workspace.tasks.list()] == [made.sid]
    assert resource.delete() is True
    gone(resource)


def test_a_task_with_everything(workspace, worker):
    start = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    made = workspace.tasks.create(
        attributes='{"a": 1}', workflow_sid=workspace.workflows.list()[0].sid, timeout=60, priority=5,
        task_channel="chat", virtual_start_time=start,
    )
    assert (made.timeout, made.priority, made.task_channel_unique_name) == (60, 5, "chat")
    assert made.virtual_start_time == start
    targeted = workspace.tasks.create(routing_target=worker.fetch().sid)
    assert (targeted.routing_target, targeted.ignore_capacity) == (worker.fetch().sid, True)
    future = fails(400, 20001, workspace.tasks.create, virtual_start_time=datetime(2999, 1, 1, tzinfo=timezone.utc))
    assert "future" in future.msg
    for wrong in ({"priority": -1}, {"timeout": 0}, {"timeout": 1_209_601}, {"attributes": "x"}, {"task_channel": "fax"}):
        fails(400, 20001, workspace.tasks.create, **wrong)
    malformed = fails(400, 20001, workspace.tasks.create, routing_target="WK1")
    assert "as RoutingTarget has an invalid format." in malformed.msg


def test_reservations(workspace, worker):
    task = workspace.tasks.create()
    by_task, = workspace.tasks(task.sid).reservations.list()
    check_shape(by_task, "WR")
    assert (by_task.reservation_status, by_task.task_sid) == ("pending", task.sid)
    assert by_task.worker_sid == worker.fetch().sid
    by_worker, = worker.reservations.list(reservation_status="pending")
    assert by_worker.sid == by_task.sid and "/Workers/" in by_worker.url and "/Tasks/" in by_task.url
    resource = workspace.tasks(task.sid).reservations(by_task.sid)
    assert resource.fetch().worker_name == by_worker.worker_name
    assert resource.update().reservation_status == "pending"
    assert worker.reservations(by_task.sid).update(reservation_status="accepted").reservation_status == "accepted"
    again = fails(400, 20001, resource.update, reservation_status="accepted")
    assert f"Reservation {by_task.sid} is already in state [accepted] and cannot be updated to [accepted]" in again.msg
    late = fails(400, 20001, resource.update, instruction="conference")
    assert f"Unable to execute Conference instruction. Reservation {by_task.sid} is not currently in a Pending state." in late.msg
    other = workspace.tasks.create()
    fails(404, 20404, workspace.tasks(other.sid).reservations(by_task.sid).fetch)


def test_events(workspace, worker):
    task = workspace.tasks.create()
    events = workspace.events.list(task_sid=task.sid)
    assert [event.event_type for event in events][:2] == ["task.created", "workflow.entered"]
    assert events[-1].event_type == "reservation.created"
    first = workspace.events(events[0].sid).fetch()
    assert (first.sid, first.resource_type, first.resource_sid) == (events[0].sid, "task", task.sid)
    assert isinstance(first.event_date, datetime) and first.event_data["task_attributes"] == "{}"
    fails(404, 20404, workspace.events(f"EV{'0' * 32}").fetch)


@pytest.mark.parametrize("collection", ["activities", "task_channels", "task_queues", "workflows", "workers"])
def test_what_needs_a_name_says_so(workspace, collection):
    parameters = {"task_channels": {"unique_name": "x"}, "workflows": {"configuration": "{}"}}.get(collection, {})
    error = fails(400, 20001, getattr(workspace, collection).create, friendly_name="", **parameters)
    assert "FriendlyName field is required" in error.msg
