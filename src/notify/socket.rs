//! One agent's open socket: the first frame, heartbeats, what the hub queues, and its end (agent-sdk.md 3).
//!
//! The browser never sends anything of its own; what it sends is read only to notice that it is there. Start with
//! [`run`].

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::frames::envelope;
use super::hub::{Closing, EXPIRED, GONE, Queued, SLOW, Seat};
use super::token::Grant;
use crate::clock::Clock;
use crate::routing::{Timestamp, WorkerSid};

/// A blank frame is sent this often; the browser gives up after 30 s of silence.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A browser that does not take a frame for so long is gone.
const WRITE_TIME: Duration = Duration::from_secs(10);

/// A browser that answers no ping for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// A socket stays for so long after its token's end, because a new token may have been taken meanwhile.
const GRACE_MS: i64 = 10_000;

/// Longest timer of a browser, in milliseconds.
const TIMER_MS_MAX: i64 = 2_147_483_647;

/// Serves the socket of `worker` until either side has had enough.
pub(crate) async fn run(mut socket: WebSocket, mut seat: Seat, grant: &Grant, worker: WorkerSid, clock: &Clock) {
    let closing = serve(&mut socket, &mut seat, grant, worker, clock).await;
    if let Some(Closing { code, reason }) = closing {
        let frame = CloseFrame { code, reason: reason.into() };
        // A browser that is gone does not hear it.
        let _ = timeout(WRITE_TIME, socket.send(Message::Close(Some(frame)))).await;
    }
}

async fn serve(
    socket: &mut WebSocket,
    seat: &mut Seat,
    grant: &Grant,
    worker: WorkerSid,
    clock: &Clock,
) -> Option<Closing> {
    let init = json!({
        "channel_id": worker,
        "account_sid": grant.account,
        "workspace_sid": grant.workspace,
        "token_lifetime": lifetime_ms(grant.expires_at, clock.now()),
    });
    write(socket, envelope("init", &init)).await?;
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.reset();
    let mut heard = clock.instant();
    let mut next: Option<Queued> = None;
    let cut = seat.cut.clone();
    loop {
        let wait = next.as_ref().map(|queued| seat.ready_at(queued).saturating_duration_since(clock.instant()));
        tokio::select! {
            biased;
            () = cut.cancelled() => {
                let closing = seat.closing();
                if closing == Some(GONE) {
                    write_the_rest(socket, seat, next.take()).await?;
                }
                return closing;
            }
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => {
                let Some(queued) = next.take() else { continue };
                // The hold may have been prolonged meanwhile.
                if seat.ready_at(&queued) > clock.instant() {
                    next = Some(queued);
                    continue;
                }
                seat.waiting.fetch_sub(queued.text.len(), std::sync::atomic::Ordering::AcqRel);
                if seat.admits(&queued) {
                    write(socket, queued.text.to_string()).await?;
                }
            }
            queued = seat.queue.recv(), if next.is_none() => next = Some(queued?),
            _ = heartbeat.tick() => {
                if clock.now() > grant.expires_at.plus_ms(GRACE_MS) {
                    return Some(EXPIRED);
                }
                if silent_since(heard, clock) > SILENCE_MAX {
                    return None;
                }
                write(socket, " ".to_owned()).await?;
                timeout(WRITE_TIME, socket.send(Message::Ping(Bytes::new()))).await.ok()?.ok()?;
            }
            received = socket.recv() => {
                match received {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return None,
                    Some(Ok(_)) => heard = clock.instant(),
                }
            }
        }
    }
}

/// The last events of a worker that was deleted tell what became of its tasks.
async fn write_the_rest(socket: &mut WebSocket, seat: &mut Seat, mut next: Option<Queued>) -> Option<()> {
    while let Some(queued) = next.take().or_else(|| seat.queue.try_recv().ok()) {
        if seat.admits(&queued) {
            write(socket, queued.text.to_string()).await?;
        }
    }
    Some(())
}

fn silent_since(heard: Instant, clock: &Clock) -> Duration {
    clock.instant().saturating_duration_since(heard)
}

/// Milliseconds that the browser has until its token ends, within what its timers can do.
fn lifetime_ms(expires_at: Timestamp, now: Timestamp) -> i64 {
    expires_at.ms_since(now).min(TIMER_MS_MAX)
}

/// Writes a frame; `None` when the browser does not take it.
async fn write(socket: &mut WebSocket, text: String) -> Option<()> {
    match timeout(WRITE_TIME, socket.send(Message::Text(text.into()))).await {
        Ok(Ok(())) => Some(()),
        Ok(Err(_)) => None,
        Err(_) => {
            metrics::counter!("taskrouter_ws_dropped_total", "reason" => SLOW.reason).increment(1);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_end_does_not_overflow_the_browsers_timer() {
        let now = Timestamp(1_770_091_506_000);
        assert_eq!(lifetime_ms(now.plus_secs(3_594), now), 3_594_000);
        assert_eq!(lifetime_ms(now.plus_ms(-1), now), 0);
        assert_eq!(lifetime_ms(now.plus_ms(TIMER_MS_MAX + 1), now), TIMER_MS_MAX);
    }
}
