//! One workspace with everything around it: both cores, the store, the phone system, people, the clock.
//!
//! A step lets some time pass, lets the cores tick (not always in time), and does one thing that somebody or something
//! does; then everything is checked. Steps are numbered and each has dice of its own, so that a run can be played again
//! without some of its steps. Who does what is in `people`, `admins` and `faults`, what is passed on in `relays`; how a run ends is in `ending`. Start
//! with [`World::step`].

mod admins;
mod calls;
mod ending;
mod faults;
mod people;
mod relays;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use switchhook::calls::{CallSid, DialRules, Dialling};
use switchhook::engine::cores::{Cores, Errand};
use switchhook::engine::{Limits, Request};
use switchhook::routing::command::{NewWorkspace, Template};
use switchhook::routing::{
    AccountSid, Command, EventKind, EventRecord, Refusal, Reply, ReservationSid, TaskOrder, TaskSid, Timestamp,
    WorkerSid,
};
use switchhook::store::Batch;

use crate::dice::Dice;
use crate::disk::Disk;
use crate::hunt::STORMY_EVERY;
use crate::phone::{Message, Phone};
use crate::watch::{Depth, Sids, Watch, mix};
use crate::weather::Weather;

use relays::Relay;

/// Everything is looked at after so many steps.
const LOOK_AT_ALL_EVERY: u32 = 10_000;

/// One of so many requests goes to a restored copy of the workspace too.
const COPIED_ONE_IN: usize = 4_000;

/// Deadlines that one step may meet before they count as endless.
const TICKS_MAX: u32 = 5_000;

/// What waits for a commit: it goes on when that is done, or does not when it is lost.
enum Waiting {
    /// A call whose webhook is to be answered: it is parked.
    Enqueued { call: CallSid, task: TaskSid },
    /// The webhook of a call, whose document is looked up when its news is on disk.
    Asked(Message),
    /// A worker's leg that has taken the reservation is to be led into the room.
    WorkersLeg { call: CallSid, task: TaskSid },
    /// The outcome of a phone command.
    Answered { task: TaskSid, number: u32, message: Message },
}

/// The next deadline of each call.
#[derive(Default)]
struct CallsDue {
    of_task: BTreeMap<TaskSid, Timestamp>,
    all: BTreeSet<(Timestamp, TaskSid)>,
}

impl CallsDue {
    fn set(&mut self, task: TaskSid, due: Option<Timestamp>) {
        let before = match due {
            Some(at) => self.of_task.insert(task, at),
            None => self.of_task.remove(&task),
        };
        if let Some(at) = before {
            self.all.remove(&(at, task));
        }
        self.all.extend(due.map(|at| (at, task)));
    }

    fn earliest(&self) -> Option<Timestamp> {
        self.all.first().map(|(at, _)| *at)
    }
}

/// A workspace in its simulated surroundings.
pub(crate) struct World {
    seed: u64,
    now: Timestamp,
    cores: Cores,
    sids: Sids,
    watch: Watch,
    disk: Disk,
    phone: Phone,
    waiting: Vec<Waiting>,
    /// Calls whose webhook got no answer and comes again.
    again: Vec<CallSid>,
    /// Commands that are on disk, in order for each task, and which are under way.
    lanes: BTreeMap<TaskSid, VecDeque<Errand>>,
    running: BTreeSet<TaskSid>,
    known: BTreeSet<(TaskSid, u32)>,
    /// Reservations that are to be accepted when the worker answers.
    accepts_on_answer: BTreeSet<ReservationSid>,
    /// When something is due with calls, by their records.
    calls_due: CallsDue,
    /// Callbacks that somebody asked for, in the batch that was not taken yet.
    to_relay: Vec<Relay>,
    /// Steps whose batch was not taken yet.
    gathered: u32,
    /// Stands for everything that happened: equal for equal runs.
    pub(crate) digest: u64,
    /// Deadlines that were met on the way.
    pub(crate) ticks: u64,
    /// Events that were recorded.
    pub(crate) transitions: u64,
    /// What happened in the present step, when somebody wants to read it.
    tell: Option<Vec<String>>,
}

/// Numbers may be dialled, and so few at one time that the cap is met. What was dialled within the last minute is forgotten
/// with a restart, so a restored workspace would answer otherwise if that were capped too.
pub(crate) fn limits() -> Limits {
    let rules = DialRules::parse(&["+1555"]).unwrap_or_default();
    let dialling = Dialling { rules: Arc::new(rules), legs: 3, per_minute: u32::MAX, per_region: u32::MAX };
    Limits { dialling: dialling.into(), ..Limits::default() }
}

impl World {
    pub(crate) fn new(seed: u64, tell: bool) -> Result<Self, String> {
        let now = Timestamp(1_790_000_000_000);
        let mut dice = Dice::new(seed, 0);
        let new = NewWorkspace {
            multi_task_enabled: !dice.one_in(5),
            prioritize_queue_order: dice.one([TaskOrder::Fifo, TaskOrder::Lifo]),
            template: Template::Fifo,
            ..NewWorkspace::named("Simulated")
        };
        let mut sids = Sids::shuffled(seed);
        let mut cores =
            Cores::create(AccountSid::from_bits(1), &new, now, &mut sids).map_err(|refusal| refusal.to_string())?;
        cores.keep_within(limits());
        let mut settings = cores.workspace().settings().clone();
        settings.last_sequence = 0;
        let mut world = Self {
            seed,
            now,
            cores,
            sids,
            watch: Watch::new(settings),
            disk: Disk::default(),
            phone: Phone::faulty(seed.is_multiple_of(STORMY_EVERY)),
            waiting: Vec::new(),
            again: Vec::new(),
            lanes: BTreeMap::new(),
            running: BTreeSet::new(),
            known: BTreeSet::new(),
            accepts_on_answer: BTreeSet::new(),
            calls_due: CallsDue::default(),
            to_relay: Vec::new(),
            gathered: 0,
            digest: seed,
            ticks: 0,
            transitions: 0,
            tell: tell.then(Vec::new),
        };
        world.take(Depth::All)?;
        world.commit(&mut dice);
        Ok(world)
    }

    /// What went wrong with messages so far.
    pub(crate) const fn weather(&self) -> Weather {
        self.phone.weather
    }

    /// What was told since the last time.
    pub(crate) fn told(&mut self) -> Vec<String> {
        self.tell.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(told) = &mut self.tell {
            told.push(format!("{} {}", self.now.0 - 1_790_000_000_000, what()));
        }
    }

    /// One thing happens; then everything that concerns it is checked.
    pub(crate) fn step(&mut self, number: u32) -> Result<(), String> {
        let mut dice = Dice::new(self.seed, number);
        if self.disk.has_written() && !dice.one_in(3) {
            self.commit(&mut dice);
        }
        self.pass_time(&mut dice)?;
        let all = number.is_multiple_of(LOOK_AT_ALL_EVERY);
        match dice.below(1_000) {
            0 if dice.one_in(2) => self.crash(&mut dice)?,
            0 => self.lose_batch(&mut dice)?,
            1..100 => self.new_task(&mut dice)?,
            100..210 => self.change_task(&mut dice)?,
            210..400 => self.answer_offer(&mut dice)?,
            400..450 => self.hand_on(&mut dice)?,
            450..590 => self.change_worker(&mut dice)?,
            590..625 => self.change_configuration(&mut dice)?,
            625..660 => self.somebody_hangs_up(&mut dice)?,
            _ => {
                if !self.phone_goes_on(&mut dice)? {
                    self.answer_offer(&mut dice)?;
                }
            }
        }
        if all {
            self.catch_up()?;
            self.take(Depth::All)?;
            self.everything_agrees()?;
        }
        Ok(())
    }

    /// Some time passes; deadlines on the way are met, mostly when they are due.
    fn pass_time(&mut self, dice: &mut Dice) -> Result<(), String> {
        let pause = match dice.below(4_000) {
            0..2_200 => 0,
            2_200..3_400 => dice.small(1, 1_500),
            3_400..3_980 => dice.small(1_500, 12_000),
            3_980..3_999 => dice.small(12_000, 400_000),
            // The machine slept, or its clock was set.
            _ => 90_000_000,
        };
        let until = self.now.plus_ms(i64::from(pause));
        if until.minute() != self.now.minute() {
            // What was decided before is to be checked with what was open then.
            self.take(Depth::Touched)?;
        }
        // After a long sleep everything is due at once.
        let punctual = pause < 1_000_000 && !dice.one_in(10);
        if punctual {
            self.tick_until(until)?;
        }
        self.now = until;
        Ok(())
    }

    /// Whoever waits for a time is to be looked at before anybody asks whether somebody waits in vain.
    fn catch_up(&mut self) -> Result<(), String> {
        if self.watch.some_task_waits_for_a_time() { self.tick_until(self.now) } else { Ok(()) }
    }

    fn tick_until(&mut self, until: Timestamp) -> Result<(), String> {
        let mut ticks = 0;
        while let Some(at) = self.cores.next_deadline().filter(|at| *at <= until) {
            ticks += 1;
            if ticks > TICKS_MAX {
                return Err("the deadlines do not end".to_owned());
            }
            self.now = self.now.max(at);
            self.say(|| "tick".to_owned());
            self.ticks += 1;
            self.cores.tick(self.now, &mut self.sids);
            self.take(Depth::Touched)?;
        }
        Ok(())
    }

    /// Sends one request to the cores; the outcome is the cores' own.
    fn request(&mut self, request: &Request, dice: &mut Dice) -> Result<Result<Reply, Refusal>, String> {
        self.request_at(request, dice, Depth::Touched)
    }

    fn command(&mut self, command: Command, dice: &mut Dice) -> Result<Result<Reply, Refusal>, String> {
        self.request(&Request::Routing(command), dice)
    }

    fn request_at(
        &mut self,
        request: &Request,
        dice: &mut Dice,
        depth: Depth,
    ) -> Result<Result<Reply, Refusal>, String> {
        let before = self.cores.next_deadline();
        let copy = if self.gathered == 0 && dice.one_in(COPIED_ONE_IN) { Some(self.copy()?) } else { None };
        let outcome = self.cores.carry_out(request, self.now, &mut self.sids);
        self.say(|| match &outcome {
            Ok(_) => format!("{request:?}"),
            Err(refusal) => format!("{request:?} refused: {refusal}"),
        });
        let refused = outcome.as_ref().err();
        if let Some(refusal) = refused
            && self.cores.next_deadline() != before
        {
            return Err(format!("refused ({refusal}), but a deadline changed"));
        }
        if let Some((mut copy, mut sids)) = copy {
            let again = copy.carry_out(request, self.now, &mut sids);
            if again != outcome {
                return Err(format!("a restored workspace answers {again:?} instead of {outcome:?}"));
            }
            let batch = copy.take_batch(&mut sids);
            return self.take_and_compare(batch.map(|(batch, _)| batch)).map(|()| outcome);
        }
        if refused.is_some() {
            if self.gathered == 0 {
                self.refusal_changed_nothing()?;
            }
        } else if dice.one_in(8) && !matches!(request, Request::Routing(Command::UpdateTaskQueue(..))) {
            // A batch of several requests; how many offers a queue allowed in the middle of one would not be seen.
            self.gathered += 1;
        } else {
            self.take(depth)?;
        }
        Ok(outcome)
    }

    fn refusal_changed_nothing(&mut self) -> Result<(), String> {
        let Some((batch, errands)) = self.cores.take_batch(&mut self.sids) else { return Ok(()) };
        // A refused instruction leaves a line in the alert log.
        if batch.rows.is_empty() && batch.events.is_empty() && batch.voice_tasks.is_empty() && errands.is_empty() {
            return Ok(());
        }
        Err(format!("refused, but {} rows are to be written", batch.row_count()))
    }

    /// Takes what the cores have to write, and checks it.
    fn take(&mut self, depth: Depth) -> Result<(), String> {
        self.gathered = 0;
        match self.cores.take_batch(&mut self.sids) {
            Some((batch, errands)) => self.write(batch, errands, depth),
            None if depth != Depth::Touched => {
                self.watch.look(Vec::new(), &[], self.cores.workspace(), self.now, depth).map(|_| ())
            }
            None => Ok(()),
        }
    }

    fn take_and_compare(&mut self, again: Option<Batch>) -> Result<(), String> {
        self.gathered = 0;
        let Some((batch, errands)) = self.cores.take_batch(&mut self.sids) else {
            return again
                .map_or(Ok(()), |_| Err("a restored workspace writes what the running one does not".to_owned()));
        };
        let again = again.unwrap_or_else(|| Batch::empty(batch.workspace, batch.expected_sequence));
        let same = batch.rows == again.rows
            && batch.events == again.events
            && batch.outbox_added == again.outbox_added
            && batch.relays == again.relays
            && batch.voice_tasks == again.voice_tasks;
        if !same {
            let (left, right) = (format!("{batch:#?}"), format!("{again:#?}"));
            return Err(format!("a restored workspace differs: {}", crate::watch::first_difference(&left, &right)));
        }
        self.write(batch, errands, Depth::Touched)
    }

    fn write(&mut self, mut batch: Batch, errands: Vec<Errand>, depth: Depth) -> Result<(), String> {
        if batch.expected_sequence != self.watch.stored.settings.last_sequence {
            let (expected, found) = (batch.expected_sequence, self.watch.stored.settings.last_sequence);
            return Err(format!("the batch follows event {expected}, on disk is {found}"));
        }
        let rows = std::mem::take(&mut batch.rows);
        self.note(&batch.events, rows.len(), errands.len());
        let undo = self.watch.look(rows, &batch.events, self.cores.workspace(), self.now, depth)?;
        self.calls_hold(&batch)?;
        self.relays_hold(&batch)?;
        for event in batch.events.iter().filter(|event| event.kind == EventKind::ReservationAccepted) {
            self.both_were_in_the_room(event)?;
        }
        for event in batch.events.iter().filter(|event| event.kind == EventKind::TaskCanceled) {
            self.left_of_its_own_accord(event)?;
        }
        for task in &batch.voice_tasks_deleted {
            self.phone.forget(*task);
        }
        self.disk.write(batch, undo, errands)
    }

    fn note(&mut self, events: &[EventRecord], rows: usize, errands: usize) {
        self.transitions += events.len() as u64;
        for event in events {
            self.say(|| {
                let sids =
                    [event.about.task.map(|sid| sid.to_string()), event.about.reservation.map(|sid| sid.to_string())];
                let sids: Vec<String> = sids.into_iter().flatten().collect();
                format!("  recorded {}: {}", event.kind.as_str(), sids.join(" "))
            });
            let about = event.about.task.map_or(0, TaskSid::bits) ^ event.about.worker.map_or(0, WorkerSid::bits);
            let low = u64::try_from(about & u128::from(u64::MAX)).unwrap_or(0);
            self.digest = mix(self.digest ^ event.sequence ^ low ^ ((event.kind as u64) << 48));
        }
        self.digest = mix(self.digest ^ (rows as u64) ^ ((errands as u64) << 32));
    }

    /// What was written is on disk: whoever waited for it goes on.
    fn commit(&mut self, dice: &mut Dice) {
        for errand in self.disk.commit() {
            self.hand_over(errand);
        }
        for waiting in std::mem::take(&mut self.waiting) {
            self.go_on(waiting, dice);
        }
    }

    fn hand_over(&mut self, errand: Errand) {
        if self.known.insert((errand.task, errand.number)) {
            self.lanes.entry(errand.task).or_default().push_back(errand);
        }
    }
}
