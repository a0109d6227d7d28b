//! What a caller hears before the worker: the document of `url` of `<Dial><Queue reservationSid>` (`spec/voice.md` 2.5).
//!
//! Its verbs come before the room in the caller's join document, so that the caller gets there whatever the application
//! says. Start with [`State::whispered`].

use super::State;
use super::alerts::{Complaint, SCHEMA_WARNING};
use super::application::{Question, Said};
use super::next::Context;
use super::proxy::Served;
use super::walk::{Part, Problem, Walk, trimmed};
use super::xml;
use crate::calls::{Role, Whisper};

/// Verbs that a caller may hear before the room.
const HEARD: [&str; 3] = ["Play", "Say", "Pause"];

impl State {
    /// The verbs that the caller hears, and cookies; none when the application does not answer as it should, which leaves an
    /// alert.
    pub(super) async fn whispered(&self, context: &Context<'_>, whisper: &Whisper) -> (String, Vec<String>) {
        let record = context.record;
        let mut workers = record.legs.iter().filter(|leg| leg.role == Role::Worker && leg.is_live());
        let mut extra = self.facts(context).await;
        extra.extend(workers.next_back().and_then(|leg| leg.call.clone()).map(|call| {
            // Twilio's spelling.
            ("DequeingCallSid".to_owned(), call.0)
        }));
        let method = if whisper.by_get { "GET" } else { "POST" };
        let (webhook, workspace) = (context.webhook, Some(context.workspace));
        let question = Question { url: &whisper.url, method, webhook, extra, workspace };
        let (said, cookies) = match self.ask(&question).await {
            Ok(reply) => (Ok(reply.said), reply.cookies),
            Err(failure) => (Err(failure), Vec::new()),
        };
        let complaint = match said {
            Ok(Said::Audio) => return (format!("<Play>{}</Play>", xml::escape(&whisper.url).0), cookies),
            Ok(Said::Document(document)) => match heard(&self.adopted(&question, Served::AsItself, document).await) {
                Ok((verbs, others)) if others.is_empty() => return (verbs, cookies),
                Ok((verbs, others)) => {
                    let message =
                        format!("before the room a caller hears Play, Say and Pause, not {}", others.join(", "));
                    let complaint = Complaint::new(SCHEMA_WARNING, format!("url of Queue: {message}"));
                    self.complain(webhook.sender, complaint.in_workspace(context.workspace).about_task(record.task))
                        .await;
                    return (verbs, cookies);
                }
                Err(problem) => Complaint::new(problem.code(), format!("url of Queue: {problem}")),
            },
            Err(failure) => Complaint::new(failure.code(), format!("url of Queue: {failure}")),
        };
        self.complain(webhook.sender, complaint.in_workspace(context.workspace).about_task(record.task)).await;
        (String::new(), cookies)
    }
}

/// The verbs of a document that may be heard, as they were written, and the names of the others.
fn heard(text: &str) -> Result<(String, Vec<String>), Problem> {
    let text = trimmed(text);
    let mut walk = Walk::new(text)?;
    let (mut verbs, mut others) = (String::new(), Vec::new());
    let mut open: Option<usize> = None;
    while let Some(step) = walk.step()? {
        match step.part {
            Part::Open { element, depth: 1 } if HEARD.contains(&element.name.as_str()) => open = Some(step.from),
            Part::Open { element, depth: 1 } => others.push(element.name),
            Part::Close { depth: 1 } => {
                if let Some(from) = open.take() {
                    verbs.push_str(text.get(from..step.to).unwrap_or_default());
                }
            }
            _ => {}
        }
    }
    Ok((verbs, others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_heard_is_kept_as_it_was_written() {
        let text = "<?xml version=\"1.0\"?><Response> <Say voice='a'>You &amp; I</Say><Pause/>\n<Redirect>/x</Redirect>\
            <Play loop=\"2\">https://app/a.mp3</Play><Hangup/></Response>";
        let (verbs, others) = heard(text).unwrap();
        assert_eq!(verbs, "<Say voice='a'>You &amp; I</Say><Pause/><Play loop=\"2\">https://app/a.mp3</Play>");
        assert_eq!(others, ["Redirect", "Hangup"]);
        assert!(heard("<Response><Say>").is_err());
        assert!(heard("<Say>x</Say>").is_err());
    }
}
