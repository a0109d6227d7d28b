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
/// The system's is the machine's clock as it was when the process first asked, and from there on an even passing of time, in
/// which, on Linux, the time that a machine sleeps counts. Timers therefore keep their length when somebody sets the machine's clock, and
/// event times never go back. What it was set by is made good slowly, by one millisecond in a thousand.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Fixed { now_ms: Arc<AtomicI64> },
}

/// One for the whole process: all of it has the same time.
static EVEN: OnceLock<Even> = OnceLock::new();

/// Of so many milliseconds one may be left out or put in, so that the machine's clock is followed in the end: a timer of two
/// minutes is then off by an eighth of a second.
const FOLLOWED_ONE_IN: i64 = 1_000;

/// Time that passes evenly, and follows a clock that makes steps no faster than by one in a thousand. In milliseconds.
#[derive(Debug)]
struct Even {
    /// What the machine's clock showed at the beginning.
    began: i64,
    /// What an even passing of time showed then.
    origin: i64,
    /// How far the machine's clock is followed, and until when that was last thought of.
    followed: AtomicI64,
    thought_of: AtomicI64,
    latest: AtomicI64,
}

impl Even {
    const fn beginning(machine_ms: i64, even_ms: i64) -> Self {
        Self {
            began: machine_ms,
            origin: even_ms,
            followed: AtomicI64::new(0),
            thought_of: AtomicI64::new(0),
            latest: AtomicI64::new(i64::MIN),
        }
    }

    /// How far the machine's clock is from the beginning and an even passing of time.
    const fn step_ms(&self, machine_ms: i64, even_ms: i64) -> i64 {
        machine_ms.saturating_sub(self.began).saturating_sub(even_ms.saturating_sub(self.origin))
    }

    /// The time when the machine's clock and an even passing of time show this; it never goes back.
    fn at(&self, machine_ms: i64, even_ms: i64) -> i64 {
        let elapsed_ms = even_ms.saturating_sub(self.origin);
        let thought_of_ms = self.thought_of.load(Ordering::Acquire);
        let may_follow_ms = elapsed_ms.saturating_sub(thought_of_ms) / FOLLOWED_ONE_IN;
        if may_follow_ms > 0
            && self.thought_of.compare_exchange(thought_of_ms, elapsed_ms, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            let behind_ms = self.step_ms(machine_ms, even_ms) - self.followed.load(Ordering::Acquire);
            self.followed.fetch_add(behind_ms.clamp(-may_follow_ms, may_follow_ms), Ordering::AcqRel);
        }
        let now_ms = self.began.saturating_add(elapsed_ms).saturating_add(self.followed.load(Ordering::Acquire));
        now_ms.max(self.latest.fetch_max(now_ms, Ordering::AcqRel))
    }
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
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
            Source::System => {
                let (machine_ms, even_ms) = (machine_ms(), even_ms());
                Timestamp(EVEN.get_or_init(|| Even::beginning(machine_ms, even_ms)).at(machine_ms, even_ms))
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

    /// By how many milliseconds the machine's clock was set forward since the process first asked for the time, less those it
    /// was set back: the difference to an even passing of time.
    #[must_use]
    pub fn step_ms(&self) -> i64 {
        match &self.0 {
            Source::Fixed { .. } => 0,
            Source::System => {
                let (machine_ms, even_ms) = (machine_ms(), even_ms());
                EVEN.get_or_init(|| Even::beginning(machine_ms, even_ms)).step_ms(machine_ms, even_ms)
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
fn machine_ms() -> i64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since the machine started, also those in which it slept.
#[cfg(target_os = "linux")]
fn even_ms() -> i64 {
    let since_start = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    since_start.tv_sec.saturating_mul(1_000).saturating_add(since_start.tv_nsec / 1_000_000)
}

/// Milliseconds since the process first asked, without those in which the machine slept.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this module is the one place that reads clocks")]
fn even_ms() -> i64 {
    static FIRST: OnceLock<std::time::Instant> = OnceLock::new();
    let elapsed = FIRST.get_or_init(std::time::Instant::now).elapsed();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
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
    fn timers_keep_their_length_when_the_clock_is_set_and_time_never_goes_back() {
        const YEAR_MS: i64 = 365 * 86_400_000;
        for step_ms in [1_000, -1_000, 300_000, -300_000, 10 * YEAR_MS, -10 * YEAR_MS] {
            let even = Even::beginning(1_000_000_000_000, 7_000);
            assert_eq!(even.at(1_000_000_001_000, 8_000), 1_000_000_001_000);
            let mut before = even.at(1_000_000_001_000, 8_000);
            // Two minutes after the clock was set.
            for passed_ms in (0..=120_000).step_by(250) {
                let now = even.at(1_000_000_001_000 + step_ms + passed_ms, 8_000 + passed_ms);
                assert!(now >= before, "{step_ms} after {passed_ms}");
                before = now;
            }
            let off = before - 1_000_000_121_000;
            assert!(off.abs() <= 130, "{step_ms}: {off} ms");
            assert_eq!(even.step_ms(1_000_000_121_000 + step_ms, 128_000), step_ms);
        }
    }

    #[test]
    fn a_small_step_of_the_clock_is_followed_in_the_end_and_sleep_counts() {
        let even = Even::beginning(1_000_000_000_000, 7_000);
        let mut off = Vec::new();
        for passed_ms in (0..=2_000_000).step_by(500) {
            off.push(1_000_000_001_000 + passed_ms - even.at(1_000_000_001_000 + passed_ms, 7_000 + passed_ms));
        }
        assert!(off.is_sorted_by(|left, right| left >= right), "{off:?}");
        assert_eq!((off.first(), off.last()), (Some(&1_000), Some(&0)));
        // The machine slept for eight hours.
        let slept_ms = 8 * 3_600_000;
        assert_eq!(even.at(1_000_002_001_000 + slept_ms, 2_007_000 + slept_ms), 1_000_002_001_000 + slept_ms);
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
