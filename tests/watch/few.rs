//! What one command touches: so few keys that a sorted list costs less than a tree.
//!
//! Nothing is checked here.

/// Keys in their order, each once.
pub(crate) struct Few<K>(Vec<K>);

impl<K: Ord> Few<K> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn insert(&mut self, key: K) {
        if let Err(at) = self.0.binary_search(&key) {
            self.0.insert(at, key);
        }
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.0.binary_search(key).is_ok()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, K> {
        self.0.iter()
    }
}

impl<'a, K: Ord> IntoIterator for &'a Few<K> {
    type Item = &'a K;
    type IntoIter = std::slice::Iter<'a, K>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A value for each of a few keys, in their order.
pub(super) struct FewValues<K, V>(Vec<(K, V)>);

impl<K: Ord + Copy, V> FewValues<K, V> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(key))
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        match self.place(&key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// The value of a key, which is `fresh()` when there was none.
    pub(super) fn entry(&mut self, key: K, fresh: impl FnOnce() -> V) -> &mut V {
        let at = match self.place(&key) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (key, fresh()));
                at
            }
        };
        &mut self.0[at].1
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}
