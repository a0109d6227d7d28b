//! Entry points and calendars: what callers meet before the routing, over the API and over the phone.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use reqwest::StatusCode as Status;
use serde_json::{Value, json};

use crate::api::{ACCOUNT, Server, text as text_of};
use crate::programs::{Floor, NUMBER, PHONE_ACCOUNT, Programs, text};

async fn refused(server: &Server, path: &str, form: &str, words: &str) {
    let answer = server.post(path, form).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{form}: {}", answer.body);
    assert!(text_of(&answer.body["message"]).contains(words), "{form}: {}", answer.body);
}

#[tokio::test]
async fn what_is_wrong_with_a_calendar_or_an_entry_point_is_named() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let workflow = text_of(&server.get(&format!("{workspace}/Workflows")).await.body["workflows"][0]["sid"]).to_owned();
    let calendars = format!("{workspace}/Calendars");
    for (form, words) in [
        ("TimeZone=UTC", "FriendlyName field is required"),
        ("FriendlyName=+&TimeZone=UTC", "FriendlyName field is required"),
        ("FriendlyName=c", "TimeZone field is required"),
        ("FriendlyName=c&TimeZone=Nowhere/Land", "Invalid TimeZone: expected the name of a time zone"),
        ("FriendlyName=c&TimeZone=UTC&Hours=x", "Invalid Hours: "),
        ("FriendlyName=c&TimeZone=UTC&Hours={\"mon\":[\"9-17\"]}", "Invalid Hours: mon: expected hours"),
        ("FriendlyName=c&TimeZone=UTC&Hours={\"someday\":[]}", "Invalid Hours: expected mon, tue"),
        ("FriendlyName=c&TimeZone=UTC&Exceptions=[{\"date\":\"tomorrow\"}]", "Invalid Exceptions: expected a date"),
        ("FriendlyName=c&TimeZone=UTC&Exceptions=[{\"day\":1}]", "Invalid Exceptions: unknown field"),
    ] {
        refused(&server, &calendars, form, words).await;
    }
    let entry_points = format!("{workspace}/EntryPoints");
    let with = |form: &str| format!("FriendlyName=e&WorkflowSid={workflow}&{form}");
    for (form, words) in [
        ("FriendlyName=e".to_owned(), "WorkflowSid field is required"),
        ("FriendlyName=e&WorkflowSid=WW1".to_owned(), "Invalid WorkflowSid"),
        (with("Attributes=[]"), "Invalid Attributes"),
        (with("Priority=-1"), "Invalid Priority"),
        (with("Timeout=0"), "Invalid Timeout"),
        (with("GreetingUrl=ftp://x"), "Invalid GreetingUrl"),
        (with(&format!("Greeting={}", "x".repeat(1_001))), "Invalid Greeting: longer than 1000"),
        (with("ClosedAction=sing"), "Invalid ClosedAction: 'sing' is not one of apology, voicemail, dial"),
        (with("ClosedAction=dial"), "Invalid ClosedNumber: '' is not a number to dial"),
        (with("OverflowAction=dial&OverflowNumber=%2B4930123"), "dial.allow"),
        (
            with("CalendarSid=CL00000000000000000000000000000000"),
            "CalendarSid CL00000000000000000000000000000000 does not",
        ),
    ] {
        refused(&server, &entry_points, &form, words).await;
    }
    assert_eq!(server.get(&calendars).await.body["calendars"], json!([]), "what is refused is not there");
    server.stop().await;
}

#[tokio::test]
async fn entry_points_and_calendars_have_names_versions_and_each_other() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let workflow = text_of(&server.get(&format!("{workspace}/Workflows")).await.body["workflows"][0]["sid"]).to_owned();
    let calendars = format!("{workspace}/Calendars");
    let hours = r#"{"mon":["09:00-17:00"]}"#;
    let made = server.make(&calendars, &format!("FriendlyName=Office&TimeZone=Europe/Berlin&Hours={hours}")).await;
    let calendar = text_of(&made["sid"]).to_owned();
    assert_eq!((&made["hours"], &made["exceptions"]), (&json!({ "mon": ["09:00-17:00"] }), &json!([])));
    assert!(made["next_change"].is_string(), "{made}");
    refused(&server, &calendars, "FriendlyName=Office&TimeZone=UTC", "Calendar named Office already exists").await;

    let entry_points = format!("{workspace}/EntryPoints");
    let form = format!("FriendlyName=Sales&WorkflowSid={workflow}&CalendarSid={calendar}&Greeting=Hi&Priority=5");
    let made = server.make(&entry_points, &form).await;
    let sid = text_of(&made["sid"]).to_owned();
    assert_eq!(made["voice_url"], format!("https://calls.example/voice/entries/{sid}"));
    assert_eq!((&made["priority"], &made["closed_action"]), (&json!(5), &json!("apology")));
    let other = server.make(&entry_points, &format!("FriendlyName=Support&WorkflowSid={workflow}")).await;

    // A change keeps what it does not name, takes away what it names as empty, and knows versions.
    let path = format!("{entry_points}/{sid}");
    let call =
        async |form: &str, if_match: Option<&str>| server.call(ACCOUNT, Method::POST, &path, form, if_match).await;
    let changed = call("Priority=&Greeting=Good+day&OverflowAction=voicemail", Some("\"0\"")).await;
    assert_eq!(changed.headers["etag"], "\"1\"");
    assert_eq!((&changed.body["priority"], &changed.body["greeting"]), (&Value::Null, &json!("Good day")));
    assert_eq!((&changed.body["calendar_sid"], &changed.body["version"]), (&json!(calendar), &json!(1)));
    assert_eq!(call("Greeting=x", Some("\"0\"")).await.status, StatusCode::PRECONDITION_FAILED);
    refused(&server, &path, "FriendlyName=Support", "EntryPoint named Support already exists").await;
    let stale = server.call(ACCOUNT, Method::DELETE, &path, "", Some("\"0\"")).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);

    // A calendar that is followed stays.
    let refusal = server.delete(&format!("{calendars}/{calendar}")).await;
    assert_eq!(refusal.status, StatusCode::BAD_REQUEST, "{}", refusal.body);
    assert!(text_of(&refusal.body["message"]).contains(&format!("entry point {sid} follows it")));
    call("CalendarSid=", None).await;
    assert_eq!(server.delete(&format!("{calendars}/{calendar}")).await.status, StatusCode::NO_CONTENT);

    // Pages, by name and by age.
    let page = server.get(&format!("{entry_points}?PageSize=1")).await.body;
    assert_eq!((page["entry_points"].as_array().unwrap().len(), &page["entry_points"][0]["sid"]), (1, &json!(sid)));
    let next = server.get(text_of(&page["meta"]["next_page_url"])).await.body;
    assert_eq!(next["entry_points"][0]["sid"], other["sid"]);
    let named = server.get(&format!("{entry_points}?FriendlyName=Support")).await.body;
    assert_eq!(named["entry_points"].as_array().unwrap().len(), 1);

    // They go with their workspace.
    assert_eq!(server.delete(&workspace).await.status, StatusCode::NO_CONTENT);
    assert!(server.store.entry_anywhere(switchhook::store::EntryKind::EntryPoint, &sid).await.unwrap().is_none());
    server.stop().await;
}

#[tokio::test]
async fn a_calendar_says_whether_it_is_open_now() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let path = format!("{workspace}/Calendars");
    let week = |span: &str| {
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].map(|day| format!("\"{day}\":[\"{span}\"]"));
        format!("{{{}}}", days.join(","))
    };
    let form = format!("FriendlyName=Always&TimeZone=Asia/Tokyo&Hours={}", week("00:00-24:00"));
    let always = server.make(&path, &form).await;
    assert_eq!((&always["open"], &always["next_change"]), (&json!(true), &Value::Null));
    let form = format!("FriendlyName=Mornings&TimeZone=Asia/Tokyo&Hours={}", week("00:00-12:00"));
    let mornings = server.make(&path, &form).await;
    let path = format!("{path}/{}", text_of(&mornings["sid"]));
    server.clock.advance(Duration::from_hours(12));
    let later = server.get(&path).await.body;
    assert_ne!(mornings["open"], later["open"], "twelve hours later it is the other half of the day");
    assert_ne!(mornings["next_change"], later["next_change"]);
    server.stop().await;
}

/// The parameters of a call's first webhook.
fn call(sid: &str) -> Vec<(&str, &str)> {
    vec![
        ("CallSid", sid),
        ("AccountSid", PHONE_ACCOUNT),
        ("From", "+15551110000"),
        ("To", NUMBER),
        ("CallStatus", "ringing"),
    ]
}

async fn entry_point(programs: &Programs, floor: &Floor, form: &[(&str, &str)]) -> String {
    let mut all = vec![("FriendlyName", "Sales"), ("WorkflowSid", floor.workflow.as_str())];
    all.extend(form);
    text(&programs.post(&format!("{}/EntryPoints", floor.base), &all).await, "sid")
}

async fn tasks(programs: &Programs, floor: &Floor) -> Vec<Value> {
    programs.get(&format!("{}/Tasks", floor.base)).await["tasks"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_caller_is_greeted_and_enqueued_or_meets_what_the_entry_point_says() {
    let mut programs = Programs::start(1.0).await;
    programs.terminate_server().await;
    programs.environment.push(("SWITCHHOOK_WAITING_CALLS_MAX", "1".to_owned()));
    programs.start_server().await;
    let floor = programs.furnish().await;
    let form = [
        ("Greeting", "Welcome to <Bee & Sons>"),
        ("Attributes", r#"{"type":"sales","call_sid":"forged"}"#),
        ("Priority", "7"),
        ("OverflowAction", "dial"),
        ("OverflowText", "We connect you."),
        ("OverflowNumber", "client:night"),
    ];
    let sid = entry_point(&programs, &floor, &form).await;
    let path = format!("/voice/entries/{sid}");

    let (status, document) = programs.voice(&path, &call("CA1")).await;
    assert_eq!(status, Status::OK);
    let after_greeting = |document: &str| {
        let greeting = "<Say>Welcome to &lt;Bee &amp; Sons&gt;</Say><Redirect method=\"POST\">";
        let (_, rest) = document.split_once(greeting).expect(document);
        let url = rest.split_once("</Redirect>").unwrap().0.replace("&amp;", "&");
        url.split_once('#').unwrap().0.strip_prefix(&format!("http://{}", programs.server)).unwrap().to_owned()
    };
    assert!(tasks(&programs, &floor).await.is_empty(), "nobody is offered a caller who is being greeted");
    let (_, parked) = programs.voice(&after_greeting(&document), &call("CA1")).await;
    assert!(parked.contains("<Response><Enqueue action="), "{parked}");
    let rows = tasks(&programs, &floor).await;
    let attributes: Value = serde_json::from_str(&text(&rows[0], "attributes")).unwrap();
    assert_eq!(
        (&attributes["type"], &attributes["call_sid"], &rows[0]["priority"]),
        (&json!("sales"), &json!("CA1"), &json!(7))
    );
    assert_eq!(programs.voice(&path, &call("CA1")).await.1, document, "the same call again");
    assert_eq!(programs.voice(&after_greeting(&document), &call("CA1")).await.1, parked);
    assert_eq!(tasks(&programs, &floor).await.len(), 1);

    // The queue is full.
    let (_, document) = programs.voice(&path, &call("CA2")).await;
    let (_, document) = programs.voice(&after_greeting(&document), &call("CA2")).await;
    let overflow = format!("http://{}{path}/overflow", programs.server);
    assert_eq!(document.matches(&format!("<Redirect method=\"POST\">{overflow}</Redirect>")).count(), 1, "{document}");
    let (_, document) = programs.voice(&format!("{path}/overflow"), &call("CA2")).await;
    assert!(document.contains("<Say>We connect you.</Say><Dial><Client>night</Client></Dial>"), "{document}");

    // Nobody takes the call: its task is canceled, and the caller, let go, comes to the same place.
    let task = text(&rows[0], "sid");
    programs.post(&format!("{}/Tasks/{task}", floor.base), &[("AssignmentStatus", "canceled")]).await;
    let (_, document) = programs.voice(&format!("/voice/tasks/{task}/left?released=1"), &call("CA1")).await;
    assert!(document.contains(&overflow), "{document}");
    let (_, document) = programs.voice(&format!("{path}/overflow"), &call("CA1")).await;
    assert!(document.contains("<Client>night</Client>"), "{document}");

    // Closed; what is unknown is answered all the same.
    let closed = [("FriendlyName", "Never"), ("TimeZone", "Europe/Berlin")];
    let calendar = text(&programs.post(&format!("{}/Calendars", floor.base), &closed).await, "sid");
    let change = [("CalendarSid", calendar.as_str()), ("ClosedText", "Closed & dark")];
    programs.post(&format!("{}/EntryPoints/{sid}", floor.base), &change).await;
    let (_, document) = programs.voice(&path, &call("CA3")).await;
    assert!(document.contains("<Say>Closed &amp; dark</Say><Hangup/>"), "{document}");
    for unknown in
        ["/voice/entries/EP00000000000000000000000000000000", "/voice/entries/x", "/voice/entries/x/overflow"]
    {
        let (status, document) = programs.voice(unknown, &call("CA4")).await;
        assert!(status == Status::OK && document.contains("<Hangup/>"), "{unknown}: {status} {document}");
    }
    assert_eq!(tasks(&programs, &floor).await.iter().filter(|row| row["assignment_status"] == "pending").count(), 0);
}

#[tokio::test]
async fn a_message_that_a_caller_leaves_becomes_a_task_once() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let closed = [("FriendlyName", "Never"), ("TimeZone", "UTC")];
    let calendar = text(&programs.post(&format!("{}/Calendars", floor.base), &closed).await, "sid");
    let form =
        [("CalendarSid", calendar.as_str()), ("ClosedAction", "voicemail"), ("Attributes", r#"{"line":"sales"}"#)];
    let sid = entry_point(&programs, &floor, &form).await;
    let path = format!("/voice/entries/{sid}");
    let number = json!({ "voice_url": format!("http://{}{path}", programs.server) });
    programs.control(Method::PUT, &format!("/numbers/{NUMBER}"), number).await;
    let answer = programs.control(Method::POST, "/calls", json!({ "from": "+15551110000", "to": NUMBER })).await;
    let caller = text(&answer, "call_sid");
    programs
        .until("the caller speaks", async |programs: &Programs| {
            let list = programs.phone_get(&format!("/Recordings.json?CallSid={caller}")).await;
            list["recordings"].as_array().is_some_and(|rows| !rows.is_empty()).then_some(())
        })
        .await;
    programs.hang_up(&caller).await;
    let task = programs
        .until("the message is a task", async |programs: &Programs| tasks(programs, &floor).await.first().cloned())
        .await;
    let attributes: Value = serde_json::from_str(&text(&task, "attributes")).unwrap();
    assert_eq!((&attributes["type"], &attributes["line"]), (&json!("voicemail"), &json!("sales")));
    assert_eq!((&attributes["from"], &attributes["to"]), (&json!("+15551110000"), &json!(NUMBER)));
    assert_eq!(task["task_channel_unique_name"], "default");
    let recording = text(&attributes, "recording_sid");
    assert!(text(&attributes, "recording_url").contains(&recording), "{attributes}");

    // The phone system tells it again.
    let again = [("CallSid", caller.as_str()), ("RecordingSid", &recording), ("RecordingUrl", "http://x/y")];
    let (status, _) = programs.voice(&format!("{path}/voicemail?CallerFrom=x"), &again).await;
    assert_eq!(status, Status::NO_CONTENT);
    assert_eq!(tasks(&programs, &floor).await.len(), 1);
    let (_, document) = programs.voice(&format!("{path}/recorded"), &call(&caller)).await;
    assert!(document.contains("Thank you."), "{document}");
}

/// What the phone system tells of a recording.
fn recorded<'a>(call: &'a str, recording: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("CallSid", call),
        ("AccountSid", PHONE_ACCOUNT),
        ("RecordingSid", recording),
        ("RecordingUrl", "https://phone.example/recording"),
        ("RecordingStatus", "completed"),
    ]
}

#[tokio::test]
async fn a_recording_that_is_told_of_at_once_and_again_after_a_restart_is_one_task() {
    let mut programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let sid = entry_point(&programs, &floor, &[("ClosedAction", "voicemail")]).await;
    let path = format!("/voice/entries/{sid}/voicemail?CallerFrom=x");
    let (first, second) = (recorded("CA1", "RE1"), recorded("CA2", "RE2"));
    let answers = tokio::join!(
        programs.voice(&path, &first),
        programs.voice(&path, &first),
        programs.voice(&path, &first),
        programs.voice(&path, &first)
    );
    for (status, _) in [answers.0, answers.1, answers.2, answers.3] {
        assert_eq!(status, Status::NO_CONTENT);
    }
    let made = tasks(&programs, &floor).await;
    assert_eq!(made.len(), 1, "{made:?}");
    programs.terminate_server().await;
    programs.start_server().await;
    assert_eq!(programs.voice(&path, &first).await.0, Status::NO_CONTENT);
    assert_eq!(tasks(&programs, &floor).await.len(), 1, "told again after the restart");
    assert_eq!(programs.voice(&path, &second).await.0, Status::NO_CONTENT);
    assert_eq!(tasks(&programs, &floor).await.len(), 2, "another message is another task");
}

#[tokio::test]
async fn a_message_instead_of_waiting_goes_to_the_voicemail_workflow_of_the_entry_point() {
    let mut programs = Programs::start(1.0).await;
    programs.terminate_server().await;
    programs.environment.push(("SWITCHHOOK_WAIT_VOICEMAIL_KEY", "2".to_owned()));
    programs.start_server().await;
    let floor = programs.furnish().await;
    let queue = text(&programs.get(&format!("{}/TaskQueues", floor.base)).await["task_queues"][0], "sid");
    let configuration = json!({ "task_routing": { "default_filter": { "queue": queue } } }).to_string();
    let form = [("FriendlyName", "Messages"), ("Configuration", configuration.as_str())];
    let messages = text(&programs.post(&format!("{}/Workflows", floor.base), &form).await, "sid");
    let form = [("VoicemailWorkflowSid", messages.as_str()), ("Attributes", r#"{"line":"sales"}"#)];
    let sid = entry_point(&programs, &floor, &form).await;
    programs.voice(&format!("/voice/entries/{sid}"), &call("CA1")).await;
    let task = text(&tasks(&programs, &floor).await[0], "sid");
    let with = |more: &[(&'static str, &'static str)]| [call("CA1").as_slice(), more].concat();
    programs.voice(&format!("/voice/tasks/{task}/wait"), &with(&[])).await;
    let (_, leave) = programs.voice(&format!("/voice/tasks/{task}/choice"), &with(&[("Digits", "2")])).await;
    assert!(leave.contains("<Leave/>"), "{leave}");
    let (_, record) = programs.voice(&format!("/voice/tasks/{task}/left"), &with(&[("QueueResult", "leave")])).await;
    assert!(record.contains("<Record"), "{record}");
    for _ in 0..2 {
        programs.voice(&format!("/voice/cb/recording/{task}"), &recorded("CA1", "RE1")).await;
    }
    let rows = tasks(&programs, &floor).await;
    let made: Vec<&Value> = rows.iter().filter(|row| text(row, "sid") != task).collect();
    assert_eq!(made.len(), 1, "{rows:?}");
    assert_eq!((&made[0]["workflow_sid"], &made[0]["task_channel_unique_name"]), (&json!(messages), &json!("default")));
    let attributes: Value = serde_json::from_str(&text(made[0], "attributes")).unwrap();
    assert_eq!(
        (&attributes["type"], &attributes["line"], &attributes["from"], &attributes["to"]),
        (&json!("voicemail"), &json!("sales"), &json!("+15551110000"), &json!(NUMBER))
    );
}

#[tokio::test]
async fn a_file_of_entry_points_is_there_after_the_start() {
    let mut programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let workspace = floor.base.strip_prefix("/Workspaces/").unwrap().to_owned();
    let file = programs.directory.path().join("entries.toml");
    let text = |greeting: &str| {
        format!(
            "[[calendars]]\nworkspace = '{workspace}'\nfriendly_name = 'Never'\ntime_zone = 'UTC'\n\
             [[entry_points]]\nworkspace = '{workspace}'\nfriendly_name = 'Sales'\nworkflow = '{}'\n\
             calendar = 'Never'\ngreeting = '{greeting}'\nclosed = {{ action = 'voicemail' }}\n",
            floor.workflow
        )
    };
    programs.environment.push(("SWITCHHOOK_ENTRIES_FILE", file.display().to_string()));
    let mut seen = Vec::new();
    for (greeting, version) in [("Hi", 0), ("Hi", 0), ("Hello", 1)] {
        programs.terminate_server().await;
        std::fs::write(&file, text(greeting)).unwrap();
        programs.start_server().await;
        let list = programs.get(&format!("{}/EntryPoints", floor.base)).await;
        let rows = list["entry_points"].as_array().unwrap();
        assert_eq!((rows.len(), &rows[0]["greeting"], &rows[0]["version"]), (1, &json!(greeting), &json!(version)));
        assert_eq!(rows[0]["closed_action"], "voicemail");
        let calendars = programs.get(&format!("{}/Calendars", floor.base)).await;
        assert_eq!(calendars["calendars"][0]["sid"], rows[0]["calendar_sid"]);
        seen.push(self::text(&rows[0], "sid"));
    }
    assert!(seen.iter().all(|sid| *sid == seen[0]), "the same one, by its name");
}
