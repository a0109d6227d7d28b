//! Documents good and bad, as tables.

use super::*;

const WW: &str = "WW00000000000000000000000000000001";

/// So many attributes with different names.
fn attributes(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        text.push_str(&format!(" a{number}=\"\""));
    }
    text
}

#[test]
fn everything_an_enqueue_can_say_is_read() {
    let text = format!(
        "\u{feff} <?xml version=\"1.0\"?>\n<!-- hello --><Response>\n  <Say>Welcome &amp; hello</Say>\n  \
         <Enqueue workflowSid='{WW}' action=\"https://app/left?a=1&amp;b=2\" method=\"GET\" waitUrl=\"\" \
         waitUrlMethod=\"POST\" maxQueueSize=\"3\">\n    <Task priority=\"5\" timeout=\"600\">{{\"lang\":\"es\"}}</Task>\n  \
         </Enqueue>\n  <Say voice=\"alice\">Bye</Say><!-- keep --><Hangup/>\n</Response>\n"
    );
    let document = EnqueueDocument::parse(&text).unwrap();
    assert_eq!(
        document,
        EnqueueDocument {
            workflow: Some(WW.to_owned()),
            is_plain: false,
            unknown: vec!["attribute maxQueueSize of Enqueue".to_owned()],
            action: Some("https://app/left?a=1&b=2".to_owned()),
            method: Some("GET".to_owned()),
            wait_url: Some(String::new()),
            wait_method: Some("POST".to_owned()),
            attributes: "{\"lang\":\"es\"}".to_owned(),
            priority: Some("5".to_owned()),
            timeout: Some("600".to_owned()),
            before: "<Say>Welcome &amp; hello</Say>".to_owned(),
            may_not_come: false,
            after: Some("<Say voice=\"alice\">Bye</Say><!-- keep --><Hangup/>".to_owned()),
        }
    );
}

#[test]
fn verbs_before_may_lead_the_call_elsewhere_or_not() {
    for (before, expected) in [
        ("", false),
        ("<!-- one --><Say>Hi</Say><Play>a.mp3</Play><Pause length=\"1\"/>", false),
        ("<Say>Hi</Say><Gather><Say>1</Say></Gather>", true),
        ("<Dial>+15550100</Dial>", true),
        ("<Enqueue>vip</Enqueue>", true),
        ("<Record/><Say>Hi</Say>", true),
        ("<Strange/>", true),
    ] {
        let text = format!(
            "<Response>{before}<Enqueue workflowSid=\"{WW}\"/><Gather/><Enqueue workflowSid=\"{WW}\"/></Response>"
        );
        let document = EnqueueDocument::parse(&text).unwrap();
        assert_eq!((document.may_not_come, document.before.as_str()), (expected, before), "{before}");
    }
}

#[test]
fn attributes_may_be_escaped_or_in_cdata() {
    let expected = "{\"a\":\"<é&>\"}";
    for body in [
        "<Task>{\"a\":\"&lt;é&amp;&gt;\"}</Task>",
        "<Task><![CDATA[{\"a\":\"<é&>\"}]]></Task>",
        "<Task>{&quot;a&quot;:&#34;&#60;&#xe9;&amp;<![CDATA[>]]>\"}</Task>",
        "<TaskAttributes>{\"a\":\"&lt;é&amp;>\"}</TaskAttributes>",
        "<Task>{\"a\":<!-- comment -->\"&lt;é&amp;>\"}</Task>",
        "<Task>{\"a\":\"&lt;é&amp;>\"}</Task><Task priority=\"9\">{\"second\":1}</Task>",
    ] {
        let text = format!("<Response><Enqueue workflowSid=\"{WW}\">{body}</Enqueue></Response>");
        let document = EnqueueDocument::parse(&text).unwrap();
        assert_eq!(document.attributes, expected, "{body}");
        assert_eq!(document.priority, None);
    }
}

#[test]
fn the_first_enqueue_with_a_workflow_counts() {
    let text = format!(
        "<Response><Enqueue>plain</Enqueue><Say>x</Say><Enqueue workflowSid=\"{WW}\"/><Enqueue \
         workflowSid=\"WWother\"/></Response>"
    );
    let document = EnqueueDocument::parse(&text).unwrap();
    assert_eq!(document.workflow.as_deref(), Some(WW));
    assert_eq!(document.before, "<Enqueue>plain</Enqueue><Say>x</Say>");
    assert_eq!(document.after.as_deref(), Some("<Enqueue workflowSid=\"WWother\"/>"));
    let plain = EnqueueDocument::parse("<Response><Enqueue/></Response>").unwrap();
    assert_eq!(plain, EnqueueDocument { is_plain: true, ..EnqueueDocument::default() });
    let of_task = EnqueueDocument::parse("<Response><Enqueue><Task/></Enqueue></Response>").unwrap();
    assert_eq!(of_task, EnqueueDocument::default(), "a workflow is missing");
}

#[test]
fn what_means_nothing_is_told_of_and_bounded() {
    let text = format!(
        "<Response><Enqueue workflowSid=\"{WW}\" waiturl='/w'><Say>x</Say><task>{{}}</task><Task Priority='1' \
         timeout='5'>{{}}</Task><Task>[]</Task></Enqueue><Gather><X y='z'/></Gather></Response>"
    );
    assert_eq!(
        EnqueueDocument::parse(&text).unwrap().unknown,
        ["attribute waiturl of Enqueue", "element Say", "element task", "attribute Priority of Task", "a further Task"]
    );
    let many = format!("<Response><Enqueue workflowSid=\"{WW}\"{}/></Response>", attributes(20));
    assert_eq!(EnqueueDocument::parse(&many).unwrap().unknown.len(), 10);
    let long = format!("<Response><Enqueue {}=''/></Response>", "x".repeat(1_000));
    assert!(EnqueueDocument::parse(&long).unwrap().unknown[0].len() < 100);
}

#[test]
fn other_elements_of_the_same_name_are_not_taken() {
    let text = "<Response><Gather><Enqueue workflowSid=\"WW\"><Task>{}</Task></Enqueue></Gather></Response>";
    assert_eq!(EnqueueDocument::parse(text), Err(Problem::NoEnqueue));
    let text = "<Response><Enqueue><X><Task>{\"no\":1}</Task></X></Enqueue></Response>";
    assert_eq!(EnqueueDocument::parse(text).unwrap().attributes, "");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_code() {
    let deep = format!("<Response>{}{}</Response>", "<a>".repeat(16), "</a>".repeat(16));
    let unclosed_deep = format!("<Response>{}", "<a>".repeat(20_000));
    let many = format!("<Response>{}</Response>", "<a/>".repeat(16_384));
    let widest = attributes(100_000);
    let widest = format!("<Response><Enqueue{widest}/></Response>");
    let large = format!("<Response><Say>{}</Say></Response>", "x".repeat(70_000));
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><Response><Enqueue>&b;</Enqueue></Response>";
    for (text, code) in [
        ("", 12_100),
        ("   ", 12_100),
        ("hello", 12_100),
        ("{\"json\":1}", 12_100),
        ("<Response>", 12_100),
        ("<Response><Enqueue></Response>", 12_100),
        ("<Response></Respond>", 12_100),
        ("<Response/><Response/>", 12_100),
        ("<Response/>text", 12_100),
        ("<Response><Enqueue a=\"1\" a=\"2\"/></Response>", 12_100),
        ("<Response><Enqueue a=1/></Response>", 12_100),
        ("<Response>&nbsp;<Enqueue/></Response>", 12_100),
        ("<Response>&#0;<Enqueue/></Response>", 12_100),
        ("<Response>&#xD800;<Enqueue/></Response>", 12_100),
        ("<Response><Enqueue action=\"&evil;\"/></Response>", 12_100),
        ("<!DOCTYPE Response><Response><Enqueue/></Response>", 12_100),
        (bomb, 12_100),
        (&deep, 12_100),
        (&unclosed_deep, 12_100),
        (&many, 12_100),
        (&widest, 12_100),
        (&large, 12_100),
        ("<html/>", 12_102),
        ("<response><Enqueue/></response>", 12_102),
        ("<Enqueue workflowSid=\"WW1\"/>", 12_102),
        ("<Response/>", 12_200),
        ("<Response><Say>Hello</Say></Response>", 12_200),
        ("<Response><enqueue/></Response>", 12_200),
    ] {
        let problem = EnqueueDocument::parse(text).unwrap_err();
        assert_eq!(problem.code(), code, "{}: {problem}", &text.chars().take(60).collect::<String>());
    }
}

#[test]
fn limits_allow_what_they_should() {
    let deep = format!("<Response><Enqueue/>{}{}</Response>", "<a>".repeat(15), "</a>".repeat(15));
    assert!(EnqueueDocument::parse(&deep).is_ok());
    // Whatever 64 KiB can hold.
    let many = format!("<Response><Enqueue/>{}</Response>", "<a/>".repeat(16_370));
    assert!(many.len() > 65_400);
    assert!(EnqueueDocument::parse(&many).is_ok());
    let wide = attributes(7_200);
    let wide = format!("<Response><Enqueue{wide}/></Response>");
    assert!(wide.len() > 60_000);
    assert!(EnqueueDocument::parse(&wide).is_ok());
}
