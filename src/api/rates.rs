//! How often clients may ask: an account's applications, its lists filtered by expression, and each agent's browser
//! (`quality.md` 2.1, API4).
//!
//! A token bucket for each of them, kept as one moment: the one at which it would be full again (GCRA). Nobody else
//! pays for one who asks too often. Must not know what is asked for. Start with [`Rates::charge`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::Limits;
use crate::routing::{AccountSid, Timestamp, WorkerSid, WorkspaceSid};

/// Buckets that are remembered; full ones are forgotten before.
const PAYERS_MAX: usize = 100_000;

/// A bucket holds what it gets in so many seconds: so much may be asked at once after a pause.
const BURST_SECS: u64 = 2;

const NS_PER_SEC: u64 = 1_000_000_000;

/// Whose bucket a request is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Payer {
    /// Applications with the credentials of an account.
    Account(AccountSid),
    /// Their lists filtered by an expression, each of which looks at many rows (Twilio: 3 a second).
    ExpressionLists(AccountSid),
    /// The browser of an agent, or one whose token names no worker.
    Agent(WorkspaceSid, Option<WorkerSid>),
}

/// All buckets; cheap to clone.
#[derive(Debug, Clone)]
pub struct Rates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Nanoseconds of one request, by kind of payer; none where there is no limit.
    account_ns: Option<u64>,
    expression_lists_ns: Option<u64>,
    agent_ns: Option<u64>,
    /// When each bucket is full again, in nanoseconds since the Unix epoch.
    full_at: Mutex<BTreeMap<Payer, u64>>,
}

impl Rates {
    /// The rates that `limits` name.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        let ns = |per_sec: u32| Some(NS_PER_SEC / u64::from(per_sec.max(1)));
        Self(Arc::new(Inner {
            account_ns: ns(limits.requests_per_sec),
            expression_lists_ns: ns(limits.expression_lists_per_sec),
            agent_ns: ns(limits.agent_requests_per_sec),
            full_at: Mutex::default(),
        }))
    }

    /// No limits: for callers in the same process.
    #[must_use]
    pub fn unlimited() -> Self {
        Self(Arc::new(Inner { account_ns: None, expression_lists_ns: None, agent_ns: None, full_at: Mutex::default() }))
    }

    /// Takes one request at `now` from a bucket; false when it is empty, and then nothing is taken.
    pub(super) fn charge(&self, payer: Payer, now: Timestamp) -> bool {
        let cost = match payer {
            Payer::Account(_) => self.0.account_ns,
            Payer::ExpressionLists(_) => self.0.expression_lists_ns,
            Payer::Agent(..) => self.0.agent_ns,
        };
        let Some(cost) = cost else { return true };
        let now = u64::try_from(now.0).unwrap_or(0).saturating_mul(1_000_000);
        let mut full_at = self.0.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= PAYERS_MAX && !full_at.contains_key(&payer) {
            full_at.retain(|_, full_at| *full_at > now);
            if full_at.len() >= PAYERS_MAX {
                return false;
            }
        }
        let bucket = full_at.entry(payer).or_insert(now);
        let filled = (*bucket).max(now).saturating_add(cost);
        let fits = filled - now <= BURST_SECS * NS_PER_SEC;
        if fits {
            *bucket = filled;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Payer = Payer::Account(AccountSid::from_bits(1));

    fn rates(requests_per_sec: u32) -> Rates {
        Rates::of(&Limits {
            requests_per_sec,
            expression_lists_per_sec: 3,
            agent_requests_per_sec: 10,
            ..Limits::default()
        })
    }

    fn taken(rates: &Rates, payer: Payer, now: i64) -> usize {
        (0..100_000).take_while(|_| rates.charge(payer, Timestamp(now))).count()
    }

    #[test]
    fn a_bucket_holds_two_seconds_and_fills_evenly() {
        let rates = rates(50);
        let now = 1_770_000_000_000;
        assert_eq!(taken(&rates, ACCOUNT, now), 100);
        assert_eq!(taken(&rates, ACCOUNT, now + 19), 0);
        assert_eq!(taken(&rates, ACCOUNT, now + 20), 1);
        assert_eq!(taken(&rates, ACCOUNT, now + 1_020), 50);
        // What a clock says that went back counts as no time at all.
        assert_eq!(taken(&rates, ACCOUNT, now - 60_000), 0);
        assert_eq!(taken(&rates, ACCOUNT, now + 3_600_000), 100, "no more than it holds");
    }

    #[test]
    fn nobody_pays_for_others() {
        let rates = rates(50);
        let lists = |account| Payer::ExpressionLists(AccountSid::from_bits(account));
        let agent = |worker| Payer::Agent(WorkspaceSid::from_bits(1), Some(WorkerSid::from_bits(worker)));
        assert_eq!(taken(&rates, ACCOUNT, 1_000), 100);
        assert_eq!(taken(&rates, Payer::Account(AccountSid::from_bits(2)), 1_000), 100);
        assert_eq!((taken(&rates, lists(1), 1_000), taken(&rates, lists(2), 1_000)), (6, 6));
        assert_eq!((taken(&rates, agent(1), 1_000), taken(&rates, agent(2), 1_000)), (20, 20));
    }

    #[test]
    fn a_refusal_takes_nothing_and_full_buckets_are_forgotten() {
        let rates = rates(1);
        for worker in 0..PAYERS_MAX as u128 {
            assert!(
                rates
                    .charge(Payer::Agent(WorkspaceSid::from_bits(1), Some(WorkerSid::from_bits(worker))), Timestamp(0))
            );
        }
        assert!(!rates.charge(ACCOUNT, Timestamp(0)), "there is no room for one more");
        assert!(rates.charge(ACCOUNT, Timestamp(1_000)), "all the others are full again");
        assert_eq!(rates.0.full_at.lock().unwrap().len(), 1);
        assert_eq!((taken(&rates, ACCOUNT, 1_000), taken(&rates, ACCOUNT, 1_000)), (1, 0));
    }

    #[test]
    fn a_hundred_requests_a_second_are_far_from_any_default() {
        let rates = Rates::of(&Limits::default());
        for ms in 0..60_000 {
            let agent = Payer::Agent(WorkspaceSid::from_bits(1), None);
            assert!(ms % 10 != 0 || (rates.charge(ACCOUNT, Timestamp(ms)) && rates.charge(agent, Timestamp(ms))));
        }
    }
}
