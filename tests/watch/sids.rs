//! Fresh SIDs in a fixed order, and the number mixer behind them.

use switchhook::routing::{SidSource, Timestamp};

/// Fresh SIDs, the same for the same seed.
#[derive(Clone)]
pub(crate) struct Sids {
    count: u64,
    shuffled: Option<u64>,
}

impl Sids {
    /// In creation order also within one millisecond.
    pub(crate) const ASCENDING: Self = Self { count: 0, shuffled: None };

    /// In random order within one millisecond, as in production.
    pub(crate) const fn shuffled(seed: u64) -> Self {
        Self { count: 0, shuffled: Some(seed) }
    }
}

impl SidSource for Sids {
    fn next_bits(&mut self, now: Timestamp) -> u128 {
        self.count += 1;
        let ms = u128::from(u64::try_from(now.0).unwrap_or(0)) & 0xffff_ffff_ffff;
        let low = self.shuffled.map_or(0, |seed| u128::from(mix(seed ^ self.count)) & 0x3fff_ffff);
        (ms << 80) | (7 << 76) | (0b10 << 62) | (low << 32) | u128::from(self.count)
    }
}

/// Spreads the bits of a number (the finalizer of `SplitMix64`).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
