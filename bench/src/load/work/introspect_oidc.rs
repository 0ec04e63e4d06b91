//! Tokens of npm's `oidc-provider`, introspected by itself.

use std::path::Path;

use anyhow::Result;

use super::script::{Right, Script, Shown, shuffled};
use crate::credentials;
use crate::wire::request;

/// Reads the file, and makes up unknown ones among them.
pub(super) fn open(tokens: &Path, unknown: usize) -> Result<Script> {
    let text = credentials::read(tokens)?;
    let live: Vec<&str> = text.lines().collect();
    let mut script = Script::new(false);
    for (number, shown) in shuffled(live.len(), unknown).into_iter().enumerate() {
        match shown {
            Shown::Live(place) => {
                let token = live.get(place).copied().unwrap_or_default();
                script.push(&request::introspect_oidc(token), Right::body(b"{\"active\":true,"));
            }
            Shown::Unknown => {
                let token = format!("{number:043}");
                script.push(&request::introspect_oidc(&token), Right::body(b"{\"active\":false}"));
            }
        }
    }
    Ok(script)
}
