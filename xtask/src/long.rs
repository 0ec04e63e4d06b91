//! What takes long and is therefore no part of `cargo xtask test`.

use anyhow::Result;

use crate::workspace::{Workspace, succeed};

/// Measures beside references; `arguments` go to the bench's `run`.
pub(crate) fn bench(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    succeed(workspace.cargo().args(["build", "--release", "--package", "countersign"]))?;
    let run = ["run", "--release", "--package", "countersign-bench", "--", "run"];
    succeed(workspace.cargo().args(run).args(arguments))
}

/// Kills the server this often, in the test that kills it a few dozen times in CI.
pub(crate) fn soak(workspace: &Workspace, kills: u32) -> Result<()> {
    let test =
        ["test", "--release", "--package", "countersign", "--test", "whole", "crash", "--", "--nocapture"];
    succeed(workspace.cargo().args(test).env("COUNTERSIGN_TEST_KILLS", kills.to_string()))
}
