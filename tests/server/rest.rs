//! The contract's small print, as data: what each list refuses, what updates without parameters do, versions on every
//! resource that has one, and the envelope of a page.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::api::{ACCOUNT, BASE, Server, check_error, names, text};

/// A SID of this kind that nothing has.
fn nobody(prefix: &str) -> String {
    format!("{prefix}{}", "0".repeat(32))
}

#[tokio::test]
async fn every_filter_with_a_wrong_value_is_refused_by_name() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let worker = server.worker(&workspace, "dana").await;
    let task = server.make(&format!("{workspace}/Tasks"), "").await;
    let task = text(&task["sid"]);
    for (list, parameter, value) in [
        ("Tasks", "AssignmentStatus", "lost"),
        ("Tasks", "AssignmentStatus", "pending,lost"),
        ("Tasks", "Priority", "high"),
        ("Tasks", "Priority", "-1"),
        ("Tasks", "WorkflowSid", "WQ1"),
        ("Tasks", "TaskQueueSid", "WQ1"),
        ("Tasks", "RoutingTarget", "WA1"),
        ("Tasks", "HasAddons", "perhaps"),
        ("Tasks", "Ordering", "Age:asc"),
        ("Tasks", "Ordering", "Priority:up"),
        ("Tasks", "Ordering", "Priority:asc,Priority:desc"),
        ("Tasks", "Ordering", "DateCreated:asc,VirtualStartTime:asc"),
        ("Tasks", "EvaluateTaskAttributes", "n >"),
        ("Workers", "ActivitySid", "WK1"),
        ("Workers", "TaskQueueSid", "WQ1"),
        ("Workers", "TaskQueueSid", &nobody("WQ")),
        ("Workers", "TargetWorkersExpression", "level"),
        ("Workers", "Ordering", "DateCreated:asc"),
        ("TaskQueues", "WorkerSid", "WK1"),
        ("TaskQueues", "WorkerSid", &nobody("WK")),
        ("TaskQueues", "EvaluateWorkerAttributes", "level == 1"),
        ("TaskQueues", "EvaluateWorkerAttributes", "[]"),
        ("TaskQueues", "Ordering", "DateUpdated:sideways"),
        (&format!("Tasks/{task}/Reservations"), "ReservationStatus", "lost"),
        (&format!("Tasks/{task}/Reservations"), "WorkerSid", "WK1"),
        (&format!("Workers/{worker}/Reservations"), "ReservationStatus", "lost"),
        ("Events", "TaskSid", "WT1"),
        ("Events", "WorkerSid", "WT1"),
        ("Events", "ReservationSid", "WR1"),
        ("Events", "TaskQueueSid", "WQ1"),
        ("Events", "WorkflowSid", "WW1"),
        ("Events", "Sid", "EV1"),
        ("Events", "Minutes", "0"),
        ("Events", "StartDate", "yesterday"),
        ("Events", "EndDate", "tomorrow"),
    ] {
        let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair(parameter, value).finish();
        let answer = server.get(&format!("{workspace}/{list}?{query}")).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!(20001)), "{list} {query}");
        assert!(
            text(&answer.body["message"]).starts_with(&format!("Invalid {parameter}: ")),
            "{query}: {}",
            answer.body
        );
        // An empty value is no filter.
        let empty = server.get(&format!("{workspace}/{list}?{parameter}=")).await;
        assert_eq!(empty.status, StatusCode::OK, "{list} {parameter}");
    }
    server.stop().await;
}

#[tokio::test]
async fn pages_that_nobody_was_given_are_refused() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let task = nobody("WT");
    for (query, message) in [
        ("PageSize=0".to_owned(), "Invalid PageSize."),
        ("PageSize=many".to_owned(), "Invalid PageSize."),
        ("Page=first".to_owned(), "Invalid Page."),
        ("PageToken=next".to_owned(), "Invalid PageToken."),
        (format!("PageToken=PA{task}"), "Invalid PageToken."),
        (format!("PageToken=PC{task}.1"), "Invalid PageToken."),
        (format!("PageToken=PA{task}.1.2"), "Invalid PageToken."),
        (format!("PageToken=PA{}.1", task.replace('0', "z")), "Invalid PageToken."),
        ("PageToken=Pé".to_owned(), "Invalid PageToken."),
    ] {
        let query = query.replace('é', "%C3%A9");
        check_error(&server.get(&format!("{workspace}/Tasks?{query}")).await, 400, 20001, message);
    }
    server.stop().await;
}

#[tokio::test]
async fn urls_of_a_page_repeat_the_filters_as_they_came() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    for _ in 0..3 {
        server.make(&format!("{workspace}/Tasks"), "").await;
    }
    let filters = "Ordering=Priority%3Adesc%2CDateCreated%3Aasc&AssignmentStatus=pending&AssignmentStatus=reserved\
        &WorkflowName=Default+Fifo+Workflow";
    let list = server.get(&format!("{workspace}/Tasks?PageSize=2&{filters}&Page=0")).await;
    let meta = &list.body["meta"];
    let first = format!("{BASE}{workspace}/Tasks?{filters}&PageSize=2&Page=0");
    assert_eq!((text(&meta["first_page_url"]), text(&meta["url"])), (first.as_str(), first.as_str()));
    let next = format!("{BASE}{workspace}/Tasks?{filters}&PageSize=2&Page=1&PageToken=PA");
    assert!(text(&meta["next_page_url"]).starts_with(&next), "{meta}");
    assert_eq!((&meta["previous_page_url"], &meta["page_size"]), (&Value::Null, &json!(2)));
    let second = server.get(text(&meta["next_page_url"])).await;
    assert_eq!((&second.body["meta"]["next_page_url"], &second.body["meta"]["page"]), (&Value::Null, &json!(1)));
    assert_eq!(second.body["tasks"].as_array().unwrap().len(), 1);
    let large = server.get(&format!("{workspace}/Tasks?PageSize=5000")).await;
    assert_eq!(large.body["meta"]["page_size"], 1000);
    server.stop().await;
}

#[tokio::test]
async fn a_page_that_is_asked_for_by_number_alone_is_served_and_noted() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    for name in ["w1", "w2", "w3"] {
        server.worker(&workspace, name).await;
    }
    let workers = format!("{workspace}/Workers");
    let list = server.get(&format!("{workers}?PageSize=2&Page=1")).await;
    assert_eq!(names(&list, "workers"), ["w3"]);
    server.get(&format!("{workers}?PageSize=2&Page=0")).await;
    let first = server.get(&format!("{workers}?PageSize=2")).await;
    server.get(text(&first.body["meta"]["next_page_url"])).await;
    let alerts = server.store.alerts(ACCOUNT.parse().unwrap(), 10).await.unwrap();
    let noted: Vec<_> = alerts.iter().map(|alert| (alert.code, alert.workspace.map(|sid| sid.to_string()))).collect();
    assert_eq!(noted, [(40153, Some(workspace.trim_start_matches("/Workspaces/").to_owned()))]);
    server.stop().await;
}

#[tokio::test]
async fn an_update_without_parameters_changes_nothing() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let worker = server.worker(&workspace, "dana").await;
    let task = server.make(&format!("{workspace}/Tasks"), "").await;
    let first = async |list: &str, key: &str| {
        let body = server.get(&format!("{workspace}/{list}")).await.body;
        text(&body[key][0]["url"]).to_owned()
    };
    let paths = [
        format!("{BASE}{workspace}"),
        first("Activities", "activities").await,
        first("TaskChannels", "channels").await,
        first("TaskQueues", "task_queues").await,
        first("Workflows", "workflows").await,
        first("Workers", "workers").await,
        first(&format!("Workers/{worker}/Channels"), "channels").await,
        first("Tasks", "tasks").await,
        first(&format!("Tasks/{}/Reservations", text(&task["sid"])), "reservations").await,
        first(&format!("Workers/{worker}/Reservations"), "reservations").await,
    ];
    let events = format!("{workspace}/Events?PageSize=1000");
    let told = server.get(&events).await.body["events"].as_array().unwrap().len();
    for path in paths {
        server.clock.advance(std::time::Duration::from_secs(2));
        let before = server.get(&path).await;
        let updated = server.post(&path, "").await;
        assert_eq!(updated.status, StatusCode::OK, "{path}");
        let mut after = updated.body.clone();
        // It grows by itself.
        after["age"].clone_from(&before.body["age"]);
        let mut expected = before.body.clone();
        expected["age"].clone_from(&before.body["age"]);
        assert_eq!(after, expected, "{path}");
        assert_eq!(updated.headers.get("etag"), before.headers.get("etag"), "{path}");
    }
    assert_eq!(server.get(&events).await.body["events"].as_array().unwrap().len(), told);
    server.stop().await;
}

#[tokio::test]
async fn versions_are_told_and_asked_for_in_every_form() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let worker = server.worker(&workspace, "dana").await;
    let task = server.make(&format!("{workspace}/Tasks"), "").await;
    let task = format!("{workspace}/Tasks/{}", text(&task["sid"]));
    let worker = format!("{workspace}/Workers/{worker}");
    let list = server.get(&format!("{worker}/Reservations")).await;
    let by_worker = text(&list.body["reservations"][0]["url"]).to_owned();
    let by_task = format!("{task}/Reservations/{}", text(&list.body["reservations"][0]["sid"]));
    for path in [&task, &worker, &by_worker, &by_task] {
        let tag = server.get(path).await.headers["etag"].to_str().unwrap().to_owned();
        let version: u64 = tag.trim_matches('"').parse().unwrap();
        assert_eq!(tag, format!("\"{version}\""), "{path}");
        for form in [tag.clone(), version.to_string(), format!("W/{tag}"), "*".to_owned()] {
            let kept = server.call(ACCOUNT, Method::POST, path, "Unknown=1", Some(&form)).await;
            assert_eq!((kept.status, kept.headers["etag"].to_str().unwrap()), (StatusCode::OK, tag.as_str()), "{path}");
        }
    }
    for (path, form) in [
        (&task, "Priority=1"),
        (&worker, "Attributes={\"a\":1}"),
        (&by_task, "ReservationStatus=accepted"),
        (&by_worker, "Instruction=accept"),
    ] {
        for wrong in ["\"77\"", "77", "W/\"77\"", "abc", ""] {
            let refused = server.call(ACCOUNT, Method::POST, path, form, Some(wrong)).await;
            check_error(&refused, 412, 20412, "Precondition failed");
        }
    }
    for path in [&task, &worker] {
        let refused = server.call(ACCOUNT, Method::DELETE, path, "", Some("\"77\"")).await;
        check_error(&refused, 412, 20412, "Precondition failed");
        let tag = server.get(path).await.headers["etag"].to_str().unwrap().to_owned();
        let deleted = server.call(ACCOUNT, Method::DELETE, path, "", Some(&tag)).await;
        assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{path}");
    }
    let lists = server.get(&format!("{workspace}/Workers")).await;
    assert!(!lists.headers.contains_key("etag"));
    server.stop().await;
}

#[tokio::test]
async fn what_is_left_out_at_creation_has_the_documented_value() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let queue = server.get(&format!("{workspace}/TaskQueues")).await.body["task_queues"][0]["sid"].clone();
    let configuration = json!({ "task_routing": { "default_filter": { "queue": queue } } });
    let made = server.make("/Workspaces", "FriendlyName=Plain").await;
    for (key, expected) in [
        ("multi_task_enabled", json!(true)),
        ("prioritize_queue_order", json!("FIFO")),
        ("default_activity_name", json!("Offline")),
        ("timeout_activity_name", json!("Offline")),
        ("event_callback_url", json!("")),
        ("events_filter", Value::Null),
    ] {
        assert_eq!(made[key], expected, "workspace {key}");
    }
    let plain = format!("/Workspaces/{}", text(&made["sid"]));
    assert_eq!(server.get(&format!("{plain}/TaskQueues")).await.body["task_queues"], json!([]));
    for (list, form, expected) in [
        ("Activities", "FriendlyName=Lunch".to_owned(), json!({ "available": false })),
        ("TaskChannels", "FriendlyName=Fax&UniqueName=fax".to_owned(), json!({ "channel_optimized_routing": false })),
        (
            "TaskQueues",
            "FriendlyName=Q".to_owned(),
            json!({ "target_workers": "1==1", "max_reserved_workers": 1, "task_order": "FIFO",
                "assignment_activity_sid": null, "assignment_activity_name": null,
                "reservation_activity_sid": null, "reservation_activity_name": null }),
        ),
        (
            "Workflows",
            format!("FriendlyName=W&Configuration={configuration}"),
            json!({ "task_reservation_timeout": 120, "assignment_callback_url": null,
                "fallback_assignment_callback_url": null, "document_content_type": "application/json" }),
        ),
        (
            "Workers",
            "FriendlyName=dana".to_owned(),
            json!({ "attributes": "{}", "activity_name": "Offline", "available": false }),
        ),
        (
            "Tasks",
            format!("RoutingTarget={}", text(&queue)),
            json!({ "attributes": "{}", "priority": 0, "timeout": 86_400, "reason": null, "addons": "{}", "age": 0,
                "task_channel_unique_name": "default", "ignore_capacity": false, "assignment_status": "pending" }),
        ),
    ] {
        let made = server.make(&format!("{workspace}/{list}"), &form).await;
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&made[key], value, "{list} {key}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn moments_are_understood_with_fractions_and_offsets_and_told_in_whole_seconds() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    for (given, told) in [
        ("2026-02-03T03:05:06.789Z", "2026-02-03T03:05:06Z"),
        ("2026-02-03T04:05:06%2B01:00", "2026-02-03T03:05:06Z"),
        ("2026-02-03", "2026-02-03T00:00:00Z"),
    ] {
        let task = server.make(&format!("{workspace}/Tasks"), &format!("VirtualStartTime={given}")).await;
        assert_eq!(task["virtual_start_time"], told, "{given}");
    }
    for (given, expected) in [("2027-02-03T04:05:06Z", "future"), ("1899-12-31T23:59:59Z", "1900"), ("soon", "moment")]
    {
        let answer = server.post(&format!("{workspace}/Tasks"), &format!("VirtualStartTime={given}")).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!(20001)), "{given}");
        assert!(text(&answer.body["message"]).contains(expected), "{given}: {}", answer.body);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_empty_text_clears_urls_and_filters() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let set = "EventCallbackUrl=https://example.org/e&EventsFilter=task.created";
    let changed = server.post(&workspace, set).await.body;
    assert_eq!(
        (&changed["event_callback_url"], &changed["events_filter"]),
        (&json!("https://example.org/e"), &json!("task.created"))
    );
    let cleared = server.post(&workspace, "EventCallbackUrl=&EventsFilter=").await.body;
    assert_eq!((&cleared["event_callback_url"], &cleared["events_filter"]), (&json!(""), &Value::Null));
    let list = server.get(&format!("{workspace}/Workflows")).await.body;
    let workflow = text(&list["workflows"][0]["url"]).to_owned();
    let set = "AssignmentCallbackUrl=https://example.org/a&FallbackAssignmentCallbackUrl=https://example.org/f";
    assert_eq!(server.post(&workflow, set).await.body["assignment_callback_url"], "https://example.org/a");
    let cleared = server.post(&workflow, "AssignmentCallbackUrl=&FallbackAssignmentCallbackUrl=").await.body;
    assert_eq!(
        (&cleared["assignment_callback_url"], &cleared["fallback_assignment_callback_url"]),
        (&Value::Null, &Value::Null)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_workspace_holds_no_more_activities_and_channels_than_it_may() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    for (list, built_in, limit, kind) in
        [("Activities", 3, 100, "activities"), ("TaskChannels", 5, 15, "task channels")]
    {
        let path = format!("{workspace}/{list}");
        for number in built_in..limit {
            server.make(&path, &format!("FriendlyName=n{number}&UniqueName=n{number}")).await;
        }
        let refused = server.post(&path, "FriendlyName=more&UniqueName=more").await;
        check_error(&refused, 400, 20001, &format!("A workspace holds at most {limit} {kind}"));
    }
    assert_eq!(server.store.count_workspaces(ACCOUNT.parse().unwrap()).await.unwrap(), 1);
    server.stop().await;
}

#[tokio::test]
async fn instructions_are_told_what_they_lack() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let worker = server.worker(&workspace, "dana").await;
    server.make(&format!("{workspace}/Tasks"), "").await;
    let list = server.get(&format!("{workspace}/Workers/{worker}/Reservations")).await;
    let path = text(&list.body["reservations"][0]["url"]).to_owned();
    for (form, missing) in [
        ("Instruction=call&CallUrl=http://localhost/a", "CallFrom"),
        ("Instruction=call&CallFrom=x&CallAccept=perhaps", "CallUrl"),
        ("Instruction=redirect&RedirectUrl=nowhere", "RedirectCallSid"),
        ("Instruction=redirect&RedirectCallSid=CA1", "RedirectUrl"),
    ] {
        let message = format!("{missing} field is required");
        check_error(&server.post(&path, form).await, 400, 20001, &message);
    }
    let no_call = server.post(&path, "Instruction=dequeue&DequeueTo=client:dana").await;
    check_error(&no_call, 400, 20001, "Invalid Instruction: the task has no call_sid");
    let newest = server.get("/Alerts?PageSize=1").await;
    assert_eq!(newest.body["alerts"][0]["error_code"], "40140");
    // With both, the instruction wins.
    let both = server.post(&path, "Instruction=reject&ReservationStatus=accepted").await;
    assert_eq!(both.body["reservation_status"], "rejected");
    server.stop().await;
}

#[tokio::test]
async fn what_a_parameter_names_has_to_be_there() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    for parameter in ["TaskQueueSid", "RoutingTarget"] {
        let answer = server.post(&format!("{workspace}/Tasks"), &format!("{parameter}={}", nobody("WQ"))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{parameter}: {}", answer.body);
        assert!(text(&answer.body["message"]).contains(parameter), "{}", answer.body);
    }
}

#[tokio::test]
async fn activities_of_a_queue_can_be_taken_back() {
    let server = Server::start().await;
    let made = server.make("/Workspaces", "FriendlyName=One&Template=FIFO&MultiTaskEnabled=false").await;
    let workspace = format!("/Workspaces/{}", text(&made["sid"]));
    let activity = server.activity(&workspace, "Unavailable").await;
    let form = format!("FriendlyName=Own&ReservationActivitySid={activity}&AssignmentActivitySid={activity}");
    let queue = server.make(&format!("{workspace}/TaskQueues"), &form).await;
    let path = format!("{workspace}/TaskQueues/{}", text(&queue["sid"]));
    assert_eq!(server.post(&path, "MaxReservedWorkers=2").await.body["reservation_activity_sid"], json!(activity));
    let changed = server.post(&path, "ReservationActivitySid=&AssignmentActivitySid=").await.body;
    assert_eq!(
        (&changed["reservation_activity_sid"], &changed["assignment_activity_sid"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(server.delete(&format!("{workspace}/Activities/{activity}")).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_task_that_is_over_takes_attributes_and_no_other_start_time() {
    let server = Server::start().await;
    let workspace = server.workspace().await;
    let task = server.make(&format!("{workspace}/Tasks"), "Priority=3").await;
    let path = format!("{workspace}/Tasks/{}", text(&task["sid"]));
    server.post(&path, "AssignmentStatus=canceled").await;
    let answer = server.post(&path, "VirtualStartTime=2020-01-01T00%3A00%3A00Z").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    let answer = server.post(&path, "Attributes=%7B%22disposition%22%3A%22spam%22%7D&Priority=4").await;
    assert_eq!(answer.body["attributes"], json!(r#"{"disposition":"spam"}"#), "{}", answer.body);
}
