//! The worker a workflow target names (`known_worker_sid`, `known_worker_friendly_name`; TaskRouter: Known Agent
//! Routing; D25).
//!
//! Says only which name or SID the task carries; whether such a worker exists is the caller's question.

use super::document::Document;
use super::error::{Mistake, SyntaxError, SyntaxErrors};
use super::syntax::{check_length, parse_reference};
use super::value::Value;
use super::vocabulary::{Slot, Vocabulary};

/// A compiled known-worker reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownWorker {
    /// A SID or friendly name written in the workflow itself.
    Literal(String),
    /// The task attribute that holds it.
    Attribute(Slot),
}

/// What a known-worker reference gives for one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownWorkerValue {
    /// The attribute is JSON null: nobody, and nothing is wrong.
    Null,
    /// A SID or friendly name.
    Text(String),
    /// The attribute is missing or not a string.
    Invalid,
}

impl KnownWorker {
    /// Compiles `task.<path>`; any other text is taken as the SID or name itself.
    ///
    /// # Errors
    /// The text begins with `task.` but is not a single reference, or is beyond the limits of an expression. The
    /// vocabulary is then as it was.
    pub fn compile(text: &str, vocabulary: &mut Vocabulary) -> Result<Self, SyntaxErrors> {
        if !text.trim_start().starts_with("task.") {
            check_length(text)?;
            return Ok(Self::Literal(text.to_owned()));
        }
        let path = parse_reference(text)?;
        let Some(attribute) = path.tail() else {
            return Err(SyntaxError::new(Mistake::Mismatched, text, text.len()..text.len(), "a name").into());
        };
        Ok(Self::Attribute(vocabulary.slot(&attribute)))
    }

    /// Returns the SID or name for a task.
    pub fn value(&self, task: &Document) -> KnownWorkerValue {
        match self {
            Self::Literal(text) => KnownWorkerValue::Text(text.clone()),
            Self::Attribute(slot) => match task.value(*slot) {
                Some(Value::Null) => KnownWorkerValue::Null,
                Some(Value::Text(text)) => KnownWorkerValue::Text(text.to_string()),
                _ => KnownWorkerValue::Invalid,
            },
        }
    }
}
