//! What couples the cores; the rest of the server's `engine` does I/O.

#[path = "../../../src/engine/cores.rs"]
pub mod cores;
#[path = "../../../src/engine/request.rs"]
pub mod request;

pub use request::{Error, Request};
