//! Calendars: when a business is open.
//!
//! Start with [`create`].

use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::entries::{ATTEMPTS, Resource, Written, friendly_name};
use super::error::ApiError;
use super::form::{Form, Parameters, Query};
use super::json::{date, optional_date};
use super::scope::Scope;
use crate::entry::{Calendar, CalendarDocument, InvalidCalendar, Week};
use crate::store::EntryKind;
use crate::store::views::EntryView;

const CALENDAR: Resource = Resource {
    kind: EntryKind::Calendar,
    name: "Calendar",
    plural: "calendars",
    path: "/Calendars",
    key: "calendars",
    render,
};

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    CALENDAR.list(scope, query).await
}

pub(super) async fn create(scope: Scope, form: Form) -> Result<Response, ApiError> {
    form.required("TimeZone")?;
    CALENDAR.create(&scope, written(&form, None)?).await
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    CALENDAR.fetch(scope).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    for _ in 0..ATTEMPTS {
        let row = CALENDAR.current(&scope).await?;
        if let Some(changed) = CALENDAR.replace(&scope, &row, written(&form, Some(&row))?).await? {
            return Ok(changed);
        }
    }
    Err(ApiError::unavailable())
}

pub(super) async fn delete(scope: Scope) -> Result<Response, ApiError> {
    CALENDAR.delete(scope).await
}

fn written(form: &Parameters, before: Option<&EntryView>) -> Result<Written, ApiError> {
    let mut document = before.map(document_of).unwrap_or_default();
    if let Some(time_zone) = form.filled("TimeZone") {
        time_zone.clone_into(&mut document.time_zone);
    }
    if let Some(Week(hours)) = read(form, "Hours")? {
        document.hours = hours;
    }
    if let Some(exceptions) = read(form, "Exceptions")? {
        document.exceptions = exceptions;
    }
    Calendar::read(&document).map_err(|error| {
        let parameter = match &error {
            InvalidCalendar::TimeZone(_) => "TimeZone",
            InvalidCalendar::Date(_) | InvalidCalendar::DateTwice(_) => "Exceptions",
            InvalidCalendar::Day(_) | InvalidCalendar::TooMany => "Hours",
            InvalidCalendar::Span { day, .. } | InvalidCalendar::Order(day) => {
                if day.len() == 3 {
                    "Hours"
                } else {
                    "Exceptions"
                }
            }
        };
        ApiError::invalid(format!("Invalid {parameter}: {error}"))
    })?;
    let document = serde_json::to_string(&document).map_err(|_| ApiError::internal())?;
    Ok(Written { friendly_name: friendly_name(form, before)?, document, calendar: None })
}

/// A parameter that is JSON.
fn read<T: DeserializeOwned>(form: &Parameters, name: &'static str) -> Result<Option<T>, ApiError> {
    let Some(text) = form.filled(name) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| ApiError::invalid(format!("Invalid {name}: {error}")))
}

fn document_of(row: &EntryView) -> CalendarDocument {
    serde_json::from_str(&row.document).unwrap_or_default()
}

fn render(scope: &Scope, row: &EntryView) -> Value {
    let document = document_of(row);
    let now = scope.state.clock.now();
    let calendar = Calendar::read(&document).ok();
    let place = &scope.place;
    json!({
        "account_sid": place.account,
        "sid": row.sid,
        "workspace_sid": place.workspace,
        "friendly_name": row.friendly_name,
        "time_zone": document.time_zone,
        "hours": document.hours,
        "exceptions": document.exceptions,
        "open": calendar.as_ref().is_some_and(|calendar| calendar.is_open(now)),
        "next_change": optional_date(calendar.as_ref().and_then(|calendar| calendar.next_change(now))),
        "version": row.version,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "url": place.url(&format!("/Calendars/{}", row.sid)),
    })
}
