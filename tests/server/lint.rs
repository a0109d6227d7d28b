//! What a lint finds in workflows, each kind beside a configuration that is right.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::api::{Server, text};

/// Workers Ann and Bob, queue `all` of both, queue `nobody` of none.
struct Floor {
    server: Server,
    workspace: String,
    all: String,
    nobody: String,
}

impl Floor {
    async fn open() -> Self {
        let server = Server::start().await;
        let made = server.make("/Workspaces", "FriendlyName=Floor").await;
        let workspace = format!("/Workspaces/{}", text(&made["sid"]));
        let queues = format!("{workspace}/TaskQueues");
        let all = text(&server.make(&queues, "FriendlyName=All").await["sid"]).to_owned();
        let nobody = "FriendlyName=Nobody&TargetWorkers=skills+HAS+%27none%27";
        let nobody = text(&server.make(&queues, nobody).await["sid"]).to_owned();
        Self { server, workspace, all, nobody }
    }

    async fn staff(&self) {
        for (name, attributes) in [
            ("Ann", json!({ "skills": ["support"], "level": 3, "flag": true })),
            ("Bob", json!({ "skills": "support", "level": 2 })),
        ] {
            let form = form(&[("FriendlyName", name), ("Attributes", &attributes.to_string())]);
            self.server.make(&format!("{}/Workers", self.workspace), &form).await;
        }
    }

    /// `code severity place` of each finding.
    async fn lint(&self, routing: &Value) -> Vec<String> {
        let configuration = json!({ "task_routing": routing }).to_string();
        let path = format!("{}/Workflows/Lint", self.workspace);
        let answer = self.server.post(&path, &form(&[("Configuration", &configuration)])).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        told(&answer.body)
    }
}

fn told(body: &Value) -> Vec<String> {
    let findings = body["findings"].as_array().unwrap().iter();
    findings
        .map(|one| {
            let place = text(&one["place"]).trim_start_matches("task_routing.");
            format!("{} {} {place}", text(&one["code"]), text(&one["severity"]))
        })
        .collect()
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[tokio::test]
async fn each_kind_of_doubt_is_found_where_it_is_and_nowhere_else() {
    let floor = Floor::open().await;
    floor.staff().await;
    let (all, nobody) = (json!(floor.all), json!(floor.nobody));
    let filter = |expression: &str, targets: Value| json!({ "expression": expression, "targets": targets });
    let plain = || json!([{ "queue": all }]);
    let one_target = |target: Value| json!({ "filters": [filter("type == 'a'", json!([target]))] });
    let office = form(&[("FriendlyName", "Office"), ("TimeZone", "UTC")]);
    floor.server.make(&format!("{}/Calendars", floor.workspace), &office).await;
    // A configuration, what is found in it, one like it, and what is found in that.
    let table: Vec<(Value, &[&str], Value)> = vec![
        (
            json!({ "filters": [filter("type == 'a' AND type == 'b'", plain())] }),
            &["filter_never_matches error filters[0].expression"],
            json!({ "filters": [filter("type == 'a' OR type == 'b'", plain())] }),
        ),
        (
            json!({ "filters": [filter("'type' == 'a'", plain())] }),
            &["filter_never_matches error filters[0].expression"],
            json!({ "filters": [filter("type == 'a'", plain())] }),
        ),
        (
            json!({ "filters": [filter("1 == 1", plain()), filter("type == 'a'", plain())] }),
            &["filter_shadowed error filters[1].expression"],
            json!({ "filters": [filter("1 == 1", json!([{ "queue": all, "timeout": 5 }])), filter("type == 'a'", plain())] }),
        ),
        (
            json!({ "filters": [filter("type == 'a'", plain()), filter("type = \"a\"", plain())] }),
            &["filter_shadowed error filters[1].expression"],
            json!({ "filters": [filter("type == 'a'", plain()), filter("type == 'b'", plain())] }),
        ),
        (
            json!({ "filters": [filter("type == 'a'", plain()), filter("type == 'a' AND level > 3", plain())] }),
            &["filter_shadowed error filters[1].expression"],
            json!({ "filters": [filter("type == 'a' AND level > 3", plain()), filter("type == 'a'", plain())] }),
        ),
        (
            json!({ "filters": [filter("type == 'a'", json!([{ "queue": all }, { "priority": 9 }]))] }),
            &["target_unreachable error filters[0].targets[1]"],
            json!({ "filters": [filter("type == 'a'", json!([{ "queue": all, "skip_if": "1==1" }, { "priority": 9 }]))] }),
        ),
        (
            json!({ "filters": [filter("1 == 1", json!([{ "queue": all, "timeout": 9 }]))], "default_filter": { "queue": all } }),
            &["default_filter_unreachable warning default_filter"],
            json!({ "filters": [filter("1 == 1", json!([{ "queue": all, "skip_if": "1==1" }]))], "default_filter": { "queue": all } }),
        ),
        (
            one_target(json!({ "queue": nobody })),
            &["queue_without_workers warning filters[0].targets[0].queue"],
            one_target(json!({ "queue": all })),
        ),
        (
            one_target(json!({ "queue": all, "expression": "worker.level > 3 AND worker.level < 2" })),
            &["target_never_matches error filters[0].targets[0].expression"],
            one_target(json!({ "queue": all, "expression": "worker.level > 2 AND worker.level < 4" })),
        ),
        (
            one_target(json!({ "queue": all, "expression": "worker.level > 3" })),
            &["target_without_workers warning filters[0].targets[0].expression"],
            one_target(json!({ "queue": all, "expression": "worker.level > task.level" })),
        ),
        (
            one_target(json!({ "queue": all, "expression": "worker.lvl > task.level" })),
            &["attribute_of_no_worker warning filters[0].targets[0].expression"],
            one_target(json!({ "queue": all, "expression": "worker.flag == task.level" })),
        ),
        (
            one_target(json!({ "queue": all, "expression": "worker.skills HAS task.skill" })),
            &["type_clash warning filters[0].targets[0].expression"],
            one_target(json!({ "queue": all, "expression": "worker.level > task.skill" })),
        ),
        (
            one_target(json!({ "queue": all, "expression": "task.level IN worker.level" })),
            &["type_clash warning filters[0].targets[0].expression"],
            one_target(json!({ "queue": all, "expression": "worker.level IN [2, 3]" })),
        ),
        (
            one_target(json!({ "queue": all, "expression": "level > 2 OR worker.level > 0" })),
            &["name_without_meaning warning filters[0].targets[0].expression"],
            one_target(json!({ "queue": all, "expression": "task.level > 2 OR worker.level > 0" })),
        ),
        (
            one_target(json!({ "queue": all, "expression": "taskrouter.calendar.Shop.open == true" })),
            &["calendar_unknown warning filters[0].targets[0].expression"],
            one_target(json!({ "queue": all, "expression": "taskrouter.calendar.Office.open == true" })),
        ),
        (
            one_target(json!({ "queue": all, "known_worker_friendly_name": "Carol", "timeout": 9 })),
            &["known_worker_unknown warning filters[0].targets[0].known_worker_friendly_name"],
            one_target(json!({ "queue": all, "known_worker_friendly_name": "ann", "timeout": 9 })),
        ),
        (
            json!({ "filters": [filter("type == 'a'", json!([
                { "queue": all, "timeout": 5 }, { "queue": nobody, "known_worker_friendly_name": "ann", "timeout": 9 }]))] }),
            &[
                "known_worker_not_in_queue warning filters[0].targets[1].known_worker_friendly_name",
                "queue_without_workers warning filters[0].targets[1].queue",
            ],
            one_target(json!({ "queue": all, "known_worker_sid": "task.agent", "timeout": 9 })),
        ),
        (
            one_target(json!({ "queue": all, "known_worker_sid": "task.agent" })),
            &["known_worker_without_end note filters[0].targets[0].known_worker_sid"],
            one_target(json!({ "queue": all, "known_worker_sid": "task.agent", "skip_if": "1==1" })),
        ),
    ];
    for (doubtful, wanted, right) in table {
        assert_eq!(floor.lint(&doubtful).await, wanted, "{doubtful}");
        assert_eq!(floor.lint(&right).await, [""; 0], "{right}");
    }
    floor.server.stop().await;
}

#[tokio::test]
async fn present_tasks_show_what_filters_ask_in_vain() {
    let floor = Floor::open().await;
    floor.staff().await;
    let queue = json!(floor.all);
    let routing = |expression: &str| {
        json!({ "filters": [{ "expression": expression, "targets": [{ "queue": queue }] }],
        "default_filter": { "queue": queue } })
    };
    assert_eq!(floor.lint(&routing("tpye == 'a'")).await, [""; 0]);
    let configuration = json!({ "task_routing": routing("type == 'a' AND tags HAS 'vip'") }).to_string();
    let made = form(&[("FriendlyName", "Inbound"), ("Configuration", &configuration)]);
    let made = floor.server.make(&format!("{}/Workflows", floor.workspace), &made).await;
    floor
        .server
        .make(&format!("{}/Tasks", floor.workspace), &form(&[("Attributes", r#"{"type":"a","tags":"vip"}"#)]))
        .await;
    assert_eq!(floor.lint(&routing("tpye == 'a'")).await, ["attribute_of_no_task note filters[0].expression"]);
    assert_eq!(floor.lint(&routing("type == 'b'")).await, [""; 0]);
    let saved = format!("{}/Workflows/{}/Lint", floor.workspace, text(&made["sid"]));
    let answer = floor.server.get(&saved).await;
    assert_eq!(told(&answer.body), ["type_clash warning filters[0].expression"]);
    let message = "`tags HAS 'vip'` does not fit 1 of 1 tasks looked at: HAS needs a list before it";
    assert_eq!(answer.body["findings"][0]["message"], message);
    assert_eq!(answer.body["workflow_sid"], made["sid"]);

    let missing = format!("{}/Workflows/WW00000000000000000000000000000001/Lint", floor.workspace);
    assert_eq!(floor.server.get(&missing).await.status, StatusCode::NOT_FOUND);
    let path = format!("{}/Workflows/Lint", floor.workspace);
    for (pairs, message) in [
        (vec![], "Configuration field is required"),
        (vec![("Configuration", r#"{"task_routing":{"filters":[{"targets":[]}]}}"#)], "an expression is required"),
    ] {
        let answer = floor.server.post(&path, &form(&pairs)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(text(&answer.body["message"]).contains(message), "{}", answer.body);
    }
    floor.server.stop().await;
}
