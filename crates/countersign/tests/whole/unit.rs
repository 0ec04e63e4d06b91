//! A unit of systemd, and what it says started as systemd does, as far as that matters here.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use countersign_postgres_cluster::{as_other_user, own};
use rustix::process::{Pid, Signal, kill_process};

/// Longest time for a service to start or to end, on a slow machine with other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// How soon it is noticed that one has ended before it was ready.
const LOOK: Duration = Duration::from_millis(100);

/// What a service needs to know of its machine.
pub(crate) struct Surroundings {
    /// What stands for `/`.
    pub(crate) root: PathBuf,
    /// Where it writes.
    pub(crate) log: PathBuf,
}

/// A unit file.
pub(crate) struct Unit {
    name: String,
    settings: Vec<(String, String)>,
}

/// A running service. Killed when dropped.
pub(crate) struct Service {
    child: Child,
    /// By which it is told to end.
    signal: Signal,
}

impl Unit {
    /// `name` is without `.service`.
    pub(crate) fn read(name: &str, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let settings = text.lines().filter(|line| !line.starts_with(['#', '[']));
        let settings = settings.filter_map(|line| line.split_once('='));
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { name: name.to_owned(), settings }
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.settings.iter().filter(move |(known, _)| known == key).map(|(_, value)| &**value)
    }

    fn find(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// Starts the service, and waits as long as its type says.
    pub(crate) fn start(&self, surroundings: &Surroundings) -> Service {
        let root = &surroundings.root;
        let mut words = self.find("ExecStart").expect("what is started").split(' ');
        let program = Path::new(words.next().expect("a program"));
        let mut command = match self.find("User") {
            Some(user) => {
                assert_eq!(user, "postgres", "the one user that the page names");
                as_other_user(program).expect("a user")
            }
            None => Command::new(program),
        };
        command.args(words).env_clear();
        self.make_directory("RuntimeDirectory", &root.join("run"));
        self.make_directory("StateDirectory", &root.join("var/lib"));
        let credentials = self.hand_over_credentials(root);
        for setting in self.all("Environment") {
            let (name, value) = setting.split_once('=').expect("a variable");
            command.env(name, value.replace("%d", credentials.to_str().expect("a path in UTF-8")));
        }
        let ready = (self.find("Type") == Some("notify")).then(|| self.listen(root));
        if ready.is_some() {
            command.env("NOTIFY_SOCKET", self.notify_socket(root));
        }
        let log = fs::File::options().create(true).append(true).open(&surroundings.log).expect("a log");
        let streams = command.stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
        let child = streams.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let signal = if self.find("KillSignal") == Some("SIGINT") { Signal::INT } else { Signal::TERM };
        let mut service = Service { child, signal };
        if let Some(ready) = ready {
            wait_until_ready(&mut service, &ready, surroundings);
        }
        service
    }

    fn make_directory(&self, key: &str, parent: &Path) {
        let Some(name) = self.find(key) else { return };
        let path = parent.join(name);
        if path.exists() {
            return;
        }
        DirBuilder::new().recursive(true).mode(0o755).create(&path).expect("a directory");
        if self.find("User").is_some() {
            own(&path).expect("it is ours");
        }
    }

    fn hand_over_credentials(&self, root: &Path) -> PathBuf {
        let directory = root.join("run/credentials").join(&self.name);
        fs::create_dir_all(&directory).expect("a directory");
        for credential in self.all("LoadCredential") {
            let (name, path) = credential.split_once(':').expect("a name and a path");
            fs::copy(path, directory.join(name)).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        directory
    }

    fn notify_socket(&self, root: &Path) -> PathBuf {
        root.join("run").join(format!("{}.notify", self.name))
    }

    fn listen(&self, root: &Path) -> UnixDatagram {
        let path = self.notify_socket(root);
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("a socket");
        fs::set_permissions(&path, Permissions::from_mode(0o777)).expect("it is ours");
        socket.set_read_timeout(Some(LOOK)).expect("a socket");
        socket
    }
}

fn wait_until_ready(service: &mut Service, socket: &UnixDatagram, surroundings: &Surroundings) {
    let deadline = Instant::now() + PATIENCE;
    let mut told = [0; 4096];
    loop {
        let length = socket.recv(&mut told).unwrap_or_default();
        if told[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
            return;
        }
        let ended = service.child.try_wait().expect("it can be waited for");
        if ended.is_some() || Instant::now() > deadline {
            panic!("it does not say that it is ready: {}", surroundings.said());
        }
    }
}

impl Surroundings {
    /// What its services have written.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Service {
    /// As `systemctl stop`.
    pub(crate) fn stop(self) {
        let signal = self.signal;
        self.end_by(signal);
    }

    /// Sends a signal, and waits for the end.
    pub(crate) fn end_by(mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("it can be waited for").is_none() {
            assert!(Instant::now() < deadline, "a service does not end");
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // A postgres that is killed leaves its processes behind.
            let signal = if self.signal == Signal::INT { Signal::QUIT } else { Signal::KILL };
            let _ = kill_process(Pid::from_child(&self.child), signal);
            let _ = self.child.wait();
        }
    }
}
