//! Switchhook: a self-hosted call-queue server that speaks Twilio TaskRouter.
//!
//! Requests become commands, commands become events, events become rows and effects. Modules in reading order:
//!
//! - [`routing`]: pure core of TaskRouter: who gets which task.
//! - [`calls`]: pure core of the voice side: what calls, rooms and reservations do to each other.
//! - [`engine`]: drives both cores; the only writer of a workspace.
//! - [`store`]: rows on disk.
//! - [`api`]: REST as Twilio has it.
//! - [`entry`]: what callers meet before the routing: entry points and calendars.
//! - [`voice`]: webhooks from the phone system, TwiML.
//! - [`phone`]: client of the phone system's REST.
//! - [`softswitch`]: a phone system of our own (`switchhook phone`).
//! - [`server`]: puts the server together.
//! - [`demo`]: server and phone system together (`switchhook demo`).
//! - [`config`], [`cli`], [`telemetry`], [`http`]: settings, commands, logs and metrics, the listener.
//! - [`clock`]: the only place that asks for time and randomness.
//! - [`outbound`]: HTTP requests to URLs that users gave.
//! - [`traces`]: trace context of requests, and the export of spans.
//! - [`signature`]: `X-Twilio-Signature` and `telnyx-signature-ed25519`, for both directions.
//! - [`credentials`]: who asks: HTTP Basic with an account's auth token or an API key.
//! - [`sealing`]: secrets at rest.

#![forbid(unsafe_code)]

pub mod api;
pub mod calls;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod demo;
pub mod engine;
pub mod entry;
pub mod http;
pub mod notify;
pub mod outbound;
pub mod phone;
pub mod routing;
pub mod sealing;
pub mod server;
pub mod signature;
pub mod softswitch;
pub mod store;
pub mod telemetry;
pub mod traces;
pub mod voice;
