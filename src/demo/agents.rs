//! Agents: each looks for its reservations, takes them with the conference instruction, and wraps up.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::api::{Client, items, text};
use super::sample::{Sample, SampleWorker};
use super::{Error, POLL};

/// Rounds of [`POLL`] that wrapping up takes.
const WRAP_ROUNDS: u32 = 4;

/// One agent's working day.
pub(super) async fn work(client: Arc<Client>, sample: Arc<Sample>, worker: SampleWorker, stop: CancellationToken) {
    let path = format!("/v1/Workspaces/{}/Workers/{}/Reservations", sample.workspace, worker.sid);
    let mut wrapping = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(POLL) => {}
        }
        if let Err(error) = look(&client, &path, &sample, &worker, &mut wrapping).await {
            tracing::warn!(worker = worker.name, %error, "an agent's request failed");
        }
    }
}

async fn look(
    client: &Client,
    path: &str,
    sample: &Sample,
    worker: &SampleWorker,
    wrapping: &mut u32,
) -> Result<(), Error> {
    let pending = client.get(&format!("{path}?ReservationStatus=pending")).await?;
    for reservation in items(&pending, "reservations") {
        let form = [
            ("Instruction", "conference"),
            ("Timeout", "15"),
            ("Beep", "false"),
            ("EndConferenceOnExit", "true"),
            ("EndConferenceOnCustomerExit", "true"),
        ];
        take(client, &format!("{path}/{}", text(reservation, "sid")), &form).await?;
    }
    let ended = client.get(&format!("{path}?ReservationStatus=wrapping")).await?;
    let Some(reservation) = items(&ended, "reservations").first() else {
        *wrapping = 0;
        return Ok(());
    };
    *wrapping += 1;
    if *wrapping >= WRAP_ROUNDS {
        *wrapping = 0;
        let task = format!("/v1/Workspaces/{}/Tasks/{}", sample.workspace, text(reservation, "task_sid"));
        let reason = format!("wrapped up by {}", worker.name);
        take(client, &task, &[("AssignmentStatus", "completed"), ("Reason", &reason)]).await?;
    }
    Ok(())
}

/// Posts; a refusal because things have moved on meanwhile is nothing to worry about.
async fn take(client: &Client, path: &str, form: &[(&str, &str)]) -> Result<Value, Error> {
    match client.post(path, form).await {
        Err(Error::Refused { status: 400 | 404 | 410, .. }) => Ok(Value::Null),
        other => other,
    }
}
