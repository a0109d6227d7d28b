//! Pure core of the voice side: what a call, its conference and its reservation do to each other.
//!
//! It folds webhooks, callbacks and results of phone commands into one state machine per task (`spec/voice.md` 3.9)
//! and says what the phone system and the routing core must do. It must not do I/O, ask for time or randomness, or know
//! HTTP, TwiML or rows. Start with [`interface`].

pub mod interface;

pub use interface::{
    CallSid, CallStatus, CommandId, ConferenceOptions, Input, Output, Park, PhoneCommand, PhoneOutcome, QueueResult,
    Role, RoomEvent,
};
