"""Errors as the library raises them, and versions that guard against lost updates."""

import pytest
import requests

from conftest import ACCOUNT_SID, AUTH_TOKEN, URL, connect, fails

NOBODY = "0" * 32


def test_unknown_and_malformed_sids_are_not_found(client, workspace):
    workspaces = client.taskrouter.v1.workspaces
    error = fails(404, 20404, workspaces(f"WS{NOBODY}").fetch)
    assert f"The requested resource /Workspaces/WS{NOBODY} was not found" in error.msg
    fails(404, 20404, workspaces("WS1").fetch)
    for missing in (
        workspace.activities(f"WA{NOBODY}"), workspace.task_queues(f"WQ{NOBODY}"), workspace.workers(f"WK{NOBODY}"),
        workspace.workflows(f"WW{NOBODY}"), workspace.tasks(f"WT{NOBODY}"), workspace.task_channels(f"TC{NOBODY}"),
        workspace.tasks(f"WK{NOBODY}"),
    ):
        fails(404, 20404, missing.fetch)
        fails(404, 20404, missing.update)
        fails(404, 20404, missing.delete)
    fails(404, 20404, workspace.tasks(f"WT{NOBODY}").reservations.list)
    fails(404, 20404, workspace.workers(f"WK{NOBODY}").worker_channels.list)


def test_wrong_credentials_are_refused():
    for stranger in (connect(password="wrong"), connect(user=f"AC{NOBODY}")):
        error = fails(401, 20003, stranger.taskrouter.v1.workspaces.list)
        assert "Authenticate" in error.msg


def test_tasks_are_guarded_by_their_version(workspace):
    task = workspace.tasks.create()
    resource = workspace.tasks(task.sid)
    tag = version_of(workspace, f"Tasks/{task.sid}")
    assert resource.update(priority=1, if_match=tag).priority == 1
    fails(412, 20412, resource.update, priority=2, if_match=tag)
    assert delete_if(workspace, f"Tasks/{task.sid}", tag) == (412, 20412)
    assert resource.fetch().priority == 1
    tag = version_of(workspace, f"Tasks/{task.sid}")
    for form in (tag.strip('"'), f"W/{tag}", "*"):
        assert resource.update(priority=1, if_match=form).priority == 1
    assert version_of(workspace, f"Tasks/{task.sid}") == tag
    assert delete_if(workspace, f"Tasks/{task.sid}", tag) == (204, None)


def test_workers_are_guarded_by_their_version(workspace, worker):
    sid = worker.fetch().sid
    tag = version_of(workspace, f"Workers/{sid}")
    assert worker.update(attributes='{"a": 1}', if_match=tag).attributes == '{"a": 1}'
    fails(412, 20412, worker.update, attributes="{}", if_match=tag)
    assert delete_if(workspace, f"Workers/{sid}", tag) == (412, 20412)
    assert delete_if(workspace, f"Workers/{sid}", version_of(workspace, f"Workers/{sid}")) == (204, None)


def test_reservations_are_guarded_by_their_version(workspace, worker):
    task = workspace.tasks.create()
    reservation = workspace.tasks(task.sid).reservations.list()[0]
    resource = workspace.tasks(task.sid).reservations(reservation.sid)
    tag = version_of(workspace, f"Tasks/{task.sid}/Reservations/{reservation.sid}")
    fails(412, 20412, resource.update, reservation_status="accepted", if_match='"99"')
    fails(412, 20412, worker.reservations(reservation.sid).update, reservation_status="accepted", if_match='"99"')
    assert resource.update(reservation_status="accepted", if_match=tag).reservation_status == "accepted"
    fails(412, 20412, resource.update, reservation_status="completed", if_match=tag)


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("dequeue", "the task has no call_sid"),
        ("call", "CallFrom"),
        ("redirect", "RedirectCallSid"),
        ("supervise", "Supervisor"),
        ("fly", "fly"),
    ],
)
def test_instructions_that_cannot_be_carried_out_say_so(workspace, worker, instruction, reason):
    task = workspace.tasks.create()
    reservation = workspace.tasks(task.sid).reservations.list()[0]
    error = fails(400, 20001, workspace.tasks(task.sid).reservations(reservation.sid).update, instruction=instruction)
    assert reason in error.msg
    assert worker.reservations(reservation.sid).fetch().reservation_status == "pending"


def version_of(workspace, path):
    """The library hides headers; the tag is read from a plain request."""
    url = f"{URL}/v1/Workspaces/{workspace.fetch().sid}/{path}"
    answer = requests.get(url, auth=(ACCOUNT_SID, AUTH_TOKEN), timeout=10)
    assert answer.status_code == 200 and answer.headers["ETag"].startswith('"')
    return answer.headers["ETag"]


def delete_if(workspace, path, tag):
    """This release of the library drops `if_match` of a deletion, so that is a plain request too."""
    url = f"{URL}/v1/Workspaces/{workspace.fetch().sid}/{path}"
    answer = requests.delete(url, auth=(ACCOUNT_SID, AUTH_TOKEN), headers={"If-Match": tag}, timeout=10)
    return answer.status_code, answer.json()["code"] if answer.content else None
