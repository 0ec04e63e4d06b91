//! A slower disk: a library that is loaded before others and delays `fdatasync` and `fsync`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::proc;

/// The delay: about what a disk without power-loss protection takes.
pub(crate) const DELAY_MICROS: u32 = 2_000;

/// The library's source.
const SOURCE: &str = include_str!("../../shim/slow_sync.c");

/// The library's file.
const NAME: &str = "slow_sync.so";

/// The built library.
#[derive(Debug, Clone)]
pub(crate) struct SlowDisk(PathBuf);

impl SlowDisk {
    /// Builds it into `dir` with the C compiler that the embedded database needs too.
    pub(crate) fn build(dir: &Path) -> Result<Self> {
        let file = dir.canonicalize()?.join(NAME);
        let mut compiler = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-x", "c", "-", "-o"])
            .arg(&file)
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot run `cc`")?;
        compiler.stdin.take().context("cc reads nothing")?.write_all(SOURCE.as_bytes())?;
        anyhow::ensure!(compiler.wait()?.success(), "cc refuses the library of the slow disk");
        Ok(Self(file))
    }

    /// What makes a process use it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("LD_PRELOAD", self.0.display().to_string()), ("BENCH_SYNC_DELAY_US", DELAY_MICROS.to_string())]
    }

    /// Fails when a process does not have it: its numbers would be those of the fast disk.
    pub(crate) fn check(&self, pid: u32) -> Result<()> {
        anyhow::ensure!(proc::has_mapped(pid, NAME)?, "the server does not load libraries (static?)");
        Ok(())
    }
}
