//! Opens an agent's socket: the token is in the query, because browsers cannot send headers with it.

use axum::extract::State as Extract;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use sha2::{Digest as _, Sha256};

use super::{rights, verified};
use crate::api::State;
use crate::api::error::ApiError;
use crate::api::form::Query;
use crate::notify::hub::Arrival;
use crate::notify::socket;
use crate::routing::WorkerSid;

/// Longest frame that a browser may send; the SDK sends none.
const RECEIVED_BYTES_MAX: usize = 16 * 1024;

/// `GET /v1/wschannels?token=…`
pub(in crate::api) async fn open(
    Extract(state): Extract<State>,
    query: Query,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let token = query.required("token")?;
    let grant = verified(&state, &token).await?;
    let worker: WorkerSid =
        grant.worker.ok_or_else(|| ApiError::forbidden("The token is for no worker, so there is no socket for it"))?;
    if !rights::may_connect(&grant, worker) {
        return Err(ApiError::forbidden("The token does not permit a socket"));
    }
    let known = state
        .engine
        .look(grant.workspace, move |workspace, _| (workspace.settings().account, workspace.worker(worker).is_some()));
    match known.await {
        Ok((account, true)) if account == grant.account => {}
        Ok(_) | Err(crate::engine::Error::NoSuchWorkspace) => {
            return Err(ApiError::forbidden("The token's worker does not exist"));
        }
        Err(error) => return Err(ApiError::of_engine(error, None, "/wschannels")),
    }
    let upgrade = upgrade.map_err(|rejection| ApiError::invalid(format!("Expected a WebSocket: {rejection}")))?;
    let arrival = Arrival {
        workspace: grant.workspace,
        worker,
        token: digest(&token),
        close_existing: query.boolean("closeExistingSessions")?.unwrap_or(false),
    };
    let clock = state.clock.clone();
    let hub = state.hub.clone();
    let upgrade = upgrade
        .max_message_size(RECEIVED_BYTES_MAX)
        .max_frame_size(RECEIVED_BYTES_MAX)
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(crate::notify::hub::QUEUED_BYTES_MAX * 2);
    Ok(upgrade.on_upgrade(move |socket| async move {
        // Entered only now, so that a browser which never finishes the handshake holds no place.
        if let Some(seat) = hub.enter(arrival) {
            socket::run(socket, seat, &grant, worker, &clock).await;
        }
    }))
}

/// A token is remembered by its digest only.
fn digest(token: &str) -> u64 {
    let digest = Sha256::digest(token.as_bytes());
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
