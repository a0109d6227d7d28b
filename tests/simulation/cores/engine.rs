//! What couples the cores; the rest of the server's `engine` does I/O.

#[path = "calendars.rs"]
pub mod calendars;
#[path = "../../../src/engine/cores.rs"]
#[expect(dead_code, reason = "callers whom a document has dial somebody are the server's")]
pub mod cores;
#[path = "../../../src/engine/limits.rs"]
mod limits;
#[path = "../../../src/engine/moment.rs"]
mod moment;
#[path = "../../../src/engine/outgoing.rs"]
#[expect(dead_code, reason = "callers whom a document has dial somebody are the server's")]
mod outgoing;
#[path = "../../../src/engine/request.rs"]
pub mod request;
#[path = "../../../src/engine/voice_queue.rs"]
mod voice_queue;

pub use limits::Limits;
pub use outgoing::NewForward;
pub use request::{Error, Request};
