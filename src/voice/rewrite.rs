//! Makes an application's document one that any phone system can run, from wherever it is served (`spec/voice.md` 2.8,
//! R2 to R7).
//!
//! URLs become absolute. Those whose answers may hold further TwiML lead through us, and so do those that are told something,
//! which the phone system would sign with a token that the application does not know (4.5). `<Dial><Queue reservationSid>`
//! becomes a redirect to the document that takes the reservation: the first, and each further one when what follows the one
//! before is served. A `<Gather>` or `<Record>` without `action` gets one where our URL would be taken for the document's.
//! What grows beyond the size of a document is cut between two verbs, and the rest follows by a redirect. Every other byte
//! stays as it is, `<Enqueue workflowSid>` included, which `enqueue` carries out. Must not ask anybody for anything. Start
//! with [`rewrite`].

use url::Url;

use super::walk::{Attribute, Element, Part, Problem, SIZE_LIMIT, Step, Walk, trimmed};
use super::xml;

/// Attributes with a URL that is only told something.
const TOLD: [&str; 7] = [
    "statusCallback",
    "statusCallbackUrl",
    RECORDING_CALLBACK,
    "partialResultCallback",
    "transcribeCallback",
    "amdStatusCallback",
    "eventCallbackUrl",
];
/// Attributes with a URL whose answer is run.
const RUN: [&str; 3] = ["action", "waitUrl", "referUrl"];
/// Elements whose `url` is a document that is run.
const WITH_DOCUMENT: [&str; 6] = ["Number", "Client", "Sip", "Queue", "Application", "WhatsApp"];
/// Attributes of `<Dial>` that have an effect on a conference too, `action` and `method` aside (`spec/voice.md` 2.6).
pub(super) const DIAL_TO_ROOM: [&str; 8] = [
    "timeLimit",
    "hangupOnStar",
    "record",
    "trim",
    "recordingTrack",
    RECORDING_CALLBACK,
    "recordingStatusCallbackMethod",
    "recordingStatusCallbackEvent",
];
const RECORDING_CALLBACK: &str = "recordingStatusCallback";
/// Verbs whose missing or empty `action` means the document itself.
const ACT_ON_THEMSELVES: [&str; 2] = ["Gather", "Record"];

/// What the URLs of a document become.
pub(super) struct Links<'a> {
    /// `None` where they have been rewritten already, and stay.
    pub(super) urls: Option<Urls<'a>>,
    /// The URL of ours that takes a reservation.
    pub(super) taking: &'a dyn Fn(&Taking) -> String,
}

/// Room that is left in an answer for what is ours: a redirect with all that `<Enqueue>` says, or the way into the queue.
const OURS_MAX: usize = 5 * 1024;

/// Where a document came from, and where its URLs lead.
pub(super) struct Urls<'a> {
    /// The document's own URL; one that is not of the web where the document came without: what is relative then stays so.
    pub(super) base: &'a Url,
    /// The phone system gets the document from a URL that does not ask for it again.
    pub(super) is_elsewhere: bool,
    /// The URL of ours that asks an absolute URL of the application's.
    pub(super) through_us: &'a dyn Fn(&str) -> String,
    /// The URL of ours that passes on to an absolute URL of the application's what it is told.
    pub(super) told: &'a dyn Fn(&str) -> String,
    /// The URL of ours at which verbs follow, as they were written, that have no place in the answer.
    pub(super) rest: &'a dyn Fn(&str) -> String,
}

impl Urls<'_> {
    /// The document has a URL that can be asked again.
    fn is_web(&self) -> bool {
        matches!(self.base.scheme(), "http" | "https")
    }
}

/// `<Dial><Queue reservationSid>`: this call is to be connected with the reservation's caller.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Taking {
    pub(super) reservation: String,
    /// Where the call goes on afterwards; absolute.
    pub(super) action: Option<String>,
    pub(super) method: Option<String>,
    /// Attributes of `<Dial>` among [`DIAL_TO_ROOM`], as written, URLs aside: those lead through us.
    pub(super) dial: Vec<(String, String)>,
    pub(super) post_work_activity: Option<String>,
    /// What the caller hears before; absolute.
    pub(super) whisper_url: Option<String>,
    pub(super) whisper_method: Option<String>,
    /// The verbs after `<Dial>`, which run when there is no `action`.
    pub(super) rest: String,
}

/// A document that was rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rewritten {
    pub(super) text: String,
    /// There is an `<Enqueue workflowSid>` to carry out.
    pub(super) enqueues: bool,
}

/// Other bytes for a piece of the text.
struct Edit {
    from: usize,
    to: usize,
    text: String,
}

/// Rewrites a document; one that is not well-formed is left to the phone system (R7).
pub(super) fn rewrite(text: &str, links: &Links<'_>) -> Result<Rewritten, Problem> {
    let text = trimmed(text);
    let mut walk = Walk::new(text)?;
    let mut rewriting = Rewriting::new(text, links);
    while let Some(step) = walk.step()? {
        rewriting.take(step);
    }
    Ok(rewriting.finish())
}

/// An element whose content is a URL.
struct Body {
    depth: usize,
    from: usize,
    url: String,
    /// The answer is run: `<Redirect>`.
    is_run: bool,
}

/// A `<Dial>` that is being read.
struct Dial {
    from: usize,
    taking: Taking,
    /// The edit of its `action`, and what that is to be if the `<Dial>` takes a reservation: we ask it ourselves.
    action: Option<(usize, String)>,
}

struct Rewriting<'a> {
    text: &'a str,
    links: &'a Links<'a>,
    edits: Vec<Edit>,
    body: Option<Body>,
    dial: Option<Dial>,
    /// The first `<Dial>` that takes a reservation, and where it ends.
    taken: Option<(Dial, usize)>,
    content_ends_at: usize,
    /// Where the first `<Enqueue workflowSid>` stands.
    enqueue_at: Option<usize>,
    /// Where the verbs end.
    verb_ends: Vec<usize>,
}

impl<'a> Rewriting<'a> {
    fn new(text: &'a str, links: &'a Links<'a>) -> Self {
        Self {
            text,
            links,
            edits: Vec::new(),
            body: None,
            dial: None,
            taken: None,
            content_ends_at: text.len(),
            enqueue_at: None,
            verb_ends: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step.part {
            Part::Open { element, depth } => self.open(&element, depth, step.from, step.to),
            Part::Close { depth } => self.close(depth, step.from, step.to),
            Part::Text(text) => {
                if let Some(body) = &mut self.body {
                    body.url.push_str(&text);
                }
            }
            Part::Other => {}
        }
    }

    fn open(&mut self, element: &Element, depth: usize, from: usize, to: usize) {
        let enqueues = element.name == "Enqueue" && element.get("workflowSid").is_some();
        if enqueues && depth == 1 {
            self.enqueue_at.get_or_insert(from);
        }
        let takes = depth == 2 && self.dial.is_some() && reservation_of(element).is_some();
        let edits_before = self.edits.len();
        for attribute in &element.attributes {
            self.attribute(element, attribute, enqueues || takes);
        }
        match (depth, element.name.as_str()) {
            (1, name)
                if self.runs_elsewhere() && ACT_ON_THEMSELVES.contains(&name) && element.get("action").is_none() =>
            {
                let Some(url) = self.itself() else { return };
                let at = from + "<".len() + name.len();
                let text = format!(" action=\"{}\"", xml::escape(&url).0);
                self.edits.push(Edit { from: at, to: at, text });
            }
            (1, "Dial") => {
                let action = element.get("action").filter(|action| !action.is_empty());
                let taking = Taking {
                    action: action.map(|action| self.absolute(action)),
                    method: element.get("method").map(str::to_owned),
                    dial: self.to_room(element),
                    ..Taking::default()
                };
                let action = self.action_of_ours(element, edits_before);
                self.dial = Some(Dial { from, taking, action });
            }
            (2, "Queue") => self.queue(element),
            (_, "Redirect") if element.is_empty => {
                let Some(url) = self.itself() else { return };
                let text = format!(">{}</Redirect>", xml::escape(&url).0);
                self.edits.push(Edit { from: to.saturating_sub("/>".len()), to, text });
            }
            (_, "Redirect" | "Play") if !element.is_empty => {
                let is_run = element.name == "Redirect";
                self.body = Some(Body { depth, from: to, url: String::new(), is_run });
            }
            _ => {}
        }
    }

    /// The URL of ours that asks for the document itself; none where it came without, or may not be changed.
    fn itself(&self) -> Option<String> {
        let urls = self.links.urls.as_ref()?;
        urls.is_web().then(|| (urls.through_us)(urls.base.as_str()))
    }

    /// The edit of the `action` of `<Dial>`, and what stands there if we ask it.
    fn action_of_ours(&self, dial: &Element, edits_before: usize) -> Option<(usize, String)> {
        let action = dial.attributes.iter().find(|attribute| attribute.name == "action")?;
        let edits = self.edits.iter().enumerate().skip(edits_before);
        let (edit, _) = edits.into_iter().find(|(_, edit)| edit.from == action.from)?;
        let written = || self.text.get(action.from..action.to).unwrap_or_default().to_owned();
        Some((edit, self.here(&action.value).map_or_else(written, |url| xml::escape(&url).0)))
    }

    fn to_room(&self, dial: &Element) -> Vec<(String, String)> {
        let kept = dial.attributes.iter().filter(|attribute| DIAL_TO_ROOM.contains(&attribute.name.as_str()));
        let value = |attribute: &Attribute| match attribute.name.as_str() {
            RECORDING_CALLBACK if !attribute.value.trim().is_empty() => self.told(&attribute.value),
            _ => None,
        };
        kept.map(|kept| (kept.name.clone(), value(kept).unwrap_or_else(|| kept.value.clone()))).collect()
    }

    /// Whether the verb that is being read runs where the phone system takes another URL for the document's. Verbs after
    /// those that we carry out do, because our own URL hands them out.
    const fn runs_elsewhere(&self) -> bool {
        let is_elsewhere = match &self.links.urls {
            Some(urls) => urls.is_elsewhere,
            None => false,
        };
        is_elsewhere || self.enqueue_at.is_some() || self.taken.is_some()
    }

    fn queue(&mut self, element: &Element) {
        let Some(reservation) = reservation_of(element) else { return };
        let whisper_url = element.get("url").filter(|url| !url.is_empty()).map(|url| self.absolute(url));
        if let Some(dial) = &mut self.dial {
            if let Some((edit, text)) = dial.action.take()
                && let Some(edit) = self.edits.get_mut(edit)
            {
                edit.text = text;
            }
            reservation.clone_into(&mut dial.taking.reservation);
            dial.taking.post_work_activity = element.get("postWorkActivitySid").map(str::to_owned);
            dial.taking.whisper_url = whisper_url;
            dial.taking.whisper_method = element.get("method").map(str::to_owned);
        }
    }

    fn close(&mut self, depth: usize, from: usize, to: usize) {
        match depth {
            0 => self.content_ends_at = from,
            1 => {
                self.verb_ends.push(to);
                let dial = self.dial.take().filter(|dial| !dial.taking.reservation.is_empty());
                if self.taken.is_none() {
                    self.taken = dial.map(|dial| (dial, to));
                }
            }
            _ => {}
        }
        let Some(body) = self.body.take_if(|body| body.depth == depth) else { return };
        let url = body.url.trim();
        let new = if body.is_run {
            self.run(url)
        } else if url.is_empty() {
            None
        } else {
            self.here(url)
        };
        if let Some(new) = new {
            self.edits.push(Edit { from: body.from, to: from, text: xml::escape(&new).0 });
        }
    }

    fn attribute(&mut self, element: &Element, attribute: &Attribute, ours: bool) {
        let name = attribute.name.as_str();
        let is_document = name == "url" && WITH_DOCUMENT.contains(&element.name.as_str());
        let is_run = RUN.contains(&name) || is_document;
        if !is_run && !TOLD.contains(&name) {
            return;
        }
        // An empty URL means that there is none, but to some verbs the document itself.
        let is_itself = name == "action" && ACT_ON_THEMSELVES.contains(&element.name.as_str());
        let is_blank = attribute.value.is_empty() || (!is_run && attribute.value.trim().is_empty());
        if is_blank && !is_itself {
            return;
        }
        let new = match (is_run, ours) {
            (true, false) => self.run(&attribute.value),
            (true, true) => self.here(&attribute.value),
            (false, _) => self.told(&attribute.value),
        };
        if let Some(new) = new {
            self.edits.push(Edit { from: attribute.from, to: attribute.to, text: xml::escape(&new).0 });
        }
    }

    /// The URL by itself: absolute against the document's, `None` when it is no web address.
    fn resolved(&self, url: &str) -> Option<Url> {
        let url = url.trim();
        // A fragment holds settings of the connection, which the document's own URL keeps for itself.
        let base = self.links.urls.as_ref().map(|urls| {
            let mut base = urls.base.clone();
            base.set_fragment(None);
            base
        });
        let url = base.map_or_else(|| Url::parse(url), |base| base.join(url));
        url.ok().filter(|url| matches!(url.scheme(), "http" | "https"))
    }

    fn absolute(&self, url: &str) -> String {
        self.resolved(url).map_or_else(|| url.to_owned(), String::from)
    }

    /// What becomes of a URL whose answer is run; `None` leaves it.
    fn run(&self, url: &str) -> Option<String> {
        let urls = self.links.urls.as_ref()?;
        self.resolved(url).map(|url| (urls.through_us)(url.as_str()))
    }

    /// What becomes of a URL that is only told something; `None` leaves it.
    fn told(&self, url: &str) -> Option<String> {
        let urls = self.links.urls.as_ref()?;
        self.resolved(url).map(|url| (urls.told)(url.as_str()))
    }

    /// What becomes of a URL that stays the application's: a sound, or what we ask ourselves; `None` leaves it, byte for byte.
    fn here(&self, url: &str) -> Option<String> {
        if Url::parse(url.trim()).is_ok() {
            return None;
        }
        self.resolved(url).map(String::from)
    }

    fn finish(mut self) -> Rewritten {
        self.edits.sort_by_key(|edit| edit.from);
        let whole = self.whole();
        let parks_at = self.enqueue_at.filter(|_| whole.enqueues);
        let is_too_long = whole.text.len() > SIZE_LIMIT
            || parks_at.is_some_and(|at| self.spliced(0, at).len() > SIZE_LIMIT - OURS_MAX);
        let part = if is_too_long { self.first_part() } else { None };
        part.unwrap_or(whole)
    }

    /// The verbs that have a place in an answer, and a redirect to those that have none; `None` where it cannot be cut.
    fn first_part(&self) -> Option<Rewritten> {
        let urls = self.links.urls.as_ref().filter(|urls| urls.is_web())?;
        let after = self.text.get(self.content_ends_at..)?;
        let room = (SIZE_LIMIT - OURS_MAX).checked_sub(after.len())?;
        let mut edits = self.edits.iter().peekable();
        let (mut added, mut removed) = (0, 0);
        let mut cut = None;
        for end in &self.verb_ends {
            while let Some(edit) = edits.next_if(|edit| edit.to <= *end) {
                added += edit.text.len();
                removed += edit.to.saturating_sub(edit.from);
            }
            let is_reached = self.taken.as_ref().is_none_or(|(dial, _)| *end <= dial.from);
            if !is_reached || (*end + added).saturating_sub(removed) > room {
                break;
            }
            cut = Some(*end);
        }
        let cut = cut?;
        let rest = self.text.get(cut..self.content_ends_at)?.trim();
        let url = xml::escape(&(urls.rest)(rest)).0;
        let text = format!("{}<Redirect method=\"POST\">{url}</Redirect>{after}", self.spliced(0, cut));
        Some(Rewritten { text, enqueues: self.enqueue_at.is_some_and(|at| at < cut) })
    }

    fn whole(&self) -> Rewritten {
        let Some((dial, ends_at)) = &self.taken else {
            return Rewritten { text: self.spliced(0, self.text.len()), enqueues: self.enqueue_at.is_some() };
        };
        let mut taking = dial.taking.clone();
        self.spliced(*ends_at, self.content_ends_at).trim().clone_into(&mut taking.rest);
        let url = (self.links.taking)(&taking);
        let text = format!(
            "{}<Redirect method=\"POST\">{}</Redirect>{}",
            self.spliced(0, dial.from),
            xml::escape(&url).0,
            self.spliced(self.content_ends_at, self.text.len())
        );
        Rewritten { text, enqueues: self.enqueue_at.is_some_and(|at| at < dial.from) }
    }

    /// A piece of the text with the edits that lie in it.
    fn spliced(&self, from: usize, to: usize) -> String {
        let mut text = String::with_capacity(to.saturating_sub(from));
        let mut at = from;
        for edit in self.edits.iter().filter(|edit| edit.from >= from && edit.to <= to) {
            text.push_str(self.text.get(at..edit.from).unwrap_or_default());
            text.push_str(&edit.text);
            at = edit.to;
        }
        text.push_str(self.text.get(at..to).unwrap_or_default());
        text
    }
}

/// The reservation that a `<Queue>` names.
fn reservation_of(element: &Element) -> Option<&str> {
    element.get("reservationSid").filter(|_| element.name == "Queue")
}

#[cfg(test)]
mod tests;
