//! What waiting callers hear, and what their applications are told meanwhile.

use super::*;

/// Has a call come in and wait; returns its task.
async fn park(bench: &Bench, call: &str, query: &str) -> String {
    let (_, park) = bench.post(&bench.target(query), &[("CallSid", call), ("From", "+15550001")]).await;
    task_of(&park)
}

#[tokio::test]
async fn the_application_is_told_where_its_caller_stands_in_the_task_queue() {
    let bench = Bench::start().await;
    let (url, forms) = application("<Response><Pause/></Response>").await;
    let query = format!("?{}", serde_urlencoded::to_string([("WaitUrl", &url)]).unwrap());
    let first = park(&bench, "CA1", &query).await;
    // Came later and goes first.
    park(&bench, "CA2", "?Priority=9").await;
    let asked = [
        ("CallSid", "CA1"),
        ("QueuePosition", "1"),
        ("CurrentQueueSize", "17"),
        ("AvgQueueTime", "17"),
        ("QueueTime", "3"),
    ];
    bench.post(&format!("/voice/tasks/{first}/wait"), &asked).await;
    let form = forms.lock().unwrap()[0].clone();
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(&form).unwrap();
    let values = |name: &str| -> Vec<&str> {
        pairs.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str()).collect()
    };
    let queue = bench.rows().await.task_queues[0].sid.to_string();
    let queue_sid = format!("QU{}", &bench.workflow[2..]);
    for (name, expected) in [
        ("TaskSid", first.as_str()),
        ("WorkflowSid", &bench.workflow),
        ("QueueSid", &queue_sid),
        ("QueuePosition", "2"),
        ("TaskQueuePosition", "2"),
        ("TasksAhead", "1"),
        ("CurrentQueueSize", "2"),
        ("AvgQueueTime", "0"),
        ("QueueTime", "3"),
        ("TaskQueueSid", &queue),
        ("TaskPriority", "0"),
        ("TaskAge", "0"),
        ("WorkersAvailable", "0"),
    ] {
        assert_eq!(values(name), [expected], "{name} in {form}");
    }
    assert_eq!(values("EstimatedWaitTime"), [""; 0], "nothing is known yet");
}

#[tokio::test]
async fn a_caller_hears_how_many_are_ahead_in_the_language_of_the_task() {
    let bench = Bench::start().await;
    let mut tasks = Vec::new();
    for (call, query) in [("CA1", ""), ("CA2", "?Task=%7B%22language%22%3A%22en-GB%22%7D"), ("CA3", "")] {
        tasks.push(park(&bench, call, query).await);
    }
    for (task, heard) in [
        (0, "<Say>Please hold. The next available agent will take your call. You are the next in line.</Say>"),
        (1, "<Say language=\"en-GB\">Please hold. The next available agent will take your call. There is one caller"),
        (2, " There are 2 callers ahead of you.</Say><Pause length=\"20\"/></Response>"),
    ] {
        let (_, wait) = bench.post(&format!("/voice/tasks/{}/wait", tasks[task]), &[("CallSid", "CA")]).await;
        assert!(wait.contains(heard), "{wait}");
    }
}

const WAITS: (&str, &str) = ("CallStatus", "in-progress");

/// Whom legs are dialled to.
fn dialling(list: &[&str]) -> Dialling {
    Dialling { rules: Arc::new(DialRules::parse(list).unwrap()), ..Dialling::default() }
}

async fn with_callbacks(limit: u32) -> Bench {
    let wait = config::Wait { callback_prefixes: vec!["+1".to_owned()], ..config::Wait::default() };
    let limits = Limits { waiting_calls: limit, dialling: dialling(&["+1"]).into(), ..Limits::default() };
    Bench::start_waiting(limits, PublicUrl::Fixed(BASE.to_owned()), Duration::from_secs(5), wait).await
}

#[tokio::test]
async fn a_caller_who_chooses_a_callback_may_hang_up_and_keeps_the_task() {
    let bench = with_callbacks(100).await;
    let (action, asked) = application("<Response/>").await;
    let query = format!("?{}", serde_urlencoded::to_string([("Action", &action)]).unwrap());
    let task = park(&bench, "CA1", &query).await;
    let base = format!("/voice/tasks/{task}");
    let press = async |path: &str, digits: &str| {
        bench.post(&format!("{base}/{path}"), &[("CallSid", "CA1"), WAITS, ("Digits", digits)]).await.1
    };
    let wait = press("wait", "").await;
    let gather = format!("numDigits=\"1\" timeout=\"1\" action=\"{BASE}{base}/choice\" method=\"POST\">");
    assert!(wait.contains(&gather) && wait.contains("without losing your place, press 1."), "{wait}");
    let again = press("choice", "7").await;
    assert_eq!(again, wait, "a key without a meaning");
    let offer = press("choice", "1").await;
    assert!(offer.contains("at + 1 5 5 5 0 0 0 1,"), "{offer}");
    assert_eq!(press("callback", "2").await, wait, "no consent");
    assert!(!bench.rows().await.tasks[0].attributes.contains("outbound_to"));
    for _ in 0..2 {
        let done = press("callback", "1").await;
        assert!(done.contains("we will call you back") && done.contains("<Hangup/>"), "{done}");
    }
    assert!(press("wait", "").await.contains("we will call you back"), "the call should be over by now");
    let gone = [("CallSid", "CA1"), ("CallStatus", "completed"), ("QueueResult", "hangup"), ("QueueTime", "9")];
    let (_, left) = bench.post(&format!("{base}/left"), &gone).await;
    assert!(left.ends_with("<Response/>"), "{left}");
    bench.post("/voice/cb/call/inbound", &gone).await;
    let rows = bench.rows().await;
    assert_eq!((rows.tasks.len(), rows.tasks[0].status), (1, TaskStatus::Pending));
    let attributes: serde_json::Value = serde_json::from_str(&rows.tasks[0].attributes).unwrap();
    assert_eq!((&attributes["callback"], &attributes["outbound_to"]), (&true.into(), &"+15550001".into()));
    assert_eq!((&attributes["call_sid"], &attributes["from"]), (&"CA1".into(), &"+15550001".into()));
    assert!(asked.lock().unwrap().is_empty(), "nobody gave up");
}

#[tokio::test]
async fn the_number_callback_tells_that_whoever_is_to_be_called_back_has_hung_up() {
    let bench = with_callbacks(100).await;
    let task = park(&bench, "CA1", "").await;
    let pairs = [("CallSid", "CA1"), WAITS, ("Digits", "1")];
    bench.post(&format!("/voice/tasks/{task}/callback"), &pairs).await;
    let is_on_line = async || {
        let row = bench.store.voice_task(task.parse().unwrap()).await.unwrap().unwrap();
        let record: VoiceTask = serde_json::from_str(&row.state.json()).unwrap();
        record.callback.unwrap().on_line
    };
    assert!(is_on_line().await, "the goodbye is being said");
    for (call, expected) in [("CA2", true), ("CA1", false)] {
        let over = [("CallSid", call), ("CallStatus", "completed")];
        assert_eq!(bench.post("/voice/cb/call/inbound", &over).await.0, StatusCode::NO_CONTENT);
        assert_eq!(is_on_line().await, expected, "{call}");
    }
    assert_eq!(bench.rows().await.tasks[0].status, TaskStatus::Pending);
}

#[tokio::test]
async fn a_callback_is_for_allowed_numbers_and_for_the_caller_alone() {
    let bench = with_callbacks(1).await;
    let post = async |task: &str, path: &str, call: &str, digits: &str| {
        let pairs = [("CallSid", call), WAITS, ("Digits", digits)];
        bench.post(&format!("/voice/tasks/{task}/{path}"), &pairs).await.1
    };
    let (_, parked) = bench.post(&bench.target(""), &[("CallSid", "CA0"), ("From", "+4930123456")]).await;
    let foreign = task_of(&parked);
    for path in ["wait", "choice", "callback"] {
        let answer = post(&foreign, path, "CA0", "1").await;
        assert!(!answer.contains("<Gather") && !answer.contains("will call you back"), "{path}: {answer}");
    }
    bench.engine.send(bench.workspace, EngineRequest::Routing(canceled(foreign.parse().unwrap()))).await.unwrap();
    let first = park(&bench, "CA1", "").await;
    let refused = post(&first, "callback", "CA2", "1").await;
    assert!(refused.contains("stay on the line") && refused.contains("/wait</Redirect>"), "another call: {refused}");
    let target = format!("/voice/tasks/{first}/callback");
    let pairs = [("CallSid", "CA1"), WAITS, ("Digits", "1")];
    let signature = signature::sign_form("foreign token", &format!("{BASE}{target}"), &pairs);
    let (_, foreign) = bench.send(form(&target, &pairs, Some((signature::HEADER, &signature)))).await;
    assert!(foreign.contains("Nobody can take your call"), "another account: {foreign}");
    assert!(post(&first, "callback", "CA1", "1").await.contains("<Hangup/>"));
    // As many as may wait on the line: one.
    let second = park(&bench, "CA2", "").await;
    assert!(post(&second, "callback", "CA2", "1").await.contains("stay on the line"));
    let rows = bench.rows().await;
    assert_eq!(rows.tasks.iter().filter(|task| task.status == TaskStatus::Pending).count(), 2);
}

#[tokio::test]
async fn no_callback_is_offered_or_promised_that_could_never_be_dialled() {
    let all = dialling(&["+1"]);
    let nobody = Dialling { per_minute: 0, ..all.clone() };
    for (from, dialling, offered) in [
        ("+15550001234", all.clone(), true),
        ("+19005551234", all, false),
        ("+15550001234", dialling(&["+49"]), false),
        ("+15550001234", dialling(&[]), false),
        ("+15550001234", nobody, false),
    ] {
        let wait = config::Wait { callback_prefixes: vec!["+1".to_owned()], ..config::Wait::default() };
        let limits = Limits { dialling: dialling.clone().into(), ..Limits::default() };
        let requested_url = PublicUrl::Fixed(BASE.to_owned());
        let bench = Bench::start_waiting(limits, requested_url, Duration::from_secs(5), wait).await;
        let (_, parked) = bench.post(&bench.target(""), &[("CallSid", "CA1"), ("From", from)]).await;
        let task = task_of(&parked);
        let press = async |path: &str| {
            let pairs = [("CallSid", "CA1"), WAITS, ("Digits", "1")];
            bench.post(&format!("/voice/tasks/{task}/{path}"), &pairs).await.1
        };
        let what = format!("{from} {dialling:?}");
        assert_eq!(press("wait").await.contains("<Gather"), offered, "{what}");
        assert_eq!(press("choice").await.contains("call you back"), offered, "{what}");
        let confirmed = press("callback").await;
        assert_eq!(confirmed.contains("we will call you back"), offered, "{what}: {confirmed}");
        assert_eq!(confirmed.contains("stay on the line"), !offered, "{what}: {confirmed}");
        assert_eq!(bench.rows().await.tasks[0].attributes.contains("outbound_to"), offered, "{what}");
    }
}

#[tokio::test]
async fn a_caller_who_leaves_a_message_is_recorded_and_the_recording_becomes_a_task_once() {
    let wait = config::Wait { voicemail_key: Some("2".to_owned()), ..config::Wait::default() };
    let requested_url = PublicUrl::Fixed(BASE.to_owned());
    let bench = Bench::start_waiting(Limits::default(), requested_url, Duration::from_secs(5), wait).await;
    let (action, asked) = application("<Response/>").await;
    let query = format!("?{}", serde_urlencoded::to_string([("Action", &action)]).unwrap());
    let task = park(&bench, "CA1", &query).await;
    let base = format!("/voice/tasks/{task}");
    let post = async |path: &str, more: &[(&str, &str)]| {
        bench.post(path, &[&[("CallSid", "CA1"), WAITS], more].concat()).await.1
    };
    let recording = format!("/voice/cb/recording/{task}");
    let recorded = [
        ("RecordingSid", "RE1"),
        ("RecordingUrl", "https://phone/RE1"),
        ("RecordingStatus", "completed"),
        ("RecordingDuration", "12"),
    ];
    assert!(post(&format!("{base}/wait"), &[]).await.contains("To leave a message, press 2."));
    post(&recording, &recorded).await;
    assert!(!bench.rows().await.tasks[0].attributes.contains("voicemail"), "nobody said so");
    assert!(post(&format!("{base}/choice"), &[("Digits", "2")]).await.contains("<Response><Leave/></Response>"));
    let left = post(&format!("{base}/left"), &[("QueueResult", "leave")]).await;
    assert!(left.contains(&format!("recordingStatusCallback=\"{BASE}{recording}\"")), "{left}");
    assert!(left.contains("maxLength=\"120\""), "{left}");
    assert_eq!(post(&format!("{base}/left"), &[("QueueResult", "leave")]).await, left, "a repeated webhook");
    assert!(post(&format!("{base}/recorded"), &[]).await.contains("Thank you"));
    let absent = [("RecordingSid", "RE1"), ("RecordingUrl", "https://phone/RE1"), ("RecordingStatus", "absent")];
    post(&recording, &absent).await;
    assert!(!bench.rows().await.tasks[0].attributes.contains("voicemail"), "nothing was said");
    post(&recording, &recorded).await;
    let rows = bench.rows().await;
    assert_eq!((rows.tasks[0].status, rows.tasks[0].reason.as_deref()), (TaskStatus::Canceled, Some("voicemail")));
    let attributes: serde_json::Value = serde_json::from_str(&rows.tasks[0].attributes).unwrap();
    let made = &rows.tasks[1];
    let noted = serde_json::json!({
        "recording_sid": "RE1",
        "recording_url": "https://phone/RE1",
        "duration": 12,
        "task_sid": made.sid.to_string(),
    });
    assert_eq!(attributes["voicemail"], noted);
    let of_message: serde_json::Value = serde_json::from_str(&made.attributes).unwrap();
    for (key, value) in [
        ("type", serde_json::json!("voicemail")),
        ("recording_sid", serde_json::json!("RE1")),
        ("recording_url", serde_json::json!("https://phone/RE1")),
        ("recording_duration", serde_json::json!(12)),
        ("recorded_call_sid", serde_json::json!("CA1")),
        ("from", serde_json::json!("+15550001")),
        ("to", attributes["to"].clone()),
        ("call_sid", serde_json::Value::Null),
        ("voicemail", serde_json::Value::Null),
    ] {
        assert_eq!(of_message[key], value, "{key} of {of_message}");
    }
    assert_eq!((made.status, made.workflow), (TaskStatus::Pending, rows.tasks[0].workflow));
    let channel = rows.task_channels.iter().find(|channel| channel.sid == made.channel).unwrap();
    assert_eq!(channel.unique_name, "default");
    post(&recording, &recorded).await;
    assert_eq!(bench.task_count().await, 2, "the phone system tells it again");
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_caller_whose_task_is_over_leaves_the_queue_with_the_next_wait_document() {
    let bench = Bench::start().await;
    let task = park(&bench, "CA1", "").await;
    let wait = format!("/voice/tasks/{task}/wait");
    assert!(!bench.post(&wait, &[("CallSid", "CA1"), WAITS]).await.1.contains("<Leave"));
    bench.engine.send(bench.workspace, EngineRequest::Routing(canceled(task.parse().unwrap()))).await.unwrap();
    // Without a phone system the redirect cannot be made; its outcome comes by itself.
    while !bench.post(&wait, &[("CallSid", "CA1"), WAITS]).await.1.contains("<Response><Leave/></Response>") {
        tokio::task::yield_now().await;
    }
}
