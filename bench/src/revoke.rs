//! Revokes a token and verifies it on another connection at once, again and again. Not one may be granted.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::credentials;
use crate::wire::client::Client;
use crate::wire::request;

/// What was seen.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Tokens revoked; each was granted just before, or the run would have failed.
    pub(crate) revoked: u64,
    /// Of these, granted after the revocation had been answered.
    pub(crate) granted_after: u64,
}

/// Does it with the first `count` tokens of a file. Fails when one was not granted before, or is not revoked.
pub(crate) fn revoke_then_verify(address: SocketAddr, tokens: &Path, count: usize) -> Result<Seen> {
    let text = credentials::read(tokens)?;
    let mut manager = Client::connect(address).context("cannot connect")?;
    let mut door = Client::connect(address).context("cannot connect")?;
    let mut seen = Seen { revoked: 0, granted_after: 0 };
    for token in credentials::parse(&text).take(count) {
        let token = token?;
        let verify = request::verify(token.client_id, token.secret);
        let revoke = request::revoke(token.id);
        let before = door.ask(&verify)?.status;
        anyhow::ensure!(before == 200, "{} was answered {before} before it was revoked", token.id);
        let revoked = manager.ask(&revoke)?.status;
        let after = door.ask(&verify)?.status;
        anyhow::ensure!(revoked == 200, "the revocation of {} was answered {revoked}", token.id);
        seen.revoked += 1;
        seen.granted_after += u64::from(after == 200);
    }
    Ok(seen)
}
