//! The legs that a workspace has dialled and that somebody has to pay for, and the caps on them (`quality.md` 2.7).
//!
//! Those of its tasks, and those of callers whom a document has dial somebody ([`super::forwards`]), in one ledger, which
//! stays when the workspace is loaded again. It is in memory only: a start of the server begins a new minute, and knows the
//! legs of tasks from their records, forwarded callers no more. Legs to clients of the phone system cost nothing and are
//! not counted. Must not look at a clock. Start with [`OutgoingLegs::check`] and [`Ledger::forward`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::calls::dial_rules::{is_metered, region_of};
use crate::calls::{CallSid, Dialling, VoiceTask};
use crate::routing::{TaskSid, Timestamp};

/// The time over which new legs are counted, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// The legs of a workspace's tasks.
#[derive(Debug, Default)]
pub(super) struct OutgoingLegs {
    live: BTreeMap<TaskSid, usize>,
    total: usize,
    ledger: Ledger,
}

impl OutgoingLegs {
    /// The legs of a task are these now, or it is gone; to be told whenever they change.
    pub(super) fn note(&mut self, task: TaskSid, record: Option<&VoiceTask>) {
        let legs = record.map_or(0, |record| record.legs.iter().filter(|leg| leg.metered && leg.is_live()).count());
        let before = if legs == 0 { self.live.remove(&task) } else { self.live.insert(task, legs) };
        if before.unwrap_or(0) == legs {
            return;
        }
        self.total = self.total + legs - before.unwrap_or(0);
        self.ledger.counts().of_tasks = self.total;
    }

    /// Whether one more leg to this address is within the caps; the error says in plain words which setting it is.
    /// `counted`: the leg is among the live ones already.
    pub(super) fn check(&self, caps: &Dialling, to: &str, counted: bool, now: Timestamp) -> Result<(), String> {
        self.ledger.counts().check(caps, to, counted, now)
    }

    /// A leg is being dialled.
    pub(super) fn begin(&mut self, to: &str, now: Timestamp) {
        self.ledger.counts().begin(to, now);
    }

    /// Where these legs are counted together with others.
    pub(super) fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    /// Has them counted there from now on.
    pub(super) fn count_in(&mut self, ledger: Ledger) {
        ledger.counts().of_tasks = self.total;
        self.ledger = ledger;
    }

    /// Whether the live legs are counted as they are by a second copy.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        self.live == other.live && self.total == other.total
    }
}

/// All legs of one workspace; cheap to clone, and all clones count alike.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    /// Live legs of tasks.
    of_tasks: usize,
    /// Callers whom a document had dial somebody.
    forwarded: BTreeMap<CallSid, Forward>,
    /// When legs were dialled, and to which region; as many as the caps allow in a minute.
    begun: VecDeque<(Timestamp, String)>,
}

/// What is known of a leg that a caller dials.
#[derive(Debug)]
struct Forward {
    /// When it is over if nobody says so before.
    until: Timestamp,
    /// What tells the attempts at one webhook from another webhook, where the phone system says it.
    attempt: Option<String>,
}

/// A caller who is to be answered with a document that dials.
#[derive(Debug, Clone, Copy)]
pub struct NewForward<'a> {
    /// The caller's call, which can dial one leg at a time.
    pub call: &'a CallSid,
    /// Whom the document dials.
    pub to: &'a str,
    /// The same in all attempts at one webhook, where the phone system says it: they are answered with one leg.
    pub attempt: Option<&'a str>,
}

impl Ledger {
    /// Counts the leg that a caller is about to dial, unless the caps allow no more; `longest_ms` is how long it can last.
    pub(super) fn forward(
        &self,
        caps: &Dialling,
        new: NewForward<'_>,
        longest_ms: i64,
        now: Timestamp,
    ) -> Result<(), String> {
        let NewForward { call, to, attempt } = new;
        let mut counts = self.counts();
        counts.forwarded.retain(|_, forward| forward.until > now);
        // Whoever is answered with another document has left the one before.
        let before = counts.forwarded.remove(call);
        if !is_metered(to) {
            return Ok(());
        }
        let repeated = attempt.is_some() && before.is_some_and(|before| before.attempt.as_deref() == attempt);
        if !repeated {
            counts.check(caps, to, false, now)?;
            counts.begin(to, now);
        }
        let until = Timestamp(now.0.saturating_add(longest_ms));
        counts.forwarded.insert(call.clone(), Forward { until, attempt: attempt.map(ToOwned::to_owned) });
        Ok(())
    }

    /// The leg that a caller dialled is over.
    pub(super) fn forward_over(&self, call: &CallSid) {
        self.counts().forwarded.remove(call);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn check(&self, caps: &Dialling, to: &str, counted: bool, now: Timestamp) -> Result<(), String> {
        if !is_metered(to) {
            return Ok(());
        }
        let refuse = |count: u32, what: &str, setting: &str, variable: &str| {
            Err(format!("{count} {what}: the setting {setting} ({variable}) allows no more"))
        };
        let at_most = |count: usize, cap: u32| u32::try_from(count).is_ok_and(|count| count < cap);
        let forwarded = self.forwarded.values().filter(|forward| forward.until > now).count();
        let live = self.of_tasks.saturating_sub(usize::from(counted)) + forwarded;
        if !at_most(live, caps.legs) {
            return refuse(caps.legs, "outgoing legs are up", "dial.legs_max", "SWITCHHOOK_DIAL_LEGS_MAX");
        }
        let recent = || self.begun.iter().filter(|(at, _)| now.ms_since(*at) < WINDOW_MS);
        if !at_most(recent().count(), caps.per_minute) {
            let variable = "SWITCHHOOK_DIAL_PER_MINUTE_MAX";
            return refuse(caps.per_minute, "legs were dialled within a minute", "dial.per_minute_max", variable);
        }
        let region = region_of(to);
        if !at_most(recent().filter(|(_, to)| *to == region).count(), caps.per_region) {
            let what = format!("legs were dialled to {region} within a minute");
            return refuse(caps.per_region, &what, "dial.per_region_max", "SWITCHHOOK_DIAL_PER_REGION_MAX");
        }
        Ok(())
    }

    fn begin(&mut self, to: &str, now: Timestamp) {
        while self.begun.front().is_some_and(|(at, _)| now.ms_since(*at) >= WINDOW_MS) {
            self.begun.pop_front();
        }
        if is_metered(to) {
            self.begun.push_back((now, region_of(to)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(legs: u32, per_minute: u32, per_region: u32) -> Dialling {
        Dialling { legs, per_minute, per_region, ..Dialling::default() }
    }

    #[test]
    fn dialled_legs_are_capped_in_a_minute_and_by_region() {
        let mut legs = OutgoingLegs::default();
        let check = |legs: &OutgoingLegs, to: &str, at: i64| legs.check(&caps(9, 3, 2), to, false, Timestamp(at));
        legs.begin("+4930123456", Timestamp(0));
        legs.begin("0049 30 12999", Timestamp(10));
        legs.begin("client:alice", Timestamp(10));
        assert!(
            check(&legs, "+4930120", 59_999).unwrap_err().contains("2 legs were dialled to +493012 within a minute")
        );
        assert!(check(&legs, "4930120", 59_999).is_err(), "another spelling is no other region");
        assert_eq!(check(&legs, "+4930120", 60_000), Ok(()), "the first one is a minute old");
        assert_eq!(check(&legs, "+4989120", 20), Ok(()), "another region");
        legs.begin("+4989120", Timestamp(20));
        assert!(check(&legs, "+15550100", 30).unwrap_err().contains("dial.per_minute_max"));
        assert_eq!(check(&legs, "client:bob", 30), Ok(()), "it costs nothing");
        legs.begin("+15550100", Timestamp(60_015));
        assert_eq!(legs.ledger.counts().begun.len(), 2, "what is older is forgotten");
    }

    #[test]
    fn a_cap_of_zero_lets_nothing_out() {
        let legs = OutgoingLegs::default();
        let call = CallSid("CA1".to_owned());
        for caps in [caps(0, 9, 9), caps(9, 0, 9), caps(9, 9, 0)] {
            assert!(legs.check(&caps, "+15550100", false, Timestamp(0)).is_err());
            assert!(legs.check(&caps, "alice", false, Timestamp(0)).is_ok());
            let forward =
                |to| legs.ledger().forward(&caps, NewForward { call: &call, to, attempt: None }, 1_000, Timestamp(0));
            assert!(forward("+15550100").is_err());
            assert!(forward("client:alice").is_ok());
        }
    }

    #[test]
    fn callers_who_dial_are_counted_with_the_legs_of_tasks_until_they_are_over() {
        let legs = OutgoingLegs::default();
        let forward = |call: &str, attempt: Option<&str>, at: i64| {
            let call = CallSid(call.to_owned());
            let new = NewForward { call: &call, to: "+15550100", attempt };
            legs.ledger().forward(&caps(2, 9, 9), new, 100_000, Timestamp(at))
        };
        let is_full = |at: i64| legs.check(&caps(2, 9, 9), "+15550199", false, Timestamp(at)).is_err();
        assert_eq!(forward("CA1", Some("first"), 0), Ok(()));
        for _ in 0..3 {
            assert_eq!(forward("CA1", Some("first"), 1), Ok(()), "another attempt at the same webhook");
        }
        assert_eq!(legs.ledger.counts().begun.len(), 1);
        assert!(!is_full(1));
        assert_eq!(forward("CA2", None, 10), Ok(()));
        assert!(is_full(10), "the legs of tasks count them");
        assert!(forward("CA3", None, 10).unwrap_err().contains("dial.legs_max"));
        assert_eq!(forward("CA2", None, 20), Ok(()), "a caller has one leg at a time, which is dialled anew");
        assert_eq!(legs.ledger.counts().begun.len(), 3);
        legs.ledger().forward_over(&CallSid("CA1".to_owned()));
        assert!(!is_full(30));
        assert_eq!(forward("CA3", None, 30), Ok(()));
        assert!(is_full(100_019));
        assert!(!is_full(100_020), "it cannot last longer");
        assert_eq!(forward("CA4", None, 100_030), Ok(()));
        assert_eq!(legs.ledger.counts().forwarded.len(), 1, "what is over is forgotten");
    }
}
