//! Fills a page of a list that an expression filters from chunks of rows, each kept or passed over.
//!
//! That is quick when many rows match. It ends without a page when too many rows were read; then `search` looks for
//! matches in memory. Start with [`Sieve`].

use crate::store::pages::{Cursor, Entry, List, Seek, Span};

/// Rows of one chunk.
const CHUNK: u32 = 200;

/// A page that is being filled: asks for a chunk, is given it with a verdict on each row, asks for the next.
pub(super) struct Sieve<T> {
    /// The chunk to read next; none when the page is complete.
    next: Option<Seek>,
    limit: usize,
    backwards: bool,
    from_start: bool,
    /// Rows to keep that belong to pages before this one.
    passed_over: u64,
    rows_left: usize,
    complete: bool,
    kept: Vec<Entry<T>>,
    /// Where the neighbouring page goes on.
    onward: Option<Cursor>,
}

impl<T> Sieve<T> {
    /// For the page that `wanted` asks for; gives up after about `rows_left` rows.
    pub(super) fn new(wanted: Span, rows_left: usize) -> Self {
        let backwards = matches!(wanted.seek, Seek::Before(_));
        let from_start = matches!(wanted.seek, Seek::First);
        let (next, passed_over) = match wanted.seek {
            Seek::Skip(rows) => (Seek::First, rows),
            other => (other, 0),
        };
        Self {
            next: Some(next),
            limit: usize::try_from(wanted.limit).unwrap_or(usize::MAX),
            backwards,
            from_start,
            passed_over,
            rows_left,
            complete: false,
            kept: Vec::new(),
            onward: None,
        }
    }

    /// The chunk to read next; none when the page is complete.
    pub(super) fn next_chunk(&mut self) -> Option<Span> {
        self.next.take().map(|seek| Span { seek, limit: CHUNK })
    }

    /// Takes the chunk that was asked for, with the verdict on each of its rows.
    pub(super) fn take(&mut self, list: List<T>, verdicts: Vec<bool>) {
        let further = if self.backwards { list.before } else { list.after };
        self.rows_left = self.rows_left.saturating_sub(list.entries.len());
        let mut judged: Vec<_> = list.entries.into_iter().zip(verdicts).collect();
        if self.backwards {
            judged.reverse();
        }
        for (entry, _) in judged.into_iter().filter(|(_, keep)| *keep) {
            if self.passed_over > 0 {
                self.passed_over -= 1;
            } else if self.kept.len() == self.limit {
                self.onward = self.kept.last().map(|last| last.at.clone());
                self.complete = true;
                return;
            } else {
                self.kept.push(entry);
            }
        }
        self.complete = further.is_none();
        if self.rows_left > 0 {
            self.next = further.map(if self.backwards { Seek::Before } else { Seek::After });
        }
    }

    /// The page; none when it was given up.
    pub(super) fn finish(mut self) -> Option<List<T>> {
        if !self.complete {
            return None;
        }
        if self.backwards {
            self.kept.reverse();
            let after = self.kept.last().map(|last| last.at.clone());
            return Some(List { entries: self.kept, before: self.onward, after });
        }
        let before = self.kept.first().filter(|_| !self.from_start).map(|first| first.at.clone());
        Some(List { entries: self.kept, before, after: self.onward })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(number: u32) -> Cursor {
        Cursor { sid: number.to_string(), keys: Vec::new() }
    }

    /// A list of the numbers below `rows`, of which those that `step` divides are kept.
    fn numbers(rows: u32, step: u32, wanted: Span) -> Option<(Vec<u32>, Option<Cursor>, Option<Cursor>)> {
        let number = |cursor: &Cursor| cursor.sid.parse::<u32>().unwrap();
        let mut sieve = Sieve::new(wanted, 20_000);
        while let Some(span) = sieve.next_chunk() {
            let range = match &span.seek {
                Seek::First => 0..rows.min(span.limit),
                Seek::After(cursor) => number(cursor) + 1..rows.min(number(cursor) + 1 + span.limit),
                Seek::Before(cursor) => number(cursor).saturating_sub(span.limit)..number(cursor),
                Seek::Skip(_) => panic!("rows are counted after the filter"),
            };
            let before = (range.start > 0).then(|| cursor(range.start));
            let after = (range.end < rows).then(|| cursor(range.end - 1));
            let entries = range.clone().map(|row| Entry { at: cursor(row), row }).collect();
            sieve.take(List { entries, before, after }, range.map(|row| row % step == 0).collect());
        }
        let list = sieve.finish()?;
        Some((list.entries.into_iter().map(|entry| entry.row).collect(), list.before, list.after))
    }

    #[test]
    fn a_page_is_filled_across_chunks() {
        let span = |seek| Span { seek, limit: 3 };
        let found = numbers(1000, 150, span(Seek::First));
        assert_eq!(found, Some((vec![0, 150, 300], None, Some(cursor(300)))));
        let found = numbers(1000, 150, span(Seek::After(cursor(300))));
        assert_eq!(found, Some((vec![450, 600, 750], Some(cursor(450)), Some(cursor(750)))));
        let found = numbers(1000, 150, span(Seek::After(cursor(750))));
        assert_eq!(found, Some((vec![900], Some(cursor(900)), None)));
    }

    #[test]
    fn pages_are_filled_backwards_too() {
        let span = |seek| Span { seek, limit: 3 };
        let found = numbers(1000, 150, span(Seek::Before(cursor(900))));
        assert_eq!(found, Some((vec![450, 600, 750], Some(cursor(450)), Some(cursor(750)))));
        let found = numbers(1000, 150, span(Seek::Before(cursor(450))));
        assert_eq!(found, Some((vec![0, 150, 300], None, Some(cursor(300)))));
    }

    #[test]
    fn a_page_number_counts_the_rows_that_are_kept() {
        let found = numbers(1000, 150, Span { seek: Seek::Skip(3), limit: 3 });
        assert_eq!(found, Some((vec![450, 600, 750], Some(cursor(450)), Some(cursor(750)))));
    }

    #[test]
    fn a_page_that_too_few_rows_fill_is_given_up() {
        assert_eq!(numbers(50_000, 45_000, Span { seek: Seek::After(cursor(0)), limit: 3 }), None);
        let found = numbers(50_000, 45_000, Span { seek: Seek::After(cursor(44_000)), limit: 3 });
        assert_eq!(found, Some((vec![45_000], Some(cursor(45_000)), None)));
    }
}
