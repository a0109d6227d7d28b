//! The control API: placing calls from outside, configuring numbers, and saying how the far ends behave.
//!
//! Our own, JSON in and out, described in `docs/phone.md`. Start with [`request`].

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::form::Form;
use super::respond;
use crate::softswitch::core::{Behaviour, Origin, Page, PlacedCall, Refusal, Reply, Request};
use crate::softswitch::dialect::{self, Order};
use crate::softswitch::faults::{Fault, Faults};
use crate::softswitch::options::Number;
use crate::softswitch::twiml::resolve;

const SPEECH_BYTES_MAX: usize = 1_000;
const SIP_HEADERS_MAX: usize = 32;
const HAPPENINGS: usize = 500;
const HAPPENINGS_MAX: u32 = 5_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Placed {
    from: String,
    to: String,
    #[serde(default)]
    behaviour: Option<Behaviour>,
    #[serde(default)]
    sip_headers: BTreeMap<String, String>,
    #[serde(default)]
    forwarded_from: Option<String>,
    #[serde(default)]
    caller_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spoken {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pace {
    calls_per_second: f64,
}

/// Fields of [`Behaviour`] beside `calls`; the two cannot be one struct because unknown fields are refused.
#[derive(Deserialize)]
struct Planned {
    #[serde(default)]
    calls: Calls,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Calls {
    #[default]
    All,
    Next,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pressed {
    digits: String,
}

/// Reads a request below `/control/`; `path` is already split and decoded.
pub(super) fn request(method: &str, path: &[&str], query: &Form, body: &[u8]) -> Result<Request, Refusal> {
    let sid = |sid: &&str| (*sid).to_owned();
    Ok(match (method, path) {
        ("POST", ["calls"]) => Request::PlaceInbound(Box::new(placed(read(body)?)?)),
        ("GET", ["calls"]) => Request::ListLive(Page { size: 1_000, ..query.page()? }),
        ("POST", ["calls", call, "answer"]) => Request::Answer { sid: sid(call) },
        ("POST", ["calls", call, "hangup"]) => Request::HangUp { sid: sid(call) },
        ("POST", ["calls", call, "digits"]) => {
            let Pressed { digits } = read(body)?;
            if digits.len() > 32 || !digits.bytes().all(|key| key.is_ascii_digit() || b"*#".contains(&key)) {
                return Err(Refusal::bad(20001, "digits must be at most 32 of 0-9, * and #"));
            }
            Request::Press { sid: sid(call), digits }
        }
        ("POST", ["calls", call, "speech"]) => {
            let Spoken { text } = read(body)?;
            if text.trim().is_empty() || text.len() > SPEECH_BYTES_MAX {
                return Err(Refusal::bad(20001, "text must have 1 to 1000 bytes"));
            }
            Request::Say { sid: sid(call), text }
        }
        ("GET", ["pace"]) => Request::GetPace,
        ("PUT", ["pace"]) => {
            let Pace { calls_per_second } = read(body)?;
            if calls_per_second != 0.0 && !(0.001..=10_000.0).contains(&calls_per_second) {
                return Err(Refusal::bad(20001, "calls_per_second must be 0 (no limit) or from 0.001 to 10000"));
            }
            Request::SetPace { calls_per_second }
        }
        ("GET", ["snapshot"]) => Request::Snapshot,
        ("GET", ["numbers"]) => Request::ListNumbers,
        ("PUT", ["numbers", number]) => Request::PutNumber(read_number(number, body)?),
        ("PUT", ["addresses", address]) => {
            let mut value: Value = read(body)?;
            let Planned { calls } = serde_json::from_value(value.clone()).map_err(|error| unreadable(&error))?;
            if let Value::Object(fields) = &mut value {
                fields.remove("calls");
            }
            let behaviour = serde_json::from_value(value).map_err(|error| unreadable(&error))?;
            Request::PutBehaviour { address: sid(address), behaviour, only_next: calls == Calls::Next }
        }
        ("GET", ["events"]) => {
            let after = query.parsed("after", |text| text.parse().ok(), "a whole number")?.unwrap_or(0);
            let limit = query
                .number("limit")?
                .map_or(HAPPENINGS, |limit| usize::try_from(limit.clamp(1, HAPPENINGS_MAX)).unwrap_or(HAPPENINGS));
            Request::ListHappenings { after, limit, call: query.owned("call_sid") }
        }
        (_, ["calls" | "numbers" | "addresses" | "events" | "pace" | "snapshot", ..]) if path.len() <= 3 => {
            return Err(Refusal::new(405, 20004, "Method not allowed"));
        }
        _ => return Err(Refusal::not_found(&path.join("/"))),
    })
}

/// Faults: ordered, listed and called off.
pub(super) fn faults(faults: &Faults, method: &str, body: &[u8]) -> Result<Response, Refusal> {
    match method {
        "POST" => {
            let fault: Fault = read(body)?;
            faults.order(fault.clone()).map_err(|problem| Refusal::bad(20001, problem))?;
            Ok(respond(StatusCode::CREATED, Some(json!(fault))))
        }
        "GET" => Ok(respond(StatusCode::OK, Some(json!({ "faults": faults.waiting() })))),
        "DELETE" => {
            faults.clear();
            Ok(respond(StatusCode::NO_CONTENT, None))
        }
        _ => Err(Refusal::new(405, 20004, "Method not allowed")),
    }
}

/// The dialect that is spoken: ordered, and told.
pub(super) fn dialect(spoken: &dialect::Spoken, method: &str, body: &[u8]) -> Result<Response, Refusal> {
    match method {
        "PUT" => spoken.order(&read::<Order>(body)?),
        "GET" => {}
        _ => return Err(Refusal::new(405, 20004, "Method not allowed")),
    }
    Ok(respond(StatusCode::OK, Some(spoken.told())))
}

/// The replies that the control API words differently from the REST API.
pub(super) fn reply(reply: &Reply) -> Option<Value> {
    match reply {
        Reply::Call(call) => Some(json!({ "call_sid": call.sid, "status": call.status.text() })),
        _ => None,
    }
}

fn placed(placed: Placed) -> Result<PlacedCall, Refusal> {
    let Placed { from, to, behaviour, sip_headers, forwarded_from, caller_name } = placed;
    let is_token = |name: &str| {
        !name.is_empty() && name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if sip_headers.len() > SIP_HEADERS_MAX || !sip_headers.keys().all(|name| is_token(name)) {
        return Err(Refusal::bad(20001, "sip_headers must be at most 32 with names of letters, digits and hyphens"));
    }
    let origin = Origin { sip_headers: sip_headers.into_iter().collect(), forwarded_from, caller_name };
    Ok(PlacedCall { from, to, behaviour, origin })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Refusal {
    Refusal::bad(20001, format!("The body is not what is expected here: {error}"))
}

fn read_number(phone_number: &str, body: &[u8]) -> Result<Number, Refusal> {
    let mut value: Value = read(body)?;
    if let Value::Object(fields) = &mut value {
        fields.insert("phone_number".to_owned(), phone_number.into());
    }
    let number: Number = serde_json::from_value(value).map_err(|error| unreadable(&error))?;
    for url in
        [Some(&number.voice_url), number.fallback_url.as_ref(), number.status_callback.as_ref()].into_iter().flatten()
    {
        resolve(None, url).map_err(|_| Refusal::bad(21205, "A URL of the number is not a valid http(s) URL"))?;
    }
    Ok(number)
}
