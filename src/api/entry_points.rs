//! Entry points: what a number of the phone system leads to.
//!
//! The number's voice URL is the `voice_url` of an entry point. Start with [`create`].

use axum::response::Response;
use serde_json::{Value, json};

use super::entries::{ATTEMPTS, Resource, Written, friendly_name};
use super::error::ApiError;
use super::form::{Form, Parameters, Query, invalid, non_empty};
use super::json::date;
use super::scope::Scope;
use crate::entry::{EntryPoint, Fallback, FallbackAction, TEXT_LIMIT};
use crate::routing::{CalendarSid, Refusal, WorkflowSid};
use crate::store::EntryKind;
use crate::store::views::EntryView;

const ENTRY_POINT: Resource = Resource {
    kind: EntryKind::EntryPoint,
    name: "EntryPoint",
    plural: "entry points",
    path: "/EntryPoints",
    key: "entry_points",
    render,
};

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    ENTRY_POINT.list(scope, query).await
}

pub(super) async fn create(scope: Scope, form: Form) -> Result<Response, ApiError> {
    form.required("WorkflowSid")?;
    let written = written(&scope, &form, None).await?;
    ENTRY_POINT.create(&scope, written).await
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    ENTRY_POINT.fetch(scope).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    for _ in 0..ATTEMPTS {
        let row = ENTRY_POINT.current(&scope).await?;
        let written = written(&scope, &form, Some(&row)).await?;
        if let Some(changed) = ENTRY_POINT.replace(&scope, &row, written).await? {
            return Ok(changed);
        }
    }
    Err(ApiError::unavailable())
}

pub(super) async fn delete(scope: Scope) -> Result<Response, ApiError> {
    ENTRY_POINT.delete(scope).await
}

/// What is there, with what the form changes.
async fn written(scope: &Scope, form: &Parameters, before: Option<&EntryView>) -> Result<Written, ApiError> {
    let mut entry = match before {
        Some(row) => document_of(row).ok_or_else(ApiError::internal)?,
        None => EntryPoint {
            workflow: String::new(),
            attributes: "{}".to_owned(),
            priority: None,
            timeout_secs: None,
            greeting: None,
            greeting_url: None,
            calendar: None,
            closed: Fallback::default(),
            overflow: Fallback::default(),
            voicemail_workflow: None,
        },
    };
    if let Some(workflow) = workflow(scope, form, "WorkflowSid").await? {
        entry.workflow = workflow;
    }
    if form.text("VoicemailWorkflowSid").is_some() {
        entry.voicemail_workflow = workflow(scope, form, "VoicemailWorkflowSid").await?;
    }
    if form.text("CalendarSid").is_some() {
        entry.calendar = calendar(scope, form).await?;
    }
    if form.filled("Attributes").is_some() {
        entry.attributes = form.attributes("Attributes")?.unwrap_or_default();
    }
    // Given but empty: none.
    if form.text("Priority").is_some() {
        entry.priority = form.integer("Priority", 0..=i32::MAX)?;
    }
    if form.text("Timeout").is_some() {
        entry.timeout_secs = form.integer("Timeout", 1..=1_209_600)?;
    }
    said(form, "Greeting", &mut entry.greeting)?;
    if let Some(url) = form.url("GreetingUrl")? {
        entry.greeting_url = non_empty(url);
    }
    fallback(scope, form, ["ClosedAction", "ClosedText", "ClosedNumber"], &mut entry.closed)?;
    fallback(scope, form, ["OverflowAction", "OverflowText", "OverflowNumber"], &mut entry.overflow)?;
    let calendar = entry.calendar.clone();
    let document = serde_json::to_string(&entry).map_err(|_| ApiError::internal())?;
    Ok(Written { friendly_name: friendly_name(form, before)?, document, calendar })
}

/// A workflow of the workspace.
async fn workflow(scope: &Scope, form: &Parameters, parameter: &'static str) -> Result<Option<String>, ApiError> {
    let Some(sid) = form.sid::<WorkflowSid>(parameter)? else { return Ok(None) };
    let found = scope.state.store.workflow(scope.sid(), sid).await?;
    let unknown = || scope.refused(&Refusal::UnknownReference { parameter, value: sid.to_string() });
    found.map(|row| Some(row.sid)).ok_or_else(unknown)
}

/// A calendar of the workspace.
async fn calendar(scope: &Scope, form: &Parameters) -> Result<Option<String>, ApiError> {
    let Some(sid) = form.sid::<CalendarSid>("CalendarSid")? else { return Ok(None) };
    let found = scope.state.store.entry(scope.sid(), EntryKind::Calendar, &sid.to_string()).await?;
    let unknown = || scope.refused(&Refusal::UnknownReference { parameter: "CalendarSid", value: sid.to_string() });
    found.map(|row| Some(row.sid)).ok_or_else(unknown)
}

/// A text that callers hear; an empty one takes it away.
fn said(form: &Parameters, name: &'static str, text: &mut Option<String>) -> Result<(), ApiError> {
    let Some(given) = form.text(name) else { return Ok(()) };
    if given.chars().count() > TEXT_LIMIT {
        return Err(ApiError::invalid(format!("Invalid {name}: longer than {TEXT_LIMIT} characters")));
    }
    *text = non_empty(given.to_owned());
    Ok(())
}

fn fallback(
    scope: &Scope,
    form: &Parameters,
    [action, text, number]: [&'static str; 3],
    fallback: &mut Fallback,
) -> Result<(), ApiError> {
    if let Some(word) = form.word(action, &FallbackAction::WORDS)? {
        fallback.action = FallbackAction::from_text(word).unwrap_or_default();
    }
    said(form, text, &mut fallback.text)?;
    if let Some(given) = form.text(number) {
        if let Err(denied) = scope.state.dialling.of(scope.sid()).rules.check(given) {
            let (code, reason) = (denied.code(), denied.to_string());
            return Err(scope.refused(&Refusal::DestinationNotAllowed { parameter: number, code, reason }));
        }
        fallback.number = non_empty(given.trim().to_owned());
    }
    if fallback.action == FallbackAction::Dial && fallback.number.is_none() {
        return Err(invalid(number, "", "a number to dial, which the action needs"));
    }
    Ok(())
}

fn document_of(row: &EntryView) -> Option<EntryPoint> {
    serde_json::from_str(&row.document).ok()
}

fn render(scope: &Scope, row: &EntryView) -> Value {
    let place = &scope.place;
    let Some(entry) = document_of(row) else { return Value::Null };
    // Where the API ends, the server begins.
    let server = place.base.strip_suffix("/v1").unwrap_or(&place.base);
    json!({
        "account_sid": place.account,
        "sid": row.sid,
        "workspace_sid": place.workspace,
        "friendly_name": row.friendly_name,
        "workflow_sid": entry.workflow,
        "attributes": entry.attributes,
        "priority": entry.priority,
        "timeout": entry.timeout_secs,
        "greeting": entry.greeting,
        "greeting_url": entry.greeting_url,
        "calendar_sid": entry.calendar,
        "closed_action": entry.closed.action.as_str(),
        "closed_text": entry.closed.text,
        "closed_number": entry.closed.number,
        "overflow_action": entry.overflow.action.as_str(),
        "overflow_text": entry.overflow.text,
        "overflow_number": entry.overflow.number,
        "voicemail_workflow_sid": entry.voicemail_workflow,
        "voice_url": format!("{server}/voice/entries/{}", row.sid),
        "version": row.version,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "url": place.url(&format!("/EntryPoints/{}", row.sid)),
    })
}
