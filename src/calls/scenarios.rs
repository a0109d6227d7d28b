//! Plays the stories of `tests/scenarios/calls/*.txt` (`spec/voice.md` sections 3.7, 3.8 and 8.1 to 8.5).
//!
//! Each story is played as written, with every output expected; then with a restart after each line, with every
//! callback and answer delivered twice, and with each pair of neighbouring callbacks swapped. The altered plays must end
//! in the same state with the same outputs, each as often. `tests/scenarios/calls/README.md` lists the words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::*;
use crate::routing::{AccountSid, WorkerSid};

const TASK: TaskSid = TaskSid::from_bits(1);

fn reservation(text: &str) -> ReservationSid {
    ReservationSid::from_bits(text.strip_prefix("WR").unwrap().parse().unwrap())
}

fn label(text: &str) -> String {
    if text.starts_with("WR") { reservation(text).to_string() } else { text.to_owned() }
}

/// Text with the SIDs of reservations as short as in the stories.
fn short(text: &str) -> String {
    text.parse::<ReservationSid>().map_or_else(|_| text.to_owned(), |sid| format!("WR{}", sid.bits()))
}

fn command_text(command: &PhoneCommand) -> String {
    match command {
        PhoneCommand::AddParticipant { label, room, .. } => format!("add {}{}", short(label), name_text(room)),
        PhoneCommand::PlaceCall { label, document: Some(document), .. } => {
            format!("call {} {}", short(label), document.url)
        }
        PhoneCommand::PlaceCall { label, document: None, room, .. } => {
            format!("announce {}{}", short(label), name_text(room))
        }
        PhoneCommand::RedirectCall { call, url, .. } => format!("redirect {call} {url}"),
        PhoneCommand::MoveCallerToRoom { room, .. } => format!("move{}", name_text(room)),
        PhoneCommand::LetCallerDial { label, .. } => format!("dial {}", short(label)),
        PhoneCommand::ParkCaller { room, .. } => format!("park{}", name_text(room)),
        PhoneCommand::ReleaseCaller { room, .. } => format!("release{}", name_text(room)),
        PhoneCommand::FetchCall { call } => format!("fetch {call}"),
        PhoneCommand::FetchRoom(query) => format!("look{}", name_text(&query.room)),
        PhoneCommand::HangUp { call } => format!("hang-up {call}"),
        PhoneCommand::HangUpLabel { label, room, .. } => format!("hang-up-label {}{}", short(label), name_text(room)),
        PhoneCommand::Kick { leg, room } => format!("kick {}{}", short(leg), room_text(room)),
        PhoneCommand::EndRoom { room } => format!("end-room{}", room_text(room)),
        PhoneCommand::UpdateParticipant { leg, update, room } => {
            format!("update {}{}{}", short(leg), update_text(update), room_text(room))
        }
    }
}

/// The room that a command names, unless it is CF1.
fn room_text(room: &str) -> String {
    match room {
        "CF1" => String::new(),
        other if other.starts_with("CF") => format!(" {other}"),
        _ => " by-name".to_owned(),
    }
}

/// The name of a room, unless it is the task's SID.
fn name_text(room: &str) -> String {
    if room.starts_with("CF") || *room == TASK.to_string() { String::new() } else { format!(" in {room}") }
}

fn update_text(update: &LegUpdate) -> String {
    let flags = [
        ("hold", update.hold),
        ("muted", update.muted),
        ("ends-room", update.end_conference_on_exit),
        ("beep-on-exit", update.beep_on_exit),
    ];
    let mut words: Vec<String> =
        flags.iter().filter_map(|(name, value)| value.map(|value| format!(" {name}={value}"))).collect();
    words.extend(update.heard_by.as_ref().map(|heard_by| match heard_by {
        HeardBy::Everybody => " heard-by=all".to_owned(),
        HeardBy::Only(call) => format!(" heard-by={call}"),
    }));
    words.concat()
}

pub(super) fn output_text(output: &Output) -> String {
    let wr = |sid: &ReservationSid| format!("WR{}", sid.bits());
    match output {
        Output::Phone { command, .. } => format!("phone {}", command_text(command)),
        Output::BeginConnecting(sid) => format!("begin {}", wr(sid)),
        Output::Accept(sid) => format!("accept {}", wr(sid)),
        Output::FailConnecting { reservation, code, not_before, missed } => {
            let code = code.map(|code| format!(" {code}")).unwrap_or_default();
            let rest = if not_before.is_some() { " rest" } else { "" };
            let missed = if *missed { " missed" } else { "" };
            format!("fail {}{code}{rest}{missed}", wr(reservation))
        }
        Output::EndCaller { reason } => format!("end-caller {reason}"),
        Output::EndWork(sid) => format!("end-work {}", wr(sid)),
        Output::AskQueue(sid) => format!("ask-queue {}", wr(sid)),
        Output::MergeAttributes(attributes) if attributes.contains_key("worker_call_sid") => {
            format!("attributes worker_call_sid {}", attributes["worker_call_sid"].as_str().unwrap())
        }
        Output::MergeAttributes(attributes) if !attributes.contains_key("conference") => {
            let keys: Vec<String> = attributes.iter().map(|(key, value)| format!(" {key}={value}")).collect();
            format!("merge{}", keys.concat())
        }
        Output::MergeAttributes(attributes) => {
            let conference = &attributes["conference"];
            let participants = &conference["participants"];
            let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
            let (worker, customer) = (text(&participants["worker"]), text(&participants["customer"]));
            let name = name_text(conference["room_name"].as_str().unwrap());
            format!("attributes {} {worker} {customer}{name}", text(&conference["sid"]))
        }
        Output::Repaired(Repaired { repair, of, .. }) => format!("repaired {} {}", repair.as_str(), short(of)),
        Output::Alert { code, .. } => format!("alert {code}"),
    }
}

fn document_text(document: &NextDocument) -> String {
    match document {
        NextDocument::JoinRoom => "join".to_owned(),
        NextDocument::Wait => "wait".to_owned(),
        NextDocument::Application { result, answer_used, .. } => {
            format!("application {}{}", result.as_str(), if *answer_used { "" } else { " unused" })
        }
        NextDocument::Redirect(url) => format!("redirect {url}"),
        NextDocument::Release => "release".to_owned(),
        NextDocument::AfterEnqueue(verbs) => format!("after {verbs}"),
        NextDocument::Message => "message".to_owned(),
        NextDocument::Unavailable => "unavailable".to_owned(),
        NextDocument::Empty => "empty".to_owned(),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    AsWritten,
    Restarted,
    Twice,
    Swapped,
}

struct Play {
    calls: Calls,
    now: Timestamp,
    way: Way,
    unexpected: Vec<String>,
    all: Vec<String>,
    numbers: BTreeSet<(String, u32)>,
}

/// A line apart into its first words and its `key=value` words.
struct Words<'a> {
    plain: Vec<&'a str>,
    keyed: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Self {
        let (keyed, plain): (Vec<&str>, Vec<&str>) = line.split_whitespace().partition(|word| word.contains('='));
        Self { plain, keyed: keyed.into_iter().filter_map(|word| word.split_once('=')).collect() }
    }

    fn has(&self, word: &str) -> bool {
        self.plain.contains(&word)
    }

    fn key(&self, key: &str) -> Option<String> {
        self.keyed.get(key).map(|value| (*value).to_owned())
    }

    fn number<N: std::str::FromStr>(&self, key: &str) -> Option<N> {
        self.keyed.get(key).and_then(|value| value.parse().ok())
    }

    fn call(&self) -> Option<CallSid> {
        self.key("call").map(CallSid)
    }

    fn options(&self) -> ConferenceOptions {
        ConferenceOptions {
            to: self.key("to"),
            room_name: self.key("room"),
            timeout_secs: self.number("timeout").unwrap_or(60),
            end_conference_on_exit: self.has("end_on_exit"),
            end_conference_on_customer_exit: self.has("end_on_customer_exit"),
            announcement: self.key("accept_key").map(|key| Announcement { text: None, key: Some(key) }),
            ..ConferenceOptions::default()
        }
    }
}

/// `CF1` with nobody in it, or `CF1:customer=CA1,WR1=CA2`; `*` after a leg says that it is on hold.
fn room_sight(text: &str) -> RoomSight {
    let (conference, legs) = text.split_once(':').unwrap_or((text, ""));
    let legs = legs.split(',').filter_map(|leg| leg.split_once('=')).map(|(name, call)| LegSight {
        call: CallSid(call.trim_end_matches('*').to_owned()),
        label: Some(label(name)).filter(|label| label != "-"),
        held: call.ends_with('*'),
        muted: false,
    });
    RoomSight { conference: conference.to_owned(), legs: legs.collect() }
}

fn outcome(words: &[&str]) -> PhoneOutcome {
    let keyed: BTreeMap<&str, &str> = words.iter().filter_map(|word| word.split_once('=')).collect();
    match words[0] {
        "done" => PhoneOutcome::Done {
            call: keyed.get("call").map(|call| CallSid((*call).to_owned())),
            conference: keyed.get("conf").map(|conference| (*conference).to_owned()),
            status: words.get(1).and_then(|status| CallStatus::from_text(status)),
        },
        "gone" => PhoneOutcome::Gone,
        "seen" => PhoneOutcome::Seen(words[1..].iter().map(|room| room_sight(room)).collect()),
        "refused" => {
            PhoneOutcome::Refused { code: words.get(1).and_then(|code| code.parse().ok()), message: "no".into() }
        }
        "unavailable" => PhoneOutcome::Unavailable { message: "late".into() },
        other => panic!("unknown outcome {other}"),
    }
}

fn input(line: &str, numbers: &mut BTreeSet<(String, u32)>) -> Option<Input> {
    let words = Words::of(line);
    let call_sid = || words.call().unwrap_or_else(|| CallSid("CA1".to_owned()));
    let word = |index: usize| words.plain.get(index).copied().unwrap_or_default();
    let who = || match word(1) {
        "customer" => (Role::Customer, None),
        worker if worker.starts_with("WR") => (Role::Worker, Some(reservation(worker))),
        _ => (Role::Supervisor, None),
    };
    let target = || match word(1) {
        "customer" => LegTarget::Customer,
        worker if worker.starts_with("WR") => LegTarget::Worker(reservation(worker)),
        other => LegTarget::Label(other.to_owned()),
    };
    let flag = |key: &str| words.key(key).map(|value| value == "true");
    Some(match word(0) {
        "enqueued" => Input::Enqueued {
            call: call_sid(),
            from: "+15551110000".to_owned(),
            to: if words.has("no_number") { String::new() } else { "+15552220000".to_owned() },
            park: Park { action: words.key("action"), after_enqueue: words.key("after"), ..Park::default() },
        },
        "outbound" => Input::Outbound {
            from: words.key("from").unwrap_or_default(),
            to: words.key("to").unwrap_or_else(|| "+15553330000".to_owned()),
        },
        "call-back" => Input::CallBack {
            call: call_sid(),
            to: "+15551110000".to_owned(),
            terms: CallbackTerms {
                attempts: words.number("attempts").unwrap_or(3),
                pause_secs: words.number("pause").unwrap_or(300),
                expires_secs: words.number("expires").unwrap_or(3_600),
            },
        },
        "leave-message" => Input::LeaveMessage { call: call_sid() },
        "taken-elsewhere" => Input::TakenElsewhere(reservation(word(1))),
        "done-elsewhere" => Input::DoneElsewhere(reservation(word(1))),
        "transfer" => Input::TransferBegan { reservation: reservation(word(1)), cold: words.has("cold") },
        "transfer-over" => Input::TransferOver { failed: words.has("failed") },
        "update" => Input::UpdateLeg {
            target: target(),
            update: LegUpdate {
                hold: flag("hold"),
                muted: flag("muted"),
                end_conference_on_exit: flag("ends-room"),
                beep_on_exit: flag("beep-on-exit"),
                heard_by: words.key("heard-by").map(|call| match call.as_str() {
                    "all" => HeardBy::Everybody,
                    _ => HeardBy::Only(CallSid(call)),
                }),
                ..LegUpdate::default()
            },
        },
        "kick" => Input::KickLeg { target: target() },
        "invite" => Input::Invite {
            role: Role::from_text(word(2)).unwrap(),
            label: word(1).to_owned(),
            to: "client:s".to_owned(),
            from: "+15551110000".to_owned(),
            options: Box::new(words.options()),
            coach: words.key("coach").map(CallSid),
        },
        "end-conversation" => Input::EndConversation,
        "wait" => words.key("queue").map_or(Input::WaitRequested, |queue| Input::WaitRequestedIn { queue }),
        "left" => Input::Left {
            result: QueueResult::from_text(word(1)).unwrap(),
            call_ended: words.has("ended"),
            queue_time_secs: words.number("time"),
        },
        "room-left" => {
            let (role, reservation) = who();
            Input::RoomLeft { role, reservation, call: words.call(), call_ended: words.has("ended") }
        }
        "caller-ended" => Input::CallerEnded { call: call_sid() },
        "instruct" => Input::Instruct {
            reservation: reservation(word(1)),
            worker: WorkerSid::from_bits(1),
            contact_uri: (!words.has("no_contact")).then(|| "client:a".to_owned()),
            options: words.options(),
        },
        "call" => Input::Call {
            reservation: reservation(word(1)),
            worker: WorkerSid::from_bits(1),
            contact_uri: (!words.has("no_contact")).then(|| "client:a".to_owned()),
            document: WorkerDocument {
                account: AccountSid::from_bits(1),
                url: "https://app/whisper".to_owned(),
                accept: words.has("accept"),
            },
            options: ConferenceOptions { by: ConnectBy::Call, end_conference_on_exit: true, ..words.options() },
        },
        "redirect" => Input::Redirect {
            reservation: reservation(word(1)),
            call: call_sid(),
            account: AccountSid::from_bits(1),
            url: "https://app/next".to_owned(),
            accept: words.has("accept"),
        },
        "called" => Input::WorkerCalled {
            reservation: reservation(word(1)),
            worker: WorkerSid::from_bits(1),
            call: call_sid(),
            options: words.options(),
        },
        "leg" => {
            let (role, _) = who();
            Input::LegChanged {
                role,
                label: label(word(1)),
                call: call_sid(),
                status: CallStatus::from_text(word(2)).unwrap(),
                sequence: words.number("seq"),
                code: words.number("code"),
            }
        }
        "room" => Input::RoomChanged {
            conference: words.key("conf").unwrap_or_else(|| "CF1".to_owned()),
            event: match word(1) {
                "start" => RoomEvent::Started,
                "end" => RoomEvent::Ended { reason: words.key("reason") },
                "join" => RoomEvent::Joined,
                "leave" => RoomEvent::Left {
                    reason: words.key("reason"),
                    call_status: words.key("status").and_then(|status| CallStatus::from_text(&status)),
                },
                "hold" => RoomEvent::Held(true),
                "unhold" => RoomEvent::Held(false),
                other => panic!("unknown room event {other}"),
            },
            call: words.call(),
            label: words.plain.get(2).map(|text| label(text)),
            sequence: words.number("seq"),
        },
        "answer" => {
            let rest: Vec<&str> = line.split_whitespace().skip(1).collect();
            let at =
                rest.iter().position(|word| ["done", "gone", "seen", "refused", "unavailable"].contains(word)).unwrap();
            let command = rest[..at].join(" ");
            let oldest = numbers.range((command.clone(), 0)..).next().filter(|(text, _)| *text == command)?.clone();
            let (_, number) = numbers.take(&oldest)?;
            Input::CommandDone { number, outcome: outcome(&rest[at..]) }
        }
        "dialed" => Input::Dialed {
            reservation: reservation(word(1)),
            call: Some(call_sid()),
            status: CallStatus::from_text(word(2)),
            call_ended: words.has("ended"),
        },
        "reservation-ended" => Input::ReservationEnded { reservation: reservation(word(1)) },
        "task-ended" => Input::TaskEnded { canceled: words.has("canceled") },
        other => panic!("unknown word {other:?}"),
    })
}

impl Play {
    fn new(way: Way) -> Self {
        Self {
            calls: Calls::default(),
            now: Timestamp(1_000_000),
            way,
            unexpected: Vec::new(),
            all: Vec::new(),
            numbers: BTreeSet::new(),
        }
    }

    fn note(&mut self, outputs: &[Output]) {
        for output in outputs {
            if let Output::Phone { number, command } = output {
                self.numbers.insert((command_text(command), *number));
            }
            self.unexpected.push(output_text(output));
            self.all.push(output_text(output));
        }
    }

    fn advance_to(&mut self, at: Timestamp) {
        while let Some(deadline) = self.calls.next_deadline().filter(|deadline| *deadline <= at) {
            self.now = self.now.max(deadline);
            for (_, outputs) in self.calls.tick(self.now) {
                self.note(&outputs);
            }
        }
        self.now = at;
    }

    fn expect(&mut self, line: &str) -> Result<(), String> {
        let task = self.calls.task(TASK).ok_or("no task")?;
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (found, wanted) = match what {
            "state" => (format!("{:?}", task.state), rest.to_owned()),
            "document-left" => {
                let (result, wanted) = rest.split_once(' ').ok_or("document-left RESULT DOCUMENT")?;
                let result = QueueResult::from_text(result).ok_or("unknown result")?;
                (document_text(&task.document_after_left(result)), wanted.to_owned())
            }
            "document-room" => (document_text(&task.document_after_room(Role::Customer)), rest.to_owned()),
            "instructable" => {
                let (sid, wanted) = rest.split_once(' ').ok_or("instructable WR ANSWER")?;
                (format!("{:?}", self.calls.can_instruct(TASK, reservation(sid))), wanted.to_owned())
            }
            "recallable" => (format!("{:?}", task.recallable(&CallSid("CA1".to_owned()))), rest.to_owned()),
            "leaves-queue" => (if task.lets_caller_leave() { "yes" } else { "no" }.to_owned(), rest.to_owned()),
            "live" => {
                let held = self.calls.live_task_of_call(&CallSid("CA1".to_owned())).is_some();
                (if held { "yes" } else { "no" }.to_owned(), rest.to_owned())
            }
            _ if self.unexpected.is_empty() => ("nothing".to_owned(), line.to_owned()),
            _ => (self.unexpected.remove(0), line.to_owned()),
        };
        if found == wanted { Ok(()) } else { Err(format!("expected {wanted:?}, found {found:?}")) }
    }

    /// Plays one line; `Ok(false)` when it answers a command that was not sent.
    fn line(&mut self, line: &str) -> Result<bool, String> {
        if let Some(expected) = line.strip_prefix("expect ") {
            return if self.way == Way::AsWritten { self.expect(expected).map(|()| true) } else { Ok(true) };
        }
        if self.way == Way::AsWritten && !self.unexpected.is_empty() {
            return Err(format!("nobody expected {:?}", self.unexpected));
        }
        if let Some(at) = line.strip_prefix("at ") {
            let secs: f64 = at.strip_suffix('s').and_then(|secs| secs.parse().ok()).ok_or("at SECONDSs")?;
            #[expect(clippy::cast_possible_truncation, reason = "stories last minutes")]
            self.advance_to(Timestamp(1_000_000 + (secs * 1000.0) as i64));
            return Ok(true);
        }
        if let Some(word) = line.strip_prefix("cold-transfer-failure ") {
            let cold_transfer_failure = ColdTransferFailure::from_text(word).ok_or("hold, voicemail or requeue")?;
            self.calls.set_policy(Policy { cold_transfer_failure, ..self.calls.policy });
            return Ok(true);
        }
        if let Some(setting) = line.strip_prefix("setting ") {
            let policy = self.calls.policy;
            self.calls.set_policy(match setting {
                "worker stays when the customer left" => Policy { end_room_when_customer_left: false, ..policy },
                "caller stays when the task is canceled" => Policy { on_cancel_release_caller: false, ..policy },
                "no room callbacks" => Policy { room_callbacks: false, ..policy },
                "no rooms" => Policy { rooms: false, ..policy },
                "calls take turns" => Policy { calls_take_turns: true, ..policy },
                "complete ends the room" => {
                    Policy { choices: Choices { complete_ends_room: true, ..policy.choices }, ..policy }
                }
                "accepted tasks are not wrapped" => {
                    Policy { choices: Choices { auto_wrap_accepted_voice: false, ..policy.choices }, ..policy }
                }
                "customer off hold when the transfer is accepted" => {
                    Policy { choices: Choices { auto_unhold_on_transfer_accept: true, ..policy.choices }, ..policy }
                }
                "redirected after a conference" => {
                    Policy { choices: Choices { redirected_after_conference: true, ..policy.choices }, ..policy }
                }
                "legs last a minute" => Policy { leg_ms: 60_000, ..policy },
                "customer alone for 30s" => Policy { customer_alone_ms: 30_000, ..policy },
                other => return Err(format!("unknown setting {other:?}")),
            });
            return Ok(true);
        }
        if line == "start" {
            self.calls.look_at_all(self.now, 0);
        }
        if matches!(line, "start" | "then") {
            return Ok(true);
        }
        let Some(input) = input(line, &mut self.numbers) else { return Ok(false) };
        let times = if self.way == Way::Twice { 2 } else { 1 };
        for _ in 0..times {
            let outputs = self.calls.handle(TASK, &input, self.now);
            self.note(&outputs);
        }
        if self.way == Way::Restarted {
            let stored: Vec<VoiceTask> = self
                .calls
                .tasks()
                .map(|task| serde_json::from_str(&serde_json::to_string(task).unwrap()).unwrap())
                .collect();
            assert!(self.calls.tasks().eq(stored.iter()), "the stored record differs");
            let policy = self.calls.policy;
            self.calls = Calls::restore(stored);
            self.calls.set_policy(policy);
        }
        Ok(true)
    }

    fn result(mut self) -> (String, Vec<String>) {
        self.all.sort();
        (format!("{:?}", self.calls.task(TASK).unwrap().state), self.all)
    }
}

/// The final state and the sorted outputs; `None` when the lines cannot be played in this order.
fn play(name: &str, lines: &[&str], way: Way) -> Option<(String, Vec<String>)> {
    let mut play = Play::new(way);
    for (number, line) in lines.iter().enumerate() {
        match play.line(line) {
            Ok(true) => {}
            Ok(false) if way == Way::Swapped => return None,
            Ok(false) => panic!("{name}, instruction {}: {line:?} answers no command", number + 1),
            Err(problem) => panic!("{name}, instruction {}: {line:?}: {problem}", number + 1),
        }
    }
    if way == Way::AsWritten {
        assert!(play.unexpected.is_empty(), "{name}: nobody expected {:?}", play.unexpected);
    }
    Some(play.result())
}

fn comes_from_the_phone_system(line: &str) -> bool {
    ["wait", "left", "room-left", "dialed", "caller-ended", "leg", "room", "answer"]
        .contains(&line.split_whitespace().next().unwrap_or_default())
}

#[test]
fn every_story_ends_the_same_after_restarts_and_with_doubled_and_swapped_callbacks() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/calls");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    let mut stories = 0;
    let mut swaps = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for story in text.split("\nstory ").map(|story| story.strip_prefix("story ").unwrap_or(story)) {
            let mut all = story.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let Some(title) = all.next() else { continue };
            let name = format!("{}: {title}", file.file_name().unwrap().to_string_lossy());
            let lines: Vec<&str> = all.collect();
            stories += 1;
            let wanted = play(&name, &lines, Way::AsWritten).unwrap();
            assert_eq!(play(&name, &lines, Way::Restarted).unwrap(), wanted, "{name}, restarted");
            assert_eq!(play(&name, &lines, Way::Twice).unwrap(), wanted, "{name}, everything twice");
            let bare: Vec<&str> = lines.iter().copied().filter(|line| !line.starts_with("expect ")).collect();
            for first in 0..bare.len().saturating_sub(1) {
                if comes_from_the_phone_system(bare[first]) && comes_from_the_phone_system(bare[first + 1]) {
                    let mut swapped = bare.clone();
                    swapped.swap(first, first + 1);
                    if let Some(found) = play(&name, &swapped, Way::Swapped) {
                        swaps += 1;
                        assert_eq!(found, wanted, "{name}, {:?} before {:?}", swapped[first], swapped[first + 1]);
                    }
                }
            }
        }
    }
    assert!(stories >= 40 && swaps >= 100, "only {stories} stories and {swaps} swaps were played");
}

/// Codes of instructions (`spec/voice.md` 3.11).
const CODES: [u32; 33] = [
    40100, 40110, 40111, 40112, 40113, 40114, 40120, 40121, 40122, 40123, 40130, 40131, 40132, 40133, 40135, 40136,
    40137, 40138, 40139, 40140, 40141, 40142, 40143, 40144, 40145, 40146, 40147, 40148, 40149, 40151, 40152, 40158,
    55555,
];
/// Rows of the table of failures while connecting (`spec/voice.md` 3.7), some of them taken apart.
const FAILURES: usize = 21;
/// Pitfalls (`spec/voice.md` 9).
const PITFALLS: std::ops::RangeInclusive<u32> = 1..=32;

#[test]
fn the_page_of_voice_rules_names_tests_that_exist_and_leaves_nothing_out() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/voice-rules.md")).unwrap();
    let mut first_cells: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut section = "";
    for line in page.lines() {
        section = line.strip_prefix("## ").unwrap_or(section);
        if !line.starts_with("| ") {
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [first, .., title, file] = cells.as_slice() else { panic!("{line}") };
        if *file == "File" {
            continue;
        }
        assert!(names_a_test(&root, title, file), "{file} has no {title:?}");
        first_cells.entry(section).or_default().push(*first);
    }
    assert!(first_cells["Failures while connecting"].len() >= FAILURES);
    let mut codes = first_cells["Codes of instructions"].iter().flat_map(|cell| cell.split(", "));
    let codes: std::collections::BTreeSet<&str> = codes.by_ref().collect();
    for code in CODES {
        assert!(codes.contains(code.to_string().as_str()), "code {code} has no row");
    }
    for number in PITFALLS {
        assert!(first_cells["Known to go wrong"].contains(&number.to_string().as_str()), "pitfall {number} has no row");
    }
}

/// Whether a file, or a story or scenario file without ending, has a test of this name.
fn names_a_test(root: &std::path::Path, title: &str, file: &str) -> bool {
    if title.is_empty() {
        return false;
    }
    let is_attribute =
        |before: &str| before.ends_with("test]") || before.ends_with("#[tokio::test(flavor = \"multi_thread\")]");
    if file.strip_suffix(".rs").is_some() {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        let before = |at: usize| text.get(..at).unwrap_or_default().trim_end();
        // A test, and not a function that happens to have its name.
        return [format!("fn {title}("), format!("async fn {title}(")]
            .iter()
            .any(|mark| text.match_indices(mark.as_str()).any(|(at, _)| is_attribute(before(at))));
    }
    let marks = [format!("story {title}"), format!("== {title}")];
    ["calls", "routing"].iter().any(|kind| {
        let text = std::fs::read_to_string(root.join(format!("tests/scenarios/{kind}/{file}.txt"))).unwrap_or_default();
        text.lines().any(|line| marks.iter().any(|mark| line == mark))
    })
}
