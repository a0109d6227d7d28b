//! Another dialect on order: what is served under which path, to whom, and how webhooks are signed.

use std::sync::Mutex;

use super::*;
use crate::signature::ed25519::{self, PublicKey, SigningKey};

async fn telnyx(phone: &Softswitch, method: &str, path: &str, body: &str) -> (u16, Value) {
    let path = format!("/v2/texml/Accounts/{ACCOUNT}/{path}");
    send_as(phone, method, &path, body, Some(&format!("Bearer {TOKEN}"))).await
}

#[tokio::test]
async fn telnyxs_rest_is_served_when_it_is_ordered() {
    let phone = start(options());
    assert_eq!(telnyx(&phone, "GET", "Calls", "").await.0, 404, "Twilio's is spoken");
    let (status, told) = send(&phone, "PUT", "/control/dialect", r#"{"dialect":"telnyx"}"#).await;
    let key = SigningKey::of(TOKEN).public_key().to_string();
    assert_eq!((status, told), (200, json!({ "dialect": "telnyx", "public_key": key })));
    assert_eq!(rest(&phone, "GET", "Calls.json", "").await.0, 404);
    assert_eq!(send(&phone, "GET", &format!("/v2/texml/Accounts/{ACCOUNT}/Calls"), "").await.0, 401, "Basic");
    let (status, list) = telnyx(&phone, "GET", "Calls", "").await;
    assert_eq!((status, &list["calls"]), (200, &json!([])));
    let (status, refused) = telnyx(&phone, "GET", "Calls/v3:none", "").await;
    assert_eq!((status, &refused["errors"][0]["code"]), (404, &json!("10005")));

    let form = "To=%2B15554440000&From=%2B15552220000&Url=http%3A%2F%2F127.0.0.1%3A1%2F";
    assert_eq!(telnyx(&phone, "POST", "Calls", form).await.0, 422, "no ApplicationSid");
    let (status, made) = telnyx(&phone, "POST", "Calls", &format!("{form}&ApplicationSid=1")).await;
    assert_eq!(status, 201);
    assert_eq!(made, json!({ "from": "+15552220000", "to": "+15554440000", "status": "queued" }));
    let (_, list) = telnyx(&phone, "GET", "Calls", "").await;
    let sid = list["calls"][0]["sid"].as_str().unwrap();
    assert!(sid.starts_with("v3:"), "{sid}");
    assert_eq!(telnyx(&phone, "GET", &format!("Calls/{}", sid.replace(':', "%3A")), "").await.0, 200);

    send(&phone, "PUT", "/control/dialect", r#"{"dialect":"twilio"}"#).await;
    assert_eq!(rest(&phone, "GET", "Calls.json", "").await.0, 200);
    assert_eq!(send(&phone, "GET", "/control/dialect", "").await.1, json!({ "dialect": "twilio" }));
    assert_eq!(send(&phone, "PUT", "/control/dialect", r#"{"dialect":"klingon"}"#).await.0, 400);
    assert_eq!(send(&phone, "DELETE", "/control/dialect", "").await.0, 405);
}

#[tokio::test]
async fn telnyxs_webhooks_are_signed_with_a_key_pair() {
    let seen: Arc<Mutex<Vec<(HeaderMap, Bytes)>>> = Arc::default();
    let (told, mut telling) = mpsc::unbounded_channel();
    let notes = Arc::clone(&seen);
    let app = Router::new().fallback(async move |headers: HeaderMap, body: Bytes| {
        notes.lock().unwrap().push((headers, body));
        told.send(()).unwrap();
        "<Response/>"
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/voice", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let phone = start(Options { numbers: vec![Number::new(NUMBER, url)], ..options() });
    let (_, order) = send(&phone, "PUT", "/control/dialect", r#"{"dialect":"telnyx"}"#).await;
    let key = PublicKey::parse(order["public_key"].as_str().unwrap()).unwrap();
    send(&phone, "POST", "/control/calls", &json!({ "from": "+15551110000", "to": NUMBER }).to_string()).await;
    telling.recv().await.unwrap();
    let (headers, body) = seen.lock().unwrap()[0].clone();
    let now_secs = Clock::system().now().0.div_euclid(1_000);
    let header = |name: &str| headers[name].to_str().unwrap();
    assert!(key.verify(header(ed25519::TIME_HEADER), &body, header(ed25519::HEADER), now_secs));
    assert!(!headers.contains_key(signature::HEADER), "not Twilio's too");
    assert!(String::from_utf8_lossy(&body).contains("CallSid=v3%3A"), "{body:?}");
}
