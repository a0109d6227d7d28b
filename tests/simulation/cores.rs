//! The pure cores from the server's own sources, and what couples them, without the server around them.
//!
//! Nothing of the simulation's is here. Start with [`engine::cores`].

#[path = "../../src/calls/mod.rs"]
pub mod calls;
#[path = "cores/engine.rs"]
pub mod engine;
#[path = "../../src/routing/mod.rs"]
pub mod routing;
#[path = "cores/store.rs"]
pub mod store;
