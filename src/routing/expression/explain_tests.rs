//! What explanations, verdicts and surveys say of expressions.

use serde_json::json;

use super::tests::{Channels, Counts};
use super::*;

#[test]
fn an_explanation_shows_each_clause_with_its_values() {
    let mut vocabulary = Vocabulary::default();
    let text = "type = 'sales' and (level >= 3 OR skills has \"vip\") AND region IN ['eu', 'us']";
    let expression = Expression::compile(text, Place::Task, &mut vocabulary).unwrap();
    let task = Document::read(&vocabulary, &json!({"type": "sales", "level": 2.5, "skills": "vip", "region": "eu"}));
    let explanation = expression.explain(&Scope { task: Some(&task), ..Scope::default() });
    let failing: Vec<_> = explanation.failing().iter().map(|clause| clause.text.clone()).collect();
    assert_eq!(failing, ["level >= 3", "skills HAS 'vip'"]);
    let Explanation::All { holds: false, members } = explanation else { panic!("a conjunction that fails") };
    let Explanation::Clause(first) = &members[0] else { panic!("a clause") };
    assert_eq!((first.text.as_str(), first.operator, first.holds), ("type == 'sales'", "==", true));
    assert_eq!((first.left.name.as_deref(), &first.left.value), (Some("type"), &json!("sales")));
    assert_eq!((first.right.name.as_deref(), &first.right.value), (None, &json!("sales")));
    let Explanation::Any { members: either, .. } = &members[1] else { panic!("a disjunction") };
    let Explanation::Clause(second) = &either[1] else { panic!("a clause") };
    assert_eq!(second.mismatch, Some("HAS needs a list before it"));
    assert_eq!((second.left.kind, &second.left.value), ("text", &json!("vip")));
    let Explanation::Clause(last) = &members[2] else { panic!("a clause") };
    assert_eq!((last.holds, &last.right.value), (true, &json!(["eu", "us"])));
}

#[test]
fn names_without_meaning_and_constants_are_explained_too() {
    for (place, text, holds, name, value) in [
        (Place::TaskAndWorker, "kind == 1", false, Some("kind"), json!(null)),
        (Place::Worker, "1 == 1", true, None, json!(1)),
        (Place::Counts, "workers.available == 0", true, Some("workers.available"), json!(0)),
        (Place::Worker, "activity_name == 'Lunch'", true, Some("activity_name"), json!("Lunch")),
        (
            Place::TaskAndWorker,
            "worker.channel.voice.assigned_tasks < 1",
            false,
            Some("worker.channel.voice.assigned_tasks"),
            json!(1),
        ),
    ] {
        let figures = json!({"voice": {"assigned_tasks": 1}});
        let channels = Channels(&figures);
        let names = WorkerNames {
            sid: "WK1",
            friendly_name: "A",
            activity_sid: "WA1",
            activity_name: "Lunch",
            channels: &channels,
        };
        let counts = Counts(json!({"available": 0}));
        let expression = Expression::compile(text, place, &mut Vocabulary::default()).unwrap();
        let scope = Scope { names: Some(&names), counts: Some(&counts), ..Scope::default() };
        let Explanation::Clause(clause) = expression.explain(&scope) else { panic!("{text} is a clause") };
        assert_eq!((clause.holds, clause.left.name.as_deref(), &clause.left.value), (holds, name, &value), "{text}");
    }
}

#[test]
fn contradictions_are_found_in_the_text_alone() {
    // What must be found, and what is possible although it looks alike.
    for (impossible, possible) in [
        ("type == 'a' AND type == 'b'", "type == 'a' OR type == 'b'"),
        ("'type' == 'a'", "type == 'a'"),
        ("n > 5 AND n < 3", "n > 3 AND n < 5"),
        ("n >= 5 AND n < 5", "n >= 5 AND n <= 5"),
        ("n == 4 AND n > 5", "n == 6 AND n > 5"),
        ("type == 'a' AND type != 'a'", "type == 'a' AND kind != 'a'"),
        ("type IN ['a', 'b'] AND type == 'c'", "type IN ['a', 'b'] AND type == 'b'"),
        ("type == 'a' AND type NOT IN ['a']", "type == 'a' AND type NOT IN ['b']"),
        ("type == null AND type == 'a'", "type == null AND type != 'a'"),
        ("skills HAS 'a' AND skills == 'b'", "skills HAS 'a' AND skills HAS 'b'"),
        ("skills == ['a']", "skills HAS 'a'"),
        ("type IN 'a'", "type IN ['a']"),
        ("type IN []", "type NOT IN []"),
        ("n > null", "n != null"),
        ("flag > true", "flag == true"),
        ("name CONTAINS 5", "name CONTAINS '5'"),
        ("5 < n AND 3 > n", "5 < n AND 7 > n"),
        ("1 == 2", "1 == 1 AND n == 2"),
        ("(a == 1 OR a == 2) AND a == 3", "(a == 1 OR a == 3) AND a == 3"),
        ("a == 1 AND 1 == 2 OR b == 1 AND b == 2", "a == 1 AND 1 == 2 OR b == 1"),
        // A number and its text are equal; texts are not equal to each other.
        ("n == 6 AND n == '7'", "n == 6 AND n == '6' AND n == '6'"),
        ("n == 'x' AND n < 3", "n == '2' AND n < 3"),
    ] {
        let verdict = |text| Expression::compile(text, Place::Task, &mut Vocabulary::default()).unwrap().verdict();
        assert!(matches!(verdict(impossible), Verdict::Never(_)), "{impossible}: {:?}", verdict(impossible));
        assert!(!matches!(verdict(possible), Verdict::Never(_)), "{possible}: {:?}", verdict(possible));
    }
    let verdict = |text| Expression::compile(text, Place::Task, &mut Vocabulary::default()).unwrap().verdict();
    assert_eq!(verdict("1 == 1 OR a == 2"), Verdict::Always);
    assert_eq!(verdict("1 == 1 AND a == 2"), Verdict::Depends);
}

#[test]
fn a_survey_counts_attributes_and_types_that_do_not_go_together() {
    let mut vocabulary = Vocabulary::default();
    let text = "skills HAS 'a' AND level > 3 AND worker.channel.voice.assigned_tasks == 0 AND vip != true";
    let expression = Expression::compile(text, Place::Worker, &mut vocabulary).unwrap();
    let mut survey = expression.survey();
    for attributes in
        [json!({"skills": ["a"], "level": 2}), json!({"skills": "a", "level": "high"}), json!({"level": "4"})]
    {
        let worker = Document::read(&vocabulary, &attributes);
        survey.look(&Scope { worker: Some(&worker), ..Scope::default() });
    }
    let found: Vec<_> = survey
        .clauses()
        .iter()
        .map(|clause| (clause.sides[0].owner, clause.sides[0].present, clause.sides[0].dispensable, clause.mismatched))
        .collect();
    let worker = Some(Owner::Worker);
    assert_eq!(found, [(worker, 2, false, 1), (worker, 3, false, 1), (None, 0, false, 0), (worker, 0, true, 0)]);
    assert_eq!(survey.seen, 3);
    assert_eq!(survey.clauses()[1].mismatch, Some("the text is no number"));
}
