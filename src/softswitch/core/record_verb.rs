//! `<Record>`: the far end speaks as long as its behaviour says, until silence, a key, or the longest length ends it.
//!
//! What was said goes to the action; when nothing was said the next verb runs (Twilio: `<Record>`). Start with
//! [`Switch::record`].

use std::sync::Arc;

use super::Switch;
use super::recordings::Subject;
use super::state::{CallId, DialPhase, Place, RecordingId, Slot, Step, Taking, TimerKind};
use super::webhooks::{Parameter, parameter};
use crate::softswitch::twiml::Record;

impl Switch {
    pub(super) fn record(&mut self, id: CallId, record: Arc<Record>) {
        let Some(recording) = self.start_recording(Subject::Call(id), &record.order) else {
            return self.ready.push_back(id);
        };
        let now = self.now;
        let Some(call) = self.calls.get_mut(&id) else { return };
        let spoken = i64::from(call.behaviour.speaks_ms);
        let ms = spoken.saturating_add(record.timeout_ms).min(record.length_ms_max);
        call.main.idle_documents = 0;
        call.main.step = Step::Recording(Taking { record, recording, since: now });
        self.arm(id, TimerKind::Main, ms);
    }

    /// The recording is over; `key` is what ended it, if a key did.
    pub(super) fn recorded(&mut self, id: CallId, key: Option<char>) {
        let Some((taking, said)) = self.end_taking(id) else { return };
        match taking.record.action.as_ref().filter(|_| said) {
            Some(action) => {
                let mut extra = self.recording_parameters(taking.recording);
                extra.push(parameter("Digits", key.map(String::from).unwrap_or_default()));
                self.fetch(id, Slot::Main, action, extra);
            }
            None => self.ready.push_back(id),
        }
    }

    /// A key that ends a recording; false when none is being made or the key does not end it.
    pub(super) fn recorded_by_key(&mut self, id: CallId, digits: &str) -> bool {
        let key = self.calls.get(&id).and_then(|call| match &call.main.step {
            Step::Recording(taking) => digits.chars().find(|key| taking.record.finish_on_keys.contains(*key)),
            _ => None,
        });
        if key.is_some() {
            self.recorded(id, key);
        }
        key.is_some()
    }

    /// The caller hung up while recording: the action is told, and not listened to.
    pub(super) fn record_ended(&mut self, id: CallId) {
        let Some((taking, said)) = self.end_taking(id) else { return };
        if let Some(action) = taking.record.action.as_ref().filter(|_| said) {
            let mut extra = self.recording_parameters(taking.recording);
            extra.push(parameter("Digits", "hangup"));
            self.tell_action(id, action, extra);
        }
    }

    /// Stops what is being recorded by `<Record>`; also tells whether anything was said.
    pub(super) fn end_taking(&mut self, id: CallId) -> Option<(Taking, bool)> {
        let call = self.calls.get_mut(&id)?;
        if !matches!(call.main.step, Step::Recording(_)) {
            return None;
        }
        let Step::Recording(taking) = std::mem::take(&mut call.main.step) else { return None };
        let speaks = i64::from(call.behaviour.speaks_ms);
        let passed = self.now.0.saturating_sub(taking.since.0);
        let said = passed.min(self.scaled(speaks));
        let ms = if said > 0 && !taking.record.order.trims { passed } else { said };
        self.disarm(id, TimerKind::Main);
        self.stop_recording(Subject::Call(id), taking.recording, Some(ms));
        Some((taking, said > 0))
    }

    /// Begins the recording that a `<Dial>` asks for, where it is to begin now.
    pub(super) fn record_dial(&mut self, id: CallId, rings: bool) {
        let order = match self.calls.get(&id).map(|call| (&call.place, call.dial_recording)) {
            Some((Place::Dial { dial, .. }, None)) => dial.recording.clone(),
            _ => None,
        };
        if let Some(order) = order.filter(|order| !rings || order.from_ringing) {
            let recording = self.start_recording(Subject::Call(id), &order);
            if let Some(call) = self.calls.get_mut(&id) {
                call.dial_recording = recording;
            }
        }
    }

    /// Stops the recording of a `<Dial>`; returns what its action is told of it.
    pub(super) fn dial_recorded(&mut self, id: CallId) -> Vec<Parameter> {
        let recording: Option<RecordingId> = self.calls.get_mut(&id).and_then(|call| call.dial_recording.take());
        let Some(recording) = recording else { return Vec::new() };
        self.stop_recording(Subject::Call(id), recording, None);
        self.recording_parameters(recording)
    }

    /// The star key takes the leg out of a `<Dial hangupOnStar>`.
    pub(super) fn leave_by_star(&mut self, id: CallId) -> bool {
        let leaves = matches!(
            self.calls.get(&id).map(|call| &call.place),
            Some(Place::Dial { dial, phase: DialPhase::Connected { .. } | DialPhase::InRoom(_) }) if dial.hangup_on_star
        );
        if leaves {
            self.dial_over(id);
        }
        leaves
    }
}
