//! Settings, from text to [`Config`].

use std::io::Write as _;

use tempfile::NamedTempFile;

use super::settings::SETTINGS;
use super::*;

const SID: &str = "AC00000000000000000000000000000001";
const STRONG: &str = "0123456789abcdef0123456789abcdef";

#[derive(Default)]
struct Given(Sources, Option<NamedTempFile>);

impl Given {
    fn file(mut self, text: &str) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        self.0.file = Some(file.path().to_owned());
        self.1 = Some(file);
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.0.variables.insert(name.to_owned(), value.into());
        self
    }

    fn option(mut self, key: &'static str, value: &str) -> Self {
        self.0.options.insert(key, value.to_owned());
        self
    }

    fn config(&self) -> Config {
        Config::load(&self.0).unwrap()
    }

    fn error(&self) -> String {
        Config::load(&self.0).unwrap_err().to_string()
    }
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = Given::default().config();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database, "sqlite:switchhook.db");
    assert_eq!(config.phone_server.listen.to_string(), "127.0.0.1:8090");
    assert_eq!(config.limits.for_listener(), http::Limits::default());
    assert_eq!(config.wait, Wait::default());
    assert!(config.phone.url.is_none() && config.account_sid.is_none());
    assert_eq!(config.reachable_url(), "http://127.0.0.1:8080");
}

#[test]
fn the_later_layer_wins() {
    let given = Given::default().file("listen = '127.0.0.1:1'\ndatabase = 'sqlite:file.db'\n[log]\nlevel = 'warn'");
    assert_eq!(given.config().listen.port(), 1);
    let given = given.variable("SWITCHHOOK_LISTEN", "127.0.0.1:2");
    assert_eq!(given.config().listen.port(), 2);
    let given = given.option("listen", "127.0.0.1:3");
    let config = given.config();
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.database, "sqlite:file.db");
    assert_eq!(config.log.level, "warn");
    assert_eq!(config.log.format, LogFormat::Text);
}

#[test]
fn the_file_can_be_named_by_a_variable_and_must_exist() {
    let given = Given::default().file("listen = '127.0.0.1:1'");
    let file = given.0.file.clone().unwrap();
    let named = Given::default().variable("SWITCHHOOK_CONFIG", file.to_str().unwrap());
    assert_eq!(named.config().listen.port(), 1);
    let missing = Given::default().variable("SWITCHHOOK_CONFIG", "missing.toml").error();
    assert!(missing.starts_with("cannot read the configuration file missing.toml"), "{missing}");
}

#[test]
fn what_does_not_exist_is_named_with_its_place() {
    let check = |text: &str, key: &str| {
        let given = Given::default().file(text);
        let error = given.error();
        let file = given.0.file.clone().unwrap();
        assert!(error.starts_with(&format!("{}: unknown key `{key}`", file.display())), "{error}");
    };
    check("listn = '127.0.0.1:1'", "listn");
    check("[phone]\nuri = 'http://x'", "phone.uri");
    check("[telephone]\nurl = 'http://x'", "telephone");
    assert_eq!(
        Given::default().variable("SWITCHHOOK_LISTENS", "x").error(),
        "unknown environment variable SWITCHHOOK_LISTENS, did you mean SWITCHHOOK_LISTEN?"
    );
    assert!(Given::default().file("listn = 1").error().ends_with("did you mean listen?"));
}

#[test]
fn a_wrong_value_is_named_with_its_place() {
    let check = |given: Given, expected: &str| {
        let error = given.error();
        assert!(error.contains(expected), "{error}");
    };
    check(
        Given::default().file("listen = 'here'"),
        ": key `listen`: expected ADDRESS:PORT, found \"here\": invalid socket address syntax",
    );
    check(
        Given::default().option("phone_server.listen", "x y"),
        "option --phone-listen: expected ADDRESS:PORT, found \"x y\": ",
    );
    check(Given::default().file("listen = 5"), ": key `listen`: ");
    check(Given::default().file("phone = 5"), ": key `phone`: expected a section");
    check(Given::default().file("[phone_server.numbers]\n'+1' = 7"), ": key `phone_server.numbers`: ");
    check(Given::default().file("listen ="), " is not TOML: ");
    check(Given::default().variable("SWITCHHOOK_LISTEN", "here"), "environment variable SWITCHHOOK_LISTEN: ");
    check(Given::default().variable("SWITCHHOOK_LOG_FORMAT", "xml"), "environment variable SWITCHHOOK_LOG_FORMAT: ");
    check(
        Given::default().variable("SWITCHHOOK_METRICS_PUBLIC", "yes"),
        "environment variable SWITCHHOOK_METRICS_PUBLIC: expected true or false, found \"yes\"",
    );
    check(
        Given::default().option("limits.connections", "many"),
        "option --limits-connections: expected a whole number",
    );
    check(
        Given::default().option("resources.workers_max", "0"),
        "resources.workers_max: expected 1 to 10000000, found 0",
    );
    check(
        Given::default().option("resources.task_channels_max", "4"),
        "resources.task_channels_max: expected 5 to 10000000, found 4",
    );
    for count in ["0", "5001"] {
        let given = Given::default().option("voice.waiting_calls_max", count);
        check(given, &format!("voice.waiting_calls_max: expected 1 to 5000, found {count}"));
    }
    check(
        Given::default().option("voice.cold_transfer_failure", "sing"),
        "voice.cold_transfer_failure: expected one of hold, voicemail, requeue, found sing",
    );
    check(
        Given::default().option("voice.enqueue_action_result_after_conference", "leave"),
        "voice.enqueue_action_result_after_conference: expected bridged or redirected, found leave",
    );
    check(Given::default().option("voice.default_caller_id", " "), "voice.default_caller_id: expected a number");
    check(
        Given::default().option("voice.extra_call_attributes", "forwarded_from,CallerName"),
        "voice.extra_call_attributes: expected letters, digits and _, such as forwarded_from, found CallerName",
    );
    for secs in ["1", "3601"] {
        let given = Given::default().option("voice.look_after_secs", secs);
        check(given, &format!("voice.look_after_secs: expected 2 to 3600, found {secs}"));
    }
    for secs in ["0", "301"] {
        let given = Given::default().option("voice.customer_alone_secs", secs);
        check(given, &format!("voice.customer_alone_secs: expected 1 to 300, found {secs}"));
    }
    check(Given::default().option("account_sid", "AC1"), "option --account-sid: ");
    for error in [
        Given::default().option("listen", "here").error(),
        Given::default().option("account_sid", "AC1").error(),
        Given::default().option("log.format", "xml").error(),
        Given::default().file("listen = 5").error(),
        Given::default().file("[limits]\nconnections = 'x'").error(),
    ] {
        assert!(error.contains("expected") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn lists_and_pairs_can_be_written_in_one_line() {
    let config = Given::default()
        .variable("SWITCHHOOK_OUTBOUND_ALLOW_CIDRS", "10.0.0.0/8, fd00::/8")
        .option("phone_server.numbers", "+1=http://a.example/x?y=z +2=https://b.example/")
        .config();
    assert_eq!(config.outbound.allow_cidrs, ["10.0.0.0/8", "fd00::/8"]);
    assert_eq!(config.phone_server.numbers["+1"], "http://a.example/x?y=z");
    assert_eq!(config.phone_server.numbers["+2"], "https://b.example/");
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    assert!(Given::default().variable("SWITCHHOOK_PUBLIC_URL", "").config().public_url.is_none());
}

#[test]
fn a_secret_can_be_in_a_file_of_its_own() {
    let mut secret = NamedTempFile::new().unwrap();
    writeln!(secret, "{STRONG}").unwrap();
    let path = secret.path().to_str().unwrap();
    let given = Given::default().option("account_sid", SID).variable("SWITCHHOOK_AUTH_TOKEN_FILE", path);
    assert_eq!(given.config().auth_token.unwrap().expose_secret(), STRONG);
    let replaced = given.option("auth_token", "other").config();
    assert_eq!(replaced.auth_token.unwrap().expose_secret(), "other", "a later layer replaces the file");
    let both = Given::default().file(&format!("account_sid='{SID}'\nauth_token='a'\nauth_token_file='{path}'"));
    assert!(both.error().contains("auth_token and auth_token_file are both set"));
    let keys = Given::default().variable("SWITCHHOOK_SECRETS_KEY_FILE", path).error();
    assert_eq!(
        keys,
        format!("secrets.key_file {path}: key 1 is not 64 hexadecimal digits; `openssl rand -hex 32` makes one")
    );
    let keys = Given::default().option("secrets.key", "aa bb").error();
    assert!(keys.starts_with("secrets.key: key 1 is not 64 hexadecimal digits"), "{keys}");
    assert!(Given::default().config().secrets.key.is_none());
    let missing = Given::default().option("account_sid", SID).option("auth_token_file", "missing");
    assert!(missing.error().starts_with("auth_token_file: cannot read missing"));
}

#[test]
fn secrets_do_not_show() {
    let given = Given::default().option("account_sid", SID).option("auth_token", STRONG);
    assert!(!format!("{:?}", given.config()).contains(STRONG));
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let check = |options: &[(&'static str, &str)], expected: &str| {
        let given = options.iter().fold(Given::default(), |given, (key, value)| given.option(key, value));
        let error = given.error();
        assert!(error.contains(expected), "{error}");
    };
    check(&[("account_sid", SID)], "account_sid and auth_token go together");
    check(&[("phone.url", "http://x")], "go together");
    check(&[("public_url", "calls.example")], "public_url: expected an http or https URL");
    check(&[("public_url", "https://calls.example/?a=b")], "expected no query");
    check(&[("phone_server.numbers", "+1=x")], "phone_server.numbers.+1: expected an http or https URL");
    check(&[("listen", "0.0.0.0:80"), ("voice.insecure_skip_signature", "true")], "is refused on the listener");
    check(&[("limits.head_secs", "0")], "limits.head_secs: expected 1 to 1000000");
    check(&[("phone_server.speed", "0")], "phone_server.speed");
    check(&[("wait.interval_secs", "0")], "wait.interval_secs: expected 1 to 600");
    check(&[("wait.interval_secs", "601")], "wait.interval_secs: expected 1 to 600");
    check(&[("wait.language", "en US")], "wait.language: expected a language such as \"en-US\"");
    check(&[("wait.callback_key", "12")], "wait.callback_key: expected one of 0-9, * and #");
    check(&[("wait.callback_prefixes", "1")], "wait.callback_prefixes: expected + and digits, found \"1\"");
    check(&[("wait.callback_attempts", "0")], "wait.callback_attempts: expected 1 to 10");
    check(&[("wait.callback_expires_secs", "59")], "wait.callback_expires_secs: expected 60 to 604800");
    check(&[("wait.voicemail_key", "1")], "wait.voicemail_key: expected another key than wait.callback_key");
    check(&[("wait.voicemail_key", "x")], "wait.voicemail_key: expected one of 0-9, * and #");
    check(&[("wait.voicemail_secs", "241")], "wait.voicemail_secs: expected 5 to 240");
    check(&[("wait.music_url", "music.mp3")], "wait.music_url: expected an http or https URL");
    check(&[("voice.connect_failure_limit", "1001")], "voice.connect_failure_limit: expected 0 to 1000, found 1001");
    check(&[("phone.max_cps", "0")], "phone.max_cps: expected 0.01 to 1000, found 0");
    let phone = [("phone.url", "http://x"), ("phone.account_sid", SID), ("phone.auth_token", STRONG)];
    check(&[phone[0], phone[1], phone[2], ("listen", "0.0.0.0:80")], "public_url is missing");
}

#[test]
fn a_weak_token_is_refused_where_others_can_reach_it() {
    let with = |listen: &str, token: &str| {
        let given = Given::default().option("listen", listen).option("account_sid", SID).option("auth_token", token);
        Config::load(&given.0).is_ok()
    };
    assert!(with("127.0.0.1:80", "weak"));
    assert!(with("[::1]:80", "weak"));
    assert!(!with("0.0.0.0:80", "weak"));
    assert!(!with("192.0.2.1:80", &STRONG[1..]));
    assert!(!with("192.0.2.1:80", &"a".repeat(64)));
    assert!(with("192.0.2.1:80", STRONG));
    assert!(with("192.0.2.1:80", "Gq7Zt1bK0xWm4nPv9sLc2Yd"));
}

#[test]
fn every_setting_has_a_variable_an_option_a_default_line_and_a_documented_row() {
    let documentation = include_str!("../../docs/configuration.md");
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in DEFAULTS.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
            keys.push(section.trim_end_matches('.').to_owned());
        } else if let Some((name, _)) = line.trim_start_matches("# ").split_once(" = ") {
            keys.push(format!("{section}{name}"));
        }
    }
    for setting in SETTINGS {
        assert!(keys.iter().any(|key| key == setting.key), "default.toml lacks {}", setting.key);
        assert!(setting.variable.starts_with(settings::PREFIX), "{}", setting.variable);
        let row = format!("| `{}` | `{}` | `--{}` |", setting.key, setting.variable, setting.option);
        assert!(documentation.contains(&row), "docs/configuration.md lacks {row}");
        let given = Given::default().option(setting.key, "");
        // Whatever comes of an empty text, the key must be one that `Config` knows.
        if let Err(error) = Config::load(&given.0) {
            assert!(!error.to_string().contains("unknown field"), "{error}");
        }
    }
    let mut names: Vec<_> = SETTINGS.iter().flat_map(|setting| [setting.variable, setting.option]).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "two settings share a name");
}

#[test]
fn a_workspace_may_dial_others_and_at_another_pace() {
    const ONE: &str = "WS00000000000000000000000000000001";
    const TWO: &str = "WS00000000000000000000000000000002";
    let file = format!(
        "[dial]\nallow = [\"+1\"]\n[dial.workspaces.{ONE}]\nallow = [\"+49\"]\nper_minute_max = 5\n\
         [dial.workspaces]\n{TWO} = \"+43, sip:pbx.example.org\""
    );
    let policy = Config::load(&Given::default().file(&file).0).unwrap().dialling().unwrap();
    let allowed = |workspace: &str, to: &str| policy.of(workspace.parse().unwrap()).rules.check(to).is_ok();
    assert!(allowed(ONE, "+4930123456") && !allowed(ONE, "+15550100"));
    assert!(allowed(TWO, "+431234567") && allowed(TWO, "sip:a@pbx.example.org") && !allowed(TWO, "+4930123456"));
    assert!(allowed("WS00000000000000000000000000000003", "+15550100"));
    let caps = |workspace: &str| {
        let dialling = policy.of(workspace.parse().unwrap());
        (dialling.legs, dialling.per_minute, dialling.per_region)
    };
    assert_eq!((caps(ONE), caps(TWO)), ((100, 5, 10), (100, 60, 10)));

    for (text, expected) in [
        ("[dial.workspaces]\nsales = \"+49\"", "dial.workspaces.sales: expected the SID of a workspace"),
        ("[dial.workspaces]\nWS00000000000000000000000000000001 = \"mailto:x\"", ".allow: "),
        ("[dial.workspaces.WS00000000000000000000000000000001]\nlegs_max = 100001", ".legs_max: expected 0 to 100000"),
        ("[dial]\nleg_secs_max = 5", "dial.leg_secs_max: expected 60 to 86400, found 5"),
        ("[dial.workspaces.WS00000000000000000000000000000001]\nlegs = 1", "allow, legs_max, per_minute_max"),
    ] {
        let error = Config::load(&Given::default().file(text).0).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_dialect_says_what_a_phone_system_has_unless_that_is_set() {
    for (dialect, rooms, queues, inline, codes) in [
        ("twilio", true, true, true, true),
        ("signalwire", true, true, false, false),
        ("restcomm", true, true, false, false),
        ("somleng", false, false, true, false),
    ] {
        let phone = Given::default().option("phone.dialect", dialect).config().phone;
        let found = (phone.rooms(), phone.queues(), phone.inline_documents(), phone.error_codes());
        assert_eq!(found, (rooms, queues, inline, codes), "{dialect}");
    }
    let given = Given::default().option("phone.dialect", "somleng").variable("SWITCHHOOK_PHONE_QUEUES", "true");
    let phone = given.option("phone.rooms", "true").config().phone;
    assert!(phone.rooms() && phone.queues());
}

#[test]
fn telnyx_needs_its_public_key_and_an_application() {
    let key = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    let telnyx = |more: &[(&'static str, &str)]| {
        let given = Given::default()
            .option("phone.url", "https://api.telnyx.com")
            .option("phone.account_sid", "f5586561-8ff0-4291-a51b-c7dfe4139ff9")
            .option("phone.auth_token", "KEY0123")
            .option("phone.dialect", "telnyx");
        let given = more.iter().fold(given, |given, (name, value)| given.option(name, value));
        Config::load(&given.0).map(|config| config.phone).map_err(|error| error.to_string())
    };
    let application = ("phone.application_sid", "2570131338");
    let phone = telnyx(&[application, ("phone.public_key", key)]).unwrap();
    assert_eq!(phone.public_key.as_deref(), Some(key));
    assert_eq!(phone.auth_scheme(), AuthScheme::Bearer);
    assert_eq!((phone.participants_create(), phone.error_codes()), (false, false));
    assert!(phone.inline_documents() && phone.room_callbacks());
    let basic = telnyx(&[application, ("phone.public_key", key), ("phone.auth_scheme", "basic")]).unwrap();
    assert_eq!(basic.auth_scheme(), AuthScheme::Basic, "what is set counts");
    for (more, expected) in [
        (&[application][..], "needs phone.public_key and phone.application_sid"),
        (&[("phone.public_key", key)], "needs phone.public_key and phone.application_sid"),
        (&[application, ("phone.public_key", "key")], "phone.public_key: expected 32 bytes in base64"),
    ] {
        let refused = telnyx(more).unwrap_err();
        assert!(refused.contains(expected), "{more:?}: {refused}");
    }
}
