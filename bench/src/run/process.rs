//! Processes on a core of their own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where servers run, and the references of what they do.
pub(crate) const SERVER_CORE: usize = 0;

/// Where generators run.
pub(crate) const GENERATOR_CORE: usize = 1;

/// A process that ends with this value, or with the thread that started it.
pub(crate) struct Pinned {
    child: Child,
    started: Instant,
}

/// A command for a program on one core.
///
/// `setsid` gives it a scheduler group of its own, so that what runs beside it in our session takes nothing
/// from it; `setpriv` ends it when we end, however that happens. Each replaces itself by the next, so the
/// process that is started is the program in the end.
pub(crate) fn on_core(core: usize, program: &Path) -> Command {
    let mut command = Command::new("setsid");
    command.args(["setpriv", "--pdeathsig", "KILL", "taskset", "-c"]);
    command.arg(core.to_string()).arg(program).stdin(Stdio::null());
    command
}

/// Does `work` on one core, and starts on it whatever that starts.
pub(crate) fn pinned<T>(core: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(core);
    sched_setaffinity(None, &one)?;
    let done = work();
    sched_setaffinity(None, &before)?;
    done
}

impl Pinned {
    /// Starts a command made by [`on_core`].
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let started = Instant::now();
        let child = command.spawn().context("cannot start `setsid setpriv taskset` (package util-linux)")?;
        Ok(Self { child, started })
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// When it was started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end, and waits for at most `patience`; then ends it.
    pub(crate) fn stop(mut self, patience: Duration) -> Result<()> {
        let asked = Instant::now();
        Command::new("kill").arg(self.pid().to_string()).status().context("cannot run `kill`")?;
        while asked.elapsed() < patience {
            if self.ended()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        anyhow::bail!("it has not stopped within {} s of SIGTERM", patience.as_secs())
    }

    /// Ends it at once, as a power cut would end its process.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on this machine that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
