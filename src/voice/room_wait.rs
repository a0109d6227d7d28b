//! What is heard in a room that waits for its second participant, and by a leg on hold: the `wait_url` of the instruction
//! and the `HoldUrl` of the wish, asked by us (`spec/voice.md` 2.7, 3.12 and pitfalls 19 and 20).
//!
//! A phone system does not make a room whose document it cannot get, and does not begin a document again that has ended. So
//! the application's document leads back to us at its end, and ours stands in for one that cannot be had. Start with
//! [`answer`] and [`hold`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::alerts::Complaint;
use super::application::{Question, Said};
use super::document::Document;
use super::next::Context;
use super::proxy::Served;
use super::request::{self, Webhook};
use super::walk::{Part, Walk, edited};
use super::{State, cookies, twiml, xml};
use crate::calls::{HoldDocument, VoiceTask};
use crate::routing::TaskSid;

/// Verbs that take time in a room.
const HEARD: [&str; 3] = ["Play", "Say", "Pause"];
/// Silence of a document without any, so that it is not asked for without a pause.
const SILENCE: &str = "<Pause length=\"60\"/>";

/// `/voice/tasks/{WT}/room-wait`
pub(super) async fn answer(Shared(state): Shared<Arc<State>>, Path(task): Path<String>, request: Request) -> Response {
    let heard = |_: &Webhook, record: &VoiceTask| {
        let options = record.options.as_ref()?;
        let url = options.wait_url.clone().filter(|url| !url.is_empty())?;
        let by_get = options.wait_method.as_deref() == Some("GET");
        Some(Heard { what: "wait_url of the room", url, by_get, again: state.documents().room_wait_url(record.task) })
    };
    state.hear(&task, request, heard).await
}

/// `/voice/hold/{WT}`: what a leg on hold hears; `leg` of the query names one for which the application has a document.
pub(super) async fn hold(Shared(state): Shared<Arc<State>>, Path(task): Path<String>, request: Request) -> Response {
    let heard = |webhook: &Webhook, record: &VoiceTask| {
        let label = webhook.of_query("leg")?;
        let HoldDocument { url, by_get } = record.legs.iter().find(|leg| leg.label == label)?.hold_document.clone()?;
        let leg = utf8_percent_encode(label, NON_ALPHANUMERIC);
        let again = state.url(&format!("/voice/hold/{}?leg={leg}", record.task));
        Some(Heard { what: "HoldUrl", url, by_get, again })
    };
    state.hear(&task, request, heard).await
}

/// A document of the application's for somebody who waits.
struct Heard {
    what: &'static str,
    url: String,
    by_get: bool,
    /// Where the phone system asks for it again.
    again: String,
}

impl State {
    /// Answers with the application's document, or with ours when there is none or it cannot be had: somebody hears
    /// something whatever is known of the task.
    async fn hear(
        &self,
        task: &str,
        request: Request,
        heard: impl FnOnce(&Webhook, &VoiceTask) -> Option<Heard>,
    ) -> Response {
        let webhook = match request::read(self, request).await {
            Ok(webhook) => webhook,
            Err(refused) => return refused,
        };
        let ours = || self.answer(&Document::Hold);
        let Ok(task) = task.parse::<TaskSid>() else { return ours() };
        let Ok(Some(workspace)) = self.workspace_of(webhook.sender, task).await else { return ours() };
        let Ok(Some((_, record))) = self.voice_task(task).await else { return ours() };
        let Some(Heard { what, url, by_get, again }) = heard(&webhook, &record) else { return ours() };
        let method = if by_get { "GET" } else { "POST" };
        let extra = self.facts(&Context { webhook: &webhook, workspace, record: &record }).await;
        let question = Question { url: &url, method, webhook: &webhook, extra, workspace: Some(workspace) };
        match self.ask(&question).await {
            Ok(reply) => {
                let heard = match reply.said {
                    Said::Document(document) => {
                        let document = self.adopted(&question, Served::AsItself, document).await;
                        twiml(looping(&document, &url, &again, &HEARD))
                    }
                    Said::Audio => self.answer(&Document::Play { url: &url }),
                };
                cookies::set(heard, reply.cookies)
            }
            Err(failure) => {
                let complaint = Complaint::new(failure.code(), format!("{what}: {failure}"))
                    .in_workspace(workspace)
                    .about_task(task);
                self.complain(webhook.sender, complaint).await;
                ours()
            }
        }
    }
}

/// The document, leading to `again` at its end, unless it leads elsewhere by itself; a redirect to itself, which is to
/// `url` through us by now, leads to `again` too. One without any of the `timely` verbs gets a silence.
pub(super) fn looping(document: &str, url: &str, again: &str, timely: &[&str]) -> String {
    let again = xml::escape(again).0;
    let Ok(mut walk) = Walk::new(document) else { return document.to_owned() };
    let (mut is_heard, mut leads_on) = (false, false);
    // Content of the redirect that is being read: where it begins, and what it says.
    let mut redirect: Option<(usize, String)> = None;
    let mut edits: Vec<(usize, usize, String)> = Vec::new();
    while let Ok(Some(step)) = walk.step() {
        match step.part {
            Part::Open { element, depth: 0 } if element.is_empty => {
                let head = document.get(..step.to).unwrap_or_default().trim_end_matches("/>");
                return format!("{head}>{SILENCE}<Redirect method=\"POST\">{again}</Redirect></Response>");
            }
            Part::Open { element, depth: 1 } => {
                is_heard |= timely.contains(&element.name.as_str());
                if element.name == "Redirect" {
                    leads_on = true;
                    redirect = Some((step.to, String::new()));
                }
            }
            Part::Text(text) => {
                if let Some((_, target)) = &mut redirect {
                    target.push_str(&text);
                }
            }
            Part::Close { depth: 1 } => {
                if let Some((from, target)) = redirect.take()
                    && asks_for(&target, url)
                {
                    edits.push((from, step.from, again.clone()));
                }
            }
            Part::Close { depth: 0 } if !leads_on => {
                let pause = if is_heard { "" } else { SILENCE };
                edits.push((step.from, step.from, format!("{pause}<Redirect method=\"POST\">{again}</Redirect>")));
            }
            _ => {}
        }
    }
    edited(document, &edits)
}

/// Whether a URL of ours asks the application for `url`.
fn asks_for(ours: &str, url: &str) -> bool {
    let asked = url.split_once('#').map_or(url, |(url, _)| url);
    let same = |target: &str| Url::parse(target).ok() == Url::parse(asked).ok();
    Url::parse(ours.trim()).is_ok_and(|ours| ours.query_pairs().any(|(name, value)| name == "target" && same(&value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_leads_back_to_us_unless_it_leads_elsewhere() {
        let again = "https://r/voice/tasks/WT1/room-wait";
        let through = |url: &str| format!("https://r/voice/proxy?target={url}&amp;account=AC1&amp;mac=x");
        let back = format!("<Redirect method=\"POST\">{again}</Redirect></Response>");
        let itself = through("https%3A%2F%2Fapp%2Fwait%3Fx%3D1");
        let elsewhere = through("https%3A%2F%2Fapp%2Fother");
        for (given, expected) in [
            ("<Response><Say>x</Say></Response>".to_owned(), format!("<Response><Say>x</Say>{back}")),
            ("<Response/>".to_owned(), format!("<Response>{SILENCE}{back}")),
            ("<Response></Response>".to_owned(), format!("<Response>{SILENCE}{back}")),
            ("<Response><!-- x --><Dial>1</Dial></Response>".to_owned(), {
                format!("<Response><!-- x --><Dial>1</Dial>{SILENCE}{back}")
            }),
            (
                format!("<Response><Play>a</Play><Redirect method=\"GET\">{itself}</Redirect></Response>"),
                format!("<Response><Play>a</Play><Redirect method=\"GET\">{again}</Redirect></Response>"),
            ),
            (
                format!("<Response><Play>a</Play><Redirect>{elsewhere}</Redirect></Response>"),
                format!("<Response><Play>a</Play><Redirect>{elsewhere}</Redirect></Response>"),
            ),
        ] {
            assert_eq!(looping(&given, "https://app/wait?x=1#rc=2", again, &HEARD), expected, "{given}");
        }
    }
}
