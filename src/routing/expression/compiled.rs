//! A compiled expression and its evaluation.
//!
//! Compiling resolves every name to a slot or a built-in once, so that evaluation is a walk over a small tree without
//! allocation or key comparison. Start with [`Expression`].

use super::error::SyntaxErrors;
use super::names::{Meaning, Operand, Place};
use super::scope::Scope;
use super::syntax::{Syntax, Term, parse};
use super::value::{Operator, compare, compare_stored};
use super::vocabulary::{Slot, Vocabulary};

/// A boolean expression of TaskRouter, compiled; keeps its text.
#[derive(Clone, Debug)]
pub struct Expression {
    text: Box<str>,
    root: Node,
    meaning: Box<Meaning>,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A comparison of constants, decided at compile time; `1==1` is the most frequent expression of all.
    Decided(bool),
    Comparison(Operand, Operator, Operand),
    All(Box<[Node]>),
    Any(Box<[Node]>),
}

impl Expression {
    /// Compiles `text`, adding the attribute paths it mentions to `vocabulary`.
    ///
    /// # Errors
    /// The text is no expression, is empty, or is beyond the limits (4 KiB, 64 parentheses deep, 256 operands and
    /// operators). The vocabulary is then as it was.
    pub fn compile(text: &str, place: Place, vocabulary: &mut Vocabulary) -> Result<Self, SyntaxErrors> {
        let syntax = parse(text)?;
        let mut meaning = Meaning::default();
        let root = node(syntax, place, vocabulary, &mut meaning);
        meaning.finish();
        Ok(Self { text: text.into(), root, meaning: Box::new(meaning) })
    }

    /// Returns the text it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates the expression. Never fails: values that cannot be compared give false.
    pub fn matches(&self, scope: &Scope<'_>) -> bool {
        self.root.holds(scope)
    }

    pub(super) const fn root(&self) -> &Node {
        &self.root
    }

    /// Says whether the result may depend on the worker's activity (D7).
    pub fn uses_activity(&self) -> bool {
        self.meaning.uses_activity
    }

    /// Says whether the result may depend on the figures of the worker's channels.
    pub fn uses_channels(&self) -> bool {
        self.meaning.uses_channels
    }

    /// Says whether the result may change with the minute.
    pub fn uses_time(&self) -> bool {
        self.meaning.uses_time
    }

    /// Says whether the result may be another one at the moment of `now` than at that of `before` because of the time and the
    /// calendars alone: a comparison of them with constants turned out otherwise, or one changed that is compared with
    /// something else.
    pub fn time_has_moved(&self, before: &Scope<'_>, now: &Scope<'_>) -> bool {
        self.meaning.uses_time && self.root.time_has_moved(before, now)
    }

    /// Returns the names of the calendars that it asks, each once.
    pub fn calendars(&self) -> &[Box<str>] {
        &self.meaning.calendars
    }

    /// Says whether the expression mentions anything of the worker.
    pub fn uses_worker(&self) -> bool {
        self.meaning.uses_worker
    }

    /// Returns the task attributes it reads, each once, in ascending order.
    pub fn task_slots(&self) -> &[Slot] {
        &self.meaning.task_slots
    }

    /// Returns the worker attributes it reads, each once, in ascending order.
    pub fn worker_slots(&self) -> &[Slot] {
        &self.meaning.worker_slots
    }

    /// Returns names that probably do not mean what their author thinks, one sentence each (D9).
    pub fn warnings(&self) -> &[String] {
        &self.meaning.warnings
    }
}

fn node(syntax: Syntax, place: Place, vocabulary: &mut Vocabulary, meaning: &mut Meaning) -> Node {
    match syntax {
        Syntax::Any(members) => {
            Node::Any(members.into_iter().map(|member| node(member, place, vocabulary, meaning)).collect())
        }
        Syntax::All(members) => {
            Node::All(members.into_iter().map(|member| node(member, place, vocabulary, meaning)).collect())
        }
        Syntax::Comparison { left, operator, right } => {
            let mut operand = |term| match term {
                Term::Constant(value) => Operand::Constant(value),
                Term::Reference(path) => meaning.resolve(&path, place, vocabulary),
            };
            match (operand(left), operand(right)) {
                (Operand::Constant(left), Operand::Constant(right)) => {
                    Node::Decided(compare(left.view(), operator, right.view()))
                }
                (left, right) => Node::Comparison(left, operator, right),
            }
        }
    }
}

impl Node {
    fn time_has_moved(&self, before: &Scope<'_>, now: &Scope<'_>) -> bool {
        match self {
            Self::Decided(_) => false,
            Self::Comparison(left, _, right) => {
                let is_time = |operand: &Operand| matches!(operand, Operand::TimeOfDay(_) | Operand::CalendarOpen(_));
                let is_fixed = |operand: &Operand| is_time(operand) || matches!(operand, Operand::Constant(_));
                if is_fixed(left) && is_fixed(right) {
                    return self.holds(before) != self.holds(now);
                }
                let mut times = [left, right].into_iter().filter(|operand| is_time(operand));
                times.any(|time| !compare(time.view(before), Operator::Equal, time.view(now)))
            }
            Self::All(members) | Self::Any(members) => members.iter().any(|member| member.time_has_moved(before, now)),
        }
    }

    pub(super) fn holds(&self, scope: &Scope<'_>) -> bool {
        match self {
            Self::Decided(result) => *result,
            Self::Comparison(left, operator, right) => match (left.stored(scope), right.stored(scope)) {
                (Some(left), Some(right)) => compare_stored(left, *operator, right),
                _ => compare(left.view(scope), *operator, right.view(scope)),
            },
            Self::All(members) => members.iter().all(|member| member.holds(scope)),
            Self::Any(members) => members.iter().any(|member| member.holds(scope)),
        }
    }
}
