//! From method, path and parameters to a [`Request`]: the Calls, Conferences, Participants and Queues of Twilio's REST.
//!
//! Parameters that the phone system has no use for (codecs, regions, caller ID lookups) are accepted and ignored. Start
//! with [`request`].

use std::sync::Arc;

use super::form::Form;
use super::leg::{self, Made};
use crate::softswitch::core::{
    CallFilter, CallStatus, CallUpdate, NewCall, NewParticipant, ParticipantUpdate, QUEUE_SIZE_DEFAULT, QUEUE_SIZE_MAX,
    RecordingsOf, Refusal, Request, RoomStatus, Source, can_be_called,
};
use crate::softswitch::options::Method;
use crate::softswitch::twiml::{Document, RoomEntry, beeps_on_exit};

const TWIML_CHARS_MAX: usize = 4_000;
const TIME_LIMIT_SECS: u32 = 14_400;
/// A caller ID that is never accepted (Twilio: magic numbers of test credentials).
const NUMBER_NOT_OURS: &str = "+15005550001";

/// Reads a request below `/2010-04-01/Accounts/{sid}/`; `path` is already split and decoded, without `.json`.
pub(super) fn request(method: &str, path: &[&str], form: &Form) -> Result<Request, Refusal> {
    let owned = |text: &&str| (*text).to_owned();
    Ok(match (method, path) {
        ("POST", ["Calls"]) => Request::CreateCall(Box::new(new_call(form)?)),
        ("GET", ["Calls"]) => Request::ListCalls(call_filter(form)?, form.page()?),
        ("GET", ["Calls", sid]) => Request::GetCall { sid: owned(sid) },
        ("POST", ["Calls", sid]) => Request::UpdateCall { sid: owned(sid), update: Box::new(call_update(form)?) },
        ("DELETE", ["Calls", sid]) => Request::DeleteCall { sid: owned(sid) },
        ("GET", ["Conferences"]) => Request::ListRooms {
            name: form.owned("FriendlyName"),
            status: form.parsed("Status", room_status, "init, in-progress or completed")?,
            created: form.span("DateCreated")?,
            updated: form.span("DateUpdated")?,
            page: form.page()?,
        },
        ("GET", ["Conferences", sid]) => Request::GetRoom { sid: owned(sid) },
        ("POST", ["Conferences", sid]) => {
            let ends = form.parsed("Status", |text| (text == "completed").then_some(()), "completed")?;
            match ends {
                Some(()) => Request::EndRoom { sid: owned(sid) },
                None => match form.target("AnnounceUrl", "AnnounceMethod", Method::Post)? {
                    Some(target) => Request::AnnounceInRoom { sid: owned(sid), target },
                    None => Request::GetRoom { sid: owned(sid) },
                },
            }
        }
        ("POST", ["Conferences", room, "Participants"]) => {
            Request::AddParticipant { room: owned(room), new: Box::new(new_participant(form)?) }
        }
        ("GET", ["Conferences", room, "Participants"]) => Request::ListParticipants {
            room: owned(room),
            muted: form.flag("Muted")?,
            hold: form.flag("Hold")?,
            coaching: form.flag("Coaching")?,
            page: form.page()?,
        },
        ("GET", ["Conferences", room, "Participants", who]) => {
            Request::GetParticipant { room: owned(room), who: owned(who) }
        }
        ("POST", ["Conferences", room, "Participants", who]) => Request::UpdateParticipant {
            room: owned(room),
            who: owned(who),
            update: Box::new(participant_update(form)?),
        },
        ("DELETE", ["Conferences", room, "Participants", who]) => {
            Request::RemoveParticipant { room: owned(room), who: owned(who) }
        }
        ("POST", ["Queues"]) => Request::CreateQueue {
            name: queue_name(form)?.unwrap_or_default(),
            size_max: queue_size(form)?.unwrap_or(QUEUE_SIZE_DEFAULT),
        },
        ("GET", ["Queues"]) => Request::ListQueues(form.page()?),
        ("GET", ["Queues", sid]) => Request::GetQueue { sid: owned(sid) },
        ("POST", ["Queues", sid]) => {
            Request::UpdateQueue { sid: owned(sid), name: queue_name_if_given(form)?, size_max: queue_size(form)? }
        }
        ("DELETE", ["Queues", sid]) => Request::DeleteQueue { sid: owned(sid) },
        ("GET", ["Queues", queue, "Members"]) => Request::ListMembers { queue: owned(queue), page: form.page()? },
        ("GET", ["Queues", queue, "Members", who]) => Request::GetMember { queue: owned(queue), who: owned(who) },
        ("POST", ["Queues", queue, "Members", who]) => {
            let to = form.target("Url", "Method", Method::Post)?;
            let to = to.ok_or_else(|| Refusal::bad(21205, "Missing required parameter Url"))?;
            Request::RedirectMember { queue: owned(queue), who: owned(who), to }
        }
        ("POST", ["Calls", call, "Recordings"]) => Request::StartRecording {
            call: owned(call),
            order: Box::new(leg::order(form, "StartCallRecordingAPI", "Recording")?),
        },
        (method, [of @ ("Calls" | "Conferences"), parent, "Recordings", rest @ ..]) if rest.len() <= 1 => {
            let of = match *of {
                "Calls" => RecordingsOf::Call(owned(parent)),
                _ => RecordingsOf::Room(owned(parent)),
            };
            recordings(method, of, rest.first().copied(), form)?
        }
        (method, ["Recordings", rest @ ..]) if rest.len() <= 1 && (method != "POST" || rest.is_empty()) => {
            let of = RecordingsOf::Anything { call: form.owned("CallSid"), room: form.owned("ConferenceSid") };
            recordings(method, of, rest.first().copied(), form)?
        }
        (_, ["Calls" | "Conferences" | "Queues" | "Recordings", ..]) if path.len() <= 4 => {
            return Err(Refusal::new(405, 20004, "Method not allowed"));
        }
        _ => return Err(Refusal::not_found(&path.join("/"))),
    })
}

fn recordings(method: &str, of: RecordingsOf, sid: Option<&str>, form: &Form) -> Result<Request, Refusal> {
    Ok(match (method, sid.map(str::to_owned)) {
        ("GET", None) => Request::ListRecordings { of, created: form.span("DateCreated")?, page: form.page()? },
        ("GET", Some(sid)) => Request::GetRecording { of, sid },
        ("POST", Some(sid)) => Request::UpdateRecording { of, sid, change: leg::recording_change(form)? },
        ("DELETE", Some(sid)) => Request::DeleteRecording { of, sid },
        _ => return Err(Refusal::new(405, 20004, "Method not allowed")),
    })
}

/// The far end sees `CallerId` where there is one.
fn caller(form: &Form) -> Result<String, Refusal> {
    let from = form.required("From", 21213)?;
    if from == NUMBER_NOT_OURS {
        return Err(Refusal::bad(21212, format!("The From phone number {from} is not a valid caller ID")));
    }
    Ok(form.owned("CallerId").unwrap_or(from))
}

fn new_call(form: &Form) -> Result<NewCall, Refusal> {
    let to = address(form.required("To", 21201)?, 21211, "To")?;
    let from = caller(form)?;
    let document = source(form)?.ok_or_else(|| Refusal::bad(21205, "Url or Twiml is required"))?;
    Ok(NewCall {
        from,
        to,
        document,
        fallback: form.target("FallbackUrl", "FallbackMethod", Method::Post)?,
        status_callback: form.status_callback("StatusCallback", &["completed"])?,
        timeout_secs: ring_timeout(form)?,
        time_limit_secs: form.number("TimeLimit")?.unwrap_or(TIME_LIMIT_SECS),
        options: leg::options(form, Made::Call)?,
    })
}

/// `Url` wins over `Twiml` (Twilio: create a call).
fn source(form: &Form) -> Result<Option<Source>, Refusal> {
    if let Some(target) = form.target("Url", "Method", Method::Post)? {
        return Ok(Some(Source::Ask(target)));
    }
    let Some(text) = form.text("Twiml") else { return Ok(None) };
    if text.chars().count() > TWIML_CHARS_MAX {
        return Err(Refusal::bad(21218, "Twiml has more than 4000 characters"));
    }
    let document = Document::parse(text, None).map_err(|error| Refusal::bad(error.code, error.message))?;
    Ok(Some(Source::Inline(Arc::new(document))))
}

fn ring_timeout(form: &Form) -> Result<u32, Refusal> {
    Ok(form.number("Timeout")?.unwrap_or(60).clamp(5, 600))
}

/// Telephone numbers, clients and SIP addresses can be called.
fn address(text: String, code: u32, name: &str) -> Result<String, Refusal> {
    if can_be_called(&text) {
        Ok(text)
    } else {
        Err(Refusal::bad(code, format!("{name} is not a valid phone number, client or SIP address")))
    }
}

fn call_update(form: &Form) -> Result<CallUpdate, Refusal> {
    Ok(CallUpdate {
        document: source(form)?,
        status: form.parsed(
            "Status",
            |text| call_status(text).filter(|status| matches!(status, CallStatus::Canceled | CallStatus::Completed)),
            "canceled or completed",
        )?,
        fallback: form.target("FallbackUrl", "FallbackMethod", Method::Post)?,
        status_callback: form.target("StatusCallback", "StatusCallbackMethod", Method::Post)?,
        time_limit_secs: form.number("TimeLimit")?,
    })
}

fn call_status(text: &str) -> Option<CallStatus> {
    [
        CallStatus::Queued,
        CallStatus::Ringing,
        CallStatus::InProgress,
        CallStatus::Completed,
        CallStatus::Busy,
        CallStatus::Failed,
        CallStatus::NoAnswer,
        CallStatus::Canceled,
    ]
    .into_iter()
    .find(|status| status.text() == text)
}

fn room_status(text: &str) -> Option<RoomStatus> {
    [RoomStatus::Init, RoomStatus::InProgress, RoomStatus::Completed].into_iter().find(|status| status.text() == text)
}

fn call_filter(form: &Form) -> Result<CallFilter, Refusal> {
    Ok(CallFilter {
        from: form.owned("From"),
        to: form.owned("To"),
        parent_sid: form.owned("ParentCallSid"),
        status: form.parsed("Status", call_status, "a call status")?,
        started: form.span("StartTime")?,
        ended: form.span("EndTime")?,
    })
}

fn new_participant(form: &Form) -> Result<NewParticipant, Refusal> {
    let to = address(form.required("To", 21201)?, 21211, "To")?;
    let from = caller(form)?;
    let entry = RoomEntry {
        label: form.owned("Label"),
        muted: form.flag("Muted")?.unwrap_or(false),
        start_on_enter: form.flag("StartConferenceOnEnter")?.unwrap_or(true),
        end_on_exit: form.flag("EndConferenceOnExit")?.unwrap_or(false),
        beep_on_exit: form.parsed("Beep", beeps_on_exit, "true, false, onEnter or onExit")?.unwrap_or(true),
        wait: form.target("WaitUrl", "WaitMethod", Method::Post)?,
        participants_max: form
            .number("MaxParticipants")?
            .map_or(250, |count| usize::try_from(count.clamp(2, 250)).unwrap_or(250)),
        coach: form.owned("CallSidToCoach"),
        status_callback: form.status_callback("ConferenceStatusCallback", &["start", "end"])?,
        recording: leg::room_recording(form)?,
    };
    Ok(NewParticipant {
        from,
        to,
        coaching: form.flag("Coaching")?.unwrap_or(false),
        entry,
        status_callback: form.status_callback("StatusCallback", &["completed"])?,
        timeout_secs: ring_timeout(form)?,
        time_limit_secs: form.number("TimeLimit")?.unwrap_or(TIME_LIMIT_SECS),
        options: leg::options(form, Made::Participant)?,
    })
}

fn participant_update(form: &Form) -> Result<ParticipantUpdate, Refusal> {
    Ok(ParticipantUpdate {
        muted: form.flag("Muted")?,
        hold: form.flag("Hold")?,
        hold_document: form.target("HoldUrl", "HoldMethod", Method::Get)?,
        announce: form.target("AnnounceUrl", "AnnounceMethod", Method::Post)?,
        wait: form.target("WaitUrl", "WaitMethod", Method::Post)?,
        beep_on_exit: form.flag("BeepOnExit")?,
        end_on_exit: form.flag("EndConferenceOnExit")?,
        coaching: form.flag("Coaching")?,
        call_sid_to_coach: form.owned("CallSidToCoach"),
    })
}

fn queue_name_if_given(form: &Form) -> Result<Option<String>, Refusal> {
    match form.given("FriendlyName") {
        None => Ok(None),
        Some(_) => queue_name(form),
    }
}

fn queue_name(form: &Form) -> Result<Option<String>, Refusal> {
    let name = form.required("FriendlyName", 22001)?;
    if name.chars().count() > 64 {
        return Err(Refusal::bad(22001, "FriendlyName has more than 64 characters"));
    }
    Ok(Some(name))
}

fn queue_size(form: &Form) -> Result<Option<usize>, Refusal> {
    form.parsed(
        "MaxSize",
        |text| text.parse().ok().filter(|size| (1..=QUEUE_SIZE_MAX).contains(size)),
        "a whole number from 1 to 5000",
    )
}
