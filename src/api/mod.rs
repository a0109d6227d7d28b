//! REST of TaskRouter exactly as the contract has it: paths, forms, JSON, errors, paging.
//!
//! Handlers turn a request into a command for the engine or into a read of the store, and the answer into Twilio's
//! JSON; they decide nothing and change no rows. Every path is in [`ROUTES`], every Twilio code in `error`. Start with
//! [`router`], then `tasks`.

mod activities;
mod alerts;
mod api_keys;
mod auth;
mod bridge;
mod calendars;
mod conference;
mod cors;
mod deliveries;
mod dry_run;
mod entries;
mod entry_points;
mod error;
mod events;
mod explain;
mod expressions;
mod form;
mod idempotency;
pub mod instruction;
mod json;
pub mod links;
pub mod openapi;
mod page;
mod participants;
mod position;
mod presence;
mod rates;
mod reservations;
mod scope;
mod search;
mod selection;
mod sift;
mod statistics;
mod stream;
mod task_channels;
mod task_queues;
mod tasks;
mod tokens;
mod transfers;
mod worker_channels;
mod workers;
mod workflows;
mod workspaces;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::{Extension, Router};
use tower::Layer as _;
use tower::util::MapRequestLayer;

use crate::calls::DialPolicy;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::notify::Hub;
use crate::notify::event_callbacks::EventCallbacks;
use crate::notify::streams::EventStreams;
use crate::store::Store;

pub use crate::http::PublicUrl;
pub use api_keys::API_KEY_NAME_LIMIT;
pub use bridge::LockedAttributes;
pub use rates::Rates;

/// What the handlers work with.
#[derive(Clone)]
pub struct State {
    /// Carries out changes.
    pub engine: Engine,
    /// Reads.
    pub store: Store,
    /// Tells the age of a task and the window of a list of events.
    pub clock: Clock,
    /// Where absolute URLs in answers begin.
    pub public_url: PublicUrl,
    /// The agents' open sockets.
    pub hub: Hub,
    /// How many of them each address has.
    pub socket_addresses: crate::http::Addresses,
    /// Sends events to the workspaces' URLs.
    pub event_callbacks: EventCallbacks,
    /// Those who read the log as it grows.
    pub event_streams: EventStreams,
    /// How often clients may ask.
    pub rates: Rates,
    /// Which workers may not change their own attributes.
    pub locked_attributes: LockedAttributes,
    /// Whom entry points may dial.
    pub dialling: Arc<DialPolicy>,
}

/// Makes the list of routes and the router that serves them from one table.
macro_rules! routes {
    ($(#[$doc:meta])* $routes:ident, $table:ident: $($method:ident $path:literal => $handler:path,)+) => {
        $(#[$doc])*
        pub const $routes: &[(&str, &str)] = &[$((stringify!($method), $path)),+];

        fn $table() -> Router<State> {
            Router::new()$(.route($path, routes!(@ $method)($handler)))+
        }
    };
    (@ GET) => { axum::routing::get };
    (@ POST) => { axum::routing::post };
    (@ DELETE) => { axum::routing::delete };
}

routes! {
    /// Methods and paths of TaskRouter, below `/v1`.
    ROUTES, table:
    GET "/Workspaces" => workspaces::list,
    POST "/Workspaces" => workspaces::create,
    GET "/Workspaces/{WorkspaceSid}" => workspaces::fetch,
    POST "/Workspaces/{WorkspaceSid}" => workspaces::update,
    DELETE "/Workspaces/{WorkspaceSid}" => workspaces::delete,
    GET "/Workspaces/{WorkspaceSid}/Statistics" => statistics::workspace,
    GET "/Workspaces/{WorkspaceSid}/RealTimeStatistics" => statistics::workspace_real_time,
    GET "/Workspaces/{WorkspaceSid}/CumulativeStatistics" => statistics::workspace_cumulative,
    GET "/Workspaces/{WorkspaceSid}/Activities" => activities::list,
    POST "/Workspaces/{WorkspaceSid}/Activities" => activities::create,
    GET "/Workspaces/{WorkspaceSid}/Activities/{Sid}" => activities::fetch,
    POST "/Workspaces/{WorkspaceSid}/Activities/{Sid}" => activities::update,
    DELETE "/Workspaces/{WorkspaceSid}/Activities/{Sid}" => activities::delete,
    GET "/Workspaces/{WorkspaceSid}/TaskChannels" => task_channels::list,
    POST "/Workspaces/{WorkspaceSid}/TaskChannels" => task_channels::create,
    GET "/Workspaces/{WorkspaceSid}/TaskChannels/{Sid}" => task_channels::fetch,
    POST "/Workspaces/{WorkspaceSid}/TaskChannels/{Sid}" => task_channels::update,
    DELETE "/Workspaces/{WorkspaceSid}/TaskChannels/{Sid}" => task_channels::delete,
    GET "/Workspaces/{WorkspaceSid}/TaskQueues" => task_queues::list,
    POST "/Workspaces/{WorkspaceSid}/TaskQueues" => task_queues::create,
    GET "/Workspaces/{WorkspaceSid}/TaskQueues/{Sid}" => task_queues::fetch,
    POST "/Workspaces/{WorkspaceSid}/TaskQueues/{Sid}" => task_queues::update,
    DELETE "/Workspaces/{WorkspaceSid}/TaskQueues/{Sid}" => task_queues::delete,
    GET "/Workspaces/{WorkspaceSid}/TaskQueues/Statistics" => statistics::task_queues,
    POST "/Workspaces/{WorkspaceSid}/TaskQueues/RealTimeStatistics" => statistics::task_queues_real_time,
    GET "/Workspaces/{WorkspaceSid}/TaskQueues/{TaskQueueSid}/Statistics" => statistics::task_queue,
    GET "/Workspaces/{WorkspaceSid}/TaskQueues/{TaskQueueSid}/RealTimeStatistics" => statistics::task_queue_real_time,
    GET "/Workspaces/{WorkspaceSid}/TaskQueues/{TaskQueueSid}/CumulativeStatistics" => statistics::task_queue_cumulative,
    GET "/Workspaces/{WorkspaceSid}/Workflows" => workflows::list,
    POST "/Workspaces/{WorkspaceSid}/Workflows" => workflows::create,
    POST "/Workspaces/{WorkspaceSid}/Workflows/DryRun" => dry_run::create,
    POST "/Workspaces/{WorkspaceSid}/Workflows/Lint" => dry_run::lint_unsaved,
    GET "/Workspaces/{WorkspaceSid}/Workflows/{Sid}/Lint" => dry_run::lint_saved,
    GET "/Workspaces/{WorkspaceSid}/Workflows/{Sid}" => workflows::fetch,
    POST "/Workspaces/{WorkspaceSid}/Workflows/{Sid}" => workflows::update,
    DELETE "/Workspaces/{WorkspaceSid}/Workflows/{Sid}" => workflows::delete,
    GET "/Workspaces/{WorkspaceSid}/Workflows/{WorkflowSid}/Statistics" => statistics::workflow,
    GET "/Workspaces/{WorkspaceSid}/Workflows/{WorkflowSid}/RealTimeStatistics" => statistics::workflow_real_time,
    GET "/Workspaces/{WorkspaceSid}/Workflows/{WorkflowSid}/CumulativeStatistics" => statistics::workflow_cumulative,
    GET "/Workspaces/{WorkspaceSid}/Workers" => workers::list,
    POST "/Workspaces/{WorkspaceSid}/Workers" => workers::create,
    GET "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}" => workers::fetch,
    POST "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}" => workers::update,
    DELETE "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}" => workers::delete,
    GET "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Explain" => explain::worker,
    GET "/Workspaces/{WorkspaceSid}/Workers/Statistics" => statistics::workers,
    GET "/Workspaces/{WorkspaceSid}/Workers/RealTimeStatistics" => statistics::workers_real_time,
    GET "/Workspaces/{WorkspaceSid}/Workers/CumulativeStatistics" => statistics::workers_cumulative,
    GET "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Statistics" => statistics::worker,
    GET "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Channels" => worker_channels::list,
    GET "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Channels/{Sid}" => worker_channels::fetch,
    POST "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Channels/{Sid}" => worker_channels::update,
    GET "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Reservations" => reservations::list,
    GET "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Reservations/{Sid}" => reservations::fetch,
    POST "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Reservations/{Sid}" => reservations::update,
    GET "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Reservations/{Sid}/Conference" => conference::fetch,
    GET "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Transfers" => transfers::list,
    POST "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Transfers" => transfers::create,
    GET "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Transfers/{Sid}" => transfers::fetch,
    POST "/Workspaces/{WorkspaceSid}/Workers/{WorkerSid}/Transfers/{Sid}" => transfers::update,
    GET "/Workspaces/{WorkspaceSid}/Tasks" => tasks::list,
    POST "/Workspaces/{WorkspaceSid}/Tasks" => tasks::create,
    GET "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}" => tasks::fetch,
    POST "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}" => tasks::update,
    DELETE "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}" => tasks::delete,
    GET "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Explain" => explain::task,
    GET "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Position" => position::fetch,
    GET "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Reservations" => reservations::list,
    GET "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Reservations/{Sid}" => reservations::fetch,
    POST "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Reservations/{Sid}" => reservations::update,
    GET "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Reservations/{Sid}/Conference" => conference::fetch,
    GET "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Conference" => conference::of_task,
    POST "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Conference" => conference::end,
    GET "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Participants" => participants::list,
    POST "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Participants" => participants::create,
    GET "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Participants/{Sid}" => participants::fetch,
    POST "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Participants/{Sid}" => participants::update,
    DELETE "/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Participants/{Sid}" => participants::delete,
    GET "/Workspaces/{WorkspaceSid}/Presence" => presence::fetch,
    POST "/Workspaces/{WorkspaceSid}/Presence" => presence::update,
    GET "/Workspaces/{WorkspaceSid}/Calendars" => calendars::list,
    POST "/Workspaces/{WorkspaceSid}/Calendars" => calendars::create,
    GET "/Workspaces/{WorkspaceSid}/Calendars/{Sid}" => calendars::fetch,
    POST "/Workspaces/{WorkspaceSid}/Calendars/{Sid}" => calendars::update,
    DELETE "/Workspaces/{WorkspaceSid}/Calendars/{Sid}" => calendars::delete,
    GET "/Workspaces/{WorkspaceSid}/EntryPoints" => entry_points::list,
    POST "/Workspaces/{WorkspaceSid}/EntryPoints" => entry_points::create,
    GET "/Workspaces/{WorkspaceSid}/EntryPoints/{Sid}" => entry_points::fetch,
    POST "/Workspaces/{WorkspaceSid}/EntryPoints/{Sid}" => entry_points::update,
    DELETE "/Workspaces/{WorkspaceSid}/EntryPoints/{Sid}" => entry_points::delete,
    GET "/Workspaces/{WorkspaceSid}/Events" => events::list,
    GET "/Workspaces/{WorkspaceSid}/Events/{Sid}" => events::fetch,
    GET "/Workspaces/{WorkspaceSid}/Events/Stream" => stream::stream,
    GET "/Workspaces/{WorkspaceSid}/Events/Endpoint" => deliveries::endpoint,
    POST "/Workspaces/{WorkspaceSid}/Events/Endpoint" => deliveries::update_endpoint,
    GET "/Workspaces/{WorkspaceSid}/Events/Deliveries" => deliveries::list,
    POST "/Workspaces/{WorkspaceSid}/Events/Deliveries" => deliveries::many_again,
    GET "/Workspaces/{WorkspaceSid}/Events/{Sid}/Delivery" => deliveries::fetch,
    POST "/Workspaces/{WorkspaceSid}/Events/{Sid}/Delivery" => deliveries::again,
    POST "/Workspaces/{WorkspaceSid}/Tokens" => tokens::create,
    GET "/Alerts" => alerts::list,
    GET "/Alerts/{Sid}" => alerts::fetch,
}

routes! {
    /// Methods and paths of Twilio's 2010 API, below `/2010-04-01`; clients add `.json`.
    ROUTES_2010, table_2010:
    GET "/Accounts/{AccountSid}/Keys" => api_keys::list,
    POST "/Accounts/{AccountSid}/Keys" => api_keys::create,
    GET "/Accounts/{AccountSid}/Keys/{Sid}" => api_keys::fetch,
    POST "/Accounts/{AccountSid}/Keys/{Sid}" => api_keys::update,
    DELETE "/Accounts/{AccountSid}/Keys/{Sid}" => api_keys::delete,
}

routes! {
    /// Methods and paths of the agents' SDK, below `/v1`; its tokens take the place of credentials.
    AGENT_ROUTES, agent_table:
    GET "/wschannels" => bridge::open,
    POST "/wschannels" => bridge::ask,
    GET "/wschannels/{AccountSid}/{Channel}" => bridge::open_first,
    POST "/wschannels/{AccountSid}/{Channel}" => bridge::ask_first,
}

/// Serves everything below `/v1` and `/2010-04-01`; can be merged with routers of other paths.
pub fn router(state: State) -> Router {
    // What the first SDK asks is answered by the routes of REST.
    let rest = table()
        .fallback(error::unknown_path)
        .method_not_allowed_fallback(error::unknown_method)
        .with_state(state.clone());
    let once = (state.clone(), idempotency::Turns::default());
    let routes = table()
        .route_layer(axum::middleware::from_fn_with_state(once, idempotency::answer_repeats))
        .merge(agent_table().layer(Extension(bridge::Rest(rest))))
        .fallback(error::unknown_path)
        .method_not_allowed_fallback(error::unknown_method)
        .layer(axum::middleware::from_fn(cors::allow_browsers))
        .layer(axum::middleware::from_fn(crate::http::name_route))
        .with_state(state.clone());
    let routes_2010 = table_2010()
        .fallback(api_keys::unknown_path)
        .method_not_allowed_fallback(error::unknown_method)
        .layer(axum::middleware::from_fn(crate::http::name_route))
        .with_state(state);
    Router::new()
        .nest_service("/v1", MapRequestLayer::new(without_json_suffix).layer(routes))
        .nest_service("/2010-04-01", MapRequestLayer::new(without_json_suffix).layer(routes_2010))
}

/// `/Workspaces.json` means `/Workspaces`; nothing else that is served ends so.
fn without_json_suffix(mut request: Request) -> Request {
    let Some(path) = request.uri().path().strip_suffix(".json") else { return request };
    let text = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(text).ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}
