//! The recording as it is kept.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One request and what LoopBack answered to it.
#[derive(Deserialize)]
pub(super) struct Case {
    pub(super) id: String,
    /// How the recorder's server was set up.
    pub(super) mode: String,
    pub(super) title: String,
    pub(super) request: Request,
    /// 0: there was no answer.
    pub(super) status: u16,
    /// `None`: there was none.
    pub(super) body: Option<Value>,
    #[serde(default)]
    pub(super) note: String,
}

#[derive(Deserialize)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) body: String,
}

impl Case {
    /// Whether the recorder sorted the list in the answer by `ttl`, because its own order is any.
    pub(super) fn is_sorted_by_ttl(&self) -> bool {
        self.note.starts_with("sorted by ttl")
    }
}

/// All of it, in the order in which it was recorded.
pub(super) fn recording() -> Vec<Case> {
    serde_json::from_str(include_str!("loopback-golden.json")).unwrap()
}
