//! The legs that a workspace has dialled and that somebody has to pay for, and the caps on them (`quality.md` 2.7).
//!
//! Pure. What was dialled in the last minute is in memory only: a start of the server begins a new minute. Legs to
//! clients of the phone system cost nothing and are not counted. Start with [`OutgoingLegs::check`].

use std::collections::{BTreeMap, VecDeque};

use crate::calls::dial_rules::{is_metered, region_of};
use crate::calls::{Dialling, VoiceTask};
use crate::routing::{TaskSid, Timestamp};

/// The time over which new legs are counted, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// What a workspace has dialled.
#[derive(Debug, Clone, Default)]
pub(super) struct OutgoingLegs {
    live: BTreeMap<TaskSid, usize>,
    total: usize,
    /// When, and to which region; as many as the caps allow in a minute.
    begun: VecDeque<(Timestamp, String)>,
}

impl OutgoingLegs {
    /// The legs of a task are these now, or it is gone; to be told whenever they change.
    pub(super) fn note(&mut self, task: TaskSid, record: Option<&VoiceTask>) {
        let legs = record.map_or(0, |record| record.legs.iter().filter(|leg| leg.metered && leg.is_live()).count());
        let before = if legs == 0 { self.live.remove(&task) } else { self.live.insert(task, legs) };
        self.total = self.total + legs - before.unwrap_or(0);
    }

    /// Whether one more leg to this address is within the caps; the error says in plain words which setting it is.
    /// `counted`: the leg is among the live ones already.
    pub(super) fn check(&self, caps: &Dialling, to: &str, counted: bool, now: Timestamp) -> Result<(), String> {
        if !is_metered(to) {
            return Ok(());
        }
        let refuse = |count: u32, what: &str, setting: &str, variable: &str| {
            Err(format!("{count} {what}: the setting {setting} ({variable}) allows no more"))
        };
        let at_most = |count: usize, cap: u32| u32::try_from(count).is_ok_and(|count| count < cap);
        if !at_most(self.total - usize::from(counted).min(self.total), caps.legs) {
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

    /// A leg is being dialled.
    pub(super) fn begin(&mut self, to: &str, now: Timestamp) {
        while self.begun.front().is_some_and(|(at, _)| now.ms_since(*at) >= WINDOW_MS) {
            self.begun.pop_front();
        }
        if is_metered(to) {
            self.begun.push_back((now, region_of(to)));
        }
    }

    /// Whether the live legs are counted as they are by a second copy.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        self.live == other.live && self.total == other.total
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
        legs.begin("+49 30 12999", Timestamp(10));
        legs.begin("client:alice", Timestamp(10));
        assert!(
            check(&legs, "+4930120", 59_999).unwrap_err().contains("2 legs were dialled to +493012 within a minute")
        );
        assert_eq!(check(&legs, "+4930120", 60_000), Ok(()), "the first one is a minute old");
        assert_eq!(check(&legs, "+4989120", 20), Ok(()), "another region");
        legs.begin("+4989120", Timestamp(20));
        assert!(check(&legs, "+15550100", 30).unwrap_err().contains("dial.per_minute_max"));
        assert_eq!(check(&legs, "client:bob", 30), Ok(()), "it costs nothing");
        legs.begin("+15550100", Timestamp(60_015));
        assert_eq!(legs.begun.len(), 2, "what is older is forgotten");
    }

    #[test]
    fn a_cap_of_zero_lets_nothing_out() {
        let legs = OutgoingLegs::default();
        for caps in [caps(0, 9, 9), caps(9, 0, 9), caps(9, 9, 0)] {
            assert!(legs.check(&caps, "+15550100", false, Timestamp(0)).is_err());
            assert!(legs.check(&caps, "alice", false, Timestamp(0)).is_ok());
        }
    }
}
