//! A quiet machine.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::proc::Machine;

/// How much of a core other programs may use.
pub(crate) const OTHERS: f64 = 0.12;

/// Longest wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until hardly anything runs. Gives up after a minute: the run then says how much else ran.
pub(crate) fn wait() -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let (before, at) = (Machine::now()?, Instant::now());
        std::thread::sleep(Duration::from_secs(1));
        let busy = Machine::now()?.busy_micros_since(&before) as f64 / 1e6;
        if busy / at.elapsed().as_secs_f64() < OTHERS {
            break;
        }
    }
    Ok(())
}
