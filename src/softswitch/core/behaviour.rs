//! How the far ends behave: what whoever is called, or calls, does by itself.
//!
//! Plain data that the control API sets; the defaults are in `docs/phone.md`. Start with [`Behaviour`].

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Who answers, as the detection of machines finds it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnsweredBy {
    Human,
    /// A machine; with `DetectMessageEnd` its message ends with a beep.
    Machine,
    /// A machine whose message ends with silence, or in another way.
    MachineEndSilence,
    MachineEndOther,
    Fax,
    Unknown,
}

/// How the far end of a leg behaves; times are milliseconds before the speed factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Behaviour {
    /// How long dialling takes before it rings.
    pub(crate) ring_after_ms: u32,
    /// How long it rings before somebody answers.
    pub(crate) answer_after_ms: u32,
    /// Busy instead of ringing.
    pub(crate) busy: bool,
    /// Rings until the caller's side gives up (or the control API answers).
    pub(crate) no_answer: bool,
    /// Declines while it rings, after `answer_after_ms`.
    pub(crate) reject: bool,
    /// Cannot be reached at all.
    pub(crate) unreachable: bool,
    /// Hangs up so long after the answer; a leg that calls in, after it was placed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hang_up_after_ms: Option<u32>,
    /// Hangs up so long after it was first connected with somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hang_up_after_talking_ms: Option<u32>,
    /// Pressed, one after the other, at the `<Gather>`s that the leg comes to.
    pub(crate) digits: String,
    /// How long after the beginning of a `<Gather>` the keys are pressed, or is spoken.
    pub(crate) digits_after_ms: u32,
    /// Said at the first `<Gather>` that listens to speech.
    pub(crate) says: String,
    /// How long it speaks at a `<Record>` before it falls silent; 0 says nothing.
    pub(crate) speaks_ms: u32,
    /// Who answers, for the detection of machines.
    pub(crate) answered_by: AnsweredBy,
    /// How long the detection takes.
    pub(crate) detected_after_ms: u32,
    /// REST refuses to call this address with this code; for a `<Dial>` it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refuse: Option<u32>,
    /// `ErrorCode` in the status callback of a call that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_code: Option<u32>,
    /// Headers of a SIP far end's answer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sip_headers: BTreeMap<String, String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            ring_after_ms: 100,
            answer_after_ms: 1_000,
            busy: false,
            no_answer: false,
            reject: false,
            unreachable: false,
            hang_up_after_ms: None,
            hang_up_after_talking_ms: None,
            digits: String::new(),
            digits_after_ms: 500,
            says: String::new(),
            speaks_ms: 3_000,
            answered_by: AnsweredBy::Human,
            detected_after_ms: 1_500,
            refuse: None,
            error_code: None,
            sip_headers: BTreeMap::new(),
        }
    }
}

/// Behaviour of an address: of its next calls one by one, then of all others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) next: VecDeque<Behaviour>,
    pub(crate) always: Option<Behaviour>,
}
