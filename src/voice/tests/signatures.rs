//! Webhooks that are signed with a key pair.

use super::*;
use crate::signature::ed25519;

#[tokio::test]
async fn a_signature_with_the_phone_systems_key_is_taken_while_it_is_new() {
    let bench = Bench::start().await;
    let target = bench.target("");
    let key = ed25519::SigningKey::of(PHONE_TOKEN);
    let (now, body) = (1_790_000_000, serde_urlencoded::to_string(CALL).unwrap());
    let other = body.replace("ringing", "completed");
    let signed_by = |key: &ed25519::SigningKey, at: i64, body: &str| key.sign(at, body.as_bytes());
    let post = |(time, signature): &(String, String), body: &str| {
        Request::post(&target)
            .header("content-type", "application/x-www-form-urlencoded")
            .header(ed25519::TIME_HEADER, time)
            .header(ed25519::HEADER, signature)
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    let (time, good) = signed_by(&key, now, &body);
    for (what, headers, body) in [
        ("another key", signed_by(&ed25519::SigningKey::of("guess"), now, &body), body.as_str()),
        ("stale", signed_by(&key, now - 301, body.as_str()), body.as_str()),
        ("another body", (time.clone(), good.clone()), other.as_str()),
        ("no time", (String::new(), good.clone()), body.as_str()),
        ("no signature", (time.clone(), String::new()), body.as_str()),
    ] {
        assert_eq!(bench.send(post(&headers, body)).await, (StatusCode::FORBIDDEN, String::new()), "{what}");
    }
    let (_, unsigned) = signed_by(&key, now, "");
    let get = Request::get(&target).header(ed25519::TIME_HEADER, &time).header(ed25519::HEADER, unsigned);
    let (status, _) = bench.send(get.body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "a query is not signed");
    assert_eq!(bench.task_count().await, 0);

    let (status, body) = bench.send(post(&(time, good), body.as_str())).await;
    assert!(status == StatusCode::OK && body.contains("<Enqueue "), "{body}");
    assert_eq!(bench.task_count().await, 1);
}
