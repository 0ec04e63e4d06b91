//! What the kernel says of processes and cores, read from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// `/proc` counts CPU time in hundredths of a second on every Linux that we know of (`getconf CLK_TCK`).
const TICK_MICROS: u64 = 10_000;

/// CPU time of one core since boot, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Core {
    busy: u64,
    idle: u64,
}

/// CPU time of every core since boot. What the host took away (steal) is neither busy nor idle.
///
/// The kernel samples it, some hundred times a second: it says whether a core was saturated, and nothing exact about
/// work that comes in step with the samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine(Vec<Core>);

impl Machine {
    /// Reads `/proc/stat`.
    pub(crate) fn now() -> Result<Self> {
        let cores: Vec<Core> = read("/proc/stat")?.lines().filter_map(parse_core).collect();
        anyhow::ensure!(!cores.is_empty(), "/proc/stat names no cores");
        Ok(Self(cores))
    }

    /// The share of its time that each core was busy since `earlier`, 0 to 1.
    pub(crate) fn shares_since(&self, earlier: &Self) -> Vec<f64> {
        let share = |(now, then): (&Core, &Core)| {
            let (busy, idle) = (now.busy - then.busy, now.idle - then.idle);
            busy as f64 / (busy + idle).max(1) as f64
        };
        self.0.iter().zip(&earlier.0).map(share).collect()
    }
}

/// A line such as `cpu0 14582 0 3195 143163 101 0 14 54 0 0`: user, nice, system, idle, iowait, irq, softirq.
fn parse_core(line: &str) -> Option<Core> {
    let rest = line.strip_prefix("cpu").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut numbers = rest.split_ascii_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok());
    let mut next = || numbers.next();
    let (user, nice, system) = (next()?, next()?, next()?);
    let (idle, waiting) = (next()?, next()?);
    let (interrupts, soft) = (next()?, next()?);
    Some(Core { busy: user + nice + system + interrupts + soft, idle: idle + waiting })
}

/// CPU time that this process and all its threads have used, in microseconds.
pub(crate) fn cpu_micros(pid: u32) -> Result<u64> {
    let stat = Stat::parse(&read(format!("/proc/{pid}/stat"))?).context("/proc/<pid>/stat cannot be read")?;
    Ok(stat.own_ticks * TICK_MICROS)
}

/// CPU time that this process and all that stem from it have used, in microseconds.
pub(crate) fn tree_cpu_micros(pid: u32) -> Result<u64> {
    Ok(Processes::now()?.ticks(|processes, one| processes.stems_from(one, pid)) * TICK_MICROS)
}

/// CPU time that all programs but this one and what stems from it have used since boot, in microseconds.
///
/// A process counts with the children that it has waited for, so nothing is lost when one ends, and the difference of
/// two calls is exactly what was used between them. Threads of the kernel are no programs.
pub(crate) fn others_cpu_micros() -> Result<u64> {
    /// `kthreadd`, the parent of all threads of the kernel.
    const KERNEL: u32 = 2;
    let ours = [std::process::id(), KERNEL];
    let is_other = |processes: &Processes, one| !ours.iter().any(|root| processes.stems_from(one, *root));
    Ok(Processes::now()?.ticks(is_other) * TICK_MICROS)
}

/// Every process.
struct Processes(BTreeMap<u32, Stat>);

impl Processes {
    fn now() -> Result<Self> {
        let mut processes = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // It may be gone by now.
            let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            let stat = Stat::parse(&text).with_context(|| format!("/proc/{pid}/stat cannot be read"))?;
            processes.insert(pid, stat);
        }
        Ok(Self(processes))
    }

    /// Whether a process is `root`, or a child of it, or of a child of it, and so on.
    fn stems_from(&self, pid: u32, root: u32) -> bool {
        let parent = |pid: &u32| self.0.get(pid).map(|stat| stat.parent);
        // What ended meanwhile may have left a circle.
        std::iter::successors(Some(pid), parent).take(100).any(|pid| pid == root)
    }

    /// What these have used, with the children that they have waited for.
    fn ticks(&self, which: impl Fn(&Self, u32) -> bool) -> u64 {
        let chosen = self.0.iter().filter(|(pid, _)| which(self, **pid));
        chosen.map(|(_, stat)| stat.own_ticks + stat.children_ticks).sum()
    }
}

/// What we read of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own_ticks: u64,
    /// Of the children that it has waited for, and theirs.
    children_ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field, the name, may hold anything; it ends at the last parenthesis. State and parent follow.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own_ticks: ticks(11)? + ticks(12)?,
            children_ticks: ticks(13)? + ticks(14)?,
        })
    }
}

/// Proportional set size of this process, in bytes.
pub(crate) fn memory_bytes(pid: u32) -> Result<u64> {
    let rollup = read(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = named_number(&rollup, "Pss:").context("smaps_rollup has no Pss")?;
    Ok(kib * 1024)
}

/// How many times this process has read from files. Sockets are read by other calls and are not counted.
pub(crate) fn file_reads(pid: u32) -> Result<u64> {
    named_number(&read(format!("/proc/{pid}/io"))?, "syscr:").context("/proc/<pid>/io has no syscr")
}

/// Whether this process has mapped a file of this name.
pub(crate) fn has_mapped(pid: u32, name: &str) -> Result<bool> {
    Ok(read(format!("/proc/{pid}/maps"))?.contains(name))
}

fn named_number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_core_is_busy_or_idle_but_not_stolen() {
        let core = parse_core("cpu0 10 2 30 400 5 6 7 999 0 0");
        assert_eq!(core, Some(Core { busy: 10 + 2 + 30 + 6 + 7, idle: 405 }));
        assert_eq!(parse_core("cpu  10 2 30 400 5 6 7 999 0 0"), None, "the sum of all cores");
        assert_eq!(parse_core("intr 1 2 3"), None);
    }

    #[test]
    fn shares_are_of_the_time_between() {
        let then = Machine(vec![Core { busy: 100, idle: 100 }, Core { busy: 0, idle: 0 }]);
        let now = Machine(vec![Core { busy: 175, idle: 125 }, Core { busy: 0, idle: 100 }]);
        assert_eq!(now.shares_since(&then), [0.75, 0.0]);
    }

    #[test]
    fn a_name_may_look_like_fields() {
        let text = "7 (a) R 9 (b) S 3 0 0 0 -1 0 0 0 0 0 11 22 33 44 20 0 1 0";
        assert_eq!(Stat::parse(text), Some(Stat { parent: 3, own_ticks: 33, children_ticks: 77 }));
        assert_eq!(Stat::parse("7 (a) R"), None);
    }

    #[test]
    fn others_are_neither_this_program_nor_its_children_nor_the_kernel() -> Result<()> {
        let this = std::process::id();
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn()?;
        let grandchild = loop {
            let processes = Processes::now()?;
            if let Some((pid, _)) = processes.0.iter().find(|(_, stat)| stat.parent == child.id()) {
                break *pid;
            }
        };
        let processes = Processes::now()?;
        assert!(processes.stems_from(grandchild, this) && processes.stems_from(this, this));
        assert!(!processes.stems_from(1, this) && !processes.stems_from(this, grandchild));
        std::process::Command::new("kill").arg(grandchild.to_string()).status()?;
        child.wait()?;
        assert!(others_cpu_micros()? > 0);
        Ok(())
    }

    #[test]
    fn this_process_uses_cpu_and_memory() -> Result<()> {
        let pid = std::process::id();
        let before = cpu_micros(pid)?;
        let start = Instant::now();
        while cpu_micros(pid)? < before + 2 * TICK_MICROS {
            assert!(start.elapsed() < Duration::from_secs(20), "no CPU time is counted");
        }
        assert!(memory_bytes(pid)? > 100_000);
        assert!(file_reads(pid)? > 0);
        assert!(has_mapped(pid, "libc")? && !has_mapped(pid, "no-such-library")?);
        Ok(())
    }
}
