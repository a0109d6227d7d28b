//! Opens an agent's socket: the token is in the query, because browsers cannot send headers with it.

use std::net::SocketAddr;

use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, State as Extract};
use axum::response::Response;
use sha2::{Digest as _, Sha256};

use super::first::{self, FirstPath};
use super::{Method, rights, verified};
use crate::api::State;
use crate::api::error::ApiError;
use crate::api::form::{Parameters, Query, invalid};
use crate::http::AddressPlace;
use crate::notify::channel::{Channel, Dialect};
use crate::notify::hub::{Arrival, FULL, NoPlace};
use crate::notify::socket;
use crate::notify::token::Grant;
use crate::routing::command::Connection;
use crate::routing::{ActivitySid, WorkerSid};

/// Longest frame that a browser may send; the SDK sends none.
const RECEIVED_BYTES_MAX: usize = 16 * 1024;

/// A browser answers pings and nothing else.
const READ_BUFFER_BYTES: usize = 1024;

/// The address of the other side; absent where there is no connection.
type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

/// What axum makes of the request for an upgrade.
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// `GET /v1/wschannels?token=…`
pub(in crate::api) async fn open(
    Extract(state): Extract<State>,
    peer: Peer,
    query: Query,
    upgrade: Upgrade,
) -> Result<Response, ApiError> {
    let grant = verified(&state, &query.required("token")?).await?;
    let worker: WorkerSid =
        grant.worker.ok_or_else(|| ApiError::forbidden("The token is for no worker, so there is no socket for it"))?;
    begin(state, peer, &query, grant, (Channel::Worker(worker), Dialect::Present), upgrade).await
}

/// `GET /v1/wschannels/{AccountSid}/{Channel}?token=…`
pub(in crate::api) async fn open_first(
    Extract(state): Extract<State>,
    path: FirstPath,
    peer: Peer,
    query: Query,
    upgrade: Upgrade,
) -> Result<Response, ApiError> {
    let grant = verified(&state, &query.required("token")?).await?;
    let channel = first::channel(&grant, path)?;
    begin(state, peer, &query, grant, (channel, Dialect::First), upgrade).await
}

/// Checks what is the same for both SDKs, and answers the handshake.
async fn begin(
    state: State,
    peer: Peer,
    query: &Query,
    grant: Grant,
    (channel, dialect): (Channel, Dialect),
    upgrade: Upgrade,
) -> Result<Response, ApiError> {
    if !rights::may_use(&grant, Method::Get, channel) {
        return Err(ApiError::forbidden("The token does not permit a socket"));
    }
    let arrival = Arrival {
        workspace: grant.workspace,
        channel,
        dialect,
        token: digest(&query.required("token")?),
        key: grant.key,
        close_existing: query.boolean("closeExistingSessions")?.unwrap_or(false),
        connection: Connection {
            disconnect_activity: query
                .sid("disconnectActivitySid")?
                .filter(|activity| may_leave_in(&grant, channel, *activity)),
            keeps_activity: query.boolean("setWorkerOfflineIfDisconnected")? == Some(false),
        },
    };
    let address = place_of_address(&state, peer)?;
    state.hub.has_place(&arrival).map_err(refused)?;
    check_channel(&state, &grant, &arrival).await?;
    let upgrade = upgrade.map_err(|rejection| ApiError::invalid(format!("Expected a WebSocket: {rejection}")))?;
    let clock = state.clock.clone();
    let hub = state.hub.clone();
    let upgrade = upgrade
        .max_message_size(RECEIVED_BYTES_MAX)
        .max_frame_size(RECEIVED_BYTES_MAX)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * hub.limits().queued_bytes);
    Ok(upgrade.on_upgrade(move |opened| {
        let tracking = hub.clone();
        tracking.serving(async move {
            let _address = address;
            let greeted = channel.worker().filter(|_| dialect == Dialect::Present);
            // Entered only now, so that a browser which never finishes the handshake holds no place.
            match hub.enter(arrival) {
                Ok(seat) => socket::run(opened, seat, &grant, greeted, &clock).await,
                Err(reason) => {
                    count_refusal(reason.label());
                    socket::close(opened, FULL).await;
                }
            }
        })
    }))
}

/// Whether the token's policies let the worker change to the activity itself; else the wish for it does not count, so that
/// leaving gives nobody a right that asking does not.
fn may_leave_in(grant: &Grant, channel: Channel, activity: ActivitySid) -> bool {
    let Some(worker) = channel.worker() else { return true };
    let form = Parameters::parse(format!("ActivitySid={activity}").as_bytes());
    rights::check(grant, Method::Post, &["Workers", &worker.to_string()], &form, false).is_ok()
}

/// Takes a place of the other side's address.
fn place_of_address(state: &State, peer: Peer) -> Result<Option<AddressPlace>, ApiError> {
    let Some(Extension(ConnectInfo(peer))) = peer else { return Ok(None) };
    let limit = state.hub.limits().per_address;
    let place = state.socket_addresses.enter(peer.ip(), limit).ok_or_else(|| {
        count_refusal("address_limit");
        ApiError::too_many("The address has too many open sockets")
    })?;
    Ok(Some(place))
}

fn refused(reason: NoPlace) -> ApiError {
    count_refusal(reason.label());
    match reason {
        NoPlace::Worker | NoPlace::Channel => ApiError::too_many(reason.to_string()),
        NoPlace::Node | NoPlace::Stopping => ApiError::unavailable(),
    }
}

fn count_refusal(reason: &'static str) {
    metrics::counter!("taskrouter_ws_dropped_total", "reason" => reason).increment(1);
}

/// What the socket is of has to be there, and the activity that it asks for.
async fn check_channel(state: &State, grant: &Grant, arrival: &Arrival) -> Result<(), ApiError> {
    let (channel, wanted) = (arrival.channel, arrival.connection.disconnect_activity);
    let known = state.engine.look(grant.workspace, move |workspace, _| {
        let unknown: Option<ActivitySid> = wanted.filter(|activity| workspace.activity(*activity).is_none());
        let is_there = match channel {
            Channel::Worker(worker) => workspace.worker(worker).is_some(),
            Channel::TaskQueue(queue) => workspace.task_queue(queue).is_some(),
            Channel::Workspace(sid) => workspace.settings().sid == sid,
        };
        (workspace.settings().account, is_there, unknown)
    });
    match known.await {
        Ok((account, true, unknown)) if account == grant.account => match unknown {
            Some(activity) => Err(invalid("disconnectActivitySid", &activity.to_string(), "an activity")),
            None => Ok(()),
        },
        Ok(_) | Err(crate::engine::Error::NoSuchWorkspace) => Err(ApiError::forbidden(match channel {
            Channel::Worker(_) => "The token's worker does not exist",
            Channel::TaskQueue(_) => "The token's task queue does not exist",
            Channel::Workspace(_) => "The token's workspace does not exist",
        })),
        Err(error) => Err(ApiError::of_engine(error, None, "/wschannels")),
    }
}

/// A token is remembered by its digest only.
fn digest(token: &str) -> u64 {
    let digest = Sha256::digest(token.as_bytes());
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
