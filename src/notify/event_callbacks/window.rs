//! The events of one receiver that are being dealt with: in which order they may be tried, and how far all is done.
//!
//! Events of one lane (a task, or a worker) are tried for the first time one after the other. One that fails holds its
//! lane up for a while, so that its repetition can still come in order. Must not send anything or read a clock. Start with
//! [`Window::next`].

use std::collections::BTreeMap;

use crate::routing::Timestamp;
use crate::store::views::EventView;

/// Events in memory for one receiver.
pub(super) const SIZE: usize = 256;

/// What belongs in order: a task's SID, a worker's, or nothing for the rest.
type Lane = String;

#[derive(Debug)]
enum Entry {
    /// Not tried yet.
    Waiting(Box<EventView>),
    /// Being tried.
    Trying,
    /// Taken, of no interest, or a row of its own.
    Settled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    /// By which event.
    by: u64,
    /// For ever while it is being tried for the first time.
    until: Option<Timestamp>,
}

/// The events from the first one that is not dealt with.
#[derive(Debug)]
pub(super) struct Window {
    /// All before are dealt with.
    done_before: u64,
    /// The first one that was not read.
    read_before: u64,
    entries: BTreeMap<u64, Entry>,
    holds: BTreeMap<Lane, Hold>,
}

fn lane_of(event: &EventView) -> Lane {
    match &event.task_sid {
        Some(task) => task.clone(),
        None if event.resource_type == "worker" => event.resource_sid.clone(),
        None => Lane::new(),
    }
}

impl Window {
    /// Begins at the first event that is not dealt with.
    pub(super) const fn starting_at(sequence: u64) -> Self {
        Self { done_before: sequence, read_before: sequence, entries: BTreeMap::new(), holds: BTreeMap::new() }
    }

    /// All events before this one are dealt with.
    pub(super) const fn done_before(&self) -> u64 {
        self.done_before
    }

    /// The first event to read, and how many may be read.
    pub(super) fn wanted(&self) -> (u64, usize) {
        (self.read_before, SIZE.saturating_sub(self.entries.len()))
    }

    /// Whether an event that was read is dealt with, though others before it may not be.
    pub(super) fn is_settled(&self, sequence: u64) -> bool {
        sequence < self.read_before && !matches!(self.entries.get(&sequence), Some(Entry::Waiting(_) | Entry::Trying))
    }

    /// Takes an event that was read, in order; one that is of no interest is settled at once.
    pub(super) fn add(&mut self, event: EventView, is_wanted: bool) {
        let sequence = u64::try_from(event.sequence).unwrap_or(0);
        self.read_before = sequence + 1;
        let entry = if is_wanted { Entry::Waiting(Box::new(event)) } else { Entry::Settled };
        self.entries.insert(sequence, entry);
        self.advance();
    }

    /// The next event to try for the first time, which is being tried from now on.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<EventView> {
        self.holds.retain(|_, hold| hold.until.is_none_or(|until| until > now));
        let holds = &self.holds;
        let (sequence, entry) = self
            .entries
            .iter_mut()
            .find(|(_, entry)| matches!(entry, Entry::Waiting(event) if !holds.contains_key(&lane_of(event))))?;
        let Entry::Waiting(event) = std::mem::replace(entry, Entry::Trying) else { return None };
        self.holds.insert(lane_of(&event), Hold { by: *sequence, until: None });
        Some(*event)
    }

    /// A first attempt is over: the event was taken, or has a row of its own from now on and holds its lane `until` then.
    pub(super) fn settle(&mut self, event: &EventView, until: Option<Timestamp>) {
        let sequence = u64::try_from(event.sequence).unwrap_or(0);
        self.entries.insert(sequence, Entry::Settled);
        match until {
            Some(_) => {
                self.holds.insert(lane_of(event), Hold { by: sequence, until });
            }
            None => self.free(sequence),
        }
        self.advance();
    }

    /// An event that holds its lane was taken after all, or is dead.
    pub(super) fn free(&mut self, sequence: u64) {
        self.holds.retain(|_, hold| hold.by != sequence);
    }

    /// When the next lane goes on by itself.
    pub(super) fn next_release(&self) -> Option<Timestamp> {
        self.holds.values().filter_map(|hold| hold.until).min()
    }

    fn advance(&mut self) {
        while let Some(first) = self.entries.first_entry().filter(|entry| matches!(entry.get(), Entry::Settled)) {
            self.done_before = first.key() + 1;
            first.remove();
        }
        if self.entries.is_empty() {
            self.done_before = self.read_before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn event(sequence: i64, task: &str) -> EventView {
        EventView {
            sid: format!("EV{sequence}"),
            sequence,
            event_type: "task.updated".to_owned(),
            at: NOW,
            description: String::new(),
            resource_type: if task.starts_with("WK") { "worker" } else { "task" }.to_owned(),
            resource_sid: task.to_owned(),
            task_sid: task.starts_with("WT").then(|| task.to_owned()),
            event_data: "{}".to_owned(),
        }
    }

    fn next(window: &mut Window, now: Timestamp) -> Option<i64> {
        window.next(now).map(|event| event.sequence)
    }

    #[test]
    fn events_of_one_lane_go_one_after_the_other_and_lanes_beside_each_other() {
        let mut window = Window::starting_at(5);
        for (sequence, task) in [(5, "WT1"), (6, "WT1"), (7, "WT2"), (8, "WK1"), (9, "WK1"), (10, "WA1"), (11, "WQ1")] {
            window.add(event(sequence, task), true);
        }
        let mut tried = Vec::new();
        while let Some(sequence) = next(&mut window, NOW) {
            tried.push(sequence);
        }
        assert_eq!(tried, [5, 7, 8, 10], "what belongs to neither task nor worker is one lane");
        window.settle(&event(7, "WT2"), None);
        assert_eq!((next(&mut window, NOW), window.done_before()), (None, 5));
        window.settle(&event(5, "WT1"), None);
        assert_eq!((next(&mut window, NOW), window.done_before()), (Some(6), 6));
        window.settle(&event(6, "WT1"), None);
        assert_eq!(window.done_before(), 8);
    }

    #[test]
    fn a_failure_holds_its_lane_for_a_while_and_no_other() {
        let mut window = Window::starting_at(1);
        for (sequence, task) in [(1, "WT1"), (2, "WT1"), (3, "WT2")] {
            window.add(event(sequence, task), true);
        }
        assert_eq!((next(&mut window, NOW), next(&mut window, NOW)), (Some(1), Some(3)));
        window.settle(&event(1, "WT1"), Some(NOW.plus_ms(30_000)));
        assert_eq!(window.done_before(), 2, "it has a row");
        assert_eq!(window.next_release(), Some(NOW.plus_ms(30_000)));
        assert_eq!(next(&mut window, NOW.plus_ms(29_999)), None);
        assert_eq!(next(&mut window, NOW.plus_ms(30_000)), Some(2));
    }

    #[test]
    fn a_repetition_that_is_taken_lets_its_lane_go_on() {
        let mut window = Window::starting_at(1);
        window.add(event(1, "WT1"), true);
        window.add(event(2, "WT1"), true);
        next(&mut window, NOW);
        window.settle(&event(1, "WT1"), Some(NOW.plus_ms(30_000)));
        window.free(1);
        assert_eq!(next(&mut window, NOW), Some(2));
    }

    #[test]
    fn what_is_of_no_interest_is_done_and_gaps_are_passed_over() {
        let mut window = Window::starting_at(1);
        window.add(event(1, "WT1"), false);
        assert_eq!(window.done_before(), 2);
        window.add(event(7, "WT1"), true);
        window.add(event(9, "WT1"), false);
        assert_eq!((window.done_before(), window.wanted()), (2, (10, SIZE - 2)));
        next(&mut window, NOW);
        window.settle(&event(7, "WT1"), None);
        assert_eq!((window.done_before(), window.wanted()), (10, (10, SIZE)));
    }
}
