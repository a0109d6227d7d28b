//! Callers: they ring in at a steady rate, and some lose patience.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::clock::Entropy;

use super::api::Client;
use super::{Error, Options, sample};

/// Every so manieth caller hangs up soon, whoever answers.
const IMPATIENT_EVERY: u32 = 7;

/// How long an impatient caller waits, in milliseconds.
const IMPATIENT_MS: u32 = 1_200;

/// Shortest and longest time a patient caller stays on the line, in milliseconds.
const STAY_MS: (u32, u32) = (6_000, 12_000);

/// Places the calls; returns how many were placed.
pub(super) async fn ring_in(
    client: std::sync::Arc<Client>,
    options: Options,
    entropy: Entropy,
    stop: CancellationToken,
) -> Result<u32, Error> {
    let pause = Duration::try_from_secs_f64(1.0 / options.rate.max(0.01)).unwrap_or(Duration::from_secs(1));
    let mut placed = 0;
    while placed < options.calls || options.keep_running {
        let (_, number) = sample::LINES[usize::from(placed % 2 == 1)];
        let impatient = placed % IMPATIENT_EVERY == IMPATIENT_EVERY - 1;
        let stay_ms = if impatient { IMPATIENT_MS } else { between(STAY_MS, entropy) };
        let from = format!("+1555{:07}", 2_000_000 + placed % 1_000_000);
        let call = json!({ "from": from, "to": number, "behaviour": { "hang_up_after_ms": stay_ms } });
        client.control(Method::POST, "/control/calls", &call).await?;
        placed += 1;
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(placed)
}

fn between((shortest, longest): (u32, u32), entropy: Entropy) -> u32 {
    let mut bytes = [0; 4];
    entropy.fill(&mut bytes);
    shortest + u32::from_le_bytes(bytes) % (longest - shortest)
}
