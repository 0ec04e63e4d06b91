//! Programs that do the least that a server must: what they need, no server can save.

pub(crate) mod hyper;
pub(crate) mod sqlite;
