//! Revokes a token and verifies it on another connection at once, again and again. Every one must be refused.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::credentials;
use crate::wire::client::Client;
use crate::wire::request;

/// What was seen.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Tokens revoked; each was granted just before, or the run would have failed.
    pub(crate) revoked: u64,
    /// Of these, granted after the revocation had been answered.
    pub(crate) granted_after: u64,
    /// Of these, neither granted nor refused: an error says nothing about what the server holds.
    pub(crate) otherwise_after: u64,
    /// The first of those answers.
    pub(crate) first_otherwise: Option<u16>,
}

impl Seen {
    /// A token was revoked, and then answered with this status.
    fn after(&mut self, status: u16) {
        self.revoked += 1;
        match status {
            401 => {}
            200 => self.granted_after += 1,
            other => {
                self.otherwise_after += 1;
                self.first_otherwise.get_or_insert(other);
            }
        }
    }
}

/// Does it with the first `count` tokens of a file. Fails when one was not granted before, or is not revoked.
pub(crate) fn revoke_then_verify(address: SocketAddr, tokens: &Path, count: usize) -> Result<Seen> {
    let text = credentials::read(tokens)?;
    let mut manager = Client::connect(address).context("cannot connect")?;
    let mut door = Client::connect(address).context("cannot connect")?;
    let mut seen = Seen::default();
    for token in credentials::parse(&text).take(count) {
        let token = token?;
        let verify = request::verify(token.client_id, token.secret);
        let revoke = request::revoke(token.id);
        let before = door.ask(&verify)?.status;
        anyhow::ensure!(before == 200, "{} was answered {before} before it was revoked", token.id);
        let revoked = manager.ask(&revoke)?.status;
        let after = door.ask(&verify)?.status;
        anyhow::ensure!(revoked == 200, "the revocation of {} was answered {revoked}", token.id);
        seen.after(after);
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_refusal_is_right() {
        let mut seen = Seen::default();
        [401, 200, 503, 401, 403].into_iter().for_each(|status| seen.after(status));
        let right = Seen { revoked: 5, granted_after: 1, otherwise_after: 2, first_otherwise: Some(503) };
        assert_eq!(seen, right);
    }
}
