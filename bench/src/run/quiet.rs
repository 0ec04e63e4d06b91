//! A quiet machine.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::proc;

/// How much of a core other programs may use.
pub(crate) const OTHERS: f64 = 0.12;

/// Longest wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until hardly anything runs, of these processes of ours neither. Gives up after a minute: the run
/// then says how much else ran.
pub(crate) fn wait(idle: &[u32]) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let meter = Meter::start(idle)?;
        std::thread::sleep(Duration::from_secs(1));
        if meter.cores()? < OTHERS {
            break;
        }
    }
    Ok(())
}

/// Measures what other programs use, and processes of ours that ought to be idle: a server may still have to
/// write what it has just been asked.
pub(crate) struct Meter {
    start: Instant,
    idle: Vec<u32>,
    micros: u64,
}

impl Meter {
    /// From now on.
    pub(crate) fn start(idle: &[u32]) -> Result<Self> {
        Ok(Self { start: Instant::now(), idle: idle.to_vec(), micros: used(idle)? })
    }

    /// How many cores they have used since, on average.
    pub(crate) fn cores(&self) -> Result<f64> {
        let micros = used(&self.idle)?.saturating_sub(self.micros);
        Ok(micros as f64 / 1e6 / self.start.elapsed().as_secs_f64())
    }
}

/// CPU time since boot; of what has ended, none.
fn used(idle: &[u32]) -> Result<u64> {
    let ours: u64 = idle.iter().map(|pid| proc::cpu_micros(*pid).unwrap_or(0)).sum();
    Ok(proc::others_cpu_micros()? + ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ought_to_be_idle_counts() -> Result<()> {
        let this = std::process::id();
        while proc::cpu_micros(this)? < 100_000 {
            std::hint::spin_loop();
        }
        assert!(used(&[this])? > proc::others_cpu_micros()?);
        Ok(())
    }
}
