//! An administrator asks why: why a task waits, why a worker gets nothing, how long it will take, what would happen.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::api::{Server, text};

/// A floor with one queue for supporters, a workflow with two steps and a default, and its parts by name.
struct Floor {
    server: Server,
    workspace: String,
    queue: String,
    workflow: String,
    available: String,
    offline: String,
}

impl Floor {
    async fn open() -> Self {
        let server = Server::start().await;
        let made = server.make("/Workspaces", "FriendlyName=Floor").await;
        let workspace = format!("/Workspaces/{}", text(&made["sid"]));
        let queue = server
            .make(
                &format!("{workspace}/TaskQueues"),
                &form(&[("FriendlyName", "Support"), ("TargetWorkers", "skills HAS 'support'")]),
            )
            .await;
        let queue = text(&queue["sid"]).to_owned();
        let configuration = json!({ "task_routing": {
            "filters": [
                { "filter_friendly_name": "Complaints", "expression": "type == 'complaint' AND level > 3",
                  "targets": [{ "queue": queue }] },
                { "filter_friendly_name": "Languages", "expression": "language != null", "targets": [
                    { "queue": queue, "expression": "worker.languages HAS task.language", "timeout": 30, "priority": 5 },
                    { "expression": "worker.level >= 2 AND worker.languages HAS 'en'", "timeout": 30 } ] },
                { "filter_friendly_name": "Personal", "expression": "agent != null", "targets": [
                    { "queue": queue, "known_worker_friendly_name": "task.agent", "timeout": 60 } ] },
            ],
            "default_filter": { "queue": queue } } });
        let workflow = server
            .make(
                &format!("{workspace}/Workflows"),
                &form(&[("FriendlyName", "Inbound"), ("Configuration", &configuration.to_string())]),
            )
            .await;
        let workflow = text(&workflow["sid"]).to_owned();
        let available = server.activity(&workspace, "Available").await;
        let offline = server.activity(&workspace, "Offline").await;
        Self { server, workspace, queue, workflow, available, offline }
    }

    fn path(&self, rest: &str) -> String {
        format!("{}{rest}", self.workspace)
    }

    async fn worker(&self, name: &str, attributes: &Value) -> String {
        let form =
            form(&[("FriendlyName", name), ("ActivitySid", &self.available), ("Attributes", &attributes.to_string())]);
        text(&self.server.make(&self.path("/Workers"), &form).await["sid"]).to_owned()
    }

    async fn task(&self, attributes: &Value) -> String {
        let form = form(&[("Attributes", &attributes.to_string()), ("WorkflowSid", &self.workflow)]);
        text(&self.server.make(&self.path("/Tasks"), &form).await["sid"]).to_owned()
    }

    async fn get(&self, rest: &str) -> Value {
        let answer = self.server.get(&self.path(rest)).await;
        assert_eq!(answer.status, StatusCode::OK, "{rest}: {}", answer.body);
        answer.body
    }

    async fn post(&self, rest: &str, pairs: &[(&str, &str)]) -> Value {
        let answer = self.server.post(&self.path(rest), &form(pairs)).await;
        assert!(answer.status.is_success(), "{rest}: {}", answer.body);
        answer.body
    }

    async fn explain(&self, task: &str) -> Value {
        self.get(&format!("/Tasks/{task}/Explain")).await
    }

    async fn accept(&self, task: &str) {
        let list = self.get(&format!("/Tasks/{task}/Reservations")).await;
        let newest = list["reservations"].as_array().unwrap().iter().find(|row| row["reservation_status"] == "pending");
        let reservation = text(&newest.unwrap_or_else(|| panic!("nobody is offered {task}: {list}"))["sid"]);
        let path = format!("/Tasks/{task}/Reservations/{reservation}");
        self.post(&path, &[("ReservationStatus", "accepted")]).await;
    }

    async fn complete(&self, task: &str) {
        self.post(&format!("/Tasks/{task}"), &[("AssignmentStatus", "completed"), ("Reason", "done")]).await;
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The only listed worker's first obstacle.
fn first_block(explained: &Value) -> &Value {
    assert_eq!(explained["workers"].as_array().map(Vec::len), Some(1), "{explained}");
    &explained["workers"][0]["blocks"][0]
}

#[tokio::test]
async fn a_task_waits_for_each_of_the_reasons_there_are() {
    let floor = Floor::open().await;

    // Nobody is in the queue; one worker of the workspace is not.
    let bob = floor.worker("Bob", &json!({ "skills": ["sales"] })).await;
    let task = floor.task(&json!({})).await;
    let explained = floor.explain(&task).await;
    assert_eq!(explained["summary"], "The task is the first in Support. No worker is eligible.");
    assert_eq!((&explained["eligible_workers"]["total"], &explained["other_workers"]), (&json!(0), &json!(1)));
    let of_bob = floor.get(&format!("/Tasks/{task}/Explain?WorkerSid={bob}")).await;
    let block = first_block(&of_bob);
    assert_eq!(block["reason"], "not_in_queue");
    assert_eq!(block["failing_clauses"][0]["clause"], "skills HAS 'support'");
    assert_eq!(block["failing_clauses"][0]["left"], json!({ "name": "skills", "value": ["sales"], "type": "list" }));

    // The only member is away.
    let ann = floor.worker("Ann", &json!({ "skills": ["support"], "languages": ["en"], "level": 1 })).await;
    assert_eq!(floor.explain(&task).await["summary"], "The task is offered to Ann and waits for an answer.");
    let second = floor.task(&json!({})).await;

    // Capacity goes to an offer that is not answered, then to accepted work.
    let explained = floor.explain(&second).await;
    let block = first_block(&explained);
    assert_eq!((&block["reason"], &block["task_sids"]), (&json!("reserved_elsewhere"), &json!([task])));
    assert_eq!(block["detail"], "has 1 of at most 1 tasks on the channel default, 1 of them not answered yet");
    floor.accept(&task).await;
    let explained = floor.explain(&second).await;
    assert_eq!(first_block(&explained)["reason"], "capacity");
    let summary = "The task is the first in Support. The only eligible worker is blocked: 1 by capacity.";
    assert_eq!(explained["summary"], summary);

    let change = |name: &'static str, value: String| {
        let path = format!("/Workers/{ann}");
        let floor = &floor;
        async move { floor.post(&path, &[(name, &value)]).await }
    };
    change("ActivitySid", floor.offline.clone()).await;
    let explained = floor.explain(&second).await;
    let reasons: Vec<&Value> =
        explained["workers"][0]["blocks"].as_array().unwrap().iter().map(|block| &block["reason"]).collect();
    assert_eq!(reasons, ["activity", "capacity"]);
    assert_eq!(explained["eligible_workers"]["blocked_by"], json!({ "activity": 1 }));
    assert_eq!(first_block(&explained)["detail"], "is in the activity Offline, which is not available");

    // The channel is closed.
    floor.post(&format!("/Workers/{ann}/Channels/default"), &[("Available", "false")]).await;
    change("ActivitySid", floor.available.clone()).await;
    let explained = floor.explain(&second).await;
    assert_eq!(first_block(&explained)["reason"], "channel_unavailable");
    floor.complete(&task).await;
    assert_eq!(first_block(&floor.explain(&second).await)["reason"], "channel_unavailable");
    floor.post(&format!("/Workers/{ann}/Channels/default"), &[("Available", "true")]).await;
    assert_eq!(floor.explain(&second).await["reservations"][0]["worker_name"], "Ann");

    // A refusal keeps the pair apart for a moment.
    let reservation = text(&floor.explain(&second).await["reservations"][0]["reservation_sid"]).to_owned();
    let path = format!("/Tasks/{second}/Reservations/{reservation}");
    floor.post(&path, &[("ReservationStatus", "rejected")]).await;
    let explained = floor.explain(&second).await;
    let block = first_block(&explained);
    assert_eq!((&block["reason"], block["date_ends"].is_string()), (&json!("back_off"), true));
    floor.post(&format!("/Tasks/{second}"), &[("AssignmentStatus", "canceled"), ("Reason", "enough")]).await;
    assert_eq!(floor.explain(&second).await["summary"], "The task is canceled: enough.");

    // The target's expression, with the clause that fails and its values.
    let spanish = floor.task(&json!({ "language": "es" })).await;
    let explained = floor.explain(&spanish).await;
    let block = first_block(&explained);
    assert_eq!(block["reason"], "expression");
    assert_eq!(block["failing_clauses"][0]["clause"], "worker.languages HAS task.language");
    assert_eq!(block["failing_clauses"][0]["right"], json!({ "name": "task.language", "value": "es", "type": "text" }));
    let filters = explained["filters"].as_array().unwrap();
    let matches: Vec<&Value> = filters.iter().map(|filter| &filter["matches"]).collect();
    assert_eq!(matches, [false, true]);
    assert_eq!(filters[0]["evaluation"]["members"][0]["left"]["value"], Value::Null);
    assert_eq!((&filters[1]["chosen"], &filters[1]["filter_friendly_name"]), (&json!(true), &json!("Languages")));
    let target = &explained["target"];
    assert_eq!(
        (&target["kind"], &target["target_index"], &target["targets_total"]),
        (&json!("target"), &json!(0), &json!(2))
    );
    assert_eq!((&target["timeout"], target["date_ends"].is_string()), (&json!(30), true));
    assert_eq!(explained["follows_current_configuration"], true);

    // A known worker: somebody else, then nobody.
    let personal = floor.task(&json!({ "agent": "bob" })).await;
    let explained = floor.explain(&personal).await;
    assert_eq!(first_block(&explained)["reason"], "known_worker");
    let known = &explained["target"]["known_worker"];
    assert_eq!(known, &json!({ "worker_sid": bob, "in_task_queue": false, "problem": null }));
    let nobodys = floor.task(&json!({ "agent": "carol" })).await;
    let explained = floor.explain(&nobodys).await;
    assert_eq!(explained["target"]["known_worker"]["problem"], "no worker has the name in the task's attribute");
    assert_eq!(explained["position"]["without_position_because"], "known_worker_does_not_exist");

    // For one worker, whatever the queue.
    let direct = [("RoutingTarget", bob.as_str()), ("IgnoreCapacity", "false"), ("WorkflowSid", &floor.workflow)];
    let first = text(&floor.post("/Tasks", &direct).await["sid"]).to_owned();
    assert_eq!(floor.explain(&first).await["reservations"][0]["worker_sid"], json!(bob));
    let next = text(&floor.post("/Tasks", &direct).await["sid"]).to_owned();
    let explained = floor.explain(&next).await;
    assert_eq!((&explained["target"]["kind"], &explained["routing_target"]), (&json!("direct"), &json!(bob)));
    assert_eq!(first_block(&explained)["reason"], "reserved_elsewhere");
    let of_ann = floor.get(&format!("/Tasks/{next}/Explain?WorkerSid={ann}")).await;
    assert_eq!(first_block(&of_ann)["reason"], "not_targeted");
    floor.server.stop().await;
}

#[tokio::test]
async fn the_workers_of_an_explanation_are_cut_at_a_limit_and_counted_completely() {
    let floor = Floor::open().await;
    let offline = floor.offline.clone();
    for number in 0..7 {
        let worker = floor.worker(&format!("w{number}"), &json!({ "skills": ["support"] })).await;
        floor.post(&format!("/Workers/{worker}"), &[("ActivitySid", &offline)]).await;
    }
    let task = floor.task(&json!({})).await;
    let mut path = format!("/Tasks/{task}/Explain?Limit=3");
    let mut names = Vec::new();
    for page in 0.. {
        let explained = floor.get(&path).await;
        assert_eq!(explained["eligible_workers"]["blocked_by"], json!({ "activity": 7 }));
        let workers = explained["workers"].as_array().unwrap();
        names.extend(workers.iter().map(|worker| text(&worker["friendly_name"]).to_owned()));
        let Some(next) = explained["next_workers_url"].as_str() else {
            assert_eq!(page, 2);
            break;
        };
        path = next.split_once(&floor.workspace).unwrap().1.to_owned();
    }
    assert_eq!(names, ["w0", "w1", "w2", "w3", "w4", "w5", "w6"]);
    for (query, message) in [
        ("Limit=1001", "Invalid Limit: '1001' is not a whole number from 0 to 1000"),
        ("After=WK1", "Invalid After: 'WK1' is not a SID"),
    ] {
        let answer = floor.server.get(&floor.path(&format!("/Tasks/{task}/Explain?{query}"))).await;
        assert_eq!((answer.status, text(&answer.body["message"])), (StatusCode::BAD_REQUEST, message));
    }
    for path in ["/Tasks/WT1/Explain", "/Tasks/WT00000000000000000000000000000001/Explain", "/Workers/WK1/Explain"] {
        assert_eq!(floor.server.get(&floor.path(path)).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    floor.server.stop().await;
}

#[tokio::test]
async fn a_worker_gets_nothing_and_is_told_why() {
    let floor = Floor::open().await;
    let ann = floor.worker("Ann", &json!({ "skills": ["support"], "languages": ["en"] })).await;
    let path = format!("/Workers/{ann}/Explain");
    assert_eq!(floor.get(&path).await["summary"], "No task waits in the 1 task queues of Ann.");
    let taken = floor.task(&json!({})).await;
    let waiting = floor.task(&json!({})).await;
    let spanish = floor.task(&json!({ "language": "es" })).await;
    let explained = floor.get(&path).await;
    assert_eq!((&explained["member_of"], &explained["waiting_tasks"]), (&json!(1), &json!(2)));
    assert_eq!(explained["reservations"][0]["task_sid"], json!(taken));
    let counted = json!({ "total": 2, "candidates": 0, "blocked_by": { "reserved_elsewhere": 2 } });
    assert_eq!(explained["eligible_tasks"], counted);
    // The step of the Spanish one sets priority 5, so it comes first.
    let told: Vec<(&Value, &Value)> = explained["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| (&task["task_sid"], &task["block"]["reason"]))
        .collect();
    let elsewhere = json!("reserved_elsewhere");
    assert_eq!(told, [(&json!(spanish), &elsewhere), (&json!(waiting), &elsewhere)]);
    floor.accept(&taken).await;
    floor.post(&format!("/Workers/{ann}/Channels/default"), &[("Capacity", "2")]).await;
    let explained = floor.get(&path).await;
    assert_eq!(explained["waiting_tasks"], 1);
    assert_eq!(explained["tasks"][0]["block"]["failing_clauses"], json!([]));
    floor.accept(&waiting).await;
    floor.complete(&taken).await;
    let explained = floor.get(&path).await;
    assert_eq!(explained["tasks"][0]["block"]["reason"], "expression");
    assert_eq!(explained["tasks"][0]["block"]["failing_clauses"][0]["clause"], "worker.languages HAS task.language");
    // All are counted, however few are listed.
    for language in ["fr", "es", "fr", "pt"] {
        floor.task(&json!({ "language": language })).await;
    }
    let explained = floor.get(&format!("{path}?Limit=1")).await;
    assert_eq!(explained["tasks"].as_array().map(Vec::len), Some(1));
    let counted = json!({ "total": 5, "candidates": 0, "blocked_by": { "expression": 5 } });
    assert_eq!((&explained["waiting_tasks"], &explained["eligible_tasks"]), (&json!(5), &counted));
    floor.worker("Bob", &json!({ "skills": ["support"] })).await;
    for agent in ["Bob", "Bob"] {
        floor.task(&json!({ "agent": agent })).await;
    }
    let counted = json!({ "total": 6, "candidates": 0, "blocked_by": { "known_worker": 1, "expression": 5 } });
    assert_eq!(floor.get(&path).await["eligible_tasks"], counted);
    floor.post(&format!("/Workers/{ann}"), &[("Attributes", r#"{"skills":["cooking"]}"#)]).await;
    let explained = floor.get(&path).await;
    assert_eq!(explained["summary"], "Ann is in none of the 1 task queues.");
    assert_eq!(explained["task_queues"][0]["failing_clauses"][0]["left"]["value"], json!(["cooking"]));
    floor.post(&format!("/Workers/{ann}"), &[("ActivitySid", &floor.offline)]).await;
    let summary = "Ann is in the activity Offline, which is not available.";
    assert_eq!(floor.get(&path).await["summary"], summary);
    floor.server.stop().await;
}

#[tokio::test]
async fn a_position_counts_the_tasks_ahead_and_estimates_the_wait() {
    let floor = Floor::open().await;
    floor.worker("Ann", &json!({ "skills": ["support"] })).await;
    let first = floor.task(&json!({})).await;
    floor.accept(&first).await;
    let mut waiting = Vec::new();
    for _ in 0..6 {
        waiting.push(floor.task(&json!({})).await);
    }
    let position = |task: String| {
        let floor = &floor;
        async move { floor.get(&format!("/Tasks/{task}/Position")).await }
    };
    for (ahead, task) in waiting.iter().enumerate() {
        let told = position(task.clone()).await;
        assert_eq!((&told["position"], &told["tasks_ahead"]), (&json!(ahead + 1), &json!(ahead)));
        assert_eq!((&told["waiting_tasks"], &told["estimated_wait"]), (&json!(6), &Value::Null));
    }
    let told = position(first.clone()).await;
    assert_eq!((&told["position"], &told["without_position_because"]), (&Value::Null, &json!("not_pending")));

    // Priority overtakes; another channel does not count.
    let urgent = [("Priority", "9"), ("WorkflowSid", floor.workflow.as_str())];
    let urgent = text(&floor.post("/Tasks", &urgent).await["sid"]).to_owned();
    assert_eq!(position(urgent.clone()).await["tasks_ahead"], 0);
    assert_eq!(position(waiting[5].clone()).await["tasks_ahead"], 6);
    floor.post(&format!("/Tasks/{urgent}"), &[("Priority", "0")]).await;
    assert_eq!(position(urgent.clone()).await["tasks_ahead"], 6);
    floor.post(&format!("/Tasks/{urgent}"), &[("AssignmentStatus", "canceled"), ("Reason", "test")]).await;

    // One call a minute is taken; from the second on there is an estimate, and its bounds hold it.
    let mut done = first;
    for task in &waiting[..3] {
        floor.server.clock.advance(Duration::from_mins(1));
        floor.complete(&done).await;
        floor.accept(task).await;
        done.clone_from(task);
    }
    let told = position(waiting[5].clone()).await;
    let estimate = &told["estimated_wait"];
    assert_eq!((&estimate["method"], &estimate["accepted_tasks"]), (&json!("throughput"), &json!(3)));
    let secs = |name: &str| estimate[name].as_u64().unwrap_or_else(|| panic!("no {name} in {told}"));
    assert!(secs("low_seconds") < secs("seconds") && secs("seconds") < secs("high_seconds"), "{told}");
    assert!((120..=240).contains(&secs("seconds")), "{told}");
    assert_eq!(told["past_estimates"], json!({ "count": 0, "mean_absolute_error": null }));

    // What comes now has an estimate, which is held against what happens.
    let last = floor.task(&json!({})).await;
    let expected = position(last.clone()).await["estimated_wait"]["seconds"].as_u64().unwrap();
    for task in waiting[3..].iter().chain([&last]) {
        floor.server.clock.advance(Duration::from_mins(1));
        floor.complete(&done).await;
        floor.accept(task).await;
        done.clone_from(task);
    }
    let errors = &position(last).await["past_estimates"];
    assert_eq!(errors["count"], 1);
    let error = errors["mean_absolute_error"].as_u64().unwrap();
    assert!(error.abs_diff(expected.abs_diff(240)) <= 1, "{expected} {errors}");

    // Nobody is at work: nothing is known.
    let offline = floor.task(&json!({})).await;
    assert!(position(offline.clone()).await["estimated_wait"].is_object());
    let workers = floor.get("/Workers").await;
    let ann = text(&workers["workers"][0]["sid"]);
    floor.post(&format!("/Workers/{ann}"), &[("ActivitySid", &floor.offline)]).await;
    assert_eq!(position(offline).await["estimated_wait"], Value::Null);
    floor.server.stop().await;
}

#[tokio::test]
async fn a_dry_run_tells_the_way_and_stores_nothing() {
    let floor = Floor::open().await;
    let ann = floor.worker("Ann", &json!({ "skills": ["support"], "languages": ["en"], "level": 3 })).await;
    floor.worker("Bob", &json!({ "skills": ["support"], "languages": ["es"], "level": 1 })).await;
    let run = |pairs: Vec<(&'static str, String)>| {
        let floor = &floor;
        async move {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            floor.post("/Workflows/DryRun", &pairs).await
        }
    };
    let attributes = |json: Value| ("Attributes", json.to_string());
    let way = run(vec![attributes(json!({ "language": "en" })), ("Priority", "2".to_owned())]).await;
    let steps = way["steps"].as_array().unwrap();
    let windows: Vec<_> = steps.iter().map(|step| (&step["from"], &step["until"], &step["priority"])).collect();
    assert_eq!(windows, [(&json!(0), &json!(30), &json!(5)), (&json!(30), &json!(60), &json!(5))]);
    assert_eq!(steps[0]["candidates"], json!([{ "worker_sid": ann, "friendly_name": "Ann" }]));
    assert_eq!(steps[0]["blocked_workers"][0]["blocks"][0]["reason"], "expression");
    assert_eq!(way["end"], json!({ "kind": "canceled", "reason": "Task canceled on Workflow timeout", "after": 60 }));
    assert_eq!((&way["step_at_instant"], way["filters"].as_array().unwrap().len()), (&json!(0), 2));

    let later = vec![
        attributes(json!({ "language": "en" })),
        ("DateCreated", "2026-02-03T10:00:00Z".to_owned()),
        ("Instant", "2026-02-03T10:00:45Z".to_owned()),
    ];
    assert_eq!(run(later).await["step_at_instant"], 1);
    let way = run(vec![attributes(json!({})), ("Timeout", "500".to_owned())]).await;
    assert_eq!(way["steps"][0]["target"]["kind"], "default_filter");
    assert_eq!(way["end"], json!({ "kind": "canceled", "reason": "Task TTL Exceeded", "after": 500 }));
    let names: Vec<&Value> =
        way["steps"][0]["candidates"].as_array().unwrap().iter().map(|one| &one["friendly_name"]).collect();
    assert_eq!(names, ["Ann", "Bob"]);

    // A configuration that is not saved, with a name that nothing saved mentions, a skip, and the time of day.
    let queue = &floor.queue;
    let configuration = json!({ "task_routing": { "filters": [
        { "expression": "taskrouter.currentHour >= 8", "targets": [
            { "queue": queue, "expression": "worker.level > 5", "skip_if": "workers.available > 1" },
            { "queue": queue, "order_by": "worker.shoe_size DESC", "timeout": 20 } ] },
        { "expression": "1 == 1", "targets": [{ "queue": queue }] } ] } });
    let draft = |at: &str| {
        vec![attributes(json!({})), ("Configuration", configuration.to_string()), ("Instant", at.to_owned())]
    };
    floor
        .post(
            &format!("/Workers/{ann}"),
            &[("Attributes", r#"{"skills":["support"],"languages":["en"],"level":3,"shoe_size":39}"#)],
        )
        .await;
    floor.worker("Cid", &json!({ "skills": ["support"], "shoe_size": 44 })).await;
    let way = run(draft("2026-02-03T09:30:00Z")).await;
    let steps = way["steps"].as_array().unwrap();
    let told: Vec<_> = steps.iter().map(|step| (&step["skipped"], &step["from"], &step["until"])).collect();
    let (yes, no, null) = (json!(true), json!(false), Value::Null);
    assert_eq!(told, [(&yes, &json!(0), &json!(0)), (&no, &json!(0), &json!(20)), (&no, &json!(20), &null)]);
    assert_eq!(steps[0]["target"]["skip_if"]["left"]["value"], 3);
    let names: Vec<&Value> =
        steps[1]["candidates"].as_array().unwrap().iter().map(|one| &one["friendly_name"]).collect();
    assert_eq!(names, ["Cid", "Ann", "Bob"]);
    assert_eq!((&way["unsaved_configuration"], &way["workflow_sid"]), (&yes, &null));
    let way = run(draft("2026-02-03T04:30:00Z")).await;
    assert_eq!(way["filters"][0]["matches"], false);
    assert_eq!(way["steps"].as_array().unwrap().len(), 1);
    assert_eq!(floor.get("/Tasks").await["tasks"], json!([]));

    for (pairs, message) in [
        (vec![], "Attributes field is required"),
        (vec![("Attributes", "[]")], "Invalid Attributes: expected a JSON object"),
        (vec![("Attributes", "{}"), ("Configuration", "{")], "Invalid Configuration: not JSON"),
        (vec![("Attributes", "{}"), ("TaskChannel", "fax")], "TaskChannel"),
        (vec![("Attributes", "{}"), ("Instant", "soon")], "Invalid Instant: 'soon' is not a moment"),
        (
            vec![("Attributes", "{}"), ("Instant", "2026-01-01"), ("DateCreated", "2026-01-02")],
            "Invalid Instant: is before DateCreated",
        ),
    ] {
        let answer = floor.server.post(&floor.path("/Workflows/DryRun"), &form(&pairs)).await;
        assert_eq!((answer.status, &answer.body["code"]), (StatusCode::BAD_REQUEST, &json!(20001)), "{pairs:?}");
        assert!(text(&answer.body["message"]).contains(message), "{}", answer.body);
    }
    floor.server.stop().await;
}

#[tokio::test]
async fn a_dry_run_names_the_worker_who_is_then_offered_the_task() {
    let floor = Floor::open().await;
    for (name, level) in [("a", 3), ("b", 1), ("c", 2), ("d", 4), ("e", 2)] {
        let languages: &[&str] = if level % 2 == 0 { &["en", "es"] } else { &["en"] };
        floor.worker(name, &json!({ "skills": ["support"], "languages": languages, "level": level })).await;
    }
    for attributes in [
        json!({}),
        json!({ "language": "es" }),
        json!({ "language": "en" }),
        json!({ "agent": "B" }),
        json!({ "language": "es" }),
        json!({ "language": "es" }),
        json!({}),
        json!({}),
    ] {
        let way = floor.post("/Workflows/DryRun", &[("Attributes", &attributes.to_string())]).await;
        let expected = way["steps"][0]["candidates"].get(0).map(|one| one["worker_sid"].clone());
        let task = floor.task(&attributes).await;
        let offered = floor.explain(&task).await["reservations"].get(0).map(|one| one["worker_sid"].clone());
        assert_eq!(offered, expected, "{attributes}: {way}");
    }
    floor.server.stop().await;
}

#[tokio::test]
async fn a_task_that_is_handed_on_is_offered_to_the_other_worker_only() {
    let floor = Floor::open().await;
    let ann = floor.worker("Ann", &json!({ "skills": ["support"] })).await;
    let task = floor.task(&json!({})).await;
    floor.accept(&task).await;
    let bob = floor.worker("Bob", &json!({ "skills": ["support"] })).await;
    let list = floor.get(&format!("/Tasks/{task}/Reservations")).await;
    let reservation = text(&list["reservations"][0]["sid"]).to_owned();
    let form = [("TaskSid", task.as_str()), ("ReservationSid", &reservation), ("To", &bob), ("Mode", "WARM")];
    floor.post(&format!("/Workers/{ann}/Transfers"), &form).await;
    assert_eq!(floor.explain(&task).await["summary"], "The task is offered to Bob and waits for an answer.");
}
