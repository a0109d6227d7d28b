//! Which command to the phone system may begin: those of one task one after the other, tasks side by side.
//!
//! Hanging up and redirecting come before new calls (`spec/voice.md` 5.5). A command that makes a call needs a turn, of
//! which the phone system gives so many a second, and a place, of which there are fewer than for all commands; while it
//! waits for either, the other commands of its task go ahead, and a call that is to be hung up again is not made at all; one
//! that is under way is told so.
//! Looks at calls and rooms of which nothing was heard have their places too: a phone system that answers slowly or not at
//! all must not keep callers from being moved. Nothing is carried out here. Start with [`Lanes::begin`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::calls::PhoneCommand;
use crate::routing::{TaskSid, WorkspaceSid};

use super::cores::Errand;

/// Commands under way at once.
pub(super) const IN_FLIGHT_MAX: usize = 128;

/// How many of them may be looks.
const LOOKS_MAX: usize = 32;

/// How many of them may make calls. What is left belongs to hanging up and redirecting.
const CALLS_MAX: usize = 64;

/// A command that begins.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) workspace: WorkspaceSid,
    pub(super) errand: Errand,
    /// It would make a call that is to be hung up already: nothing of it has to reach the phone system.
    pub(super) in_vain: bool,
    /// Canceled when the call that it makes is to be hung up: it must not be asked for again.
    pub(super) unwanted: CancellationToken,
}

/// A command that waits, and how many came before it.
#[derive(Debug)]
struct Waiting {
    arrival: u64,
    workspace: WorkspaceSid,
    errand: Errand,
    unwanted: CancellationToken,
}

/// The call that a command makes which is under way.
#[derive(Debug)]
struct Making {
    label: String,
    unwanted: CancellationToken,
}

/// What waits, task by task, and what is under way.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    waiting: BTreeMap<TaskSid, VecDeque<Waiting>>,
    /// By task; what is no call has nobody to give it up.
    running: BTreeMap<TaskSid, Option<Making>>,
    /// Those of which the next command may begin.
    ready: BTreeSet<TaskSid>,
    /// Those of which only looks can begin, for which there was no place.
    held: BTreeSet<TaskSid>,
    /// Those whose oldest command makes a call, first come first served.
    line: BTreeSet<(u64, TaskSid)>,
    /// How many of those that run are looks.
    looking: usize,
    /// How many of those that run make calls.
    calling: usize,
    arrivals: u64,
    /// Everything that waits or runs: a workspace that is loaded again hands its open commands over again.
    known: BTreeSet<(TaskSid, u32)>,
}

impl Lanes {
    /// One more command, after those of its task.
    pub(super) fn add(&mut self, workspace: WorkspaceSid, errand: Errand) {
        let task = errand.task;
        if self.known.insert((task, errand.number)) {
            self.arrivals += 1;
            if let PhoneCommand::HangUpLabel { label, .. } = &errand.command {
                self.give_up(task, label);
            }
            let unwanted = CancellationToken::new();
            let waiting = Waiting { arrival: self.arrivals, workspace, errand, unwanted };
            self.waiting.entry(task).or_default().push_back(waiting);
            self.wake(task);
        }
    }

    /// The calls with this label that are made or wait to be are to be hung up.
    fn give_up(&self, task: TaskSid, label: &str) {
        if let Some(Some(making)) = self.running.get(&task)
            && making.label == label
        {
            making.unwanted.cancel();
        }
        for waiting in self.waiting.get(&task).into_iter().flatten() {
            if label_made(&waiting.errand.command) == Some(label) {
                waiting.unwanted.cancel();
            }
        }
    }

    /// How many commands wait or run.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// How many tasks wait for the turn of a call.
    pub(super) fn in_line(&self) -> usize {
        self.line.len()
    }

    /// The next command of a task may begin, if there is one and none is under way.
    fn wake(&mut self, task: TaskSid) {
        if self.waiting.contains_key(&task) && !self.running.contains_key(&task) {
            self.ready.insert(task);
        }
    }

    /// The commands that may begin now, one for each task, those that make calls last; and how long it is until the next
    /// call has its turn, where one waits for nothing else.
    pub(super) fn begin(
        &mut self,
        mut take_turn: impl FnMut() -> Result<(), Duration>,
    ) -> (Vec<Begun>, Option<Duration>) {
        let ready = std::mem::take(&mut self.ready);
        let mut begun = Vec::new();
        for task in &ready {
            self.line_up(*task);
        }
        let (calls, wait) = self.next_calls(&mut take_turn);
        let woken = std::mem::take(&mut self.ready);
        for task in ready.union(&woken).copied() {
            if self.running.contains_key(&task) {
                continue;
            }
            match self.next_of(task) {
                Some(next) => begun.push(next),
                None if self.has_look(task) => {
                    self.held.insert(task);
                }
                None => {}
            }
        }
        begun.extend(calls);
        (begun, wait)
    }

    /// Puts a task in line whose next command makes a call that is still wanted.
    fn line_up(&mut self, task: TaskSid) {
        if let Some((_, arrival)) = self.next_call(task) {
            self.line.insert((arrival, task));
        }
    }

    /// Where the call is that a task makes next, if it is still wanted; a look gives way while there is no place for it.
    fn next_call(&self, task: TaskSid) -> Option<(usize, u64)> {
        let queue = self.waiting.get(&task)?;
        let may_look = self.looking < LOOKS_MAX;
        let (at, next) = queue.iter().enumerate().find(|(_, next)| may_look || !next.errand.command.is_look())?;
        (next.errand.command.makes_call() && !next.is_in_vain()).then_some((at, next.arrival))
    }

    /// The calls for which there are turns and places.
    fn next_calls(&mut self, take_turn: &mut impl FnMut() -> Result<(), Duration>) -> (Vec<Begun>, Option<Duration>) {
        let mut begun = Vec::new();
        while self.calling < CALLS_MAX {
            let Some(place) = self.line.iter().find(|(_, task)| !self.running.contains_key(task)).copied() else {
                break;
            };
            self.line.remove(&place);
            let (arrival, task) = place;
            let Some((at, _)) = self.next_call(task).filter(|(_, next)| *next == arrival) else {
                self.wake(task);
                continue;
            };
            if let Err(wait) = take_turn() {
                self.line.insert(place);
                return (begun, Some(wait));
            }
            begun.extend(self.start(task, at, false));
        }
        (begun, None)
    }

    /// The next command of a task but a call: its oldest, except that a look gives way while there is no place for it.
    fn next_of(&mut self, task: TaskSid) -> Option<Begun> {
        let queue = self.waiting.get(&task)?;
        let may_look = self.looking < LOOKS_MAX;
        let may_begin = |next: &Waiting| match &next.errand.command {
            command if command.makes_call() => next.is_in_vain(),
            command => may_look || !command.is_look(),
        };
        let at = queue.iter().position(may_begin)?;
        let in_vain = queue.get(at).is_some_and(|next| next.errand.command.makes_call());
        self.start(task, at, in_vain)
    }

    fn start(&mut self, task: TaskSid, at: usize, in_vain: bool) -> Option<Begun> {
        let queue = self.waiting.get_mut(&task)?;
        let Waiting { arrival, workspace, errand, unwanted } = queue.remove(at)?;
        if queue.is_empty() {
            self.waiting.remove(&task);
        }
        self.line.remove(&(arrival, task));
        let label = label_made(&errand.command).map(ToOwned::to_owned);
        self.running.insert(task, label.map(|label| Making { label, unwanted: unwanted.clone() }));
        self.looking += usize::from(errand.command.is_look());
        self.calling += usize::from(errand.command.makes_call());
        Some(Begun { workspace, errand, in_vain, unwanted })
    }

    fn has_look(&self, task: TaskSid) -> bool {
        self.waiting.get(&task).is_some_and(|queue| queue.iter().any(|next| next.errand.command.is_look()))
    }

    /// A command has its outcome.
    pub(super) fn finished(&mut self, errand: &Errand) {
        let task = errand.task;
        self.running.remove(&task);
        self.known.remove(&(task, errand.number));
        self.wake(task);
        self.calling -= usize::from(errand.command.makes_call()).min(self.calling);
        if errand.command.is_look() {
            self.looking = self.looking.saturating_sub(1);
            // One place is one look; tasks that have something else under way wake by themselves.
            while let Some(held) = self.held.pop_first() {
                self.wake(held);
                if self.ready.contains(&held) {
                    break;
                }
            }
        }
    }
}

impl Waiting {
    /// Whether it would make a call that is to be hung up. One that may have been made already, before this start, has to be
    /// looked for.
    fn is_in_vain(&self) -> bool {
        self.errand.command.makes_call() && !self.errand.repeated && self.unwanted.is_cancelled()
    }
}

/// The label of the call that a command makes.
fn label_made(command: &PhoneCommand) -> Option<&str> {
    match command {
        PhoneCommand::AddParticipant { label, .. } | PhoneCommand::PlaceCall { label, .. } => Some(label),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{CallSid, ConferenceOptions, Role};
    use crate::routing::Timestamp;

    const WORKSPACE: WorkspaceSid = WorkspaceSid::from_bits(1);

    fn errand(task: u128, number: u32, command: PhoneCommand) -> Errand {
        Errand { task: TaskSid::from_bits(task), number, command, repeated: false }
    }

    fn look(task: u128, number: u32) -> Errand {
        errand(task, number, PhoneCommand::FetchCall { call: CallSid(format!("CA{task}")) })
    }

    fn hang_up(task: u128, number: u32) -> Errand {
        errand(task, number, PhoneCommand::HangUp { call: CallSid(format!("CA{task}")) })
    }

    fn hang_up_label(task: u128, number: u32, label: &str) -> Errand {
        let (room, label) = (format!("WT{task}"), label.to_owned());
        errand(task, number, PhoneCommand::HangUpLabel { room, label, call: None })
    }

    fn park(task: u128, number: u32) -> Errand {
        errand(task, number, PhoneCommand::ParkCaller { call: CallSid(format!("CA{task}")), room: format!("WT{task}") })
    }

    fn call(task: u128, number: u32, label: &str) -> Errand {
        let command = PhoneCommand::AddParticipant {
            room: format!("WT{task}"),
            label: label.to_owned(),
            role: Role::Worker,
            coach: None,
            to: "client:anna".to_owned(),
            from: "+15550100".to_owned(),
            options: ConferenceOptions::default(),
            requested_at: Timestamp(0),
        };
        errand(task, number, command)
    }

    /// Lanes, and how many calls have their turn.
    #[derive(Default)]
    struct Bench {
        lanes: Lanes,
        turns: usize,
        wait: Option<Duration>,
        begun: Vec<Begun>,
    }

    impl Bench {
        fn with_turns(turns: usize) -> Self {
            Self { turns, ..Self::default() }
        }

        fn add(&mut self, errand: Errand) {
            self.lanes.add(WORKSPACE, errand);
        }

        /// Task and number of what begins, and whether it is in vain.
        fn begin(&mut self) -> Vec<(u128, u32, bool)> {
            let turns = &mut self.turns;
            let (begun, wait) = self.lanes.begin(|| {
                *turns = turns.checked_sub(1).ok_or(Duration::from_secs(1))?;
                Ok(())
            });
            self.wait = wait;
            let seen = begun.iter().map(|next| (next.errand.task.bits(), next.errand.number, next.in_vain)).collect();
            self.begun.extend(begun);
            seen
        }

        fn finish(&mut self, task: u128, number: u32) {
            let at = self.place_of(task, number);
            self.lanes.finished(&self.begun.remove(at).errand);
        }

        fn place_of(&self, task: u128, number: u32) -> usize {
            let is_it = |next: &Begun| next.errand.task.bits() == task && next.errand.number == number;
            self.begun.iter().position(is_it).expect("it has begun")
        }

        /// Whether a command that has begun was told that its call is not wanted any more.
        fn is_given_up(&self, task: u128, number: u32) -> bool {
            self.begun[self.place_of(task, number)].unwanted.is_cancelled()
        }

        fn is_empty(&self) -> bool {
            let Lanes { waiting, running, ready, held, line, known, .. } = &self.lanes;
            let counted = self.lanes.looking + self.lanes.calling;
            counted == 0
                && [ready, held].iter().all(|tasks| tasks.is_empty())
                && running.is_empty()
                && waiting.is_empty()
                && line.is_empty()
                && known.is_empty()
        }
    }

    #[test]
    fn looks_have_so_many_places_and_keep_nothing_else_waiting() {
        let mut bench = Bench::with_turns(usize::MAX);
        let tasks = 3 * LOOKS_MAX as u128;
        for task in 0..tasks {
            bench.add(look(task, 1));
            bench.add(look(task, 1));
        }
        let mut running = bench.begin();
        assert_eq!(running.len(), LOOKS_MAX);
        assert!(bench.begin().is_empty(), "no place is free");
        // Something else of a task whose look is held begins at once, before that look.
        bench.add(hang_up(tasks - 1, 2));
        assert_eq!(bench.begin(), [(tasks - 1, 2, false)]);
        bench.finish(tasks - 1, 2);
        assert!(bench.begin().is_empty());
        let mut looked = 0;
        while let Some((task, number, _)) = running.pop() {
            looked += 1;
            bench.finish(task, number);
            running.extend(bench.begin());
            assert!(running.len() <= LOOKS_MAX);
        }
        assert_eq!(looked, tasks, "each look is had once");
        assert!(bench.is_empty());
    }

    #[test]
    fn a_call_that_waits_for_its_turn_keeps_nothing_else_waiting() {
        let mut bench = Bench::with_turns(1);
        for task in 1..=3 {
            bench.add(call(task, 1, "WR1"));
        }
        // The second task's caller is to be sent away, another task's leg to be hung up.
        bench.add(park(2, 2));
        bench.add(hang_up(4, 1));
        assert_eq!(bench.begin(), [(2, 2, false), (4, 1, false), (1, 1, false)], "and calls begin last");
        assert_eq!(bench.wait, Some(Duration::from_secs(1)));
        assert_eq!(bench.lanes.in_line(), 2);
        // The next turn comes while the second task is busy: the third has it, and the second the one after.
        bench.turns = 1;
        assert_eq!(bench.begin(), [(3, 1, false)]);
        assert_eq!(bench.wait, None, "nobody waits for a turn alone");
        bench.finish(2, 2);
        assert!(bench.begin().is_empty());
        assert_eq!(bench.wait, Some(Duration::from_secs(1)));
        bench.turns = 1;
        assert_eq!(bench.begin(), [(2, 1, false)]);
        for (task, number) in [(1, 1), (2, 1), (3, 1), (4, 1)] {
            bench.finish(task, number);
        }
        assert!(bench.begin().is_empty() && bench.is_empty());
    }

    #[test]
    fn a_call_does_not_wait_behind_a_look_that_has_no_place() {
        let mut bench = Bench::with_turns(usize::MAX);
        for task in 1..=LOOKS_MAX as u128 {
            bench.add(look(task, 1));
        }
        assert_eq!(bench.begin().len(), LOOKS_MAX);
        bench.add(look(1_000, 1));
        bench.add(call(1_000, 2, "WR1"));
        assert_eq!(bench.begin(), [(1_000, 2, false)]);
        bench.finish(1_000, 2);
        assert!(bench.begin().is_empty(), "there is still no place");
        bench.finish(1, 1);
        assert_eq!(bench.begin(), [(1_000, 1, false)]);
        for task in 2..=LOOKS_MAX as u128 {
            bench.finish(task, 1);
        }
        bench.finish(1_000, 1);
        assert!(bench.begin().is_empty() && bench.is_empty());
    }

    #[test]
    fn calls_are_made_in_the_order_in_which_they_were_asked_for() {
        let mut bench = Bench::default();
        for task in [9, 1, 5] {
            bench.add(call(task, 1, "WR1"));
            assert!(bench.begin().is_empty());
        }
        let mut order = Vec::new();
        for _ in 0..3 {
            bench.turns = 1;
            order.extend(bench.begin());
        }
        assert_eq!(order, [(9, 1, false), (1, 1, false), (5, 1, false)]);
    }

    #[test]
    fn with_turns_for_all_the_commands_of_a_task_keep_their_order() {
        let mut bench = Bench::with_turns(usize::MAX);
        bench.add(call(1, 1, "WR1"));
        bench.add(park(1, 2));
        bench.add(call(1, 3, "WR2"));
        bench.add(hang_up(1, 4));
        for number in 1..=4 {
            assert_eq!(bench.begin(), [(1, number, false)]);
            assert!(bench.begin().is_empty(), "one at a time");
            bench.finish(1, number);
        }
        assert!(bench.is_empty());
    }

    #[test]
    fn a_call_that_is_to_be_hung_up_is_not_made_and_takes_no_turn() {
        let mut bench = Bench::default();
        bench.add(call(1, 1, "WR1"));
        assert!(bench.begin().is_empty());
        bench.add(hang_up_label(1, 2, "WR2"));
        assert_eq!(bench.begin(), [(1, 2, false)], "another leg's");
        bench.finish(1, 2);
        bench.add(hang_up_label(1, 3, "WR1"));
        assert_eq!(bench.begin(), [(1, 1, true)]);
        bench.finish(1, 1);
        assert_eq!(bench.begin(), [(1, 3, false)]);
        assert_eq!((bench.wait, bench.lanes.in_line()), (None, 0));
        bench.finish(1, 3);
        assert!(bench.is_empty());

        // One that may have been made before this start is looked for in its turn, and hung up as soon as it is there.
        bench.add(Errand { repeated: true, ..call(1, 4, "WR3") });
        bench.add(hang_up_label(1, 5, "WR3"));
        assert_eq!(bench.begin(), [(1, 5, false)]);
        bench.finish(1, 5);
        bench.turns = 1;
        assert_eq!(bench.begin(), [(1, 4, false)]);
        assert!(bench.is_given_up(1, 4), "and not asked for again");
    }

    #[test]
    fn a_call_that_is_under_way_is_told_when_it_is_to_be_hung_up() {
        let mut bench = Bench::with_turns(usize::MAX);
        bench.add(call(1, 1, "WR1"));
        bench.add(call(2, 1, "WR1"));
        assert_eq!(bench.begin(), [(1, 1, false), (2, 1, false)]);
        bench.add(hang_up_label(1, 2, "WR2"));
        assert!(!bench.is_given_up(1, 1), "another leg's");
        bench.add(hang_up_label(1, 3, "WR1"));
        assert!(bench.is_given_up(1, 1));
        assert!(!bench.is_given_up(2, 1), "another task's");
        // The next leg with that label, the customer's of the next attempt, is another one.
        bench.add(call(1, 4, "WR1"));
        for number in 1..=3 {
            bench.finish(1, number);
            bench.begin();
        }
        assert!(!bench.is_given_up(1, 4));
    }

    #[test]
    fn calls_leave_places_for_everything_else() {
        let mut bench = Bench::with_turns(usize::MAX);
        for task in 0..1_000 {
            bench.add(call(task, 1, "WR1"));
        }
        assert_eq!(bench.begin().len(), CALLS_MAX);
        assert_eq!(bench.wait, None, "they wait for places");
        for task in 0..1_000 {
            bench.add(look(task, 2));
        }
        assert_eq!(bench.begin().len(), LOOKS_MAX);
        const { assert!(CALLS_MAX + LOOKS_MAX < IN_FLIGHT_MAX) };
        bench.add(hang_up(999, 3));
        assert_eq!(bench.begin(), [(999, 3, false)]);
    }
}
