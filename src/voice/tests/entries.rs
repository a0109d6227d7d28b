//! Callers whom an entry point has dial somebody else: within which caps, and what they meet afterwards.

use super::*;
use crate::entry::{EntryPoint, Fallback, FallbackAction};
use crate::routing::EntryPointSid;
use crate::store::{Entry, EntryKind};

const NUMBER: &str = "+15550100";

/// A server with these limits, and an entry point that dials `to` whoever is not served.
async fn dialling(to: &str, caps: Dialling) -> (Bench, String) {
    let rules = Arc::new(DialRules::parse(&["+1555"]).unwrap());
    let limits = Limits { dialling: Dialling { rules, ..caps }.into(), ..Limits::default() };
    let means = Means { queues: true, rooms: true, leg_secs_max: 600 };
    let (requested_url, wait) = (PublicUrl::Fixed(BASE.to_owned()), config::Wait::default());
    let bench = Bench::start_by(means, limits, requested_url, Duration::from_secs(5), wait).await;
    let sid = EntryPointSid::from_bits(7).to_string();
    let overflow =
        Fallback { action: FallbackAction::Dial, text: Some("Hold on.".to_owned()), number: Some(to.to_owned()) };
    let point = EntryPoint {
        workflow: bench.workflow.clone(),
        attributes: "{}".to_owned(),
        priority: None,
        timeout_secs: None,
        greeting: None,
        greeting_url: None,
        calendar: None,
        closed: Fallback::default(),
        overflow,
        voicemail_workflow: None,
    };
    let entry = Entry {
        sid: sid.clone(),
        workspace: bench.workspace,
        kind: EntryKind::EntryPoint,
        friendly_name: "Door".to_owned(),
        document: serde_json::to_string(&point).unwrap(),
        calendar: None,
        at: Timestamp(0),
    };
    assert!(bench.store.create_entry(entry, 10).await.unwrap());
    (bench, format!("/voice/entries/{sid}"))
}

/// What a call meets at the entry point that is not served.
async fn overflow(bench: &Bench, entry: &str, call: &str) -> String {
    let pairs = [("CallSid", call), ("From", "+15550001"), ("CallStatus", "in-progress")];
    bench.post(&format!("{entry}/overflow"), &pairs).await.1
}

/// What it meets when the leg has ended so.
async fn dialled(bench: &Bench, entry: &str, call: &str, status: &str, call_status: &str) -> String {
    let pairs = [("CallSid", call), ("CallStatus", call_status), ("DialCallStatus", status)];
    bench.post(&format!("{entry}/dialled"), &pairs).await.1
}

fn is_apology(document: &str) -> bool {
    document.contains("Nobody can take your call") && document.trim_end().ends_with("<Hangup/></Response>")
}

#[tokio::test]
async fn somebody_else_is_dialled_for_a_limited_time_and_who_does_not_answer_is_apologised_for() {
    let (bench, entry) = dialling(NUMBER, Dialling::default()).await;
    let document = overflow(&bench, &entry, "CA1").await;
    let dial = format!(
        "<Say>Hold on.</Say><Dial action=\"{BASE}{entry}/dialled\" method=\"POST\" timeLimit=\"600\"><Number>{NUMBER}</Number>\
         </Dial></Response>"
    );
    assert!(document.contains(&dial), "{document}");
    for status in ["busy", "no-answer", "failed", "canceled", ""] {
        let next = dialled(&bench, &entry, "CA1", status, "in-progress").await;
        assert!(is_apology(&next), "{status}: {next}");
    }
    for (status, call_status) in [("completed", "in-progress"), ("answered", "in-progress"), ("no-answer", "completed")]
    {
        let next = dialled(&bench, &entry, "CA1", status, call_status).await;
        assert!(next.contains("<Response/>"), "{status}: {next}");
    }
    assert!(bench.alert_codes().await.is_empty());
}

#[tokio::test]
async fn the_caps_on_legs_hold_for_whom_an_entry_point_dials() {
    let usual = Dialling::default();
    for (caps, setting) in [
        (Dialling { legs: 2, ..usual.clone() }, "dial.legs_max"),
        (Dialling { per_minute: 2, ..usual.clone() }, "dial.per_minute_max"),
        (Dialling { per_region: 2, ..usual.clone() }, "dial.per_region_max"),
    ] {
        let (bench, entry) = dialling(NUMBER, caps).await;
        for call in ["CA1", "CA2"] {
            let document = overflow(&bench, &entry, call).await;
            assert!(document.contains("<Dial "), "{setting} {call}: {document}");
        }
        let document = overflow(&bench, &entry, "CA3").await;
        assert!(is_apology(&document) && !document.contains("<Dial"), "{setting}: {document}");
        assert_eq!(bench.alert_codes().await, [20_429]);
        let alerts = bench.store.alerts(AccountSid::from_bits(1), 10).await.unwrap();
        assert!(alerts[0].message.contains(setting), "{}", alerts[0].message);
        assert_eq!(alerts[0].workspace, Some(bench.workspace));
    }
    for caps in [
        Dialling { legs: 0, ..usual.clone() },
        Dialling { per_minute: 0, ..usual.clone() },
        Dialling { per_region: 0, ..usual.clone() },
    ] {
        let (bench, entry) = dialling(NUMBER, caps.clone()).await;
        let document = overflow(&bench, &entry, "CA1").await;
        assert!(is_apology(&document), "0 stops all: {document}");
        let (bench, entry) = dialling("client:night", caps).await;
        let document = overflow(&bench, &entry, "CA1").await;
        assert!(document.contains("<Client>night</Client>"), "all but those to clients: {document}");
    }
}

#[tokio::test]
async fn a_leg_that_an_entry_point_dialled_is_counted_until_it_is_over() {
    let (bench, entry) = dialling(NUMBER, Dialling { legs: 1, ..Dialling::default() }).await;
    let is_let = async |call: &str| overflow(&bench, &entry, call).await.contains("<Dial ");
    assert!(is_let("CA1").await && !is_let("CA2").await);
    dialled(&bench, &entry, "CA9", "completed", "in-progress").await;
    assert!(!is_let("CA2").await, "another call's leg is over");
    dialled(&bench, &entry, "CA1", "busy", "in-progress").await;
    assert!(is_let("CA2").await);
    // The caller hangs up before the document is run: only the number's status callback tells.
    let gone = [("CallSid", "CA2"), ("CallStatus", "completed")];
    assert_eq!(bench.post("/voice/cb/call/inbound", &gone).await.0, StatusCode::NO_CONTENT);
    assert!(is_let("CA3").await);
    // Nobody tells anything, but no leg lasts longer.
    bench.clock.advance(Duration::from_secs(14_400 + 59));
    assert!(!is_let("CA4").await);
    bench.clock.advance(Duration::from_secs(1));
    assert!(is_let("CA4").await);
}

#[tokio::test]
async fn a_number_that_the_rules_do_not_allow_any_more_is_not_dialled_and_takes_no_turn() {
    let (bench, entry) = dialling("+4930123456", Dialling::default()).await;
    assert!(is_apology(&overflow(&bench, &entry, "CA1").await));
    assert_eq!(bench.alert_codes().await, [13_227]);
}
