//! What calendars and entry points have in common as resources: names, versions, limits.
//!
//! Both are kept beside the routing core, which knows neither. A change without `If-Match` that meets another one is made
//! again on top of it. Start with [`Resource`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::error::ApiError;
use super::form::{Parameters, Query};
use super::json::{deleted, versioned};
use super::page::Paging;
use super::scope::Scope;
use crate::clock::Entropy;
use crate::entry::ENTRIES_MAX;
use crate::routing::{CalendarSid, EntryPointSid, Refusal};
use crate::store::views::EntryView;
use crate::store::{self, CalendarRow, Entry, EntryKind};

/// Longest name, in characters.
const NAME_LIMIT: usize = 64;
/// How often a change is made again on top of another one.
pub(super) const ATTEMPTS: usize = 3;

/// What is to be written.
pub(super) struct Written {
    pub(super) friendly_name: String,
    pub(super) document: String,
    pub(super) calendar: Option<String>,
}

/// One kind of resource.
pub(super) struct Resource {
    pub(super) kind: EntryKind,
    /// Singular, in messages.
    pub(super) name: &'static str,
    /// Plural, in messages.
    pub(super) plural: &'static str,
    /// Below the workspace.
    pub(super) path: &'static str,
    /// Of the list.
    pub(super) key: &'static str,
    pub(super) render: fn(&Scope, &EntryView) -> Value,
}

impl Resource {
    pub(super) async fn list(&self, scope: Scope, query: Query) -> Result<Response, ApiError> {
        let paging = Paging::read(&query, 1)?;
        let name = query.filled("FriendlyName");
        let list = scope.state.store.entries(scope.sid(), self.kind, name, paging.span()).await?;
        Ok(paging.answer(&scope.place.url(self.path), self.key, &list, |row| (self.render)(&scope, row)))
    }

    pub(super) async fn create(&self, scope: &Scope, written: Written) -> Result<Response, ApiError> {
        let at = scope.state.clock.now();
        let sid = match self.kind {
            EntryKind::Calendar => CalendarSid::fresh(&mut Entropy, at).to_string(),
            EntryKind::EntryPoint => EntryPointSid::fresh(&mut Entropy, at).to_string(),
        };
        let entry = self.entry(scope, &sid, written);
        let store = &scope.state.store;
        let write = {
            let (store, entry) = (store.clone(), entry.clone());
            async move { store.create_entry(entry, ENTRIES_MAX).await }
        };
        if self.write(scope, &sid, Some(&entry), write).await? {
            return self.show(scope, &sid, StatusCode::CREATED).await;
        }
        self.check_free(scope, &entry).await?;
        if store.entry_count(scope.sid(), self.kind).await? >= ENTRIES_MAX {
            let limit = usize::try_from(ENTRIES_MAX).unwrap_or(usize::MAX);
            return Err(scope.refused(&Refusal::LimitReached { kind: self.plural, limit }));
        }
        // The workspace, the name or the calendar was there a moment ago and is not now.
        Err(ApiError::unavailable())
    }

    pub(super) async fn fetch(&self, scope: Scope) -> Result<Response, ApiError> {
        let sid = self.sid(&scope)?;
        self.show(&scope, &sid, StatusCode::OK).await
    }

    /// What is to be changed, as it is now; the request means this version.
    pub(super) async fn current(&self, scope: &Scope) -> Result<EntryView, ApiError> {
        let row = self.row(scope, &self.sid(scope)?).await?;
        expected(scope, &row)?;
        Ok(row)
    }

    /// Writes what is to be instead of `row`; none when that is not what is there any more.
    pub(super) async fn replace(
        &self,
        scope: &Scope,
        row: &EntryView,
        written: Written,
    ) -> Result<Option<Response>, ApiError> {
        let entry = self.entry(scope, &row.sid, written);
        let write = {
            let (store, entry, version) = (scope.state.store.clone(), entry.clone(), row.version);
            async move { store.update_entry(entry, version).await }
        };
        if self.write(scope, &row.sid, Some(&entry), write).await? {
            return self.show(scope, &row.sid, StatusCode::OK).await.map(Some);
        }
        self.check_free(scope, &entry).await?;
        Ok(None)
    }

    pub(super) async fn delete(&self, scope: Scope) -> Result<Response, ApiError> {
        let sid = self.sid(&scope)?;
        for _ in 0..ATTEMPTS {
            let row = self.row(&scope, &sid).await?;
            let expected = expected(&scope, &row)?;
            let write = {
                let (store, workspace, sid) = (scope.state.store.clone(), scope.sid(), sid.clone());
                async move { store.delete_entry(workspace, &sid, expected).await }
            };
            if self.write(&scope, &sid, None, write).await? {
                return Ok(deleted());
            }
            if let Some(follower) = scope.state.store.follower_of(scope.sid(), &sid).await? {
                let reason = format!("entry point {} follows it", follower.sid);
                return Err(scope.refused(&Refusal::InUse { reason }));
            }
        }
        Err(ApiError::unavailable())
    }

    /// Carries out a write, of which the workspace hears if it is of a calendar.
    async fn write(
        &self,
        scope: &Scope,
        sid: &str,
        becomes: Option<&Entry>,
        write: impl Future<Output = Result<bool, store::Error>> + Send + 'static,
    ) -> Result<bool, ApiError> {
        if self.kind == EntryKind::EntryPoint {
            return Ok(write.await?);
        }
        let calendar: CalendarSid = sid.parse().map_err(|_| ApiError::internal())?;
        let row = becomes.map(|entry| CalendarRow {
            sid: calendar,
            friendly_name: entry.friendly_name.clone(),
            document: entry.document.clone(),
        });
        Ok(scope.state.engine.change_calendar(scope.sid(), calendar, row, write).await?)
    }

    /// The SID in the path, in its own form.
    fn sid(&self, scope: &Scope) -> Result<String, ApiError> {
        Ok(match self.kind {
            EntryKind::Calendar => scope.path_sid::<CalendarSid>("Sid")?.to_string(),
            EntryKind::EntryPoint => scope.path_sid::<EntryPointSid>("Sid")?.to_string(),
        })
    }

    async fn row(&self, scope: &Scope, sid: &str) -> Result<EntryView, ApiError> {
        scope.found(scope.state.store.entry(scope.sid(), self.kind, sid).await?)
    }

    fn entry(&self, scope: &Scope, sid: &str, written: Written) -> Entry {
        Entry {
            sid: sid.to_owned(),
            workspace: scope.sid(),
            kind: self.kind,
            friendly_name: written.friendly_name,
            document: written.document,
            calendar: written.calendar,
            at: scope.state.clock.now(),
        }
    }

    /// Whether nobody else has the name.
    async fn check_free(&self, scope: &Scope, entry: &Entry) -> Result<(), ApiError> {
        let span = crate::store::pages::Span { seek: crate::store::pages::Seek::First, limit: 1 };
        let named = scope.state.store.entries(scope.sid(), self.kind, Some(&entry.friendly_name), span).await?;
        match named.entries.first() {
            Some(other) if other.row.sid != entry.sid => {
                let name = entry.friendly_name.clone();
                Err(scope.refused(&Refusal::NameTaken { kind: self.name, name }))
            }
            _ => Ok(()),
        }
    }

    async fn show(&self, scope: &Scope, sid: &str, status: StatusCode) -> Result<Response, ApiError> {
        let row = self.row(scope, sid).await?;
        Ok(versioned(status, &(self.render)(scope, &row), row.version))
    }
}

/// The version that is changed, unless the request means another one.
fn expected(scope: &Scope, row: &EntryView) -> Result<i64, ApiError> {
    let meant = scope.if_match()?;
    let is_met = meant.is_none_or(|version| i64::try_from(version) == Ok(row.version));
    if is_met { Ok(row.version) } else { Err(ApiError::precondition_failed()) }
}

/// `FriendlyName`: 1 to 64 characters.
pub(super) fn friendly_name(form: &Parameters, before: Option<&EntryView>) -> Result<String, ApiError> {
    let given = match before {
        None => form.required("FriendlyName")?,
        Some(row) => form.filled("FriendlyName").unwrap_or(&row.friendly_name).to_owned(),
    };
    if given.trim().is_empty() {
        return Err(ApiError::missing("FriendlyName"));
    }
    if given.chars().count() > NAME_LIMIT {
        return Err(ApiError::invalid(format!("Invalid FriendlyName: longer than {NAME_LIMIT} characters")));
    }
    Ok(given)
}
