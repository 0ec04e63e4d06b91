//! What all steps share: the programs, the directories, the references, the results so far.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use super::countersign::{Countersign, Setting};
use super::database::DatabaseAddress;
use super::goals::Metric;
use super::job::{Job, Work};
use super::ledger::Ledger;
use super::peer::{Peer, Program};
use super::process::{GENERATOR_CORE, Pinned, SERVER_CORE, free_address, on_core};
use super::quiet::{self, Meter};
use super::scale::Scale;
use super::seed::{self, Seed};
use super::taken::{Pair, SATURATED, Taken};
use super::tenants::{self, Tenants, TenantsSize};
use crate::load::{Door, LanePlan, Plan, Report, RightAnswer, VerifyPlan, WorkPlan};
use crate::spread::Kind;

/// How often a run is taken when other programs disturb it.
const TRIES: u32 = 3;

/// The run of all measurements.
pub(crate) struct Bench {
    /// How long and how large.
    pub(crate) scale: Scale,
    /// The results.
    pub(crate) ledger: Ledger,
    /// What later steps of the same round compare with.
    pub(crate) round: Round,
    server: PathBuf,
    this: PathBuf,
    dir: PathBuf,
    hello: Reference,
    runs: Vec<Taken>,
}

/// Results of this round that other steps need.
#[derive(Default)]
pub(crate) struct Round {
    number: u32,
    /// V1, and the hyper hello before it.
    pub(crate) verify: Option<Pair>,
    /// V2's p99 in microseconds.
    pub(crate) fixed_rate_p99_us: Option<f64>,
    /// W1's requests a second.
    pub(crate) creates: Option<f64>,
    /// Memory when empty, in bytes.
    pub(crate) empty_memory: Option<u64>,
}

/// A bare server.
pub(crate) struct Reference {
    process: Pinned,
    address: SocketAddr,
}

impl Bench {
    /// Checks that everything needed is there, and starts the bare server, which stays up: idle, it costs
    /// nothing.
    pub(crate) fn prepare(server: &Path, dir: &Path, scale: Scale) -> Result<Self> {
        let server = server.canonicalize().with_context(|| {
            format!("no server at {}: cargo build --release -p countersign", server.display())
        })?;
        fs::create_dir_all(dir.join("scratch")).with_context(|| format!("cannot make {}", dir.display()))?;
        fs::create_dir_all(dir.join("logs"))?;
        let this = std::env::current_exe()?;
        let cores = std::thread::available_parallelism()?.get();
        anyhow::ensure!(cores > GENERATOR_CORE, "two cores are needed: one for the server, one for the load");
        let dir = dir.canonicalize()?;
        let hello = Reference::start(&this, None)?;
        let (ledger, runs) = (Ledger::default(), Vec::new());
        Ok(Self { scale, ledger, round: Round::default(), server, this, dir, hello, runs })
    }

    /// Forgets what steps of the last round were compared with.
    pub(crate) fn begin_round(&mut self, number: u32) {
        self.round = Round { number, ..Round::default() };
    }

    /// The results, and the runs that they come from.
    pub(crate) fn finish(mut self) -> (Ledger, Vec<Taken>) {
        let disturbed = self.runs.iter().filter(|taken| taken.others > quiet::OTHERS).count();
        if disturbed > 0 {
            let (all, limit) = (self.runs.len(), quiet::OTHERS);
            self.ledger
                .note(format!("in {disturbed} of {all} runs other programs used more than {limit} cores"));
        }
        (self.ledger, self.runs)
    }

    /// The program under test.
    pub(crate) fn program(&self) -> &Path {
        &self.server
    }

    /// A path for data that is thrown away; nothing is there.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf> {
        let path = self.scratch_root().join(name);
        match fs::metadata(&path) {
            Ok(old) if old.is_dir() => fs::remove_dir_all(&path)?,
            Ok(_) => fs::remove_file(&path)?,
            Err(_) => {}
        }
        Ok(path)
    }

    /// The directory of all of [`Self::scratch`].
    pub(crate) fn scratch_root(&self) -> PathBuf {
        self.dir.join("scratch")
    }

    /// The directory with `count` tokens.
    pub(crate) fn seed(&mut self, count: usize) -> Result<Seed> {
        let dir = self.dir.join("seeds").join(count.to_string());
        seed::open(self, &dir, count, false)
    }

    /// The directory with `count` tokens that all have limits, which are never reached.
    pub(crate) fn limited_seed(&mut self, count: usize) -> Result<Seed> {
        let dir = self.dir.join("seeds").join(format!("{count}-limited"));
        seed::open(self, &dir, count, true)
    }

    /// The directory with a tree of accounts, their organizations and their access tokens.
    pub(crate) fn tenants(&mut self, size: TenantsSize) -> Result<Tenants> {
        let dir = self.dir.join("seeds").join(format!("tenants-{}-{}", size.accounts, size.access_tokens));
        tenants::open(self, &dir, size)
    }

    /// A server of others, which knows `count` tokens of a file.
    pub(crate) fn peer(&self, program: &Program, tokens: &Path, count: usize) -> Result<Peer> {
        Peer::start(program, &self.dir.join("peers"), &self.dir.join("logs").join("peer.log"), tokens, count)
    }

    /// A copy of a directory's data, to change.
    pub(crate) fn copy_of(&self, seed: &Seed) -> Result<PathBuf> {
        let copy = self.scratch("copy")?;
        seed::copy(&seed.data, &copy)?;
        Ok(copy)
    }

    /// How a server is started on this directory.
    pub(crate) fn setting<'a>(&'a self, data: &'a Path) -> Setting<'a> {
        let log = self.dir.join("logs").join("server.log");
        Setting { program: &self.server, data, log, environment: Vec::new() }
    }

    /// Starts the server on a directory and waits until it is ready.
    pub(crate) fn start(&self, data: &Path) -> Result<Countersign> {
        Countersign::start(&self.setting(data))
    }

    /// Takes the hyper hello, and just after it what is compared with it.
    pub(crate) fn take_beside_hello(&mut self, label: &str, plan: &Plan) -> Result<Pair> {
        let measured_ms = self.scale.reference.as_millis() as u64;
        let hello = Plan { measured_ms, ..self.plan_hello(None) };
        self.take_pair(Job::load(&format!("hyper, before {label}"), &hello), Job::load(label, plan))
    }

    /// The same at a fixed rate, each as long as a target.
    pub(crate) fn take_beside_hello_at(&mut self, rate: u64, label: &str, plan: &Plan) -> Result<Pair> {
        let hello = self.plan_hello(Some(rate));
        self.take_pair(Job::load(&format!("hyper, before {label}"), &hello), Job::load(label, plan))
    }

    fn plan_hello(&self, rate: Option<u64>) -> Plan {
        let unknown = Scale::unknown_beside(self.scale.usual);
        let verify = VerifyPlan {
            tokens: None,
            skip: 0,
            live: 0,
            unknown,
            once: false,
            right: RightAnswer::NoContent,
            door: Door::Authz,
        };
        self.plan_for(self.hello.address, self.hello.process.pid(), vec![verify_lane(verify, rate)])
    }

    /// Takes the bare server that verifies against the tokens of a directory, beside the hello like any
    /// target.
    pub(crate) fn map(&mut self, seed: &Seed) -> Result<Pair> {
        let map = Reference::start(&self.this, Some(&seed.tokens))?;
        let lanes = vec![verify_lane(all_and_unknown(seed), None)];
        let plan = self.plan_for(map.address, map.process.pid(), lanes);
        self.take_beside_hello("map", &plan)
    }

    /// A plan of the usual length against a server.
    pub(crate) fn plan(&self, server: &Countersign, lanes: Vec<LanePlan>) -> Plan {
        self.plan_for(server.address, server.pid(), lanes)
    }

    /// As [`Bench::plan`], warmed up for so long that the server writes usage meanwhile.
    pub(crate) fn plan_warm(&self, server: &Countersign, lanes: Vec<LanePlan>) -> Plan {
        let warm_up_ms = self.scale.long_warm_up.as_millis() as u64;
        Plan { warm_up_ms, ..self.plan(server, lanes) }
    }

    /// A plan of the usual length against whatever listens there.
    pub(crate) fn plan_for(&self, address: SocketAddr, pid: u32, lanes: Vec<LanePlan>) -> Plan {
        Plan {
            address,
            server: Some(pid),
            database: None,
            warm_up_ms: self.scale.warm_up.as_millis() as u64,
            measured_ms: self.scale.measured.as_millis() as u64,
            until_closed: false,
            awake: false,
            lanes,
        }
    }

    /// Takes a run on a quiet machine; again when other programs disturbed it.
    pub(crate) fn take(&mut self, label: &str, plan: &Plan) -> Result<Taken> {
        let [taken] = self.take_together([Job::load(label, plan)])?;
        Ok(taken)
    }

    /// Takes a reference, and just after it what is compared with it.
    pub(crate) fn take_pair(&mut self, reference: Job, target: Job) -> Result<Pair> {
        let [reference, target] = self.take_together([reference, target])?;
        Ok(Pair { reference, target })
    }

    /// Takes jobs one after the other, each on a quiet machine. When other programs disturbed one, all are
    /// taken again: a ratio holds between runs that stand beside each other, not with one of minutes ago. What
    /// was answered wrongly in a disturbed run was wrong all the same.
    pub(crate) fn take_together<const N: usize>(&mut self, jobs: [Job; N]) -> Result<[Taken; N]> {
        let mut left = if self.scale.quiet { TRIES } else { 1 };
        loop {
            let taken = jobs.iter().map(|job| self.once(job, &jobs)).collect::<Result<Vec<_>>>()?;
            left -= 1;
            if left == 0 || taken.iter().all(|taken| taken.others <= quiet::OTHERS) {
                taken.iter().for_each(|taken| self.record(taken.clone()));
                return taken.try_into().map_err(|_| anyhow::anyhow!("a job was lost"));
            }
            taken.iter().flat_map(Taken::wrong_answers).for_each(|wrong| self.ledger.wrong(wrong));
        }
    }

    /// Takes one of `jobs` a single time; the servers of the others ought to be idle meanwhile.
    fn once(&self, job: &Job, jobs: &[Job]) -> Result<Taken> {
        let idle: Vec<u32> =
            jobs.iter().filter_map(Job::server).filter(|pid| job.server() != Some(*pid)).collect();
        if self.scale.quiet {
            quiet::wait(&idle)?;
        }
        let child = match &job.work {
            Work::Load(plan) => self.start_load(plan)?,
            Work::Insert { per_commit, environment } => self.start_insert(*per_commit, environment)?,
            Work::Hash => self.start_hash()?,
            Work::Signed => self.start_signed()?,
            Work::Pgbench(database) => self.start_pgbench(database)?,
        };
        self.taken(&job.label, Running { child, others: Meter::start(&idle)? })
    }

    /// Keeps a run, its wrong answers, and what stayed without an answer.
    pub(crate) fn record(&mut self, taken: Taken) {
        taken.wrong_answers().for_each(|wrong| self.ledger.wrong(wrong));
        taken.unanswered().for_each(|unanswered| self.ledger.note(unanswered));
        self.runs.push(taken);
    }

    /// Says so when a ratio of requests a second is one of what was not saturated: of the target, it is too
    /// small; of the reference, too good.
    pub(crate) fn expect_saturated(&mut self, ratio: Metric, pairs: &[&Pair]) {
        let busy = |taken: &Taken| format!("{} {:.2}", taken.label, taken.core_busy());
        let runs = pairs.iter().flat_map(|pair| pair.both());
        let idle: Vec<String> = runs.filter(|taken| taken.core_busy() < SATURATED).map(busy).collect();
        if idle.is_empty() {
            return;
        }
        let (goal, round, idle) = (ratio.goal(), self.round.number, idle.join("; "));
        self.ledger.note(format!(
            "{}, round {round}: \"{}\" does not hold; the server's core was not saturated: {idle}",
            goal.row, goal.what
        ));
    }

    /// Runs the generator.
    pub(crate) fn send(&self, plan: &Plan) -> Result<Report> {
        Ok(self.send_in_background(plan)?.report()?.0)
    }

    /// Starts the generator; [`Running::report`] waits for its end.
    pub(crate) fn send_in_background(&self, plan: &Plan) -> Result<Running> {
        Ok(Running { child: self.start_load(plan)?, others: Meter::start(&[])? })
    }

    fn start_load(&self, plan: &Plan) -> Result<Child> {
        let mut command = on_core(GENERATOR_CORE, &self.this);
        let mut child = command.arg("load").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("the generator reads nothing")?;
        serde_json::to_writer(input, plan)?;
        Ok(child)
    }

    /// Waits for a load in the background, and records it.
    pub(crate) fn record_in_background(&mut self, label: &str, load: Running) -> Result<Taken> {
        let taken = self.taken(label, load)?;
        self.record(taken.clone());
        Ok(taken)
    }

    fn taken(&self, label: &str, load: Running) -> Result<Taken> {
        let (report, others) = load.report().with_context(|| label.to_owned())?;
        Ok(Taken { label: label.into(), round: self.round.number, report, others })
    }

    /// Revokes tokens of a file and verifies each at once.
    pub(crate) fn revoke_then_verify(
        &self,
        server: &Countersign,
        tokens: &Path,
    ) -> Result<crate::revoke::Seen> {
        let mut command = on_core(GENERATOR_CORE, &self.this);
        command.arg("revoke-then-verify").arg("--address").arg(server.address.to_string());
        command.arg("--tokens").arg(tokens).arg("--count").arg(self.scale.revocations.to_string());
        json_of(command.stdout(Stdio::piped()).spawn()?)
    }

    /// Changes something on the first node, again and again, and waits each time until the second one knows. It cannot be
    /// taken a second time: what is revoked is.
    pub(crate) fn take_spread(
        &mut self,
        label: &str,
        kind: Kind,
        [at, to]: [SocketAddr; 2],
        tokens: &Path,
        count: usize,
    ) -> Result<Taken> {
        self.wait()?;
        let mut command = on_core(GENERATOR_CORE, &self.this);
        command.args(["spread", kind.word(), "--at", &at.to_string(), "--to", &to.to_string(), "--tokens"]);
        command.arg(tokens).arg("--count").arg(count.to_string());
        let child = command.stdout(Stdio::piped()).spawn()?;
        self.record_in_background(label, Running { child, others: Meter::start(&[])? })
    }

    /// Waits for a quiet machine.
    pub(crate) fn wait(&self) -> Result<()> {
        if self.scale.quiet { quiet::wait(&[]) } else { Ok(()) }
    }

    fn start_insert(&self, per_commit: u32, environment: &[(&'static str, String)]) -> Result<Child> {
        let scratch = self.scratch("reference")?;
        fs::create_dir_all(&scratch)?;
        let mut command = on_core(SERVER_CORE, &self.this);
        command.arg("reference-sqlite").arg("--database").arg(scratch.join("rows.db"));
        command.arg("--per-commit").arg(per_commit.to_string());
        command.envs(environment.iter().cloned());
        self.start_reference(command)
    }

    fn start_hash(&self) -> Result<Child> {
        let mut command = on_core(SERVER_CORE, &self.this);
        command.arg("reference-argon2");
        self.start_reference(command)
    }

    fn start_signed(&self) -> Result<Child> {
        let mut command = on_core(SERVER_CORE, &self.this);
        command.arg("reference-signed").arg("--data").arg(self.scratch("signed")?);
        self.start_reference(command)
    }

    /// The server is pinned already; this is its generator.
    fn start_pgbench(&self, database: &DatabaseAddress) -> Result<Child> {
        let mut command = on_core(GENERATOR_CORE, &self.this);
        command.arg("reference-pgbench").arg("--url").arg(&database.url);
        command.arg("--postgres").arg(database.pid.to_string());
        self.start_reference(command)
    }

    fn start_reference(&self, mut command: Command) -> Result<Child> {
        command.arg("--warm-up").arg(self.scale.warm_up.as_secs_f64().to_string());
        command.arg("--seconds").arg(self.scale.reference.as_secs_f64().to_string());
        Ok(command.stdout(Stdio::piped()).spawn()?)
    }
}

impl Reference {
    fn start(this: &Path, map: Option<&Path>) -> Result<Self> {
        let address = free_address()?;
        let mut command = on_core(SERVER_CORE, this);
        command.arg("reference-hyper").arg("--listen").arg(address.to_string());
        if let Some(tokens) = map {
            command.arg("--map").arg(tokens);
        }
        let process = Pinned::start(&mut command)?;
        wait_for(address)?;
        Ok(Self { process, address })
    }
}

/// A generator or the bare store at work.
pub(crate) struct Running {
    child: Child,
    others: Meter,
}

impl Running {
    /// Waits for its end. Gives its report, and how many cores other programs used meanwhile.
    fn report(self) -> Result<(Report, f64)> {
        let report = json_of(self.child)?;
        Ok((report, self.others.cores()?))
    }
}

fn json_of<T: DeserializeOwned>(child: Child) -> Result<T> {
    let output = child.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "it ended with {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Waits until somebody listens.
pub(crate) fn wait_for(address: SocketAddr) -> Result<()> {
    for _ in 0..1000 {
        if std::net::TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    anyhow::bail!("the reference does not listen on {address}")
}

/// The usual 64 connections of verifications.
pub(crate) fn verify_lane(plan: VerifyPlan, rate: Option<u64>) -> LanePlan {
    LanePlan { name: "verify".into(), connections: 64, rate, work: WorkPlan::Verify(plan) }
}

/// Every token of a directory, and one unknown to nine of them.
pub(crate) fn all_and_unknown(seed: &Seed) -> VerifyPlan {
    VerifyPlan {
        tokens: Some(seed.tokens.clone()),
        skip: 0,
        live: seed.count,
        unknown: Scale::unknown_beside(seed.count),
        once: false,
        right: RightAnswer::Judged,
        door: Door::Authz,
    }
}
