//! What happens when a server starts for the first time, or cannot start.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::sdk::ended_in_time;
use crate::server::{ACCOUNT, Data, Launch, Server, TOKEN, call, countersign, err, out};

#[test]
fn without_a_terminal_the_root_token_goes_to_a_file() {
    let data = Data::new();
    let server = Launch::bare(&data).start();
    let file = data.path().join("root-token");
    let token = std::fs::read_to_string(&file).expect("the token's file");
    let token = token.trim_end();
    let mode = std::fs::metadata(&file).expect("the token's file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(server.call("GET", "/api/v1/self", token, None).0, 200);

    let ended = server.stop();
    assert!(ended.status.success(), "{}", ended.log);
    assert!(ended.stdout.contains(file.to_str().expect("a path in UTF-8")), "{}", ended.stdout);
    assert!(!ended.stdout.contains(token) && !ended.log.contains(token), "the token was shown");

    let again = Launch::bare(&data).start();
    assert_eq!(again.call("GET", "/api/v1/self", token, None).0, 200);
    assert_eq!(again.stop().stdout, "", "a second start has nothing to tell");
}

/// A token that may do everything must not live when nobody has its text.
#[test]
fn a_root_token_that_cannot_be_kept_is_not_set() {
    let data = Data::new();
    let file = data.path().join("root-token");
    std::fs::create_dir_all(&file).expect("a directory where the file should be");
    let why = format!("no root token was set: it cannot be written to {}", file.display());
    let failed = Launch::bare(&data).fail();
    assert_eq!(failed.status.code(), Some(1));
    assert!(err(&failed).ends_with('\n') && err(&failed).contains(&why), "{}", err(&failed));

    std::fs::remove_dir(&file).expect("an empty directory");
    let server = Launch::bare(&data).start();
    let token = std::fs::read_to_string(&file).expect("the token's file");
    assert_eq!(server.call("GET", "/api/v1/self", token.trim_end(), None).0, 200);
}

#[test]
fn a_root_token_that_nobody_may_have_is_spoken_of_until_it_is_used() {
    let hint = "another with `countersign root reset`";
    let data = Data::new();
    Launch::bare(&data).start().stop();
    let again = Launch::bare(&data).start().stop();
    assert!(!again.log.contains(hint), "the token is in its file: {}", again.log);

    let file = data.path().join("root-token");
    let token = std::fs::read_to_string(&file).expect("the token's file");
    std::fs::remove_file(&file).expect("the token's file");
    let server = Launch::bare(&data).start();
    assert_eq!(server.log().matches(hint).count(), 1, "{}", server.log());
    assert_eq!(server.call("GET", "/api/v1/self", token.trim_end(), None).0, 200);
    server.stop();
    let used = Launch::bare(&data).start().stop();
    assert!(!used.log.contains(hint), "somebody has the token: {}", used.log);
}

/// What a newcomer does: start it in a terminal, paste the command that it prints.
#[test]
fn on_a_terminal_the_first_command_works_when_pasted() {
    let data = Data::new();
    let pid_file = data.path().with_file_name("pid");
    let serve = format!(
        "echo $$ > {}; exec {} serve --listen 127.0.0.1:0 --data {}",
        pid_file.display(),
        env!("CARGO_BIN_EXE_countersign"),
        data.path().display()
    );
    // `script` gives it a terminal; when its time is over the terminal is gone, and the server with it.
    let mut terminal = ended_in_time(Path::new("script"));
    terminal
        .args(["--quiet", "--flush", "--return", "--command", &serve, "/dev/null"])
        .env("SHELL", "/bin/sh");
    let terminal = terminal.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut terminal = terminal.spawn().expect("`timeout` of coreutils is there");
    // Read to there and kept open: what is written to it later must not fail.
    let mut output = BufReader::new(terminal.stdout.take().expect("its output"));
    let told = read_until(&mut output, "  -d '");
    let command = told.find("curl ").map(|start| &told[start..]).expect("the command");
    let mut paste = ended_in_time(Path::new("sh"));
    let pasted = paste.args(["-c", command]).output().expect("a shell");

    let pid = std::fs::read_to_string(&pid_file).expect("the file");
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::TERM).expect("it runs");
    assert!(terminal.wait().expect("it ends").success());

    let answer: serde_json::Value = serde_json::from_str(&out(&pasted)).unwrap_or_default();
    assert_eq!(answer["result"]["name"], "first", "{told}\n{}{}", out(&pasted), err(&pasted));
    let (account, token) = (value_after(&told, "  account  "), value_after(&told, "  token    "));
    assert_eq!((account.len(), token.len()), (32, 64), "{told}");
    assert!(command.contains(&format!("/accounts/{account}/access/service_tokens")), "{told}");
    assert!(command.contains(&format!("Authorization: Bearer {token}'")), "{told}");
    assert!(!data.path().join("root-token").exists(), "who has seen it needs no file");
}

/// The lines up to the first that begins so, without what a terminal puts at their ends.
fn read_until(output: &mut impl BufRead, begin: &str) -> String {
    let mut told = String::new();
    for line in output.lines() {
        let line = line.expect("text");
        told.push_str(line.trim_end());
        told.push('\n');
        if line.starts_with(begin) {
            return told;
        }
    }
    panic!("it ended before the line that begins with `{begin}`:\n{told}")
}

/// What stands behind this in its line.
fn value_after<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no `{name}` in\n{text}"))
}

#[test]
fn a_stated_root_token_is_never_shown() {
    let data = Data::new();
    let server = Server::start(&data);
    let (status, itself) = server.get("/api/v1/self");
    assert_eq!((status, itself["account"].as_str()), (200, Some(ACCOUNT)));
    let ended = server.stop();
    assert!(!ended.stdout.contains(TOKEN) && !ended.log.contains(TOKEN));
    assert!(!data.path().join("root-token").exists());
}

#[test]
fn another_stated_root_token_ends_the_one_before() {
    let data = Data::new();
    Server::start(&data).stop();
    let other = "another-root-token-of-the-whole-tests-9876543210";
    let server = Launch::new(&data).env("COUNTERSIGN_ROOT_TOKEN", other).start();
    assert_eq!(server.call("GET", "/api/v1/self", other, None).0, 200);
    assert_eq!(server.call("GET", "/api/v1/self", TOKEN, None).0, 401);
    server.stop();

    let failed = Launch::new(&data).fail();
    assert_one_line(&failed, "COUNTERSIGN_ROOT_TOKEN was retired before");
}

#[test]
fn what_cannot_start_says_why_in_one_line() {
    let data = Data::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let failed = Launch::new(&data).env("COUNTERSIGN_INTERNAL_LISTEN", &address).fail();
    assert_one_line(&failed, &format!("cannot listen on {address}: "));
    assert!(!data.path().exists(), "nothing was written");

    let file = data.path().with_file_name("file");
    std::fs::write(&file, "").expect("a file");
    assert_one_line(&Launch::at(&file.join("data")).fail(), "cannot write to the data directory ");

    let config = data.path().with_file_name("countersign.toml");
    std::fs::write(&config, "[limits]\nmax_durations = \"1h\"\n").expect("a file");
    let config = config.to_str().expect("a path in UTF-8");
    let failed = Launch::new(&data).env("COUNTERSIGN_CONFIG", config).fail();
    assert_one_line(&failed, &format!("unknown key `limits.max_durations` in {config}; known there: "));

    let failed = Launch::new(&data).env("COUNTERSIGN_ROOT_TOKEN_FILE", "/nowhere").fail();
    assert_one_line(&failed, "COUNTERSIGN_ROOT_TOKEN and COUNTERSIGN_ROOT_TOKEN_FILE are both set");

    let failed = Launch::new(&data).env("COUNTERSIGN_ROOT_EMAIL", "root").fail();
    assert_one_line(&failed, "COUNTERSIGN_ROOT_EMAIL must be an e-mail address");

    let failed = Launch::new(&data).env("COUNTERSIGN_ROOT_TOKEN", "short").fail();
    assert_one_line(&failed, "COUNTERSIGN_ROOT_TOKEN must be 32 to 128 characters");
    assert!(!data.path().exists(), "nothing was written");
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let data = Data::new();
    let server = Server::start(&data);
    assert_one_line(&Launch::new(&data).fail(), "another process holds ");
    assert_eq!(server.get("/readyz").0, 200, "the first one goes on");
}

#[test]
fn a_store_of_another_root_account_is_refused() {
    let data = Data::new();
    Server::start(&data).stop();
    let other = "0192f3c4a5b67c8d9e0f1a2b3c4d5e70";
    let failed = Launch::new(&data).env("COUNTERSIGN_ROOT_ACCOUNT_ID", other).fail();
    assert_one_line(&failed, &format!("COUNTERSIGN_ROOT_ACCOUNT_ID is {other}, but the root account"));
}

#[test]
fn the_root_token_is_reset_while_the_server_is_stopped() {
    let data = Data::new();
    let path = data.path();
    let path = path.to_str().expect("a path in UTF-8");
    let reset = || countersign(["root", "reset", "--data", path]).output().expect("the binary");

    let server = Server::start(&data);
    assert_one_line(&reset(), "another process holds ");
    server.stop();

    let done = reset();
    assert!(done.status.success(), "{}", err(&done));
    let token = out(&done).trim_end().to_owned();
    assert_eq!((token.len(), token.lines().count()), (64, 1), "the token alone is on standard output");
    assert!(!err(&done).contains(&token));

    let server = Launch::bare(&data).start();
    assert_eq!(server.call("GET", "/api/v1/self", &token, None).0, 200);
    assert_eq!(server.call("GET", "/api/v1/self", TOKEN, None).0, 401);
    server.stop();

    let empty = data.path().with_file_name("empty");
    std::fs::create_dir(&empty).expect("a directory");
    for without_store in [&empty, &empty.join("nowhere")] {
        let path = without_store.to_str().expect("a path in UTF-8");
        let failed = countersign(["root", "reset", "--data", path]).output().expect("the binary");
        assert_one_line(&failed, "there is no store in ");
    }
    assert_eq!(std::fs::read_dir(&empty).expect("a directory").count(), 0, "nothing was made");
}

#[test]
fn the_configuration_is_checked_without_a_server() {
    let good = countersign(["config", "check"]).output().expect("the binary");
    assert_eq!((good.status.code(), out(&good).as_str()), (Some(0), "the configuration is right\n"));
    let bad = countersign(["config", "check", "--listen", "8787"]).output().expect("the binary");
    assert_one_line(&bad, "`listen` must be an IP address and a port");

    let mut show = countersign(["config", "show"]);
    let shown = show.env("COUNTERSIGN_ROOT_TOKEN", TOKEN).output().expect("the binary");
    assert!(shown.status.success() && !out(&shown).contains(TOKEN), "{}", out(&shown));
}

/// What is misspelt in the environment protects nobody; what a shell has set for the command line is no mistake.
#[test]
fn a_variable_that_is_not_known_is_refused() {
    let data = Data::new();
    let data = data.path();
    let path = data.to_str().expect("a path in UTF-8");
    let commands = [["serve"].as_slice(), &["config", "check"], &["config", "show"], &["root", "reset"]];
    for command in commands {
        let with = |name: &str, value: &str| {
            let mut command = countersign(command.iter().copied().chain(["--data", path]));
            command.env(name, value).output().expect("the binary")
        };
        let misspelt = "COUNTERSIGN_TRUSTED_PROXY";
        assert_one_line(&with(misspelt, "10.0.0.1"), &format!("unknown environment variable {misspelt}; "));
    }
    assert!(!data.exists(), "nothing was written");

    let mut check = countersign(["config", "check"]);
    check.env("COUNTERSIGN_TRUSTED_PROXY", "").env("COUNTERSIGN_URL", "http://127.0.0.1:1");
    check.env("COUNTERSIGN_TOKEN", TOKEN).env("COUNTERSIGN_TOKEN_FILE", "/nowhere");
    let checked = check.env("COUNTERSIGN_CLIENT_SECRET", "a secret").output().expect("the binary");
    assert!(checked.status.success(), "{}", err(&checked));
}

/// A start that fails ends with 1 and says why in one line.
fn assert_one_line(output: &std::process::Output, why: &str) {
    let stderr = err(output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with(&format!("countersign: {why}")), "{stderr}");
}

#[test]
fn the_internal_listener_has_no_management() {
    let data = Data::new();
    let server = Launch::new(&data).arg("--internal-listen").arg("127.0.0.1:0").start();
    let internal = server.internal_address().expect("its address is in the log");
    assert_ne!(internal, server.address());
    let get =
        |path: &str| call(&format!("http://{internal}{path}"), "GET", TOKEN, None).expect("an answer").0;
    assert_eq!(get("/readyz"), 200);
    assert_eq!(get("/metrics"), 200);
    assert_eq!(get("/authz"), 200, "the door");
    assert_eq!(get("/api/v1/audit"), 404);
    assert_eq!(get(&format!("/client/v4/accounts/{ACCOUNT}/access/service_tokens")), 404);
}

#[test]
fn as_many_files_may_be_open_as_connections_need() {
    let data = Data::new();
    let server =
        Launch::new(&data).env("COUNTERSIGN_LIMITS_CONNECTIONS", "400").after("ulimit -Sn 256").start();
    let limits = format!("/proc/{}/limits", server.pid().as_raw_nonzero());
    let limits = std::fs::read_to_string(limits).expect("the limits of a process");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit");
    assert_eq!(files.split_whitespace().nth(3), Some("464"), "{files}");
}
