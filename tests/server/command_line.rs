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

fn output_of(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// SID and secret that `create-key` printed.
fn key_of(output: &Output) -> (String, String) {
    let text = output_of(output);
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    (value("TWILIO_API_KEY="), value("TWILIO_API_SECRET="))
}

#[test]
fn api_keys_are_made_listed_and_revoked_beside_a_server() {
    let directory = TempDir::new().unwrap();
    let server = Serving::start(directory.path());
    let (account, _) = server.account.clone().unwrap();
    let made = run(directory.path(), &["create-key", "--account", &account, "--name", "Wall board"]);
    assert!(made.status.success(), "{}", error_of(&made));
    let key = key_of(&made);
    assert_eq!(server.get("/v1/Workspaces", Some(&key)).0, 200, "a new key works at once");
    let second = key_of(&run(directory.path(), &["create-key", "--account", &account]));

    let listed = run(directory.path(), &["list-keys"]);
    let listed = output_of(&listed);
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(lines[0].starts_with(&format!("{} {account} 20", key.0)) && lines[0].ends_with("Z Wall board"), "{listed}");
    assert!(lines[1].starts_with(&second.0) && lines[1].ends_with('Z'), "{listed}");
    assert!(!listed.contains(&key.1));

    let revoked = run(directory.path(), &["revoke-key", &key.0]);
    assert_eq!(output_of(&revoked), format!("revoked {}\n", key.0));
    assert_eq!(server.get("/v1/Workspaces", Some(&key)).0, 401, "a revoked key is refused at once");
    assert_eq!(server.get("/v1/Workspaces", Some(&second)).0, 200);

    let check = |arguments: &[&str], code: i32, expected: &str| {
        let output = run(directory.path(), arguments);
        assert_eq!((output.status.code(), output_of(&output)), (Some(code), String::new()), "{arguments:?}");
        assert!(error_of(&output).contains(expected), "{}", error_of(&output));
    };
    check(&["revoke-key", &key.0], 1, &format!("error: there is no key {}", key.0));
    let nobody = format!("AC{}", "0".repeat(32));
    check(&["create-key", "--account", &nobody], 1, &format!("error: there is no account {nobody}"));
    check(&["list-keys", "--account", &nobody], 1, &format!("error: there is no account {nobody}"));
    check(&["create-key"], 2, "--account");
    check(&["create-key", "--account", "AC1"], 2, "not a SID that begins with AC");
    check(&["revoke-key", &account], 2, "not a SID that begins with SK");
    check(&["create-key", "--account", &account, "--name", &"n".repeat(65)], 2, "at most 64 characters");
}

#[test]
fn a_lost_key_file_stops_the_start_and_a_returned_one_lets_it_go_on() {
    let directory = TempDir::new().unwrap();
    let server = Serving::start(directory.path());
    let account = server.account.clone().unwrap();
    assert_eq!(server.terminate().0, Some(0));
    let file = directory.path().join("switchhook.db.key");
    let kept = std::fs::read(&file).unwrap();
    let database = std::fs::read(directory.path().join("switchhook.db")).unwrap();
    std::fs::remove_file(&file).unwrap();
    for arguments in
        [&["serve", "--listen", "127.0.0.1:0"][..], &["create-account"], &["list-keys"], &["reencrypt"], &["doctor"]]
    {
        let output = run(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let told = output_of(&output) + &error_of(&output);
        for text in ["switchhook.db.key", "does not exist", "encrypted with key", "nothing was changed"] {
            assert!(told.contains(text), "{arguments:?}: {told} lacks {text}");
        }
    }
    assert!(!file.exists());
    assert_eq!(std::fs::read(directory.path().join("switchhook.db")).unwrap(), database);
    std::fs::write(&file, kept).unwrap();
    let server = Serving::start(directory.path());
    assert_eq!(server.get("/v1/Workspaces", Some(&account)).0, 200);
}

#[test]
fn keys_of_secrets_are_exchanged_by_file_and_command() {
    let directory = TempDir::new().unwrap();
    let run_with = |keys: &str, arguments: &[&str]| {
        let file = directory.path().join("keys");
        std::fs::write(&file, keys).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        program(directory.path(), arguments).env("SWITCHHOOK_SECRETS_KEY_FILE", "keys").output().unwrap()
    };
    let old = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let new = "f0e1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f";
    let both = format!("# of today\n{new}\n{old}\n");
    let account = run_with(old, &["create-account"]);
    assert!(account.status.success(), "{}", error_of(&account));
    assert!(!directory.path().join("switchhook.db.key").exists());

    let wrong = run_with(new, &["list-keys"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(error_of(&wrong).contains("secrets.key_file keys: holds key "), "{}", error_of(&wrong));
    let malformed = run_with("secret", &["list-keys"]);
    assert_eq!(malformed.status.code(), Some(2));
    assert!(!error_of(&malformed).contains("\"secret\""), "{}", error_of(&malformed));

    let told = |output: &Output, expected: &str| assert!(output_of(output).contains(expected), "{}", output_of(output));
    told(&run_with(&both, &["doctor"]), "warn  secrets: 1, of which 1 need other keys than ");
    let done = run_with(&both, &["reencrypt"]);
    assert!(output_of(&done).starts_with("secrets encrypted with key "), "{}", error_of(&done));
    assert!(output_of(&done).ends_with(": 1, 1 of them anew\n"));
    let doctor = run_with(new, &["doctor"]);
    told(&doctor, "ok    secrets: 1, all of which key ");
    if cfg!(unix) {
        told(&doctor, "warn  secrets: secrets.key_file keys can be read by other users of this machine (mode 6");
    }
    assert_eq!(run_with(old, &["list-keys"]).status.code(), Some(1), "the old key is of no use any more");
}

#[test]
fn secrets_are_not_encrypted_anew_while_a_server_runs() {
    let directory = TempDir::new().unwrap();
    let _server = Serving::start(directory.path());
    let output = run(directory.path(), &["reencrypt"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error_of(&output).contains("another process is using the database"), "{}", error_of(&output));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let file = directory.path().join("switchhook.db.key");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&file, open).unwrap();
        let doctor = run(directory.path(), &["doctor"]);
        assert_eq!(doctor.status.code(), Some(1));
        assert!(output_of(&doctor).contains("fail  secrets: key file "), "{}", output_of(&doctor));
        assert!(output_of(&doctor).contains("chmod 600"), "{}", output_of(&doctor));
    }
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
