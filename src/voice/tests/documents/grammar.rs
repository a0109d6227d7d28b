//! Random TwiML documents, and what may become of one on its way: the corpus of `tests/fixtures/twiml`, a grammar that
//! writes the same elements in many ways, and bytes that are changed, taken away, doubled or put in.
//!
//! Knows nothing of whoever reads them: both readers of this program are tried with it.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

/// The URL that documents of the grammar come from.
pub(crate) const BASE: &str = "https://app.example.org/ivr/menu?lang=de";
/// URLs as they are written, and as an absolute URL; none for what is no web address.
const LINKS: [(&str, Option<&str>); 9] = [
    ("next", Some("https://app.example.org/ivr/next")),
    ("../up", Some("https://app.example.org/up")),
    ("/a?b=1&amp;c=2", Some("https://app.example.org/a?b=1&c=2")),
    ("?z=1", Some("https://app.example.org/ivr/menu?z=1")),
    ("a&#47;b", Some("https://app.example.org/ivr/a/b")),
    ("//cdn.example.org/x", Some("https://cdn.example.org/x")),
    ("https://other.example.org/x?y=%20", Some("https://other.example.org/x?y=%20")),
    ("http://app.example.org:8080/", Some("http://app.example.org:8080/")),
    ("tel:+15550001", None),
];
/// Attributes whose URL is asked for a document, and attributes whose URL is only told something.
const RUN: [&str; 3] = ["action", "waitUrl", "referUrl"];
const TOLD: [&str; 5] =
    ["statusCallback", "statusCallbackUrl", "recordingStatusCallback", "transcribeCallback", "eventCallbackUrl"];

/// Longer than this is a hang, even where a busy machine runs a program that is not optimised.
const HANG: Duration = Duration::from_secs(1);

/// Reads something that must not take long.
#[expect(clippy::disallowed_methods, reason = "the time is measured, not told to anybody")]
pub(crate) fn in_time<T>(read: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let found = read();
    assert!(began.elapsed() < HANG, "{:?}", began.elapsed());
    found
}

/// Text as it is written, and what becomes of it behind the proxy.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    written: String,
    expected: String,
}

/// A document of the grammar.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// As an application writes it.
    pub(crate) text: String,
    /// Behind the proxy, where `ours:` leads through us.
    pub(crate) expected: String,
    /// Names of the elements, each with its depth, in order.
    pub(crate) elements: Vec<(usize, String)>,
    /// There was an `<Enqueue workflowSid>`: our own URL hands out what follows.
    enqueued: bool,
}

fn same(text: impl Into<String>) -> Piece {
    let text = text.into();
    Piece { written: text.clone(), expected: text }
}

/// As an attribute's value or an element's text is written.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// Through us, by one way or the other.
fn through(way: &str, link: usize) -> Piece {
    let (written, absolute) = LINKS[link];
    let expected = absolute.map_or_else(|| written.to_owned(), |url| escaped(&format!("{way}:{url}")));
    Piece { written: written.to_owned(), expected }
}

fn run(link: usize) -> Piece {
    through("ours", link)
}

/// It stays the application's, but absolute.
fn here(link: usize) -> Piece {
    let (written, absolute) = LINKS[link];
    let is_absolute = written.contains(':') && !written.contains('&');
    let expected = match absolute {
        Some(url) if !is_absolute => escaped(url),
        _ => written.to_owned(),
    };
    Piece { written: written.to_owned(), expected }
}

/// An element, its attributes, and what stands in it.
#[derive(Debug, Clone)]
enum Node {
    Text(Piece),
    /// An empty `<Redirect>`: the document itself.
    Again {
        space: String,
    },
    Element {
        name: String,
        attributes: Vec<(String, String, Piece)>,
        space: String,
        children: Vec<Node>,
        closes: bool,
    },
}

impl Node {
    fn render(&self, depth: usize, into: &mut Written) {
        match self {
            Self::Text(piece) => into.add(piece),
            Self::Again { space } => {
                into.elements.push((depth, "Redirect".to_owned()));
                let url = escaped(&format!("ours:{BASE}"));
                let expected = format!("<Redirect{space}>{url}</Redirect>");
                into.add(&Piece { written: format!("<Redirect{space}/>"), expected });
            }
            Self::Element { name, attributes, space, children, closes } => {
                into.elements.push((depth, name.clone()));
                into.add(&same(format!("<{name}")));
                let has = |name: &str| attributes.iter().any(|(given, ..)| given == name);
                if depth == 1 && into.enqueued && matches!(name.as_str(), "Gather" | "Record") && !has("action") {
                    let expected = format!(" action=\"{}\"", escaped(&format!("ours:{BASE}")));
                    into.add(&Piece { written: String::new(), expected });
                }
                into.enqueued |= depth == 1 && has("workflowSid");
                for (name, quote, value) in attributes {
                    into.add(&same(format!("{space} {name}{space}={quote}")));
                    into.add(value);
                    into.add(&same(quote.as_str()));
                }
                if children.is_empty() && !closes {
                    into.add(&same(format!("{space}/>")));
                    return;
                }
                into.add(&same(format!("{space}>")));
                for child in children {
                    child.render(depth + 1, into);
                }
                into.add(&same(format!("</{name}{space}>")));
            }
        }
    }
}

impl Written {
    fn add(&mut self, piece: &Piece) {
        self.text.push_str(&piece.written);
        self.expected.push_str(&piece.expected);
    }
}

/// Text that nobody rewrites.
fn text() -> impl Strategy<Value = Node> {
    let plain = "[ a-zäß€😀0-9.,:;\n\t\\]>]{0,16}";
    prop_oneof![
        4 => plain.prop_map(|text| text.replace("]]>", "]] >")),
        1 => Just("&amp;&#65;&#x1F600;&lt;&quot;".to_owned()),
        1 => "<!-- [a-z<&\"]{0,9} -->",
        1 => "<!\\[CDATA\\[[a-z<&\" ]{0,9}\\]\\]>",
        1 => "<\\?note [a-z=]{0,9}\\?>",
    ]
    .prop_map(|text| Node::Text(same(text)))
}

fn attributes(enqueues: bool) -> impl Strategy<Value = Vec<(String, String, Piece)>> {
    let quote = prop_oneof![Just("\"".to_owned()), Just("'".to_owned())];
    let link = 0..LINKS.len();
    let kinds = prop_oneof![
        (prop::sample::select(&RUN[..]), link.clone()).prop_map(|(name, link)| (name.to_owned(), Some((true, link)))),
        (prop::sample::select(&TOLD[..]), link).prop_map(|(name, link)| (name.to_owned(), Some((false, link)))),
        "(numDigits|timeout|voice|xml:lang|thing-1|Action|URL)".prop_map(|name| (name, None)),
    ];
    let junk = "([ a-zäß0-9.,>=/]|&amp;|&#9;|&lt;){0,12}";
    let one = (kinds, quote, junk).prop_map(move |((name, link), quote, junk)| {
        let value = match link {
            // What the proxy carries out itself keeps the application's URLs.
            Some((true, link)) if !enqueues => run(link),
            Some((true, link)) => here(link),
            Some((false, link)) => through("told", link),
            None => same(junk),
        };
        (name, quote, value)
    });
    prop::collection::vec(one, 0..5).prop_map(|mut attributes| {
        let mut seen = std::collections::BTreeSet::new();
        attributes.retain(|(name, ..)| seen.insert(name.clone()));
        attributes
    })
}

fn space() -> impl Strategy<Value = String> {
    "[ \n\t]{0,3}"
}

fn node() -> impl Strategy<Value = Node> {
    let body = |name: &'static str, of: fn(usize) -> Piece| {
        (0..LINKS.len(), space()).prop_map(move |(link, space)| {
            let children = vec![Node::Text(of(link))];
            Node::Element { name: name.to_owned(), attributes: Vec::new(), space, children, closes: true }
        })
    };
    let enqueue = (attributes(true), space(), "([a-z]|&amp;|<!-- t -->){0,9}").prop_map(|(mut all, space, task)| {
        all.insert(0, ("workflowSid".to_owned(), "\"".to_owned(), same("WW1")));
        let task = Node::Element {
            name: "Task".to_owned(),
            attributes: Vec::new(),
            space: String::new(),
            children: vec![Node::Text(same(task))],
            closes: true,
        };
        Node::Element { name: "Enqueue".to_owned(), attributes: all, space, children: vec![task], closes: true }
    });
    let leaf = prop_oneof![
        4 => text(),
        1 => body("Redirect", run),
        1 => body("Play", here),
        1 => enqueue,
        1 => space().prop_map(|space| Node::Again { space }),
    ];
    leaf.prop_recursive(4, 48, 5, |inner| {
        let name =
            prop::sample::select(&["Say", "Gather", "Dial", "Number", "Record", "Enqueue", "Unknown", "x:y"][..]);
        (name, attributes(false), space(), prop::collection::vec(inner, 0..5), any::<bool>()).prop_map(
            |(name, attributes, space, children, closes)| Node::Element {
                name: name.to_owned(),
                attributes,
                space,
                children,
                closes,
            },
        )
    })
}

/// A well-formed document that has everything but reservations.
pub(crate) fn document() -> impl Strategy<Value = Written> {
    let before = prop_oneof![Just(""), Just("<?xml version=\"1.0\" encoding='UTF-8'?>\n"), Just("<!-- by hand -->")];
    (before, prop::collection::vec(node(), 0..8), space()).prop_map(|(before, children, space)| {
        let mut written =
            Written { text: before.to_owned(), expected: before.to_owned(), elements: Vec::new(), enqueued: false };
        let root = Node::Element { name: "Response".to_owned(), attributes: Vec::new(), space, children, closes: true };
        root.render(0, &mut written);
        written
    })
}

/// The documents that stand in files, good and bad, each by name.
pub(crate) fn corpus() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/twiml");
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(Result::unwrap)
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 8, "{}", directory.display());
    files
}

/// A change of bytes; places are parts of the whole.
#[derive(Debug, Clone)]
enum Mutation {
    Byte(f64, u8),
    Without(f64, usize),
    Twice(f64, usize),
    With(f64, String),
    Truncated(f64),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let pieces = [
        "<",
        ">",
        "/>",
        "\"",
        "'",
        "&",
        "&x;",
        "&#0;",
        "&#xD800;",
        "]]>",
        "<![CDATA[",
        "<!--",
        "-->",
        "<?",
        "?>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]>",
        "\u{0}",
        "\u{feff}",
        "\u{fffe}",
        "</Response>",
        "<Response>",
        " action=\"",
        "<Enqueue workflowSid='W'>",
        "<Dial><Queue reservationSid=\"WR1\"/></Dial>",
        "<Redirect/>",
        "xmlns:a=''",
        "😀",
    ];
    let piece = prop::sample::select(pieces.to_vec()).prop_map(str::to_owned);
    prop_oneof![
        3 => (0.0..1.0, any::<u8>()).prop_map(|(at, byte)| Mutation::Byte(at, byte)),
        2 => (0.0..1.0, 1_usize..20).prop_map(|(at, length)| Mutation::Without(at, length)),
        2 => (0.0..1.0, 1_usize..200).prop_map(|(at, length)| Mutation::Twice(at, length)),
        5 => (0.0..1.0, piece).prop_map(|(at, piece)| Mutation::With(at, piece)),
        1 => (0.0..1.0).prop_map(Mutation::Truncated),
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a part of a short length"
)]
fn mutated(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        let place = |part: f64| ((part * bytes.len() as f64) as usize).min(bytes.len());
        match mutation {
            Mutation::Byte(at, byte) => {
                let at = place(*at);
                if let Some(found) = bytes.get_mut(at) {
                    *found = *byte;
                }
            }
            Mutation::Without(at, length) => {
                let from = place(*at);
                let to = (from + length).min(bytes.len());
                bytes.drain(from..to);
            }
            Mutation::Twice(at, length) => {
                let from = place(*at);
                let to = (from + length).min(bytes.len());
                let piece = bytes[from..to].to_vec();
                bytes.splice(from..from, piece);
            }
            Mutation::With(at, piece) => {
                let at = place(*at);
                bytes.splice(at..at, piece.bytes());
            }
            Mutation::Truncated(at) => bytes.truncate(place(*at)),
        }
    }
    bytes
}

/// What strangers may send: documents of both kinds after some mutations, as text.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    let start = prop_oneof![
        prop::sample::select(corpus()).prop_map(|(_, bytes)| bytes),
        document().prop_map(|written| written.text.into_bytes()),
        prop::collection::vec(any::<u8>(), 0..60),
    ];
    (start, prop::collection::vec(mutation(), 0..6))
        .prop_map(|(bytes, mutations)| String::from_utf8_lossy(&mutated(bytes, &mutations)).into_owned())
}

/// Documents that are made to cost much, each by name.
pub(crate) fn bombs() -> Vec<(&'static str, String)> {
    let inside = |content: &str| format!("<Response>{content}</Response>");
    let names = |count: usize| (0..count).map(|number| format!(" a{number}=''")).collect::<Vec<_>>().concat();
    let entity = |level: usize| format!("<!ENTITY l{level} \"{}\">", format!("&l{};", level - 1).repeat(10));
    let entities = (1..20).map(entity).collect::<Vec<_>>().concat();
    vec![
        ("entities", format!("<!DOCTYPE x [<!ENTITY l0 \"ha\">{entities}]><Response><Say>&l19;</Say></Response>")),
        (
            "a file",
            "<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><Response><Say>&f;</Say></Response>".to_owned(),
        ),
        ("an entity nobody defined", inside("<Say>&nbsp;</Say>")),
        ("an entity in an attribute", inside("<Say voice='&l9;'/>")),
        ("100,000 attributes", inside(&format!("<Say{}/>", names(100_000)))),
        ("6,000 attributes and the first again", inside(&format!("<Say{} a0=''/>", names(6_000)))),
        ("the same attribute again", inside("<Say a='1' a='2'/>")),
        (
            "10,000 levels",
            format!("{}{}", "<Response>".to_owned() + &"<a>".repeat(9_000), "</a>".repeat(9_000) + "</Response>"),
        ),
        ("levels without an end", "<Response>".to_owned() + &"<a>".repeat(20_000)),
        ("a comment without an end", inside(&format!("<!--{}", "-".repeat(60_000)))),
        ("CDATA without an end", inside(&format!("<![CDATA[{}", "]".repeat(60_000)))),
        ("a value without an end", inside(&format!("<Say voice=\"{}", "a='".repeat(20_000)))),
        ("more than 64 KiB", inside(&"x".repeat(64 * 1024))),
        ("megabytes", inside(&"<Say>x</Say>".repeat(1_000_000))),
    ]
}
