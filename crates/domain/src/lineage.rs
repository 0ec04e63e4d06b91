//! From which tokens a token stems.

use std::sync::Arc;

use crate::id::Handle;

/// The access tokens from which a token stems, the oldest first and the one that minted it last. Those that were no
/// longer kept when it was minted are left out, so that a token that is replaced by its own offspring again and again
/// does not grow a list; those that had expired and were kept are in it, since whatever is kept can be revoked with all
/// that stems from it. Empty for what no token minted: root tokens, and those of people who log in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Lineage(Option<Arc<[Handle]>>);

impl Lineage {
    /// Most tokens in a new one. What is stored is read, however long it is.
    pub const LONGEST: usize = 32;

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
        let handles = bytes.chunks(Handle::LEN).map(Handle::from_ascii).collect::<Option<Vec<_>>>()?;
        Some(Self((!handles.is_empty()).then(|| handles.into())))
    }

    /// The token that minted it.
    pub fn minter(&self) -> Option<Handle> {
        self.handles().last().copied()
    }

    /// The lineage of what `minter`, which has this one, mints. `None` when it is too long.
    pub fn below(&self, minter: Handle, is_kept: impl Fn(&Handle) -> bool) -> Option<Self> {
        let kept = self.handles().iter().copied().filter(is_kept);
        Self::of(&kept.chain([minter]).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(number: usize) -> Handle {
        let letters = b"0123456789abcdefghijklmnopqrstuvwxyz";
        Handle::from_base62([letters[number]; Handle::LEN])
    }

    #[test]
    fn those_that_are_gone_are_left_out_and_the_others_are_bounded() {
        const LONGEST: usize = Lineage::LONGEST;
        let mut lineage = Lineage::default();
        for number in 0..LONGEST {
            lineage = lineage.below(handle(number), |_| true).unwrap_or_default();
        }
        assert_eq!(lineage.handles().len(), LONGEST);
        assert_eq!(lineage.minter(), Some(handle(LONGEST - 1)));
        assert_eq!(lineage.below(handle(LONGEST), |_| true), None);
        let shorter = lineage.below(handle(LONGEST), |ancestor| *ancestor != handle(3)).unwrap_or_default();
        assert_eq!(shorter.handles().len(), LONGEST);
        assert!(!shorter.handles().contains(&handle(3)));
    }
}
