//! Which records of one kind changed since they were last taken.
//!
//! A command touches few records, most of them several times in a row, so a list that is put in order when it is taken
//! costs less than a tree. Nothing is decided here. Start with [`Touches::insert`].

/// Keys as they were touched, until they are taken.
#[derive(Debug)]
pub(super) struct Touches<K>(Vec<K>);

impl<K> Default for Touches<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord> Touches<K> {
    /// A record changed, or is gone.
    pub(super) fn insert(&mut self, key: K) {
        if self.0.last() != Some(&key) {
            self.0.push(key);
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each key once, in their order; none is left.
    pub(super) fn take(&mut self) -> Vec<K> {
        let mut keys = std::mem::take(&mut self.0);
        if keys.len() > 1 {
            keys.sort_unstable();
            keys.dedup();
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_taken_once_and_in_order() {
        let mut touches: Touches<i32> = Touches::default();
        for key in [3, 1, 1, 3, 2, 3] {
            touches.insert(key);
        }
        assert!(!touches.is_empty());
        assert_eq!(touches.take(), [1, 2, 3]);
        assert!(touches.is_empty());
        assert!(touches.take().is_empty());
    }
}
