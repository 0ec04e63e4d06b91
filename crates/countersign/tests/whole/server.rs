//! Starts the built binary and stops it, gently or not.
//!
//! ```text
//! let data = Data::new();
//! let server = Server::start(&data);
//! assert_eq!(server.get("/api/v1/self").0, 200);
//! server.kill();                          // or `server.stop()`, which also checks that it ends well
//! let server = Server::start(&data);      // the same store again
//! ```

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use countersign_postgres_cluster::Database;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::many::until;

/// The root account of every server that [`Launch`] starts.
pub(crate) const ACCOUNT: &str = "0192f3c4a5b67c8d9e0f1a2b3c4d5e6f";
/// Its token.
pub(crate) const TOKEN: &str = "whole-tests-root-token-0123456789-abcdefghij";

/// Which store the tests use that are for both.
const STORE_VARIABLE: &str = "COUNTERSIGN_TEST_STORE";

/// Longest time for a server to start or to end, on a slow machine with other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data directory, and a database where that is the store; removed when dropped. Outlives the servers that use it.
pub(crate) struct Data {
    directory: tempfile::TempDir,
    database: Option<Database>,
}

impl Data {
    /// A new, empty one, of the store that is tested: the embedded one, unless [`STORE_VARIABLE`] says otherwise.
    pub(crate) fn new() -> Self {
        match std::env::var(STORE_VARIABLE).as_deref() {
            Ok("shared") => Self::shared(),
            Ok(other) => panic!("{STORE_VARIABLE} must be `shared`, not `{other}`"),
            Err(_) => Self::embedded(),
        }
    }

    /// Of the embedded store, whichever is tested.
    pub(crate) fn embedded() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory"), database: None }
    }

    /// Of the shared store, whichever is tested.
    pub(crate) fn shared() -> Self {
        let database = Database::create().unwrap_or_else(|error| panic!("a database: {error:#}"));
        Self { database: Some(database), ..Self::embedded() }
    }

    /// Where the server keeps the embedded store and its files.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The database, where that is the store.
    pub(crate) fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }
}

/// The program with these arguments and with nothing of the tests' own environment in it.
pub(crate) fn countersign<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// The key that all nodes of the tests have.
pub(crate) fn key_file() -> &'static Path {
    static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("key");
        std::fs::write(&path, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").expect("room for a key");
        path
    });
    &FILE
}

/// How a server is started.
pub(crate) struct Launch {
    command: Command,
}

impl Launch {
    /// On a free port, with [`ACCOUNT`] and [`TOKEN`], logging JSON.
    pub(crate) fn new(data: &Data) -> Self {
        let launch = Self::bare(data);
        launch.env("COUNTERSIGN_ROOT_ACCOUNT_ID", ACCOUNT).env("COUNTERSIGN_ROOT_TOKEN", TOKEN)
    }

    /// As [`Launch::new`], with nothing said about the root.
    pub(crate) fn bare(data: &Data) -> Self {
        let launch = Self::at(&data.path());
        match data.database() {
            Some(database) => launch.env("COUNTERSIGN_DATABASE_URL", database.url()),
            None => launch,
        }
    }

    /// As [`Launch::bare`], with an embedded store in this directory.
    pub(crate) fn at(data: &Path) -> Self {
        let data = data.to_str().expect("a path in UTF-8");
        let command = countersign(["serve", "--listen", "127.0.0.1:0", "--data", data]);
        Self { command }.env("COUNTERSIGN_LOG_FORMAT", "json")
    }

    /// One more variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        if name == "COUNTERSIGN_DATABASE_URL" {
            self.command.env("COUNTERSIGN_KEY_FILE", key_file());
        }
        self
    }

    /// People may log in as often as they like.
    pub(crate) fn without_login_limits(self) -> Self {
        self.env("COUNTERSIGN_LOGIN_PER_ACCOUNT", "1000000").env("COUNTERSIGN_LOGIN_PER_ADDRESS", "1000000")
    }

    /// One more argument.
    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    /// Lets a shell do something first, such as `ulimit -Sn 256`.
    pub(crate) fn after(self, shell: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{shell}; exec \"$@\""), "sh"]).env_clear().stdin(Stdio::null());
        command.arg(self.command.get_program()).args(self.command.get_args());
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self { command }
    }

    /// Starts it and does not wait: for those who do not let it come that far.
    pub(crate) fn spawn(mut self) -> Child {
        let command = self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the binary can be started")
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(self) -> Server {
        let server = self.start_unasked();
        server.wait_until_ready();
        server
    }

    /// Starts it and waits until it says that it serves, without asking it anything: it may not speak plain HTTP.
    pub(crate) fn start_unasked(self) -> Server {
        let mut child = self.spawn();
        let log = Arc::new(Mutex::new(String::new()));
        let serving = follow(&mut child, Arc::clone(&log));
        let line = serving.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let _ = child.kill();
            panic!("the server did not start; its log:\n{}", log.lock().expect("the log"))
        });
        let address = |field: &str| line[field].as_str().and_then(|text| text.parse().ok());
        Server {
            child,
            address: address("listen").expect("the address in the log"),
            internal_address: address("internal_listen"),
            log,
        }
    }

    /// Starts it and waits until it has ended by itself: for starts that cannot succeed.
    pub(crate) fn fail(mut self) -> Output {
        self.command.output().expect("the binary can be started")
    }
}

/// Collects the log and gives its line about where the server listens.
fn follow(child: &mut Child, log: Arc<Mutex<String>>) -> Receiver<Value> {
    let (found, serving) = sync_channel(1);
    let stderr = BufReader::new(child.stderr.take().expect("standard error"));
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["message"] == "serving" {
                let _ = found.try_send(event);
            }
            let mut log = log.lock().expect("the log");
            log.push_str(&line);
            log.push('\n');
        }
    });
    serving
}

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    internal_address: Option<SocketAddr>,
    log: Arc<Mutex<String>>,
}

/// What is left of a server.
pub(crate) struct Ended {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it wrote to standard output.
    pub(crate) stdout: String,
    /// What it wrote to its log.
    pub(crate) log: String,
}

impl Server {
    /// Starts one with [`ACCOUNT`] and [`TOKEN`] and waits until it is ready.
    pub(crate) fn start(data: &Data) -> Self {
        Launch::new(data).start()
    }

    /// Waits until the keys are made that sign: a change that comes a moment after the first start.
    pub(crate) fn wait_for_keys(&self) {
        let has_keys = || self.get("/.well-known/jwks.json").1["keys"].get(0).is_some();
        until(has_keys, || self.log());
    }

    /// Where everything is answered.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `--internal-listen` is answered.
    pub(crate) fn internal_address(&self) -> Option<SocketAddr> {
        self.internal_address
    }

    /// The process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What was logged until now.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// `http://address` and this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Status and body of a GET by the root token.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, TOKEN, None)
    }

    /// Status and body of any request; `Null` when the body is no JSON.
    pub(crate) fn call(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> (u16, Value) {
        call(&self.url(path), method, token, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Whether a door takes these two headers.
    pub(crate) fn opens(&self, client_id: &str, client_secret: &str) -> bool {
        let request = ureq::get(self.url("/authz"))
            .header("cf-access-client-id", client_id)
            .header("cf-access-client-secret", client_secret);
        request.config().http_status_as_error(false).build().call().expect("an answer").status() == 200
    }

    /// Runs the command line against this server with the root token.
    pub(crate) fn cli<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Output {
        self.cli_as(TOKEN, arguments, "")
    }

    /// Runs the command line with another token and something on standard input.
    pub(crate) fn cli_as<'a>(
        &self,
        token: &str,
        arguments: impl IntoIterator<Item = &'a str>,
        stdin: &str,
    ) -> Output {
        let mut command = countersign(arguments);
        command.env("COUNTERSIGN_URL", self.url("")).env("COUNTERSIGN_TOKEN", token);
        output_of(command, stdin)
    }

    /// SIGTERM; then waits until it has ended.
    pub(crate) fn stop(self) -> Ended {
        self.terminate();
        self.wait()
    }

    /// SIGTERM, without waiting.
    pub(crate) fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).expect("the server runs");
    }

    /// SIGHUP; then waits until the log has this so many times.
    pub(crate) fn hang_up(&self, line: &str, times: usize) {
        kill_process(self.pid(), Signal::HUP).expect("the server runs");
        let deadline = Instant::now() + PATIENCE;
        while self.log().matches(line).count() < times {
            assert!(Instant::now() < deadline, "it does not say `{line}`; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `kill -9`, at once.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("the server ends");
    }

    /// Waits until it has ended.
    pub(crate) fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("the server can be waited for") {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    panic!("the server does not end; its log:\n{}", self.log())
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        let mut stdout = String::new();
        let pipe = self.child.stdout.take().expect("standard output");
        BufReader::new(pipe).read_to_string(&mut stdout).expect("text");
        // The thread that follows the log ends with the pipe; the last lines may still be on their way.
        while Arc::strong_count(&self.log) > 1 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ended { status, stdout, log: self.log() }
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !call(&self.url("/readyz"), "GET", "", None).is_ok_and(|(status, _)| status == 200) {
            assert!(Instant::now() < deadline, "the server is not ready; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command with something on standard input.
pub(crate) fn output_of(mut command: Command, stdin: &str) -> Output {
    let input = tempfile::NamedTempFile::new().expect("a temporary file");
    input.as_file().write_all(stdin.as_bytes()).expect("room on the disk");
    command.stdin(File::open(input.path()).expect("the temporary file"));
    command.output().expect("the command can be started")
}

/// Status and body of a request to any address.
pub(crate) fn call(
    url: &str,
    method: &str,
    token: &str,
    body: Option<&Value>,
) -> Result<(u16, Value), ureq::Error> {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .new_agent();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut response = match body {
        Some(body) => {
            agent.run(request.header("content-type", "application/json").body(body.to_string())?)?
        }
        None => agent.run(request.body(())?)?,
    };
    let body = response.body_mut().read_to_string()?;
    Ok((response.status().as_u16(), serde_json::from_str(&body).unwrap_or_default()))
}

/// Standard output as text.
pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text on standard output")
}

/// Standard error as text.
pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text on standard error")
}
