//! The checkout that the commands work on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::{MetadataCommand, Package};

/// A checkout of the project.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The checkout from which this command was built.
    ///
    /// Errors: it is no longer there.
    pub(crate) fn find() -> Result<Self> {
        let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest_dir.parent().context("xtask has no parent directory")?;
        if !root.join("Cargo.lock").is_file() {
            bail!("{} is no checkout any more: build xtask again", root.display());
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Its top directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A directory below `target` for what the commands make; not created.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.root.join("target").join(name)
    }

    /// The same `cargo` that runs this command, in the top directory.
    pub(crate) fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root);
        command
    }

    /// Our own packages and the dependencies they declare.
    pub(crate) fn members(&self) -> Result<Vec<Package>> {
        let metadata = self.metadata().no_deps().exec().context("cargo metadata")?;
        Ok(metadata.packages)
    }

    /// Every package that may be built for one of `targets`. cargo answers from what it has downloaded, and
    /// asks the registry only for what it never saw.
    pub(crate) fn packages_for(&self, targets: &[String]) -> Result<Vec<Package>> {
        let filters = targets.iter().flat_map(|target| ["--filter-platform".to_owned(), target.clone()]);
        let options = filters.chain(["--locked".to_owned()]).collect::<Vec<_>>();
        let metadata = self.metadata().other_options(options).exec().context("cargo metadata")?;
        Ok(metadata.packages)
    }

    fn metadata(&self) -> MetadataCommand {
        let mut command = MetadataCommand::new();
        command.manifest_path(self.root.join("Cargo.toml"));
        command
    }
}

/// Runs a command to its end, its output going where ours goes.
///
/// Errors: it cannot be started, or it does not succeed; the message names it.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", describe(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", describe(command));
    }
    Ok(())
}

/// Runs a command to its end and gives what it printed on standard output.
///
/// Errors: as [`succeed`], and output that is not UTF-8.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", describe(command)))?;
    if !output.status.success() {
        bail!("{} failed: {}", describe(command), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of {}", describe(command)))
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
