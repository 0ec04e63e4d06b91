//! Moving house: backups, what is restored from them, and from the embedded store to the shared one.

mod audit_file;
mod copy;
mod correct;
mod later;
mod opened;
mod outcome;
mod place;
mod said;
pub(crate) mod text;

pub(crate) use audit_file::{Change, Party};
pub(crate) use copy::{copy, unchanged};
pub(crate) use correct::{Corrector, Entry};
pub(crate) use later::{Learner, Saved};
pub(crate) use opened::Opened;
pub(crate) use place::{Place, address, check_has_store};
