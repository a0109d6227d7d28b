//! The examples of `docs/phone.md`, command by command, against a phone system and the documents that they name.

use std::collections::VecDeque;

use super::*;

const DOCUMENTATION: &str = include_str!("../../../../docs/phone.md");

/// The lines of all blocks of commands, continued lines joined.
fn lines() -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut inside = false;
    for line in DOCUMENTATION.lines() {
        match (inside, line) {
            (false, "```sh") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match lines.last_mut() {
                Some(last) if last.ends_with('\\') => {
                    last.pop();
                    last.push_str(line.trim_start());
                }
                _ => lines.push(line.to_owned()),
            },
            (false, _) => {}
        }
    }
    lines
}

/// The documents that are written by `cat > name <<'XML'`.
fn documents(lines: &[String]) -> BTreeMap<String, String> {
    let mut documents = BTreeMap::new();
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("cat > ").and_then(|rest| rest.strip_suffix(" <<'XML'")) {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "XML").map(String::as_str).collect();
            documents.insert(format!("/{name}"), text.join("\n"));
        }
    }
    documents
}

/// Words as a shell makes them: quotes are taken away, variables put in except inside single quotes.
fn words(line: &str, variables: &BTreeMap<String, String>) -> VecDeque<String> {
    let mut words = VecDeque::new();
    let (mut word, mut quote, mut begun) = (String::new(), None, false);
    let mut rest = line.chars().peekable();
    while let Some(next) = rest.next() {
        match (quote, next) {
            (None, '\'' | '"') => (quote, begun) = (Some(next), true),
            (Some(open), close) if open == close => quote = None,
            (Some('"'), '\\') => word.extend(rest.next()),
            (None | Some('"'), '$') => {
                let mut name = String::new();
                while let Some(letter) = rest.next_if(char::is_ascii_alphanumeric) {
                    name.push(letter);
                }
                word.push_str(variables.get(&name).unwrap_or_else(|| panic!("${name} in {line}")));
                begun = true;
            }
            (None, space) if space.is_whitespace() => {
                if std::mem::take(&mut begun) {
                    words.push_back(std::mem::take(&mut word));
                }
            }
            (_, letter) => {
                word.push(letter);
                begun = true;
            }
        }
    }
    if begun {
        words.push_back(word);
    }
    words
}

/// Does what `curl` would: returns status and JSON.
async fn curl(phone: &Softswitch, mut words: VecDeque<String>) -> (u16, Value) {
    assert_eq!(words.pop_front().as_deref(), Some("curl"));
    let (mut method, mut data, mut url, mut credentials) = (None, Vec::new(), String::new(), String::new());
    while let Some(word) = words.pop_front() {
        let mut value = || words.pop_front().unwrap();
        match word.as_str() {
            "-u" => credentials = format!("Basic {}", STANDARD.encode(value())),
            "-X" => method = Some(value()),
            "-d" => data.push(value().replace('+', "%2B")),
            "--data-urlencode" => {
                let value = value();
                let (name, text) = value.split_once('=').unwrap();
                data.push(serde_urlencoded::to_string([(name, text)]).unwrap());
            }
            _ => url = word,
        }
    }
    let is_json = data.first().is_some_and(|first| first.starts_with('{'));
    let body = if is_json { data.concat().replace("%2B", "+") } else { data.join("&") };
    let method = method.unwrap_or_else(|| if body.is_empty() { "GET" } else { "POST" }.to_owned());
    let path = url.strip_prefix("http://127.0.0.1:8090").unwrap().to_owned();
    send_as(phone, &method, &path, &body, Some(&credentials)).await
}

#[tokio::test]
async fn the_examples_do_what_they_say() {
    let lines = lines();
    let documents = documents(&lines);
    assert_eq!(documents.len(), 2);
    let app = App::start(move |path| match documents.get(path) {
        Some(text) => ([(CONTENT_TYPE, "application/xml")], text.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let mut variables = BTreeMap::new();
    let mut phone = None;
    let mut done = 0;
    for line in &lines {
        if let Some(all) = line.strip_prefix("export ") {
            for pair in all.split(' ') {
                let (name, value) = pair.split_once('=').unwrap();
                variables.insert(name.to_owned(), value.to_owned());
            }
            variables.insert("APP".to_owned(), app.base.clone());
            phone = Some(start(Options {
                account_sid: variables["SID"].clone(),
                auth_token: SecretString::from(variables["TOKEN"].clone()),
                ..options()
            }));
        }
        let (name, command) = match line.split_once("=$(") {
            Some((name, command)) => (Some(name), command.strip_suffix(')').unwrap()),
            None => (None, line.as_str()),
        };
        if !command.starts_with("curl") {
            continue;
        }
        let phone = phone.as_ref().unwrap();
        let (command, key) = command.split_once(" | jq -r ").unwrap_or((command, ""));
        let key = key.trim_matches('\'').replace('.', "/").replace("[0]", "/0");
        let answer = loop {
            let (status, answer) = curl(phone, words(command, &variables)).await;
            // Somebody who follows the examples waits until the leg is there and rings.
            let early = status == 409 || (status == 200 && name.is_some() && answer.pointer(&key).is_none());
            if !early {
                assert!((200..300).contains(&status), "{status} {answer}: {command}");
                break answer;
            }
            tokio::task::yield_now().await;
        };
        if let Some(name) = name {
            variables.insert(name.to_owned(), answer.pointer(&key).unwrap().as_str().unwrap().to_owned());
        }
        if command.contains("/control/events") {
            let events = answer["events"].as_array().unwrap();
            for kind in ["call.placed", "call.answered", "call.ringing", "call.connected", "dial.ended"] {
                assert!(events.iter().any(|event| event["kind"] == kind), "{kind}");
            }
        }
        done += 1;
    }
    assert!(done >= 18, "only {done} commands were found");
}
