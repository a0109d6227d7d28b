//! Calendars in the expressions of workflows, over the API: who waits for one is offered when it opens, whatever opens it.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use switchhook::clock::Clock;
use switchhook::routing::Timestamp;

use crate::api::{Server, text};

/// A Tuesday, 07:00 in UTC, 08:00 in Berlin.
const MORNING: Timestamp = Timestamp(1_770_102_000_000);

const HOURS: &str = r#"{"tue":["09:00-12:00"]}"#;

/// One worker, and a workflow whose target asks whether the calendar Office is open.
struct Floor {
    server: Server,
    path: String,
    workflow: String,
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl Floor {
    async fn open(url: &str) -> Self {
        let server = Server::start_on(url, Clock::fixed(MORNING)).await;
        let path = server.workspace().await;
        server.worker(&path, "Ann").await;
        let mut floor = Self { server, path, workflow: String::new() };
        floor.workflow = floor.workflow_that_asks("Office").await;
        floor
    }

    async fn workflow_that_asks(&self, calendar: &str) -> String {
        let queue = self.get("/TaskQueues").await["task_queues"][0]["sid"].clone();
        let expression = format!("taskrouter.calendar.{calendar}.open == true");
        let targets = json!([{ "queue": queue, "expression": expression }]);
        let filters = json!([{ "expression": "1 == 1", "targets": targets }]);
        let configuration = json!({ "task_routing": { "filters": filters } }).to_string();
        let made = self.make("/Workflows", &[("FriendlyName", calendar), ("Configuration", &configuration)]).await;
        text(&made["sid"]).to_owned()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.server.get(&format!("{}{path}", self.path)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        answer.body
    }

    async fn make(&self, path: &str, pairs: &[(&str, &str)]) -> Value {
        self.server.make(&format!("{}{path}", self.path), &form(pairs)).await
    }

    async fn change(&self, path: &str, pairs: &[(&str, &str)]) {
        let answer = self.server.post(&format!("{}{path}", self.path), &form(pairs)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
    }

    async fn calendar(&self, name: &str, hours: &str) -> String {
        let pairs = [("FriendlyName", name), ("TimeZone", "Europe/Berlin"), ("Hours", hours)];
        text(&self.make("/Calendars", &pairs).await["sid"]).to_owned()
    }

    async fn task(&self, workflow: &str) -> String {
        text(&self.make("/Tasks", &[("WorkflowSid", workflow)]).await["sid"]).to_owned()
    }

    /// The status of a task, asked of the workspace in memory, which does then what has become due.
    async fn status(&self, task: &str) -> Value {
        self.get(&format!("/Tasks/{task}/Explain")).await["assignment_status"].clone()
    }

    async fn finish(&self, task: &str) {
        let answer = self.server.delete(&format!("{}/Tasks/{task}", self.path)).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.body);
    }

    /// How the lint names the workflow's calendar, if it does.
    async fn findings(&self, workflow: &str) -> Vec<Value> {
        let lint = self.get(&format!("/Workflows/{workflow}/Lint")).await;
        lint["findings"].as_array().unwrap().iter().map(|finding| finding["code"].clone()).collect()
    }
}

#[tokio::test]
async fn who_waits_for_a_calendar_is_offered_when_it_opens() {
    let floor = Floor::open("sqlite::memory:").await;
    assert_eq!(floor.findings(&floor.workflow).await, ["calendar_unknown"]);
    let task = floor.task(&floor.workflow).await;
    let calendar = floor.calendar("Office", HOURS).await;
    assert_eq!(floor.findings(&floor.workflow).await, [""; 0]);
    assert_eq!(floor.status(&task).await, "pending");
    floor.server.clock.advance(Duration::from_mins(59));
    assert_eq!(floor.status(&task).await, "pending", "a minute before nine in Berlin");
    floor.server.clock.advance(Duration::from_mins(1));
    assert_eq!(floor.status(&task).await, "reserved");
    floor.finish(&task).await;

    // It closes at noon; another one opens by other hours, by a name, and by its SID.
    floor.server.clock.advance(Duration::from_hours(4));
    let task = floor.task(&floor.workflow).await;
    assert_eq!(floor.status(&task).await, "pending");
    floor.change(&format!("/Calendars/{calendar}"), &[("Hours", r#"{"tue":["09:00-24:00"]}"#)]).await;
    assert_eq!(floor.status(&task).await, "reserved", "told with the answer to the change");
    floor.finish(&task).await;
    floor.change(&format!("/Calendars/{calendar}"), &[("FriendlyName", "Open late")]).await;
    let by_sid = floor.workflow_that_asks(&calendar).await;
    let (unnamed, named) = (floor.task(&floor.workflow).await, floor.task(&by_sid).await);
    assert_eq!((floor.status(&unnamed).await, floor.status(&named).await), (json!("pending"), json!("reserved")));
    assert_eq!(floor.findings(&by_sid).await, [""; 0]);
    floor.finish(&named).await;

    // Once it is gone it is null again, for lists too.
    let open = |name: &str| format!("/Tasks?EvaluateTaskAttributes=taskrouter.calendar.{name}.open+%3D%3D+true");
    assert_eq!(floor.get(&open(&calendar)).await["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(floor.get(&open("Office")).await["tasks"], json!([]));
    let answer = floor.server.delete(&format!("{}/Calendars/{calendar}", floor.path)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(floor.get(&open(&calendar)).await["tasks"], json!([]));
    let task = floor.task(&by_sid).await;
    assert_eq!(floor.status(&task).await, "pending");
    assert_eq!(floor.findings(&by_sid).await, ["calendar_unknown"]);
    floor.server.stop().await;
}

#[tokio::test]
async fn explanations_and_dry_runs_tell_whether_a_calendar_is_open() {
    let floor = Floor::open("sqlite::memory:").await;
    let clause = |worker: &Value| worker["blocks"][0]["failing_clauses"][0]["left"].clone();
    let task = floor.task(&floor.workflow).await;
    let explained = floor.get(&format!("/Tasks/{task}/Explain")).await;
    let left = json!({ "name": "taskrouter.calendar.Office.open", "value": null, "type": "null" });
    assert_eq!(clause(&explained["workers"][0]), left);
    floor.calendar("Office", HOURS).await;
    let explained = floor.get(&format!("/Tasks/{task}/Explain")).await;
    let left = json!({ "name": "taskrouter.calendar.Office.open", "value": false, "type": "boolean" });
    assert_eq!(clause(&explained["workers"][0]), left);

    // At another moment than now: a task of half past eleven on a Tuesday in summer, and one of noon.
    for (at, candidates) in [("2026-07-07T09:30:00Z", 1), ("2026-07-07T10:00:00Z", 0)] {
        let pairs = [("Attributes", "{}"), ("WorkflowSid", &floor.workflow), ("Instant", at)];
        let answer = floor.server.post(&format!("{}/Workflows/DryRun", floor.path), &form(&pairs)).await;
        let step = &answer.body["steps"][0];
        assert_eq!(step["candidates"].as_array().unwrap().len(), candidates, "{at}: {}", answer.body);
        if candidates == 0 {
            assert_eq!(clause(&step["blocked_workers"][0]), left);
        }
    }
    floor.server.stop().await;
}

#[tokio::test]
async fn calendars_are_known_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("calendars.db").display());
    let floor = Floor::open(&url).await;
    let calendar = floor.calendar("Office", HOURS).await;
    let task = floor.task(&floor.workflow).await;
    let Floor { server, path, workflow } = floor;
    server.stop().await;
    let server = Server::start_on(&url, Clock::fixed(MORNING + Duration::from_mins(30))).await;
    let floor = Floor { server, path, workflow };
    assert_eq!(floor.status(&task).await, "pending");
    assert_eq!(floor.findings(&floor.workflow).await, [""; 0]);
    floor.server.clock.advance(Duration::from_mins(30));
    assert_eq!(floor.status(&task).await, "reserved");
    floor.finish(&task).await;

    // Opened while the server is away.
    floor.change(&format!("/Calendars/{calendar}"), &[("Hours", r#"{"tue":["20:00-21:00"]}"#)]).await;
    let task = floor.task(&floor.workflow).await;
    assert_eq!(floor.status(&task).await, "pending");
    let Floor { server, path, workflow } = floor;
    server.stop().await;
    let server = Server::start_on(&url, Clock::fixed(MORNING + Duration::from_hours(12))).await;
    let floor = Floor { server, path, workflow };
    assert_eq!(floor.status(&task).await, "reserved");
    floor.server.stop().await;
}
