//! Short-lived tokens at the door.

use std::path::Path;

use anyhow::{Context, Result};

use super::script::{Right, Script, Shown, shuffled};
use crate::credentials;
use crate::wire::request;

/// Reads the file, one token a line, and shuffles it. All are good.
pub(super) fn open(tokens: &Path, once: bool) -> Result<Script> {
    let text = credentials::read(tokens)?;
    let tokens: Vec<&str> = text.lines().collect();
    anyhow::ensure!(!tokens.is_empty(), "there is nothing to show");
    let mut script = Script::new(once);
    for shown in shuffled(tokens.len(), 0) {
        let Shown::Live(place) = shown else { continue };
        let token = tokens.get(place).context("the shuffle made up a token")?;
        script.push(&request::verify_signed(token), Right::status(200));
    }
    Ok(script)
}
