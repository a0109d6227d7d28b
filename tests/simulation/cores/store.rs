//! What is written in one commit; the rest of the server's `store` does I/O.

#[path = "../../../src/store/batch.rs"]
mod batch;

pub use batch::{
    Account, Alert, ApiKey, Batch, CalendarRow, IdempotencyKey, IdempotentRequest, KeptAnswer, Loaded, OpenCallback,
    OutboxRow, RelayRow, VoiceRecord, VoiceTaskRow, Voicemail,
};
