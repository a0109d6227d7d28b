//! The forms of legs: an instruction's options in the phone system's words (`spec/voice.md` 3.6 and 5.3).
//!
//! Must not send anything. Start with [`participant`].

use super::transport::segment;
use crate::calls::{ConferenceOptions, HeardBy, LegUpdate, PhoneCommand, Role, dialable};
use crate::routing::{AccountSid, TaskSid};

/// Events of a leg that we ask for.
const CALL_EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];
/// Ring timeouts the Participants API takes, in seconds.
const RING_TIMEOUT_SECS: std::ops::RangeInclusive<u32> = 5..=600;

/// Owned pairs of literals.
pub(super) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The form of `POST Conferences/{room}/Participants`; empty for every other command.
pub(super) fn participant(public_url: &str, task: TaskSid, command: &PhoneCommand) -> Vec<(String, String)> {
    let PhoneCommand::AddParticipant { label, role, coach, to, from, options, .. } = command else {
        return Vec::new();
    };
    let to = dialable(to);
    let timeout = options.timeout_secs.clamp(*RING_TIMEOUT_SECS.start(), *RING_TIMEOUT_SECS.end()).to_string();
    let call_callback = format!("{public_url}/voice/cb/call/{task}/{}/{}", segment(label), role.as_str());
    let room_callback = format!("{public_url}/voice/cb/room/{task}");
    let mut form = pairs(&[
        ("From", from),
        ("To", &to),
        ("Label", label),
        ("Timeout", &timeout),
        ("Beep", &options.beep),
        ("Muted", flag(options.muted)),
        ("StartConferenceOnEnter", flag(options.start_conference_on_enter)),
        ("EndConferenceOnExit", flag(options.end_conference_on_exit)),
        ("EarlyMedia", flag(options.early_media)),
        ("StatusCallback", &call_callback),
        ("StatusCallbackMethod", "POST"),
        ("ConferenceStatusCallback", &room_callback),
        ("ConferenceStatusCallbackMethod", "POST"),
    ]);
    form.extend(CALL_EVENTS.iter().map(|event| ("StatusCallbackEvent".to_owned(), (*event).to_owned())));
    let events = options.room_events().into_iter();
    form.extend(events.map(|event| ("ConferenceStatusCallbackEvent".to_owned(), event.to_owned())));
    let max_participants = options.max_participants.map(|count| count.to_string());
    let is_sip = to.starts_with("sip:") || to.starts_with("sips:");
    // We ask for what is heard in the room, so that it is made even when the application does not answer. Silence is an
    // empty URL.
    let wait_url = options.wait_url.as_ref().map(|url| match url.as_str() {
        "" => String::new(),
        _ => format!("{public_url}/voice/tasks/{task}/room-wait"),
    });
    // The instruction's word for it is the phone system's `true`.
    let record = options.record.as_ref().map(|record| flag(record != "false").to_owned());
    let wait_method = wait_url.as_ref().filter(|url| !url.is_empty()).map(|_| "POST".to_owned());
    let optional = [
        ("WaitUrl", wait_url.as_ref()),
        ("WaitMethod", wait_method.as_ref()),
        ("MaxParticipants", max_participants.as_ref()),
        ("Record", record.as_ref()),
        ("RecordingChannels", options.recording_channels.as_ref()),
        ("ConferenceRecord", options.conference_record.as_ref()),
        ("ConferenceTrim", options.conference_trim.as_ref()),
        ("Region", options.region.as_ref()),
        ("SipAuthUsername", options.sip_auth_username.as_ref().filter(|_| is_sip)),
        ("SipAuthPassword", options.sip_auth_password.as_ref().filter(|_| is_sip)),
        ("JitterBufferSize", options.jitter_buffer_size.as_ref()),
    ];
    form.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone()))));
    let recording_callback = format!("{public_url}/voice/cb/rec/{task}/call");
    let room_recording_callback = format!("{public_url}/voice/cb/rec/{task}/conference");
    if options.tells_call_recordings() {
        form.extend(pairs(&[
            ("RecordingStatusCallback", &recording_callback),
            ("RecordingStatusCallbackMethod", "POST"),
        ]));
    }
    if options.tells_room_recordings() {
        form.extend(pairs(&[
            ("ConferenceRecordingStatusCallback", &room_recording_callback),
            ("ConferenceRecordingStatusCallbackMethod", "POST"),
        ]));
    }
    if let Some(call) = coach {
        form.extend(pairs(&[("Coaching", flag(true)), ("CallSidToCoach", &call.0)]));
    }
    form
}

/// The form of `POST Calls` for a leg whose document leads it into the room, where participants cannot be made; empty for
/// every other command. How it takes part is in the query of the document's URL; what the room is like, the room's first
/// instruction has said.
pub(super) fn joining_call(public_url: &str, task: TaskSid, command: &PhoneCommand) -> Vec<(String, String)> {
    let PhoneCommand::AddParticipant { label, role, coach, to, from, options, .. } = command else {
        return Vec::new();
    };
    let mut place = url::form_urlencoded::Serializer::new(String::new());
    place.extend_pairs([
        ("Label", label.as_str()),
        ("StartConferenceOnEnter", flag(options.start_conference_on_enter)),
        ("EndConferenceOnExit", flag(options.end_conference_on_exit)),
        ("Muted", flag(options.muted)),
        ("Beep", &options.beep),
    ]);
    if let Some(call) = coach {
        place.append_pair("CallSidToCoach", &call.0);
    }
    let url = format!("{public_url}/voice/tasks/{task}/join/{}?{}", role.as_str(), place.finish());
    placed(public_url, task, (label, *role), (from, to), &url, options)
}

/// The form of `POST Calls` for a leg that runs a document, the application's or our announcement; empty for every other command.
pub(super) fn call(public_url: &str, task: TaskSid, command: &PhoneCommand) -> Vec<(String, String)> {
    let PhoneCommand::PlaceCall { label, to, from, document, options, .. } = command else { return Vec::new() };
    let ours = || format!("{public_url}/voice/reservations/{}/whisper", segment(label));
    let url = document.as_ref().map_or_else(ours, |document| through_us(public_url, document.account, &document.url));
    placed(public_url, task, (label, Role::Worker), (from, to), &url, options)
}

/// The form of `POST Calls` for a leg that runs the document at `url`.
fn placed(
    public_url: &str,
    task: TaskSid,
    (label, role): (&str, Role),
    (from, to): (&str, &str),
    url: &str,
    options: &ConferenceOptions,
) -> Vec<(String, String)> {
    let to = dialable(to);
    let timeout = options.timeout_secs.clamp(*RING_TIMEOUT_SECS.start(), *RING_TIMEOUT_SECS.end()).to_string();
    let callback = format!("{public_url}/voice/cb/call/{task}/{}/{}", segment(label), role.as_str());
    let mut form = pairs(&[
        ("From", from),
        ("To", &to),
        ("Timeout", &timeout),
        ("Url", url),
        ("Method", "POST"),
        ("StatusCallback", &callback),
        ("StatusCallbackMethod", "POST"),
    ]);
    form.extend(CALL_EVENTS.iter().map(|event| ("StatusCallbackEvent".to_owned(), (*event).to_owned())));
    if options.record.as_ref().is_some_and(|record| record != "false") {
        form.extend(pairs(&[("Record", "true")]));
    }
    let is_sip = to.starts_with("sip:") || to.starts_with("sips:");
    let optional = [
        ("RecordingChannels", options.recording_channels.as_ref()),
        ("SipAuthUsername", options.sip_auth_username.as_ref().filter(|_| is_sip)),
        ("SipAuthPassword", options.sip_auth_password.as_ref().filter(|_| is_sip)),
    ];
    form.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone()))));
    if options.tells_call_recordings() {
        let callback = format!("{public_url}/voice/cb/rec/{task}/call");
        form.extend(pairs(&[("RecordingStatusCallback", &callback), ("RecordingStatusCallbackMethod", "POST")]));
    }
    form
}

/// The URL of ours that asks an application for a document, so that TaskRouter's verbs in it are carried out. Settings of
/// the connection, in the fragment, are for whoever asks us.
pub(super) fn through_us(public_url: &str, account: AccountSid, url: &str) -> String {
    let (target, fragment) = url.split_once('#').map_or((url, None), |(url, fragment)| (url, Some(fragment)));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("target", target)
        .append_pair("account", &account.to_string())
        .finish();
    let ours = format!("{public_url}/voice/proxy?{query}");
    fragment.map_or(ours.clone(), |fragment| format!("{ours}#{fragment}"))
}

/// The form of `POST Conferences/{room}/Participants/{leg}`: a leg on hold hears our hold document, or through us that of the
/// application, which gets it with the signature that it knows.
pub(super) fn update(public_url: &str, task: TaskSid, leg: &str, update: &LegUpdate) -> Vec<(String, String)> {
    let mut form = Vec::new();
    let mut set = |name: &str, value: &str| form.push((name.to_owned(), value.to_owned()));
    if let Some(hold) = update.hold {
        set("Hold", flag(hold));
        if hold {
            let ours = format!("{public_url}/voice/hold/{task}");
            let of_leg = || format!("{ours}?leg={}", segment(leg));
            set("HoldUrl", &update.hold_document().map_or_else(|| ours.clone(), |_| of_leg()));
            // The phone system's own default would be GET.
            set("HoldMethod", "POST");
        }
    }
    let flags = [
        ("Muted", update.muted),
        ("EndConferenceOnExit", update.end_conference_on_exit),
        ("BeepOnExit", update.beep_on_exit),
        ("Coaching", update.heard_by.as_ref().map(|heard_by| *heard_by != HeardBy::Everybody)),
    ];
    for (name, value) in flags {
        if let Some(value) = value {
            set(name, flag(value));
        }
    }
    if let Some(HeardBy::Only(call)) = &update.heard_by {
        set("CallSidToCoach", &call.0);
    }
    form
}

const fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
