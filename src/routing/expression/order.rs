//! The order of candidates that a workflow target asks for (`order_by`; TaskRouter: Ordering Workers; D12).
//!
//! Gives one key per worker; ties are left to the caller, who breaks them by the time since the last reservation.

use super::error::SyntaxErrors;
use super::names::{Meaning, Operand, Place};
use super::scope::Scope;
use super::syntax::parse_order;
use super::value::{Number, View};
use super::vocabulary::Vocabulary;

/// A compiled `order_by`.
#[derive(Clone, Debug)]
pub struct OrderBy {
    text: Box<str>,
    clauses: Box<[Clause]>,
}

#[derive(Clone, Debug)]
struct Clause {
    operand: Operand,
    descending: bool,
}

/// Sort key of one worker: the smaller is offered the task first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey(Box<[Rank]>);

/// Value of one clause; the derived order puts workers that lack the attribute last, whatever the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Present(Number),
    Missing,
}

impl OrderBy {
    /// Compiles clauses such as `worker.level DESC, worker.channel.chat.assigned_tasks`; ascending unless said.
    ///
    /// # Errors
    /// The text is no such list or beyond the limits of an expression. The vocabulary is then as it was.
    pub fn compile(text: &str, vocabulary: &mut Vocabulary) -> Result<Self, SyntaxErrors> {
        let clauses = parse_order(text)?;
        let mut meaning = Meaning::default();
        let clauses = clauses
            .into_iter()
            .map(|clause| Clause {
                operand: meaning.resolve(&clause.path, Place::TaskAndWorker, vocabulary),
                descending: clause.descending,
            })
            .collect();
        Ok(Self { text: text.into(), clauses })
    }

    /// Returns the text it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the key of one worker, or none if a value is there but no integer, which voids the whole order for this
    /// match.
    pub fn key(&self, scope: &Scope<'_>) -> Option<OrderKey> {
        self.clauses.iter().map(|clause| clause.rank(scope)).collect::<Option<_>>().map(OrderKey)
    }
}

impl Clause {
    fn rank(&self, scope: &Scope<'_>) -> Option<Rank> {
        match self.operand.view(scope) {
            View::Null => Some(Rank::Missing),
            // Added to or taken from zero, so that both zeros rank alike.
            View::Number(value) if value.fract() == 0.0 => {
                Some(Rank::Present(Number(if self.descending { 0.0 - value } else { 0.0 + value })))
            }
            _ => None,
        }
    }
}
