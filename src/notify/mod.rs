//! What leaves us about events: agents' sockets and their tokens, assignment callbacks,
//! event callbacks, callbacks of the phone system that are passed on.
//!
//! It must not read requests or change anything: whoever connects or asks is dealt with in `api::bridge`. Start with
//! [`hub`], then `frames` (what is told to whom), `shapes` (how), [`token`].

pub mod assignment;
pub mod channel;
pub mod event_callbacks;
pub(crate) mod frames;
pub mod hub;
pub mod presence;
pub mod relays;
pub mod revocations;
pub(crate) mod shapes;
pub(crate) mod socket;
pub mod streams;
pub mod token;

pub use hub::Hub;
