//! Measures the embedded store beside bare SQLite on the same disk: issuing, rotating, pages, loading.
//!
//! `cargo run --release -p countersign-store-sqlite --example measure -- DIRECTORY [TOKENS]`
//!
//! DIRECTORY must not exist; it is left behind. Rates are of this machine and moment: compare lines of one run.

#![expect(clippy::print_stdout, reason = "what it measures is for a person")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign_domain::account::Account;
use countersign_domain::audit::{Action, Actor, AuditEntry, Origin, Subject};
use countersign_domain::change::{Change, Guard, Mutation};
use countersign_domain::entropy::Entropy as _;
use countersign_domain::id::{AccountId, ChangeId, Handle, TokenRef};
use countersign_domain::lifetime::Lifetime;
use countersign_domain::lineage::Lineage;
use countersign_domain::name::Name;
use countersign_domain::restrictions::{Restrictions, StatedRestrictions};
use countersign_domain::secret::SecretPrefix;
use countersign_domain::service_token::{NewServiceToken, Rotation, ServiceToken};
use countersign_domain::store::{ServiceTokenQuery, Store as _, Version};
use countersign_domain::time::Clock as _;
use countersign_store_conformance::doubles::{ManualClock, NullSink, SeededEntropy};
use countersign_store_conformance::world::new_account;
use countersign_store_sqlite::{SqliteOptions, SqliteStore};
use rusqlite::{Connection, params};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long a rate is measured.
const SPAN: Duration = Duration::from_secs(3);

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: measure DIRECTORY [TOKENS]")?;
    let tokens = arguments.next().map_or(Ok(1_000_000), |text| text.parse::<usize>())?;
    std::fs::create_dir(&directory)?;
    let directory = Path::new(&directory);
    bare(directory, 100)?;
    bare(directory, 1)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(store(directory, tokens))
}

/// One-row inserts into a table of about 250 bytes a row, with a key and one unique column.
fn bare(directory: &Path, a_commit: u32) -> Result<(), Failure> {
    let mut database = Connection::open(directory.join(format!("bare{a_commit}.db")))?;
    database.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch(
        "CREATE TABLE token (id BLOB PRIMARY KEY, account BLOB, client_id BLOB UNIQUE, digest BLOB, previous BLOB,
         name TEXT, duration TEXT, created INT, updated INT, expires INT, version INT) STRICT, WITHOUT ROWID",
    )?;
    let entropy = SeededEntropy::new(1);
    let random = || {
        let mut bytes = [0u8; 16];
        entropy.fill(&mut bytes);
        bytes
    };
    let (meter, mut rows) = (Meter::start(), 0i64);
    while meter.start.elapsed() < SPAN {
        let transaction = database.transaction()?;
        for _ in 0..a_commit {
            let mut id = random();
            id[..8].copy_from_slice(&rows.to_be_bytes());
            transaction
                .prepare_cached("INSERT INTO token VALUES (?1, ?2, ?3, ?4, ?4, ?5, '8760h', ?6, ?6, ?6, 1)")?
                .execute(params![id, [0u8; 16], random(), [7u8; 32], format!("token {rows}"), rows])?;
            rows += 1;
        }
        transaction.commit()?;
    }
    meter.report(&format!("bare SQLite, {a_commit} a commit"), usize::try_from(rows)?);
    Ok(())
}

/// Time and processor time since a moment.
struct Meter {
    start: Instant,
    processor: Duration,
}

impl Meter {
    fn start() -> Self {
        Self { start: Instant::now(), processor: processor_time() }
    }

    /// Prints a rate and the processor time of each; the latter hardly depends on what else the machine does.
    fn report(&self, what: &str, count: usize) {
        let rate = count as f64 / self.start.elapsed().as_secs_f64();
        let each = (processor_time() - self.processor).as_secs_f64() * 1e6 / count.max(1) as f64;
        println!("{what:<40} {rate:>9.0}/s {each:>8.1} us of processor each");
    }
}

/// User and system time of this process, in steps of 10 ms (proc(5), fields 14 and 15).
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u64 =
        after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Makes changes as a server would.
struct Maker {
    account: AccountId,
    root: Handle,
    lineage: Lineage,
    entropy: SeededEntropy,
    clock: ManualClock,
    prefix: SecretPrefix,
    made: AtomicUsize,
}

impl Maker {
    fn change(&self, mutation: Mutation, action: Action, subject: Subject, guard: Guard) -> Change {
        let actor = Actor::Token { account: self.account, handle: self.root };
        let origin =
            Origin { address: Some([127, 0, 0, 1].into()), request_id: Some("0123456789abcdef".into()) };
        let (id, at) = (ChangeId::mint(self.clock.now(), &self.entropy), self.clock.now());
        let audit =
            AuditEntry { id, at, actor, action, account: self.account, subject, origin, changes: vec![] };
        Change { guard, mutation, audit }
    }

    fn guard(&self) -> Guard {
        Guard::Token { handle: self.root, version: Version::FIRST }
    }

    fn token(&self) -> ServiceToken {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.advance(Duration::from_micros(50));
        let name = Name::parse(&format!("token {made}")).unwrap_or_else(|e| unreachable!("{e}"));
        let lifetime = Lifetime::year();
        let new = NewServiceToken {
            name,
            lifetime,
            enabled: true,
            restrictions: StatedRestrictions::default(),
            secret_version: 1,
        };
        let full = Restrictions::NONE;
        ServiceToken::issue(self.account, new, full, self.lineage.clone(), &self.prefix, &self.entropy, now).0
    }

    fn issue(&self, token: ServiceToken) -> Change {
        let subject = Subject::Token(TokenRef::Service(token.id));
        let mutation = Mutation::IssueServiceToken { token, limit: u32::MAX };
        self.change(mutation, Action::IssueServiceToken, subject, self.guard())
    }

    fn rotate(&self, token: ServiceToken) -> Result<(ServiceToken, Change), Failure> {
        let expected = token.version;
        let now = self.clock.advance(Duration::from_micros(50));
        let by = self.root;
        let overlap_until = Some(now.after(Duration::from_secs(3600)));
        let rotation = Rotation { by, overlap_until, prefix: &self.prefix, entropy: &self.entropy, now };
        let (token, _) = token.rotate(&rotation)?;
        let subject = Subject::Token(TokenRef::Service(token.id));
        let mutation = Mutation::ReplaceServiceToken { expected, token: token.clone() };
        Ok((token, self.change(mutation, Action::RotateServiceToken, subject, self.guard())))
    }
}

async fn store(directory: &Path, wanted: usize) -> Result<(), Failure> {
    let options = SqliteOptions::new(directory.join("store"));
    let store = Arc::new(SqliteStore::open(options.clone(), Arc::new(NullSink))?);
    let maker = Arc::new(set_up(&store).await?);
    let mut tokens = Vec::new();
    for tasks in [1, 64] {
        tokens.extend(issue(&store, &maker, tasks, usize::MAX, SPAN).await?);
    }
    let missing = wanted.saturating_sub(tokens.len());
    println!("filling up to {wanted} tokens of one account");
    tokens.extend(issue(&store, &maker, 64, missing, Duration::MAX).await?);
    rotate(&store, &maker, tokens).await?;
    pages(&store, &maker).await?;
    println!("{:#?}", store.stats());
    drop(store);
    load(options).await
}

async fn set_up(store: &SqliteStore) -> Result<Maker, Failure> {
    let entropy = SeededEntropy::new(7);
    let clock = ManualClock::default();
    let now = clock.now();
    let new = new_account("root@localhost");
    let row = Account::create(None, new, &entropy, now);
    let id = row.id;
    let text = countersign_domain::secret::mint_access_text(&entropy).1;
    let token = countersign_domain::access_token::AccessToken::root(&text, id, row.epoch, now)
        .ok_or("no root token")?;
    let account = id;
    let root = token.handle;
    let lineage = Lineage::of(&[root]).unwrap_or_default();
    let made = AtomicUsize::new(0);
    let maker = Maker { account, root, lineage, entropy, clock, prefix: SecretPrefix::default(), made };
    let subject = Subject::Account(id);
    let create = Mutation::CreateAccount { account: row, limit: 0 };
    let first = maker.change(create, Action::CreateAccount, subject, Guard::System);
    store.apply(first).await?;
    let mutation = Mutation::SetRootToken { token, retire: None };
    store.apply(maker.change(mutation, Action::SetRootToken, subject, Guard::System)).await?;
    Ok(maker)
}

/// Issues tokens from many tasks, each waiting for its answer, until there are `most` or the time is over.
async fn issue(
    store: &Arc<SqliteStore>,
    maker: &Arc<Maker>,
    tasks: usize,
    most: usize,
    span: Duration,
) -> Result<Vec<ServiceToken>, Failure> {
    let meter = Meter::start();
    let start = meter.start;
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let (store, maker) = (Arc::clone(store), Arc::clone(maker));
            let share = most / tasks + usize::from(task < most % tasks);
            tokio::spawn(async move {
                let mut issued = Vec::new();
                while issued.len() < share && start.elapsed() < span {
                    let token = maker.token();
                    store.apply(maker.issue(token.clone())).await?;
                    issued.push(token);
                }
                Ok::<_, Failure>(issued)
            })
        })
        .collect();
    let mut issued = Vec::new();
    for task in running {
        issued.extend(task.await??);
    }
    meter.report(&format!("issue, {tasks} tasks"), issued.len());
    Ok(issued)
}

async fn rotate(
    store: &Arc<SqliteStore>,
    maker: &Arc<Maker>,
    tokens: Vec<ServiceToken>,
) -> Result<(), Failure> {
    let (meter, total) = (Meter::start(), Arc::new(AtomicUsize::new(0)));
    let start = meter.start;
    let tokens = Arc::new(tokens);
    let running: Vec<_> = (0..64)
        .map(|task| {
            let (store, maker, tokens) = (Arc::clone(store), Arc::clone(maker), Arc::clone(&tokens));
            let total = Arc::clone(&total);
            tokio::spawn(async move {
                // A stride that meets each token once, far from the one before; each task has tokens of its own.
                let mut at = task;
                while start.elapsed() < SPAN {
                    at = (at + 64 * 7919) % (tokens.len() / 64 * 64);
                    let (_, change) = maker.rotate(tokens[at].clone())?;
                    match store.apply(change).await {
                        Ok(_) => total.fetch_add(1, Ordering::Relaxed),
                        // All tokens were rotated once.
                        Err(countersign_domain::store::StoreError::Stale) => break,
                        Err(error) => return Err(error.into()),
                    };
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    for task in running {
        task.await??;
    }
    meter.report(&format!("rotate, 64 tasks, of {}", tokens.len()), total.load(Ordering::Relaxed));
    Ok(())
}

async fn pages(store: &SqliteStore, maker: &Maker) -> Result<(), Failure> {
    let query = |offset, search: Option<&str>| ServiceTokenQuery {
        account: maker.account,
        name: None,
        search: search.map(str::to_owned),
        offset,
        limit: 50,
    };
    let total = store.list_service_tokens(query(0, None)).await?.total;
    for (which, offset) in [("first", 0), ("middle", total / 2), ("last", total.saturating_sub(50))] {
        let mut times = Vec::new();
        for _ in 0..500 {
            let start = Instant::now();
            let page = store.list_service_tokens(query(offset, None)).await?;
            times.push(start.elapsed());
            assert_eq!((page.items.len(), page.total), (50.min(total as usize), total));
        }
        times.sort();
        println!("{which:>6} page of {total}: p50 {:?}, p99 {:?}", times[250], times[495]);
    }
    let start = Instant::now();
    let found = store.list_service_tokens(query(0, Some("Token 77"))).await.map(|page| page.total);
    println!("search: {:?} after {:?}", found, start.elapsed());
    Ok(())
}

async fn load(options: SqliteOptions) -> Result<(), Failure> {
    let start = Instant::now();
    let store = SqliteStore::open(options, Arc::new(NullSink))?;
    println!("open {:?}", start.elapsed());
    let start = Instant::now();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let visit = move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    store.load_facts(Box::new(visit)).await?;
    println!("load of {} facts {:?}", count.load(Ordering::Relaxed), start.elapsed());
    Ok(())
}
