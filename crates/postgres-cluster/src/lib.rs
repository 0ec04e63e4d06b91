//! PostgreSQL servers for tests: on loopback, on a free port, in a temporary directory, thrown away afterwards.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

/// The variable that names an existing server for tests: one to which they may do anything.
pub const URL_VARIABLE: &str = "COUNTERSIGN_TEST_DATABASE_URL";

/// Where Debian has the programs of the version that is tested.
pub const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// Who owns the database.
const USER: &str = "countersign";
/// Longest time for a server to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Connections are ended, and everything is written.
    Fast,
    /// As by a crash: what was not synced is recovered from the log.
    Immediate,
}

/// A server. Stopped when dropped.
pub struct Cluster {
    directory: TempDir,
    port: u16,
    settings: Vec<String>,
    running: Option<Child>,
}

impl Cluster {
    /// An empty server with these settings, `name=value` each, that is ready to serve.
    pub fn start(settings: &[&str]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("countersign-postgres-").tempdir()?;
        if let Some((user, group)) = other_user()? {
            chown(directory.path(), Some(user), Some(group))?;
        }
        let data = directory.path().join("data");
        let init = program("initdb")?
            .args([
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--username",
                USER,
                "--pgdata",
            ])
            .arg(&data)
            .output()
            .context("cannot run initdb")?;
        ensure!(init.status.success(), "initdb: {}", String::from_utf8_lossy(&init.stderr));
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut cluster = Self { directory, port: free_port()?, settings, running: None };
        cluster.resume()?;
        Ok(cluster)
    }

    /// Where it is reached.
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    /// The process that all of its others stem from; `None` while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Child::id)
    }

    /// Starts it again, on the same port.
    pub fn resume(&mut self) -> Result<()> {
        let log = fs::File::create(self.log())?;
        let mut command = program("postgres")?;
        command.arg("-D").arg(self.directory.path().join("data")).arg("-p").arg(self.port.to_string());
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"] {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let server = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.running = Some(server.spawn().context("cannot run postgres")?);
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            let asked = program("pg_isready")?
                .args(["--quiet", "--host=127.0.0.1", "--port", &self.port.to_string()])
                .status()?;
            if asked.success() {
                return Ok(());
            }
            if let Some(ended) = self.running.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("postgres ended with {ended}: {}", self.what_it_said());
            }
            sleep(Duration::from_millis(20));
        }
        bail!("postgres is not ready after {PATIENCE:?}: {}", self.what_it_said())
    }

    /// Stops it and waits for its end.
    pub fn stop(&mut self, how: Stop) -> Result<()> {
        let Some(mut server) = self.running.take() else { return Ok(()) };
        let signal = match how {
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        };
        let id = i32::try_from(server.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(id, signal)?;
        let since = Instant::now();
        while server.try_wait()?.is_none() {
            if since.elapsed() > PATIENCE {
                server.kill()?;
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn what_it_said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nothing in it is kept.
        let _ = self.stop(Stop::Immediate);
    }
}

/// A program of PostgreSQL, run by a user who may: it refuses to be run by root.
fn program(name: &str) -> Result<Command> {
    let path = Path::new(PROGRAMS).join(name);
    ensure!(path.exists(), "{} is missing: install postgresql-15", path.display());
    let mut command = Command::new(path);
    if let Some((user, group)) = other_user()? {
        command.uid(user).gid(group);
    }
    // Where it may be: the current directory may be closed to that user.
    command.current_dir("/");
    Ok(command)
}

/// Whom Debian's package made for it, when this is run by root.
fn other_user() -> Result<Option<(u32, u32)>> {
    if !getuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    Ok(Some(ids.context("there is no user postgres: install postgresql-15")?))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
