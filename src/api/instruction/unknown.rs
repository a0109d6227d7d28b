//! Parameters that no instruction has: ignored, as at Twilio, and told of in the log once each (`spec/voice.md` pitfall 26).
//!
//! Samples in the wild use names that do not exist; whoever wonders why such a parameter has no effect finds it here. Start
//! with [`tell`].

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::Parameters;

/// What an update of a reservation can say.
const KNOWN: [&str; 58] = [
    "AcceptKey",
    "Beep",
    "BeepOnCustomerEntrance",
    "CallAccept",
    "CallFrom",
    "CallRecord",
    "CallStatusCallbackUrl",
    "CallTimeout",
    "CallTo",
    "CallUrl",
    "ConferenceRecord",
    "ConferenceRecordingStatusCallback",
    "ConferenceRecordingStatusCallbackMethod",
    "ConferenceStatusCallback",
    "ConferenceStatusCallbackEvent",
    "ConferenceStatusCallbackMethod",
    "ConferenceTrim",
    "DequeueAcceptKey",
    "DequeueFrom",
    "DequeuePostWorkActivitySid",
    "DequeueRecord",
    "DequeueStatusCallbackEvent",
    "DequeueStatusCallbackUrl",
    "DequeueTimeout",
    "DequeueTo",
    "DequeueWhisper",
    "EarlyMedia",
    "EndConferenceOnCustomerExit",
    "EndConferenceOnExit",
    "From",
    "Instruction",
    "JitterBufferSize",
    "MaxParticipants",
    "Muted",
    "PostWorkActivitySid",
    "Record",
    "RecordingChannels",
    "RecordingStatusCallback",
    "RecordingStatusCallbackMethod",
    "RedirectAccept",
    "RedirectCallSid",
    "RedirectUrl",
    "Region",
    "ReservationStatus",
    "SipAuthPassword",
    "SipAuthUsername",
    "StartConferenceOnEnter",
    "StatusCallback",
    "StatusCallbackEvent",
    "StatusCallbackMethod",
    "Supervisor",
    "SupervisorMode",
    "Timeout",
    "To",
    "WaitMethod",
    "WaitUrl",
    "Whisper",
    "WorkerActivitySid",
];
/// What agents' SDKs send besides, and which is ignored on purpose.
const IGNORED: [&str; 3] = ["DequeueStatusCallbackEvents", "Transcribe", "TranscriptionConfiguration"];

/// Names that are remembered: a sender who makes up names without end does not fill the log.
const REMEMBERED_MAX: usize = 200;

/// Names that were told of since the program began.
#[derive(Debug)]
pub(super) struct Told(Mutex<BTreeSet<String>>);

static TOLD: Told = Told::new();

impl Told {
    const fn new() -> Self {
        Self(Mutex::new(BTreeSet::new()))
    }

    /// Those of `names` that are new.
    fn first_seen<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.filter(|name| told.len() < REMEMBERED_MAX && told.insert((*name).to_owned())).collect()
    }
}

/// Writes the names of parameters that no instruction has into the log, each once.
pub(super) fn tell(form: &Parameters) {
    for name in TOLD.first_seen(unknown(form)) {
        tracing::warn!(parameter = name, "an update of a reservation has a parameter that there is not; it is ignored");
    }
}

fn unknown(form: &Parameters) -> impl Iterator<Item = &str> {
    form.iter().map(|(name, _)| name).filter(|name| !KNOWN.contains(name) && !IGNORED.contains(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::instruction::{of_answer, parameters_of};
    use crate::engine::{Consequence, ReservationInstruction};

    #[test]
    fn parameters_that_do_not_exist_are_ignored_and_told_of_once() {
        let answer = json!({ "instruction": "conference", "from": "+15550100", "hold_music": "x", "Url": "y" });
        let answer = answer.as_object().unwrap();
        let form = parameters_of(answer);
        let told = Told::new();
        assert_eq!(told.first_seen(unknown(&form)), ["Url", "HoldMusic"]);
        assert_eq!(told.first_seen(unknown(&form)), [""; 0]);
        let others = Parameters::parse(b"Instruction=conference&Url=y&StatusCallbackUrl=z&Transcribe=true");
        assert_eq!(told.first_seen(unknown(&others)), ["StatusCallbackUrl"]);
        let read = of_answer(answer, true);
        assert!(matches!(&read.consequence, Consequence::Instruction(ReservationInstruction::Conference(options))
                if options.from.as_deref() == Some("+15550100")));
        assert!(read.complaints.is_empty(), "{read:?}");
        let endless: Vec<String> = (0..2 * REMEMBERED_MAX).map(|number| format!("Parameter{number}")).collect();
        assert!(told.first_seen(endless.iter().map(String::as_str)).len() < REMEMBERED_MAX);
    }

    #[test]
    fn what_is_known_is_what_is_described() {
        let document = crate::api::openapi::document();
        let path = "/v1/Workspaces/{WorkspaceSid}/Tasks/{TaskSid}/Reservations/{Sid}";
        let form = &document["paths"][path]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"];
        let described: BTreeSet<&str> =
            form["schema"]["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(described, BTreeSet::from(KNOWN));
    }
}
