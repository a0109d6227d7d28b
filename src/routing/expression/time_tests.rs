//! What expressions of workflows may ask of the moment: the time of day, and whether a calendar is open.

use serde_json::{Value as Json, json};

use super::super::time::Timestamp;
use super::*;

/// Evaluates `text` in a workflow at a moment.
fn at_time(text: &str, place: Place, now: Timestamp, task: &Json) -> bool {
    let mut vocabulary = Vocabulary::default();
    let expression = Expression::compile(text, place, &mut vocabulary).unwrap();
    let task = Document::read(&vocabulary, task);
    expression.matches(&Scope { task: Some(&task), now: Some(now), ..Scope::default() })
}

#[test]
fn the_time_of_day_is_told_in_utc() {
    // 2026-11-25 is a Wednesday; the last minute before it and one before 1970 show that days end at midnight.
    let wednesday = 1_795_564_800_000;
    let minute = 60_000;
    for (now, text, want) in [
        (wednesday + 8 * 60 * minute, "taskrouter.currentTime == 800", true),
        (wednesday + 8 * 60 * minute, "taskrouter.currentTime == 0800", true),
        (wednesday + 8 * 60 * minute, "taskrouter.currentTime > 0800 AND taskrouter.currentTime < 1830", false),
        (wednesday + 8 * 60 * minute + minute, "taskrouter.currentTime > 0800 AND taskrouter.currentTime < 1830", true),
        (wednesday + 1110 * minute, "taskrouter.currentTime < 1830", false),
        (wednesday + 1110 * minute - 1, "taskrouter.currentTime == 1829", true),
        (wednesday, "taskrouter.currentTime == 0", true),
        (wednesday - 1, "taskrouter.currentTime == 2359 AND taskrouter.dayOfWeek == 'Tue'", true),
        (wednesday + 9 * 60 * minute, "taskrouter.currentHour > 8 AND taskrouter.currentHour < 18", true),
        (wednesday + 9 * 60 * minute, "taskrouter.currentHour == '09'", true),
        (wednesday + 9 * 60 * minute, "taskrouter.currentHour == '9'", false),
        (wednesday + 9 * 60 * minute, "taskrouter.currentHour IN [9, 10]", true),
        (wednesday + 11 * minute, "taskrouter.currentMin > 10 AND taskrouter.currentMin < 50", true),
        (wednesday + 10 * minute, "taskrouter.currentMin > 10", false),
        (wednesday, "taskrouter.dayOfWeek IN ['Mon', 'Wed']", true),
        (wednesday, "taskrouter.dayOfWeek == 'WED'", false),
        (wednesday, "taskrouter.dayOfweek == null", true),
        (-1, "taskrouter.dayOfWeek == 'Wed' AND taskrouter.currentTime == 2359", true),
        (0, "taskrouter.dayOfWeek == 'Thu' AND taskrouter.currentTime == 0", true),
    ] {
        assert_eq!(at_time(text, Place::Task, Timestamp(now), &Json::Null), want, "{now}: {text}");
        assert_eq!(at_time(text, Place::TaskAndWorker, Timestamp(now), &Json::Null), want, "{now}: {text}");
    }
    for (day, name) in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].into_iter().enumerate() {
        let now = Timestamp(wednesday + (i64::try_from(day).unwrap() - 2) * 1440 * minute);
        assert!(at_time(&format!("taskrouter.dayOfWeek = '{name}'"), Place::Task, now, &Json::Null), "{name}");
    }
    let hours = json!({"from": 800, "until": 1730});
    let open = "taskrouter.currentTime >= task.from AND taskrouter.currentTime < task.until";
    assert!(at_time(open, Place::TaskAndWorker, Timestamp(wednesday + 8 * 60 * minute), &hours));
    assert!(!at_time(open, Place::TaskAndWorker, Timestamp(wednesday), &hours));
}

#[test]
fn the_time_of_day_is_told_only_in_filters_and_targets() {
    let mut vocabulary = Vocabulary::default();
    for (place, told) in
        [(Place::Task, true), (Place::TaskAndWorker, true), (Place::Worker, false), (Place::Counts, false)]
    {
        let expression = Expression::compile("taskrouter.currentTime >= 0", place, &mut vocabulary).unwrap();
        assert_eq!(expression.uses_time(), told, "{place:?}");
        assert_eq!(expression.warnings().is_empty(), told, "{place:?}");
        assert_eq!(expression.matches(&Scope { now: Some(Timestamp(0)), ..Scope::default() }), told, "{place:?}");
        assert!(!expression.matches(&Scope::default()), "{place:?}");
    }
    // A task may have an attribute of that name; only the four names are taken.
    assert!(at_time("taskrouter.tier == 1", Place::Task, Timestamp(0), &json!({"taskrouter": {"tier": 1}})));
    assert!(at_time(
        "taskrouter.currentTime == 0",
        Place::Task,
        Timestamp(0),
        &json!({"taskrouter": {"currentTime": 7}})
    ));
}

/// The calendar Office is open in the even minutes, Shop in the odd ones.
struct Minutes;

impl Openings for Minutes {
    fn is_open(&self, name: &str, at: Timestamp) -> Option<bool> {
        match name {
            "Office" => Some(at.minute() % 2 == 0),
            "Shop" | "Office.open" | "Shop.on.Main" => Some(at.minute() % 2 == 1),
            _ => None,
        }
    }
}

#[test]
fn calendars_are_open_closed_or_null() {
    let shop = json!({ "taskrouter": { "calendar": { "Shop": { "open": 7, "hours": 8 } } }, "day": true });
    for (text, want) in [
        ("taskrouter.calendar.Office.open == true", true),
        ("taskrouter.calendar.Office.open = 'true'", false),
        ("taskrouter.calendar.Shop.open == true", false),
        ("taskrouter.calendar.Shop.open == false", true),
        ("taskrouter.calendar.Shop.open != true", true),
        ("taskrouter.calendar.Office.open == task.day", true),
        ("taskrouter.calendar.Office.open IN [true, 1]", true),
        ("taskrouter.calendar.Office.open > 0", false),
        ("taskrouter.calendar.office.open == null", true),
        ("taskrouter.calendar.Nowhere.open == null", true),
        ("taskrouter.calendar.Nowhere.open == false", false),
        ("taskrouter.calendar.Nowhere.open != true", true),
        ("taskrouter.calendar.CL00000000000000000000000000000000.open == null", true),
        // A name may have dots.
        ("taskrouter.calendar.Office.open.open == false", true),
        ("taskrouter.calendar.Shop.on.Main.open == false", true),
        ("taskrouter.calendar.Shop.on.open == null", true),
        ("taskrouter.calendar.open == null", true),
        // The calendar is taken for nothing but whether it is open.
        ("taskrouter.calendar.Shop.hours == null", true),
        ("taskrouter.calendar.Shop == null", true),
    ] {
        let mut vocabulary = Vocabulary::default();
        let expression = Expression::compile(text, Place::TaskAndWorker, &mut vocabulary).unwrap();
        let task = Document::read(&vocabulary, &shop);
        let scope = Scope { task: Some(&task), ..Scope::at(Timestamp(0), &Minutes) };
        assert_eq!(expression.matches(&scope), want, "{text}");
    }
    // Where names have no prefix a task may have attributes of such names, but for the one that is taken.
    for (text, want) in [
        ("taskrouter.calendar.Shop.hours == 8", true),
        ("taskrouter.calendar.Shop.open == 7", false),
        ("taskrouter.calendar.Shop.open == false", true),
    ] {
        let mut vocabulary = Vocabulary::default();
        let expression = Expression::compile(text, Place::Task, &mut vocabulary).unwrap();
        let task = Document::read(&vocabulary, &shop);
        let scope = Scope { task: Some(&task), ..Scope::at(Timestamp(0), &Minutes) };
        assert_eq!(expression.matches(&scope), want, "{text}");
    }
    for (place, told) in
        [(Place::Task, true), (Place::TaskAndWorker, true), (Place::Worker, false), (Place::Counts, false)]
    {
        let text = "taskrouter.calendar.Office.open == true AND taskrouter.calendar.Office.open == true";
        let expression = Expression::compile(text, place, &mut Vocabulary::default()).unwrap();
        assert_eq!(expression.uses_time(), told, "{place:?}");
        assert_eq!(expression.calendars().len(), usize::from(told), "{place:?}");
        assert_eq!(expression.warnings().is_empty(), told, "{place:?}");
    }
}

#[test]
fn only_a_calendar_that_opens_or_closes_moves_an_expression() {
    for (text, moved) in [
        ("taskrouter.calendar.Office.open == true", true),
        ("taskrouter.calendar.Office.open == task.day", true),
        ("taskrouter.calendar.Office.open == taskrouter.calendar.Shop.open", false),
        ("taskrouter.calendar.Nowhere.open == task.day", false),
        ("taskrouter.calendar.Nowhere.open == null OR taskrouter.calendar.Office.open > 0", false),
    ] {
        let expression = Expression::compile(text, Place::TaskAndWorker, &mut Vocabulary::default()).unwrap();
        let [first, same, next] = [0, 59_999, 60_000].map(|ms| Scope::at(Timestamp(ms), &Minutes));
        assert!(!expression.time_has_moved(&first, &same), "{text}");
        assert_eq!(expression.time_has_moved(&first, &next), moved, "{text}");
    }
}
