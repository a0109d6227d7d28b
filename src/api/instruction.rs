//! Instructions for a reservation as they come: parameters of REST and of the agents' SDK, JSON of an application.
//!
//! All carriers are read into the same instruction, which the engine carries out; JSON keys are turned into the names of
//! REST first, so that there is one reader. It must not look at reservations. Start with `read` and [`of_answer`].

mod room_name;
mod unknown;

use serde_json::{Map, Value};

use super::error::ApiError;
use super::form::{Parameters, invalid};
use crate::calls::{Announcement, CallSid, ConferenceOptions, ConnectBy, Subscription, SuperviseMode};
use crate::engine::{
    AssignmentAnswer, CallRedirect, Complaint, Consequence, ReservationInstruction, Supervision, WorkerCall,
};
use crate::routing::ActivitySid;
use crate::routing::command::ReservationChange;

pub(super) const CALL_EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];
pub(super) const CONFERENCE_EVENTS: [&str; 9] =
    ["start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"];
pub(super) const DEQUEUE_RECORD: [&str; 2] = ["record-from-answer", "do-not-record"];
pub(super) const CALL_RECORD: [&str; 4] = ["record-from-answer", "do-not-record", "true", "false"];
pub(super) const SUPERVISOR_MODES: [&str; 3] = ["monitor", "whisper", "barge"];
pub(super) const BEEPS: [&str; 4] = ["true", "false", "onEnter", "onExit"];
pub(super) const METHODS: [&str; 2] = ["GET", "POST"];
pub(super) const RECORD: [&str; 3] = ["true", "false", "record-from-answer"];

/// Codes of the alert log (`spec/rest.md` 6.3).
const REJECT_ACTIVITY: u32 = 40_100;
const CALL_FROM: u32 = 40_111;
const CALL_URL: u32 = 40_112;
const CALL_FAILED: u32 = 40_113;
const CALL_CALLBACK: u32 = 40_158;
const REDIRECT_URL: u32 = 40_120;
const REDIRECT_CALL: u32 = 40_121;
const REDIRECT_FAILED: u32 = 40_122;
const DEQUEUE_POST_WORK: u32 = 40_130;
const DEQUEUE_FAILED: u32 = 40_133;
const DEQUEUE_EVENTS: u32 = 40_134;
const DEQUEUE_CALLBACK: u32 = 40_157;
const CONFERENCE_POST_WORK_UNKNOWN: u32 = 40_139;
const CONFERENCE_POST_WORK: u32 = 40_143;
const CONFERENCE_FAILED: u32 = 40_145;
const SUPERVISE_STATE: u32 = 40_146;
const CONFERENCE_CALLBACK: u32 = 40_159;
const UNKNOWN_INSTRUCTION: u32 = 55_555;

/// What is wrong with an instruction, for whoever sent it and for the alert log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Defect {
    pub(super) error: ApiError,
    /// Code of the alert; changes of status alone have none.
    pub(super) code: Option<u32>,
}

impl From<ApiError> for Defect {
    fn from(error: ApiError) -> Self {
        Self { error, code: None }
    }
}

impl Defect {
    fn under(code: u32) -> impl Fn(ApiError) -> Self {
        move |error| Self { error, code: Some(code) }
    }

    /// The same, under `code` unless it has a code already.
    fn or_under(code: u32) -> impl Fn(Self) -> Self {
        move |defect| Self { code: defect.code.or(Some(code)), ..defect }
    }
}

/// What an update of a reservation asks for, if anything; in a workspace with `multi_task` or without.
pub(super) fn read(form: &Parameters, multi_task: bool) -> Result<Option<ReservationInstruction>, Defect> {
    let change = |change| Ok(Some(ReservationInstruction::Change(change)));
    let reject = || Ok(ReservationChange::Reject { activity: form.sid("WorkerActivitySid")? });
    unknown::tell(form);
    if let Some(instruction) = form.filled("Instruction") {
        return match instruction.to_ascii_lowercase().as_str() {
            "accept" => change(ReservationChange::Accept),
            "reject" => change(reject().map_err(Defect::under(REJECT_ACTIVITY))?),
            "conference" => {
                let post_work_activity = post_work(form, multi_task)?;
                let options = conference_options(form).map_err(Defect::or_under(CONFERENCE_FAILED))?;
                let options = ConferenceOptions { post_work_activity, ..options };
                Ok(Some(ReservationInstruction::Conference(Box::new(options))))
            }
            "dequeue" => {
                let options = dequeue_options(form, multi_task).map_err(Defect::or_under(DEQUEUE_FAILED))?;
                Ok(Some(ReservationInstruction::Conference(Box::new(options))))
            }
            "call" => {
                let call = worker_call(form).map_err(Defect::or_under(CALL_FAILED))?;
                Ok(Some(ReservationInstruction::Call(Box::new(call))))
            }
            "redirect" => {
                let redirect = call_redirect(form).map_err(Defect::or_under(REDIRECT_FAILED))?;
                Ok(Some(ReservationInstruction::Redirect(Box::new(redirect))))
            }
            "supervise" => Ok(Some(ReservationInstruction::Supervise(Box::new(
                supervision(form).map_err(Defect::or_under(SUPERVISE_STATE))?,
            )))),
            _ => Err(Defect::under(UNKNOWN_INSTRUCTION)(invalid("Instruction", instruction, "a known instruction"))),
        };
    }
    let Some(status) = form.filled("ReservationStatus") else { return Ok(None) };
    match form.word("ReservationStatus", &["accepted", "rejected", "wrapping", "completed"])? {
        Some("accepted") => change(ReservationChange::Accept),
        Some("rejected") => change(reject()?),
        Some("wrapping") => change(ReservationChange::Wrap),
        Some("completed") => change(ReservationChange::Complete),
        _ => Err(invalid("ReservationStatus", status, "a status that can be asked for").into()),
    }
}

/// What an application's JSON object with an `instruction` means (`spec/events.md` 7.2 and 7.3).
#[must_use]
pub fn of_answer(answer: &Map<String, Value>, multi_task: bool) -> AssignmentAnswer {
    let form = parameters_of(answer);
    let rejects = form.filled("Instruction").is_some_and(|name| name.eq_ignore_ascii_case("reject"));
    let reject = ReservationInstruction::Change(ReservationChange::Reject { activity: None });
    let complaint = |code, message: String| vec![Complaint { code, message }];
    let instruction = read(&form, multi_task).and_then(|instruction| room_name::add(instruction, answer));
    match instruction {
        Ok(Some(instruction)) if instruction == reject => AssignmentAnswer {
            complaints: complaint(REJECT_ACTIVITY, "reject: activity_sid is missing".to_owned()),
            consequence: Consequence::Instruction(instruction),
        },
        Ok(Some(instruction)) => {
            AssignmentAnswer { complaints: Vec::new(), consequence: Consequence::Instruction(instruction) }
        }
        Ok(None) => AssignmentAnswer {
            complaints: complaint(UNKNOWN_INSTRUCTION, "the instruction is not a text".to_owned()),
            consequence: Consequence::Nothing,
        },
        Err(defect) => AssignmentAnswer {
            consequence: match defect.code {
                Some(UNKNOWN_INSTRUCTION) => Consequence::Nothing,
                _ if rejects => Consequence::Instruction(reject),
                _ => Consequence::Cancel,
            },
            complaints: complaint(defect.code.unwrap_or(UNKNOWN_INSTRUCTION), defect.error.message),
        },
    }
}

/// The same under the names that REST has for them.
fn parameters_of(answer: &Map<String, Value>) -> Parameters {
    let instruction = answer.get("instruction").and_then(Value::as_str).unwrap_or_default();
    let prefix = match instruction.to_ascii_lowercase().as_str() {
        "dequeue" => "Dequeue",
        "call" => "Call",
        "redirect" => "Redirect",
        _ => "",
    };
    let mut pairs = vec![("Instruction".to_owned(), instruction.to_owned())];
    // REST has no name for the room's name.
    let in_rest = |key: &str| !matches!(key, "instruction" | "room_name");
    for (key, value) in answer.iter().filter(|(key, _)| in_rest(key)) {
        let name = match key.as_str() {
            "activity_sid" => "WorkerActivitySid".to_owned(),
            // Both forms are seen in the wild.
            "status_callback_events" | "conference_status_callback_events" => {
                format!("{prefix}{}", pascal_case(key.trim_end_matches('s')))
            }
            _ => format!("{prefix}{}", pascal_case(key)),
        };
        let values = match value {
            Value::Array(values) => values.as_slice(),
            single => std::slice::from_ref(single),
        };
        pairs.extend(values.iter().filter_map(text_of).map(|text| (name.clone(), text)));
    }
    Parameters::of_pairs(pairs)
}

fn pascal_case(key: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    key.split('_').map(word).collect()
}

/// Booleans and numbers mean the same as text and by themselves.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn post_work(form: &Parameters, multi_task: bool) -> Result<Option<ActivitySid>, Defect> {
    if multi_task && form.filled("PostWorkActivitySid").is_some() {
        let error = ApiError::invalid("PostWorkActivitySid is not allowed in a workspace with MultiTaskEnabled");
        return Err(Defect::under(CONFERENCE_POST_WORK)(error));
    }
    form.sid("PostWorkActivitySid").map_err(Defect::under(CONFERENCE_POST_WORK_UNKNOWN))
}

/// Parameters of the conference instruction (TaskRouter: Update a Reservation).
fn conference_options(form: &Parameters) -> Result<ConferenceOptions, Defect> {
    let defaults = ConferenceOptions::default();
    let filled = |name| form.filled(name).map(str::to_owned);
    let word = |name, words| form.word(name, words).map(|word| word.map(str::to_owned));
    let told = |name, method, events, words: &[&'static str], absent: &[&str]| {
        subscription(form, (name, method), events, words, absent).map_err(Defect::under(CONFERENCE_CALLBACK))
    };
    Ok(ConferenceOptions {
        to: filled("To"),
        from: filled("From"),
        room_name: None,
        // What the phone system does not take, it is not asked for: it rings for 600 seconds at most.
        timeout_secs: form.integer("Timeout", 1..=999)?.unwrap_or(defaults.timeout_secs),
        muted: form.boolean("Muted")?.unwrap_or(defaults.muted),
        beep: word("Beep", &BEEPS)?.unwrap_or(defaults.beep),
        start_conference_on_enter: form
            .boolean("StartConferenceOnEnter")?
            .unwrap_or(defaults.start_conference_on_enter),
        end_conference_on_exit: form.boolean("EndConferenceOnExit")?.unwrap_or(defaults.end_conference_on_exit),
        end_conference_on_customer_exit: form
            .boolean("EndConferenceOnCustomerExit")?
            .unwrap_or(defaults.end_conference_on_customer_exit),
        beep_on_customer_entrance: form
            .boolean("BeepOnCustomerEntrance")?
            .unwrap_or(defaults.beep_on_customer_entrance),
        // An empty address is silence, not the default music.
        wait_url: form.url("WaitUrl")?,
        wait_method: word("WaitMethod", &METHODS)?,
        early_media: form.boolean("EarlyMedia")?.unwrap_or(defaults.early_media),
        max_participants: form.integer("MaxParticipants", 2..=250)?,
        record: word("Record", &RECORD)?,
        recording_channels: word("RecordingChannels", &["mono", "dual"])?,
        conference_record: word("ConferenceRecord", &["true", "false", "record-from-start", "do-not-record"])?,
        conference_trim: word("ConferenceTrim", &["trim-silence", "do-not-trim"])?,
        region: filled("Region"),
        sip_auth_username: filled("SipAuthUsername"),
        sip_auth_password: filled("SipAuthPassword"),
        jitter_buffer_size: word("JitterBufferSize", &["small", "medium", "large", "off"])?,
        status_callback: call_callback(form).map_err(Defect::under(CONFERENCE_CALLBACK))?,
        recording_status_callback: recording_callback(form).map_err(Defect::under(CONFERENCE_CALLBACK))?,
        conference_status_callback: told(
            "ConferenceStatusCallback",
            "ConferenceStatusCallbackMethod",
            Some("ConferenceStatusCallbackEvent"),
            &CONFERENCE_EVENTS,
            &["start", "end"],
        )?,
        conference_recording_status_callback: told(
            "ConferenceRecordingStatusCallback",
            "ConferenceRecordingStatusCallbackMethod",
            None,
            &[],
            &["completed"],
        )?,
        whisper: None,
        announcement: announcement(form, ("Whisper", "AcceptKey"))?,
        post_work_activity: None,
        by: ConnectBy::Conference,
    })
}

/// Longest text that a worker hears before the caller, in characters.
pub(super) const WHISPER_LIMIT: usize = 1_000;
/// The keys of a telephone.
pub(super) const KEYS: [&str; 12] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#"];

/// What the worker hears before being connected, and the key that takes the call.
fn announcement(
    form: &Parameters,
    (whisper, accept_key): (&'static str, &'static str),
) -> Result<Option<Announcement>, ApiError> {
    let text = form.filled(whisper).map(str::to_owned);
    if text.as_ref().is_some_and(|text| text.chars().count() > WHISPER_LIMIT) {
        return Err(ApiError::invalid(format!("Invalid {whisper}: longer than {WHISPER_LIMIT} characters")));
    }
    let key = form.word(accept_key, &KEYS)?.map(str::to_owned);
    Ok((text.is_some() || key.is_some()).then_some(Announcement { text, key }))
}

/// Options of a third party's leg: those of the conference instruction that are about one leg alone.
pub(super) fn leg_options(form: &Parameters) -> Result<ConferenceOptions, ApiError> {
    let defaults = ConferenceOptions::default();
    let filled = |name| form.filled(name).map(str::to_owned);
    Ok(ConferenceOptions {
        from: filled("From"),
        timeout_secs: form.integer("Timeout", 1..=600)?.unwrap_or(defaults.timeout_secs),
        muted: form.boolean("Muted")?.unwrap_or(defaults.muted),
        beep: form.word("Beep", &BEEPS)?.map_or(defaults.beep, str::to_owned),
        end_conference_on_exit: form.boolean("EndConferenceOnExit")?.unwrap_or(defaults.end_conference_on_exit),
        early_media: form.boolean("EarlyMedia")?.unwrap_or(defaults.early_media),
        sip_auth_username: filled("SipAuthUsername"),
        sip_auth_password: filled("SipAuthPassword"),
        record: form.word("Record", &RECORD)?.map(str::to_owned),
        recording_channels: form.word("RecordingChannels", &["mono", "dual"])?.map(str::to_owned),
        status_callback: call_callback(form)?,
        recording_status_callback: recording_callback(form)?,
        ..ConferenceOptions::default()
    })
}

/// Who is told of the progress of a leg's call.
fn call_callback(form: &Parameters) -> Result<Option<Subscription>, ApiError> {
    let names = ("StatusCallback", "StatusCallbackMethod");
    subscription(form, names, Some("StatusCallbackEvent"), &CALL_EVENTS, &["completed"])
}

/// Who is told of the recording of a leg's call.
fn recording_callback(form: &Parameters) -> Result<Option<Subscription>, ApiError> {
    subscription(form, ("RecordingStatusCallback", "RecordingStatusCallbackMethod"), None, &[], &["completed"])
}

/// Who takes part in the conversation, and how; options of the leg are those of the conference instruction.
fn supervision(form: &Parameters) -> Result<Supervision, Defect> {
    let supervisor = form.sid("Supervisor")?.ok_or_else(|| ApiError::missing("Supervisor"))?;
    let mode = match form.word("SupervisorMode", &SUPERVISOR_MODES)? {
        Some("whisper") => SuperviseMode::Whisper,
        Some("barge") => SuperviseMode::Barge,
        _ => SuperviseMode::Monitor,
    };
    Ok(Supervision { supervisor, mode, options: conference_options(form)? })
}

/// Parameters of the dequeue instruction: the worker is connected as by a conference that ends with either of both
/// (`spec/voice.md` 3.3).
fn dequeue_options(form: &Parameters, multi_task: bool) -> Result<ConferenceOptions, Defect> {
    let filled = |name| form.filled(name).map(str::to_owned);
    let activity = form.sid("DequeuePostWorkActivitySid").map_err(Defect::under(DEQUEUE_POST_WORK))?;
    let url = form.url("DequeueStatusCallbackUrl").map_err(Defect::under(DEQUEUE_CALLBACK))?;
    let mut events = Vec::new();
    for name in ["DequeueStatusCallbackEvent", "DequeueStatusCallbackEvents"] {
        events.extend(form.words(name, &CALL_EVENTS).map_err(Defect::under(DEQUEUE_EVENTS))?);
    }
    let events = words_of(if events.is_empty() { &["completed"] } else { &events });
    let told = |url| Subscription { url, by_get: true, events, names_caller: true };
    let defaults = ConferenceOptions::default();
    Ok(ConferenceOptions {
        to: filled("DequeueTo"),
        from: filled("DequeueFrom"),
        timeout_secs: form.integer("DequeueTimeout", 1..=999)?.unwrap_or(defaults.timeout_secs),
        record: form.word("DequeueRecord", &DEQUEUE_RECORD)?.filter(|word| *word != "do-not-record").map(str::to_owned),
        beep: "false".to_owned(),
        end_conference_on_exit: true,
        end_conference_on_customer_exit: true,
        status_callback: url.filter(|url| !url.is_empty()).map(told),
        // With several tasks at once a worker has no activity to go back to, so it is ignored there.
        post_work_activity: activity.filter(|_| !multi_task),
        announcement: announcement(form, ("DequeueWhisper", "DequeueAcceptKey"))?,
        by: ConnectBy::Dequeue,
        ..defaults
    })
}

/// Longest identifier of a call, in bytes.
const CALL_SID_LIMIT: usize = 128;

/// Parameters of the call instruction: the worker's leg runs a document, and the room that the document may lead it into
/// ends with either of both (`spec/voice.md` 3.4).
fn worker_call(form: &Parameters) -> Result<WorkerCall, Defect> {
    let filled = |name| form.filled(name).map(str::to_owned);
    let defaults = ConferenceOptions::default();
    let from = form.required("CallFrom").map_err(Defect::under(CALL_FROM))?;
    let told = form.url("CallStatusCallbackUrl").map_err(Defect::under(CALL_CALLBACK))?.filter(|url| !url.is_empty());
    let told =
        told.map(|url| Subscription { url, by_get: false, events: vec!["completed".to_owned()], names_caller: false });
    let records = form.word("CallRecord", &CALL_RECORD)?.filter(|word| !matches!(*word, "false" | "do-not-record"));
    Ok(WorkerCall {
        url: document(form, "CallUrl").map_err(Defect::under(CALL_URL))?,
        accept: form.boolean("CallAccept")?.unwrap_or(false),
        options: ConferenceOptions {
            to: filled("CallTo"),
            from: Some(from),
            timeout_secs: form.integer("CallTimeout", 1..=999)?.unwrap_or(defaults.timeout_secs),
            record: records.map(str::to_owned),
            beep: "false".to_owned(),
            end_conference_on_exit: true,
            beep_on_customer_entrance: false,
            status_callback: told,
            by: ConnectBy::Call,
            ..defaults
        },
    })
}

/// Parameters of the redirect instruction (`spec/voice.md` 3.5).
fn call_redirect(form: &Parameters) -> Result<CallRedirect, Defect> {
    let call = form.required("RedirectCallSid").map_err(Defect::under(REDIRECT_CALL))?;
    if call.len() > CALL_SID_LIMIT {
        return Err(Defect::under(REDIRECT_CALL)(invalid("RedirectCallSid", &call, "the SID of a call")));
    }
    Ok(CallRedirect {
        call: CallSid(call),
        url: document(form, "RedirectUrl").map_err(Defect::under(REDIRECT_URL))?,
        accept: form.boolean("RedirectAccept")?.unwrap_or(false),
        of_sibling: false,
    })
}

/// The URL of a document, which must be there.
fn document(form: &Parameters, name: &'static str) -> Result<String, ApiError> {
    form.url(name)?.filter(|url| !url.is_empty()).ok_or_else(|| ApiError::missing(name))
}

/// A URL that is to be told of events, and of which; those of `absent` unless the list says otherwise. Mistakes are answered
/// even without a URL.
fn subscription(
    form: &Parameters,
    (name, method): (&'static str, &'static str),
    events: Option<&'static str>,
    words: &[&'static str],
    absent: &[&str],
) -> Result<Option<Subscription>, ApiError> {
    let url = form.url(name)?.filter(|url| !url.is_empty());
    let by_get = form.word(method, &METHODS)? == Some("GET");
    let mut wanted = events.map_or(Ok(Vec::new()), |events| form.words(events, words))?;
    if wanted.is_empty() {
        wanted = absent.to_vec();
    }
    let events = words_of(&wanted);
    Ok(url.map(|url| Subscription { url, by_get, events, names_caller: false }))
}

/// Each word once, in order.
fn words_of(words: &[&str]) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        if !distinct.iter().any(|known| known == word) {
            distinct.push((*word).to_owned());
        }
    }
    distinct
}

#[cfg(test)]
mod tests;
