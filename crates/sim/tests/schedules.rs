//! Many schedules, and those in which something was found.
//!
//! `COUNTERSIGN_SIM_SCHEDULES` and `COUNTERSIGN_SIM_SEED` choose others. A failure says how to see it again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use countersign_sim::{Tally, run};

const SCHEDULES: u64 = 20_000;
const SEED: u64 = 20_261_126;
const MOST_CORES: usize = 4;
/// One a line: seed and length, and after `#` what was wrong.
const FOUND: &str = include_str!("found");

/// Between 40 and 340 events.
const fn length(seed: u64) -> usize {
    40 + (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % 300
}

#[test]
fn no_order_of_events_breaks_a_promise() {
    let seed = number("COUNTERSIGN_SIM_SEED").unwrap_or(SEED);
    let schedules = number("COUNTERSIGN_SIM_SCHEDULES").unwrap_or(SCHEDULES);
    let since = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_CORES);
    let (next, broken) = (AtomicU64::new(0), Mutex::new(None::<u64>));
    let work = || {
        let mut total = Tally::default();
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= schedules {
                return total;
            }
            match run(seed + number, length(seed + number), false) {
                Ok(tally) => total.add(&tally),
                Err(_) => {
                    let mut broken = broken.lock().unwrap();
                    *broken = Some(broken.map_or(number, |known| known.min(number)));
                    next.store(schedules, Ordering::SeqCst);
                    return total;
                }
            }
        }
    };
    let mut total = Tally::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| total.add(&worker.join().unwrap()));
    });
    if let Some(number) = *broken.lock().unwrap() {
        panic!("schedule {number} of {schedules}: {}", tell(seed + number));
    }
    println!("{schedules} schedules from seed {seed} in {:.1?} on {cores} cores: {total:?}", since.elapsed());
    must_be_varied(&total, schedules);
}

#[test]
fn what_was_found_once_stays_mended() {
    for line in FOUND.lines() {
        let mut words = line.split_once('#').map_or(line, |(numbers, _)| numbers).split_whitespace();
        let (Some(seed), Some(length)) = (words.next(), words.next()) else { continue };
        if let Err(broken) = run(seed.parse().unwrap(), length.parse().unwrap(), true) {
            panic!("{line}: {broken}");
        }
    }
}

/// What a schedule is broken by, as short as its beginning can be.
fn tell(seed: u64) -> String {
    let longest = length(seed);
    for length in 0..=longest {
        if let Err(broken) = run(seed, length, true) {
            return format!("seed {seed}, length {length}: {broken}");
        }
    }
    format!("seed {seed} is not broken when it is run again")
}

fn must_be_varied(total: &Tally, schedules: u64) {
    assert!(total.acknowledged > 3 * schedules, "few operations are acknowledged: {total:?}");
    assert!(total.opened * 5 > total.asked, "few doors open: {total:?}");
    assert!(total.opened * 10 < total.asked * 9, "few doors stay closed: {total:?}");
    assert!(total.certain * 2 > total.asked, "of few doors is known what they have to say: {total:?}");
    assert!(total.reloads * 10 > schedules, "little is read afresh: {total:?}");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}
