//! Tokens as the libraries make them, and those that RFC 8725 warns of.

use hmac::{KeyInit as _, Mac as _};
use serde_json::json;

use super::*;
use crate::routing::TaskQueueSid;

/// 2026-02-03T04:05:06Z
const NOW: Timestamp = Timestamp(1_770_091_506_000);
const SECRET: &[u8] = b"a-secret-of-an-api-key-0123456789";

fn account() -> AccountSid {
    AccountSid::from_bits(1)
}

fn access_claims() -> Value {
    json!({
        "jti": "SK1-1", "iss": "SK00000000000000000000000000000001", "sub": account(), "exp": 1_770_095_106,
        "grants": { "identity": "nadia", "task_router": {
            "workspace_sid": WorkspaceSid::from_bits(2), "worker_sid": WorkerSid::from_bits(3), "role": "supervisor",
        } },
    })
}

fn capability_claims() -> Value {
    json!({
        "iss": account(), "account_sid": account(), "workspace_sid": WorkspaceSid::from_bits(2),
        "channel": WorkerSid::from_bits(3), "version": "v1", "exp": 1_770_095_106,
        "policies": [{ "url": "https://taskrouter.twilio.com/v1/**", "method": "GET", "allow": true,
                       "query_filter": {}, "post_filter": {} }],
    })
}

/// Signs any header and claims with HS256.
fn signed(header: &str, claims: &str, secret: &[u8]) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn verify(token: &str) -> Result<Grant, Error> {
    Unverified::read(token)?.verify(SECRET, account(), NOW)
}

const HS256: &str = r#"{"alg":"HS256","typ":"JWT","cty":"twilio-fpa;v=1"}"#;

#[test]
fn an_access_token_says_for_whom_it_is() {
    let grant = verify(&signed(HS256, &access_claims().to_string(), SECRET)).unwrap();
    assert_eq!(grant.account, account());
    assert_eq!(grant.workspace, WorkspaceSid::from_bits(2));
    assert_eq!(grant.worker, Some(WorkerSid::from_bits(3)));
    assert_eq!(grant.authority, Authority::Role(Role::Supervisor));
    assert_eq!(grant.expires_at, Timestamp(1_770_095_106_000));
}

#[test]
fn a_capability_token_carries_its_policies() {
    let grant = verify(&signed(HS256, &capability_claims().to_string(), SECRET)).unwrap();
    assert_eq!(grant.worker, Some(WorkerSid::from_bits(3)));
    let Authority::Policies(policies) = grant.authority else { panic!("expected policies") };
    assert_eq!(policies.len(), 1);
    assert!(policies[0].allow);
}

#[test]
fn a_capability_token_is_for_one_channel() {
    let (worker, queue) = (WorkerSid::from_bits(3), TaskQueueSid::from_bits(4));
    let workspace = WorkspaceSid::from_bits(2);
    let of = |change: &dyn Fn(&mut Value)| {
        let mut claims = capability_claims();
        change(&mut claims);
        verify(&signed(HS256, &claims.to_string(), SECRET)).map(|grant| (grant.worker, grant.channel))
    };
    assert_eq!(of(&|_| {}), Ok((Some(worker), Some(Channel::Worker(worker)))));
    assert_eq!(of(&|claims| claims["channel"] = json!(queue)), Ok((None, Some(Channel::TaskQueue(queue)))));
    assert_eq!(of(&|claims| claims["channel"] = json!(workspace)), Ok((None, Some(Channel::Workspace(workspace)))));
    let only_worker = |claims: &mut Value| {
        claims.as_object_mut().unwrap().remove("channel");
        claims["worker_sid"] = json!(worker);
    };
    assert_eq!(of(&only_worker), Ok((Some(worker), Some(Channel::Worker(worker)))));
    for (name, value) in [
        ("channel", json!("WT00000000000000000000000000000001")),
        ("channel", json!("")),
        ("channel", json!(WorkspaceSid::from_bits(9))),
        ("worker_sid", json!(WorkerSid::from_bits(9))),
        ("worker_sid", json!("x")),
    ] {
        assert_eq!(of(&|claims| claims[name] = value.clone()), Err(Error::Invalid), "{name} {value}");
    }
}

#[test]
fn minted_tokens_are_taken() {
    let new = NewAccessToken {
        key_sid: "SK00000000000000000000000000000001".to_owned(),
        account: account(),
        workspace: WorkspaceSid::from_bits(2),
        worker: None,
        role: Role::Admin,
        identity: "desk".to_owned(),
        lifetime_secs: 60,
    };
    let grant = verify(&mint(&new, SECRET, NOW)).unwrap();
    assert_eq!((grant.worker, grant.authority), (None, Authority::Role(Role::Admin)));
}

#[test]
fn what_chooses_its_own_check_is_refused() {
    let claims = access_claims().to_string();
    for header in [
        r#"{"alg":"none","typ":"JWT"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"PS256"}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}"#,
        r#"{"alg":"HS256","jku":"https://evil.example/keys"}"#,
        r#"{"alg":"HS256","x5u":"https://evil.example/cert"}"#,
        r#"{"alg":"HS256","x5c":["AA"]}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","kid":"../../dev/null"}"#,
        r#"{"alg":"HS256","kid":"1' OR '1'='1"}"#,
        r#"{"alg":"HS256","typ":"JWE"}"#,
        r#"{"alg":["HS256"]}"#,
        "[]",
        "",
    ] {
        assert_eq!(verify(&signed(header, &claims, SECRET)), Err(Error::Invalid), "{header}");
    }
}

#[test]
fn wrong_signatures_and_broken_texts_are_refused() {
    let good = signed(HS256, &access_claims().to_string(), SECRET);
    let (body, signature) = good.rsplit_once('.').unwrap();
    let unsigned = format!("{body}.");
    let other_key = signed(HS256, &access_claims().to_string(), b"another secret");
    let mut other_claims = access_claims();
    other_claims["grants"]["task_router"]["role"] = json!("admin");
    let encoded = BASE64_URL_SAFE_NO_PAD.encode(other_claims.to_string());
    let changed = format!("{}.{encoded}.{signature}", body.split_once('.').unwrap().0);
    let short = format!("{body}.{}", &signature[..20]);
    let padded = format!("{good}=");
    let four = format!("{good}.x");
    let long = format!("{}.{signature}", "a".repeat(TOKEN_BYTES_MAX));
    for token in [&unsigned, &other_key, &changed, &short, &padded, &four, &long, &String::new(), &"..".to_owned()] {
        assert_eq!(verify(token), Err(Error::Invalid), "{token:.60}");
    }
    // An empty secret verifies nothing, also not what was signed with it.
    let empty = signed(HS256, &access_claims().to_string(), b"");
    assert_eq!(Unverified::read(&empty).unwrap().verify(b"", account(), NOW), Err(Error::Invalid));
}

#[test]
fn claims_must_be_there_once_and_agree() {
    let check = |change: &dyn Fn(&mut Value), expected: Error| {
        let mut claims = access_claims();
        change(&mut claims);
        assert_eq!(verify(&signed(HS256, &claims.to_string(), SECRET)), Err(expected), "{claims}");
    };
    check(
        &|claims| {
            claims.as_object_mut().unwrap().remove("exp");
        },
        Error::Invalid,
    );
    check(
        &|claims| {
            claims.as_object_mut().unwrap().remove("sub");
        },
        Error::Invalid,
    );
    check(
        &|claims| {
            claims.as_object_mut().unwrap().remove("grants");
        },
        Error::Invalid,
    );
    check(&|claims| claims["sub"] = json!(AccountSid::from_bits(9)), Error::Invalid);
    check(&|claims| claims["exp"] = json!("1770095106"), Error::Invalid);
    check(&|claims| claims["exp"] = json!(1_770_091_445), Error::Expired);
    check(&|claims| claims["exp"] = json!(1e300), Error::Expired);
    check(&|claims| claims["exp"] = json!(-1), Error::Expired);
    check(&|claims| claims["exp"] = json!(1_770_091_506 + LIFETIME_SECS_MAX + 61), Error::Expired);
    check(&|claims| claims["nbf"] = json!(1_770_091_567), Error::Early);
    check(&|claims| claims["grants"]["task_router"]["workspace_sid"] = json!("WS1"), Error::Invalid);
    check(&|claims| claims["grants"]["task_router"]["worker_sid"] = json!("WQ1"), Error::Invalid);
    let doubled = access_claims().to_string().replacen("\"exp\":", "\"exp\":9999999999,\"exp\":", 1);
    assert_eq!(verify(&signed(HS256, &doubled, SECRET)), Err(Error::Invalid));
    let mut foreign = capability_claims();
    foreign["account_sid"] = json!(AccountSid::from_bits(9));
    assert_eq!(verify(&signed(HS256, &foreign.to_string(), SECRET)), Err(Error::Invalid));
}

#[test]
fn clocks_may_differ_a_little() {
    let at = |name: &str, secs: i64| {
        let mut claims = access_claims();
        claims[name] = json!(secs);
        verify(&signed(HS256, &claims.to_string(), SECRET)).is_ok()
    };
    assert!(at("exp", 1_770_091_506 - 59));
    assert!(at("nbf", 1_770_091_506 + 59));
    assert!(at("exp", 1_770_091_506 + LIFETIME_SECS_MAX));
}

#[test]
fn roles_that_are_not_known_are_those_of_a_worker() {
    for (role, expected) in
        [(json!("worker"), Role::Worker), (json!("flex.agent"), Role::Worker), (Value::Null, Role::Worker)]
    {
        let mut claims = access_claims();
        claims["grants"]["task_router"]["role"] = role.clone();
        let grant = verify(&signed(HS256, &claims.to_string(), SECRET)).unwrap();
        assert_eq!(grant.authority, Authority::Role(expected), "{role}");
    }
}
