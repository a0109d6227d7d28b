//! Events as they happen, as server-sent events (WHATWG HTML: server-sent events).
//!
//! A reader who was cut off goes on after the number that it got last. What is sent is read from the log, so nothing is
//! missed and nothing comes twice; a reader that does not take what is sent is cut off by the listener. Whoever does not
//! ask for `text/event-stream` gets what there is, and the end. Start with [`stream`].

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body_util::channel::{Channel, Sender};

use super::error::ApiError;
use super::events;
use super::form::Query;
use super::scope::Scope;
use crate::engine;
use crate::notify::streams::Reader;
use crate::routing::WorkspaceSid;
use crate::store::Store;
use crate::store::views::EventView;

/// Pause after which a comment tells that the connection still stands.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events read at a time.
const PORTION: u32 = 100;
/// Portions for a reader who does not wait for more.
const PORTIONS_AT_ONCE: u32 = 10;
/// Pieces that wait for the reader.
const WAITING_MAX: usize = 2;

pub(super) async fn stream(scope: Scope, headers: HeaderMap, query: Query) -> Result<Response, ApiError> {
    let after = match headers.get("last-event-id").and_then(|value| value.to_str().ok()) {
        Some(last) if !last.trim().is_empty() => {
            let number = last.trim().parse().ok();
            Some(number.ok_or_else(|| ApiError::invalid("expected the number of an event as Last-Event-ID"))?)
        }
        _ => events::after(&query)?.map(i64::unsigned_abs),
    };
    let types: Vec<String> = query
        .filled("EventType")
        .map(|types| types.split(',').map(|name| name.trim().to_owned()).collect())
        .unwrap_or_default();
    let reader = scope.state.event_streams.open(scope.sid(), scope.api_key);
    let reader = reader.ok_or_else(|| scope.engine_error(engine::Error::Overloaded))?;
    let after = match after {
        Some(after) => after,
        None => scope.look(|workspace| workspace.settings().last_sequence).await?,
    };
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let waits = accepted.into_iter().any(|kinds| kinds.to_ascii_lowercase().contains("text/event-stream"));
    let portions = if waits { u32::MAX } else { PORTIONS_AT_ONCE };
    let (sender, body) = Channel::<Bytes>::new(WAITING_MAX);
    tokio::spawn(write(Writing { scope, reader, types, next: after + 1, waits, portions }, sender));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // A proxy that gathers answers would hold events back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((StatusCode::OK, headers, Body::new(body)).into_response())
}

/// What one reader gets.
struct Writing {
    scope: Scope,
    reader: Reader,
    /// Only these; all when there are none.
    types: Vec<String>,
    next: u64,
    /// Whether to wait for more when everything there is was sent.
    waits: bool,
    /// How many more to send.
    portions: u32,
}

/// Writes until the reader is gone or the server stops.
async fn write(mut writing: Writing, mut sender: Sender<Bytes>) {
    // Says at once that the connection stands, and after what time to come back.
    let mut piece = Some("retry: 1000\n\n".to_owned());
    loop {
        if let Some(text) = piece.take()
            && sender.send_data(Bytes::from(text)).await.is_err()
        {
            return;
        }
        // Seen before the log is read: whatever comes later wakes again.
        writing.reader.newest.mark_unchanged();
        if writing.portions == 0 {
            return;
        }
        match writing.portion().await {
            Some(text) => piece = text,
            None => return,
        }
        if piece.is_some() {
            writing.portions = if writing.waits { u32::MAX } else { writing.portions - 1 };
            continue;
        }
        if !writing.waits {
            return;
        }
        tokio::select! {
            () = writing.reader.stop.cancelled() => return,
            changed = writing.reader.newest.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(HEARTBEAT) => piece = Some(": still here\n\n".to_owned()),
        }
    }
}

impl Writing {
    /// The next events as text; `Some(None)` when there are none, `None` when the log cannot be read.
    async fn portion(&mut self) -> Option<Option<String>> {
        loop {
            let events = read(&self.scope.state.store, self.scope.sid(), self.next).await?;
            let Some(newest) = events.last() else { return Some(None) };
            self.next = u64::try_from(newest.sequence).unwrap_or(0) + 1;
            let wanted = |event: &&EventView| self.types.is_empty() || self.types.contains(&event.event_type);
            let mut text = String::new();
            for event in events.iter().filter(wanted) {
                let data = events::render(&self.scope.place, &self.scope.workspace.friendly_name, event);
                // JSON in one line: a line break in it is escaped.
                text.push_str(&format!("id: {}\nevent: {}\ndata: {data}\n\n", event.sequence, event.event_type));
            }
            if !text.is_empty() {
                return Some(Some(text));
            }
        }
    }
}

async fn read(store: &Store, workspace: WorkspaceSid, from: u64) -> Option<Vec<EventView>> {
    match store.events_from(workspace, from, PORTION).await {
        Ok(events) => Some(events),
        Err(error) => {
            // The reader comes back and goes on after what it has.
            tracing::warn!(workspace.sid = %workspace, %error, "a stream of events ends because the log cannot be read");
            None
        }
    }
}
