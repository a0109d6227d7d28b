//! What a leg or a room is made with over REST beside who is called: recording, keys to send, detection of machines.
//!
//! The same parameters for Calls and Participants. Start with [`options`].

use super::form::Form;
use crate::softswitch::core::{LegOptions, RecordingChange, RecordingStatus, Refusal};
use crate::softswitch::options::Method;
use crate::softswitch::twiml::{DETECTION_SECS, Detection, RecordingOrder, detection_mode, track, trims};

/// Keys that `SendDigits` may have (Twilio: at most 32).
const SEND_DIGITS_MAX: usize = 32;

/// Which of the two resources makes the leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Call,
    Participant,
}

pub(super) fn options(form: &Form, made: Made) -> Result<LegOptions, Refusal> {
    let recording = match form.flag("Record")? {
        Some(true) => Some(order(form, "OutboundAPI", "Recording")?),
        _ => None,
    };
    let keys = |text: &str| {
        let right = text.len() <= SEND_DIGITS_MAX
            && text.bytes().all(|key| key.is_ascii_digit() || b"*#wWABCDabcd,".contains(&key));
        right.then(|| text.to_owned())
    };
    Ok(LegOptions {
        send_digits: form.parsed("SendDigits", keys, "at most 32 of 0-9, *, #, w and W")?.unwrap_or_default(),
        recording,
        detection: detection(form, made)?,
    })
}

fn detection(form: &Form, made: Made) -> Result<Option<Detection>, Refusal> {
    let Some(until_message_end) = form.parsed("MachineDetection", detection_mode, "Enable or DetectMessageEnd")? else {
        return Ok(None);
    };
    let timeout = form.number("MachineDetectionTimeout")?.unwrap_or(DETECTION_SECS).clamp(3, 59);
    let (is_async, prefix) = match made {
        Made::Call => (form.flag("AsyncAmd")?.unwrap_or(false), "AsyncAmdStatusCallback"),
        Made::Participant => (true, "AmdStatusCallback"),
    };
    Ok(Some(Detection {
        until_message_end,
        is_async,
        timeout_ms: i64::from(timeout) * 1000,
        callback: form.target(prefix, &format!("{prefix}Method"), Method::Post)?,
    }))
}

/// What `<prefix>Channels`, `<prefix>Track`, `<prefix>StatusCallback…` and `Trim` ask for.
pub(super) fn order(form: &Form, source: &'static str, prefix: &str) -> Result<RecordingOrder, Refusal> {
    let channels = |text: &str| match text {
        "mono" => Some(false),
        "dual" => Some(true),
        _ => None,
    };
    Ok(RecordingOrder {
        source,
        is_dual: form.parsed(&format!("{prefix}Channels"), channels, "mono or dual")?.unwrap_or(false),
        from_ringing: false,
        track: form.parsed(&format!("{prefix}Track"), track, "inbound, outbound or both")?.unwrap_or("both"),
        trims: form.parsed("Trim", trims, "trim-silence or do-not-trim")?.unwrap_or(true),
        status_callback: form.status_callback(&format!("{prefix}StatusCallback"), &["completed"])?,
    })
}

/// The recording of a room that a participant brings along.
pub(super) fn room_recording(form: &Form) -> Result<Option<RecordingOrder>, Refusal> {
    let wanted = |text: &str| match text {
        "true" | "record-from-start" => Some(true),
        "false" | "do-not-record" => Some(false),
        _ => None,
    };
    let words = "true, false, record-from-start or do-not-record";
    if form.parsed("ConferenceRecord", wanted, words)? != Some(true) {
        return Ok(None);
    }
    let trims = form.parsed("ConferenceTrim", trims, "trim-silence or do-not-trim")?.unwrap_or(true);
    Ok(Some(RecordingOrder { trims, ..order(form, "Conference", "ConferenceRecording")? }))
}

pub(super) fn recording_change(form: &Form) -> Result<RecordingChange, Refusal> {
    let status = |text: &str| match text {
        "stopped" => Some(RecordingStatus::Completed),
        "paused" => Some(RecordingStatus::Paused),
        "in-progress" => Some(RecordingStatus::InProgress),
        _ => None,
    };
    let pause = |text: &str| match text {
        "silence" => Some(true),
        "skip" => Some(false),
        _ => None,
    };
    let to = form.parsed("Status", status, "stopped, paused or in-progress")?;
    Ok(RecordingChange {
        to: to.ok_or_else(|| Refusal::bad(20001, "Missing required parameter Status"))?,
        pause_is_silence: form.parsed("PauseBehavior", pause, "silence or skip")?.unwrap_or(true),
    })
}
