//! Ids of requests, in the log, in the audit and in answers.

use std::sync::atomic::{AtomicU32, Ordering};

use countersign_authority::Authority;

/// Makes 16 hex digits for each request: 8 of this process, 8 that count. No two requests of a process share one,
/// and a restart begins elsewhere.
pub(crate) struct RequestIds {
    process: u32,
    next: AtomicU32,
}

impl RequestIds {
    /// Ids of a process that begins now.
    pub(crate) fn new(authority: &Authority) -> Self {
        let mut bytes = [0; 4];
        authority.random(&mut bytes);
        Self { process: u32::from_be_bytes(bytes), next: AtomicU32::new(0) }
    }

    /// The next one.
    pub(crate) fn next(&self) -> String {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let number = u64::from(self.process) << 32 | u64::from(next);
        // `{:016x}` is slower than all else that an id costs.
        let digit = |place: u32| char::from_digit((number >> (4 * place)) as u32 & 0xf, 16);
        (0..16).rev().filter_map(digit).collect()
    }
}
