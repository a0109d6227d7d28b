//! Tests of the expression language: the vectors of the routing specification and a table per subject.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::syntax::{DEEPEST, LONGEST_TEXT, MOST_CLAUSES};
use super::*;

/// Vectors 13.1 and 13.2 of the routing specification and our own (`Z…`), one JSON object a line; lines with `fixture`
/// are documents.
const VECTORS: &str = include_str!("../../../tests/fixtures/expressions.jsonl");

pub(super) struct Channels<'a>(pub(super) &'a Json);

impl ChannelFigures for Channels<'_> {
    fn figures(&self, unique_name: &str) -> Option<ChannelValues> {
        let channel = self.0.get(unique_name)?;
        let figure = |name: &str| channel[name].as_u64().map_or(0, |value| u32::try_from(value).unwrap());
        Some(ChannelValues {
            configured_capacity: figure("configured_capacity"),
            assigned_tasks: figure("assigned_tasks"),
            available_capacity_percentage: figure("available_capacity_percentage"),
        })
    }
}

pub(super) struct Counts(pub(super) Json);

impl WorkerCounts for Counts {
    fn available(&self) -> u32 {
        self.in_activity("available")
    }
    fn unavailable(&self) -> u32 {
        self.in_activity("unavailable")
    }
    fn in_activity(&self, sid: &str) -> u32 {
        self.0[sid].as_u64().map_or(0, |count| u32::try_from(count).unwrap())
    }
}

/// Evaluates `text` for a worker or task of these attributes; `names` holds built-in names of the worker.
fn evaluate(text: &str, place: Place, task: &Json, worker: &Json, names: &Json, counts: &Json) -> Option<bool> {
    let mut vocabulary = Vocabulary::default();
    let expression = Expression::compile(text, place, &mut vocabulary).ok()?;
    assert_eq!(expression.text(), text);
    let field = |name: &str| names[name].as_str().unwrap_or_default();
    let names = WorkerNames {
        sid: field("sid"),
        friendly_name: field("friendly_name"),
        activity_sid: field("activity_sid"),
        activity_name: field("activity_name"),
        channels: &Channels(&names["channel"]),
    };
    let (task, worker) = (Document::read(&vocabulary, task), Document::read(&vocabulary, worker));
    Some(expression.matches(&Scope {
        task: Some(&task),
        worker: Some(&worker),
        names: Some(&names),
        counts: Some(&Counts(counts.clone())),
        ..Scope::default()
    }))
}

/// Evaluates bare names for a worker; for a task the result must be the same.
fn bare(text: &str, attributes: &Json) -> Option<bool> {
    let worker = evaluate(text, Place::Worker, &Json::Null, attributes, &Json::Null, &Json::Null);
    let task = evaluate(text, Place::Task, attributes, &Json::Null, &Json::Null, &Json::Null);
    assert_eq!(worker, task, "{text}");
    worker
}

#[test]
fn every_vector_of_the_specification_gives_its_result() {
    let mut documents = BTreeMap::new();
    let mut vectors = 0;
    for line in VECTORS.lines() {
        let row: Json = serde_json::from_str(line).unwrap();
        if let Some(name) = row["fixture"].as_str() {
            documents.insert(name.to_owned(), row["document"].clone());
            continue;
        }
        let (id, text) = (row["id"].as_str().unwrap(), row["expr"].as_str().unwrap());
        let document = &documents[row["doc"].as_str().unwrap()];
        let result = match row["doc"].as_str().unwrap() {
            "attrs" | "own" => bare(text, document),
            "pair" => {
                let mut attributes = document["worker"].clone();
                for name in ["sid", "friendly_name", "activity_sid", "activity_name", "channel"] {
                    attributes.as_object_mut().unwrap().remove(name);
                }
                evaluate(text, Place::TaskAndWorker, &document["task"], &attributes, &document["worker"], &Json::Null)
            }
            _ => evaluate(text, Place::Counts, &Json::Null, &Json::Null, &Json::Null, &document["workers"]),
        };
        assert_eq!(
            json!(result),
            if row["want"] == "error" { Json::Null } else { row["want"].clone() },
            "{id}: {text}"
        );
        vectors += 1;
    }
    assert_eq!(vectors, 100);
}

#[test]
fn an_error_reads_as_clients_know_it() {
    for (text, want) in [
        ("skill-level > 3", "extraneous input 'evel' expecting OPERATOR"),
        ("skill-level > 3", "token recognition error at: '-l'"),
        ("lang", "mismatched input '<EOF>' expecting OPERATOR"),
        ("", "mismatched input '<EOF>' expecting '(' or a value"),
        ("lang ==", "mismatched input '<EOF>' expecting a value"),
        ("(a == 1", "mismatched input '<EOF>' expecting ')'"),
        ("a == 1 b == 2", "mismatched input 'b' expecting AND, OR or the end"),
        ("a == 1)", "extraneous input ')' expecting AND, OR or the end"),
        ("a NOT HAS 'x'", "mismatched input 'HAS' expecting IN"),
        ("a == 'x", "token recognition error at: ''x' expecting a closing \"'\""),
        ("a IN [b]", "mismatched input 'b' expecting STRING, NUMBER, TRUE, FALSE or NULL"),
        ("a[-1] == 2", "mismatched input '-1' expecting DIGITS"),
        ("a.'b' == 2", "mismatched input ''b'' expecting a name"),
    ] {
        let errors = Expression::compile(text, Place::Worker, &mut Vocabulary::default()).unwrap_err();
        assert!(errors.to_string().contains(want), "{text}: {errors}");
        assert!(!errors.to_string().contains('\n'));
    }
}

#[test]
fn an_error_knows_its_place() {
    let errors = Expression::compile("skill-level > 3", Place::Worker, &mut Vocabulary::default()).unwrap_err();
    let places: Vec<_> =
        errors.as_slice().iter().map(|error| (error.span(), error.found(), error.expected())).collect();
    assert_eq!(places, [(5..7, "-l", "a number after '-'"), (7..11, "evel", "OPERATOR")]);
}

#[test]
fn a_text_that_is_refused_leaves_the_vocabulary_as_it_was() {
    let mut vocabulary = Vocabulary::default();
    assert!(Expression::compile("a == 1 AND b ==", Place::Worker, &mut vocabulary).is_err());
    assert!(vocabulary.is_empty());
}

#[test]
fn limits_refuse_one_more_than_they_allow() {
    let nested = |depth: usize| format!("{}1==1{}", "(".repeat(depth), ")".repeat(depth));
    let joined = |clauses: usize| vec!["a==1"; clauses].join(" AND ");
    let long = |bytes: usize| format!("a=='{}'", "x".repeat(bytes - 5));
    for (text, allowed) in [
        (nested(DEEPEST), true),
        (nested(DEEPEST + 1), false),
        (nested(LONGEST_TEXT / 4), false),
        ("(".repeat(LONGEST_TEXT), false),
        (joined(MOST_CLAUSES), true),
        (joined(MOST_CLAUSES + 1), false),
        (long(LONGEST_TEXT), true),
        (long(LONGEST_TEXT + 1), false),
        (format!("a IN [{}]", vec!["1"; 1000].join(",")), true),
    ] {
        let compiled = Expression::compile(&text, Place::Worker, &mut Vocabulary::default());
        assert_eq!(compiled.is_ok(), allowed, "{} bytes: {text:.60}", text.len());
    }
}

#[test]
fn decisions_beyond_the_vectors_hold() {
    let attributes = json!({
        "n": 5, "neg": -1, "s": "5", "half": "5.50", "odd": "5.", "plus": "+5", "exp": "5e0", "word": "five",
        "t": true, "nul": null, "list": [1, "6", null, [1], {"a": 1}], "deep": [[1, 2]], "o": {"in": 1, "AND": 2},
        "Case": "x", "big": 18_446_744_073_709_551_615_u64, "q": "it's \"so\"\n",
    });
    for (text, want) in [
        // D1
        ("n == 5 AND n == 6 OR t == true", true),
        ("t == true OR n == 5 AND n == 6", true),
        ("(t == true OR n == 5) AND n == 6", false),
        // D2, D52
        ("Case == 'X'", false),
        ("case == 'x'", false),
        ("Case Contains 'x' aNd missing == NULL", true),
        // D3
        ("s == 5 AND s >= 5 AND s <= 5.0", true),
        ("s != 5", false),
        ("half == 5.5", true),
        ("odd == 5 OR plus == 5 OR exp == 5 OR word == 5", false),
        ("odd != 5 AND word != 5", true),
        ("'10' > '9'", false),
        ("'10' > 9", true),
        ("t == 1 OR t == 'true' OR t > 0 OR t >= true", false),
        ("6 IN list", true),
        ("list HAS 6", true),
        // D4
        ("nul == missing", true),
        ("nul != missing", false),
        ("missing IN ['a', null]", true),
        ("missing NOT IN ['a', null]", false),
        ("nul <= null OR nul >= null", false),
        ("t != null", true),
        // D5
        (
            r#"q == 'it\'s "so"
'"#,
            true,
        ),
        // D8
        ("available == null AND priority == null", true),
        // D13
        ("list HAS null AND list HAS '6' AND list HAS 1", true),
        ("deep HAS list OR deep HAS o OR list HAS o OR list HAS deep", false),
        ("o IN list OR o NOT IN list OR list NOT IN deep", false),
        ("o == o OR o != o OR list == list OR list != null OR o == null", false),
        ("deep[0] HAS 2 AND deep[0][1] == 2", true),
        // 2.2
        ("n<-[5]", true),
        ("neg == -1", true),
        ("neg < -0.5", true),
        ("n not  in [4]", true),
        ("o.in == 1 AND o.AND == 2", true),
        ("list [ 0 ] = 1 and o . in = 1", true),
        ("n IN []", false),
        ("n NOT IN []", true),
        ("n CONTAINS 5 OR s CONTAINS 5 OR missing CONTAINS 'a'", false),
        ("list[99999999999999999999] == null", true),
        ("n.x == null AND n[0] == null AND o[0] == null", true),
        ("big > 18000000000000000000", true),
    ] {
        assert_eq!(bare(text, &attributes), Some(want), "{text}");
    }
}

#[test]
fn forms_outside_the_language_are_refused() {
    for text in [
        "a == +5",
        "a == 5.",
        "a == 1e3",
        "a == - 5",
        "a && b",
        "!a == 1",
        "not (a == 1)",
        "a NOT CONTAINS 'x'",
        "a == b == c",
        "f(a) == 1",
        "a == *",
        "a. == 1",
        "a[] == 1",
        "a['b'] == 1",
        "a == [1,]",
        "a == [[1]]",
        "and == 1",
        "ä == 1",
        "a == 'x\\",
        "() == 1",
        "a IS 1",
        "a == 1 AND AND b == 1",
        "[1].a == 1",
        "a == 5.0.1",
        "a =! 5",
        "a === 5",
    ] {
        assert_eq!(bare(text, &json!({})), None, "{text}");
    }
}

#[test]
fn worker_names_resolve_by_place() {
    let names = json!({
        "sid": "WK1", "friendly_name": "Alice", "activity_sid": "WAx", "activity_name": "Free",
        "channel": {"voice": {"configured_capacity": 2, "assigned_tasks": 1, "available_capacity_percentage": 50}},
    });
    let worker = json!({
        "sid": "own", "available": true, "task": {"x": 1}, "worker": {"y": 2},
        "channel": {"voice": {"assigned_tasks": 9, "mine": 1}, "mail": {"assigned_tasks": 7}},
    });
    for (place, text, want) in [
        (Place::Worker, "sid == 'own' AND friendly_name == 'Alice' AND activity_name == 'Free'", true),
        (Place::Worker, "activity_sid == 'WAx'", true),
        (Place::Worker, "worker.channel.voice.assigned_tasks == 1", true),
        (Place::Worker, "task.x == 1 AND worker.y == 2", true),
        (Place::Worker, "worker.sid == null", true),
        (Place::TaskAndWorker, "worker.sid == 'own' AND worker.friendly_name == 'Alice'", true),
        (Place::TaskAndWorker, "worker.available == true AND worker.date_status_changed == null", true),
        (Place::TaskAndWorker, "worker.channel.voice.available_capacity_percentage == 50", true),
        (Place::TaskAndWorker, "worker.channel.voice.mine == null", true),
        (Place::TaskAndWorker, "worker.channel.mail.assigned_tasks == 7", true),
        (Place::TaskAndWorker, "worker.channel.fax.assigned_tasks == null", true),
        (Place::TaskAndWorker, "worker.channel.voice == null OR worker.channel.voice != null", false),
        (Place::TaskAndWorker, "sid == null AND task == null AND Worker.available == null", true),
        (Place::TaskAndWorker, "task.kind == 'a' AND task.sid == null", true),
        (Place::Counts, "task.kind == 'a' AND workers.available == 2", true),
        (Place::Counts, "workers.WAunknown == 0", true),
        (Place::Counts, "worker.sid == null AND kind == null AND workers.other == null", true),
    ] {
        let result = evaluate(text, place, &json!({"kind": "a"}), &worker, &names, &json!({"available": 2}));
        assert_eq!(result, Some(want), "{text}");
    }
}

#[test]
fn an_expression_tells_what_it_depends_on() {
    // Activity, channels, worker, number of task slots, number of warnings.
    for (place, text, want) in [
        (Place::Worker, "1==1", (false, false, false, 0, 0)),
        (Place::Worker, "activity_name == 'x'", (true, false, true, 0, 0)),
        (Place::Worker, "sid == 'x' AND activity.sid == 1", (false, false, true, 0, 0)),
        (Place::Worker, "worker.channel.voice.assigned_tasks == 0", (false, true, true, 0, 0)),
        (Place::Worker, "worker.skill == 1 AND task.kind == 2", (false, false, true, 0, 2)),
        (Place::Task, "kind == 1 AND (kind == 2 OR area == 3)", (false, false, false, 2, 0)),
        (Place::Task, "task.kind == 1", (false, false, false, 1, 1)),
        (Place::TaskAndWorker, "task.kind IN worker.kinds AND worker.activity_sid != 'x'", (true, false, true, 1, 0)),
        (Place::TaskAndWorker, "kind == 1", (false, false, false, 0, 1)),
        (Place::Counts, "workers.available == 0", (false, false, false, 0, 0)),
        (Place::Counts, "task.vip == true OR workers == 0", (false, false, false, 1, 1)),
    ] {
        let expression = Expression::compile(text, place, &mut Vocabulary::default()).unwrap();
        let got = (
            expression.uses_activity(),
            expression.uses_channels(),
            expression.uses_worker(),
            expression.task_slots().len(),
            expression.warnings().len(),
        );
        assert_eq!(got, want, "{text}: {:?}", expression.warnings());
        assert!(expression.task_slots().is_sorted());
    }
}

#[test]
fn a_document_older_than_the_vocabulary_lacks_the_new_paths() {
    let mut vocabulary = Vocabulary::default();
    let attributes = json!({"a": 1, "b": 2});
    let first = Expression::compile("a == 1", Place::Worker, &mut vocabulary).unwrap();
    let document = Document::read(&vocabulary, &attributes);
    assert!(document.is_current(&vocabulary));
    let second = Expression::compile("b == 2 AND a == 1", Place::Worker, &mut vocabulary).unwrap();
    assert!(!document.is_current(&vocabulary));
    let scope = Scope { worker: Some(&document), ..Scope::default() };
    assert!(first.matches(&scope) && !second.matches(&scope));
    let document = Document::read(&vocabulary, &attributes);
    assert!(second.matches(&Scope { worker: Some(&document), ..Scope::default() }));
    assert_eq!(vocabulary.len(), 2);
}

#[test]
fn a_document_finds_each_of_many_slots() {
    let mut vocabulary = Vocabulary::default();
    let names: Vec<_> = (0..200).map(|n| format!("a{n}")).collect();
    let expressions: Vec<_> = (names.iter().enumerate())
        .map(|(n, name)| Expression::compile(&format!("{name} == {n}"), Place::Worker, &mut vocabulary).unwrap())
        .collect();
    let attributes: serde_json::Map<_, _> =
        names.iter().enumerate().filter(|(n, _)| n % 3 == 0).map(|(n, name)| (name.clone(), json!(n))).collect();
    let document = Document::read(&vocabulary, &Json::Object(attributes));
    for (n, expression) in expressions.iter().enumerate() {
        assert_eq!(expression.matches(&Scope { worker: Some(&document), ..Scope::default() }), n % 3 == 0, "{n}");
    }
}

#[test]
fn projections_are_equal_exactly_if_the_read_attributes_are() {
    let mut vocabulary = Vocabulary::default();
    let expression = Expression::compile("kind == 1 AND list HAS 2", Place::Task, &mut vocabulary).unwrap();
    Expression::compile("other == 1", Place::Task, &mut vocabulary).unwrap();
    let project = |attributes: Json| Document::read(&vocabulary, &attributes).project(expression.task_slots());
    let base = project(json!({"kind": 1, "list": [2, "x"], "other": 1}));
    assert_eq!(base, project(json!({"list": [2, "x"], "kind": 1.0, "other": 2})));
    for other in [json!({"kind": 1}), json!({"kind": "1", "list": [2, "x"]}), json!({"kind": 1, "list": ["x", 2]})] {
        assert_ne!(base, project(other));
    }
}

fn order_key(text: &str, worker: &Json) -> Option<OrderKey> {
    let mut vocabulary = Vocabulary::default();
    let order = OrderBy::compile(text, &mut vocabulary).unwrap();
    assert_eq!(order.text(), text);
    let document = Document::read(&vocabulary, worker);
    let figures = json!({"chat": {"assigned_tasks": worker["chats"]}});
    let channels = Channels(&figures);
    let names =
        WorkerNames { sid: "WK1", friendly_name: "5", activity_sid: "", activity_name: "", channels: &channels };
    order.key(&Scope { worker: Some(&document), names: Some(&names), ..Scope::default() })
}

#[test]
fn order_by_sorts_clause_by_clause_and_missing_last() {
    for (text, first, second) in [
        (
            "worker.finance ASC, worker.support ASC",
            json!({"finance": 10, "support": 5}),
            json!({"finance": 10, "support": 8}),
        ),
        ("worker.finance ASC, worker.support ASC", json!({"finance": 10, "support": 8}), json!({"finance": 10})),
        ("worker.finance ASC, worker.support DESC", json!({"finance": 10, "support": 8}), json!({"finance": 10})),
        ("worker.level desc", json!({"level": 3}), json!({"level": 2})),
        ("worker.level", json!({"level": -3}), json!({"level": 2.0})),
        ("worker.levels[1].x", json!({"levels": [0, {"x": 1}]}), json!({"levels": [0, {"x": 2}]})),
        ("worker.level", json!({"level": 0}), json!({"level": null})),
        ("worker.channel.chat.assigned_tasks ASC", json!({"chats": 1}), json!({"chats": 2})),
    ] {
        let (first, second) = (order_key(text, &first).unwrap(), order_key(text, &second).unwrap());
        assert!(first < second, "{text}: {first:?} {second:?}");
    }
    assert_eq!(order_key("worker.n DESC", &json!({"n": 0})), order_key("worker.n DESC", &json!({"n": -0.0})));
}

#[test]
fn order_by_is_void_for_a_value_that_is_no_integer() {
    for (value, voids) in [
        (json!(5), false),
        (json!(5.0), false),
        (json!(5.5), true),
        (json!("5"), true),
        (json!([5]), true),
        (json!({}), true),
        (json!(true), true),
    ] {
        assert_eq!(order_key("worker.level", &json!({"level": value})).is_none(), voids, "{value}");
    }
    assert!(order_key("worker.friendly_name", &json!({})).is_none());
}

#[test]
fn order_by_refuses_what_is_no_clause() {
    for text in [
        "",
        "worker",
        "level ASC",
        "task.level",
        "worker.level ASC,",
        "worker.a worker.b",
        "worker.a ASC DESC",
        "worker.a == 1",
        "worker[1]",
    ] {
        let mut vocabulary = Vocabulary::default();
        assert!(OrderBy::compile(text, &mut vocabulary).is_err(), "{text}");
        assert!(vocabulary.is_empty());
    }
}

#[test]
fn a_known_worker_is_a_literal_or_one_task_attribute() {
    let attributes = json!({"agent": "WK1", "nul": null, "n": 5, "list": [{"name": "Bob"}]});
    let text = |text: &str| KnownWorkerValue::Text(text.to_owned());
    for (reference, want) in [
        ("task.agent", text("WK1")),
        ("task.list[0].name", text("Bob")),
        ("task.nul", KnownWorkerValue::Null),
        ("task.missing", KnownWorkerValue::Invalid),
        ("task.n", KnownWorkerValue::Invalid),
        ("task.list", KnownWorkerValue::Invalid),
        ("WK2", text("WK2")),
        ("Bob Smith", text("Bob Smith")),
        ("TASK.agent", text("TASK.agent")),
    ] {
        let mut vocabulary = Vocabulary::default();
        let known = KnownWorker::compile(reference, &mut vocabulary).unwrap();
        assert_eq!(known.value(&Document::read(&vocabulary, &attributes)), want, "{reference}");
    }
    for reference in ["task.", "task.a == 1", "task.a task.b", "task.a-b", "task.'a'"] {
        assert!(KnownWorker::compile(reference, &mut Vocabulary::default()).is_err(), "{reference}");
    }
}

#[test]
fn a_workers_document_stays_current_when_only_tasks_get_new_attributes() {
    let mut vocabulary = Vocabulary::default();
    let attributes = serde_json::json!({ "level": 3, "site": "berlin" });
    let queue = Expression::compile("level >= 2", Place::Worker, &mut vocabulary).unwrap();
    let before = Document::read(&vocabulary, &attributes);
    Expression::compile("kind == 'sales'", Place::Task, &mut vocabulary).unwrap();
    assert!(before.is_current_for_worker(&vocabulary) && !before.is_current(&vocabulary));
    let site = Expression::compile("worker.site == task.site", Place::TaskAndWorker, &mut vocabulary).unwrap();
    assert!(!before.is_current_for_worker(&vocabulary));

    let after = Document::read(&vocabulary, &attributes);
    assert!(after.is_current_for_worker(&vocabulary));
    assert_eq!(after.difference(&before), site.worker_slots(), "what was not read before differs");
    let promoted = Document::read(&vocabulary, &serde_json::json!({ "level": 4, "site": "berlin" }));
    assert_eq!(promoted.difference(&after), queue.worker_slots());
}
