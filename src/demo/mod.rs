//! `switchhook demo`: server and phone system in one process, talking over real HTTP on loopback ports.
//!
//! A sample workspace (two queues, a skills workflow, six workers) takes calls that arrive at a steady rate; agents
//! answer through the REST API like any application would, and a timeline tells what happens. Nothing here reaches into
//! the server: what the demo can do, a user can do. Start with [`run`].

mod agents;
mod api;
mod callers;
mod sample;
mod timeline;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Entropy};

use api::Client;
use timeline::Timeline;

/// What the demo is to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many callers ring in.
    pub calls: u32,
    /// Callers a second.
    pub rate: f64,
    /// Go on after the last call, until interrupted.
    pub keep_running: bool,
}

/// Both sides, already running.
#[derive(Debug, Clone)]
pub struct Sides {
    /// The server.
    pub server: SocketAddr,
    /// The phone system.
    pub phone: SocketAddr,
    /// Account at both.
    pub account_sid: String,
    /// Its token.
    pub auth_token: SecretString,
}

/// Something in the demo went wrong that a user should hear of.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request failed on the way.
    #[error("request failed: {0}")]
    Request(#[from] reqwest::Error),
    /// One side refused a request.
    #[error("{method} {path} was answered with {status}: {body}")]
    Refused {
        /// Method of the request.
        method: &'static str,
        /// Path of the request.
        path: String,
        /// HTTP status.
        status: u16,
        /// Beginning of the answer.
        body: String,
    },
    /// The terminal could not be written to.
    #[error("cannot write to the terminal: {0}")]
    Terminal(#[from] std::io::Error),
}

/// How many callers came to which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Callers that rang in.
    pub callers: u32,
    /// Talked to a worker, and the task was completed.
    pub handled: u32,
    /// Hung up before a worker came.
    pub abandoned: u32,
    /// Ended otherwise, or not ended when the demo stopped.
    pub other: u32,
}

/// Longest time the demo waits for the last calls to end.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often agents and timeline ask the API.
const POLL: Duration = Duration::from_millis(150);

/// Runs the demo until its calls are over (or, when told to keep running, until `stop`), writing to `output`.
pub async fn run(
    options: &Options,
    sides: &Sides,
    stop: CancellationToken,
    clock: &Clock,
    entropy: Entropy,
    output: &mut (dyn Write + Send),
) -> Result<Summary, Error> {
    let client = Arc::new(Client::new(sides)?);
    let sample = Arc::new(sample::create(&client).await?);
    let mut timeline = Timeline::new(clock.now());
    Timeline::introduce(options, sides, &sample, output)?;
    let ending = stop.child_token();
    let tracker = TaskTracker::new();
    for worker in &sample.workers {
        tracker.spawn(agents::work(Arc::clone(&client), Arc::clone(&sample), worker.clone(), ending.clone()));
    }
    let arrivals = tracker.spawn(callers::ring_in(Arc::clone(&client), options.clone(), entropy, ending.clone()));
    let mut all_in: Option<u32> = None;
    let mut arrivals = Some(arrivals);
    let mut failure = None;
    let give_up = tokio::time::sleep(arrival_time(options) + PATIENCE);
    tokio::pin!(give_up);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = &mut give_up, if !options.keep_running => break,
            placed = async { arrivals.as_mut().expect("polled only while there").await }, if arrivals.is_some() => {
                arrivals = None;
                match placed {
                    Ok(Ok(placed)) => all_in = Some(placed),
                    Ok(Err(error)) => failure = Some(error),
                    Err(error) => tracing::error!(%error, "the callers' task failed"),
                }
            }
            () = tokio::time::sleep(POLL) => {}
        }
        timeline.follow(&client, &sample, output).await?;
        if failure.is_some() {
            break;
        }
        if !options.keep_running && all_in.is_some_and(|placed| timeline.ended() >= placed) {
            break;
        }
    }
    ending.cancel();
    tracker.close();
    tracker.wait().await;
    if let Some(error) = failure {
        return Err(error);
    }
    timeline.follow(&client, &sample, output).await?;
    let summary = timeline.summary();
    timeline.conclude(&summary, output)?;
    Ok(summary)
}

fn arrival_time(options: &Options) -> Duration {
    Duration::try_from_secs_f64(f64::from(options.calls) / options.rate.max(0.01)).unwrap_or(Duration::MAX / 4)
}
