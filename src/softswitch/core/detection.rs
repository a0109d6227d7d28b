//! Whether a person or a machine answered: found out some time after the answer, as the far end's behaviour says.
//!
//! A call made over REST waits for the result before its document is asked for, unless the detection is asynchronous;
//! participants and dialled addresses never wait. Start with [`Switch::detect`].

use super::behaviour::AnsweredBy;
use super::state::{CallId, Slot, Source, TimerKind};
use super::webhooks::{Parameter, parameter};
use super::{Action, Switch};

impl Switch {
    /// Begins to find out who answered, if that is wanted; true when the document has to wait for the result.
    pub(super) fn detect(&mut self, id: CallId) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        let Some(detection) = &call.options.detection else { return false };
        let after = i64::from(call.behaviour.detected_after_ms).min(detection.timeout_ms);
        let waits = !detection.is_async;
        self.arm(id, TimerKind::Detect, after);
        waits
    }

    pub(super) fn detected(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(detection) = call.options.detection.clone() else { return };
        let ms = i64::from(call.behaviour.detected_after_ms);
        let result = if ms > detection.timeout_ms {
            "unknown"
        } else {
            result(call.behaviour.answered_by, detection.until_message_end)
        };
        call.record.answered_by = Some(result);
        call.detection_ms = Some(ms.min(detection.timeout_ms));
        let first = call.first.clone();
        self.note("call.detected", Some(id), None, result);
        let found = self.detection_parameters(id);
        if !detection.is_async {
            match first {
                Some(Source::Ask(target)) => self.fetch(id, Slot::Main, &target, Vec::new()),
                Some(Source::Inline(document)) => self.play(id, document),
                None => {}
            }
        } else if let Some(target) = detection.callback
            && let Some(call) = self.calls.get(&id)
        {
            let lane = format!("{}/detection", call.record.sid);
            let params =
                vec![parameter("CallSid", &call.record.sid), parameter("AccountSid", &self.settings.account_sid)];
            let webhook = self.webhook(&target, params.into_iter().chain(found).collect());
            self.actions.push(Action::Notify { lane, webhook });
        }
    }

    /// What is known about who answered; nothing before the detection is through.
    pub(super) fn detection_parameters(&self, id: CallId) -> Vec<Parameter> {
        let Some(call) = self.calls.get(&id) else { return Vec::new() };
        let answered_by = call.record.answered_by.map(|result| parameter("AnsweredBy", result));
        let duration = call.detection_ms.map(|ms| parameter("MachineDetectionDuration", ms.to_string()));
        answered_by.into_iter().chain(duration).collect()
    }
}

const fn result(by: AnsweredBy, until_message_end: bool) -> &'static str {
    match (by, until_message_end) {
        (AnsweredBy::Human, _) => "human",
        (AnsweredBy::Fax, _) => "fax",
        (AnsweredBy::Unknown, _) => "unknown",
        (AnsweredBy::Machine | AnsweredBy::MachineEndSilence | AnsweredBy::MachineEndOther, false) => "machine_start",
        (AnsweredBy::Machine, true) => "machine_end_beep",
        (AnsweredBy::MachineEndSilence, true) => "machine_end_silence",
        (AnsweredBy::MachineEndOther, true) => "machine_end_other",
    }
}
