//! From which tokens a token stems.

use std::sync::Arc;

use crate::id::Handle;

/// The access tokens from which a token stems, the oldest first and the one that minted it last. Tokens that had ended
/// when it was minted are left out, so that a token that is replaced by its own offspring again and again does not
/// grow a list. Empty for what no token minted: root tokens, and those of people who log in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Lineage(Option<Arc<[Handle]>>);

impl Lineage {
    /// Most tokens in it: one that stems from so many living ones mints no more.
    pub const LONGEST: usize = 8;

    /// The lineage of these tokens. `None` when they are too many.
    pub fn of(handles: &[Handle]) -> Option<Self> {
        match handles {
            [] => Some(Self(None)),
            _ if handles.len() > Self::LONGEST => None,
            _ => Some(Self(Some(handles.into()))),
        }
    }

    /// The tokens, the oldest first.
    pub fn handles(&self) -> &[Handle] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The tokens as a store keeps them: handles of equal length, one after the other; `None` when there are none.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let handles = self.0.as_deref()?;
        Some(handles.iter().flat_map(|handle| handle.as_str().as_bytes()).copied().collect())
    }

    /// The reverse of [`Lineage::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let handles: Option<Vec<_>> = bytes.chunks(Handle::LEN).map(Handle::from_ascii).collect();
        Self::of(&handles?)
    }

    /// The token that minted it.
    pub fn minter(&self) -> Option<Handle> {
        self.handles().last().copied()
    }

    /// The lineage of what `minter`, which has this one, mints. `None` when it is too long.
    pub fn below(&self, minter: Handle, is_live: impl Fn(&Handle) -> bool) -> Option<Self> {
        let living = self.handles().iter().copied().filter(is_live);
        Self::of(&living.chain([minter]).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(number: u8) -> Handle {
        Handle::from_base62([b'a' + number; Handle::LEN])
    }

    #[test]
    fn the_dead_are_left_out_and_the_living_are_bounded() {
        let mut lineage = Lineage::default();
        for number in 0..8 {
            lineage = lineage.below(handle(number), |_| true).unwrap_or_default();
        }
        assert_eq!(lineage.handles().len(), 8);
        assert_eq!(lineage.minter(), Some(handle(7)));
        assert_eq!(lineage.below(handle(8), |_| true), None);
        let shorter = lineage.below(handle(8), |ancestor| *ancestor != handle(3)).unwrap_or_default();
        assert_eq!(shorter.handles().len(), 8);
        assert!(!shorter.handles().contains(&handle(3)));
    }
}
