//! Documents before and after, as tables; and random ones.

use proptest::prelude::*;

use super::*;

const BASE: &str = "https://app.example.org/ivr/menu?lang=de#rc=2";

fn rewritten(text: &str) -> Result<Rewritten, Problem> {
    rewritten_where(text, false)
}

fn rewritten_where(text: &str, is_elsewhere: bool) -> Result<Rewritten, Problem> {
    rewritten_from(BASE, text, is_elsewhere)
}

fn rewritten_from(base: &str, text: &str, is_elsewhere: bool) -> Result<Rewritten, Problem> {
    let base = Url::parse(base).unwrap();
    let urls = Urls {
        base: &base,
        is_elsewhere,
        through_us: &|url| format!("ours:{url}"),
        told: &|url| format!("told:{url}"),
        rest: &|verbs| format!("rest:{verbs}"),
    };
    rewrite(text, &Links { urls: Some(urls), taking: &taking })
}

fn taking(taking: &Taking) -> String {
    let parts = [&taking.action, &taking.method, &taking.post_work_activity, &taking.whisper_url];
    let parts: Vec<&str> = parts.map(|part| part.as_deref().unwrap_or("-")).to_vec();
    let mut dial = String::new();
    for (name, value) in &taking.dial {
        dial.extend([" ", name, "=", value]);
    }
    format!("take:{} {}{dial} [{}]", taking.reservation, parts.join(" "), taking.rest)
}

fn check(inside: &str, expected: &str) {
    let found = rewritten(&format!("<Response>{inside}</Response>")).unwrap();
    assert_eq!(found.text, format!("<Response>{expected}</Response>"), "{inside}");
}

#[test]
fn urls_whose_answers_are_run_lead_through_us() {
    for (inside, expected) in [
        (r#"<Gather action="next"/>"#, r#"<Gather action="ours:https://app.example.org/ivr/next"/>"#),
        (
            "<Gather  action = '/a?b=1&amp;c=2' numDigits='1'/>",
            "<Gather  action = 'ours:https://app.example.org/a?b=1&amp;c=2' numDigits='1'/>",
        ),
        (r#"<Record action="https://other.example.org/x"/>"#, r#"<Record action="ours:https://other.example.org/x"/>"#),
        (r#"<Gather action=""/>"#, r#"<Gather action="ours:https://app.example.org/ivr/menu?lang=de"/>"#),
        (
            r#"<Enqueue waitUrl="/w" action="?x=1">q</Enqueue>"#,
            r#"<Enqueue waitUrl="ours:https://app.example.org/w" action="ours:https://app.example.org/ivr/menu?x=1">q</Enqueue>"#,
        ),
        (r#"<Enqueue waitUrl="">q</Enqueue>"#, r#"<Enqueue waitUrl="">q</Enqueue>"#),
        (
            r#"<Dial action="/done"><Number url="whisper">+1</Number></Dial>"#,
            r#"<Dial action="ours:https://app.example.org/done"><Number url="ours:https://app.example.org/ivr/whisper">+1</Number></Dial>"#,
        ),
        (
            r#"<Dial><Queue url="/hello">support</Queue></Dial>"#,
            r#"<Dial><Queue url="ours:https://app.example.org/hello">support</Queue></Dial>"#,
        ),
        ("<Redirect>/next</Redirect>", "<Redirect>ours:https://app.example.org/next</Redirect>"),
        (
            "<Redirect method=\"GET\">\n  <![CDATA[next?a=1&b=2]]>\n</Redirect>",
            "<Redirect method=\"GET\">ours:https://app.example.org/ivr/next?a=1&amp;b=2</Redirect>",
        ),
        ("<Redirect>a&#47;b</Redirect>", "<Redirect>ours:https://app.example.org/ivr/a/b</Redirect>"),
        ("<Redirect/>", "<Redirect>ours:https://app.example.org/ivr/menu?lang=de#rc=2</Redirect>"),
        (
            "<Redirect method='GET' />",
            "<Redirect method='GET' >ours:https://app.example.org/ivr/menu?lang=de#rc=2</Redirect>",
        ),
        ("<Redirect> </Redirect>", "<Redirect>ours:https://app.example.org/ivr/menu?lang=de</Redirect>"),
        (
            r#"<Gather action="/x#rc=1&amp;rp=all"/>"#,
            r#"<Gather action="ours:https://app.example.org/x#rc=1&amp;rp=all"/>"#,
        ),
    ] {
        check(inside, expected);
    }
}

#[test]
fn a_missing_action_is_the_documents_own_url_wherever_it_is_served_from() {
    let itself = "action=\"ours:https://app.example.org/ivr/menu?lang=de#rc=2\"";
    // Verbs, and where they are served from another URL; `@` is where the action comes in.
    for verbs in [
        "<Gather@/>",
        "<Gather@ numDigits='1' method=\"GET\"><Say>How was it?</Say></Gather><Say>x</Say>",
        "<Say>a</Say><Record@\n maxLength = '5'></Record><Gather@ />",
        "<Dial><Number>+1</Number></Dial><Pay/><Unknown><Gather/></Unknown><Say action='y'/>",
        "<Gather action='tel:+1'/>",
    ] {
        let written = format!("<Response>{}</Response>", verbs.replace('@', ""));
        let explicit =
            verbs.replace('@', &format!(" {itself}")).replace("='y'", "='ours:https://app.example.org/ivr/y'");
        let found = rewritten_where(&written, true).unwrap().text;
        assert_eq!(found, format!("<Response>{explicit}</Response>"));
        assert_eq!(rewritten_where(&found, true).unwrap().text, found, "once only");
        let same = written.replace("='y'", "='ours:https://app.example.org/ivr/y'");
        assert_eq!(rewritten(&written).unwrap().text, same, "the phone system knows it by itself");

        // What follows a verb that we carry out is handed out by us later.
        let enqueue = "<Enqueue workflowSid=\"WW1\"/>";
        let before = same.replace("</Response>", enqueue);
        let written = written.replace("</Response>", &format!("{enqueue}{}</Response>", verbs.replace('@', "")));
        assert_eq!(rewritten(&written).unwrap().text, format!("{before}{explicit}</Response>"));
    }
    check(
        "<Gather/><Dial><Queue reservationSid='WR1'/></Dial><Gather/>",
        &format!(
            "<Gather/><Redirect method=\"POST\">take:WR1 - - - - [&lt;Gather {}/&gt;]</Redirect>",
            itself.replace('"', "&quot;")
        ),
    );
    check("<Enqueue>support</Enqueue><Gather/>", "<Enqueue>support</Enqueue><Gather/>");
}

#[test]
fn urls_that_are_told_something_lead_through_us_to_be_signed() {
    for (inside, expected) in [
        (
            r#"<Number statusCallback="cb">+1</Number>"#,
            r#"<Number statusCallback="told:https://app.example.org/ivr/cb">+1</Number>"#,
        ),
        (
            "<Client  statusCallback = 'https://app.example.org/CB?a=1&amp;b=2#rc=2' statusCallbackMethod='GET'>x</Client>",
            "<Client  statusCallback = 'told:https://app.example.org/CB?a=1&amp;b=2#rc=2' statusCallbackMethod='GET'>x</Client>",
        ),
        (
            r#"<Record action="/a" recordingStatusCallback="/r" transcribeCallback="/t"/>"#,
            r#"<Record action="ours:https://app.example.org/a" recordingStatusCallback="told:https://app.example.org/r" transcribeCallback="told:https://app.example.org/t"/>"#,
        ),
        (
            r#"<Dial><Conference statusCallback="/c" eventCallbackUrl="/e" waitUrl="/w">r</Conference></Dial>"#,
            r#"<Dial><Conference statusCallback="told:https://app.example.org/c" eventCallbackUrl="told:https://app.example.org/e" waitUrl="ours:https://app.example.org/w">r</Conference></Dial>"#,
        ),
        (
            r#"<Dial><Sip amdStatusCallback="/a">sip:a@b</Sip></Dial><Gather partialResultCallback="p"/>"#,
            r#"<Dial><Sip amdStatusCallback="told:https://app.example.org/a">sip:a@b</Sip></Dial><Gather partialResultCallback="told:https://app.example.org/ivr/p"/>"#,
        ),
        (
            "<Start><Transcription statusCallbackUrl='/t'/><Stream url='wss://m/x' statusCallback='/s'/></Start>",
            "<Start><Transcription statusCallbackUrl='told:https://app.example.org/t'/><Stream url='wss://m/x' statusCallback='told:https://app.example.org/s'/></Start>",
        ),
    ] {
        check(inside, expected);
    }
}

#[test]
fn other_urls_become_absolute_and_absolute_ones_stay() {
    for (inside, expected) in [
        ("<Play>hold.mp3</Play>", "<Play>https://app.example.org/ivr/hold.mp3</Play>"),
        (
            "<Gather><Play loop='2'>/a.wav</Play></Gather>",
            "<Gather><Play loop='2'>https://app.example.org/a.wav</Play></Gather>",
        ),
    ] {
        check(inside, expected);
    }
    for same in [
        "<Play>https://cdn.example.org/a%20b.mp3</Play>",
        "<Play digits=\"ww1\"/>",
        "<Play> </Play>",
        r#"<Record recordingStatusCallback=""/>"#,
        r#"<Number statusCallback="mailto:a@b">+1</Number>"#,
        "<Say statuscallback='/x' callback='/y'/>",
        r#"<Gather action="tel:+1"/>"#,
        r#"<Start><Stream url="wss://media.example.org/x" name='a'/></Start>"#,
        "<Say voice='alice' language=\"de\">Guten  Tag &amp; <!-- a note --> <![CDATA[<b>]]></Say>\n  <Unknown thing = '1'><Deep/></Unknown>",
        "<Sip username='u'>sip:a@b;x=1?h=v</Sip>",
    ] {
        check(same, same);
    }
}

#[test]
fn the_enqueue_that_we_carry_out_keeps_its_urls_but_absolute() {
    let found = rewritten(
        "<?xml version=\"1.0\"?>\n<Response><Say>Hi</Say><Enqueue workflowSid=\"WW1\" action=\"/left\" waitUrl='wait'><Task>{\"a\":1}</Task></Enqueue><Redirect>after</Redirect></Response>\n",
    )
    .unwrap();
    let expected = Rewritten {
        text: "<?xml version=\"1.0\"?>\n<Response><Say>Hi</Say><Enqueue workflowSid=\"WW1\" action=\"https://app.example.org/left\" waitUrl='https://app.example.org/ivr/wait'><Task>{\"a\":1}</Task></Enqueue><Redirect>ours:https://app.example.org/ivr/after</Redirect></Response>".to_owned(),
        enqueues: true,
    };
    assert_eq!(found, expected);
    assert!(
        !rewritten("<Response><Gather><Enqueue workflowSid='WW1'/></Gather></Response>").unwrap().enqueues,
        "not a verb there"
    );
    assert!(!rewritten("<Response><Enqueue>support</Enqueue></Response>").unwrap().enqueues);
}

#[test]
fn a_dial_that_takes_a_reservation_becomes_a_redirect() {
    for (inside, expected) in [
        (
            r#"<Say>One moment</Say><Dial action="/done" method="GET" timeout="5"><Queue reservationSid="WR1" postWorkActivitySid="WA1" url="hello"/></Dial><Say>never</Say>"#,
            r#"<Say>One moment</Say><Redirect method="POST">take:WR1 https://app.example.org/done GET WA1 https://app.example.org/ivr/hello [&lt;Say&gt;never&lt;/Say&gt;]</Redirect>"#,
        ),
        (
            "<Dial><Queue reservationSid='WR1'></Queue></Dial>\n<Redirect>after</Redirect><!-- end -->",
            "<Redirect method=\"POST\">take:WR1 - - - - [&lt;Redirect&gt;ours:https://app.example.org/ivr/after&lt;/Redirect&gt;&lt;!-- end --&gt;]</Redirect>",
        ),
        (
            r#"<Dial callerId="+1" timeLimit="60" record='record-from-answer' answerOnBridge="true" recordingStatusCallback="/rec?a=1&amp;b=2" recordingStatusCallbackEvent="in-progress completed" hangupOnStar="true" trim="do-not-trim"><Queue reservationSid="WR1"/></Dial>"#,
            "<Redirect method=\"POST\">take:WR1 - - - - timeLimit=60 record=record-from-answer \
             recordingStatusCallback=told:https://app.example.org/rec?a=1&amp;b=2 \
             recordingStatusCallbackEvent=in-progress completed hangupOnStar=true trim=do-not-trim []</Redirect>",
        ),
        (
            "<Dial recordingStatusCallback=''><Queue reservationSid='WR1'/></Dial>",
            "<Redirect method=\"POST\">take:WR1 - - - - recordingStatusCallback= []</Redirect>",
        ),
    ] {
        check(inside, expected);
    }
    let after = "<Response><Dial><Queue reservationSid='WR1'/></Dial><Enqueue workflowSid='WW1'/></Response>";
    assert!(!rewritten(after).unwrap().enqueues, "that comes later");
    let before = "<Response><Enqueue workflowSid='WW1'/><Dial><Queue reservationSid='WR1'/></Dial></Response>";
    assert!(rewritten(before).unwrap().enqueues);
}

/// What `served` holds of a rest that a redirect takes along.
fn rest_of(served: &str) -> String {
    let (_, rest) = served.split_once(" [").unwrap();
    let (rest, _) = rest.split_once("]</Redirect>").unwrap();
    let references = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    references.iter().fold(rest.to_owned(), |rest, (reference, character)| rest.replace(reference, character))
}

#[test]
fn each_dial_that_takes_a_reservation_becomes_a_redirect_when_the_call_comes_to_it() {
    let dials = "<Response><Dial><Queue reservationSid='WR1'/></Dial><Say>a</Say>\
        <Dial method='GET' action='/second?a=1&amp;b=2' recordingStatusCallback='/r'>\
        <Queue url='hello' reservationSid='WR2'/></Dial>\
        <Dial action='https://app.example.org/Third'><Queue reservationSid='WR3'/></Dial><Redirect>last</Redirect></Response>";
    let verbs_only = Links { urls: None, taking: &taking };
    let mut served = rewritten(dials).unwrap().text;
    assert!(served.contains("<Redirect method=\"POST\">take:WR1 - - - - ["), "{served}");
    // The URLs of the later ones are the application's own: we ask them.
    for begins in [
        "<Say>a</Say><Redirect method=\"POST\">take:WR2 https://app.example.org/second?a=1&amp;b=2 GET - \
         https://app.example.org/ivr/hello recordingStatusCallback=told:https://app.example.org/r [",
        "<Redirect method=\"POST\">take:WR3 https://app.example.org/Third - - - [",
    ] {
        let verbs = format!("<Response>{}</Response>", rest_of(&served));
        served = rewrite(&verbs, &verbs_only).unwrap().text;
        assert!(served.starts_with(&format!("<Response>{begins}")), "{served}");
    }
    // What has been rewritten stays as it is.
    let verbs = format!("<Response>{}</Response>", rest_of(&served));
    assert_eq!(verbs, "<Response><Redirect>ours:https://app.example.org/ivr/last</Redirect></Response>");
    let others = "<Response><Gather/><Gather action='/x'/><Redirect/><Redirect>y</Redirect><Play>z</Play>\
        <Dial action='w'><Queue>q</Queue></Dial></Response>";
    for same in [verbs.as_str(), others] {
        assert_eq!(rewrite(same, &verbs_only).unwrap().text, same);
    }
}

#[test]
fn what_grows_too_long_is_cut_between_two_verbs_and_the_rest_follows() {
    let verb = |number: usize| format!("<Gather action='{number}'><Say>x</Say></Gather>\n");
    let verbs: Vec<String> = (0..1_500).map(verb).collect();
    let document = format!("<?xml version=\"1.0\"?><Response>{}</Response ><!-- end -->", verbs.concat());
    assert!(document.len() < SIZE_LIMIT, "{}", document.len());
    let urls = |rest: &mut Vec<String>, text: &str, is_elsewhere: bool| {
        let base = Url::parse(BASE).unwrap();
        let kept = std::cell::RefCell::new(rest);
        let urls = Urls {
            base: &base,
            is_elsewhere,
            through_us: &|url| format!("ours:{url}"),
            told: &|url| format!("told:{url}"),
            rest: &|verbs| {
                kept.borrow_mut().push(verbs.to_owned());
                "the rest".to_owned()
            },
        };
        rewrite(text, &Links { urls: Some(urls), taking: &taking }).unwrap()
    };
    // Each part is a document of its own that has a place in an answer, and together they have all the verbs.
    let (mut text, mut heard, mut parts) = (document, String::new(), 0);
    loop {
        let mut rests = Vec::new();
        let part = urls(&mut rests, &text, parts > 0).text;
        assert!(Walk::new(&part).is_ok() && xml::outline(&part).is_ok());
        heard.push_str(&part);
        parts += 1;
        let Some(rest) = rests.pop() else { break };
        assert!(part.contains("<Redirect method=\"POST\">the rest</Redirect></Response"));
        assert!(rest.len() < text.len() && rests.is_empty());
        text = format!("<Response>{rest}</Response>");
    }
    assert!(parts >= 2, "{parts}");
    let numbers = heard.split("ours:https://app.example.org/ivr/").skip(1);
    let numbers: Vec<usize> = numbers.map(|url| url.split('\'').next().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (0..1_500).collect::<Vec<_>>());

    // The way into the queue needs a place too.
    let say = format!("<Say>{}</Say>", "x".repeat(SIZE_LIMIT / 2 - 100));
    let enqueue = "<Enqueue workflowSid='WW1'/>";
    let mut rests = Vec::new();
    let first = urls(&mut rests, &format!("<Response>{say}{say}{enqueue}</Response>"), false);
    assert_eq!((first.enqueues, &rests), (false, &vec![format!("{say}{enqueue}")]));
    rests.clear();
    let second = urls(&mut rests, &format!("<Response>{enqueue}{say}{say}</Response>"), true);
    assert_eq!((second.enqueues, rests.len()), (true, 0), "what follows it is kept with the task");
    // A single verb cannot be cut.
    let one = format!("<Response><Dial>{}</Dial></Response>", "<Number url='a'>1</Number>".repeat(2_400));
    let mut rests = Vec::new();
    assert!(urls(&mut rests, &one, false).text.len() > SIZE_LIMIT && rests.is_empty());
}

#[test]
fn an_empty_action_is_none_but_for_verbs_that_act_on_themselves() {
    for same in [
        "<Dial action=\"\"><Number url=''>+1</Number></Dial>",
        "<Enqueue action='' waitUrl=''>q</Enqueue>",
        "<Enqueue workflowSid='WW1' action=''/>",
        "<Refer action=''><Sip>sip:a@b</Sip></Refer>",
    ] {
        check(same, same);
    }
    let itself = "ours:https://app.example.org/ivr/menu?lang=de";
    check(
        "<Record action=''/><Gather action=' '/><Dial action=' '>+1</Dial>",
        &format!("<Record action='{itself}'/><Gather action='{itself}'/><Dial action='{itself}'>+1</Dial>"),
    );
    check(
        "<Dial action=''><Queue reservationSid='WR1'/></Dial><Say>next</Say>",
        "<Redirect method=\"POST\">take:WR1 - - - - [&lt;Say&gt;next&lt;/Say&gt;]</Redirect>",
    );
}

#[test]
fn what_is_relative_in_a_document_without_a_url_stays_so() {
    for (inside, expected) in [
        (
            "<Redirect/><Gather/><Gather action=''/><Play>a.mp3</Play><Redirect> </Redirect><Record action='next'/>",
            "<Redirect/><Gather/><Gather action=''/><Play>a.mp3</Play><Redirect> </Redirect><Record action='next'/>",
        ),
        (
            "<Dial action='https://app.example.org/x'><Number statusCallback='https://app.example.org/y'>+1</Number></Dial>",
            "<Dial action='ours:https://app.example.org/x'><Number statusCallback='told:https://app.example.org/y'>+1</Number></Dial>",
        ),
        (
            "<Dial><Queue reservationSid='WR1'/></Dial><Gather/>",
            "<Redirect method=\"POST\">take:WR1 - - - - [&lt;Gather/&gt;]</Redirect>",
        ),
    ] {
        let found = rewritten_from("about:blank", &format!("<Response>{inside}</Response>"), false).unwrap();
        assert_eq!(found.text, format!("<Response>{expected}</Response>"), "{inside}");
    }
}

#[test]
fn what_is_no_document_is_left_to_the_phone_system() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"b\">]><Response>&a;</Response>";
    let deep = format!("<Response>{}{}</Response>", "<a>".repeat(16), "</a>".repeat(16));
    for text in
        ["", "hello", "<Response>", "<html/>", bomb, "<Response>&a;</Response>", "<Response/><Response/>", &deep]
    {
        assert!(rewritten(text).is_err(), "{text}");
    }
    let large = format!("<Response><Say>{}</Say></Response>", "x".repeat(64 * 1024));
    assert!(rewritten(&large).is_err());
}

/// A document of verbs that have nothing to rewrite, written in many ways.
fn plain() -> impl Strategy<Value = String> {
    let text = "[ a-zäß0-9.,]{0,12}|&amp;|&#65;|<!-- [a-z]{0,5} -->|<!\\[CDATA\\[<&x]]>";
    let attribute = " ?[a-z]{1,5} {0,1}= {0,1}(\"[^\"<&]{0,8}\"|'[^'<&]{0,8}')";
    let element =
        (prop::collection::vec(text, 0..4), "[ \n]{0,2}", "(Say|Pause|Number|x:y|Foo)", prop::option::of(attribute));
    prop::collection::vec(element, 0..6).prop_map(|elements| {
        let mut document = "<?xml version=\"1.0\"?><Response >".to_owned();
        for (texts, space, name, attribute) in elements {
            let attribute = attribute.unwrap_or_default();
            document.push_str(&format!("{space}<{name} {attribute}>{}</{name}\n>", texts.concat()));
        }
        document + "</Response>"
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_ours_passes_byte_for_byte(document in plain()) {
        let found = rewritten(&document).map(|found| found.text);
        prop_assert_eq!(found, Ok(document));
    }

    #[test]
    fn nothing_that_strangers_send_breaks_it(text in "(<[A-Za-z/!?]{0,9}|[a-z \"'=&;#<>/]{0,9}|workflowSid=|Dial|Queue|Redirect|action=\"|Response>){0,40}") {
        if let Ok(found) = rewritten(&text) {
            prop_assert!(Walk::new(&found.text).is_ok());
        }
    }

    #[test]
    fn a_rewritten_document_is_still_one(url in "[ -~]{0,30}", method in "[A-Z]{0,5}") {
        let escaped = xml::escape(&url).0;
        let document = format!(
            "<Response><Gather action=\"{escaped}\" method=\"{method}\"/><Redirect>{escaped}</Redirect><Dial><Queue \
             reservationSid=\"{escaped}\"/></Dial></Response>"
        );
        let found = rewritten(&document).unwrap();
        let before: Vec<String> = xml::outline(&found.text).unwrap();
        prop_assert!(before.len() >= 4, "{}", found.text);
    }
}
