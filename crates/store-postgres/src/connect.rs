//! A session with the first host that takes changes.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use countersign_domain::error::causes;
use futures_util::FutureExt as _;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::{Address, Encryption, Host, Place};
use crate::announcer::Ears;
use crate::passfile::{self, Login};
use crate::pool::Trust;
use crate::refusal::{Cause, ConnectError, Refusal};
use crate::tls;
use crate::watched::{Patience, Watched};

/// What a session is to be like, where the address says nothing else: no statement longer than this, no longer wait for a
/// row that somebody else holds, no transaction of ours in which nothing happens (a node that stands still must not hold
/// others up). Set by a statement, because poolers refuse them at startup.
const USUAL: &str = "SELECT count(set_config(name, ours, false)) \
     FROM (VALUES ('statement_timeout', '10s'), ('lock_timeout', '3s'), \
                  ('idle_in_transaction_session_timeout', '5s')) AS usual (name, ours) \
     JOIN pg_settings USING (name) WHERE source <> 'client'; ";
/// For what takes as long as it must, whatever the address says.
const WITHOUT_HASTE: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; ";
/// Whether a session takes changes, and how long a statement may take in the end.
const QUESTIONS: &str = "SELECT current_setting('transaction_read_only'), \
            extract(epoch FROM current_setting('statement_timeout')::interval)";
/// How much longer than a statement may take its answer is waited for.
const GRACE: Duration = Duration::from_secs(2);

/// Whoever opens sessions.
pub(crate) struct Connector {
    address: Address,
    /// The host that is tried first: the last one that took changes.
    first: AtomicUsize,
    trust: Trust,
    /// Told what other nodes say.
    ears: Arc<Ears>,
    /// What is said first in each session.
    greeting: String,
}

/// A session, and the task that speaks for it.
pub(crate) type Session = (Client, JoinHandle<()>);

impl Connector {
    pub(crate) fn new(address: Address, ears: Arc<Ears>) -> Arc<Self> {
        Self::greeting(address, ears, [USUAL, QUESTIONS].concat())
    }

    /// For migrations and commands, of which a statement may go over everything: nothing but a dead connection ends it.
    pub(crate) fn without_haste(address: Address) -> Arc<Self> {
        Self::greeting(address, Arc::default(), [USUAL, WITHOUT_HASTE, QUESTIONS].concat())
    }

    fn greeting(address: Address, ears: Arc<Ears>, greeting: String) -> Arc<Self> {
        Arc::new(Self { address, first: AtomicUsize::new(0), trust: Trust::new(), ears, greeting })
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// A session that was lent at this time has gone silent: none is trusted any more, and another host is tried first.
    /// Those that go silent with it say nothing new.
    pub(crate) fn distrust(&self, lent: Instant) {
        if self.trust.lose(lent) {
            self.first.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) async fn connect(self: &Arc<Self>) -> Result<Session, ConnectError> {
        let hosts = &self.address.hosts;
        let needs_tls = hosts.iter().any(|host| host.encryption == Encryption::VerifyFull);
        let tls = needs_tls.then(|| tls::connector(&self.address)).transpose().map_err(Cause::Tls)?;
        let first = self.first.load(Ordering::Relaxed);
        let mut refusals = Vec::new();
        for index in (0..hosts.len()).map(|step| (first.wrapping_add(step)) % hosts.len()) {
            let host = &hosts[index];
            let attempt =
                Attempt { connector: self, host, config: self.config_for(host)?, tls: tls.as_ref() };
            match attempt.make().await {
                Ok(session) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(session);
                }
                Err(refusal) => refusals.push((host.clone(), refusal)),
            }
        }
        Err(Cause::Hosts(refusals).into())
    }

    fn config_for(&self, host: &Host) -> Result<Config, Cause> {
        let mut config = self.address.session.clone();
        if host.encryption == Encryption::None {
            config.ssl_mode(SslMode::Disable);
        }
        let (Some(path), Some(user)) = (&self.address.passfile, config.get_user()) else { return Ok(config) };
        if config.get_password().is_none() {
            let login = Login { host, database: config.get_dbname().unwrap_or(user), user };
            if let Some(password) = passfile::find(path, &login)? {
                config.password(password);
            }
        }
        Ok(config)
    }
}

/// One host, with all that is needed to speak to it.
struct Attempt<'c> {
    connector: &'c Arc<Connector>,
    host: &'c Host,
    config: Config,
    /// There for every host that is spoken to with TLS.
    tls: Option<&'c MakeRustlsConnect>,
}

impl Attempt<'_> {
    async fn make(&self) -> Result<Session, Refusal> {
        match &self.host.place {
            Place::Directory(directory) => {
                let path = directory.join(format!(".s.PGSQL.{}", self.host.port));
                self.in_time(async {
                    self.speak(UnixStream::connect(path).await.map_err(Refusal::Unreachable)?).await
                })
                .await
            }
            Place::Ip(ip) => self.over_tcp((*ip, self.host.port).into()).await,
            Place::Name => {
                let name = (self.host.name.as_str(), self.host.port);
                let addresses =
                    self.in_time(lookup_host(name).map(|found| found.map_err(Refusal::NoAddress))).await?;
                let mut last = Refusal::NoAddress(io::ErrorKind::NotFound.into());
                for address in addresses {
                    match self.over_tcp(address).await {
                        Ok(session) => return Ok(session),
                        Err(refusal) => last = refusal,
                    }
                }
                Err(last)
            }
        }
    }

    /// As long as the address says, for all that it takes to have a session: a host that accepts connections may still say
    /// nothing.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        let limit = self.connector.address.connect_timeout;
        timeout(limit, work).await.unwrap_or(Err(Refusal::Silent(limit)))
    }

    async fn over_tcp(&self, address: SocketAddr) -> Result<Session, Refusal> {
        self.in_time(async {
            let stream = TcpStream::connect(address).await.map_err(Refusal::Unreachable)?;
            self.set_options(&stream).map_err(Refusal::Unreachable)?;
            self.speak(stream).await
        })
        .await
    }

    fn set_options(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        if let Some(said) = self.connector.address.keepalives {
            let mut keepalive = TcpKeepalive::new();
            if said.idle > 0 {
                keepalive = keepalive.with_time(seconds(said.idle));
            }
            if said.interval > 0 {
                keepalive = keepalive.with_interval(seconds(said.interval));
            }
            if said.count > 0 {
                keepalive = keepalive.with_retries(said.count);
            }
            socket.set_tcp_keepalive(&keepalive)?;
        }
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(self.connector.address.tcp_user_timeout)?;
        Ok(())
    }

    async fn speak<S>(&self, stream: S) -> Result<Session, Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let patience = Arc::default();
        let stream = Watched::new(stream, Arc::clone(&patience));
        match (self.host.encryption, self.tls) {
            (Encryption::VerifyFull, Some(tls)) => {
                let made = MakeTlsConnect::<Watched<S>>::make_tls_connect(&mut tls.clone(), &self.host.name);
                self.greet(stream, made.unwrap_or_else(|never| match never {}), patience).await
            }
            _ => self.greet(stream, NoTls, patience).await,
        }
    }

    async fn greet<S, T>(
        &self,
        stream: Watched<S>,
        tls: T,
        patience: Arc<Patience>,
    ) -> Result<Session, Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: TlsConnect<Watched<S>>,
        T::Stream: Send + Unpin + 'static,
    {
        let (client, mut connection) = self.config.connect_raw(stream, tls).await?;
        let answer = tokio::select! {
            ended = &mut connection => {
                ended?;
                return Err(Refusal::Other("it ended the session".to_owned()));
            }
            answer = client.simple_query(&self.connector.greeting) => answer?,
        };
        let (is_read_only, statement_timeout) = read_greeting(&answer)?;
        if is_read_only {
            return Err(Refusal::ReadOnly);
        }
        patience.set_limit(statement_timeout.map(|limit| limit + GRACE));
        let task = tokio::spawn(drive(connection, patience, Arc::clone(self.connector)));
        Ok((client, task))
    }
}

/// Whether the session takes no changes, and the longest time for a statement.
fn read_greeting(answer: &[SimpleQueryMessage]) -> Result<(bool, Option<Duration>), Refusal> {
    let last = answer.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((row.try_get(0).ok()??, row.try_get(1).ok()??)),
        _ => None,
    });
    let read = last.and_then(|(read_only, seconds): (&str, &str)| {
        let limit = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
        Some((read_only == "on", (!limit.is_zero()).then_some(limit)))
    });
    read.ok_or_else(|| Refusal::Other("it does not say what its settings are".to_owned()))
}

/// Carries what is said until the session ends, or takes no changes any more: PostgreSQL tells of that unasked.
async fn drive<S, T>(mut connection: Connection<S, T>, patience: Arc<Patience>, connector: Arc<Connector>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let opened = Instant::now();
    let mut takes_changes = true;
    let ended = poll_fn(|context| {
        loop {
            let polled = connection.poll_message(context);
            let is_on = |name| connection.parameter(name) == Some("on");
            takes_changes = !is_on("default_transaction_read_only") && !is_on("in_hot_standby");
            match polled {
                _ if !takes_changes => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Ok(AsyncMessage::Notification(told)))) => {
                    connector.ears.hear(told.payload())
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    let why = ended.await.err().map(|error| causes(&error)).unwrap_or_default();
    if !takes_changes {
        connector.distrust(opened);
        tracing::warn!("the database takes no changes any more; all sessions with it are made anew");
    } else if patience.is_over() {
        connector.distrust(opened);
        tracing::warn!(error = %why, "the database does not answer; all sessions with it are made anew");
    } else {
        tracing::debug!(error = %why, "a session with the database has ended");
    }
}
