//! Two thousand calls at the same time: each rings, waits, is bridged, talks for ten seconds, and ends.
//!
//! What happened is read from outside: the phone system's list of happenings and the server's event log, both with the
//! moment in milliseconds of the same machine's clock. A step is late when it took a second longer than its far end was
//! told to take; a call is lost when it lacks a step. Start with [`measure`].

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use switchhook::clock::Clock;

use crate::Plan;
use crate::figures::{Durations, Table};
use crate::sides::{Sides, text};

const NUMBER: &str = "+15550100";
/// New calls a second, so that all of them are there at the same time before the first is over.
const PER_SECOND: u32 = 200;
const TALK_MS: i64 = 10_000;
const ANSWER_AFTER_MS: i64 = 300;
const LATE_MS: i64 = 1_000;
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(200);
/// Requests under way while the scene is made.
const HANDS: usize = 32;
/// Items of a page, of both lists.
const PAGE: usize = 1_000;

/// Moments of one leg at the phone system, in milliseconds.
#[derive(Debug, Clone, Default)]
struct Leg {
    begun: Option<i64>,
    queued: Option<i64>,
    answered: Option<i64>,
    ended: Option<i64>,
    room: Option<String>,
    caller: bool,
}

/// What both sides tell.
#[derive(Debug, Default)]
struct Told {
    legs: HashMap<String, Leg>,
    /// When rooms started.
    rooms: HashMap<String, i64>,
    /// When the task of a caller went into wrapping and was completed.
    wrapping: HashMap<String, i64>,
    completed: HashMap<String, i64>,
    live: usize,
    live_most: usize,
    problems: Vec<String>,
}

/// The steps, in order.
const STEPS: [&str; 6] = [
    "ring to queue",
    "queue to the agent's telephone",
    "agent's answer to bridge",
    "end of talk",
    "agent's end to caller's end",
    "agent's end to wrapping",
];

pub(crate) async fn measure(plan: &Plan, table: &mut Table) {
    println!("{} calls at the same time", plan.calls);
    let sides = Sides::start().await;
    let base = furnish(&sides, plan.calls).await;
    let clock = Clock::system();
    let (mut after_phone, mut after_server) = (0, 0);
    let mut told = Told::default();
    let deadline = clock.instant() + PATIENCE;
    let ring = ring_in(&sides, plan.calls);
    let watch = async {
        while told.completed.len() < plan.calls && clock.instant() < deadline {
            follow_phone(&sides, &mut after_phone, &mut told).await;
            let wrapped = follow_server(&sides, &base, &mut after_server, &mut told).await;
            for task in wrapped {
                sides.post(&format!("{base}/Tasks/{task}"), &[("AssignmentStatus", "completed")]).await;
            }
            tokio::time::sleep(POLL).await;
        }
        follow_phone(&sides, &mut after_phone, &mut told).await;
    };
    tokio::join!(ring, watch);
    judge(plan, &told, table);
}

/// Agents, a workflow, the application that takes every reservation, and the number.
async fn furnish(sides: &Sides, agents: usize) -> String {
    let (base, available, queue) = sides.furnish().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let application = format!("http://{}/", listener.local_addr().expect("an address"));
    let instruction = json!({
        "instruction": "conference",
        "timeout": "30",
        "end_conference_on_exit": true,
        "end_conference_on_customer_exit": true,
    });
    let answer = async move || axum::Json(instruction);
    let router = axum::Router::new().route("/", axum::routing::post(answer));
    tokio::spawn(async { axum::serve(listener, router).await.expect("served") });
    let configuration = json!({ "task_routing": { "default_filter": { "queue": queue } } }).to_string();
    let form = [
        ("FriendlyName", "calls"),
        ("Configuration", configuration.as_str()),
        ("AssignmentCallbackUrl", application.as_str()),
    ];
    let workflow = text(&sides.post(&format!("{base}/Workflows"), &form).await, "sid");
    let hire = |agent: usize| {
        let (base, available) = (&base, &available);
        async move {
            let contact = format!("client:agent{agent}");
            let behaviour = json!({ "answer_after_ms": ANSWER_AFTER_MS, "hang_up_after_talking_ms": TALK_MS });
            sides.control(Method::PUT, &format!("/addresses/{contact}"), &behaviour).await;
            let attributes = json!({ "contact_uri": contact }).to_string();
            let name = format!("agent {agent}");
            let form = [("FriendlyName", name.as_str()), ("Attributes", &attributes), ("ActivitySid", available)];
            sides.post(&format!("{base}/Workers"), &form).await;
        }
    };
    futures_util::stream::iter(0..agents).for_each_concurrent(HANDS, hire).await;
    let voice_url = format!("http://{}/voice/enqueue/{workflow}", sides.server);
    let status_callback = format!("http://{}/voice/cb/call/inbound", sides.server);
    let number = json!({ "voice_url": voice_url, "status_callback": status_callback });
    sides.control(Method::PUT, &format!("/numbers/{NUMBER}"), &number).await;
    base
}

/// Places the calls at a steady pace.
async fn ring_in(sides: &Sides, calls: usize) {
    let clock = Clock::system();
    let began = clock.instant();
    let place = async |number: usize| {
        let turn = Duration::from_secs(1) / PER_SECOND * u32::try_from(number).expect("few calls");
        tokio::time::sleep_until((began + turn).into()).await;
        let call = json!({ "from": format!("+1555{:07}", 2_000_000 + number), "to": NUMBER });
        sides.control(Method::POST, "/calls", &call).await;
    };
    futures_util::stream::iter(0..calls).for_each_concurrent(None, place).await;
}

/// Reads what is new at the phone system.
async fn follow_phone(sides: &Sides, after: &mut u64, told: &mut Told) {
    loop {
        let list = sides.control(Method::GET, &format!("/events?after={after}&limit={PAGE}"), &Value::Null).await;
        let events = list["events"].as_array().expect("a list");
        for event in events {
            let sequence = event["sequence"].as_u64().expect("a number");
            assert!(
                *after == 0 || sequence == *after + 1,
                "happenings after {after} were dropped before they were read"
            );
            *after = sequence;
            happened(event, told);
        }
        if events.len() < PAGE {
            return;
        }
    }
}

fn happened(event: &Value, told: &mut Told) {
    let at = text(event, "at").parse::<jiff::Timestamp>().expect("a moment").as_millisecond();
    let kind = text(event, "kind");
    let room = event["conference_sid"].as_str().map(ToOwned::to_owned);
    if let ("room.started", Some(room)) = (kind.as_str(), &room) {
        told.rooms.insert(room.clone(), at);
    }
    if matches!(kind.as_str(), "call.error" | "call.warning" | "queue.refused") {
        told.problems.push(format!("{kind}: {}", text(event, "detail")));
    }
    let Some(call) = event["call_sid"].as_str() else { return };
    let leg = told.legs.entry(call.to_owned()).or_default();
    match kind.as_str() {
        // "who -> whom"
        "call.placed" => (leg.begun, leg.caller) = (Some(at), text(event, "detail").ends_with(NUMBER)),
        "queue.entered" => leg.queued = Some(at),
        "call.answered" => leg.answered = Some(at),
        "call.ended" => leg.ended = Some(at),
        "room.joined" => leg.room = room,
        _ => return,
    }
    match kind.as_str() {
        "call.placed" if leg.caller => told.live += 1,
        "call.ended" if leg.caller => told.live -= 1,
        _ => {}
    }
    told.live_most = told.live_most.max(told.live);
}

/// Reads what is new in the event log; returns the tasks that wait to be completed.
async fn follow_server(sides: &Sides, base: &str, after: &mut u64, told: &mut Told) -> Vec<String> {
    let mut wrapped = Vec::new();
    loop {
        let list = sides.get(&format!("{base}/Events?After={after}&PageSize={PAGE}")).await;
        let events = list["events"].as_array().expect("a list");
        for event in events {
            let data = &event["event_data"];
            *after = text(data, "event_sequence").parse().expect("a number");
            let kind = text(event, "event_type");
            if !matches!(kind.as_str(), "task.wrapup" | "task.completed" | "task.canceled") {
                continue;
            }
            let at = event["event_date_ms"].as_i64().expect("milliseconds");
            let attributes: Value = serde_json::from_str(&text(data, "task_attributes")).expect("JSON");
            let caller = text(&attributes, "call_sid");
            match kind.as_str() {
                "task.wrapup" => {
                    told.wrapping.insert(caller, at);
                    wrapped.push(text(data, "task_sid"));
                }
                "task.completed" => {
                    told.completed.insert(caller, at);
                }
                _ => told.problems.push(format!("{kind}: {}", text(event, "description"))),
            }
        }
        if events.len() < PAGE {
            return wrapped;
        }
    }
}

/// How long each step of a call took beyond what its far ends were told; `None` when one is missing.
fn steps(sid: &str, caller: &Leg, told: &Told, agents: &HashMap<&str, &Leg>) -> Option<[i64; STEPS.len()]> {
    let room = caller.room.as_deref()?;
    let agent = agents.get(room)?;
    let started = *told.rooms.get(room)?;
    let agent_ended = agent.ended?;
    told.completed.get(sid)?;
    Some([
        caller.queued? - caller.begun?,
        agent.begun? - caller.queued?,
        started - agent.answered?,
        agent_ended - started - TALK_MS,
        caller.ended? - agent_ended,
        told.wrapping.get(sid)? - agent_ended,
    ])
}

fn judge(plan: &Plan, told: &Told, table: &mut Table) {
    let agents: HashMap<&str, &Leg> =
        told.legs.values().filter(|leg| !leg.caller).filter_map(|leg| Some((leg.room.as_deref()?, leg))).collect();
    let mut whole = Vec::new();
    let mut lost = 0;
    for (sid, caller) in told.legs.iter().filter(|(_, leg)| leg.caller) {
        match steps(sid, caller, told, &agents) {
            Some(steps) => whole.push(steps),
            None => lost += 1,
        }
    }
    lost += plan.calls.saturating_sub(whole.len() + lost);
    let dialled = told.legs.values().filter(|leg| !leg.caller).count();
    let mut late = 0;
    for (number, name) in STEPS.iter().enumerate() {
        let took: Vec<i64> = whole.iter().map(|steps| steps[number]).collect();
        late += took.iter().filter(|ms| **ms > LATE_MS).count();
        let took = took.into_iter().map(|ms| Duration::from_millis(ms.max(0).unsigned_abs())).collect();
        table.note(&format!("calls: {name}"), Durations::of(took).summary());
    }
    let callers = format!("{} of {} at the same time", told.live_most, plan.calls);
    table.note("calls: callers on the line", callers);
    table.judge("calls: lost", "0", lost.to_string(), lost == 0);
    table.judge("calls: steps that took more than a second too long", "0", late.to_string(), late == 0);
    table.judge("calls: agents' legs", &plan.calls.to_string(), dialled.to_string(), dialled == plan.calls);
    let kinds = told.problems.len();
    let first = told.problems.first().map_or_else(String::new, |problem| format!(", {problem}"));
    table.judge("calls: errors at the phone system, tasks canceled", "0", format!("{kinds}{first}"), kinds == 0);
}
