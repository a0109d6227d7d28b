//! Why an expression is true or false: each clause with the values it compared.
//!
//! Walks the compiled expression, so the verdict is the one of evaluation, beside its syntax, which has the names as
//! their author wrote them. For people to read; matching asks `Expression::matches`. Start with
//! [`Expression::explain`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::compiled::{Expression, Node};
use super::names::Operand;
use super::scope::Scope;
use super::syntax::{Syntax, Term, parse};
use super::value::{Operator, Value, View, compare, order};

/// Longest text value that an explanation repeats, in characters.
const LONGEST_VALUE: usize = 200;

/// Most elements of a list that an explanation repeats.
const MOST_ELEMENTS: usize = 50;

/// An expression with its result for one scope.
#[derive(Clone, Debug, PartialEq)]
pub enum Explanation {
    /// A comparison.
    Clause(Clause),
    /// Parts joined by `AND`.
    All {
        /// Whether all of them are true.
        holds: bool,
        /// The parts; at least two.
        members: Vec<Explanation>,
    },
    /// Parts joined by `OR`.
    Any {
        /// Whether one of them is true.
        holds: bool,
        /// The parts; at least two.
        members: Vec<Explanation>,
    },
}

/// A comparison with its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// In the usual spelling.
    pub text: String,
    /// `==`, `HAS`, …
    pub operator: &'static str,
    /// What stands before the operator.
    pub left: Side,
    /// What stands behind it.
    pub right: Side,
    /// The result.
    pub holds: bool,
    /// Why the types of the values do not go together, if so.
    pub mismatch: Option<&'static str>,
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// None for a constant.
    pub name: Option<String>,
    /// `null` for an object; long texts and lists are cut.
    pub value: serde_json::Value,
    /// `text`, `number`, `boolean`, `null`, `list` or `object`.
    pub kind: &'static str,
}

impl Explanation {
    /// The verdict.
    pub const fn holds(&self) -> bool {
        match self {
            Self::Clause(clause) => clause.holds,
            Self::All { holds, .. } | Self::Any { holds, .. } => *holds,
        }
    }

    /// The clauses that make it false; none when it is true.
    pub fn failing(&self) -> Vec<&Clause> {
        match self {
            Self::Clause(clause) if clause.holds => Vec::new(),
            Self::Clause(clause) => vec![clause],
            Self::Any { holds: true, .. } => Vec::new(),
            Self::All { members, .. } | Self::Any { members, .. } => members.iter().flat_map(Self::failing).collect(),
        }
    }
}

/// Texts of expressions read again for one answer, each once: a question about a thousand workers asks one expression a
/// thousand times.
#[derive(Debug, Default)]
pub struct Syntaxes(RefCell<BTreeMap<String, Rc<Syntax>>>);

impl Syntaxes {
    /// As [`Expression::explain`].
    pub fn explain(&self, expression: &Expression, scope: &Scope<'_>) -> Explanation {
        let known = self.0.borrow().get(expression.text()).map(Rc::clone);
        let syntax = known.unwrap_or_else(|| {
            let syntax = Rc::new(expression.syntax());
            self.0.borrow_mut().insert(expression.text().to_owned(), Rc::clone(&syntax));
            syntax
        });
        explain(&syntax, expression.root(), scope)
    }
}

impl Expression {
    /// Evaluates the expression and tells why it is true or false.
    pub fn explain(&self, scope: &Scope<'_>) -> Explanation {
        explain(&self.syntax(), self.root(), scope)
    }

    /// The text read again; it is kept no longer than for one answer, because few expressions are ever explained.
    pub(super) fn syntax(&self) -> Syntax {
        parse(self.text()).expect("the expression was compiled from this text")
    }
}

fn explain(syntax: &Syntax, node: &Node, scope: &Scope<'_>) -> Explanation {
    let members = |syntaxes: &[Syntax], nodes: &[Node]| -> Vec<Explanation> {
        syntaxes.iter().zip(nodes).map(|(syntax, node)| explain(syntax, node, scope)).collect()
    };
    match (syntax, node) {
        (Syntax::All(syntaxes), Node::All(nodes)) => {
            let members = members(syntaxes, nodes);
            Explanation::All { holds: members.iter().all(Explanation::holds), members }
        }
        (Syntax::Any(syntaxes), Node::Any(nodes)) => {
            let members = members(syntaxes, nodes);
            Explanation::Any { holds: members.iter().any(Explanation::holds), members }
        }
        (Syntax::Comparison { left, operator, right }, Node::Comparison(of_left, _, of_right)) => {
            let (of_left, of_right) = (of_left.view(scope), of_right.view(scope));
            Explanation::Clause(clause(left, of_left, *operator, right, of_right, node.holds(scope)))
        }
        (Syntax::Comparison { left, operator, right }, _) => {
            // Decided when it was compiled: constants, and names that mean nothing here.
            let (of_left, of_right) = (constant(left), constant(right));
            Explanation::Clause(clause(left, of_left, *operator, right, of_right, node.holds(scope)))
        }
        _ => unreachable!("a node has the form of its syntax"),
    }
}

fn constant(term: &Term) -> View<'_> {
    match term {
        Term::Constant(value) => value.view(),
        Term::Reference(_) => View::Null,
    }
}

fn clause(left: &Term, of_left: View<'_>, operator: Operator, right: &Term, of_right: View<'_>, holds: bool) -> Clause {
    Clause {
        text: clause_text(left, operator, right),
        operator: operator.symbol(),
        left: side(left, of_left),
        right: side(right, of_right),
        holds,
        mismatch: mismatch(of_left, operator, of_right),
    }
}

fn side(term: &Term, view: View<'_>) -> Side {
    let name = match term {
        Term::Constant(_) => None,
        Term::Reference(path) => Some(path.to_string()),
    };
    Side { name, value: json(view), kind: kind(view) }
}

/// A comparison as it is usually written.
pub(super) fn clause_text(left: &Term, operator: Operator, right: &Term) -> String {
    format!("{} {} {}", term_text(left), operator.symbol(), term_text(right))
}

fn term_text(term: &Term) -> String {
    match term {
        Term::Reference(path) => path.to_string(),
        Term::Constant(Value::List(elements)) => {
            let elements: Vec<String> = elements.iter().map(|element| json(element.view()).to_string()).collect();
            format!("[{}]", elements.join(", ").replace('"', "'"))
        }
        Term::Constant(Value::Text(text)) => {
            format!("'{}'", cut(text).replace('\\', "\\\\").replace('\'', "\\'"))
        }
        Term::Constant(value) => json(value.view()).to_string(),
    }
}

fn kind(view: View<'_>) -> &'static str {
    match view {
        View::Null => "null",
        View::Bool(_) => "boolean",
        View::Number(_) => "number",
        View::Text(_) => "text",
        View::List(_) => "list",
        View::Object => "object",
    }
}

fn json(view: View<'_>) -> serde_json::Value {
    match view {
        View::Null | View::Object => serde_json::Value::Null,
        View::Bool(value) => value.into(),
        View::Number(value) => number(value),
        View::Text(text) => cut(text).into(),
        View::List(elements) => elements.iter().take(MOST_ELEMENTS).map(|element| json(element.view())).collect(),
    }
}

/// Whole numbers are shown without a fraction.
fn number(value: f64) -> serde_json::Value {
    if value.fract() == 0.0 && value.abs() < 9.0e15 {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
        return (value as i64).into();
    }
    value.into()
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST_VALUE {
        return text.to_owned();
    }
    let begin: String = text.chars().take(LONGEST_VALUE).collect();
    format!("{begin}…")
}

/// Why values of these types give a constant result with the operator; what has no value goes with everything.
pub(super) fn mismatch(left: View<'_>, operator: Operator, right: View<'_>) -> Option<&'static str> {
    let is_null = |view| matches!(view, View::Null);
    let is_list = |view| matches!(view, View::List(_));
    let is_single = |view| !matches!(view, View::List(_) | View::Object);
    let is_text = |view| matches!(view, View::Text(_) | View::Null);
    let reason = match operator {
        Operator::Has if !is_list(left) && !is_null(left) => "HAS needs a list before it",
        Operator::Has if !is_single(right) => "HAS needs a single value behind it",
        Operator::In | Operator::NotIn if !is_list(right) && !is_null(right) => "IN needs a list behind it",
        Operator::In | Operator::NotIn if !is_single(left) => "IN needs a single value before it",
        Operator::Contains if !is_text(left) || !is_text(right) => "CONTAINS needs a text on both sides",
        Operator::Has | Operator::In | Operator::NotIn | Operator::Contains => return None,
        _ if !is_single(left) || !is_single(right) => "a list or an object is never equal to anything and has no order",
        _ => return scalar_mismatch(left, operator, right),
    };
    Some(reason)
}

fn scalar_mismatch(left: View<'_>, operator: Operator, right: View<'_>) -> Option<&'static str> {
    let ordered = !matches!(operator, Operator::Equal | Operator::NotEqual);
    match (left, right) {
        (View::Null, View::Bool(_)) | (View::Bool(_), View::Null | View::Bool(_)) if ordered => {
            Some("true and false have no order")
        }
        (View::Null, _) | (_, View::Null) | (View::Bool(_), View::Bool(_)) => None,
        (View::Bool(_), _) | (_, View::Bool(_)) => Some("true and false go with no text and no number"),
        (View::Number(_), View::Text(_)) | (View::Text(_), View::Number(_)) if order(left, right).is_none() => {
            Some("the text is no number")
        }
        _ => None,
    }
}

/// What a clause met in several scopes.
#[derive(Clone, Debug)]
pub struct ClauseSurvey {
    /// In the usual spelling.
    pub text: String,
    /// Before and behind the operator.
    pub sides: [SideSurvey; 2],
    /// Scopes in which the types did not go together.
    pub mismatched: u32,
    /// Why, the last time.
    pub mismatch: Option<&'static str>,
}

/// One side of a clause in several scopes.
#[derive(Clone, Debug)]
pub struct SideSurvey {
    /// As written; none for a constant.
    pub name: Option<String>,
    /// Whose attribute it is; none for constants and built-in names.
    pub owner: Option<Owner>,
    /// Scopes in which the attribute was there.
    pub present: u32,
    /// Whether the clause can be true without it.
    pub dispensable: bool,
}

/// Whose attributes a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The task.
    Task,
    /// The worker.
    Worker,
}

/// Looks at the clauses of one expression in many scopes, without evaluating it.
pub struct Survey<'e> {
    clauses: Vec<ClauseSurvey>,
    operands: Vec<(&'e Operand, Operator, &'e Operand)>,
    /// Scopes looked at.
    pub seen: u32,
}

impl Expression {
    /// Begins a survey.
    pub fn survey(&self) -> Survey<'_> {
        let mut survey = Survey { clauses: Vec::new(), operands: Vec::new(), seen: 0 };
        survey.add(&self.syntax(), self.root());
        survey
    }
}

impl<'e> Survey<'e> {
    fn add(&mut self, syntax: &Syntax, node: &'e Node) {
        match (syntax, node) {
            (Syntax::All(syntaxes), Node::All(nodes)) | (Syntax::Any(syntaxes), Node::Any(nodes)) => {
                for (syntax, node) in syntaxes.iter().zip(nodes) {
                    self.add(syntax, node);
                }
            }
            (Syntax::Comparison { left, operator, right }, Node::Comparison(of_left, _, of_right)) => {
                let dispensable =
                    [compare(View::Null, *operator, constant(right)), compare(constant(left), *operator, View::Null)];
                let terms = [(left, of_left, dispensable[0]), (right, of_right, dispensable[1])];
                let sides = terms.map(|(term, operand, dispensable)| SideSurvey {
                    name: side(term, View::Null).name,
                    owner: operand.owner(),
                    present: 0,
                    dispensable,
                });
                let text = clause_text(left, *operator, right);
                self.clauses.push(ClauseSurvey { text, sides, mismatched: 0, mismatch: None });
                self.operands.push((of_left, *operator, of_right));
            }
            _ => {}
        }
    }

    /// Looks at one more scope.
    pub fn look(&mut self, scope: &Scope<'_>) {
        self.seen += 1;
        for (clause, (left, operator, right)) in self.clauses.iter_mut().zip(&self.operands) {
            clause.sides[0].present += u32::from(left.is_present(scope));
            clause.sides[1].present += u32::from(right.is_present(scope));
            if let Some(reason) = mismatch(left.view(scope), *operator, right.view(scope)) {
                clause.mismatched += 1;
                clause.mismatch = Some(reason);
            }
        }
    }

    /// What was found; clauses of constants alone are left out.
    pub fn clauses(&self) -> &[ClauseSurvey] {
        &self.clauses
    }
}
