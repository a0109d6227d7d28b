//! Limits that an operator can set.

use crate::calls::{Choices, ColdTransferFailure, DialPolicy};
use crate::routing::ResourceLimits;

/// Limits that can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls that may wait for one workflow (TaskRouter: resource limits).
    pub waiting_calls: u32,
    /// Seconds of silence of a waiting call after which it is looked at; a conversation after ten times as long.
    pub look_after_secs: u32,
    /// What becomes of a customer whom a cold transfer has left alone.
    pub cold_transfer_failure: ColdTransferFailure,
    /// End the conference when the customer has left and one worker remains.
    pub end_room_when_customer_left: bool,
    /// Seconds for which a customer may be alone in the conference.
    pub customer_alone_secs: u32,
    /// Send a waiting caller on when the task is canceled.
    pub on_cancel_release_caller: bool,
    /// Calls that are made wait for their turn, because only so many are made in a second.
    pub calls_take_turns: bool,
    /// There is a phone system, which ends calls when it is told to; the engine knows.
    pub phone: bool,
    /// The phone system tells who comes into a room.
    pub room_callbacks: bool,
    /// The phone system has rooms.
    pub rooms: bool,
    /// Calls in a row that a worker may miss before going to the timeout activity; 0 is no limit.
    pub connect_failure_limit: u32,
    /// What else of the voice side can be chosen.
    pub choices: Choices,
    /// Caller ID where neither the instruction nor the task has one.
    pub default_caller_id: Option<String>,
    /// Seconds within which a caller is answered in time, for the figures.
    pub service_level_secs: u32,
    /// Where to, and how many legs each workspace may dial.
    pub dialling: DialPolicy,
    /// How many of each resource a workspace may hold.
    pub resources: ResourceLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting_calls: 100,
            look_after_secs: 60,
            cold_transfer_failure: ColdTransferFailure::default(),
            end_room_when_customer_left: true,
            customer_alone_secs: 5,
            on_cancel_release_caller: true,
            calls_take_turns: false,
            phone: true,
            room_callbacks: true,
            rooms: true,
            connect_failure_limit: 0,
            choices: Choices::default(),
            default_caller_id: None,
            service_level_secs: 20,
            dialling: DialPolicy::default(),
            resources: ResourceLimits::default(),
        }
    }
}
