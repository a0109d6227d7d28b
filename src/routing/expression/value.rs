//! Values that expressions compare, and how two of them compare (routing.md 2.3, 2.4, D2 to D4, D13).
//!
//! Owned [`Value`]s lie in documents and compiled expressions; a [`View`] is what one side of a comparison has become.
//! No comparison fails: values that do not go together give false. Start with [`compare`].

use std::cmp::Ordering;

/// A value as an expression sees it; ordered in any total way, for use in keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
    /// An array; arrays and objects in it are [`Value::Object`].
    List(Box<[Value]>),
    /// An object, or an array inside an array: equal to nothing.
    Object,
}

impl Value {
    /// Reads a JSON value; `nested` says that it is an element of an array.
    pub(super) fn read(json: &serde_json::Value, nested: bool) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => {
                number.as_f64().map_or(Self::Null, |value| Self::Number(Number(value)))
            }
            serde_json::Value::String(text) => Self::Text(text.as_str().into()),
            serde_json::Value::Array(elements) if !nested => {
                Self::List(elements.iter().map(|element| Self::read(element, true)).collect())
            }
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => Self::Object,
        }
    }

    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        match self {
            Self::Null => View::Null,
            Self::Bool(value) => View::Bool(*value),
            Self::Number(number) => View::Number(number.0),
            Self::Text(text) => View::Text(text),
            Self::List(elements) => View::List(elements),
            Self::Object => View::Object,
        }
    }
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Greater,
    AtLeast,
    Less,
    AtMost,
    Has,
    In,
    NotIn,
    Contains,
}

impl Operator {
    /// The usual spelling.
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Has => "HAS",
            Self::In => "IN",
            Self::NotIn => "NOT IN",
            Self::Contains => "CONTAINS",
        }
    }
}

/// A number, ordered and compared by its bits as [`f64::total_cmp`] does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// A borrowed value: one side of a comparison at evaluation.
#[derive(Clone, Copy, Debug)]
pub(super) enum View<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    List(&'a [Value]),
    Object,
}

/// Evaluates a comparison of two values that lie somewhere. The pairs that nearly all expressions consist of are told
/// apart first; [`compare`] alone would give the same results.
#[inline]
pub(super) fn compare_stored(left: &Value, operator: Operator, right: &Value) -> bool {
    if let Value::Text(left) = left {
        if operator == Operator::In
            && let Value::List(elements) = right
        {
            return includes_text(elements, left);
        }
        if operator == Operator::Equal
            && let Value::Text(right) = right
        {
            return texts_equal(left, right);
        }
    } else if let Value::List(elements) = left {
        if operator == Operator::Has
            && let Value::Text(right) = right
        {
            return includes_text(elements, right);
        }
    } else if let (Value::Number(left), Value::Number(right)) = (left, right) {
        return compare_numbers(left.0, operator, right.0);
    }
    compare(left.view(), operator, right.view())
}

/// Evaluates one comparison.
#[inline]
pub(super) fn compare(left: View<'_>, operator: Operator, right: View<'_>) -> bool {
    match operator {
        Operator::Equal => equal(left, right),
        Operator::NotEqual => left.is_scalar() && right.is_scalar() && !equal(left, right),
        Operator::Greater => order(left, right).is_some_and(Ordering::is_gt),
        Operator::AtLeast => order(left, right).is_some_and(Ordering::is_ge),
        Operator::Less => order(left, right).is_some_and(Ordering::is_lt),
        Operator::AtMost => order(left, right).is_some_and(Ordering::is_le),
        Operator::Has => matches!(left, View::List(elements) if includes(elements, right)),
        Operator::In => matches!(right, View::List(elements) if includes(elements, left)),
        Operator::NotIn => matches!(right, View::List(elements) if left.is_scalar() && !includes(elements, left)),
        Operator::Contains => contains(left, right),
    }
}

impl View<'_> {
    fn is_scalar(self) -> bool {
        !matches!(self, View::List(_) | View::Object)
    }
}

/// Equality of scalars; anything else is equal to nothing. Two-valued: NULL equals only NULL (D4).
#[inline]
fn equal(left: View<'_>, right: View<'_>) -> bool {
    match (left, right) {
        (View::Text(left), View::Text(right)) => texts_equal(left, right),
        // Numbers come from JSON and literals; neither can be off by a rounding of ours.
        #[expect(clippy::float_cmp, reason = "the language compares numbers exactly")]
        (View::Number(left), View::Number(right)) => left == right,
        (View::Bool(left), View::Bool(right)) => left == right,
        (View::Null, View::Null) => true,
        (View::Number(_), View::Text(_)) | (View::Text(_), View::Number(_)) => {
            order(left, right).is_some_and(Ordering::is_eq)
        }
        _ => false,
    }
}

/// Order of two scalars; none for NULL, booleans and values that do not go together (D4).
pub(super) fn order(left: View<'_>, right: View<'_>) -> Option<Ordering> {
    match (left, right) {
        (View::Number(left), View::Number(right)) => left.partial_cmp(&right),
        (View::Text(left), View::Text(right)) => Some(left.cmp(right)),
        (View::Number(left), View::Text(right)) => left.partial_cmp(&number_in(right)?),
        (View::Text(left), View::Number(right)) => number_in(left)?.partial_cmp(&right),
        _ => None,
    }
}

/// Strings compare byte by byte: case matters (D2).
#[inline]
fn texts_equal(left: &str, right: &str) -> bool {
    // Most strings that differ do so in length or first byte, which is cheaper to see than to call for.
    left.len() == right.len() && left.as_bytes().first() == right.as_bytes().first() && left == right
}

/// Substring test of `CONTAINS`: case matters (D2), both sides must be strings.
fn contains(left: View<'_>, right: View<'_>) -> bool {
    matches!((left, right), (View::Text(left), View::Text(right)) if left.contains(right))
}

fn includes(elements: &[Value], scalar: View<'_>) -> bool {
    match scalar {
        View::Text(text) => includes_text(elements, text),
        _ => elements.iter().any(|element| equal(element.view(), scalar)),
    }
}

fn includes_text(elements: &[Value], text: &str) -> bool {
    elements.iter().any(|element| match element {
        Value::Text(element) => texts_equal(element, text),
        Value::Number(number) => number_in(text) == Some(number.0),
        _ => false,
    })
}

#[inline]
#[expect(clippy::float_cmp, reason = "the language compares numbers exactly; they come from JSON and literals")]
fn compare_numbers(left: f64, operator: Operator, right: f64) -> bool {
    match operator {
        Operator::Equal => left == right,
        Operator::NotEqual => left != right,
        Operator::Greater => left > right,
        Operator::AtLeast => left >= right,
        Operator::Less => left < right,
        Operator::AtMost => left <= right,
        Operator::Has | Operator::In | Operator::NotIn | Operator::Contains => false,
    }
}

/// The number a string stands for beside a number: a plain decimal as the language writes it (D3).
pub(super) fn number_in(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if digits(whole) && digits(fraction) { text.parse().ok() } else { None }
}
