//! The simulation's only source of chance: the same seed and step give the same throws.

use std::collections::BTreeMap;

use crate::watch::mix;

/// Throws of one step. A step has dice of its own, so that leaving out other steps does not change its throws.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64, step: u32) -> Self {
        Self(mix(seed).wrapping_add(mix(u64::from(step) << 20)))
    }

    /// A number from 0 to `limit` - 1; 0 when there is none.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // The upper half of the product spreads as evenly as a remainder and takes no division.
        let wide = u128::from(mix(self.0)) * (limit as u128);
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    pub(crate) fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let at = self.below(list.len());
        list.get(at)
    }

    pub(crate) fn pick_of<'a, K, T>(&mut self, rows: &'a BTreeMap<K, T>) -> Option<&'a T> {
        let at = self.below(rows.len());
        rows.values().nth(at)
    }

    /// One of few, which is there.
    pub(crate) fn one<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        of[self.below(N)]
    }

    pub(crate) fn small(&mut self, from: u32, to: u32) -> u32 {
        from + u32::try_from(self.below(usize::try_from(to - from + 1).unwrap_or(1))).unwrap_or(0)
    }
}
