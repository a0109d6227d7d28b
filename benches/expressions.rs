//! Cost of an expression of three clauses on a worker of ten attributes, beside three other evaluators.
//!
//! Every peer gets the same document, its expression compiled and its context prepared outside the measured loop.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use evalexpr::ContextWithMutableVariables as _;
use serde_json::json;
use switchhook::routing::expression::{Document, Expression, Place, Scope, Vocabulary};

const OURS: &str = r#"skills HAS "x" AND language IN ["en","de"] AND level >= 3"#;
const CEL: &str = r#""x" in skills && language in ["en","de"] && level >= 3"#;
const EVALEXPR: &str = r#"contains(skills, "x") && contains(("en","de"), language) && level >= 3"#;
const JMESPATH: &str = r#"contains(skills, 'x') && contains(`["en","de"]`, language) && level >= `3`"#;

fn worker() -> serde_json::Value {
    json!({
        "skills": ["support", "sales", "x"],
        "language": "de",
        "level": 4,
        "name": "Alice Example",
        "contact_uri": "client:alice",
        "site": "berlin",
        "team": "blue",
        "shift": 2,
        "trainee": false,
        "cost": 12.5,
    })
}

fn evaluate(c: &mut Criterion) {
    let attributes = worker();
    let mut group = c.benchmark_group("evaluate");

    let mut vocabulary = Vocabulary::default();
    let expression = Expression::compile(OURS, Place::Worker, &mut vocabulary).expect("the expression is correct");
    let document = Document::read(&vocabulary, &attributes);
    let scope = Scope { worker: Some(&document), ..Scope::default() };
    assert!(expression.matches(&scope));
    group.bench_function("switchhook", |b| b.iter(|| black_box(&expression).matches(black_box(&scope))));

    let program = cel_interpreter::Program::compile(CEL).expect("the expression is correct");
    let mut context = cel_interpreter::Context::default();
    for (name, value) in attributes.as_object().expect("attributes are an object") {
        context.add_variable(name.as_str(), value).expect("every attribute has a value in CEL");
    }
    assert_eq!(program.execute(&context), Ok(true.into()));
    group.bench_function("cel-interpreter", |b| b.iter(|| black_box(&program).execute(black_box(&context))));

    let tree = evalexpr::build_operator_tree(EVALEXPR).expect("the expression is correct");
    let context = evalexpr_context(&attributes);
    assert_eq!(tree.eval_boolean_with_context(&context), Ok(true));
    group.bench_function("evalexpr", |b| b.iter(|| black_box(&tree).eval_boolean_with_context(black_box(&context))));

    let query = jmespath::compile(JMESPATH).expect("the expression is correct");
    let variable =
        jmespath::Rcvar::new(jmespath::Variable::from_json(&attributes.to_string()).expect("the text is JSON"));
    assert_eq!(query.search(&variable).expect("the document fits").as_boolean(), Some(true));
    group.bench_function("jmespath", |b| b.iter(|| black_box(&query).search(black_box(&variable))));
    group.finish();
}

fn compile(c: &mut Criterion) {
    let attributes = worker();
    let text = attributes.to_string();
    let mut group = c.benchmark_group("compile");
    let mut vocabulary = Vocabulary::default();
    let expression = Expression::compile(OURS, Place::Worker, &mut vocabulary).expect("the expression is correct");
    group.bench_function("switchhook", |b| {
        b.iter(|| Expression::compile(black_box(OURS), Place::Worker, &mut vocabulary));
    });
    group.bench_function("cel-interpreter", |b| b.iter(|| cel_interpreter::Program::compile(black_box(CEL))));
    group.bench_function("evalexpr", |b| {
        b.iter(|| evalexpr::build_operator_tree(black_box(EVALEXPR)));
    });
    group.bench_function("jmespath", |b| b.iter(|| jmespath::compile(black_box(JMESPATH))));
    group.finish();

    let mut group = c.benchmark_group("prepare");
    group
        .bench_function("document from JSON value", |b| b.iter(|| Document::read(&vocabulary, black_box(&attributes))));
    group.bench_function("attribute text to result", |b| {
        b.iter(|| {
            let attributes = serde_json::from_str(black_box(&text)).expect("the text is JSON");
            let document = Document::read(&vocabulary, &attributes);
            expression.matches(&Scope { worker: Some(&document), ..Scope::default() })
        });
    });
    group.finish();
}

fn evalexpr_context(attributes: &serde_json::Value) -> evalexpr::HashMapContext {
    let mut context = evalexpr::HashMapContext::new();
    for (name, value) in attributes.as_object().expect("attributes are an object") {
        context.set_value(name.clone(), evalexpr_value(value)).expect("a new variable can be set");
    }
    context
}

fn evalexpr_value(value: &serde_json::Value) -> evalexpr::Value {
    match value {
        serde_json::Value::Bool(value) => evalexpr::Value::Boolean(*value),
        serde_json::Value::String(text) => evalexpr::Value::String(text.clone()),
        serde_json::Value::Array(elements) => evalexpr::Value::Tuple(elements.iter().map(evalexpr_value).collect()),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => evalexpr::Value::Int(integer),
            None => evalexpr::Value::Float(number.as_f64().expect("a JSON number is finite")),
        },
        serde_json::Value::Null | serde_json::Value::Object(_) => evalexpr::Value::Empty,
    }
}

criterion_group!(benches, evaluate, compile);
criterion_main!(benches);
