//! The port through which randomness comes in.

/// A cryptographically secure source of random bytes.
///
/// The binary gives the operating system's; tests give a seeded one. Nothing else in the project may ask for
/// randomness (`clippy.toml`), because every secret is made of it.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `out` with random bytes. An implementation that cannot must end the process rather than return:
    /// a secret that is not random is worse than no answer.
    fn fill(&self, out: &mut [u8]);
}
