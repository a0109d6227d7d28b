//! Reservations: offers of a task to a worker, under both of their parents.
//!
//! An update carries either a new status or an instruction; with both, the instruction wins. Start with [`update`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::form::{Form, Parameters, Query, invalid};
use super::json::{date, versioned};
use super::links::Place;
use super::page::Paging;
use super::scope::Scope;
use crate::calls::ConferenceOptions;
use crate::engine::Request;
use crate::routing::command::{ReservationChange, ReservationParent};
use crate::routing::{Command, ReservationSid, ReservationStatus};
use crate::store::lists::ReservationFilter;
use crate::store::views::ReservationView;

pub(super) const STATUSES: [&str; 8] =
    ["pending", "accepted", "rejected", "timeout", "canceled", "rescinded", "wrapping", "completed"];
pub(super) const CALL_EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];
pub(super) const CONFERENCE_EVENTS: [&str; 9] =
    ["start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"];
pub(super) const METHODS: [&str; 2] = ["GET", "POST"];

pub(super) async fn list(scope: Scope, query: Query) -> Result<Response, ApiError> {
    let parent = existing_parent(&scope).await?;
    let paging = Paging::read(&query, 1)?;
    let status = query.word("ReservationStatus", &STATUSES)?;
    let worker = match parent {
        ReservationParent::Task(_) => query.sid("WorkerSid")?,
        ReservationParent::Worker(_) | ReservationParent::Any => None,
    };
    let filter = ReservationFilter { reservation_status: status.and_then(ReservationStatus::from_text), worker };
    let list = scope.state.store.reservations(scope.sid(), parent, &filter, paging.span()).await?;
    let url = scope.place.url(&collection(parent));
    Ok(paging.answer(&url, "reservations", &list, |row| render(&scope.place, parent, row)))
}

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    let parent = existing_parent(&scope).await?;
    show(&scope, parent, scope.path_sid("Sid")?).await
}

pub(super) async fn update(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let parent = existing_parent(&scope).await?;
    let reservation = scope.path_sid("Sid")?;
    change(&scope, parent, reservation, &form).await?;
    show(&scope, parent, reservation).await
}

/// Carries out what an update asks for.
pub(super) async fn change(
    scope: &Scope,
    parent: ReservationParent,
    reservation: ReservationSid,
    form: &Parameters,
) -> Result<(), ApiError> {
    let if_match = scope.if_match()?;
    match wanted(form)? {
        Wanted::Nothing => {}
        Wanted::Change(change) => {
            let command = Command::UpdateReservation { parent, reservation, change, if_match };
            scope.carry_out(command).await?;
        }
        Wanted::Conference => {
            if form.filled("PostWorkActivitySid").is_some() {
                let error = post_work_activity(scope.workspace.multi_task_enabled);
                scope.alert(40143, &error.message, reservation).await;
                return Err(error);
            }
            let options = conference_options(form)?;
            if let Some(version) = if_match {
                let row = scope.state.store.reservation(scope.sid(), parent, reservation).await?;
                if u64::try_from(scope.found(row)?.version) != Ok(version) {
                    return Err(ApiError::precondition_failed());
                }
            }
            scope.send(Request::Conference { parent, reservation, options }).await?;
        }
        Wanted::UnknownInstruction => {
            let error = invalid("Instruction", form.text("Instruction").unwrap_or_default(), "a known instruction");
            scope.alert(55555, &error.message, reservation).await;
            return Err(error);
        }
    }
    Ok(())
}

/// What an update asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Change(ReservationChange),
    Conference,
    UnknownInstruction,
}

fn wanted(form: &Parameters) -> Result<Wanted, ApiError> {
    let reject = || Ok(ReservationChange::Reject { activity: form.sid("WorkerActivitySid")? });
    if let Some(instruction) = form.filled("Instruction") {
        return match instruction.to_ascii_lowercase().as_str() {
            "accept" => Ok(Wanted::Change(ReservationChange::Accept)),
            "reject" => reject().map(Wanted::Change),
            "conference" => Ok(Wanted::Conference),
            known @ ("dequeue" | "call" | "redirect" | "supervise") => {
                Err(ApiError::unsupported(&format!("Instruction {known}")))
            }
            _ => Ok(Wanted::UnknownInstruction),
        };
    }
    let Some(status) = form.filled("ReservationStatus") else { return Ok(Wanted::Nothing) };
    match form.word("ReservationStatus", &["accepted", "rejected", "wrapping", "completed"])? {
        Some("accepted") => Ok(Wanted::Change(ReservationChange::Accept)),
        Some("rejected") => reject().map(Wanted::Change),
        Some("wrapping") => Ok(Wanted::Change(ReservationChange::Wrap)),
        Some("completed") => Ok(Wanted::Change(ReservationChange::Complete)),
        _ => Err(invalid("ReservationStatus", status, "a status that can be asked for")),
    }
}

fn post_work_activity(multi_task_enabled: bool) -> ApiError {
    if multi_task_enabled {
        ApiError::invalid("PostWorkActivitySid is not allowed in a workspace with MultiTaskEnabled")
    } else {
        ApiError::unsupported("PostWorkActivitySid")
    }
}

/// Parameters of the conference instruction (TaskRouter: Update a Reservation).
fn conference_options(form: &Parameters) -> Result<ConferenceOptions, ApiError> {
    let defaults = ConferenceOptions::default();
    let filled = |name| form.filled(name).map(str::to_owned);
    let word = |name, words| form.word(name, words).map(|word| word.map(str::to_owned));
    check_callbacks(form)?;
    Ok(ConferenceOptions {
        to: filled("To"),
        from: filled("From"),
        timeout_secs: form.integer("Timeout", 1..=600)?.unwrap_or(defaults.timeout_secs),
        muted: form.boolean("Muted")?.unwrap_or(defaults.muted),
        beep: word("Beep", &["true", "false", "onEnter", "onExit"])?.unwrap_or(defaults.beep),
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

/// The task or worker that the path names, if it exists.
pub(super) async fn existing_parent(scope: &Scope) -> Result<ReservationParent, ApiError> {
    if scope.segment("TaskSid").is_some() {
        let task = scope.path_sid("TaskSid")?;
        scope.found(scope.state.store.task(scope.sid(), task).await?)?;
        Ok(ReservationParent::Task(task))
    } else {
        let worker = scope.path_sid("WorkerSid")?;
        scope.found(scope.state.store.worker(scope.sid(), worker).await?)?;
        Ok(ReservationParent::Worker(worker))
    }
}

async fn show(scope: &Scope, parent: ReservationParent, sid: ReservationSid) -> Result<Response, ApiError> {
    let row = scope.found(scope.state.store.reservation(scope.sid(), parent, sid).await?)?;
    Ok(versioned(StatusCode::OK, &render(&scope.place, parent, &row), row.version))
}

/// Path of the list that the request used.
pub(super) fn collection(parent: ReservationParent) -> String {
    match parent {
        ReservationParent::Task(task) => format!("/Tasks/{task}/Reservations"),
        ReservationParent::Worker(worker) => format!("/Workers/{worker}/Reservations"),
        ReservationParent::Any => "/Reservations".to_owned(),
    }
}

pub(super) fn render(place: &Place, parent: ReservationParent, row: &ReservationView) -> Value {
    json!({
        "account_sid": place.account,
        "sid": row.sid,
        "workspace_sid": place.workspace,
        "task_sid": row.task_sid,
        "worker_sid": row.worker_sid,
        "worker_name": row.worker_name,
        "reservation_status": row.status,
        "date_created": date(row.created_at),
        "date_updated": date(row.updated_at),
        "url": place.url(&format!("{}/{}", collection(parent), row.sid)),
        "links": {
            "workspace": place.workspace_url(),
            "task": place.url(&format!("/Tasks/{}", row.task_sid)),
            "worker": place.url(&format!("/Workers/{}", row.worker_sid)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Parameters {
        Parameters::parse(text.as_bytes())
    }

    #[test]
    fn an_update_asks_for_a_status_or_an_instruction() {
        let activity = "WA0123456789abcdef0123456789abcdef";
        let reject = |activity: Option<&str>| {
            Wanted::Change(ReservationChange::Reject { activity: activity.map(|sid| sid.parse().unwrap()) })
        };
        for (text, expected) in [
            ("", Wanted::Nothing),
            ("WorkerActivitySid=", Wanted::Nothing),
            ("ReservationStatus=accepted", Wanted::Change(ReservationChange::Accept)),
            ("ReservationStatus=wrapping", Wanted::Change(ReservationChange::Wrap)),
            ("ReservationStatus=completed", Wanted::Change(ReservationChange::Complete)),
            ("ReservationStatus=rejected", reject(None)),
            (&format!("ReservationStatus=rejected&WorkerActivitySid={activity}"), reject(Some(activity))),
            (&format!("Instruction=reject&WorkerActivitySid={activity}"), reject(Some(activity))),
            ("Instruction=accept", Wanted::Change(ReservationChange::Accept)),
            ("Instruction=Conference&ReservationStatus=completed", Wanted::Conference),
            ("Instruction=dance", Wanted::UnknownInstruction),
        ] {
            assert_eq!(wanted(&of(text)), Ok(expected), "{text}");
        }
        for text in [
            "ReservationStatus=pending",
            "ReservationStatus=timeout",
            "ReservationStatus=rejected&WorkerActivitySid=WK1",
            "Instruction=dequeue",
            "Instruction=supervise",
        ] {
            assert_eq!(wanted(&of(text)).unwrap_err().code, 20001, "{text}");
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
            let error = conference_options(&of(&format!("{name}={value}"))).unwrap_err();
            assert_eq!(error.code, 20001);
            assert!(error.message.starts_with(&format!("Invalid {name}: ")), "{}", error.message);
        }
    }
}
