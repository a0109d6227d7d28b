//! Traces across servers: the W3C trace context of what comes in and goes out, and export to a collector (OTLP).
//!
//! All of it is there with the cargo feature `otlp` only, and then only when the standard variables name a collector;
//! otherwise nothing is read, added or sent. Must not know what is traced: spans are made where things happen. Start with
//! [`request_span`] and [`headers`].

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod otlp;

#[cfg(not(feature = "otlp"))]
pub use absent::{answered, flush, headers, request_span};
#[cfg(feature = "otlp")]
pub use otlp::{Error, answered, flush, headers, layer, request_span};
