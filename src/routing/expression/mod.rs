//! The expression language of TaskRouter: which worker suits, which task a filter takes, whether a target is skipped.
//!
//! Text is cut into tokens, read into a tree, given its meaning by the [`Place`] it is written in, and compiled against
//! a [`Vocabulary`] of attribute paths; attributes are laid out once per change as a [`Document`]. Evaluation looks up
//! nothing by name, allocates nothing and never fails; only compiling can fail, when the text is saved. Nothing here
//! knows queues, workflows or workspaces. Start with [`Expression`]; the decisions D1 to D14 of the routing
//! specification each have one function in `value`, `names`, `syntax` or `order`.
//!
//! ```
//! use switchhook::routing::expression::{Document, Expression, Place, Scope, Vocabulary};
//!
//! let mut vocabulary = Vocabulary::default();
//! let expression = Expression::compile("skills HAS 'support' AND level >= 3", Place::Worker, &mut vocabulary)?;
//! let worker = Document::read(&vocabulary, &serde_json::json!({"skills": ["support"], "level": 4}));
//! assert!(expression.matches(&Scope { worker: Some(&worker), ..Scope::default() }));
//! # Ok::<(), switchhook::routing::expression::SyntaxErrors>(())
//! ```

mod compiled;
mod document;
mod error;
mod explain;
mod known_worker;
mod lexer;
mod names;
mod order;
mod possible;
mod reader;
mod scope;
mod syntax;
mod time_of_day;
mod value;
mod vocabulary;

#[cfg(test)]
mod explain_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod time_tests;

pub use compiled::Expression;
pub use document::{Document, Projection};
pub use error::{SyntaxError, SyntaxErrors};
pub use explain::{Clause, ClauseSurvey, Explanation, Owner, Side, SideSurvey, Survey, Syntaxes};
pub use known_worker::{KnownWorker, KnownWorkerValue};
pub use names::Place;
pub use order::{OrderBy, OrderKey};
pub use possible::Verdict;
pub use reader::AttributeReader;
pub use scope::{ChannelFigures, ChannelValues, Openings, Scope, WorkerCounts, WorkerNames};
pub use vocabulary::{Slot, Vocabulary};
