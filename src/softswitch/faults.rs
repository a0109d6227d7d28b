//! Faults on demand: requests of the REST API that are refused, slow or answered wrongly, callbacks that get lost, come twice,
//! late, or after those that were sent later, and documents that cannot be run, as if the phone system knew less.
//!
//! Orders are kept here and used up by the HTTP sides, `rest` and `sender`; the core knows nothing of them. Start with
//! [`Faults::order`].

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Orders that may wait at the same time.
const FAULTS_MAX: usize = 100;
const DELAY_MS_MAX: u32 = 60_000;

/// What a fault happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub(super) enum Side {
    /// Requests to Twilio's REST.
    #[default]
    Api,
    /// Status callbacks that the phone system sends.
    Callbacks,
    /// Documents that calls are to run, fetched or sent with a request.
    Documents,
}

/// What becomes of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    Lost,
    Twice,
    /// Those that come after it need not wait for it.
    OutOfOrder,
}

/// One order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    #[serde(default)]
    pub(super) of: Side,
    /// Only requests with this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<String>,
    /// Only requests whose path, callbacks whose URL, or documents whose text contains this text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) contains: String,
    /// How often it happens.
    #[serde(default = "once")]
    pub(super) times: u32,
    /// Requests it passes over before it begins.
    #[serde(default)]
    pub(super) skip: u32,
    /// It happens to each so-manieth request only.
    #[serde(default = "once")]
    pub(super) every: u32,
    /// How much later than otherwise.
    #[serde(default)]
    pub(super) delay_ms: u32,
    /// The answer's status; without it the request is only late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    /// The code in the answer; Twilio's for the status when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<u32>,
    /// The answer's `Retry-After`, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retry_after: Option<u32>,
    /// The request is carried out all the same, and only its answer is lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) carried_out: bool,
    /// Of a callback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fate: Option<Fate>,
}

const fn once() -> u32 {
    1
}

impl Fault {
    pub(super) const fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms as u64)
    }

    /// What is wrong with the order, if anything.
    fn problem(&self) -> Option<&'static str> {
        let answers = self.status.is_some() || self.code.is_some() || self.retry_after.is_some() || self.carried_out;
        if self.times == 0 || self.every == 0 {
            Some("times and every must be at least 1")
        } else if self.delay_ms > DELAY_MS_MAX {
            Some("delay_ms must be at most 60000")
        } else if self.status.is_some_and(|status| !(400..=599).contains(&status)) {
            Some("status must be from 400 to 599")
        } else if self.status.is_none() && answers {
            Some("code, retry_after and carried_out need a status")
        } else if self.of == Side::Documents {
            let more = answers || self.fate.is_some() || self.delay_ms > 0 || self.method.is_some();
            (more || self.contains.is_empty()).then_some("documents are refused that contain a text, nothing else")
        } else if self.of == Side::Callbacks && (answers || self.method.is_some()) {
            Some("callbacks have a fate or a delay_ms, nothing else")
        } else if self.fate == Some(Fate::OutOfOrder) && self.delay_ms == 0 {
            Some("out_of_order needs a delay_ms")
        } else if self.of == Side::Api && self.fate.is_some() {
            Some("only callbacks have a fate")
        } else if self.status.is_none() && self.fate.is_none() && self.delay_ms == 0 {
            Some("one of status, fate and delay_ms is required")
        } else {
            None
        }
    }
}

/// The orders that are not used up, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Takes an order, or tells what is wrong with it.
    pub(super) fn order(&self, fault: Fault) -> Result<(), &'static str> {
        if let Some(problem) = fault.problem() {
            return Err(problem);
        }
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() >= FAULTS_MAX {
            return Err("at most 100 faults may be waiting");
        }
        faults.push(fault);
        Ok(())
    }

    pub(super) fn waiting(&self) -> Vec<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What happens to this request or callback; uses the order up. The oldest order that fits and does not pass it over
    /// is the one; each that passes it over counts it.
    pub(super) fn next(&self, of: Side, method: &str, target: &str) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |fault: &Fault| {
            fault.of == of
                && fault.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                && target.contains(&fault.contains)
        };
        let index = faults.iter_mut().position(|fault| {
            let passed_over = fits(fault) && fault.skip > 0;
            fault.skip -= u32::from(passed_over);
            fits(fault) && !passed_over
        })?;
        let fault = faults.get_mut(index)?;
        fault.skip = fault.every - 1;
        fault.times -= 1;
        if fault.times == 0 { Some(faults.remove(index)) } else { Some(fault.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Fault {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_order_is_for_what_it_names_and_used_up() {
        let faults = Faults::default();
        faults.order(read(r#"{"contains":"/Participants","method":"POST","times":2,"status":500}"#)).unwrap();
        faults.order(read(r#"{"of":"callbacks","fate":"lost","skip":1}"#)).unwrap();
        assert!(faults.next(Side::Api, "GET", "/x/Participants.json").is_none());
        assert!(faults.next(Side::Api, "POST", "/x/Calls.json").is_none());
        for _ in 0..2 {
            assert_eq!(faults.next(Side::Api, "POST", "/x/Participants.json").unwrap().status, Some(500));
        }
        assert!(faults.next(Side::Api, "POST", "/x/Participants.json").is_none());
        assert!(faults.next(Side::Callbacks, "POST", "https://a/cb").is_none(), "the first is passed over");
        assert_eq!(faults.next(Side::Callbacks, "POST", "https://a/cb").unwrap().fate, Some(Fate::Lost));
        assert!(faults.waiting().is_empty());
    }

    #[test]
    fn a_fault_may_happen_to_every_fifth_request() {
        let faults = Faults::default();
        faults.order(read(r#"{"status":500,"times":3,"every":5,"skip":1}"#)).unwrap();
        let hit = (0..20).filter(|_| faults.next(Side::Api, "GET", "/x").is_some()).count();
        assert_eq!(hit, 3);
        faults.order(read(r#"{"status":500,"times":3,"every":5,"skip":1}"#)).unwrap();
        let hits: Vec<bool> = (0..12).map(|_| faults.next(Side::Api, "GET", "/x").is_some()).collect();
        let at: Vec<usize> = hits.iter().enumerate().filter_map(|(index, hit)| hit.then_some(index)).collect();
        assert_eq!(at, [1, 6, 11]);
    }

    #[test]
    fn what_one_order_passes_over_may_be_the_next_ones() {
        let faults = Faults::default();
        faults.order(read(r#"{"status":500,"times":9,"every":4}"#)).unwrap();
        faults.order(read(r#"{"status":503,"times":9,"every":3,"skip":1}"#)).unwrap();
        let statuses: Vec<u16> =
            (0..9).map(|_| faults.next(Side::Api, "GET", "/x").and_then(|fault| fault.status).unwrap_or(0)).collect();
        assert_eq!(statuses, [500, 0, 503, 0, 500, 0, 503, 0, 500]);
    }

    #[test]
    fn an_order_that_makes_no_sense_is_refused() {
        for text in [
            "{}",
            r#"{"times":0,"status":500}"#,
            r#"{"status":200}"#,
            r#"{"delay_ms":60001}"#,
            r#"{"delay_ms":1,"code":1}"#,
            r#"{"of":"callbacks","status":500}"#,
            r#"{"status":500,"fate":"lost"}"#,
            r#"{"status":500,"every":0}"#,
            r#"{"of":"callbacks","fate":"out_of_order"}"#,
            r#"{"of":"documents"}"#,
            r#"{"of":"documents","contains":"<Dial","status":500}"#,
        ] {
            assert!(Faults::default().order(read(text)).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Fault>(r#"{"statuss":500}"#).is_err());
        let faults = Faults::default();
        for _ in 0..FAULTS_MAX {
            faults.order(read(r#"{"status":500}"#)).unwrap();
        }
        assert!(faults.order(read(r#"{"status":500}"#)).is_err());
        faults.clear();
        assert!(faults.waiting().is_empty());
    }
}
