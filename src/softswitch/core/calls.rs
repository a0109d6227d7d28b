//! The life of one leg: placed, dialled, ringing, answered, ended, and what its end means to everything it was part of.
//!
//! Start with [`Switch::add_call`] and [`Switch::end_call`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Switch;
use super::behaviour::Behaviour;
use super::recordings::Subject;
use super::request::{LegOptions, Origin, PlacedCall, Refusal};
use super::rooms::Leave;
use super::state::{
    Call, CallId, CallRecord, CallStatus, DialPhase, Direction, Moment, Place, Player, SipRecord, Slot, Source,
    TimerKind,
};
use super::webhooks::parameter;
use crate::softswitch::twiml::{Document, StatusCallback, Target};

/// Bytes of the longest address that is called.
const LONGEST_ADDRESS: usize = 512;

const TIME_LIMIT_SECS: u32 = 14_400;

/// A leg to be made.
pub(super) struct Leg {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) direction: Direction,
    pub(super) parent: Option<CallId>,
    pub(super) first: Option<Source>,
    pub(super) fallback: Option<Target>,
    pub(super) status_callback: Option<StatusCallback>,
    pub(super) ring_timeout_secs: u32,
    pub(super) time_limit_secs: u32,
    pub(super) place: Place,
    pub(super) behaviour: Option<Behaviour>,
    pub(super) options: LegOptions,
    pub(super) origin: Origin,
}

/// Why a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The far end hung up, declined, was busy or did not answer.
    FarEnd,
    /// REST asked for it.
    Api,
    /// The documents came to their end, or failed.
    Script,
    /// Whatever it belonged to ended.
    Other,
}

impl Switch {
    /// Makes a leg; it is dialled, or for an inbound call its document is asked for, with the next tick or at once.
    pub(super) fn add_call(&mut self, leg: Leg) -> Result<CallId, Refusal> {
        if self.live.len() >= self.settings.live_calls_max {
            return Err(Refusal::new(429, 20429, "Too many calls are live at once"));
        }
        let id = CallId(self.next_number());
        let sid = self.fresh_sid("CA");
        let behaviour = leg.behaviour.unwrap_or_else(|| {
            self.behaviour_of(if leg.direction == Direction::Inbound { &leg.from } else { &leg.to })
        });
        let inbound = leg.direction == Direction::Inbound;
        let parent_sid = leg.parent.and_then(|parent| self.calls.get(&parent)).map(|parent| parent.record.sid.clone());
        let dialling = if inbound { self.now } else { self.turn_to_dial() };
        let address = if inbound { &leg.from } else { &leg.to };
        let sip = is_sip(address).then(|| SipRecord {
            call_id: format!("{}@switchhook", (self.fresh)("")),
            headers: if inbound { leg.origin.sip_headers } else { headers_of(address) },
        });
        self.call_ids.insert(sid.clone(), id);
        self.live.insert(id);
        let call = Call {
            record: CallRecord {
                sid,
                parent_sid,
                from: leg.from,
                to: leg.to,
                direction: leg.direction,
                status: if inbound { CallStatus::Ringing } else { CallStatus::Queued },
                created: self.now,
                updated: self.now,
                answered: None,
                ended: None,
                answered_by: None,
                queue_ms: dialling.0.saturating_sub(self.now.0),
                sip,
                forwarded_from: leg.origin.forwarded_from,
                caller_name: leg.origin.caller_name,
            },
            first: leg.first,
            fallback: leg.fallback,
            status_callback: leg.status_callback,
            next_sequence: 0,
            initiated: inbound,
            place: leg.place,
            main: Player::default(),
            background: None,
            behaviour,
            pressed: VecDeque::new(),
            talked: false,
            twin: None,
            sip_code: None,
            options: leg.options,
            recordings: Vec::new(),
            dial_recording: None,
            recorded: None,
            detection_ms: None,
            ring_timeout_secs: leg.ring_timeout_secs,
            time_limit_secs: leg.time_limit_secs,
            timers: BTreeMap::new(),
        };
        let hang_up = call.behaviour.hang_up_after_ms.filter(|_| inbound);
        let detail = format!("{} -> {}", call.record.from, call.record.to);
        self.calls.insert(id, call);
        self.note("call.placed", Some(id), None, detail);
        if inbound {
            if let Some(ms) = hang_up {
                self.arm(id, TimerKind::HangUp, i64::from(ms));
            }
            self.begin_document(id);
        } else {
            self.arm_at(id, TimerKind::Initiate, dialling);
        }
        Ok(id)
    }

    /// Places a call from outside to one of our numbers.
    pub(super) fn place_inbound(&mut self, placed: PlacedCall) -> Result<CallId, Refusal> {
        let PlacedCall { from, to, behaviour, origin } = placed;
        let number = self.numbers.get(&to).cloned().ok_or_else(|| Refusal::not_found(&to))?;
        let fallback = number.fallback_url.map(|url| Target { url, method: number.fallback_method });
        let status_callback = number.status_callback.map(|url| StatusCallback {
            target: Target { url, method: number.status_callback_method },
            events: if number.status_callback_events.is_empty() {
                ["completed".to_owned()].into()
            } else {
                number.status_callback_events.into_iter().collect()
            },
        });
        self.add_call(Leg {
            from,
            to,
            direction: Direction::Inbound,
            parent: None,
            first: Some(Source::Ask(Target { url: number.voice_url, method: number.voice_method })),
            fallback,
            status_callback,
            ring_timeout_secs: 0,
            time_limit_secs: TIME_LIMIT_SECS,
            place: Place::Document,
            behaviour,
            options: LegOptions::default(),
            origin,
        })
    }

    /// The behaviour of the next call of `address`; one set for a single call is used up.
    fn behaviour_of(&mut self, address: &str) -> Behaviour {
        let names = planned_names(address);
        let planned = names.iter().find(|name| self.plans.contains_key(*name));
        let address = planned.unwrap_or(&names[0]);
        let Some(plan) = self.plans.get_mut(address) else {
            return Behaviour { refuse: refused_number(address), ..Behaviour::default() };
        };
        let next = plan.next.pop_front();
        let behaviour = next.or_else(|| plan.always.clone()).unwrap_or_default();
        if plan.next.is_empty() && plan.always.is_none() {
            self.plans.remove(address);
        }
        behaviour
    }

    /// The behaviour of the next call of `address`, unless it may not be called.
    pub(super) fn willing(&mut self, address: &str) -> Result<Behaviour, Refusal> {
        let behaviour = self.behaviour_of(address);
        match behaviour.refuse {
            Some(code) => Err(Refusal::bad(code, format!("{}: {address}", refusal_text(code)))),
            None => Ok(behaviour),
        }
    }

    /// When a leg made now is dialled: at once, or when its turn has come (Twilio: calls per second).
    fn turn_to_dial(&mut self) -> Moment {
        if self.calls_per_second <= 0.0 {
            return self.now;
        }
        let turn = self.next_dialling.max(self.now);
        #[expect(clippy::cast_possible_truncation, reason = "the pace is at least one call in 1000 s")]
        let gap = (1000.0 / self.calls_per_second) as i64;
        self.next_dialling = turn.plus_ms(self.scaled(gap));
        turn
    }

    fn begin_document(&mut self, id: CallId) {
        match self.calls.get(&id).and_then(|call| call.first.clone()) {
            Some(Source::Ask(target)) => self.fetch(id, Slot::Main, &target, Vec::new()),
            Some(Source::Inline(document)) => self.play(id, document),
            None => self.ready.push_back(id),
        }
    }

    /// Runs `document` in the call's main slot.
    pub(super) fn play(&mut self, id: CallId, document: Arc<Document>) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.main.load(document);
            self.ready.push_back(id);
        }
    }

    pub(super) fn timer_fired(&mut self, id: CallId, kind: TimerKind) {
        match kind {
            TimerKind::Initiate => self.initiate(id),
            TimerKind::Ring => self.ring(id),
            TimerKind::Answer => {
                if self.calls.get(&id).is_some_and(|call| call.behaviour.reject) {
                    self.end_call(id, CallStatus::Busy, Some(603), Cause::FarEnd);
                } else {
                    self.answer(id);
                }
            }
            TimerKind::GiveUp => self.end_call(id, CallStatus::NoAnswer, Some(487), Cause::FarEnd),
            TimerKind::HangUp => self.end_call(id, CallStatus::Completed, None, Cause::FarEnd),
            TimerKind::TimeLimit => self.end_call(id, CallStatus::Completed, None, Cause::Other),
            TimerKind::Press => {
                let said = self
                    .calls
                    .get_mut(&id)
                    .map(|call| (std::mem::take(&mut call.behaviour.digits), std::mem::take(&mut call.behaviour.says)));
                let (digits, says) = said.unwrap_or_default();
                if !digits.is_empty() {
                    self.press(id, &digits);
                }
                if !says.is_empty() {
                    self.hear(id, says);
                }
            }
            TimerKind::Detect => self.detected(id),
            TimerKind::Speech => {
                self.speech(id, "participant-speech-stop");
            }
            TimerKind::Main => self.step_over(id, Slot::Main),
            TimerKind::Background => self.step_over(id, Slot::Background),
            TimerKind::Dial => self.dial_over(id),
        }
    }

    fn initiate(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.initiated = true;
        let timeout = i64::from(call.ring_timeout_secs) * 1000;
        let ring_after = i64::from(call.behaviour.ring_after_ms);
        self.note("call.initiated", Some(id), None, "");
        self.call_event(id, "initiated", "initiated", None);
        self.arm(id, TimerKind::GiveUp, timeout);
        self.arm(id, TimerKind::Ring, ring_after);
    }

    fn ring(&mut self, id: CallId) {
        let now = self.now;
        let Some(call) = self.calls.get_mut(&id) else { return };
        if let Some(code) = call.behaviour.refuse {
            call.behaviour.error_code.get_or_insert(code);
            return self.end_call(id, CallStatus::Failed, Some(403), Cause::FarEnd);
        }
        if call.behaviour.unreachable {
            return self.end_call(id, CallStatus::Failed, Some(404), Cause::FarEnd);
        }
        if call.behaviour.busy {
            return self.end_call(id, CallStatus::Busy, Some(486), Cause::FarEnd);
        }
        call.record.status = CallStatus::Ringing;
        call.record.updated = now;
        let answer_after = (!call.behaviour.no_answer).then_some(i64::from(call.behaviour.answer_after_ms));
        self.note("call.ringing", Some(id), None, "");
        self.call_event(id, "ringing", "ringing", None);
        self.record_leg(id, true);
        if self.reach_own_number(id) {
            return;
        }
        if let Some(ms) = answer_after {
            self.arm(id, TimerKind::Answer, ms);
        }
    }

    /// The leg is answered; does nothing when it already was.
    pub(super) fn answer(&mut self, id: CallId) {
        let now = self.now;
        let Some(call) = self.calls.get_mut(&id) else { return };
        if !matches!(call.record.status, CallStatus::Queued | CallStatus::Ringing) {
            return;
        }
        call.record.status = CallStatus::InProgress;
        call.record.answered = Some(now);
        call.record.updated = now;
        let outbound = call.record.direction != Direction::Inbound;
        let hang_up = call.behaviour.hang_up_after_ms.filter(|_| outbound);
        let limit = i64::from(call.time_limit_secs) * 1000;
        for kind in [TimerKind::Initiate, TimerKind::Ring, TimerKind::Answer, TimerKind::GiveUp] {
            self.disarm(id, kind);
        }
        self.note("call.answered", Some(id), None, "");
        self.call_event(id, "answered", "in-progress", None);
        self.arm(id, TimerKind::TimeLimit, limit);
        if let Some(ms) = hang_up {
            self.arm(id, TimerKind::HangUp, i64::from(ms));
        }
        if !outbound {
            return self.answer_twin(id);
        }
        self.record_leg(id, false);
        let digits = self.calls.get_mut(&id).map(|call| std::mem::take(&mut call.options.send_digits));
        if let Some(digits) = digits.filter(|digits| !digits.is_empty()) {
            if let Some(twin) = self.calls.get(&id).and_then(|call| call.twin) {
                let keys: String = digits.chars().filter(|key| !"wW,".contains(*key)).collect();
                self.press(twin, &keys);
            }
            self.note("call.digits-sent", Some(id), None, digits);
        }
        let waits = self.detect(id);
        let Some(call) = self.calls.get_mut(&id) else { return };
        match call.place {
            Place::Document if waits => {}
            Place::Document => self.begin_document(id),
            Place::Added(room) => self.joined(room, id),
            Place::Child(parent) if call.first.is_some() => {
                call.place = Place::Screened(parent);
                self.begin_document(id);
            }
            Place::Child(parent) => self.connect_child(parent, id),
            _ => {}
        }
    }

    /// Begins the recording that the leg was made with, where it is to begin now.
    fn record_leg(&mut self, id: CallId, rings: bool) {
        let order = self.calls.get(&id).and_then(|call| call.options.recording.clone());
        if let Some(order) = order.filter(|order| order.from_ringing == rings) {
            self.start_recording(Subject::Call(id), &order);
        }
    }

    /// Ends a live call: takes it out of whatever it is in, tells everybody, and files it.
    pub(super) fn end_call(&mut self, id: CallId, status: CallStatus, sip_code: Option<u16>, cause: Cause) {
        let now = self.now;
        let Some(call) = self.calls.get_mut(&id) else { return };
        if !call.record.status.is_live() {
            return;
        }
        let answered = call.record.answered.is_some();
        let silent = status == CallStatus::Canceled && !call.initiated;
        call.record.status = status;
        call.record.updated = now;
        call.record.ended = Some(now);
        call.sip_code = sip_code;
        call.background = None;
        self.disarm_all(id);
        self.live.remove(&id);
        self.note("call.ended", Some(id), None, status.text());
        self.record_ended(id);
        self.stop_recordings(Subject::Call(id));
        if !answered && !silent {
            self.call_event(id, "completed", status.text(), sip_code);
        }
        let leave = match cause {
            Cause::Api => Leave::Api,
            Cause::FarEnd | Cause::Script | Cause::Other => Leave::HungUp,
        };
        self.detach(id, leave, if answered { None } else { Some(status) });
        if answered {
            self.call_event(id, "completed", status.text(), sip_code);
        }
        self.end_twin(id);
        self.finished_calls.push_back(id);
        while self.finished_calls.len() > self.settings.finished_max {
            if let Some(call) = self.finished_calls.pop_front().and_then(|id| self.calls.remove(&id)) {
                self.call_ids.remove(&call.record.sid);
            }
        }
    }

    /// Takes a call out of its place. A live call is left with no place and nothing to run; `failed` is the final
    /// status of one that was never answered.
    pub(super) fn detach(&mut self, id: CallId, leave: Leave, failed: Option<CallStatus>) {
        self.end_taking(id);
        self.disarm(id, TimerKind::Dial);
        self.disarm(id, TimerKind::Main);
        self.disarm(id, TimerKind::Detect);
        self.disarm(id, TimerKind::Background);
        let now = self.now;
        let Some(call) = self.calls.get_mut(&id) else { return };
        let ended = !call.record.status.is_live();
        call.background = None;
        let final_status = call.record.status;
        match std::mem::take(&mut call.place) {
            Place::Document => {}
            Place::Queue { queue, since, enqueue } => {
                let result = if ended { "hangup" } else { "redirected" };
                let extra = self.leave_queue(id, queue, since, result);
                if let Some(action) = &enqueue.action {
                    self.tell_action(id, action, extra);
                }
            }
            Place::Dial { dial, phase } => {
                let outcome = self.abandon_dial(id, phase, leave);
                let recorded = self.dial_recorded(id);
                if ended && let Some(action) = &dial.action {
                    self.tell_action(id, action, outcome.parameters().into_iter().chain(recorded).collect());
                }
            }
            Place::Added(room) => match failed {
                Some(status) => self.remove_member(room, id, Leave::AddFailed(status)),
                None => self.remove_member(room, id, leave),
            },
            Place::Child(parent) | Place::Screened(parent) => self.child_left(parent, id, final_status),
            Place::Taken { by, queue_sid, waited_secs, enqueue } => {
                // Who still heard the document before it was not bridged.
                let hears = matches!(self.dial_phase(by), Some(DialPhase::Preparing { head, .. }) if *head == id);
                let result = match (ended, hears) {
                    (true, _) => "bridged",
                    (false, true) => "redirected",
                    (false, false) => "redirected-from-bridged",
                };
                if let Some(action) = &enqueue.action {
                    let extra = vec![
                        parameter("QueueResult", result),
                        parameter("QueueSid", queue_sid),
                        parameter("QueueTime", waited_secs.to_string()),
                    ];
                    self.tell_action(id, action, extra);
                }
                self.peer_left(by, id, now);
            }
        }
    }

    /// Sends a live call to another document, out of whatever it is in (Twilio: modifying calls in progress).
    ///
    /// The answer to an `<Enqueue>` action told on the way is not listened to: the redirect's document runs. A
    /// `<Dial>` action is not told.
    pub(super) fn redirect(&mut self, id: CallId, source: &Source) {
        self.note("call.redirected", Some(id), None, "");
        self.detach(id, Leave::Api, None);
        match source {
            Source::Ask(target) => self.fetch(id, Slot::Main, target, Vec::new()),
            Source::Inline(document) => self.play(id, Arc::clone(document)),
        }
    }

    /// The leg is together with somebody for the first time.
    pub(super) fn talking(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if !std::mem::replace(&mut call.talked, true)
            && let Some(ms) = call.behaviour.hang_up_after_talking_ms
        {
            self.arm(id, TimerKind::HangUp, i64::from(ms));
        }
    }

    pub(super) fn call_is_live(&self, id: CallId) -> bool {
        self.live.contains(&id)
    }

    /// Whether the call is in `phase` of a dial, for checks that a late event still concerns it.
    pub(super) fn dial_phase(&mut self, id: CallId) -> Option<&mut DialPhase> {
        match &mut self.calls.get_mut(&id)?.place {
            Place::Dial { phase, .. } => Some(phase),
            _ => None,
        }
    }
}

fn is_sip(address: &str) -> bool {
    address.starts_with("sip:") || address.starts_with("sips:")
}

/// The headers that a SIP address carries behind its question mark (Twilio: custom headers, at most 1024 characters).
fn headers_of(address: &str) -> Vec<(String, String)> {
    let Some((_, query)) = address.split_once('?').filter(|(_, query)| query.len() <= 1_024) else {
        return Vec::new();
    };
    serde_urlencoded::from_str(query).unwrap_or_default()
}

/// The numbers that cannot be called for a reason of their own (Twilio: magic numbers of test credentials).
fn refused_number(address: &str) -> Option<u32> {
    match address {
        "+15005550001" => Some(21_217),
        "+15005550002" => Some(21_214),
        "+15005550003" => Some(21_215),
        "+15005550004" => Some(21_216),
        _ => None,
    }
}

const fn refusal_text(code: u32) -> &'static str {
    match code {
        13_223 | 21_211 | 21_217 => "The number to call is not valid",
        21_214 => "The number to call cannot be reached",
        21_215 => "Calls to this country are not permitted",
        21_216 => "Calls to this number are not permitted",
        _ => "The address cannot be called",
    }
}

/// Whether it has the form of a telephone number, a client or a SIP address.
pub(crate) fn can_be_called(address: &str) -> bool {
    let number = address.strip_prefix('+').unwrap_or(address);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let is_number = digits >= 2 && number.bytes().all(|byte| byte.is_ascii_digit() || b" -().*#".contains(&byte));
    let named = address.split_once(':').is_some_and(|(scheme, rest)| {
        let known = ["client", "sip", "sips"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        known && !rest.trim().is_empty()
    });
    (is_number || named) && address.len() <= LONGEST_ADDRESS
}

/// Under what the behaviour of an address may be planned, the most exact name first: of a SIP address without its headers and
/// parameters, with its host in small letters, with its port and without.
fn planned_names(address: &str) -> Vec<String> {
    let exact = address.split('?').next().unwrap_or(address).to_owned();
    let Some((scheme, rest)) = exact.split_once(':').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest)) else {
        return vec![exact];
    };
    if scheme != "sip" && scheme != "sips" {
        return vec![exact];
    }
    let place = rest.split(';').next().unwrap_or(rest);
    let (user, host) = place.rsplit_once('@').map_or((String::new(), place), |(user, host)| (format!("{user}@"), host));
    let host = host.to_ascii_lowercase();
    let bare = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let names = [Some(host.as_str()), bare.map(|(bare, _)| bare)];
    let names = names.into_iter().flatten().map(|host| format!("{scheme}:{user}{host}"));
    std::iter::once(exact.clone()).chain(names).collect()
}
