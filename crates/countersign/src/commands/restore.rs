//! `countersign restore`: the store as it was when a backup was taken, but for what has ended since.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;
use countersign_domain::archive::{Archive, Contents, ImportError};
use countersign_domain::error::causes;
use countersign_domain::id::ChangeId;
use countersign_domain::store::{Cause, StoreError};
use countersign_store_postgres::{Address, PostgresArchive};
use countersign_store_sqlite::{BackupNote, EmbeddedPlace};

use super::now;
use crate::config::{ConfigArgs, load_for_process};
use crate::failure::Failure;
use crate::house::{Corrector, Entry, Learner, Opened, Place, Saved, copy, text};
use crate::output;
use crate::ports::OsEntropy;
use crate::when::When;

pub(crate) const HELP: &str = "\
Without --yes nothing is changed: it says what the backup holds and what it would
bring back, and ends with 1.

What has ended since the backup stays ended: tokens, accounts and memberships that
the present store does not have any more, or has disabled, bound more tightly or
rotated, and those that an audit (--audit, as `countersign audit --all --json` prints
it) says so of. Where the present store is lost, the audit is all that is known:
keep one of every account, elsewhere. One that is there and cannot be read, or does
not continue the backup, is no lost one: --without-present-store says that it is.
--bring-back leaves all of that out.";

/// Where there is no store to ask.
const ALONE: &str = ": what has ended since is known from --audit alone\n";

/// From what, and how.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// A file that `countersign backup` has written
    file: PathBuf,

    /// Do it
    #[arg(long)]
    yes: bool,

    /// Audit records of the time after the backup, as `countersign audit --all --json` prints them; may be repeated
    #[arg(long, value_name = "FILE")]
    audit: Vec<PathBuf>,

    /// Bring back what has ended since, revoked tokens included
    #[arg(long)]
    bring_back: bool,

    /// Do not look at the present store, because it cannot be read, or is not to be believed
    #[arg(long)]
    without_present_store: bool,

    #[command(flatten)]
    config: ConfigArgs,
}

/// Says what a restore comes to, and does it when it is told to.
pub(crate) fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    let config = load_for_process(&args.config)?.config;
    let place = Place::of(&config)?;
    // Held until the end: no server starts meanwhile.
    let held = match &place {
        Place::Embedded(directory) => {
            Some(EmbeddedPlace::take(directory).map_err(|error| anyhow!("{error}"))?)
        }
        Place::Shared(_) => None,
    };
    let mut backup = Backup::open(&args.file)?;
    let (saved, note) = backup.check()?;
    let mut report = backup_text(&args.file, &note);
    let mut learner = Learner::of(&saved);
    report += &learn(&mut learner, &place, args)?;
    let later = learner.finish();
    if later.without_place > 0 {
        let lost = later.without_place;
        report +=
            &format!("{lost} changes count and are not kept in the audit: others have their revisions\n");
    }

    let at = now();
    let entry = Entry { id: ChangeId::mint(at, &OsEntropy), at, taken_at: note.taken_at };
    let mut trial = Corrector::new(&later, args.bring_back, &entry);
    let tried = backup.opened.export(&mut |record| {
        trial.correct(record, &mut Vec::new());
        Ok(())
    });
    tried.map_err(|error| anyhow!("{}", causes(&error)))?;
    report += &trial.finish().text(args.bring_back);
    output::print(&report)?;
    if !args.yes {
        output::note("Nothing was changed. To do it, say so with --yes.");
        return Err(Failure::No);
    }
    let mut corrector = Corrector::new(&later, args.bring_back, &entry);
    let done = match (&place, &held) {
        (Place::Shared(address), _) => into_database(&mut backup, &mut corrector, address, later.read)?,
        (Place::Embedded(_), Some(held)) => into_directory(&mut backup, &mut corrector, held)?,
        (Place::Embedded(_), None) => return Err(anyhow!("the data directory is not held").into()),
    };
    Ok(output::print(&done)?)
}

/// A backup, opened.
struct Backup {
    name: String,
    opened: Opened,
}

impl Backup {
    fn open(file: &Path) -> anyhow::Result<Self> {
        let opened = Opened::read(file).map_err(|error| anyhow!("{error}"))?;
        Ok(Self { name: file.display().to_string(), opened })
    }

    /// What it holds; an error when that is not what was written.
    fn check(&mut self) -> anyhow::Result<(Saved, BackupNote)> {
        self.opened.archive.check_integrity().map_err(|error| anyhow!("{error}"))?;
        let note = self.opened.archive.note().map_err(|error| anyhow!("{error}"))?;
        let damaged = |why: String| anyhow!("{} is damaged ({why}); use another copy", self.name);
        let saved = Saved::read(&mut self.opened).map_err(|error| damaged(error.to_string()))?;
        match saved.contents.difference(&note.contents) {
            None => Ok((saved, note)),
            Some(difference) => Err(damaged(difference.to_string())),
        }
    }
}

fn backup_text(file: &Path, note: &BackupNote) -> String {
    format!(
        "{} was taken on {} from the {} store, by version {}, at revision {}; it is whole\n\
         it holds {}\n",
        file.display(),
        When(note.taken_at).with_distance(now()),
        note.store,
        note.version,
        note.contents.revision,
        text::contents(&note.contents)
    )
}

/// Learns what can be known of the time since; says from where.
fn learn(learner: &mut Learner<'_>, place: &Place, args: &RestoreArgs) -> anyhow::Result<String> {
    let mut told = if args.without_present_store {
        format!("the present store is not looked at{ALONE}")
    } else {
        learn_from_present(learner, place)?
    };
    for path in &args.audit {
        let (name, found) = (path.display(), learner.learn_from_file(path)?);
        told += &format!("{name} tells of {} changes since the backup\n", found.later);
        if !found.reaches_back {
            told += &format!(
                "{name} DOES NOT REACH BACK to the backup: what ended in between may come back; \
                 `countersign audit --all --json` prints everything\n"
            );
        }
    }
    Ok(told)
}

fn learn_from_present(learner: &mut Learner<'_>, place: &Place) -> anyhow::Result<String> {
    let Some(mut present) = place.present()? else {
        return Ok(format!("there is no present store{ALONE}"));
    };
    let contents = learner.learn_from_store(place, present.as_mut())?;
    Ok(match contents.rows.is_empty() {
        true => format!("the present store is empty{ALONE}"),
        false => format!("the present store is at revision {}\n", contents.revision),
    })
}

fn into_directory(
    backup: &mut Backup,
    corrector: &mut Corrector<'_>,
    held: &EmbeddedPlace,
) -> anyhow::Result<String> {
    let (path, mut archive) = held.create_beside(".restoring").map_err(|error| anyhow!("{error}"))?;
    let copied = write(backup, corrector, &mut archive);
    drop(archive);
    copied.map_err(|error| not_restored(&error)).inspect_err(|_| drop(fs::remove_file(&path)))?;
    // To the millisecond: two restores may come within a second.
    let suffix = format!(".before-restore-{}", now().as_micros() / 1_000);
    let replaced = held.replace_by(&path, &suffix).map_err(|error| anyhow!("{error}"))?;
    Ok(match replaced.kept_as {
        Some(kept) => {
            format!("restored; the store before is kept as {}: remove it when all is well\n", kept.display())
        }
        None => "restored\n".to_owned(),
    })
}

fn into_database(
    backup: &mut Backup,
    corrector: &mut Corrector<'_>,
    address: &Address,
    known: Option<Contents>,
) -> anyhow::Result<String> {
    let id = corrector.entry.id;
    let opened = PostgresArchive::open(address.clone());
    let mut archive = opened.map_err(|error| anyhow!("{}", causes(&error)))?.replacing(known);
    match write(backup, corrector, &mut archive) {
        Ok(()) => {}
        Err(ImportError::Store(StoreError::InDoubt(why))) => find_out(&archive, id, &why)?,
        Err(error) => return Err(not_restored(&error)),
    }
    Ok("restored\n".to_owned())
}

/// The commit was not answered: what has become of it.
fn find_out(archive: &PostgresArchive, id: ChangeId, why: &Cause) -> anyhow::Result<()> {
    match archive.has_imported(id) {
        Ok(true) => Ok(()),
        Ok(false) => bail!("nothing was restored: {}", causes(why.as_ref())),
        Err(error) => bail!(
            "it is not known whether the backup was restored ({}; {}): when the database answers, it was if there is a \
             row in SELECT at FROM audit WHERE id = '{id}'",
            causes(why.as_ref()),
            causes(&error)
        ),
    }
}

fn write(
    backup: &mut Backup,
    corrector: &mut Corrector<'_>,
    to: &mut dyn Archive,
) -> Result<(), ImportError> {
    let mut change = |record, out: &mut Vec<_>| corrector.correct(record, out);
    copy(&mut backup.opened, to, &mut change).map(drop)
}

fn not_restored(error: &ImportError) -> anyhow::Error {
    anyhow!("nothing was restored: {}", causes(error))
}
