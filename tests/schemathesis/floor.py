"""What the tests find on the server: a workspace for each kind of use, and fresh things to delete or to answer.

Made through the API, as an application would. Start with `Floor`.
"""

import json
import threading

import requests

FORM_SIDS = {
    "ActivitySid": "activity",
    "DefaultActivitySid": "activity",
    "TimeoutActivitySid": "activity",
    "ReservationActivitySid": "activity",
    "AssignmentActivitySid": "activity",
    "WorkerActivitySid": "activity",
    "WorkflowSid": "workflow",
    "VoicemailWorkflowSid": "workflow",
    "CalendarSid": "calendar",
    "TaskQueueSid": "task_queue",
    "WorkerSid": "worker",
    "TaskSid": "task",
    "ReservationSid": "reservation",
}

# What is made anew to be deleted, and of what.
FRESH = {
    "Workspaces": {"FriendlyName": "{name}"},
    "Activities": {"FriendlyName": "{name}"},
    "TaskChannels": {"FriendlyName": "{name}", "UniqueName": "{name}"},
    "TaskQueues": {"FriendlyName": "{name}"},
    "Workflows": {"FriendlyName": "{name}", "Configuration": "{configuration}"},
    "Workers": {"FriendlyName": "{name}"},
    "Tasks": {"WorkflowSid": "{workflow}"},
    "Calendars": {"FriendlyName": "{name}", "TimeZone": "UTC"},
    "EntryPoints": {"FriendlyName": "{name}", "WorkflowSid": "{workflow}"},
    "Keys": {},
}

# Requests after which everything is made anew.
USES = 60


class Floor:
    """A workspace with one of each resource, and another one where offers are made and answered."""

    def __init__(self, base, account, token):
        self.base = base
        self.session = requests.Session()
        self.session.auth = (account, token)
        self.keys = f"{base}/2010-04-01/Accounts/{account}/Keys.json"
        self.account = account
        self.lock = threading.Lock()
        self.number = 0
        self.one, self.offers, self.used = {}, {}, 0
        self.renew()

    def renew(self):
        """Makes everything anew: generated requests also rename, change and delete what they find in answers."""
        self.one = self.furnish("Playground") | {
            "account": self.account, "key": self.key(), "alert": self.alert(),
        }
        self.offers = self.furnish("Offers")
        workspace = self.offers["workspace"]
        worker = self.make(workspace, "Workers", FriendlyName="eli", ActivitySid=self.offers["available"])["sid"]
        for channel in ("default", "voice"):
            self.post(f"/Workspaces/{workspace}/Workers/{worker}/Channels/{channel}", Capacity=50)
        self.used = 0

    def key(self):
        answer = self.session.post(self.keys, data={"FriendlyName": "Desk"})
        answer.raise_for_status()
        return answer.json()["sid"]

    def alert(self):
        """A line of the alert log: of a page that was asked for by its number alone."""
        self.session.get(f"{self.base}/v1/Workspaces?Page=1").raise_for_status()
        answer = self.session.get(f"{self.base}/v1/Alerts?PageSize=1")
        answer.raise_for_status()
        return answer.json()["alerts"][0]["sid"]

    def use(self):
        """Counts a use; after so many everything is made anew."""
        self.used += 1
        if self.used >= USES:
            self.renew()

    def furnish(self, name):
        """One of each resource, by kind."""
        workspace = self.post("/Workspaces", FriendlyName=name, EventsFilter="")["sid"]
        activities = {row["friendly_name"]: row["sid"] for row in self.list(workspace, "Activities", "activities")}
        queue = self.make(workspace, "TaskQueues", FriendlyName="Everybody", TargetWorkers="1==1")["sid"]
        configuration = json.dumps({"task_routing": {"filters": [], "default_filter": {"queue": queue}}})
        workflow = self.make(workspace, "Workflows", FriendlyName="Inbound", Configuration=configuration)["sid"]
        worker = self.make(workspace, "Workers", FriendlyName="dana", Attributes='{"skills":["billing"]}')["sid"]
        task = self.make(workspace, "Tasks", Attributes='{"language":"de"}')["sid"]
        channel = self.make(workspace, "TaskChannels", FriendlyName="Letters", UniqueName="letters")["sid"]
        calendar = self.make(workspace, "Calendars", FriendlyName="Office", TimeZone="UTC")["sid"]
        entry_point = self.make(workspace, "EntryPoints", FriendlyName="Sales", WorkflowSid=workflow)["sid"]
        worker_channel = self.list(workspace, f"Workers/{worker}/Channels", "channels")[0]["sid"]
        event = self.list(workspace, "Events", "events")[0]["sid"]
        return {
            "workspace": workspace, "activity": activities["Unavailable"], "available": activities["Available"],
            "task_queue": queue, "workflow": workflow, "worker": worker, "task": task, "task_channel": channel,
            "worker_channel": worker_channel, "event": event, "configuration": configuration,
            "calendar": calendar, "entry_point": entry_point,
        }

    def offer(self, by_call=False):
        """A pending reservation, of a call or of another task."""
        offer = self.try_offer(by_call)
        if offer is None:
            # The worker is full, or is not what it was.
            self.renew()
            offer = self.try_offer(by_call)
        if offer is None:
            raise RuntimeError("an available worker gets no reservation")
        return offer

    def try_offer(self, by_call):
        workspace = self.offers["workspace"]
        if by_call:
            name = f"CA_{self.name()}"
            form = {"CallSid": name, "From": "+15550100", "To": "+15550199", "CallStatus": "in-progress"}
            answer = self.session.post(f"{self.base}/voice/enqueue/{self.offers['workflow']}", data=form)
            answer.raise_for_status()
            query = {"EvaluateTaskAttributes": f"call_sid=='{name}'"}
            tasks = self.find(workspace, "Tasks", "tasks", query)
        else:
            answer = self.session.post(f"{self.base}/v1/Workspaces/{workspace}/Tasks", data={"Timeout": 600})
            tasks = [answer.json()] if answer.ok else []
        for task in tasks[:1]:
            rows = self.find(workspace, f"Tasks/{task['sid']}/Reservations", "reservations")
            return rows[0] if rows else None
        return None

    def accepted(self):
        """An accepted reservation."""
        offer = self.offer()
        self.session.post(offer["url"], data={"ReservationStatus": "accepted"}).raise_for_status()
        return offer

    def transfer(self, offer):
        """A transfer of its task that is not over."""
        form = {"TaskSid": offer["task_sid"], "ReservationSid": offer["sid"], "To": self.offers["task_queue"]}
        path = f"/v1/Workspaces/{offer['workspace_sid']}/Workers/{offer['worker_sid']}/Transfers"
        answer = self.session.post(self.base + path, data=form)
        answer.raise_for_status()
        return answer.json()["sid"]

    def fresh(self, kind):
        """Something that nobody else uses, to be deleted."""
        if kind == "Keys":
            return self.key()
        name = self.name()
        form = {field: value.format(name=name, **self.one) for field, value in FRESH[kind].items()}
        path = "/Workspaces" if kind == "Workspaces" else f"/Workspaces/{self.one['workspace']}/{kind}"
        answer = self.session.post(self.base + "/v1" + path, data=form)
        if answer.ok:
            return answer.json()["sid"]
        # The workspace is full, or is not what it was.
        self.renew()
        return self.fresh(kind)

    def name(self):
        with self.lock:
            self.number += 1
            return f"fresh_{self.number}"

    def post(self, path, **form):
        answer = self.session.post(self.base + "/v1" + path, data=form)
        if not answer.ok:
            raise RuntimeError(f"POST {path} {form}: {answer.status_code} {answer.text}")
        return answer.json()

    def make(self, workspace, collection, **form):
        return self.post(f"/Workspaces/{workspace}/{collection}", **form)

    def list(self, workspace, collection, key):
        answer = self.session.get(f"{self.base}/v1/Workspaces/{workspace}/{collection}")
        answer.raise_for_status()
        return answer.json()[key]

    def find(self, workspace, collection, key, query=None):
        """The same; nothing when the workspace is gone."""
        answer = self.session.get(f"{self.base}/v1/Workspaces/{workspace}/{collection}", params=query)
        return answer.json()[key] if answer.ok else []
