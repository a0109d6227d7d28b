//! Accounts and workspaces do not see each other: every operation, with a foreign SID in every place that takes one.
//!
//! Operations come from the tables that the router is made of, so a new one is walked as soon as it exists; a path that
//! names something new fails here until [`kind_after`] knows what it is. Victims are a workspace of another account and
//! another workspace of the attacker's own account. Whatever is tried, what the store holds of them stays the same.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use base64::Engine as _;
use serde_json::{Value, json};
use switchhook::api::{ROUTES, ROUTES_2010};
use switchhook::routing::WorkspaceSid;
use switchhook::store::Loaded;

use super::api::{ACCOUNT, Answer, STRANGER, Server, TOKEN, text};

/// What is before a parameter in a path tells what the parameter names.
fn kind_after(literal: &str) -> &'static str {
    match literal {
        "Accounts" => "AC",
        "Keys" => "SK",
        "Workspaces" => "WS",
        "Activities" => "WA",
        "TaskChannels" => "TC",
        "TaskQueues" => "WQ",
        "Workflows" => "WW",
        "Workers" => "WK",
        "Channels" => "WC",
        "Tasks" => "WT",
        "Reservations" => "WR",
        "Events" => "EV",
        "Alerts" => "NO",
        "Transfers" => "TT",
        "Participants" => "CA",
        "Calendars" => "CL",
        "EntryPoints" => "EP",
        _ => panic!("isolation.rs does not know what the parameter after /{literal}/ names: add it here and in House"),
    }
}

/// Parameters of forms and queries that name something, and what that may be. Each is tried on every operation.
const PARAMETERS: &[(&str, &[&str])] = &[
    ("ActivitySid", &["WA"]),
    ("AssignmentActivitySid", &["WA"]),
    ("CalendarSid", &["CL"]),
    ("DefaultActivitySid", &["WA"]),
    ("DisconnectActivitySid", &["WA"]),
    ("DequeuePostWorkActivitySid", &["WA"]),
    ("KeySid", &["SK"]),
    ("PostWorkActivitySid", &["WA"]),
    ("ReservationActivitySid", &["WA"]),
    ("ReservationSid", &["WR"]),
    ("RoutingTarget", &["WK", "WQ", "WW"]),
    ("Sid", &["EV"]),
    ("Supervisor", &["WK"]),
    ("TaskChannel", &["TC", "WC"]),
    ("TaskChannelSid", &["TC"]),
    ("TaskQueueSid", &["WQ"]),
    ("TaskSid", &["WT"]),
    ("TimeoutActivitySid", &["WA"]),
    ("To", &["WK", "WQ"]),
    ("VoicemailWorkflowSid", &["WW"]),
    ("WorkerActivitySid", &["WA"]),
    ("WorkerSid", &["WK"]),
    ("WorkflowSid", &["WW"]),
    ("WorkspaceSid", &["WS"]),
];

/// References that are refused with 400/20001. `$XX` stands for the foreign SID, `@XX` for one's own.
const REFUSED: &[(&str, &str)] = &[
    ("POST @WS", "DefaultActivitySid=$WA"),
    ("POST @WS", "TimeoutActivitySid=$WA"),
    ("POST @WS/Presence", "DisconnectActivitySid=$WA"),
    ("POST @WS/EntryPoints", "FriendlyName=e&WorkflowSid=$WW"),
    ("POST @WS/EntryPoints", "FriendlyName=e&WorkflowSid=@WW&CalendarSid=$CL"),
    ("POST @WS/EntryPoints", "FriendlyName=e&WorkflowSid=@WW&VoicemailWorkflowSid=$WW"),
    ("POST @WS/EntryPoints/@EP", "WorkflowSid=$WW"),
    ("POST @WS/EntryPoints/@EP", "CalendarSid=$CL"),
    ("POST @WS/EntryPoints/@EP", "VoicemailWorkflowSid=$WW"),
    ("POST @WS/TaskQueues", "FriendlyName=q&ReservationActivitySid=$WA"),
    ("POST @WS/TaskQueues", "FriendlyName=q&AssignmentActivitySid=$WA"),
    ("POST @WS/TaskQueues/@WQ", "ReservationActivitySid=$WA"),
    ("POST @WS/TaskQueues/@WQ", "AssignmentActivitySid=$WA"),
    ("POST @WS/Tasks", "WorkflowSid=$WW"),
    ("POST @WS/Tasks", "WorkflowSid=@WW&TaskChannel=$TC"),
    ("POST @WS/Tasks", "WorkflowSid=@WW&RoutingTarget=$WQ"),
    ("POST @WS/Tasks", "WorkflowSid=@WW&RoutingTarget=$WW"),
    ("POST @WS/Tasks/@WT", "TaskChannel=$TC"),
    ("POST @WS/Tasks/@WT/Reservations/@WR", "ReservationStatus=rejected&WorkerActivitySid=$WA"),
    ("POST @WS/Workers", "FriendlyName=w&ActivitySid=$WA"),
    ("POST @WS/Workers/@WK", "ActivitySid=$WA"),
    ("POST @WS/Workers/@WK/Reservations/@WR", "ReservationStatus=rejected&WorkerActivitySid=$WA"),
    ("POST @WS/Workflows", "FriendlyName=f&Configuration={\"task_routing\":{\"default_filter\":{\"queue\":\"$WQ\"}}}"),
    ("POST @WS/Workflows/@WW", "Configuration={\"task_routing\":{\"default_filter\":{\"queue\":\"$WQ\"}}}"),
    ("GET @WS/TaskQueues", "WorkerSid=$WK"),
    ("GET @WS/Workers", "TaskQueueSid=$WQ"),
];

/// Filters that a foreign SID passes nothing through; without it each of these lists holds something.
const EMPTY: &[(&str, &str)] = &[
    ("@WS/Tasks", "WorkflowSid=$WW"),
    ("@WS/Tasks", "TaskQueueSid=$WQ"),
    ("@WS/Tasks", "RoutingTarget=$WK"),
    ("@WS/Tasks/@WT/Reservations", "WorkerSid=$WK"),
    ("@WS/Workers", "ActivitySid=$WA"),
    ("@WS/Workers", "TargetWorkersExpression=sid == '$WK'"),
    ("@WS/Events", "Sid=$EV"),
    ("@WS/Events", "TaskSid=$WT"),
    ("@WS/Events", "WorkerSid=$WK"),
    ("@WS/Events", "ReservationSid=$WR"),
    ("@WS/Events", "TaskQueueSid=$WQ"),
    ("@WS/Events", "WorkflowSid=$WW"),
    ("@WS/Events", "TaskChannel=$TC"),
    ("@WS/Events", "TaskChannel=$WC"),
    ("@WS/Events", "TaskChannel=canary$house"),
];

/// Would change whatever it reaches; what it refers to is one's own.
const CHANGES: &str = "FriendlyName=stolen&UniqueName=stolen&Attributes=%7B%22stolen%22%3A1%7D&Priority=99&Capacity=3\
                       &ReservationStatus=rejected&Available=true&TargetWorkers=1%3D%3D0\
                       &To=@WQ&TaskSid=@TRANSFERRED&ReservationSid=@WR&TransferStatus=canceled";

/// A workspace with one of everything.
struct House {
    name: &'static str,
    account: &'static str,
    workspace: WorkspaceSid,
    /// By prefix; `TRANSFERRED` is the task of the transfer.
    sids: BTreeMap<&'static str, String>,
    /// Another worker and another task of the same workspace.
    others: BTreeMap<&'static str, String>,
}

impl House {
    async fn build(server: &Server, account: &'static str, name: &'static str) -> Self {
        let make = async |path: &str, form: &str| {
            let answer = server.call(account, Method::POST, path, form, None).await;
            assert_eq!(answer.status, StatusCode::CREATED, "{path} {form}: {}", answer.body);
            server.clock.advance(Duration::from_millis(1));
            answer.body
        };
        let first = async |path: &str, key: &str| {
            let list = server.call(account, Method::GET, path, "", None).await;
            text(&list.body[key][0]["sid"]).to_owned()
        };
        let sid = |made: Value| text(&made["sid"]).to_owned();
        let named = format!("FriendlyName=canary{name}");
        let workspace = sid(make("/Workspaces", &named).await);
        let at = |path: &str| format!("/Workspaces/{workspace}{path}");
        let mut sids = BTreeMap::from([("AC", account.to_owned()), ("WS", workspace.clone())]);
        let activity = sid(make(&at("/Activities"), &format!("{named}&Available=true")).await);
        let channel = sid(make(&at("/TaskChannels"), &format!("{named}&UniqueName=canary{name}")).await);
        let queue = sid(make(&at("/TaskQueues"), &named).await);
        let routing = format!("{{\"task_routing\":{{\"default_filter\":{{\"queue\":\"{queue}\"}}}}}}");
        let workflow = sid(make(&at("/Workflows"), &format!("{named}&Configuration={routing}")).await);
        let worker = sid(make(&at("/Workers"), &format!("{named}&ActivitySid={activity}")).await);
        let task = sid(make(&at("/Tasks"), &format!("WorkflowSid={workflow}&TaskChannel={channel}")).await);
        let path = at(&format!("/Workers/{worker}/Channels/canary{name}"));
        sids.insert("WC", sid(server.call(account, Method::GET, &path, "", None).await.body));
        sids.insert("WR", first(&at(&format!("/Tasks/{task}/Reservations")), "reservations").await);
        sids.insert("EV", first(&at(&format!("/Events?TaskSid={task}")), "events").await);
        let other_worker = sid(make(&at("/Workers"), &format!("{named}2")).await);
        let other_task = sid(make(&at("/Tasks"), &format!("WorkflowSid={workflow}")).await);
        let call = sid(make(&at("/Tasks"), &format!("WorkflowSid={workflow}&TaskChannel=voice")).await);
        let accepted = first(&at(&format!("/Tasks/{call}/Reservations")), "reservations").await;
        let path = at(&format!("/Workers/{worker}/Reservations/{accepted}"));
        server.call(account, Method::POST, &path, "ReservationStatus=accepted", None).await;
        let handed_on = format!("TaskSid={call}&ReservationSid={accepted}&To={queue}&Mode=COLD");
        sids.insert("TT", sid(make(&at(&format!("/Workers/{worker}/Transfers")), &handed_on).await));
        sids.insert("TRANSFERRED", call);
        let calendar = sid(make(&at("/Calendars"), &format!("{named}&TimeZone=UTC")).await);
        let follows = format!("{named}&WorkflowSid={workflow}&CalendarSid={calendar}");
        sids.insert("EP", sid(make(&at("/EntryPoints"), &follows).await));
        sids.insert("CL", calendar);
        for (kind, sid) in
            [("WA", activity), ("TC", channel), ("WQ", queue), ("WW", workflow), ("WK", worker), ("WT", task)]
        {
            sids.insert(kind, sid);
        }
        let key = server.call_2010(account, Method::POST, &format!("/Accounts/{account}/Keys.json"), &named).await;
        sids.insert("SK", sid(key.body));
        // A page by its number alone leaves an alert.
        server.call(account, Method::GET, &at("/Tasks?Page=1"), "", None).await;
        sids.insert("NO", first("/Alerts", "alerts").await);
        // Nobody calls here; what is in a room is tried in `conversation`.
        sids.insert("CA", format!("CA{}", &workspace[2..]));
        let others = BTreeMap::from([("WK", other_worker), ("WT", other_task)]);
        Self { name, account, workspace: workspace.parse().unwrap(), sids, others }
    }

    fn sid(&self, kind: &str) -> &str {
        self.sids.get(kind).unwrap_or_else(|| panic!("the house has no {kind}: make one in House::build"))
    }

    /// All that the store knows of it.
    async fn state(&self, server: &Server) -> (Loaded, usize, Vec<String>) {
        let rows = server.store.load(self.workspace).await.unwrap().expect("the workspace is there");
        let path = format!("/Workspaces/{}/Events?PageSize=1000", self.workspace);
        let events = server.call(self.account, Method::GET, &path, "", None).await;
        // One's own keys are not a sibling's.
        let mut keys = Vec::new();
        for (path, key) in [("Calendars", "calendars"), ("EntryPoints", "entry_points")] {
            let path = format!("/Workspaces/{}/{path}", self.workspace);
            let list = server.call(self.account, Method::GET, &path, "", None).await;
            keys.push(list.body[key].to_string());
        }
        if self.account != ACCOUNT {
            let path = format!("/Accounts/{}/Keys.json", self.account);
            let list = server.call_2010(self.account, Method::GET, &path, "").await;
            keys.extend(list.body["keys"].as_array().unwrap().iter().map(ToString::to_string));
        }
        (rows, events.body["events"].as_array().unwrap().len(), keys)
    }

    /// Texts that only its own account and workspace may be told, without one that the request named itself.
    fn markers<'a>(&'a self, named: &'a str) -> impl Iterator<Item = &'a str> {
        let sids = self.sids.iter().filter(|(kind, _)| **kind != "AC" && **kind != "SK").map(|(_, sid)| sid.as_str());
        sids.filter(move |sid| *sid != named)
    }
}

impl Server {
    async fn call_2010(&self, account: &str, method: Method, path: &str, form: &str) -> Answer {
        self.call_as(&format!("{account}:{TOKEN}"), method, &format!("/2010-04-01{path}"), form).await
    }

    async fn call_as(&self, login: &str, method: Method, path: &str, form: &str) -> Answer {
        let credentials = base64::engine::general_purpose::STANDARD.encode(login);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Basic {credentials}"))
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }
}

/// A path of the tables, with what its parameters name.
struct Route {
    method: Method,
    prefix: &'static str,
    path: &'static str,
    /// Name and kind of each parameter.
    parameters: Vec<(&'static str, &'static str)>,
}

fn routes() -> Vec<Route> {
    let read = |prefix: &'static str, (method, path): &(&'static str, &'static str)| {
        let segments: Vec<&'static str> = path.split('/').collect();
        let pairs = segments.windows(2).filter_map(|pair| {
            let name = pair[1].strip_prefix('{')?.strip_suffix('}')?;
            Some((name, kind_after(pair[0])))
        });
        Route { method: method.parse().unwrap(), prefix, path, parameters: pairs.collect() }
    };
    let taskrouter = ROUTES.iter().map(|route| read("/v1", route));
    taskrouter.chain(ROUTES_2010.iter().map(|route| read("/2010-04-01", route))).collect()
}

impl Route {
    /// The path with a value in each position.
    fn with(&self, value: impl Fn(usize, &'static str) -> String) -> String {
        let mut path = self.path.to_owned();
        for (index, (name, kind)) in self.parameters.iter().enumerate() {
            path = path.replacen(&format!("{{{name}}}"), &value(index, kind), 1);
        }
        format!("{}{path}", self.prefix)
    }

    fn own(&self, own: &House) -> String {
        self.with(|_, kind| own.sid(kind).to_owned())
    }

    fn form(&self, own: &House) -> String {
        if self.method == Method::POST { filled_in(CHANGES, own, own) } else { String::new() }
    }

    fn shown(&self) -> String {
        format!("{} {}{}", self.method, self.prefix, self.path)
    }
}

struct Town {
    server: Server,
    own: House,
    /// Another workspace of the same account, and a workspace of another account.
    victims: Vec<House>,
    /// User names and passwords of the attacker.
    logins: Vec<String>,
}

impl Town {
    async fn build() -> Self {
        let server = Server::start().await;
        let own = House::build(&server, ACCOUNT, "Own").await;
        let sibling = House::build(&server, ACCOUNT, "Sibling").await;
        let stranger = House::build(&server, STRANGER, "Stranger").await;
        let path = format!("/Accounts/{ACCOUNT}/Keys.json");
        let key = server.call_2010(ACCOUNT, Method::POST, &path, "").await.body;
        let by_key = format!("{}:{}", text(&key["sid"]), text(&key["secret"]));
        Self { server, own, victims: vec![sibling, stranger], logins: vec![format!("{ACCOUNT}:{TOKEN}"), by_key] }
    }

    async fn states(&self) -> Vec<(Loaded, usize, Vec<String>)> {
        let mut states = Vec::new();
        for victim in &self.victims {
            states.push(victim.state(&self.server).await);
        }
        states
    }
}

fn check_not_found(answer: &Answer, what: &str) {
    assert_eq!(
        (answer.status.as_u16(), &answer.body["code"], &answer.body["status"]),
        (404, &json!(20404), &json!(404)),
        "{what}: {}",
        answer.body
    );
}

/// Each position in turn, and all of them together, for every operation, by token and by API key.
#[tokio::test]
async fn a_foreign_sid_in_any_position_of_a_path_is_not_found() {
    let town = Town::build().await;
    let before = town.states().await;
    let mut tried = 0;
    for route in routes() {
        for victim in &town.victims {
            let is_same_account = victim.account == town.own.account;
            let places: Vec<usize> = (0..route.parameters.len()).collect();
            let each = places.iter().map(|place| vec![*place]);
            for foreign in each.chain([places.clone()]) {
                let is_its_own = |place: &usize| {
                    is_same_account
                        && (foreign.contains(place) || matches!(route.parameters[*place].1, "AC" | "SK" | "NO"))
                };
                if foreign.is_empty() || places.iter().all(is_its_own) {
                    continue;
                }
                let path = route.with(|place, kind| {
                    if foreign.contains(&place) { victim.sid(kind) } else { town.own.sid(kind) }.to_owned()
                });
                for login in &town.logins {
                    if route.prefix == "/2010-04-01" && login.starts_with("SK") {
                        continue;
                    }
                    let answer = town.server.call_as(login, route.method.clone(), &path, &route.form(&town.own)).await;
                    check_not_found(&answer, &format!("{} {foreign:?} of {}", route.shown(), victim.name));
                    tried += 1;
                }
            }
        }
        assert!(town.states().await == before, "{} changed a victim", route.shown());
    }
    assert!(tried > 300, "only {tried} requests were tried");
    town.server.stop().await;
}

/// What is no SID of the expected kind, in each position.
#[tokio::test]
async fn a_text_that_is_no_sid_of_its_kind_is_not_found() {
    let town = Town::build().await;
    for route in routes() {
        for place in 0..route.parameters.len() {
            let (_, wanted) = route.parameters[place];
            let wrong_kind = format!("ZZ{}", &town.own.sid(wanted)[2..]);
            let short = town.own.sid(wanted)[..33].to_owned();
            for wrong in [wrong_kind, short, "x".to_owned(), "%00".to_owned(), "canaryStranger".to_owned()] {
                let path = route.with(
                    |index, kind| {
                        if index == place { wrong.clone() } else { town.own.sid(kind).to_owned() }
                    },
                );
                let answer =
                    town.server.call_as(&town.logins[0], route.method.clone(), &path, &route.form(&town.own)).await;
                check_not_found(&answer, &format!("{} {path}", route.shown()));
            }
        }
    }
    town.server.stop().await;
}

/// A child under a parent of the same workspace that is not its own.
#[tokio::test]
async fn a_child_is_found_under_its_own_parent_only() {
    let town = Town::build().await;
    let mut tried = 0;
    for route in routes().iter().filter(|route| route.parameters.len() > 2) {
        let path = route
            .with(|_, kind| town.own.others.get(kind).map_or_else(|| town.own.sid(kind), String::as_str).to_owned());
        let answer = town.server.call_as(&town.logins[0], route.method.clone(), &path, &route.form(&town.own)).await;
        check_not_found(&answer, &route.shown());
        tried += 1;
    }
    assert!(tried > 5);
    town.server.stop().await;
}

/// Every operation with every parameter that names something: what is foreign is neither shown nor touched.
#[tokio::test]
async fn a_foreign_sid_in_any_parameter_shows_and_changes_nothing() {
    let town = Town::build().await;
    let before = town.states().await;
    for route in routes().iter().filter(|route| route.method != Method::DELETE) {
        for victim in &town.victims {
            for (name, kinds) in PARAMETERS {
                for kind in *kinds {
                    let sid = victim.sid(kind);
                    check_parameter(&town, route, victim, &format!("{name}={sid}"), sid).await;
                }
            }
            if route.method == Method::GET && !route.path.ends_with('}') {
                for sid in victim.sids.values() {
                    for keys in ["", ".0", ".0.0"] {
                        let page = format!("Page=1&PageToken=PA{sid}{keys}");
                        check_parameter(&town, route, victim, &page, sid).await;
                    }
                }
            }
        }
        assert!(town.states().await == before, "{} changed a victim", route.shown());
    }
    town.server.stop().await;
}

async fn check_parameter(town: &Town, route: &Route, victim: &House, parameter: &str, named: &str) {
    let own = route.own(&town.own);
    let (path, form) = if route.method == Method::GET {
        (format!("{own}?{parameter}"), String::new())
    } else {
        // Of a parameter that comes twice the first one counts.
        (own, format!("{parameter}&{}", route.form(&town.own)))
    };
    let answer = town.server.call_as(&town.logins[0], route.method.clone(), &path, &form).await;
    let what = format!("{} with {parameter} of {}", route.shown(), victim.name);
    assert!(answer.status.as_u16() < 500, "{what}: {}", answer.body);
    if victim.account == town.own.account && !route.path.contains("{WorkspaceSid}") {
        // A list of all that is the account's, the sibling among it.
        return;
    }
    let body = answer.body.to_string();
    for marker in victim.markers(named) {
        assert!(!body.contains(marker), "{what} shows {marker}: {body}");
    }
    assert!(!body.contains(&format!("canary{}", victim.name)), "{what} shows a name: {body}");
}

fn filled_in(text: &str, own: &House, victim: &House) -> String {
    let mut text = text.replace("$house", victim.name);
    for (kind, sid) in &victim.sids {
        text = text.replace(&format!("${kind}"), sid);
    }
    for (kind, sid) in &own.sids {
        text = text.replace(&format!("@{kind}"), sid);
    }
    text
}

#[tokio::test]
async fn a_reference_to_something_foreign_is_refused() {
    let town = Town::build().await;
    let before = town.states().await;
    let own_before = town.own.state(&town.server).await;
    for (operation, form) in REFUSED {
        let (method, path) = operation.split_once(' ').unwrap();
        for victim in &town.victims {
            let (path, form) = (filled_in(path, &town.own, victim), filled_in(form, &town.own, victim));
            let (path, form) = if method == "GET" { (format!("{path}?{form}"), String::new()) } else { (path, form) };
            let path = format!("/Workspaces/{path}");
            let answer = town.server.call(ACCOUNT, method.parse().unwrap(), &path, &form, None).await;
            let found = (answer.status.as_u16(), &answer.body["code"]);
            assert_eq!(found, (400, &json!(20001)), "{operation} {form}: {}", answer.body);
        }
    }
    assert!(town.own.state(&town.server).await == own_before, "a refusal changes nothing");
    assert!(town.states().await == before);
    // The same with one's own instead is taken, so that the refusals above were about what is foreign.
    for (operation, form) in REFUSED {
        let (method, path) = operation.split_once(' ').unwrap();
        let (path, form) = (filled_in(path, &town.own, &town.own), filled_in(form, &town.own, &town.own));
        let (path, form) = if method == "GET" { (format!("{path}?{form}"), String::new()) } else { (path, form) };
        if path.contains("/Reservations/") || form.starts_with("TaskChannel=") || path.ends_with("/Presence") {
            // These change what the next one needs, repeat a state, or want an activity of another kind.
            continue;
        }
        let answer =
            town.server.call(ACCOUNT, method.parse().unwrap(), &format!("/Workspaces/{path}"), &form, None).await;
        let taken = answer.status.is_success() || text(&answer.body["message"]).contains("already exists");
        assert!(taken, "{operation} {form}: {}", answer.body);
    }
    town.server.stop().await;
}

/// A task for a worker who cannot be reserved is canceled at once, whether the worker is elsewhere or nowhere.
#[tokio::test]
async fn a_task_for_a_foreign_worker_reaches_nobody() {
    let town = Town::build().await;
    let before = town.states().await;
    for victim in &town.victims {
        let form = format!("WorkflowSid={}&RoutingTarget={}", town.own.sid("WW"), victim.sid("WK"));
        let task = town.server.make(&format!("/Workspaces/{}/Tasks", town.own.workspace), &form).await;
        assert_eq!(task["assignment_status"], "canceled");
        let list = town.server.get(text(&task["links"]["reservations"])).await;
        assert_eq!(list.body["reservations"], json!([]));
    }
    assert!(town.states().await == before);
    town.server.stop().await;
}

#[tokio::test]
async fn a_filter_by_something_foreign_passes_nothing() {
    let town = Town::build().await;
    for (path, query) in EMPTY {
        for victim in &town.victims {
            let list = async |query: &str| {
                let encoded = query.replace(' ', "%20").replace('\'', "%27");
                let (name, value) = encoded.split_once('=').unwrap();
                let path = filled_in(path, &town.own, victim);
                let answer = town
                    .server
                    .call(ACCOUNT, Method::GET, &format!("/Workspaces/{path}?{name}={value}"), "", None)
                    .await;
                assert_eq!(answer.status, StatusCode::OK, "{path} {query}: {}", answer.body);
                let key = text(&answer.body["meta"]["key"]).to_owned();
                answer.body[&key].as_array().unwrap().len()
            };
            assert_eq!(list(&filled_in(query, &town.own, victim)).await, 0, "{path} {query} of {}", victim.name);
            if !query.starts_with("RoutingTarget") {
                assert!(list(&filled_in(query, &town.own, &town.own)).await > 0, "{path} {query}: one's own passes");
            }
        }
    }
    town.server.stop().await;
}

/// The paths that were tried with foreign SIDs lead somewhere with one's own; deletions last, the innermost first.
#[tokio::test]
async fn every_operation_is_found_with_ones_own_sids() {
    let town = Town::build().await;
    let mut routes = routes();
    routes.sort_by_key(|route| {
        let is_delete = route.method == Method::DELETE;
        (is_delete, std::cmp::Reverse(if is_delete { route.parameters.len() } else { 0 }))
    });
    let needs_a_call = |route: &Route| route.path.ends_with("/Conference") || route.path.contains("/Participants");
    for route in routes.iter().filter(|route| !needs_a_call(route)) {
        let path = route.own(&town.own);
        let answer = town.server.call_as(&town.logins[0], route.method.clone(), &path, &route.form(&town.own)).await;
        assert!(!matches!(answer.status.as_u16(), 401 | 404 | 405), "{}: {}", route.shown(), answer.body);
        assert!(route.method != Method::GET || answer.status == StatusCode::OK, "{}: {}", route.shown(), answer.body);
    }
    town.server.stop().await;
}
