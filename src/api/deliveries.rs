//! Event callbacks as administrators see them: what was not taken and why, sending again, the receiver's state.
//!
//! Nothing of it is Twilio's. Must not send anything itself: it writes what is wanted and wakes the sender. Start with
//! [`list`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::form::{Form, Query};
use super::json::{answer, date, optional_date};
use super::page::Paging;
use super::scope::Scope;
use crate::routing::EventSid;
use crate::store::deliveries::{DeliveryState, EventTarget, Progress};
use crate::store::subscriptions::in_force;
use crate::store::views::{DeliveryView, EventView};

/// Events that one request sends again at most; the answer tells where to go on.
const AGAIN_MAX: usize = 10_000;
/// Events in one write.
const PORTION: u32 = 500;

/// What is not taken yet, or dead.
pub(super) const STATES: [&str; 2] = ["waiting", "dead"];

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let paging = Paging::read(&query, 1)?;
    let state = query.word("State", &STATES)?.map(state_of);
    let list = scope.state.store.deliveries(scope.sid(), state, paging.span()).await?;
    let is_tried = is_tried(&scope).await?;
    let url = scope.place.url("/Events/Deliveries");
    Ok(paging.answer(&url, "deliveries", &list, |row| render(&scope, row, is_tried)))
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    let event = event(&scope).await?;
    shown(&scope, &event).await
}

/// Sends one event again.
pub(super) async fn again(scope: Scope) -> Result<Response, ApiError> {
    let event = event(&scope).await?;
    target(&scope).await?;
    scope.state.store.ask_again(scope.sid(), vec![event.clone()], scope.state.clock.now()).await?;
    scope.state.event_callbacks.look_again(scope.sid());
    shown(&scope, &event).await
}

/// Sends many events again: dead ones, unless a range of numbers or of time is named.
pub(super) async fn many_again(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let named = form.word("State", &["dead"])?.is_some();
    let after = form.integer("After", 0..=i64::MAX)?;
    let until = form.integer("Until", 0..=i64::MAX)?;
    let (from_time, until_time) = (form.moment("StartDate")?, form.last_moment("EndDate")?);
    let is_bounded = after.is_some() || until.is_some() || from_time.is_some() || until_time.is_some();
    let dead_only = named || !is_bounded;
    target(&scope).await?;
    let (store, workspace, now) = (&scope.state.store, scope.sid(), scope.state.clock.now());
    let mut next = u64::try_from(after.unwrap_or(0)).unwrap_or(0) + 1;
    let last = until.map_or(u64::MAX, |until| u64::try_from(until).unwrap_or(0));
    let mut count = 0;
    let mut is_complete = false;
    while !is_complete && count < AGAIN_MAX {
        let events = if dead_only {
            store.dead_from(workspace, next, PORTION).await?
        } else {
            store.events_from(workspace, next, PORTION).await?
        };
        let Some(newest) = events.last().map(number) else {
            is_complete = true;
            break;
        };
        next = newest + 1;
        is_complete = newest > last;
        let in_time = |event: &EventView| {
            from_time.is_none_or(|from| event.at >= from) && until_time.is_none_or(|until| event.at <= until)
        };
        let wanted: Vec<EventView> =
            events.into_iter().filter(|event| number(event) <= last && in_time(event)).collect();
        count += wanted.len();
        if !wanted.is_empty() {
            store.ask_again(workspace, wanted, now).await?;
        }
    }
    scope.state.event_callbacks.look_again(workspace);
    let body = json!({
        "account_sid": scope.place.account,
        "workspace_sid": workspace,
        "count": count,
        "next_after": (!is_complete).then(|| next - 1),
        "url": scope.place.url("/Events/Deliveries"),
    });
    Ok(answer(StatusCode::OK, &body))
}

/// Where events are sent to, and how that goes.
pub(super) async fn endpoint(scope: Scope) -> Result<Response, ApiError> {
    let target = scope.state.store.event_target(scope.sid()).await?;
    Ok(answer(StatusCode::OK, &render_endpoint(&scope, target.as_ref())))
}

/// Switches a receiver on again.
pub(super) async fn update_endpoint(scope: Scope, form: Form) -> Result<Response, ApiError> {
    form.required("Status")?;
    form.word("Status", &["enabled"])?;
    target(&scope).await?;
    scope.state.store.note_progress(scope.sid(), Progress { endpoint: Some(None), ..Progress::default() }).await?;
    scope.state.event_callbacks.look_again(scope.sid());
    endpoint(scope).await
}

async fn event(scope: &Scope) -> Result<EventView, ApiError> {
    let sid: EventSid = scope.path_sid("Sid")?;
    scope.found(scope.state.store.event(scope.sid(), sid).await?)
}

/// The workspace's place in the log; an error when nothing is sent.
async fn target(scope: &Scope) -> Result<EventTarget, ApiError> {
    let target = scope.state.store.event_target(scope.sid()).await?;
    target.ok_or_else(|| ApiError::invalid("the workspace has no EventCallbackUrl to send events to"))
}

fn state_of(word: &str) -> DeliveryState {
    if word == DeliveryState::Dead.as_str() { DeliveryState::Dead } else { DeliveryState::Waiting }
}

fn number(event: &EventView) -> u64 {
    u64::try_from(event.sequence).unwrap_or(0)
}

/// Whether anything is attempted at present: there is a receiver, and it is not switched off.
async fn is_tried(scope: &Scope) -> Result<bool, ApiError> {
    let target = scope.state.store.event_target(scope.sid()).await?;
    Ok(target.is_some_and(|target| target.failing.is_none_or(|failing| failing.disabled.is_none())))
}

async fn shown(scope: &Scope, event: &EventView) -> Result<Response, ApiError> {
    let sid: EventSid = scope.path_sid("Sid")?;
    let store = &scope.state.store;
    // The place first: it passes an event in the commit that writes the event's row.
    let place = store.event_place(scope.sid()).await?;
    if let Some(row) = store.delivery(scope.sid(), sid).await? {
        return Ok(answer(StatusCode::OK, &render(scope, &row, is_tried(scope).await?)));
    }
    let subscriptions = store.subscriptions(scope.sid(), number(event)).await?;
    let state = match in_force(&subscriptions, number(event)) {
        None => "not_sent",
        Some(then) if !then.is_sent => "not_sent",
        Some(then) if !then.wants(&event.event_type) => "not_wanted",
        Some(_) if place.is_some_and(|place| place <= number(event)) => "pending",
        Some(_) => "done",
    };
    let body = body(scope, &event.sid, event.sequence, &event.event_type, state);
    Ok(answer(StatusCode::OK, &body))
}

fn body(scope: &Scope, sid: &str, sequence: i64, event_type: &str, state: &str) -> Value {
    json!({
        "account_sid": scope.place.account,
        "workspace_sid": scope.place.workspace,
        "event_sid": sid,
        "event_sequence": sequence,
        "event_type": event_type,
        "state": state,
        "attempts": 0,
        "date_next_attempt": null,
        "date_last_attempt": null,
        "last_status": null,
        "last_error": null,
        "last_answer": null,
        "url": scope.place.url(&format!("/Events/{sid}/Delivery")),
    })
}

fn render(scope: &Scope, row: &DeliveryView, is_tried: bool) -> Value {
    let mut shown = body(scope, &row.sid, row.sequence, &row.event_type, &row.state);
    let waits = is_tried && row.state == DeliveryState::Waiting.as_str();
    shown["attempts"] = json!(row.attempts);
    shown["date_next_attempt"] = optional_date(waits.then_some(row.next_attempt_at));
    shown["date_last_attempt"] = optional_date(row.last_attempt_at);
    shown["last_status"] = json!(row.last_status);
    shown["last_error"] = json!(row.last_error);
    shown["last_answer"] = json!(row.last_answer);
    shown
}

fn render_endpoint(scope: &Scope, target: Option<&EventTarget>) -> Value {
    let failing = target.and_then(|target| target.failing.as_ref());
    let disabled = failing.and_then(|failing| failing.disabled.as_ref());
    let status = match (target, failing, disabled) {
        (None, ..) => "none",
        (_, _, Some(_)) => "disabled",
        (_, Some(_), None) => "failing",
        (_, None, None) => "enabled",
    };
    json!({
        "account_sid": scope.place.account,
        "workspace_sid": scope.place.workspace,
        "status": status,
        "event_callback_url": target.map(|target| target.url.as_str()),
        "events_filter": target.and_then(|target| target.filter.as_deref()),
        "next_event_sequence": target.map(|target| target.next_sequence),
        "waiting_events": target.map(|target| (target.last_sequence + 1).saturating_sub(target.next_sequence)),
        "date_failing_since": optional_date(failing.map(|failing| failing.since)),
        "date_disabled": disabled.map_or(Value::Null, |(at, _)| date(*at)),
        "disabled_reason": disabled.map(|(_, reason)| reason.as_str()),
        "url": scope.place.url("/Events/Endpoint"),
    })
}
