//! `<Dial>`: ringing other legs, taking the head of a queue, entering a room, and what follows when that is over.
//!
//! Start with [`Switch::dial`].

use std::collections::VecDeque;
use std::sync::Arc;

use super::Switch;
use super::calls::{Cause, Leg, can_be_called};
use super::request::{LegOptions, Origin};
use super::rooms::Leave;
use super::state::{CallId, CallStatus, DialPhase, Direction, Moment, Place, Slot, Source, TimerKind};
use super::webhooks::{Parameter, parameter};
use crate::softswitch::twiml::{Dial, DialAddress, DialTo};

/// How a `<Dial>` ended, as its action is told.
#[derive(Debug, Clone)]
pub(super) struct DialOutcome {
    status: &'static str,
    /// The other leg and how long both were connected; not told for rooms.
    connected: Option<(String, i64)>,
    in_room: bool,
    /// What the action is told beside that.
    more: Vec<Parameter>,
}

impl DialOutcome {
    pub(super) fn unanswered(status: &'static str) -> Self {
        Self { status, connected: None, in_room: false, more: Vec::new() }
    }

    fn left_room() -> Self {
        Self { status: "answered", connected: None, in_room: true, more: Vec::new() }
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
        parameters.extend(self.more.iter().cloned());
        parameters
    }
}

impl Switch {
    pub(super) fn dial(&mut self, id: CallId, dial: &Arc<Dial>) {
        match &dial.to {
            DialTo::Addresses(addresses) => self.dial_addresses(id, dial, addresses),
            DialTo::Room { name, entry } => self.dial_room(id, dial, name, entry),
            DialTo::Queue { name, .. } => self.dial_queue(id, dial, name),
            DialTo::Nowhere(error) => {
                self.note("call.error", Some(id), None, format!("{}: {}", error.code, error.message));
                self.stay(id, dial, DialPhase::nobody());
                self.after_dial(id, DialOutcome::unanswered("failed"));
            }
        }
    }

    fn dial_addresses(&mut self, id: CallId, dial: &Arc<Dial>, addresses: &[DialAddress]) {
        let mut waiting: VecDeque<DialAddress> = addresses.iter().cloned().collect();
        let at_once = if dial.sequential { 1 } else { waiting.len() };
        self.stay(id, dial, DialPhase::nobody());
        self.record_dial(id, true);
        let mut children = Vec::new();
        while children.len() < at_once
            && let Some(address) = waiting.pop_front()
        {
            children.extend(self.dial_address(id, dial, address));
        }
        let nobody = children.is_empty();
        self.stay(id, dial, DialPhase::Ringing { children, waiting });
        if nobody {
            self.after_dial(id, DialOutcome::unanswered("failed"));
        }
    }

    fn dial_address(&mut self, id: CallId, dial: &Dial, address: DialAddress) -> Option<CallId> {
        if !can_be_called(&address.address) {
            let text = format!("13223: {:?} is no phone number, client or SIP address", address.address);
            self.note("call.error", Some(id), None, text);
            return None;
        }
        let from = self.calls.get(&id).map(|call| call.record.from.clone())?;
        let child = self.add_call(Leg {
            from: dial.caller_id.clone().unwrap_or(from),
            to: address.address,
            direction: Direction::OutboundDial,
            parent: Some(id),
            first: address.whisper.map(Source::Ask),
            fallback: None,
            status_callback: address.status_callback,
            ring_timeout_secs: dial.timeout_secs,
            time_limit_secs: dial.time_limit_secs,
            place: Place::Child(id),
            behaviour: None,
            options: LegOptions {
                send_digits: address.send_digits,
                detection: address.detection,
                ..LegOptions::default()
            },
            origin: Origin::default(),
        });
        child.map_err(|refusal| self.note("call.error", Some(id), None, refusal.message)).ok()
    }

    fn dial_room(&mut self, id: CallId, dial: &Arc<Dial>, name: &str, entry: &crate::softswitch::twiml::RoomEntry) {
        match self.prepare_entry(name, entry) {
            Ok(room) => {
                self.stay(id, dial, DialPhase::InRoom(room));
                self.record_dial(id, false);
                self.arm(id, TimerKind::Dial, i64::from(dial.time_limit_secs) * 1000);
                self.add_member(room, id, entry.clone(), entry.coach.is_some());
                self.joined(room, id);
            }
            Err(refusal) => {
                self.note("call.error", Some(id), None, format!("{}: {}", refusal.code, refusal.message));
                self.stay(id, dial, DialPhase::nobody());
                self.after_dial(id, DialOutcome::unanswered("failed"));
            }
        }
    }

    fn dial_queue(&mut self, id: CallId, dial: &Arc<Dial>, name: &str) {
        let Some(queue) = self.queue_named(name) else {
            self.stay(id, dial, DialPhase::nobody());
            return self.after_dial(id, DialOutcome::unanswered("failed"));
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
        // A call that was to ring until now (answerOnBridge).
        self.answer(id);
        self.record_dial(id, false);
        self.talking(id);
        self.talking(peer);
    }

    /// A dialled leg answered, and has heard its document: it is connected, the others stop ringing.
    pub(super) fn connect_child(&mut self, parent: CallId, child: CallId) {
        let others = match self.dial_phase(parent) {
            Some(DialPhase::Ringing { children, .. }) => std::mem::take(children),
            _ => return self.end_call(child, CallStatus::Completed, None, Cause::Other),
        };
        if let Some(call) = self.calls.get_mut(&child) {
            call.place = Place::Child(parent);
        }
        self.connect(parent, child);
        for other in others.into_iter().filter(|other| *other != child) {
            self.drop_child(other);
        }
    }

    /// Ends a dialled leg that is not wanted any more: one that rings is canceled.
    fn drop_child(&mut self, child: CallId) {
        let answered = self.calls.get(&child).is_some_and(|call| call.record.answered.is_some());
        if answered {
            self.end_call(child, CallStatus::Completed, None, Cause::Other);
        } else {
            self.end_call(child, CallStatus::Canceled, Some(487), Cause::Other);
        }
    }

    /// A dialled leg ended, or was redirected away.
    pub(super) fn child_left(&mut self, parent: CallId, child: CallId, status: CallStatus) {
        match self.dial_phase(parent) {
            Some(DialPhase::Ringing { children, .. }) => {
                children.retain(|other| *other != child);
                if children.is_empty() {
                    self.next_address(parent, child, status);
                }
            }
            Some(&mut DialPhase::Connected { peer, .. }) if peer == child => {
                self.peer_left(parent, child, self.now);
            }
            _ => {}
        }
    }

    /// Nobody rings any more: the next address is dialled, or the `<Dial>` is over.
    fn next_address(&mut self, id: CallId, last: CallId, status: CallStatus) {
        loop {
            let next = match self.calls.get_mut(&id).map(|call| &mut call.place) {
                Some(Place::Dial { dial, phase: DialPhase::Ringing { waiting, .. } }) => {
                    waiting.pop_front().map(|address| (Arc::clone(dial), address))
                }
                _ => None,
            };
            let Some((dial, address)) = next else {
                let mut outcome = DialOutcome::unanswered(status.text());
                outcome.more = self.sip_outcome(last);
                return self.after_dial(id, outcome);
            };
            if let Some(child) = self.dial_address(id, &dial, address) {
                if let Some(DialPhase::Ringing { children, .. }) = self.dial_phase(id) {
                    children.push(child);
                }
                return;
            }
        }
    }

    /// What the action of a `<Dial>` to a SIP address is told of the far end's answer.
    fn sip_outcome(&self, child: CallId) -> Vec<Parameter> {
        let Some(call) = self.calls.get(&child) else { return Vec::new() };
        let Some(sip) = &call.record.sip else { return Vec::new() };
        let code = call.sip_code.unwrap_or(200);
        let mut parameters =
            vec![parameter("DialSipCallId", &sip.call_id), parameter("DialSipResponseCode", code.to_string())];
        let headers = call.behaviour.sip_headers.iter();
        parameters.extend(headers.map(|(name, value)| (format!("DialSipHeader_{name}"), value.clone())));
        parameters
    }

    /// The other leg of a connection is gone; the dialling leg goes on.
    pub(super) fn peer_left(&mut self, id: CallId, peer: CallId, now: Moment) {
        match self.dial_phase(id) {
            Some(&mut DialPhase::Connected { peer: current, since }) if current == peer => {
                let outcome = self.connected_outcome(peer, now.secs_since(since));
                self.after_dial(id, outcome);
            }
            // Whoever was to be taken from the queue is gone: the next one is.
            Some(phase @ &mut DialPhase::Preparing { .. }) => {
                let DialPhase::Preparing { queue, head } = *phase else { return };
                if head == peer {
                    *phase = DialPhase::AtQueue(queue);
                    if let Some(Place::Dial { dial, .. }) = self.calls.get(&id).map(|call| &call.place) {
                        self.arm(id, TimerKind::Dial, i64::from(dial.timeout_secs) * 1000);
                    }
                    self.add_taker(queue, id);
                }
            }
            _ => {}
        }
    }

    fn connected_outcome(&self, peer: CallId, secs: i64) -> DialOutcome {
        let sid = self.calls.get(&peer).map(|call| call.record.sid.clone()).unwrap_or_default();
        let more = self.sip_outcome(peer);
        DialOutcome { status: "completed", connected: Some((sid, secs)), in_room: false, more }
    }

    /// The leg's stay in a room is over for reasons of the room.
    pub(super) fn released_from_room(&mut self, id: CallId) {
        self.after_dial(id, DialOutcome::left_room());
    }

    /// Takes apart what a leg that goes away was dialling.
    pub(super) fn abandon_dial(&mut self, id: CallId, phase: DialPhase, leave: Leave) -> DialOutcome {
        match phase {
            DialPhase::Ringing { children, .. } => {
                for child in children {
                    self.drop_child(child);
                }
                DialOutcome::unanswered("canceled")
            }
            DialPhase::AtQueue(queue) => {
                self.remove_taker(queue, id);
                DialOutcome::unanswered("canceled")
            }
            DialPhase::Preparing { head, .. } => {
                self.let_peer_go(head);
                DialOutcome::unanswered("canceled")
            }
            DialPhase::Connected { peer, since } => {
                let secs = self.now.secs_since(since);
                self.let_peer_go(peer);
                self.connected_outcome(peer, secs)
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
        self.stay(id, &dial, DialPhase::nobody());
        self.after_dial(id, outcome);
    }

    /// The leg goes on at the `<Dial>`'s action, or at the next verb.
    fn after_dial(&mut self, id: CallId, mut outcome: DialOutcome) {
        self.disarm(id, TimerKind::Dial);
        self.end_background(id);
        outcome.more.extend(self.dial_recorded(id));
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
