//! Resources as JSON: Twilio's field names for the REST API, our own for the control API.
//!
//! Start with [`Shape::reply`].

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::form::Form;
use crate::softswitch::core::{
    CallRecord, Happening, Listed, LiveCall, MemberRecord, Moment, ParticipantRecord, QueueRecord, RecordingRecord,
    Reply, RoomRecord, Snapshot,
};
use crate::softswitch::time::{rfc2822, rfc3339};

/// What a reply's JSON depends on beside the reply: the account, and for lists the request.
pub(super) struct Shape<'a> {
    pub(super) account_sid: &'a str,
    pub(super) public_url: &'a str,
    pub(super) form: &'a Form,
    /// The request's path, for the links of a list.
    pub(super) path: &'a str,
}

impl Shape<'_> {
    /// The body of a reply; none where there is nothing to say.
    pub(super) fn reply(&self, reply: &Reply) -> Option<Value> {
        Some(match reply {
            Reply::Done => return None,
            Reply::Call(call) => self.call(call),
            Reply::Calls(list) => self.list("calls", list, |call| self.call(call)),
            Reply::Room(room) => self.room(room),
            Reply::Rooms(list) => self.list("conferences", list, |room| self.room(room)),
            Reply::Participant(participant) => self.participant(participant),
            Reply::Participants(list) => self.list("participants", list, |participant| self.participant(participant)),
            Reply::Queue(queue) => self.queue(queue),
            Reply::Queues(list) => self.list("queues", list, |queue| self.queue(queue)),
            Reply::Member(member) => self.member(member),
            Reply::Members(list) => self.list("queue_members", list, |member| self.member(member)),
            Reply::Recording(recording) => self.recording(recording),
            Reply::Recordings(list) => self.list("recordings", list, |recording| self.recording(recording)),
            Reply::Pace(calls_per_second) => json!({ "calls_per_second": calls_per_second }),
            Reply::Numbers(numbers) => json!({ "numbers": numbers }),
            Reply::Live(list) => {
                json!({ "calls": list.items.iter().map(live_call).collect::<Vec<_>>(), "more": list.more })
            }
            Reply::Snapshot(snapshot) => self.snapshot(snapshot),
            Reply::Happenings(happenings) => json!({ "events": happenings.iter().map(happening).collect::<Vec<_>>() }),
        })
    }

    fn uri(&self, path: &str) -> String {
        format!("/2010-04-01/Accounts/{}/{path}", self.account_sid)
    }

    fn call(&self, call: &CallRecord) -> Value {
        let own = |sub: &str| self.uri(&format!("Calls/{}{sub}.json", call.sid));
        let started = call.answered.or(call.ended);
        let duration = call.ended.map(|ended| call.answered.map_or(0, |answered| ended.secs_since(answered)));
        json!({
            "sid": call.sid,
            "account_sid": self.account_sid,
            "parent_call_sid": call.parent_sid,
            "from": call.from,
            "from_formatted": formatted(&call.from),
            "to": call.to,
            "to_formatted": formatted(&call.to),
            "phone_number_sid": null,
            "status": call.status.text(),
            "direction": call.direction.text(),
            "start_time": date(started),
            "end_time": date(call.ended),
            "duration": duration.map(|secs| secs.to_string()),
            "price": null,
            "price_unit": "USD",
            "answered_by": call.answered_by,
            "api_version": "2010-04-01",
            "forwarded_from": call.forwarded_from,
            "group_sid": null,
            "caller_name": call.caller_name,
            "queue_time": call.queue_ms.to_string(),
            "trunk_sid": null,
            "date_created": date(Some(call.created)),
            "date_updated": date(Some(call.updated)),
            "uri": own(""),
            "subresource_uris": {
                "notifications": own("/Notifications"),
                "recordings": own("/Recordings"),
                "payments": own("/Payments"),
                "events": own("/Events"),
                "siprec": own("/Siprec"),
                "streams": own("/Streams"),
                "transcriptions": own("/Transcriptions"),
                "user_defined_message_subscriptions": own("/UserDefinedMessageSubscriptions"),
                "user_defined_messages": own("/UserDefinedMessages"),
            },
        })
    }

    fn room(&self, room: &RoomRecord) -> Value {
        let own = |sub: &str| self.uri(&format!("Conferences/{}{sub}.json", room.sid));
        json!({
            "sid": room.sid,
            "account_sid": self.account_sid,
            "friendly_name": room.name,
            "status": room.status.text(),
            "region": "us1",
            "reason_conference_ended": room.reason_ended,
            "call_sid_ending_conference": room.ended_by,
            "api_version": "2010-04-01",
            "date_created": date(Some(room.created)),
            "date_updated": date(Some(room.updated)),
            "uri": own(""),
            "subresource_uris": { "participants": own("/Participants"), "recordings": own("/Recordings") },
        })
    }

    fn participant(&self, participant: &ParticipantRecord) -> Value {
        let uri = self.uri(&format!("Conferences/{}/Participants/{}.json", participant.room_sid, participant.call_sid));
        json!({
            "account_sid": self.account_sid,
            "call_sid": participant.call_sid,
            "label": participant.label,
            "call_sid_to_coach": participant.call_sid_to_coach,
            "coaching": participant.coaching,
            "conference_sid": participant.room_sid,
            "date_created": date(Some(participant.created)),
            "date_updated": date(Some(participant.updated)),
            "end_conference_on_exit": participant.end_on_exit,
            "muted": participant.muted,
            "hold": participant.hold,
            "start_conference_on_enter": participant.start_on_enter,
            "status": participant.status,
            "queue_time": "0",
            "uri": uri,
        })
    }

    fn recording(&self, recording: &RecordingRecord) -> Value {
        let own = |sub: &str| self.uri(&format!("Recordings/{}{sub}.json", recording.sid));
        json!({
            "sid": recording.sid,
            "account_sid": self.account_sid,
            "api_version": "2010-04-01",
            "call_sid": recording.call_sid,
            "conference_sid": recording.room_sid,
            "channels": recording.channels,
            "source": recording.source,
            "track": recording.track,
            "status": recording.status.text(),
            "start_time": date(Some(recording.started)),
            "duration": recording.secs.map_or_else(|| "-1".to_owned(), |secs| secs.to_string()),
            "date_created": date(Some(recording.started)),
            "date_updated": date(Some(recording.updated)),
            "price": null,
            "price_unit": "USD",
            "error_code": null,
            "encryption_details": null,
            "uri": own(""),
            "media_url": format!("{}{}", self.public_url, self.uri(&format!("Recordings/{}", recording.sid))),
            "subresource_uris": {
                "add_on_results": own("/AddOnResults"),
                "transcriptions": own("/Transcriptions"),
            },
        })
    }

    fn queue(&self, queue: &QueueRecord) -> Value {
        let own = |sub: &str| self.uri(&format!("Queues/{}{sub}.json", queue.sid));
        json!({
            "sid": queue.sid,
            "account_sid": self.account_sid,
            "friendly_name": queue.name,
            "max_size": queue.size_max,
            "current_size": queue.size,
            "average_wait_time": queue.average_wait_secs,
            "date_created": date(Some(queue.created)),
            "date_updated": date(Some(queue.updated)),
            "uri": own(""),
            "subresource_uris": { "members": own("/Members") },
        })
    }

    fn member(&self, member: &MemberRecord) -> Value {
        json!({
            "queue_sid": member.queue_sid,
            "call_sid": member.call_sid,
            "date_enqueued": date(Some(member.enqueued)),
            "position": member.position,
            "wait_time": member.wait_secs,
            "uri": self.uri(&format!("Queues/{}/Members/{}.json", member.queue_sid, member.call_sid)),
        })
    }

    fn snapshot(&self, snapshot: &Snapshot) -> Value {
        let rooms = snapshot.rooms.items.iter().map(|(room, members)| {
            json!({
                "conference_sid": room.sid,
                "name": room.name,
                "status": room.status.text(),
                "participants": members.iter().map(|member| self.participant(member)).collect::<Vec<_>>(),
            })
        });
        json!({
            "at": rfc3339(snapshot.at),
            "calls": snapshot.calls.items.iter().map(live_call).collect::<Vec<_>>(),
            "conferences": rooms.collect::<Vec<_>>(),
            "queues": snapshot.queues.items.iter().map(|queue| self.queue(queue)).collect::<Vec<_>>(),
            "numbers": snapshot.numbers,
            "more": {
                "calls": snapshot.calls.more,
                "conferences": snapshot.rooms.more,
                "queues": snapshot.queues.more,
            },
            "last_event": snapshot.last_happening,
        })
    }

    /// The paging envelope of the 2010 API.
    fn list<T>(&self, key: &str, list: &Listed<T>, item: impl Fn(&T) -> Value) -> Value {
        let page = self.form.page().unwrap_or(crate::softswitch::core::Page { number: 0, size: 50 });
        let start = page.number.saturating_mul(page.size);
        let link = |number: usize| {
            let mut pairs: Vec<(&str, String)> =
                self.form.filters().into_iter().map(|(name, value)| (name, value.to_owned())).collect();
            pairs.push(("PageSize", page.size.to_string()));
            pairs.push(("Page", number.to_string()));
            format!("{}?{}", self.path, serde_urlencoded::to_string(pairs).unwrap_or_default())
        };
        let mut envelope = Map::new();
        envelope.insert(key.to_owned(), list.items.iter().map(item).collect());
        let fields = json!({
            "page": page.number,
            "page_size": page.size,
            "start": start,
            "end": start + list.items.len().saturating_sub(1),
            "uri": link(page.number),
            "first_page_uri": link(0),
            "next_page_uri": list.more.then(|| link(page.number + 1)),
            "previous_page_uri": page.number.checked_sub(1).map(link),
        });
        if let Value::Object(fields) = fields {
            envelope.extend(fields);
        }
        Value::Object(envelope)
    }
}

fn date(moment: Option<Moment>) -> Option<String> {
    moment.map(rfc2822)
}

/// North American numbers as people write them; everything else as it is.
fn formatted(address: &str) -> String {
    match address.strip_prefix("+1") {
        Some(rest) if rest.len() == 10 && rest.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("({}) {}-{}", &rest[..3], &rest[3..6], &rest[6..])
        }
        _ => address.to_owned(),
    }
}

fn live_call(live: &LiveCall) -> Value {
    json!({
        "call_sid": live.call.sid,
        "parent_call_sid": live.call.parent_sid,
        "from": live.call.from,
        "to": live.call.to,
        "direction": live.call.direction.text(),
        "status": live.call.status.text(),
        "place": live.place,
        "conference_sid": live.room_sid,
        "queue_sid": live.queue_sid,
        "sip_headers": live.call.sip.as_ref().map(|sip| sip.headers.iter().cloned().collect::<BTreeMap<_, _>>()),
        "answered_by": live.call.answered_by,
        "created": rfc3339(live.call.created),
        "answered": live.call.answered.map(rfc3339),
    })
}

fn happening(happening: &Happening) -> Value {
    json!({
        "sequence": happening.sequence,
        "at": rfc3339(happening.at),
        "kind": happening.kind,
        "call_sid": happening.call_sid,
        "conference_sid": happening.room_sid,
        "detail": happening.detail,
    })
}
