//! Calls whose tasks are being made, calls that an entry point puts through to somebody else, and calls that have ended:
//! whoever tells of such a call may find no task on disk.
//!
//! A workspace that does not answer may make the task when nobody waits for it any more. What the call does meanwhile has to
//! reach it, or it would have a worker called for nobody. The end of a call may even overtake the webhook with which the call
//! came: then no task is made. Must not outlive the process: after a start every live call is looked at. Start with
//! [`Arrivals::begin`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::request::Sender;
use crate::calls::CallSid;
use crate::routing::{Timestamp, WorkspaceSid};

/// Calls that are remembered of either kind; the longest known are forgotten first.
const MOST: usize = 10_000;

/// For how long the end of a call is remembered, in milliseconds: longer than a webhook of the call can take to come.
const END_KEPT_MS: i64 = 60_000;

/// The calls whose tasks are being made, and where, and those that have ended.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    workspaces: BTreeMap<CallSid, WorkspaceSid>,
    /// The longest known first.
    order: VecDeque<CallSid>,
    /// Calls that have ended, each with who said so, and when.
    ends: BTreeMap<(CallSid, Sender), Timestamp>,
    /// The longest known first.
    ends_in_order: VecDeque<(Timestamp, CallSid, Sender)>,
}

/// What is known of a call whose task is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is on the line, for all that is known.
    Live,
    /// It has ended: there is to be no task.
    Over,
}

impl Arrivals {
    /// A workspace is about to be asked to make the task of a call, which came by a webhook of `sender`, or counts the leg
    /// that the call dials.
    pub(super) fn begin(&self, call: &CallSid, sender: Sender, workspace: WorkspaceSid, now: Timestamp) -> Arrival {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.has_ended(call, sender, now) {
            return Arrival::Over;
        }
        if known.workspaces.insert(call.clone(), workspace).is_some() {
            return Arrival::Live;
        }
        known.order.push_back(call.clone());
        while known.order.len() > MOST {
            if let Some(oldest) = known.order.pop_front() {
                known.workspaces.remove(&oldest);
            }
        }
        Arrival::Live
    }

    /// The task is on disk, or there will be none; the leg is over.
    pub(super) fn end(&self, call: &CallSid) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.workspaces.remove(call);
        // Mostly the last one.
        if let Some(at) = known.order.iter().rposition(|known| known == call) {
            known.order.remove(at);
        }
    }

    /// A call has ended, as `sender` says; where its task is being made. A webhook of the call that comes after this makes
    /// no task.
    pub(super) fn call_ended(&self, call: &CallSid, sender: Sender, now: Timestamp) -> Option<WorkspaceSid> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remember_end(call, sender, now);
        known.workspaces.get(call).copied()
    }
}

impl Known {
    /// Whether the phone system, or whoever sent the webhook of the call, has said that the call is over. An account does not
    /// end the calls of another.
    fn has_ended(&self, call: &CallSid, sender: Sender, now: Timestamp) -> bool {
        [Sender::PhoneSystem, sender].into_iter().any(|by| {
            let end = self.ends.get(&(call.clone(), by));
            end.is_some_and(|at| now.ms_since(*at) < END_KEPT_MS)
        })
    }

    fn remember_end(&mut self, call: &CallSid, sender: Sender, now: Timestamp) {
        // Told twice, it is kept from the first time on.
        if self.ends.contains_key(&(call.clone(), sender)) {
            return;
        }
        self.ends.insert((call.clone(), sender), now);
        self.ends_in_order.push_back((now, call.clone(), sender));
        let is_old = |(at, ..): &(Timestamp, CallSid, Sender)| now.ms_since(*at) >= END_KEPT_MS;
        while self.ends_in_order.len() > MOST || self.ends_in_order.front().is_some_and(is_old) {
            if let Some((_, call, sender)) = self.ends_in_order.pop_front() {
                self.ends.remove(&(call, sender));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::AccountSid;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn call(number: usize) -> CallSid {
        CallSid(format!("CA{number}"))
    }

    #[test]
    fn a_call_is_known_until_its_task_is_made_and_only_so_many() {
        let arrivals = Arrivals::default();
        let workspace = WorkspaceSid::from_bits(1);
        let begin = |number, workspace| arrivals.begin(&call(number), Sender::PhoneSystem, workspace, NOW);
        let workspace_of = |number| arrivals.0.lock().unwrap().workspaces.get(&call(number)).copied();
        for number in 0..=MOST {
            assert_eq!(begin(number, workspace), Arrival::Live);
        }
        assert_eq!(workspace_of(0), None, "the longest known was forgotten");
        assert_eq!(workspace_of(1), Some(workspace));
        arrivals.end(&call(1));
        arrivals.end(&call(1));
        assert_eq!(workspace_of(1), None);
        begin(2, WorkspaceSid::from_bits(2));
        let told = arrivals.call_ended(&call(2), Sender::PhoneSystem, NOW);
        assert_eq!(told, Some(WorkspaceSid::from_bits(2)));
        let known = arrivals.0.lock().unwrap();
        assert_eq!((known.workspaces.len(), known.order.len()), (MOST - 1, MOST - 1));
    }

    #[test]
    fn the_end_of_a_call_is_known_for_a_minute_and_only_so_many() {
        let arrivals = Arrivals::default();
        let workspace = WorkspaceSid::from_bits(1);
        let ended = |number, at| arrivals.call_ended(&call(number), Sender::PhoneSystem, at);
        let begin = |number, at| arrivals.begin(&call(number), Sender::PhoneSystem, workspace, at);
        assert_eq!(ended(1, NOW), None);
        assert_eq!(begin(1, NOW), Arrival::Over);
        assert_eq!(begin(1, NOW.plus_ms(END_KEPT_MS - 1)), Arrival::Over);
        assert_eq!(begin(1, NOW.plus_ms(END_KEPT_MS)), Arrival::Live);
        assert_eq!(begin(2, NOW), Arrival::Live);
        let later = NOW.plus_ms(END_KEPT_MS);
        for number in 3..=MOST + 3 {
            ended(number, later);
            ended(number, later);
        }
        assert_eq!(begin(3, later), Arrival::Live, "the longest known was forgotten");
        assert_eq!(begin(4, later), Arrival::Over);
        let known = arrivals.0.lock().unwrap();
        assert_eq!((known.ends.len(), known.ends_in_order.len()), (MOST, MOST));
    }

    #[test]
    fn an_account_ends_calls_that_itself_brings_and_no_others() {
        let arrivals = Arrivals::default();
        let [one, other] = [1, 2].map(|bits| Sender::Account(AccountSid::from_bits(bits)));
        let begin = |number, sender| arrivals.begin(&call(number), sender, WorkspaceSid::from_bits(1), NOW);
        arrivals.call_ended(&call(1), one, NOW);
        assert_eq!(begin(1, other), Arrival::Live);
        assert_eq!(begin(1, Sender::PhoneSystem), Arrival::Live);
        assert_eq!(begin(1, one), Arrival::Over);
        arrivals.call_ended(&call(1), Sender::PhoneSystem, NOW);
        assert_eq!(begin(1, other), Arrival::Over, "the phone system knows all calls");
    }
}
