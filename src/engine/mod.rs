//! Drives both pure cores: one actor per workspace, batches, group commit, outbox.
//!
//! It must not know HTTP requests, TwiML or JSON shapes of the API. Start with [`request`], then `actor`.

pub mod request;

pub use request::{Error, Request};
