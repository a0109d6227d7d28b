//! What had no place in our answer: rewritten, a document may be longer than a phone system takes. Then it is cut between two
//! verbs, and the rest follows when the call asks for it at a URL of ours.
//!
//! The rest is kept as the application wrote it, so that whatever it grows to, what is kept is bounded. Must not outlive the
//! process: afterwards the URL gives no document, and the phone system turns to its fallback. Start with [`Rests::keep`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::routing::AccountSid;

/// Rests that are kept, each at most as large as a document; the phone system asks for one when the verbs before it are done.
const KEPT: usize = 256;

/// The rest of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rest {
    /// Whose application wrote it.
    pub(super) account: AccountSid,
    /// Where the document came from.
    pub(super) url: String,
    /// Verbs as they were written.
    pub(super) verbs: String,
}

/// Rests of documents, by a key that the same rest has again.
#[derive(Debug, Default)]
pub struct Rests(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    rests: BTreeMap<String, Arc<Rest>>,
    /// The longest kept first.
    order: VecDeque<String>,
}

impl Rests {
    /// Keeps a rest under `key`.
    pub(super) fn keep(&self, key: &str, rest: Rest) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.rests.insert(key.to_owned(), Arc::new(rest)).is_some() {
            return;
        }
        kept.order.push_back(key.to_owned());
        if kept.order.len() > KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.rests.remove(&oldest);
        }
    }

    /// The rest under `key`, unless it was long ago.
    pub(super) fn of(&self, key: &str) -> Option<Arc<Rest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rests.get(key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_the_longest_kept_goes_first() {
        let rests = Rests::default();
        let rest = |verbs: &str| Rest {
            account: AccountSid::from_bits(1),
            url: "https://app/".to_owned(),
            verbs: verbs.to_owned(),
        };
        for number in 0..=KEPT {
            for _repeated in 0..2 {
                rests.keep(&number.to_string(), rest(&number.to_string()));
            }
        }
        assert_eq!(rests.of("0"), None);
        assert_eq!(rests.of("1"), Some(Arc::new(rest("1"))));
        let kept = rests.0.lock().unwrap();
        assert_eq!((kept.rests.len(), kept.order.len()), (KEPT, KEPT));
    }
}
