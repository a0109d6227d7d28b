"""What the generated requests are made of, and the few places where the server differs from the checks on purpose.

Each difference has its row in docs/compatibility.md. Start with `invalid_data_is_rejected` and
`valid_data_is_accepted`, which take the place of the built-in checks of that meaning.
"""

import datetime
import json
import os
import random
import re
import sys
from urllib.parse import parse_qs, urlparse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import schemathesis  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from schemathesis.core.failures import Failure  # noqa: E402
from schemathesis.core.parameters import ParameterLocation  # noqa: E402
from schemathesis.specs.openapi.checks import negative_data_rejection  # noqa: E402

from floor import FORM_SIDS, FRESH, Floor  # noqa: E402

FLOOR = Floor(os.environ["SERVER"], os.environ["ACCOUNT_SID"], os.environ["AUTH_TOKEN"])
CHOICE = random.Random(int(os.environ["SEED"]))

# Texts of forms that the description names and JSON Schema does not know.

NAMES = st.sampled_from(["language", "level", "skills", "caller.city"])
VALUES = st.one_of(st.integers(-9, 9).map(str), st.text("abcä ", max_size=5).map(lambda text: json.dumps(text)))
COMPARISONS = st.builds(
    lambda name, operator, value: f"{name} {operator} {value}",
    NAMES, st.sampled_from(["==", "!=", ">", "<", ">=", "<=", "CONTAINS", "HAS"]), VALUES,
)
EXPRESSIONS = st.recursive(
    COMPARISONS, lambda inner: st.builds(lambda a, word, b: f"({a}) {word} {b}", inner, st.sampled_from(["AND", "OR"]), inner),
    max_leaves=6,
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=4).map(json.dumps)
# Statistics and events reach back 30 days; a task cannot begin in the future.
MOMENTS = st.integers(60, 29 * 86_400).map(
    lambda ago: (datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
)


def configuration(parts):
    queue = FLOOR.one["task_queue"]
    filters = [{"expression": expression, "targets": [{"queue": queue}]} for expression in parts]
    return json.dumps({"task_routing": {"filters": filters, "default_filter": {"queue": queue}}})


schemathesis.openapi.format("taskrouter-expression", EXPRESSIONS)
schemathesis.openapi.format("json-object", OBJECTS)
schemathesis.openapi.format("date-time", MOMENTS)
schemathesis.openapi.format("workflow-configuration", st.lists(EXPRESSIONS, max_size=3).map(configuration))
schemathesis.openapi.format("task-channel", st.sampled_from(["voice", "chat", "sms", "video", "default"]))
schemathesis.openapi.format(
    "web-url", st.sampled_from(["http://127.0.0.1:9/a", "https://example.org/?b=1", "HTTPS://EXAMPLE.ORG"])
)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """The contract demands a URI where its own examples have an empty text, and so has the server."""
    FIXED.update(segment for path in raw_schema["paths"] for segment in path.split("/") if "{" not in segment)
    workspace = raw_schema["components"]["schemas"].get("taskrouter.v1.workspace")
    if workspace is not None:
        del workspace["properties"]["event_callback_url"]["format"]


# Real resources in place of invented ones.

# Names of paths, which stand where a SID may: what follows from such a request is none of the operation with the SID.
FIXED = set()

PATH_SIDS = {
    "WorkspaceSid": "workspace", "TaskQueueSid": "task_queue", "WorkflowSid": "workflow", "WorkerSid": "worker",
    "TaskSid": "task", "AccountSid": "account",
}
COLLECTIONS = {
    "Workspaces": "workspace", "Activities": "activity", "TaskChannels": "task_channel", "TaskQueues": "task_queue", "Workflows": "workflow",
    "Workers": "worker", "Channels": "worker_channel", "Tasks": "task", "Events": "event",
    "Keys": "key", "Transfers": "transfer", "Alerts": "alert", "Calendars": "calendar", "EntryPoints": "entry_point",
}
API = ("/v1/", "/2010-04-01/")
SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")
WORD = re.compile(r"[A-Za-z0-9_$]+")


def is_json(text):
    try:
        return isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False


@schemathesis.hook
def before_call(context, case, kwargs):
    """Three of four requests meet a resource that exists; deletions get one of their own."""
    if (case.path_parameters or {}).get("Sid") in FIXED:
        case.path_parameters["Sid"] = "ZZ" + "0" * 32
    if case.meta is None or case.meta.phase.name.value == "stateful" or not case.path.startswith(API):
        return
    for name, value in (case.query or {}).items():
        # A request line beyond 16 KiB never gets as far as an operation.
        if isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) * 3 > 14_000 and not value.isascii():
            case.query[name] = value[:400]
    names = case.path_parameters or {}
    if case.meta.is_negative_at(ParameterLocation.PATH):
        return
    if not all(isinstance(value, str) and value for value in names.values()) or CHOICE.random() < 0.25:
        return
    if any(not WORD.fullmatch(value) if name == "Sid" else not SID.fullmatch(value) for name, value in names.items()):
        return
    FLOOR.use()
    if "Transfers" in case.path:
        offer = FLOOR.accepted()
        real = {"WorkspaceSid": offer["workspace_sid"], "WorkerSid": offer["worker_sid"]}
        if "Sid" in names:
            real["Sid"] = FLOOR.transfer(offer)
        if isinstance(case.body, dict):
            known = {"TaskSid": offer["task_sid"], "ReservationSid": offer["sid"], "To": FLOOR.offers["task_queue"]}
            for name, sid in known.items():
                if isinstance(case.body.get(name), str) and SID.fullmatch(case.body[name]):
                    case.body[name] = sid
    elif "/Participants" in case.path or case.path.endswith("/Tasks/{TaskSid}/Conference"):
        offer = FLOOR.offer(by_call=True)
        real = {"WorkspaceSid": offer["workspace_sid"], "TaskSid": offer["task_sid"], "Sid": "customer"}
    elif "Reservations" in case.path and "Sid" in names:
        offer = FLOOR.offer(by_call=case.path.endswith("/Conference"))
        real = {"WorkspaceSid": offer["workspace_sid"], "TaskSid": offer["task_sid"],
                "WorkerSid": offer["worker_sid"], "Sid": offer["sid"]}
    else:
        real = {name: FLOOR.one[kind] for name, kind in PATH_SIDS.items()}
        if "Sid" in names:
            collection = case.path.split("/{Sid}")[0].split("/")[-1]
            kind = COLLECTIONS[collection]
            deleted = case.method == "DELETE" and collection in FRESH
            real["Sid"] = FLOOR.fresh(collection) if deleted else FLOOR.one[kind]
    for name in names:
        if name in real:
            case.path_parameters[name] = real[name]
    if isinstance(case.body, dict):
        # The contract does not say that these texts are JSON.
        for name, text in {"Attributes": "{}", "Configuration": FLOOR.one["configuration"]}.items():
            if name in case.body and case.meta.generation.mode.is_positive and not is_json(case.body[name]):
                case.body[name] = text
    for values in (case.query, case.body):
        if isinstance(values, dict):
            for name, kind in FORM_SIDS.items():
                value = values.get(name)
                if isinstance(value, str) and SID.fullmatch(value) and kind in FLOOR.one and CHOICE.random() < 0.75:
                    values[name] = FLOOR.one[kind]


# Refusals of requests whose every value is well formed, because of what they refer to or of the present state.

OF_STATE = [
    re.compile(pattern)
    for pattern in [
        r" does not exist in this workspace$",
        r" is not a (worker|task queue|task channel) of this workspace$",
        r" already exists",
        r"^Cannot (delete|cancel|wrap up|complete|transfer) ",
        r"^A task cannot be set to ",
        r"^Reservation WR\S+ is already in state ",
        r"^Transfer TT\S+ is already ",
        r"^Unable to execute \w+ instruction\. ",
        r"^Unable to reject pending reservations ",
        r"^No filter of the workflow matches ",
        r"^PostWorkActivitySid is not allowed ",
        r"^MultiTaskEnabled cannot be set to false ",
        r"^WorkflowSid field is required$",
        r"^Invalid PageToken\.$",
        r"^Invalid Instant: is before DateCreated$",
        r"^Invalid VirtualStartTime: cannot be in the future$",
        # The agents' socket: its token is a parameter of the query because browsers cannot send headers with it.
        r"^token field is required$",
        r"^Expected a WebSocket: ",
        r"^Invalid StartDate: expected a moment before EndDate$",
        r"^StartDate is older than 30 days$",
        # JSON Schema knows no expressions.
        r"^Invalid \w+: token recognition error at: ",
        r"^the workspace has no EventCallbackUrl ",
        r" does not exist in this account$",
        r"^The account has no API key ",
        r"^At most [0-9]+ ",
        r"^Invalid TaskChannel: can be changed only while the task is pending$",
        r"^Invalid Instruction: the reservation is not accepted$",
        r"^Invalid Supervisor: ",
        r"^Invalid Participant: ",
        r"^Invalid (Closed|Overflow)Number: ",
        r"^Invalid Label: ",
        r"^Invalid (Closed|Overflow)Number: '' is not a number to dial",
        # Dial rules: the words of attributes and parameters may name somebody whom the settings do not allow to dial.
        r"^Invalid (To|contact_uri|outbound_to|Supervisor): (dialling .* is not allowed|expected a number in E\.164 form)",
        r"^Invalid RedirectCallSid: it is no live call of this workspace$",
        r"^Invalid Instruction: the task has (no call_sid|neither call_sid nor outbound_to)$",
    ]
]


class RejectedValidData(Failure):
    """A request that the description allows was refused."""


@schemathesis.check
def valid_data_is_accepted(ctx, response, case):
    """A well-formed request fails only for the state it meets."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    if not case.path.startswith(API):
        return
    message = response.json()["message"]
    absent = re.fullmatch(r"(\w+) field is required", message)
    if absent and absent[1] not in sent_form(response):
        # Stateful tests also send forms of names that nobody knows; without what must be there they are not valid.
        return
    if not any(pattern.search(message) for pattern in OF_STATE):
        raise RejectedValidData(operation=case.operation.label, title="Rejected valid data", message=message)


def sent_form(response):
    body = response.request.body or b""
    if isinstance(body, str):
        body = body.encode()
    return parse_qs(body.decode("ascii", errors="replace"))


def mutations_of(case):
    return getattr(case.meta.phase.data, "mutations", None) or [] if case.meta is not None else []


def is_sent_empty(response, mutation):
    """A list or an object without content becomes an empty text on the way, which counts as absent."""
    name = mutation.parameter or mutation.schema_pointer.removeprefix("/properties/").split("/")[0]
    query = parse_qs(urlparse(response.request.url).query)
    return mutation.parameter_location is ParameterLocation.QUERY and name not in query


def is_unknown_parameter(mutation):
    """Parameters of the query that nobody knows are ignored, as schemathesis knows where nothing else is amiss."""
    return mutation.parameter_location is ParameterLocation.QUERY and mutation.keywords == ("additionalProperties",)


@schemathesis.check
def invalid_data_is_rejected(ctx, response, case):
    """A malformed request is refused, unless the malformed part is one that is not sent or not looked at."""
    if not case.path.startswith(API):
        # A webhook never fails for what is in it: a caller is on the line.
        return
    mutations = mutations_of(case)
    if case.operation.label.startswith("POST") and case.path.endswith("/Reservations/{Sid}"):
        instruction = sent_form(response).get("Instruction", [""])[0].lower()
        named = {mutation.parameter for mutation in mutations}
        if instruction != "conference" and not {"Instruction", "ReservationStatus"} & named:
            return
    # The credentials are sent with every request, so their absence among the headers means nothing.
    looked_at = [mutation for mutation in mutations if mutation.parameter_location is not ParameterLocation.HEADER]
    if looked_at and all(is_sent_empty(response, one) or is_unknown_parameter(one) for one in looked_at):
        return
    negative_data_rejection(ctx, response, case)
