//! Statistics over HTTP: shapes and refusals, and a simulated day that is counted again from the event log.
//!
//! Start with [`a_simulated_day_is_what_its_event_log_amounts_to`].

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request as HttpRequest, StatusCode};
use base64::Engine as _;
use serde_json::{Value, json};
use switchhook::clock::Clock;
use switchhook::engine::Request;
use switchhook::routing::command::{NewWorker, NewWorkspace, TaskQueueUpdate, Template};
use switchhook::routing::{Command, Timestamp, WorkspaceSid};

use crate::api::{ACCOUNT, Answer, BASE, Server, check_error, text};
use crate::random_commands::Commands;
use crate::recount::{Asked, Event, Log, Whose, date};

/// 2026-02-03T00:00:00.777Z
const MIDNIGHT: Timestamp = Timestamp(1_770_076_800_777);
const DAY_MS: i64 = 86_400_000;

/// A workspace with the source of its commands.
struct Floor {
    workspace: WorkspaceSid,
    path: String,
    commands: Commands,
}

impl Floor {
    async fn found(server: &Server, seed: u64, multi_task_enabled: bool) -> Self {
        let new = NewWorkspace { multi_task_enabled, template: Template::Fifo, ..NewWorkspace::named("Day") };
        let workspace = server.engine.create_workspace(ACCOUNT.parse().unwrap(), new).await.unwrap();
        let floor =
            Self { workspace, path: format!("/Workspaces/{workspace}"), commands: Commands::new(seed, MIDNIGHT) };
        floor.furnish(server).await;
        floor
    }

    /// Some workers to begin with, and a queue whose tasks are offered to several at once.
    async fn furnish(&self, server: &Server) {
        let rows = server.engine.look(self.workspace, |workspace, _| workspace.rows()).await.unwrap();
        let available = rows.activities.iter().find(|row| row.available).map(|row| row.sid);
        let update = TaskQueueUpdate { max_reserved_workers: Some(3), ..TaskQueueUpdate::default() };
        let mut commands = vec![Command::UpdateTaskQueue(rows.task_queues[0].sid, update)];
        commands.extend(["w0", "w1", "w2"].map(|name| {
            Command::CreateWorker(NewWorker {
                friendly_name: name.to_owned(),
                attributes: r#"{"kind":"a","level":2}"#.to_owned(),
                activity: available,
            })
        }));
        for command in commands {
            server.engine.send(self.workspace, Request::Routing(command)).await.unwrap();
        }
    }

    async fn act(&mut self, server: &Server) {
        self.commands.now = server.clock.now();
        let rows = server.engine.look(self.workspace, |workspace, _| workspace.rows()).await.unwrap();
        let command = self.commands.command(&rows);
        // Refusals are part of the day.
        let _ = server.engine.send(self.workspace, Request::Routing(command)).await;
    }

    /// Reads the whole log through the API.
    async fn log(&self, server: &Server) -> Log {
        server.engine.send(self.workspace, Request::Routing(Command::Tick)).await.unwrap();
        let mut events = Vec::new();
        let mut next = Some(format!("{}/Events?Minutes=43200&PageSize=1000", self.path));
        while let Some(url) = next {
            let page = server.get(&url).await.body;
            events.extend(page["events"].as_array().unwrap().iter().map(Event::read));
            next = page["meta"]["next_page_url"].as_str().map(str::to_owned);
        }
        let activities = server.get(&format!("{}/Activities?PageSize=1000", self.path)).await.body;
        let activities = activities["activities"].as_array().unwrap();
        let mut activities: Vec<(String, String, bool)> = activities
            .iter()
            .map(|row| (text(&row["sid"]).to_owned(), text(&row["friendly_name"]).to_owned(), row["available"] == true))
            .collect();
        activities.sort();
        Log::new(events, activities, server.clock.now().0)
    }

    async fn sids(&self, server: &Server, list: &str, key: &str) -> Vec<String> {
        let body = server.get(&format!("{}/{list}", self.path)).await.body;
        body[key].as_array().unwrap().iter().map(|row| text(&row["sid"]).to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_day_is_what_its_event_log_amounts_to() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("day.db").display());
    let clock = Clock::fixed(MIDNIGHT);
    let mut server = Server::start_on(&url, clock.clone()).await;
    let mut floors = [Floor::found(&server, 21, true).await, Floor::found(&server, 12, false).await];
    let mut restarts = 0;
    while clock.now().0 < MIDNIGHT.0 + DAY_MS {
        for floor in &mut floors {
            let burst = 1 + floor.commands.below(3);
            for _ in 0..burst {
                floor.act(&server).await;
            }
        }
        let pause = match floors[0].commands.below(10) {
            0 => 0,
            1..6 => floors[0].commands.below(40_000),
            6..9 => floors[0].commands.below(200_000),
            _ => floors[0].commands.below(600_000),
        };
        clock.advance(Duration::from_millis(pause as u64));
        if clock.now().0 > MIDNIGHT.0 + (restarts + 1) * DAY_MS / 3 {
            restarts += 1;
            server.stop().await;
            server = Server::start_on(&url, clock.clone()).await;
            for floor in &floors {
                check_everything(&server, floor, 4).await;
            }
        }
    }
    assert_eq!(restarts, 3);
    let mut logs = Vec::new();
    for floor in &floors {
        check_everything(&server, floor, 1).await;
        logs.push(floor.log(&server).await);
    }
    for kind in [
        "reservation.accepted",
        "reservation.rejected",
        "reservation.timeout",
        "reservation.canceled",
        "reservation.rescinded",
        "task.canceled",
        "task.completed",
        "task.deleted",
        "task-queue.moved",
        "workflow.timeout",
        "task.transfer-completed",
        "worker.deleted",
    ] {
        assert!(logs.iter().any(|log| log.count(kind) > 0), "the day had no {kind}");
    }
    server.stop().await;
}

/// Compares every figure of every resource with the log, for several windows (every `step`-th of them), with and without
/// a channel.
async fn check_everything(server: &Server, floor: &Floor, step: usize) {
    let log = floor.log(server).await;
    let now = log.now;
    let grid = |ms: i64, width: i64| ms - ms.rem_euclid(width);
    let dates = |start: i64, end: i64| {
        let moment = |ms| jiff::Timestamp::from_millisecond(ms).unwrap();
        // A second that is named as the end is meant to its end.
        let last = if end % 1_000 == 0 { end + 999 } else { end };
        (format!("StartDate={}&EndDate={}", moment(start), moment(end)), (start, last))
    };
    // Minutes are counted back to the beginning of a second.
    let second = grid(now, 1_000);
    let windows = [
        (String::new(), (second - 15 * 60_000, now)),
        ("Minutes=1440".to_owned(), (second - DAY_MS, now)),
        ("Minutes=7".to_owned(), (second - 7 * 60_000, now)),
        dates(grid(now, 3_600_000) - 4 * 3_600_000, grid(now, 3_600_000)),
        dates(grid(now, 300_000) - 9 * 300_000, grid(now, 300_000) - 1),
        dates(now - 5 * 3_600_000 - 1_234, now - 2 * 3_600_000 + 321),
        dates(now - 61_001, now - 1_001),
        dates(now - DAY_MS / 2, now + 60_000),
        dates(MIDNIGHT.0, MIDNIGHT.0),
    ];
    let channels = floor.sids(server, "TaskChannels", "channels").await;
    let queues = floor.sids(server, "TaskQueues", "task_queues").await;
    let workflows = floor.sids(server, "Workflows", "workflows").await;
    let workers = floor.sids(server, "Workers", "workers").await;
    let mut members = Vec::new();
    for queue in &queues {
        let sids = floor.sids(server, &format!("Workers?TaskQueueSid={queue}"), "workers").await;
        members.push(sids.into_iter().collect::<BTreeSet<String>>());
    }
    for (index, (query, window)) in windows.into_iter().enumerate().step_by(step) {
        for channel in [None, Some(&channels[index % 3])] {
            let thresholds = (index % 3 < 2).then(|| vec![0, 3, 30, 600]);
            let mut query = query.clone();
            if let Some(channel) = channel {
                query.push_str(&format!("&TaskChannel={channel}"));
            }
            if thresholds.is_some() {
                query.push_str("&SplitByWaitTime=30,3,0,600");
            }
            let asked = Asked { window, channel: channel.cloned(), thresholds };
            let check = Check { server, floor, log: &log, query: &query, asked: &asked };
            check.halves("", Whose::Workspace, None).await;
            for (queue, members) in queues.iter().zip(&members) {
                check.halves(&format!("/TaskQueues/{queue}"), Whose::TaskQueue(queue.clone()), Some(members)).await;
                check.workers(&format!("TaskQueueSid={queue}"), members).await;
            }
            for workflow in &workflows {
                check.halves(&format!("/Workflows/{workflow}"), Whose::Workflow(workflow.clone()), None).await;
            }
            check.halves("/Workers", Whose::Workers(None), None).await;
            for worker in &workers {
                check.worker(worker).await;
            }
            check.all_queues(&queues, &members).await;
            check.bulk(&queues, &members).await;
        }
    }
}

struct Check<'a> {
    server: &'a Server,
    floor: &'a Floor,
    log: &'a Log,
    query: &'a str,
    asked: &'a Asked,
}

impl Check<'_> {
    async fn get(&self, path: &str) -> Value {
        let answer = self.server.get(&format!("{}{path}", self.floor.path)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        answer.body
    }

    fn frame(&self, place: &str, last: &str) -> Value {
        let mut frame = json!({
            "account_sid": ACCOUNT,
            "workspace_sid": self.floor.workspace.to_string(),
            "url": format!("{BASE}{}{place}/{last}", self.floor.path),
        });
        let sid = place.rsplit('/').next().unwrap_or_default();
        for (prefix, name) in [("WQ", "task_queue_sid"), ("WW", "workflow_sid"), ("WK", "worker_sid")] {
            if sid.starts_with(prefix) {
                frame[name] = sid.into();
            }
        }
        frame
    }

    fn real_time(&self, whose: &Whose, members: Option<&BTreeSet<String>>) -> Value {
        let (total, available, activities) = self.log.workers(members);
        let mut figures = match whose {
            Whose::Workers(_) => json!({}),
            _ => self.log.tasks(whose, self.asked.channel.as_deref()),
        };
        match whose {
            Whose::Workflow(_) => return figures,
            Whose::TaskQueue(_) => {
                figures["total_eligible_workers"] = total.into();
                figures["total_available_workers"] = available.into();
            }
            Whose::Workspace | Whose::Workers(_) => figures["total_workers"] = total.into(),
        }
        figures["activity_statistics"] = activities;
        figures
    }

    /// The three resources of one subject.
    async fn halves(&self, place: &str, whose: Whose, members: Option<&BTreeSet<String>>) {
        let real_time = self.real_time(&whose, members);
        let cumulative = self.log.cumulative(&whose, self.asked);
        for (last, half) in [("RealTimeStatistics", &real_time), ("CumulativeStatistics", &cumulative)] {
            let mut expected = self.frame(place, last);
            expected.as_object_mut().unwrap().extend(half.as_object().unwrap().clone());
            let path = format!("{place}/{last}?{}", self.query);
            assert_eq!(self.get(&path).await, expected, "{path}");
        }
        let mut expected = self.frame(place, "Statistics");
        expected["realtime"] = real_time;
        expected["cumulative"] = cumulative;
        let path = format!("{place}/Statistics?{}", self.query);
        assert_eq!(self.get(&path).await, expected, "{path}");
    }

    async fn worker(&self, worker: &str) {
        let place = format!("/Workers/{worker}");
        let mut expected = self.frame(&place, "Statistics");
        let only = Whose::Workers(Some(BTreeSet::from([worker.to_owned()])));
        expected["cumulative"] = self.log.cumulative(&only, self.asked);
        let path = format!("{place}/Statistics?{}", self.query);
        assert_eq!(self.get(&path).await, expected, "{path}");
    }

    async fn workers(&self, condition: &str, members: &BTreeSet<String>) {
        let mut expected = self.frame("/Workers", "Statistics");
        let whose = Whose::Workers(Some(members.clone()));
        expected["realtime"] = self.real_time(&whose, Some(members));
        expected["cumulative"] = self.log.cumulative(&whose, self.asked);
        let path = format!("/Workers/Statistics?{}&{condition}", self.query);
        assert_eq!(self.get(&path).await, expected, "{path}");
    }

    async fn all_queues(&self, queues: &[String], members: &[BTreeSet<String>]) {
        let path = format!("/TaskQueues/Statistics?{}&PageSize=2", self.query);
        let mut items = Vec::new();
        let mut next = Some(path.clone());
        while let Some(url) = next {
            let place = url.strip_prefix(&format!("{BASE}{}", self.floor.path)).unwrap_or(&url).to_owned();
            let page = self.get(&place).await;
            items.extend(page["task_queues_statistics"].as_array().unwrap().clone());
            next = page["meta"]["next_page_url"].as_str().map(str::to_owned);
        }
        let expected: Vec<Value> = queues
            .iter()
            .zip(members)
            .map(|(queue, members)| {
                let whose = Whose::TaskQueue(queue.clone());
                json!({
                    "account_sid": ACCOUNT,
                    "workspace_sid": self.floor.workspace.to_string(),
                    "task_queue_sid": queue,
                    "realtime": self.real_time(&whose, Some(members)),
                    "cumulative": self.log.cumulative(&whose, self.asked),
                })
            })
            .collect();
        assert_eq!(items, expected, "{path}");
    }

    async fn bulk(&self, queues: &[String], members: &[BTreeSet<String>]) {
        let body = json!({ "queueSids": queues, "TaskChannel": self.asked.channel });
        let answer = bulk(self.server, &self.floor.path, &body.to_string()).await;
        let data: Vec<Value> = queues
            .iter()
            .zip(members)
            .map(|(queue, members)| {
                let mut figures = self.real_time(&Whose::TaskQueue(queue.clone()), Some(members));
                figures.as_object_mut().unwrap().retain(|name, _| !name.starts_with("longest_relative"));
                figures["task_queue_sid"] = json!(queue);
                figures
            })
            .collect();
        let mut expected = self.frame("/TaskQueues", "RealTimeStatistics");
        expected["task_queue_response_count"] = data.len().into();
        expected["task_queue_data"] = data.into();
        assert_eq!((answer.status, answer.body), (StatusCode::OK, expected));
    }
}

async fn bulk(server: &Server, workspace: &str, body: &str) -> Answer {
    let credentials =
        base64::engine::general_purpose::STANDARD.encode(format!("{ACCOUNT}:0123456789abcdef0123456789abcdef"));
    let request = HttpRequest::builder()
        .method(Method::POST)
        .uri(format!("/v1{workspace}/TaskQueues/RealTimeStatistics"))
        .header("authorization", format!("Basic {credentials}"))
        .header("content-type", "application/json");
    server.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn an_empty_workspace_has_every_figure() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let sid = workspace.strip_prefix("/Workspaces/").unwrap();
    let now = server.clock.now().0;
    let answer = server.get(&format!("{workspace}/Statistics?SplitByWaitTime=5,10")).await;
    let nothing = json!({ "avg": 0, "min": 0, "max": 0, "total": 0 });
    let neither = json!({ "tasks_canceled": 0, "reservations_accepted": 0 });
    let activities = server.get(&format!("{workspace}/Activities")).await.body;
    let activities: Vec<Value> = activities["activities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!({ "sid": row["sid"], "friendly_name": row["friendly_name"], "workers": 0 }))
        .collect();
    let expected = json!({
        "account_sid": ACCOUNT,
        "workspace_sid": sid,
        "url": format!("{BASE}{workspace}/Statistics"),
        "realtime": {
            "total_tasks": 0,
            "tasks_by_status":
                { "pending": 0, "reserved": 0, "assigned": 0, "wrapping": 0, "completed": 0, "canceled": 0 },
            "tasks_by_priority": {},
            "longest_task_waiting_age": 0,
            "longest_task_waiting_sid": null,
            "total_workers": 0,
            "activity_statistics": activities,
        },
        "cumulative": {
            "start_time": date(now - 900_000),
            "end_time": date(now),
            "reservations_created": 0,
            "reservations_accepted": 0,
            "reservations_rejected": 0,
            "reservations_timed_out": 0,
            "reservations_canceled": 0,
            "reservations_rescinded": 0,
            "tasks_created": 0,
            "tasks_canceled": 0,
            "tasks_completed": 0,
            "tasks_deleted": 0,
            "tasks_moved": 0,
            "tasks_timed_out_in_workflow": 0,
            "avg_task_acceptance_time": 0,
            "wait_duration_until_accepted": nothing,
            "wait_duration_until_canceled": nothing,
            "split_by_wait_time": {
                "5": { "below": neither, "above": neither },
                "10": { "below": neither, "above": neither },
            },
        },
    });
    assert_eq!((answer.status, answer.body), (StatusCode::OK, expected));
    server.stop().await;
}

/// Dates are told in seconds, so the second that an answer ends with is meant to its end.
#[tokio::test]
async fn the_window_that_an_answer_tells_has_the_same_figures() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let to_the_second = |ms: i64| Duration::from_millis(u64::try_from(1_000 - ms.rem_euclid(1_000)).unwrap());
    server.clock.advance(to_the_second(server.clock.now().0) + Duration::from_millis(400));
    let made = server.clock.now().0;
    server.post(&format!("{workspace}/Tasks"), "Attributes={}").await;
    server.clock.advance(Duration::from_millis(100));
    let path = format!("{workspace}/CumulativeStatistics");
    let first = server.get(&path).await.body;
    assert_eq!((&first["tasks_created"], &first["end_time"]), (&json!(1), &json!(date(made))), "{first}");
    let told = format!("StartDate={}&EndDate={}", text(&first["start_time"]), text(&first["end_time"]));
    assert_eq!(server.get(&format!("{path}?{told}")).await.body, first);
    let of_the_second = format!("{path}?StartDate={0}&EndDate={0}", date(made));
    assert_eq!(server.get(&of_the_second).await.body["tasks_created"], 1);
    let before = format!("{path}?EndDate={}", date(made - 1_000));
    assert_eq!(server.get(&before).await.body["tasks_created"], 0);
    server.stop().await;
}

#[tokio::test]
async fn unknown_subjects_and_wrong_parameters_are_refused() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let zeros = "0".repeat(31);
    for path in [
        format!("/TaskQueues/WQ{zeros}7/Statistics"),
        format!("/TaskQueues/WK{zeros}7/RealTimeStatistics"),
        format!("/Workflows/WW{zeros}7/CumulativeStatistics"),
        format!("/Workers/WK{zeros}7/Statistics"),
        "/Workers/nobody/Statistics".to_owned(),
    ] {
        let path = format!("{workspace}{path}");
        let message = format!("The requested resource {path} was not found");
        check_error(&server.get(&path).await, 404, 20404, &message);
    }
    for query in ["TaskChannel=fax", "Minutes=0", "SplitByWaitTime=a", "StartDate=x"] {
        let answer = server.get(&format!("{workspace}/Statistics?{query}")).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!(20001)), "{query}");
    }
    let old = server.get(&format!("{workspace}/Workers/CumulativeStatistics?StartDate=2025-12-01T00:00:00Z")).await;
    check_error(&old, 400, 14241, "StartDate is older than 30 days");
    let answer = server.get(&format!("{workspace}/Workers/Statistics?TaskQueueSid=WQ{zeros}7")).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!(20001)));
    server.stop().await;
}

#[tokio::test]
async fn workers_are_found_by_their_queue_and_their_exact_name() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    server.worker(&workspace, "Alice").await;
    server.worker(&workspace, "bob").await;
    server.make(&format!("{workspace}/TaskQueues"), "FriendlyName=Nobody&TargetWorkers=1==2").await;
    for (query, expected) in [
        ("", 2),
        ("FriendlyName=Alice", 1),
        ("FriendlyName=alice", 0),
        ("FriendlyName=carol", 0),
        ("TaskQueueName=Sample%20Queue", 2),
        ("TaskQueueName=Nobody", 0),
        ("TaskQueueName=Unknown", 0),
        ("TaskQueueName=Nobody&FriendlyName=bob", 0),
        ("TaskQueueName=Sample%20Queue&FriendlyName=bob", 1),
    ] {
        let answer = server.get(&format!("{workspace}/Workers/Statistics?{query}")).await;
        assert_eq!(answer.body["realtime"]["total_workers"], expected, "{query}: {}", answer.body);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_foreign_queue_has_an_empty_entry_in_a_bulk_answer() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let foreign = "WQ00000000000000000000000000000009";
    let answer = bulk(&server, &workspace, &json!({ "TaskQueueSids": [foreign] }).to_string()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body["task_queue_response_count"], 1);
    let entry = &answer.body["task_queue_data"][0];
    assert_eq!((&entry["task_queue_sid"], &entry["total_tasks"]), (&json!(foreign), &json!(0)));
    assert_eq!((&entry["total_eligible_workers"], &entry["tasks_by_priority"]), (&json!(0), &json!({})));
    assert_eq!(entry["activity_statistics"].as_array().unwrap().len(), 3);
    for body in ["", "{}", r#"{"queueSids":[]}"#, r#"{"queueSids":["WQ1"]}"#, r#"{"queueSids":["x"],"TaskChannel":1}"#]
    {
        assert_eq!(bulk(&server, &workspace, body).await.status, StatusCode::BAD_REQUEST, "{body}");
    }
    let unknown = json!({ "queueSids": [foreign], "TaskChannel": "fax" }).to_string();
    assert_eq!(bulk(&server, &workspace, &unknown).await.status, StatusCode::BAD_REQUEST);
    server.stop().await;
}
