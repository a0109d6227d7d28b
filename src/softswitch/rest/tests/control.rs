//! Faults, the pace of dialling, speech, and requests from pages of other sites.

use super::*;

#[tokio::test]
async fn ordered_faults_refuse_delay_and_lose_answers() {
    let phone = start(options());
    let order = async |body: &str| send(&phone, "POST", "/control/faults", body).await;
    assert_eq!(order(r#"{"contains":"/Queues","times":2,"status":429,"retry_after":3}"#).await.0, 201);
    assert_eq!(order(r#"{"method":"POST","contains":"/Queues","status":500,"carried_out":true}"#).await.0, 201);
    assert_eq!(order(r#"{"contains":"/Calls","delay_ms":1}"#).await.0, 201);
    let (_, listed) = send(&phone, "GET", "/control/faults", "").await;
    assert_eq!(listed["faults"].as_array().unwrap().len(), 3);
    for _ in 0..2 {
        let credentials = STANDARD.encode(format!("{ACCOUNT}:{TOKEN}"));
        let request = HttpRequest::builder()
            .uri(format!("/2010-04-01/Accounts/{ACCOUNT}/Queues.json"))
            .header(AUTHORIZATION, format!("Basic {credentials}"));
        let response = phone.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"3".parse().unwrap()));
    }
    let (status, body) = rest(&phone, "POST", "Queues.json", "FriendlyName=q").await;
    assert_eq!((status, &body["code"]), (500, &json!(20500)));
    let (status, list) = rest(&phone, "GET", "Queues.json", "").await;
    assert_eq!((status, &list["queues"][0]["friendly_name"]), (200, &json!("q")), "it was carried out");
    assert_eq!(rest(&phone, "GET", "Calls.json", "").await.0, 200);
    let (_, listed) = send(&phone, "GET", "/control/faults", "").await;
    assert_eq!(listed, json!({ "faults": [] }));
    for (body, problem) in [("{}", "required"), (r#"{"status":200}"#, "400 to 599"), (r#"{"stat":1}"#, "stat")] {
        let (status, refusal) = order(body).await;
        assert_eq!(status, 400);
        assert!(refusal["message"].as_str().unwrap().contains(problem), "{refusal}");
    }
    order(r#"{"status":503}"#).await;
    assert_eq!(send(&phone, "DELETE", "/control/faults", "").await.0, 204);
    assert_eq!(send(&phone, "PUT", "/control/faults", "{}").await.0, 405);
    assert_eq!(rest(&phone, "GET", "Calls.json", "").await.0, 200);
}

#[tokio::test]
async fn callbacks_get_lost_and_come_twice_on_demand() {
    let mut app = App::start(|_| xml("<Response><Pause length=\"1\"/></Response>")).await;
    let phone =
        with_number(&app, |number| number.status_callback_events = vec!["answered".to_owned(), "completed".to_owned()]);
    send(&phone, "POST", "/control/faults", r#"{"of":"callbacks","contains":"/status","fate":"lost"}"#).await;
    send(&phone, "POST", "/control/faults", r#"{"of":"callbacks","contains":"/status","fate":"twice","delay_ms":1}"#)
        .await;
    send(&phone, "POST", "/control/calls", PLACE).await;
    assert_eq!(app.next().await.path, "/voice");
    let (first, again) = (app.next().await, app.next().await);
    assert_eq!(first.params["CallStatus"], "completed", "answered got lost");
    assert_eq!((&again.params, &again.idempotency_token), (&first.params, &first.idempotency_token));
    let (_, events) = send(&phone, "GET", "/control/events", "").await;
    let lost = |event: &&Value| event["kind"] == "webhook.failed";
    assert_eq!(events["events"].as_array().unwrap().iter().filter(lost).count(), 1);
}

#[tokio::test]
async fn a_callback_comes_after_later_ones_on_demand() {
    let mut app = App::start(|_| xml("<Response><Pause length=\"1\"/></Response>")).await;
    let phone =
        with_number(&app, |number| number.status_callback_events = vec!["answered".to_owned(), "completed".to_owned()]);
    let late = r#"{"of":"callbacks","contains":"/status","fate":"out_of_order","delay_ms":1500}"#;
    assert_eq!(send(&phone, "POST", "/control/faults", late).await.0, 201);
    send(&phone, "POST", "/control/calls", PLACE).await;
    assert_eq!(app.next().await.path, "/voice");
    let (first, second) = (app.next().await, app.next().await);
    let told = |received: &Received| (received.params["CallStatus"].clone(), received.params["SequenceNumber"].clone());
    assert_eq!(told(&first), ("completed".to_owned(), "1".to_owned()));
    assert_eq!(told(&second), ("in-progress".to_owned(), "0".to_owned()));
}

#[tokio::test]
async fn a_url_says_when_its_callbacks_are_repeated() {
    let mut app = App::start(|path| match path {
        "/voice" => xml("<Response/>"),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    })
    .await;
    let phone = with_number(&app, |number| {
        number.status_callback = number.status_callback.take().map(|url| format!("{url}#rc=1&rp=5xx"));
    });
    send(&phone, "POST", "/control/calls", PLACE).await;
    assert_eq!(app.next().await.path, "/voice");
    let (first, again) = (app.next().await, app.next().await);
    assert_eq!((first.path.as_str(), &first.idempotency_token), ("/status", &again.idempotency_token));
    assert!(again.is_signed);
    loop {
        let (_, events) = send(&phone, "GET", "/control/events", "").await;
        if events["events"].as_array().unwrap().iter().any(|event| event["kind"] == "webhook.failed") {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(app.received.try_recv().is_err(), "once is enough");
}

#[tokio::test]
async fn the_pace_is_set_and_shown_and_speech_is_taken() {
    let phone = start(options());
    assert_eq!(send(&phone, "GET", "/control/pace", "").await.1, json!({ "calls_per_second": 0.0 }));
    assert_eq!(send(&phone, "PUT", "/control/pace", r#"{"calls_per_second":2.5}"#).await.0, 200);
    assert_eq!(send(&phone, "GET", "/control/pace", "").await.1, json!({ "calls_per_second": 2.5 }));
    for (path, body) in [
        ("/control/pace", r#"{"calls_per_second":-1}"#),
        ("/control/pace", r#"{"calls_per_second":1e9}"#),
        ("/control/pace", "{}"),
    ] {
        assert_eq!(send(&phone, "PUT", path, body).await.0, 400, "{body}");
    }
    let mut app = App::start(|path| match path {
        "/voice" => xml("<Response><Gather input=\"speech\" timeout=\"4000\" action=\"/heard\"/></Response>"),
        _ => xml("<Response><Pause length=\"3600\"/></Response>"),
    })
    .await;
    send(&phone, "PUT", "/control/numbers/%2B15552220000", &format!(r#"{{"voice_url":"{}/voice"}}"#, app.base)).await;
    let sip = r#"{"from":"sip:a@b","to":"+15552220000","sip_headers":{"X-One":"1"},"caller_name":"ANN"}"#;
    let (_, placed) = send(&phone, "POST", "/control/calls", sip).await;
    let voice = app.next().await;
    assert_eq!((voice.params["SipHeader_X-One"].as_str(), voice.params["CallerName"].as_str()), ("1", "ANN"));
    let speech = format!("/control/calls/{}/speech", placed["call_sid"].as_str().unwrap());
    assert_eq!(send(&phone, "POST", &speech, r#"{"text":" "}"#).await.0, 400);
    let heard = loop {
        // The document may still be on its way to the phone system.
        assert_eq!(send(&phone, "POST", &speech, r#"{"text":"billing"}"#).await.0, 200);
        if let Ok(heard) = app.received.try_recv() {
            break heard;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((heard.path.as_str(), heard.params["SpeechResult"].as_str()), ("/heard", "billing"));
    let bad = r#"{"from":"sip:a@b","to":"+15552220000","sip_headers":{"bad name":"1"}}"#;
    assert_eq!(send(&phone, "POST", "/control/calls", bad).await.0, 400);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let phone = start(options());
    let credentials = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:{TOKEN}")));
    for (name, value, method, status) in [
        ("sec-fetch-site", "cross-site", "POST", 403),
        ("sec-fetch-site", "same-site", "POST", 403),
        ("sec-fetch-site", "same-origin", "POST", 201),
        ("sec-fetch-site", "none", "POST", 201),
        ("sec-fetch-site", "cross-site", "GET", 200),
        ("origin", "http://elsewhere:8090", "POST", 403),
        ("origin", "null", "POST", 403),
        ("origin", "http://phone:8090", "POST", 201),
        ("origin", "http://elsewhere:8090", "GET", 200),
    ] {
        let request = HttpRequest::builder()
            .method(method)
            .uri("/control/faults")
            .header(AUTHORIZATION, &credentials)
            .header(HOST, "phone:8090")
            .header(name, value)
            .body(Body::from(r#"{"status":500}"#))
            .unwrap();
        assert_eq!(phone.router().oneshot(request).await.unwrap().status().as_u16(), status, "{name} {value} {method}");
    }
}

#[tokio::test]
async fn the_page_needs_the_password_and_lets_nothing_but_its_own_files_run() {
    let phone = start(options());
    let get = async |path: &str, credentials: Option<&str>| {
        let request = HttpRequest::builder().uri(path);
        let request = credentials.into_iter().fold(request, |request, given| request.header(AUTHORIZATION, given));
        let response = phone.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1_000_000).await.unwrap();
        (head, String::from_utf8(body.to_vec()).unwrap())
    };
    let credentials = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:{TOKEN}")));
    for (path, kind) in [("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")] {
        let (head, _) = get(path, None).await;
        assert_eq!(head.status.as_u16(), 401, "{path}");
        assert!(head.headers[WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic"), "the browser asks for it");
        let (head, body) = get(path, Some(&credentials)).await;
        assert_eq!(head.status.as_u16(), 200, "{path}");
        assert!(head.headers[CONTENT_TYPE].to_str().unwrap().starts_with(kind), "{path}");
        let policy = head.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        for never in ["innerHTML", "insertAdjacentHTML", "document.write", "eval(", "http-equiv", "style=", "onclick"] {
            assert!(!body.contains(never), "{path} has {never}");
        }
        let elsewhere = body.match_indices("src=\"").chain(body.match_indices("rel=\"stylesheet\" href=\""));
        for (at, what) in elsewhere {
            assert!(body[at + what.len()..].starts_with('/'), "{path} loads from elsewhere");
        }
    }
}

#[tokio::test]
async fn a_snapshot_shows_calls_rooms_and_queues_of_one_moment() {
    let mut app = App::start(|path| match path {
        "/voice" => xml("<Response><Enqueue waitUrl=\"/wait\">q</Enqueue></Response>"),
        _ => xml("<Response><Pause length=\"3600\"/></Response>"),
    })
    .await;
    let phone = with_number(&app, |_| {});
    let (_, empty) = send(&phone, "GET", "/control/snapshot", "").await;
    let none = json!([]);
    assert_eq!((&empty["calls"], &empty["conferences"], &empty["queues"]), (&none, &none, &none));
    assert_eq!((&empty["numbers"], &empty["last_event"]), (&json!([NUMBER]), &json!(0)));
    send(&phone, "POST", "/control/calls", PLACE).await;
    assert_eq!((app.next().await.path, app.next().await.path), ("/voice".to_owned(), "/wait".to_owned()));
    rest(&phone, "POST", "Conferences/R/Participants.json", "To=client%3Aann&From=%2B1555&Label=WR1").await;
    let (_, snapshot) = send(&phone, "GET", "/control/snapshot", "").await;
    assert_eq!(snapshot["calls"].as_array().unwrap().len(), 2);
    assert_eq!(snapshot["conferences"][0]["name"], "R");
    assert_eq!(snapshot["conferences"][0]["participants"][0]["label"], "WR1");
    assert_eq!(
        (&snapshot["queues"][0]["friendly_name"], &snapshot["queues"][0]["current_size"]),
        (&json!("q"), &json!(1))
    );
    assert_eq!(snapshot["more"], json!({ "calls": false, "conferences": false, "queues": false }));
    let (_, events) = send(&phone, "GET", "/control/events", "").await;
    assert!(events["events"].as_array().unwrap().iter().any(|event| event["sequence"] == snapshot["last_event"]));
}
