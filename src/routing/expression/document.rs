//! Attributes of a task or a worker, laid out for evaluation.
//!
//! A [`Document`] keeps only the values at paths of the vocabulary, found by slot in constant time; one with few values
//! stays small however large the vocabulary is, as there are many waiting tasks. It does not follow later growth of the
//! vocabulary: ask [`Document::is_current`] and read again.

use super::value::Value;
use super::vocabulary::{Slot, Vocabulary};

/// Attribute values by slot. The default is a document without attributes.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// Which slots have a value: one word for 64 slots.
    words: Box<[Word]>,
    /// The present values in the order of their slots.
    values: Box<[Value]>,
    /// Length of the vocabulary when the attributes were read.
    slots: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Word {
    present: u64,
    /// Number of values in the words before.
    before: u32,
}

impl Document {
    /// Reads every value that a path of `vocabulary` leads to.
    pub fn read(vocabulary: &Vocabulary, attributes: &serde_json::Value) -> Self {
        let mut words = Vec::with_capacity(vocabulary.len().div_ceil(64));
        let mut values = Vec::new();
        for paths in vocabulary.paths().chunks(64) {
            let before = u32::try_from(values.len()).expect("there are no more values than slots");
            let mut present = 0;
            for (bit, path) in paths.iter().enumerate() {
                if let Some(json) = path.find(attributes) {
                    present |= 1 << bit;
                    values.push(Value::read(json, false));
                }
            }
            words.push(Word { present, before });
        }
        Self { words: words.into(), values: values.into(), slots: vocabulary.len() }
    }

    /// Says whether the vocabulary has not grown since the attributes were read; paths added later read as missing.
    pub fn is_current(&self, vocabulary: &Vocabulary) -> bool {
        self.slots == vocabulary.len()
    }

    /// Returns the values of `slots`. An expression that reads only these treats documents of equal projection alike.
    pub fn project(&self, slots: &[Slot]) -> Projection {
        Projection(slots.iter().map(|slot| self.value(*slot).cloned()).collect())
    }

    pub(super) fn value(&self, slot: Slot) -> Option<&Value> {
        let word = self.words.get(slot.0 as usize / 64)?;
        let bit = 1_u64 << (slot.0 % 64);
        if word.present & bit == 0 {
            return None;
        }
        let rank = word.before + (word.present & (bit - 1)).count_ones();
        self.values.get(rank as usize)
    }
}

/// Values of some slots of a [`Document`], for use as a key; ordered in any total way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Projection(Box<[Option<Value>]>);
