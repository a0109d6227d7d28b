//! How phone systems word what Twilio words otherwise: paths, parameters, codes of refusals.
//!
//! Plain data that the client reads, so that nothing else has to know which phone system it is; what one can do at all is
//! in [`Abilities`](super::Abilities). Start with [`Wording`].

use serde_json::Value;

use super::transport::segment;

/// The words of one phone system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// What its paths begin with, before `/Accounts`.
    pub root: &'static str,
    /// What they end with.
    pub suffix: &'static str,
    /// Parameter with the document of a call that is moved.
    pub document: &'static str,
    /// Parameter with the method for the `Url` of a new call; one that is moved has `Method`.
    pub new_call_method: &'static str,
    /// Several events are one parameter with spaces in between, not one each.
    pub joins_events: bool,
    /// Events of conferences that it knows; whatever is asked for when empty.
    pub room_events: &'static [&'static str],
    /// Longest time that it lets a leg ring, in seconds.
    pub ring_secs_max: u32,
    /// Its participants show their labels; otherwise each is asked for by its label.
    pub shows_labels: bool,
    /// Added to a URL that is to be asked more often than once, after any failure (Twilio: connection overrides).
    pub insist: &'static str,
    /// Its codes that have one of Twilio's, and that code.
    pub codes: &'static [(i32, i32)],
    /// The application there that new calls are made for.
    pub application: Option<String>,
}

impl Default for Wording {
    /// Twilio's own.
    fn default() -> Self {
        Self {
            root: "2010-04-01",
            suffix: ".json",
            document: "Twiml",
            new_call_method: "Method",
            joins_events: false,
            room_events: &[],
            ring_secs_max: 600,
            shows_labels: true,
            insist: "#rc=5&rp=all",
            codes: &[],
            application: None,
        }
    }
}

impl Wording {
    /// Telnyx's (`TeXML`), for calls of one of its `TeXML` applications.
    #[must_use]
    pub fn telnyx(application: Option<String>) -> Self {
        Self {
            root: "v2/texml",
            suffix: "",
            document: "Texml",
            new_call_method: "UrlMethod",
            joins_events: true,
            room_events: &["start", "end", "join", "leave"],
            ring_secs_max: 120,
            shows_labels: false,
            insist: "",
            // Not found, authentication failed, too many requests; the call has ended.
            codes: &[(10005, 20404), (10009, 20003), (10011, 20429), (90018, 21220)],
            application,
        }
    }

    /// Where everything of an account is, at the phone system with this base URL.
    #[must_use]
    pub fn account(&self, url: &str, account: &str) -> String {
        format!("{}/{}/Accounts/{}", url.trim_end_matches('/'), self.root, segment(account))
    }

    /// The form of a new call or participant in these words.
    pub(super) fn of_new_leg(&self, form: Vec<(String, String)>) -> Vec<(String, String)> {
        let mut worded: Vec<(String, String)> = Vec::with_capacity(form.len() + 1);
        for (name, value) in form {
            match name.as_str() {
                "Method" => worded.push((self.new_call_method.to_owned(), value)),
                "Timeout" => {
                    let secs = value.parse().unwrap_or(self.ring_secs_max).min(self.ring_secs_max);
                    worded.push((name, secs.to_string()));
                }
                "ConferenceStatusCallbackEvent" if !self.knows(&value) => {}
                "StatusCallbackEvent" | "ConferenceStatusCallbackEvent" if self.joins_events => {
                    match worded.iter_mut().find(|(given, _)| *given == name) {
                        Some((_, events)) => *events = format!("{events} {value}"),
                        None => worded.push((name, value)),
                    }
                }
                _ => worded.push((name, value)),
            }
        }
        worded.extend(self.application.iter().map(|sid| ("ApplicationSid".to_owned(), sid.clone())));
        worded
    }

    fn knows(&self, event: &str) -> bool {
        self.room_events.is_empty() || self.room_events.contains(&event)
    }

    /// Code and message of a refusal: `code` and `message`, or the first of `errors` with `code`, `title` and `detail`.
    pub(super) fn refusal(&self, answer: &Value) -> (Option<i32>, Option<String>) {
        let first = answer.get("errors").and_then(|errors| errors.get(0));
        let code = first.unwrap_or(answer).get("code").and_then(|code| match code {
            Value::Number(number) => number.as_i64().and_then(|code| i32::try_from(code).ok()),
            Value::String(text) => text.parse().ok(),
            _ => None,
        });
        let twilios = |code| self.codes.iter().find(|(theirs, _)| *theirs == code).map_or(code, |(_, ours)| *ours);
        let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = match first {
            None => text(answer, "message"),
            // Whoever reads the alert may want to look up the code that was really given.
            Some(error) => {
                let said = [text(error, "title"), text(error, "detail"), code.map(|code| format!("({code})"))];
                let said: Vec<String> = said.into_iter().flatten().collect();
                (!said.is_empty()).then(|| said.join(" "))
            }
        };
        (code.map(twilios), message)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::phone::form::pairs;

    #[test]
    fn a_form_of_twilios_stays_as_it_is() {
        let form = pairs(&[
            ("Method", "POST"),
            ("Timeout", "600"),
            ("StatusCallbackEvent", "answered"),
            ("StatusCallbackEvent", "completed"),
            ("ConferenceStatusCallbackEvent", "hold"),
        ]);
        assert_eq!(Wording::default().of_new_leg(form.clone()), form);
    }

    #[test]
    fn a_form_of_telnyxs_has_its_words() {
        let form = pairs(&[
            ("To", "+15550001"),
            ("Timeout", "600"),
            ("Method", "POST"),
            ("StatusCallbackEvent", "answered"),
            ("ConferenceStatusCallbackEvent", "join"),
            ("StatusCallbackEvent", "completed"),
            ("ConferenceStatusCallbackEvent", "hold"),
            ("ConferenceStatusCallbackEvent", "leave"),
        ]);
        let expected = pairs(&[
            ("To", "+15550001"),
            ("Timeout", "120"),
            ("UrlMethod", "POST"),
            ("StatusCallbackEvent", "answered completed"),
            ("ConferenceStatusCallbackEvent", "join leave"),
            ("ApplicationSid", "2570131338"),
        ]);
        assert_eq!(Wording::telnyx(Some("2570131338".to_owned())).of_new_leg(form), expected);
        let short = pairs(&[("Timeout", "20")]);
        assert_eq!(Wording::telnyx(None).of_new_leg(short.clone()), short);
    }

    #[test]
    fn refusals_are_read_in_both_forms_and_have_twilios_codes_where_there_are_any() {
        let telnyx = Wording::telnyx(None);
        let error = |code: Value| json!({ "errors": [{ "code": code, "title": "Gone", "detail": "Looked for it." }] });
        let said = |code: &str| Some(format!("Gone Looked for it. ({code})"));
        for (answer, expected) in [
            (error(json!("10005")), (Some(20404), said("10005"))),
            (error(json!(90018)), (Some(21220), said("90018"))),
            (error(json!("10015")), (Some(10015), said("10015"))),
            (json!({ "errors": [{ "title": "No" }] }), (None, Some("No".to_owned()))),
            (json!({ "errors": [] }), (None, None)),
            (json!({ "code": 21220, "message": "ended" }), (Some(21220), Some("ended".to_owned()))),
            (Value::Null, (None, None)),
        ] {
            assert_eq!(telnyx.refusal(&answer), expected, "{answer}");
        }
        // Elsewhere the number means something else.
        assert_eq!(Wording::default().refusal(&json!({ "code": 10005 })), (Some(10005), None));
    }
}
