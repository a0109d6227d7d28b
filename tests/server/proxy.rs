//! Applications behind the proxy (`spec/voice.md` 2.8): eleven of different make, each called twice. Once the phone system
//! asks the application itself, which enqueues into a plain queue; once it asks through `/voice/proxy`, and the
//! application says `<Enqueue workflowSid>`. The call and the application must live through the same both times.

mod applications;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::programs::{Floor, PHONE_TOKEN, Programs, TOKEN, text};
use applications::{Applications, Asked};

/// What a caller does, and how the caller is treated.
#[derive(Default)]
struct Caller {
    digits: &'static str,
    says: &'static str,
    hang_up_after_ms: Option<u32>,
    /// Somebody waits already in a queue for one.
    queue_is_full: bool,
    /// How often the application is told something beside the documents.
    told: usize,
    /// The application's own way to serve: a plain queue behind the proxy too.
    without_task: bool,
    /// Somebody else calls the application, at its page `desk`, as soon as the caller waits.
    agent: Option<Agent>,
}

/// Who talks to the caller.
struct Agent {
    /// What has happened to the caller then.
    when: &'static str,
    hang_up_after_talking_ms: Option<u32>,
}

/// What came of a call: the phone system's story of it, and what the application was asked; the same of the agent's.
#[derive(Debug, PartialEq)]
struct Story {
    happened: Vec<String>,
    asked: Vec<Asked>,
    agent: Option<Box<Story>>,
}

/// Where the numbers of an application lead.
struct Lines {
    caller: &'static str,
    agent: &'static str,
    /// The URL of a page, as a voice URL and as a status callback.
    url: Box<dyn Fn(&str) -> String>,
    callback: Box<dyn Fn(&str) -> String>,
}

impl Lines {
    async fn connect(&self, programs: &Programs, method: &str) {
        for (number, page) in [(self.caller, "start?from=number"), (self.agent, "desk")] {
            let order = json!({
                "voice_url": (self.url)(page), "voice_method": method,
                "status_callback": (self.callback)("told/number"),
            });
            programs.control(Method::PUT, &format!("/numbers/{number}"), order).await;
        }
    }
}

/// Has somebody call the application, perhaps somebody else answer, and waits until the calls are over.
async fn call(programs: &Programs, applications: &Applications, lines: &Lines, caller: &Caller) -> Story {
    applications.forget();
    lines.connect(programs, if caller.without_task { "GET" } else { "POST" }).await;
    let busy = json!({ "busy": true, "ring_after_ms": 50 });
    programs.control(Method::PUT, "/addresses/+15556660101", busy).await;
    let bob = json!({ "ring_after_ms": 50, "answer_after_ms": 400, "hang_up_after_talking_ms": 8_000 });
    programs.control(Method::PUT, "/addresses/client:bob", bob).await;
    let behaviour = json!({
        "digits": caller.digits, "digits_after_ms": 50, "says": caller.says, "speaks_ms": 7_000,
        "hang_up_after_ms": caller.hang_up_after_ms,
    });
    let order = json!({ "from": "+15551110000", "to": lines.caller, "behaviour": behaviour });
    let call = text(&programs.control(Method::POST, "/calls", order).await, "call_sid");
    let Some(agent) = &caller.agent else { return over(programs, applications, &call, caller.told).await };
    let path = format!("/events?call_sid={call}&limit=1000");
    programs
        .until("the caller waits for the agent", async |programs: &Programs| {
            let told = programs.control(Method::GET, &path, Value::Null).await;
            told["events"].as_array().unwrap().iter().any(|event| event["kind"] == agent.when).then_some(())
        })
        .await;
    let behaviour = json!({ "hang_up_after_talking_ms": agent.hang_up_after_talking_ms });
    let order = json!({ "from": "client:alice", "to": lines.agent, "behaviour": behaviour });
    let desk = text(&programs.control(Method::POST, "/calls", order).await, "call_sid");
    let mut story = over(programs, applications, &call, caller.told).await;
    story.agent = Some(Box::new(over(programs, applications, &desk, caller.told).await));
    story
}

/// Waits until a call is over and the application was told of it, `told` times beside the number's own callback.
async fn over(programs: &Programs, applications: &Applications, call: &str, told: usize) -> Story {
    let is_over = async |programs: &Programs| {
        let row = programs.phone_get(&format!("/Calls/{call}.json")).await;
        let is_live = matches!(row["status"].as_str(), Some("queued" | "ringing" | "in-progress"));
        (!is_live).then_some(())
    };
    programs.until("the call is over", is_over).await;
    let legs = programs.phone_get(&format!("/Calls.json?ParentCallSid={call}")).await;
    let mut sids: Vec<String> = legs["calls"].as_array().unwrap().iter().map(|leg| text(leg, "sid")).collect();
    sids.push(call.to_owned());
    let events = programs.control(Method::GET, "/events?limit=1000", Value::Null).await;
    let ours = |event: &&Value| event["call_sid"].as_str().is_some_and(|sid| sids.iter().any(|ours| ours == sid));
    let events: Vec<Value> = events["events"].as_array().unwrap().iter().filter(ours).cloned().collect();
    assert!(events.iter().any(|event| event["kind"] == "call.ended"), "{events:?}");
    let happened = story(&events, call);
    let asked = programs
        .until("the application was told all", async |_: &Programs| {
            let asked = applications.asked(call);
            // The end of a call in a queue is told after the end itself.
            let waits = happened.iter().any(|line| line.contains("queue.left hangup"));
            let is_told = asked.iter().filter(|asked| asked.is_told()).count() > told;
            (is_told && (!waits || asked.iter().any(|asked| asked.what.contains("QueueResult=hangup"))))
                .then_some(asked)
        })
        .await;
    Story { happened, asked, agent: None }
}

/// The phone system's story, without names and without the documents on the way: what the application was asked for is
/// compared by itself, and ours between them (silence in the queue, the verbs after it) change nothing for the caller.
fn story(events: &[Value], call: &str) -> Vec<String> {
    let line = |event: &Value| {
        let kind = event["kind"].as_str().unwrap();
        let who = if event["call_sid"] == call { "caller" } else { "leg" };
        match kind {
            "call.document" => None,
            "call.placed" | "queue.entered" | "call.initiated" | "call.connected" => Some(format!("{who}: {kind}")),
            _ => Some(format!("{who}: {kind} {}", event["detail"].as_str().unwrap_or_default())),
        }
    };
    events.iter().filter_map(line).collect()
}

async fn compare(
    programs: &Programs,
    floor: &Floor,
    applications: &Applications,
    name: &str,
    caller: &Caller,
) -> Story {
    for queue in [&floor.workflow, "plain"] {
        let size = if caller.queue_is_full { "1" } else { "100" };
        make_queue(programs, queue, size).await;
    }
    if caller.queue_is_full {
        for (number, queue) in [("+15550201", floor.workflow.as_str()), ("+15550202", "plain")] {
            let voice_url = applications.url(&format!("/filler/{queue}"));
            programs.control(Method::PUT, &format!("/numbers/{number}"), json!({ "voice_url": voice_url })).await;
            programs.control(Method::POST, "/calls", json!({ "from": "+15551119999", "to": number })).await;
            programs
                .until("the queue is full", async |programs: &Programs| {
                    let queues = programs.phone_get("/Queues.json?PageSize=1000").await;
                    let mut queues = queues["queues"].as_array().unwrap().iter();
                    queues.any(|row| row["friendly_name"] == queue && row["current_size"] == 1).then_some(())
                })
                .await;
        }
    }
    let page_at = |place: &str| {
        let base = applications.url(&format!("/{place}/{name}/"));
        move |page: &str| format!("{base}{page}")
    };
    let direct = page_at("plain");
    let direct =
        Lines { caller: "+15550301", agent: "+15550303", url: Box::new(direct.clone()), callback: Box::new(direct) };
    let page = page_at(&floor.workflow);
    let through = |path: &str| {
        let (page, ours) = (page.clone(), format!("http://{}{path}", programs.server));
        move |at: &str| {
            let target = url::form_urlencoded::Serializer::new(String::new()).append_pair("target", &page(at)).finish();
            format!("{ours}?{target}")
        }
    };
    let proxied = Lines {
        caller: "+15550302",
        agent: "+15550304",
        url: Box::new(through("/voice/proxy")),
        callback: Box::new(through("/voice/cb/call/inbound")),
    };
    let direct = call(programs, applications, &direct, caller).await;
    let proxied = call(programs, applications, &proxied, caller).await;
    assert_eq!(direct.happened, proxied.happened, "{name}\n{direct:#?}\n{proxied:#?}\n{}", programs.logs());
    assert_eq!(direct.asked, proxied.asked, "{name}\n{}", programs.logs());
    assert_eq!(direct.agent, proxied.agent, "{name}\n{}", programs.logs());
    let documents = direct.asked.iter().filter(|asked| !asked.is_told()).count();
    assert!(documents >= 3, "{name} is asked: {direct:#?}");
    for story in std::iter::once(&direct).chain(direct.agent.as_deref()) {
        let told = story.asked.iter().filter(|asked| asked.is_told()).count();
        assert_eq!(told, caller.told + 1, "{name}: {story:#?}");
    }
    direct
}

async fn make_queue(programs: &Programs, name: &str, size: &str) {
    let url = format!("http://{}/2010-04-01/Accounts/{}/Queues.json", programs.phone, crate::programs::PHONE_ACCOUNT);
    let form = [("FriendlyName", name), ("MaxSize", size)];
    let request = programs.http.post(url).basic_auth(crate::programs::PHONE_ACCOUNT, Some(PHONE_TOKEN)).form(&form);
    let status = request.send().await.unwrap().status();
    assert!(status.is_success() || status == StatusCode::BAD_REQUEST || status == StatusCode::CONFLICT, "{status}");
}

async fn both_ways(name: &str, caller: Caller) -> Story {
    both_ways_with_tasks(name, caller).await.story
}

/// What came of a call in both ways, and the tasks that it left through the proxy.
struct Both {
    story: Story,
    tasks: Vec<Value>,
}

async fn both_ways_with_tasks(name: &str, caller: Caller) -> Both {
    let programs = Programs::start(4.0).await;
    let floor = programs.furnish().await;
    let applications = Applications::start(PHONE_TOKEN, TOKEN).await;
    let story = compare(&programs, &floor, &applications, name, &caller).await;
    // Through the proxy the caller was a task like any other.
    let tasks = programs.get(&format!("{}/Tasks", floor.base)).await;
    let tasks: Vec<Value> = tasks["tasks"].as_array().unwrap().clone();
    assert_eq!(tasks.len(), usize::from(!caller.without_task), "{tasks:?}");
    if let [task] = &tasks[..] {
        let expected = if caller.queue_is_full { "queue-full" } else { "" };
        let reason = text(task, "reason");
        assert!(task["assignment_status"] == "canceled" && (expected.is_empty() || reason == expected), "{task:?}");
    }
    Both { story, tasks }
}

#[tokio::test]
async fn wrong_keys_and_silence_lead_into_the_queue_and_the_caller_gives_up() {
    both_ways("menu", Caller { digits: "5", hang_up_after_ms: Some(12_000), ..Caller::default() }).await;
}

#[tokio::test]
async fn nested_redirects_lead_into_a_silent_queue() {
    both_ways("redirects", Caller { hang_up_after_ms: Some(9_000), ..Caller::default() }).await;
}

#[tokio::test]
async fn wrong_keys_lead_round_through_nested_actions() {
    both_ways("actions", Caller { digits: "9421*", ..Caller::default() }).await;
}

#[tokio::test]
async fn a_full_queue_leads_to_a_message_whose_recording_is_told() {
    both_ways("voicemail", Caller { queue_is_full: true, told: 2, ..Caller::default() }).await;
}

#[tokio::test]
async fn a_language_line_listens_and_remembers_its_caller_by_a_cookie() {
    let caller = Caller { says: "Deutsch, bitte", hang_up_after_ms: Some(12_000), ..Caller::default() };
    both_ways("language", caller).await;
}

#[tokio::test]
async fn the_verbs_after_the_queue_ask_how_it_was() {
    both_ways("survey", Caller { digits: "*7", ..Caller::default() }).await;
}

#[tokio::test]
async fn without_an_action_keys_and_recordings_after_the_queue_come_back_to_the_applications_own_url() {
    both_ways("rating", Caller { digits: "*7", ..Caller::default() }).await;
}

#[tokio::test]
async fn a_message_without_an_action_comes_back_to_the_action_of_the_queue() {
    both_ways("message", Caller::default()).await;
}

#[tokio::test]
async fn a_switchboard_dials_one_extension_after_the_other_and_hears_of_each_leg() {
    let caller =
        Caller { digits: "999101", hang_up_after_ms: Some(25_000), told: 6, without_task: true, ..Caller::default() };
    both_ways("switchboard", caller).await;
}

/// Whether one line comes after another.
fn in_order(story: &Story, first: &str, second: &str) -> bool {
    let at = |part: &str| story.happened.iter().position(|line| line.contains(part));
    at(first).is_some_and(|first| at(second).is_some_and(|second| first < second))
}

#[tokio::test]
async fn a_caller_is_a_task_only_after_the_verbs_before_the_queue() {
    let Both { story, tasks } =
        both_ways_with_tasks("owner", Caller { hang_up_after_ms: Some(16_000), ..Caller::default() }).await;
    assert!(in_order(&story, "leg: call.ended", "caller: queue.entered"), "{:?}", story.happened);
    assert!(text(&tasks[0], "attributes").contains("\"of\":\"bob\""), "{tasks:?}");
}

#[tokio::test]
async fn a_key_leads_into_another_queue_than_the_verb_after_it() {
    let caller = Caller { digits: "1", hang_up_after_ms: Some(16_000), ..Caller::default() };
    let Both { tasks, .. } = both_ways_with_tasks("owner", caller).await;
    assert!(text(&tasks[0], "attributes").contains("\"of\":\"others\""), "{tasks:?}");
}

#[tokio::test]
async fn a_caller_whom_a_key_leads_to_a_message_is_no_task() {
    both_ways("owner", Caller { digits: "2", without_task: true, ..Caller::default() }).await;
}

#[tokio::test]
async fn an_agent_takes_the_head_of_a_plain_queue_and_hangs_up_and_the_caller_is_asked_how_it_was() {
    let agent = Agent { when: "queue.entered", hang_up_after_talking_ms: Some(6_000) };
    let caller = Caller { digits: "7", without_task: true, agent: Some(agent), ..Caller::default() };
    let story = both_ways("desk", caller).await;
    assert!(in_order(&story, "queue.left bridged", "call.ended"), "{story:#?}");
    assert!(story.asked.iter().any(|asked| asked.page == "rated" && asked.what.contains("Digits=7")), "{story:#?}");
    assert!(story.agent.unwrap().happened.iter().any(|line| line == "caller: call.connected"));
}

#[tokio::test]
async fn a_caller_from_a_plain_queue_hangs_up_and_the_agents_verbs_go_on() {
    let agent = Agent { when: "queue.entered", hang_up_after_talking_ms: None };
    let caller = Caller { hang_up_after_ms: Some(15_000), without_task: true, agent: Some(agent), ..Caller::default() };
    let story = both_ways("desk", caller).await;
    assert!(in_order(&story, "queue.left bridged", "call.ended"), "{story:#?}");
    let agent = story.agent.unwrap();
    let next = agent.asked.iter().find(|asked| asked.page == "next").unwrap();
    assert!(next.what.contains("DialCallStatus=completed"), "{next:?}");
}

#[tokio::test]
async fn a_caller_and_an_agent_meet_in_a_room_of_the_applications() {
    let agent = Agent { when: "room.joined", hang_up_after_talking_ms: Some(6_000) };
    let caller = Caller { without_task: true, agent: Some(agent), told: 2, ..Caller::default() };
    let story = both_ways("meeting", caller).await;
    assert!(in_order(&story, "room.joined", "room.left"), "{story:#?}");
    assert!(story.asked.iter().any(|asked| asked.page == "bye" && asked.what.contains("DialBridged=true")));
    assert!(in_order(&story.agent.unwrap(), "room.joined", "call.ended"));
}

/// The reservation that the worker of the floor gets for the one caller; and its task.
async fn reservation_of(programs: &Programs, floor: &Floor) -> (String, String) {
    let list = format!("{}/Workers/{}/Reservations?ReservationStatus=pending", floor.base, floor.worker);
    let reservation = programs
        .until("the worker gets a reservation", async |programs: &Programs| {
            let list = programs.get(&list).await;
            list["reservations"].as_array().and_then(|items| items.first().cloned())
        })
        .await;
    (text(&reservation, "sid"), text(&reservation, "task_sid"))
}

/// A number that leads through us to the application.
async fn proxied_number(programs: &Programs, applications: &Applications, number: &str, page: &str) {
    let target =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("target", &applications.url(page)).finish();
    let order = json!({ "voice_url": format!("http://{}/voice/proxy?{target}", programs.server) });
    programs.control(Method::PUT, &format!("/numbers/{number}"), order).await;
}

/// Has the worker call the application, which dials the reservation, and waits until the two talk.
async fn take(programs: &Programs, floor: &Floor, applications: &Applications) -> String {
    let (reservation, task) = reservation_of(programs, floor).await;
    proxied_number(programs, applications, "+15550999", &format!("/{reservation}/worker/start")).await;
    let order =
        json!({ "from": "client:alice", "to": "+15550999", "behaviour": { "digits": "1", "digits_after_ms": 50 } });
    let worker = text(&programs.control(Method::POST, "/calls", order).await, "call_sid");
    programs
        .until("the task is assigned", async |programs: &Programs| {
            let row = programs.get(&format!("{}/Tasks/{task}", floor.base)).await;
            (row["assignment_status"] == "assigned").then_some(())
        })
        .await;
    worker
}

/// A worker's phone number is answered by an application that says `<Dial><Queue reservationSid>`.
#[tokio::test]
async fn a_worker_takes_the_reservation_that_the_application_dials() {
    let programs = Programs::start(4.0).await;
    let floor = programs.furnish().await;
    let applications = Applications::start(PHONE_TOKEN, TOKEN).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let order = json!({ "from": "+15551110000", "to": crate::programs::NUMBER });
    let caller = text(&programs.control(Method::POST, "/calls", order).await, "call_sid");
    let worker = take(&programs, &floor, &applications).await;
    programs.hang_up(&caller).await;
    let done = programs
        .until("the application hears of the end", async |_: &Programs| {
            applications.asked(&worker).into_iter().find(|asked| asked.page == "done")
        })
        .await;
    assert!(done.what.contains("signed=true") && done.what.contains("RecordingUrl=*"), "{done:?}");
    // What the application's <Dial> wants recorded is, and it is told.
    let told = programs
        .until("the application hears of the recording", async |_: &Programs| {
            applications.asked_by("told/recording").into_iter().next()
        })
        .await;
    assert!(told.what.contains("RecordingStatus=completed") && told.what.contains("signed=true"), "{told:?}");
}

/// After a conversation the caller is asked by verbs that have no `action`.
#[tokio::test]
async fn the_key_that_rates_a_conversation_comes_back_to_the_applications_own_url() {
    let programs = Programs::start(4.0).await;
    let floor = programs.furnish().await;
    let applications = Applications::start(PHONE_TOKEN, TOKEN).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let start = format!("/{}/rating/start?talks=1", floor.workflow);
    proxied_number(&programs, &applications, "+15550302", &start).await;
    let behaviour = json!({ "digits": "7", "digits_after_ms": 50, "speaks_ms": 4_000 });
    let order = json!({ "from": "+15551110000", "to": "+15550302", "behaviour": behaviour });
    let caller = text(&programs.control(Method::POST, "/calls", order).await, "call_sid");
    let worker = take(&programs, &floor, &applications).await;
    programs.hang_up(&worker).await;
    let starts = programs
        .until("the application gets the recording", async |_: &Programs| {
            let mut asked = applications.asked(&caller);
            asked.retain(|asked| asked.page == "start");
            asked.iter().any(|asked| asked.what.contains("RecordingUrl=")).then_some(asked)
        })
        .await;
    let [_, rated, recorded] = &starts[..] else { panic!("{starts:#?}") };
    assert!(rated.what.contains("&Digits=7&") && rated.what.contains("talks=1"), "{rated:?}");
    for asked in &starts {
        assert!(asked.what.starts_with("POST ") && asked.what.contains("signed=true"), "{asked:?}");
    }
    assert!(recorded.what.contains("talks=1"), "{recorded:?}");
}
