//! Rooms: what is heard in one that waits, and whose callbacks it has.

use super::*;
use crate::calls::{ConferenceOptions, HoldDocument};

/// Has the instruction of a task's last attempt say something about what is heard in the room.
async fn instruct(bench: &Bench, task: &str, wait_url: Option<&str>, wait_method: Option<&str>) {
    let mut row = bench.store.voice_task(task.parse().unwrap()).await.unwrap().unwrap();
    let mut record: VoiceTask = serde_json::from_str(&row.state.json()).unwrap();
    record.options = Some(ConferenceOptions {
        wait_url: wait_url.map(str::to_owned),
        wait_method: wait_method.map(str::to_owned),
        ..ConferenceOptions::default()
    });
    row.state = VoiceRecord::Json(serde_json::to_string(&record).unwrap());
    let mut batch = crate::store::Batch::empty(bench.workspace, bench.rows().await.settings.last_sequence);
    batch.voice_tasks.push(row);
    bench.store.append(batch).await.unwrap();
}

#[tokio::test]
async fn a_room_waits_with_the_applications_document_and_with_ours_when_there_is_none() {
    let bench = Bench::start().await;
    let (url, forms) = application("<Response><Play>music.mp3</Play></Response>").await;
    let (broken, _) = application("not TwiML").await;
    let task = task_of(&bench.enqueue(&bench.target(""), &[]).await);
    let room_wait = format!("/voice/tasks/{task}/room-wait");
    let again = format!("<Redirect method=\"POST\">{BASE}{room_wait}</Redirect></Response>");
    let music = format!("<Play>{}music.mp3</Play>{again}", url.trim_end_matches("app"));
    let hold = "<Redirect/></Response>";
    for (wait_url, heard) in
        [(Some(url.as_str()), music.as_str()), (Some(&broken), hold), (Some("http://127.0.0.1:1/"), hold), (None, hold)]
    {
        instruct(&bench, &task, wait_url, Some("POST")).await;
        let (status, document) = bench.post(&room_wait, &[("CallSid", "CA2"), ("ConferenceSid", "CF1")]).await;
        assert!(status == StatusCode::OK && document.ends_with(heard), "{wait_url:?}: {document}");
    }
    let form = forms.lock().unwrap()[0].clone();
    assert!(form.contains("ConferenceSid=CF1") && form.contains(&format!("TaskSid={task}")), "{form}");
    assert_eq!(bench.sorted_alert_codes().await, [11_100, 12_100]);
    let (_, unknown) = bench.post("/voice/tasks/WT000000000000000000000000000000ff/room-wait", &[]).await;
    assert!(unknown.ends_with(hold), "{unknown}");
}

#[tokio::test]
async fn whoever_comes_first_into_a_room_sets_callbacks_and_wait_document_of_ours() {
    let bench = Bench::start().await;
    let available = bench.rows().await.activities.into_iter().find(|activity| activity.available).unwrap().sid;
    let worker = NewWorker { friendly_name: "anna".to_owned(), attributes: "{}".to_owned(), activity: Some(available) };
    bench.engine.send(bench.workspace, EngineRequest::Routing(Command::CreateWorker(worker))).await.unwrap();
    let task = task_of(&bench.enqueue(&bench.target(""), &[]).await);
    let waiting = [("CallSid", "CAcaller"), ("CallStatus", "in-progress")];
    bench.post(&format!("/voice/tasks/{task}/wait"), &waiting).await;
    let reservation = bench.rows().await.reservations[0].sid;
    let call = [("CallSid", "CAworker"), ("CallStatus", "in-progress")];
    let asked = serde_urlencoded::to_string([
        ("WaitUrl", "https://app.example/music"),
        ("WaitMethod", "GET"),
        ("ConferenceStatusCallback", "https://app.example/room"),
    ]);
    let (_, of_worker) = bench.post(&format!("/voice/reservations/{reservation}?{}", asked.unwrap()), &call).await;
    let (_, of_caller) = bench.post(&format!("/voice/tasks/{task}/join/customer"), &waiting).await;
    for document in [of_worker, of_caller] {
        for part in [
            format!(" statusCallback=\"{BASE}/voice/cb/room/{task}\" statusCallbackMethod=\"POST\""),
            " statusCallbackEvent=\"start end join leave mute hold modify\"".to_owned(),
            format!(" waitUrl=\"{BASE}/voice/tasks/{task}/room-wait\" waitMethod=\"POST\""),
        ] {
            assert!(document.contains(&part), "{part} in {document}");
        }
        assert!(!document.contains("app.example"), "{document}");
    }
}

#[tokio::test]
async fn a_signature_is_of_the_public_address_whatever_stands_between() {
    let bench = Bench::start().await;
    // As they come, in an order of their own, some twice, and encoded as nobody else would.
    let target = bench.target("?b=2&a=%7e1&a=1");
    for (signed, taken) in [
        (format!("{BASE}{target}"), true),
        // The sender has named the port, although it is the usual one.
        (format!("{BASE}:443{target}"), true),
        (format!("{}{target}", BASE.replace("https", "http")), false),
        (format!("{BASE}:8443{target}"), false),
        (format!("{BASE}{}", bench.target("?a=%7e1&a=1&b=2")), false),
        (format!("{BASE}{}", bench.target("?b=2&a=~1&a=1")), false),
    ] {
        let signature = signature::sign_form(PHONE_TOKEN, &signed, &CALL);
        let mut request = form(&target, &CALL, Some((signature::HEADER, &signature)));
        // What the proxy that ends TLS made of it.
        for (name, value) in [("host", "10.0.0.7:8080"), ("x-forwarded-proto", "http"), ("x-forwarded-port", "8080")] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let expected = if taken { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(bench.send(request).await.0, expected, "{signed}");
    }
}

#[tokio::test]
async fn a_signature_may_stand_in_the_header_of_either_dialect() {
    let bench = Bench::start().await;
    let target = bench.target("");
    let right = signature::sign_form(PHONE_TOKEN, &format!("{BASE}{target}"), &CALL);
    let wrong = signature::sign_form("guess", &format!("{BASE}{target}"), &CALL);
    for (header, signature, status) in [
        ("X-Twilio-Signature", &right, StatusCode::OK),
        ("X-SignalWire-Signature", &right, StatusCode::OK),
        ("X-SignalWire-Signature", &wrong, StatusCode::FORBIDDEN),
        ("X-Other-Signature", &right, StatusCode::FORBIDDEN),
    ] {
        let (answered, _) = bench.send(form(&target, &CALL, Some((header, signature)))).await;
        assert_eq!(answered, status, "{header} {signature}");
    }
    // A signature that is wrong does not become right by another header.
    let mut both = form(&target, &CALL, Some(("X-Twilio-Signature", &wrong)));
    both.headers_mut().insert("X-SignalWire-Signature", right.parse().unwrap());
    assert_eq!(bench.send(both).await.0, StatusCode::FORBIDDEN);
}

/// Puts a leg of the task on hold with a document of the application's.
async fn put_on_hold(bench: &Bench, task: &str, document: Option<(&str, bool)>) {
    let mut row = bench.store.voice_task(task.parse().unwrap()).await.unwrap().unwrap();
    let mut record: VoiceTask = serde_json::from_str(&row.state.json()).unwrap();
    record.legs[0].hold_document = document.map(|(url, by_get)| HoldDocument { url: url.to_owned(), by_get });
    row.state = VoiceRecord::Json(serde_json::to_string(&record).unwrap());
    let mut batch = crate::store::Batch::empty(bench.workspace, bench.rows().await.settings.last_sequence);
    batch.voice_tasks.push(row);
    bench.store.append(batch).await.unwrap();
}

#[tokio::test]
async fn a_leg_on_hold_hears_the_applications_document_and_ours_when_there_is_none() {
    let bench = Bench::start().await;
    let (url, forms) = application("<Response><Play>music.mp3</Play></Response>").await;
    let (broken, _) = application("not TwiML").await;
    let task = task_of(&bench.enqueue(&bench.target(""), &[]).await);
    let hold = format!("/voice/hold/{task}?leg=customer");
    let again = format!("<Redirect method=\"POST\">{BASE}{hold}</Redirect></Response>");
    let music = format!("<Play>{}music.mp3</Play>{again}", url.trim_end_matches("app"));
    let ours = "<Redirect/></Response>";
    for (document, heard) in [
        (Some((url.as_str(), false)), music.as_str()),
        (Some((&broken, false)), ours),
        (Some(("http://127.0.0.1:1/", true)), ours),
        (None, ours),
    ] {
        put_on_hold(&bench, &task, document).await;
        let (status, answer) = bench.post(&hold, &[("CallSid", "CAcaller")]).await;
        assert!(status == StatusCode::OK && answer.ends_with(heard), "{document:?}: {answer}");
    }
    let form = forms.lock().unwrap()[0].clone();
    assert!(form.contains("CallSid=CAcaller") && form.contains(&format!("TaskSid={task}")), "{form}");
    assert_eq!(bench.alert_codes().await, [11_100, 12_100]);
    put_on_hold(&bench, &task, Some((&url, false))).await;
    for other in [format!("/voice/hold/{task}"), format!("/voice/hold/{task}?leg=external-1")] {
        let (_, answer) = bench.post(&other, &[]).await;
        assert!(answer.ends_with(ours), "{other}: {answer}");
    }
}
