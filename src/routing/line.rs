//! An ordered set that also tells at which place a key stands.
//!
//! Waiting tasks are added, removed and taken from the front all the time, and callers ask how many are ahead of them.
//! Keys lie sorted in short pieces, so that every change moves few of them and a place is found by adding up lengths.
//! Nothing here knows what the keys order. Start with [`Line::rank`].

/// Keys of one piece; few enough to be moved quickly.
const PIECE_MAX: usize = 128;

/// A piece with fewer keys is joined to its neighbour where both together are at most three quarters of a piece.
const PIECE_MIN: usize = 32;

/// A sorted set of keys in pieces, none of which is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<K> {
    pieces: Vec<Vec<K>>,
    len: usize,
}

impl<K> Default for Line<K> {
    fn default() -> Self {
        Self { pieces: Vec::new(), len: 0 }
    }
}

impl<K: Ord + Copy> Line<K> {
    /// A line of one key, as most classes of tasks are.
    pub(super) fn of(key: K) -> Self {
        Self { pieces: vec![vec![key]], len: 1 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The key at the front.
    pub(super) fn first(&self) -> Option<&K> {
        self.pieces.first().and_then(|piece| piece.first())
    }

    /// All keys in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &K> {
        self.pieces.iter().flatten()
    }

    /// Keys that stand before `key`, whether that is in the line or not.
    pub(super) fn rank(&self, key: &K) -> usize {
        let at = self.piece_of(key);
        let before: usize = self.pieces.iter().take(at).map(Vec::len).sum();
        before + self.pieces.get(at).map_or(0, |piece| piece.partition_point(|other| other < key))
    }

    /// Adds a key unless it is there.
    pub(super) fn insert(&mut self, key: K) {
        let at = self.piece_of(&key);
        let pieces = self.pieces.len();
        let Some(piece) = self.pieces.get_mut(at) else {
            self.pieces.push(vec![key]);
            self.len += 1;
            return;
        };
        let Err(place) = piece.binary_search(&key) else { return };
        self.len += 1;
        if piece.len() < PIECE_MAX {
            piece.insert(place, key);
            return;
        }
        if at + 1 == pieces && place == piece.len() {
            // Most keys come last; the full piece stays full.
            let mut next = Vec::with_capacity(PIECE_MAX);
            next.push(key);
            self.pieces.push(next);
            return;
        }
        let mut behind = piece.split_off(PIECE_MAX / 2);
        if place <= piece.len() {
            piece.insert(place, key);
        } else {
            behind.insert(place - piece.len(), key);
        }
        self.pieces.insert(at + 1, behind);
    }

    /// Removes a key, if it is there.
    pub(super) fn remove(&mut self, key: &K) {
        let at = self.piece_of(key);
        let Some(piece) = self.pieces.get_mut(at) else { return };
        let Ok(place) = piece.binary_search(key) else { return };
        piece.remove(place);
        self.len -= 1;
        if piece.is_empty() {
            self.pieces.remove(at);
        } else if piece.len() < PIECE_MIN {
            self.join(at);
        }
    }

    /// Joins a short piece to the one behind it, or the one before it to the last.
    fn join(&mut self, at: usize) {
        let first = if at + 1 < self.pieces.len() { at } else { at.saturating_sub(1) };
        if let [piece, behind, ..] = &self.pieces[first..]
            && piece.len() + behind.len() <= PIECE_MAX * 3 / 4
        {
            let mut behind = self.pieces.remove(first + 1);
            self.pieces[first].append(&mut behind);
        }
    }

    /// The piece in which the key is or belongs.
    fn piece_of(&self, key: &K) -> usize {
        let behind = self.pieces.partition_point(|piece| piece.first().is_some_and(|first| first <= key));
        behind.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn agrees(line: &Line<u16>, set: &BTreeSet<u16>, asked: u16) {
        assert_eq!(line.len(), set.len());
        assert_eq!(line.is_empty(), set.is_empty());
        assert_eq!(line.first(), set.first());
        assert!(line.iter().eq(set.iter()));
        assert_eq!(line.rank(&asked), set.range(..asked).count());
        assert!(line.pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE_MAX));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_line_is_a_set_that_counts(changes in prop::collection::vec((any::<bool>(), 0_u16..700), 0..1_500)) {
            let (mut line, mut set) = (Line::default(), BTreeSet::new());
            for (at, (add, key)) in changes.iter().enumerate() {
                if *add {
                    line.insert(*key);
                    set.insert(*key);
                } else {
                    line.remove(key);
                    set.remove(key);
                }
                if at % 50 == 0 {
                    agrees(&line, &set, *key);
                }
            }
            agrees(&line, &set, 350);
        }
    }

    #[test]
    fn keys_that_come_last_and_leave_first_fill_the_pieces() {
        let (mut line, mut set) = (Line::of(0), BTreeSet::from([0]));
        for key in 1..5_000 {
            line.insert(key);
            set.insert(key);
        }
        assert_eq!(line.pieces.len(), 5_000_usize.div_ceil(PIECE_MAX));
        for key in 0..4_900 {
            line.remove(&key);
            set.remove(&key);
            agrees(&line, &set, key + 50);
        }
        assert_eq!(line.rank(&4_950), 50);
    }
}
