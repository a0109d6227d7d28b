//! The program from outside: exit codes, what it prints, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The program in an empty directory, without the settings of whoever runs the tests.
fn program(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchhook"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SWITCHHOOK_")) {
        command.env_remove(name);
    }
    command.current_dir(directory).args(arguments).stdin(Stdio::null());
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    program(directory, arguments).output().unwrap()
}

fn error_of(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A server on a free port; ended when dropped.
struct Serving {
    child: Child,
    output: BufReader<ChildStdout>,
    url: String,
    account: Option<(String, String)>,
}

impl Serving {
    fn start(directory: &Path) -> Self {
        let mut child = program(directory, &["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut serving = Self { child, output, url: String::new(), account: None };
        let (mut sid, mut token) = (None, None);
        loop {
            let mut line = String::new();
            assert!(serving.output.read_line(&mut line).unwrap() > 0, "the server ended before it listened");
            if let Some(value) = line.strip_prefix("SWITCHHOOK_ACCOUNT_SID=") {
                sid = Some(value.trim().to_owned());
            } else if let Some(value) = line.strip_prefix("SWITCHHOOK_AUTH_TOKEN=") {
                token = Some(value.trim().to_owned());
            } else if let Some(url) = line.strip_prefix("Switchhook listens on ") {
                url.trim().clone_into(&mut serving.url);
                serving.account = sid.zip(token);
                return serving;
            }
        }
    }

    fn get(&self, path: &str, account: Option<&(String, String)>) -> (u16, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = switchhook::outbound::client_builder().build().unwrap();
            let mut request = client.get(format!("{}{path}", self.url));
            if let Some((sid, token)) = account {
                request = request.basic_auth(sid, Some(token));
            }
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        })
    }

    /// Asks the server to end, and returns its exit code and how long that took.
    fn terminate(mut self) -> (Option<i32>, Duration) {
        let began = now();
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let code = self.child.wait().unwrap().code();
        (code, began.elapsed())
    }
}

#[expect(clippy::disallowed_methods, reason = "how long another process takes is measured, not simulated")]
fn now() -> Instant {
    Instant::now()
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn wrong_arguments_and_settings_are_told_and_end_with_2() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("switchhook.toml"), "listn = 1\n").unwrap();
    let check = |output: &Output, expected: &str| {
        assert_eq!(output.status.code(), Some(2));
        assert!(error_of(output).contains(expected), "{}", error_of(output));
    };
    check(&run(directory.path(), &["serve"]), "switchhook.toml: unknown key `listn`, did you mean listen?");
    check(&run(directory.path(), &["serve", "--listn", "x"]), "--listn");
    let unknown = TempDir::new().unwrap();
    let output = program(unknown.path(), &["migrate"]).env("SWITCHHOOK_LISTNE", "x").output().unwrap();
    check(&output, "unknown environment variable SWITCHHOOK_LISTNE");
    let with = |arguments: &[&str]| run(unknown.path(), arguments);
    check(&with(&["serve", "--listen", "here"]), "error: option --listen: expected ADDRESS:PORT, found \"here\"");
    check(&with(&["serve", "--log", "a=b=c"]), "log.level: expected error, warn, info, debug, trace or a filter");
    check(
        &with(&["serve", "--outbound-allow-cidrs", "10.0.0.0/8,x"]),
        "outbound.allow_cidrs: expected a block of addresses such as 10.0.0.0/8, found \"x\"",
    );
    assert_eq!(std::fs::read_dir(unknown.path()).unwrap().count(), 0, "nothing was done");
}

#[test]
fn an_account_is_announced_only_when_it_was_made() {
    let directory = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = run(directory.path(), &["serve", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error_of(&output).contains("cannot listen on"), "{}", error_of(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    drop(taken);
    let server = Serving::start(directory.path());
    let account = server.account.clone().expect("the first start that succeeds prints an account");
    assert_eq!(server.get("/v1/Workspaces", Some(&account)).0, 200);
}

#[test]
fn without_an_account_other_machines_are_not_served() {
    let directory = TempDir::new().unwrap();
    let output = run(directory.path(), &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error_of(&output).contains("SWITCHHOOK_ACCOUNT_SID"), "{}", error_of(&output));
}

#[test]
fn migrations_are_named_once() {
    let directory = TempDir::new().unwrap();
    let first = run(directory.path(), &["migrate"]);
    assert!(first.status.success(), "{}", error_of(&first));
    assert!(String::from_utf8_lossy(&first.stdout).starts_with("applied 0001_"));
    let second = run(directory.path(), &["migrate"]);
    assert_eq!(String::from_utf8_lossy(&second.stdout), "nothing to apply, the schema is up to date\n");
}

#[test]
fn a_server_makes_its_first_account_once_and_ends_cleanly() {
    let directory = TempDir::new().unwrap();
    let server = Serving::start(directory.path());
    let account = server.account.clone().expect("the first start prints an account");
    assert_eq!(server.get("/livez", None).0, 200);
    assert_eq!(server.get("/readyz", None).0, 200);
    assert_eq!(server.get("/v1/Workspaces", None).0, 401);
    assert_eq!(server.get("/v1/Workspaces", Some(&account)).0, 200);
    let (status, figures) = server.get("/metrics", None);
    assert_eq!(status, 200);
    let line = "taskrouter_http_requests_total{route=\"/v1/Workspaces\",code=\"200\"} 1";
    assert!(figures.contains(line), "{figures}");
    assert!(!figures.contains("switchhook_twiml_characters_dropped_total"), "no call yet: {figures}");

    let another = run(directory.path(), &["create-account"]);
    let text = String::from_utf8(another.stdout.clone()).unwrap();
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let made = (value("SWITCHHOOK_ACCOUNT_SID="), value("SWITCHHOOK_AUTH_TOKEN="));
    assert_eq!(server.get("/v1/Workspaces", Some(&made)).0, 200, "an account made beside the server works at once");

    let second = run(directory.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1), "two servers on one database");

    let (code, took) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "took {took:?}");

    let again = Serving::start(directory.path());
    assert!(again.account.is_none(), "the account is printed once");
    assert_eq!(again.get("/v1/Workspaces", Some(&account)).0, 200);
}

#[test]
fn the_doctor_says_how_to_mend_what_is_wrong() {
    let directory = TempDir::new().unwrap();
    let healthy = run(directory.path(), &["doctor"]);
    assert!(healthy.status.success(), "{}", String::from_utf8_lossy(&healthy.stdout));
    let sid = "AC00000000000000000000000000000001";
    let arguments =
        ["doctor", "--phone-url", "http://127.0.0.1:1", "--phone-account-sid", sid, "--phone-auth-token", "t"];
    let output = run(directory.path(), &arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.lines().any(|line| line.starts_with("fail  phone system: ") && line.contains("SWITCHHOOK_PHONE_URL")));
    assert!(text.lines().any(|line| line.starts_with("warn  database: ") && line.contains("switchhook migrate")));
}
