//! Client of the phone system's REST (Twilio's Calls, Conferences and Participants; `spec/voice.md` section 5).
//!
//! Carries out one [`PhoneCommand`] at a time and says how it went. Commands come from the outbox and may come again
//! after a crash, and an answer may get lost on the way, so a leg is never asked for twice without looking first: its
//! label is the idempotency key; nor is the caller redirected twice without looking where it is. A leg that nobody wants any
//! more is not asked for again. This module must not decide what follows from an outcome. Start with
//! [`PhoneSystem::execute_while_wanted`].

mod access;
mod claims;
mod credentials;
mod form;
mod look;
mod pace;
mod redirect;
mod transport;
mod wording;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use tokio_util::sync::CancellationToken;

use crate::calls::policy::CODE_CREDENTIALS;
use crate::calls::{CallSid, CallStatus, CommandId, PhoneCommand, PhoneOutcome, dialable};
use crate::clock::{Clock, Entropy};
use crate::routing::TaskSid;
pub use access::Access;
use claims::Claims;
pub use credentials::Credentials;
use pace::Pace;
use redirect::{Destination, Redirect};
pub use redirect::{Documents, Written};
use transport::{Failure, Subject, Transport};
pub use wording::Wording;

/// What is said of a call that was not made because nobody wanted it any more.
pub const NOT_WANTED: &str = "it is not wanted any more";

/// Where the phone system is and who we are there.
#[derive(Debug, Clone)]
pub struct PhoneSettings {
    /// Base of its REST without the version (`/2010-04-01`), for example `https://api.twilio.com`; it may have a path.
    pub url: String,
    /// Account at the phone system.
    pub account_sid: String,
    /// What its REST takes for that.
    pub credentials: Credentials,
    /// Base URL under which the phone system reaches us.
    pub public_url: String,
    /// Longest leg that we dial, in seconds.
    pub leg_secs_max: u32,
    /// New calls and participants that we ask for in a second; no limit of ours without it.
    pub max_cps: Option<f64>,
    /// What it can do.
    pub abilities: Abilities,
    /// How it words what it can do.
    pub wording: Wording,
}

/// What a phone system can do of what Twilio can; by default all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// It makes participants (`POST Participants`); otherwise calls are placed whose document leads into the room.
    pub participants_create: bool,
    /// Its refusals have Twilio's codes: a 404 without 20404 comes from somebody in between.
    pub error_codes: bool,
    /// It takes the document of a call that is moved with the request (`Twiml`).
    pub inline_documents: bool,
    /// It has conferences: where somebody is can be seen there.
    pub rooms: bool,
}

impl Abilities {
    /// What is added to a URL that is to be asked again, whatever has failed; nothing where it is not known that the phone
    /// system understands it.
    #[must_use]
    pub const fn insistence(self, wording: &Wording) -> &'static str {
        if self.inline_documents && self.rooms { wording.insist } else { "" }
    }
}

impl Default for Abilities {
    fn default() -> Self {
        Self { participants_create: true, error_codes: true, inline_documents: true, rooms: true }
    }
}

/// How patient the client is.
#[derive(Debug, Clone)]
pub struct Patience {
    /// To make a connection.
    pub connect: Duration,
    /// For one request in total.
    pub request: Duration,
    /// For one command with all its repetitions.
    pub command: Duration,
    /// First pause before a repetition; doubles each time.
    pub first_pause: Duration,
    /// Longest pause before a repetition.
    pub longest_pause: Duration,
    /// How long the phone system's lists may lag behind: after that, a leg that is not listed was not made.
    pub settle: Duration,
}

impl Default for Patience {
    /// 5 s to connect, 15 s per request, 30 s per command, pauses from 0.25 s to 8 s, lists 3 s late
    /// (`spec/voice.md` 5.5).
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(15),
            command: Duration::from_secs(30),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(8),
            settle: Duration::from_secs(3),
        }
    }
}

/// The client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base URL of the phone system is not one.
    #[error("expected an http or https URL of the phone system, found {0:?}")]
    InvalidUrl(String),
    /// TLS or another part of the HTTP client could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// The phone system, as something that carries out commands; cheap to clone.
#[derive(Debug, Clone)]
pub struct PhoneSystem {
    transport: Transport,
    public_url: String,
    leg_secs_max: u32,
    claims: Claims,
    pace: Pace,
    abilities: Abilities,
    documents: Option<Arc<dyn Documents>>,
}

/// A leg at the phone system.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Leg {
    call: CallSid,
    conference: Option<String>,
    /// State of the call, where it was seen.
    status: Option<CallStatus>,
}

/// One attempt at a command.
#[derive(Debug, Clone, Copy)]
struct Attempt<'a> {
    /// An earlier one may have reached the phone system.
    repeated: bool,
    /// The call that it makes is to be ended as soon as there is one.
    unwanted: &'a CancellationToken,
}

impl PhoneSystem {
    /// Makes the client; nothing is sent yet.
    pub fn new(settings: PhoneSettings, patience: Patience, clock: &Clock, entropy: Entropy) -> Result<Self, Error> {
        let public_url = settings.public_url.trim_end_matches('/').to_owned();
        let PhoneSettings { leg_secs_max, abilities, .. } = settings;
        let claims = Claims::default();
        let pace = Pace::new(settings.max_cps, clock.clone());
        let transport = Transport::new(settings, patience, clock.clone(), entropy)?;
        Ok(Self { transport, public_url, leg_secs_max, claims, pace, abilities, documents: None })
    }

    /// The same, which sends documents of callers who are moved with the request where it can.
    #[must_use]
    pub fn with_documents(self, documents: Arc<dyn Documents>) -> Self {
        Self { documents: Some(documents), ..self }
    }

    /// Takes the turn of one command that makes a call, which has to be had before it is carried out; or tells how long
    /// it is until there is one.
    pub fn take_turn(&self) -> Result<(), Duration> {
        self.pace.take_turn()
    }

    /// Takes note of legs that were made before: for which task, and with which label.
    pub fn know_legs<'a>(&self, legs: impl IntoIterator<Item = (TaskSid, &'a str, &'a CallSid)>) {
        for (task, label, call) in legs {
            self.claims.claim(call, &task.to_string(), label);
        }
    }

    /// Carries out one command within the time of [`Patience::command`].
    ///
    /// `repeated` says that an earlier attempt may have reached the phone system. When the call that the command makes is
    /// `unwanted`, it is not asked for any more; what was asked for already is still looked for, so that it can be ended.
    pub async fn execute_while_wanted(
        &self,
        id: CommandId,
        command: &PhoneCommand,
        repeated: bool,
        unwanted: &CancellationToken,
    ) -> PhoneOutcome {
        let mut last_error = String::from("no answer");
        let budget = self.transport.patience.command;
        let attempt = Attempt { repeated, unwanted };
        let outcome = tokio::time::timeout(budget, self.carry_out(id, command, attempt, &mut last_error)).await;
        let outcome = outcome.unwrap_or(PhoneOutcome::Unavailable { message: last_error });
        let (task, number, name) = (id.task, id.number, command.name());
        match &outcome {
            PhoneOutcome::Done { .. } | PhoneOutcome::Seen(_) | PhoneOutcome::Gone => {
                tracing::debug!(task.sid = %task, number, command = name, ?outcome, "phone command carried out");
            }
            PhoneOutcome::Refused { code, message } => {
                tracing::warn!(task.sid = %task, number, command = name, ?code, message, "phone command refused");
            }
            PhoneOutcome::Unavailable { message } => {
                tracing::warn!(task.sid = %task, number, command = name, message, "phone system is not available");
            }
        }
        outcome
    }

    async fn carry_out(
        &self,
        id: CommandId,
        command: &PhoneCommand,
        attempt: Attempt<'_>,
        last_error: &mut String,
    ) -> PhoneOutcome {
        let repeated = attempt.repeated;
        // Commands that were written before a room could have a name of its own do not name it.
        let named = |room: &String| if room.is_empty() { id.task.to_string() } else { room.clone() };
        let sent = |call, room, to| Redirect { task: id.task, call, room: named(room), to };
        let done = match command {
            PhoneCommand::AddParticipant { .. } => self.add_participant(id.task, command, attempt, last_error).await,
            PhoneCommand::MoveCallerToRoom { call, room } => {
                self.redirect(&sent(call, room, Destination::Room), repeated, last_error).await
            }
            PhoneCommand::LetCallerDial { call, .. } => {
                self.redirect(&sent(call, &String::new(), Destination::Worker), repeated, last_error).await
            }
            PhoneCommand::ParkCaller { call, room } => {
                self.redirect(&sent(call, room, Destination::Queue), repeated, last_error).await
            }
            PhoneCommand::ReleaseCaller { call, room } => {
                self.redirect(&sent(call, room, Destination::Application), repeated, last_error).await
            }
            PhoneCommand::PlaceCall { .. } => self.place_call(id.task, command, attempt, last_error).await,
            PhoneCommand::RedirectCall { call, account, url } => {
                let url = form::through_us(&self.public_url, *account, url);
                let pairs = form::pairs(&[("Url", &url), ("Method", "POST")]);
                self.send_call_to(call, &pairs, repeated, last_error).await
            }
            PhoneCommand::FetchCall { call } => self.fetch(call, last_error).await,
            PhoneCommand::FetchRoom(query) => self.see_rooms(query, last_error).await.map(PhoneOutcome::Seen),
            PhoneCommand::HangUp { call } => self.hang_up(call, last_error).await,
            PhoneCommand::HangUpLabel { room, label, call } => {
                self.hang_up_label(room, label, call.as_ref(), last_error).await
            }
            PhoneCommand::Kick { room, leg } => self.in_rooms(room, Some(leg), (Method::DELETE, &[]), last_error).await,
            PhoneCommand::EndRoom { room } => {
                let pairs = form::pairs(&[("Status", "completed")]);
                self.in_rooms(room, None, (Method::POST, &pairs), last_error).await
            }
            PhoneCommand::UpdateParticipant { room, leg, update } => {
                let pairs = form::update(&self.public_url, id.task, leg, update);
                self.in_rooms(room, Some(leg), (Method::POST, &pairs), last_error).await
            }
        };
        done.unwrap_or_else(outcome_of)
    }

    /// Places the worker's leg into the room, once: an unclear attempt is followed by a look.
    async fn add_participant(
        &self,
        task: TaskSid,
        command: &PhoneCommand,
        attempt: Attempt<'_>,
        last_error: &mut String,
    ) -> Result<PhoneOutcome, Failure> {
        let PhoneCommand::AddParticipant { room, label, to, from, requested_at, .. } = command else {
            return Ok(PhoneOutcome::Gone);
        };
        let (path, pairs) = if self.abilities.participants_create {
            let path = format!("Conferences/{}/Participants", transport::segment(room));
            (path, form::participant(&self.public_url, task, command))
        } else {
            ("Calls".to_owned(), form::joining_call(&self.public_url, task, command))
        };
        let pairs = self.limited(pairs);
        let (task, to) = (task.to_string(), dialable(to));
        let wanted = look::Wanted { task: &task, room, label, to: &to, from, requested_at: *requested_at };
        self.make_leg(&path, &pairs, &wanted, attempt, last_error).await
    }

    /// Places a call that runs a document, once.
    async fn place_call(
        &self,
        task: TaskSid,
        command: &PhoneCommand,
        attempt: Attempt<'_>,
        last_error: &mut String,
    ) -> Result<PhoneOutcome, Failure> {
        let PhoneCommand::PlaceCall { room, label, to, from, requested_at, .. } = command else {
            return Ok(PhoneOutcome::Gone);
        };
        let pairs = self.limited(form::call(&self.public_url, task, command));
        let (task, to) = (task.to_string(), dialable(to));
        let room = if room.is_empty() { &task } else { room };
        let wanted = look::Wanted { task: &task, room, label, to: &to, from, requested_at: *requested_at };
        self.make_leg("Calls", &pairs, &wanted, attempt, last_error).await
    }

    /// The form in the phone system's words. A leg does not last longer than the settings allow, whatever becomes of us.
    fn limited(&self, mut pairs: Vec<(String, String)>) -> Vec<(String, String)> {
        pairs.push(("TimeLimit".to_owned(), self.leg_secs_max.to_string()));
        self.transport.wording.of_new_leg(pairs)
    }

    /// Asks for a leg, once: an unclear attempt is followed by a look.
    async fn make_leg(
        &self,
        path: &str,
        pairs: &[(String, String)],
        wanted: &look::Wanted<'_>,
        Attempt { repeated: mut unclear, unwanted }: Attempt<'_>,
        last_error: &mut String,
    ) -> Result<PhoneOutcome, Failure> {
        let mut attempt = 0;
        loop {
            if unclear && let Some(leg) = self.look_twice(wanted, last_error).await? {
                return Ok(done(leg));
            }
            if unwanted.is_cancelled() {
                return Ok(not_wanted(unclear));
            }
            let failure = match self.transport.once(Method::POST, path, pairs).await {
                Ok(answer) => {
                    let leg = leg_of(&answer);
                    if let Some(leg) = &leg {
                        self.claims.claim(&leg.call, wanted.task, wanted.label);
                    }
                    // It was made, but the answer does not say which call it is; if no list does yet, its callbacks will.
                    let leg = if leg.is_none() { self.look_twice(wanted, last_error).await? } else { leg };
                    return Ok(leg.map_or_else(made, done));
                }
                Err(failure) => failure,
            };
            if failure.is_label_taken() {
                return match self.look_twice(wanted, last_error).await? {
                    Some(leg) => Ok(done(leg)),
                    None => Err(failure),
                };
            }
            if failure.is_refusal() {
                return Err(failure);
            }
            unclear = unclear || failure.may_have_been_carried_out();
            let pause = async {
                self.transport.pause(attempt, &failure, last_error).await;
                self.pace.turn().await;
            };
            tokio::select! {
                biased;
                () = pause => {}
                () = unwanted.cancelled() => {}
            }
            attempt += 1;
        }
    }

    /// Looks for the leg at once and, when it is not listed, once more after the lists have settled.
    async fn look_twice(&self, wanted: &look::Wanted<'_>, last_error: &mut String) -> Result<Option<Leg>, Failure> {
        if let Some(leg) = self.look_for_leg(wanted, last_error).await? {
            return Ok(Some(leg));
        }
        tokio::time::sleep(self.transport.patience.settle).await;
        self.look_for_leg(wanted, last_error).await
    }

    async fn hang_up(&self, call: &CallSid, last_error: &mut String) -> Result<PhoneOutcome, Failure> {
        let path = format!("Calls/{}", transport::segment(&call.0));
        let pairs = form::pairs(&[("Status", "completed")]);
        let answer = self.transport.repeat(Method::POST, &path, &pairs, last_error).await?;
        Ok(PhoneOutcome::Done { call: Some(call.clone()), conference: None, status: status_of(&answer) })
    }

    async fn fetch(&self, call: &CallSid, last_error: &mut String) -> Result<PhoneOutcome, Failure> {
        let path = format!("Calls/{}", transport::segment(&call.0));
        let answer = self.transport.look(&path, &[], Subject::Sid(&call.0), last_error).await?;
        Ok(PhoneOutcome::Done { call: Some(call.clone()), conference: None, status: status_of(&answer) })
    }

    async fn hang_up_label(
        &self,
        room: &str,
        label: &str,
        call: Option<&CallSid>,
        last_error: &mut String,
    ) -> Result<PhoneOutcome, Failure> {
        if let Some(call) = call {
            return self.hang_up(call, last_error).await;
        }
        match self.look_for_label(room, label, last_error).await? {
            Some(leg) => self.hang_up(&leg.call, last_error).await,
            None => Ok(PhoneOutcome::Gone),
        }
    }

    /// Sends one request to each live room of that name, or to a leg in it; a room or leg that is not there is no failure.
    async fn in_rooms(
        &self,
        room: &str,
        leg: Option<&str>,
        (method, pairs): (Method, &[(String, String)]),
        last_error: &mut String,
    ) -> Result<PhoneOutcome, Failure> {
        let mut outcome = PhoneOutcome::Gone;
        for conference in self.live_rooms(room, last_error).await? {
            let within = leg.map(|leg| format!("/Participants/{}", transport::segment(leg))).unwrap_or_default();
            let path = format!("Conferences/{}{within}", transport::segment(&conference));
            match self.transport.repeat(method.clone(), &path, pairs, last_error).await {
                Ok(_) => outcome = PhoneOutcome::Done { call: None, conference: Some(conference), status: None },
                Err(failure) if failure.is_gone() => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(outcome)
    }
}

fn done(leg: Leg) -> PhoneOutcome {
    PhoneOutcome::Done { call: Some(leg.call), conference: leg.conference, status: leg.status }
}

/// A leg of which nothing is known but that it was asked for with success.
const fn made() -> PhoneOutcome {
    PhoneOutcome::Done { call: None, conference: None, status: None }
}

/// A leg that was given up before it was asked for again; `unclear` says that an earlier attempt may have made it after all,
/// although it is not listed.
fn not_wanted(unclear: bool) -> PhoneOutcome {
    let message = NOT_WANTED.to_owned();
    if unclear { PhoneOutcome::Unavailable { message } } else { PhoneOutcome::Refused { code: None, message } }
}

fn outcome_of(failure: Failure) -> PhoneOutcome {
    if failure.is_gone() {
        return PhoneOutcome::Gone;
    }
    if failure.is_odd() {
        return PhoneOutcome::Unavailable { message: failure.text() };
    }
    match failure {
        // Whoever reads the code has to see that it was about us.
        Failure::Rejected { status: 401, code: None, message, .. } => {
            PhoneOutcome::Refused { code: Some(CODE_CREDENTIALS), message }
        }
        Failure::Rejected { code, message, .. } => PhoneOutcome::Refused { code, message },
        Failure::NotSent(message) | Failure::Lost(message) => PhoneOutcome::Unavailable { message },
    }
}

/// Reads `call_sid` and `conference_sid` of a participant, or `sid` of a call.
fn leg_of(answer: &serde_json::Value) -> Option<Leg> {
    let text = |name: &str| answer.get(name).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
    let call = CallSid(text("call_sid").or_else(|| text("sid"))?.to_owned());
    Some(Leg { call, conference: text("conference_sid").map(ToOwned::to_owned), status: None })
}

fn status_of(answer: &serde_json::Value) -> Option<CallStatus> {
    answer.get("status").and_then(serde_json::Value::as_str).and_then(CallStatus::from_text)
}

#[cfg(test)]
mod tests;
