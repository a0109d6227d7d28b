//! How long a task will wait: estimated from how fast its queue was served, and how wrong earlier estimates were.
//!
//! Accepted tasks are counted against the time in which somebody waited; quiet hours say nothing about how fast a queue
//! can be served. All of it lives in memory only and begins anew after a start. Nothing here decides where a task goes.
//! Start with [`WaitEstimate`] and `Pace`.

use std::collections::VecDeque;

use super::sid::{TaskChannelSid, TaskQueueSid};
use super::time::Timestamp;

/// Accepted tasks that are remembered.
const KEPT_MAX: usize = 50;

/// Accepted tasks that are enough for an estimate.
const ENOUGH: usize = 10;

/// The fewest accepted tasks that an estimate is made from.
const FEWEST: usize = 2;

/// How far back is looked, in milliseconds of waiting time: the first that holds [`ENOUGH`], else the last.
const WINDOWS_MS: [i64; 3] = [15 * 60_000, 60 * 60_000, 4 * 60 * 60_000];

/// What is older counts no more, in milliseconds.
const OLDEST_MS: i64 = 24 * 60 * 60_000;

/// Quantile of the normal distribution that leaves 10 % on either side.
const BOUND_SCORE: f64 = 1.281_551_565_544_6;

/// Longest wait that is told, in seconds; what is longer is unknown. A task lives at most this long.
const LONGEST_SECS: f64 = 1_209_600.0;

/// How an estimate comes about, as answers name it.
pub const METHOD: &str = "throughput";

/// How long a task will wait from now on until somebody accepts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitEstimate {
    /// As likely longer as shorter, in seconds.
    pub secs: u32,
    /// Shorter in one case of ten.
    pub low_secs: u32,
    /// Longer in one case of ten.
    pub high_secs: u32,
    /// Accepted tasks that it was made from.
    pub samples: u32,
    /// Time in which these were accepted while others waited, in seconds.
    pub observed_secs: u32,
}

/// How wrong the estimates of a queue were that tasks were given when they entered it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EstimateErrors {
    /// Tasks that had an estimate and were accepted.
    pub samples: u32,
    /// Mean of the absolute differences, in seconds.
    pub mean_absolute_secs: u32,
}

/// A wait that is over, beside what was expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasuredWait {
    /// Where the task waited.
    pub queue: TaskQueueSid,
    /// On which channel.
    pub channel: TaskChannelSid,
    /// What was expected when it entered the queue, in seconds.
    pub expected_secs: u32,
    /// From entering the queue to acceptance, in milliseconds.
    pub waited_ms: i64,
}

/// An accepted task.
#[derive(Debug, Clone, Copy)]
struct Accepted {
    at: Timestamp,
    /// Time in which somebody had waited by then.
    busy_ms: i64,
}

/// How fast one lane is served.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Time in which somebody waited, until `busy_since`.
    busy_ms: i64,
    /// Since when somebody waits without a break.
    busy_since: Option<Timestamp>,
    /// The newest ones, oldest first.
    accepted: VecDeque<Accepted>,
    /// Waiting time at the newest acceptance that is not kept.
    forgotten_ms: i64,
    errors: u32,
    error_sum_ms: i64,
}

impl Pace {
    /// Notes whether somebody waits from `now` on.
    pub(super) fn note(&mut self, somebody_waits: bool, now: Timestamp) {
        match (self.busy_since, somebody_waits) {
            (None, true) => self.busy_since = Some(now),
            (Some(since), false) => {
                self.busy_ms = self.busy_ms.saturating_add(now.ms_since(since));
                self.busy_since = None;
            }
            _ => {}
        }
    }

    /// Notes that a task was accepted that had waited.
    pub(super) fn accept(&mut self, now: Timestamp) {
        let busy_ms = self.busy_ms_at(now);
        if self.accepted.len() == KEPT_MAX
            && let Some(oldest) = self.accepted.pop_front()
        {
            self.forgotten_ms = oldest.busy_ms;
        }
        self.accepted.push_back(Accepted { at: now, busy_ms });
    }

    /// Notes how wrong an estimate was.
    pub(super) fn measure(&mut self, expected_secs: u32, waited_ms: i64) {
        self.errors = self.errors.saturating_add(1);
        let error_ms = (i64::from(expected_secs) * 1000).saturating_sub(waited_ms).saturating_abs();
        self.error_sum_ms = self.error_sum_ms.saturating_add(error_ms);
    }

    pub(super) fn errors(&self) -> EstimateErrors {
        let mean_secs = if self.errors == 0 { 0 } else { self.error_sum_ms / i64::from(self.errors) / 1000 };
        EstimateErrors { samples: self.errors, mean_absolute_secs: u32::try_from(mean_secs).unwrap_or(u32::MAX) }
    }

    fn busy_ms_at(&self, now: Timestamp) -> i64 {
        self.busy_ms.saturating_add(self.busy_since.map_or(0, |since| now.ms_since(since)))
    }

    /// When a task that has `ahead` others before it is accepted; none when too little is known.
    pub(super) fn estimate(&self, ahead: usize, now: Timestamp) -> Option<WaitEstimate> {
        let busy_ms = self.busy_ms_at(now);
        let oldest = now.plus_ms(-OLDEST_MS);
        // What was accepted before the oldest that counts ends the time that is looked at.
        let old = self.accepted.iter().take_while(|accepted| accepted.at < oldest).last();
        let begin_ms = old.map_or(self.forgotten_ms, |old| old.busy_ms);
        let mut samples = 0;
        let mut observed_ms = 0;
        for window_ms in WINDOWS_MS {
            let begin_ms = begin_ms.max(busy_ms.saturating_sub(window_ms));
            samples = self.accepted.iter().filter(|one| one.at >= oldest && one.busy_ms > begin_ms).count();
            observed_ms = busy_ms - begin_ms;
            if samples >= ENOUGH {
                break;
            }
        }
        if samples < FEWEST || observed_ms <= 0 {
            return None;
        }
        let (samples, observed_ms) = (u32::try_from(samples).ok()?, f64::from(u32::try_from(observed_ms).ok()?));
        let departures = f64::from(u32::try_from(ahead).ok()?) + 1.0;
        let at = |score| {
            let secs = wait_ratio(departures, f64::from(samples), score) * observed_ms / 1000.0;
            whole_secs(secs)
        };
        Some(WaitEstimate {
            secs: at(0.0)?,
            low_secs: at(-BOUND_SCORE)?,
            high_secs: at(BOUND_SCORE)?,
            samples,
            observed_secs: whole_secs(observed_ms / 1000.0)?,
        })
    }
}

/// How long `departures` more take, as a share of the time that `samples` took, at a quantile of the normal `score`.
///
/// Acceptances are taken to come at random with one rate of which only the samples are known: the rate then has a gamma
/// distribution, and so has the wait for any rate, which makes their ratio one of Fisher's F. Its quantiles are those of
/// the ratio of two cube roots that are nearly normal (Wilson and Hilferty; Paulson).
fn wait_ratio(departures: f64, samples: f64, score: f64) -> f64 {
    let (of_wait, of_rate) = (1.0 / (9.0 * departures), 1.0 / (9.0 * samples));
    let (mean_wait, mean_rate) = (1.0 - of_wait, 1.0 - of_rate);
    let square = score * score;
    let spread = mean_rate * mean_rate * of_wait + mean_wait * mean_wait * of_rate - square * of_wait * of_rate;
    let root = (mean_wait * mean_rate + score * spread.max(0.0).sqrt()) / (mean_rate * mean_rate - square * of_rate);
    let root = root.max(0.0);
    departures / samples * root * root * root
}

/// Whole seconds, rounded; none beyond what is told.
fn whole_secs(secs: f64) -> Option<u32> {
    if !(0.0..=LONGEST_SECS).contains(&secs) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just above")]
    Some(secs.round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_790_000_000_000);

    fn at(secs: u32) -> Timestamp {
        START.plus_secs(secs)
    }

    /// Somebody always waits, and one is accepted every `every` seconds, `times` times.
    fn steady(every: u32, times: u32) -> Pace {
        let mut pace = Pace::default();
        pace.note(true, START);
        for number in 1..=times {
            pace.accept(at(number * every));
        }
        pace
    }

    #[test]
    fn nothing_is_told_before_two_were_accepted() {
        assert_eq!(Pace::default().estimate(0, START), None);
        assert_eq!(steady(30, 1).estimate(0, at(30)), None);
        assert!(steady(30, 2).estimate(0, at(60)).is_some());
    }

    #[test]
    fn a_wait_grows_with_the_place_and_narrows_with_what_is_known() {
        let pace = steady(30, 40);
        let now = at(40 * 30);
        let estimates: Vec<_> = [0, 1, 9, 99].map(|ahead| pace.estimate(ahead, now).unwrap()).into();
        assert!(estimates.is_sorted_by_key(|estimate| estimate.secs));
        assert!(estimates.iter().all(|one| one.low_secs <= one.secs && one.secs <= one.high_secs));
        let tenth = estimates[2];
        assert!((270..=330).contains(&tenth.secs), "{tenth:?}");
        let little = steady(30, 3).estimate(9, at(90)).unwrap();
        assert!(little.high_secs - little.low_secs > tenth.high_secs - tenth.low_secs, "{little:?} {tenth:?}");
    }

    #[test]
    fn time_without_anybody_waiting_does_not_count() {
        let mut pace = steady(10, 20);
        let before = pace.estimate(3, at(200)).unwrap();
        pace.note(false, at(200));
        pace.note(true, at(8_000));
        assert_eq!(pace.estimate(3, at(8_000)).unwrap(), before);
        assert!(pace.estimate(3, at(8_300)).unwrap().secs > before.secs);
    }

    #[test]
    fn what_is_older_than_a_day_counts_no_more() {
        let mut pace = steady(10, 20);
        pace.note(false, at(200));
        pace.note(true, at(90_000));
        assert_eq!(pace.estimate(0, at(90_000)), None);
        pace.accept(at(90_060));
        pace.accept(at(90_120));
        let estimate = pace.estimate(0, at(90_120)).unwrap();
        assert_eq!((estimate.samples, estimate.observed_secs), (2, 120));
    }

    #[test]
    fn the_window_is_widened_while_little_is_known() {
        let pace = steady(1_200, 8);
        let estimate = pace.estimate(0, at(8 * 1_200)).unwrap();
        assert_eq!((estimate.samples, estimate.observed_secs), (8, 9_600));
        let estimate = steady(60, 40).estimate(0, at(2_400)).unwrap();
        assert_eq!((estimate.samples, estimate.observed_secs), (15, 900));
        // Fifty are kept; the time before the oldest of them is not looked at either.
        let estimate = steady(5, 80).estimate(0, at(400)).unwrap();
        assert_eq!((estimate.samples, estimate.observed_secs), (50, 250));
    }

    #[test]
    fn bounds_hold_what_they_promise() {
        // Random numbers of our own: the same ones every time.
        let mut state = 7_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
        };
        let mut gap = |mean: f64| -mean * (1.0 - uniform() * 0.999_999_9).ln();
        for (ahead, samples) in [(0_u32, 5_u32), (4, 10), (30, 20)] {
            let (mut below, mut above, mut under_middle) = (0, 0, 0);
            let rounds = 4_000;
            for _ in 0..rounds {
                // The rate is known from the samples only; then the wait happens.
                let took: f64 = (0..samples).map(|_| gap(10.0)).sum();
                let wait: f64 = (0..=ahead).map(|_| gap(10.0)).sum();
                let ratio = |score: f64| wait_ratio(f64::from(ahead) + 1.0, f64::from(samples), score) * took;
                below += u32::from(wait < ratio(-BOUND_SCORE));
                above += u32::from(wait > ratio(BOUND_SCORE));
                under_middle += u32::from(wait < ratio(0.0));
            }
            let share = |count: u32| f64::from(count) / f64::from(rounds);
            assert!((share(below) - 0.1).abs() < 0.025, "{ahead} {samples}: below {}", share(below));
            assert!((share(above) - 0.1).abs() < 0.025, "{ahead} {samples}: above {}", share(above));
            assert!((share(under_middle) - 0.5).abs() < 0.04, "{ahead} {samples}: middle {}", share(under_middle));
        }
    }

    #[test]
    fn errors_are_averaged() {
        let mut pace = Pace::default();
        assert_eq!(pace.errors(), EstimateErrors::default());
        pace.measure(30, 20_000);
        pace.measure(30, 50_000);
        assert_eq!(pace.errors(), EstimateErrors { samples: 2, mean_absolute_secs: 15 });
    }
}
