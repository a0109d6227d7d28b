//! Moments and durations of the routing core: whole milliseconds since the Unix epoch, in UTC.
//!
//! The cores are told the time and never ask for it. Conversion to text happens at the edges (`api`, `softswitch`).

use std::ops::Add;

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `secs` seconds later; saturates at the end of time.
    #[must_use]
    pub const fn plus_secs(self, secs: u32) -> Self {
        Self(self.0.saturating_add(secs as i64 * 1000))
    }

    /// The moment `ms` milliseconds later (earlier when negative); saturates.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; zero when `earlier` is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> i64 {
        let difference = self.0.saturating_sub(earlier.0);
        if difference < 0 { 0 } else { difference }
    }

    /// Whole seconds from `earlier` to this moment, truncated; zero when `earlier` is later.
    #[must_use]
    pub const fn secs_since(self, earlier: Self) -> i64 {
        self.ms_since(earlier) / 1000
    }

    /// Whole minutes since the Unix epoch, truncated.
    #[must_use]
    pub const fn minute(self) -> i64 {
        self.0.div_euclid(60_000)
    }

    /// The moment at which the next minute begins; saturates.
    #[must_use]
    pub const fn next_minute(self) -> Self {
        Self(self.minute().saturating_add(1).saturating_mul(60_000))
    }

    /// Whole seconds since the Unix epoch, truncated.
    #[must_use]
    pub const fn unix_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl Add<std::time::Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: std::time::Duration) -> Self {
        self.plus_ms(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
    }
}
