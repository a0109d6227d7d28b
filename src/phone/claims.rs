//! Which call was made for which leg, as far as it is known: a look for a leg that an unclear attempt may have made must not
//! take one that was made for another leg to the same address.
//!
//! Start with [`Claims::claim`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::calls::CallSid;

/// Most calls that are remembered; a look concerns calls of the last minutes.
const CALLS_MAX: usize = 50_000;

/// Calls and their legs; cheap to clone, all clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Room and label of the leg that a call was made for.
    legs: BTreeMap<CallSid, (String, String)>,
    oldest_first: VecDeque<CallSid>,
}

impl Claims {
    /// Notes that a call is that leg; false when it is another one.
    pub(super) fn claim(&self, call: &CallSid, room: &str, label: &str) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((own_room, own_label)) = known.legs.get(call) {
            return own_room == room && own_label == label;
        }
        known.legs.insert(call.clone(), (room.to_owned(), label.to_owned()));
        known.oldest_first.push_back(call.clone());
        if known.oldest_first.len() > CALLS_MAX
            && let Some(oldest) = known.oldest_first.pop_front()
        {
            known.legs.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_leg_only_and_the_oldest_are_forgotten() {
        let claims = Claims::default();
        let call = |number: usize| CallSid(format!("CA{number}"));
        assert!(claims.claim(&call(0), "WT1", "WR1"));
        assert!(claims.claim(&call(0), "WT1", "WR1"));
        assert!(!claims.claim(&call(0), "WT1", "WR2"));
        assert!(!claims.claim(&call(0), "WT2", "WR1"));
        for number in 1..=CALLS_MAX {
            assert!(claims.claim(&call(number), "WT1", "WR1"));
        }
        assert!(claims.claim(&call(0), "WT2", "WR2"));
    }
}
