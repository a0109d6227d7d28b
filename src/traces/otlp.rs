//! Spans go to an OpenTelemetry collector over OTLP (protobuf over HTTP), in batches, from a thread of their own.
//!
//! Everything is set by OpenTelemetry's standard variables: where to (`OTEL_EXPORTER_OTLP_ENDPOINT` or
//! `…_TRACES_ENDPOINT`), headers, the service's name, sampling, sizes of batches. A collector that is away costs spans and
//! nothing else. Start with [`layer`].

use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, Response};
use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_http::{Bytes, HeaderExtractor, HeaderInjector, HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Runtime;
use tracing::{Level, Span, Subscriber, info_span};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// The collector takes a batch within this time or not at all.
const SEND_TIME: Duration = Duration::from_secs(10);
/// Largest answer of a collector that is read, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024;
/// At the end of the process the last spans have this long.
const FLUSH_TIME: Duration = Duration::from_secs(2);

/// Who makes and sends the spans of this process.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The variables make no sense.
    #[error("OTEL_EXPORTER_OTLP_…: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// There is no client.
    #[error("HTTP client for traces: {0}")]
    Client(#[from] reqwest::Error),
    /// There are no threads.
    #[error("cannot start a thread for traces: {0}")]
    Thread(#[from] std::io::Error),
}

/// The layer that exports spans.
pub fn layer<S>() -> Result<impl Layer<S> + Send + Sync, Error>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let exporter = SpanExporter::builder().with_http().with_http_client(Client::new()?).build()?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
    let tracer = PROVIDER.get_or_init(|| provider).tracer("switchhook");
    Ok(of_tracer(tracer))
}

/// Spans of ours, with the steps of tasks as their events.
fn of_tracer<S>(tracer: SdkTracer) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let steps = Targets::new()
        .with_target("switchhook", Level::INFO)
        .with_target("switchhook::engine", Level::DEBUG)
        .with_target("switchhook::notify", Level::DEBUG);
    let layer: OpenTelemetryLayer<S, SdkTracer> = tracing_opentelemetry::layer().with_tracer(tracer);
    // Where in the source a span was made, and by which thread, is nothing to an operator.
    layer.with_location(false).with_threads(false).with_filter(steps)
}

/// The service's name is that of the variables, else ours.
fn resource() -> Resource {
    let named = Resource::builder().build();
    let name = named.get(&"service.name".into()).map(|name| name.as_str().into_owned()).unwrap_or_default();
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    if name.is_empty() || name.starts_with("unknown_service") {
        return builder.with_service_name("switchhook").build();
    }
    builder.build()
}

/// The span of a request that came in: part of the trace that its headers name, if they name one.
#[must_use]
pub fn request_span(id: &str, method: &Method, headers: &HeaderMap) -> Span {
    let span =
        info_span!("request", request.id = id, %method, otel.kind = "server", http.request.method = method.as_str());
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    if parent.span().span_context().is_valid() {
        // Fails only for a span that nobody exports.
        let _ = span.set_parent(parent);
    }
    span
}

/// Tells a request's span what became of it.
pub fn answered(span: &Span, route: &str, code: u16) {
    span.set_attribute("http.route", route.to_owned());
    span.set_attribute("http.response.status_code", i64::from(code));
    if code >= 500 {
        span.set_status(opentelemetry::trace::Status::error(""));
    }
}

/// Headers that tell another server which trace its request belongs to; none outside of a trace.
#[must_use]
pub fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut HeaderInjector(&mut headers));
    headers
}

/// Sends what was not sent yet, and ends the export.
pub fn flush() {
    if let Some(provider) = PROVIDER.get()
        && let Err(error) = provider.shutdown_with_timeout(FLUSH_TIME)
    {
        tracing::debug!(%error, "the last spans were not sent");
    }
}

/// Sends batches. The thread that makes them has no runtime, so there is one for this alone.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: &'static Runtime,
}

impl Client {
    fn new() -> Result<Self, Error> {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        // An error only says that it was installed before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(SEND_TIME)
            .user_agent(concat!("switchhook/", env!("CARGO_PKG_VERSION")))
            .build()?;
        if let Some(runtime) = RUNTIME.get() {
            return Ok(Self { http, runtime });
        }
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("traces").enable_all().build()?;
        Ok(Self { http, runtime: RUNTIME.get_or_init(|| runtime) })
    }
}

impl HttpClient for Client {
    fn send_bytes<'own, 'sent>(
        &'own self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sent>>
    where
        'own: 'sent,
        Self: 'sent,
    {
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move {
            let mut answer = http.execute(reqwest::Request::try_from(request)?).await?;
            let status = answer.status();
            let headers = answer.headers().clone();
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > ANSWER_LIMIT {
                    return Err(HttpError::from("the collector's answer is too large"));
                }
                body.extend_from_slice(&chunk);
            }
            let mut response = Response::new(Bytes::from(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok(response)
        });
        Box::pin(async move { sent.await? })
    }
}
