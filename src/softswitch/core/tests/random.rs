//! Random requests against random documents: whatever comes, the records agree with each other, and when everybody has
//! gone nothing is left.

use super::*;
use crate::softswitch::core::state::{DialPhase, Place, RecordingStatus, TimerKind};
use crate::softswitch::twiml::{Detection, RecordingOrder};

const SEEDS: u64 = 60;
const STEPS: usize = 250;

/// Documents that lead to each other; `…/dN` is the N-th.
const DOCUMENTS: &[&str] = &[
    "<Response><Say>Hello</Say><Redirect>/d1</Redirect></Response>",
    "<Response><Enqueue action=\"/d2\" waitUrl=\"/d12\">q</Enqueue><Pause length=\"3\"/></Response>",
    "<Response><Gather numDigits=\"1\" action=\"/d3\" timeout=\"2\" input=\"dtmf speech\"/><Hangup/></Response>",
    "<Response><Dial action=\"/d0\" timeout=\"4\"><Client>slow</Client><Client url=\"/d10\">screened</Client></Dial></Response>",
    "<Response><Dial sequential=\"true\" record=\"record-from-ringing\"><Client>busy</Client><Client>ok</Client></Dial></Response>",
    "<Response><Dial hangupOnStar=\"true\" record=\"true\"><Conference waitUrl=\"/d11\" record=\"true\">R</Conference></Dial><Redirect>/d4</Redirect></Response>",
    "<Response><Dial timeout=\"5\" action=\"/d2\"><Queue url=\"/d11\">q</Queue></Dial></Response>",
    "<Response><Dial timeout=\"5\"><Queue>q</Queue></Dial><Pause length=\"2\"/></Response>",
    "<Response><Record action=\"/d0\" timeout=\"1\" maxLength=\"4\"/><Redirect>/d5</Redirect></Response>",
    "<Response><Dial answerOnBridge=\"true\" callerId=\"+1\"><Number>+15552220000</Number></Dial></Response>",
    "<Response><Gather numDigits=\"1\" timeout=\"1\"/><Redirect>/d11</Redirect></Response>",
    "<Response><Play>x.mp3</Play></Response>",
    "<Response><Gather numDigits=\"1\" action=\"/d13\" timeout=\"2\"/><Redirect>/d12</Redirect></Response>",
    "<Response><Leave/></Response>",
    "<Response><Reject reason=\"busy\"/></Response>",
    "<Response><Dial><Conference endConferenceOnExit=\"true\" startConferenceOnEnter=\"false\">S</Conference></Dial></Response>",
    "<Response><Redirect>/missing</Redirect></Response>",
    "<Response><Dial timeout=\"3\"><Sip>sip:busy@pbx?X-A=1</Sip></Dial><Redirect>/d3</Redirect></Response>",
];
const ADDRESSES: &[&str] = &["client:ok", "client:slow", "client:busy", "client:gone", NUMBER, "+15005550003"];

/// A small generator of numbers that are the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }

    fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.roll(all.len())]
    }

    fn flag(&mut self) -> bool {
        self.roll(2) == 0
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| value(self))
    }

    fn target(&mut self) -> Target {
        Target { url: format!("https://r/d{}", self.roll(DOCUMENTS.len())), method: Method::Post }
    }

    /// The SID of some call that has not ended; of one that does not exist when there is none.
    fn call(&mut self, phone: &Phone) -> String {
        let live: Vec<_> = phone.switch.live.iter().collect();
        if live.is_empty() {
            return "CA404".to_owned();
        }
        phone.switch.calls[live[self.roll(live.len())]].record.sid.clone()
    }

    fn options(&mut self) -> LegOptions {
        LegOptions {
            send_digits: if self.flag() { "w1*".to_owned() } else { String::new() },
            recording: self.maybe(|dice| RecordingOrder {
                source: "OutboundAPI",
                is_dual: dice.flag(),
                from_ringing: dice.flag(),
                track: "both",
                trims: dice.flag(),
                status_callback: None,
            }),
            detection: self.maybe(|dice| Detection {
                until_message_end: dice.flag(),
                is_async: dice.flag(),
                timeout_ms: 3_000,
                callback: None,
            }),
        }
    }

    fn request(&mut self, phone: &Phone) -> Request {
        let sid = self.call(phone);
        let room = self.pick(&["R", "S", "T"]).to_owned();
        let room_sid = || phone.switch.open_rooms.get(&room).map(|id| phone.switch.rooms[id].record.sid.clone());
        match self.roll(18) {
            0..=2 => Request::PlaceInbound(Box::new(PlacedCall {
                from: self.pick(ADDRESSES).to_owned(),
                to: NUMBER.to_owned(),
                ..PlacedCall::default()
            })),
            3 | 4 => {
                let Request::CreateCall(mut new) = new_call(self.pick(ADDRESSES), "<Response/>") else { panic!() };
                new.document = Source::Ask(self.target());
                new.options = self.options();
                Request::CreateCall(new)
            }
            5 | 6 => {
                let mut new = participant(self.pick(ADDRESSES), self.pick(&["a", "b", "c"]));
                new.entry.end_on_exit = self.flag();
                new.entry.wait = self.maybe(Self::target);
                new.options = self.options();
                Request::AddParticipant { room, new: Box::new(new) }
            }
            7 | 8 => {
                let update = ParticipantUpdate {
                    muted: self.maybe(Self::flag),
                    hold: self.maybe(Self::flag),
                    hold_document: self.maybe(Self::target),
                    announce: self.maybe(Self::target),
                    wait: self.maybe(Self::target),
                    end_on_exit: self.maybe(Self::flag),
                    ..ParticipantUpdate::default()
                };
                Request::UpdateParticipant { room, who: sid, update: Box::new(update) }
            }
            9 => Request::RemoveParticipant { room, who: sid },
            10 if self.flag() => Request::EndRoom { sid: room_sid().unwrap_or_default() },
            10 => Request::AnnounceInRoom { sid: room_sid().unwrap_or_default(), target: self.target() },
            11 | 12 => {
                let document = self.maybe(Self::target).map(Source::Ask);
                let status = if document.is_some() { None } else { Some(CallStatus::Completed) };
                Request::UpdateCall { sid, update: Box::new(CallUpdate { document, status, ..CallUpdate::default() }) }
            }
            13 => Request::HangUp { sid },
            14 => Request::Press { sid, digits: self.pick(&["1", "*", "12#"]).to_owned() },
            15 => Request::Say { sid, text: "billing".to_owned() },
            16 if self.flag() => Request::Answer { sid },
            16 => Request::RedirectMember {
                queue: phone.switch.queues.values().next().map(|queue| queue.sid.clone()).unwrap_or_default(),
                who: "Front".to_owned(),
                to: self.target(),
            },
            _ => {
                let of = RecordingsOf::Call(sid.clone());
                match self.roll(3) {
                    0 => {
                        let recording = self.options().recording;
                        let Some(order) = recording else { return Request::GetPace };
                        Request::StartRecording { call: sid, order: Box::new(order) }
                    }
                    roll => Request::UpdateRecording {
                        of,
                        sid: "Twilio.CURRENT".to_owned(),
                        change: RecordingChange {
                            to: if roll == 1 { RecordingStatus::Paused } else { RecordingStatus::Completed },
                            pause_is_silence: self.flag(),
                        },
                    },
                }
            }
        }
    }
}

/// What must be so after every request.
#[track_caller]
fn check(phone: &Phone, seed: u64) {
    let switch = &phone.switch;
    let mut running = 0;
    for (id, call) in &switch.calls {
        let live = call.record.status.is_live();
        assert_eq!(live, switch.live.contains(id), "seed {seed}: {call:?}");
        running += call.recordings.len();
        if !live {
            assert!(
                call.timers.is_empty() && call.recordings.is_empty() && call.twin.is_none(),
                "seed {seed}: {call:?}"
            );
            continue;
        }
        let is_in = |room| switch.rooms[&room].members.iter().any(|member| member.call == *id);
        match &call.place {
            Place::Queue { queue, .. } => {
                assert!(switch.queues[queue].members.iter().any(|(member, _)| member == id), "seed {seed}: {call:?}");
            }
            Place::Added(room) | Place::Dial { phase: DialPhase::InRoom(room), .. } => {
                assert!(is_in(*room), "seed {seed}: {call:?}");
            }
            Place::Dial {
                phase: DialPhase::Connected { peer, .. } | DialPhase::Preparing { head: peer, .. }, ..
            } => {
                let back = match &switch.calls[peer].place {
                    Place::Child(by) | Place::Taken { by, .. } => Some(by),
                    _ => None,
                };
                assert!(switch.live.contains(peer) && back == Some(id), "seed {seed}: {call:?}");
            }
            Place::Dial { phase: DialPhase::Ringing { children, .. }, .. } => {
                assert!(!children.is_empty(), "seed {seed}: nobody rings: {call:?}");
                for child in children {
                    let by = &switch.calls[child].place;
                    let belongs = matches!(by, Place::Child(by) | Place::Screened(by) if by == id);
                    assert!(switch.live.contains(child) && belongs, "seed {seed}: {by:?}");
                }
            }
            Place::Dial { phase: DialPhase::AtQueue(queue), .. } => {
                assert!(switch.queues[queue].takers.contains(id), "seed {seed}: {call:?}");
            }
            Place::Child(by) | Place::Screened(by) | Place::Taken { by, .. } => {
                assert!(switch.live.contains(by), "seed {seed}: {call:?}");
            }
            Place::Document => {
                let ends =
                    |kind: &TimerKind| !matches!(kind, TimerKind::TimeLimit | TimerKind::HangUp | TimerKind::Press);
                let fetches = switch.fetches.values().any(|fetch| fetch.call == *id);
                assert!(fetches || call.timers.keys().any(ends), "seed {seed}: nothing will ever happen to {call:?}");
            }
        }
        if let Some(twin) = call.twin {
            assert_eq!(switch.calls[&twin].twin, Some(*id), "seed {seed}");
        }
    }
    for room in switch.rooms.values() {
        running += room.recordings.len();
        assert!(room.members.iter().all(|member| switch.live.contains(&member.call)), "seed {seed}: {room:?}");
    }
    for queue in switch.queues.values() {
        assert!(queue.members.is_empty() || queue.takers.is_empty(), "seed {seed}: {queue:?}");
        assert!(queue.members.iter().all(|(member, _)| switch.live.contains(member)), "seed {seed}: {queue:?}");
        assert!(queue.takers.iter().all(|taker| switch.live.contains(taker)), "seed {seed}: {queue:?}");
    }
    let all = switch.recordings.values().filter(|recording| recording.record.status.is_running()).count();
    assert_eq!(all, running, "seed {seed}: recordings run that belong to nobody");
}

#[test]
fn records_agree_whatever_comes_and_nothing_is_left_in_the_end() {
    let (mut done, mut refused) = (0_usize, 0_usize);
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        let mut phone = Phone::with(|settings| {
            settings.live_calls_max = 60;
            settings.queue_size = 3;
            settings.finished_max = 30;
        });
        for (number, document) in DOCUMENTS.iter().enumerate() {
            phone.document(&format!("https://r/d{number}"), document);
        }
        phone.behaves("client:slow", Behaviour { no_answer: true, ..Behaviour::default() });
        phone.behaves("client:busy", Behaviour { busy: true, ..Behaviour::default() });
        phone.behaves("client:gone", Behaviour { hang_up_after_ms: Some(2_000), ..Behaviour::default() });
        for _ in 0..STEPS {
            let first = DOCUMENTS[dice.roll(DOCUMENTS.len())];
            phone.document("https://r/voice", first);
            let request = dice.request(&phone);
            match phone.ask(request) {
                Ok(_) => done += 1,
                Err(_) => refused += 1,
            }
            check(&phone, seed);
            if dice.flag() {
                phone.advance(i64::try_from(dice.roll(3_000)).unwrap());
                check(&phone, seed);
            }
        }
        while let Some(id) = phone.switch.live.first().copied() {
            let sid = phone.switch.calls[&id].record.sid.clone();
            phone.hang_up(&sid);
            check(&phone, seed);
        }
        phone.advance(600_000);
        let switch = &phone.switch;
        assert!(switch.timers.is_empty() && switch.fetches.is_empty(), "seed {seed}: {:?}", switch.timers);
        assert!(switch.open_rooms.is_empty() && switch.announcements.is_empty(), "seed {seed}");
        assert!(switch.calls.len() <= 30 && switch.rooms.len() <= 30 && switch.recordings.len() <= 30, "seed {seed}");
    }
    assert!(done > refused, "{done} requests were carried out and {refused} refused: too few to tell");
}
