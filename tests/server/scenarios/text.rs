//! The text of scenario files: scenarios, lines, words, and the values words stand for.
//!
//! Nothing here knows what a command means. Start with [`split`] and [`words`].

use std::collections::BTreeMap;

use switchhook::routing::TaskOrder;

/// One scenario: its title and its commands with their line numbers.
pub(super) struct Scenario {
    pub(super) title: String,
    pub(super) lines: Vec<Line>,
}

#[derive(Clone)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) text: String,
    /// Part of a `repeat`: only the quick checks follow it.
    pub(super) repeated: bool,
}

/// Cuts a file into scenarios; an indented line goes on with the command above it, or belongs to a `repeat`.
pub(super) fn split(text: &str) -> Vec<Scenario> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut given: Vec<Line> = Vec::new();
    let mut is_given = false;
    let mut repeat: Option<(usize, usize)> = None;
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("== ") {
            if let Some(lines) = written(&mut scenarios, &mut given, is_given) {
                write_out(lines, &mut repeat);
            }
            is_given = title.trim() == "given";
            if is_given {
                given.clear();
            } else {
                scenarios.push(Scenario { title: title.trim().to_owned(), lines: given.clone() });
            }
            continue;
        }
        let Some(lines) = written(&mut scenarios, &mut given, is_given) else { continue };
        let indented = line.starts_with(char::is_whitespace);
        if !indented {
            write_out(lines, &mut repeat);
        }
        match (lines.last_mut(), indented, repeat) {
            (Some(command), true, None) => {
                command.text.push(' ');
                command.text.push_str(line.trim());
            }
            _ => match line.strip_prefix("repeat ").and_then(|times| times.trim().parse().ok()) {
                Some(times) => repeat = Some((times, lines.len())),
                None => {
                    lines.push(Line { number: index + 1, text: line.trim().to_owned(), repeated: repeat.is_some() });
                }
            },
        }
    }
    if let Some(lines) = written(&mut scenarios, &mut given, is_given) {
        write_out(lines, &mut repeat);
    }
    scenarios
}

/// The lines that are being read: of the newest scenario, or those given for all that follow.
fn written<'a>(scenarios: &'a mut [Scenario], given: &'a mut Vec<Line>, is_given: bool) -> Option<&'a mut Vec<Line>> {
    if is_given { Some(given) } else { scenarios.last_mut().map(|scenario| &mut scenario.lines) }
}

/// Writes the body of a `repeat` as often as it says; `%` in it becomes the number of the round.
fn write_out(lines: &mut Vec<Line>, repeat: &mut Option<(usize, usize)>) {
    if let Some((times, from)) = repeat.take() {
        let body = lines.split_off(from);
        for round in 1..=times {
            let numbered = |line: &Line| Line { text: line.text.replace('%', &round.to_string()), ..line.clone() };
            lines.extend(body.iter().map(numbered));
        }
    }
}

/// One word of a command.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Plain(String),
    Quoted(String),
    Json(String),
    /// `key=value`
    Option(String, String),
}

impl Word {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Quoted(text) | Self::Json(text) | Self::Option(_, text) => text,
        }
    }
}

/// Cuts a command into words; texts in double quotes and `{…}` are one word each.
pub(super) fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let (text, after) = quoted_text(quoted)?;
            (Word::Quoted(text), after)
        } else if rest.starts_with('{') {
            let end = json_end(rest).ok_or_else(|| format!("the braces are not balanced: {rest}"))?;
            (Word::Json(rest[..end].to_owned()), &rest[end..])
        } else {
            let end = rest.find(|letter: char| letter.is_whitespace() || letter == '=').unwrap_or(rest.len());
            match rest[end..].strip_prefix('=') {
                None => (Word::Plain(rest[..end].to_owned()), &rest[end..]),
                Some(value) => {
                    let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
                        quoted_text(quoted)?
                    } else {
                        let value_end = value.find(char::is_whitespace).unwrap_or(value.len());
                        (value[..value_end].to_owned(), &value[value_end..])
                    };
                    (Word::Option(rest[..end].to_owned(), value), after)
                }
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

fn quoted_text(text: &str) -> Result<(String, &str), String> {
    let end = text.find('"').ok_or_else(|| format!("a quote is missing: {text}"))?;
    Ok((text[..end].to_owned(), &text[end + 1..]))
}

fn json_end(text: &str) -> Option<usize> {
    let (mut depth, mut in_text, mut escaped) = (0_u32, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            '{' | '[' if !in_text => depth += 1,
            '}' | ']' if !in_text => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Milliseconds of `30s`, `5m`, `24h`, `1d`, `500ms`; a leading minus is allowed.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    let at = text.find(|letter: char| letter.is_ascii_alphabetic()).ok_or_else(|| format!("{text} needs a unit"))?;
    let unit = match &text[at..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        other => return Err(format!("unknown unit {other}")),
    };
    let number: i64 = text[..at].parse().map_err(|_| format!("{text} is not a duration"))?;
    Ok(number * unit)
}

pub(super) fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text} is not a number that fits"))
}

pub(super) fn yes(text: &str) -> Result<bool, String> {
    match text {
        "yes" | "on" => Ok(true),
        "no" | "off" => Ok(false),
        _ => Err(format!("expected yes or no, got {text}")),
    }
}

pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let ms = if text.ends_with(char::is_alphabetic) { duration(text)? } else { number::<i64>(text)? * 1000 };
    u32::try_from(ms / 1000).map_err(|_| format!("{text} does not fit"))
}

/// Attributes as written, or some of `chars=…` characters.
pub(super) fn attributes(args: &mut Args) -> Result<Option<String>, String> {
    let Some(chars) = args.parsed("chars", number::<usize>)? else { return Ok(args.take_json()) };
    let frame = r#"{"a":""}"#.len();
    let filling = chars.checked_sub(frame).ok_or("that is too short for attributes")?;
    Ok(Some(format!(r#"{{"a":"{}"}}"#, "x".repeat(filling))))
}

/// The words of one command, taken from the front; options by name.
pub(super) struct Args {
    pub(super) words: Vec<Word>,
    pub(super) options: BTreeMap<String, String>,
}

impl Args {
    pub(super) fn new(words: &[Word]) -> Self {
        let mut args = Self { words: Vec::new(), options: BTreeMap::new() };
        for word in words {
            match word {
                Word::Option(key, value) => {
                    args.options.insert(key.clone(), value.clone());
                }
                other => args.words.push(other.clone()),
            }
        }
        args.words.reverse();
        args
    }

    pub(super) fn next(&mut self, what: &str) -> Result<String, String> {
        self.words.pop().map(|word| word.text().to_owned()).ok_or_else(|| format!("{what} is missing"))
    }

    pub(super) fn take_json(&mut self) -> Option<String> {
        self.take_where(|word| matches!(word, Word::Json(_)))
    }

    pub(super) fn take_quoted(&mut self) -> Option<String> {
        self.take_where(|word| matches!(word, Word::Quoted(_)))
    }

    pub(super) fn take_flag(&mut self, flag: &str) -> bool {
        self.take_where(|word| *word == Word::Plain(flag.to_owned())).is_some()
    }

    fn take_where(&mut self, wanted: impl Fn(&Word) -> bool) -> Option<String> {
        let at = self.words.iter().rposition(wanted)?;
        Some(self.words.remove(at).text().to_owned())
    }

    pub(super) fn option(&mut self, key: &str) -> Option<String> {
        self.options.remove(key)
    }

    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        self.option(key).map(|text| read(&text)).transpose()
    }

    pub(super) fn order(&mut self) -> Option<TaskOrder> {
        match (self.take_flag("lifo"), self.take_flag("fifo")) {
            (true, _) => Some(TaskOrder::Lifo),
            (_, true) => Some(TaskOrder::Fifo),
            _ => None,
        }
    }

    /// Complains about words nobody asked for.
    pub(super) fn done(self) -> Result<(), String> {
        match (self.words.last(), self.options.keys().next()) {
            (None, None) => Ok(()),
            (Some(word), _) => Err(format!("what is {word:?}?")),
            (_, Some(key)) => Err(format!("what is {key}=?")),
        }
    }
}
