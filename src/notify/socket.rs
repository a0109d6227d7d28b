//! One agent's open socket: the first frame, heartbeats, what the hub queues, and its end (agent-sdk.md 3).
//!
//! The browser never sends anything of its own; what it sends is read only to notice that it is there. Start with
//! [`run`].

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

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

/// A browser has so long to take and to answer a close frame.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// A browser that has answered none of so many pings is gone.
const PINGS_MAX: u32 = 2;

/// A socket stays for so long after its token's end, because a new token may have been taken meanwhile.
const GRACE_MS: i64 = 10_000;

/// Longest timer of a browser, in milliseconds.
const TIMER_MS_MAX: i64 = 2_147_483_647;

/// How a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The browser left, or broke off.
    Left,
    /// It is told to go.
    Closing(Closing),
    /// It takes nothing, so there is no use in telling it anything; why, for the metric.
    Cut(&'static str),
}

/// Serves the socket until either side has had enough; `greeted` is told first who it is, which only the present SDK
/// expects.
pub(crate) async fn run(
    mut socket: WebSocket,
    mut seat: Seat,
    grant: &Grant,
    greeted: Option<WorkerSid>,
    clock: &Clock,
) {
    let Err(end) = serve(&mut socket, &mut seat, grant, greeted, clock).await;
    // From here on nothing is queued for it, and its worker may be without a socket.
    drop(seat);
    let reason = match end {
        End::Left => return,
        End::Cut(reason) => reason,
        End::Closing(closing) => {
            close(socket, closing).await;
            closing.label
        }
    };
    metrics::counter!("taskrouter_ws_dropped_total", "reason" => reason).increment(1);
}

/// Tells the browser why, and waits for its answer, so that nothing of ours is lost with the connection.
pub(crate) async fn close(mut socket: WebSocket, Closing { code, reason, .. }: Closing) {
    let frame = CloseFrame { code, reason: reason.into() };
    let farewell = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    // A browser that is gone does not hear it.
    let _ = timeout(CLOSE_TIME, farewell).await;
}

async fn serve(
    socket: &mut WebSocket,
    seat: &mut Seat,
    grant: &Grant,
    greeted: Option<WorkerSid>,
    clock: &Clock,
) -> Result<Infallible, End> {
    if let Some(worker) = greeted {
        let init = json!({
            "channel_id": worker,
            "account_sid": grant.account,
            "workspace_sid": grant.workspace,
            "token_lifetime": lifetime_ms(grant.expires_at, clock.now()),
        });
        write(socket, seat, Message::Text(envelope("init", &init).into())).await?;
    }
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.reset();
    let mut expiry = pin!(sleep(until_closed(grant, clock)));
    let mut unanswered = 0;
    let mut next: Option<Queued> = None;
    let cut = seat.cut.clone();
    loop {
        let wait = next.as_ref().map(|queued| seat.ready_at(queued).saturating_duration_since(clock.instant()));
        tokio::select! {
            biased;
            () = cut.cancelled() => {
                let closing = seat.closing().unwrap_or(SLOW);
                if closing == GONE {
                    write_the_rest(socket, seat, next.take()).await?;
                }
                return Err(End::Closing(closing));
            }
            () = &mut expiry => {
                if clock.now() >= closes_at(grant) {
                    return Err(End::Closing(EXPIRED));
                }
                // The clock that tokens go by may be another one than that of timers.
                expiry.set(sleep(until_closed(grant, clock)));
            }
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => {
                let Some(queued) = next.take() else { continue };
                // The hold may have been prolonged meanwhile.
                if seat.ready_at(&queued) > clock.instant() {
                    next = Some(queued);
                    continue;
                }
                write_queued(socket, seat, &queued).await?;
            }
            queued = seat.queue.recv(), if next.is_none() => next = Some(queued.ok_or(End::Left)?),
            _ = heartbeat.tick() => {
                if unanswered >= PINGS_MAX {
                    return Err(End::Cut("silent"));
                }
                write(socket, seat, Message::Text(" ".into())).await?;
                write(socket, seat, Message::Ping(Bytes::new())).await?;
                unanswered += 1;
            }
            received = socket.recv() => {
                match received {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return Err(End::Left),
                    Some(Ok(_)) => unanswered = 0,
                }
            }
        }
    }
}

/// The last events of a worker that was deleted tell what became of its tasks.
async fn write_the_rest(socket: &mut WebSocket, seat: &mut Seat, mut next: Option<Queued>) -> Result<(), End> {
    while let Some(queued) = next.take().or_else(|| seat.queue.try_recv().ok()) {
        write_queued(socket, seat, &queued).await?;
    }
    Ok(())
}

async fn write_queued(socket: &mut WebSocket, seat: &Seat, queued: &Queued) -> Result<(), End> {
    let written = if seat.admits(queued) {
        write(socket, seat, Message::Text(queued.text.to_string().into())).await
    } else {
        Ok(())
    };
    // Until it is written it waits, so that one large frame counts as well.
    seat.taken(queued);
    written
}

/// When a socket is closed whose token's time is over.
fn closes_at(grant: &Grant) -> Timestamp {
    grant.expires_at.plus_ms(GRACE_MS)
}

/// How long that is from now; not so short that a clock which stands still would be asked all the time.
fn until_closed(grant: &Grant, clock: &Clock) -> Duration {
    let ms = closes_at(grant).ms_since(clock.now());
    Duration::from_millis(u64::try_from(ms).unwrap_or_default().max(10))
}

/// Milliseconds that the browser has until its token ends, within what its timers can do.
fn lifetime_ms(expires_at: Timestamp, now: Timestamp) -> i64 {
    expires_at.ms_since(now).min(TIMER_MS_MAX)
}

/// Writes a frame; the browser has some seconds to take it, or until too much waits behind it.
async fn write(socket: &mut WebSocket, seat: &Seat, message: Message) -> Result<(), End> {
    let mut sending = pin!(timeout(seat.write_time(), socket.send(message)));
    let outcome = tokio::select! {
        biased;
        done = &mut sending => done,
        () = seat.cut.cancelled() => {
            if seat.closing() == Some(SLOW) {
                return Err(End::Cut(SLOW.label));
            }
            // Half a frame must not stand before the close frame.
            sending.await
        }
    };
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Left),
        Err(_) => Err(End::Cut(SLOW.label)),
    }
}

#[cfg(test)]
mod tests;
