"""Capability tokens as the library makes them, in the requests of the first browser SDK (TaskRouter.js v1).

The SDK posts each request of REST to the channel of its token; what the token does not allow is refused with 403.
"""

import pytest
import requests
from conftest import ACCOUNT_SID, AUTH_TOKEN, URL, unique
from twilio.jwt.taskrouter.capabilities import (
    TaskQueueCapabilityToken,
    WorkerCapabilityToken,
    WorkspaceCapabilityToken,
)

# The library's shortcuts that are on unless they are switched off.
ON = ["allow_fetch_self"]
WORKER_ON = ON + ["allow_fetch_activities", "allow_fetch_reservations", "allow_fetch_worker_reservations"]


def ask(token, method, path, **params):
    """Status and payload of a request below the workspace."""
    answer = requests.post(
        f"{URL}/v1/wschannels/{ACCOUNT_SID}/{token.channel_id}",
        json={
            "url": f"https://taskrouter.twilio.com/v1/Workspaces/{token.workspace_sid}{path}",
            "method": method,
            "params": params,
            "token": token.to_jwt(),
            "event_type": "asked",
        },
        timeout=30,
    )
    body = answer.json()
    if answer.status_code == 200:
        assert body["event_type"] == "asked"
        return 200, body["payload"]
    assert body["message"] and body["code"]
    return answer.status_code, None


def allowed(token, requested):
    """Names of the requests that are not refused."""
    return [name for name, (method, path, params) in requested.items() if ask(token, method, path, **params)[0] != 403]


def check(make, on, requested, expected):
    """Each shortcut alone allows the requests that are listed with it and no other."""
    assert allowed(make(**dict.fromkeys(on, False)), requested) == []
    for shortcut, names in expected.items():
        switches = {**dict.fromkeys(on, False), shortcut: True}
        assert allowed(make(**switches), requested) == names, shortcut
        assert allowed(make(**switches, allow_web_sockets=False), requested) == [], shortcut


def test_worker_tokens(workspace, worker, activities):
    worker = worker.fetch()
    task = workspace.tasks.create(attributes="{}").sid
    (reservation,) = workspace.tasks(task).reservations.list()
    own = f"/Workers/{worker.sid}"
    requested = {
        "self": ("GET", own, {}),
        "activities": ("GET", "/Activities", {}),
        "task": ("GET", f"/Tasks/{task}", {}),
        "reservation of the task": ("GET", f"/Tasks/{task}/Reservations/{reservation.sid}", {}),
        "reservations": ("GET", f"{own}/Reservations", {"ReservationStatus": "pending"}),
        "reservation": ("GET", f"{own}/Reservations/{reservation.sid}", {}),
        "channels": ("GET", f"{own}/Channels", {}),
        "set activity": ("POST", own, {"ActivitySid": activities.available}),
        "set attributes": ("POST", own, {"Attributes": "{}"}),
        "set activity and attributes": ("POST", own, {"ActivitySid": activities.available, "Attributes": "{}"}),
        "set channel": ("POST", f"{own}/Channels/voice", {"Capacity": 1}),
        "set task": ("POST", f"/Tasks/{task}", {"Priority": 1}),
        "set reservation of the task": ("POST", f"/Tasks/{task}/Reservations/{reservation.sid}", {}),
        "set reservation": ("POST", f"{own}/Reservations/{reservation.sid}", {}),
        "make a task": ("POST", "/Tasks", {}),
        "queues": ("GET", "/TaskQueues", {}),
        "workspace": ("GET", "", {}),
    }

    def make(**switches):
        return WorkerCapabilityToken(ACCOUNT_SID, AUTH_TOKEN, worker.workspace_sid, worker.sid, **switches)

    changes = ["set activity", "set attributes", "set activity and attributes"]
    check(
        make,
        WORKER_ON,
        requested,
        {
            "allow_fetch_self": ["self"],
            "allow_fetch_activities": ["activities"],
            "allow_fetch_reservations": ["task", "reservation of the task"],
            "allow_fetch_worker_reservations": ["reservations", "reservation"],
            "allow_update_activities": ["set activity"],
            "allow_update_reservations": ["set task", "set reservation of the task", "set reservation"],
            "allow_update_self": changes,
            "allow_fetch_subresources": ["reservations", "reservation", "channels"],
            "allow_update_subresources": ["set channel", "set reservation"],
            "allow_delete_subresources": [],
        },
    )
    status, found = ask(make(), "GET", own)
    assert (status, found["sid"]) == (200, worker.sid)
    # As the last one: the worker goes.
    status, found = ask(make(allow_delete_self=True), "DELETE", own)
    assert (status, found) == (200, None)


def test_task_queue_tokens(workspace):
    queue = workspace.task_queues.create(friendly_name=unique("Sales"))
    own = f"/TaskQueues/{queue.sid}"
    requested = {
        "self": ("GET", own, {}),
        "statistics": ("GET", f"{own}/Statistics", {"Minutes": 15}),
        "queues": ("GET", "/TaskQueues", {}),
        "set self": ("POST", own, {"MaxReservedWorkers": 2}),
        "make": ("POST", "/TaskQueues", {"FriendlyName": unique("More")}),
        "tasks": ("GET", "/Tasks", {}),
    }

    def make(**switches):
        return TaskQueueCapabilityToken(ACCOUNT_SID, AUTH_TOKEN, queue.workspace_sid, queue.sid, **switches)

    check(
        make,
        ON,
        requested,
        {
            "allow_fetch_self": ["self"],
            "allow_update_self": ["set self"],
            "allow_fetch_subresources": ["statistics"],
            "allow_update_subresources": [],
        },
    )
    assert ask(make(), "DELETE", own)[0] == 403
    assert ask(make(allow_delete_self=True), "DELETE", own) == (200, None)


def test_workspace_tokens(workspace):
    sid = workspace.fetch().sid
    task = workspace.tasks.create(attributes="{}").sid
    requested = {
        "self": ("GET", "", {}),
        "self as the SDK asks for it": ("GET", "/", {}),
        "workers": ("GET", "/Workers", {"Available": True}),
        "set self": ("POST", "", {"FriendlyName": unique("Floor")}),
        "make a task": ("POST", "/Tasks", {"Attributes": {"lang": "de"}}),
        "token": ("POST", "/Tokens", {"Role": "admin"}),
        "delete what is not there": ("DELETE", "/Tasks/WT00000000000000000000000000000000", {}),
    }

    def make(**switches):
        return WorkspaceCapabilityToken(ACCOUNT_SID, AUTH_TOKEN, sid, **switches)

    check(
        make,
        ON,
        requested,
        {
            "allow_fetch_self": ["self", "self as the SDK asks for it"],
            "allow_update_self": ["set self"],
            "allow_fetch_subresources": ["workers"],
            "allow_update_subresources": ["make a task"],
            "allow_delete_subresources": ["delete what is not there"],
        },
    )
    assert ask(make(allow_delete_subresources=True), "DELETE", f"/Tasks/{task}") == (200, None)


@pytest.mark.parametrize("secret", ["another", "0" * 32])
def test_tokens_of_another_secret_are_refused(workspace, worker, secret):
    worker = worker.fetch()
    token = WorkerCapabilityToken(ACCOUNT_SID, secret, worker.workspace_sid, worker.sid)
    assert ask(token, "GET", f"/Workers/{worker.sid}")[0] == 403
