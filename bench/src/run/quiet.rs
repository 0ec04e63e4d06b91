//! A quiet machine.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::proc;

/// How much of a core other programs may use.
pub(crate) const OTHERS: f64 = 0.12;

/// Longest wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until hardly anything runs. Gives up after a minute: the run then says how much else ran.
pub(crate) fn wait() -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let meter = Meter::start()?;
        std::thread::sleep(Duration::from_secs(1));
        if meter.cores()? < OTHERS {
            break;
        }
    }
    Ok(())
}

/// Measures what other programs use.
pub(crate) struct Meter {
    start: Instant,
    micros: u64,
}

impl Meter {
    /// From now on.
    pub(crate) fn start() -> Result<Self> {
        Ok(Self { start: Instant::now(), micros: proc::others_cpu_micros()? })
    }

    /// How many cores they have used since, on average.
    pub(crate) fn cores(&self) -> Result<f64> {
        let micros = proc::others_cpu_micros()?.saturating_sub(self.micros);
        Ok(micros as f64 / 1e6 / self.start.elapsed().as_secs_f64())
    }
}
