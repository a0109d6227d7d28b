//! Chooses the rows of one page from candidates that come in any order, as an index would have found them.
//!
//! Keeps no more candidates than the page needs, however many come. Where candidates come from is in `search`. Start
//! with [`Selection`].

use std::collections::BinaryHeap;

use crate::store::pages::{Cursor, Direction, Entry, List, Seek, Span};

/// The values a list is ordered by, before the SID; lists that are ordered by one have zero in the second.
pub(super) type Keys = [i64; 2];

/// A candidate's place, such that smaller ones come first in the direction of the page.
type Place = (Keys, u128);

/// The best candidates so far.
pub(super) struct Selection {
    span: Span,
    /// Of the keys; the SID goes in the direction of the last one.
    directions: Vec<Direction>,
    /// Only what lies behind this place belongs to the page.
    behind: Option<Place>,
    /// As many as the page, those before it, and one more, which tells that there are more.
    wanted: usize,
    passed_over: usize,
    best: BinaryHeap<Place>,
}

impl Selection {
    /// For the page that `span` asks for, of a list with one or two keys.
    pub(super) fn new(span: Span, directions: Vec<Direction>) -> Self {
        let passed_over = match span.seek {
            Seek::Skip(rows) => usize::try_from(rows).unwrap_or(usize::MAX),
            _ => 0,
        };
        let limit = usize::try_from(span.limit).unwrap_or(usize::MAX);
        let wanted = passed_over.saturating_add(limit).saturating_add(1);
        let mut selection = Self { span, directions, behind: None, wanted, passed_over, best: BinaryHeap::new() };
        selection.behind = match &selection.span.seek {
            Seek::After(cursor) | Seek::Before(cursor) => Some(selection.place_of(cursor)),
            Seek::First | Seek::Skip(_) => None,
        };
        selection
    }

    /// Considers a row.
    pub(super) fn offer(&mut self, keys: Keys, sid_bits: u128) {
        let place = self.turned((keys, sid_bits));
        if self.behind.is_some_and(|behind| place <= behind) {
            return;
        }
        if self.best.len() < self.wanted {
            self.best.push(place);
        } else if let Some(mut worst) = self.best.peek_mut()
            && place < *worst
        {
            *worst = place;
        }
    }

    /// The page, as SIDs made by `sid`.
    pub(super) fn finish<S: std::fmt::Display>(mut self, sid: impl Fn(u128) -> S) -> List<S> {
        let best = std::mem::take(&mut self.best).into_sorted_vec();
        let entries = best.into_iter().skip(self.passed_over).map(|place| {
            let (keys, bits) = self.turned(place);
            let row = sid(bits);
            Entry { at: Cursor { sid: row.to_string(), keys: keys[..self.directions.len()].to_vec() }, row }
        });
        List::of_found(entries.collect(), &self.span)
    }

    fn place_of(&self, cursor: &Cursor) -> Place {
        let mut keys = [0; 2];
        keys.iter_mut().zip(&cursor.keys).for_each(|(key, found)| *key = *found);
        let digits = cursor.sid.get(2..).unwrap_or_default();
        self.turned((keys, u128::from_str_radix(digits, 16).unwrap_or(0)))
    }

    /// Turns what is ordered downwards upside down, and turns it back.
    fn turned(&self, (mut keys, mut bits): Place) -> Place {
        let backwards = matches!(self.span.seek, Seek::Before(_));
        let downwards = |direction: &Direction| direction.reversed(backwards) == Direction::Descending;
        for (key, direction) in keys.iter_mut().zip(&self.directions) {
            if downwards(direction) {
                *key = !*key;
            }
        }
        if self.directions.last().map_or(backwards, downwards) {
            bits = !bits;
        }
        (keys, bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [(i64, i64, u128); 6] = [(5, 10, 1), (0, 20, 2), (5, 20, 3), (0, 20, 4), (9, 30, 5), (i64::MIN, 0, 6)];

    fn page(directions: &[Direction], seek: Seek, limit: u32) -> List<u128> {
        let mut selection = Selection::new(Span { seek, limit }, directions.to_vec());
        for (one, two, bits) in ROWS {
            selection.offer([one, two], bits);
        }
        let list = selection.finish(|bits| format!("WT{bits:032x}"));
        let bits = |sid: &String| u128::from_str_radix(&sid[2..], 16).unwrap();
        let entries = list.entries.iter().map(|entry| Entry { at: entry.at.clone(), row: bits(&entry.row) });
        List { entries: entries.collect(), before: list.before.clone(), after: list.after.clone() }
    }

    fn rows(list: &List<u128>) -> Vec<u128> {
        list.entries.iter().map(|entry| entry.row).collect()
    }

    /// Walks the whole list in pages of two, forwards and back.
    fn check(directions: &[Direction], expected: [u128; 6]) {
        let mut found = Vec::new();
        let mut seek = Seek::First;
        let end = loop {
            let list = page(directions, seek, 2);
            found.extend(rows(&list));
            match list.after.clone() {
                Some(cursor) => seek = Seek::After(cursor),
                None => break list,
            }
        };
        assert_eq!(found, expected, "forwards by {directions:?}");
        let mut back = rows(&end);
        let mut before = end.before;
        while let Some(cursor) = before {
            let list = page(directions, Seek::Before(cursor), 2);
            back.splice(0..0, rows(&list));
            before = list.before;
        }
        assert_eq!(back, expected, "backwards by {directions:?}");
        assert_eq!(rows(&page(directions, Seek::Skip(4), 9)), expected[4..]);
        assert!(page(directions, Seek::Skip(u64::MAX), 2).entries.is_empty());
    }

    #[test]
    fn pages_join_up_in_every_order() {
        let (up, down) = (Direction::Ascending, Direction::Descending);
        check(&[up, up], [6, 2, 4, 1, 3, 5]);
        check(&[down, down], [5, 3, 1, 4, 2, 6]);
        check(&[down, up], [5, 1, 3, 2, 4, 6]);
        check(&[up, down], [6, 4, 2, 3, 1, 5]);
    }
}
