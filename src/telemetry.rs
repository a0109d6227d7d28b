//! Logs and metrics of the process.
//!
//! Logs go to standard error in UTC, as text or as one JSON object per line; figures are collected for `/metrics`. Both
//! are set up once, by the command. This module must not know what is measured beyond the buckets of each histogram.
//! Start with [`log`] and [`Metrics`].

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::{self, Log, LogFormat};
#[cfg(feature = "otlp")]
use crate::traces;

/// How often old samples are tidied away.
const UPKEEP: Duration = Duration::from_secs(5);

/// What the targets of our own lines begin with.
const OWN: &str = "switchhook";

/// Waiting of callers, in seconds.
const WAIT_SECONDS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1_200.0];
/// What the server itself takes, in seconds.
const LATENCY_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 30.0];
/// Requests in one commit.
const BATCH_SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

/// Histograms by the end of their name; without buckets they would become summaries, which cannot be added up.
const BUCKETS: &[(&str, &[f64])] = &[
    ("_wait_seconds", WAIT_SECONDS),
    ("_handle_seconds", WAIT_SECONDS),
    ("_error_seconds", WAIT_SECONDS),
    ("_response_seconds", WAIT_SECONDS),
    ("_batch_size", BATCH_SIZES),
    ("_rows", BATCH_SIZES),
];

/// Logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter does not parse.
    #[error("log.level: expected error, warn, info, debug, trace or a filter per module: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody was there before.
    #[error("logs or metrics are set up already: {0}")]
    Taken(String),
    /// Spans cannot be exported.
    #[cfg(feature = "otlp")]
    #[error("{0}")]
    Traces(#[from] traces::Error),
}

/// Sends the process's log to standard error, and its spans to a collector where that is built in and wanted.
pub fn log(settings: &Log) -> Result<(), Error> {
    let filter = filter(&settings.level)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match settings.format {
        LogFormat::Text => lines.with_ansi(false).with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let registry = tracing_subscriber::registry().with(lines);
    let has_collector = config::names_trace_collector();
    #[cfg(feature = "otlp")]
    let registry = registry.with(has_collector.then(traces::layer).transpose()?);
    registry.try_init().map_err(|error| Error::Taken(error.to_string()))?;
    #[cfg(not(feature = "otlp"))]
    if has_collector {
        tracing::warn!("OTEL_EXPORTER_OTLP_ENDPOINT is set, but this program was built without the feature otlp");
    }
    Ok(())
}

/// Lines that are asked for, and may be logged.
fn filter<S: Subscriber>(level: &str) -> Result<impl Filter<S> + use<S>, Error> {
    Ok(EnvFilter::try_new(level)?.and(filter_fn(is_harmless)))
}

/// Whether a line may be logged, whatever the filter asks for. At the finest level libraries write what they read and send,
/// and with it tokens, secrets and callers' data; ours tell none of that at any level.
fn is_harmless(line: &Metadata<'_>) -> bool {
    let target = line.target();
    let is_own = target == OWN || target.strip_prefix(OWN).is_some_and(|rest| rest.starts_with("::"));
    // Levels are ordered by how much they tell.
    is_own || *line.level() <= Level::DEBUG
}

/// The figures of the process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts to collect what the process measures. Works once per process.
    pub fn install() -> Result<Self, Error> {
        let handle = builder().install_recorder().map_err(|error| Error::Taken(error.to_string()))?;
        begin_what_alerts_watch();
        Ok(Self(handle))
    }

    /// The figures in Prometheus' text form.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Tidies old samples away, for ever.
    pub async fn upkeep(self) {
        let mut turns = tokio::time::interval(UPKEEP);
        loop {
            turns.tick().await;
            self.0.run_upkeep();
        }
    }
}

fn builder() -> PrometheusBuilder {
    let builder = PrometheusBuilder::new().set_buckets(LATENCY_SECONDS).expect("the list of latencies is not empty");
    BUCKETS.iter().fold(builder, |builder, (end, buckets)| {
        builder
            .set_buckets_for_metric(Matcher::Suffix((*end).to_owned()), buckets)
            .expect("no list of buckets is empty")
    })
}

/// Counters that should never count are there from the start: an increase from nothing would not be seen as one.
fn begin_what_alerts_watch() {
    metrics::counter!("taskrouter_invariant_violations_total").increment(0);
    for kind in ["driver", "fenced", "inconsistent", "unavailable"] {
        metrics::counter!("taskrouter_store_errors_total", "kind" => kind).increment(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_tell_nothing_at_the_finest_level() {
        use std::sync::{Arc, Mutex};

        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);

        impl std::io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        let written = Lines::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let registry =
            tracing_subscriber::registry().with(lines.with_filter(filter("trace,tungstenite=trace").unwrap()));
        tracing::subscriber::with_default(registry, || {
            tracing::trace!(target: "tungstenite::protocol", "Sending frame: canary-1");
            tracing::trace!(target: "hyper::proto::h1", "parsed canary-2");
            tracing::trace!(target: "switchhooked", "canary-3");
            tracing::debug!(target: "hyper::proto::h1", "flushed bytes");
            tracing::trace!(target: "switchhook::engine", "own step");
            tracing::trace!(target: "switchhook", "own start");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("canary"), "{text}");
        for line in ["flushed bytes", "own step", "own start"] {
            assert!(text.contains(line), "{line} is missing: {text}");
        }
    }

    #[test]
    fn what_alerts_watch_begins_at_zero() {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, begin_what_alerts_watch);
        let text = handle.render();
        let rules = include_str!("../deploy/prometheus/switchhook.rules.yml");
        for name in ["taskrouter_invariant_violations_total", "taskrouter_store_errors_total"] {
            assert!(rules.contains(&format!("increase({name}")), "{name} is no alert");
            assert!(text.lines().any(|line| line.starts_with(name) && line.ends_with(" 0")), "{text}");
        }
    }

    #[test]
    fn histograms_have_the_buckets_of_their_kind() {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("taskrouter_queue_wait_seconds", "queue" => "q").record(12.0);
            metrics::histogram!("http_server_request_duration_seconds", "route" => "r").record(0.003);
            metrics::histogram!("taskrouter_commit_batch_size").record(3.0);
        });
        let text = handle.render();
        for line in [
            "taskrouter_queue_wait_seconds_bucket{queue=\"q\",le=\"15\"} 1",
            "http_server_request_duration_seconds_bucket{route=\"r\",le=\"0.005\"} 1",
            "taskrouter_commit_batch_size_bucket{le=\"4\"} 1",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
