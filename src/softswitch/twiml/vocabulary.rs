//! The words of TwiML: which attributes each element has, and which of them have no effect here.
//!
//! Data only; `docs/phone.md` shows the same as a table, and a test compares both. Start with [`WORDS`].

/// Attributes of the callback that tells how a leg goes.
const STATUS_CALLBACK: &[&str] = &["statusCallback", "statusCallbackMethod", "statusCallbackEvent"];
const RECORDING_CALLBACK: &[&str] =
    &["recordingStatusCallback", "recordingStatusCallbackMethod", "recordingStatusCallbackEvent"];
const DETECTION: &[&str] =
    &["machineDetection", "machineDetectionTimeout", "amdStatusCallback", "amdStatusCallbackMethod"];
/// Fine tuning of the detection of machines, of which there is none to tune.
const DETECTION_TUNING: &[&str] =
    &["machineDetectionSpeechThreshold", "machineDetectionSpeechEndThreshold", "machineDetectionSilenceTimeout"];

/// What is known of an element.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) element: &'static str,
    /// Attributes that are followed, in groups.
    pub(super) followed: &'static [&'static [&'static str]],
    /// Attributes that have nothing to act on, for no sound flows and nobody checks passwords: accepted in silence.
    pub(super) accepted: &'static [&'static [&'static str]],
    /// Attributes that would matter but are not supported: a warning.
    pub(super) unsupported: &'static [&'static str],
}

const fn word(element: &'static str, followed: &'static [&'static [&'static str]]) -> Word {
    Word { element, followed, accepted: &[], unsupported: &[] }
}

/// All elements, verbs first.
pub(super) const WORDS: &[Word] = &[
    Word { accepted: &[&["voice", "language"]], ..word("Say", &[&["loop"]]) },
    word("Play", &[&["loop", "digits"]]),
    word("Pause", &[&["length"]]),
    Word {
        accepted: &[&[
            "language",
            "hints",
            "bargeIn",
            "profanityFilter",
            "speechModel",
            "enhanced",
            "debug",
            "maxSpeechTime",
            "speechTimeout",
        ]],
        unsupported: &["partialResultCallback", "partialResultCallbackMethod"],
        ..word(
            "Gather",
            &[&["action", "method", "timeout", "numDigits", "finishOnKey", "input", "actionOnEmptyResult"]],
        )
    },
    Word {
        accepted: &[&["playBeep"]],
        unsupported: &["transcribe", "transcribeCallback", "storageUrl", "storageUrlMethod"],
        ..word(
            "Record",
            &[
                &["action", "method", "timeout", "finishOnKey", "maxLength", "trim", "recordingTrack"],
                RECORDING_CALLBACK,
            ],
        )
    },
    Word {
        accepted: &[&["ringTone"]],
        unsupported: &["referUrl", "referMethod", "events"],
        ..word(
            "Dial",
            &[
                &[
                    "action",
                    "method",
                    "timeout",
                    "timeLimit",
                    "hangupOnStar",
                    "callerId",
                    "answerOnBridge",
                    "sequential",
                    "record",
                    "trim",
                    "recordingTrack",
                ],
                RECORDING_CALLBACK,
            ],
        )
    },
    word("Enqueue", &[&["action", "method", "waitUrl", "waitUrlMethod", "workflowSid"]]),
    word("Leave", &[]),
    word("Redirect", &[&["method"]]),
    word("Hangup", &[]),
    word("Reject", &[&["reason"]]),
    Word {
        accepted: &[DETECTION_TUNING],
        unsupported: &["byoc"],
        ..word("Number", &[&["url", "method", "sendDigits"], STATUS_CALLBACK, DETECTION])
    },
    word("Client", &[&["url", "method"], STATUS_CALLBACK]),
    Word {
        accepted: &[&["codecs", "username", "password"], DETECTION_TUNING],
        ..word("Sip", &[&["url", "method"], STATUS_CALLBACK, DETECTION])
    },
    Word {
        accepted: &[&["jitterBufferSize", "region"]],
        unsupported: &["recordingConfigurationId"],
        ..word(
            "Conference",
            &[
                &[
                    "muted",
                    "beep",
                    "startConferenceOnEnter",
                    "endConferenceOnExit",
                    "participantLabel",
                    "waitUrl",
                    "waitMethod",
                    "maxParticipants",
                    "record",
                    "trim",
                    "coach",
                    "eventCallbackUrl",
                ],
                STATUS_CALLBACK,
                RECORDING_CALLBACK,
            ],
        )
    },
    Word { unsupported: &["postWorkActivitySid"], ..word("Queue", &[&["url", "method", "reservationSid"]]) },
    word("Identity", &[]),
    word("Parameter", &[&["name", "value"]]),
];

/// How an attribute of an element is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    Unsupported,
    No,
}

pub(super) fn known(element: &str, attribute: &str) -> Known {
    let Some(word) = WORDS.iter().find(|word| word.element == element) else { return Known::Yes };
    let is_in = |groups: &[&[&str]]| groups.iter().any(|group| group.contains(&attribute));
    if is_in(word.followed) || is_in(word.accepted) {
        Known::Yes
    } else if word.unsupported.contains(&attribute) {
        Known::Unsupported
    } else {
        Known::No
    }
}
