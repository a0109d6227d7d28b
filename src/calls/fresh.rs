//! The records with which a task and a leg begin; nothing is decided here. Start with [`VoiceTask::enqueued`].

use std::collections::{BTreeMap, BTreeSet};

use super::interface::{CallSid, Input, Park, Role};
use super::policy::Policy;
use super::voice_task::{CUSTOMER_LABEL, Deadlines, Leg, LegState, VoiceState, VoiceTask};
use crate::routing::{TaskSid, Timestamp};

impl Leg {
    /// A leg that was just asked for.
    pub(super) fn requested(role: Role, label: String, now: Timestamp) -> Self {
        Self {
            role,
            label,
            call: None,
            reservation: None,
            own: false,
            state: LegState::Requested,
            end_cause: None,
            end_code: None,
            last_sequence: None,
            last_room_sequence: None,
            created: now,
            dialed: None,
            answered: None,
            joined: None,
            left: None,
            ended: None,
            held: false,
            hold_document: None,
            muted: false,
            whispers: false,
            coaches: None,
            accepted: false,
            wrapped: false,
            abort: None,
            check_at: None,
            tries: 0,
            complained: false,
            ends_room: false,
            wished: None,
            metered: false,
            invited: false,
            by_document: false,
            announced: None,
            by_caller: None,
            post_work_activity: None,
            room: None,
            status_callback: None,
            recording_callback: None,
        }
    }
}

impl VoiceTask {
    /// The record that an [`Input::Enqueued`] or an [`Input::Outbound`] makes; other inputs make none.
    pub(super) fn enqueued(task: TaskSid, input: &Input, policy: &Policy, now: Timestamp) -> Option<Self> {
        let (call, from, to, park) = match input {
            Input::Enqueued { call, from, to, park } => (Some(call.clone()), from, to, park.clone()),
            Input::Outbound { from, to } => (None, from, to, Park::default()),
            _ => return None,
        };
        let requested = Leg::requested(Role::Customer, CUSTOMER_LABEL.to_owned(), now);
        let state = if call.is_some() { LegState::Answered } else { requested.state };
        let caller = Leg { call: call.clone(), state, ..requested };
        Some(Self {
            task,
            outbound: call.is_none(),
            call: call.unwrap_or_else(|| CallSid(String::new())),
            from: from.clone(),
            to: to.clone(),
            callback: None,
            left_on_hold: false,
            requeued: false,
            leaves_message: false,
            past_calls: Vec::new(),
            park,
            state: VoiceState::Created,
            legs: vec![caller],
            conference: None,
            past_conferences: Vec::new(),
            room: task.to_string(),
            options: None,
            connecting: None,
            handing: None,
            outstanding: BTreeMap::new(),
            last_number: 0,
            deadlines: Deadlines { silence: Some(now.plus_ms(policy.created_silence_ms)), ..Deadlines::default() },
            created: now,
            wait_seen: false,
            caller_seen: now,
            caller_end: None,
            wish: None,
            wish_tries: 0,
            redirected: None,
            released: false,
            taken: false,
            held_apart: BTreeSet::new(),
            sent_to: None,
            elsewhere: false,
            waits_on: false,
            caller_told: false,
            task_ended: false,
            cancel_reason: None,
            queue_sid: None,
            queue_time_secs: None,
            action_called: None,
            says_redirected: false,
            room_over: false,
            room_end_tries: 0,
            room_heard: None,
            looks_unanswered: 0,
            last_relay: 0,
            relayed: Vec::new(),
        })
    }
}
