//! Parameters of the requests that the phone system makes, as Twilio sends them.
//!
//! Builds [`Webhook`]s and puts them into the actions; decides nothing about calls. Start with
//! [`Switch::call_parameters`].

use super::state::{Call, CallId, CallStatus, Direction, FetchId, Member, RoomId, Slot, Step};
use super::{Action, Fetch, Moment, Switch, Webhook};
use crate::softswitch::time::rfc2822;
use crate::softswitch::twiml::Target;

/// Name and value of one parameter.
pub(super) type Parameter = (String, String);

pub(super) fn parameter(name: &str, value: impl Into<String>) -> Parameter {
    (name.to_owned(), value.into())
}

const fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

impl Switch {
    /// The standard set of every voice webhook (Twilio: TwiML voice request parameters).
    pub(super) fn call_parameters(&self, call: &Call) -> Vec<Parameter> {
        let record = &call.record;
        let mut parameters = vec![
            parameter("CallSid", &record.sid),
            parameter("AccountSid", &self.settings.account_sid),
            parameter("From", &record.from),
            parameter("To", &record.to),
            parameter("CallStatus", record.status.text()),
            parameter("ApiVersion", "2010-04-01"),
            parameter("Direction", record.direction.text()),
            parameter("Caller", &record.from),
            parameter("Called", &record.to),
        ];
        for party in ["From", "To", "Caller", "Called"] {
            for part in ["City", "State", "Zip", "Country"] {
                parameters.push((format!("{party}{part}"), String::new()));
            }
        }
        parameters.extend(record.parent_sid.as_ref().map(|parent| parameter("ParentCallSid", parent)));
        parameters.extend(record.forwarded_from.as_ref().map(|from| parameter("ForwardedFrom", from)));
        parameters.extend(record.caller_name.as_ref().map(|name| parameter("CallerName", name)));
        if let Some(sip) = record.sip.as_ref().filter(|_| record.direction == Direction::Inbound) {
            let domain = record.to.split('@').nth(1).unwrap_or_default();
            let domain = domain.split([':', ';', '?']).next().unwrap_or_default();
            parameters.extend([parameter("SipCallId", &sip.call_id), parameter("SipDomain", domain)]);
            parameters.extend(sip.headers.iter().map(|(name, value)| (format!("SipHeader_{name}"), value.clone())));
        }
        parameters
    }

    /// Asks for the next document of a call; any earlier request for the same slot is forgotten.
    pub(super) fn fetch(&mut self, id: CallId, slot: Slot, target: &Target, extra: Vec<Parameter>) {
        self.fetch_as(id, slot, target, extra, false);
    }

    pub(super) fn fetch_as(
        &mut self,
        id: CallId,
        slot: Slot,
        target: &Target,
        extra: Vec<Parameter>,
        is_fallback: bool,
    ) {
        let Some(call) = self.calls.get(&id) else { return };
        let mut params = self.call_parameters(call);
        params.extend(self.detection_parameters(id));
        params.extend(extra);
        let fetch = FetchId(self.next_number());
        let webhook = self.webhook(target, params);
        if let Some(player) = self.calls.get_mut(&id).and_then(|call| call.player(slot)) {
            player.step = Step::Fetching(fetch);
        }
        self.fetches.insert(fetch, Fetch { call: id, slot, url: webhook.url.clone(), is_fallback });
        self.actions.push(Action::Fetch { id: fetch, webhook });
    }

    /// Tells an action URL that will not be listened to, because the call is gone or goes elsewhere.
    pub(super) fn tell_action(&mut self, id: CallId, target: &Target, extra: Vec<Parameter>) {
        let Some(call) = self.calls.get(&id) else { return };
        let mut params = self.call_parameters(call);
        params.extend(extra);
        let lane = format!("{}/action", call.record.sid);
        let webhook = self.webhook(target, params);
        self.actions.push(Action::Notify { lane, webhook });
    }

    /// Tells the call's status callback of `event`, when it is subscribed to.
    pub(super) fn call_event(&mut self, id: CallId, event: &str, status: &str, sip_code: Option<u16>) {
        let Some(call) = self.calls.get(&id) else { return };
        let Some(callback) = call.status_callback.clone().filter(|callback| callback.events.contains(event)) else {
            return;
        };
        let mut params = self.call_parameters(call);
        for (name, value) in &mut params {
            if name == "CallStatus" {
                status.clone_into(value);
            }
        }
        params.extend([
            parameter("Timestamp", rfc2822(self.now)),
            parameter("CallbackSource", "call-progress-events"),
            parameter("SequenceNumber", call.next_sequence.to_string()),
        ]);
        if event == "completed" {
            let secs =
                call.record.answered.map_or(0, |answered| call.record.ended.unwrap_or(self.now).secs_since(answered));
            params.push(parameter("CallDuration", secs.to_string()));
            if call.record.answered.is_some() {
                params.push(parameter("Duration", ((secs + 59) / 60).to_string()));
            }
        }
        if let Some(code) = sip_code {
            params.push(parameter("SipResponseCode", code.to_string()));
        }
        params.extend(self.detection_parameters(id));
        if event == "completed" {
            if let Some(code) = call.behaviour.error_code.filter(|_| call.record.status == CallStatus::Failed) {
                params.push(parameter("ErrorCode", code.to_string()));
            }
            if let Some(recording) = call.recorded {
                params.extend(self.recording_parameters(recording));
            }
        }
        let lane = call.record.sid.clone();
        if let Some(call) = self.calls.get_mut(&id) {
            call.next_sequence += 1;
        }
        let webhook = self.webhook(&callback.target, params);
        self.actions.push(Action::Notify { lane, webhook });
    }

    /// Tells the room's status callback; `subscribed` is the name in the subscription, `event` the one that is sent.
    pub(super) fn room_event(&mut self, id: RoomId, subscribed: &str, event: &str, extra: Vec<Parameter>) {
        let now = self.now;
        let account_sid = self.settings.account_sid.clone();
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let Some(callback) = room.status_callback.clone().filter(|callback| callback.events.contains(subscribed))
        else {
            return;
        };
        let mut params =
            room_parameters(&room.record.sid, &room.record.name, &account_sid, room.next_sequence, now, event);
        params.extend(extra);
        room.next_sequence += 1;
        let lane = room.record.sid.clone();
        let webhook = self.webhook(&callback.target, params);
        self.actions.push(Action::Notify { lane, webhook });
    }

    /// The participant set of conference callbacks.
    pub(super) fn participant_parameters(&self, member: &Member) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        if let Some(call) = self.calls.get(&member.call) {
            parameters.push(parameter("CallSid", &call.record.sid));
        }
        if let Some(label) = &member.entry.label {
            parameters.push(parameter("ParticipantLabel", label));
        }
        parameters.extend([
            parameter("Muted", flag(member.entry.muted)),
            parameter("Hold", flag(member.hold)),
            parameter("Coaching", flag(member.coaching)),
            parameter("StartConferenceOnEnter", flag(member.entry.start_on_enter)),
            parameter("EndConferenceOnExit", flag(member.entry.end_on_exit)),
        ]);
        if let (true, Some(coach)) = (member.coaching, &member.entry.coach) {
            parameters.push(parameter("CallSidToCoach", coach));
        }
        parameters
    }

    pub(super) fn webhook(&mut self, target: &Target, params: Vec<Parameter>) -> Webhook {
        Webhook { method: target.method, url: target.url.clone(), params, idempotency_token: (self.fresh)("") }
    }
}

fn room_parameters(
    sid: &str,
    name: &str,
    account_sid: &str,
    sequence: u64,
    now: Moment,
    event: &str,
) -> Vec<Parameter> {
    vec![
        parameter("ConferenceSid", sid),
        parameter("FriendlyName", name),
        parameter("AccountSid", account_sid),
        parameter("SequenceNumber", sequence.to_string()),
        parameter("Timestamp", rfc2822(now)),
        parameter("StatusCallbackEvent", event),
    ]
}
