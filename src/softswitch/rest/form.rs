//! Parameters of a request, as sent in a form or a query.
//!
//! Reads values into types and words what is wrong with them as Twilio does; knows no resource. Start with [`Form`].

use crate::softswitch::core::{Moment, Page, Refusal, Span};
use crate::softswitch::options::Method;
use crate::softswitch::time::filter_span;
use crate::softswitch::twiml::{StatusCallback, Target, event_names, resolve};

const PAGE_SIZE: usize = 50;
const PAGE_SIZE_MAX: usize = 1_000;

/// Name and value pairs in the order sent; empty values count as absent.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn read(text: &[u8]) -> Result<Self, Refusal> {
        serde_urlencoded::from_bytes(text).map(Self).map_err(|_| Refusal::bad(20001, "The form cannot be read"))
    }

    /// The same with the pairs that `words` makes of these.
    pub(super) fn reworded(
        self,
        words: impl FnOnce(Vec<(String, String)>) -> Result<Vec<(String, String)>, Refusal>,
    ) -> Result<Self, Refusal> {
        words(self.0).map(Self)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|value| !value.is_empty())
    }

    /// The value even when it is empty.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(super) fn required(&self, name: &str, code: u32) -> Result<String, Refusal> {
        self.owned(name).ok_or_else(|| Refusal::bad(code, format!("Missing required parameter {name}")))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.parsed(name, |text| text.to_ascii_lowercase().parse().ok(), "true or false")
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, Refusal> {
        self.parsed(name, |text| text.parse().ok(), "a whole number")
    }

    pub(super) fn parsed<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| Refusal::bad(20001, format!("{name} must be {expected}")))
    }

    /// A URL with its method; `default` is the method when none is given.
    pub(super) fn target(&self, url: &str, method: &str, default: Method) -> Result<Option<Target>, Refusal> {
        let method = self.parsed(method, Method::parse, "GET or POST")?.unwrap_or(default);
        let Some(text) = self.text(url) else { return Ok(None) };
        let resolved = resolve(None, text).map_err(|_| Refusal::bad(21205, format!("{url} is not a valid URL")))?;
        Ok(Some(Target { url: resolved, method }))
    }

    /// A status callback with the events named in `<prefix>Event`, or `default` without any.
    pub(super) fn status_callback(&self, prefix: &str, default: &[&str]) -> Result<Option<StatusCallback>, Refusal> {
        let Some(target) = self.target(prefix, &format!("{prefix}Method"), Method::Post)? else { return Ok(None) };
        let name = format!("{prefix}Event");
        let lists = self.0.iter().filter(|(given, _)| *given == name).map(|(_, value)| value.as_str());
        let mut events = event_names(lists);
        if events.is_empty() {
            events = event_names(default.iter().copied());
        }
        Ok(Some(StatusCallback { target, events }))
    }

    /// `name` is that day or second, `name<` and `name>` are open to one side.
    pub(super) fn span(&self, name: &str) -> Result<Span, Refusal> {
        let read = |name: &str| -> Result<Option<(Moment, Moment)>, Refusal> {
            self.parsed(name, filter_span, "a date (YYYY-MM-DD) or a moment (RFC 3339)")
        };
        let (exact, until, since) = (read(name)?, read(&format!("{name}<"))?, read(&format!("{name}>"))?);
        Ok(Span { from: since.or(exact).map(|(first, _)| first), to: until.or(exact).map(|(_, last)| last) })
    }

    pub(super) fn page(&self) -> Result<Page, Refusal> {
        let size = self.parsed("PageSize", |text| text.parse().ok(), "a whole number")?.unwrap_or(PAGE_SIZE);
        let number = self.parsed("Page", |text| text.parse().ok(), "a whole number")?.unwrap_or(0);
        Ok(Page { number, size: size.clamp(1, PAGE_SIZE_MAX) })
    }

    /// The parameters without those of paging, for the links of a list.
    pub(super) fn filters(&self) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "Page" | "PageSize" | "PageToken"))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }
}
