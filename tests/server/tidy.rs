//! Rules about the code that the compiler does not check; each failure prints the rule and its reason.
//!
//! The rules are in [`LAYERS`] and in [`check_file`]; the tests at the end show each of them fail on a small input.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// A top-level module, and the modules of ours that it may use.
struct Layer {
    module: &'static str,
    may_use: &'static [&'static str],
    /// Crates that it must not use.
    banned_crates: &'static [&'static str],
    reason: &'static str,
}

const IO_CRATES: &[&str] = &[
    "tokio",
    "tokio_util",
    "tracing",
    "metrics",
    "sqlx",
    "rusqlite",
    "axum",
    "hyper",
    "hyper_util",
    "reqwest",
    "rand",
    "tower",
];
const NO_DATABASE: &[&str] = &["sqlx", "rusqlite"];
const NO_WEB: &[&str] = &["axum", "hyper", "hyper_util", "reqwest"];
const NO_WEB_NO_DATABASE: &[&str] = &["axum", "hyper", "hyper_util", "reqwest", "sqlx", "rusqlite"];

const LAYERS: &[Layer] = &[
    Layer {
        module: "routing",
        may_use: &[],
        banned_crates: IO_CRATES,
        reason: "the routing core is pure: it is told time and identifiers and knows nothing of ours",
    },
    Layer {
        module: "calls",
        may_use: &["routing"],
        banned_crates: IO_CRATES,
        reason: "the calls core is pure and builds on the routing types only",
    },
    Layer {
        module: "clock",
        may_use: &["routing"],
        banned_crates: NO_WEB_NO_DATABASE,
        reason: "the clock gives out the core's timestamps and identifiers and nothing else",
    },
    Layer { module: "signature", may_use: &[], banned_crates: IO_CRATES, reason: "signatures are a function of texts" },
    Layer {
        module: "sealing",
        may_use: &["clock"],
        banned_crates: NO_WEB_NO_DATABASE,
        reason: "sealing knows keys and texts, not where they are kept",
    },
    Layer {
        module: "credentials",
        may_use: &["routing", "store"],
        banned_crates: &["sqlx", "rusqlite", "reqwest"],
        reason: "credentials are compared with rows; what a login may do is for others",
    },
    Layer {
        module: "traces",
        may_use: &[],
        banned_crates: NO_DATABASE,
        reason: "traces know headers and spans, not what they are about",
    },
    Layer {
        module: "http",
        may_use: &["clock", "traces"],
        banned_crates: NO_DATABASE,
        reason: "the listener knows no routes",
    },
    Layer {
        module: "entry",
        may_use: &["routing"],
        banned_crates: IO_CRATES,
        reason: "what entry points and calendars say is plain values; rows, requests and TwiML are for others",
    },
    Layer {
        module: "config",
        may_use: &["calls", "entry", "http", "routing", "sealing"],
        banned_crates: IO_CRATES,
        reason: "settings are plain values; acting on them is for others",
    },
    Layer {
        module: "telemetry",
        may_use: &["config", "traces"],
        banned_crates: NO_WEB_NO_DATABASE,
        reason: "logs and metrics know only their settings",
    },
    Layer {
        module: "outbound",
        may_use: &["clock", "signature", "traces"],
        banned_crates: NO_DATABASE,
        reason: "requests to users' URLs do not know what the answer means",
    },
    Layer {
        module: "store",
        may_use: &["routing", "calls", "clock", "sealing"],
        banned_crates: NO_WEB,
        reason: "the store keeps rows: it decides nothing and calls nobody",
    },
    Layer {
        module: "phone",
        may_use: &["routing", "calls", "clock", "outbound", "traces"],
        banned_crates: NO_DATABASE,
        reason: "the client of the phone system carries out commands and reads no routing state",
    },
    Layer {
        module: "engine",
        may_use: &["routing", "calls", "entry", "store", "phone", "clock"],
        banned_crates: NO_WEB_NO_DATABASE,
        reason: "the engine drives the cores and must not know HTTP, TwiML or SQL",
    },
    Layer {
        module: "notify",
        may_use: &["routing", "engine", "clock", "outbound", "signature", "store"],
        banned_crates: &["sqlx", "rusqlite", "reqwest"],
        reason: "what leaves us about events is made from committed events and a workspace in memory",
    },
    Layer {
        module: "api",
        may_use: &[
            "notify",
            "routing",
            "calls",
            "store",
            "engine",
            "entry",
            "signature",
            "clock",
            "config",
            "credentials",
            "http",
        ],
        banned_crates: &["sqlx", "rusqlite", "reqwest"],
        reason: "the API turns requests into commands and reads; it changes no rows and calls nobody",
    },
    Layer {
        module: "voice",
        may_use: &[
            "routing",
            "calls",
            "store",
            "engine",
            "entry",
            "signature",
            "clock",
            "config",
            "credentials",
            "http",
            "outbound",
        ],
        banned_crates: NO_DATABASE,
        reason: "webhooks become commands; rules live in the cores, rows in the store",
    },
    Layer {
        module: "softswitch",
        may_use: &["clock", "signature", "http", "config"],
        banned_crates: NO_DATABASE,
        reason: "the phone system is a product part of its own and knows nothing of TaskRouter",
    },
    Layer {
        module: "server",
        may_use: &[
            "api",
            "calls",
            "clock",
            "config",
            "engine",
            "entry",
            "http",
            "notify",
            "outbound",
            "phone",
            "routing",
            "signature",
            "store",
            "telemetry",
            "voice",
        ],
        banned_crates: NO_DATABASE,
        reason: "the server is put together here; the demo, the command line and the phone system stand outside",
    },
    Layer {
        module: "demo",
        may_use: &[
            "api",
            "calls",
            "clock",
            "config",
            "engine",
            "entry",
            "http",
            "notify",
            "outbound",
            "phone",
            "routing",
            "server",
            "signature",
            "softswitch",
            "store",
            "telemetry",
            "voice",
        ],
        banned_crates: NO_DATABASE,
        reason: "the demo puts the parts together and is used by the command line only",
    },
    Layer {
        module: "cli",
        may_use: &[
            "api",
            "calls",
            "clock",
            "config",
            "demo",
            "engine",
            "entry",
            "http",
            "notify",
            "outbound",
            "phone",
            "routing",
            "sealing",
            "server",
            "signature",
            "softswitch",
            "store",
            "telemetry",
            "traces",
            "voice",
        ],
        banned_crates: NO_DATABASE,
        reason: "the command line puts the parts together; SQL stays in the store",
    },
];

/// Files longer than this hold more than one subject.
const LINES_MAX: usize = 1_000;

/// Modules whose results must not depend on the order of a hash.
const ORDERED: &[&str] = &["routing", "calls"];

/// Words that mean unfinished work. Spelled in halves, because this file is checked too.
const UNFINISHED: &[&str] = &[
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("dbg", "!("),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ign", "ore"),
];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    place: String,
    rule: String,
    reason: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} ({})", self.place, self.rule, self.reason)
    }
}

/// Checks one file; `path` is relative to the package.
fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |line: usize, rule: String, reason: &'static str| {
        findings.push(Finding { place: format!("{path}:{line}"), rule, reason });
    };
    for (number, line) in text.lines().enumerate() {
        for word in UNFINISHED {
            if line.contains(word) {
                find(number + 1, format!("`{word}`"), "work is finished or filed, not left in the code");
            }
        }
        for start in MACHINE_PATHS {
            if line.contains(start) {
                find(number + 1, format!("a path that begins with {start}"), "it exists on one machine only");
            }
        }
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        find(lines, format!("{lines} lines, at most {LINES_MAX}"), "a file has one subject");
    }
    if !is_rust(path) {
        return findings;
    }
    if !text.starts_with("//!") {
        find(1, "no `//!` header".to_owned(), "each module says what it is for and where to start");
    }
    let Some(layer) = module_of(path).and_then(|module| LAYERS.iter().find(|layer| layer.module == module)) else {
        return findings;
    };
    if is_test_file(path) {
        return findings;
    }
    let code = without_tests(&code_only(text));
    for used in uses(path, &code) {
        if used.module != layer.module && !layer.may_use.contains(&used.module.as_str()) {
            find(used.line, format!("`{}` must not use `{}`", layer.module, used.module), layer.reason);
        }
    }
    for (number, line) in code.lines().enumerate() {
        for name in layer.banned_crates {
            if mentions_crate(line, name) {
                find(number + 1, format!("`{}` must not use the crate `{name}`", layer.module), layer.reason);
            }
        }
        for name in ["HashMap", "HashSet"] {
            if ORDERED.contains(&layer.module) && has_word(line, name) {
                find(number + 1, format!("`{name}` in `{}`", layer.module), "its order differs from run to run");
            }
        }
    }
    findings
}

/// Top-level module of a file below `src/`; the crate's own roots have none.
fn module_of(path: &str) -> Option<String> {
    let path = path.strip_prefix("src/")?;
    let first = path.split('/').next()?;
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(module, "lib" | "main")).then(|| module.to_owned())
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "testing.rs") || part.ends_with("_tests.rs"))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    line: usize,
    module: String,
}

/// Every mention of a top-level module by `crate::…` or by as many `super::` as lead to the crate's root.
fn uses(path: &str, code: &str) -> Vec<Use> {
    let depth = depth_of(path);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if !at.checked_sub(1).is_some_and(|before| is_word_byte(code.as_bytes()[before])) {
            names_after(&code[at + "crate::".len()..], line_of(code, at), &mut found);
        }
    }
    let mut at = 0;
    while let Some(begin) = code[at..].find("super::") {
        let begin = at + begin;
        let mut end = begin;
        while code[end..].starts_with("super::") {
            end += "super::".len();
        }
        if (end - begin) / "super::".len() >= depth {
            let mut names = Vec::new();
            names_after(&code[end..], line_of(code, begin), &mut names);
            found.extend(names.into_iter().filter(|name| LAYERS.iter().any(|layer| layer.module == name.module)));
        }
        at = end;
    }
    found
}

/// How many `super::` lead from a file to the crate's root.
fn depth_of(path: &str) -> usize {
    let parts: Vec<&str> = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    parts.iter().filter(|part| **part != "mod").count()
}

/// Names what a path goes on with: one name, or the first names of a group in braces.
fn names_after(rest: &str, line: usize, found: &mut Vec<Use>) {
    let Some(group) = rest.strip_prefix('{') else {
        let module: String = rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
        if !module.is_empty() {
            found.push(Use { line, module });
        }
        return;
    };
    let mut level = 1;
    let mut name = String::new();
    let mut is_first = true;
    for letter in group.chars() {
        match letter {
            '{' => level += 1,
            '}' => level -= 1,
            _ => {}
        }
        if level == 1 && is_first && (letter.is_alphanumeric() || letter == '_') {
            name.push(letter);
        } else if !name.is_empty() {
            found.push(Use { line, module: std::mem::take(&mut name) });
            is_first = false;
        }
        if level == 1 && letter == ',' {
            is_first = true;
        }
        if level == 0 {
            return;
        }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether `word` stands alone somewhere in `line`.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let bytes = line.as_bytes();
        let before = at.checked_sub(1).is_some_and(|before| is_word_byte(bytes[before]));
        let after = bytes.get(at + word.len()).is_some_and(|after| is_word_byte(*after));
        !before && !after
    })
}

/// Whether `line` uses the crate: `use name`, or a path that begins with `name::`.
fn mentions_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].trim_end();
        let starts_a_path = !line[..at].ends_with("::") && !line[..at].bytes().last().is_some_and(is_word_byte);
        let rest = &line[at + name.len()..];
        starts_a_path && (rest.starts_with("::") || (before.ends_with("use") && rest.starts_with([';', ' '])))
    })
}

/// The text with comments and literals blanked out; lines stay where they are.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = vec![b' '; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => at + text[at..].find('\n').unwrap_or(text.len() - at),
            b'/' if bytes[at..].starts_with(b"/*") => end_of_block_comment(bytes, at),
            b'"' => end_of_string(bytes, at),
            b'r' if !at.checked_sub(1).is_some_and(|before| is_word_byte(bytes[before])) => {
                end_of_raw_string(text, at).unwrap_or(at)
            }
            b'\'' => end_of_character(text, at),
            _ => at,
        };
        if end == at {
            code[at] = bytes[at];
            at += 1;
        } else {
            at = end;
        }
    }
    for (place, byte) in code.iter_mut().zip(bytes) {
        if *byte == b'\n' {
            *place = b'\n';
        } else if !place.is_ascii() {
            *place = b' ';
        }
    }
    String::from_utf8(code).expect("only ASCII is left")
}

fn end_of_block_comment(bytes: &[u8], start: usize) -> usize {
    let mut level = 0;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            level += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            level -= 1;
            at += 2;
            if level == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_raw_string(text: &str, start: usize) -> Option<usize> {
    let rest = &text[start + 1..];
    let hashes = rest.bytes().take_while(|byte| *byte == b'#').count();
    if !rest[hashes..].starts_with('"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let body = start + 1 + hashes + 1;
    Some(text[body..].find(&close).map_or(text.len(), |end| body + end + close.len()))
}

/// End of a character literal, or `start` for a lifetime.
fn end_of_character(text: &str, start: usize) -> usize {
    let mut letters = text[start + 1..].char_indices();
    match letters.next() {
        Some((_, '\\')) => text[start + 3..].find('\'').map_or(start, |end| start + 3 + end + 1),
        Some((_, letter)) if text[start + 1 + letter.len_utf8()..].starts_with('\'') => start + 2 + letter.len_utf8(),
        _ => start,
    }
}

/// The code before a module of tests at the end of the file.
fn without_tests(code: &str) -> String {
    let end = code.match_indices("#[cfg(test)]").find(|(at, mark)| {
        let next = code[at + mark.len()..].trim_start();
        next.starts_with("mod ") && next.lines().next().is_some_and(|line| line.trim_end().ends_with('{'))
    });
    end.map_or(code, |(at, _)| &code[..at]).to_owned()
}

/// A cycle among the modules, as a list that begins and ends with the same one.
fn cycle(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(
        module: &str,
        graph: &BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(begin) = path.iter().position(|other| other == module) {
            let mut cycle = path[begin..].to_vec();
            cycle.push(module.to_owned());
            return Some(cycle);
        }
        if !done.insert(module.to_owned()) {
            return None;
        }
        path.push(module.to_owned());
        let found = graph.get(module).into_iter().flatten().find_map(|next| visit(next, graph, path, done));
        path.pop();
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|module| visit(module, graph, &mut Vec::new(), &mut done))
}

/// Files to check below `place`, relative to the package, in order.
fn files_below(root: &Path, place: &str, found: &mut Vec<PathBuf>) {
    let path = root.join(place);
    if path.is_file() {
        found.push(PathBuf::from(place));
        return;
    }
    let Ok(entries) = std::fs::read_dir(&path) else { return };
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    for name in names {
        files_below(root, &format!("{place}/{name}"), found);
    }
}

fn package() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for place in [
        "src",
        "tests",
        "benches",
        "migrations",
        "twiml-templates",
        "docs",
        ".ci",
        "Cargo.toml",
        "Makefile",
        "README.md",
    ] {
        files_below(root, place, &mut files);
    }
    let read = |file: PathBuf| Some((file.to_str()?.to_owned(), std::fs::read_to_string(root.join(&file)).ok()?));
    files.into_iter().filter_map(read).collect()
}

#[test]
fn the_code_keeps_its_rules() {
    let files = package();
    assert!(files.len() > 50, "the package's files were not found");
    let findings: Vec<String> =
        files.iter().flat_map(|(path, text)| check_file(path, text)).map(|finding| finding.to_string()).collect();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn the_modules_have_no_cycle() {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in package() {
        let Some(module) = module_of(&path).filter(|_| is_rust(&path) && !is_test_file(&path)) else { continue };
        let used = uses(&path, &without_tests(&code_only(&text))).into_iter().map(|used| used.module);
        let used = used.filter(|used| *used != module && LAYERS.iter().any(|layer| layer.module == used));
        graph.entry(module.clone()).or_default().extend(used);
    }
    assert_eq!(cycle(&graph), None, "modules that use each other in a circle cannot be understood one by one");
}

/// Where a known defect may stand: in what decides, which the simulation drives.
const DEFECTIVE: &[&str] = &["src/routing/", "src/calls/", "src/engine/cores.rs"];

#[test]
fn known_defects_are_in_the_cores_only_and_never_in_the_server() {
    let files = package();
    let place = "src/routing/defect.rs";
    let (_, listed) = files.iter().find(|(path, _)| path == place).expect("the list of defects is there");
    let mut used = BTreeSet::new();
    for (path, text) in files.iter().filter(|(path, _)| is_rust(path) && path != place && path.starts_with("src/")) {
        for (at, mark) in text.match_indices("defect!(") {
            let name: String = text[at + mark.len()..].chars().take_while(|letter| letter.is_alphanumeric()).collect();
            assert!(DEFECTIVE.iter().any(|place| path.starts_with(place)), "{path} must not have the defect {name}");
            assert!(listed.contains(&format!("        {name},\n")), "{place} does not list {name} of {path}");
            used.insert(name);
        }
    }
    assert!(used.len() >= 15, "only {} defects are left", used.len());
    let listed = listed.lines().filter(|line| line.starts_with("        ") && line.trim_end().ends_with(','));
    let listed = listed.filter(|line| line.trim().chars().all(|letter| letter.is_alphanumeric() || letter == ','));
    for name in listed.map(|line| line.trim().trim_end_matches(',')) {
        assert!(used.contains(name), "{place} lists {name}, which stands nowhere");
    }
    let manifest = |path: &str| files.iter().find(|(other, _)| other == path).map_or("", |(_, text)| text.as_str());
    let feature = |path: &str| manifest(path).lines().any(|line| line.starts_with("seeded-defects ="));
    assert!(!feature("Cargo.toml"), "the server must not be buildable with the known defects");
    assert!(feature("tests/simulation/Cargo.toml"), "the simulation can switch the known defects on");
    let default = manifest("tests/simulation/Cargo.toml").lines().find(|line| line.starts_with("default"));
    assert_eq!(default, None, "no known defect is in the simulation unless it is asked for");
}

#[test]
fn every_top_level_module_has_its_rule() {
    let library = include_str!("../../src/lib.rs");
    let declared = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let declared: Vec<&str> = declared.collect();
    assert!(declared.len() >= LAYERS.len() - 1);
    for module in declared {
        assert!(LAYERS.iter().any(|layer| layer.module == module), "tidy has no rule for the module {module}");
    }
}

fn check(path: &str, text: &str, expected: &[&str]) {
    let findings: Vec<String> = check_file(path, text).iter().map(|finding| finding.rule.clone()).collect();
    assert_eq!(findings, expected, "{path}: {text}");
}

#[test]
fn a_forbidden_import_is_found_in_every_form() {
    let rule = "`routing` must not use `store`";
    check("src/routing/task.rs", "//! T.\nuse crate::store::Store;\n", &[rule]);
    check(
        "src/routing/task.rs",
        "//! T.\nuse crate::{clock_free::A, store::{Store, rows}};\n",
        &["`routing` must not use `clock_free`", rule],
    );
    check("src/routing/task.rs", "//! T.\nfn f() { crate::store::open() }\n", &[rule]);
    check("src/routing/task.rs", "//! T.\nuse super::super::store::Store;\n", &[rule]);
    check("src/routing/mod.rs", "//! T.\nuse super::store::Store;\n", &[rule]);
    check("src/routing/task.rs", "//! T.\nuse super::store::Thing;\nuse crate::routing::sid;\n", &[]);
    check("src/routing/task.rs", "//! T.\n// crate::store is not used\nconst A: &str = \"crate::store\";\n", &[]);
    check("src/routing/task.rs", "//! T.\n#[cfg(test)]\nmod tests {\n    use crate::store::Store;\n}\n", &[]);
    check("src/api/tasks.rs", "//! T.\nuse crate::engine::Engine;\nuse crate::store::Store;\n", &[]);
    check("src/softswitch/rest.rs", "//! T.\nuse crate::routing::TaskSid;\n", &["`softswitch` must not use `routing`"]);
}

#[test]
fn a_crate_in_the_wrong_layer_is_found() {
    check("src/calls/leg.rs", "//! T.\nuse tokio::time::sleep;\n", &["`calls` must not use the crate `tokio`"]);
    check(
        "src/calls/leg.rs",
        "//! T.\nfn f() { tracing::info!(\"x\") }\n",
        &["`calls` must not use the crate `tracing`"],
    );
    check("src/api/tasks.rs", "//! T.\nuse sqlx::Row as _;\n", &["`api` must not use the crate `sqlx`"]);
    check("src/store/rows.rs", "//! T.\nuse sqlx::Row as _;\n", &[]);
    check("src/routing/task.rs", "//! T.\nuse std::collections::HashMap;\n", &["`HashMap` in `routing`"]);
    check("src/engine/actor.rs", "//! T.\nuse std::collections::HashMap;\n", &[]);
}

#[test]
fn headers_leftovers_paths_and_length_are_checked() {
    check("src/clock.rs", "use std::fmt;\n", &["no `//!` header"]);
    let unfinished = format!("//! T.\n// {}: later\n", UNFINISHED[1]);
    check("src/clock.rs", &unfinished, &[&format!("`{}`", UNFINISHED[1])]);
    let debugging = format!("//! T.\nfn f() {{ {}1); }}\n", UNFINISHED[2]);
    check("tests/x/main.rs", &debugging, &[&format!("`{}`", UNFINISHED[2])]);
    let path = format!("see {}me\n", MACHINE_PATHS[0]);
    check("docs/a.md", &path, &[&format!("a path that begins with {}", MACHINE_PATHS[0])]);
    let long = format!("//! T.\n{}", "fn f() {}\n".repeat(LINES_MAX));
    check("src/clock.rs", &long, &["1001 lines, at most 1000"]);
}

#[test]
fn a_cycle_is_named() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    };
    assert_eq!(cycle(&graph(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
    let found = cycle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap();
    assert_eq!(found, ["b", "c", "b"]);
}

#[test]
fn literals_and_comments_are_blanked_and_lines_kept() {
    let code = code_only("a /* x /* y */\n z */ b \"c \\\" d\" 'e' r#\"f\" g\"# 'h: \u{e9}\n// i\nj '\\''k");
    assert_eq!(code.lines().count(), 4);
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(words, ["a", "b", "'h:", "j", "k"]);
}
