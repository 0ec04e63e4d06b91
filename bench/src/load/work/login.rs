//! Logging in.

use super::script::{Right, Script};
use crate::credentials;
use crate::wire::request;

/// Logs in to the first `accounts`, one after the other, again and again.
pub(super) fn open(accounts: usize) -> Script {
    let mut script = Script::new(false);
    for number in 0..accounts {
        script
            .push(&request::login(&credentials::email_of(number), credentials::PASSWORD), Right::status(200));
    }
    script
}
