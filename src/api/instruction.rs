//! Instructions for a reservation as they come: parameters of REST and of the agents' SDK, JSON of an application.
//!
//! All carriers are read into the same instruction, which the engine carries out; JSON keys are turned into the names of
//! REST first, so that there is one reader. It must not look at reservations. Start with `read` and [`of_answer`].

use serde_json::{Map, Value};

use super::error::ApiError;
use super::form::{Parameters, invalid};
use crate::calls::{ConferenceOptions, SuperviseMode};
use crate::engine::{AssignmentAnswer, Complaint, Consequence, ReservationInstruction, Supervision};
use crate::routing::ActivitySid;
use crate::routing::command::ReservationChange;

pub(super) const CALL_EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];
pub(super) const CONFERENCE_EVENTS: [&str; 9] =
    ["start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"];
pub(super) const DEQUEUE_RECORD: [&str; 2] = ["record-from-answer", "do-not-record"];
pub(super) const SUPERVISOR_MODES: [&str; 3] = ["monitor", "whisper", "barge"];
pub(super) const BEEPS: [&str; 4] = ["true", "false", "onEnter", "onExit"];
pub(super) const METHODS: [&str; 2] = ["GET", "POST"];

/// Codes of the alert log (`spec/rest.md` 6.3).
const REJECT_ACTIVITY: u32 = 40_100;
const CALL_FAILED: u32 = 40_113;
const REDIRECT_FAILED: u32 = 40_122;
const DEQUEUE_POST_WORK: u32 = 40_130;
const DEQUEUE_FAILED: u32 = 40_133;
const DEQUEUE_EVENTS: u32 = 40_134;
const DEQUEUE_CALLBACK: u32 = 40_157;
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
    if let Some(instruction) = form.filled("Instruction") {
        return match instruction.to_ascii_lowercase().as_str() {
            "accept" => change(ReservationChange::Accept),
            "reject" => change(reject().map_err(Defect::under(REJECT_ACTIVITY))?),
            "conference" => {
                check_post_work(form, multi_task)?;
                let options = conference_options(form).map_err(Defect::or_under(CONFERENCE_FAILED))?;
                Ok(Some(ReservationInstruction::Conference(Box::new(options))))
            }
            "dequeue" => {
                let options = dequeue_options(form, multi_task).map_err(Defect::or_under(DEQUEUE_FAILED))?;
                Ok(Some(ReservationInstruction::Conference(Box::new(options))))
            }
            "call" => Err(later("call", CALL_FAILED)),
            "redirect" => Err(later("redirect", REDIRECT_FAILED)),
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

fn later(instruction: &str, code: u32) -> Defect {
    Defect::under(code)(ApiError::unsupported(&format!("Instruction {instruction}")))
}

/// What an application's JSON object with an `instruction` means (`spec/events.md` 7.2 and 7.3).
#[must_use]
pub fn of_answer(answer: &Map<String, Value>, multi_task: bool) -> AssignmentAnswer {
    let form = parameters_of(answer);
    let rejects = form.filled("Instruction").is_some_and(|name| name.eq_ignore_ascii_case("reject"));
    let reject = ReservationInstruction::Change(ReservationChange::Reject { activity: None });
    let complaint = |code, message: String| vec![Complaint { code, message }];
    match read(&form, multi_task) {
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
    for (key, value) in answer.iter().filter(|(key, _)| *key != "instruction") {
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

fn check_post_work(form: &Parameters, multi_task: bool) -> Result<(), Defect> {
    if form.filled("PostWorkActivitySid").is_none() {
        return Ok(());
    }
    let error = if multi_task {
        ApiError::invalid("PostWorkActivitySid is not allowed in a workspace with MultiTaskEnabled")
    } else {
        ApiError::unsupported("PostWorkActivitySid")
    };
    Err(Defect::under(CONFERENCE_POST_WORK)(error))
}

/// Parameters of the conference instruction (TaskRouter: Update a Reservation).
fn conference_options(form: &Parameters) -> Result<ConferenceOptions, Defect> {
    let defaults = ConferenceOptions::default();
    let filled = |name| form.filled(name).map(str::to_owned);
    let word = |name, words| form.word(name, words).map(|word| word.map(str::to_owned));
    check_callbacks(form).map_err(Defect::under(CONFERENCE_CALLBACK))?;
    Ok(ConferenceOptions {
        to: filled("To"),
        from: filled("From"),
        timeout_secs: form.integer("Timeout", 1..=600)?.unwrap_or(defaults.timeout_secs),
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
        record: word("Record", &["true", "false", "record-from-answer"])?,
        recording_channels: word("RecordingChannels", &["mono", "dual"])?,
        conference_record: word("ConferenceRecord", &["true", "false", "record-from-start", "do-not-record"])?,
        conference_trim: word("ConferenceTrim", &["trim-silence", "do-not-trim"])?,
        region: filled("Region"),
        sip_auth_username: filled("SipAuthUsername"),
        sip_auth_password: filled("SipAuthPassword"),
        jitter_buffer_size: word("JitterBufferSize", &["small", "medium", "large", "off"])?,
        dequeue: false,
    })
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
        ..ConferenceOptions::default()
    })
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
    let activity = form.sid::<ActivitySid>("DequeuePostWorkActivitySid");
    // With several tasks at once a worker has no activity to go back to, so it is ignored there.
    if activity.map_err(Defect::under(DEQUEUE_POST_WORK))?.is_some() && !multi_task {
        return Err(Defect::under(DEQUEUE_POST_WORK)(ApiError::unsupported("DequeuePostWorkActivitySid")));
    }
    form.url("DequeueStatusCallbackUrl").map_err(Defect::under(DEQUEUE_CALLBACK))?;
    for name in ["DequeueStatusCallbackEvent", "DequeueStatusCallbackEvents"] {
        form.words(name, &CALL_EVENTS).map_err(Defect::under(DEQUEUE_EVENTS))?;
    }
    let defaults = ConferenceOptions::default();
    Ok(ConferenceOptions {
        to: filled("DequeueTo"),
        from: filled("DequeueFrom"),
        timeout_secs: form.integer("DequeueTimeout", 1..=999)?.unwrap_or(defaults.timeout_secs),
        record: form.word("DequeueRecord", &DEQUEUE_RECORD)?.filter(|word| *word != "do-not-record").map(str::to_owned),
        beep: "false".to_owned(),
        end_conference_on_exit: true,
        end_conference_on_customer_exit: true,
        dequeue: true,
        ..defaults
    })
}

/// Callbacks to the application are not relayed yet; mistakes in them are answered all the same.
fn check_callbacks(form: &Parameters) -> Result<(), ApiError> {
    for (name, method) in [
        ("StatusCallback", "StatusCallbackMethod"),
        ("RecordingStatusCallback", "RecordingStatusCallbackMethod"),
        ("ConferenceStatusCallback", "ConferenceStatusCallbackMethod"),
        ("ConferenceRecordingStatusCallback", "ConferenceRecordingStatusCallbackMethod"),
    ] {
        form.url(name)?;
        form.word(method, &METHODS)?;
    }
    form.words("StatusCallbackEvent", &CALL_EVENTS)?;
    form.words("ConferenceStatusCallbackEvent", &CONFERENCE_EVENTS)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> Parameters {
        Parameters::parse(text.as_bytes())
    }

    #[test]
    fn an_update_asks_for_a_status_or_an_instruction() {
        let activity = "WA0123456789abcdef0123456789abcdef";
        let change = |change| Some(ReservationInstruction::Change(change));
        let reject = |activity: Option<&str>| {
            change(ReservationChange::Reject { activity: activity.map(|sid| sid.parse().unwrap()) })
        };
        let conference = Some(ReservationInstruction::Conference(Box::default()));
        for (text, expected) in [
            ("", None),
            ("WorkerActivitySid=", None),
            ("ReservationStatus=accepted", change(ReservationChange::Accept)),
            ("ReservationStatus=wrapping", change(ReservationChange::Wrap)),
            ("ReservationStatus=completed", change(ReservationChange::Complete)),
            ("ReservationStatus=rejected", reject(None)),
            (&format!("ReservationStatus=rejected&WorkerActivitySid={activity}"), reject(Some(activity))),
            (&format!("Instruction=reject&WorkerActivitySid={activity}"), reject(Some(activity))),
            ("Instruction=accept", change(ReservationChange::Accept)),
            ("Instruction=Conference&ReservationStatus=completed", conference),
        ] {
            assert_eq!(read(&of(text), true), Ok(expected), "{text}");
        }
        for text in [
            "ReservationStatus=pending",
            "ReservationStatus=timeout",
            "ReservationStatus=rejected&WorkerActivitySid=WK1",
            "Instruction=dance",
            "Instruction=dequeue&DequeueTimeout=1000",
            "Instruction=call",
            "Instruction=redirect",
            "Instruction=supervise",
        ] {
            assert_eq!(read(&of(text), true).unwrap_err().error.code, 20001, "{text}");
        }
    }

    #[test]
    fn conference_parameters_have_the_documented_defaults() {
        assert_eq!(conference_options(&of("Instruction=conference")), Ok(ConferenceOptions::default()));
    }

    #[test]
    fn conference_parameters_are_read() {
        let text = "To=client:dana&From=%2B15550100&Timeout=20&Muted=true&Beep=onenter&StartConferenceOnEnter=false\
            &EndConferenceOnExit=true&EndConferenceOnCustomerExit=true&BeepOnCustomerEntrance=false&WaitUrl=\
            &WaitMethod=get&EarlyMedia=false&MaxParticipants=5&Record=record-from-answer&RecordingChannels=dual\
            &ConferenceRecord=record-from-start&ConferenceTrim=do-not-trim&Region=ie1&SipAuthUsername=u\
            &SipAuthPassword=p&JitterBufferSize=off&StatusCallback=https://a.example&StatusCallbackEvent=answered\
            &StatusCallbackEvent=ringing,completed&ConferenceStatusCallbackEvent=start%20end%20join";
        let expected = ConferenceOptions {
            to: Some("client:dana".to_owned()),
            from: Some("+15550100".to_owned()),
            timeout_secs: 20,
            muted: true,
            beep: "onEnter".to_owned(),
            start_conference_on_enter: false,
            end_conference_on_exit: true,
            end_conference_on_customer_exit: true,
            beep_on_customer_entrance: false,
            wait_url: Some(String::new()),
            wait_method: Some("GET".to_owned()),
            early_media: false,
            max_participants: Some(5),
            record: Some("record-from-answer".to_owned()),
            recording_channels: Some("dual".to_owned()),
            conference_record: Some("record-from-start".to_owned()),
            conference_trim: Some("do-not-trim".to_owned()),
            region: Some("ie1".to_owned()),
            sip_auth_username: Some("u".to_owned()),
            sip_auth_password: Some("p".to_owned()),
            jitter_buffer_size: Some("off".to_owned()),
            dequeue: false,
        };
        assert_eq!(conference_options(&of(text)), Ok(expected));
    }

    #[test]
    fn wrong_conference_parameters_are_named() {
        for (name, value) in [
            ("Timeout", "601"),
            ("Muted", "perhaps"),
            ("Beep", "loud"),
            ("WaitUrl", "music.mp3"),
            ("WaitMethod", "PUT"),
            ("MaxParticipants", "1"),
            ("StatusCallback", "ftp://a"),
            ("StatusCallbackEvent", "finished"),
            ("ConferenceStatusCallbackMethod", "HEAD"),
            ("ConferenceStatusCallbackEvent", "start,explode"),
            ("JitterBufferSize", "huge"),
        ] {
            let error = conference_options(&of(&format!("{name}={value}"))).unwrap_err().error;
            assert_eq!(error.code, 20001);
            assert!(error.message.starts_with(&format!("Invalid {name}: ")), "{}", error.message);
        }
    }

    fn answered(answer: &Value) -> AssignmentAnswer {
        of_answer(answer.as_object().unwrap(), true)
    }

    #[test]
    fn json_and_form_mean_the_same() {
        for (answer, form) in [
            (json!({ "instruction": "accept" }), "Instruction=accept"),
            (
                json!({ "instruction": "reject", "activity_sid": "WA0123456789abcdef0123456789abcdef" }),
                "Instruction=reject&WorkerActivitySid=WA0123456789abcdef0123456789abcdef",
            ),
            (
                json!({
                    "instruction": "conference", "from": "+15550100", "timeout": 20, "muted": true,
                    "end_conference_on_exit": "true", "early_media": "FALSE", "conference_record": false,
                    "wait_url": "", "status_callback_events": ["ringing", "answered"], "max_participants": "4",
                    "conference_status_callback_event": "start, end, join, leave", "region": null,
                    "reject_pending_reservations": true,
                }),
                "Instruction=conference&From=%2B15550100&Timeout=20&Muted=true&EndConferenceOnExit=true\
                 &EarlyMedia=false&ConferenceRecord=false&WaitUrl=&StatusCallbackEvent=ringing,answered\
                 &MaxParticipants=4&ConferenceStatusCallbackEvent=start,end,join,leave",
            ),
        ] {
            let instruction = read(&of(form), true).unwrap().unwrap();
            let expected =
                AssignmentAnswer { complaints: Vec::new(), consequence: Consequence::Instruction(instruction) };
            assert_eq!(answered(&answer), expected, "{form}");
        }
    }

    #[test]
    fn dequeue_connects_as_a_conference_that_ends_with_either_of_both() {
        let answer = json!({ "instruction": "dequeue", "to": "client:dana", "record": "record-from-answer" });
        let expected = ConferenceOptions {
            to: Some("client:dana".to_owned()),
            beep: "false".to_owned(),
            end_conference_on_exit: true,
            end_conference_on_customer_exit: true,
            record: Some("record-from-answer".to_owned()),
            dequeue: true,
            ..ConferenceOptions::default()
        };
        let instruction = ReservationInstruction::Conference(Box::new(expected));
        assert_eq!(answered(&answer).consequence, Consequence::Instruction(instruction));
    }

    #[test]
    fn answers_that_cannot_be_used_have_a_code_and_a_consequence() {
        let reject =
            Consequence::Instruction(ReservationInstruction::Change(ReservationChange::Reject { activity: None }));
        for (answer, code, consequence) in [
            (json!({ "instruction": "reject" }), 40_100, reject.clone()),
            (json!({ "instruction": "reject", "activity_sid": "Lunch" }), 40_100, reject),
            (json!({ "instruction": "dance" }), 55_555, Consequence::Nothing),
            (json!({ "instruction": 7 }), 55_555, Consequence::Nothing),
            (json!({ "instruction": "conference", "timeout": "soon" }), 40_145, Consequence::Cancel),
            (json!({ "instruction": "dequeue", "timeout": "soon" }), 40_133, Consequence::Cancel),
            (json!({ "instruction": "dequeue", "post_work_activity_sid": "Lunch" }), 40_130, Consequence::Cancel),
            (json!({ "instruction": "dequeue", "status_callback_events": "born" }), 40_134, Consequence::Cancel),
            (json!({ "instruction": "dequeue", "status_callback_url": "/here" }), 40_157, Consequence::Cancel),
            (json!({ "instruction": "call" }), 40_113, Consequence::Cancel),
            (json!({ "instruction": "redirect" }), 40_122, Consequence::Cancel),
            (json!({ "instruction": "supervise" }), 40_146, Consequence::Cancel),
            (json!({ "instruction": "conference", "status_callback": "/here" }), 40_159, Consequence::Cancel),
            (json!({ "instruction": "conference", "post_work_activity_sid": "WA1" }), 40_143, Consequence::Cancel),
        ] {
            let found = answered(&answer);
            assert_eq!(found.complaints.iter().map(|complaint| complaint.code).collect::<Vec<_>>(), [code], "{answer}");
            assert_eq!(found.consequence, consequence, "{answer}");
        }
    }
}
