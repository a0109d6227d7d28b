//! Whose application speaks behind the proxy: what it may touch, what it says later, and whose cookies come back to whom.

use super::*;

/// `document` of an application of the second account, whose number says so; and what it was asked since.
async fn of_the_second_account(bench: &Bench, answers: Answers, path: &str) -> (Application, String) {
    let application = Application::start_of("foreign token", answers).await;
    let account = AccountSid::from_bits(2).to_string();
    let (_, body) = bench.post(&proxy(&[("target", &application.at(path)), ("account", &account)]), &CALL).await;
    (application, body)
}

/// Where a document leads, without our base URL.
fn redirect_of(body: &str) -> String {
    let url = body.split("<Redirect method=\"POST\">").nth(1).unwrap_or_else(|| panic!("{body}"));
    let url = url.split('<').next().unwrap().replace("&amp;", "&").replace("&quot;", "\"").replace("&#39;", "'");
    url.strip_prefix(BASE).unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// Answers of one application that hold what is only known later.
fn leaked(answers: &[(&'static str, String)]) -> Answers {
    let answers = answers.iter().map(|(path, body)| (*path, 200, "text/xml", &*body.clone().leak()));
    Vec::leak(answers.collect())
}

async fn alerts_of(bench: &Bench, bits: u128) -> Vec<u32> {
    let alerts = bench.store.alerts(AccountSid::from_bits(bits), 50).await.unwrap();
    alerts.into_iter().map(|alert| alert.code).collect()
}

/// A worker with a pending reservation of the first account's workspace.
async fn reserved(bench: &Bench) -> (String, String) {
    let available = bench.rows().await.activities.into_iter().find(|activity| activity.available).unwrap().sid;
    let worker = NewWorker { friendly_name: "anna".to_owned(), attributes: "{}".to_owned(), activity: Some(available) };
    bench.engine.send(bench.workspace, EngineRequest::Routing(Command::CreateWorker(worker))).await.unwrap();
    let task = task_of(&bench.enqueue(&bench.target(""), &[]).await);
    bench.post(&format!("/voice/tasks/{task}/wait"), &[("CallSid", "CAcaller")]).await;
    let reservation = bench.rows().await.reservations[0].sid.to_string();
    (task, reservation)
}

#[tokio::test]
async fn an_application_of_another_account_finds_no_workflow_that_is_not_its_own() {
    let bench = Bench::start().await;
    let enqueue = |rest: &str| format!("<Response><Enqueue workflowSid=\"{}\"{rest}</Response>", bench.workflow);
    let answers = leaked(&[
        ("/first", enqueue(" action=\"/again\"/>")),
        ("/again", enqueue("/><Say>not yours</Say>")),
        (
            "/verbs",
            format!(
                "<Response><Dial><Queue reservationSid=\"WR{:032x}\"/></Dial>{}",
                255,
                enqueue("/><Say>no</Say>").replace("<Response>", "")
            ),
        ),
    ]);
    // In the document, and in the answer of its action.
    let (application, body) = of_the_second_account(&bench, answers, "/first").await;
    assert!(body.ends_with("<Response><Say>not yours</Say></Response>"), "{body}");
    let asked = application.requests()[1].clone();
    let second = AccountSid::from_bits(2).to_string();
    assert!(asked.contains("QueueResult=error") && asked.contains(&second), "asked as what it is: {asked}");
    assert_eq!(alerts_of(&bench, 2).await, [14_220, 14_220]);
    // And in the verbs that follow one that we carried out.
    let (_, body) = of_the_second_account(&bench, answers, "/verbs").await;
    let (_, body) = bench.post(&redirect_of(&body), &CALL).await;
    assert!(body.ends_with("<Response><Say>no</Say></Response>"), "{body}");
    assert_eq!(alerts_of(&bench, 2).await.len(), 4);
    assert_eq!((bench.task_count().await, bench.alert_codes().await), (0, vec![]));
}

#[tokio::test]
async fn an_application_of_another_account_takes_no_reservation_that_is_not_its_own() {
    let bench = Bench::start().await;
    let (_, reservation) = reserved(&bench).await;
    let answers = leaked(&[
        (
            "/desk",
            format!("<Response><Dial action=\"/done\"><Queue reservationSid=\"{reservation}\"/></Dial></Response>"),
        ),
        ("/done", "<Response><Say>done</Say></Response>".to_owned()),
    ]);
    let (application, body) = of_the_second_account(&bench, answers, "/desk").await;
    let taking = redirect_of(&body);
    let call = [("CallSid", "CAstranger"), ("CallStatus", "in-progress")];
    let (_, body) = bench.post(&taking, &call).await;
    assert_eq!(body, "<Response><Say>done</Say></Response>");
    let asked = application.requests()[1].clone();
    assert!(asked.contains("DialCallStatus=failed") && !asked.contains("mac="), "{asked}");
    assert_eq!(alerts_of(&bench, 2).await, [14_215]);

    // Nobody speaks for another account than he was given the URL for.
    let (first, second) = (AccountSid::from_bits(1).to_string(), AccountSid::from_bits(2).to_string());
    let (unmarked, _) = taking.split_once("&mac=").unwrap();
    for forged in [
        taking.replace(&second, &first),
        taking.replace("Dial=1", "Dial=2"),
        taking.replace(&reservation, &reservation.replace("WR", "WS")),
        unmarked.replace(&second, "AC9"),
    ] {
        assert_ne!(forged, taking);
        assert_eq!(bench.post(&forged, &call).await.0, StatusCode::FORBIDDEN, "{forged}");
    }
    assert_eq!(application.requests().len(), 2);
    // A URL from before there were marks speaks for the account that it names, and for nobody else.
    let (_, body) = bench.post(unmarked, &call).await;
    assert_eq!(body, "<Response><Say>done</Say></Response>");
    assert_eq!((application.requests().len(), alerts_of(&bench, 2).await), (3, vec![14_215, 14_215]));
    assert_eq!(bench.rows().await.reservations[0].status.as_str(), "pending");
}

#[tokio::test]
async fn a_reservation_of_the_applications_own_account_is_taken_and_the_call_goes_on() {
    let bench = Bench::start().await;
    let (task, reservation) = reserved(&bench).await;
    let answers = leaked(&[
        (
            "/desk",
            format!(
                "<Response><Dial><Queue reservationSid='{reservation}'/></Dial><Dial action='done?x=1'><Queue \
             reservationSid='a/b?c d'/></Dial></Response>"
            ),
        ),
        ("/done", "<Response><Say>done</Say></Response>".to_owned()),
    ]);
    let application = Application::start(answers).await;
    // Named or not: it is the first account.
    let first = AccountSid::from_bits(1).to_string();
    let target = [("target", &*application.at("/desk")), ("account", &first)];
    let call = [("CallSid", "CAworker"), ("CallStatus", "in-progress")];
    let mut bodies = Vec::new();
    for number in [&target[..1], &target[..]] {
        bodies.push(bench.post(&proxy(number), &call).await.1);
    }
    assert_eq!(bodies[0], bodies[1]);
    let (_, room) = bench.post(&redirect_of(&bodies[0]), &call).await;
    assert!(room.contains(&format!(">{task}</Conference>")), "{room}");
    let left = room.split("<Dial action=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let left = left.strip_prefix(BASE).unwrap();
    let (_, body) = bench.post(&left.replace("Rest=", "Rest=%3CHangup%2F%3E"), &call).await;
    assert_eq!(body, "", "only what the application said");
    // The second one comes when the call comes to it, whatever the reservation is called.
    let (_, next) = bench.post(left, &call).await;
    let second = redirect_of(&next);
    assert!(second.starts_with("/voice/reservations/a%2Fb%3Fc%20d?account=AC"), "{second}");
    let (_, body) = bench.post(&second, &call).await;
    assert_eq!(body, "<Response><Say>done</Say></Response>");
    let asked = application.requests().last().unwrap().clone();
    assert!(asked.starts_with("POST /done?x=1 ") && asked.contains("DialCallStatus=failed"), "{asked}");
    assert_eq!(bench.alert_codes().await, [14_215]);
}

#[tokio::test]
async fn a_document_that_grows_too_long_is_served_in_parts() {
    let bench = Bench::start().await;
    let gathers = (0..900).map(|number| format!("<Gather action=\"{number}\"/>")).collect::<Vec<_>>().concat();
    let answers = leaked(&[
        (
            "/long",
            format!("<Response>{gathers}<Enqueue workflowSid=\"{}\"/><Say>no queue</Say></Response>", bench.workflow),
        ),
        ("/one", format!("<Response><Dial>{}</Dial></Response>", "<Number url=\"a\">1</Number>".repeat(600))),
    ]);
    for (bits, ends) in [(1, "</Enqueue></Response>"), (2, "<Response><Say>no queue</Say></Response>")] {
        let token = if bits == 1 { OWN_TOKEN } else { "foreign token" };
        let application = Application::start_of(token, answers).await;
        let account = AccountSid::from_bits(bits).to_string();
        let target = proxy(&[("target", &application.at("/long")), ("account", &account)]);
        let (mut body, mut heard, mut parts) = (bench.post(&target, &CALL).await.1, 0, 1);
        while body.contains("<Redirect ") {
            assert!(body.len() <= 64 * 1024, "{}", body.len());
            heard += body.matches("<Gather ").count();
            let rest = redirect_of(&body);
            if let Some((unmarked, _)) = rest.split_once("&mac=").filter(|(url, _)| url.contains("rest=")) {
                let forged = unmarked.replace(&account, &AccountSid::from_bits(3 - bits).to_string());
                assert_eq!(bench.post(&forged, &CALL).await.0, StatusCode::BAD_GATEWAY, "{forged}");
            }
            body = bench.post(&rest, &CALL).await.1;
            parts += 1;
        }
        heard += body.matches("<Gather ").count();
        assert!(body.ends_with(ends), "{body}");
        assert!(parts >= 4 && heard == 900, "{parts} {heard}: parts, and then the call comes to the queue");
        assert_eq!(application.requests().len(), 1, "asked once");
    }
    assert_eq!(bench.task_count().await, 1);
    let mut alerts = alerts_of(&bench, 2).await;
    alerts.retain(|code| *code != 11_200);
    assert_eq!(alerts, [14_220], "but for the rests of others, which it has none of");
    // What is not kept any more is no document, and what cannot be cut is told of.
    bench.post("/voice/proxy?rest=x", &CALL).await;
    let account = AccountSid::from_bits(1).to_string();
    assert_eq!(bench.post(&proxy(&[("rest", "x"), ("account", &account)]), &CALL).await.0, StatusCode::BAD_GATEWAY);
    of_the_second_account(&bench, answers, "/one").await;
    assert_eq!(alerts_of(&bench, 2).await.into_iter().max(), Some(14_220));
    assert!(alerts_of(&bench, 2).await.contains(&11_750));
}

#[tokio::test]
async fn whatever_a_reservation_is_called_its_place_is_one_segment_of_a_path() {
    let bench = Bench::start().await;
    for odd in ["..", ".", "a/../b", "%2e%2e", "#", "ü +", "\u{1}", "WR000000000000000000000000000000ff "] {
        let escaped = crate::voice::xml::escape(odd).0.replace('\u{1}', "");
        let dial = format!("<Response><Dial><Queue reservationSid=\"{escaped}\"/></Dial><Say>next</Say></Response>");
        let (_, body) = bench.post("/voice/enqueue", &[("CallSid", "CA1"), ("Twiml", &dial)]).await;
        if escaped.is_empty() {
            assert_eq!(body, dial);
            continue;
        }
        let taking = url::Url::parse(&format!("{BASE}{}", redirect_of(&body))).unwrap();
        let target = &taking[url::Position::BeforePath..url::Position::AfterQuery];
        let (_, body) = bench.post(target, &CALL).await;
        assert!(body.ends_with("<Response><Say>next</Say></Response>"), "{odd:?}: {body}");
    }
}

#[tokio::test]
async fn a_cookie_of_any_answer_comes_back_to_its_application_and_to_no_other() {
    let bench = Bench::start().await;
    let answers: Answers = &[
        ("/wait", 200, "text/plain", "Soon"),
        ("/sound", 200, "audio/mpeg", ""),
        ("/left", 200, "text/xml", "<Response><Say>bye</Say></Response>"),
        ("/told", 204, "", ""),
    ];
    let (application, other) = (Application::start(answers).await, Application::start(answers).await);
    let account = AccountSid::from_bits(1).to_string();
    let callback = proxy(&[("target", &application.at("/told")), ("account", &account)]);
    let mut set = bench.set_cookies(&callback.replace("/voice/proxy?", "/voice/proxy/callback?"), &CALL).await.0;
    for (call, wait, heard) in [("CA1", "/wait", "<Say>Soon</Say>"), ("CA2", "/sound", "<Play>http")] {
        let query = [("WaitUrl", application.at(wait)), ("Action", application.at("/left"))];
        let query = serde_urlencoded::to_string(query).unwrap();
        let (_, park) = bench.post(&bench.target(&format!("?{query}")), &[("CallSid", call)]).await;
        let task = task_of(&park);
        let live = [("CallSid", call), ("CallStatus", "in-progress")];
        let (cookies, body) = bench.set_cookies(&format!("/voice/tasks/{task}/wait"), &live).await;
        assert!(body.contains(heard), "{body}");
        // Not again and again: the phone system asks for it again when it has ended.
        assert!(!body.contains("loop"), "{body}");
        set.extend(cookies);
        let left = [("CallSid", call), ("CallStatus", "in-progress"), ("QueueResult", "leave")];
        let (cookies, body) = bench.set_cookies(&format!("/voice/tasks/{task}/left"), &left).await;
        assert!(body.contains("bye"), "{body}");
        set.extend(cookies);
    }
    assert!(set.len() == 5 && set.iter().all(|cookie| *cookie == set[0]), "{set:?}");
    let back = set[0].strip_suffix("; Path=/").unwrap();
    for (application, expected) in [(&application, "| a=1"), (&other, "| ")] {
        let target = proxy(&[("target", &application.at("/left"))]);
        let signature = signature::sign_form(PHONE_TOKEN, &format!("{BASE}{target}"), &CALL);
        let mut request = form(&target, &CALL, Some((signature::HEADER, &signature)));
        request.headers_mut().insert("cookie", format!("a=2; {back}").parse().unwrap());
        assert_eq!(bench.send(request).await.0, StatusCode::OK);
        let asked = application.requests().pop().unwrap();
        assert!(asked.ends_with(expected), "{asked}");
    }
}

/// Modes A and B together (`spec/voice.md` 0.1).
#[tokio::test]
async fn an_application_behind_the_proxy_may_lead_a_call_to_us_itself() {
    let bench = Bench::start().await;
    let documents: &'static str = Box::leak(
        format!(
            "<Response><Redirect>{BASE}/voice/enqueue/{}?Task=%7B%22a%22%3A1%7D&amp;OnBehalfOf=AC2#rc=2</Redirect>\
             <Redirect>https://router.example.org:443/voice/proxy?target=x&amp;account=AC2&amp;y=%20</Redirect>\
             <Redirect>{BASE}/voice/../v1/Accounts</Redirect><Redirect>{BASE}:8443/voice/enqueue</Redirect>\
             <Redirect>https://example.org/voice/enqueue</Redirect></Response>",
            bench.workflow
        )
        .into_boxed_str(),
    );
    let (url, _) = application(documents).await;
    let urls_for = async |account: u128| {
        let account = AccountSid::from_bits(account).to_string();
        let (_, body) = bench.post(&proxy(&[("target", &url), ("account", &account)]), &CALL).await;
        let urls = body.split("<Redirect>").skip(1).map(|rest| rest.split('<').next().unwrap().replace("&amp;", "&"));
        urls.collect::<Vec<_>>()
    };
    let urls = urls_for(1).await;
    let account = AccountSid::from_bits(1);
    let ours = format!("/voice/enqueue/{}?Task=%7B%22a%22%3A1%7D&OnBehalfOf={account}", bench.workflow);
    assert_eq!(urls[0], format!("{BASE}{ours}#rc=2"));
    assert_eq!(urls[1], format!("{BASE}/voice/proxy?target=x&y=%20&account={account}"));
    assert!(urls[2..].iter().all(|url| url.starts_with(&format!("{BASE}/voice/proxy?target="))), "{urls:?}");
    // On behalf of an application, the phone system touches what is its account's.
    let foreign = urls_for(2).await;
    let foreign = foreign[0].strip_prefix(BASE).unwrap().strip_suffix("#rc=2").unwrap();
    let (_, body) = bench.post(foreign, &CALL).await;
    assert!(!body.contains("<Enqueue "), "{body}");
    assert_eq!(bench.post(&foreign.replace("OnBehalfOf=AC", "OnBehalfOf=X"), &CALL).await.0, StatusCode::FORBIDDEN);
    assert_eq!(bench.task_count().await, 0);
    let (_, body) = bench.post(&ours, &CALL).await;
    assert!(body.contains("<Enqueue "), "{body}");
    assert_eq!(bench.rows().await.tasks[0].attributes.matches("\"a\":1").count(), 1);
    assert_eq!(bench.alert_codes().await, [0; 0], "the other account has one");
}

/// What our own URLs carry on was looked at before; what an application writes into one was not.
#[tokio::test]
async fn what_an_application_writes_into_a_url_of_ours_is_not_taken_as_looked_at() {
    let bench = Bench::start().await;
    let (_, reservation) = reserved(&bench).await;
    let inner = format!("<Redirect>{BASE}/voice/enqueue/{}</Redirect>", bench.workflow);
    let encoded = |pairs: &[(&str, &str)]| serde_urlencoded::to_string(pairs).unwrap().replace('&', "&amp;");
    let urls = [
        format!("{BASE}/voice/enqueue?{}", encoded(&[("WorkflowSid", "x"), ("After", &inner)])),
        format!(
            "{BASE}/voice/enqueue?{}",
            encoded(&[("Twiml", &format!("<Response>{inner}<Enqueue workflowSid=\"x\"/></Response>"))])
        ),
        format!("{BASE}/voice/reservations/{reservation}?{}", encoded(&[("Dial", "1"), ("Rest", &inner)])),
    ];
    let documents: Vec<String> = urls.iter().map(|url| format!("<Redirect method=\"POST\">{url}</Redirect>")).collect();
    let answers = leaked(&[("/voice", format!("<Response>{}</Response>", documents.concat()))]);
    let (_, mut body) = of_the_second_account(&bench, answers, "/voice").await;
    for url in urls {
        let marked = redirect_of(&body);
        assert!(marked.contains("OnBehalfOf=AC"), "{url}: {marked}");
        let (_, answered) = bench.post(&marked, &[("CallSid", "CAstranger"), ("CallStatus", "in-progress")]).await;
        assert!(!answered.contains("/voice/enqueue/WW"), "{url}: {answered}");
        body = body.split_once("</Redirect>").unwrap().1.to_owned();
    }
    assert_eq!(bench.task_count().await, 1);
    assert_eq!(bench.rows().await.reservations[0].status.as_str(), "pending");
}

#[tokio::test]
async fn a_number_of_one_account_does_not_end_the_calls_of_another() {
    let bench = Bench::start().await;
    let task = task_of(&bench.enqueue(&bench.target(""), &[]).await);
    let ended = [("CallSid", "CAcaller"), ("CallStatus", "completed")];
    let (first, second) = (AccountSid::from_bits(1).to_string(), AccountSid::from_bits(2).to_string());
    for (account, expected) in [
        (second.as_str(), StatusCode::NO_CONTENT),
        ("AC9", StatusCode::FORBIDDEN),
        (first.as_str(), StatusCode::NO_CONTENT),
    ] {
        let rows = bench.rows().await;
        assert_eq!(rows.tasks[0].status, TaskStatus::Pending, "{task} is on the line before {account}");
        let (status, _) = bench.post(&format!("/voice/cb/call/inbound?account={account}"), &ended).await;
        assert_eq!(status, expected, "{account}");
    }
    assert_eq!(bench.rows().await.tasks[0].status, TaskStatus::Canceled);
}

#[tokio::test]
async fn an_action_that_enqueues_after_other_verbs_again_and_again_comes_to_an_end() {
    let bench = Bench::start().await;
    let document =
        "<Response><Pause/><Enqueue workflowSid=\"WW000000000000000000000000000000ff\" action=\"/again\"/></Response>";
    let application = Application::start(leaked(&[("/again", document.to_owned())])).await;
    let mut body = bench.post(&proxy(&[("target", &application.at("/again"))]), &CALL).await.1;
    let mut rounds = 0;
    while body.contains("<Redirect ") && rounds < 50 {
        body = bench.post(&redirect_of(&body), &CALL).await.1;
        rounds += 1;
    }
    assert!(rounds == 10 && body.contains("Nobody can take your call"), "{rounds}: {body}");
}
