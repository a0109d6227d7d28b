//! Documents of strangers, and of our own: random ones, spoilt ones, and those that are made to cost much
//! (`quality.md` 1.4). `PROPTEST_CASES` says how many; `make fuzz` runs many.

use proptest::prelude::*;
use url::Url;

pub(crate) mod grammar;

use grammar::{bombs, document, hostile, in_time};

use crate::voice::document::{Document, Voicemail};
use crate::voice::enqueue_document::EnqueueDocument;
use crate::voice::rewrite::{Links, Rewritten, Urls, rewrite};
use crate::voice::templates::Templates;
use crate::voice::walk::{Part, Problem, Walk, trimmed};
use crate::voice::xml;

fn rewritten(text: &str) -> Result<Rewritten, Problem> {
    let base = Url::parse(grammar::BASE).unwrap();
    let links = Links {
        urls: Some(Urls {
            base: &base,
            is_elsewhere: false,
            through_us: &|url| format!("ours:{url}"),
            told: &|url| format!("told:{url}"),
            rest: &|verbs| format!("rest:{verbs}"),
        }),
        taking: &|taking| format!("take:{}", taking.reservation),
    };
    rewrite(text, &links)
}

/// Elements with their depth, attributes and text; of a document that can be read.
#[derive(Debug, PartialEq, Eq, Default)]
struct Read {
    elements: Vec<(usize, String)>,
    attributes: Vec<(String, String)>,
    text: String,
}

fn read(text: &str) -> Result<Read, Problem> {
    let mut walk = Walk::new(text)?;
    let mut read = Read::default();
    while let Some(step) = walk.step()? {
        match step.part {
            Part::Open { element, depth } => {
                read.elements.push((depth, element.name));
                read.attributes.extend(element.attributes.into_iter().map(|found| (found.name, found.value)));
            }
            Part::Text(text) => read.text.push_str(&text),
            Part::Close { .. } | Part::Other => {}
        }
    }
    Ok(read)
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// The grammar says what becomes of each URL; every other byte is the application's.
    #[test]
    fn only_urls_change_on_the_way_through_the_proxy(written in document()) {
        prop_assert_eq!(read(&written.text).unwrap().elements, written.elements.clone());
        let found = rewritten(&written.text).unwrap();
        prop_assert_eq!(found.text, written.expected);
        let enqueues = EnqueueDocument::parse(&written.text).is_ok_and(|verb| verb.workflow.is_some());
        prop_assert_eq!(found.enqueues, enqueues);
    }

    #[test]
    fn verbs_around_enqueue_are_pieces_of_the_document(written in document()) {
        if let Ok(verb) = EnqueueDocument::parse(&written.text) {
            let after = verb.after.unwrap_or_default();
            let before_at = written.text.find(verb.before.as_str());
            let after_at = written.text.rfind(after.as_str());
            prop_assert!(before_at.zip(after_at).is_some_and(|(one, other)| one + verb.before.len() <= other));
            for verbs in [&verb.before, &after] {
                prop_assert!(read(&format!("<Response>{verbs}</Response>")).is_ok(), "{}", verbs);
            }
        }
    }

    /// Refused or rewritten, in time; what was rewritten is a document again, unless it grew beyond the limit, and a
    /// document whose URLs lead through us already changes no more.
    #[test]
    fn spoilt_documents_are_refused_or_stay_documents(text in hostile()) {
        let (verb, found) = in_time(|| {
            let _outline = xml::outline(&text);
            (EnqueueDocument::parse(&text), rewritten(&text))
        });
        prop_assert_eq!(found.is_ok(), read(trimmed(&text)).is_ok());
        prop_assert!(found.is_ok() || verb.is_err(), "both read the same");
        if let Ok(found) = found {
            prop_assert!(read(&found.text).is_ok(), "{}", found.text);
            let again = rewritten(&found.text).unwrap();
            prop_assert_eq!(again.text, found.text);
        }
    }

    /// Whatever a value holds, the document has the same elements, and the value is read as it was written, but for
    /// characters that XML has no place for.
    #[test]
    fn what_we_write_is_read_as_it_was_meant(one in any::<String>(), other in "[\u{0}-\u{20}\"'<>&\\]a\u{fffe}\u{ffff}\u{85}\u{2028}]{0,20}") {
        let templates = Templates::load(None).unwrap();
        let kept = |text: &str| text.chars().filter(|character| xml::is_allowed(*character)).collect::<String>();
        let documents = |one: &str, other: &str| [
            templates.render(&Document::Redirect { url: one }),
            templates.render(&Document::Park { verbs_before: "", queue: one, action: other, wait_url: one }),
            templates.render(&Document::Entry {
                greeting: Some(one), greeting_url: None, workflow: other, attributes: one, priority: Some(1),
                timeout_secs: None, overflow_url: other,
            }),
            templates.render(&Document::Voicemail(Voicemail {
                language: Some(one), text: Some(other), max_secs: 1, done_url: one, callback_url: other,
            })),
        ];
        let plain = documents("x", "y");
        for (document, plain) in documents(&one, &other).iter().zip(&plain) {
            // Templates put values where nothing else stands, so that each is found as a whole.
            let (found, plain) = (read(document).unwrap(), read(plain).unwrap());
            prop_assert_eq!(&found.elements, &plain.elements);
            let put = |text: &str| match text { "x" => kept(&one), "y" => kept(&other), same => same.to_owned() };
            let expected: Vec<(String, String)> =
                plain.attributes.iter().map(|(name, value)| (name.clone(), put(value))).collect();
            prop_assert_eq!(&found.attributes, &expected);
        }
        let redirect = read(&documents(&one, &other)[0]).unwrap();
        prop_assert_eq!(redirect.text.trim_start_matches('\n').to_owned(), kept(&one).trim_start_matches('\n').to_owned());
        let verb = EnqueueDocument::parse(&documents(&one, &other)[2]).unwrap();
        prop_assert_eq!((verb.workflow, verb.attributes), (Some(kept(&other)), kept(&one)));
    }
}

#[test]
fn documents_that_are_made_to_cost_much_are_refused_at_once() {
    for (name, text) in bombs() {
        assert!(in_time(|| rewritten(&text)).is_err(), "{name}");
        assert!(in_time(|| EnqueueDocument::parse(&text)).is_err(), "{name}");
    }
}

/// What 64 KiB can hold is rewritten, in time that grows with the length alone.
#[test]
fn documents_of_very_many_small_things_are_rewritten_at_once() {
    let filled = |piece: &str| piece.repeat((64 * 1024 - 200) / piece.len());
    let attributes = (0..6_000).map(|number| format!(" a{number}=''")).collect::<Vec<_>>().concat();
    for (content, of_ours) in [
        (filled("<a/>"), "<a/>".to_owned()),
        (filled("<Pause/>"), "<Pause/>".to_owned()),
        (filled("<Gather action='x'/>"), "<Gather action='ours:https://app.example.org/ivr/x'/>".to_owned()),
        (
            filled("<Dial action='x'><Queue reservationSid='a'/></Dial>"),
            "<Redirect method=\"POST\">take:a</Redirect>".to_owned(),
        ),
        (format!("<Dial{attributes}>1</Dial>"), attributes.clone()),
    ] {
        let text = format!("<Response>{content}</Response>");
        let found = in_time(|| rewritten(&text)).unwrap();
        assert!(found.text.contains(&of_ours), "{}", &found.text[..200]);
        in_time(|| EnqueueDocument::parse(&text)).unwrap_err();
    }
}

/// The corpus begins with what applications write: those are documents, and the others are not.
#[test]
fn the_corpus_is_what_its_names_say() {
    for (name, bytes) in grammar::corpus() {
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(rewritten(&text).is_err(), name.starts_with("bad_"), "{name}: {:?}", rewritten(&text));
    }
}
