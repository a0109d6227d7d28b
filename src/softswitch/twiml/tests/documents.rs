//! Random, spoilt and costly documents, as the proxy's reader is tried with them.

use proptest::prelude::*;

#[expect(
    clippy::duplicate_mod,
    reason = "both readers are tried with the same documents, and know nothing of each other"
)]
#[path = "../../../voice/tests/documents/grammar.rs"]
mod grammar;

use super::super::tree::{self, Element};
use super::*;

fn names(element: &Element, depth: usize, into: &mut Vec<(usize, String)>) {
    into.push((depth, element.name.clone()));
    for child in &element.children {
        names(child, depth + 1, into);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn documents_are_read_as_they_were_written(written in grammar::document()) {
        for text in [&written.text, &written.expected] {
            let mut found = Vec::new();
            names(&tree::read(text).unwrap(), 0, &mut found);
            prop_assert_eq!(&found, &written.elements);
        }
    }

    #[test]
    fn spoilt_documents_are_run_or_refused_in_time(text in grammar::hostile()) {
        let base = Url::parse(grammar::BASE).unwrap();
        let read = grammar::in_time(|| Document::parse(&text, Some(&base)));
        prop_assert!(read.is_err() || tree::read(&text).is_ok());
        if let Err(error) = read {
            prop_assert!(error.code >= 11_100, "{:?}", error);
        }
    }
}

#[test]
fn documents_that_are_made_to_cost_much_are_refused_at_once() {
    let base = Url::parse(grammar::BASE).unwrap();
    for (name, text) in grammar::bombs() {
        assert!(grammar::in_time(|| Document::parse(&text, Some(&base))).is_err(), "{name}");
    }
}

#[test]
fn the_corpus_is_what_its_names_say() {
    for (name, bytes) in grammar::corpus() {
        let text = String::from_utf8_lossy(&bytes);
        let read = tree::read(&text).map(|root| root.name);
        assert_eq!(read.as_deref() != Ok("Response"), name.starts_with("bad_"), "{name}: {read:?}");
    }
}
