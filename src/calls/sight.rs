//! Who is in the rooms of a task, as the phone system shows it when it is asked, and what the callbacks had not told of it
//! (`spec/voice.md` 5.6).
//!
//! What differs is made into the inputs that the missing callbacks would have been. Nothing is decided here about what
//! follows from them. Start with `missed`.

use serde::{Deserialize, Serialize};

use super::interface::{CallSid, Input, Role, RoomEvent};
use super::voice_task::{Leg, LegState, VoiceTask};
use crate::routing::{ReservationSid, Timestamp};

/// Which rooms to look at: those of this name that live, and the one with this SID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomQuery {
    /// Name of the task's rooms.
    pub room: String,
    /// SID of the one in use, where it is known.
    pub conference: Option<String>,
}

/// A room that lives, and who is in it; legs that are on their way into it are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSight {
    /// Its SID.
    pub conference: String,
    /// Who is in it.
    pub legs: Vec<LegSight>,
}

/// A leg in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegSight {
    /// The leg.
    pub call: CallSid,
    /// Its label, if it has one.
    pub label: Option<String>,
    /// On hold.
    pub held: bool,
    /// Muted.
    pub muted: bool,
}

/// What no callback had told, and a look made good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// A call had ended.
    CallEnded,
    /// A leg had joined the room.
    Joined,
    /// A leg had left the room.
    Left,
    /// The room had ended.
    RoomEnded,
    /// A leg was put on hold or muted, or no longer so.
    Changed,
}

impl Repair {
    /// The label of the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallEnded => "call_ended",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::RoomEnded => "room_ended",
            Self::Changed => "changed",
        }
    }

    const fn told(self) -> &'static str {
        match self {
            Self::CallEnded => "had hung up",
            Self::Joined => "had joined the room",
            Self::Left => "had left the room",
            Self::RoomEnded => "had ended",
            Self::Changed => "had been held, muted, or let talk again",
        }
    }
}

/// Something that was made good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// What.
    pub repair: Repair,
    /// Label or SID of the leg, or SID of the room.
    pub of: String,
    /// The reservation concerned.
    pub reservation: Option<ReservationSid>,
}

impl std::fmt::Display for Repaired {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.repair == Repair::RoomEnded { "room" } else { "leg" };
        let (of, told) = (&self.of, self.repair.told());
        write!(formatter, "the {what} {of} {told} and no callback had told of it: found by looking at the phone system")
    }
}

/// A callback that did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) repair: Repair,
    /// Label of the leg, or SID of the room.
    pub(super) of: String,
    /// What it would have told.
    pub(super) input: Input,
}

/// Reason of a departure that only a look has shown: it tells nothing of the leg's call.
const NOT_IN_ROOM: &str = "participant_updated_via_api";

/// What the callbacks had not told of the task's rooms when they were looked at, in the order in which it is to be taken
/// in: arrivals first, so that nobody counts as alone who is not.
///
/// `asked` is when the look was asked for; whoever joined less than `settle_ms` before is not missed
/// for not being shown, because the phone system's lists lag behind.
pub(super) fn missed(task: &VoiceTask, rooms: &[RoomSight], asked: Timestamp, settle_ms: i64) -> Vec<Missed> {
    let mut found = Vec::new();
    for room in rooms {
        for leg in &room.legs {
            arrival(task, room, leg, asked, &mut found);
        }
    }
    let Some(current) = task.conference.as_deref() else { return found };
    let should_be_there =
        |leg: &&Leg| leg.state == LegState::InRoom && leg.joined.is_some_and(|at| asked.ms_since(at) >= settle_ms);
    let Some(room) = rooms.iter().find(|room| room.conference == current) else {
        if task.legs.iter().any(|leg| should_be_there(&leg)) {
            let input = room_event(current, RoomEvent::Ended { reason: None }, None, None);
            found.push(Missed { repair: Repair::RoomEnded, of: current.to_owned(), input });
        }
        return found;
    };
    for leg in task.legs.iter().filter(should_be_there) {
        let call = leg.call.as_ref();
        if call.is_some() && !room.legs.iter().any(|seen| Some(&seen.call) == call) {
            let left = RoomEvent::Left { reason: Some(NOT_IN_ROOM.to_owned()), call_status: None };
            let input = room_event(current, left, call, Some(&leg.label));
            found.push(Missed { repair: Repair::Left, of: leg.label.clone(), input });
        }
    }
    found
}

/// When whoever is not shown and joined less than `settle_ms` before the look can be told from somebody who has left.
pub(super) fn settled_at(task: &VoiceTask, rooms: &[RoomSight], asked: Timestamp, settle_ms: i64) -> Option<Timestamp> {
    let current = rooms.iter().find(|room| Some(&room.conference) == task.conference.as_ref());
    let is_shown =
        |leg: &&Leg| current.is_some_and(|room| room.legs.iter().any(|seen| Some(&seen.call) == leg.call.as_ref()));
    let unseen = task.legs.iter().filter(|leg| leg.state == LegState::InRoom && !is_shown(leg));
    unseen
        .filter_map(|leg| leg.joined)
        .filter(|at| asked.ms_since(*at) < settle_ms)
        .map(|at| at.plus_ms(settle_ms))
        .max()
}

/// What a leg that is shown tells: that it has come, or how it is.
fn arrival(task: &VoiceTask, room: &RoomSight, seen: &LegSight, asked: Timestamp, found: &mut Vec<Missed>) {
    let known = task.legs.iter().find(|leg| leg.call.as_ref() == Some(&seen.call));
    let labelled = || task.legs.iter().find(|leg| Some(&leg.label) == seen.label.as_ref() && !leg.label.is_empty());
    let of = seen.label.clone().unwrap_or_else(|| seen.call.0.clone());
    let current = task.conference.as_deref() == Some(room.conference.as_str());
    let event = |event| room_event(&room.conference, event, Some(&seen.call), seen.label.as_deref());
    let mut tell = |repair, input| found.push(Missed { repair, of: of.clone(), input });
    match known.or_else(labelled) {
        // The leg that was seen is an earlier one with the same label.
        Some(leg) if leg.created >= asked => {}
        // It left and was told so; that it comes again would be told too.
        Some(leg) if leg.state > LegState::InRoom && leg.call.as_ref() == Some(&seen.call) && current => {}
        Some(leg) if leg.state == LegState::InRoom && leg.call.as_ref() == Some(&seen.call) && current => {
            if leg.held != seen.held {
                tell(Repair::Changed, event(RoomEvent::Held(seen.held)));
            }
            if leg.muted != seen.muted {
                tell(Repair::Changed, event(RoomEvent::Muted(seen.muted)));
            }
        }
        // In an old room it is only the caller who must not stay, and a leg that is awaited may have made a new one.
        Some(leg) if current || leg.role == Role::Customer || leg.state < LegState::InRoom || leg.is_unclear() => {
            tell(Repair::Joined, event(RoomEvent::Joined));
        }
        None if current => tell(Repair::Joined, event(RoomEvent::Joined)),
        _ => {}
    }
}

fn room_event(conference: &str, event: RoomEvent, call: Option<&CallSid>, label: Option<&str>) -> Input {
    Input::RoomChanged {
        conference: conference.to_owned(),
        event,
        call: call.cloned(),
        label: label.map(str::to_owned),
        sequence: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::interface::Park;
    use crate::calls::policy::Policy;
    use crate::routing::TaskSid;

    const JOINED: Timestamp = Timestamp(100_000);
    const ASKED: Timestamp = Timestamp(200_000);
    const SETTLE_MS: i64 = 3_000;

    /// Its name, what the callbacks have told, what is seen, and what differs.
    type Case = (&'static str, VoiceTask, Vec<RoomSight>, Vec<(Repair, &'static str)>);

    fn call(text: &str) -> CallSid {
        CallSid(text.to_owned())
    }

    fn worker() -> String {
        ReservationSid::from_bits(1).to_string()
    }

    /// The caller CA1 and the worker CA2 as the callbacks have told of them, in the room CF1 or not.
    fn task(customer: LegState, worker_state: LegState) -> VoiceTask {
        let enqueued = Input::Enqueued {
            call: call("CA1"),
            from: "+15551110000".to_owned(),
            to: "+15552220000".to_owned(),
            park: Park::default(),
        };
        let sid = TaskSid::from_bits(1);
        let mut task = VoiceTask::enqueued(sid, &enqueued, &Policy::DEFAULT, Timestamp(0)).unwrap();
        let leg = Leg {
            call: Some(call("CA2")),
            reservation: Some(ReservationSid::from_bits(1)),
            ..Leg::requested(Role::Worker, worker(), Timestamp(0))
        };
        task.legs.push(leg);
        task.conference = Some("CF1".to_owned());
        for (leg, state) in task.legs.iter_mut().zip([customer, worker_state]) {
            leg.state = state;
            leg.joined = (state >= LegState::InRoom).then_some(JOINED);
        }
        task
    }

    fn seen(sid: &str, label: Option<&str>) -> LegSight {
        LegSight { call: call(sid), label: label.map(str::to_owned), held: false, muted: false }
    }

    fn room(conference: &str, legs: Vec<LegSight>) -> RoomSight {
        RoomSight { conference: conference.to_owned(), legs }
    }

    fn differences(task: &VoiceTask, rooms: &[RoomSight], asked: Timestamp) -> Vec<(Repair, String)> {
        let short = |of: String| if of == worker() { "worker".to_owned() } else { of };
        missed(task, rooms, asked, SETTLE_MS).into_iter().map(|missed| (missed.repair, short(missed.of))).collect()
    }

    #[test]
    fn what_the_callbacks_had_not_told() {
        use LegState::{Answered, Ended, InRoom, Left, Requested, Ringing};
        let customer = || seen("CA1", Some("customer"));
        let agent = || seen("CA2", Some(&worker()));
        let held = || LegSight { held: true, muted: true, ..customer() };
        let both = || vec![customer(), agent()];
        let cases: Vec<Case> = vec![
            ("all as told", task(InRoom, InRoom), vec![room("CF1", both())], vec![]),
            ("nobody has come", task(Answered, Ringing), vec![room("CF1", vec![])], vec![]),
            ("no room yet", task(Answered, Requested), vec![], vec![]),
            (
                "the caller has come",
                task(Answered, InRoom),
                vec![room("CF1", both())],
                vec![(Repair::Joined, "customer")],
            ),
            (
                "both have come",
                task(Answered, Ringing),
                vec![room("CF1", both())],
                vec![(Repair::Joined, "customer"), (Repair::Joined, "worker")],
            ),
            (
                "the worker has left",
                task(InRoom, InRoom),
                vec![room("CF1", vec![customer()])],
                vec![(Repair::Left, "worker")],
            ),
            (
                "the caller has left",
                task(InRoom, InRoom),
                vec![room("CF1", vec![agent()])],
                vec![(Repair::Left, "customer")],
            ),
            (
                "one has come for the other",
                task(Answered, InRoom),
                vec![room("CF1", vec![customer()])],
                vec![(Repair::Joined, "customer"), (Repair::Left, "worker")],
            ),
            ("the room has ended", task(InRoom, InRoom), vec![], vec![(Repair::RoomEnded, "CF1")]),
            ("the room has ended, as told", task(Left, Ended), vec![], vec![]),
            ("a departure that was told", task(InRoom, Left), vec![room("CF1", both())], vec![]),
            (
                "held and muted",
                task(InRoom, InRoom),
                vec![room("CF1", vec![held(), agent()])],
                vec![(Repair::Changed, "customer"), (Repair::Changed, "customer")],
            ),
            (
                "a stranger",
                task(InRoom, InRoom),
                vec![room("CF1", vec![customer(), agent(), seen("CA9", None)])],
                vec![(Repair::Joined, "CA9")],
            ),
            (
                "a second leg of the worker",
                task(InRoom, InRoom),
                vec![room("CF1", vec![customer(), agent(), seen("CA8", Some(&worker()))])],
                vec![(Repair::Joined, "worker")],
            ),
            (
                "the caller in a room that is not in use",
                task(Answered, Ended),
                vec![room("CF0", vec![customer()])],
                vec![(Repair::Joined, "customer")],
            ),
            (
                "a stranger in a room that is not in use",
                task(InRoom, InRoom),
                vec![room("CF1", both()), room("CF0", vec![seen("CA9", None)])],
                vec![],
            ),
        ];
        for (name, task, rooms, wanted) in cases {
            let wanted: Vec<_> = wanted.into_iter().map(|(repair, of)| (repair, of.to_owned())).collect();
            assert_eq!(differences(&task, &rooms, ASKED), wanted, "{name}");
        }
    }

    #[test]
    fn whoever_joined_a_moment_before_the_look_is_not_missed() {
        let task = task(LegState::InRoom, LegState::InRoom);
        for (asked_after_ms, differs) in [(0, false), (SETTLE_MS - 1, false), (SETTLE_MS, true)] {
            let asked = JOINED.plus_ms(asked_after_ms);
            assert_eq!(!differences(&task, &[], asked).is_empty(), differs, "{asked_after_ms}");
            assert_eq!(!differences(&task, &[room("CF1", vec![])], asked).is_empty(), differs, "{asked_after_ms}");
            let again = (!differs).then(|| JOINED.plus_ms(SETTLE_MS));
            assert_eq!(settled_at(&task, &[], asked, SETTLE_MS), again, "{asked_after_ms}");
            let both = vec![seen("CA1", Some("customer")), seen("CA2", Some(&worker()))];
            assert_eq!(settled_at(&task, &[room("CF0", both.clone())], asked, SETTLE_MS), again, "{asked_after_ms}");
            assert_eq!(settled_at(&task, &[room("CF1", both)], asked, SETTLE_MS), None, "everybody is there");
        }
    }
}
