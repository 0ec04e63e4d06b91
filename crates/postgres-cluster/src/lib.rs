//! PostgreSQL servers for tests: on loopback, on a free port, in a temporary directory, thrown away afterwards.

mod database;
mod pgbouncer;

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

pub use database::{Database, copy_in, psql};
pub use pgbouncer::{PgBouncer, PoolMode};

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
    directory: Directory,
    port: u16,
    settings: Vec<String>,
    environment: Vec<(String, PathBuf)>,
    running: Option<Child>,
}

/// Where a server's data is.
enum Directory {
    /// Thrown away with the server.
    Temporary(TempDir),
    /// There for the next server.
    Kept(PathBuf),
}

impl Directory {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Kept(directory) => directory,
        }
    }
}

impl Cluster {
    /// A server that is ready to serve what another one has left in this directory; an empty one where there is nothing.
    pub fn keep(directory: &Path, settings: &[&str]) -> Result<Self> {
        fs::create_dir_all(directory)?;
        own(directory)?;
        let mut cluster = Self::in_directory(Directory::Kept(directory.canonicalize()?), settings)?;
        if !cluster.data().exists() {
            cluster.init()?;
        }
        cluster.resume()?;
        Ok(cluster)
    }

    /// An empty server with these settings, `name=value` each, that is ready to serve.
    pub fn start(settings: &[&str]) -> Result<Self> {
        let mut cluster = Self::prepare(settings)?;
        cluster.resume()?;
        Ok(cluster)
    }

    /// As [`Cluster::start`], but not running yet.
    pub fn prepare(settings: &[&str]) -> Result<Self> {
        let cluster = Self::without_data(settings)?;
        cluster.init()?;
        Ok(cluster)
    }

    fn init(&self) -> Result<()> {
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
            .arg(self.data())
            .output()
            .context("cannot run initdb")?;
        ensure!(init.status.success(), "initdb: {}", String::from_utf8_lossy(&init.stderr));
        Ok(())
    }

    /// A standby that follows this server, and is ready to be read.
    pub fn standby(&self, settings: &[&str]) -> Result<Self> {
        let mut standby = Self::without_data(settings)?;
        let copy = program("pg_basebackup")?
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--dbname"])
            .arg(self.url())
            .arg("--pgdata")
            .arg(standby.data())
            .output()
            .context("cannot run pg_basebackup")?;
        ensure!(copy.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copy.stderr));
        standby.resume()?;
        Ok(standby)
    }

    /// Makes a standby a server of its own, and waits until it is.
    pub fn promote(&self) -> Result<()> {
        let promotion =
            program("pg_ctl")?.args(["promote", "--wait", "--pgdata"]).arg(self.data()).output()?;
        ensure!(promotion.status.success(), "pg_ctl promote: {}", String::from_utf8_lossy(&promotion.stderr));
        Ok(())
    }

    /// Writes a file of the data directory that only the server can read, such as `pg_hba.conf`.
    pub fn put(&self, name: &str, content: &str) -> Result<()> {
        let path = self.data().join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        own(&path)
    }

    /// Lets it load a library first, from its next start on, which finds these paths in the environment.
    pub fn preload(&mut self, library: &Path, environment: &[(&str, &Path)]) -> Result<()> {
        let copy = self.directory().join("preloaded.so");
        fs::copy(library, &copy)?;
        own(&copy)?;
        self.environment = vec![("LD_PRELOAD".to_owned(), copy)];
        self.environment
            .extend(environment.iter().map(|(name, path)| ((*name).to_owned(), path.to_path_buf())));
        Ok(())
    }

    fn without_data(settings: &[&str]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("countersign-postgres-").tempdir()?;
        own(directory.path())?;
        Self::in_directory(Directory::Temporary(directory), settings)
    }

    fn in_directory(directory: Directory, settings: &[&str]) -> Result<Self> {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Ok(Self { directory, port: free_port()?, settings, environment: Vec::new(), running: None })
    }

    /// All that is its own.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn data(&self) -> PathBuf {
        self.directory().join("data")
    }

    /// On which port of 127.0.0.1 it is reached.
    pub fn port(&self) -> u16 {
        self.port
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
        command.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string());
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"] {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.envs(self.environment.iter().map(|(name, path)| (name, path)));
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
        let Some(server) = self.running.take() else { return Ok(()) };
        end(
            server,
            match how {
                Stop::Fast => Signal::INT,
                Stop::Immediate => Signal::QUIT,
            },
        )
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
        let how = match self.directory {
            Directory::Temporary(_) => Stop::Immediate,
            Directory::Kept(_) => Stop::Fast,
        };
        // Who wants to know how it ended stops it before.
        let _ = self.stop(how);
    }
}

/// Sends a signal to a server, and waits for its end.
fn end(mut server: Child, signal: Signal) -> Result<()> {
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

/// A program of PostgreSQL.
fn program(name: &str) -> Result<Command> {
    let path = Path::new(PROGRAMS).join(name);
    ensure!(path.exists(), "{} is missing: install postgresql-15", path.display());
    as_other_user(&path)
}

/// A program that refuses to be run by root, run by a user who may: by the one of the package, or whoever this is.
pub fn as_other_user(path: &Path) -> Result<Command> {
    let mut command = Command::new(path);
    if let Some((user, group)) = other_user()? {
        command.uid(user).gid(group);
    }
    // Where it may be: the current directory may be closed to that user.
    command.current_dir("/");
    Ok(command)
}

/// Gives a file to the user of [`as_other_user`].
pub fn own(path: &Path) -> Result<()> {
    if let Some((user, group)) = other_user()? {
        chown(path, Some(user), Some(group))?;
    }
    Ok(())
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
