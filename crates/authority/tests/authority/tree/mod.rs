//! The tree: over random sequences of all operations by credentials of all kinds, on trees of accounts at least three
//! levels below the root, nobody comes to hold or enable a credential beyond its own, no child reaches its parent or a
//! sibling, and what is revoked, disabled or deleted is refused, with everything below it, at the next verification
//! (design 5, invariants 3 and 5).
//!
//! The oracle is a record of its own ([`model`]): who stands below whom, who minted what. After every operation that
//! changed something, every credential that there ever was in the sequence is shown at a door, where it has to be
//! accepted or refused as the record says. Whatever an operation gave or strengthened is measured by `judge`
//! ([`power`]) and compared with the caller.
//!
//! `COUNTERSIGN_TEST_SEED` and `COUNTERSIGN_TEST_SEQUENCES` choose other sequences. A failure says how to see it again.

mod acts;
mod chance;
mod doors;
mod model;
mod of_accounts;
mod of_organizations;
mod of_tokens;
mod power;
mod run;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chance::Values;
use run::Run;
use tally::Tally;

/// In a test run.
const SEQUENCES: u64 = 1_000_000;
/// On one ground, before what is kept of past sequences, such as the audit, makes it slow.
const ON_ONE_GROUND: u64 = 50;
/// The million takes two minutes and a half of one.
const MOST_CORES: usize = 4;
const SEED: u64 = 20_261_126;

#[test]
fn nobody_reaches_beyond_its_branch() {
    let seed = number("COUNTERSIGN_TEST_SEED").unwrap_or(SEED);
    let sequences = number("COUNTERSIGN_TEST_SEQUENCES").unwrap_or(SEQUENCES);
    let since = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_CORES);
    let next = AtomicU64::new(0);
    let parts: Vec<Result<Tally, String>> = std::thread::scope(|scope| {
        let work = || scope.spawn(|| take_turns(seed, sequences, &next));
        let workers: Vec<_> = (0..cores).map(|_| work()).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut total = Tally::default();
    for part in parts {
        match part {
            Ok(part) => total.add(&part),
            Err(what) => panic!("{what}"),
        }
    }
    println!("seed {seed}, {:.0?} on {cores} cores: {total}", since.elapsed());
    total.must_be_varied();
}

/// Runs what is left, one ground after the other, until nothing is or something fails. What happens on a ground depends
/// on its number alone.
fn take_turns(seed: u64, sequences: u64, next: &AtomicU64) -> Result<Tally, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let values = Arc::new(Values::new());
    let mut total = Tally::default();
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let count = ON_ONE_GROUND.min(sequences.saturating_sub(number * ON_ONE_GROUND));
        if count == 0 {
            return Ok(total);
        }
        let seed = seed + number;
        let mut run = runtime.block_on(Run::new(seed, values.clone(), false));
        if let Err(what) = (0..count).try_for_each(|_| runtime.block_on(run.sequence())) {
            next.store(sequences, Ordering::SeqCst);
            let trace = runtime.block_on(tell_again(seed, &values, count));
            return Err(format!(
                "{what}\n{trace}\nagain with COUNTERSIGN_TEST_SEED={seed} COUNTERSIGN_TEST_SEQUENCES={count}"
            ));
        }
        total.add(&run.tally);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// What was done in the sequence that fails.
async fn tell_again(seed: u64, values: &Arc<Values>, count: u64) -> String {
    let mut run = Run::new(seed, values.clone(), true).await;
    for _ in 0..count {
        if run.sequence().await.is_err() {
            break;
        }
    }
    run.trace.unwrap_or_default().join("\n")
}
