//! Attributes of a task or a worker, laid out for evaluation.
//!
//! A [`Document`] keeps only the values at paths of the vocabulary, found by slot in constant time; one with few values
//! stays small however large the vocabulary is, as there are many waiting tasks. It does not follow later growth of the
//! vocabulary: ask [`Document::is_current`] and read again.

use super::value::Value;
use super::vocabulary::{Slot, Vocabulary};

/// Slots that share one [`Chunk`].
const CHUNK: usize = 64;
/// Position of a slot without a value.
const ABSENT: u8 = u8::MAX;

/// Attribute values by slot. The default is a document without attributes.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// Where the value of each slot is. A byte a slot keeps documents small under a large vocabulary; bits would be
    /// smaller still, but counting them took longer than the comparison itself.
    chunks: Box<[Chunk]>,
    /// The present values in the order of their slots.
    values: Box<[Value]>,
    /// Length of the vocabulary when the attributes were read.
    slots: usize,
}

#[derive(Clone, Debug)]
struct Chunk {
    /// Number of values in the chunks before.
    before: u32,
    /// Position of each slot's value among those of this chunk, below [`CHUNK`], or [`ABSENT`].
    positions: [u8; CHUNK],
}

impl Document {
    /// Reads every value that a path of `vocabulary` leads to.
    pub fn read(vocabulary: &Vocabulary, attributes: &serde_json::Value) -> Self {
        let found = vocabulary.paths().iter().map(|path| Some(Value::read(path.find(attributes)?, false)));
        Self::of_values(found.collect())
    }

    /// Lays out the value of each slot.
    pub(super) fn of_values(found: Vec<Option<Value>>) -> Self {
        let slots = found.len();
        let mut chunks = Vec::with_capacity(slots.div_ceil(CHUNK));
        let mut values = Vec::new();
        for (slot, value) in found.into_iter().enumerate() {
            if slot % CHUNK == 0 {
                let before = u32::try_from(values.len()).expect("there are no more values than slots");
                chunks.push(Chunk { before, positions: [ABSENT; CHUNK] });
            }
            if let (Some(value), Some(chunk)) = (value, chunks.last_mut()) {
                let position = values.len() - chunk.before as usize;
                chunk.positions[slot % CHUNK] = u8::try_from(position).expect("a chunk has fewer values than 256");
                values.push(value);
            }
        }
        Self { chunks: chunks.into(), values: values.into(), slots }
    }

    /// Says whether the vocabulary has not grown since the attributes were read; paths added later read as missing.
    pub fn is_current(&self, vocabulary: &Vocabulary) -> bool {
        self.slots == vocabulary.len()
    }

    /// The same for a worker's document, of which only some paths are read.
    pub fn is_current_for_worker(&self, vocabulary: &Vocabulary) -> bool {
        self.slots >= vocabulary.worker_slots()
    }

    /// Returns the slots at which two documents have different values, in ascending order.
    pub fn difference(&self, other: &Self) -> Vec<Slot> {
        let slots = u32::try_from(self.slots.max(other.slots)).expect("slots are numbered in 32 bits");
        (0..slots).map(Slot).filter(|slot| self.value(*slot) != other.value(*slot)).collect()
    }

    /// Returns the values of `slots`. An expression that reads only these treats documents of equal projection alike.
    pub fn project(&self, slots: &[Slot]) -> Projection {
        Projection(slots.iter().map(|slot| self.value(*slot).cloned()).collect())
    }

    #[inline]
    pub(super) fn value(&self, slot: Slot) -> Option<&Value> {
        let slot = slot.0 as usize;
        let chunk = self.chunks.get(slot / CHUNK)?;
        match chunk.positions[slot % CHUNK] {
            ABSENT => None,
            position => self.values.get(chunk.before as usize + usize::from(position)),
        }
    }
}

/// Values of some slots of a [`Document`], for use as a key; ordered in any total way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Projection(Box<[Option<Value>]>);
