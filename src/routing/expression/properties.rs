//! Properties of the expression language on generated trees, texts and attributes.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::syntax::{Syntax, Term, is_keyword, parse};
use super::value::{Number, Operator, Value, compare, compare_stored};
use super::vocabulary::{Path, Segment};
use super::{Document, Explanation, Expression, KnownWorker, OrderBy, Place, Scope, Verdict, Vocabulary};

/// Writes a tree as text in one of many equal ways; `noise` picks them.
fn print(syntax: &Syntax, noise: &mut impl FnMut(usize) -> usize) -> String {
    match syntax {
        Syntax::Any(members) => join(members, &["OR", "or", "Or"], noise, |member| matches!(member, Syntax::Any(_))),
        Syntax::All(members) => {
            join(members, &["AND", "and", "aND"], noise, |member| !matches!(member, Syntax::Comparison { .. }))
        }
        Syntax::Comparison { left, operator, right } => {
            let spellings: &[&str] = match operator {
                Operator::Equal => &["==", "=", " == "],
                Operator::NotEqual => &["!=", " !="],
                Operator::Greater => &["> ", " > "],
                Operator::AtLeast => &[">=", " >= "],
                Operator::Less => &["< ", " < "],
                Operator::AtMost => &["<=", " <="],
                Operator::Has => &[" HAS ", " has ", " >- "],
                Operator::In => &[" IN ", " in ", "<-"],
                Operator::NotIn => &[" NOT IN ", " not\tin ", " Not \n In "],
                Operator::Contains => &[" CONTAINS ", " contains "],
            };
            let operator = spellings[noise(spellings.len())];
            format!("{}{operator}{}", print_term(left, noise), print_term(right, noise))
        }
    }
}

fn join(
    members: &[Syntax],
    words: &[&str],
    noise: &mut impl FnMut(usize) -> usize,
    must_wrap: impl Fn(&Syntax) -> bool,
) -> String {
    let mut text = String::new();
    for (at, member) in members.iter().enumerate() {
        if at > 0 {
            text += &format!(" {} ", words[noise(words.len())]);
        }
        let inner = print(member, noise);
        text += &if must_wrap(member) || noise(4) == 0 { format!("({inner})") } else { inner };
    }
    text
}

fn print_term(term: &Term, noise: &mut impl FnMut(usize) -> usize) -> String {
    match term {
        Term::Constant(Value::List(elements)) => {
            let elements: Vec<_> = elements.iter().map(|element| print_literal(element, noise)).collect();
            format!("[{}]", elements.join([",", ", "][noise(2)]))
        }
        Term::Constant(value) => print_literal(value, noise),
        Term::Reference(path) => path.to_string(),
    }
}

fn print_literal(value: &Value, noise: &mut impl FnMut(usize) -> usize) -> String {
    match value {
        Value::Null => ["null", "NULL"][noise(2)].to_owned(),
        Value::Bool(true) => ["true", "True"][noise(2)].to_owned(),
        Value::Bool(false) => ["false", "FALSE"][noise(2)].to_owned(),
        Value::Number(Number(number)) => number.to_string(),
        Value::Text(text) => {
            let quote = ['\'', '"'][noise(2)];
            let escaped = text.replace('\\', "\\\\").replace(quote, &format!("\\{quote}"));
            format!("{quote}{escaped}{quote}")
        }
        Value::List(_) | Value::Object => unreachable!("a literal is a scalar"),
    }
}

fn literals() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-1.0e12..1.0e12).prop_map(|number: f64| Value::Number(Number(number))),
        any::<i32>().prop_map(|number| Value::Number(Number(number.into()))),
        ".{0,6}".prop_map(|text| Value::Text(text.into())),
        "[-0-9.'\"\\\\]{0,4}".prop_map(|text| Value::Text(text.into())),
    ]
}

/// Values as they lie in documents, with many equal pairs.
fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        literals(),
        (-2..3_i32).prop_map(|number| Value::Number(Number(number.into()))),
        "-?[0-2](\\.0)?|[ab]?".prop_map(|text| Value::Text(text.into())),
        Just(Value::Object),
    ];
    prop_oneof![scalar.clone(), prop::collection::vec(scalar, 0..4).prop_map(|elements| Value::List(elements.into())),]
}

fn operators() -> impl Strategy<Value = Operator> {
    prop::sample::select(vec![
        Operator::Equal,
        Operator::NotEqual,
        Operator::Greater,
        Operator::AtLeast,
        Operator::Less,
        Operator::AtMost,
        Operator::Has,
        Operator::In,
        Operator::NotIn,
        Operator::Contains,
    ])
}

fn paths() -> impl Strategy<Value = Path> {
    let head = "[a-c_$][a-c0-9_$]{0,2}".prop_filter("a keyword begins no reference", |name| !is_keyword(name));
    let segment = prop_oneof![
        "[a-c_$][a-c0-9_$]{0,2}|in|NOT|true".prop_map(|name| Segment::Key(name.into())),
        (0..4_u32).prop_map(Segment::Index),
    ];
    (head, prop::collection::vec(segment, 0..3))
        .prop_map(|(head, rest)| Path::new(std::iter::once(Segment::Key(head.into())).chain(rest).collect()))
}

fn trees() -> impl Strategy<Value = Syntax> {
    let term = prop_oneof![
        literals().prop_map(Term::Constant),
        prop::collection::vec(literals(), 0..4).prop_map(|elements| Term::Constant(Value::List(elements.into()))),
        paths().prop_map(Term::Reference),
    ];
    let comparison = (term.clone(), operators(), term).prop_map(|(left, operator, right)| Syntax::Comparison {
        left,
        operator,
        right,
    });
    comparison.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Syntax::Any),
            prop::collection::vec(inner, 2..4).prop_map(Syntax::All),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-3..3_i32).prop_map(Json::from),
        "[a-c0-9.-]{0,3}".prop_map(Json::from),
    ];
    let value = scalar.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-c_$][a-c]?", inner, 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-c_$][a-c]?", value, 0..6)
        .prop_map(|members| Json::Object(members.into_iter().collect()))
}

/// Whether every group follows from its parts.
fn parts_agree(explanation: &Explanation) -> bool {
    match explanation {
        Explanation::Clause(_) => true,
        Explanation::All { holds, members } => {
            *holds == members.iter().all(Explanation::holds) && members.iter().all(parts_agree)
        }
        Explanation::Any { holds, members } => {
            *holds == members.iter().any(Explanation::holds) && members.iter().all(parts_agree)
        }
    }
}

/// A value that can be written as a constant.
fn without_objects(value: Value) -> Value {
    match value {
        Value::List(elements) => {
            Value::List(elements.iter().filter(|element| **element != Value::Object).cloned().collect())
        }
        value => value,
    }
}

fn as_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => number.0.into(),
        Value::Text(text) => (&**text).into(),
        Value::List(elements) => elements.iter().map(as_json).collect(),
        Value::Object => serde_json::json!({}),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_expression_reads_back_as_the_same(tree in trees(), seed in any::<u64>()) {
        let mut state = seed;
        let text = print(&tree, &mut |choices| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % choices
        });
        prop_assert_eq!(parse(&text), Ok(tree), "{}", text);
    }

    #[test]
    fn evaluation_agrees_with_the_rules_and_with_its_projection(tree in trees(), one in attributes(), two in attributes()) {
        let text = print(&tree, &mut |_| 0);
        let mut vocabulary = Vocabulary::default();
        let expression = Expression::compile(&text, Place::Task, &mut vocabulary).unwrap();
        let [one, two] = [one, two].map(|attributes| Document::read(&vocabulary, &attributes));
        let result = |task| expression.matches(&Scope { task: Some(task), ..Scope::default() });
        if one.project(expression.task_slots()) == two.project(expression.task_slots()) {
            prop_assert_eq!(result(&one), result(&two));
        }
        // Both ways of writing "none of them" agree with "one of them" wherever either may be true.
        if let Syntax::Comparison { left, operator: Operator::In, right } = tree {
            let negated = print(&Syntax::Comparison { left, operator: Operator::NotIn, right }, &mut |_| 0);
            let negated = Expression::compile(&negated, Place::Task, &mut vocabulary).unwrap();
            let negated = negated.matches(&Scope { task: Some(&one), ..Scope::default() });
            prop_assert!(!(negated && result(&one)));
        }
    }

    #[test]
    fn an_explanation_ends_in_the_verdict_of_evaluation(tree in trees(), task in attributes(), worker in attributes()) {
        let text = print(&tree, &mut |_| 0);
        for place in [Place::Task, Place::Worker, Place::TaskAndWorker, Place::Counts] {
            let mut vocabulary = Vocabulary::default();
            let expression = Expression::compile(&text, place, &mut vocabulary).unwrap();
            let [task, worker] = [&task, &worker].map(|attributes| Document::read(&vocabulary, attributes));
            let scope = Scope { task: Some(&task), worker: Some(&worker), ..Scope::default() };
            let explanation = expression.explain(&scope);
            prop_assert_eq!(explanation.holds(), expression.matches(&scope), "{}", text);
            prop_assert_eq!(explanation.failing().is_empty(), explanation.holds(), "{}", text);
            prop_assert!(parts_agree(&explanation), "{} {:?}", text, explanation);
            let mut survey = expression.survey();
            survey.look(&scope);
            for clause in survey.clauses() {
                prop_assert!(clause.sides.iter().all(|side| side.present <= 1) && clause.mismatched <= 1);
            }
        }
    }

    #[test]
    fn what_is_called_impossible_is_never_true(tree in trees(), attributes in attributes()) {
        let text = print(&tree, &mut |_| 0);
        let mut vocabulary = Vocabulary::default();
        let expression = Expression::compile(&text, Place::Task, &mut vocabulary).unwrap();
        let document = Document::read(&vocabulary, &attributes);
        let holds = expression.matches(&Scope { task: Some(&document), ..Scope::default() });
        match expression.verdict() {
            Verdict::Always => prop_assert!(holds, "{}", text),
            Verdict::Never(why) => prop_assert!(!holds, "{}: {}", text, why),
            Verdict::Depends => {}
        }
    }

    #[test]
    fn contradictions_are_found_among_few_values_without_error(
        clauses in prop::collection::vec((prop::sample::select(vec!["a", "b"]), operators(), values()), 1..5),
        one in values(), two in values(),
    ) {
        let members = clauses.into_iter().filter(|(.., value)| *value != Value::Object).map(|(name, operator, value)| {
            Syntax::Comparison {
                left: Term::Reference(Path::new(vec![Segment::Key(name.into())])),
                operator,
                right: Term::Constant(without_objects(value)),
            }
        });
        let members: Vec<Syntax> = members.collect();
        prop_assume!(members.len() > 1);
        let text = print(&Syntax::All(members), &mut |_| 0);
        let mut vocabulary = Vocabulary::default();
        let expression = Expression::compile(&text, Place::Task, &mut vocabulary).unwrap();
        let attributes = serde_json::json!({ "a": as_json(&one), "b": as_json(&two) });
        let document = Document::read(&vocabulary, &attributes);
        let holds = expression.matches(&Scope { task: Some(&document), ..Scope::default() });
        if let Verdict::Never(why) = expression.verdict() {
            prop_assert!(!holds, "{} {}: {}", text, attributes, why);
        }
        prop_assert!(expression.implies(&expression));
    }

    #[test]
    fn what_is_implied_is_true_too(one in trees(), two in trees(), attributes in attributes()) {
        let texts = [print(&one, &mut |_| 0), format!("({}) AND ({})", print(&one, &mut |_| 0), print(&two, &mut |_| 0)),
            format!("({}) OR ({})", print(&one, &mut |_| 0), print(&two, &mut |_| 0))];
        let mut vocabulary = Vocabulary::default();
        let [one, both, either] = texts.map(|text| Expression::compile(&text, Place::Task, &mut vocabulary).unwrap());
        prop_assert!(both.implies(&one) && one.implies(&either) && both.implies(&either));
        let document = Document::read(&vocabulary, &attributes);
        let holds = |expression: &Expression| expression.matches(&Scope { task: Some(&document), ..Scope::default() });
        for (this, other) in [(&one, &both), (&either, &one), (&either, &both)] {
            prop_assert!(!this.implies(other) || !holds(this) || holds(other));
        }
    }

    #[test]
    fn the_short_way_of_comparing_gives_what_the_long_way_gives(
        left in values(), operator in operators(), right in values(),
    ) {
        let long = compare(left.view(), operator, right.view());
        prop_assert_eq!(compare_stored(&left, operator, &right), long, "{:?} {:?} {:?}", left, operator, right);
    }

    #[test]
    fn any_text_is_read_or_refused(text in prop_oneof![
        ".{0,80}",
        "[a-c(){}<>=!.,'\"\\[\\] \\\\0-9-]{0,40}",
        "((a|b|1|'x'|\\[1\\]|\\(|\\)|AND|OR|NOT|IN|HAS|==|<-|>-|>|\\.|\\[|\\]|,|-) ?){0,20}",
    ]) {
        for place in [Place::Worker, Place::Task, Place::TaskAndWorker, Place::Counts] {
            match Expression::compile(&text, place, &mut Vocabulary::default()) {
                Ok(expression) => { expression.matches(&Scope::default()); }
                Err(errors) => {
                    prop_assert!(!errors.as_slice().is_empty());
                    prop_assert!(errors.as_slice().iter().all(|error| text.get(error.span()).is_some()));
                    prop_assert!(!errors.to_string().is_empty());
                }
            }
        }
        let _ = OrderBy::compile(&text, &mut Vocabulary::default());
        let _ = KnownWorker::compile(&format!("task.{text}"), &mut Vocabulary::default());
    }
}
