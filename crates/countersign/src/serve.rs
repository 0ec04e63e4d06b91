//! Running the server: the parts put together, started in order, ended in order.
//!
//! 1. Read the files of TLS and listen, so that a missing file or a taken port is found before anything is written.
//! 2. Open the store, learn every token, make sure of the root.
//! 3. Serve, and do from time to time what has to be done. Recall, behind it, which secrets were used before.
//! 4. On SIGTERM: say so in `/readyz`, wait `shutdown_delay`, stop accepting, let requests finish, write what is
//!    pending, close the store.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use countersign_authority::{
    Authority, FLUSH_EVERY, RootOutcome, RootSettings, SWEEP_EVERY, TEND_KEYS_EVERY,
};
use countersign_domain::error::causes;
use countersign_domain::secret::Secret;
use countersign_server::{App, Exposure, Settings, Tls, TrustedProxies};
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};

use crate::config::{Config, ConfigArgs, load_for_process};
use crate::lifecycle::{EndSignals, Stopped, hangups, raise_file_limit, repeat, wait};
use crate::store::{open, open_sealed};
use crate::tls::Certificates;
use crate::{environment, gauges, output, root, telemetry, tls};

/// How often the tokens are counted for metrics: it walks over all of them.
const CENSUS_EVERY: Duration = Duration::from_secs(60);

/// When to read once more which secrets were used before.
const RECALL_AGAIN: Duration = Duration::from_secs(10);

/// What a directory with a store has in it.
const DATABASE: &str = "countersign.db";

/// `countersign serve`: returns when the server was told to end.
pub(crate) fn serve(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = load_for_process(args)?.config;
    let root = root::settings(&environment::of_process)?;
    telemetry::start(&config.log)?;
    runtime()?.block_on(run(config, root))
}

/// `countersign root reset`: the store is opened as a server would, so a running one is noticed by its lock.
pub(crate) fn reset_root(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = load_for_process(args)?.config;
    // Opening would make one, and a token that no server knows.
    if config.database_url.is_none() && !config.data.join(DATABASE).is_file() {
        bail!("there is no store in {}; name its directory with --data", config.data.display());
    }
    telemetry::start(&config.log)?;
    let outcome = runtime()?.block_on(async {
        let (authority, store) = open(&config, None).await?;
        let outcome = authority.reset_root_token().await;
        store.close().await;
        anyhow::Ok(outcome?)
    })?;
    let token = outcome.minted.ok_or_else(|| anyhow!("no token was made"))?;
    root::forget(&config.data);
    output::note(&format!(
        "The root account is {}. Its old token has ended; the new one is shown this once:",
        outcome.account
    ));
    if root::is_stated(&environment::of_process) {
        output::note(
            "Take COUNTERSIGN_ROOT_TOKEN out of the environment: the token in it has ended for good.",
        );
    }
    output::print(&format!("{}\n", token.reveal()))
}

/// `countersign keys reset`: for when what the keys are kept under is lost, which no node shows that runs.
pub(crate) fn reset_keys(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = load_for_process(args)?.config;
    if config.database_url.is_none() {
        bail!(
            "there is nothing to reset in an embedded store: its server makes new keys when it cannot open those that sign, \
             and what they signed stays good"
        );
    }
    telemetry::start(&config.log)?;
    let removed = runtime()?.block_on(async {
        // Nothing is signed here: so it does not matter in whose name.
        let (authority, store) = open_sealed(&config, Some("")).await?;
        let removed = match store.refuse_while_others_live().await {
            Ok(()) => authority.remove_sealed_keys().await.context("not all keys could be removed"),
            Err(refused) => Err(refused),
        };
        store.close().await;
        removed
    })?;
    output::note(&match removed {
        0 => "Every signing key opens with COUNTERSIGN_KEY_FILE; nothing was removed.".to_owned(),
        removed => format!(
            "Generations of signing keys removed, because COUNTERSIGN_KEY_FILE does not open them: {removed}. What they \
             signed is refused from now on; new keys are made when a server starts."
        ),
    });
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

async fn run(config: Config, root: RootSettings) -> anyhow::Result<()> {
    let started = Instant::now();
    let certificates = config.tls.as_ref().map(Certificates::load).transpose()?;
    let listeners = Listeners::bind(&config).await?;
    let addresses = listeners.addresses()?;
    let (authority, store) = open(&config, Some(&config.public_url(addresses.public))).await?;
    let keep = |token: &Secret| root::keep(token, &config.data).map_err(Into::into);
    let outcome = authority.ensure_root_kept(root, keep).await?;
    if outcome.kept_in_vain {
        root::forget(&config.data);
    }
    // Before anybody asks for keys. Without them the doors work as well, and it is tried again.
    if let Err(error) = authority.tend_keys().await {
        tracing::warn!(cause = %causes(&error), "no signing keys are made yet");
    }
    let (signals, hangups) = (EndSignals::listen()?, hangups()?);
    let most_listeners = 1 + usize::from(config.internal_listen.is_some());
    raise_file_limit(config.connections.saturating_mul(most_listeners));

    let settings = Settings {
        trusted_proxies: TrustedProxies::new(config.trusted_proxies.clone()),
        connections: config.connections,
        public_url: config.public_url(addresses.public),
        doors_need_certificate: certificates.as_ref().is_some_and(Certificates::are_asked_for),
        applications: config.cloudflare_access.applications.clone(),
        single_header: config.cloudflare_access.single_header.clone(),
    };
    let app = App::new(Arc::clone(&authority), settings, gauges::of(store.clone(), config.queue));
    // Before the first answer: who sees that it is ready finds the root token where it belongs.
    announce(&config, &outcome, addresses, &authority, started)?;
    let tls = certificates.as_ref().map(Certificates::tls);
    let mut server = Server::start(&app, &authority, listeners, tls);
    server.follow(hangups, certificates);

    server.run_until(signals, config.shutdown_delay).await?;
    let flushed = authority.flush_all_usage().await;
    if let Err(error) = flushed {
        tracing::warn!(cause = %causes(&error), "the last uses of tokens could not be written");
    }
    store.close().await;
    tracing::info!("ended");
    Ok(())
}

/// The sockets, bound.
struct Listeners {
    public: TcpListener,
    internal: Option<TcpListener>,
}

/// Where they listen; not what was configured when that was port 0.
#[derive(Clone, Copy)]
struct Addresses {
    public: SocketAddr,
    internal: Option<SocketAddr>,
}

impl Addresses {
    /// Those that other machines may reach in plain text; the internal one never speaks TLS.
    fn exposed(self, has_tls: bool) -> impl Iterator<Item = SocketAddr> {
        let plain = Some(self.public).filter(|_| !has_tls).into_iter().chain(self.internal);
        plain.filter(|address| !address.ip().to_canonical().is_loopback())
    }
}

impl Listeners {
    async fn bind(config: &Config) -> anyhow::Result<Self> {
        let public = bind("listen", config.listen).await?;
        let internal = match config.internal_listen {
            Some(address) => Some(bind("internal_listen", address).await?),
            None => None,
        };
        Ok(Self { public, internal })
    }

    fn addresses(&self) -> anyhow::Result<Addresses> {
        let of = |listener: &TcpListener| listener.local_addr().context("cannot find out where it listens");
        Ok(Addresses { public: of(&self.public)?, internal: self.internal.as_ref().map(of).transpose()? })
    }
}

async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "stop the program that listens there, or choose another port",
            io::ErrorKind::PermissionDenied => {
                "choose a port from 1024 on, or run with the capability to bind it"
            }
            io::ErrorKind::AddrNotAvailable => {
                "choose an address of this machine, or 0.0.0.0 for all of them"
            }
            _ => "choose another address",
        };
        anyhow!("cannot listen on {address}: {error}; {remedy} (`{key}`)")
    })
}

/// Everything that runs until the end.
struct Server {
    app: Arc<App>,
    /// Answering requests.
    doors: JoinSet<io::Result<()>>,
    /// What is done from time to time.
    chores: JoinSet<()>,
    /// Dropped to stop the doors.
    keep_serving: watch::Sender<()>,
    /// Dropped to stop the chores.
    keep_working: watch::Sender<()>,
}

impl Server {
    fn start(
        app: &Arc<App>,
        authority: &Arc<Authority>,
        listeners: Listeners,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        let (keep_serving, serving) = watch::channel(());
        let mut doors = JoinSet::new();
        let public = (listeners.public, Exposure::Everything, tls);
        let internal = listeners.internal.map(|listener| (listener, Exposure::Internal, None));
        for (listener, exposure, tls) in std::iter::once(public).chain(internal) {
            let end = wait(serving.clone());
            doors.spawn(countersign_server::serve(Arc::clone(app), listener, exposure, tls, end));
        }
        let (keep_working, working) = watch::channel(());
        let chores = start_chores(app, authority, &working);
        Self { app: Arc::clone(app), doors, chores, keep_serving, keep_working }
    }

    /// Reads the files of TLS again whenever that is asked for.
    fn follow(&mut self, hangups: Signal, certificates: Option<Certificates>) {
        let stopped = self.keep_working.subscribe();
        self.chores.spawn(tls::follow(hangups, certificates, stopped));
    }

    /// Serves until a signal comes, then ends in order. A second signal cuts the delay short.
    async fn run_until(mut self, mut signals: EndSignals, delay: Duration) -> anyhow::Result<()> {
        tokio::select! {
            name = signals.next() => tracing::info!(signal = name, "ending"),
            ended = self.doors.join_next() => bail!("a listener ended by itself: {ended:?}"),
        }
        self.app.drain();
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = signals.next() => {}
        }
        drop(self.keep_serving);
        while self.doors.join_next().await.is_some() {}
        drop(self.keep_working);
        while self.chores.join_next().await.is_some() {}
        Ok(())
    }
}

fn start_chores(app: &Arc<App>, authority: &Arc<Authority>, stopped: &Stopped) -> JoinSet<()> {
    let mut chores = JoinSet::new();
    chores.spawn(recall_uses(Arc::clone(authority), stopped.clone()));
    let flushing = Arc::clone(authority);
    chores.spawn(repeat("flush usage", FLUSH_EVERY, stopped.clone(), move || {
        let authority = Arc::clone(&flushing);
        async move { authority.flush_usage().await }
    }));
    let sweeping = Arc::clone(authority);
    chores.spawn(repeat("sweep", SWEEP_EVERY, stopped.clone(), move || {
        let authority = Arc::clone(&sweeping);
        async move { authority.sweep().await.map(|_| ()) }
    }));
    let tending = Arc::clone(authority);
    chores.spawn(repeat("tend keys", TEND_KEYS_EVERY, stopped.clone(), move || {
        let authority = Arc::clone(&tending);
        async move { authority.tend_keys().await }
    }));
    let counting = Arc::clone(app);
    chores.spawn(repeat("count tokens", CENSUS_EVERY, stopped.clone(), move || {
        let app = Arc::clone(&counting);
        async move {
            // A panic in it is no reason to end: it was logged, and only numbers are missing.
            let _ = spawn_blocking(move || app.take_census()).await;
            Ok(())
        }
    }));
    chores
}

/// Tries until it is done.
async fn recall_uses(authority: Arc<Authority>, stopped: Stopped) {
    let recall = async {
        while let Err(error) = authority.recall_uses().await {
            tracing::warn!(
                cause = %causes(&error),
                "which secrets were used before cannot be read; first uses are written late until it can"
            );
            tokio::time::sleep(RECALL_AGAIN).await;
        }
    };
    tokio::select! {
        biased;
        () = wait(stopped) => {}
        () = recall => {}
    }
}

/// Says that the server is there: in the log, and to whoever has to learn the new root token.
fn announce(
    config: &Config,
    outcome: &RootOutcome,
    addresses: Addresses,
    authority: &Authority,
    started: Instant,
) -> anyhow::Result<()> {
    let census = authority.directory().census(authority.now());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %addresses.public,
        tls = config.tls.is_some(),
        internal_listen = addresses.internal.map(tracing::field::display),
        data = %config.data.display(),
        root_account = %outcome.account,
        service_tokens = census.service_tokens,
        access_tokens = census.access_tokens,
        took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "serving"
    );
    for address in addresses.exposed(config.tls.is_some()) {
        tracing::warn!(
            listen = %address,
            "listening beyond this machine without TLS; set `tls_cert` and `tls_key`, or put a TLS proxy in front"
        );
    }
    if outcome.stated_token_is_revoked {
        tracing::warn!(
            "the token in COUNTERSIGN_ROOT_TOKEN was revoked and is not set again; choose a new one"
        );
    }
    if outcome.token_is_unused && !root::is_kept(&config.data) {
        tracing::warn!(
            "nobody has used the root token, and it is in no file; if nobody has it, stop the server and make \
             another with `countersign root reset`"
        );
    }
    match &outcome.minted {
        Some(token) => {
            root::announce(outcome.account, token, (config.scheme(), addresses.public), &config.data)
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers of the tests listen on loopback alone, where nothing is to be warned of.
    #[test]
    fn addresses_beyond_this_machine_are_warned_of() -> anyhow::Result<()> {
        let exposed = |has_tls, public: &str, internal: Option<&str>| -> anyhow::Result<Vec<String>> {
            let internal = internal.map(str::parse).transpose()?;
            let addresses = Addresses { public: public.parse()?, internal };
            Ok(addresses.exposed(has_tls).map(|address| address.to_string()).collect())
        };
        assert!(exposed(false, "127.0.0.1:1", Some("[::1]:2"))?.is_empty());
        assert!(exposed(false, "127.9.9.9:1", Some("[::ffff:127.0.0.1]:2"))?.is_empty());
        assert_eq!(exposed(false, "0.0.0.0:1", Some("[::]:2"))?, ["0.0.0.0:1", "[::]:2"]);
        assert_eq!(exposed(false, "127.0.0.1:1", Some("192.0.2.1:2"))?, ["192.0.2.1:2"]);
        assert_eq!(exposed(true, "0.0.0.0:1", Some("[::]:2"))?, ["[::]:2"]);
        Ok(())
    }
}
