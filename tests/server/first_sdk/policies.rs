//! Every shortcut of the official tokens by itself: what it opens, and that it opens nothing else.

use super::*;

/// A request, and the status it has where it is allowed.
type Asked = (&'static str, &'static str, Value, u16);

/// Sends every request of `all` with a token of these grants; those that are named have to be answered, others denied.
async fn check(desk: &Desk, token: &Official, grants: &[&str], all: &[Asked], allowed: &[&str]) {
    for name in allowed {
        assert!(all.iter().any(|(method, url, ..)| format!("{method} {url}") == *name), "{name} is not in the list");
    }
    let token = grants.iter().fold(token.clone(), |token, name| token.grant(name));
    for (method, url, params, expected) in all {
        let name = format!("{method} {url}");
        // What follows a hash tells requests with the same address apart.
        let filled = url
            .split('#')
            .next()
            .unwrap()
            .replace("{own}", token.resource().strip_prefix(&token.base()).unwrap())
            .replace("{task}", &desk.task)
            .replace("{reservation}", &desk.reservation);
        let (status, body) = ask(&desk.office, &token, method, &filled, params.clone()).await;
        let is_allowed = allowed.contains(&name.as_str());
        assert_eq!(status.as_u16(), if is_allowed { *expected } else { 403 }, "{grants:?} {name}: {body}");
        if !is_allowed {
            assert_eq!(body["code"], 20403, "{grants:?} {name}");
            assert!(body["message"].is_string());
        } else if *expected == 200 {
            assert!(body.get("payload").is_some(), "{grants:?} {name}: {body}");
        }
    }
}

#[tokio::test]
async fn those_of_worker_tokens() {
    let attributes = json!({ "Attributes": "{\"languages\":[\"de\"]}" });
    for (grants, allowed) in [
        (&["allow_fetch_self"][..], &["GET {own}"][..]),
        (&["allow_fetch_activities"], &["GET /Activities"]),
        (
            &["allow_fetch_reservations"],
            &["GET /Tasks", "GET /Tasks/{task}", "GET /Tasks/{task}/Reservations/{reservation}"],
        ),
        (&["allow_fetch_worker_reservations"], &["GET {own}/Reservations", "GET {own}/Reservations/{reservation}"]),
        (&["allow_update_activities"], &["POST {own}#activity"]),
        (
            &["allow_update_reservations"],
            &[
                "POST /Tasks/{task}",
                "POST /Tasks/{task}/Reservations/{reservation}",
                "POST {own}/Reservations/{reservation}",
            ],
        ),
        (&["allow_update_self"], &["POST {own}#activity", "POST {own}#attributes", "POST {own}#both"]),
        (
            &["allow_update_activities", "allow_update_self"],
            &["POST {own}#activity", "POST {own}#attributes", "POST {own}#both"],
        ),
        (&["allow_delete_self"], &["DELETE {own}"]),
        (
            &["allow_fetch_subresources"],
            &["GET {own}/Channels", "GET {own}/Statistics", "GET {own}/Reservations/{reservation}"],
        ),
        (&["allow_update_subresources"], &["POST {own}/Channels/voice", "POST {own}/Reservations/{reservation}"]),
        (&["allow_delete_subresources"], &["DELETE {own}/Reservations/{reservation}"]),
        (&[], &[]),
    ] {
        let desk = Desk::open().await;
        let activity = json!({ "ActivitySid": desk.office.available });
        let mut both = attributes.clone();
        both["ActivitySid"] = activity["ActivitySid"].clone();
        let mut all: Vec<Asked> = [
            "",
            "{own}",
            "/Workers",
            "/Activities",
            "/Tasks",
            "/Tasks/{task}",
            "/Tasks/{task}/Reservations/{reservation}",
            "{own}/Reservations/{reservation}",
            "{own}/Channels",
            "{own}/Statistics",
            "/TaskQueues",
            "/Statistics",
        ]
        .map(|url| ("GET", url, json!({}), 200))
        .into();
        // That a collection can be read with the right to what is below it is tested with the narrower right.
        if !grants.contains(&"allow_fetch_subresources") {
            all.push(("GET", "{own}/Reservations", json!({ "ReservationStatus": "pending" }), 200));
        }
        all.extend([
            ("POST", "{own}#activity", activity, 200),
            ("POST", "{own}#attributes", attributes.clone(), 200),
            ("POST", "{own}#both", both, 200),
            ("POST", "{own}/Channels/voice", json!({ "Capacity": 2, "Available": true }), 200),
            ("POST", "/Tasks", json!({}), 200),
            ("POST", "/Tasks/{task}", json!({ "Priority": 3 }), 200),
            ("POST", "/Tasks/{task}/Reservations/{reservation}", json!({}), 200),
            ("POST", "{own}/Reservations/{reservation}", json!({ "ReservationStatus": "accepted" }), 200),
            ("POST", "/Activities", json!({ "FriendlyName": "Lunch" }), 200),
            ("POST", "/Tokens", json!({ "Kind": "access" }), 200),
            // REST has no such method.
            ("DELETE", "{own}/Reservations/{reservation}", json!({}), 405),
            ("DELETE", "/Tasks/{task}", json!({}), 200),
            ("DELETE", "{own}", json!({}), 200),
        ]);
        let token = Official::new(&desk.office, &desk.office.worker.to_string());
        check(&desk, &token, grants, &all, allowed).await;
        let mut office = desk.office;
        office.stop().await;
    }
}

#[tokio::test]
async fn those_of_task_queue_tokens() {
    for (grants, allowed) in [
        (&["allow_fetch_self"][..], &["GET {own}"][..]),
        (&["allow_update_self"], &["POST {own}"]),
        (&["allow_delete_self"], &["DELETE {own}"]),
        (
            &["allow_fetch_subresources"],
            &["GET {own}/Statistics", "GET {own}/RealTimeStatistics", "GET {own}/CumulativeStatistics"],
        ),
        (&["allow_update_subresources"], &["POST {own}/Statistics"]),
        (&["allow_delete_subresources"], &["DELETE {own}/Statistics"]),
    ] {
        let desk = Desk::open().await;
        let queue = desk.office.make(&desk.office.at("/TaskQueues"), &[("FriendlyName", "Sales")]).await;
        let all: [Asked; 11] = [
            ("GET", "{own}", json!({}), 200),
            ("GET", "{own}/Statistics", json!({ "Minutes": 15 }), 200),
            ("GET", "{own}/RealTimeStatistics", json!({}), 200),
            ("GET", "{own}/CumulativeStatistics", json!({}), 200),
            ("GET", "/TaskQueues", json!({}), 200),
            ("GET", "/Tasks", json!({}), 200),
            ("POST", "{own}", json!({ "MaxReservedWorkers": 5 }), 200),
            ("POST", "{own}/Statistics", json!({}), 405),
            ("POST", "/TaskQueues", json!({ "FriendlyName": "More" }), 200),
            ("DELETE", "{own}/Statistics", json!({}), 405),
            ("DELETE", "{own}", json!({}), 200),
        ];
        check(&desk, &Official::new(&desk.office, &text(&queue, "sid")), grants, &all, allowed).await;
        let mut office = desk.office;
        office.stop().await;
    }
}

#[tokio::test]
async fn those_of_workspace_tokens() {
    for (grants, allowed) in [
        (&["allow_fetch_self"][..], &["GET ", "GET /"][..]),
        (&["allow_update_self"], &["POST "]),
        (&["allow_delete_self"], &["DELETE "]),
        (
            &["allow_fetch_subresources"],
            &["GET /Tasks/{task}", "GET /Workers", "GET /Workers/Statistics", "GET /Statistics", "GET /Events"],
        ),
        (&["allow_update_subresources"], &["POST /Activities", "POST /Tasks/{task}", "POST /Tasks"]),
        (&["allow_delete_subresources"], &["DELETE /Tasks/{task}"]),
    ] {
        let desk = Desk::open().await;
        let all: [Asked; 15] = [
            ("GET", "", json!({}), 200),
            // So does the SDK itself, when its socket is open.
            ("GET", "/", json!({}), 200),
            ("GET", "/Tasks/{task}", json!({}), 200),
            ("GET", "/Workers", json!({ "Available": true, "PageSize": 1 }), 200),
            ("GET", "/Workers/Statistics", json!({}), 200),
            ("GET", "/Statistics", json!({}), 200),
            ("GET", "/Events", json!({ "Minutes": 15 }), 200),
            // Without an end, and rights that the token does not have: for nobody.
            ("GET", "/Events/Stream", json!({}), 200),
            ("POST", "/Tokens", json!({ "WorkerSid": desk.office.worker, "Role": "admin" }), 200),
            ("POST", "", json!({ "FriendlyName": "Help" }), 200),
            ("POST", "/Activities", json!({ "FriendlyName": "Lunch", "Available": false }), 200),
            ("POST", "/Tasks/{task}", json!({ "Priority": 3 }), 200),
            ("POST", "/Tasks", json!({ "Priority": 2, "Attributes": { "lang": "de" } }), 200),
            ("DELETE", "/Tasks/{task}", json!({}), 200),
            ("DELETE", "", json!({}), 200),
        ];
        check(&desk, &Official::new(&desk.office, &desk.office.workspace.to_string()), grants, &all, allowed).await;
        let mut office = desk.office;
        office.stop().await;
    }
}

#[tokio::test]
async fn without_the_right_to_the_channel_no_other_right_counts() {
    let desk = Desk::open().await;
    let mut office = desk.office;
    let worker = office.worker.to_string();
    let token = Official::bare(&office, &worker).grant("allow_fetch_self");
    let (status, body) = ask(&office, &token, "GET", &format!("/Workers/{worker}"), json!({})).await;
    assert_eq!((status, &body["message"]), (StatusCode::FORBIDDEN, &json!("The token does not permit requests")));
    let (status, body) = try_connect(&office, &token.path(), &token.signed(), "").await.unwrap_err();
    assert_eq!((status, &body["message"]), (StatusCode::FORBIDDEN, &json!("The token does not permit a socket")));
    office.stop().await;
}

/// A policy that denies wins over a less specific one that allows.
#[tokio::test]
async fn a_policy_can_take_away() {
    let desk = Desk::open().await;
    let mut office = desk.office;
    let mut token = Official::new(&office, &office.workspace.to_string()).grant("allow_fetch_subresources");
    token.policies.push(json!({ "url": format!("{}/Workers/**", token.base()), "method": "GET", "allow": false }));
    assert_eq!(ask(&office, &token, "GET", "/Tasks", json!({})).await.0, StatusCode::OK);
    assert_eq!(ask(&office, &token, "GET", "/Workers", json!({})).await.0, StatusCode::FORBIDDEN);
    assert_eq!(ask(&office, &token, "GET", "/Workers/Statistics", json!({})).await.0, StatusCode::FORBIDDEN);
    office.stop().await;
}
