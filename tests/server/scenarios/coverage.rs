//! What must be pinned by a scenario: every rule with a number, every type of event, every line of the page of rules.
//!
//! Compares texts only; whether a scenario holds is tested where it is played. Start with [`pinned_rules`].

use std::collections::BTreeSet;
use std::path::Path;

use switchhook::routing::EventKind;

use super::files;
use super::text::split;

/// Expression vectors name the decision they pin.
const VECTORS: &str = include_str!("../../fixtures/expressions.jsonl");

/// Numbers of the given scenarios (routing.md 13.3).
const SCENARIOS: [std::ops::RangeInclusive<u32>; 6] = [1..=7, 10..=23, 30..=49, 50..=70, 80..=81, 90..=97];

/// Numbers of the decisions (routing.md 12).
const DECISIONS: std::ops::RangeInclusive<u32> = 1..=52;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/routing-rules.md");
    std::fs::read_to_string(path).expect("the page of rules exists")
}

/// File without its ending, and title, of every scenario.
fn titles() -> BTreeSet<(String, String)> {
    let in_file = |(name, text): (String, String)| {
        let name = name.trim_end_matches(".txt").to_owned();
        split(&text).into_iter().map(move |scenario| (name.clone(), scenario.title)).collect::<Vec<_>>()
    };
    files().into_iter().flat_map(in_file).collect()
}

/// What titles and vectors name: `S01`, `D37`, `X09`.
fn pinned_rules() -> BTreeSet<String> {
    let titles = titles().into_iter().map(|(_, title)| title);
    let vectors = VECTORS.lines().filter_map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).expect("a vector is JSON");
        Some(format!("{} {}", row["id"].as_str()?, row["d"].as_str().unwrap_or_default()))
    });
    let named: Vec<String> = titles.chain(vectors).collect();
    let words = named.iter().flat_map(|text| text.split(|letter: char| !letter.is_ascii_alphanumeric()));
    words.map(str::to_owned).collect()
}

fn numbered() -> impl Iterator<Item = String> {
    let scenarios = SCENARIOS.into_iter().flatten().map(|number| format!("S{number:02}"));
    scenarios.chain(DECISIONS.map(|number| format!("D{number}")))
}

/// The cells of the page's tables, without their heads.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    lines.map(|line| line.split(" | ").collect()).filter(|cells: &Vec<&str>| cells.last() != Some(&"File")).collect()
}

#[test]
fn every_numbered_rule_has_a_scenario_or_a_vector() {
    let pinned = pinned_rules();
    let missing: Vec<String> = numbered().filter(|number| !pinned.contains(number)).collect();
    assert!(missing.is_empty(), "no scenario title and no vector names {missing:?}");
}

#[test]
fn the_page_of_rules_lists_every_number_and_only_what_exists() {
    let page = page();
    let rows = rows(&page);
    let listed: BTreeSet<&str> = rows.iter().filter_map(|cells| cells.first().copied()).collect();
    let missing: Vec<String> = numbered().filter(|number| !listed.contains(number.as_str())).collect();
    assert!(missing.is_empty(), "docs/routing-rules.md lacks {missing:?}");
    let (titles, pinned) = (titles(), pinned_rules());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for cells in rows {
        let [_, _, code, title, file] = cells[..] else { panic!("expected five cells: {cells:?}") };
        let known = match file {
            "expressions.jsonl" => pinned.contains(title),
            _ => titles.contains(&(file.to_owned(), title.to_owned())),
        };
        assert!(known, "there is no scenario or vector `{title}` in {file}");
        for module in code.split(", ") {
            assert!(root.join("src/routing").join(format!("{module}.rs")).exists(), "there is no module {module}");
        }
    }
}

#[test]
fn every_type_of_event_has_its_fields_pinned() {
    let texts: Vec<String> = files().into_iter().map(|(_, text)| text).collect();
    let pinned: BTreeSet<&str> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.strip_prefix("expect fields ")?.split_whitespace().next())
        .collect();
    let missing: Vec<&str> =
        EventKind::ALL.iter().map(|kind| kind.as_str()).filter(|kind| !pinned.contains(kind)).collect();
    assert!(missing.is_empty(), "no scenario expects the fields of {missing:?}");
}
