//! Starts the real proxies by their recipes, and stops them.

use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::connection::Connection;
use crate::recipe::{
    EXAMPLE_ACCOUNT, EXAMPLE_APP, EXAMPLE_DOOR, EXAMPLE_LISTEN, at, file, fill, path, recipe,
};
use crate::sdk::installed;

/// Longest time for a proxy to start or to end, on a slow machine with other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// Traefik listens before it knows its routes: whether it knows them, another one tells, which leads nowhere (418).
const READY_ROUTE: &str = "  routers:
    ready:
      rule: Host(`ready.invalid`)
      service: noop@internal
";
/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Caddy,
    Haproxy,
    Traefik,
    Envoy,
    /// Envoy, which asks over gRPC.
    EnvoyGrpc,
}

/// What stands behind the proxy, and what it asks of those who come.
pub(crate) struct Guarded<'a> {
    /// Where Countersign is.
    pub(crate) door: SocketAddr,
    /// Where the app is.
    pub(crate) origin: SocketAddr,
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
    pub(crate) const ALL: [Self; 6] =
        [Self::Nginx, Self::Caddy, Self::Haproxy, Self::Traefik, Self::Envoy, Self::EnvoyGrpc];
    /// Those that ask `/authz`.
    pub(crate) const OVER_HTTP: [Self; 5] =
        [Self::Nginx, Self::Caddy, Self::Haproxy, Self::Traefik, Self::Envoy];
    /// Those that pass a path on as it came, whatever it is.
    pub(crate) const VERBATIM: [Self; 5] =
        [Self::Nginx, Self::Caddy, Self::Haproxy, Self::Envoy, Self::EnvoyGrpc];

    /// The page with its recipe.
    pub(crate) fn page(self) -> String {
        let name = match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Traefik => "traefik",
            Self::Envoy | Self::EnvoyGrpc => "envoy",
        };
        file(&format!("docs/doors/{name}.md"))
    }

    /// The answer to everybody while the door cannot be reached.
    pub(crate) fn closed(self) -> u16 {
        match self {
            Self::Nginx | Self::Haproxy | Self::Envoy | Self::EnvoyGrpc => 503,
            Self::Caddy => 502,
            Self::Traefik => 500,
        }
    }

    /// Whether the door is shown whatever the client says, and not only what the recipe names.
    pub(crate) fn shows_everything(self) -> bool {
        !matches!(self, Self::Haproxy | Self::Traefik | Self::Envoy)
    }

    /// Whether one who is let in hears what the door says to it.
    pub(crate) fn passes_notices_on(self) -> bool {
        self != Self::Traefik
    }

    /// The file that it is started with; some look at its extension.
    fn config(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.conf",
            Self::Caddy => "Caddyfile",
            Self::Haproxy => "haproxy.cfg",
            Self::Traefik => "traefik.yaml",
            Self::Envoy | Self::EnvoyGrpc => "envoy.yaml",
        }
    }

    /// How it is started, with its files in this directory.
    fn command(self, directory: &Path) -> Command {
        let config = directory.join(self.config());
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
            Self::Haproxy => {
                command = Command::new("haproxy");
                command.args(["-db", "-f"]).arg(config);
            }
            Self::Traefik => {
                command = Command::new(installed_beside_python("traefik"));
                command.arg("--configfile").arg(config);
            }
            Self::Envoy | Self::EnvoyGrpc => {
                command = Command::new(installed_beside_python("envoy"));
                command.arg("-c").arg(config).args(["--disable-hot-restart", "--concurrency", "2"]);
                command.args(["--log-level", "warning"]);
            }
        }
        // Debian's nginx and HAProxy are where only root looks for programs.
        command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
        command
    }

    /// Its files: their names and what is in them.
    fn configuration(
        self,
        guarded: &Guarded<'_>,
        listen: SocketAddr,
        directory: &Path,
    ) -> Vec<(&'static str, String)> {
        let page = self.page();
        let to = |recipe: &str| {
            let routes = at(recipe, EXAMPLE_DOOR, guarded.door);
            fill(&at(&routes, EXAMPLE_APP, guarded.origin), &[(EXAMPLE_ACCOUNT, guarded.account)])
        };
        let routes = |name: &str| to(recipe(&page, name));
        let (config, more) = match self {
            Self::Nginx => {
                let recipe = at(&routes("nginx"), EXAMPLE_LISTEN, listen);
                (around("nginx/nginx.conf.template", &recipe), None)
            }
            Self::Caddy => {
                // Whatever the name by which a client asks for it.
                let site = format!("http://:{}", listen.port());
                let recipe = fill(&routes("caddy"), &[("http://app.localhost:8080", &site)]);
                (around("caddy/Caddyfile.template", &recipe), None)
            }
            Self::Haproxy => {
                let lua = path("docs/doors/haproxy/countersign.lua");
                let lua = lua.to_str().expect("a path in UTF-8");
                let recipe = at(&routes("haproxy"), EXAMPLE_LISTEN, listen);
                (fill(&recipe, &[("/etc/haproxy/countersign.lua", lua)]), None)
            }
            Self::Traefik => {
                let dynamic = directory.join("countersign.yaml");
                let dynamic = dynamic.to_str().expect("a path in UTF-8");
                let recipe = at(recipe(&page, "static"), EXAMPLE_LISTEN, listen);
                let recipe = fill(&recipe, &[("/etc/traefik/countersign.yaml", dynamic)]);
                let config = around("traefik/traefik.yaml.template", &recipe);
                let routes = fill(&routes("dynamic"), &[("  routers:\n", READY_ROUTE)]);
                (config, Some(("countersign.yaml", routes)))
            }
            Self::Envoy => (at(&routes("http"), EXAMPLE_LISTEN, listen), None),
            Self::EnvoyGrpc => (at(&to(&over_grpc(&page)), EXAMPLE_LISTEN, listen), None),
        };
        [(self.config(), config)].into_iter().chain(more).collect()
    }
}

/// Envoy's recipe over gRPC, put together as its page says.
fn over_grpc(page: &str) -> String {
    let http = recipe(page, "http");
    let (before, filters) = http.split_once("                http_filters:\n").expect("the filters");
    let router = "                  - name: envoy.filters.http.router\n";
    let (_, after) = filters.split_once(router).expect("the last filter");
    let filter = recipe(page, "grpc filter");
    let filtered = format!("{before}                http_filters:\n{filter}{router}{after}");
    let host = "                      domains: [\"*\"]\n";
    let demanded = filtered.replace(host, &format!("{host}{}", recipe(page, "grpc demand")));
    let cluster = "    - name: countersign\n      connect_timeout: 2s\n";
    let whole = demanded.replace(cluster, &format!("{cluster}{}", recipe(page, "grpc cluster")));
    for part in ["grpc filter", "grpc demand", "grpc cluster"] {
        assert!(whole.contains(recipe(page, part)), "{part} has no place");
    }
    whole
}

/// What is around a recipe, and the recipe.
fn around(template: &str, recipe: &str) -> String {
    fill(&file(&format!("tests/peers/{template}")), &[("\n@RECIPE@\n", &format!("\n{recipe}\n"))])
}

/// A program that `pip` has installed.
fn installed_beside_python(program: &str) -> PathBuf {
    installed("COUNTERSIGN_PEERS_PYTHON").with_file_name(program)
}

impl Proxy {
    /// Starts one and waits until it listens.
    pub(crate) fn start(kind: Kind, guarded: &Guarded<'_>) -> Self {
        Self::start_changed(kind, guarded, &str::to_owned)
    }

    /// As [`Proxy::start`], with something else in the file that it is started with.
    pub(crate) fn start_changed(kind: Kind, guarded: &Guarded<'_>, change: &dyn Fn(&str) -> String) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Workers of an nginx that root has started are somebody else.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("the directory is ours");
        let address = free_address();
        for (name, content) in kind.configuration(guarded, address, directory.path()) {
            let content = if name == kind.config() { change(&content) } else { content };
            fs::write(directory.path().join(name), content).expect("room on the disk");
        }
        let output = directory.path().join("output");
        let file = File::create(&output).expect("room on the disk");
        let mut command = kind.command(directory.path());
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

    fn is_ready(&self, kind: Kind) -> bool {
        if kind != Kind::Traefik {
            return TcpStream::connect(self.address).is_ok();
        }
        let Ok(mut connection) = Connection::open(self.address) else { return false };
        let asked = connection.send_bytes(b"GET / HTTP/1.1\r\nHost: ready.invalid\r\n\r\n");
        asked.and_then(|()| connection.answer(false)).is_ok_and(|answer| answer.status == 418)
    }

    fn wait_until_listening(&mut self, kind: Kind, output: &Path) {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_ready(kind) {
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
