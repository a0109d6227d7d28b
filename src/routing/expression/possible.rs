//! Whether an expression can be true at all, and whether one is true whenever another is: found in the text alone.
//!
//! Errs on one side only: what is called impossible is so for every task and worker, but not everything that is
//! impossible is found. Start with [`Expression::verdict`].

use super::compiled::Expression;
use super::explain::clause_text;
use super::syntax::{Syntax, Term};
use super::value::{Number, Operator, Value, View, compare, number_in};
use super::vocabulary::Path;

/// Ways of being true that are looked at one by one.
const WAYS_MAX: usize = 64;

/// What an expression comes to whatever the attributes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// True for everybody.
    Always,
    /// True for nobody; why.
    Never(String),
    /// It depends.
    Depends,
}

/// A comparison of the syntax.
type Comparison<'s> = (&'s Term, Operator, &'s Term);

impl Expression {
    /// Says whether the expression is always or never true.
    pub fn verdict(&self) -> Verdict {
        let syntax = self.syntax();
        if always(&syntax) {
            return Verdict::Always;
        }
        never(&syntax).map_or(Verdict::Depends, Verdict::Never)
    }

    /// Says whether the other expression is true whenever this one is; both are written in the same place.
    pub fn implies(&self, other: &Self) -> bool {
        implies(&self.syntax(), &other.syntax())
    }
}

fn always(syntax: &Syntax) -> bool {
    match syntax {
        Syntax::All(members) => members.iter().all(always),
        Syntax::Any(members) => members.iter().any(always),
        Syntax::Comparison { left: Term::Constant(left), operator, right: Term::Constant(right) } => {
            compare(left.view(), *operator, right.view())
        }
        Syntax::Comparison { .. } => false,
    }
}

fn implies(this: &Syntax, other: &Syntax) -> bool {
    if this == other || always(other) {
        return true;
    }
    match (this, other) {
        (Syntax::Any(members), _) => members.iter().all(|member| implies(member, other)),
        (_, Syntax::All(members)) => members.iter().all(|member| implies(this, member)),
        (_, Syntax::Any(members)) if members.iter().any(|member| implies(this, member)) => true,
        (Syntax::All(members), _) => members.iter().any(|member| implies(member, other)),
        _ => false,
    }
}

/// Why the expression is never true.
fn never(syntax: &Syntax) -> Option<String> {
    match syntax {
        Syntax::Comparison { left, operator, right } => clause_never(left, *operator, right),
        Syntax::Any(members) => {
            let reasons: Option<Vec<String>> = members.iter().map(never).collect();
            reasons.map(|reasons| reasons.join("; "))
        }
        Syntax::All(members) => members.iter().find_map(never).or_else(|| {
            let ways = ways(syntax)?;
            let reasons: Option<Vec<String>> = ways.iter().map(|way| contradiction(way)).collect();
            reasons.and_then(|reasons| reasons.into_iter().next())
        }),
    }
}

/// Why a single comparison is never true.
fn clause_never(left: &Term, operator: Operator, right: &Term) -> Option<String> {
    let text = || clause_text(left, operator, right);
    let (of_left, of_right) = (constant(left), constant(right));
    if let (Some(left), Some(right)) = (of_left, of_right) {
        let why = "compares two constants; names are written without quotes";
        return (!compare(left, operator, right)).then(|| format!("`{}` {why}", text()));
    }
    let is = |view: Option<View<'_>>, test: fn(View<'_>) -> bool| view.is_some_and(test);
    let list = |view: View<'_>| matches!(view, View::List(_));
    let no_list = |view: View<'_>| !matches!(view, View::List(_));
    let empty = |view: View<'_>| matches!(view, View::List([]));
    let no_text = |view: View<'_>| !matches!(view, View::Text(_));
    let unordered = |view: View<'_>| matches!(view, View::Null | View::Bool(_));
    let why = match operator {
        Operator::Has if is(of_right, list) => "HAS needs a single value behind it",
        Operator::Has if is(of_left, no_list) => "HAS needs a list before it",
        Operator::In | Operator::NotIn if is(of_right, no_list) => "IN needs a list behind it",
        Operator::In | Operator::NotIn if is(of_left, list) => "IN needs a single value before it",
        Operator::Has if is(of_left, empty) => "the list is empty",
        Operator::In if is(of_right, empty) => "the list is empty",
        Operator::Contains if is(of_left, no_text) || is(of_right, no_text) => "CONTAINS needs a text on both sides",
        Operator::Has | Operator::In | Operator::NotIn | Operator::Contains => return None,
        _ if is(of_left, list) || is(of_right, list) => "a list is never equal to anything and has no order",
        Operator::Equal | Operator::NotEqual => return None,
        _ if is(of_left, unordered) || is(of_right, unordered) => "null, true and false have no order",
        _ => return None,
    };
    Some(format!("`{}` is never true: {why}", text()))
}

fn constant(term: &Term) -> Option<View<'_>> {
    match term {
        Term::Constant(value) => Some(value.view()),
        Term::Reference(_) => None,
    }
}

/// The ways in which an expression can be true, each a list of comparisons that must all be; none when they are many.
fn ways(syntax: &Syntax) -> Option<Vec<Vec<Comparison<'_>>>> {
    match syntax {
        Syntax::Comparison { left, operator, right } => Some(vec![vec![(left, *operator, right)]]),
        Syntax::Any(members) => {
            let mut all = Vec::new();
            for member in members {
                all.append(&mut ways(member)?);
            }
            (all.len() <= WAYS_MAX).then_some(all)
        }
        Syntax::All(members) => {
            let mut all: Vec<Vec<Comparison<'_>>> = vec![Vec::new()];
            for member in members {
                let further = ways(member)?;
                if all.len() * further.len() > WAYS_MAX {
                    return None;
                }
                all = all
                    .iter()
                    .flat_map(|way| further.iter().map(move |more| way.iter().chain(more).copied().collect()))
                    .collect();
            }
            Some(all)
        }
    }
}

/// What a way demands of one name.
#[derive(Default)]
struct Demands<'s> {
    /// Comparisons with a constant, with the name brought to the left.
    clauses: Vec<(Operator, &'s Value)>,
    texts: Vec<String>,
    list: bool,
    single: bool,
}

/// Why these comparisons cannot all be true.
fn contradiction(way: &[Comparison<'_>]) -> Option<String> {
    let mut names: Vec<&Path> = Vec::new();
    for (left, _, right) in way {
        for term in [left, right] {
            if let Term::Reference(path) = term
                && !names.contains(&path)
            {
                names.push(path);
            }
        }
    }
    names.into_iter().find_map(|name| demands(way, name).contradiction(name))
}

fn demands<'s>(way: &[Comparison<'s>], name: &Path) -> Demands<'s> {
    let mut demands = Demands::default();
    for (left, operator, right) in way {
        let is_name = |term: &Term| matches!(term, Term::Reference(path) if path == name);
        let (on_left, on_right) = (is_name(left), is_name(right));
        if !on_left && !on_right {
            continue;
        }
        demands.texts.push(clause_text(left, *operator, right));
        demands.list |= match operator {
            Operator::Has => on_left,
            Operator::In | Operator::NotIn => on_right,
            _ => false,
        };
        demands.single |= match operator {
            Operator::Has => on_right,
            Operator::In | Operator::NotIn => on_left,
            _ => true,
        };
        let flipped = match operator {
            Operator::Equal => Some(Operator::Equal),
            Operator::NotEqual => Some(Operator::NotEqual),
            Operator::Greater => Some(Operator::Less),
            Operator::AtLeast => Some(Operator::AtMost),
            Operator::Less => Some(Operator::Greater),
            Operator::AtMost => Some(Operator::AtLeast),
            Operator::Has => Some(Operator::In),
            Operator::In | Operator::NotIn | Operator::Contains => None,
        };
        match (left, right, flipped) {
            (_, Term::Constant(value), _) if on_left && *operator != Operator::Has => {
                demands.clauses.push((*operator, value));
            }
            (Term::Constant(value), _, Some(flipped)) if on_right => demands.clauses.push((flipped, value)),
            _ => {}
        }
    }
    demands
}

impl Demands<'_> {
    fn contradiction(&self, name: &Path) -> Option<String> {
        let together = || self.texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(" and ");
        if self.list && self.single {
            return Some(format!("{} want `{name}` to be a list and a single value", together()));
        }
        let excluded = match self.finite() {
            Some(values) => !values.iter().any(|value| {
                self.clauses.iter().all(|(operator, constant)| compare(value.view(), *operator, constant.view()))
            }),
            None => self.bounds_cross(),
        };
        excluded.then(|| format!("no value of `{name}` satisfies {}", together()))
    }

    /// All values that an equality or a list leaves, if there is one; a number goes for its text and the reverse.
    fn finite(&self) -> Option<Vec<Value>> {
        // A number can be written as a text in many ways, which these could tell apart.
        let of_texts = self.clauses.iter().any(|(operator, constant)| {
            !matches!(operator, Operator::Equal | Operator::In)
                && match constant {
                    Value::List(elements) => elements.iter().any(|element| matches!(element, Value::Text(_))),
                    value => matches!(value, Value::Text(_)),
                }
        });
        let mut values: Vec<Value> =
            self.clauses.iter().find_map(|(operator, constant)| match (operator, constant) {
                (Operator::Equal, value) => Some(vec![(*value).clone()]),
                (Operator::In, Value::List(elements)) => Some(elements.to_vec()),
                _ => None,
            })?;
        let constants = self.clauses.iter().flat_map(|(_, constant)| match constant {
            Value::List(elements) => elements.to_vec(),
            value => vec![(*value).clone()],
        });
        let written: Vec<Value> = constants.filter(|value| matches!(value, Value::Text(_))).collect();
        for value in values.clone() {
            match value {
                Value::Number(_) if of_texts => return None,
                Value::Number(Number(number)) => {
                    let texts = written.iter().filter(|text| {
                        matches!(text, Value::Text(text) if number_in(text).is_some_and(|value| value.total_cmp(&number).is_eq()))
                    });
                    values.extend(texts.cloned());
                }
                Value::Text(text) => values.extend(number_in(&text).map(|number| Value::Number(Number(number)))),
                _ => {}
            }
        }
        Some(values)
    }

    /// Whether a lower bound lies above an upper one.
    fn bounds_cross(&self) -> bool {
        let bounds = |wanted: [Operator; 2]| {
            self.clauses.iter().filter_map(move |(operator, constant)| match constant {
                Value::Number(number) if wanted.contains(operator) => Some((number.0, *operator == wanted[0])),
                _ => None,
            })
        };
        bounds([Operator::Greater, Operator::AtLeast]).any(|(lower, above)| {
            bounds([Operator::Less, Operator::AtMost])
                .any(|(upper, below)| lower > upper || (lower >= upper && (above || below)))
        })
    }
}
