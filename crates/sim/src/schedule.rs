//! A schedule: what happens, in which order, and what is looked at in between.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_authority::{AccountRequest, Asked, RootSettings};
use countersign_domain::audit::Origin;
use countersign_domain::change::FactChange;
use countersign_domain::email::Email;
use countersign_domain::profile::Profile;
use countersign_domain::secret::Secret;
use countersign_domain::time::{Clock, Timestamp};
use countersign_store_conformance::doubles::SeededEntropy;

use crate::chance::Chance;
use crate::database::{Database, Link, Work};
use crate::node::Node;
use crate::operations::{Client, Operation};
use crate::oracle::{Issued, Key, Name, Oracle, View};
use crate::pause::{Steps, finish, lock, pause, step};

const NODES: usize = 2;
const ROOT_TOKEN: &str = "root-token-of-the-tests-0123456789";
/// Most operations that go on at once.
const OPERATIONS: usize = 4;
/// More steps than everything that has begun can need once nothing hinders it.
const STEPS_TO_THE_END: usize = 20_000;

/// What was done in schedules, so that it can be seen that they were not empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Operations that were acknowledged.
    pub acknowledged: u64,
    /// Doors that were asked.
    pub asked: u64,
    /// Those of which it was known what they had to say.
    pub certain: u64,
    /// Those that opened.
    pub opened: u64,
    /// How often a node read everything afresh.
    pub reloads: u64,
}

impl Tally {
    /// Adds another one.
    pub const fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.asked += other.asked;
        self.certain += other.certain;
        self.opened += other.opened;
        self.reloads += other.reloads;
    }
}

/// Something that must not be, and what was done until then.
#[derive(Debug)]
pub struct Broken {
    /// What is wrong.
    pub what: String,
    /// What was done, where that was wanted.
    pub trace: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.what, self.trace.join("\n"))
    }
}

/// Runs the first `length` events of the schedule of this seed, and then to a quiet end.
pub fn run(seed: u64, length: usize, is_traced: bool) -> Result<Tally, Broken> {
    let mut schedule = Schedule::new(seed, is_traced);
    let done = (0..length).try_for_each(|_| schedule.event()).and_then(|()| schedule.end());
    match done {
        Ok(()) => Ok(schedule.tally()),
        Err(what) => Err(Broken { what, trace: schedule.trace.unwrap_or_default() }),
    }
}

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Start,
    Follow,
    Operation,
}

struct Task {
    kind: Kind,
    node: usize,
    number: usize,
    steps: Steps,
}

struct Schedule {
    chance: Chance,
    database: Arc<Database>,
    entropy: Arc<SeededEntropy>,
    oracle: Arc<Mutex<Oracle>>,
    nodes: Vec<Node>,
    tasks: Vec<Task>,
    next_task: usize,
    tally: Tally,
    trace: Option<Vec<String>>,
}

impl Schedule {
    fn new(seed: u64, is_traced: bool) -> Self {
        let database = Arc::new(Database::new(NODES, Chance::new(seed ^ 0xD1B5_4A32)));
        let entropy = Arc::new(SeededEntropy::new(seed));
        let nodes = (0..NODES).map(|number| Node::new(number, &database, &entropy)).collect();
        let mut schedule = Self {
            chance: Chance::new(seed),
            database,
            entropy,
            oracle: Arc::default(),
            nodes,
            tasks: Vec::new(),
            next_task: 0,
            tally: Tally::default(),
            trace: is_traced.then(Vec::new),
        };
        schedule.prepare();
        schedule
    }

    /// The root account with its token, an account below it, and one below that.
    #[expect(clippy::expect_used, reason = "nothing is in the way yet")]
    fn prepare(&mut self) {
        let (database, nodes) = (Arc::clone(&self.database), &self.nodes);
        let authority = &nodes[0].authority;
        let prepared = async {
            authority.load().await.expect("a database");
            let token = Some(Secret::from_operator(ROOT_TOKEN.into()));
            let root = authority.ensure_root(RootSettings { token, ..Default::default() }).await;
            let root = root.expect("a root account").account;
            let caller = nodes[0].caller(ROOT_TOKEN).expect("the root token");
            let mut accounts = vec![root];
            for name in ["child", "grandchild"] {
                let email = Email::parse(&format!("{name}@example.com")).expect("an address");
                let request = AccountRequest { email, password: None, profile: Profile::default() };
                let account = accounts.last().copied().unwrap_or(root);
                let origin = Origin::default();
                let asked = Asked { caller: &caller, account, origin: &origin };
                accounts.push(authority.create_account(asked, request).await.expect("an account").id);
            }
            for node in &nodes[1..] {
                node.authority.load().await.expect("a database");
            }
            (accounts, caller)
        };
        // The server has nothing else to do.
        let prepared = with_server(&database, prepared);
        let (accounts, caller) = prepared;
        let mut oracle = lock(&self.oracle);
        for (number, id) in accounts.into_iter().enumerate() {
            oracle.add_account(id, number.checked_sub(1));
        }
        let text = Secret::from_operator(ROOT_TOKEN.into());
        let name = Name::Access(caller.handle);
        let (client_id, expires_at) = (String::new(), Timestamp::NEVER);
        let root = Issued { name, client_id, account: 0, minter: None, expires_at, text };
        oracle.issued(root, 0, None);
        drop(oracle);
        database.take_actors();
    }

    /// One thing that happens, and a look at the doors.
    fn event(&mut self) -> Result<(), String> {
        {
            let mut oracle = lock(&self.oracle);
            oracle.step += 1;
            oracle.now = self.database.uptime();
        }
        match self.chance.below(100) {
            0..=54 => self.go_on(),
            55..=66 => self.begin_operation()?,
            67..=76 => self.begin_following(),
            77..=84 => self.let_server_go_on(),
            85..=91 => self.advance(),
            92..=94 => self.change_link(),
            95 => self.crash(),
            96 => self.fail_over(),
            97..=98 => self.meet_stranger(),
            _ => {
                self.tell(|| "what no node needs is forgotten".to_owned());
                self.database.tidy();
            }
        }
        self.look()
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let at = self.database.uptime().as_millis();
            let step = lock(&self.oracle).step;
            trace.push(format!("{step:>4} {at:>6} ms  {}", what()));
        }
    }

    /// Something that has begun goes on, by a few steps.
    fn go_on(&mut self) {
        if self.tasks.is_empty() {
            return;
        }
        let index = self.chance.below(self.tasks.len());
        let number = self.tasks[index].number;
        for _ in 0..=self.chance.below(8) {
            if !self.step(index) {
                self.tell(|| format!("task {number} is over"));
                return;
            }
        }
    }

    /// One step; gives whether there are more.
    fn step(&mut self, index: usize) -> bool {
        let is_over = step(self.tasks[index].steps.as_mut()).is_ready();
        if is_over {
            let task = self.tasks.swap_remove(index);
            if !self.nodes[task.node].directory.is_ready() && task.kind == Kind::Start {
                self.start(task.node);
            }
        }
        !is_over
    }

    fn begin(&mut self, kind: Kind, node: usize, steps: Steps, what: impl FnOnce() -> String) {
        let number = self.next_task;
        self.next_task += 1;
        self.tell(|| format!("task {number}, node {node}: {}", what()));
        self.tasks.push(Task { kind, node, number, steps });
    }

    /// A client asks a node for something. Of its token is judged now, as it would be when its request comes.
    fn begin_operation(&mut self) -> Result<(), String> {
        let going_on = self.tasks.iter().filter(|task| task.kind == Kind::Operation).count();
        let number = self.chance.below(NODES);
        if going_on >= OPERATIONS || !self.nodes[number].is_ready() {
            return Ok(());
        }
        let mut oracle = lock(&self.oracle);
        let token = match self.chance.below(3) {
            0 => 0,
            _ => self.chance.below(oracle.tokens()),
        };
        if !matches!(oracle.name(token), Name::Access(_)) {
            return Ok(());
        }
        let key = oracle.last_key(token);
        let node = &self.nodes[number];
        let caller = node.caller(oracle.shown(key).1);
        let must = oracle.must_grant(key, View::Node(number), self.database.clock.now());
        if must.is_some_and(|must| must != caller.is_some()) {
            return Err(format!("node {number} takes token {token} for good: {}", caller.is_some()));
        }
        let Some(caller) = caller else { return Ok(()) };
        let operation = Operation::choose(&mut oracle, &mut self.chance);
        drop(oracle);
        let client = Client { node: number, authority: Arc::clone(&node.authority), caller, token };
        let steps = Box::pin(client.ask(operation, Arc::clone(&self.oracle)));
        self.begin(Kind::Operation, number, steps, || format!("token {token} asks for {operation:?}"));
        Ok(())
    }

    fn begin_following(&mut self) {
        let node = self.chance.below(NODES);
        if self.tasks.iter().any(|task| task.node == node && task.kind != Kind::Operation) {
            return;
        }
        let renews = !self.chance.one_in(4);
        let store = Arc::clone(&self.nodes[node].store);
        let steps = Box::pin(async move {
            // One that cannot tries again soon.
            let _ = store.follow(renews).await;
        });
        self.begin(Kind::Follow, node, steps, || if renews { "follows".into() } else { "looks".to_owned() });
    }

    fn let_server_go_on(&mut self) {
        if let Some(number) = self.chance.pick(&self.database.open()) {
            self.tell(|| format!("the server goes on with transaction {number}"));
            self.database.go_on(number);
        }
    }

    fn advance(&mut self) {
        let span = match self.chance.below(32) {
            0..=21 => Duration::from_millis(10 + 10 * self.chance.below(30) as u64),
            22..=30 => Duration::from_millis(500 + 100 * self.chance.below(30) as u64),
            _ => Duration::from_secs(660),
        };
        self.tell(|| format!("{span:?} go by"));
        self.database.advance(span);
        lock(&self.oracle).now = self.database.uptime();
    }

    fn change_link(&mut self) {
        let node = self.chance.below(NODES);
        let link = match self.database.link(node) {
            Link::Up if self.chance.one_in(2) => Link::Cut,
            Link::Up => Link::Hanging,
            Link::Hanging if self.chance.one_in(2) => Link::Cut,
            Link::Hanging | Link::Cut => Link::Up,
        };
        self.tell(|| format!("the link of node {node} is {link:?}"));
        self.database.set_link(node, link);
    }

    /// A node dies, and is started again.
    fn crash(&mut self) {
        let node = self.chance.below(NODES);
        self.tell(|| format!("node {node} dies"));
        self.tasks.retain(|task| task.node != node);
        self.database.leave_all_alone(node);
        self.tally.reloads += self.nodes[node].directory.reloads();
        self.start(node);
    }

    /// A node is started, again and again until it can read everything.
    fn start(&mut self, node: usize) {
        self.nodes[node] = Node::new(node, &self.database, &self.entropy);
        let authority = Arc::clone(&self.nodes[node].authority);
        let steps = Box::pin(async move {
            pause().await;
            // It ends without it.
            let _ = authority.load().await;
        });
        self.begin(Kind::Start, node, steps, || "starts".to_owned());
    }

    fn fail_over(&mut self) {
        self.tell(|| "the standby takes over".to_owned());
        self.database.fail_over();
    }

    /// Somebody else begins a transaction in the same cluster, or ends one.
    fn meet_stranger(&mut self) {
        match self.chance.pick(&self.database.strangers()) {
            Some(number) if self.chance.one_in(2) => self.database.end_stranger(number),
            _ => {
                self.tell(|| "a stranger begins a transaction".to_owned());
                self.database.begin(Work::Nothing, None);
            }
        }
    }

    /// Looks at what was committed, and at some doors.
    fn look(&mut self) -> Result<(), String> {
        let oracle = Arc::clone(&self.oracle);
        let oracle = lock(&oracle);
        for handle in self.database.take_actors() {
            if oracle.was_revoked(handle) {
                return Err(format!("a change was made in the name of {handle}, which was revoked before"));
            }
        }
        let keys = [oracle.any_key(&mut self.chance), self.chance.pick(oracle.recent())];
        for node in 0..NODES {
            for key in keys.into_iter().flatten() {
                self.ask_door(node, key, View::Node(node), &oracle)?;
            }
        }
        Ok(())
    }

    fn ask_door(&mut self, number: usize, key: Key, view: View, oracle: &Oracle) -> Result<(), String> {
        let node = &self.nodes[number];
        if !node.is_ready() {
            return Ok(());
        }
        let (client_id, secret) = oracle.shown(key);
        let opens = node.opens(client_id, secret);
        let must = oracle.must_grant(key, view, self.database.clock.now());
        self.tally.asked += 1;
        self.tally.certain += u64::from(must.is_some());
        self.tally.opened += u64::from(opens);
        match must {
            Some(must) if must != opens => {
                let does = if opens { "grants what was revoked" } else { "refuses what is good" };
                Err(format!("node {number} {does}: {key:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Mends everything, and looks whether all come to know the same. A stranger's transaction stays open.
    fn end(&mut self) -> Result<(), String> {
        self.tell(|| "everything is mended".to_owned());
        (0..NODES).for_each(|node| self.database.set_link(node, Link::Up));
        for _ in 0..STEPS_TO_THE_END {
            if self.tasks.is_empty() {
                break;
            }
            let index = self.chance.below(self.tasks.len());
            self.step(index);
            if self.chance.one_in(4) {
                self.let_server_go_on();
            }
            lock(&self.oracle).step += 1;
            self.look()?;
        }
        if let Some(task) = self.tasks.first() {
            return Err(format!("task {} does not come to its end", task.number));
        }
        // What nobody waits for comes to its end, too.
        self.database.open().into_iter().for_each(|number| self.database.go_on(number));
        self.look()?;
        // The first time may be a reload, which renews no lease.
        for node in &self.nodes {
            for _ in 0..2 {
                finish(node.store.follow(true)).map_err(|error| format!("cannot follow: {error:?}"))?;
            }
        }
        self.nodes.push(Node::new(0, &self.database, &self.entropy));
        finish(self.nodes[NODES].authority.load()).map_err(|error| format!("cannot load: {error:?}"))?;
        (0..=NODES).try_for_each(|node| self.must_know_everything(node))
    }

    fn must_know_everything(&mut self, number: usize) -> Result<(), String> {
        let (node, now) = (&self.nodes[number], self.database.clock.now());
        if !node.is_ready() {
            return Err(format!("node {number} has no lease, though nothing is in its way"));
        }
        let (facts, _) = self.database.facts();
        let mut tokens = 0;
        for fact in &facts {
            let knows = match fact {
                FactChange::Credential(fact) => {
                    tokens += 1;
                    node.directory.find(&fact.key()).is_some_and(|known| known.fact == *fact)
                }
                FactChange::Account(fact) => {
                    node.directory.chain(fact.id).is_some_and(|chain| chain.own() == Some(fact))
                }
                _ => true,
            };
            if !knows {
                return Err(format!("node {number} does not know {fact:?}"));
            }
        }
        let census = node.directory.census(now);
        if census.service_tokens + census.access_tokens != tokens {
            return Err(format!("node {number} knows {census:?}, and there are {tokens}"));
        }
        let oracle = Arc::clone(&self.oracle);
        let oracle = lock(&oracle);
        oracle.keys().into_iter().try_for_each(|key| self.ask_door(number, key, View::Database, &oracle))
    }

    fn tally(&self) -> Tally {
        let reloads: u64 = self.nodes.iter().map(|node| node.directory.reloads()).sum();
        let acknowledged = lock(&self.oracle).acknowledged;
        Tally { acknowledged, reloads: self.tally.reloads + reloads, ..self.tally }
    }
}

/// Goes on to the end; the server does at once what it is asked to.
fn with_server<T>(database: &Database, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = step(future.as_mut()) {
            return output;
        }
        database.open().into_iter().for_each(|number| database.go_on(number));
    }
}
