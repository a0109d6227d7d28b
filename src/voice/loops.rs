//! Waiting where the phone system has no queues: a document that leads back to us at its end, again and again
//! (`spec/voice.md` 2.8, P3).
//!
//! Such a phone system has no `<Leave>` either, and may have no `<Pause>`: it ends a call whose document has a verb that it
//! does not know (Somleng does). So what is ours is written without both; an application's document that a caller does not
//! wait by stays what it is. Start with [`State::loops`].

use axum::response::Response;

use super::document::Document;
use super::room_wait::looping;
use super::walk::{Element, Part, Walk, edited};
use super::{State, twiml, xml};
use crate::calls::QueueResult;
use crate::routing::TaskSid;

/// Verbs that take time for a caller who waits.
const HEARD: [&str; 5] = ["Play", "Say", "Pause", "Gather", "Record"];
/// Seconds of a `<Pause>` that does not say how long it is.
const PAUSE_SECS: u32 = 1;
/// Longest silence of a document at once, in seconds.
const PAUSE_SECS_MAX: u32 = 600;

impl State {
    /// The document of a caller who waits, as it leads back to us where there are no queues; none when it cannot be read.
    pub(super) fn loops(&self, task: TaskSid, document: String) -> Option<Response> {
        if self.means.queues {
            return Some(twiml(document));
        }
        let (again, left) = (self.url(&format!("/voice/tasks/{task}/wait")), self.leave_url(task));
        looped(&document, &again, &left).map(twiml)
    }

    /// An audio file for a caller who waits, once: at its end we are asked again, and the application with us.
    pub(super) fn plays(&self, task: TaskSid, url: &str) -> Response {
        let document = Document::PlayOnce { url };
        let text = self.templates.render(&document);
        self.loops(task, text).unwrap_or_else(|| self.answer(&document))
    }

    /// The caller leaves the queue; what comes next is asked for then.
    pub(super) fn leaves(&self, task: TaskSid) -> Response {
        if self.means.queues {
            return self.answer(&Document::Leave);
        }
        self.answer(&Document::Redirect { url: &self.leave_url(task) })
    }

    /// Where a caller goes on who leaves the queue.
    fn leave_url(&self, task: TaskSid) -> String {
        self.url(&format!("/voice/tasks/{task}/left?QueueResult={}", QueueResult::Leave.as_str()))
    }
}

/// The document, leading to `again` at its end, and to `left` instead of leaving the queue.
fn looped(document: &str, again: &str, left: &str) -> Option<String> {
    let mut edits: Vec<(usize, usize, String)> = Vec::new();
    let mut walk = Walk::new(document).ok()?;
    let mut leaves_at = None;
    while let Some(step) = walk.step().ok()? {
        match step.part {
            Part::Open { element, depth: 1 } if element.name == "Leave" => leaves_at = Some(step.from),
            Part::Close { depth: 1 } => {
                let redirect = || format!("<Redirect method=\"POST\">{}</Redirect>", xml::escape(left).0);
                edits.extend(leaves_at.take().map(|from| (from, step.to, redirect())));
            }
            _ => {}
        }
    }
    let leading_on = edited(document, &edits);
    pauseless(&looping(&leading_on, again, again, &HEARD), Some(again))
}

/// The document with time to press a key instead of each `<Pause>`; a key leads to `action`, or to the same document.
pub(super) fn pauseless(document: &str, action: Option<&str>) -> Option<String> {
    let mut edits: Vec<(usize, usize, String)> = Vec::new();
    let mut walk = Walk::new(document).ok()?;
    let mut pause: Option<(usize, u32)> = None;
    // The question that is being read: how it begins, where, and how long its pauses are.
    let mut gather: Option<(Element, usize, usize, u32)> = None;
    while let Some(step) = walk.step().ok()? {
        match step.part {
            Part::Open { element, depth: 1 | 2 } if element.name == "Pause" => {
                let secs = element.get("length").and_then(|secs| secs.trim().parse().ok()).unwrap_or(PAUSE_SECS);
                pause = Some((step.from, secs.min(PAUSE_SECS_MAX)));
            }
            Part::Open { element, depth: 1 } if element.name == "Gather" => {
                gather = Some((element, step.from, step.to, 0));
            }
            Part::Close { depth: depth @ (1 | 2) } => {
                if let Some((from, secs)) = pause.take() {
                    let quiet = match &mut gather {
                        Some((.., paused)) if depth == 2 => {
                            *paused = PAUSE_SECS_MAX.min(*paused + secs);
                            String::new()
                        }
                        _ => waiting_for_key(secs, action),
                    };
                    edits.push((from, step.to, quiet));
                } else if depth == 1
                    && let Some((element, from, to, secs @ 1..)) = gather.take()
                {
                    let once_more = asked_again(document.get(from..to)?, from, &element, secs);
                    edits.push((step.to, step.to, once_more));
                }
            }
            _ => {}
        }
    }
    Some(edited(document, &edits))
}

fn waiting_for_key(secs: u32, action: Option<&str>) -> String {
    let action = action.map(|url| format!(" action=\"{}\" method=\"POST\"", xml::escape(url).0)).unwrap_or_default();
    format!("<Gather input=\"dtmf\" numDigits=\"1\" timeout=\"{secs}\"{action}></Gather>")
}

/// The begin of a question once more, with so many seconds to answer it and nothing to hear.
fn asked_again(begin: &str, from: usize, element: &Element, secs: u32) -> String {
    let mut begin = begin.to_owned();
    match element.attributes.iter().find(|attribute| attribute.name == "timeout") {
        Some(timeout) => begin.replace_range(timeout.from - from..timeout.to - from, &secs.to_string()),
        None => begin.insert_str("<Gather".len(), &format!(" timeout=\"{secs}\"")),
    }
    format!("{begin}</Gather>")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: &str = "https://r/wait?a=1&b=2";

    fn of_wait(given: &str) -> Option<String> {
        looped(given, AGAIN, "https://r/left?QueueResult=leave")
    }

    #[test]
    fn a_wait_document_leads_back_and_knows_neither_pause_nor_leave() {
        let back = "<Redirect method=\"POST\">https://r/wait?a=1&amp;b=2</Redirect></Response>";
        let quiet = |secs: u32| {
            format!(
                "<Gather input=\"dtmf\" numDigits=\"1\" timeout=\"{secs}\" action=\"https://r/wait?a=1&amp;b=2\" \
                 method=\"POST\"></Gather>"
            )
        };
        for (given, expected) in [
            ("<Response><Say>x</Say></Response>".to_owned(), format!("<Response><Say>x</Say>{back}")),
            ("<Response/>".to_owned(), format!("<Response>{}{back}", quiet(60))),
            ("<Response><Pause length=\"60\"/></Response>".to_owned(), format!("<Response>{}{back}", quiet(60))),
            (
                "<Response><Say>x</Say><Pause length=\"5\"></Pause><Play>y</Play></Response>".to_owned(),
                format!("<Response><Say>x</Say>{}<Play>y</Play>{back}", quiet(5)),
            ),
            ("<Response><Pause/></Response>".to_owned(), format!("<Response>{}{back}", quiet(1))),
            (
                "<Response><Say>x</Say><Leave/></Response>".to_owned(),
                "<Response><Say>x</Say><Redirect method=\"POST\">https://r/left?QueueResult=leave</Redirect></Response>"
                    .to_owned(),
            ),
            (
                "<Response><Gather action=\"https://r/choice\" timeout=\"1\"><Say>x</Say><Pause length=\"20\"/></Gather>\
                 </Response>"
                    .to_owned(),
                format!(
                    "<Response><Gather action=\"https://r/choice\" timeout=\"1\"><Say>x</Say></Gather>\
                     <Gather action=\"https://r/choice\" timeout=\"20\"></Gather>{back}"
                ),
            ),
            (
                "<Response><Gather><Pause length=\"2\"/><Pause/></Gather></Response>".to_owned(),
                format!("<Response><Gather></Gather><Gather timeout=\"3\"></Gather>{back}"),
            ),
        ] {
            assert_eq!(of_wait(&given).as_deref(), Some(expected.as_str()), "{given}");
        }
    }

    #[test]
    fn a_document_that_cannot_be_read_is_none() {
        assert_eq!(of_wait("<Response><Say>x</Response>"), None);
        assert_eq!(of_wait("not TwiML"), None);
    }

    #[test]
    fn a_pause_of_ours_is_time_to_press_a_key() {
        let busy = "<Response><Pause length=\"2\"/><Redirect method=\"POST\">https://r/again</Redirect></Response>";
        let expected = "<Response><Gather input=\"dtmf\" numDigits=\"1\" timeout=\"2\"></Gather>\
                        <Redirect method=\"POST\">https://r/again</Redirect></Response>";
        assert_eq!(pauseless(busy, None).as_deref(), Some(expected));
    }
}
