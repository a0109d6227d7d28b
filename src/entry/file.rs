//! Calendars and entry points in a file, for those who keep their configuration under version control.
//!
//! Reads and checks; what is wrong is named with its place in the file. Start with [`EntryFile::parse`].

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Calendar, CalendarDocument, EntryPoint, Exception, Fallback, FallbackAction, TEXT_LIMIT};
use crate::routing::{WorkflowSid, WorkspaceSid};

/// Longest name, in characters.
const NAME_LIMIT: usize = 64;
/// Longest attributes, in characters (TaskRouter: Limits).
const ATTRIBUTES_LIMIT: usize = 4_096;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryFile {
    /// In the order of the file.
    #[serde(default)]
    pub calendars: Vec<FiledCalendar>,
    /// In the order of the file.
    #[serde(default)]
    pub entry_points: Vec<FiledEntryPoint>,
}

/// A calendar of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FiledCalendar {
    /// Whose it is.
    pub workspace: WorkspaceSid,
    /// Its name, by which it is found again.
    pub friendly_name: String,
    /// As in a [`CalendarDocument`].
    pub time_zone: String,
    /// As in a [`CalendarDocument`].
    #[serde(default)]
    pub hours: std::collections::BTreeMap<String, Vec<String>>,
    /// As in a [`CalendarDocument`].
    #[serde(default)]
    pub exceptions: Vec<Exception>,
}

/// An entry point of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FiledEntryPoint {
    /// Whose it is.
    pub workspace: WorkspaceSid,
    /// Its name, by which it is found again.
    pub friendly_name: String,
    /// What callers are enqueued with.
    pub workflow: WorkflowSid,
    /// Attributes of their tasks.
    #[serde(default)]
    pub attributes: Map<String, Value>,
    /// Priority of their tasks.
    pub priority: Option<u32>,
    /// Time to live of their tasks, in seconds.
    pub timeout: Option<u32>,
    /// Said to callers.
    pub greeting: Option<String>,
    /// Played to callers.
    pub greeting_url: Option<String>,
    /// Name of a calendar of the same workspace in the file.
    pub calendar: Option<String>,
    /// While the calendar is closed.
    #[serde(default)]
    pub closed: Fallback,
    /// When the queue is full or nobody took the call.
    #[serde(default)]
    pub overflow: Fallback,
    /// Workflow of voicemails.
    pub voicemail_workflow: Option<WorkflowSid>,
}

impl EntryFile {
    /// Reads and checks the text of the file; the error names the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string().trim().to_owned())?;
        let file: Self = serde_path_to_error::deserialize(toml::Value::Table(table))
            .map_err(|error| format!("{}: {}", error.path(), error.inner().message()))?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), String> {
        let mut calendars = BTreeSet::new();
        for (index, calendar) in self.calendars.iter().enumerate() {
            let wrong = |what: String| Err(format!("calendars[{index}].{what}"));
            if let Err(reason) = checked_name(&calendar.friendly_name) {
                return wrong(format!("friendly_name: {reason}"));
            }
            if let Err(error) = Calendar::read(&calendar.document()) {
                return Err(format!("calendars[{index}] ({}): {error}", calendar.friendly_name));
            }
            if !calendars.insert((calendar.workspace, calendar.friendly_name.as_str())) {
                return wrong("friendly_name: there is another calendar of this name".to_owned());
            }
        }
        let mut names = BTreeSet::new();
        for (index, point) in self.entry_points.iter().enumerate() {
            let wrong = |what: &str, reason: &str| Err(format!("entry_points[{index}].{what}: {reason}"));
            if let Err(reason) = checked_name(&point.friendly_name) {
                return wrong("friendly_name", reason);
            }
            if !names.insert((point.workspace, point.friendly_name.as_str())) {
                return wrong("friendly_name", "there is another entry point of this name");
            }
            if let Some(calendar) = &point.calendar
                && !calendars.contains(&(point.workspace, calendar.as_str()))
            {
                return wrong("calendar", "expected the friendly_name of a calendar of this workspace in the file");
            }
            if point.priority.is_some_and(|priority| i32::try_from(priority).is_err()) {
                return wrong("priority", "expected 0 to 2147483647");
            }
            if point.timeout.is_some_and(|timeout| !(1..=1_209_600).contains(&timeout)) {
                return wrong("timeout", "expected 1 to 1209600 seconds");
            }
            if Value::Object(point.attributes.clone()).to_string().chars().count() > ATTRIBUTES_LIMIT {
                return wrong("attributes", "expected at most 4096 characters of JSON");
            }
            let url = point.greeting_url.as_deref().map(url::Url::parse);
            if url.is_some_and(|url| !url.is_ok_and(|url| matches!(url.scheme(), "http" | "https"))) {
                return wrong("greeting_url", "expected an http or https URL");
            }
            let texts = [
                ("greeting", &point.greeting),
                ("closed.text", &point.closed.text),
                ("overflow.text", &point.overflow.text),
            ];
            for (key, text) in texts {
                if text.as_ref().is_some_and(|text| text.chars().count() > TEXT_LIMIT) {
                    return wrong(key, "expected at most 1000 characters");
                }
            }
            for (key, fallback) in [("closed.number", &point.closed), ("overflow.number", &point.overflow)] {
                let number = fallback.number.as_deref().unwrap_or_default().trim();
                if fallback.action == FallbackAction::Dial && number.is_empty() {
                    return wrong(key, "expected a number to dial");
                }
            }
        }
        Ok(())
    }

    /// Whom the file would have dialled, and by which key.
    pub fn numbers(&self) -> impl Iterator<Item = (String, &str)> {
        self.entry_points.iter().enumerate().flat_map(|(index, point)| {
            [("closed", &point.closed), ("overflow", &point.overflow)].into_iter().filter_map(move |(key, fallback)| {
                Some((format!("entry_points[{index}].{key}.number"), fallback.number.as_deref()?))
            })
        })
    }
}

fn checked_name(name: &str) -> Result<(), &'static str> {
    let fits = !name.trim().is_empty() && name.chars().count() <= NAME_LIMIT;
    if fits { Ok(()) } else { Err("expected 1 to 64 characters") }
}

impl FiledCalendar {
    /// As it is stored.
    #[must_use]
    pub fn document(&self) -> CalendarDocument {
        CalendarDocument {
            time_zone: self.time_zone.clone(),
            hours: self.hours.clone(),
            exceptions: self.exceptions.clone(),
        }
    }
}

impl FiledEntryPoint {
    /// As it is stored; `calendar` is the SID of the calendar that it names.
    #[must_use]
    pub fn document(&self, calendar: Option<String>) -> EntryPoint {
        EntryPoint {
            workflow: self.workflow.to_string(),
            attributes: Value::Object(self.attributes.clone()).to_string(),
            priority: self.priority.and_then(|priority| i32::try_from(priority).ok()),
            timeout_secs: self.timeout,
            greeting: self.greeting.clone(),
            greeting_url: self.greeting_url.clone(),
            calendar,
            closed: self.closed.clone(),
            overflow: self.overflow.clone(),
            voicemail_workflow: self.voicemail_workflow.map(|workflow| workflow.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"
        [[calendars]]
        workspace = "WS00000000000000000000000000000001"
        friendly_name = "Office"
        time_zone = "Europe/Berlin"
        hours = { mon = ["09:00-17:00"] }
        exceptions = [{ date = "2026-12-25" }]

        [[entry_points]]
        workspace = "WS00000000000000000000000000000001"
        workflow = "WW00000000000000000000000000000001"
        friendly_name = "Sales"
        calendar = "Office"
        attributes = { type = "sales", level = 3 }
    "#;

    #[test]
    fn a_file_is_read() {
        let file =
            EntryFile::parse(&format!("{START}\noverflow = {{ action = \"dial\", number = \"client:x\" }}")).unwrap();
        assert_eq!(file.calendars[0].document().time_zone, "Europe/Berlin");
        let document = file.entry_points[0].document(Some("CL1".to_owned()));
        assert_eq!(document.attributes, r#"{"level":3,"type":"sales"}"#);
        assert_eq!((document.calendar.as_deref(), document.closed), (Some("CL1"), Fallback::default()));
        let numbers: Vec<_> = file.numbers().collect();
        assert_eq!(numbers, [("entry_points[0].overflow.number".to_owned(), "client:x")]);
        assert_eq!(EntryFile::parse(""), Ok(EntryFile::default()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_key() {
        for (line, words) in [
            ("priority = -1", "entry_points[0].priority: "),
            ("greetings = 'Hi'", "entry_points[0].greetings: unknown field"),
            ("timeout = 0", "entry_points[0].timeout: expected 1 to 1209600 seconds"),
            ("greeting_url = 'ftp://x'", "entry_points[0].greeting_url: expected an http"),
            ("closed = { action = 'dial' }", "entry_points[0].closed.number: expected a number"),
            ("closed = { action = 'sing' }", "entry_points[0].closed.action: unknown variant"),
            ("[[entry_points]]", "entry_points[1]: missing field `workspace`"),
            ("[[calendars]]\nworkspace = 'WS1'", "calendars[1].workspace: not a SID that begins with WS"),
            ("x = [", "TOML parse error"),
        ] {
            let error = EntryFile::parse(&format!("{START}\n{line}")).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
        let error = EntryFile::parse(&START.replace("calendar = \"Office\"", "calendar = \"Shop\"")).unwrap_err();
        assert!(error.starts_with("entry_points[0].calendar: "), "{error}");
        let error = EntryFile::parse(&START.replace("09:00", "9:00")).unwrap_err();
        assert!(error.starts_with("calendars[0] (Office): mon: expected hours"), "{error}");
    }
}
