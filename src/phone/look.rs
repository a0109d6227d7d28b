//! Looking before repeating: is there a room of that name, a leg with that label, a call that an unclear attempt made?
//! And looking because nothing was heard: who is in the room?
//!
//! Reads only. Lists of the phone system lag behind and a conference is not listed right after it was made
//! (`spec/voice.md` pitfall 9), so the label is looked for first and the calls after it. Start with
//! [`PhoneSystem::look_for_leg`].

use serde_json::{Value, json};

use super::transport::{Failure, Subject, segment};
use super::{Leg, PhoneSystem, form};
use crate::calls::{CallSid, CallStatus, LegSight, RoomQuery, RoomSight};
use crate::routing::Timestamp;

/// How far the phone system's clock may be behind ours, in milliseconds; its times have whole seconds.
const CLOCK_SLACK_MS: i64 = 5_000;

/// Rooms of one task that are looked into; it has one, and those of earlier attempts end soon.
const ROOMS_SEEN_MAX: usize = 4;

/// What an unclear attempt would have made.
pub(super) struct Wanted<'a> {
    pub(super) task: &'a str,
    pub(super) room: &'a str,
    pub(super) label: &'a str,
    pub(super) to: &'a str,
    pub(super) from: &'a str,
    pub(super) requested_at: Timestamp,
}

impl PhoneSystem {
    /// Finds the leg that an unclear attempt may have made.
    pub(super) async fn look_for_leg(
        &self,
        wanted: &Wanted<'_>,
        last_error: &mut String,
    ) -> Result<Option<Leg>, Failure> {
        if let Some(leg) = self.look_for_label(wanted.room, wanted.label, last_error).await? {
            self.claims.claim(&leg.call, wanted.task, wanted.label);
            return Ok(Some(leg));
        }
        // Not filtered by StartTime: a call that only rings has none yet. The newest come first.
        let filters = [("To", wanted.to), ("From", wanted.from), ("PageSize", "50")];
        let answer = self.transport.look("Calls", &form::pairs(&filters), Subject::List("calls"), last_error).await?;
        let mut recent: Vec<Leg> = entries(&answer, "calls").filter_map(|call| recent_call(call, wanted)).collect();
        // A leg that is over already was made all the same: it must not be made again. Live ones come first.
        recent.sort_by_key(|leg| leg.status.is_none_or(CallStatus::is_final));
        // Others may be dialled at the same address at the same time; what was made for them is not ours.
        Ok(recent.into_iter().find(|leg| self.claims.claim(&leg.call, wanted.task, wanted.label)))
    }

    /// Finds the leg with `label` in the live rooms of that name.
    pub(super) async fn look_for_label(
        &self,
        room: &str,
        label: &str,
        last_error: &mut String,
    ) -> Result<Option<Leg>, Failure> {
        for conference in self.live_rooms(room, last_error).await? {
            let answer = if self.transport.wording.shows_labels {
                self.participants(&conference, last_error).await?
            } else {
                self.participant(&conference, label, last_error).await?
            };
            let Some(answer) = answer else { continue };
            let call = entries(&answer, "participants")
                .filter(|participant| text(participant, "label") == label)
                .find(|participant| !matches!(text(participant, "status"), "complete" | "completed" | "failed"))
                .map(|participant| text(participant, "call_sid"))
                .filter(|call| !call.is_empty());
            if let Some(call) = call {
                return Ok(Some(Leg { call: CallSid(call.to_owned()), conference: Some(conference), status: None }));
            }
        }
        Ok(None)
    }

    /// The rooms of a task that are not over, and who is in them.
    pub(super) async fn see_rooms(
        &self,
        query: &RoomQuery,
        last_error: &mut String,
    ) -> Result<Vec<RoomSight>, Failure> {
        let mut rooms = self.live_rooms(&query.room, last_error).await?;
        // The list lags behind, the room itself does not.
        if let Some(known) = &query.conference {
            rooms.retain(|room| room != known);
            let path = format!("Conferences/{}", segment(known));
            match self.transport.look(&path, &[], Subject::Sid(known), last_error).await {
                Ok(conference) if is_live_room(&conference) => rooms.insert(0, known.clone()),
                Ok(_) => {}
                Err(failure) if failure.is_gone() => {}
                Err(failure) => return Err(failure),
            }
        }
        rooms.truncate(ROOMS_SEEN_MAX);
        let mut seen = Vec::with_capacity(rooms.len());
        for conference in rooms {
            if let Some(answer) = self.participants(&conference, last_error).await? {
                let legs = entries(&answer, "participants").filter_map(leg_seen).collect();
                seen.push(RoomSight { conference, legs });
            }
        }
        Ok(seen)
    }

    /// Who is in a room or on the way into it, as many as one room can have; `None` when it is over.
    async fn participants(&self, conference: &str, last_error: &mut String) -> Result<Option<Value>, Failure> {
        let path = format!("Conferences/{}/Participants", segment(conference));
        let page = form::pairs(&[("PageSize", "250")]);
        match self.transport.look(&path, &page, Subject::List("participants"), last_error).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.is_gone() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The participant with a label as a list of one, where lists do not show whose label is which; `None` when it is not
    /// in the room.
    async fn participant(
        &self,
        conference: &str,
        label: &str,
        last_error: &mut String,
    ) -> Result<Option<Value>, Failure> {
        let path = format!("Conferences/{}/Participants/{}", segment(conference), segment(label));
        match self.transport.look(&path, &[], Subject::Participant, last_error).await {
            Ok(mut answer) => {
                if let Some(fields) = answer.as_object_mut() {
                    fields.insert("label".to_owned(), label.into());
                }
                Ok(Some(json!({ "participants": [answer] })))
            }
            Err(failure) if failure.is_gone() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// SIDs of the rooms of that name that are not over; a conference SID stands for itself.
    pub(super) async fn live_rooms(&self, room: &str, last_error: &mut String) -> Result<Vec<String>, Failure> {
        if is_conference_sid(room) {
            return Ok(vec![room.to_owned()]);
        }
        let filters = form::pairs(&[("FriendlyName", room), ("PageSize", "50")]);
        let answer = self.transport.look("Conferences", &filters, Subject::List("conferences"), last_error).await?;
        let live = entries(&answer, "conferences")
            .filter(|conference| text(conference, "friendly_name") == room)
            .filter(|conference| is_live_room(conference))
            .map(|conference| text(conference, "sid").to_owned())
            .filter(|sid| !sid.is_empty());
        let live: Vec<String> = live.collect();
        // Where IDs are UUIDs, one is no name of a room, and not distinguished from it by its form.
        let stands_for_itself = live.is_empty() && is_uuid(room);
        Ok(if stands_for_itself { vec![room.to_owned()] } else { live })
    }
}

/// A participant who is in the room, not on the way into it or out of it.
fn leg_seen(participant: &Value) -> Option<LegSight> {
    let call = text(participant, "call_sid");
    let there = matches!(text(participant, "status"), "connected" | "");
    let flag = |name: &str| participant.get(name).and_then(Value::as_bool).unwrap_or_default();
    (there && !call.is_empty()).then(|| LegSight {
        call: CallSid(call.to_owned()),
        label: Some(text(participant, "label").to_owned()).filter(|label| !label.is_empty()),
        held: flag("hold"),
        muted: flag("muted"),
    })
}

fn is_live_room(conference: &Value) -> bool {
    matches!(text(conference, "status"), "init" | "in-progress")
}

fn is_conference_sid(text: &str) -> bool {
    text.strip_prefix("CF").is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A call between the same two that is not older than the request.
fn recent_call(call: &Value, wanted: &Wanted<'_>) -> Option<Leg> {
    let status = CallStatus::from_text(text(call, "status"))?;
    let same = text(call, "to") == wanted.to && text(call, "from") == wanted.from;
    let made_at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text(call, "date_created")).ok()?;
    let is_recent = made_at.as_millisecond() >= wanted.requested_at.plus_ms(-CLOCK_SLACK_MS).0;
    let sid = text(call, "sid");
    let leg = || Leg { call: CallSid(sid.to_owned()), conference: None, status: Some(status) };
    (same && is_recent && !sid.is_empty()).then(leg)
}

fn entries<'a>(answer: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    answer.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry.get(name).and_then(Value::as_str).unwrap_or_default()
}
