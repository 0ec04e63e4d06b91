//! Starts the real nginx and the real Caddy by their recipes, and stops them.

use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::recipe::{file, fill};

/// Longest time for a proxy to start or to end, on a slow machine with other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Caddy,
}

/// What stands behind the proxy, and what it asks of those who come.
pub(crate) struct Guarded<'a> {
    /// Where Countersign is.
    pub(crate) door: SocketAddr,
    /// Where the app is.
    pub(crate) origin: SocketAddr,
    /// What the app demands.
    pub(crate) scope: &'a str,
    /// Whose tokens, and whatever else is demanded, such as `&organization=…`.
    pub(crate) account: &'a str,
}

/// A running proxy. Ended when dropped.
pub(crate) struct Proxy {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Nginx, Self::Caddy];

    /// The template of its configuration, the recipe within.
    pub(crate) fn template(self) -> String {
        file(match self {
            Self::Nginx => "tests/peers/nginx/nginx.conf.template",
            Self::Caddy => "tests/peers/caddy/Caddyfile.template",
        })
    }

    fn command(self, directory: &Path, config: &Path) -> Command {
        let mut command;
        match self {
            Self::Nginx => {
                command = Command::new("nginx");
                command.arg("-p").arg(directory).arg("-c").arg(config).args(["-e", "error.log"]);
            }
            Self::Caddy => {
                command = Command::new("caddy");
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
                for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
                    command.env(variable, directory);
                }
            }
        }
        // Debian's nginx is where only root looks for programs.
        command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
        command
    }
}

impl Proxy {
    /// Starts one and waits until it listens.
    pub(crate) fn start(kind: Kind, guarded: &Guarded<'_>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Workers of an nginx that root has started are somebody else.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("the directory is ours");
        let address = free_address();
        let config = directory.path().join("config");
        fs::write(&config, configuration(kind, guarded, address)).expect("room on the disk");
        let output = directory.path().join("output");
        let file = File::create(&output).expect("room on the disk");
        let mut command = kind.command(directory.path(), &config);
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a handle")).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("{kind:?} cannot be started ({error}); `cargo xtask test --only setup` installs it")
        });
        let mut proxy = Self { child, address, _directory: directory };
        proxy.wait_until_listening(kind, &output);
        proxy
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_until_listening(&mut self, kind: Kind, output: &Path) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait().expect("it can be waited for");
            if ended.is_some() || Instant::now() > deadline {
                panic!("{kind:?} does not listen:\n{}", fs::read_to_string(output).unwrap_or_default());
            }
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Proxy {
    /// SIGTERM, since an nginx that is killed leaves its workers behind.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            sleep(Duration::from_millis(10));
        }
    }
}

fn configuration(kind: Kind, guarded: &Guarded<'_>, listen: SocketAddr) -> String {
    let [door, origin, listen] = [guarded.door, guarded.origin, listen].map(|address| address.to_string());
    // Whatever the name by which a client asks for it.
    let site = format!("http://:{}", listen.rsplit(':').next().unwrap_or_default());
    let words = [
        ("DOOR", &*door),
        ("ORIGIN", &origin),
        ("SCOPE", guarded.scope),
        ("ACCOUNT", guarded.account),
        ("LISTEN", &listen),
        ("SITE", &site),
    ];
    fill(&kind.template(), &words)
}

/// An address that nobody has and that the system gives to nobody who asks for any, so that it is still free when the
/// proxy comes to it.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 10_000;
    let start = std::process::id().wrapping_mul(32);
    for _ in 0..COUNT {
        let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).into()) % COUNT;
        let port = u16::try_from(FIRST + number).expect("a port");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port")
}
