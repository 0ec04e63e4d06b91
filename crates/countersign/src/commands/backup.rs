//! `countersign backup`: everything that the store holds, in one file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use countersign_domain::archive::Contents;
use countersign_domain::error::causes;
use countersign_domain::id::ChangeId;
use countersign_store_sqlite::{BackupNote, EmbeddedPlace, SqliteArchive};

use super::now;
use crate::config::{ConfigArgs, load_for_process};
use crate::house::{Place, copy, text, unchanged};
use crate::output;
use crate::ports::OsEntropy;

/// Where the backup goes.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write: a database of SQLite
    file: PathBuf,

    /// Put it in the place of a file that is there
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    config: ConfigArgs,
}

/// Writes the file, or leaves it as it was.
pub(crate) fn backup(args: &BackupArgs) -> anyhow::Result<()> {
    let config = load_for_process(&args.config)?.config;
    let name = args.file.display();
    let place = Place::of(&config)?;
    if let Place::Embedded(directory) = &place
        && EmbeddedPlace::has_file(directory, &args.file)
    {
        bail!("{name} is a file of the store itself; choose another name");
    }
    if args.file.exists() && !args.force {
        bail!("{name} is there already; choose another name, or replace it with --force");
    }
    let partial = partial(&args.file);
    let written = write(&place, &partial).and_then(|contents| {
        put(&partial, &args.file).with_context(|| format!("cannot write {name}"))?;
        Ok(contents)
    });
    let contents = written.inspect_err(|_| drop(fs::remove_file(&partial)))?;
    output::print(&format!(
        "{name}: {}; up to revision {}, digest {}\n",
        text::contents(&contents),
        contents.revision,
        contents.digest
    ))?;
    output::note(
        "It holds no key: back up the key file of the deployment apart, if it lists texts of tokens.",
    );
    Ok(())
}

fn write(place: &Place, partial: &Path) -> anyhow::Result<Contents> {
    let mut from = place.read()?;
    let taken_at = now();
    let mut to = SqliteArchive::create(partial).map_err(|error| anyhow!("{error}"))?;
    let copied = copy(from.as_mut(), &mut to, &mut unchanged);
    let contents = copied.map_err(|error| anyhow!("no backup was written: {}", causes(&error)))?;
    let (version, store) = (env!("CARGO_PKG_VERSION").to_owned(), place.kind().to_owned());
    let note = BackupNote { taken_at, version, store, contents };
    to.write_note(&note).map_err(|error| anyhow!("{error}"))?;
    Ok(contents)
}

/// The file under its name, durable.
fn put(partial: &Path, file: &Path) -> io::Result<()> {
    File::open(partial)?.sync_all()?;
    fs::rename(partial, file)?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// Beside the file, and nobody else's: another backup may be under way.
fn partial(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.partial", ChangeId::mint(now(), &OsEntropy)));
    name.into()
}
