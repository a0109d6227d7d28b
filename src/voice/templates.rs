//! TwiML templates: compiled in, replaceable file by file by a directory, always escaped.
//!
//! Callers control much of what is put into a document (numbers, names), so every value is escaped whatever the
//! template says, characters that XML 1.0 has no place for are dropped, and a template may use only what is defined.
//! Each template is rendered when it is loaded: a broken one, or one whose structure a value could change, is an error
//! that names the file (`quality.md` 2.6). Start with [`Templates::load`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value, context};

use super::document::{Document, NAMES, Samples};
use super::xml;

/// The compiled-in text of each template.
const BUILT_IN: [(&str, &str); NAMES.len()] = [
    ("park.xml", include_str!("../../twiml-templates/park.xml")),
    ("wait.xml", include_str!("../../twiml-templates/wait.xml")),
    ("join_customer.xml", include_str!("../../twiml-templates/join_customer.xml")),
    ("join_worker.xml", include_str!("../../twiml-templates/join_worker.xml")),
    ("play.xml", include_str!("../../twiml-templates/play.xml")),
    ("busy.xml", include_str!("../../twiml-templates/busy.xml")),
    ("verbs_first.xml", include_str!("../../twiml-templates/verbs_first.xml")),
    ("redirect.xml", include_str!("../../twiml-templates/redirect.xml")),
    ("unavailable.xml", include_str!("../../twiml-templates/unavailable.xml")),
    ("error.xml", include_str!("../../twiml-templates/error.xml")),
    ("worker_unavailable.xml", include_str!("../../twiml-templates/worker_unavailable.xml")),
    ("empty.xml", include_str!("../../twiml-templates/empty.xml")),
    ("silence.xml", include_str!("../../twiml-templates/silence.xml")),
    ("play_once.xml", include_str!("../../twiml-templates/play_once.xml")),
    ("hold.xml", include_str!("../../twiml-templates/hold.xml")),
    ("leave.xml", include_str!("../../twiml-templates/leave.xml")),
    ("voicemail.xml", include_str!("../../twiml-templates/voicemail.xml")),
    ("voicemail_done.xml", include_str!("../../twiml-templates/voicemail_done.xml")),
    ("callback_offer.xml", include_str!("../../twiml-templates/callback_offer.xml")),
    ("callback_done.xml", include_str!("../../twiml-templates/callback_done.xml")),
    ("callback_refused.xml", include_str!("../../twiml-templates/callback_refused.xml")),
    ("entry.xml", include_str!("../../twiml-templates/entry.xml")),
    ("apology.xml", include_str!("../../twiml-templates/apology.xml")),
    ("forward.xml", include_str!("../../twiml-templates/forward.xml")),
    ("park_loop.xml", include_str!("../../twiml-templates/park_loop.xml")),
    ("dial_worker.xml", include_str!("../../twiml-templates/dial_worker.xml")),
    ("worker_whisper.xml", include_str!("../../twiml-templates/worker_whisper.xml")),
];
/// Placeholders of URLs that a call goes on with.
const GOES_ON: [&str; 8] =
    ["action", "wait_url", "left_url", "url", "confirm_url", "done_url", "take_url", "choice_url"];
/// Values that would break out of a careless placeholder.
const HOSTILE: &str = "a b=c\"d'e></Response><Dial>&amp;<!--]]>\u{0}";
/// What a call gets if a template that passed all checks fails after all.
const LAST_RESORT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response/>";

/// A template that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the TwiML template {path}: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The directory is not one.
    #[error("the directory of TwiML templates {0} does not exist")]
    NoDirectory(PathBuf),
    /// It does not compile or uses a name that is not defined.
    #[error("the TwiML template {name} is broken: {reason}")]
    Broken {
        /// File name.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// All templates, ready to render.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    insistence: Option<Insistence>,
}

/// How the phone system is told to ask URLs of ours again.
#[derive(Debug)]
struct Insistence {
    /// What they begin with.
    ours: String,
    /// What is added to them.
    words: &'static str,
}

impl Insistence {
    /// What is ours and leads to an application again is not among them: how often that is asked is for its fragment to
    /// say.
    fn asks_again(&self, url: &str) -> Option<String> {
        let path = url.strip_prefix(&self.ours)?;
        let is_plain = !path.starts_with("proxy") && !path.contains('#');
        is_plain.then(|| format!("{url}{}", self.words))
    }
}

impl Templates {
    /// Loads the compiled-in templates; a file of the same name in `directory` takes the place of one.
    pub fn load(directory: Option<&Path>) -> Result<Self, Error> {
        if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
            return Err(Error::NoDirectory(directory.to_owned()));
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Custom("xml".into()));
        environment.set_formatter(|output, _, value| write_escaped(output, value).map(drop));
        // Values come in as text and leave as escaped text; nothing may say otherwise.
        for filter in ["safe", "escape", "e"] {
            environment.remove_filter(filter);
        }
        for (name, built_in) in BUILT_IN {
            let source = match directory.map(|directory| directory.join(name)).filter(|path| path.exists()) {
                Some(path) => std::fs::read_to_string(&path).map_err(|source| Error::Unreadable { path, source })?,
                None => built_in.to_owned(),
            };
            // Nothing may stand before the XML declaration.
            let source = source.trim_start_matches('\u{feff}').trim().to_owned();
            environment
                .add_template_owned(name, source)
                .map_err(|error| Error::Broken { name, reason: reason_of(&error) })?;
        }
        let mut templates = Self { environment, insistence: None };
        templates.check()?;
        // Only what callers sent is counted, not what the check tries.
        templates.environment.set_formatter(write_and_count);
        Ok(templates)
    }

    /// The same, whose documents have `words` (Twilio: connection overrides) on the URLs of ours below `public_url` that a
    /// call goes on with, and on the one that is told of a caller's message: while we start again, nobody is lost.
    #[must_use]
    pub fn insisting(mut self, public_url: &str, words: &'static str) -> Self {
        let ours = format!("{}/voice/", public_url.trim_end_matches('/'));
        self.insistence = (!words.is_empty()).then_some(Insistence { ours, words });
        self
    }

    /// Renders a document.
    pub(super) fn render(&self, document: &Document<'_>) -> String {
        self.try_render(document).unwrap_or_else(|error| {
            tracing::error!(template = document.name(), error = reason_of(&error), "cannot render a TwiML template");
            LAST_RESORT.to_owned()
        })
    }

    fn try_render(&self, document: &Document<'_>) -> Result<String, minijinja::Error> {
        self.environment.get_template(document.name())?.render(self.context(document))
    }

    fn context(&self, document: &Document<'_>) -> Value {
        let context = document.context();
        let Some(insistence) = &self.insistence else { return context };
        let message = matches!(document, Document::Voicemail(_)).then_some("callback_url");
        let urls: BTreeMap<&str, String> = GOES_ON
            .into_iter()
            .chain(message)
            .filter_map(|name| Some((name, insistence.asks_again(context.get_attr(name).ok()?.as_str()?)?)))
            .collect();
        context! { ..urls, ..context }
    }

    fn check(&self) -> Result<(), Error> {
        let (plain, hostile) = (Samples::of("text"), Samples::of(HOSTILE));
        let hostile = Document::samples(HOSTILE, &hostile);
        for (plain, hostile) in Document::samples("text", &plain).iter().zip(&hostile) {
            let outline = |document: &Document<'_>| {
                let rendered = self.try_render(document).map_err(|error| reason_of(&error))?;
                xml::outline(&rendered)
            };
            let broken = |reason: String| Error::Broken { name: plain.name(), reason };
            let expected = outline(plain).map_err(broken)?;
            if expected.first().map(String::as_str) != Some("1 Response") {
                return Err(broken("expected the root element to be Response".to_owned()));
            }
            let actual = outline(hostile)
                .map_err(|reason| broken(format!("a placeholder stands outside text and quoted values: {reason}")))?;
            if actual != expected {
                return Err(broken("a placeholder can change the structure of the document".to_owned()));
            }
        }
        Ok(())
    }
}

/// Message and line of a template error, without the source text around it.
fn reason_of(error: &minijinja::Error) -> String {
    error.line().map_or_else(|| error.to_string(), |line| format!("{error}, line {line}"))
}

fn write_and_count(output: &mut Output, _: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    let dropped = write_escaped(output, value)?;
    if dropped > 0 {
        metrics::counter!("switchhook_twiml_characters_dropped_total").increment(dropped);
    }
    Ok(())
}

/// Writes a value and returns how many characters XML has no place for.
fn write_escaped(output: &mut Output, value: &Value) -> Result<u64, minijinja::Error> {
    let mut dropped = 0;
    let written = match value.kind() {
        ValueKind::Bool => output.write_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => output.write_str(&value.to_string()),
        ValueKind::String if value.is_safe() => output.write_str(value.as_str().unwrap_or_default()),
        ValueKind::String => {
            let escaped;
            (escaped, dropped) = xml::escape(value.as_str().unwrap_or_default());
            output.write_str(&escaped)
        }
        kind => {
            let reason = format!("expected a text, a number or a flag to write, found {kind}");
            return Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, reason));
        }
    };
    written.map_err(|_| minijinja::Error::new(minijinja::ErrorKind::WriteFailure, "cannot write a value"))?;
    Ok(dropped)
}

#[cfg(test)]
mod tests;
