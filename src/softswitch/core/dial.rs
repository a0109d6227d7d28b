//! `<Dial>`: ringing other legs, taking the head of a queue, entering a room, and what follows when that is over.
//!
//! Start with [`Switch::dial`].

use std::sync::Arc;

use super::Switch;
use super::calls::{Cause, Leg};
use super::rooms::Leave;
use super::state::{CallId, CallStatus, DialPhase, Direction, Moment, Place, Slot, TimerKind};
use super::webhooks::{Parameter, parameter};
use crate::softswitch::twiml::{Dial, DialAddress, DialTo};

/// How a `<Dial>` ended, as its action is told.
#[derive(Debug, Clone)]
pub(super) struct DialOutcome {
    status: &'static str,
    /// The other leg and how long both were connected; not told for rooms.
    connected: Option<(String, i64)>,
    in_room: bool,
}

impl DialOutcome {
    pub(super) const fn unanswered(status: &'static str) -> Self {
        Self { status, connected: None, in_room: false }
    }

    const fn left_room() -> Self {
        Self { status: "answered", connected: None, in_room: true }
    }

    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let bridged = self.in_room || self.connected.is_some();
        let mut parameters = vec![
            parameter("DialCallStatus", self.status),
            parameter("DialBridged", if bridged { "true" } else { "false" }),
        ];
        if let Some((sid, secs)) = &self.connected {
            parameters.push(parameter("DialCallSid", sid));
            parameters.push(parameter("DialCallDuration", secs.to_string()));
        }
        parameters
    }
}

impl Switch {
    pub(super) fn dial(&mut self, id: CallId, dial: &Arc<Dial>) {
        match &dial.to {
            DialTo::Addresses(addresses) => self.dial_addresses(id, dial, addresses),
            DialTo::Room { name, entry } => self.dial_room(id, dial, name, entry),
            DialTo::Queue { name } => self.dial_queue(id, dial, name),
        }
    }

    fn dial_addresses(&mut self, id: CallId, dial: &Arc<Dial>, addresses: &[DialAddress]) {
        let Some(from) = self.calls.get(&id).map(|call| call.record.from.clone()) else { return };
        let mut children = Vec::new();
        for address in addresses {
            let child = self.add_call(Leg {
                from: dial.caller_id.clone().unwrap_or_else(|| from.clone()),
                to: address.address.clone(),
                direction: Direction::OutboundDial,
                parent: Some(id),
                first: None,
                fallback: None,
                status_callback: address.status_callback.clone(),
                ring_timeout_secs: dial.timeout_secs,
                time_limit_secs: dial.time_limit_secs,
                place: Place::Child(id),
                behaviour: None,
            });
            match child {
                Ok(child) => children.push(child),
                Err(refusal) => self.note("call.error", Some(id), None, refusal.message),
            }
        }
        let nobody = children.is_empty();
        self.stay(id, dial, DialPhase::Ringing { children });
        if nobody {
            self.after_dial(id, &DialOutcome::unanswered("failed"));
        }
    }

    fn dial_room(&mut self, id: CallId, dial: &Arc<Dial>, name: &str, entry: &crate::softswitch::twiml::RoomEntry) {
        match self.prepare_entry(name, entry) {
            Ok(room) => {
                self.stay(id, dial, DialPhase::InRoom(room));
                self.arm(id, TimerKind::Dial, i64::from(dial.time_limit_secs) * 1000);
                self.add_member(room, id, entry.clone(), entry.coach.is_some());
                self.joined(room, id);
            }
            Err(refusal) => {
                self.note("call.error", Some(id), None, format!("{}: {}", refusal.code, refusal.message));
                self.stay(id, dial, DialPhase::Ringing { children: Vec::new() });
                self.after_dial(id, &DialOutcome::unanswered("failed"));
            }
        }
    }

    fn dial_queue(&mut self, id: CallId, dial: &Arc<Dial>, name: &str) {
        let Some(queue) = self.queue_named(name) else {
            self.stay(id, dial, DialPhase::Ringing { children: Vec::new() });
            return self.after_dial(id, &DialOutcome::unanswered("failed"));
        };
        self.stay(id, dial, DialPhase::AtQueue(queue));
        self.arm(id, TimerKind::Dial, i64::from(dial.timeout_secs) * 1000);
        self.add_taker(queue, id);
    }

    fn stay(&mut self, id: CallId, dial: &Arc<Dial>, phase: DialPhase) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.place = Place::Dial { dial: Arc::clone(dial), phase };
        }
    }

    /// Connects two legs, of which `id` is in a `<Dial>`.
    pub(super) fn connect(&mut self, id: CallId, peer: CallId) {
        let now = self.now;
        if let Some(phase) = self.dial_phase(id) {
            *phase = DialPhase::Connected { peer, since: now };
        }
        let limit = match self.calls.get(&id).map(|call| &call.place) {
            Some(Place::Dial { dial, .. }) => i64::from(dial.time_limit_secs) * 1000,
            _ => return,
        };
        self.arm(id, TimerKind::Dial, limit);
        let peer_sid = self.calls.get(&peer).map(|call| call.record.sid.clone()).unwrap_or_default();
        self.note("call.connected", Some(id), None, peer_sid);
        self.talking(id);
        self.talking(peer);
    }

    /// A dialled leg answered: it is connected, the others stop ringing.
    pub(super) fn connect_child(&mut self, parent: CallId, child: CallId) {
        let others = match self.dial_phase(parent) {
            Some(DialPhase::Ringing { children }) => std::mem::take(children),
            _ => return self.end_call(child, CallStatus::Completed, None, Cause::Other),
        };
        self.connect(parent, child);
        for other in others.into_iter().filter(|other| *other != child) {
            self.end_call(other, CallStatus::Canceled, Some(487), Cause::Other);
        }
    }

    /// A dialled leg ended, or was redirected away.
    pub(super) fn child_left(&mut self, parent: CallId, child: CallId, status: CallStatus) {
        match self.dial_phase(parent) {
            Some(DialPhase::Ringing { children }) => {
                children.retain(|other| *other != child);
                if children.is_empty() {
                    self.after_dial(parent, &DialOutcome::unanswered(status.text()));
                }
            }
            Some(&mut DialPhase::Connected { peer, .. }) if peer == child => {
                self.peer_left(parent, child, self.now);
            }
            _ => {}
        }
    }

    /// The other leg of a connection is gone; the dialling leg goes on.
    pub(super) fn peer_left(&mut self, id: CallId, peer: CallId, now: Moment) {
        let Some(&mut DialPhase::Connected { peer: current, since }) = self.dial_phase(id) else { return };
        if current == peer {
            let sid = self.calls.get(&peer).map(|call| call.record.sid.clone()).unwrap_or_default();
            let connected = Some((sid, now.secs_since(since)));
            self.after_dial(id, &DialOutcome { status: "completed", connected, in_room: false });
        }
    }

    /// The leg's stay in a room is over for reasons of the room.
    pub(super) fn released_from_room(&mut self, id: CallId) {
        self.after_dial(id, &DialOutcome::left_room());
    }

    /// Takes apart what a leg that goes away was dialling.
    pub(super) fn abandon_dial(&mut self, id: CallId, phase: DialPhase, leave: Leave) -> DialOutcome {
        match phase {
            DialPhase::Ringing { children } => {
                for child in children {
                    self.end_call(child, CallStatus::Canceled, Some(487), Cause::Other);
                }
                DialOutcome::unanswered("canceled")
            }
            DialPhase::AtQueue(queue) => {
                self.remove_taker(queue, id);
                DialOutcome::unanswered("canceled")
            }
            DialPhase::Connected { peer, since } => {
                let sid = self.calls.get(&peer).map(|call| call.record.sid.clone()).unwrap_or_default();
                let secs = self.now.secs_since(since);
                self.let_peer_go(peer);
                DialOutcome { status: "completed", connected: Some((sid, secs)), in_room: false }
            }
            DialPhase::InRoom(room) => {
                self.remove_member(room, id, leave);
                DialOutcome::left_room()
            }
        }
    }

    /// A dialled leg ends with its connection; one taken from a queue goes on where it left off.
    fn let_peer_go(&mut self, peer: CallId) {
        match self.calls.get(&peer).map(|call| &call.place) {
            Some(Place::Child(_)) => self.end_call(peer, CallStatus::Completed, None, Cause::Other),
            Some(Place::Taken { .. }) => self.after_taken(peer),
            _ => {}
        }
    }

    /// The `<Dial>` timer: nobody came, or the connection lasted too long.
    pub(super) fn dial_over(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Place::Dial { dial, phase } = std::mem::take(&mut call.place) else { return };
        let outcome = match phase {
            DialPhase::AtQueue(queue) => {
                self.remove_taker(queue, id);
                DialOutcome::unanswered("no-answer")
            }
            phase => self.abandon_dial(id, phase, Leave::HungUp),
        };
        self.stay(id, &dial, DialPhase::Ringing { children: Vec::new() });
        self.after_dial(id, &outcome);
    }

    /// The leg goes on at the `<Dial>`'s action, or at the next verb.
    fn after_dial(&mut self, id: CallId, outcome: &DialOutcome) {
        self.disarm(id, TimerKind::Dial);
        self.end_background(id);
        let live = self.call_is_live(id);
        let Some(call) = self.calls.get_mut(&id) else { return };
        if !live {
            return;
        }
        let Place::Dial { dial, .. } = std::mem::take(&mut call.place) else { return };
        self.note("dial.ended", Some(id), None, outcome.status);
        match &dial.action {
            Some(action) => self.fetch(id, Slot::Main, action, outcome.parameters()),
            None => self.ready.push_back(id),
        }
    }
}
