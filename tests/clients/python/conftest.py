"""What all tests share: a client of the running server and workspaces that are removed again.

The address and the account come from SWITCHHOOK_URL, SWITCHHOOK_ACCOUNT_SID and SWITCHHOOK_AUTH_TOKEN; `run.sh` sets
them. Nothing here talks to any other server.
"""

import itertools
import json
import os
from types import SimpleNamespace

import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

URL = os.environ["SWITCHHOOK_URL"]
ACCOUNT_SID = os.environ["SWITCHHOOK_ACCOUNT_SID"]
AUTH_TOKEN = os.environ["SWITCHHOOK_AUTH_TOKEN"]

_numbers = itertools.count(1)


class Listening(TwilioHttpClient):
    """Keeps the last answer as it came: the library fills in fields that are missing."""

    def request(self, *arguments, **parameters):
        self.answer = super().request(*arguments, **parameters)
        return self.answer


def connect(user=ACCOUNT_SID, password=AUTH_TOKEN, account_sid=None):
    """A client whose requests go to the server under test."""
    client = Client(user, password, account_sid, http_client=Listening())
    client.taskrouter.base_url = URL
    client.api.base_url = URL
    return client


class Refused(SimpleNamespace):
    """Status, code and message of an error."""


def fails(status, code, call, *arguments, **parameters):
    """Calls and returns the error, which must have this status and code.

    The library raises errors of lists as another class, with the answer as it came.
    """
    with pytest.raises(TwilioException) as caught:
        call(*arguments, **parameters)
    error = caught.value
    if isinstance(error, TwilioRestException):
        refused = Refused(status=error.status, code=error.code, msg=error.msg)
    else:
        answer = error.args[1]
        body = json.loads(answer.text)
        refused = Refused(status=answer.status_code, code=body["code"], msg=body["message"])
    assert (refused.status, refused.code) == (status, code), refused.msg
    return refused


def unique(name):
    """A name that no other test uses."""
    return f"{name} {next(_numbers)}"


@pytest.fixture(scope="session")
def client():
    return connect()


@pytest.fixture
def workspace(client):
    """A workspace with a queue and a workflow that every worker serves."""
    made = client.taskrouter.v1.workspaces.create(friendly_name=unique("Floor"), template="FIFO")
    yield client.taskrouter.v1.workspaces(made.sid)
    client.taskrouter.v1.workspaces(made.sid).delete()


@pytest.fixture
def activities(workspace):
    """SIDs of the built-in activities: `offline`, `available`, `unavailable`."""
    return SimpleNamespace(**{row.friendly_name.lower(): row.sid for row in workspace.activities.list()})


@pytest.fixture
def worker(workspace, activities):
    """A worker who may be reserved."""
    made = workspace.workers.create(friendly_name=unique("dana"), activity_sid=activities.available)
    return workspace.workers(made.sid)
