//! Policies of capability tokens: which requests they allow (Twilio: Constructing JWTs).
//!
//! The most specific of the policies that match decides: the longer path, then a literal before `/*` before `/**`, then one
//! with filters; policies that contradict each other deny, and so does the lack of any. Whose they are is checked elsewhere
//! (`rights`). Start with [`allow`].

use serde_json::{Map, Value};

use super::Method;
use crate::api::form::Parameters;
use crate::notify::token::Policy;

/// Whether the policies allow the request; `url` is absolute, without a query, and begins as policies do.
pub(super) fn allow(policies: &[Policy], method: Method, url: &str, parameters: &Parameters) -> bool {
    let none = Parameters::default();
    let (query, form) = if method == Method::Post { (&none, parameters) } else { (parameters, &none) };
    let mut decision: Option<(Specificity, bool)> = None;
    for policy in policies.iter().filter(|policy| policy.method.eq_ignore_ascii_case(method.as_str())) {
        let Some(fit) = fit(&policy.url, url, method) else { continue };
        if !(holds(&policy.query_filter, query) && holds(&policy.post_filter, form)) {
            continue;
        }
        let has_filters = [&policy.query_filter, &policy.post_filter].into_iter().any(|filter| conditions(filter) > 0);
        let specificity = Specificity { fit, has_filters };
        decision = match decision {
            Some((best, allows)) if best > specificity => Some((best, allows)),
            Some((best, allows)) if best == specificity => Some((best, allows && policy.allow)),
            _ => Some((specificity, policy.allow)),
        };
    }
    decision.is_some_and(|(_, allows)| allows)
}

/// How exactly a policy means a request; the greatest one decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Specificity {
    fit: Fit,
    has_filters: bool,
}

/// How a URL matches a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    /// Segments of the pattern that are no wildcard.
    literal: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Recursive,
    Child,
    Exact,
}

/// Segments of a URL before its path: the scheme, nothing, and the host, which are never wildcards.
const BEFORE_PATH: usize = 3;

/// A pattern's segments are literal, or `*` for any one segment of a path; it may end in `/**` for one segment or more.
///
/// `/**` after the name of a collection lets the collection itself be read too: the first SDK lists reservations with no
/// other right than `…/Reservations/**`.
fn fit(pattern: &str, url: &str, method: Method) -> Option<Fit> {
    let (prefix, kind) = if let Some(prefix) = pattern.strip_suffix("/**") {
        (prefix, Kind::Recursive)
    } else if let Some(prefix) = pattern.strip_suffix("/*") {
        (prefix, Kind::Child)
    } else {
        (pattern.trim_end_matches('/'), Kind::Exact)
    };
    let mut given = url.trim_end_matches('/').split('/');
    let mut literal = 0;
    for (index, expected) in prefix.split('/').enumerate() {
        let segment = given.next()?;
        if expected == "*" && index >= BEFORE_PATH {
            if segment.is_empty() {
                return None;
            }
        } else if segment == expected {
            literal += 1;
        } else {
            return None;
        }
    }
    let below: Vec<&str> = given.collect();
    let fits = match (kind, below.as_slice()) {
        (Kind::Exact, below) => below.is_empty(),
        (Kind::Child, below) => matches!(below, [only] if !only.is_empty()),
        (Kind::Recursive, []) => method == Method::Get && !ends_in_instance(prefix),
        (Kind::Recursive, [first, ..]) => !first.is_empty(),
    };
    fits.then_some(Fit { literal, kind })
}

/// Whether a path ends in the SID of something, or in any segment, which may be one.
fn ends_in_instance(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    last == "*" || last.len() == 34 && last.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit())
}

fn conditions(filter: &Value) -> usize {
    filter.as_object().map_or(0, Map::len)
}

/// A filter names every parameter that there may be, and for each whether it must be there and which value it must have.
/// An empty one, which is what the libraries write, lets everything pass.
fn holds(filter: &Value, parameters: &Parameters) -> bool {
    let conditions = match filter {
        Value::Null => return true,
        Value::Object(conditions) => conditions,
        _ => return false,
    };
    if conditions.is_empty() {
        return true;
    }
    parameters.iter().all(|(name, _)| conditions.contains_key(name))
        && conditions.iter().all(|(name, condition)| {
            let mut given = parameters.iter().filter(|(found, _)| found == name).map(|(_, value)| value).peekable();
            let (required, value) = match condition {
                Value::String(value) => (true, Some(value.as_str())),
                Value::Object(matcher) => {
                    let value = matcher.get("value");
                    if value.is_some_and(|value| !value.is_string()) {
                        return false;
                    }
                    (matcher.get("required") == Some(&Value::Bool(true)), value.and_then(Value::as_str))
                }
                _ => return false,
            };
            let is_there = given.peek().is_some();
            (is_there || !required) && given.all(|given| value.map_or(!required || !given.is_empty(), |v| v == given))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SID: &str = "WS00000000000000000000000000000001";

    fn policy(method: &str, url: &str, allow: bool, filter: &Value) -> Policy {
        let policy = json!({ "url": url, "method": method, "allow": allow, "query_filter": {}, "post_filter": filter });
        serde_json::from_value(policy).unwrap()
    }

    #[test]
    fn wildcards_stand_for_a_segment_or_at_the_end_for_what_is_below() {
        let check = |method, pattern: &str, url: &str, expected: bool| {
            assert_eq!(fit(pattern, url, method).is_some(), expected, "{method:?} {pattern} {url}");
        };
        let instance = format!("https://t/v1/{SID}");
        for (pattern, url, expected) in [
            ("https://t/v1/a", "https://t/v1/a", true),
            ("https://t/v1/a/", "https://t/v1/a", true),
            ("https://t/v1/a", "https://t/v1/a/b", false),
            ("https://t/v1/a", "https://t/v1/ab", false),
            ("https://t/v1/*", "https://t/v1/a", true),
            ("https://t/v1/*", "https://t/v1", false),
            ("https://t/v1/*", "https://t/v1/a/b", false),
            ("https://t/v1/a*", "https://t/v1/ab", false),
            ("https://t/v1/*/b", "https://t/v1/a/b", true),
            ("https://t/v1/*/b", "https://t/v1/a/c/b", false),
            ("https://t/v1/*/b", "https://t/v1/b", false),
            ("https://t/v1/*/b", "https://t/v1//b", false),
            ("https://t/v1/*/b", "https://t/v1/a/bc", false),
            ("https://t/v1/*/b", "https://t/v1/a/b/c", false),
            ("https://t/v1/*/b/*", "https://t/v1/a/b/c", true),
            ("https://t/v1/*/b/*", "https://t/v1/a/b", false),
            ("https://t/v1/*/*/c", "https://t/v1/a/b/c", true),
            ("https://t/v1/*/b/**", "https://t/v1/a/b/c/d", true),
            ("https://t/v1/*/b/**", "https://t/v1/a/c/b/d", false),
            ("https://t/v1/a*/b", "https://t/v1/ab/b", false),
            ("https://t/v1/**/b", "https://t/v1/a/b", false),
            ("https://*/v1/a", "https://t/v1/a", false),
            ("*://t/v1/a", "https://t/v1/a", false),
            ("*", "https://t/v1/a", false),
            ("https://t/v1/a/**", "https://t/v1/a/b", true),
            ("https://t/v1/a/**", "https://t/v1/a/b/c", true),
            ("https://t/v1/a/**", "https://t/v1/ab", false),
            ("https://u/v1/**", "https://t/v1/a", false),
        ] {
            check(Method::Get, pattern, url, expected);
            check(Method::Post, pattern, url, expected);
        }
        for (method, url, expected) in [
            (Method::Get, "https://t/v1/Tasks", true),
            (Method::Post, "https://t/v1/Tasks", false),
            (Method::Delete, "https://t/v1/Tasks", false),
            (Method::Get, instance.as_str(), false),
            (Method::Delete, instance.as_str(), false),
        ] {
            check(method, &format!("{url}/**"), url, expected);
        }
    }

    #[test]
    fn the_most_specific_policy_decides() {
        let (all, child) = (policy("GET", "https://t/**", true, &json!({})), "https://t/a/*");
        let ask = |policies: &[Policy], url: &str| allow(policies, Method::Get, url, &Parameters::default());
        assert!(!ask(&[], "https://t/a"));
        assert!(!ask(std::slice::from_ref(&all), "https://u/a"));
        let denied = [all.clone(), policy("GET", child, false, &json!({}))];
        assert!(ask(&denied, "https://t/b"));
        assert!(!ask(&denied, "https://t/a/b"));
        assert!(ask(&denied, "https://t/a/b/c"));
        let except = [denied.as_slice(), &[policy("GET", "https://t/a/b", true, &json!({}))]].concat();
        assert!(ask(&except, "https://t/a/b"));
        // A name goes before a wildcard in its place.
        let of_any =
            [policy("GET", "https://t/*/b", true, &json!({})), policy("GET", "https://t/a/b", false, &json!({}))];
        assert!(ask(&of_any, "https://t/c/b"));
        assert!(!ask(&of_any, "https://t/a/b"));
        let contradictory = [all, policy("GET", "https://t/**", false, &json!({}))];
        assert!(!ask(&contradictory, "https://t/a"));
        let closed = [
            policy("POST", "https://t/w", false, &json!({ "A": "1" })),
            policy("POST", "https://t/w", true, &json!({})),
        ];
        for (form, expected) in [("A=1", false), ("A=2", true), ("", true)] {
            let form = Parameters::parse(form.as_bytes());
            assert_eq!(allow(&closed, Method::Post, "https://t/w", &form), expected, "{form:?}");
        }
    }

    #[test]
    fn a_filter_names_all_that_may_be_given() {
        let check = |filter: Value, form: &str, expected: bool| {
            let policy = policy("POST", "https://t/w", true, &filter);
            let found = allow(&[policy], Method::Post, "https://t/w", &Parameters::parse(form.as_bytes()));
            assert_eq!(found, expected, "{filter} {form}");
        };
        let activity = || json!({ "ActivitySid": { "required": true } });
        check(activity(), "ActivitySid=WA1", true);
        check(activity(), "ActivitySid=", false);
        check(activity(), "", false);
        check(activity(), "ActivitySid=WA1&Attributes={}", false);
        check(json!({ "A": { "required": false } }), "", true);
        check(json!({ "A": { "required": false } }), "A=anything", true);
        check(json!({ "A": { "required": false, "value": "b" } }), "A=b", true);
        check(json!({ "A": { "required": false, "value": "b" } }), "A=b&A=c", false);
        check(json!({ "A": { "required": false, "value": "b" } }), "", true);
        check(json!({ "A": "b" }), "A=b", true);
        check(json!({ "A": "b" }), "", false);
        check(json!({ "A": "b" }), "A=b&C=d", false);
        check(json!({ "A": { "value": 1 } }), "A=1", false);
        check(json!(["A"]), "A=1", false);
        check(Value::Null, "A=1", true);
        check(json!({}), "A=1", true);
        // A policy of a form says nothing about a query.
        let of_form = policy("GET", "https://t/w", true, &activity());
        assert!(!allow(&[of_form], Method::Get, "https://t/w", &Parameters::parse(b"ActivitySid=WA1")));
    }
}
