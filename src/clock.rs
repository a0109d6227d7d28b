//! The only place that asks for the time and for randomness.
//!
//! Everything else takes a [`Clock`] or an [`Entropy`] as argument, so tests can hold time still and seed identifiers;
//! `clippy.toml` bans the standard functions elsewhere. Start with [`Clock`].

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::routing::{SidSource, Timestamp};

/// Tells the time: the system's, or one that a test sets.
///
/// The system clock never runs backwards within one process: a step back of the machine's clock is held until the
/// machine has caught up, so that event times stay monotonic.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System { latest_ms: Arc<AtomicI64> },
    Fixed { now_ms: Arc<AtomicI64> },
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System { latest_ms: Arc::new(AtomicI64::new(i64::MIN)) })
    }

    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn fixed(now: Timestamp) -> Self {
        Self(Source::Fixed { now_ms: Arc::new(AtomicI64::new(now.0)) })
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System { latest_ms } => {
                let now_ms = system_now_ms();
                let before = latest_ms.fetch_max(now_ms, Ordering::AcqRel);
                Timestamp(now_ms.max(before))
            }
            Source::Fixed { now_ms } => Timestamp(now_ms.load(Ordering::Acquire)),
        }
    }

    /// Moves a fixed clock forward; the system clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Source::Fixed { now_ms } = &self.0 {
            now_ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::AcqRel);
        }
    }

    /// By how many milliseconds the machine's clock was set forward since this was first asked, less those it was set
    /// back: the difference to an even passing of time. A machine that slept counts as one that was set forward.
    #[must_use]
    pub fn step_ms(&self) -> i64 {
        static ORIGIN: OnceLock<(i64, std::time::Instant)> = OnceLock::new();
        match &self.0 {
            Source::Fixed { .. } => 0,
            Source::System { .. } => {
                let (then_ms, instant) = ORIGIN.get_or_init(|| (system_now_ms(), self.instant()));
                let elapsed_ms = i64::try_from(instant.elapsed().as_millis()).unwrap_or(i64::MAX);
                system_now_ms().saturating_sub(*then_ms).saturating_sub(elapsed_ms)
            }
        }
    }

    /// A monotonic instant for measuring how long something took.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this module is the one place that reads clocks")]
    pub fn instant(&self) -> std::time::Instant {
        std::time::Instant::now()
    }
}

#[expect(clippy::disallowed_methods, reason = "this module is the one place that reads clocks")]
fn system_now_ms() -> i64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Fresh random bits from the operating system, for SIDs, tokens and jitter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entropy;

impl Entropy {
    /// Fills `bytes` with random bits of the operating system.
    pub fn fill(self, bytes: &mut [u8]) {
        SysRng.try_fill_bytes(bytes).expect("the operating system hands out random bytes");
    }

    /// 128 random bits as 32 lower-case hexadecimal digits: an auth token or the body of a SID.
    #[must_use]
    pub fn hex_128(self) -> String {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        format!("{:032x}", u128::from_be_bytes(bytes))
    }

    /// 32 random letters and digits, which hold 190 bits: the secret of an API key.
    #[must_use]
    pub fn letters_and_digits(self) -> String {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = String::with_capacity(32);
        while text.len() < 32 {
            let mut bytes = [0; 64];
            self.fill(&mut bytes);
            // Numbers that stand for no letter are passed over, so that all letters are equally likely.
            let letters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
            text.extend(letters.take(32 - text.len()).map(|letter| char::from(*letter)));
        }
        text
    }
}

/// Milliseconds and a counter of 12 bits, as last handed out: SIDs made within one millisecond keep their order.
static NEWEST_TICK: AtomicU64 = AtomicU64::new(0);

/// A number that grows with time and never repeats; more than 4,096 within a millisecond borrow from the next one.
fn next_tick(newest: &AtomicU64, now: Timestamp) -> u64 {
    let wanted = u64::try_from(now.0).unwrap_or(0) << 12;
    let before = newest.fetch_update(Ordering::AcqRel, Ordering::Acquire, |newest| Some(wanted.max(newest + 1)));
    before.map_or(wanted, |before| wanted.max(before + 1))
}

/// UUIDv7 layout: 48 bits of milliseconds, version, a counter of 12 bits, variant, 62 random bits.
fn uuid_v7(tick: u64, random: u64) -> u128 {
    let ms = u128::from(tick >> 12) & 0xffff_ffff_ffff;
    let counter = u128::from(tick & 0xfff);
    (ms << 80) | (0x7 << 76) | (counter << 64) | (0b10 << 62) | u128::from(random & 0x3fff_ffff_ffff_ffff)
}

impl SidSource for Entropy {
    fn next_bits(&mut self, now: Timestamp) -> u128 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        uuid_v7(next_tick(&NEWEST_TICK, now), u64::from_be_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_bits_carry_version_variant_and_time() {
        let newest = AtomicU64::new(0);
        let bits = uuid_v7(next_tick(&newest, Timestamp(0x0123_4567_89ab)), u64::MAX);
        assert_eq!(bits >> 80, 0x0123_4567_89ab);
        assert_eq!((bits >> 76) & 0xf, 7);
        assert_eq!((bits >> 62) & 0b11, 0b10);
    }

    #[test]
    fn sids_of_one_millisecond_keep_their_order() {
        let newest = AtomicU64::new(0);
        let mut before = 0;
        for round in 0..10_000 {
            let bits = uuid_v7(next_tick(&newest, Timestamp(1_000)), 10_000 - round);
            assert!(bits > before, "round {round}");
            before = bits;
        }
    }

    #[test]
    fn secrets_of_keys_are_letters_and_digits_of_all_kinds() {
        let secrets: Vec<String> = (0..200).map(|_| Entropy.letters_and_digits()).collect();
        let different: std::collections::BTreeSet<char> = secrets.iter().flat_map(|secret| secret.chars()).collect();
        assert!(secrets.iter().all(|secret| secret.len() == 32 && secret.bytes().all(|b| b.is_ascii_alphanumeric())));
        assert_eq!(different.len(), 62);
    }

    #[test]
    fn a_clock_that_nobody_sets_makes_no_steps() {
        let clock = Clock::system();
        assert!(clock.step_ms().abs() <= 1_000, "{}", clock.step_ms());
        let fixed = Clock::fixed(Timestamp(0));
        fixed.advance(Duration::from_mins(1));
        assert_eq!(fixed.step_ms(), 0);
    }

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = Clock::fixed(Timestamp(1_000));
        assert_eq!(clock.now(), Timestamp(1_000));
        clock.advance(Duration::from_millis(5));
        assert_eq!(clock.now(), Timestamp(1_005));
    }
}
