//! Who takes part in the conversation of a task: third parties are dialled in, legs are held, muted and taken out (own
//! addition, for applications and administrators; the fields are those of a phone system's Participant resource).
//!
//! A participant is named by its label or by the SID of its call. An answer tells what is asked for and committed; the
//! phone system carries it out right after. Start with [`create`] and [`update`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::conference::voice_task;
use super::error::ApiError;
use super::form::{Form, Parameters, invalid};
use super::instruction::{METHODS, leg_options};
use super::json::{answer, deleted};
use super::links::Place;
use super::scope::Scope;
use crate::calls::{CUSTOMER_LABEL, Leg, LegTarget, LegUpdate, VoiceTask};
use crate::engine::{LegWish, Request};
use crate::routing::{ReservationSid, TaskSid};

/// Longest label of a third party, in characters.
const LABEL_LIMIT: usize = 64;

pub(super) async fn list(scope: Scope) -> Result<Response, ApiError> {
    let task = voice_task(&scope).await?;
    let participants: Vec<_> = present(&task).map(|leg| render(&scope.place, task.task, leg)).collect();
    let url = scope.place.url(&format!("/Tasks/{}/Participants", task.task));
    Ok(answer(StatusCode::OK, &json!({ "participants": participants, "url": url })))
}

pub(super) async fn create(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let task = voice_task(&scope).await?;
    let to = form.required("To")?;
    let label = match form.filled("Label") {
        Some(label) => checked_label(label)?.to_owned(),
        None => free_label(&task),
    };
    let options = leg_options(&form)?;
    let from = options.from.clone();
    let wish = LegWish::Add { label: label.clone(), to, from, options: Box::new(options) };
    send(&scope, task.task, wish).await?;
    show(&scope, &label, StatusCode::CREATED).await
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    let name = scope.found(scope.segment("Sid"))?.to_owned();
    show(&scope, &name, StatusCode::OK).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let (task, label) = named(&scope).await?;
    send(&scope, task, LegWish::Change(target(&label), changes(&form)?)).await?;
    show(&scope, &label, StatusCode::OK).await
}

pub(super) async fn delete(scope: Scope) -> Result<Response, ApiError> {
    let (task, label) = named(&scope).await?;
    send(&scope, task, LegWish::Remove(target(&label))).await?;
    Ok(deleted())
}

/// What a request wishes to change about a leg in the room.
pub(super) fn changes(form: &Parameters) -> Result<LegUpdate, ApiError> {
    Ok(LegUpdate {
        hold: form.boolean("Hold")?,
        hold_url: form.url("HoldUrl")?.filter(|url| !url.is_empty()),
        hold_method: form.word("HoldMethod", &METHODS)?.map(ToOwned::to_owned),
        muted: form.boolean("Mute")?.or(form.boolean("Muted")?),
        end_conference_on_exit: form.boolean("EndConferenceOnExit")?,
        beep_on_exit: form.boolean("BeepOnExit")?,
        heard_by: None,
    })
}

async fn send(scope: &Scope, task: TaskSid, wish: LegWish) -> Result<(), ApiError> {
    scope.send(Request::Leg { task, by: None, wish }).await.map(|_| ())
}

/// Those who are in the room or on their way there.
fn present(task: &VoiceTask) -> impl Iterator<Item = &Leg> {
    task.legs.iter().filter(|leg| leg.is_live() && leg.abort.is_none())
}

fn find<'a>(task: &'a VoiceTask, name: &str) -> Option<&'a Leg> {
    present(task).find(|leg| leg.label == name || leg.call.as_ref().is_some_and(|call| call.0 == name))
}

/// The task and the label of the participant that the path names.
async fn named(scope: &Scope) -> Result<(TaskSid, String), ApiError> {
    let task = voice_task(scope).await?;
    let leg = scope.segment("Sid").and_then(|name| find(&task, name));
    let leg = scope.found(leg)?;
    Ok((task.task, leg.label.clone()))
}

async fn show(scope: &Scope, name: &str, status: StatusCode) -> Result<Response, ApiError> {
    let task = voice_task(scope).await?;
    let leg = scope.found(find(&task, name))?;
    Ok(answer(status, &render(&scope.place, task.task, leg)))
}

fn target(label: &str) -> LegTarget {
    match label.parse::<ReservationSid>() {
        _ if label == CUSTOMER_LABEL => LegTarget::Customer,
        Ok(reservation) => LegTarget::Worker(reservation),
        Err(_) => LegTarget::Label(label.to_owned()),
    }
}

/// A label that somebody chose; those that we give ourselves are not among them.
fn checked_label(label: &str) -> Result<&str, ApiError> {
    let plain = label.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'));
    let ours = label == CUSTOMER_LABEL || label.starts_with("supervisor-") || label.parse::<ReservationSid>().is_ok();
    if plain && !ours && !looks_like_call(label) && label.len() <= LABEL_LIMIT {
        return Ok(label);
    }
    let expected =
        "at most 64 letters, digits, - and _, not the SID of a call and none of the labels that the server gives";
    Err(invalid("Label", label, expected))
}

/// Whether a phone system would take a label for the SID of a call, and so refuses it (16024).
fn looks_like_call(label: &str) -> bool {
    label.strip_prefix("CA").is_some_and(|rest| rest.len() == 32 && rest.chars().all(|digit| digit.is_ascii_hexdigit()))
}

fn free_label(task: &VoiceTask) -> String {
    let mut labels = (1..).map(|number: usize| format!("external-{number}"));
    labels.find(|label| task.live_leg(label).is_none()).unwrap_or_default()
}

fn render(place: &Place, task: TaskSid, leg: &Leg) -> Value {
    json!({
        "account_sid": place.account,
        "workspace_sid": place.workspace,
        "task_sid": task,
        "label": leg.label,
        "role": leg.role,
        "call_sid": leg.call,
        "reservation_sid": leg.reservation,
        "state": leg.state,
        "hold": leg.held,
        "muted": leg.muted,
        "end_conference_on_exit": leg.ends_room,
        "url": place.url(&format!("/Tasks/{task}/Participants/{}", leg.label)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_the_server_gives_cannot_be_chosen() {
        let reservation = ReservationSid::from_bits(7).to_string();
        let long = "x".repeat(65);
        let call = format!("CA{}", "0Af9".repeat(8));
        for (label, may) in [
            ("external-1", true),
            ("Aunt_Ann-2", true),
            ("customer", false),
            ("supervisor-WK1", false),
            (reservation.as_str(), false),
            ("a b", false),
            ("a/b", false),
            (long.as_str(), false),
            (call.as_str(), false),
            (&call[1..], true),
            (&call[..33], true),
        ] {
            assert_eq!(checked_label(label).is_ok(), may, "{label}");
        }
    }

    #[test]
    fn a_label_leads_to_its_leg() {
        let reservation = ReservationSid::from_bits(7);
        assert_eq!(target("customer"), LegTarget::Customer);
        assert_eq!(target(&reservation.to_string()), LegTarget::Worker(reservation));
        assert_eq!(target("external-1"), LegTarget::Label("external-1".to_owned()));
    }
}
