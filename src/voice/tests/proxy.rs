//! Who may use the proxy, and what it answers when the application does not answer as it should.

use super::*;

mod accounts;

/// An application: one answer for each path, and the requests it got, as `METHOD path?query body | cookie` and the
/// token of the webhook.
#[derive(Clone)]
struct Application {
    url: String,
    requests: Arc<std::sync::Mutex<Vec<String>>>,
}

type Answers = &'static [(&'static str, u16, &'static str, &'static str)];

impl Application {
    /// `answers`: path, status, content type, body.
    async fn start(answers: Answers) -> Self {
        Self::start_of(OWN_TOKEN, answers).await
    }

    /// The same of the account with this token.
    async fn start_of(token: &'static str, answers: Answers) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&requests);
        let router = Router::new().fallback(move |request: Request<Body>| {
            let noted = Arc::clone(&noted);
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let cookie = parts.headers.get("cookie").map_or("", |cookie| cookie.to_str().unwrap());
                let url = format!("http://{}{}", parts.headers["host"].to_str().unwrap(), parts.uri);
                let pairs: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
                let signed = parts.headers[signature::HEADER].to_str().unwrap();
                assert!(signature::verify_form(token, &url, &pairs, signed), "signed by the account: {url}");
                let body = String::from_utf8_lossy(&body);
                let repeated =
                    parts.headers.get("i-twilio-idempotency-token").map_or("", |token| token.to_str().unwrap());
                noted.lock().unwrap().push(format!("{} {} {body} | {cookie}{repeated}", parts.method, parts.uri));
                let (_, status, content_type, body) =
                    answers.iter().find(|(path, ..)| *path == parts.uri.path()).copied().unwrap_or(("", 404, "", ""));
                let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
                response.headers_mut().remove(header::CONTENT_TYPE);
                if !content_type.is_empty() {
                    response.headers_mut().insert(header::CONTENT_TYPE, content_type.parse().unwrap());
                }
                let cookies = ["a=1; Path=/ivr; Domain=app.example.org", "nonsense"];
                response.headers_mut().extend(cookies.map(|cookie| (header::SET_COOKIE, cookie.parse().unwrap())));
                response
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, requests }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Bench {
    /// The cookies that an answer to the phone system sets, and its body.
    async fn set_cookies(&self, target: &str, pairs: &[(&str, &str)]) -> (Vec<String>, String) {
        let signature = signature::sign_form(PHONE_TOKEN, &format!("{BASE}{target}"), pairs);
        let request = form(target, pairs, Some((signature::HEADER, &signature)));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let set = response.headers().get_all(header::SET_COOKIE).iter();
        let set = set.map(|cookie| cookie.to_str().unwrap().to_owned()).collect();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (set, String::from_utf8(body.to_vec()).unwrap())
    }
}

fn proxy(pairs: &[(&str, &str)]) -> String {
    format!("/voice/proxy?{}", serde_urlencoded::to_string(pairs).unwrap())
}

#[tokio::test]
async fn the_application_gets_what_the_phone_system_sent_and_its_document_comes_back() {
    let bench = Bench::start().await;
    let application = Application::start(&[
        ("/ivr/start", 200, "text/xml", "<Response><Say>Hi</Say><Gather action=\"next?a=1\"/></Response>"),
        ("/ivr/next", 200, "text/xml", "<Response><Play>/a.mp3</Play></Response>"),
    ])
    .await;
    let target = proxy(&[("target", &application.at("/ivr/start?x=1"))]);
    let (status, body) = bench.post(&target, &CALL).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(application.requests().len(), 1);
    let first = &application.requests()[0];
    assert!(first.starts_with("POST /ivr/start?x=1 CallSid=CAcaller&From=%2B15550001&"), "{first}");
    assert!(first.contains("AccountSid=AC00000000000000000000000000000001"), "our account: {first}");
    assert!(!first.contains("target="), "{first}");

    // The URL in the document leads on through us, by the method that the document says, with the call's cookies.
    let next = body.split("action=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let next = next.strip_prefix(BASE).unwrap_or_else(|| panic!("through us: {body}"));
    assert!(body.starts_with("<Response><Say>Hi</Say><Gather action=\""), "{body}");
    let asked = format!("{next}&Digits=5");
    let signature = signature::sign_form::<&str, &str>(PHONE_TOKEN, &format!("{BASE}{asked}"), &[]);
    let (set, _) = bench.set_cookies(&target, &CALL).await;
    let ours = set[0].strip_suffix("=1; Path=/").unwrap();
    let request = Request::get(&asked).header(signature::HEADER, &signature).header("cookie", format!("{ours}=1; b=2"));
    let request = request.header("I-Twilio-Idempotency-Token", "T1");
    let response = bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["set-cookie"], set[0], "as before");
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    assert_eq!(body, format!("<Response><Play>{}</Play></Response>", application.at("/a.mp3")));
    let second = &application.requests()[2];
    assert!(second.starts_with("GET /ivr/next?a=1&Digits=5&AccountSid="), "{second}");
    assert!(second.ends_with("| a=1T1") && !second.contains("mac="), "{second}");
}

#[tokio::test]
async fn only_the_phone_system_and_our_own_urls_make_it_ask() {
    let bench = Bench::start().await;
    let application =
        Application::start(&[("/", 200, "text/xml", "<Response><Redirect>/</Redirect></Response>")]).await;
    let url = application.at("/");
    // An account's own credentials, or a signature that another account made: not without our mark in the URL.
    for (token, query) in [
        (OWN_TOKEN, proxy(&[("target", &url)])),
        ("foreign token", proxy(&[("target", &url)])),
        (PHONE_TOKEN, proxy(&[("target", &url), ("mac", "AAAA")])),
        (PHONE_TOKEN, proxy(&[("target", &url), ("account", &AccountSid::from_bits(9).to_string())])),
        ("nobody's token", proxy(&[("target", &url)])),
    ] {
        let signature = signature::sign_form(token, &format!("{BASE}{query}"), &CALL);
        let (status, _) = bench.send(form(&query, &CALL, Some((signature::HEADER, &signature)))).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{token} {query}");
    }
    assert!(application.requests().is_empty());
    let (_, body) = bench.post(&proxy(&[("target", &url)]), &CALL).await;
    let ours = body.split("<Redirect>").nth(1).unwrap().split('<').next().unwrap().replace("&amp;", "&");
    let ours = ours.strip_prefix(BASE).unwrap();
    let (status, _) = bench.post(ours, &CALL).await;
    assert_eq!(status, StatusCode::OK);
    let moved = ours.replace("127.0.0.1", "127.0.0.2");
    assert_eq!(bench.post(&moved, &CALL).await.0, StatusCode::FORBIDDEN, "the mark is for one URL");
    assert_eq!(application.requests().len(), 2);
}

#[tokio::test]
async fn a_target_that_cannot_be_asked_is_told() {
    let bench = Bench::start().await;
    for query in ["/voice/proxy".to_owned(), proxy(&[("target", "")]), proxy(&[("target", "/x"), ("account", "ACx")])] {
        let (status, body) = bench.post(&query, &CALL).await;
        assert!(status == StatusCode::OK && body.contains("<Response>"), "{query}: {status} {body}");
    }
    assert_eq!(bench.alert_codes().await, [11_100, 11_100, 11_100]);
    assert_eq!(bench.post(&proxy(&[("target", "ftp://x/")]), &CALL).await.0, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn without_a_document_the_fallback_is_asked_and_else_the_phone_system_has_its_own() {
    let bench = Bench::start().await;
    let application = Application::start(&[
        ("/broken", 500, "text/xml", "<Response/>"),
        ("/moved", 302, "text/xml", "<Response/>"),
        ("/fallback", 200, "text/xml", "<Response><Say>sorry</Say><Gather/></Response>"),
    ])
    .await;
    for (path, expected) in [("/broken", 500), ("/moved", 502), ("/none", 404)] {
        let (status, _) = bench.post(&proxy(&[("target", &application.at(path))]), &CALL).await;
        assert_eq!(status.as_u16(), expected, "{path}: whether it is asked again may depend on it");
    }
    let fallback = application.at("/fallback");
    let (status, body) =
        bench.post(&proxy(&[("target", &application.at("/broken")), ("fallback", &fallback)]), &CALL).await;
    assert_eq!(status, StatusCode::OK);
    // Its own URL, not the target's, gets the key.
    let action = body.strip_prefix("<Response><Say>sorry</Say><Gather action=\"").unwrap_or_else(|| panic!("{body}"));
    let action = action.split('"').next().unwrap().replace("&amp;", "&");
    let (_, again) = bench.post(action.strip_prefix(BASE).unwrap(), &CALL).await;
    assert_eq!(again, "<Response><Say>sorry</Say><Gather/></Response>");
    let error_url = serde_urlencoded::to_string([("ErrorUrl", application.at("/broken"))]).unwrap();
    let asked = application.requests()[4].clone();
    assert!(asked.contains("ErrorCode=11200") && asked.contains(&error_url), "{asked}");
    assert_eq!(bench.alert_codes().await, [11_200; 4]);
    // The phone system asked for the target, whatever became of the fallback.
    for (target, expected) in [(application.at("/none"), 404), ("http://127.0.0.1:1/".to_owned(), 502)] {
        let both = proxy(&[("target", &target), ("fallback", &application.at("/broken"))]);
        assert_eq!(bench.post(&both, &CALL).await.0.as_u16(), expected, "{target}");
    }
}

#[tokio::test]
async fn an_application_is_told_of_its_own_url_that_failed() {
    let bench = Bench::start().await;
    let application = Application::start(&[("/fallback", 200, "text/xml", "<Response/>")]).await;
    let failed = application.at("/broken?a=1&b=ü");
    let fallback = proxy(&[("target", &application.at("/fallback"))]);
    let proxied = |base: &str| format!("{base}{}", proxy(&[("target", &failed), ("mac", "x"), ("account", "AC1")]));
    let others = ["https://elsewhere.example.org", "http://router.example.org", "https://router.example.org:8443"];
    for (error_url, expected) in [
        (proxied(BASE), failed.clone()),
        (proxied("https://ROUTER.example.org:443"), failed.clone()),
        (format!("{BASE}/voice/proxy/callback?target=x"), format!("{BASE}/voice/proxy/callback?target=x")),
        (format!("{BASE}/voice/proxy"), format!("{BASE}/voice/proxy")),
        (format!("{BASE}/x/voice/proxy?target=y"), format!("{BASE}/x/voice/proxy?target=y")),
        ("nonsense".to_owned(), "nonsense".to_owned()),
    ]
    .into_iter()
    .chain(others.map(|base| (proxied(base), proxied(base))))
    {
        let pairs = [&CALL[..], &[("ErrorCode", "11200"), ("ErrorUrl", &error_url)]].concat();
        assert_eq!(bench.post(&fallback, &pairs).await.0, StatusCode::OK);
        let asked = application.requests().pop().unwrap();
        let expected = serde_urlencoded::to_string([("ErrorUrl", &expected)]).unwrap();
        assert!(asked.contains(&expected) && asked.matches("ErrorUrl=").count() == 1, "{error_url}: {asked}");
    }
}

#[tokio::test]
async fn what_is_no_document_passes_as_it_came_and_text_is_read_aloud() {
    let bench = Bench::start().await;
    let application = Application::start(&[
        ("/text", 200, "text/plain", "Hello <there>\n"),
        ("/silence", 200, "text/plain", ""),
        ("/unnamed", 200, "", "<Response><Redirect>text</Redirect></Response>"),
        ("/twiml", 200, "text/plain", "<Response><Redirect>text</Redirect></Response>"),
        ("/broken", 200, "text/xml", "<Response><Say>x</Response>"),
        ("/sound", 200, "audio/mpeg", "\u{1}\u{2}"),
        ("/nothing", 204, "", ""),
        ("/json", 200, "application/json", "<Response><Redirect>x</Redirect></Response>"),
    ])
    .await;
    for (path, expected) in [
        ("/text", "<Response><Say>Hello &lt;there&gt;</Say></Response>"),
        ("/silence", ""),
        ("/broken", "<Response><Say>x</Response>"),
        ("/nothing", ""),
        ("/json", "<Response><Redirect>x</Redirect></Response>"),
    ] {
        let target = proxy(&[("target", &application.at(path))]);
        let signature = signature::sign_form(PHONE_TOKEN, &format!("{BASE}{target}"), &CALL);
        let request = form(&target, &CALL, Some((signature::HEADER, &signature)));
        let response = bench.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert_eq!(body, expected, "{path}");
    }
    for path in ["/unnamed", "/twiml"] {
        let (_, body) = bench.post(&proxy(&[("target", &application.at(path))]), &CALL).await;
        assert!(body.contains(&format!("<Redirect>{BASE}/voice/proxy?target=")), "{path}: {body}");
    }
    let (_, body) = bench.post(&proxy(&[("target", &application.at("/sound"))]), &CALL).await;
    assert!(body.ends_with(&format!("<Response><Play>{}</Play></Response>", application.at("/sound"))), "{body}");
    assert_eq!(bench.sorted_alert_codes().await, [12_100, 12_300], "no more than these two");
    // The fallback is for this too.
    let with_fallback = [("target", &*application.at("/json")), ("fallback", &*application.at("/sound"))];
    let (_, body) = bench.post(&proxy(&with_fallback), &CALL).await;
    assert!(body.contains("<Play>"), "{body}");
    let asked = application.requests().last().unwrap().clone();
    assert!(asked.contains("ErrorCode=12300"), "{asked}");
}

#[tokio::test]
async fn an_action_that_enqueues_again_and_again_comes_to_an_end() {
    let bench = Bench::start().await;
    let application = Application::start(&[(
        "/",
        200,
        "text/xml",
        "<Response><Enqueue workflowSid=\"WW000000000000000000000000000000ff\" action=\"/\"/></Response>",
    )])
    .await;
    let (status, body) = bench.post(&proxy(&[("target", &application.at("/"))]), &CALL).await;
    assert!(status == StatusCode::OK && body.contains("Nobody can take your call"), "{body}");
    assert_eq!(application.requests().len(), 11);
    assert!(bench.alert_codes().await.contains(&11_215));
    assert_eq!(bench.task_count().await, 0);
}

#[tokio::test]
async fn a_dial_whose_reservation_is_gone_goes_on_as_if_it_had_failed() {
    let bench = Bench::start().await;
    let application = Application::start(&[
        ("/dial", 200, "text/xml", "<Response><Dial action=\"done\"><Queue reservationSid=\"WR000000000000000000000000000000ff\"/></Dial></Response>"),
        ("/plain", 200, "text/xml", "<Response><Dial><Queue reservationSid=\"WR000000000000000000000000000000ff\"/></Dial><Say>too late</Say></Response>"),
        ("/done", 200, "text/xml", "<Response><Say>done</Say></Response>"),
    ])
    .await;
    for (path, expected) in
        [("/dial", "<Response><Say>done</Say></Response>"), ("/plain", "<Response><Say>too late</Say></Response>")]
    {
        let (_, body) = bench.post(&proxy(&[("target", &application.at(path))]), &CALL).await;
        let taking = body.split("<Redirect method=\"POST\">").nth(1).unwrap().split('<').next().unwrap();
        let taking = taking.replace("&amp;", "&");
        let (_, body) = bench.post(taking.strip_prefix(BASE).unwrap(), &CALL).await;
        assert!(body.ends_with(expected), "{path}: {body}");
    }
    let asked = application.requests().last().unwrap().clone();
    let done = application.requests().into_iter().find(|request| request.starts_with("POST /done")).unwrap();
    assert!(done.contains("DialCallStatus=failed") && !done.contains("App="), "{done} {asked}");
    assert_eq!(bench.alert_codes().await, [14_215, 14_215]);
}

#[tokio::test]
async fn callbacks_of_verbs_are_passed_on_and_signed_and_the_answer_is_the_applications() {
    let bench = Bench::start().await;
    let application = Application::start(&[
        (
            "/start",
            200,
            "text/xml",
            "<Response><Dial><Number statusCallback=\"leg?x=1\">+1</Number></Dial><Record recordingStatusCallback='/broken#rc=2'/></Response>",
        ),
        ("/leg", 200, "text/html", "<Response><Redirect>/start</Redirect>"),
        ("/broken", 503, "text/html", "later"),
        ("/moved", 302, "text/html", ""),
    ])
    .await;
    let (_, body) = bench.post(&proxy(&[("target", &application.at("/start"))]), &CALL).await;
    let url_of = |attribute: &str, quote: char| {
        let url = body.split(&format!("{attribute}={quote}")).nth(1).unwrap().split(quote).next().unwrap();
        url.replace("&amp;", "&").strip_prefix(BASE).unwrap_or_else(|| panic!("through us: {body}")).to_owned()
    };
    let (leg, broken) = (url_of("statusCallback", '"'), url_of("recordingStatusCallback", '\''));
    assert!(leg.starts_with("/voice/proxy/callback?target="), "{leg}");
    let broken = broken.strip_suffix("#rc=2").unwrap_or_else(|| panic!("the phone system tries again: {broken}"));

    // By either method, and whatever is answered is not run.
    let event = [("CallSid", "CAleg"), ("AccountSid", "ACphone"), ("CallStatus", "ringing"), ("SequenceNumber", "1")];
    assert_eq!(bench.post(&leg, &event).await, (StatusCode::NO_CONTENT, String::new()));
    let asked = application.requests()[1].clone();
    let account = "AC00000000000000000000000000000001";
    let expected = format!("POST /leg?x=1 CallSid=CAleg&CallStatus=ringing&SequenceNumber=1&AccountSid={account} | ");
    assert_eq!(asked, expected);
    let by_get = format!("{leg}&{}", serde_urlencoded::to_string(event).unwrap());
    let signature = signature::sign_form::<&str, &str>(PHONE_TOKEN, &format!("{BASE}{by_get}"), &[]);
    let request = Request::get(&by_get).header(signature::HEADER, &signature).body(Body::empty()).unwrap();
    assert_eq!(bench.send(request).await.0, StatusCode::NO_CONTENT);
    let asked = application.requests()[2].clone();
    assert!(asked.starts_with("GET /leg?x=1&CallSid=CAleg&CallStatus=ringing&"), "{asked}");
    assert!(!asked.contains("mac="), "{asked}");
    assert_eq!(bench.alert_codes().await, [0; 0]);

    // The phone system decides whether it tries again.
    assert_eq!(bench.post(broken, &event).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let callback = |target: &str| proxy(&[("target", target)]).replace("/voice/proxy?", "/voice/proxy/callback?");
    assert_eq!(bench.post(&callback(&application.at("/moved")), &event).await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(bench.post(&callback("http://127.0.0.1:1/"), &event).await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(bench.post("/voice/proxy/callback", &event).await.0, StatusCode::BAD_REQUEST);
    let mut codes = bench.alert_codes().await;
    codes.sort_unstable();
    assert_eq!(codes, [11_100, 11_100, 11_200, 11_200]);

    // Nobody else has us ask, and the mark is for one URL.
    let moved = leg.replace("127.0.0.1", "127.0.0.2");
    assert_eq!(bench.post(&moved, &event).await.0, StatusCode::FORBIDDEN);
    let unmarked = callback(&application.at("/leg"));
    let signature = signature::sign_form(OWN_TOKEN, &format!("{BASE}{unmarked}"), &event);
    let (status, _) = bench.send(form(&unmarked, &event, Some((signature::HEADER, &signature)))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(application.requests().len(), 5);
}

/// A worker's own phone runs the application's `<Dial>`.
#[tokio::test]
async fn what_a_dial_says_of_a_room_is_said_to_the_phone_system_and_its_callbacks_lead_through_us() {
    let bench = Bench::start().await;
    let available = bench.rows().await.activities.into_iter().find(|activity| activity.available).unwrap().sid;
    let worker = NewWorker { friendly_name: "anna".to_owned(), attributes: "{}".to_owned(), activity: Some(available) };
    bench.engine.send(bench.workspace, EngineRequest::Routing(Command::CreateWorker(worker))).await.unwrap();
    let task = task_of(&bench.enqueue(&bench.target(""), &[]).await);
    bench.post(&format!("/voice/tasks/{task}/wait"), &[("CallSid", "CAcaller")]).await;
    let reservation = bench.rows().await.reservations[0].sid;
    let document = format!(
        "<Response><Dial callerId=\"+1\" timeLimit=\"60\" record='record-from-answer' \
         recordingStatusCallback=\"https://app.example.org/r?a=1&amp;b=%22\" hangupOnStar=\"true\" \
         action=\"https://app.example.org/done\"><Queue reservationSid=\"{reservation}\"/></Dial></Response>"
    );
    let (_, body) = bench.post("/voice/enqueue", &[("CallSid", "CAworker"), ("Twiml", &document)]).await;
    // Neither a workflow nor a queue: what a document says of reservations holds all the same.
    let taking = body.split("<Redirect method=\"POST\">").nth(1).unwrap().split('<').next().unwrap();
    let taking = taking.replace("&amp;", "&");
    let call = [("CallSid", "CAworker"), ("CallStatus", "in-progress")];
    let (_, room) = bench.post(taking.strip_prefix(BASE).unwrap(), &call).await;
    let dial = room.split("<Dial ").nth(1).unwrap().split('>').next().unwrap();
    let (before, callback) = dial.split_once("recordingStatusCallback=\"").unwrap();
    assert!(before.ends_with(" method=\"POST\" timeLimit=\"60\" record=\"record-from-answer\" "), "{dial}");
    let (callback, after) = callback.split_once('"').unwrap();
    assert_eq!(after, " hangupOnStar=\"true\"", "what means nothing for a room is left out");
    let url = url::Url::parse(&callback.replace("&amp;", "&")).unwrap();
    assert_eq!(url.path(), "/voice/proxy/callback");
    let target = url.query_pairs().find(|(name, _)| name == "target").unwrap().1.into_owned();
    assert_eq!(target, "https://app.example.org/r?a=1&b=%22");
}

#[tokio::test]
async fn a_number_tells_us_of_the_end_of_its_call_and_then_the_application() {
    let bench = Bench::start().await;
    let application =
        Application::start(&[("/told", 200, "text/html", "ok"), ("/broken", 503, "text/html", "later")]).await;
    let callback = |path: &str| {
        let query = serde_urlencoded::to_string([("target", &application.at(path))]).unwrap();
        format!("/voice/cb/call/inbound?{query}")
    };
    bench.enqueue(&bench.target(""), &[]).await;
    let ringing = [("CallSid", "CAcaller"), ("CallStatus", "ringing"), ("AccountSid", "ACphone")];
    let over = [("CallSid", "CAcaller"), ("CallStatus", "completed"), ("AccountSid", "ACphone")];
    for event in [ringing, over] {
        assert_eq!(bench.post(&callback("/told"), &event).await, (StatusCode::NO_CONTENT, String::new()));
    }
    assert_eq!(bench.rows().await.tasks[0].reason.as_deref(), Some("hangup"));
    let account = "AC00000000000000000000000000000001";
    let told = |status: &str| format!("POST /told CallSid=CAcaller&CallStatus={status}&AccountSid={account} | ");
    assert_eq!(application.requests(), [told("ringing"), told("completed")]);
    // A call that is not ours is the application's all the same, and the application's answer is the answer.
    let other = [("CallSid", "CAother"), ("CallStatus", "completed")];
    assert_eq!(bench.post(&callback("/broken"), &other).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(bench.alert_codes().await, [11_200]);
    // Only the phone system says where it goes.
    let target = callback("/told");
    let signature = signature::sign_form(OWN_TOKEN, &format!("{BASE}{target}"), &other);
    let (status, _) = bench.send(form(&target, &other, Some((signature::HEADER, &signature)))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(application.requests().len(), 3);
}

#[tokio::test]
async fn the_action_of_a_refused_enqueue_gets_no_parameters_of_ours_and_keeps_its_own() {
    let bench = Bench::start().await;
    let application = Application::start(&[
        ("/post", 200, "text/xml", "<Response><Enqueue workflowSid=\"WW000000000000000000000000000000ff\" action=\"/sorry?target=mine&amp;account=9\"/></Response>"),
        ("/get", 200, "text/xml", "<Response><Enqueue workflowSid=\"WW000000000000000000000000000000ff\" action=\"/sorry?target=mine&amp;account=9\" method=\"GET\"/></Response>"),
        ("/sorry", 200, "text/xml", "<Response><Say>sorry</Say></Response>"),
    ])
    .await;
    let account = AccountSid::from_bits(1).to_string();
    for (path, begins) in
        [("/post", "POST /sorry?target=mine&account=9 CallSid="), ("/get", "GET /sorry?target=mine&account=9&")]
    {
        let (target, fallback) = (application.at(path), application.at("/fallback"));
        let asked = proxy(&[("target", &target), ("account", &account), ("fallback", &fallback), ("tenant", "7")]);
        let (_, body) = bench.post(&asked, &CALL).await;
        assert!(body.contains("sorry"), "{body}");
        let requests = application.requests();
        let last = requests.last().unwrap();
        assert!(last.starts_with(begins), "{last}");
        assert!(last.contains("tenant=7") && last.contains("QueueResult=error"), "{last}");
        assert_eq!(last.matches("target=").count() + last.matches("account=").count(), 2, "its own alone: {last}");
        assert!(!last.contains("fallback="), "{last}");
    }
}
